/* Shadow paging in the monitor console: `info shadow`, and the shadow part of `walk`. */
#include <inttypes.h>

#include "mmu/dump.h"
#include "mmu/mmu.h"
#include "mmu/shadow/shadow.h"
#include "vm/monitor_internal.h"

static void print_stats(FILE *out, const struct shadow_stats *stats)
{
    fprintf(out,
            "shadow: %" PRIu64 " pages now (%" PRIu64 " KiB), %" PRIu64 " made, %" PRIu64
            " freed, %" PRIu64 " evicted; reverse map %" PRIu64 " entries\n",
            stats->pages, stats->pages * (PAGE_SIZE / KIB), stats->pages_made, stats->pages_freed,
            stats->pages_evicted, stats->rmap_entries);
    fprintf(out,
            "page faults: %" PRIu64 "; %" PRIu64 " injected into the guest, %" PRIu64
            " MMIO, %" PRIu64 " writes to gPTs\n",
            stats->faults, stats->injected, stats->mmio, stats->gpt_writes);
    fprintf(out,
            "entries: %" PRIu64 " filled (%" PRIu64 " large), %" PRIu64 " zapped, %" PRIu64
            " write-protected, %" PRIu64 " updated after a write to the gPT\n",
            stats->filled, stats->filled_large, stats->zapped, stats->protected,
            stats->gpt_updated);
    fprintf(out,
            "gPT pages: %" PRIu64 " let go of for writing, %" PRIu64
            " taken back; root switches: %" PRIu64 ", %" PRIu64 " to a cached root\n",
            stats->unsynced, stats->synced, stats->roots_switched, stats->roots_cached);
}

void monitor_shadow_counters(struct monitor_call *call)
{
    print_stats(call->out, shadow_stats(mmu_shadow(call->vm->mmu)));
}

struct shadow_list {
    struct monitor_list rows;
    uint64_t pages[5], entries[5]; /* by level */
    uint64_t roots, direct, unsync;
};

/* What a shadow page stands for: (gfn, role), as far as a person asks. */
static void print_role(FILE *out, const struct shadow_page_info *info)
{
    fprintf(out, "gfn 0x%" PRIx64 ", ", info->gfn);
    if (info->format == X86_PAGING_NONE)
        fputs("no guest table", out);
    else
        fprintf(out, "%s table", dump_format_name(info->format));
    if (info->format == X86_PAGING_32BIT && !info->direct)
        fprintf(out, ", quadrant %u", info->quadrant);
    fprintf(out, ", %c%c%c%s%s%s", info->user ? 'U' : '-', info->write ? 'W' : '-',
            info->execute ? 'X' : '-', info->root ? ", root" : "", info->direct ? ", direct" : "",
            info->unsync ? ", unsync" : "");
}

static void see_page(void *opaque, const struct shadow_page_info *info)
{
    struct shadow_list *list = opaque;
    unsigned level = MIN(info->level, 4u);

    list->pages[level]++;
    list->entries[level] += info->present;
    list->roots += info->root;
    list->direct += info->direct;
    list->unsync += info->unsync;
    if (!monitor_list_row(&list->rows))
        return;
    fprintf(list->rows.out, "level %u ", info->level);
    print_role(list->rows.out, info);
    fprintf(list->rows.out, "; %u entries, found %" PRIu64 " times\n", info->present, info->hits);
}

void monitor_shadow(struct monitor_call *call)
{
    const struct shadow *shadow = mmu_shadow(call->vm->mmu);
    int each = monitor_option(call, "info shadow", "pages");
    struct shadow_list list = {.rows = {.out = call->out, .each = each == 1}};

    if (each < 0)
        return;
    if (!shadow) {
        monitor_other_tables(call);
        return;
    }
    shadow_for_each(shadow, see_page, &list);
    monitor_list_end(&list.rows);
    for (unsigned level = 4; level > 0; level--)
        fprintf(call->out, "level %u: %" PRIu64 " pages, %" PRIu64 " entries in use\n", level,
                list.pages[level], list.entries[level]);
    fprintf(call->out,
            "%" PRIu64 " roots in use, %" PRIu64 " direct pages, %" PRIu64
            " out of step (unsync)\n",
            list.roots, list.direct, list.unsync);
    print_stats(call->out, shadow_stats(shadow));
}

struct page_search {
    const uint64_t *table;
    struct shadow_page_info info;
    bool found;
};

static void compare_page(void *opaque, const struct shadow_page_info *info)
{
    struct page_search *search = opaque;

    if (info->table == search->table) {
        search->info = *info;
        search->found = true;
    }
}

/* The shadow page that an entry lies in. */
static void print_page_of(const struct monitor_call *call, const uint64_t *entry)
{
    struct page_search search = {
        .table = (const uint64_t *)((uintptr_t)entry & PAGE_MASK),
    };

    shadow_for_each(mmu_shadow(call->vm->mmu), compare_page, &search);
    if (!search.found)
        return;
    fputs("    page: ", call->out);
    print_role(call->out, &search.info);
    fputc('\n', call->out);
}

void monitor_shadow_walk(struct monitor_call *call, gva_t gva)
{
    const struct vm *vm = call->vm;
    const struct shadow_root *root;
    const uint64_t *entry_at[4] = {NULL};
    unsigned last;
    char text[DUMP_BYTES];

    if (!mmu_shadow(vm->mmu))
        return;
    root = vm->engine->vcpu_shadow_root ? vm->engine->vcpu_shadow_root(vm->vcpu) : NULL;
    if (!root || !root->page) {
        fputs("sPT: the processor has no shadow root yet\n", call->out);
        return;
    }
    fprintf(call->out, "sPT: root at HVA %p\n", (const void *)root->table);
    last = shadow_walk_entries(root->table, gva, entry_at);
    for (unsigned level = 4; level >= last && level > 0; level--) {
        dump_shadow_entry(text, level, *entry_at[level - 1]);
        fprintf(call->out, "  sPT %u [%3u] HVA %p %016" PRIx64 " %s\n", level,
                (unsigned)(((uintptr_t)entry_at[level - 1] & ~PAGE_MASK) / sizeof(uint64_t)),
                (const void *)entry_at[level - 1], *entry_at[level - 1], text);
        print_page_of(call, entry_at[level - 1]);
    }
    if (last > 0 && !(*entry_at[last - 1] & 1))
        fputs("  an access exits with a page fault now: the monitor fills the entry, sends the\n"
              "  access to the bus (MMIO), or injects the fault into the guest\n",
              call->out);
}

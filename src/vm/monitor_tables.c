/* `info mmu`, `info ept`, `info tlb` and `audit`: the monitor's tables. */
#include <inttypes.h>
#include <string.h>

#include "mmu/dump.h"
#include "mmu/ept.h"
#include "mmu/mmu.h"
#include "vm/monitor_internal.h"

#define MAX_LISTED 2048 /* rows */
#define WHY_BYTES  256

/* --- info mmu --- */

static void print_ept_stats(FILE *out, const struct ept_stats *stats)
{
    fprintf(out,
            "EPT: %" PRIu64 " tables (%" PRIu64 " KiB); filled %" PRIu64
            " leaves of 4 KiB, %" PRIu64 " of 2 MiB, %" PRIu64 " of 1 GiB, %" PRIu64
            " marks of MMIO; %" PRIu64 " zapped, %" PRIu64 " split\n",
            stats->tables, stats->tables * (PAGE_SIZE / KIB), stats->filled[1], stats->filled[2],
            stats->filled[3], stats->filled[0], stats->zapped, stats->split);
}

void monitor_mmu(struct monitor_call *call)
{
    const struct x86_state *state = &call->state;
    struct mmu *mmu = call->vm->mmu;
    struct guest_walk_context context;

    monitor_walk_context(call, &context);
    if (mmu_mode(mmu) == MMU_HOST)
        fprintf(call->out, "the host's KVM virtualizes memory: %s\n", call->vm->host_paging);
    else
        fprintf(call->out, "--mmu %s: %s\n", mmu_mode_name(mmu_mode(mmu)),
                mmu_mode(mmu) == MMU_SHADOW
                    ? "the processor walks shadow tables GVA -> HVA, made from the guest's"
                    : "the processor walks the guest's tables GVA -> GPA and the EPT GPA -> HVA");
    fprintf(call->out, "guest paging: %s; CR3 0x%" PRIx64 "%s%s%s%s%s%s%s\n",
            dump_format_name(context.format), state->cr3, context.wp ? " WP" : "",
            context.nxe ? " NXE" : "", context.smep ? " SMEP" : "",
            state->cr4 & X86_CR4_SMAP ? " SMAP" : "", state->cr4 & X86_CR4_PGE ? " PGE" : "",
            state->cr4 & X86_CR4_PCIDE ? " PCIDE" : "", context.pse ? " PSE" : "");
    fprintf(call->out, "physical addresses: %u bits, A20 %s\n", context.physical_bits,
            context.a20_mask & BIT(20) ? "on" : "masked");
    if (mmu_ept(mmu))
        print_ept_stats(call->out, ept_stats(mmu_ept(mmu)));
    if (mmu_shadow(mmu))
        monitor_shadow_counters(call);
}

void monitor_other_tables(struct monitor_call *call)
{
    switch (mmu_mode(call->vm->mmu)) {
    case MMU_EPT:
        fputs("there are no shadow tables: the VM runs with --mmu ept (info ept)\n", call->out);
        return;
    case MMU_SHADOW:
        fputs("there is no EPT: the VM runs with --mmu shadow (info shadow)\n", call->out);
        return;
    case MMU_HOST:
        fprintf(call->out, "the host's KVM has the tables (paging: %s) and does not show them\n",
                call->vm->host_paging);
        return;
    }
}

bool monitor_list_row(struct monitor_list *list)
{
    if (!list->each)
        return false;
    if (list->listed == MAX_LISTED) {
        list->left_out++;
        return false;
    }
    list->listed++;
    return true;
}

void monitor_list_end(const struct monitor_list *list)
{
    if (list->left_out)
        fprintf(list->out, "... and %" PRIu64 " more\n", list->left_out);
}

/* --- info ept --- */

struct ept_list {
    struct monitor_list rows;
    uint64_t leaves[4]; /* by level; [0] marks of MMIO */
    uint64_t accessed, dirty, read_only;
};

static void see_leaf(void *opaque, gpa_t gpa, uint64_t entry, unsigned level)
{
    struct ept_list *list = opaque;
    char text[DUMP_BYTES];
    bool mmio = ept_entry_mmio(entry);

    list->leaves[mmio ? 0 : level]++;
    list->accessed += !!(entry & BIT(8));
    list->dirty += !!(entry & BIT(9));
    list->read_only += !mmio && !(entry & EPT_WRITE);
    if (!monitor_list_row(&list->rows))
        return;
    dump_ept_entry(text, level, entry);
    fprintf(list->rows.out, "GPA %#14" PRIx64 " %-5s  %s\n", gpa,
            dump_leaf_size(X86_PAGING_4LEVEL, level), text);
}

void monitor_ept(struct monitor_call *call)
{
    const struct ept *ept = mmu_ept(call->vm->mmu);
    int each = monitor_option(call, "info ept", "leaves");
    struct ept_list list = {.rows = {.out = call->out, .each = each == 1}};

    if (each < 0)
        return;
    if (!ept) {
        monitor_other_tables(call);
        return;
    }
    ept_for_each(ept, see_leaf, &list);
    monitor_list_end(&list.rows);
    fprintf(call->out,
            "leaves now: %" PRIu64 " of 4 KiB, %" PRIu64 " of 2 MiB, %" PRIu64 " of 1 GiB, %" PRIu64
            " marks of MMIO\n%" PRIu64 " accessed, %" PRIu64 " dirty, %" PRIu64 " not writable\n",
            list.leaves[1], list.leaves[2], list.leaves[3], list.leaves[0], list.accessed,
            list.dirty, list.read_only);
    print_ept_stats(call->out, ept_stats(ept));
}

/* --- info tlb --- */

struct tlb_list {
    FILE *out;
    const char *table;
    uint64_t entries;
};

static void see_tlb_entry(void *opaque, const struct engine_tlb_entry *entry)
{
    struct tlb_list *list = opaque;

    if (!list->table || strcmp(list->table, entry->table) != 0)
        fprintf(list->out, "--- %s ---\n", entry->table);
    list->table = entry->table;
    list->entries++;
    fprintf(list->out, "GVA %#18" PRIx64 "  GPA %#14" PRIx64 "  HVA %14p  %c%c%c\n", entry->gva,
            entry->gpa, entry->hva, entry->read ? 'R' : '-', entry->write ? 'W' : '-',
            entry->execute ? 'X' : '-');
}

void monitor_tlb(struct monitor_call *call)
{
    struct vm *vm = call->vm;
    struct tlb_list list = {.out = call->out};

    if (!vm->engine->vcpu_tlb_for_each) {
        fprintf(call->out, "the %s engine's TLB is the host processor's: it can't be read\n",
                vm->engine->name);
        return;
    }
    vm->engine->vcpu_tlb_for_each(vm->vcpu, see_tlb_entry, &list);
    fprintf(call->out, "%" PRIu64 " entries in use\n", list.entries);
}

/* --- audit --- */

struct tlb_audit {
    const struct monitor_call *call;
    uint64_t entries, bad;
    char why[WHY_BYTES];
};

/*
 * A TLB entry must lead where its slot does, may write to ROM never, and to a page whose writes are
 * to be told neither.
 */
static void audit_tlb_entry(void *opaque, const struct engine_tlb_entry *entry)
{
    struct tlb_audit *audit = opaque;
    const struct mem *mem = audit->call->vm->mem;
    const struct mem_slot *slot = mem_find_slot(mem, entry->gpa);
    const char *what = NULL;

    audit->entries++;
    if (!slot || (const uint8_t *)entry->hva != slot->hva + (entry->gpa - slot->base))
        what = "leads elsewhere than its slot";
    else if (entry->write && slot->kind == MEM_SLOT_ROM)
        what = "lets ROM be written";
    else if (entry->write && mem_write_is_told(mem, entry->gpa))
        what = "lets a watched page be written";
    if (what && audit->bad++ == 0)
        snprintf(audit->why, sizeof(audit->why), "the entry of GVA 0x%" PRIx64 " %s", entry->gva,
                 what);
}

void monitor_audit(struct monitor_call *call)
{
    struct vm *vm = call->vm;
    struct tlb_audit tlb = {.call = call};
    char why[WHY_BYTES] = "";

    if (mmu_audit(vm->mmu, why, sizeof(why)))
        fputs("tables: all invariants hold\n", call->out);
    else
        fprintf(call->out, "tables: BROKEN: %s\n", why);
    if (!vm->engine->vcpu_tlb_for_each)
        return;
    vm->engine->vcpu_tlb_for_each(vm->vcpu, audit_tlb_entry, &tlb);
    if (!tlb.bad && vm->engine->vcpu_audit &&
        !vm->engine->vcpu_audit(vm->vcpu, tlb.why, sizeof(tlb.why)))
        tlb.bad = 1;
    if (tlb.bad)
        fprintf(call->out, "TLB: BROKEN: %s, and %" PRIu64 " more\n", tlb.why, tlb.bad - 1);
    else
        fprintf(call->out, "TLB: %" PRIu64 " entries, all in step\n", tlb.entries);
}

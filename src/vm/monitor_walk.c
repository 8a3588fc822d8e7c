/*
 * `walk GVA`: one address through every table, as the processor and the host take it. The answer is
 * read in docs/memory.md, "Reading walk".
 *
 *   ept       for each guest entry: the EPT walk of its GPA, then the entry; then the EPT walk of
 *             the final GPA
 *   shadow    the guest's entries as the monitor reads them; then the shadow table's, as the
 *             processor does
 *
 * Nothing is changed: what no processor has touched yet is shown as not present.
 */
#include <inttypes.h>
#include <string.h>

#include "dev/bus.h"
#include "mem/host_pages.h"
#include "mem/layout.h"
#include "mem/mem.h"
#include "mmu/dump.h"
#include "mmu/ept.h"
#include "mmu/mmu.h"
#include "vm/monitor_internal.h"

struct walk {
    struct monitor_call *call;
    FILE *out;
    struct guest_walk_context context;
    gva_t gva;
};

/* --- GPA -> HVA -> HPA --- */

/* " = HVA 0x... = HPA 0x...", or why not. */
static void print_host(const struct walk *walk, gpa_t gpa)
{
    struct mem_host_page page;
    const struct mem *mem = walk->call->vm->mem;
    const void *host = mem_host(mem, gpa, 1, false);

    if (!host) {
        fputs(" = no slot", walk->out);
        return;
    }
    fprintf(walk->out, " = HVA %p", host);
    mem_host_pages(mem, gpa & PAGE_MASK, 1, &page);
    if (!page.resident)
        fputs(", not in the host's memory now", walk->out);
    else if (page.hpa)
        fprintf(walk->out, " = HPA 0x%" PRIx64 "%s", page.hpa | (gpa & ~PAGE_MASK),
                page.huge ? " (huge page)" : "");
}

static void print_ept_walk(const struct walk *walk, gpa_t gpa)
{
    const struct ept *ept = mmu_ept(walk->call->vm->mmu);
    const uint64_t *path[X86_TABLE_LEVELS];
    unsigned count = ept ? ept_peek(ept, gpa, path) : 0;
    char text[DUMP_BYTES];

    for (unsigned i = 0; i < count; i++) {
        unsigned level = X86_TABLE_LEVELS - i;

        dump_ept_entry(text, level, *path[i]);
        fprintf(walk->out, "    EPT %u [%3u] HVA %p %016" PRIx64 " %s\n", level,
                (unsigned)(((uintptr_t)path[i] & ~PAGE_MASK) / sizeof(uint64_t)),
                (const void *)path[i], *path[i], text);
    }
    if (count > 0 && !ept_entry_present(*path[count - 1]))
        fputs("      an access is an EPT violation now: the monitor fills this in\n", walk->out);
}

/* --- the guest's tables --- */

static void print_step(const struct walk *walk, const struct guest_walk_step *step)
{
    unsigned bytes = x86_paging_entry_bytes(walk->context.format);
    gpa_t gpa = step->entry_gpa & walk->context.a20_mask;
    char text[DUMP_BYTES];

    fprintf(walk->out, "  gPT level %u, %s [%3u] at GPA 0x%" PRIx64 "\n", step->level,
            dump_entry_name(walk->context.format, step->level),
            (unsigned)((step->entry_gpa & ~PAGE_MASK) / bytes), step->entry_gpa);
    print_ept_walk(walk, gpa);
    fprintf(walk->out, "     ");
    print_host(walk, gpa);
    dump_guest_entry(text, walk->context.format, step);
    fprintf(walk->out, "\n    %0*" PRIx64 "  %s\n", (int)(2 * bytes), step->entry, text);
}

/* How the walk for one access ends. */
static bool try_access(const struct walk *walk, const struct guest_walk_access *access,
                       struct guest_walk_result *result)
{
    struct guest_walk_step steps[GUEST_WALK_MAX_STEPS];
    unsigned count;

    return guest_walk_steps(&walk->context, walk->gva, access, steps, &count, result);
}

/* What each kind of access gets. */
static void print_rights(const struct walk *walk)
{
    static const char *const names[] = {"read", "write", "fetch"};
    const struct x86_state *state = &walk->call->state;
    bool smap = (state->cr4 & X86_CR4_SMAP) && !(state->rflags & X86_FLAG_AC);

    fputs("rights      supervisor       user\n", walk->out);
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        fprintf(walk->out, "  %-8s", names[i]);
        for (unsigned user = 0; user < 2; user++) {
            struct guest_walk_access access = {
                .write = i == 1, .fetch = i == 2, .user = user, .smap = smap && !user};
            struct guest_walk_result result;
            char text[32] = "allowed";

            if (!try_access(walk, &access, &result))
                snprintf(text, sizeof(text), "#PF, error %#x", result.error);
            fprintf(walk->out, user ? "  %s" : "  %-15s", text);
        }
        fputc('\n', walk->out);
    }
}

/* The PDPTE register of an address under PAE paging. */
static void print_pdpte(const struct walk *walk)
{
    unsigned index = x86_pdpte_index(walk->gva);
    uint64_t pdpte = walk->context.pdpte[index];

    fprintf(walk->out, "  PDPTE register %u\n    %016" PRIx64 "  ", index, pdpte);
    if (pdpte & X86_PTE_P)
        fprintf(walk->out, "P table 0x%" PRIx64 "\n", pdpte & X86_PTE_FRAME);
    else
        fputs("- not present\n", walk->out);
}

/* Why the supervisor's read faults, from the last entry that it met. */
static void print_fault(const struct walk *walk, const struct guest_walk_step *last,
                        const struct guest_walk_result *result)
{
    fputs("a supervisor read faults: ", walk->out);
    if (!last || !(last->entry & X86_PTE_P))
        fprintf(walk->out, "the %s is not present",
                last ? dump_entry_name(walk->context.format, last->level) : "PDPTE register");
    else if (result->error & X86_PF_RSVD)
        fprintf(walk->out, "the %s has a reserved bit set",
                dump_entry_name(walk->context.format, last->level));
    else
        fputs("it has no right to", walk->out);
    fprintf(walk->out, " (level %u); #PF with error code %#x\n", last ? last->level : 3,
            result->error);
}

/* Walks and prints the guest's tables; true: they lead to result->gpa. */
static bool print_guest_walk(const struct walk *walk, struct guest_walk_result *result)
{
    const struct guest_walk_access read = {0};
    struct guest_walk_step steps[GUEST_WALK_MAX_STEPS];
    unsigned count;
    bool mapped = guest_walk_steps(&walk->context, walk->gva, &read, steps, &count, result);

    if (walk->context.format == X86_PAGING_PAE)
        print_pdpte(walk);
    for (unsigned i = 0; i < count; i++)
        print_step(walk, &steps[i]);
    if (!mapped)
        print_fault(walk, count ? &steps[count - 1] : NULL, result);
    return mapped;
}

/* --- what is behind the GPA --- */

struct region {
    gpa_t gpa;
    bool found;
    uint64_t base, size;
    const void *dev;
};

static void see_region(void *opaque, uint64_t base, uint64_t size, const void *dev)
{
    struct region *region = opaque;

    if (region->gpa >= base && region->gpa - base < size) {
        region->found = true;
        region->base = base;
        region->size = size;
        region->dev = dev;
    }
}

static void print_mmio(const struct walk *walk, gpa_t gpa)
{
    struct vm *vm = walk->call->vm;
    struct region region = {.gpa = gpa};

    lock_acquire(&vm->lock);
    bus_for_each(vm->board->bus, BUS_MMIO, see_region, &region);
    lock_release(&vm->lock);
    if (region.found)
        fprintf(walk->out, "  no slot: MMIO of the %s, offset 0x%" PRIx64 " of 0x%" PRIx64 "\n",
                board_device_name(vm->board, region.dev), gpa - region.base, region.size);
    else
        fputs("  no slot and no device: reads give ones, writes are dropped\n", walk->out);
}

static void print_target(const struct walk *walk, const struct guest_walk_result *result)
{
    const struct mem *mem = walk->call->vm->mem;
    gpa_t gpa = result->gpa & walk->context.a20_mask;
    const struct mem_slot *slot = mem_find_slot(mem, gpa);

    fprintf(walk->out, "GPA 0x%" PRIx64 "%s", gpa,
            gpa != result->gpa ? " (bit 20 masked by A20)" : "");
    if (walk->context.format != X86_PAGING_NONE)
        fprintf(walk->out, ", in a guest page of %" PRIu64 " KiB, %s%s", result->page_bytes / KIB,
                result->user ? "user" : "supervisor", result->global ? ", global" : "");
    fputc('\n', walk->out);
    print_ept_walk(walk, gpa);
    if (!slot) {
        print_mmio(walk, gpa);
        return;
    }
    fprintf(walk->out, "  = slot %s + 0x%" PRIx64 "%s", slot->name, gpa - slot->base,
            slot->kind == MEM_SLOT_ROM ? " (ROM)" : "");
    print_host(walk, gpa);
    fputc('\n', walk->out);
}

void monitor_walk(struct monitor_call *call)
{
    struct walk walk = {.call = call, .out = call->out};
    struct guest_walk_result result;
    bool mapped;

    if (!monitor_address(call, call->arguments, &walk.gva))
        return;
    monitor_walk_context(call, &walk.context);
    if (walk.gva & ~monitor_linear_mask(&call->state)) {
        monitor_error(call, "linear addresses have 32 bits in this mode");
        return;
    }
    if (walk.context.format == X86_PAGING_4LEVEL && !x86_canonical(walk.gva)) {
        fprintf(call->out, "GVA 0x%" PRIx64 " is not canonical: #GP or #SS, and no walk\n",
                walk.gva);
        return;
    }
    fprintf(call->out, "GVA 0x%" PRIx64 ", paging: %s", walk.gva,
            dump_format_name(walk.context.format));
    if (walk.context.format != X86_PAGING_NONE)
        fprintf(call->out, ", CR3 0x%" PRIx64, walk.context.cr3);
    if (call->state.cr4 & X86_CR4_PCIDE)
        fprintf(call->out, " (PCID %u)", (unsigned)bits_get(walk.context.cr3, 11, 0));
    fputc('\n', call->out);
    mapped = print_guest_walk(&walk, &result);
    if (mapped)
        print_target(&walk, &result);
    monitor_shadow_walk(call, walk.gva);
    if (walk.context.format != X86_PAGING_NONE)
        print_rights(&walk);
}

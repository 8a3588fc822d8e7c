/*
 * A TLB miss under nested paging: the processor walks the guest's tables, and each guest-physical
 * address on the way through the EPT. A page fault of the guest's is no exit.
 * Specification: SDM 3 "The Extended Page Table Mechanism (EPT)".
 */
#include "engine/soft/paging.h"
#include "mmu/ept.h"

/* The translation that is being walked for. */
struct nested {
    struct cpu *cpu;
    gva_t linear;
};

/*
 * The second dimension: where a guest-physical address is in host memory. A violation is an exit,
 * served at once from the slots. EPT_WALK_VIOLATION remains for a write to ROM only. final: the
 * address is the translation's own, not that of a table on the way.
 */
static enum ept_walk nested_walk(const struct nested *nested, gpa_t gpa, unsigned access,
                                 bool final, struct ept_mapping *mapping)
{
    struct ept *ept = mmu_ept(nested->cpu->mmu);
    enum ept_walk end;

    while ((end = ept_walk(ept, gpa, access, mapping)) == EPT_WALK_VIOLATION) {
        exit_scope struct cpu *timed = cpu_exit_begin(
            nested->cpu,
            (struct exit){.reason = EXIT_EPT_VIOLATION,
                          .qualification = exit_qualification_ept(access, mapping->rights, final),
                          .gpa = gpa,
                          .gla = nested->linear});
        switch (ept_fill(ept, gpa, access)) {
        case EPT_FILLED: break;
        case EPT_FILL_MMIO: return EPT_WALK_MISCONFIG;
        case EPT_FILL_READ_ONLY: return EPT_WALK_VIOLATION;
        }
    }
    return end;
}

/* The processor's accesses to the guest's own tables go through the second dimension, too. */
static void *table_host(void *opaque, gpa_t gpa, unsigned bytes, bool write)
{
    struct ept_mapping mapping;
    unsigned access = write ? EPT_READ | EPT_WRITE : EPT_READ;
    enum ept_walk end = nested_walk(opaque, gpa, access, false, &mapping);

    return end == EPT_WALK_MAPPED ? mapping.hva : NULL;
}

enum step paging_translate_ept(struct cpu *cpu, enum tlb_kind kind, gva_t linear,
                               const struct guest_walk_access *access, struct translation *out)
{
    unsigned rights = EPT_READ | (access->write ? EPT_WRITE : 0) | (access->fetch ? EPT_EXEC : 0);
    struct nested nested = {cpu, linear};
    struct guest_walk_context context;
    struct guest_walk_result walk;
    struct ept_mapping mapping;

    paging_context(cpu, &context);
    context.table_host = table_host;
    context.opaque = &nested;
    if (!guest_walk(&context, linear, access, &walk))
        return paging_fault(cpu, linear, walk.error);

    *out = (struct translation){.gpa = walk.gpa & context.a20_mask};
    switch (nested_walk(&nested, out->gpa, rights, true, &mapping)) {
    case EPT_WALK_MISCONFIG: return STEP_NEXT; /* MMIO: no host memory, no entry */
    case EPT_WALK_VIOLATION: out->rom = true; return STEP_NEXT;
    case EPT_WALK_MAPPED: break;
    }
    out->host = mapping.hva;
    out->watched = mem_write_is_told(cpu->mem, out->gpa);
    tlb_fill(cpu, kind, linear, out,
             (struct tlb_rights){
                 .write = walk.writable && mapping.writable && mapping.dirty,
                 .execute = walk.executable,
                 .large = walk.page_bytes > PAGE_SIZE,
                 .global = walk.global && (cpu->x.cr4 & X86_CR4_PGE),
             });
    return STEP_NEXT;
}

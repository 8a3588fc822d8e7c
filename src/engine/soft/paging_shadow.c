/*
 * A TLB miss under shadow paging: the processor walks the shadow table and knows no other. What the
 * table does not allow is a page fault that exits; the monitor's decision (mmu/shadow/fault.h) is
 * carried out here.
 */
#include "base/assert.h"
#include "engine/soft/paging.h"

_Static_assert(SHADOW_EMULATE_WRITE + 1 == ENGINE_SHADOW_FAULTS, "each outcome is counted");

/* A filled entry serves the access: a second fault is one too many, unless others interfere. */
#define MAX_FAULTS 16

void paging_switch_root(struct cpu *cpu)
{
    struct guest_walk_context context;

    paging_context(cpu, &context);
    shadow_switch(cpu->shadow, &cpu->shadow_root, &context);
}

/* A page fault in non-root; STEP_AGAIN: walk again. Else *out is complete, or #PF raised. */
static enum step handle_fault(struct cpu *cpu, gva_t linear, const struct guest_walk_access *access,
                              struct translation *out)
{
    exit_scope struct cpu *timed = cpu_exit_begin(
        cpu, (struct exit){.reason = EXIT_EXCEPTION_NMI, .qualification = linear, .gla = linear});
    struct shadow_fault_result result;
    struct guest_walk_context context;
    enum shadow_fault end;

    paging_context(cpu, &context);
    end = shadow_handle_fault(cpu->shadow, &cpu->shadow_root, &context, linear, access, &result);
    cpu->counters.shadow_faults[end]++;
    *out = (struct translation){.gpa = result.gpa};
    switch (end) {
    case SHADOW_INJECT: return paging_fault(cpu, linear, result.error);
    case SHADOW_RETRY: return STEP_AGAIN;
    case SHADOW_MMIO: break;
    case SHADOW_ROM: out->rom = true; break;
    case SHADOW_EMULATE_WRITE:
        out->host = result.hva;
        out->watched = true;
        break;
    }
    return STEP_NEXT;
}

enum step paging_translate_shadow(struct cpu *cpu, enum tlb_kind kind, gva_t linear,
                                  const struct guest_walk_access *access, struct translation *out)
{
    bool paged = cpu->x.cr0 & X86_CR0_PG;
    bool smep = paged && (cpu->x.cr4 & X86_CR4_SMEP);
    struct guest_walk_access how = *access;
    struct shadow_mapping mapping;

    how.smap &= paged;
    if (unlikely(!cpu->shadow_root.page))
        paging_switch_root(cpu);
    for (unsigned faults = 0; !shadow_walk(cpu->shadow_root.table, linear, &how, smep, &mapping);
         faults++) {
        enum step step = handle_fault(cpu, linear, &how, out);

        if (step != STEP_AGAIN)
            return step;
        ASSERT(faults < MAX_FAULTS, "an entry that was filled serves the access");
    }
    *out = (struct translation){.host = mapping.hva};
    if (!mem_gpa_of_host(cpu->mem, mapping.hva, &out->gpa))
        UNREACHABLE("a shadow leaf maps a frame of a slot");
    out->watched = mem_write_is_told(cpu->mem, out->gpa);
    tlb_fill(cpu, kind, linear, out,
             (struct tlb_rights){
                 .write = mapping.writable,
                 .execute = mapping.executable,
                 .large = mapping.guest_large,
                 .global = mapping.global && (cpu->x.cr4 & X86_CR4_PGE),
             });
    return STEP_NEXT;
}

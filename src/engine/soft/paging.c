/*
 * The paging unit. A miss of the TLB (tlb.c) walks one of two structures, which the VM has chosen:
 * the guest's tables through the EPT (paging_ept.c), or a shadow table (paging_shadow.c). Pages
 * that need the monitor on a write (ROM, watched pages) get no write tag, addresses without a slot
 * no entry. Specification: SDM 3 "Paging", "Caching Translation Information".
 */
#include "engine/soft/paging.h"

#include <string.h>

#include "mmu/guest_walk.h"
#include "mmu/mmu.h"
#include "x86/cpuid.h"

unsigned paging_physical_bits(const struct cpu *cpu)
{
    return cpu->model->physical_bits;
}

void paging_context(const struct cpu *cpu, struct guest_walk_context *context)
{
    guest_walk_context_init(context, cpu->mem, &cpu->x, cpu->model,
                            cpu->host.a20_mask(cpu->host.opaque));
}

enum step paging_translate(struct cpu *cpu, enum tlb_kind kind, gva_t linear,
                           enum access_kind access, struct translation *out)
{
    struct guest_walk_access how = {
        .write = access == ACCESS_WRITE,
        .fetch = access == ACCESS_EXEC,
        .user = kind == TLB_USER,
        .smap = kind == TLB_SUPER_SMAP,
    };

    cpu->counters.tlb_misses++;
    cpu->counters.tlb_fetch_misses += access == ACCESS_EXEC;
    if (cpu->shadow)
        return paging_translate_shadow(cpu, kind, linear, &how, out);
    return paging_translate_ept(cpu, kind, linear, &how, out);
}

enum step paging_fetch(struct cpu *cpu, gva_t linear, gpa_t *gpa)
{
    enum tlb_kind kind = cpu->cpl == 3 ? TLB_USER : TLB_SUPER;
    struct translation out;
    enum step step;

    if (likely(tlb_fetch(cpu, kind, linear, gpa)))
        return STEP_NEXT;
    step = paging_translate(cpu, kind, linear, ACCESS_EXEC, &out);
    *gpa = out.gpa;
    return step;
}

bool paging_peek(struct cpu *cpu, gva_t linear, gpa_t *gpa)
{
    struct guest_walk_context context;
    struct guest_walk_result walk;

    /* A debugger sees the whole address space from 32-bit code of long mode, too. */
    if (!(cpu->x.msr.efer & X86_EFER_LMA))
        linear &= UINT32_MAX;
    else if (!x86_canonical(linear))
        return false;
    paging_context(cpu, &context);
    if (!guest_walk_peek(&context, linear, &walk))
        return false;
    *gpa = walk.gpa & context.a20_mask;
    return true;
}

bool paging_load_pdptes(struct cpu *cpu, uint64_t cr3)
{
    uint64_t a20 = cpu->host.a20_mask(cpu->host.opaque);
    uint64_t reserved = ~(BIT(paging_physical_bits(cpu)) - 1) | X86_PDPTE_RESERVED;
    uint64_t pdpte[X86_PDPTES];

    for (unsigned i = 0; i < X86_PDPTES; i++) {
        pdpte[i] = mem_read64(cpu->mem, ((cr3 & 0xffffffe0) + 8 * i) & a20);
        if ((pdpte[i] & X86_PTE_P) && (pdpte[i] & reserved))
            return false;
    }
    memcpy(cpu->x.pdpte, pdpte, sizeof(pdpte));
    return true;
}

/*
 * A page fault invalidates what is cached of its page (SDM 3 "Operations that Invalidate TLBs and
 * Paging-Structure Caches"), so that nothing stale is met again once the handler has returned.
 */
enum step paging_fault(struct cpu *cpu, gva_t linear, uint32_t error)
{
    tlb_drop_page(cpu, linear & PAGE_MASK);
    if (cpu->shadow)
        shadow_invlpg(cpu->shadow, &cpu->shadow_root, linear);
    return cpu_raise_page_fault(cpu, linear, error);
}

void paging_load_cr3(struct cpu *cpu)
{
    trace(tlb_flush, TRACE_WORD("a load of CR3"));
    cpu->counters.flushes[ENGINE_FLUSH_CR3]++;
    tlb_flush_local(cpu); /* of every PCID: more than asked for is always allowed */
    if (cpu->shadow_root.page)
        paging_switch_root(cpu);
}

void paging_changed(struct cpu *cpu)
{
    trace(tlb_flush, TRACE_WORD("a change of CR0, CR4, EFER, slots or A20"));
    tlb_flush_all(cpu);
    if (cpu->shadow_root.page)
        paging_switch_root(cpu);
}

void paging_flush(struct cpu *cpu)
{
    trace(tlb_flush, TRACE_WORD("INVPCID"));
    cpu->counters.flushes[ENGINE_FLUSH_INVALIDATE]++;
    tlb_flush_all(cpu); /* global pages too, and those of every PCID: more than asked for */
    if (cpu->shadow)
        shadow_flush(cpu->shadow);
}

void paging_invalidate(struct cpu *cpu, gva_t page)
{
    tlb_flush_page(cpu, page);
    if (cpu->shadow)
        shadow_invlpg(cpu->shadow, &cpu->shadow_root, page);
}

/*
 * Loads of CR0, CR3 and CR4 with every check of the manual, and what follows from them: IA-32e mode
 * switched on and off, PDPTE registers, TLB flushes.
 * Nothing has changed when one of them faults.
 * Source: SDM 2 "MOV-Move to/from Control Registers"; SDM 3 "Control Registers", "Initializing
 * IA-32e Mode", "Operations that Invalidate TLBs and Paging-Structure Caches".
 */
#include "engine/soft/cpu.h"
#include "x86/cpuid.h"

#define CR0_WRITABLE                                                                               \
    (X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_NE | X86_CR0_WP | X86_CR0_AM |    \
     X86_CR0_NW | X86_CR0_CD | X86_CR0_PG)
#define CR3_NO_FLUSH BIT(63)
#define CR3_PCID     0xfffu

static enum step fault(struct cpu *cpu)
{
    return cpu_raise_error(cpu, X86_GP, 0);
}

/* PAE paging proper, with its four PDPTE registers. */
static bool pae_paging(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
    return (cr0 & X86_CR0_PG) && (cr4 & X86_CR4_PAE) && !(efer & X86_EFER_LME);
}

/* Whether a new CR0 goes with the rest of the state. */
static bool cr0_valid(const struct cpu *cpu, uint64_t value)
{
    const struct x86_state *x = &cpu->x;
    bool starts_paging = (value & X86_CR0_PG) && !(x->cr0 & X86_CR0_PG);
    bool ends_paging = !(value & X86_CR0_PG) && (x->cr0 & X86_CR0_PG);
    bool code64 = x->seg[X86_CS].attr & X86_SEG_L;

    if (value >> 32)
        return false;
    if ((value & X86_CR0_PG) && !(value & X86_CR0_PE))
        return false;
    if ((value & X86_CR0_NW) && !(value & X86_CR0_CD))
        return false;
    if (starts_paging && (x->msr.efer & X86_EFER_LME) && (!(x->cr4 & X86_CR4_PAE) || code64))
        return false;
    return !ends_paging || (!(x->cr4 & X86_CR4_PCIDE) && !cpu->long64);
}

enum step cpu_write_cr0(struct cpu *cpu, uint64_t value)
{
    struct x86_state *x = &cpu->x;
    uint64_t changed, cr0;

    if (!cr0_valid(cpu, value))
        return fault(cpu);
    cr0 = (value & CR0_WRITABLE) | X86_CR0_ET;
    changed = cr0 ^ x->cr0;
    if (pae_paging(cr0, x->cr4, x->msr.efer) &&
        (changed & (X86_CR0_PG | X86_CR0_CD | X86_CR0_NW)) && !paging_load_pdptes(cpu, x->cr3))
        return fault(cpu);
    x->cr0 = cr0;
    if ((cr0 & X86_CR0_PG) && (x->msr.efer & X86_EFER_LME))
        x->msr.efer |= X86_EFER_LMA;
    else
        x->msr.efer &= ~X86_EFER_LMA;
    if (changed & (X86_CR0_PG | X86_CR0_PE | X86_CR0_WP | X86_CR0_CD | X86_CR0_NW))
        paging_changed(cpu); /* CD and NW: the PDPTEs were loaded anew */
    cpu_update_mode(cpu);
    return STEP_JUMP;
}

enum step cpu_write_cr3(struct cpu *cpu, uint64_t value)
{
    struct x86_state *x = &cpu->x;

    if (x->cr4 & X86_CR4_PCIDE)
        value &= ~CR3_NO_FLUSH; /* permission to keep entries; none is to flush */
    if ((x->msr.efer & X86_EFER_LMA) && value >> paging_physical_bits(cpu))
        return fault(cpu);
    if (pae_paging(x->cr0, x->cr4, x->msr.efer) && !paging_load_pdptes(cpu, value))
        return fault(cpu);
    x->cr3 = value;
    paging_load_cr3(cpu);
    return STEP_JUMP;
}

/* The bits that this model's CR4 has. */
static uint64_t cr4_bits(const struct cpu_model *model)
{
    static const struct {
        uint32_t bit;
        enum x86_feature feature;
    } rows[] = {
        {X86_CR4_TSD, X86_FEATURE_TSC},           {X86_CR4_DE, X86_FEATURE_DE},
        {X86_CR4_PSE, X86_FEATURE_PSE},           {X86_CR4_PAE, X86_FEATURE_PAE},
        {X86_CR4_PGE, X86_FEATURE_PGE},           {X86_CR4_OSFXSR, X86_FEATURE_FXSR},
        {X86_CR4_OSXMMEXCPT, X86_FEATURE_SSE},    {X86_CR4_UMIP, X86_FEATURE_UMIP},
        {X86_CR4_FSGSBASE, X86_FEATURE_FSGSBASE}, {X86_CR4_PCIDE, X86_FEATURE_PCID},
        {X86_CR4_OSXSAVE, X86_FEATURE_XSAVE},     {X86_CR4_SMEP, X86_FEATURE_SMEP},
        {X86_CR4_SMAP, X86_FEATURE_SMAP},         {X86_CR4_MCE, X86_FEATURE_MCE},
    };
    uint64_t bits = X86_CR4_PCE;

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        if (model->has[rows[i].feature])
            bits |= rows[i].bit;
    }
    return bits;
}

static bool cr4_valid(const struct cpu *cpu, uint64_t value)
{
    const struct x86_state *x = &cpu->x;
    bool long_mode = x->msr.efer & X86_EFER_LMA;

    if (value & ~cr4_bits(cpu->model))
        return false;
    if (long_mode && !(value & X86_CR4_PAE))
        return false;
    if ((value & X86_CR4_PCIDE) && !(x->cr4 & X86_CR4_PCIDE))
        return long_mode && !(x->cr3 & CR3_PCID);
    return true;
}

enum step cpu_write_cr4(struct cpu *cpu, uint64_t value)
{
    const uint64_t paging = X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_SMEP;
    struct x86_state *x = &cpu->x;
    uint64_t changed = value ^ x->cr4;

    if (!cr4_valid(cpu, value))
        return fault(cpu);
    if (pae_paging(x->cr0, value, x->msr.efer) && (changed & paging) &&
        !paging_load_pdptes(cpu, x->cr3))
        return fault(cpu);
    x->cr4 = value;
    if (changed & (paging | X86_CR4_PCIDE | X86_CR4_SMAP))
        paging_changed(cpu);
    cpu_update_mode(cpu);
    return STEP_JUMP;
}

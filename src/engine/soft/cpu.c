/*
 * What follows from the processor's registers: mode, segment short cuts, which TLB table serves,
 * and the two forms of the flags.
 */
#include "engine/soft/cpu.h"

#include "base/assert.h"
#include "base/trace.h"
#include "engine/soft/block.h"
#include "engine/soft/native.h"
#include "x86/debug_regs.h"

/* cpu->arith: AH as LAHF leaves it, AL is OF. */
#define ARITH_LAHF_SHIFT 8
#define LAHF_FLAGS       (X86_FLAG_CF | X86_FLAG_PF | X86_FLAG_AF | X86_FLAG_ZF | X86_FLAG_SF)

uint64_t cpu_rflags(const struct cpu *cpu)
{
    uint64_t flags = (cpu->x.rflags & ~X86_FLAGS_ARITH) | X86_FLAG_ONE;

    flags |= (cpu->arith >> ARITH_LAHF_SHIFT) & LAHF_FLAGS;
    return flags | ((cpu->arith & 1) ? X86_FLAG_OF : 0);
}

void cpu_set_arith(struct cpu *cpu, uint64_t rflags)
{
    cpu->arith = (uint32_t)((rflags & LAHF_FLAGS) | X86_FLAG_ONE) << ARITH_LAHF_SHIFT;
    if (rflags & X86_FLAG_OF)
        cpu->arith |= 1;
}

void cpu_put_rflags(struct cpu *cpu, uint64_t rflags)
{
    cpu_set_arith(cpu, rflags);
    cpu->x.rflags = (rflags & X86_FLAGS_DEFINED & ~X86_FLAGS_ARITH) | X86_FLAG_ONE;
}

void cpu_set_rflags(struct cpu *cpu, uint64_t rflags)
{
    const uint64_t derived = X86_FLAG_VM | X86_FLAG_AC | X86_FLAG_TF | X86_FLAG_RF;
    uint64_t before = cpu->x.rflags;

    cpu_put_rflags(cpu, rflags);
    if ((before ^ rflags) & derived)
        cpu_update_mode(cpu);
}

static enum x86_mode code_mode(const struct cpu *cpu)
{
    uint16_t attr = cpu->x.seg[X86_CS].attr;

    if (!(cpu->x.cr0 & X86_CR0_PE))
        return attr & X86_SEG_DB ? X86_MODE_REAL32 : X86_MODE_REAL16;
    if (cpu->x.rflags & X86_FLAG_VM)
        return X86_MODE_REAL16;
    if (cpu->x.msr.efer & X86_EFER_LMA) {
        if (attr & X86_SEG_L)
            return X86_MODE_LONG64;
        return attr & X86_SEG_DB ? X86_MODE_COMPAT32 : X86_MODE_COMPAT16;
    }
    return attr & X86_SEG_DB ? X86_MODE_PROT32 : X86_MODE_PROT16;
}

/* Whether every offset of a segment may be accessed so in a legacy mode. */
static bool segment_flat(const struct cpu *cpu, const struct x86_segment *seg, bool write)
{
    if (seg->limit != UINT32_MAX)
        return false;
    if (cpu->legacy_real)
        return true;
    if ((seg->attr & X86_SEG_UNUSABLE) || !(seg->attr & X86_SEG_P))
        return false;
    if (seg->attr & X86_SEG_CODE)
        return !write && (seg->attr & X86_SEG_READ);
    return !(seg->attr & X86_SEG_DOWN) && (!write || (seg->attr & X86_SEG_WRITE));
}

static void update_segments(struct cpu *cpu)
{
    cpu->seg_flat_read = 0;
    cpu->seg_flat_write = 0;
    for (unsigned i = 0; i < X86_SEGS; i++) {
        const struct x86_segment *seg = &cpu->x.seg[i];

        if (cpu->long64) {
            cpu->seg_base[i] = i == X86_FS || i == X86_GS ? seg->base : 0;
            cpu->seg_flat_read |= 1u << i;
            cpu->seg_flat_write |= 1u << i;
            continue;
        }
        cpu->seg_base[i] = seg->base;
        if (segment_flat(cpu, seg, false))
            cpu->seg_flat_read |= 1u << i;
        if (segment_flat(cpu, seg, true))
            cpu->seg_flat_write |= 1u << i;
    }
}

/* Which of the TLB's tables the current privilege looks into. */
static enum tlb_kind data_kind(const struct cpu *cpu)
{
    if (cpu->cpl == 3)
        return TLB_USER;
    if ((cpu->x.cr4 & X86_CR4_SMAP) && !(cpu->x.rflags & X86_FLAG_AC))
        return TLB_SUPER_SMAP;
    return TLB_SUPER;
}

static bool alignment_checked(const struct cpu *cpu)
{
    return cpu->cpl == 3 && (cpu->x.cr0 & X86_CR0_AM) && (cpu->x.rflags & X86_FLAG_AC);
}

void cpu_update_mode(struct cpu *cpu)
{
    bool breakpoints = cpu->x.dr[7] & X86_DR7_ENABLED;

    cpu->legacy_real = !(cpu->x.cr0 & X86_CR0_PE) || (cpu->x.rflags & X86_FLAG_VM);
    if (cpu->legacy_real)
        cpu->cpl = cpu_vm86(cpu) ? 3 : 0;
    cpu->mode = (uint8_t)code_mode(cpu);
    cpu->long64 = cpu->mode == X86_MODE_LONG64;
    cpu->linear_mask = cpu->long64 ? UINT64_MAX : UINT32_MAX;
    cpu->ip_mask = cpu->long64 ? UINT64_MAX : UINT32_MAX;
    if (cpu->long64)
        cpu->stack_mask = UINT64_MAX;
    else
        cpu->stack_mask = cpu->x.seg[X86_SS].attr & X86_SEG_DB ? UINT32_MAX : UINT16_MAX;
    update_segments(cpu);

    cpu->tlb_kind = data_kind(cpu);
    cpu->tlb = cpu->tlb_tables[alignment_checked(cpu) || breakpoints ? TLB_NEVER : cpu->tlb_kind];
    cpu->single_step = breakpoints || (cpu->x.rflags & (X86_FLAG_TF | X86_FLAG_RF)) ||
                       trace_on(TRACE_cpu_insn) || cpu->debug.single_step || cpu->debug_pass;
    native_update(cpu);
    block_update_key(cpu);
}

enum step cpu_raise(struct cpu *cpu, enum x86_vector vector)
{
    cpu->fault = (struct cpu_fault){.vector = (uint8_t)vector};
    return STEP_FAULT;
}

enum step cpu_raise_error(struct cpu *cpu, enum x86_vector vector, uint32_t error)
{
    cpu->fault = (struct cpu_fault){.vector = (uint8_t)vector, .has_error = true, .error = error};
    return STEP_FAULT;
}

enum step cpu_fail(struct cpu *cpu, const char *words)
{
    cpu->failure = words;
    cpu->stop = ENGINE_STOP_ERROR;
    return STEP_STOP;
}

enum step cpu_raise_page_fault(struct cpu *cpu, gva_t address, uint32_t error)
{
    cpu->fault =
        (struct cpu_fault){.vector = X86_PF, .has_error = true, .error = error, .address = address};
    return STEP_FAULT;
}

void cpu_request(struct cpu *cpu, uint32_t request)
{
    /* Release: what the request is about was written before; the run loop's load acquires. */
    atomic_fetch_or_explicit(&cpu->requests, request, memory_order_release);
    /* After the request: who sees this, sees that. */
    atomic_store_explicit(&cpu->attention, 1, memory_order_release);
}

void cpu_pend_debug(struct cpu *cpu, uint64_t causes)
{
    cpu->dr6_pending |= causes;
    /* The loop has to look even where it does not go by single instructions. */
    cpu_request(cpu, CPU_REQUEST_TRAP);
}

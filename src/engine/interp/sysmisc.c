/*
 * HLT, the interrupt flag, the bases of FS and GS, SMAP's switch, TLB and cache control.
 * Source: SDM 2; SDM 3 "Virtual-8086 Mode Extensions", "Protected-Mode Virtual Interrupts".
 */
#include "engine/dbt/dbt.h"
#include "engine/interp/operand.h"
#include "engine/interp/system_ops.h"

enum step op_hlt(struct cpu *cpu, const struct op *op)
{
    enum step step = system_require_cpl0(cpu);

    if (step)
        return step;
    cpu_exit(cpu, exit_of(op, EXIT_HLT, 0));
    cpu->halted = true;
    cpu->stop = ENGINE_STOP_HALT;
    return STEP_STOP;
}

/* The flag that CLI and STI may change: IF, VIF, or 0 for none (#GP). */
static uint64_t interrupt_flag(const struct cpu *cpu)
{
    bool virtual = cpu_vm86(cpu) ? cpu->x.cr4 & X86_CR4_VME
                                 : cpu->cpl == 3 && (cpu->x.cr4 & X86_CR4_PVI);

    if (cpu_vm86(cpu) ? cpu_iopl(cpu) == 3 : cpu->cpl <= cpu_iopl(cpu))
        return X86_FLAG_IF;
    return virtual ? X86_FLAG_VIF : 0;
}

enum step op_cli(struct cpu *cpu, const struct op *op)
{
    uint64_t flag = interrupt_flag(cpu);

    if (!flag)
        return cpu_raise_error(cpu, X86_GP, 0);
    cpu->x.rflags &= ~flag;
    return STEP_NEXT;
}

enum step op_sti(struct cpu *cpu, const struct op *op)
{
    uint64_t flag = interrupt_flag(cpu);

    if (!flag || (flag == X86_FLAG_VIF && (cpu->x.rflags & X86_FLAG_VIP)))
        return cpu_raise_error(cpu, X86_GP, 0);
    if (flag == X86_FLAG_IF && !(cpu->x.rflags & X86_FLAG_IF))
        cpu->interrupt_shadow = true;
    cpu->x.rflags |= flag;
    return STEP_JUMP;
}

/* Only the base changes, so nothing else is derived anew. */
static void set_base(struct cpu *cpu, unsigned seg, uint64_t base)
{
    cpu->x.seg[seg].base = base;
    cpu->seg_base[seg] = base;
}

enum step op_swapgs(struct cpu *cpu, const struct op *op)
{
    enum step step = system_require_cpl0(cpu);
    uint64_t base = cpu->x.seg[X86_GS].base;

    if (step)
        return step;
    set_base(cpu, X86_GS, cpu->x.msr.kernel_gs_base);
    cpu->x.msr.kernel_gs_base = base;
    return STEP_NEXT;
}

enum step op_read_base(struct cpu *cpu, const struct op *op)
{
    uint64_t base = cpu->x.seg[op->seg].base;

    if (!(cpu->x.cr4 & X86_CR4_FSGSBASE))
        return cpu_raise(cpu, X86_UD);
    CPU_REG(cpu, uint64_t, op->dst) = op->size == 4 ? (uint32_t)base : base;
    return STEP_NEXT;
}

enum step op_write_base(struct cpu *cpu, const struct op *op)
{
    uint64_t base = CPU_REG(cpu, uint64_t, op->dst);

    if (!(cpu->x.cr4 & X86_CR4_FSGSBASE))
        return cpu_raise(cpu, X86_UD);
    if (op->size == 4)
        base = (uint32_t)base;
    if (!x86_canonical(base))
        return cpu_raise_error(cpu, X86_GP, 0);
    set_base(cpu, op->seg, base);
    return STEP_NEXT;
}

/*
 * At CPL 0 AC decides nothing but which TLB table serves, and with it which translations; kernels
 * do this around each access to user memory, so cpu_update_mode is not asked.
 */
static enum step set_ac(struct cpu *cpu, bool set)
{
    enum tlb_kind kind = set || !(cpu->x.cr4 & X86_CR4_SMAP) ? TLB_SUPER : TLB_SUPER_SMAP;

    if (cpu->cpl > 0)
        return cpu_raise(cpu, X86_UD);
    if (set)
        cpu->x.rflags |= X86_FLAG_AC;
    else
        cpu->x.rflags &= ~X86_FLAG_AC;
    if (cpu->tlb == cpu->tlb_tables[cpu->tlb_kind])
        cpu->tlb = cpu->tlb_tables[kind];
    cpu->tlb_kind = (uint8_t)kind;
    dbt_update(cpu);
    return STEP_NEXT;
}

enum step op_stac(struct cpu *cpu, const struct op *op)
{
    return set_ac(cpu, true);
}

enum step op_clac(struct cpu *cpu, const struct op *op)
{
    return set_ac(cpu, false);
}

/* An address that is not canonical, or beyond a limit, invalidates nothing and does not fault. */
enum step op_invlpg(struct cpu *cpu, const struct op *op)
{
    enum step step = system_require_cpl0(cpu);
    gva_t linear;

    if (step)
        return step;
    linear = (cpu->seg_base[op->seg] + op_offset(cpu, op)) & cpu->linear_mask;
    exit_scope struct cpu *timed = cpu_exit_begin_shadow(cpu, exit_of(op, EXIT_INVLPG, linear));
    paging_invalidate(cpu, linear);
    return STEP_JUMP;
}

enum invpcid_type {
    INVPCID_ADDRESS,
    INVPCID_CONTEXT,
    INVPCID_ALL_GLOBAL,
    INVPCID_ALL,
    INVPCID_TYPES
};

#define INVPCID_PCID_MAX 0xfff

/* Whether the descriptor {PCID, address} suits the type. */
static bool invpcid_valid(const struct cpu *cpu, uint64_t type, const uint64_t descriptor[2])
{
    if (type >= INVPCID_TYPES || descriptor[0] > INVPCID_PCID_MAX)
        return false;
    if (type > INVPCID_CONTEXT)
        return true;
    if (descriptor[0] && !(cpu->x.cr4 & X86_CR4_PCIDE))
        return false;
    return type == INVPCID_CONTEXT || x86_canonical(descriptor[1]);
}

/* The TLB knows no PCID: it holds entries of the current one only. */
enum step op_invpcid(struct cpu *cpu, const struct op *op)
{
    uint64_t type = CPU_REG(cpu, uint64_t, op->dst), descriptor[2];
    enum step step = system_require_cpl0(cpu);

    if (!step)
        step = op_read(cpu, op, descriptor, sizeof(descriptor));
    if (step)
        return step;
    if (!cpu->long64)
        type = (uint32_t)type;
    if (!invpcid_valid(cpu, type, descriptor))
        return cpu_raise_error(cpu, X86_GP, 0);
    exit_scope struct cpu *timed =
        cpu_exit_begin_shadow(cpu, exit_of(op, EXIT_INVPCID, (uint64_t)op->disp));
    switch ((enum invpcid_type)type) {
    case INVPCID_ADDRESS:
        paging_invalidate(cpu, descriptor[1] & cpu->linear_mask);
        if (descriptor[0] != (cpu->x.cr3 & INVPCID_PCID_MAX) && cpu->shadow)
            shadow_flush(cpu->shadow); /* another PCID's address may be in any table */
        break;
    default: paging_flush(cpu); break;
    }
    return STEP_JUMP;
}

/* Caches are the host's and coherent: INVD must not lose what was written, so both do nothing. */
static enum step cache_control(struct cpu *cpu, const struct op *op, enum exit_reason reason)
{
    enum step step = system_require_cpl0(cpu);

    if (!step)
        cpu_exit(cpu, exit_of(op, reason, 0));
    return step;
}

enum step op_invd(struct cpu *cpu, const struct op *op)
{
    return cache_control(cpu, op, EXIT_INVD);
}

enum step op_wbinvd(struct cpu *cpu, const struct op *op)
{
    return cache_control(cpu, op, EXIT_WBINVD);
}

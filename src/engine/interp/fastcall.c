/*
 * SYSCALL, SYSRET, SYSENTER and SYSEXIT, as Intel's processors have them: SYSCALL and SYSRET in
 * 64-bit mode only, SYSENTER and SYSEXIT in long mode too, SYSRET with a non-canonical RCX faults
 * at level 0. Selectors come from MSRs and their segments are flat whatever the tables say.
 * Source: SDM 2, under each name; SDM 3 "Fast System Calls in 64-Bit Mode".
 */
#include "engine/interp/segment_ops.h"

#include "engine/soft/transfer.h"
#include "x86/debug_regs.h"

/* Present, accessed, flat; DPL is added. */
#define ATTR_DATA                                                                                  \
    (X86_SEG_P | X86_SEG_S | X86_SEG_WRITE | X86_SEG_ACCESSED | X86_SEG_G | X86_SEG_DB)
#define ATTR_CODE                                                                                  \
    (X86_SEG_P | X86_SEG_S | X86_SEG_CODE | X86_SEG_READ | X86_SEG_ACCESSED | X86_SEG_G)
#define ATTR_CODE32 (ATTR_CODE | X86_SEG_DB)
#define ATTR_CODE64 (ATTR_CODE | X86_SEG_L)

#define STAR_SYSCALL_SHIFT 32
#define STAR_SYSRET_SHIFT  48

/* The flags that SYSRET takes from R11: all but RF, VM and the reserved ones. */
#define SYSRET_FLAGS 0x3c7fd7

static inline void set_flat(struct cpu *cpu, unsigned seg, uint16_t selector, unsigned attr)
{
    cpu->x.seg[seg] = (struct x86_segment){
        .limit = 0xffffffff,
        .selector = selector,
        .attr = (uint16_t)attr,
    };
}

/* CS and SS of a level; the caller derives the mode afterwards. */
static inline void enter_level(struct cpu *cpu, unsigned cpl, uint16_t cs, uint16_t ss, bool code64)
{
    unsigned dpl = cpl << X86_SEG_DPL_SHIFT;

    set_flat(cpu, X86_CS, cs, (code64 ? ATTR_CODE64 : ATTR_CODE32) | dpl);
    set_flat(cpu, X86_SS, ss, ATTR_DATA | dpl);
    cpu->cpl = (uint8_t)cpl;
}

/* Ends SYSCALL and SYSRET: unlike anywhere else it is the new TF that makes a single step. */
static enum step finish_with_flags(struct cpu *cpu, uint64_t flags)
{
    if (unlikely(flags & X86_FLAG_TF))
        cpu_pend_debug(cpu, X86_DR6_BS);
    return transfer_finish(cpu, flags | X86_FLAG_ONE);
}

enum step op_syscall(struct cpu *cpu, const struct op *op)
{
    uint16_t cs = (cpu->x.msr.star >> STAR_SYSCALL_SHIFT) & X86_SELECTOR_ERROR;
    uint64_t flags;

    if (unlikely(!(cpu->x.msr.efer & X86_EFER_SCE) || !cpu->long64))
        return cpu_raise(cpu, X86_UD);
    flags = cpu_rflags(cpu) & ~X86_FLAG_RF;
    cpu->x.gpr[X86_RCX] = cpu->x.gpr[X86_RIP];
    cpu->x.gpr[X86_R11] = flags;
    cpu->x.gpr[X86_RIP] = cpu->x.msr.lstar;
    enter_level(cpu, 0, cs, (uint16_t)(cs + 8), true);
    return finish_with_flags(cpu, flags & ~cpu->x.msr.sfmask);
}

enum step op_sysret(struct cpu *cpu, const struct op *op)
{
    uint16_t star = (uint16_t)(cpu->x.msr.star >> STAR_SYSRET_SHIFT);
    bool to64 = op->size == 8;
    uint64_t rip = cpu->x.gpr[X86_RCX];

    if (unlikely(!(cpu->x.msr.efer & X86_EFER_SCE) || !cpu->long64))
        return cpu_raise(cpu, X86_UD);
    if (unlikely(cpu->cpl || (to64 && !x86_canonical(rip))))
        return cpu_raise_error(cpu, X86_GP, 0);
    cpu->x.gpr[X86_RIP] = to64 ? rip : (uint32_t)rip;
    enter_level(cpu, 3, (uint16_t)(to64 ? star + 16 : star) | 3, (uint16_t)(star + 8) | 3, to64);
    return finish_with_flags(cpu, cpu->x.gpr[X86_R11] & SYSRET_FLAGS);
}

enum step op_sysenter(struct cpu *cpu, const struct op *op)
{
    uint16_t cs = cpu->x.msr.sysenter_cs & X86_SELECTOR_ERROR;
    bool long_mode = cpu_long_mode(cpu);

    if (!(cpu->x.cr0 & X86_CR0_PE) || !cs)
        return cpu_raise_error(cpu, X86_GP, 0);
    cpu->x.gpr[X86_RSP] = cpu->x.msr.sysenter_esp;
    cpu->x.gpr[X86_RIP] = cpu->x.msr.sysenter_eip;
    if (!long_mode) {
        cpu->x.gpr[X86_RSP] = (uint32_t)cpu->x.gpr[X86_RSP];
        cpu->x.gpr[X86_RIP] = (uint32_t)cpu->x.gpr[X86_RIP];
    }
    cpu->x.rflags &= ~(X86_FLAG_VM | X86_FLAG_IF | X86_FLAG_RF);
    enter_level(cpu, 0, cs, (uint16_t)(cs + 8), long_mode);
    cpu_update_mode(cpu);
    return STEP_JUMP;
}

enum step op_sysexit(struct cpu *cpu, const struct op *op)
{
    uint16_t base = cpu->x.msr.sysenter_cs & X86_SELECTOR_ERROR;
    bool to64 = op->size == 8;
    uint64_t rip = cpu->x.gpr[X86_RDX];
    uint64_t rsp = cpu->x.gpr[X86_RCX];

    if (cpu_real_or_vm86(cpu) || cpu->cpl || !base ||
        (to64 && (!x86_canonical(rip) || !x86_canonical(rsp))))
        return cpu_raise_error(cpu, X86_GP, 0);
    cpu->x.gpr[X86_RIP] = to64 ? rip : (uint32_t)rip;
    cpu->x.gpr[X86_RSP] = to64 ? rsp : (uint32_t)rsp;
    if (to64)
        enter_level(cpu, 3, (uint16_t)(base + 32) | 3, (uint16_t)(base + 40) | 3, true);
    else
        enter_level(cpu, 3, (uint16_t)(base + 16) | 3, (uint16_t)(base + 24) | 3, false);
    cpu_update_mode(cpu);
    return STEP_JUMP;
}

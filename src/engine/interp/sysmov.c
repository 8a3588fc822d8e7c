/*
 * MOV to and from control and debug registers, CLTS, LMSW, SMSW.
 * Source: SDM 2; SDM 3 "Debug Registers", "Time-Stamp Counter".
 */
#include "engine/interp/operand.h"
#include "engine/interp/system_ops.h"
#include "x86/debug_regs.h"

#define CR0_LMSW (X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS)
#define CR8_MAX  15

enum step system_require_cpl0(struct cpu *cpu)
{
    return likely(cpu->cpl == 0) ? STEP_NEXT : cpu_raise_error(cpu, X86_GP, 0);
}

/* These MOVs are 64 bits wide in 64-bit mode and 32 elsewhere, whatever the prefixes say. */
static void set_register(struct cpu *cpu, uint8_t offset, uint64_t value)
{
    CPU_REG(cpu, uint64_t, offset) = cpu->long64 ? value : (uint32_t)value;
}

static uint64_t get_register(const struct cpu *cpu, uint8_t offset)
{
    return cpu->long64 ? CPU_REG(cpu, uint64_t, offset) : CPU_REG(cpu, uint32_t, offset);
}

/* CR0, CR2 and CR4 are read without an exit, CR3 unless a shadow root stands in its place. */
static struct cpu *begin_read(struct cpu *cpu, const struct op *op)
{
    struct exit exit =
        exit_of(op, EXIT_CR_ACCESS, exit_qualification_cr(op->src, EXIT_CR_MOV_FROM, op->dst / 8));

    if (op->src == 3)
        return cpu_exit_begin_shadow(cpu, exit);
    return op->src == 8 ? cpu_exit_begin(cpu, exit) : NULL;
}

static struct exit write_exit(const struct op *op)
{
    return exit_of(op, EXIT_CR_ACCESS, exit_qualification_cr(op->dst, EXIT_CR_MOV_TO, op->src / 8));
}

enum step op_mov_from_cr(struct cpu *cpu, const struct op *op)
{
    enum step step = system_require_cpl0(cpu);
    uint64_t value;

    if (step)
        return step;
    switch (op->src) {
    case 0: value = cpu->x.cr0; break;
    case 2: value = cpu->x.cr2; break;
    case 3: value = cpu->x.cr3; break;
    case 4: value = cpu->x.cr4; break;
    case 8: value = cpu->host.tpr_read(cpu->host.opaque, cpu->index); break;
    default: return cpu_raise(cpu, X86_UD);
    }
    exit_scope struct cpu *timed = begin_read(cpu, op);
    set_register(cpu, op->dst, value);
    return STEP_NEXT;
}

static enum step write_cr8(struct cpu *cpu, uint64_t value)
{
    if (value > CR8_MAX)
        return cpu_raise_error(cpu, X86_GP, 0);
    cpu->host.tpr_write(cpu->host.opaque, cpu->index, value);
    return STEP_JUMP;
}

/* The processor's own business, but that a shadow table hangs on it. */
static enum step load_cr3(struct cpu *cpu, const struct op *op, uint64_t value)
{
    exit_scope struct cpu *timed = cpu_exit_begin_shadow(cpu, write_exit(op));

    return cpu_write_cr3(cpu, value);
}

enum step op_mov_to_cr(struct cpu *cpu, const struct op *op)
{
    enum step step = system_require_cpl0(cpu);
    uint64_t value = get_register(cpu, op->src);

    if (step)
        return step;
    if (op->dst == 2) {
        cpu->x.cr2 = value; /* never an exit */
        return STEP_JUMP;
    }
    if (op->dst == 3)
        return load_cr3(cpu, op, value);
    exit_scope struct cpu *timed = cpu_exit_begin(cpu, write_exit(op));
    switch (op->dst) {
    case 0: return cpu_write_cr0(cpu, value);
    case 4: return cpu_write_cr4(cpu, value);
    case 8: return write_cr8(cpu, value);
    default: return cpu_raise(cpu, X86_UD);
    }
}

/* The checks before any access to a debug register; DR4 and DR5 stand for DR6 and DR7. */
static enum step debug_register(struct cpu *cpu, unsigned *number)
{
    enum step step;

    if (*number > 7 || ((*number == 4 || *number == 5) && (cpu->x.cr4 & X86_CR4_DE)))
        return cpu_raise(cpu, X86_UD);
    step = system_require_cpl0(cpu);
    if (step)
        return step;
    if (cpu->x.dr[7] & X86_DR7_GD) {
        cpu->dr6_pending |= X86_DR6_BD;
        return cpu_raise(cpu, X86_DB);
    }
    if (*number == 4 || *number == 5)
        *number += 2;
    return STEP_NEXT;
}

enum step op_mov_from_dr(struct cpu *cpu, const struct op *op)
{
    unsigned number = op->src;
    enum step step = debug_register(cpu, &number);

    if (step)
        return step;
    cpu_exit(cpu, exit_of(op, EXIT_DR_ACCESS, exit_qualification_dr(op->src, true, op->dst / 8)));
    set_register(cpu, op->dst, cpu->x.dr[number]);
    return STEP_NEXT;
}

enum step op_mov_to_dr(struct cpu *cpu, const struct op *op)
{
    unsigned number = op->dst;
    uint64_t value = get_register(cpu, op->src);
    enum step step = debug_register(cpu, &number);

    if (step)
        return step;
    cpu_exit(cpu, exit_of(op, EXIT_DR_ACCESS, exit_qualification_dr(op->dst, false, op->src / 8)));
    if (number >= 6 && value >> 32)
        return cpu_raise_error(cpu, X86_GP, 0);
    if (number == 6)
        value = (value & X86_DR6_WRITABLE) | X86_DR6_FIXED;
    else if (number == 7)
        value = (value & X86_DR7_WRITABLE) | X86_DR7_FIXED;
    cpu->x.dr[number] = value;
    cpu_update_mode(cpu);
    return STEP_JUMP;
}

enum step op_clts(struct cpu *cpu, const struct op *op)
{
    enum step step = system_require_cpl0(cpu);

    if (step)
        return step;
    exit_scope struct cpu *timed =
        cpu_exit_begin(cpu, exit_of(op, EXIT_CR_ACCESS, exit_qualification_cr(0, EXIT_CR_CLTS, 0)));
    cpu->x.cr0 &= ~X86_CR0_TS;
    cpu_update_mode(cpu);
    return STEP_JUMP;
}

/* LMSW can set PE but not clear it. */
enum step op_lmsw(struct cpu *cpu, const struct op *op)
{
    enum step step = system_require_cpl0(cpu);
    uint16_t value;

    if (step)
        return step;
    if (op->flags & OP_MEM) {
        step = op_read(cpu, op, &value, sizeof(value));
        if (step)
            return step;
    } else {
        value = CPU_REG(cpu, uint16_t, op->dst);
    }
    exit_scope struct cpu *timed = cpu_exit_begin(
        cpu, exit_of(op, EXIT_CR_ACCESS, exit_qualification_lmsw(value, op->flags & OP_MEM)));
    return cpu_write_cr0(cpu, (cpu->x.cr0 & ~(CR0_LMSW & ~X86_CR0_PE)) | (value & CR0_LMSW));
}

/* A register takes as much of CR0 as it is wide, memory 16 bits. */
enum step op_smsw(struct cpu *cpu, const struct op *op)
{
    uint64_t value = cpu->x.cr0;

    if ((cpu->x.cr4 & X86_CR4_UMIP) && cpu->cpl > 0)
        return cpu_raise_error(cpu, X86_GP, 0);
    if (op->flags & OP_MEM)
        return op_write(cpu, op, &value, 2);
    switch (op->size) {
    case 2: REG_SET(cpu, uint16_t, op->dst, value); break;
    case 4: REG_SET(cpu, uint32_t, op->dst, value); break;
    default: REG_SET(cpu, uint64_t, op->dst, value); break;
    }
    return STEP_NEXT;
}

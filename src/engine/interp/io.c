/*
 * Port I/O: IN, OUT, INS, OUTS, and the permission to do it.
 * Each access is a call to the monitor, counted as a crossing. INS finds out that it can store what
 * it will read before it reads: a port read can't be taken back.
 * Source: SDM 2; SDM 1 "I/O Permission Bit Map".
 */
#include "engine/interp/ioperm.h"
#include "engine/interp/string.h"
#include "engine/soft/segment.h"
#include "x86/debug_regs.h"

#define TSS_MAP_BASE  102 /* where a 32-bit or 64-bit TSS says where its bitmap starts */
#define TSS_MIN_LIMIT 103

static bool has_bitmap(const struct x86_segment *tr)
{
    unsigned type = tr->attr & X86_SEG_TYPE;

    return (tr->attr & X86_SEG_P) && (type == X86_TSS_AVAIL || type == X86_TSS_BUSY) &&
           tr->limit >= TSS_MIN_LIMIT;
}

/* The bitmap is read two bytes at a time, so one byte past it must exist. */
static enum step check_bitmap(struct cpu *cpu, uint16_t port, unsigned width)
{
    const struct x86_segment *tr = &cpu->x.seg[X86_TR];
    uint16_t offset, bits;
    uint32_t at;
    enum step step;

    if (!has_bitmap(tr))
        return cpu_raise_error(cpu, X86_GP, 0);
    step = sys_read(cpu, table_linear(cpu, tr->base, TSS_MAP_BASE), &offset, sizeof(offset));
    if (step)
        return step;
    at = (uint32_t)offset + port / 8;
    if (at >= tr->limit)
        return cpu_raise_error(cpu, X86_GP, 0);
    step = sys_read(cpu, table_linear(cpu, tr->base, at), &bits, sizeof(bits));
    if (step)
        return step;
    if (bits >> port % 8 & ((1u << width) - 1))
        return cpu_raise_error(cpu, X86_GP, 0);
    return STEP_NEXT;
}

enum step ioperm_check(struct cpu *cpu, uint16_t port, unsigned width)
{
    if (!cpu_vm86(cpu) && (cpu->legacy_real || cpu->cpl <= cpu_iopl(cpu)))
        return STEP_NEXT;
    return check_bitmap(cpu, port, width);
}

/* Ports that DR7 watches (CR4.DE): remembered for the #DB behind the instruction. */
static void check_breakpoints(struct cpu *cpu, uint16_t port, unsigned width)
{
    uint64_t dr7 = cpu->x.dr[7];

    for (unsigned i = 0; i < X86_BREAKPOINTS; i++) {
        unsigned size = x86_breakpoint_bytes(dr7, i);
        uint64_t at = ALIGN_DOWN(cpu->x.dr[i], size);

        if (x86_breakpoint_enabled(dr7, i) && x86_breakpoint_kind(dr7, i) == X86_BREAK_PORT &&
            port < at + size && at < (uint64_t)port + width)
            cpu_pend_debug(cpu, BIT(i));
    }
}

/* The exit of one element; how: EXIT_IO_* of what the instruction's form does not tell. */
static struct exit io_exit(const struct op *op, uint16_t port, uint64_t how)
{
    if (op->flags & (OP_REP | OP_REPNE))
        how |= EXIT_IO_REP;
    return exit_of(op, EXIT_IO, exit_qualification_io(port, op->size, how));
}

/* how: EXIT_IO_STRING or EXIT_IO_IMMEDIATE, or 0. */
static uint32_t port_read(struct cpu *cpu, const struct op *op, uint16_t port, uint64_t how)
{
    if (unlikely(cpu->single_step && cpu->x.cr4 & X86_CR4_DE))
        check_breakpoints(cpu, port, op->size);
    exit_scope struct cpu *timed = cpu_exit_begin(cpu, io_exit(op, port, how | EXIT_IO_IN));
    return cpu->host.port_read(cpu->host.opaque, port, op->size);
}

static void port_write(struct cpu *cpu, const struct op *op, uint16_t port, uint64_t how,
                       uint32_t value)
{
    if (unlikely(cpu->single_step && cpu->x.cr4 & X86_CR4_DE))
        check_breakpoints(cpu, port, op->size);
    exit_scope struct cpu *timed = cpu_exit_begin(cpu, io_exit(op, port, how));
    cpu->host.port_write(cpu->host.opaque, port, op->size, value);
}

/* The port: DX or an immediate byte; aux says which. */
static uint16_t port_of(const struct cpu *cpu, const struct op *op)
{
    return op->aux ? CPU_REG(cpu, uint16_t, 8 * X86_RDX) : (uint16_t)op->imm;
}

static uint64_t immediate_port(const struct op *op)
{
    return op->aux ? 0 : EXIT_IO_IMMEDIATE;
}

HANDLER(in_)
{
    uint16_t port = port_of(cpu, op);
    enum step step = ioperm_check(cpu, port, op->size);
    uint32_t value;

    if (step)
        return step;
    value = port_read(cpu, op, port, immediate_port(op));
    switch (op->size) {
    case 1: REG_SET(cpu, uint8_t, 8 * X86_RAX, value); break;
    case 2: REG_SET(cpu, uint16_t, 8 * X86_RAX, value); break;
    default: REG_SET(cpu, uint32_t, 8 * X86_RAX, value); break;
    }
    return STEP_NEXT;
}

/* A port write can change anything (A20, reset, interrupts): the next instruction starts afresh. */
HANDLER(out_)
{
    uint16_t port = port_of(cpu, op);
    enum step step = ioperm_check(cpu, port, op->size);
    uint32_t mask = op->size == 4 ? UINT32_MAX : (1u << 8 * op->size) - 1;

    if (step)
        return step;
    port_write(cpu, op, port, immediate_port(op), (uint32_t)cpu->x.gpr[X86_RAX] & mask);
    return STEP_JUMP;
}

HANDLER(ins_one)
{
    uint16_t port = CPU_REG(cpu, uint16_t, 8 * X86_RDX);
    gva_t linear;
    uint32_t value;
    enum step step = ioperm_check(cpu, port, op->size);

    if (!step)
        step = seg_linear(cpu, X86_ES, string_get(cpu, op, X86_RDI), op->size, true, &linear);
    if (!step)
        step = lin_probe(cpu, linear, op->size, true);
    if (step)
        return step;
    value = port_read(cpu, op, port, EXIT_IO_STRING);
    step = lin_write(cpu, linear, &value, op->size);
    if (step)
        return step;
    string_advance(cpu, op, X86_RDI, op->size);
    return STEP_NEXT;
}

HANDLER(outs_one)
{
    uint16_t port = CPU_REG(cpu, uint16_t, 8 * X86_RDX);
    uint32_t value = 0;
    enum step step = ioperm_check(cpu, port, op->size);

    if (!step)
        step = seg_read(cpu, op->seg, string_get(cpu, op, X86_RSI), &value, op->size);
    if (step)
        return step;
    port_write(cpu, op, port, EXIT_IO_STRING, value);
    string_advance(cpu, op, X86_RSI, op->size);
    return STEP_NEXT;
}

/* The port must be allowed even where a count of 0 leaves nothing to do (tests/diff). */
HANDLER(ins)
{
    enum step step = ioperm_check(cpu, CPU_REG(cpu, uint16_t, 8 * X86_RDX), op->size);

    return step ? step : string_repeat(cpu, op, ins_one);
}

HANDLER(outs)
{
    enum step step = ioperm_check(cpu, CPU_REG(cpu, uint16_t, 8 * X86_RDX), op->size);

    if (!step)
        step = string_repeat(cpu, op, outs_one);
    return step == STEP_NEXT ? STEP_JUMP : step;
}

/* Strings of ports have elements of at most 4 bytes; REX.W means nothing to them. */
static uint8_t string_element(const struct x86_insn *insn)
{
    return (uint8_t)(MIN(insn->info.operand_width, 32) / 8);
}

bool bind_io(struct op *op, const struct binder_input *in)
{
    const struct x86_insn *insn = in->insn;
    bool input;

    switch (op->mnemonic) {
    case ZYDIS_MNEMONIC_IN:
    case ZYDIS_MNEMONIC_OUT: break;
    case ZYDIS_MNEMONIC_INSB:
    case ZYDIS_MNEMONIC_INSW:
    case ZYDIS_MNEMONIC_INSD:
        op->size = string_element(insn);
        op->fn = ins;
        return true;
    case ZYDIS_MNEMONIC_OUTSB:
    case ZYDIS_MNEMONIC_OUTSW:
    case ZYDIS_MNEMONIC_OUTSD:
        op->size = string_element(insn);
        op->seg = string_source_segment(insn);
        op->fn = outs;
        op->flags |= OP_ENDS;
        return true;
    default: return false;
    }
    input = op->mnemonic == ZYDIS_MNEMONIC_IN;
    op->size = (uint8_t)(insn->op[input ? 0 : 1].size / 8);
    op->aux = insn->op[input ? 1 : 0].type == ZYDIS_OPERAND_TYPE_REGISTER;
    if (!op->aux)
        op->imm = (uint8_t)insn->op[input ? 1 : 0].imm.value.u;
    op->fn = input ? in_ : out_;
    op->flags |= input ? 0 : OP_ENDS;
    return true;
}

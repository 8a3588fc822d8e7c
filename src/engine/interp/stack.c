/*
 * The stack: PUSH, POP (general registers, memory, immediates), PUSHA, POPA, ENTER, LEAVE.
 * Refuses segment registers, which have a binder of their own.
 * Source: SDM 2; SDM 1 "Procedure Calls, Interrupts, and Exceptions".
 */
#include "engine/interp/push.h"

enum step push_slow(struct cpu *cpu, uint64_t value, unsigned width)
{
    return stack_push(cpu, &value, width);
}

static enum step pop_register_slow(struct cpu *cpu, const struct op *op)
{
    uint64_t value = 0;
    enum step step = stack_pop(cpu, &value, op->size);

    if (step)
        return step;
    switch (op->size) {
    case 2: REG_SET(cpu, uint16_t, op->dst, value); break;
    case 4: REG_SET(cpu, uint32_t, op->dst, value); break;
    default: REG_SET(cpu, uint64_t, op->dst, value); break;
    }
    return STEP_NEXT;
}

/* The address of POP's memory operand counts RSP after the pop, so RSP is put back on a fault. */
static enum step pop_memory(struct cpu *cpu, const struct op *op)
{
    uint64_t value = 0, rsp = cpu->x.gpr[X86_RSP];
    enum step step = stack_pop(cpu, &value, op->size);

    if (step)
        return step;
    step = op_write(cpu, op, &value, op->size);
    if (step)
        cpu->x.gpr[X86_RSP] = rsp;
    return step;
}

#define STACK(T, bits)                                                                             \
    HANDLER(push##bits##_r)                                                                        \
    {                                                                                              \
        return push_value(cpu, CPU_REG(cpu, T, op->dst), sizeof(T));                               \
    }                                                                                              \
    HANDLER(push##bits##_i)                                                                        \
    {                                                                                              \
        return push_value(cpu, op->imm, sizeof(T));                                                \
    }                                                                                              \
    MEMORY_BODY(push##bits##_m)                                                                    \
    {                                                                                              \
        return push_value(cpu, PLACE(T, place), sizeof(T));                                        \
    }                                                                                              \
    MEMORY_HANDLER(push##bits##_m, read, sizeof(T))                                                \
    HANDLER(pop##bits##_r)                                                                         \
    {                                                                                              \
        uint64_t value;                                                                            \
                                                                                                   \
        if (unlikely(!push_peek(cpu, &value, sizeof(T))))                                          \
            return pop_register_slow(cpu, op);                                                     \
        push_set_rsp(cpu, cpu->x.gpr[X86_RSP] + sizeof(T));                                        \
        REG_SET(cpu, T, op->dst, value);                                                           \
        return STEP_NEXT;                                                                          \
    }

STACK(uint16_t, 16)
STACK(uint32_t, 32)
STACK(uint64_t, 64)

/* All eight are written before RSP moves: a fault in between leaves the registers as they were. */
HANDLER(pusha)
{
    uint64_t rsp = cpu->x.gpr[X86_RSP];

    for (unsigned i = 0; i < 8; i++) {
        uint64_t top = (rsp - (i + 1) * op->size) & cpu->stack_mask;
        enum step step = seg_write(cpu, X86_SS, top, &cpu->x.gpr[i], op->size);

        if (step)
            return step;
    }
    push_set_rsp(cpu, rsp - 8 * op->size);
    return STEP_NEXT;
}

HANDLER(popa)
{
    uint64_t rsp = cpu->x.gpr[X86_RSP];
    uint32_t values[8] = {0};

    for (unsigned i = 0; i < 8; i++) {
        uint64_t top = (rsp + i * op->size) & cpu->stack_mask;
        enum step step = seg_read(cpu, X86_SS, top, &values[7 - i], op->size);

        if (step)
            return step;
    }
    push_set_rsp(cpu, rsp + 8 * op->size);
    for (unsigned i = 0; i < 8; i++) {
        if (i == X86_RSP)
            continue;
        if (op->size == 2)
            REG_SET(cpu, uint16_t, 8 * i, values[i]);
        else
            REG_SET(cpu, uint32_t, 8 * i, values[i]);
    }
    return STEP_NEXT;
}

/* Writes the low size bytes of RBP; 4 clear the upper half. */
static void set_rbp(struct cpu *cpu, uint64_t value, unsigned size)
{
    if (size == 2)
        REG_SET(cpu, uint16_t, 8 * X86_RBP, value);
    else
        cpu->x.gpr[X86_RBP] = size == 4 ? (uint32_t)value : value;
}

/* Copies the enclosing frames' pointers and pushes the new one, below *top. */
static enum step enter_display(struct cpu *cpu, const struct op *op, uint64_t frame, uint64_t *top)
{
    unsigned size = op->size, level = op->aux;
    uint64_t rbp = cpu->x.gpr[X86_RBP];

    for (unsigned i = 1; i <= level; i++) {
        uint64_t value = frame;
        enum step step = STEP_NEXT;

        if (i < level)
            step = seg_read(cpu, X86_SS, (rbp - i * size) & cpu->stack_mask, &value, size);
        *top = (*top - size) & cpu->stack_mask;
        if (!step)
            step = seg_write(cpu, X86_SS, *top, &value, size);
        if (step)
            return step;
    }
    return STEP_NEXT;
}

/* ENTER also faults where a write at the final stack pointer would (SDM 2 "ENTER"). */
static enum step enter_probe(struct cpu *cpu, const struct op *op, uint64_t top)
{
    gva_t linear;
    enum step step = seg_linear(cpu, X86_SS, top & cpu->stack_mask, op->size, true, &linear);

    if (!step && !tlb_write_host(cpu, linear, op->size))
        step = lin_probe(cpu, linear, op->size, true);
    return step ? access_fault_of_segment(cpu, X86_SS, step) : STEP_NEXT;
}

HANDLER(enter)
{
    uint64_t rsp = cpu->x.gpr[X86_RSP];
    uint64_t top = (rsp - op->size) & cpu->stack_mask;
    /* As wide as the operand, whatever the stack's width: a 16-bit stack keeps the rest of ESP. */
    uint64_t frame = (rsp & ~cpu->stack_mask) | top;
    enum step step = seg_write(cpu, X86_SS, top, &cpu->x.gpr[X86_RBP], op->size);

    if (!step)
        step = enter_display(cpu, op, frame, &top);
    if (!step)
        step = enter_probe(cpu, op, top - (uint16_t)op->imm);
    if (step)
        return step;
    set_rbp(cpu, frame, op->size);
    push_set_rsp(cpu, top - (uint16_t)op->imm);
    return STEP_NEXT;
}

HANDLER(leave)
{
    uint64_t value = 0, frame = cpu->x.gpr[X86_RBP];
    enum step step = seg_read(cpu, X86_SS, frame & cpu->stack_mask, &value, op->size);

    if (step)
        return step;
    push_set_rsp(cpu, frame + op->size);
    set_rbp(cpu, value, op->size);
    return STEP_NEXT;
}

HANDLER(leave64)
{
    uint64_t frame = cpu->x.gpr[X86_RBP];
    void *place;

    if (unlikely(!push_find(cpu, frame & cpu->stack_mask, 8, false, &place)))
        return leave(cpu, op);
    cpu->x.gpr[X86_RBP] = PLACE(uint64_t, place);
    push_set_rsp(cpu, frame + 8);
    return STEP_NEXT;
}

static const op_fn push_table[3][4] = {
    WIDE_SIZES(push, r),
    WIDE_SIZES(push, m),
    WIDE_SIZES(push, i),
};
static const op_fn pop_table[4] = WIDE_SIZES(pop, r);

static bool bind_push(struct op *op, const struct x86_insn *insn, unsigned width)
{
    unsigned index = operand_size_index(width);

    switch (operand_form(op, insn)) {
    case FORM_R: op->fn = push_table[0][index]; break;
    case FORM_M: op->fn = push_table[1][index]; break;
    case FORM_I: op->fn = push_table[2][index]; break;
    default: return false;
    }
    op->size = (uint8_t)width;
    return true;
}

static bool bind_pop(struct op *op, const struct x86_insn *insn, unsigned width)
{
    switch (operand_form(op, insn)) {
    case FORM_R: op->fn = pop_table[operand_size_index(width)]; break;
    case FORM_M: op->fn = pop_memory; break;
    default: return false;
    }
    op->size = (uint8_t)width;
    return true;
}

bool bind_stack(struct op *op, const struct binder_input *in)
{
    unsigned width = operand_stack_width(in);

    switch (op->mnemonic) {
    case ZYDIS_MNEMONIC_PUSH: return bind_push(op, in->insn, width);
    case ZYDIS_MNEMONIC_POP: return bind_pop(op, in->insn, width);
    case ZYDIS_MNEMONIC_PUSHA:
    case ZYDIS_MNEMONIC_PUSHAD: op->fn = pusha; break;
    case ZYDIS_MNEMONIC_POPA:
    case ZYDIS_MNEMONIC_POPAD: op->fn = popa; break;
    case ZYDIS_MNEMONIC_ENTER:
        op->fn = enter;
        op->imm = in->insn->op[0].imm.value.u;
        op->aux = in->insn->op[1].imm.value.u & 31;
        break;
    case ZYDIS_MNEMONIC_LEAVE: op->fn = width == 8 ? leave64 : leave; break;
    default: return false;
    }
    op->size = (uint8_t)width;
    return true;
}

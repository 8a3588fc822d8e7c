/*
 * Finds the function for an instruction that touches segment registers, descriptor tables or
 * gates, and fills in its operands. It refuses nothing: what a mode forbids is the function's.
 */
#include "engine/interp/segment_ops.h"

/* How an instruction's operands go into the op. */
enum operands {
    OPERANDS_NONE,
    OPERANDS_RM,     /* one register or memory operand, read: src */
    OPERANDS_DST,    /* one register or memory operand, written: dst */
    OPERANDS_REG_RM, /* dst, src */
};

struct row {
    ZydisMnemonic mnemonic;
    op_fn fn;
    uint8_t operands;
    uint8_t flags;
};

static const struct row rows[] = {
    {ZYDIS_MNEMONIC_INT, op_int, OPERANDS_NONE, OP_ENDS},
    {ZYDIS_MNEMONIC_INT3, op_int3, OPERANDS_NONE, OP_ENDS},
    {ZYDIS_MNEMONIC_INT1, op_int1, OPERANDS_NONE, OP_ENDS},
    {ZYDIS_MNEMONIC_INTO, op_into, OPERANDS_NONE, OP_ENDS},
    {ZYDIS_MNEMONIC_IRET, op_iret, OPERANDS_NONE, OP_ENDS},
    {ZYDIS_MNEMONIC_IRETD, op_iret, OPERANDS_NONE, OP_ENDS},
    {ZYDIS_MNEMONIC_IRETQ, op_iret, OPERANDS_NONE, OP_ENDS},
    {ZYDIS_MNEMONIC_SYSCALL, op_syscall, OPERANDS_NONE, OP_ENDS},
    {ZYDIS_MNEMONIC_SYSRET, op_sysret, OPERANDS_NONE, OP_ENDS},
    {ZYDIS_MNEMONIC_SYSENTER, op_sysenter, OPERANDS_NONE, OP_ENDS},
    {ZYDIS_MNEMONIC_SYSEXIT, op_sysexit, OPERANDS_NONE, OP_ENDS},
    {ZYDIS_MNEMONIC_LGDT, op_lgdt, OPERANDS_NONE, 0},
    {ZYDIS_MNEMONIC_LIDT, op_lidt, OPERANDS_NONE, 0},
    {ZYDIS_MNEMONIC_SGDT, op_sgdt, OPERANDS_NONE, 0},
    {ZYDIS_MNEMONIC_SIDT, op_sidt, OPERANDS_NONE, 0},
    {ZYDIS_MNEMONIC_LLDT, op_lldt, OPERANDS_RM, 0},
    {ZYDIS_MNEMONIC_LTR, op_ltr, OPERANDS_RM, 0},
    {ZYDIS_MNEMONIC_SLDT, op_sldt, OPERANDS_DST, 0},
    {ZYDIS_MNEMONIC_STR, op_str, OPERANDS_DST, 0},
    {ZYDIS_MNEMONIC_LAR, op_lar, OPERANDS_REG_RM, 0},
    {ZYDIS_MNEMONIC_LSL, op_lsl, OPERANDS_REG_RM, 0},
    {ZYDIS_MNEMONIC_VERR, op_verr, OPERANDS_RM, 0},
    {ZYDIS_MNEMONIC_VERW, op_verw, OPERANDS_RM, 0},
    {ZYDIS_MNEMONIC_ARPL, op_arpl, OPERANDS_REG_RM, 0},
};

static bool is_segment(const ZydisDecodedOperand *operand)
{
    return operand->type == ZYDIS_OPERAND_TYPE_REGISTER &&
           ZydisRegisterGetClass(operand->reg.value) == ZYDIS_REGCLASS_SEGMENT;
}

/* Number of a segment register, byte offset of a general one; 0 for what is no register. */
static uint8_t operand_register(const ZydisDecodedOperand *operand)
{
    bool high;

    if (operand->type != ZYDIS_OPERAND_TYPE_REGISTER)
        return 0;
    if (is_segment(operand))
        return (uint8_t)(operand->reg.value - ZYDIS_REGISTER_ES);
    return (uint8_t)(8 * x86_register_number(operand->reg.value, &high));
}

_Static_assert(ZYDIS_REGISTER_GS - ZYDIS_REGISTER_ES == X86_GS &&
                   ZYDIS_REGISTER_CS - ZYDIS_REGISTER_ES == X86_CS &&
                   ZYDIS_REGISTER_SS - ZYDIS_REGISTER_ES == X86_SS &&
                   ZYDIS_REGISTER_DS - ZYDIS_REGISTER_ES == X86_DS,
               "Zydis numbers segment registers as the encoding does");

/* MOV, PUSH and POP belong here when one of their operands is a segment register. */
static bool bind_sreg(struct op *op, const struct x86_insn *insn)
{
    const ZydisDecodedOperand *to = &insn->op[0];
    const ZydisDecodedOperand *from = &insn->op[1];
    bool loads = is_segment(to);

    switch (insn->info.mnemonic) {
    case ZYDIS_MNEMONIC_MOV:
        if (!loads && !is_segment(from))
            return false;
        op->fn = loads ? op_mov_to_sreg : op_mov_from_sreg;
        op->src = operand_register(from);
        break;
    case ZYDIS_MNEMONIC_POP:
        if (!loads)
            return false;
        op->fn = op_pop_sreg;
        break;
    case ZYDIS_MNEMONIC_PUSH:
        if (!loads)
            return false;
        op->fn = op_push_sreg;
        op->src = operand_register(to);
        return true;
    default: return false;
    }
    op->dst = operand_register(to);
    if (loads && op->dst == X86_SS)
        op->flags |= OP_ENDS | OP_SHADOW;
    return true;
}

/* LDS and its like load the segment register in their name. */
static bool bind_far_load(struct op *op, const struct x86_insn *insn)
{
    switch (insn->info.mnemonic) {
    case ZYDIS_MNEMONIC_LDS: op->src = X86_DS; break;
    case ZYDIS_MNEMONIC_LES: op->src = X86_ES; break;
    case ZYDIS_MNEMONIC_LFS: op->src = X86_FS; break;
    case ZYDIS_MNEMONIC_LGS: op->src = X86_GS; break;
    case ZYDIS_MNEMONIC_LSS: op->src = X86_SS; break;
    default: return false;
    }
    op->fn = op_load_far_pointer;
    op->dst = operand_register(&insn->op[0]);
    return true;
}

static bool bind_far_branch(struct op *op, const struct x86_insn *insn)
{
    if (insn->info.meta.branch_type != ZYDIS_BRANCH_TYPE_FAR)
        return false;
    switch (insn->info.mnemonic) {
    case ZYDIS_MNEMONIC_JMP: op->fn = op_jmp_far; break;
    case ZYDIS_MNEMONIC_CALL: op->fn = op_call_far; break;
    case ZYDIS_MNEMONIC_RET: op->fn = op_ret_far; break;
    default: return false;
    }
    op->imm = 0;
    if (insn->op[0].type == ZYDIS_OPERAND_TYPE_POINTER && insn->info.operand_count_visible) {
        op->imm = insn->op[0].ptr.offset;
        op->aux = insn->op[0].ptr.segment;
    } else if (insn->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
        op->imm = (uint16_t)insn->op[0].imm.value.u;
    }
    op->flags |= OP_ENDS;
    return true;
}

static void fill_operands(struct op *op, const struct row *row, const struct x86_insn *insn)
{
    switch (row->operands) {
    case OPERANDS_RM: op->src = operand_register(&insn->op[0]); break;
    case OPERANDS_DST: op->dst = operand_register(&insn->op[0]); break;
    case OPERANDS_REG_RM:
        op->dst = operand_register(&insn->op[0]);
        op->src = operand_register(&insn->op[1]);
        break;
    default: break;
    }
}

bool bind_segment(struct op *op, const struct binder_input *in)
{
    const struct x86_insn *insn = in->insn;
    uint8_t size = op->size;

    op->size = insn->info.operand_width / 8;
    if (bind_sreg(op, insn) || bind_far_load(op, insn) || bind_far_branch(op, insn))
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].mnemonic == insn->info.mnemonic) {
            op->fn = rows[i].fn;
            op->flags |= rows[i].flags;
            fill_operands(op, &rows[i], insn);
            return true;
        }
    }
    op->size = size;
    return false;
}

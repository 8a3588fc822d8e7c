/* Forms of operands, and who is asked for an integer instruction. */
#include "engine/interp/operand.h"

bool operand_is_gpr(const ZydisDecodedOperand *operand)
{
    if (operand->type != ZYDIS_OPERAND_TYPE_REGISTER)
        return false;
    switch (ZydisRegisterGetClass(operand->reg.value)) {
    case ZYDIS_REGCLASS_GPR8:
    case ZYDIS_REGCLASS_GPR16:
    case ZYDIS_REGCLASS_GPR32:
    case ZYDIS_REGCLASS_GPR64: return true;
    default: return false;
    }
}

uint8_t operand_register(ZydisRegister reg)
{
    bool high;
    unsigned number = x86_register_number(reg, &high);

    return (uint8_t)(high ? 8 * (number - 4) + 1 : 8 * number);
}

/* 'r', 'm', 'i', '-' for none, '?' for what has no form. */
static char operand_letter(const struct x86_insn *insn, unsigned index)
{
    const ZydisDecodedOperand *operand = &insn->op[index];

    if (index >= insn->info.operand_count_visible)
        return '-';
    if (operand_is_gpr(operand))
        return 'r';
    if (operand->type == ZYDIS_OPERAND_TYPE_MEMORY)
        return 'm';
    return operand->type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? 'i' : '?';
}

enum operand_form operand_form(struct op *op, const struct x86_insn *insn)
{
    static const struct {
        char first, second;
        uint8_t plain, locked;
    } forms[] = {
        {'r', 'r', FORM_RR, FORM_NONE},      {'r', 'm', FORM_RM, FORM_NONE},
        {'r', 'i', FORM_RI, FORM_NONE},      {'m', 'r', FORM_MR, FORM_MR_LOCKED},
        {'m', 'i', FORM_MI, FORM_MI_LOCKED}, {'r', '-', FORM_R, FORM_NONE},
        {'m', '-', FORM_M, FORM_M_LOCKED},   {'i', '-', FORM_I, FORM_NONE},
    };
    char first = operand_letter(insn, 0), second = operand_letter(insn, 1);

    if (first == '-')
        return FORM_NONE;
    op->size = (uint8_t)(insn->op[0].size / 8);
    if (first == 'r')
        op->dst = operand_register(insn->op[0].reg.value);
    if (second == 'r')
        op->src = operand_register(insn->op[1].reg.value);
    if (first == 'i')
        op->imm = insn->op[0].imm.value.u;
    else if (second == 'i')
        op->imm = insn->op[1].imm.value.u;
    for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
        if (forms[i].first == first && forms[i].second == second)
            return op->flags & OP_LOCK ? forms[i].locked : forms[i].plain;
    }
    return FORM_NONE;
}

unsigned operand_stack_width(const struct binder_input *in)
{
    /* REX.W wins over 66h. */
    bool prefix =
        (in->insn->info.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE) && !in->insn->info.raw.rex.W;

    switch (in->mode) {
    case X86_MODE_LONG64: return prefix ? 2 : 8;
    case X86_MODE_REAL16:
    case X86_MODE_PROT16:
    case X86_MODE_COMPAT16: return prefix ? 4 : 2;
    default: return prefix ? 2 : 4;
    }
}

bool bind_integer(struct op *op, const struct binder_input *in)
{
    return bind_mov(op, in) || bind_alu(op, in) || bind_extend(op, in) || bind_unary(op, in) ||
           bind_shift(op, in) || bind_conditional(op, in) || bind_stack(op, in) ||
           bind_muldiv(op, in) || bind_bits(op, in) || bind_exchange(op, in) ||
           bind_flags(op, in) || bind_bcd(op, in) || bind_misc(op, in);
}

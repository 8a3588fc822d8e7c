/*
 * Widening: MOVZX, MOVSX, MOVSXD, CBW, CWDE, CDQE, CWD, CDQ, CQO.
 * Source: SDM 2.
 */
#include "engine/interp/place.h"

/* From type S to type T; both signed or both unsigned. */
#define EXTEND(name, S, T, from, to)                                                               \
    HANDLER(name##from##_##to##_rr)                                                                \
    {                                                                                              \
        REG_SET(cpu, T, op->dst, (T)CPU_REG(cpu, S, op->src));                                     \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    MEMORY_BODY(name##from##_##to##_rm)                                                            \
    {                                                                                              \
        S value;                                                                                   \
                                                                                                   \
        memcpy(&value, place, sizeof(value));                                                      \
        REG_SET(cpu, T, op->dst, (T)value);                                                        \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    MEMORY_HANDLER(name##from##_##to##_rm, read, sizeof(S))

EXTEND(zero, uint8_t, uint16_t, 8, 16)
EXTEND(zero, uint8_t, uint32_t, 8, 32)
EXTEND(zero, uint8_t, uint64_t, 8, 64)
EXTEND(zero, uint16_t, uint16_t, 16, 16)
EXTEND(zero, uint16_t, uint32_t, 16, 32)
EXTEND(zero, uint16_t, uint64_t, 16, 64)
EXTEND(sign, int8_t, int16_t, 8, 16)
EXTEND(sign, int8_t, int32_t, 8, 32)
EXTEND(sign, int8_t, int64_t, 8, 64)
EXTEND(sign, int16_t, int16_t, 16, 16)
EXTEND(sign, int16_t, int32_t, 16, 32)
EXTEND(sign, int16_t, int64_t, 16, 64)
EXTEND(sign, int32_t, int32_t, 32, 32)
EXTEND(sign, int32_t, int64_t, 32, 64)

#define RAX(T) CPU_REG(cpu, T, 8 * X86_RAX)

HANDLER(cbw)
{
    RAX(int16_t) = RAX(int8_t);
    return STEP_NEXT;
}

HANDLER(cwde)
{
    RAX(uint64_t) = (uint32_t)RAX(int16_t);
    return STEP_NEXT;
}

HANDLER(cdqe)
{
    RAX(int64_t) = RAX(int32_t);
    return STEP_NEXT;
}

HANDLER(cwd)
{
    CPU_REG(cpu, int16_t, 8 * X86_RDX) = RAX(int16_t) < 0 ? -1 : 0;
    return STEP_NEXT;
}

HANDLER(cdq)
{
    CPU_REG(cpu, uint64_t, 8 * X86_RDX) = RAX(int32_t) < 0 ? UINT32_MAX : 0;
    return STEP_NEXT;
}

HANDLER(cqo)
{
    CPU_REG(cpu, int64_t, 8 * X86_RDX) = RAX(int64_t) < 0 ? -1 : 0;
    return STEP_NEXT;
}

/* [from memory][source size][destination size] */
#define ROWS(name, last)                                                                           \
    {                                                                                              \
        {{NULL, name##8_16_rr, name##8_32_rr, name##8_64_rr},                                      \
         {NULL, name##16_16_rr, name##16_32_rr, name##16_64_rr},                                   \
         last(rr)},                                                                                \
        {                                                                                          \
            {NULL, name##8_16_rm, name##8_32_rm, name##8_64_rm},                                   \
                {NULL, name##16_16_rm, name##16_32_rm, name##16_64_rm}, last(rm)                   \
        }                                                                                          \
    }
#define NO_DWORD(form)                                                                             \
    {                                                                                              \
        NULL                                                                                       \
    }
#define SIGN_DWORD(form)                                                                           \
    {                                                                                              \
        NULL, NULL, sign32_32_##form, sign32_64_##form                                             \
    }

static const op_fn zero_table[2][3][4] = ROWS(zero, NO_DWORD);
static const op_fn sign_table[2][3][4] = ROWS(sign, SIGN_DWORD);

static bool bind_table(struct op *op, const struct x86_insn *insn, const op_fn table[2][3][4])
{
    enum operand_form form = operand_form(op, insn);
    unsigned from = operand_size_index(insn->op[1].size / 8);

    if ((form != FORM_RR && form != FORM_RM) || from > 2)
        return false;
    /* MOVSXD to 16 bits takes 16 bits, whatever the decoder says. */
    from = MIN(from, operand_size_index(op->size));
    op->fn = table[form == FORM_RM][from][operand_size_index(op->size)];
    return op->fn;
}

bool bind_extend(struct op *op, const struct binder_input *in)
{
    switch (op->mnemonic) {
    case ZYDIS_MNEMONIC_MOVZX: return bind_table(op, in->insn, zero_table);
    case ZYDIS_MNEMONIC_MOVSX:
    case ZYDIS_MNEMONIC_MOVSXD: return bind_table(op, in->insn, sign_table);
    case ZYDIS_MNEMONIC_CBW: op->fn = cbw; return true;
    case ZYDIS_MNEMONIC_CWDE: op->fn = cwde; return true;
    case ZYDIS_MNEMONIC_CDQE: op->fn = cdqe; return true;
    case ZYDIS_MNEMONIC_CWD: op->fn = cwd; return true;
    case ZYDIS_MNEMONIC_CDQ: op->fn = cdq; return true;
    case ZYDIS_MNEMONIC_CQO: op->fn = cqo; return true;
    default: return false;
    }
}

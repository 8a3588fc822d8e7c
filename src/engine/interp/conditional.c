/*
 * SETcc and CMOVcc, a handler for each condition.
 * CMOVcc reads its memory operand, and clears the upper half of a 32-bit destination, even when the
 * condition is false.
 * Source: SDM 2.
 */
#include "engine/interp/cond.h"
#include "engine/interp/place.h"

#define SET(cc)                                                                                    \
    HANDLER(set_##cc##_r)                                                                          \
    {                                                                                              \
        CPU_REG(cpu, uint8_t, op->dst) = cond_##cc(cpu->arith);                                    \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    HANDLER(set_##cc##_m)                                                                          \
    {                                                                                              \
        MEMORY_STORE(uint8_t, cond_##cc(cpu->arith));                                              \
    }

#define CMOV_SIZE(cc, T, bits)                                                                     \
    HANDLER(cmov_##cc##bits##_rr)                                                                  \
    {                                                                                              \
        T value = CPU_REG(cpu, T, op->src), old = CPU_REG(cpu, T, op->dst);                        \
                                                                                                   \
        REG_SET(cpu, T, op->dst, cond_##cc(cpu->arith) ? value : old);                             \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    MEMORY_BODY(cmov_##cc##bits##_rm)                                                              \
    {                                                                                              \
        T value = PLACE(T, place), old = CPU_REG(cpu, T, op->dst);                                 \
                                                                                                   \
        REG_SET(cpu, T, op->dst, cond_##cc(cpu->arith) ? value : old);                             \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    MEMORY_HANDLER(cmov_##cc##bits##_rm, read, sizeof(T))

#define CMOV(cc)                                                                                   \
    CMOV_SIZE(cc, uint16_t, 16)                                                                    \
    CMOV_SIZE(cc, uint32_t, 32)                                                                    \
    CMOV_SIZE(cc, uint64_t, 64)

COND_LIST(SET)
COND_LIST(CMOV)

#define SET_ROW(cc)  {set_##cc##_r, set_##cc##_m},
#define CMOV_ROW(cc) {WIDE_SIZES(cmov_##cc, rr), WIDE_SIZES(cmov_##cc, rm)},

static const op_fn set_table[16][2] = {COND_LIST(SET_ROW)};
static const op_fn cmov_table[16][2][4] = {COND_LIST(CMOV_ROW)};

#define OPCODE_CMOV 0x40
#define OPCODE_SET  0x90

bool bind_conditional(struct op *op, const struct binder_input *in)
{
    const ZydisDecodedInstruction *info = &in->insn->info;
    enum operand_form form;

    if (info->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY ||
        info->opcode_map != ZYDIS_OPCODE_MAP_0F)
        return false;
    op->cc = info->opcode & 0xf;
    switch (info->opcode & 0xf0) {
    case OPCODE_SET:
        form = operand_form(op, in->insn);
        if (form != FORM_R && form != FORM_M)
            return false;
        op->fn = set_table[op->cc][form == FORM_M];
        return true;
    case OPCODE_CMOV:
        form = operand_form(op, in->insn);
        if (form != FORM_RR && form != FORM_RM)
            return false;
        op->fn = cmov_table[op->cc][form == FORM_RM][operand_size_index(op->size)];
        return op->fn;
    default: return false;
    }
}

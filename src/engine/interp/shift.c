/*
 * Shifts and rotates: ROL, ROR, RCL, RCR, SHL, SHR, SAR, SHLD, SHRD, by CL or an immediate.
 * A count of 0 leaves the flags alone, so they are always loaded first.
 * Source: SDM 2.
 */
#include "engine/interp/place.h"

#define COUNT_CL  CPU_REG(cpu, uint8_t, 8 * X86_RCX)
#define COUNT_IMM (uint8_t) op->imm

#define SHIFT(name, T, bits, by, COUNT)                                                            \
    HANDLER(name##bits##_r_##by)                                                                   \
    {                                                                                              \
        T a = CPU_REG(cpu, T, op->dst);                                                            \
        uint8_t count = COUNT;                                                                     \
        uint32_t flags = cpu->arith;                                                               \
                                                                                                   \
        asm(FLAGS_LOAD #name " %%cl, %0" FLAGS_SAVE : "+r"(a), "+a"(flags) : "c"(count) : "cc");   \
        cpu->arith = flags;                                                                        \
        REG_SET(cpu, T, op->dst, a);                                                               \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    MEMORY_BODY(name##bits##_m_##by)                                                               \
    {                                                                                              \
        T a = PLACE(T, place);                                                                     \
        uint8_t count = COUNT;                                                                     \
        uint32_t flags = cpu->arith;                                                               \
                                                                                                   \
        asm(FLAGS_LOAD #name " %%cl, %0" FLAGS_SAVE : "+r"(a), "+a"(flags) : "c"(count) : "cc");   \
        PLACE(T, place) = a;                                                                       \
        cpu->arith = flags;                                                                        \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    MEMORY_HANDLER(name##bits##_m_##by, rmw, sizeof(T))

/* Two registers wide: the second one only gives bits. */
#define DOUBLE_SHIFT(name, T, bits, by, COUNT)                                                     \
    HANDLER(name##bits##_r_##by)                                                                   \
    {                                                                                              \
        T a = CPU_REG(cpu, T, op->dst), b = CPU_REG(cpu, T, op->src);                              \
        uint8_t count = COUNT;                                                                     \
        uint32_t flags = cpu->arith;                                                               \
                                                                                                   \
        asm(FLAGS_LOAD #name " %%cl, %3, %0" FLAGS_SAVE                                            \
            : "+r"(a), "+a"(flags)                                                                 \
            : "c"(count), "r"(b)                                                                   \
            : "cc");                                                                               \
        cpu->arith = flags;                                                                        \
        REG_SET(cpu, T, op->dst, a);                                                               \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    MEMORY_BODY(name##bits##_m_##by)                                                               \
    {                                                                                              \
        T a = PLACE(T, place), b = CPU_REG(cpu, T, op->src);                                       \
        uint8_t count = COUNT;                                                                     \
        uint32_t flags = cpu->arith;                                                               \
                                                                                                   \
        asm(FLAGS_LOAD #name " %%cl, %3, %0" FLAGS_SAVE                                            \
            : "+r"(a), "+a"(flags)                                                                 \
            : "c"(count), "r"(b)                                                                   \
            : "cc");                                                                               \
        PLACE(T, place) = a;                                                                       \
        cpu->arith = flags;                                                                        \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    MEMORY_HANDLER(name##bits##_m_##by, rmw, sizeof(T))

#define WIDE_COUNTS(SHIFT, name)                                                                   \
    SHIFT(name, uint16_t, 16, cl, COUNT_CL)                                                        \
    SHIFT(name, uint16_t, 16, imm, COUNT_IMM)                                                      \
    SHIFT(name, uint32_t, 32, cl, COUNT_CL)                                                        \
    SHIFT(name, uint32_t, 32, imm, COUNT_IMM)                                                      \
    SHIFT(name, uint64_t, 64, cl, COUNT_CL)                                                        \
    SHIFT(name, uint64_t, 64, imm, COUNT_IMM)
#define COUNTS(name)                                                                               \
    SHIFT(name, uint8_t, 8, cl, COUNT_CL)                                                          \
    SHIFT(name, uint8_t, 8, imm, COUNT_IMM)                                                        \
    WIDE_COUNTS(SHIFT, name)

COUNTS(rol)
COUNTS(ror)
COUNTS(rcl)
COUNTS(rcr)
COUNTS(shl)
COUNTS(shr)
COUNTS(sar)
WIDE_COUNTS(DOUBLE_SHIFT, shld)
WIDE_COUNTS(DOUBLE_SHIFT, shrd)

#define ROWS(name, SIZES)                                                                          \
    {                                                                                              \
        SIZES(name, r_imm), SIZES(name, r_cl), SIZES(name, m_imm), SIZES(name, m_cl)               \
    }

static const struct {
    uint16_t mnemonic;
    op_fn fn[4][4]; /* register or memory, immediate or CL; size */
} shift_table[] = {
    {ZYDIS_MNEMONIC_ROL, ROWS(rol, SIZES)},        {ZYDIS_MNEMONIC_ROR, ROWS(ror, SIZES)},
    {ZYDIS_MNEMONIC_RCL, ROWS(rcl, SIZES)},        {ZYDIS_MNEMONIC_RCR, ROWS(rcr, SIZES)},
    {ZYDIS_MNEMONIC_SHL, ROWS(shl, SIZES)},        {ZYDIS_MNEMONIC_SHR, ROWS(shr, SIZES)},
    {ZYDIS_MNEMONIC_SAR, ROWS(sar, SIZES)},        {ZYDIS_MNEMONIC_SHLD, ROWS(shld, WIDE_SIZES)},
    {ZYDIS_MNEMONIC_SHRD, ROWS(shrd, WIDE_SIZES)},
};

bool bind_shift(struct op *op, const struct binder_input *in)
{
    for (unsigned i = 0; i < ARRAY_SIZE(shift_table); i++) {
        const ZydisDecodedOperand *count;
        unsigned row;

        if (shift_table[i].mnemonic != op->mnemonic)
            continue;
        operand_form(op, in->insn);
        count = &in->insn->op[in->insn->info.operand_count_visible - 1];
        row = count->type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? 0 : 1;
        op->imm = row ? 0 : count->imm.value.u;
        if (op->flags & OP_MEM)
            row += 2;
        op->fn = shift_table[i].fn[row][operand_size_index(op->size)];
        return op->fn;
    }
    return false;
}

/*
 * Data movement: MOV (general registers), MOVNTI, MOVBE, LEA, BSWAP, XLAT.
 * Refuses MOV with segment, control and debug registers, which have binders of their own.
 * Source: SDM 2.
 */
#include "engine/interp/place.h"

#define MOV(T, bits)                                                                               \
    HANDLER(mov##bits##_rr)                                                                        \
    {                                                                                              \
        REG_SET(cpu, T, op->dst, CPU_REG(cpu, T, op->src));                                        \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    HANDLER(mov##bits##_ri)                                                                        \
    {                                                                                              \
        REG_SET(cpu, T, op->dst, op->imm);                                                         \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    MEMORY_BODY(mov##bits##_rm)                                                                    \
    {                                                                                              \
        REG_SET(cpu, T, op->dst, PLACE(T, place));                                                 \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    MEMORY_HANDLER(mov##bits##_rm, read, sizeof(T))                                                \
    HANDLER(mov##bits##_mr)                                                                        \
    {                                                                                              \
        MEMORY_STORE(T, CPU_REG(cpu, T, op->src));                                                 \
    }                                                                                              \
    HANDLER(mov##bits##_mi)                                                                        \
    {                                                                                              \
        MEMORY_STORE(T, op->imm);                                                                  \
    }

MOV(uint8_t, 8)
MOV(uint16_t, 16)
MOV(uint32_t, 32)
MOV(uint64_t, 64)

/* LEA writes the offset; the address size has masked it already. */
#define LEA(T, bits)                                                                               \
    HANDLER(lea##bits##_rm)                                                                        \
    {                                                                                              \
        REG_SET(cpu, T, op->dst, op_offset(cpu, op));                                              \
        return STEP_NEXT;                                                                          \
    }

LEA(uint16_t, 16)
LEA(uint32_t, 32)
LEA(uint64_t, 64)

#define MOVBE(T, bits)                                                                             \
    MEMORY_BODY(movbe##bits##_rm)                                                                  \
    {                                                                                              \
        REG_SET(cpu, T, op->dst, __builtin_bswap##bits(PLACE(T, place)));                          \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    MEMORY_HANDLER(movbe##bits##_rm, read, sizeof(T))                                              \
    HANDLER(movbe##bits##_mr)                                                                      \
    {                                                                                              \
        MEMORY_STORE(T, __builtin_bswap##bits(CPU_REG(cpu, T, op->src)));                          \
    }

MOVBE(uint16_t, 16)
MOVBE(uint32_t, 32)
MOVBE(uint64_t, 64)

/* With 16 bits the result is undefined; the host's serves. */
HANDLER(bswap16_r)
{
    uint64_t value = CPU_REG(cpu, uint64_t, op->dst);

    asm(".byte 0x66\n\tbswap %k0" : "+r"(value));
    CPU_REG(cpu, uint64_t, op->dst) = value;
    return STEP_NEXT;
}

HANDLER(bswap32_r)
{
    REG_SET(cpu, uint32_t, op->dst, __builtin_bswap32(CPU_REG(cpu, uint32_t, op->dst)));
    return STEP_NEXT;
}

HANDLER(bswap64_r)
{
    REG_SET(cpu, uint64_t, op->dst, __builtin_bswap64(CPU_REG(cpu, uint64_t, op->dst)));
    return STEP_NEXT;
}

HANDLER(xlat)
{
    uint64_t offset = CPU_REG(cpu, uint64_t, 8 * X86_RBX) + CPU_REG(cpu, uint8_t, 8 * X86_RAX);
    uint8_t value;
    enum step step = seg_read(cpu, op->seg, offset & op->addr_mask, &value, sizeof(value));

    if (!step)
        CPU_REG(cpu, uint8_t, 8 * X86_RAX) = value;
    return step;
}

#define MOV_ROWS                                                                                   \
    {                                                                                              \
        [FORM_RR] = SIZES(mov, rr), [FORM_RM] = SIZES(mov, rm), [FORM_RI] = SIZES(mov, ri),        \
        [FORM_MR] = SIZES(mov, mr), [FORM_MI] = SIZES(mov, mi)                                     \
    }

static const struct {
    uint16_t mnemonic;
    op_fn fn[FORM_PAIRS][4];
} mov_table[] = {
    {ZYDIS_MNEMONIC_MOV, MOV_ROWS},
    {ZYDIS_MNEMONIC_MOVNTI, {[FORM_MR] = SIZES(mov, mr)}},
    {ZYDIS_MNEMONIC_LEA, {[FORM_RM] = WIDE_SIZES(lea, rm)}},
    {ZYDIS_MNEMONIC_MOVBE, {[FORM_RM] = WIDE_SIZES(movbe, rm), [FORM_MR] = WIDE_SIZES(movbe, mr)}},
};

bool bind_mov(struct op *op, const struct binder_input *in)
{
    static const op_fn bswap[] = WIDE_SIZES(bswap, r);
    enum operand_form form;

    switch (op->mnemonic) {
    case ZYDIS_MNEMONIC_BSWAP:
        operand_form(op, in->insn);
        op->fn = bswap[operand_size_index(op->size)];
        return op->fn;
    case ZYDIS_MNEMONIC_XLAT:
        op->seg = x86_segment_number(in->insn->op[0].mem.segment);
        op->fn = xlat;
        return true;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(mov_table); i++) {
        if (mov_table[i].mnemonic != op->mnemonic)
            continue;
        form = operand_form(op, in->insn);
        if (form >= FORM_PAIRS)
            return false;
        op->fn = mov_table[i].fn[form][operand_size_index(op->size)];
        return op->fn;
    }
    return false;
}

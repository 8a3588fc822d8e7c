/*
 * Integer arithmetic of two operands: ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST.
 * Source: SDM 2.
 */
#include "engine/interp/place.h"

/* The host's instruction on two values (a in a register), with and without a carry coming in. */
#define EXEC_FRESH(insn, a, b, flags)                                                              \
    asm(insn " %2, %0" FLAGS_SAVE : "+r"(a), "=a"(flags) : "r"(b) : "cc")
#define EXEC_CARRY(insn, a, b, flags)                                                              \
    do {                                                                                           \
        flags = cpu->arith;                                                                        \
        asm(CARRY_LOAD insn " %2, %0" FLAGS_SAVE : "+r"(a), "+a"(flags) : "r"(b) : "cc");          \
    } while (0)

/* The same with the first operand in memory, plain or locked. */
#define EXEC_MEMORY_FRESH(insn, place, b, flags)                                                   \
    asm(insn " %2, %0" FLAGS_SAVE : "+m"(place), "=a"(flags) : "r"(b) : "cc", "memory")
#define EXEC_MEMORY_CARRY(insn, place, b, flags)                                                   \
    do {                                                                                           \
        flags = cpu->arith;                                                                        \
        asm(CARRY_LOAD insn " %2, %0" FLAGS_SAVE                                                   \
            : "+m"(place), "+a"(flags)                                                             \
            : "r"(b)                                                                               \
            : "cc", "memory");                                                                     \
    } while (0)

#define WRITE_YES(T, a) REG_SET(cpu, T, op->dst, a)
#define WRITE_NO(T, a)  (void)a

/* What a handler does to A and B, where the result does not go to memory. */
#define ALU_RUN(insn, kind, WRITE, T, A, B)                                                        \
    T a = A, b = B;                                                                                \
    uint32_t flags;                                                                                \
                                                                                                   \
    EXEC_##kind(insn, a, b, flags);                                                                \
    WRITE(T, a);                                                                                   \
    cpu->arith = flags;                                                                            \
    return STEP_NEXT

/* The forms whose first operand is a register; the second is one too, immediate or in memory. */
#define ALU_REGISTER(name, insn, kind, WRITE, T, bits)                                             \
    HANDLER(name##bits##_rr)                                                                       \
    {                                                                                              \
        ALU_RUN(insn, kind, WRITE, T, CPU_REG(cpu, T, op->dst), CPU_REG(cpu, T, op->src));         \
    }                                                                                              \
    HANDLER(name##bits##_ri)                                                                       \
    {                                                                                              \
        ALU_RUN(insn, kind, WRITE, T, CPU_REG(cpu, T, op->dst), (T)op->imm);                       \
    }                                                                                              \
    MEMORY_BODY(name##bits##_rm)                                                                   \
    {                                                                                              \
        ALU_RUN(insn, kind, WRITE, T, CPU_REG(cpu, T, op->dst), PLACE(T, place));                  \
    }                                                                                              \
    MEMORY_HANDLER(name##bits##_rm, read, sizeof(T))

/* Memory as first operand, only read. */
#define ALU_MEMORY_READ(name, insn, T, bits, form, B)                                              \
    MEMORY_BODY(name##bits##_##form)                                                               \
    {                                                                                              \
        ALU_RUN(insn, FRESH, WRITE_NO, T, PLACE(T, place), B);                                     \
    }                                                                                              \
    MEMORY_HANDLER(name##bits##_##form, read, sizeof(T))

/* Memory as first operand, read and written. */
#define ALU_MEMORY_WRITE(name, insn, kind, T, bits, form, B)                                       \
    MEMORY_BODY(name##bits##_##form)                                                               \
    {                                                                                              \
        T b = B;                                                                                   \
        uint32_t flags;                                                                            \
                                                                                                   \
        EXEC_MEMORY_##kind(insn, PLACE(T, place), b, flags);                                       \
        cpu->arith = flags;                                                                        \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    MEMORY_HANDLER(name##bits##_##form, rmw, sizeof(T))

#define ALU_COMPARE(name, insn, T, bits)                                                           \
    ALU_REGISTER(name, insn, FRESH, WRITE_NO, T, bits)                                             \
    ALU_MEMORY_READ(name, insn, T, bits, mr, CPU_REG(cpu, T, op->src))                             \
    ALU_MEMORY_READ(name, insn, T, bits, mi, (T)op->imm)

#define ALU_WRITE(name, insn, kind, T, bits)                                                       \
    ALU_REGISTER(name, insn, kind, WRITE_YES, T, bits)                                             \
    ALU_MEMORY_WRITE(name, insn, kind, T, bits, mr, CPU_REG(cpu, T, op->src))                      \
    ALU_MEMORY_WRITE(name, insn, kind, T, bits, mi, (T)op->imm)                                    \
    ALU_MEMORY_WRITE(name, "lock " insn, kind, T, bits, mr_locked, CPU_REG(cpu, T, op->src))       \
    ALU_MEMORY_WRITE(name, "lock " insn, kind, T, bits, mi_locked, (T)op->imm)

#define ALU_COMPARE_SIZES(name)                                                                    \
    ALU_COMPARE(name, #name, uint8_t, 8)                                                           \
    ALU_COMPARE(name, #name, uint16_t, 16)                                                         \
    ALU_COMPARE(name, #name, uint32_t, 32)                                                         \
    ALU_COMPARE(name, #name, uint64_t, 64)

#define ALU_WRITE_SIZES(name, kind)                                                                \
    ALU_WRITE(name, #name, kind, uint8_t, 8)                                                       \
    ALU_WRITE(name, #name, kind, uint16_t, 16)                                                     \
    ALU_WRITE(name, #name, kind, uint32_t, 32)                                                     \
    ALU_WRITE(name, #name, kind, uint64_t, 64)

ALU_WRITE_SIZES(add, FRESH)
ALU_WRITE_SIZES(or, FRESH)
ALU_WRITE_SIZES(adc, CARRY)
ALU_WRITE_SIZES(sbb, CARRY)
ALU_WRITE_SIZES(and, FRESH)
ALU_WRITE_SIZES(sub, FRESH)
ALU_WRITE_SIZES(xor, FRESH)
ALU_COMPARE_SIZES(cmp)
ALU_COMPARE_SIZES(test)

#define READ_ROWS(name)                                                                            \
    [FORM_RR] = SIZES(name, rr), [FORM_RM] = SIZES(name, rm), [FORM_RI] = SIZES(name, ri),         \
    [FORM_MR] = SIZES(name, mr), [FORM_MI] = SIZES(name, mi)
#define WRITE_ROWS(name)                                                                           \
    READ_ROWS(name), [FORM_MR_LOCKED] = SIZES(name, mr_locked),                                    \
                     [FORM_MI_LOCKED] = SIZES(name, mi_locked)

static const struct {
    uint16_t mnemonic;
    op_fn fn[FORM_PAIRS][4];
} alu_table[] = {
    {ZYDIS_MNEMONIC_ADD, {WRITE_ROWS(add)}},  {ZYDIS_MNEMONIC_OR, {WRITE_ROWS(or)}},
    {ZYDIS_MNEMONIC_ADC, {WRITE_ROWS(adc)}},  {ZYDIS_MNEMONIC_SBB, {WRITE_ROWS(sbb)}},
    {ZYDIS_MNEMONIC_AND, {WRITE_ROWS(and)}},  {ZYDIS_MNEMONIC_SUB, {WRITE_ROWS(sub)}},
    {ZYDIS_MNEMONIC_XOR, {WRITE_ROWS(xor)}},  {ZYDIS_MNEMONIC_CMP, {READ_ROWS(cmp)}},
    {ZYDIS_MNEMONIC_TEST, {READ_ROWS(test)}},
};

bool bind_alu(struct op *op, const struct binder_input *in)
{
    for (unsigned i = 0; i < ARRAY_SIZE(alu_table); i++) {
        enum operand_form form;

        if (alu_table[i].mnemonic != op->mnemonic)
            continue;
        form = operand_form(op, in->insn);
        if (form >= FORM_PAIRS)
            return false;
        op->fn = alu_table[i].fn[form][operand_size_index(op->size)];
        return op->fn;
    }
    return false;
}

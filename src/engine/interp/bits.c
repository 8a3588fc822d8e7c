/*
 * Single bits: BT, BTS, BTR, BTC, BSF, BSR.
 * A bit number in a register is signed and may reach anywhere around a memory operand.
 * Source: SDM 2.
 */
#include "engine/interp/place.h"

#define BIT_REGISTER(name, T, bits, form, NUMBER)                                                  \
    HANDLER(name##bits##_##form)                                                                   \
    {                                                                                              \
        T a = CPU_REG(cpu, T, op->dst), number = NUMBER;                                           \
        uint32_t flags = cpu->arith;                                                               \
                                                                                                   \
        asm(FLAGS_LOAD #name " %2, %0" FLAGS_SAVE : "+r"(a), "+a"(flags) : "r"(number) : "cc");    \
        REG_SET(cpu, T, op->dst, a);                                                               \
        cpu->arith = flags;                                                                        \
        return STEP_NEXT;                                                                          \
    }

/* BT alone must not write, nor clear the upper half of its register. */
#define TEST_REGISTER(name, T, bits, form, NUMBER)                                                 \
    HANDLER(name##bits##_##form)                                                                   \
    {                                                                                              \
        T a = CPU_REG(cpu, T, op->dst), number = NUMBER;                                           \
        uint32_t flags = cpu->arith;                                                               \
                                                                                                   \
        asm(FLAGS_LOAD "bt %2, %1" FLAGS_SAVE : "+a"(flags) : "r"(a), "r"(number) : "cc");         \
        cpu->arith = flags;                                                                        \
        return STEP_NEXT;                                                                          \
    }

/* In memory the number is below the operand's width here. */
#define TEST_MEMORY(name, T, bits)                                                                 \
    MEMORY_BODY(name##bits##_mi)                                                                   \
    {                                                                                              \
        T a = PLACE(T, place), number = (T)op->imm;                                                \
        uint32_t flags = cpu->arith;                                                               \
                                                                                                   \
        asm(FLAGS_LOAD "bt %2, %1" FLAGS_SAVE : "+a"(flags) : "r"(a), "r"(number) : "cc");         \
        cpu->arith = flags;                                                                        \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    MEMORY_HANDLER(name##bits##_mi, read, sizeof(T))

#define BIT_MEMORY(name, T, bits)                                                                  \
    MEMORY_BODY(name##bits##_mi)                                                                   \
    {                                                                                              \
        T a = PLACE(T, place), number = (T)op->imm;                                                \
        uint32_t flags = cpu->arith;                                                               \
                                                                                                   \
        asm(FLAGS_LOAD #name " %2, %0" FLAGS_SAVE : "+r"(a), "+a"(flags) : "r"(number) : "cc");    \
        PLACE(T, place) = a;                                                                       \
        cpu->arith = flags;                                                                        \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    MEMORY_HANDLER(name##bits##_mi, rmw, sizeof(T))                                                \
    MEMORY_BODY(name##bits##_mi_locked)                                                            \
    {                                                                                              \
        T number = (T)(op->imm & (bits - 1));                                                      \
        uint32_t flags = cpu->arith;                                                               \
                                                                                                   \
        asm(FLAGS_LOAD "lock " #name " %2, %0" FLAGS_SAVE                                          \
            : "+m"(PLACE(T, place)), "+a"(flags)                                                   \
            : "r"(number)                                                                          \
            : "cc", "memory");                                                                     \
        cpu->arith = flags;                                                                        \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    MEMORY_HANDLER(name##bits##_mi_locked, rmw, sizeof(T))

/* A bit number in a register: the same as an immediate one in another operand. */
#define BIT_ANYWHERE(name, T, S, bits, from, to)                                                   \
    HANDLER(name##bits##_##from)                                                                   \
    {                                                                                              \
        struct op moved = *op;                                                                     \
        int64_t number = (S)CPU_REG(cpu, T, op->src);                                              \
                                                                                                   \
        moved.disp += (number >> __builtin_ctz(bits)) * (bits / 8);                                \
        moved.imm = (uint64_t)number & (bits - 1);                                                 \
        return name##bits##_##to(cpu, &moved);                                                     \
    }

#define BIT_TEST(name, T, S, bits)                                                                 \
    TEST_REGISTER(name, T, bits, rr, CPU_REG(cpu, T, op->src))                                     \
    TEST_REGISTER(name, T, bits, ri, (T)op->imm)                                                   \
    TEST_MEMORY(name, T, bits)                                                                     \
    BIT_ANYWHERE(name, T, S, bits, mr, mi)

#define BIT_CHANGE(name, T, S, bits)                                                               \
    BIT_REGISTER(name, T, bits, rr, CPU_REG(cpu, T, op->src))                                      \
    BIT_REGISTER(name, T, bits, ri, (T)op->imm)                                                    \
    BIT_MEMORY(name, T, bits)                                                                      \
    BIT_ANYWHERE(name, T, S, bits, mr, mi)                                                         \
    BIT_ANYWHERE(name, T, S, bits, mr_locked, mi_locked)

#define BIT_SIZES(KIND, name)                                                                      \
    KIND(name, uint16_t, int16_t, 16)                                                              \
    KIND(name, uint32_t, int32_t, 32)                                                              \
    KIND(name, uint64_t, int64_t, 64)

BIT_SIZES(BIT_TEST, bt)
BIT_SIZES(BIT_CHANGE, bts)
BIT_SIZES(BIT_CHANGE, btr)
BIT_SIZES(BIT_CHANGE, btc)

/*
 * With a source of 0 the destination is undefined: processors leave it alone, with its upper half,
 * so the host gets the whole register (C is what is kept of it, m the operand modifier).
 */
#define SCAN_RUN(name, T, C, m, value)                                                             \
    do {                                                                                           \
        C result = CPU_REG(cpu, C, op->dst);                                                       \
        T source = value;                                                                          \
        uint32_t flags = cpu->arith;                                                               \
                                                                                                   \
        asm(FLAGS_LOAD #name " %" m "2, %" m "0" FLAGS_SAVE                                        \
            : "+r"(result), "+a"(flags)                                                            \
            : "r"(source)                                                                          \
            : "cc");                                                                               \
        CPU_REG(cpu, C, op->dst) = result;                                                         \
        cpu->arith = flags;                                                                        \
        return STEP_NEXT;                                                                          \
    } while (0)

#define SCAN(name, T, C, m, bits)                                                                  \
    HANDLER(name##bits##_rr)                                                                       \
    {                                                                                              \
        SCAN_RUN(name, T, C, m, CPU_REG(cpu, T, op->src));                                         \
    }                                                                                              \
    MEMORY_BODY(name##bits##_rm)                                                                   \
    {                                                                                              \
        SCAN_RUN(name, T, C, m, PLACE(T, place));                                                  \
    }                                                                                              \
    MEMORY_HANDLER(name##bits##_rm, read, sizeof(T))

SCAN(bsf, uint16_t, uint16_t, "w", 16)
SCAN(bsf, uint32_t, uint64_t, "k", 32)
SCAN(bsf, uint64_t, uint64_t, "q", 64)
SCAN(bsr, uint16_t, uint16_t, "w", 16)
SCAN(bsr, uint32_t, uint64_t, "k", 32)
SCAN(bsr, uint64_t, uint64_t, "q", 64)

#define TEST_ROWS(name)                                                                            \
    [FORM_RR] = WIDE_SIZES(name, rr), [FORM_RI] = WIDE_SIZES(name, ri),                            \
    [FORM_MR] = WIDE_SIZES(name, mr), [FORM_MI] = WIDE_SIZES(name, mi)
#define CHANGE_ROWS(name)                                                                          \
    TEST_ROWS(name), [FORM_MR_LOCKED] = WIDE_SIZES(name, mr_locked),                               \
                     [FORM_MI_LOCKED] = WIDE_SIZES(name, mi_locked)
#define SCAN_ROWS(name) [FORM_RR] = WIDE_SIZES(name, rr), [FORM_RM] = WIDE_SIZES(name, rm)

static const struct {
    uint16_t mnemonic;
    op_fn fn[FORM_PAIRS][4];
} bits_table[] = {
    {ZYDIS_MNEMONIC_BT, {TEST_ROWS(bt)}},     {ZYDIS_MNEMONIC_BTS, {CHANGE_ROWS(bts)}},
    {ZYDIS_MNEMONIC_BTR, {CHANGE_ROWS(btr)}}, {ZYDIS_MNEMONIC_BTC, {CHANGE_ROWS(btc)}},
    {ZYDIS_MNEMONIC_BSF, {SCAN_ROWS(bsf)}},   {ZYDIS_MNEMONIC_BSR, {SCAN_ROWS(bsr)}},
};

bool bind_bits(struct op *op, const struct binder_input *in)
{
    for (unsigned i = 0; i < ARRAY_SIZE(bits_table); i++) {
        enum operand_form form;

        if (bits_table[i].mnemonic != op->mnemonic)
            continue;
        form = operand_form(op, in->insn);
        if (form >= FORM_PAIRS)
            return false;
        op->fn = bits_table[i].fn[form][operand_size_index(op->size)];
        return op->fn;
    }
    return false;
}

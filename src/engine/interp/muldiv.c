/*
 * Multiplication and division: MUL, IMUL with one to three operands, DIV, IDIV.
 * The host never meets a quotient that does not fit: that is found out first and raises #DE.
 * Source: SDM 2.
 */
#include "engine/interp/place.h"

#define RAX(T) CPU_REG(cpu, T, 8 * X86_RAX)
#define RDX(T) CPU_REG(cpu, T, 8 * X86_RDX)

/* A handler for a register and one for memory out of name##bits##_run. */
#define ONE_OPERAND(name, T, bits)                                                                 \
    HANDLER(name##bits##_r)                                                                        \
    {                                                                                              \
        return name##bits##_run(cpu, CPU_REG(cpu, T, op->dst));                                    \
    }                                                                                              \
    MEMORY_BODY(name##bits##_m)                                                                    \
    {                                                                                              \
        return name##bits##_run(cpu, PLACE(T, place));                                             \
    }                                                                                              \
    MEMORY_HANDLER(name##bits##_m, read, sizeof(T))

/* The host's instruction with its accumulator exchanged around the flags; EAX holds them. */
#define ACCUMULATE(insn, accumulator, low, high, source, flags)                                    \
    asm(FLAGS_LOAD "mov %0, %%" accumulator "\n\t" insn " %3\n\tmov %%" accumulator                \
                   ", %0" FLAGS_SAVE                                                               \
        : "+&r"(low), "+&d"(high), "+a"(flags)                                                     \
        : "r"(source)                                                                              \
        : "cc")

/* With bytes, product and dividend are AX. */
#define ACCUMULATE_BYTE(insn, wide, source, flags)                                                 \
    asm(FLAGS_LOAD "movw %0, %%ax\n\t" insn " %2\n\tmovw %%ax, %0" FLAGS_SAVE                      \
        : "+&r"(wide), "+a"(flags)                                                                 \
        : "r"(source)                                                                              \
        : "cc")

#define MULTIPLY(name, T, bits, accumulator)                                                       \
    static inline enum step name##bits##_run(struct cpu *cpu, T source)                            \
    {                                                                                              \
        T low = RAX(T), high = 0;                                                                  \
        uint32_t flags = cpu->arith;                                                               \
                                                                                                   \
        ACCUMULATE(#name, accumulator, low, high, source, flags);                                  \
        REG_SET(cpu, T, 8 * X86_RAX, low);                                                         \
        REG_SET(cpu, T, 8 * X86_RDX, high);                                                        \
        cpu->arith = flags;                                                                        \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    ONE_OPERAND(name, T, bits)

#define MULTIPLY_BYTE(name)                                                                        \
    static inline enum step name##8_run(struct cpu * cpu, uint8_t source)                          \
    {                                                                                              \
        uint16_t wide = RAX(uint16_t);                                                             \
        uint32_t flags = cpu->arith;                                                               \
                                                                                                   \
        ACCUMULATE_BYTE(#name, wide, source, flags);                                               \
        RAX(uint16_t) = wide;                                                                      \
        cpu->arith = flags;                                                                        \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    ONE_OPERAND(name, uint8_t, 8)

#define DIVIDE(name, T, bits, accumulator, fits)                                                   \
    static inline enum step name##bits##_run(struct cpu *cpu, T source)                            \
    {                                                                                              \
        T low = RAX(T), high = RDX(T);                                                             \
        uint32_t flags = cpu->arith;                                                               \
                                                                                                   \
        if (unlikely(!fits))                                                                       \
            return cpu_raise(cpu, X86_DE);                                                         \
        ACCUMULATE(#name, accumulator, low, high, source, flags);                                  \
        REG_SET(cpu, T, 8 * X86_RAX, low);                                                         \
        REG_SET(cpu, T, 8 * X86_RDX, high);                                                        \
        cpu->arith = flags;                                                                        \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    ONE_OPERAND(name, T, bits)

#define DIVIDE_BYTE(name, fits)                                                                    \
    static inline enum step name##8_run(struct cpu * cpu, uint8_t source)                          \
    {                                                                                              \
        uint16_t wide = RAX(uint16_t);                                                             \
        uint32_t flags = cpu->arith;                                                               \
                                                                                                   \
        if (unlikely(!fits))                                                                       \
            return cpu_raise(cpu, X86_DE);                                                         \
        ACCUMULATE_BYTE(#name, wide, source, flags);                                               \
        RAX(uint16_t) = wide;                                                                      \
        cpu->arith = flags;                                                                        \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    ONE_OPERAND(name, uint8_t, 8)

/*
 * Whether a signed quotient fits into `bits` bits, without dividing: its magnitude must stay below
 * 2^(bits-1), or reach it when it is negative.
 */
#define SIGNED_FITS(S, U, bits)                                                                    \
    static inline bool signed_fits##bits(S dividend, S divisor)                                    \
    {                                                                                              \
        U over = dividend < 0 ? -(U)dividend : (U)dividend;                                        \
        U under = divisor < 0 ? -(U)divisor : (U)divisor;                                          \
        bool negative = (dividend < 0) != (divisor < 0);                                           \
                                                                                                   \
        return over < (under << (bits - 1)) + (negative ? under : 0);                              \
    }

SIGNED_FITS(int64_t, uint64_t, 8)
SIGNED_FITS(int64_t, uint64_t, 16)
SIGNED_FITS(int64_t, uint64_t, 32)
SIGNED_FITS(__int128, unsigned __int128, 64)

MULTIPLY_BYTE(mul)
MULTIPLY(mul, uint16_t, 16, "ax")
MULTIPLY(mul, uint32_t, 32, "eax")
MULTIPLY(mul, uint64_t, 64, "rax")
MULTIPLY_BYTE(imul)
MULTIPLY(imul, uint16_t, 16, "ax")
MULTIPLY(imul, uint32_t, 32, "eax")
MULTIPLY(imul, uint64_t, 64, "rax")

/* An unsigned quotient fits just if the dividend's upper half is less than the divisor. */
DIVIDE_BYTE(div, (wide >> 8 < source))
DIVIDE(div, uint16_t, 16, "ax", (high < source))
DIVIDE(div, uint32_t, 32, "eax", (high < source))
DIVIDE(div, uint64_t, 64, "rax", (high < source))
DIVIDE_BYTE(idiv, signed_fits8((int16_t)wide, (int8_t)source))
DIVIDE(idiv, uint16_t, 16, "ax",
       signed_fits16((int32_t)((uint32_t)high << 16 | low), (int16_t)source))
DIVIDE(idiv, uint32_t, 32, "eax",
       signed_fits32((int64_t)((uint64_t)high << 32 | low), (int32_t)source))
DIVIDE(idiv, uint64_t, 64, "rax",
       signed_fits64((__int128)((unsigned __int128)high << 64 | low), (int64_t)source))

/* IMUL with two and three operands: the destination is one register, the product is cut. */
#define IMUL_RUN(T, first, second)                                                                 \
    do {                                                                                           \
        T product = first, factor = second;                                                        \
        uint32_t flags = cpu->arith;                                                               \
                                                                                                   \
        asm(FLAGS_LOAD "imul %2, %0" FLAGS_SAVE                                                    \
            : "+r"(product), "+a"(flags)                                                           \
            : "r"(factor)                                                                          \
            : "cc");                                                                               \
        REG_SET(cpu, T, op->dst, product);                                                         \
        cpu->arith = flags;                                                                        \
        return STEP_NEXT;                                                                          \
    } while (0)

#define IMUL(T, bits)                                                                              \
    HANDLER(imul2_##bits##_rr)                                                                     \
    {                                                                                              \
        IMUL_RUN(T, CPU_REG(cpu, T, op->dst), CPU_REG(cpu, T, op->src));                           \
    }                                                                                              \
    MEMORY_BODY(imul2_##bits##_rm)                                                                 \
    {                                                                                              \
        IMUL_RUN(T, CPU_REG(cpu, T, op->dst), PLACE(T, place));                                    \
    }                                                                                              \
    MEMORY_HANDLER(imul2_##bits##_rm, read, sizeof(T))                                             \
    HANDLER(imul3_##bits##_rr)                                                                     \
    {                                                                                              \
        IMUL_RUN(T, CPU_REG(cpu, T, op->src), (T)op->imm);                                         \
    }                                                                                              \
    MEMORY_BODY(imul3_##bits##_rm)                                                                 \
    {                                                                                              \
        IMUL_RUN(T, PLACE(T, place), (T)op->imm);                                                  \
    }                                                                                              \
    MEMORY_HANDLER(imul3_##bits##_rm, read, sizeof(T))

IMUL(uint16_t, 16)
IMUL(uint32_t, 32)
IMUL(uint64_t, 64)

static const struct {
    uint16_t mnemonic;
    op_fn fn[2][4]; /* register, memory */
} accumulator_table[] = {
    {ZYDIS_MNEMONIC_MUL, {SIZES(mul, r), SIZES(mul, m)}},
    {ZYDIS_MNEMONIC_IMUL, {SIZES(imul, r), SIZES(imul, m)}},
    {ZYDIS_MNEMONIC_DIV, {SIZES(div, r), SIZES(div, m)}},
    {ZYDIS_MNEMONIC_IDIV, {SIZES(idiv, r), SIZES(idiv, m)}},
};

/* [three operands][from memory] */
static const op_fn imul_table[2][2][4] = {
    {WIDE_SIZES(imul2_, rr), WIDE_SIZES(imul2_, rm)},
    {WIDE_SIZES(imul3_, rr), WIDE_SIZES(imul3_, rm)},
};

static bool bind_imul(struct op *op, const struct x86_insn *insn)
{
    enum operand_form form = operand_form(op, insn);
    bool three = insn->info.operand_count_visible == 3;

    if (form != FORM_RR && form != FORM_RM)
        return false;
    if (three)
        op->imm = insn->op[2].imm.value.u;
    op->fn = imul_table[three][form == FORM_RM][operand_size_index(op->size)];
    return op->fn;
}

bool bind_muldiv(struct op *op, const struct binder_input *in)
{
    if (op->mnemonic == ZYDIS_MNEMONIC_IMUL && in->insn->info.operand_count_visible > 1)
        return bind_imul(op, in->insn);
    for (unsigned i = 0; i < ARRAY_SIZE(accumulator_table); i++) {
        enum operand_form form;

        if (accumulator_table[i].mnemonic != op->mnemonic)
            continue;
        form = operand_form(op, in->insn);
        if (form != FORM_R && form != FORM_M)
            return false;
        op->fn = accumulator_table[i].fn[form == FORM_M][operand_size_index(op->size)];
        return true;
    }
    return false;
}

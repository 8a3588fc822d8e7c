/*
 * Integer arithmetic of one operand: INC, DEC, NEG, NOT.
 * Source: SDM 2.
 */
#include "engine/interp/place.h"

/* INC and DEC keep CF; NEG sets all flags; NOT touches none. */
#define EXEC_CARRY(insn, constraint, place, T)                                                     \
    do {                                                                                           \
        uint32_t flags = cpu->arith;                                                               \
        asm(CARRY_LOAD insn " %0" FLAGS_SAVE : "+" constraint(place), "+a"(flags) : : "cc");       \
        cpu->arith = flags;                                                                        \
    } while (0)
#define EXEC_FRESH(insn, constraint, place, T)                                                     \
    do {                                                                                           \
        uint32_t flags;                                                                            \
        asm(insn " %0" FLAGS_SAVE : "+" constraint(place), "=a"(flags) : : "cc");                  \
        cpu->arith = flags;                                                                        \
    } while (0)
#define EXEC_QUIET(insn, constraint, place, T) asm(insn " %0" : "+" constraint(place) : : "cc")

#define UNARY_MEMORY(name, insn, kind, T, bits, form)                                              \
    MEMORY_BODY(name##bits##_##form)                                                               \
    {                                                                                              \
        EXEC_##kind(insn, "m", PLACE(T, place), T);                                                \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    MEMORY_HANDLER(name##bits##_##form, rmw, sizeof(T))

#define UNARY(name, suffix, kind, T, bits)                                                         \
    HANDLER(name##bits##_r)                                                                        \
    {                                                                                              \
        T a = CPU_REG(cpu, T, op->dst);                                                            \
                                                                                                   \
        EXEC_##kind(#name suffix, "r", a, T);                                                      \
        REG_SET(cpu, T, op->dst, a);                                                               \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    UNARY_MEMORY(name, #name suffix, kind, T, bits, m)                                             \
    UNARY_MEMORY(name, "lock " #name suffix, kind, T, bits, m_locked)

#define UNARY_SIZES(name, kind)                                                                    \
    UNARY(name, "b", kind, uint8_t, 8)                                                             \
    UNARY(name, "w", kind, uint16_t, 16)                                                           \
    UNARY(name, "l", kind, uint32_t, 32)                                                           \
    UNARY(name, "q", kind, uint64_t, 64)

UNARY_SIZES(inc, CARRY)
UNARY_SIZES(dec, CARRY)
UNARY_SIZES(neg, FRESH)
UNARY_SIZES(not, QUIET)

#define ROWS(name)                                                                                 \
    {                                                                                              \
        SIZES(name, r), SIZES(name, m), SIZES(name, m_locked)                                      \
    }

static const struct {
    uint16_t mnemonic;
    op_fn fn[3][4];
} unary_table[] = {
    {ZYDIS_MNEMONIC_INC, ROWS(inc)},
    {ZYDIS_MNEMONIC_DEC, ROWS(dec)},
    {ZYDIS_MNEMONIC_NEG, ROWS(neg)},
    {ZYDIS_MNEMONIC_NOT, ROWS(not )},
};

bool bind_unary(struct op *op, const struct binder_input *in)
{
    for (unsigned i = 0; i < ARRAY_SIZE(unary_table); i++) {
        enum operand_form form;

        if (unary_table[i].mnemonic != op->mnemonic)
            continue;
        form = operand_form(op, in->insn);
        if (form < FORM_R || form > FORM_M_LOCKED)
            return false;
        op->fn = unary_table[i].fn[form - FORM_R][operand_size_index(op->size)];
        return true;
    }
    return false;
}

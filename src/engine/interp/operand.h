/*
 * What the instruction templates of the interpreter share: forms of operands, register writes and
 * the exchange of arithmetic flags with the host.
 *
 * A handler is made once for each operand size and form, so that nothing is left to decide while
 * the guest runs. Flags are never computed: the host executes the same instruction at the same
 * width and LAHF with SETO captures what came out, also where the manual leaves a flag undefined.
 * Source: SDM 2 "LAHF", "SETcc"; SDM 1 "General-Purpose Registers in 64-Bit Mode" for what a write
 * of 32 bits does to the upper half.
 */
#ifndef UMBRA_ENGINE_INTERP_OPERAND_H
#define UMBRA_ENGINE_INTERP_OPERAND_H

#include "engine/soft/access.h"
#include "engine/soft/op.h"

#define HANDLER(name) static enum step name(struct cpu *cpu, const struct op *op)

/* The short paths must end up inside the handlers, or they are none. */
#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Operands one and two: R register, M memory, I immediate. */
enum operand_form {
    FORM_RR,
    FORM_RM,
    FORM_RI,
    FORM_MR,
    FORM_MI,
    FORM_MR_LOCKED,
    FORM_MI_LOCKED,
    FORM_PAIRS, /* how many forms of two operands there are */
    FORM_R = FORM_PAIRS,
    FORM_M,
    FORM_M_LOCKED,
    FORM_I,
    FORM_NONE, /* no operand that can be seen, or one that is neither of these */
};

/*
 * The form of the first two visible operands; fills in dst and src (byte offsets into x.gpr), imm
 * and size (of the first operand, in bytes).
 */
enum operand_form operand_form(struct op *op, const struct x86_insn *insn);

/* The byte offset into x.gpr of a general-purpose register of any width. */
uint8_t operand_register(ZydisRegister reg);

/* Whether an operand is a general-purpose register. */
bool operand_is_gpr(const ZydisDecodedOperand *operand);

/*
 * Operand size in bytes where it follows from the mode and the operand size prefix alone: 8 or 2 in
 * 64-bit mode (stack instructions), else 4 or 2.
 */
unsigned operand_stack_width(const struct binder_input *in);

/* 0..3 for 1, 2, 4, 8 bytes. */
static inline unsigned operand_size_index(unsigned bytes)
{
    return (unsigned)__builtin_ctz(bytes | 8);
}

/* Writes a register of type T: 32 bits clear the upper half, 8 and 16 leave the rest alone. */
#define REG_SET(cpu, T, offset, value)                                                             \
    do {                                                                                           \
        if (sizeof(T) == 4)                                                                        \
            CPU_REG(cpu, uint64_t, offset) = (uint32_t)(value);                                    \
        else                                                                                       \
            CPU_REG(cpu, T, offset) = (T)(value);                                                  \
    } while (0)

/* A handler's four sizes, and the three without bytes, as table rows. */
#define SIZES(name, form)                                                                          \
    {                                                                                              \
        name##8_##form, name##16_##form, name##32_##form, name##64_##form                          \
    }
#define WIDE_SIZES(name, form)                                                                     \
    {                                                                                              \
        NULL, name##16_##form, name##32_##form, name##64_##form                                    \
    }

/*
 * Assembly around the instruction proper: EAX is cpu->arith before and after. AL is 0 or 1, so that
 * adding 7Fh to it overflows just if OF was set; SAHF leaves OF alone.
 */
#define FLAGS_SAVE "\n\tlahf\n\tseto %%al"
#define FLAGS_LOAD "addb $0x7f, %%al\n\tsahf\n\t"
#define CARRY_LOAD "btl $8, %%eax\n\t"

/* In cpu->arith. */
#define ARITH_OF         0x0001u
#define ARITH_CF         0x0100u
#define ARITH_PF         0x0400u
#define ARITH_AF         0x1000u
#define ARITH_ZF         0x4000u
#define ARITH_SF         0x8000u
#define ARITH_LAHF_SHIFT 8

/* The families of bind_integer; each as op.h describes binders. */
bool bind_alu(struct op *op, const struct binder_input *in);
bool bind_unary(struct op *op, const struct binder_input *in);
bool bind_shift(struct op *op, const struct binder_input *in);
bool bind_muldiv(struct op *op, const struct binder_input *in);
bool bind_mov(struct op *op, const struct binder_input *in);
bool bind_extend(struct op *op, const struct binder_input *in);
bool bind_conditional(struct op *op, const struct binder_input *in);
bool bind_bits(struct op *op, const struct binder_input *in);
bool bind_exchange(struct op *op, const struct binder_input *in);
bool bind_stack(struct op *op, const struct binder_input *in);
bool bind_flags(struct op *op, const struct binder_input *in);
bool bind_bcd(struct op *op, const struct binder_input *in);
bool bind_misc(struct op *op, const struct binder_input *in);

#endif

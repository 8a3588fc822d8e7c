/*
 * A decoded instruction as the interpreter runs it: one cache line, with operands resolved as far
 * as they do not depend on registers.
 */
#ifndef UMBRA_ENGINE_SOFT_OP_H
#define UMBRA_ENGINE_SOFT_OP_H

#include "engine/soft/cpu.h"

typedef enum step (*op_fn)(struct cpu *cpu, const struct op *op);

#define OP_LOCK   BIT(0) /* LOCK prefix, or XCHG with memory */
#define OP_REP    BIT(1) /* REP / REPE */
#define OP_REPNE  BIT(2)
#define OP_MEM    BIT(3) /* has a memory operand described by base, index, scale, disp, seg */
#define OP_ENDS   BIT(4) /* the block ends after it (set by the binder) */
#define OP_SHADOW BIT(5) /* may start an interrupt shadow: the block ends too */

struct op {
    op_fn fn;
    uint64_t imm; /* immediate, sign-extended to 64 bits unless the instruction zero-extends;
                     relative branches: the displacement; far pointers: offset */
    int64_t disp;
    uint64_t addr_mask; /* 16, 32 or 64 bits of the effective address count */
    const void *native; /* host code (native.c), or what else the function wants */
    uint8_t base;       /* byte offsets into x.gpr: 8 * X86_RAX ... 8 * X86_ZERO, 8 * X86_RIP */
    uint8_t index;
    uint8_t scale;     /* a shift count, 0..3 */
    uint8_t seg;       /* enum x86_seg, effective (override or default) */
    uint8_t dst;       /* byte offsets into x.gpr of the register operands (AH = 1, CH = 9 ...); */
    uint8_t src;       /* for control, debug and segment registers their number */
    uint8_t size;      /* operand size in bytes: 1, 2, 4, 8 (see the binder for exceptions) */
    uint8_t len;       /* instruction length */
    uint8_t flags;     /* OP_* */
    uint8_t cc;        /* condition code, 0..15 */
    uint16_t mnemonic; /* ZydisMnemonic */
    uint16_t aux;      /* second immediate (ENTER), far pointer's selector, or private use */
    uint8_t src2;      /* third register operand (VEX BMI: MULX, ANDN ...) */
    uint8_t lookups;   /* memory operands, also implied ones: how often it asks the TLB */
    uint8_t left;      /* ops behind it in its block */
    uint8_t pad[3];
};

_Static_assert(sizeof(struct op) == 64, "an op is one cache line");

/*
 * A family of instructions: looks at the decoded instruction and, if it is one of its own, fills in
 * fn (and whatever else it wants; the common fields are filled in already, see bind.c) and returns
 * true. Asked in a fixed order when a block is decoded; what nobody binds raises #UD.
 */
struct binder_input {
    struct cpu *cpu;
    const struct x86_insn *insn;
    enum x86_mode mode;
};
bool bind_segment(struct op *op,
                  const struct binder_input *in); /* interp/: segments, far, INT, gates */
bool bind_integer(struct op *op, const struct binder_input *in); /* interp/: the user integer set */
bool bind_control(struct op *op, const struct binder_input *in); /* interp/: jumps, calls, loops */
bool bind_string(struct op *op, const struct binder_input *in);  /* interp/: string instructions */
bool bind_system(struct op *op, const struct binder_input *in); /* interp/: privileged, sensitive */
bool bind_native(struct op *op, const struct binder_input *in); /* soft/native*.c: SIMD, x87 ... */

/* Raises #UD: what is bound when nothing else is. */
enum step op_undefined(struct cpu *cpu, const struct op *op);

/* The exit that an instruction is. */
static inline struct exit exit_of(const struct op *op, enum exit_reason reason,
                                  uint64_t qualification)
{
    return (struct exit){.reason = reason, .length = op->len, .qualification = qualification};
}

/* The effective address (offset in the segment). */
static inline uint64_t op_offset(const struct cpu *cpu, const struct op *op)
{
    return (CPU_REG(cpu, uint64_t, op->base) + (CPU_REG(cpu, uint64_t, op->index) << op->scale) +
            (uint64_t)op->disp) &
           op->addr_mask;
}

#endif

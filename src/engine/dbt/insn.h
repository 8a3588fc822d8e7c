/*
 * What the files of safe instructions share. Each function here emits one kind of instruction from
 * translator's `insn`; false: not this one, whatever has been emitted is taken back.
 */
#ifndef UMBRA_ENGINE_DBT_INSN_H
#define UMBRA_ENGINE_DBT_INSN_H

#include "engine/dbt/internal.h"

typedef bool (*insn_fn)(struct translator *t);

/* AH among the registers of an instruction without a REX prefix, behind it CH, DH and BH. */
#define HOST_AH 4

/* --- modrm.c --- */

/* The guest number of a general register, or -1: AH to BH, and what is no general register. */
int guest_register(ZydisRegister reg);

/* The operands of an instruction with ModRM. */
struct operands {
    const ZydisDecodedOperand *reg, *rm; /* reg: NULL when ModRM.reg extends the opcode */
    bool high;                           /* one of them is AH, CH, DH or BH */
};

/* False when there is one that no code here knows. */
bool find_operands(const struct translator *t, struct operands *out);

/* The guest's instruction with its opcode, prefixes and immediate; no operands yet. */
struct encoding encoding_of(const struct x86_insn *insn);

/* Whether an instruction writes an operand. */
bool operand_written(const ZydisDecodedOperand *operand);

/* ModRM with registers, memory and immediates. */
bool insn_modrm(struct translator *t);
/* The same, and RAX is read and written beside them. */
bool insn_accumulator(struct translator *t);

/* --- divide.c --- */

bool insn_divide(struct translator *t); /* DIV, IDIV */

/* --- exchange.c --- */

bool insn_bit_string(struct translator *t);    /* BT and its like, memory and a register */
bool insn_exchange_pair(struct translator *t); /* CMPXCHG8B, CMPXCHG16B */
bool insn_exchange_rax(struct translator *t);  /* XCHG in one byte */

/* --- stack.c --- */

bool insn_push(struct translator *t);
bool insn_pop(struct translator *t);
bool insn_pushf(struct translator *t);
bool insn_leave(struct translator *t);

/* --- system.c --- */

bool insn_cli(struct translator *t);
bool insn_direction(struct translator *t); /* CLD, STD */
bool insn_swapgs(struct translator *t);
bool insn_from_segment(struct translator *t); /* MOV from a segment register */

#endif

/*
 * Host code, one instruction at a time: which bytes, never which code. Operands are host registers
 * by number, memory, and the vCPU's state, which GS points to.
 * Source: SDM 2 "Instruction Format".
 */
#ifndef UMBRA_ENGINE_DBT_EMIT_H
#define UMBRA_ENGINE_DBT_EMIT_H

#include "base/types.h"

/* A longer instruction is #GP on the host, whatever it would do. */
#define HOST_INSN_MAX_BYTES 15

/* Where code goes: written through one view of the memory, run through another. */
struct emitter {
    uint8_t *at, *end; /* the writable view */
    bool full;         /* something did not fit; what was emitted is worth nothing */
    bool too_long;     /* so is an instruction of more than HOST_INSN_MAX_BYTES, until taken back */
};

enum host_reg {
    HOST_RAX,
    HOST_RCX,
    HOST_RDX,
    HOST_RBX,
    HOST_RSP,
    HOST_RBP,
    HOST_RSI,
    HOST_RDI,
    HOST_R8,
    HOST_R9,
    HOST_R10,
    HOST_R11,
    HOST_R12,
    HOST_R13,
    HOST_R14,
    HOST_R15,
    HOST_NONE,
};

enum rm_kind { RM_REG, RM_MEM, RM_STATE };

/* The operand in ModRM.rm. */
struct rm {
    enum rm_kind kind;
    uint8_t base; /* RM_REG: the register; RM_MEM and RM_STATE: HOST_NONE for none */
    uint8_t index;
    uint8_t scale; /* a shift count */
    int32_t disp;  /* RM_STATE: byte offset in struct cpu */
};

/* An instruction's bytes before and after ModRM. */
struct encoding {
    uint8_t map;    /* 0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A */
    uint8_t opcode; /* the last byte */
    uint8_t prefix; /* F2, F3 or 66, or 0 */
    uint8_t size;   /* operand size in bytes: 2 adds 66, 8 REX.W */
    uint8_t imm_bytes;
    bool lock;
    bool vex; /* in the place of prefix, REX and map; size 8 is VEX.W */
    bool vex_256;
    uint8_t vvvv;           /* a register; 0 where there is none */
    bool byte_reg, byte_rm; /* a register there is a byte register: SIL and the like want a REX */
    uint64_t imm;
};

static inline struct rm rm_reg(unsigned reg)
{
    return (struct rm){.kind = RM_REG, .base = (uint8_t)reg};
}

static inline struct rm rm_at(unsigned base, int32_t disp)
{
    return (struct rm){.kind = RM_MEM, .base = (uint8_t)base, .index = HOST_NONE, .disp = disp};
}

static inline struct rm rm_sum(unsigned base, unsigned index, unsigned scale, int32_t disp)
{
    return (struct rm){.kind = RM_MEM,
                       .base = (uint8_t)base,
                       .index = (uint8_t)index,
                       .scale = (uint8_t)scale,
                       .disp = disp};
}

/* A field of struct cpu. */
static inline struct rm rm_state(size_t offset)
{
    return (struct rm){
        .kind = RM_STATE, .base = HOST_NONE, .index = HOST_NONE, .disp = (int32_t)offset};
}

/* The same, as an element of a table: offset + base. */
static inline struct rm rm_state_at(unsigned base, size_t offset)
{
    return (struct rm){
        .kind = RM_STATE, .base = (uint8_t)base, .index = HOST_NONE, .disp = (int32_t)offset};
}

void emit8(struct emitter *e, unsigned byte);
void emit32(struct emitter *e, uint32_t value);
void emit64(struct emitter *e, uint64_t value);

/* Opcodes that are wanted often; of a register and ModRM.rm. */
#define OPCODE_XCHG  0x87
#define OPCODE_STORE 0x89
#define OPCODE_LOAD  0x8b
#define OPCODE_LEA   0x8d

/* An instruction with a ModRM byte. */
void emit_modrm(struct emitter *e, const struct encoding *encoding, unsigned reg, struct rm rm);

/* Instructions of one opcode byte; size is 4 or 8 bytes. */
void emit_op(struct emitter *e, unsigned opcode, unsigned size, unsigned reg, struct rm rm);
void emit_op_imm(struct emitter *e, unsigned opcode, unsigned size, unsigned digit, struct rm rm,
                 uint64_t imm, unsigned imm_bytes);

void emit_load(struct emitter *e, unsigned reg, struct rm rm);  /* 64 bits */
void emit_store(struct emitter *e, struct rm rm, unsigned reg); /* 64 bits */
void emit_move(struct emitter *e, unsigned to, unsigned from);  /* 64 bits; nothing if the same */
void emit_lea(struct emitter *e, unsigned reg, struct rm rm);
/* The shortest way to a constant; leaves the flags alone. */
void emit_constant(struct emitter *e, unsigned reg, uint64_t value);

/* Jumps with 32 bits of displacement. Each returns where the displacement stands. */
uint8_t *emit_jmp(struct emitter *e);
uint8_t *emit_jcc(struct emitter *e, unsigned cc);
uint8_t *emit_call(struct emitter *e);
/* Lets a displacement lead to a place in the same view. */
void patch_jump(uint8_t *displacement, const uint8_t *to);
/* The same in code that is being emitted, unless it did not fit. */
void emit_patch(struct emitter *e, uint8_t *displacement, const uint8_t *to);

#define CC_AE 0x3
#define CC_E  0x4
#define CC_NE 0x5
#define CC_BE 0x6
#define CC_A  0x7

static inline bool fits_int32(uint64_t value)
{
    return (uint64_t)(int64_t)(int32_t)value == value;
}

#endif

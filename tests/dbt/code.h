/*
 * Guest code for the random programs, one instruction a call. 64-bit operands and addresses unless
 * a size is given; registers by number.
 * Source: SDM 2 "Instruction Format".
 */
#ifndef UMBRA_TESTS_DBT_CODE_H
#define UMBRA_TESTS_DBT_CODE_H

#include "base/types.h"
#include "x86/state.h"

/* Bytes that will stand at some offset of the region. */
struct code {
    uint8_t *bytes;
    unsigned used, room; /* what does not fit is left out and shows in `used` only */
    uint32_t offset;     /* of bytes[0] in the region */
    unsigned pad;        /* redundant prefixes before what has ModRM, as far as there is room */
};

#define NO_REG 0xff

/* [base + index * 2^scale + disp], or relative to RIP: region offset disp. */
struct place {
    uint8_t base, index, scale;
    bool relative;
    int32_t disp;
};

static inline struct place place_at(unsigned base, int32_t disp)
{
    return (struct place){.base = (uint8_t)base, .index = NO_REG, .disp = disp};
}

static inline struct place place_in_region(uint32_t offset)
{
    return (struct place){.relative = true, .disp = (int32_t)offset};
}

void code_8(struct code *code, unsigned byte);
void code_value(struct code *code, uint64_t value, unsigned bytes);
#define CODE_TEXT(code, text) code_text(code, text, sizeof(text) - 1)
void code_text(struct code *code, const char *bytes, unsigned len);

/*
 * An instruction with ModRM; size 1, 2, 4 or 8 (1: byte registers, 2 adds 66, 8 REX.W). The opcode
 * is one byte, or two that begin with 0F, with a prefix F2, F3, 66 or F0 above them (or 0).
 * imm_bytes is what follows it, which RIP-relative operands must know.
 */
void code_rr(struct code *code, unsigned size, uint32_t opcode, unsigned reg, unsigned rm);
void code_rm(struct code *code, unsigned size, uint32_t opcode, unsigned reg, struct place place,
             unsigned imm_bytes);

void code_constant(struct code *code, unsigned reg, uint64_t value);    /* 10 bytes */
void code_constant_32(struct code *code, unsigned reg, uint32_t value); /* 5 or 6 bytes */
void code_lea(struct code *code, unsigned reg, struct place place);
void code_push(struct code *code, unsigned reg);
void code_pop(struct code *code, unsigned reg);

/* E8, E9 or 0F80 + cc, to an offset of the region. */
void code_branch(struct code *code, unsigned opcode, uint32_t target);
#define CODE_CALL 0xe8
#define CODE_JMP  0xe9
#define CODE_JCC  0x0f80

/* NOPs of any length. */
void code_fill(struct code *code, unsigned bytes);

#endif

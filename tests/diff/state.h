/*
 * What a case of the differential test is: code, the state before it, and the state after it as
 * the host's processor and as the soft engine left it.
 */
#ifndef UMBRA_TESTS_DIFF_STATE_H
#define UMBRA_TESTS_DIFF_STATE_H

#include "base/types.h"
#include "x86/insn.h"
#include "x86/state.h"

/* The address space of both sides; everything else is unmapped. */
#define DIFF_CODE      0x10000000u /* two pages, read and execute */
#define DIFF_CODE_SIZE 0x2000u
#define DIFF_DATA      0x20000000u /* two pages read and write, then one read-only */
#define DIFF_DATA_RW   0x2000u
#define DIFF_DATA_SIZE 0x3000u

#define DIFF_MAX_INSNS 6
#define DIFF_MAX_BYTES (DIFF_MAX_INSNS * X86_INSN_MAX_BYTES)

#define DIFF_CS64 0x33
#define DIFF_CS32 0x23
#define DIFF_SS   0x2b

struct diff_state {
    uint64_t gpr[16];
    uint64_t rip, rflags;
    uint64_t fs_base, gs_base;
    uint8_t ymm[16][32];
    uint8_t st[8][16];
    uint16_t fcw, fsw;
    uint8_t ftw; /* abridged */
    uint32_t mxcsr;
    /* Afterwards only. */
    int vector;             /* of the exception that ended the case; #BP when it ran to its end */
    uint64_t fault_address; /* for #PF */
};

struct diff_case {
    bool compat;    /* 32-bit code */
    uint64_t start; /* linear address of the first byte */
    uint8_t code[DIFF_MAX_BYTES];
    unsigned len, count;
    uint16_t mnemonics[DIFF_MAX_INSNS];
    uint8_t lengths[DIFF_MAX_INSNS];
    /* Arithmetic flags that the manual leaves undefined after each instruction. */
    uint64_t undefined_flags[DIFF_MAX_INSNS];
    struct diff_state before;
    const uint8_t *data; /* DIFF_DATA_SIZE bytes */
};

/* How many instructions the case got through, by its final RIP. */
unsigned diff_reached(const struct diff_case *c, const struct diff_state *s);

/* What may differ between two processors that both follow the manual (tolerance.c). */
#define DIFF_TOLERATE_CASE    BIT(0) /* everything */
#define DIFF_TOLERATE_FAULT   BIT(1) /* which of its exceptions an instruction met first */
#define DIFF_TOLERATE_VECTORS BIT(2) /* vector and x87 registers */

unsigned diff_tolerance(const struct diff_case *c, const struct diff_state *h,
                        const struct diff_state *g);

#endif

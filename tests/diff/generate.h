/*
 * Makes random cases. All instruction forms are found once by asking the decoder; a case picks
 * mnemonics evenly, then a form of each, then operands that mostly point into the data pages.
 * What depends on the host's operating system or differs between two runs is left out
 * (diff_excluded).
 */
#ifndef UMBRA_TESTS_DIFF_GENERATE_H
#define UMBRA_TESTS_DIFF_GENERATE_H

#include "state.h"
#include "x86/cpuid.h"

/* One form of an instruction, without operands. */
struct diff_template {
    uint16_t mnemonic;
    bool vex;
    uint8_t map;    /* 0: one-byte opcodes, 1: 0F, 2: 0F38, 3: 0F3A */
    uint8_t prefix; /* 0, 66h, F3h, F2h */
    bool w, l;
    uint8_t opcode;
    uint8_t modrm; /* reg field, and for register forms mod and rm */
    bool has_modrm, memory;
};

struct diff_templates {
    struct diff_template *all; /* sorted by mnemonic */
    size_t count;
    size_t *first; /* where each mnemonic starts, and the end */
    size_t mnemonics;
    bool compat;
};

/* Finds the forms that the model has; only: one mnemonic's name, or NULL. -ENOENT: none. */
int diff_templates_init(struct diff_templates *t, const struct cpu_model *model, bool compat,
                        const char *only) must_check;
void diff_templates_fini(struct diff_templates *t);

/* VEX.pp for a mandatory prefix. */
static inline unsigned diff_vex_pp(uint8_t prefix)
{
    return prefix == 0x66 ? 1 : prefix == 0xf3 ? 2 : prefix == 0xf2 ? 3 : 0;
}

/* The form's bytes with the operands that it was found with; bytes holds at least 15. */
void diff_template_bytes(uint8_t *bytes, const struct diff_template *t);

/* Whether two runs of an instruction may differ for reasons that are not the interpreter's. */
bool diff_excluded(const struct x86_insn *insn);

/* Random numbers: splitmix64. */
struct diff_random {
    uint64_t state;
};

static inline uint64_t random_next(struct diff_random *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/* Below n. */
static inline uint64_t random_below(struct diff_random *r, uint64_t n)
{
    return random_next(r) % n;
}

static inline bool random_one_in(struct diff_random *r, uint64_t n)
{
    return random_below(r, n) == 0;
}

#define DIFF_POOL_BYTES 0x10000

/* Fills the pool that the cases' data pages are cut from. */
void diff_pool_init(uint8_t pool[DIFF_POOL_BYTES], uint64_t seed);

/* Makes case number index of a seed. */
void diff_generate(struct diff_case *c, const struct diff_templates *t,
                   const struct cpu_model *model, uint8_t pool[DIFF_POOL_BYTES], uint64_t seed,
                   uint64_t index, uint8_t data[DIFF_DATA_SIZE]);

/* Random register contents (values.c). */
void diff_random_state(struct diff_state *s, struct diff_random *r, bool compat);

/*
 * Arithmetic flags that the manual leaves undefined after an instruction, of those undefined before
 * it and its own. rcx: its value when known, for shift counts; else NULL.
 */
uint64_t diff_undefined_flags(uint64_t undefined, const struct x86_insn *insn, const uint64_t *rcx);

/* Makes an instruction one of 15 bytes by a prefix before it; bytes are another one's then, or no
 * instruction's, if it is no prefix that does nothing there. */
void diff_stretch(uint8_t *bytes, unsigned len, struct diff_random *r);

/* Puts a random operand encoding behind a template; returns the length including spare bytes. */
unsigned diff_encode(uint8_t *bytes, const struct diff_template *t, struct diff_random *r,
                     const struct diff_state *s, uint32_t pointers, bool compat, uint64_t ip);

#endif

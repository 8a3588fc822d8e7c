/*
 * One run of the random test: the guest under test, the model beside it, the registers as the model
 * sees them, the random numbers, and the words for a failure.
 *
 * Guest-physical pages, all below 4 MiB, none of the window's with bit 20 set (A20):
 *
 *   10..1b, 110..113   table pages of all formats and levels (with A20 masked the latter
 * become 10..13) 20..23  24..27  28..2b    roots: 4-level, 32-bit, PAE 200..20f           data
 *   2e0..2e4           tables of the window: linear addresses through which the guest reaches the
 *                      first 4 MiB in each of its address spaces, so that it can edit its tables
 *   2f0                the operands of instructions
 *   2f1..2f6           code, descriptors and stack of instructions.h
 */
#ifndef UMBRA_TESTS_MMU_WORLD_H
#define UMBRA_TESTS_MMU_WORLD_H

#include "guest.h"
#include "model.h"
#include "stale.h"

#define WORLD_POOL      16
#define WORLD_ROOTS     4
#define WORLD_DATA      16
#define WORLD_DATA_PAGE 0x200u
#define WORLD_WINDOW    0x2e0u
#define WORLD_OPERANDS  (0x2f0u * PAGE_SIZE)
#define WORLD_RECENT    16
#define WORLD_WORDS     24

struct world {
    struct guest g;
    struct model m;
    struct stale s;
    struct naive_regs r;
    bool a20;
    uint64_t random;
    uint64_t step;
    gva_t recent[WORLD_RECENT]; /* addresses used lately */
    unsigned lost;              /* edits in a row that found no window */

    char words[WORLD_WORDS][120]; /* what was done last, in a ring */
    uint64_t words_count;
    bool verbose;
    char failure[400]; /* what is wrong; empty: nothing */
    gva_t failed_gva;  /* of the access that went wrong */
    bool has_failed_gva;
    struct naive_access failed_access;

    uint8_t installed[5][PAGE_SIZE]; /* what instructions.c relies on */
    uint64_t outcome;                /* a hash of all that the guest has seen */
    struct {
        uint64_t accesses, by_instruction, faults, stale, edits, flushes, switches, mmio, compared;
    } count;
};

/* Makes all tables anew. False: no memory. */
bool world_init(struct world *w, const struct guest_config *config, uint64_t seed);
void world_fini(struct world *w);

/* Writes fresh tables and data, and flushes. */
void world_rebuild(struct world *w);

uint64_t world_random(struct world *w);
/* 0 .. below - 1. */
uint64_t world_below(struct world *w, uint64_t below);
/* True n times in a thousand. */
bool world_chance(struct world *w, unsigned per_mille);

/* A line for the list of what was done. */
void world_say(struct world *w, const char *format, ...) printf_like(2, 3);
/* The first failure counts. False. */
bool world_fail(struct world *w, const char *format, ...) printf_like(2, 3);

/* Folds a value into the outcome. */
void world_saw(struct world *w, uint64_t value);

/* A linear address that the current format's tables may map, and one for the window. */
gva_t world_random_gva(struct world *w);
gva_t world_window(const struct world *w, gpa_t gpa);

/* A page of tables, a root of a format. */
gpa_t world_pool(unsigned i);
gpa_t world_root(enum naive_format format, unsigned i);

/* An entry of that level (1 to 4), mostly a sensible one. */
uint64_t world_random_entry(struct world *w, enum naive_format format, unsigned level);
/* An index that world_random_gva uses, too. */
unsigned world_random_index(struct world *w, enum naive_format format, unsigned level);

/* Compares all memory that was ever written; false: world_fail was called. */
bool world_compare(struct world *w);

/* Everything that somebody needs who wants to understand the failure. */
void world_report(struct world *w);

#endif

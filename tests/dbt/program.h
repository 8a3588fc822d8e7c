/*
 * A random program: slots of code in the region, each a few items and an end that leads to other
 * slots. What leads backwards costs fuel, so that the program ends.
 *
 * Pages 5 and 6 are twins: the same instructions at the same places, but for some constants. So
 * they may take each other's place, even under code that is running.
 */
#ifndef UMBRA_TESTS_DBT_PROGRAM_H
#define UMBRA_TESTS_DBT_PROGRAM_H

#include "code.h"
#include "fuzz/guest/dice.h"
#include "layout.h"

#define MAX_SLOTS    160
#define REGION_BYTES (REGION_PAGES * 4096u)
#define CODE_PAGES   8
#define TWIN_PAGE    5 /* and the next */
#define FIRST_DATA   8
#define LAST_DATA    23
#define END_DATA     62      /* and the next: the end of the region */
#define CODE_DATA    0x7c00u /* in a page with code: 1 KiB of data */

/* Kinds of items; each can be left out without changing the others. */
#define PROGRAM_FEATURES(F)                                                                        \
    F(ALU)                                                                                         \
    F(FLAGS)                                                                                       \
    F(MEMORY)                                                                                      \
    F(STACK)                                                                                       \
    F(STRAY)                                                                                       \
    F(STRING)                                                                                      \
    F(VECTOR)                                                                                      \
    F(DIVIDE)                                                                                      \
    F(SEGMENT)                                                                                     \
    F(IO)                                                                                          \
    F(MODIFY)                                                                                      \
    F(PAGING)                                                                                      \
    F(REMAP)                                                                                       \
    F(SMAP)                                                                                        \
    F(SHADOW)                                                                                      \
    F(STEP)                                                                                        \
    F(BREAK)                                                                                       \
    F(ALIGN)                                                                                       \
    F(TRAP)                                                                                        \
    F(INDIRECT)                                                                                    \
    F(WINDOW)                                                                                      \
    F(PRIVILEGE)

enum program_feature {
#define F(name) FEATURE_##name,
    PROGRAM_FEATURES(F)
#undef F
        FEATURES
};

extern const char *const program_feature_names[FEATURES];

struct program_config {
    uint64_t seed;
    uint64_t features; /* a bit each */
    unsigned fuel;
    unsigned max_items; /* of a slot */
};

struct slot {
    uint32_t offset, size;
    uint64_t seed; /* the same for twins */
    bool twin;
    uint32_t constant; /* the offset of an immediate that may be written to, or 0 */
    uint32_t branch;   /* of a short JZ or JNZ, or 0 */
};

struct program {
    struct program_config config;
    unsigned slots;
    struct slot slot[MAX_SLOTS];
    uint8_t region[REGION_BYTES];
};

void program_make(struct program *program, const struct program_config *config);

/* What is being generated: one slot. */
struct maker {
    struct program *program;
    struct dice dice; /* of the item at hand */
    struct slot *slot;
    unsigned number;
    struct code code;
};

/* --- items.c, items_system.c: each puts a few instructions --- */

enum program_feature item_choose(struct dice *dice);
void item_put(struct maker *maker, enum program_feature feature);
/* An access of some size and kind. */
void item_access(struct maker *maker, struct place place);
/* A few accesses to a random place. */
void item_memory(struct maker *maker);
void item_system(struct maker *maker, enum program_feature feature);

/* A register that programs use freely: neither RSP nor R14. */
unsigned maker_register(struct maker *maker);
/* The base of a random window of the region. */
uint64_t maker_window(struct maker *maker);
/* An offset of data in the region, often at an edge of a page. */
uint32_t maker_data(struct maker *maker);

/* --- ends.c --- */

#define END_BYTES 72
/* The end of a slot; fills it. */
void end_put(struct maker *maker);

#endif

/*
 * A random program of 32-bit code for segments of every kind: slots of code, each a few items and
 * an end that leads to other slots. What leads backwards costs EBP, so that the program stops.
 */
#ifndef UMBRA_TESTS_DBT_SEGMENTS_PROGRAM_H
#define UMBRA_TESTS_DBT_SEGMENTS_PROGRAM_H

#include "../code.h"
#include "fuzz/guest/dice.h"
#include "layout.h"

#define SLOT_BYTES 144u
#define SLOTS      (CODE_BYTES / SLOT_BYTES)
#define FUEL       24u /* what EBP begins with */

struct program_config {
    uint64_t seed;
    unsigned max_items; /* of a slot */
    bool user;          /* at CPL 3 */
};

struct program {
    struct program_config config;
    uint8_t code[CODE_BYTES];
    uint8_t data[DATA_BYTES];
};

void program_make(struct program *program, const struct program_config *config);

/* A selector for a descriptor, of the program's privilege. */
static inline uint16_t program_selector(const struct program_config *config, unsigned segment)
{
    return (uint16_t)(8 * segment | (config->user ? 3 : 0));
}

/* One of data for a segment register: flat most often. */
unsigned program_pick_data(struct dice *dice);
/* One of code for CS. */
unsigned program_pick_code(struct dice *dice);

static inline uint32_t program_slot(unsigned slot)
{
    return CODE_AT + slot * SLOT_BYTES;
}

#endif

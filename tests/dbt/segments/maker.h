/* What is being generated: one slot; and the items that it is made of. */
#ifndef UMBRA_TESTS_DBT_SEGMENTS_MAKER_H
#define UMBRA_TESTS_DBT_SEGMENTS_MAKER_H

#include "program.h"

struct maker {
    const struct program *program;
    struct dice dice;
    struct code code;
};

/* The prefix of any segment register. */
unsigned maker_prefix(struct maker *maker);
uint16_t maker_selector(const struct maker *maker, unsigned segment);

/* Puts a few instructions of some kind. */
void item_put(struct maker *maker);

#endif

/* Between the two files that make code: where it goes, and the means to write it. */
#ifndef UMBRA_TESTS_FUZZ_CODE_H
#define UMBRA_TESTS_FUZZ_CODE_H

#include "guest/guest.h"

struct code {
    struct dice *dice;
    enum x86_mode mode;
    uint8_t *bytes; /* what does not fit is left out */
    size_t used, room;
};

void code_byte(struct code *code, uint8_t byte);
void code_value(struct code *code, uint64_t value, unsigned bytes); /* little-endian */
void code_text(struct code *code, const char *bytes, size_t len);

/* A few instructions that do something together (sequence.c). */
void code_sequence(struct code *code);

#endif

/* Sizes and numbers as people type them. */
#ifndef UMBRA_CMD_SIZE_H
#define UMBRA_CMD_SIZE_H

#include "base/types.h"

/*
 * Parses a whole number with an optional suffix K, M, G or T (powers of 1024, either case); without
 * one it counts MiB, as other virtual machine monitors have it. 0, -EINVAL when it is no such
 * thing, -ERANGE when it does not fit 64 bits.
 */
int size_parse(const char *text, uint64_t *bytes) must_check;

/* Parses a whole decimal number. 0, -EINVAL or -ERANGE. */
int number_parse(const char *text, uint64_t *value) must_check;

#endif

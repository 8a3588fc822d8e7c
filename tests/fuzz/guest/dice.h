/*
 * Choices for generated tests: from given bytes as long as they last (so that a fuzzer steers),
 * then from a seeded generator. The same bytes and seed give the same choices.
 */
#ifndef UMBRA_TESTS_FUZZ_DICE_H
#define UMBRA_TESTS_FUZZ_DICE_H

#include <string.h>

#include "base/types.h"

struct dice {
    const uint8_t *bytes;
    size_t left_bytes;
    uint64_t seed;
};

/* SplitMix64 (Steele, Lea, Flood, 2014): any seed will do, 0 too. */
static inline uint64_t dice_random64(struct dice *dice)
{
    uint64_t z = dice->seed += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* The next choice of so many bytes, at most 8. */
static inline uint64_t dice_bytes(struct dice *dice, size_t bytes)
{
    uint64_t value = 0;

    if (dice->left_bytes < bytes)
        return bytes == 8 ? dice_random64(dice) : dice_random64(dice) & (BIT(8 * bytes) - 1);
    memcpy(&value, dice->bytes, bytes);
    dice->bytes += bytes;
    dice->left_bytes -= bytes;
    return value;
}

static inline uint64_t dice_64(struct dice *dice)
{
    return dice_bytes(dice, 8);
}

static inline uint8_t dice_8(struct dice *dice)
{
    return (uint8_t)dice_bytes(dice, 1);
}

/* 0 to n - 1. */
static inline unsigned dice_below(struct dice *dice, unsigned n)
{
    return (unsigned)(dice_bytes(dice, n > 256 ? 4 : 1) % n);
}

/* True so many times in 256. */
static inline bool dice_chance(struct dice *dice, unsigned in_256)
{
    return dice_8(dice) < in_256;
}

#define DICE_PICK(dice, array) ((array)[dice_below(dice, ARRAY_SIZE(array))])

#endif

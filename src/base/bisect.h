/* Bisection of a sorted array, for whatever is found by address: slots, ranges of a bus. */
#ifndef UMBRA_BASE_BISECT_H
#define UMBRA_BASE_BISECT_H

#include "base/types.h"

/*
 * The index of the first of count elements that does not end below the key; count when all do.
 * ends_below(array, i, key) holds for the elements before it and for no other.
 */
static inline __attribute__((always_inline)) size_t
bisect(const void *array, size_t count, uint64_t key,
       bool (*ends_below)(const void *array, size_t index, uint64_t key))
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (ends_below(array, mid, key))
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

#endif

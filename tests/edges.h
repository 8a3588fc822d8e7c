/* Numbers at the edges of the integer types, where arithmetic goes wrong; for an initializer. */
#ifndef UMBRA_TESTS_EDGES_H
#define UMBRA_TESTS_EDGES_H

#define INTEGER_EDGES                                                                              \
    0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,         \
        0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff

#endif

/*
 * Where things lie in the guest of the random segment programs, the same in physical and in linear
 * addresses, and its descriptors.
 *
 *   1000 ..  3FFF   page tables, for compatibility mode     20000 .. 27FFF   code
 *   5000 ..  6FFF   GDT, IDT                                30000 .. 37FFF   data
 *   7000 ..  8FFF   TSS, handlers: a HLT a vector           60000 .. 67FFF   code, seen from BASE
 *   A000 ..  BFFF   stacks of the handlers                  70000 .. 77FFF   data, seen from BASE
 */
#ifndef UMBRA_TESTS_DBT_SEGMENTS_LAYOUT_H
#define UMBRA_TESTS_DBT_SEGMENTS_LAYOUT_H

#define GPA_TABLES   0x1000u
#define GPA_GDT      0x5000u
#define GPA_IDT      0x6000u
#define GPA_TSS      0x7000u
#define GPA_HANDLERS 0x8000u
#define GPA_STACK    0xbf00u
#define GPA_END      0x80000u

#define CODE_AT    0x20000u
#define CODE_BYTES 0x8000u
#define DATA_AT    0x30000u
#define DATA_BYTES 0x8000u
#define BASE       0x40000u /* of based segments */
#define EDGE       0x33000u /* where limits are, nearly */
#define POINTERS   0x34000u /* far pointers, one for each descriptor */
#define STACK_TOP  0x36000u
#define STACK_BASE 0x30000u /* of 16-bit stacks: SP leads to the same place */

/*
 * The descriptors: name, base, limit as the descriptor has it, attributes as bits 8 to 23 of the
 * upper half are, DPL 0. The program's own privilege is put in where a row says so.
 */
#define OWN 1
#define DESCRIPTORS(D)                                                                             \
    D(NOTHING, 0, 0, 0, 0)                                                                         \
    D(FLAT, 0, 0xfffff, 0xc093, OWN)                                                               \
    D(CODE, 0, 0xfffff, 0xc09b, OWN)                                                               \
    D(CODE_UNREADABLE, 0, 0xfffff, 0xc099, OWN)                                                    \
    D(CODE_CONFORMING, 0, 0xfffff, 0xc09f, 0)                                                      \
    D(CODE_CONFORMING_UNREADABLE, 0, 0xfffff, 0xc09d, 0)                                           \
    D(CODE_LIMITED, 0, 0x23fff, 0x409b, OWN)                                                       \
    D(CODE_BASED, BASE, 0xfffff, 0xc09b, OWN)                                                      \
    D(READ_ONLY, 0, 0xfffff, 0xc091, OWN)                                                          \
    D(BASED, BASE, 0xfffff, 0xc093, OWN)                                                           \
    D(BASED_BY_4, 4, 0xfffff, 0xc093, OWN)                                                         \
    D(BASED_LIMITED, BASE, EDGE + 3, 0x4093, OWN)                                                  \
    D(LIMITED, 0, EDGE + 7, 0x4093, OWN)                                                           \
    D(LIMITED_READ_ONLY, 0, EDGE + 5, 0x4091, OWN)                                                 \
    D(NEARLY_FLAT, 0, 0xffffe, 0xc093, OWN)                                                        \
    D(DOWN, 0, EDGE + 3, 0x4097, OWN)                                                              \
    D(DOWN_READ_ONLY, 0, EDGE - 1, 0x4095, OWN)                                                    \
    D(DOWN_WIDE, 0, 0x2f, 0xc097, OWN)                                                             \
    D(DOWN_16, 0, 0x2fff, 0x0097, OWN)                                                             \
    D(STACK_16, STACK_BASE, 0xffff, 0x0093, OWN)                                                   \
    D(FLAT_16, 0, 0xfffff, 0x8093, OWN)                                                            \
    D(NOT_ACCESSED, 0, 0xfffff, 0xc092, OWN)                                                       \
    D(MISSING, 0, 0xfffff, 0xc013, OWN)                                                            \
    D(SYSTEM_FLAT, 0, 0xfffff, 0xc093, 0)                                                          \
    D(SYSTEM_CODE_32, 0, 0xfffff, 0xc09b, 0)                                                       \
    D(SYSTEM_CODE_64, 0, 0xfffff, 0xa09b, 0)

enum descriptor {
#define D(name, base, limit, attr, own) SEGMENT_##name,
    DESCRIPTORS(D)
#undef D
        SEGMENTS
};

#endif

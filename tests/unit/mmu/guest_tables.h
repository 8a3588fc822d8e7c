/* Guest page tables made by hand: bits of entries, where 4-level tables lie, and their walk. */
#ifndef UMBRA_TESTS_UNIT_MMU_GUEST_TABLES_H
#define UMBRA_TESTS_UNIT_MMU_GUEST_TABLES_H

#include "mem/mem.h"
#include "mmu/guest_walk.h"

#define P  0x001u
#define W  0x002u
#define U  0x004u
#define A  0x020u
#define D  0x040u
#define PS 0x080u
#define G  0x100u
#define NX BIT(63)

/* A page each. */
#define T4 0x1000u
#define T3 0x2000u
#define T2 0x3000u
#define T1 0x4000u

/* Everything that a processor may have, but SMEP and SMAP. */
static inline struct guest_walk_context four_level_context(struct mem *mem)
{
    return (struct guest_walk_context){
        .mem = mem,
        .format = X86_PAGING_4LEVEL,
        .cr3 = T4,
        .physical_bits = 40,
        .a20_mask = UINT64_MAX,
        .pse = true,
        .wp = true,
        .nxe = true,
        .gib_pages = true,
    };
}

#endif

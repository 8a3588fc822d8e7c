/*
 * A shadow entry: one of 4-level paging (x86/paging.h) with an HVA page frame, and two of the bits
 * that the processor ignores.
 */
#ifndef UMBRA_MMU_SHADOW_ENTRY_H
#define UMBRA_MMU_SHADOW_ENTRY_H

#include "x86/paging.h"

/* An MMIO entry: not present, for no slot is there; rights and frame (a GPA) are kept all the same.
 */
#define SPTE_MMIO  BIT(9)
#define SPTE_LARGE BIT(10) /* the guest's page is larger than 4 KiB, whatever the leaf is */

static inline uint8_t *shadow_frame(uint64_t entry)
{
    return (uint8_t *)(uintptr_t)(entry & X86_PTE_FRAME);
}

/* Whether an entry of a table of this level names another page. */
static inline bool shadow_is_link(uint64_t entry, unsigned level)
{
    return (entry & X86_PTE_P) && !x86_table_is_leaf(entry, level);
}

#endif

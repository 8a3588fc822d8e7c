/*
 * The processor's side of shadow paging: its CR3 in non-root, and its walk of a shadow table. It
 * knows no guest table, and what it meets it does not change: A and D are set from the beginning.
 */
#ifndef UMBRA_MMU_SHADOW_WALK_H
#define UMBRA_MMU_SHADOW_WALK_H

#include "mmu/guest_walk.h"

struct shadow_page;

/* What a processor's CR3 holds in non-root; embedded in the vCPU. */
struct shadow_root {
    struct shadow_page *page; /* the monitor's: kept while in use; NULL before the first switch */
    const uint64_t *table;    /* the processor's: 512 entries of level 4 */
};

struct shadow_mapping {
    uint8_t *hva; /* of the address walked */
    uint64_t page_bytes;
    bool writable;    /* by the access's privilege */
    bool executable;  /* by the access's privilege */
    bool global;      /* the guest's entry has G, whatever CR4.PGE says of it */
    bool guest_large; /* the guest's page is larger than 4 KiB, which INVLPG has to know */
};

/*
 * Walks gva as a processor with CR0.WP and EFER.NXE set does; false: a page fault, which exits.
 * smep is the guest's CR4.SMEP.
 */
bool shadow_walk(const uint64_t *table, gva_t gva, const struct guest_walk_access *access,
                 bool smep, struct shadow_mapping *mapping);

/* The entries that a walk of gva meets, for `walk`: [level - 1]; returns the level of the last. */
unsigned shadow_walk_entries(const uint64_t *table, gva_t gva,
                             const uint64_t *entry_at[X86_TABLE_LEVELS]);

#endif

/*
 * The processors' TLBs as far as the monitor reaches into them: a list, and what all on it are
 * told. It knows no table, and refuses to decide when anything is to be told.
 *
 * Locking: as mmu.h. The functions of a TLB are called on the vCPU's thread or while it is stopped.
 */
#ifndef UMBRA_MMU_TLBS_H
#define UMBRA_MMU_TLBS_H

#include "base/types.h"

struct mmu_tlb {
    void *opaque;
    /* Forgets every translation. */
    void (*flush)(void *opaque);
    /* Forgets permission to write to a guest-physical page, whatever linear address leads there. */
    void (*write_protect)(void *opaque, gpa_t page);
    /* Slots came or went: forgets what else was made from guest memory. NULL: nothing is. */
    void (*slots_changed)(void *opaque);
    /* NULL, or for an engine that logs writes itself: on and off; marks what it has seen. */
    void (*dirty_log)(void *opaque, gpa_t base, bool on);
    void (*dirty_sync)(void *opaque, gpa_t base);
    struct mmu_tlb *next; /* the list's */
};

struct mmu_tlbs {
    struct mmu_tlb *first;
};

/* A TLB stays its owner's, who takes it off the list before it goes. */
void tlbs_add(struct mmu_tlbs *tlbs, struct mmu_tlb *tlb);
void tlbs_remove(struct mmu_tlbs *tlbs, struct mmu_tlb *tlb);

void tlbs_flush(const struct mmu_tlbs *tlbs);
void tlbs_write_protect(const struct mmu_tlbs *tlbs, gpa_t page);

/* Slots came or went: every translation goes, and what else was made from guest memory. */
void tlbs_slots_changed(const struct mmu_tlbs *tlbs);

void tlbs_dirty_log(const struct mmu_tlbs *tlbs, gpa_t base, bool on);
void tlbs_dirty_sync(const struct mmu_tlbs *tlbs, gpa_t base);

#endif

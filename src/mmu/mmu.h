/*
 * A VM's memory virtualization: which of the two structures its processors walk, and what the
 * monitor does about them. One for each VM; the slots of struct mem are what both are made from.
 *
 * The path of an access, GVA to byte, after the TLB missed (engine/soft/paging.c calls it):
 *
 *   ept (ept.h)                                   shadow (shadow/shadow.h)
 *
 *   GVA                                           GVA
 *    | guest_walk: the gPT, where each entry's     | shadow_walk: the sPT in CR3
 *    |   own GPA goes through ept_walk             |
 *    |   no mapping: the guest's #PF, no exit      |   not mapped, or not for this: an exit to
 *    v                                             |   shadow_handle_fault
 *   GPA                                            |     guest_walk: the gPT
 *    | ept_walk: the EPT                           |       no mapping: #PF injected
 *    |                                             |     shadow_track_get: a page for each table
 * met, |   violation: an exit to                     |       its gPT write-tracked from now on |
 * ept_fill                                  |     shadow_grant: what the gPT's entry means |
 * mem_find_slot: GPA -> HVA               |     mem_find_slot: GPA -> HVA |     the entry is made,
 * walk again           |     shadow_set_leaf: the entry is made, walk again v v HVA HVA
 *
 * A write to a page that is not to be written behind the monitor's back (a write-tracked gPT, code,
 * a clean page of a dirty log) has no W in either table: mem_mark_written tells those who watch it,
 * and under shadow shadow_on_written brings the sPT in step. What takes permission away
 * (write protection, zaps, slots) does so in the tables first, then in all TLBs (tlbs.h).
 *
 * It refuses to know instructions and registers: an engine hands it what the registers say about
 * paging (struct guest_walk_context).
 *
 * Locking: one user at a time (the vCPU's thread, or anyone while it is stopped).
 */
#ifndef UMBRA_MMU_MMU_H
#define UMBRA_MMU_MMU_H

#include "mmu/shadow/config.h"
#include "mmu/tlbs.h"

struct mem;
struct ept;
struct shadow;

enum mmu_mode {
    MMU_EPT,
    MMU_SHADOW,
    MMU_HOST, /* the host's KVM has the tables, and chooses: there are none here */
};

struct mmu_config {
    enum mmu_mode mode;
    unsigned shadow_pages; /* how many there may be at most; 0 for the default */
    uint64_t ept_tables;   /* pages of the EPT, at most; 0: no bound */
    bool unsync_off;       /* shadowed guest tables stay write-tracked (shadow/track.h) */
};

struct mmu;

/* NULL without memory. mem outlives it. */
struct mmu *mmu_create(struct mem *mem, const struct mmu_config *config);
void mmu_destroy(struct mmu *mmu);

enum mmu_mode mmu_mode(const struct mmu *mmu);
const char *mmu_mode_name(enum mmu_mode mode); /* "ept", "shadow", "host" */
struct mem *mmu_mem(const struct mmu *mmu);
struct ept *mmu_ept(const struct mmu *mmu);       /* NULL but under ept */
struct shadow *mmu_shadow(const struct mmu *mmu); /* NULL but under shadow */

/* Adds and removes a processor's TLB; tlb stays the caller's. */
void mmu_attach(struct mmu *mmu, struct mmu_tlb *tlb);
void mmu_detach(struct mmu *mmu, struct mmu_tlb *tlb);

/* The calling thread is the vCPU's from now on. */
void mmu_claim(struct mmu *mmu);

/*
 * Drops what was made from slots that have changed since the last look, flushes the TLBs then and
 * tells the processors; true when it did.
 */
bool mmu_follow_slots(struct mmu *mmu);

/* What A20 masks has changed: drops what was made under the old mask. */
void mmu_a20_changed(struct mmu *mmu);

/*
 * Dirty logging of the slot at base, under both modes: as mem_dirty_log and mem_dirty_fetch, and
 * the tables and TLBs lose their permission to write to each page that is to be remembered anew.
 * With the vCPU stopped. 0, -ENOENT, -ENOMEM or -EINVAL as there.
 */
int mmu_dirty_log(struct mmu *mmu, gpa_t base, bool on) must_check;
int mmu_dirty_fetch(struct mmu *mmu, gpa_t base, uint64_t *bits, size_t words) must_check;

/* Checks every invariant of the tables in use; false with the reason in why. */
bool mmu_audit(const struct mmu *mmu, char *why, size_t size);

#endif

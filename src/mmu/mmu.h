/*
 * A VM's memory virtualization: which of the two structures its processors walk, and what the
 * monitor does about them. One for each VM; the slots of struct mem are what both are made from.
 *
 *   ept      the processor walks the gPT, and each of its GPAs through the EPT   (ept.h)
 *   shadow   the processor walks an sPT, GVA -> HVA, that the monitor makes      (shadow.h)
 *
 * It refuses to know instructions and registers: an engine hands it what the registers say about
 * paging (struct guest_walk_context).
 *
 * Locking: one user at a time (the vCPU's thread, or anyone while it is stopped).
 */
#ifndef UMBRA_MMU_MMU_H
#define UMBRA_MMU_MMU_H

#include "base/types.h"

struct mem;
struct ept;
struct shadow;

enum mmu_mode {
    MMU_EPT,
    MMU_SHADOW,
    MMU_HOST, /* the host's KVM has the tables, and chooses: there are none here */
};

#define MMU_SHADOW_PAGES_DEFAULT 16384 /* 64 MiB of shadow pages */
#define MMU_SHADOW_PAGES_MAX     (1 << 22)
#define MMU_SHADOW_PAGES_MIN     16 /* two walks of five levels, and room */

struct mmu_config {
    enum mmu_mode mode;
    unsigned shadow_pages; /* how many there may be at most; 0 for the default */
    bool unsync_off;       /* each write to a shadowed guest table is told (shadow_sync.c) */
};

/*
 * A processor's TLB, as far as the monitor reaches into it. The functions are called on the vCPU's
 * thread or while it is stopped.
 */
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
    struct mmu_tlb *next; /* the mmu's */
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

/* All attached TLBs at once. */
void mmu_flush_tlbs(struct mmu *mmu);
void mmu_write_protect_tlbs(struct mmu *mmu, gpa_t page);

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

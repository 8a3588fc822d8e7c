/*
 * Shadow page tables: GVA -> HVA in the processor's own 64-bit 4-level format, made by the monitor
 * from the guest's tables (or, with CR0.PG clear, from the slots alone), entry by entry as faults
 * ask for them.
 *
 *      guest's CR3 --gfn, role--> shadow root --> ... --> shadow page of level 1 --> HVA
 *      gPT page (gfn) ----------> its shadow pages        (a write to it updates or zaps them)
 *      gfn ----- reverse map ---> the entries that map it (write protection, dirty log, slots)
 *
 * A shadow page is known by (gfn, role). It holds what one guest table page means under the role:
 * level, guest format, quadrant, the rights that the levels above leave, and the bits of CR0, CR4
 * and EFER that change the meaning. A direct page shadows no table: it splits a large guest page,
 * or maps GPAs while the guest does not page. Source: SDM 3 "Paging"; the idea is told in KVM's mmu
 * document ("The x86 kvm shadow mmu").
 *
 * Locking: as mmu.h.
 */
#ifndef UMBRA_MMU_SHADOW_SHADOW_H
#define UMBRA_MMU_SHADOW_SHADOW_H

#include "mmu/guest_walk.h"
#include "mmu/shadow/fault.h"
#include "mmu/shadow/stats.h"
#include "mmu/shadow/walk.h"

struct mem;
struct mmu_tlbs;
struct shadow;

/*
 * At most max_pages (SHADOW_PAGES_MIN to _MAX); unsync_off: no guest table goes unsync. NULL
 * without memory. mem and tlbs outlive it.
 */
struct shadow *shadow_create(struct mem *mem, const struct mmu_tlbs *tlbs, unsigned max_pages,
                             bool unsync_off);
void shadow_destroy(struct shadow *shadow);

/*
 * Makes root stand for the guest's current paging: called when CR3, CR0.PG or .WP, CR4, EFER or the
 * PDPTE registers have changed, and before the first walk. A root that is cached is taken up again.
 */
void shadow_switch(struct shadow *shadow, struct shadow_root *root,
                   const struct guest_walk_context *context);

/* Gives the root up (its vCPU goes away). */
void shadow_release(struct shadow *shadow, struct shadow_root *root);

/* The calling thread is the vCPU's from now on: its writes to tables take effect at once. */
void shadow_claim(struct shadow *shadow);

/* The guest flushes its TLB (all of it): gPT pages that are out of step are brought in step. */
void shadow_flush(struct shadow *shadow);

/* INVLPG, or INVPCID of one address. */
void shadow_invlpg(struct shadow *shadow, struct shadow_root *root, gva_t gva);

/* Takes permission to write away from every entry that maps the range. TLBs are the caller's. */
void shadow_write_protect(struct shadow *shadow, gpa_t gpa, uint64_t len);

/* Drops everything if slots have changed since the last look; true then: TLBs are to be told. */
bool shadow_follow_slots(struct shadow *shadow);

/* Drops every page and entry: slots or A20 changed. Roots in use become empty, not void. */
void shadow_zap_all(struct shadow *shadow);

const struct shadow_stats *shadow_stats(const struct shadow *shadow);

/* Host memory of the tables in use and of the reverse map's links for them. */
uint64_t shadow_bytes(const struct shadow *shadow);

/* What `info shadow` shows of each page. */
struct shadow_page_info {
    const uint64_t *table; /* its 512 entries */
    uint64_t gfn;
    unsigned level;            /* of the shadow table: 1 to 4 */
    enum x86_paging format;    /* of the guest */
    unsigned quadrant;         /* which part of a guest's 32-bit table */
    bool direct, unsync, root; /* root: some vCPU's, now */
    bool user, write, execute; /* what the levels above leave */
    unsigned present;          /* entries in use */
    uint64_t hits;             /* times it was found instead of made */
};
void shadow_for_each(const struct shadow *shadow,
                     void (*fn)(void *opaque, const struct shadow_page_info *info), void *opaque);

/* Every invariant between gPT, shadow pages, reverse map and slots; false with the reason in why.
 */
bool shadow_audit(const struct shadow *shadow, char *why, size_t size);

#endif

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
#ifndef UMBRA_MMU_SHADOW_H
#define UMBRA_MMU_SHADOW_H

#include "mmu/guest_walk.h"

struct mem;
struct mmu;
struct shadow;
struct shadow_page;

/* What a processor's CR3 holds in non-root; embedded in the vCPU. */
struct shadow_root {
    struct shadow_page *page; /* the monitor's: kept while in use; NULL before the first switch */
    const uint64_t *table;    /* the processor's: 512 entries of level 4 */
};

/* --- the processor's side: it walks, and knows no guest table --- */

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

/* --- the monitor's side --- */

/* What became of a page fault in non-root. */
enum shadow_fault {
    SHADOW_INJECT, /* the guest's own: deliver #PF with result->error */
    SHADOW_RETRY,  /* an entry was filled (or was there by now): walk again */
    SHADOW_MMIO,   /* no slot: the access goes to the bus */
    SHADOW_ROM,    /* a write to ROM: it is dropped */
    /* A write that no entry may allow: it is done to hva, once, and told to mem_mark_written. */
    SHADOW_EMULATE_WRITE,
};

struct shadow_fault_result {
    gpa_t gpa;      /* of the address, A20 applied; but for SHADOW_INJECT */
    uint8_t *hva;   /* for SHADOW_EMULATE_WRITE */
    uint32_t error; /* for SHADOW_INJECT */
};

/* Counted since the VM's start. */
struct shadow_stats {
    uint64_t faults;       /* page faults that exited */
    uint64_t injected;     /* were the guest's own */
    uint64_t filled;       /* leaf entries made */
    uint64_t filled_large; /* of those, 2 MiB or larger */
    uint64_t mmio;         /* faults that were accesses to MMIO */
    uint64_t gpt_writes;   /* writes to shadowed gPT pages that the monitor saw */
    uint64_t gpt_updated;  /* entries that such a write kept or changed in place */
    uint64_t zapped;       /* leaf entries taken away */
    uint64_t pages_made, pages_freed, pages_evicted;
    uint64_t unsynced, synced;             /* gPT pages let go of for writing, and taken back */
    uint64_t roots_switched, roots_cached; /* switches of the root; those that found it made */
    uint64_t protected;                    /* entries that lost their permission to write */
    uint64_t pages;                        /* shadow pages now */
    uint64_t rmap_entries;                 /* now */
};

/* At most max_pages (MMU_SHADOW_PAGES_MIN to _MAX); unsync_off: no guest table goes unsync. */
struct shadow *shadow_create(struct mmu *mmu, unsigned max_pages, bool unsync_off);
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

/* The one decision about a page fault in non-root. */
enum shadow_fault shadow_handle_fault(struct shadow *shadow, struct shadow_root *root,
                                      const struct guest_walk_context *context, gva_t gva,
                                      const struct guest_walk_access *access,
                                      struct shadow_fault_result *result);

/* Bytes of a watched gPT page have changed: [gpa, gpa + len) within one page. */
void shadow_gpt_written(struct shadow *shadow, gpa_t gpa, uint64_t len);

/* Takes permission to write away from every entry that maps the range. TLBs are the caller's. */
void shadow_write_protect(struct shadow *shadow, gpa_t gpa, uint64_t len);

/* Drops everything if slots have changed since the last look; true then: flush the TLBs. */
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

/* The entries that a walk of gva meets, for `walk`: [level - 1]; returns the level of the last. */
unsigned shadow_walk_entries(const struct shadow_root *root, gva_t gva,
                             const uint64_t *entry_at[4]);

/* Every invariant between gPT, shadow pages, reverse map and slots; false with the reason in why.
 */
bool shadow_audit(const struct shadow *shadow, char *why, size_t size);

#endif

/*
 * What a processor may remember: which translations it is allowed to use although the tables say
 * something else by now. A translation may be used when each of its entries had the value that it
 * was made from at some time since the last invalidation that covers it; entries that were not
 * present, had a reserved bit set or an accessed flag clear are never remembered, nor is permission
 * to write without the dirty flag.
 *
 * This is a little more than the manual allows: the entries of one translation may have had their
 * values at different times, as with paging-structure caches, even where INVLPG emptied those.
 * It is less where Umbra promises more: changes of CR4.PSE and EFER.NXE count as invalidations of
 * the current address space, changes of A20 and of slots as invalidations of everything.
 * Source: SDM 3 "Caching Translation Information".
 */
#ifndef UMBRA_TESTS_MMU_STALE_H
#define UMBRA_TESTS_MMU_STALE_H

#include "model.h"
#include "naive.h"

#define STALE_MAX      1024 /* invalidations of single pages, and roots, until all is flushed */
#define STALE_MAX_HITS 16

struct stale_page {
    uint64_t page; /* GVA / 4096 */
    uint64_t time;
    uint16_t pcid;
    bool global; /* global translations too, whatever their PCID */
    bool small;  /* only these 4 KiB, though the page may be larger */
};

struct stale_root {
    uint64_t cr3; /* what walks look at */
    uint64_t pdpte[4];
    uint64_t end; /* UINT64_MAX: in force */
    uint16_t pcid;
};

struct stale {
    uint64_t all; /* time of the last flush of everything */
    uint64_t by_pcid[4096];
    struct stale_page pages[STALE_MAX];
    unsigned page_count;
    struct stale_root roots[STALE_MAX];
    unsigned root_count;
};

uint16_t stale_pcid(const struct naive_regs *regs);

/* The driver asks this and flushes everything before a list overflows. */
bool stale_full(const struct stale *s, const struct model *m);

/* Each invalidation happens now, and time moves on. */
void stale_flush_all(struct stale *s, struct model *m, const struct naive_regs *regs);
void stale_flush_pcid(struct stale *s, struct model *m, uint16_t pcid);
void stale_flush_nonglobal(struct stale *s, struct model *m);
void stale_flush_page(struct stale *s, struct model *m, uint16_t pcid, gva_t gva, bool global);

/*
 * A page fault invalidates, too. The manual says that it does so for the whole of a large page;
 * Umbra keeps what it knows of the rest, and that is not held against it.
 */
void stale_page_fault(struct stale *s, struct model *m, uint16_t pcid, gva_t gva);

/* CR3, CR0.PG or the PDPTE registers have changed. */
void stale_switch_root(struct stale *s, struct model *m, const struct naive_regs *regs);

/*
 * The physical addresses that remembered translations of gva may lead the access to. Returns how
 * many there are in gpas; -1: too many to tell.
 */
int stale_hits(const struct stale *s, const struct model *m, const struct naive_regs *regs,
               gva_t gva, const struct naive_access *access, gpa_t gpas[STALE_MAX_HITS]);

#endif

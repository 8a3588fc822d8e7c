/*
 * Shadow pages and the state of a VM's shadow paging. A page is found by (gfn, role), made, linked,
 * evicted; its entries are set and cleared together with the reverse map.
 *
 * The floors of this room; none includes one that stands to the right of it:
 *
 *   entry <- walk <- page <- meaning <- track <- fault <- shadow, audit
 *
 * This floor refuses to ask what a guest's entry means.
 */
#ifndef UMBRA_MMU_SHADOW_PAGE_H
#define UMBRA_MMU_SHADOW_PAGE_H

#include <pthread.h>
#include <stdatomic.h>

#include "mmu/rmap.h"
#include "mmu/shadow/config.h"
#include "mmu/shadow/entry.h"
#include "mmu/shadow/stats.h"

struct mem;
struct mmu_tlbs;

/*
 * What a page means beyond its gfn. Two pages of one gfn differ in this. word is all of it, to be
 * compared; the unused bits are clear.
 */
struct shadow_role {
    union {
        struct {
            uint32_t level : 3;
            uint32_t format : 2;   /* enum x86_paging; NONE: maps GPAs in a row from gfn on */
            uint32_t quadrant : 2; /* of a 32-bit guest table: which part, as a table has 512 */
            uint32_t direct : 1;   /* shadows no table in memory */
            uint32_t split : 1;    /* direct: part of a guest's large page */
            uint32_t user : 1;     /* what the levels above leave */
            uint32_t write : 1;
            uint32_t execute : 1;
            uint32_t dirty : 1;  /* direct: the guest's entry is dirty */
            uint32_t global : 1; /* direct: the guest's entry is global */
            uint32_t wp : 1;     /* CR0.WP */
            uint32_t nxe : 1;    /* EFER.NXE */
            uint32_t smep : 1;   /* CR4.SMEP with WP clear */
            uint32_t smap : 1;   /* CR4.SMAP with WP clear */
            uint32_t pse : 1;    /* CR4.PSE, which only 32-bit paging asks */
        };
        uint32_t word;
    };
};

struct shadow_page {
    uint64_t *table;
    const uint8_t *guest; /* the table that it shadows; NULL: direct, or no memory is there */
    bool guest_fixed;     /* nobody can set A or D in it: ROM, or no memory */
    bool live;            /* else on the free list */
    bool unsync;          /* the guest's table is not write-tracked for now */
    gfn_t gfn;
    struct shadow_role role;
    struct rmap_list parents; /* entries that name this page */
    unsigned users;           /* roots that stand on it */
    unsigned present;         /* entries that are not 0 */
    unsigned writes;          /* to the guest's table, seen since the page last served a fault */
    uint64_t hits;
    struct shadow_page *hash_next;     /* or the next free one */
    struct shadow_page *older, *newer; /* all live pages, by last use */
    struct shadow_page *unsync_next, *unsync_prev;
};

#define SHADOW_QUEUE 64

struct shadow_written {
    gpa_t gpa;
    uint64_t len;
};

struct shadow {
    const struct mmu_tlbs *tlbs; /* of the processors that walk the pages */
    struct mem *mem;
    struct rmap *rmap;
    bool unsync_off;
    size_t max_pages;
    uint64_t *tables;          /* of all pages, one after the other */
    struct shadow_page *pages; /* page i has table i */
    size_t used;               /* pages [0, used) have been live once */
    struct shadow_page *free;
    struct shadow_page **hash; /* by gfn */
    size_t hash_mask;
    struct shadow_page *oldest, *newest;
    struct shadow_page *unsync;
    uint64_t generation; /* of the slots, at the last look */
    /* What entries depend on besides roles: constant but for A20. From the last context seen. */
    uint64_t a20_mask;
    unsigned physical_bits;
    bool gib_pages;
    bool walking;       /* writes to gPT pages are the walker's own */
    bool walking_32bit; /* and its entries have 4 bytes */
    struct shadow_stats stats;

    /* Writes by other threads than the vCPU's wait here until it comes by. */
    _Atomic(pthread_t) owner; /* the vCPU's thread; relaxed: a thread asks only if it is itself */
    pthread_mutex_t queue_lock;
    struct shadow_written queue[SHADOW_QUEUE];
    unsigned queued; /* SHADOW_QUEUE + 1: too many, anything may have been written */
    atomic_bool pending;
};

/* The page whose table holds this entry, or which a linking entry names. */
struct shadow_page *shadow_page_of(const struct shadow *shadow, const void *entry);
static inline struct shadow_page *shadow_child(const struct shadow *shadow, uint64_t entry)
{
    return shadow_page_of(shadow, shadow_frame(entry));
}

/* The page of (gfn, role), made if need be; never NULL. Another page may be evicted. */
struct shadow_page *shadow_page_get(struct shadow *shadow, gfn_t gfn, struct shadow_role role);

/* The first (after: the next) live page that shadows the guest table at gfn, or NULL. */
struct shadow_page *shadow_page_find(const struct shadow *shadow, gfn_t gfn,
                                     const struct shadow_page *after);

/* Takes a page that no root stands on out of the tables. */
void shadow_page_free(struct shadow *shadow, struct shadow_page *page);

/* Frees all but roots in use, which become empty. */
void shadow_page_free_all(struct shadow *shadow);

/* Marks a page as just used. */
void shadow_page_touch(struct shadow *shadow, struct shadow_page *page);

/* Puts a page on the list of those that are out of step, or takes it off. */
void shadow_page_set_unsync(struct shadow *shadow, struct shadow_page *page, bool unsync);

/* Entries: a leaf or MMIO entry; a link; nothing. What was there goes. */
void shadow_set_leaf(struct shadow *shadow, struct shadow_page *page, unsigned index,
                     uint64_t entry);
void shadow_set_link(struct shadow *shadow, struct shadow_page *page, unsigned index,
                     struct shadow_page *child);
void shadow_clear(struct shadow *shadow, struct shadow_page *page, unsigned index);

/* Whether the page is neither linked nor a root in use: kept only for another time. */
static inline bool shadow_page_idle(const struct shadow_page *page)
{
    return !page->parents.count && !page->users;
}

/*
 * Takes permission to write to a guest's page away from every entry (shadow_protect: and from
 * TLBs). Large leaves go: what splits them is filled as it may be.
 */
void shadow_protect_entries(struct shadow *shadow, gpa_t page);
void shadow_protect(struct shadow *shadow, gpa_t page);

#endif

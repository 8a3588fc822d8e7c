/* What shadow paging counts. */
#ifndef UMBRA_MMU_SHADOW_STATS_H
#define UMBRA_MMU_SHADOW_STATS_H

#include "base/types.h"

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

#endif

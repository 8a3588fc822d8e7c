/*
 * What the host kernel has behind guest pages: the last step of the chain, HVA -> HPA, for people
 * to look at. Nothing here touches guest memory, so looking makes no page resident.
 *
 * Each host tells a different part of it: mincore is for everyone; physical addresses, huge and
 * merged pages need /proc/self/pagemap and /proc/kpageflags with CAP_SYS_ADMIN. What is not told
 * stays zero. The answer is a snapshot, old when it arrives.
 * Source: Linux, Documentation/admin-guide/mm/pagemap.rst.
 */
#ifndef UMBRA_MEM_HOST_PAGES_H
#define UMBRA_MEM_HOST_PAGES_H

#include "base/types.h"

struct mem;

struct mem_host_page {
    bool
        resident; /* the host keeps it in memory (and not as its one page of zeroes, if it tells) */
    bool shared;  /* others map the same memory, as with pages that KSM has merged */
    bool huge;    /* part of a huge page */
    /* Written: since the last fetch where the slot has a dirty log, else since it was added. */
    bool dirty;
    uint64_t hpa; /* 0: the host does not tell */
};

/*
 * Tells of count pages from the one of gpa on; pages without a slot are all zero. The slots stay as
 * they are meanwhile (mem.h, "Locking").
 */
void mem_host_pages(const struct mem *mem, gpa_t gpa, size_t count, struct mem_host_page *pages);

#endif

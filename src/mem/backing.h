/*
 * What a slot is made of: the host memory behind it, reserved in one piece of address space between
 * two guard pages.
 *
 *   anon      private memory of the process, on first touch
 *   memfd     a file in memory, shared, on first touch: another process could map it
 *   hugetlb   pages of 2 MiB that the host has set aside, all taken at once: a page that is missing
 *             later would end the process by SIGBUS. What of a slot does not fill a huge page at
 *             its ends is anon.
 *
 * It refuses huge pages of 1 GiB.
 * Source: Linux, Documentation/admin-guide/mm/{hugetlbpage,transhuge,ksm}.rst; mmap(2), madvise(2).
 */
#ifndef UMBRA_MEM_BACKING_H
#define UMBRA_MEM_BACKING_H

#include "mem/mem.h"

#define BACKING_HUGE_BYTES (2 * MIB)

/*
 * Maps slot->hva and, for memfd, opens slot->fd; base and size_bytes are set, fd is -1. 0 or the
 * host's error; what was made is in the slot then, too, for backing_unmap.
 */
int backing_map(struct mem_slot *slot, const struct mem_config *config) must_check;
void backing_unmap(struct mem_slot *slot);

/* How much of [base, base + size_bytes) hugetlb takes from the host's huge pages, in bytes. */
uint64_t backing_huge_bytes(gpa_t base, uint64_t size_bytes);

#endif

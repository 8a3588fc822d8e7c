/*
 * How much memory the host has to give, and which of its services work: read from /proc and /sys,
 * for messages that tell a user what to do. What cannot be read counts as there: then the attempt
 * itself shows it.
 * Source: Linux, Documentation/admin-guide/{cgroup-v2,mm/hugetlbpage,mm/transhuge,mm/ksm}.rst,
 * proc(5).
 */
#ifndef UMBRA_MEM_HOST_MEMORY_H
#define UMBRA_MEM_HOST_MEMORY_H

#include "base/types.h"

/* New memory that the host could give now without swapping, within our control groups' limits. */
uint64_t host_memory_available_bytes(void);

/*
 * The least that the limits of a control group (version 2) and of those around it leave; its path
 * is "/a/b" below the mount. UINT64_MAX without limits.
 */
uint64_t host_cgroup_room_bytes(const char *mount, const char *group);

/* Huge pages of BACKING_HUGE_BYTES: how many the host has set aside, and how many nobody claims. */
struct host_huge_pages {
    uint64_t total;
    uint64_t free;
};
struct host_huge_pages host_huge_pages(void);

/* Whether KSM merges pages that ask for it. */
bool host_ksm_runs(void);

/* Whether asking for transparent huge pages has an effect on private (or on shared) memory. */
bool host_thp_helps(bool shared);

#endif

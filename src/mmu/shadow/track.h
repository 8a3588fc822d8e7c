/*
 * Guest tables that are shadowed: write-tracked, unsync, and back; and what comes first whenever
 * the vCPU's thread turns to shadow paging.
 */
#ifndef UMBRA_MMU_SHADOW_TRACK_H
#define UMBRA_MMU_SHADOW_TRACK_H

#include "mmu/guest_walk.h"
#include "mmu/shadow/page.h"

/* What comes first on the vCPU's thread: slots, A20, writes by others. context may be NULL. */
void shadow_settle(struct shadow *shadow, const struct guest_walk_context *context);

/* The watcher of MEM_WATCH_TABLES; opaque is the shadow. */
void shadow_on_written(void *opaque, gpa_t gpa, uint64_t len);

/*
 * The page of (gfn, role), as shadow_page_get has it, whose guest table is write-tracked from now
 * on: had it been unsync, it would be written past the new page.
 */
struct shadow_page *shadow_track_get(struct shadow *shadow, gfn_t gfn, struct shadow_role role);

/* Drops every page if slots have changed since the last look; true then: TLBs are to be told. */
bool shadow_follow_slots(struct shadow *shadow);

/* Tries to let the guest write to a page that is shadowed without telling; true if it may now. */
bool shadow_let_write(struct shadow *shadow, gfn_t gfn);

/* Brings the pages of one table, or of all, back in step. */
void shadow_sync_gfn(struct shadow *shadow, gfn_t gfn);
void shadow_sync_all(struct shadow *shadow);

#endif

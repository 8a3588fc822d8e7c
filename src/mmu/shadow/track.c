/*
 * Guest tables that are shadowed, and writes to them.
 *
 *            first shadow page          written often, level 1 only
 *   plain --------------------> write-tracked ------------------------> unsync
 *     ^                            |  ^                                  |
 *     +------ last one freed ------+  +------- the guest flushes --------+
 *
 * write-tracked: no entry and no TLB lets the guest write to the table, so that each write comes
 * here, and what depends on the bytes is kept, changed or cleared. unsync: the guest writes freely.
 * Shadow entries may be out of date as a TLB may be: until the guest flushes, or until the table is
 * linked at one more place, where no TLB could know it.
 */
#include "mmu/shadow/track.h"

#include <string.h>

#include "base/trace.h"
#include "mem/mem.h"
#include "mmu/shadow/meaning.h"
#include "mmu/tlbs.h"

/* So many writes without use in between, and a table goes unsync (level 1) or is let go of. */
#define MANY_WRITES 3

/* --- writes to tracked tables --- */

/* After the guest's entry changed: keeps the shadow entry if it may stay, else what of it may. */
static void check_entry(struct shadow *shadow, struct shadow_page *page, unsigned index)
{
    uint64_t entry = page->table[index];
    uint64_t less = entry & ~(X86_PTE_W | X86_PTE_D | X86_PTE_G);

    if (!entry)
        return;
    if (shadow_entry_good(shadow, page, index, entry)) {
        shadow->stats.gpt_updated++;
        return;
    }
    /* Less rights to the same frame: what copy-on-write makes of a page, and a cleared D bit. */
    if (!shadow_is_link(entry, page->role.level)) {
        if (!shadow_entry_good(shadow, page, index, less))
            less |= X86_PTE_NX;
        if (shadow_entry_good(shadow, page, index, less)) {
            page->table[index] = less;
            shadow->stats.gpt_updated++;
            return;
        }
    }
    shadow_clear(shadow, page, index);
}

/* The shadow entries of one guest entry of a page's table. */
static void check_guest_entry(struct shadow *shadow, struct shadow_page *page, unsigned guest_index)
{
    unsigned part;

    if (page->role.format != X86_PAGING_32BIT) {
        check_entry(shadow, page, guest_index);
        return;
    }
    part = page->role.level == 1 ? X86_TABLE_ENTRIES : X86_TABLE_ENTRIES / 2;
    if (guest_index / part != page->role.quadrant)
        return;
    if (page->role.level == 1) {
        check_entry(shadow, page, guest_index % part);
        return;
    }
    check_entry(shadow, page, guest_index % part * 2);
    check_entry(shadow, page, guest_index % part * 2 + 1);
}

/*
 * Whether a written page is better given up than kept in step: nobody needs it now, or it looks
 * like no page table any more. Roots of other address spaces wait idle, and are written seldom.
 */
static bool give_up(const struct shadow_page *page)
{
    if (page->users)
        return false;
    if (shadow_page_idle(page) && page->role.level < X86_TABLE_LEVELS)
        return true;
    return page->role.level > 1 && page->writes >= MANY_WRITES;
}

static void gpt_written(struct shadow *shadow, gpa_t gpa, uint64_t len)
{
    uint64_t offset = gpa % PAGE_SIZE;
    struct shadow_page *page, *next;

    trace(mmu_gpt_write, gpa, len);
    shadow->stats.gpt_writes++;
    for (page = shadow_page_find(shadow, gpa >> PAGE_SHIFT, NULL); page; page = next) {
        unsigned bytes = x86_paging_entry_bytes(page->role.format);

        next = shadow_page_find(shadow, page->gfn, page);
        if (page->unsync)
            continue;
        if (give_up(page)) {
            shadow_page_free(shadow, page);
            continue;
        }
        page->writes++;
        for (uint64_t at = offset / bytes; at * bytes < offset + len; at++)
            check_guest_entry(shadow, page, (unsigned)at);
    }
}

/*
 * The walk has set A and D bits. They take nothing away, but where the page serves as a table of
 * the other entry width, too: there they may be any bit.
 */
static void accessed(struct shadow *shadow, gpa_t gpa, uint64_t len)
{
    uint64_t offset = gpa % PAGE_SIZE;

    for (struct shadow_page *page = shadow_page_find(shadow, gpa >> PAGE_SHIFT, NULL); page;
         page = shadow_page_find(shadow, page->gfn, page)) {
        bool is_32bit = page->role.format == X86_PAGING_32BIT;
        unsigned bytes = is_32bit ? 4 : 8;

        if (page->unsync || is_32bit == shadow->walking_32bit)
            continue;
        for (uint64_t at = offset / bytes; at * bytes < offset + len; at++)
            check_guest_entry(shadow, page, (unsigned)at);
    }
}

/* Keeps a write of another thread for later: the tables belong to the vCPU's thread. */
static void queue_write(struct shadow *shadow, gpa_t gpa, uint64_t len)
{
    pthread_mutex_lock(&shadow->queue_lock);
    if (shadow->queued < SHADOW_QUEUE)
        shadow->queue[shadow->queued] = (struct shadow_written){gpa, len};
    if (shadow->queued <= SHADOW_QUEUE)
        shadow->queued++;
    pthread_mutex_unlock(&shadow->queue_lock);
    /* Release: pairs with shadow_settle; the bytes and the queue were written before. */
    atomic_store_explicit(&shadow->pending, true, memory_order_release);
}

static void take_queue(struct shadow *shadow)
{
    struct shadow_written queue[SHADOW_QUEUE];
    unsigned queued;

    atomic_store_explicit(&shadow->pending, false, memory_order_relaxed);
    pthread_mutex_lock(&shadow->queue_lock);
    queued = shadow->queued;
    memcpy(queue, shadow->queue, sizeof(queue));
    shadow->queued = 0;
    pthread_mutex_unlock(&shadow->queue_lock);
    if (queued > SHADOW_QUEUE) {
        shadow_page_free_all(shadow);
        return;
    }
    for (unsigned i = 0; i < queued; i++)
        gpt_written(shadow, queue[i].gpa, queue[i].len);
}

bool shadow_follow_slots(struct shadow *shadow)
{
    if (shadow->generation == mem_generation(shadow->mem))
        return false;
    shadow->generation = mem_generation(shadow->mem);
    shadow_page_free_all(shadow);
    return true;
}

void shadow_settle(struct shadow *shadow, const struct guest_walk_context *context)
{
    if (unlikely(shadow_follow_slots(shadow)))
        tlbs_slots_changed(shadow->tlbs);
    if (context && unlikely(context->a20_mask != shadow->a20_mask ||
                            context->physical_bits != shadow->physical_bits ||
                            context->gib_pages != shadow->gib_pages)) {
        shadow->a20_mask = context->a20_mask;
        shadow->physical_bits = context->physical_bits;
        shadow->gib_pages = context->gib_pages;
        shadow_page_free_all(shadow);
        tlbs_flush(shadow->tlbs);
    }
    /* Acquire: pairs with queue_write. */
    if (unlikely(atomic_load_explicit(&shadow->pending, memory_order_acquire)))
        take_queue(shadow);
}

/* A write by the vCPU's thread: the guest's, or the walker's A and D bits. */
static void own_write(struct shadow *shadow, gpa_t gpa, uint64_t len)
{
    if (shadow->walking) {
        accessed(shadow, gpa, len);
        return;
    }
    shadow_settle(shadow, NULL);
    gpt_written(shadow, gpa, len);
}

void shadow_on_written(void *opaque, gpa_t gpa, uint64_t len)
{
    struct shadow *shadow = opaque;

    if (pthread_equal(atomic_load_explicit(&shadow->owner, memory_order_relaxed), pthread_self()))
        own_write(shadow, gpa, len);
    else
        queue_write(shadow, gpa, len);
}

/* --- out of step, and back --- */

/* Gives up what need not be kept; false when nothing is left. */
static bool give_up_idle(struct shadow *shadow, gfn_t gfn)
{
    struct shadow_page *page, *next;
    bool left = false;

    for (page = shadow_page_find(shadow, gfn, NULL); page; page = next) {
        next = shadow_page_find(shadow, gfn, page);
        if (give_up(page))
            shadow_page_free(shadow, page);
        else
            left = true;
    }
    return left;
}

bool shadow_let_write(struct shadow *shadow, gfn_t gfn)
{
    struct shadow_page *page;

    if (!give_up_idle(shadow, gfn))
        return true;
    if (shadow->unsync_off)
        return false;
    for (page = shadow_page_find(shadow, gfn, NULL); page;
         page = shadow_page_find(shadow, gfn, page)) {
        if (page->role.level > 1 || page->writes < MANY_WRITES)
            return false;
    }
    for (page = shadow_page_find(shadow, gfn, NULL); page;
         page = shadow_page_find(shadow, gfn, page))
        shadow_page_set_unsync(shadow, page, true);
    mem_watch_page(shadow->mem, MEM_WATCH_TABLES, gfn << PAGE_SHIFT, false);
    trace(mmu_unsync, gfn);
    shadow->stats.unsynced++;
    return true;
}

static void sync_page(struct shadow *shadow, struct shadow_page *page)
{
    page->writes = 0;
    for (unsigned i = 0; i < X86_TABLE_ENTRIES; i++) {
        uint64_t entry = page->table[i];

        if (entry && !shadow_entry_good(shadow, page, i, entry))
            shadow_clear(shadow, page, i);
    }
}

void shadow_sync_gfn(struct shadow *shadow, gfn_t gfn)
{
    gpa_t gpa = gfn << PAGE_SHIFT;
    struct shadow_page *page;
    bool was_unsync = false;

    for (page = shadow_page_find(shadow, gfn, NULL); page;
         page = shadow_page_find(shadow, gfn, page))
        was_unsync |= page->unsync;
    if (!was_unsync)
        return;
    mem_watch_page(shadow->mem, MEM_WATCH_TABLES, gpa, true);
    shadow_protect(shadow, gpa);
    for (page = shadow_page_find(shadow, gfn, NULL); page;
         page = shadow_page_find(shadow, gfn, page)) {
        if (!page->unsync)
            continue;
        shadow_page_set_unsync(shadow, page, false);
        sync_page(shadow, page);
    }
    trace(mmu_sync, gfn);
    shadow->stats.synced++;
}

struct shadow_page *shadow_track_get(struct shadow *shadow, gfn_t gfn, struct shadow_role role)
{
    uint64_t made = shadow->stats.pages_made;
    struct shadow_page *page = shadow_page_get(shadow, gfn, role);

    if (made != shadow->stats.pages_made && !role.direct)
        shadow_sync_gfn(shadow, gfn);
    return page;
}

void shadow_sync_all(struct shadow *shadow)
{
    while (shadow->unsync) {
        if (shadow_page_idle(shadow->unsync))
            shadow_page_free(shadow, shadow->unsync);
        else
            shadow_sync_gfn(shadow, shadow->unsync->gfn);
    }
}

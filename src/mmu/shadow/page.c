/*
 * Shadow pages: a fixed pool, found by a hash of the gfn, kept in the order of their last use. The
 * one that was not used for longest makes room; a root in use never does, and neither does a page
 * of the walk at hand, for those were used last and the pool holds more than two walks.
 */
#include "mmu/shadow/page.h"

#include <string.h>

#include "base/assert.h"
#include "base/trace.h"
#include "mem/mem.h"
#include "mmu/tlbs.h"

static size_t entry_number(const struct shadow *shadow, const struct shadow_page *page,
                           unsigned index)
{
    return (size_t)(page - shadow->pages) * X86_TABLE_ENTRIES + index;
}

struct shadow_page *shadow_page_of(const struct shadow *shadow, const void *entry)
{
    size_t at = (size_t)((const uint64_t *)entry - shadow->tables) / X86_TABLE_ENTRIES;

    ASSERT(at < shadow->used, "an entry lies in the table of a page");
    return &shadow->pages[at];
}

/* --- order of use --- */

static void age_remove(struct shadow *shadow, struct shadow_page *page)
{
    *(page->older ? &page->older->newer : &shadow->oldest) = page->newer;
    *(page->newer ? &page->newer->older : &shadow->newest) = page->older;
}

static void age_add(struct shadow *shadow, struct shadow_page *page)
{
    page->newer = NULL;
    page->older = shadow->newest;
    *(shadow->newest ? &shadow->newest->newer : &shadow->oldest) = page;
    shadow->newest = page;
}

void shadow_page_touch(struct shadow *shadow, struct shadow_page *page)
{
    page->writes = 0;
    if (shadow->newest == page)
        return;
    age_remove(shadow, page);
    age_add(shadow, page);
}

/* --- hash --- */

static struct shadow_page **bucket_of(const struct shadow *shadow, gfn_t gfn)
{
    uint64_t mixed = gfn * 0x9e3779b97f4a7c15u; /* 2^64 / golden ratio: spreads neighbours */

    return &shadow->hash[(mixed >> 32) & shadow->hash_mask];
}

static struct shadow_page *find(const struct shadow *shadow, gfn_t gfn, struct shadow_role role)
{
    struct shadow_page *page = *bucket_of(shadow, gfn);

    while (page && (page->gfn != gfn || page->role.word != role.word))
        page = page->hash_next;
    return page;
}

struct shadow_page *shadow_page_find(const struct shadow *shadow, gfn_t gfn,
                                     const struct shadow_page *after)
{
    struct shadow_page *page = after ? after->hash_next : *bucket_of(shadow, gfn);

    while (page && (page->gfn != gfn || page->role.direct))
        page = page->hash_next;
    return page;
}

static void hash_remove(struct shadow *shadow, struct shadow_page *page)
{
    struct shadow_page **link = bucket_of(shadow, page->gfn);

    while (*link != page)
        link = &(*link)->hash_next;
    *link = page->hash_next;
}

/* --- entries --- */

/* The list that a leaf is in: that of the frame it maps. NULL: its slot is gone. */
static struct rmap_list *leaf_list(const struct shadow *shadow, const struct shadow_page *page,
                                   uint64_t entry)
{
    gpa_t gpa;

    if (!mem_gpa_of_host(shadow->mem, shadow_frame(entry), &gpa))
        return NULL;
    return rmap_frame(shadow->rmap, gpa, page->role.level);
}

void shadow_clear(struct shadow *shadow, struct shadow_page *page, unsigned index)
{
    uint64_t entry = page->table[index];
    size_t number = entry_number(shadow, page, index);
    struct rmap_list *list;

    if (!entry)
        return;
    trace(mmu_zap, page->gfn, page->role.level, index, entry);
    page->table[index] = 0;
    page->present--;
    if (!(entry & X86_PTE_P))
        return;
    if (shadow_is_link(entry, page->role.level)) {
        rmap_remove(shadow->rmap, &shadow_child(shadow, entry)->parents, number);
        return;
    }
    list = leaf_list(shadow, page, entry);
    ASSERT(list, "slots do not change under entries that map them");
    rmap_remove(shadow->rmap, list, number);
    shadow->stats.zapped++;
    shadow->stats.rmap_entries--;
}

/* Clears the entry that was put into a list last. */
static void clear_first(struct shadow *shadow, const struct rmap_list *list)
{
    const uint64_t *entry = &shadow->tables[list->first - 1];
    struct shadow_page *owner = shadow_page_of(shadow, entry);

    shadow_clear(shadow, owner, (unsigned)(entry - owner->table));
}

/* Puts an entry into a list; one that is full gives up another. */
static void add_to_list(struct shadow *shadow, struct rmap_list *list,
                        const struct shadow_page *page, unsigned index)
{
    if (list->count == SHADOW_LIST_MAX)
        clear_first(shadow, list);
    rmap_add(shadow->rmap, list, entry_number(shadow, page, index));
}

void shadow_set_leaf(struct shadow *shadow, struct shadow_page *page, unsigned index,
                     uint64_t entry)
{
    struct rmap_list *list;

    shadow_clear(shadow, page, index);
    page->table[index] = entry;
    page->present++;
    if (!(entry & X86_PTE_P))
        return;
    list = leaf_list(shadow, page, entry);
    ASSERT(list, "a leaf maps a frame of a slot");
    add_to_list(shadow, list, page, index);
    shadow->stats.rmap_entries++;
}

void shadow_set_link(struct shadow *shadow, struct shadow_page *page, unsigned index,
                     struct shadow_page *child)
{
    shadow_clear(shadow, page, index);
    /* Leaves hold the rights of all levels, so that a link needs to take nothing away. */
    page->table[index] = (uintptr_t)child->table | X86_PTE_P | X86_PTE_W | X86_PTE_U | X86_PTE_A;
    page->present++;
    add_to_list(shadow, &child->parents, page, index);
}

static void clear_entries(struct shadow *shadow, struct shadow_page *page)
{
    for (unsigned i = 0; i < X86_TABLE_ENTRIES && page->present > 0; i++)
        shadow_clear(shadow, page, i);
}

/* --- write protection --- */

void shadow_protect_entries(struct shadow *shadow, gpa_t page)
{
    struct rmap_list *list = rmap_frame(shadow->rmap, page, 1);

    if (!list)
        return;
    for (rmap_at at = list->first; at; at = rmap_next(shadow->rmap, at)) {
        uint64_t *entry = &shadow->tables[at - 1];

        if (*entry & X86_PTE_W) {
            *entry &= ~(X86_PTE_W | X86_PTE_D);
            shadow->stats.protected ++;
        }
    }
    for (unsigned level = 2; level <= RMAP_LEVELS; level++) {
        list = rmap_frame(shadow->rmap, page, level);
        for (; list->count > 0; shadow->stats.protected ++)
            clear_first(shadow, list);
    }
}

void shadow_protect(struct shadow *shadow, gpa_t page)
{
    shadow_protect_entries(shadow, page);
    tlbs_write_protect(shadow->tlbs, page);
}

/* --- pages --- */

static gpa_t table_gpa(const struct shadow_page *page)
{
    return page->gfn << PAGE_SHIFT;
}

/* Finds the guest's table in host memory, where a page shadows one. */
static void find_guest_table(const struct shadow *shadow, struct shadow_page *page)
{
    if (page->role.direct)
        return;
    page->guest = mem_host(shadow->mem, table_gpa(page), PAGE_SIZE, false);
    page->guest_fixed = !mem_host(shadow->mem, table_gpa(page), PAGE_SIZE, true);
}

/* The first shadow page of a guest table, which is write-tracked from now on. */
static void start_table(struct shadow *shadow, const struct shadow_page *page)
{
    trace(mmu_track, page->gfn);
    rmap_count_table(shadow->rmap, table_gpa(page), true);
    mem_watch_page(shadow->mem, MEM_WATCH_TABLES, table_gpa(page), true);
    shadow_protect(shadow, table_gpa(page));
}

static void end_table(struct shadow *shadow, gfn_t gfn)
{
    trace(mmu_untrack, gfn);
    rmap_count_table(shadow->rmap, gfn << PAGE_SHIFT, false);
    mem_watch_page(shadow->mem, MEM_WATCH_TABLES, gfn << PAGE_SHIFT, false);
}

void shadow_page_set_unsync(struct shadow *shadow, struct shadow_page *page, bool unsync)
{
    if (page->unsync == unsync)
        return;
    page->unsync = unsync;
    if (unsync) {
        page->unsync_prev = NULL;
        page->unsync_next = shadow->unsync;
        if (shadow->unsync)
            shadow->unsync->unsync_prev = page;
        shadow->unsync = page;
        return;
    }
    *(page->unsync_prev ? &page->unsync_prev->unsync_next : &shadow->unsync) = page->unsync_next;
    if (page->unsync_next)
        page->unsync_next->unsync_prev = page->unsync_prev;
}

static void cut_parents(struct shadow *shadow, struct shadow_page *page)
{
    while (page->parents.count > 0)
        clear_first(shadow, &page->parents);
}

static void put_on_free_list(struct shadow *shadow, struct shadow_page *page)
{
    age_remove(shadow, page);
    page->live = false;
    page->hash_next = shadow->free;
    shadow->free = page;
    shadow->stats.pages--;
    shadow->stats.pages_freed++;
}

void shadow_page_free(struct shadow *shadow, struct shadow_page *page)
{
    ASSERT(page->live && page->users == 0, "only pages that no root stands on are freed");
    clear_entries(shadow, page);
    cut_parents(shadow, page);
    shadow_page_set_unsync(shadow, page, false);
    hash_remove(shadow, page);
    if (!page->role.direct && !shadow_page_find(shadow, page->gfn, NULL))
        end_table(shadow, page->gfn);
    put_on_free_list(shadow, page);
}

static void evict(struct shadow *shadow)
{
    struct shadow_page *page = shadow->oldest;

    while (page && page->users)
        page = page->newer;
    ASSERT(page, "there are more shadow pages than roots in use");
    shadow->stats.pages_evicted++;
    shadow_page_free(shadow, page);
}

static struct shadow_page *take_free(struct shadow *shadow)
{
    struct shadow_page *page;

    if (!shadow->free && shadow->used == shadow->max_pages)
        evict(shadow);
    if (shadow->free) {
        page = shadow->free;
        shadow->free = page->hash_next;
    } else {
        page = &shadow->pages[shadow->used];
        page->table = &shadow->tables[shadow->used * X86_TABLE_ENTRIES];
        shadow->used++;
    }
    return page;
}

static struct shadow_page *make(struct shadow *shadow, gfn_t gfn, struct shadow_role role)
{
    struct shadow_page *sibling, *page = take_free(shadow);
    struct shadow_page **bucket = bucket_of(shadow, gfn);

    *page = (struct shadow_page){.table = page->table, .live = true, .gfn = gfn, .role = role};
    sibling = role.direct ? NULL : shadow_page_find(shadow, gfn, NULL);
    page->hash_next = *bucket;
    *bucket = page;
    age_add(shadow, page);
    find_guest_table(shadow, page);
    shadow->stats.pages++;
    shadow->stats.pages_made++;
    if (!role.direct && !sibling)
        start_table(shadow, page);
    return page;
}

struct shadow_page *shadow_page_get(struct shadow *shadow, gfn_t gfn, struct shadow_role role)
{
    struct shadow_page *page = find(shadow, gfn, role);

    if (page) {
        page->hits++;
        shadow_page_touch(shadow, page);
        return page;
    }
    return make(shadow, gfn, role);
}

/* A root in use stays, empty: the processor's CR3 points to it. */
static void empty_root(struct shadow *shadow, struct shadow_page *page)
{
    struct shadow_page **bucket = bucket_of(shadow, page->gfn);
    bool first = page->role.direct || !shadow_page_find(shadow, page->gfn, NULL);

    page->hash_next = *bucket;
    *bucket = page;
    find_guest_table(shadow, page);
    if (!page->role.direct && first)
        start_table(shadow, page);
}

void shadow_page_free_all(struct shadow *shadow)
{
    struct shadow_page *page, *newer;
    bool known;

    memset(shadow->hash, 0, (shadow->hash_mask + 1) * sizeof(*shadow->hash));
    shadow->unsync = NULL;
    shadow->stats.zapped += shadow->stats.rmap_entries;
    shadow->stats.rmap_entries = 0;
    for (page = shadow->oldest; page; page = newer) {
        newer = page->newer;
        if (!page->role.direct)
            mem_watch_page(shadow->mem, MEM_WATCH_TABLES, table_gpa(page), false);
        memset(page->table, 0, PAGE_SIZE);
        page->present = page->writes = 0;
        page->parents = (struct rmap_list){0};
        page->unsync = false;
        if (!page->users)
            put_on_free_list(shadow, page);
    }
    known = rmap_reset(shadow->rmap);
    ASSERT(known, "the host has memory for the reverse map of new slots");
    for (page = shadow->oldest; page; page = page->newer)
        empty_root(shadow, page);
}

/* One array of heads for each slot and level, and one of links; the host backs what is touched. */
#include "mmu/rmap.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "mem/mem.h"
#include "x86/paging.h"

#define MAX_SLOTS 64

struct link {
    rmap_at next, prev;
};

/* What is known of one slot: an element for each frame that it touches, by level - 1. */
struct slot {
    gpa_t base, last;
    struct rmap_list *heads[RMAP_LEVELS];
    uint32_t *tables[RMAP_LEVELS]; /* [0] is not used */
};

struct rmap {
    const struct mem *mem;
    struct slot slots[MAX_SLOTS];
    size_t count;
    struct link *links; /* [0] is not used */
    size_t entries;
};

/* Memory of zeroes that costs nothing until touched; NULL without address space. */
static void *reserve(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

static size_t frames_of(const struct slot *slot, unsigned level)
{
    return (slot->last >> x86_table_shift(level)) - (slot->base >> x86_table_shift(level)) + 1;
}

static void slot_fini(struct slot *slot)
{
    for (unsigned level = 1; level <= RMAP_LEVELS; level++) {
        if (slot->heads[level - 1])
            munmap(slot->heads[level - 1], frames_of(slot, level) * sizeof(struct rmap_list));
        if (slot->tables[level - 1])
            munmap(slot->tables[level - 1], frames_of(slot, level) * sizeof(uint32_t));
    }
}

/* Gives an array's pages back to the host: they read as zeroes again. */
static void empty(void *array, size_t bytes)
{
    if (madvise(array, bytes, MADV_DONTNEED) != 0)
        memset(array, 0, bytes);
}

static void slot_empty(struct slot *slot)
{
    for (unsigned level = 1; level <= RMAP_LEVELS; level++) {
        empty(slot->heads[level - 1], frames_of(slot, level) * sizeof(struct rmap_list));
        empty(slot->tables[level - 1], frames_of(slot, level) * sizeof(uint32_t));
    }
}

static bool slot_init(struct slot *slot, const struct mem_slot *from)
{
    *slot = (struct slot){.base = from->base, .last = from->base + (from->size_bytes - 1)};
    for (unsigned level = 1; level <= RMAP_LEVELS; level++) {
        slot->heads[level - 1] = reserve(frames_of(slot, level) * sizeof(struct rmap_list));
        slot->tables[level - 1] = reserve(frames_of(slot, level) * sizeof(uint32_t));
        if (!slot->heads[level - 1] || !slot->tables[level - 1])
            return false;
    }
    return true;
}

static void forget_slots(struct rmap *rmap)
{
    for (size_t i = 0; i < rmap->count; i++)
        slot_fini(&rmap->slots[i]);
    rmap->count = 0;
}

static bool same_slots(const struct rmap *rmap, const struct mem_slot *slots, size_t count)
{
    if (rmap->count != count)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (rmap->slots[i].base != slots[i].base ||
            rmap->slots[i].last != slots[i].base + (slots[i].size_bytes - 1))
            return false;
    }
    return true;
}

bool rmap_reset(struct rmap *rmap)
{
    size_t count;
    const struct mem_slot *slots = mem_slots(rmap->mem, &count);

    ASSERT(count <= MAX_SLOTS, "the reverse map has room for all slots");
    /* What a guest may cause, A20 say, needs nothing of the host that it could refuse. */
    if (same_slots(rmap, slots, count)) {
        for (size_t i = 0; i < count; i++)
            slot_empty(&rmap->slots[i]);
        return true;
    }
    forget_slots(rmap);
    for (size_t i = 0; i < count; i++) {
        bool good = slot_init(&rmap->slots[i], &slots[i]);

        rmap->count = i + 1;
        if (!good) {
            forget_slots(rmap);
            return false;
        }
    }
    return true;
}

struct rmap *rmap_create(const struct mem *mem, size_t entries)
{
    struct rmap *rmap = calloc(1, sizeof(*rmap));

    if (!rmap)
        return NULL;
    ASSERT(entries < UINT32_MAX, "an entry's number fits a list");
    rmap->mem = mem;
    rmap->entries = entries;
    rmap->links = reserve((entries + 1) * sizeof(struct link));
    if (!rmap->links || !rmap_reset(rmap)) {
        rmap_destroy(rmap);
        return NULL;
    }
    return rmap;
}

void rmap_destroy(struct rmap *rmap)
{
    if (!rmap)
        return;
    forget_slots(rmap);
    if (rmap->links)
        munmap(rmap->links, (rmap->entries + 1) * sizeof(struct link));
    free(rmap);
}

/* There are few slots; the one with most of the memory is asked as soon as any. */
static const struct slot *find_slot(const struct rmap *rmap, gpa_t gpa)
{
    for (size_t i = rmap->count; i > 0; i--) {
        const struct slot *slot = &rmap->slots[i - 1];

        if (gpa >= slot->base && gpa <= slot->last)
            return slot;
    }
    return NULL;
}

static size_t frame_index(const struct slot *slot, gpa_t gpa, unsigned level)
{
    return (gpa >> x86_table_shift(level)) - (slot->base >> x86_table_shift(level));
}

struct rmap_list *rmap_frame(const struct rmap *rmap, gpa_t gpa, unsigned level)
{
    const struct slot *slot = find_slot(rmap, gpa);

    return slot ? &slot->heads[level - 1][frame_index(slot, gpa, level)] : NULL;
}

void rmap_add(struct rmap *rmap, struct rmap_list *list, size_t entry)
{
    rmap_at self = (rmap_at)entry + 1;

    ASSERT(entry < rmap->entries, "the entry has a link");
    rmap->links[self] = (struct link){.next = list->first};
    if (list->first)
        rmap->links[list->first].prev = self;
    list->first = self;
    list->count++;
}

void rmap_remove(struct rmap *rmap, struct rmap_list *list, size_t entry)
{
    rmap_at self = (rmap_at)entry + 1;
    struct link *link = &rmap->links[self];

    ASSERT(entry < rmap->entries, "the entry has a link");
    ASSERT(link->prev ? rmap->links[link->prev].next == self : list->first == self,
           "an entry is removed from the list that it is in");
    if (link->prev)
        rmap->links[link->prev].next = link->next;
    else
        list->first = link->next;
    if (link->next)
        rmap->links[link->next].prev = link->prev;
    *link = (struct link){0};
    ASSERT(list->count > 0, "an entry that goes was counted");
    list->count--;
}

rmap_at rmap_next(const struct rmap *rmap, rmap_at at)
{
    return rmap->links[at].next;
}

void rmap_count_table(struct rmap *rmap, gpa_t gpa, bool more)
{
    const struct slot *slot = find_slot(rmap, gpa);

    if (!slot)
        return;
    for (unsigned level = 2; level <= RMAP_LEVELS; level++) {
        uint32_t *count = &slot->tables[level - 1][frame_index(slot, gpa, level)];

        ASSERT(more || *count > 0, "a table that goes was counted");
        *count += more ? 1 : UINT32_MAX;
    }
}

unsigned rmap_tables(const struct rmap *rmap, gpa_t gpa, unsigned level)
{
    const struct slot *slot = find_slot(rmap, gpa);

    return slot ? slot->tables[level - 1][frame_index(slot, gpa, level)] : 0;
}

uint64_t rmap_bytes(const struct rmap *rmap)
{
    uint64_t bytes = (rmap->entries + 1) * sizeof(struct link);

    for (size_t i = 0; i < rmap->count; i++) {
        for (unsigned level = 1; level <= RMAP_LEVELS; level++)
            bytes +=
                frames_of(&rmap->slots[i], level) * (sizeof(struct rmap_list) + sizeof(uint32_t));
    }
    return bytes;
}

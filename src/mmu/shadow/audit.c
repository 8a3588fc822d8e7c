/*
 * Every invariant of shadow paging.
 *
 * - 1: a page stands in the hash once, and in the order of use; counts of pages and entries are
 *   right.
 * - 2: a leaf or MMIO entry is within what the guest's table grants now, unless the page is unsync.
 * - 3: a leaf maps a frame of a slot whole, and its entry is in the list of that frame.
 * - 4: what may be written is RAM, no write-tracked guest table, no clean page of a dirty log.
 * - 5: a link names a live page of the right key, and its entry is in that page's list of parents.
 * - 6: nothing else is in any list: there are as many links as entries.
 * - 7: a guest's table is watched if and only if it has shadow pages that are in step; unsync ones
 *   are of level 1, all of one gfn alike, and on their list.
 * - 8: a root in use is of level 4.
 */
#include <inttypes.h>
#include <stdio.h>

#include "mem/mem.h"
#include "mmu/shadow/meaning.h"
#include "mmu/shadow/shadow.h"

struct audit {
    const struct shadow *shadow;
    char *why;
    size_t size;
    bool good;
    uint64_t leaves, links;         /* found in tables */
    uint64_t in_frames, in_parents; /* found in lists */
};

static void complain(struct audit *audit, const struct shadow_page *page, unsigned index,
                     const char *what)
{
    if (audit->good)
        snprintf(audit->why, audit->size,
                 "%s: gfn %#" PRIx64 " role %#x (level %u, format %u), entry %u is %#" PRIx64, what,
                 page->gfn, page->role.word, page->role.level, page->role.format, index,
                 page->table[index]);
    audit->good = false;
}

static bool in_list(const struct shadow *shadow, const struct rmap_list *list,
                    const uint64_t *entry)
{
    rmap_at self = (rmap_at)(entry - shadow->tables) + 1;
    rmap_at at = list ? list->first : 0;

    while (at && at != self)
        at = rmap_next(shadow->rmap, at);
    return at;
}

static void audit_writable(struct audit *audit, const struct shadow_page *page, unsigned index,
                           gpa_t base)
{
    struct mem *mem = audit->shadow->mem;
    uint64_t span = x86_table_span(page->role.level);

    if (!mem_host(mem, base, span, true))
        complain(audit, page, index, "a leaf lets ROM be written");
    for (gpa_t gpa = base; gpa - base < span; gpa += PAGE_SIZE) {
        if (mem_page_watched(mem, MEM_WATCH_TABLES, gpa))
            complain(audit, page, index, "a leaf lets a write-tracked guest table be written");
        if (mem_is_clean(mem_find_slot(mem, gpa), gpa))
            complain(audit, page, index, "a leaf lets a page be written that its dirty log lacks");
    }
}

/* Rule 2 where PDPTE registers decide: the audit does not have them, shadow_switch looked. */
static bool is_pdpte(const struct shadow_page *page)
{
    return page->role.direct && page->role.format == X86_PAGING_PAE && page->role.level == 3;
}

static void audit_leaf(struct audit *audit, const struct shadow_page *page, unsigned index)
{
    const struct shadow *shadow = audit->shadow;
    uint64_t entry = page->table[index];
    unsigned level = page->role.level;
    gpa_t gpa;

    if (!(entry & X86_PTE_P)) {
        if (!(entry & SPTE_MMIO) || level != 1)
            complain(audit, page, index, "an entry that is neither present nor an MMIO entry");
        return;
    }
    audit->leaves++;
    if (!mem_gpa_of_host(shadow->mem, shadow_frame(entry), &gpa) ||
        mem_host(shadow->mem, gpa, x86_table_span(level), false) != shadow_frame(entry)) {
        complain(audit, page, index, "a leaf that leaves its slot");
        return;
    }
    if (level > 1 && (!(entry & X86_PTE_PS) || rmap_tables(shadow->rmap, gpa, level)))
        complain(audit, page, index, "a large leaf over a guest table, or not marked as large");
    if (!in_list(shadow, rmap_frame(shadow->rmap, gpa, level), &page->table[index]))
        complain(audit, page, index, "a leaf that the reverse map lacks");
    if (!(entry & X86_PTE_W) != !(entry & X86_PTE_D))
        complain(audit, page, index, "a leaf whose W and D differ");
    if (entry & X86_PTE_W)
        audit_writable(audit, page, index, gpa);
}

static void audit_entry(struct audit *audit, const struct shadow_page *page, unsigned index)
{
    const struct shadow *shadow = audit->shadow;
    uint64_t entry = page->table[index];
    const struct shadow_page *child;

    if (!page->unsync && !is_pdpte(page) && !shadow_entry_good(shadow, page, index, entry))
        complain(audit, page, index, "an entry beyond what the guest's table grants");
    if (!shadow_is_link(entry, page->role.level)) {
        audit_leaf(audit, page, index);
        return;
    }
    audit->links++;
    child = shadow_child(shadow, entry);
    if (!child->live || child->role.level + 1 != page->role.level)
        complain(audit, page, index, "a link to a page that is free or of the wrong level");
    else if (!in_list(shadow, &child->parents, &page->table[index]))
        complain(audit, page, index, "a link that the child's parents lack");
}

/* Rule 7, asked of the first page of a gfn for all of them. */
static void audit_table(struct audit *audit, const struct shadow_page *page)
{
    const struct shadow *shadow = audit->shadow;
    gpa_t gpa = page->gfn << PAGE_SHIFT;
    const struct shadow_page *other;

    if (mem_find_slot(shadow->mem, gpa) &&
        mem_page_watched(shadow->mem, MEM_WATCH_TABLES, gpa) == page->unsync)
        complain(audit, page, 0, "a table in step that is not watched, or the other way round");
    for (other = page; other; other = shadow_page_find(shadow, page->gfn, other)) {
        if (other->unsync != page->unsync)
            complain(audit, other, 0, "pages of one table, some in step and some not");
    }
    if (page->unsync && page->role.level != 1)
        complain(audit, page, 0, "an unsync page above level 1");
    for (unsigned level = 2; level <= RMAP_LEVELS; level++) {
        if (mem_find_slot(shadow->mem, gpa) && !rmap_tables(shadow->rmap, gpa, level))
            complain(audit, page, 0, "a guest table that is not counted");
    }
}

static void audit_page(struct audit *audit, const struct shadow_page *page)
{
    const struct shadow *shadow = audit->shadow;
    unsigned present = 0, found = 0;
    const struct shadow_page *other;

    for (unsigned i = 0; i < X86_TABLE_ENTRIES; i++) {
        if (page->table[i]) {
            present++;
            audit_entry(audit, page, i);
        }
    }
    if (present != page->present)
        complain(audit, page, 0, "a page whose count of entries is wrong");
    for (rmap_at at = page->parents.first; at; at = rmap_next(shadow->rmap, at)) {
        uint64_t entry = shadow->tables[at - 1];

        audit->in_parents++;
        if (!(entry & X86_PTE_P) || shadow_frame(entry) != (uint8_t *)page->table)
            complain(audit, page, 0, "a parent that does not name the page");
    }
    if (page->users && page->role.level != X86_TABLE_LEVELS)
        complain(audit, page, 0, "a root that is not of level 4");
    if (page->role.direct) {
        if (page->unsync)
            complain(audit, page, 0, "a direct page out of step");
        return;
    }
    for (other = shadow_page_find(shadow, page->gfn, NULL); other;
         other = shadow_page_find(shadow, page->gfn, other))
        found += other == page;
    if (found != 1)
        complain(audit, page, 0, "a page that the hash does not hold once");
    if (shadow_page_find(shadow, page->gfn, NULL) == page)
        audit_table(audit, page);
}

/* Counts what is in the lists of all frames; each entry was found in its own already. */
static void count_frames(struct audit *audit)
{
    const struct shadow *shadow = audit->shadow;
    size_t count;
    const struct mem_slot *slots = mem_slots(shadow->mem, &count);

    for (size_t i = 0; i < count; i++) {
        gpa_t last = slots[i].base + (slots[i].size_bytes - 1);

        for (unsigned level = 1; level <= RMAP_LEVELS; level++) {
            uint64_t span = x86_table_span(level);

            for (gpa_t gpa = slots[i].base; gpa <= last && gpa >= slots[i].base;
                 gpa = ALIGN_DOWN(gpa, span) + span) {
                rmap_at at = rmap_frame(shadow->rmap, gpa, level)->first;

                for (; at; at = rmap_next(shadow->rmap, at))
                    audit->in_frames++;
            }
        }
    }
}

static void audit_counts(struct audit *audit, uint64_t pages, uint64_t unsync)
{
    const struct shadow *shadow = audit->shadow;
    uint64_t listed = 0;

    for (const struct shadow_page *page = shadow->unsync; page; page = page->unsync_next)
        listed += page->unsync;
    if (audit->good && (pages != shadow->stats.pages || audit->leaves != audit->in_frames ||
                        audit->leaves != shadow->stats.rmap_entries ||
                        audit->links != audit->in_parents || unsync != listed)) {
        snprintf(audit->why, audit->size,
                 "%" PRIu64 " pages (%" PRIu64 " counted), %" PRIu64 " leaves (%" PRIu64
                 " in frames' lists, %" PRIu64 " counted), %" PRIu64 " links (%" PRIu64
                 " in parents' lists), %" PRIu64 " unsync (%" PRIu64 " listed)",
                 pages, shadow->stats.pages, audit->leaves, audit->in_frames,
                 shadow->stats.rmap_entries, audit->links, audit->in_parents, unsync, listed);
        audit->good = false;
    }
}

bool shadow_audit(const struct shadow *shadow, char *why, size_t size)
{
    struct audit audit = {.shadow = shadow, .why = why, .size = size, .good = true};
    uint64_t pages = 0, unsync = 0;

    /* Changes that the vCPU has not come by to look at yet may leave anything stale. */
    if (shadow->generation != mem_generation(shadow->mem) ||
        atomic_load_explicit(&shadow->pending, memory_order_relaxed))
        return true;
    for (const struct shadow_page *page = shadow->oldest; page; page = page->newer) {
        pages++;
        unsync += page->unsync;
        audit_page(&audit, page);
    }
    count_frames(&audit);
    audit_counts(&audit, pages, unsync);
    return audit.good;
}

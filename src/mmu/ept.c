/* The extended page table: one radix tree of 512-entry pages, four levels, as the manual has it. */
#include "mmu/ept.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/trace.h"
#include "mem/mem.h"

/*
 * Pages of tables that MMIO entries may take. A guest can name 2^36 pages without a slot; once it
 * has used this up, each access to a further one finds no slot anew.
 */
#define MAX_MMIO_TABLES 1024

/*
 * Tables that are kept back, more than one fill or one range takes. So neither fails: what finds
 * too few drops all tables and goes on with those.
 */
#define SPARES 8

struct ept {
    uint64_t *spares; /* a list, by their first entries */
    unsigned spare_count;
    uint64_t max_tables; /* spares too */
    struct mem *mem;
    uint64_t *root;
    uint64_t generation;  /* of the slots, at the last look */
    unsigned mmio_tables; /* made for marks of MMIO */
    struct ept_stats stats;
};

static uint64_t *entry_at(uint64_t *table, gpa_t gpa, unsigned level)
{
    return &table[x86_table_index(gpa, level)];
}

static uint64_t *child_of(uint64_t entry)
{
    return (uint64_t *)(uintptr_t)(entry & EPT_FRAME);
}

static void put_spare(struct ept *ept, uint64_t *table)
{
    *table = (uintptr_t)ept->spares;
    ept->spares = table;
    ept->spare_count++;
}

static uint64_t *new_table(struct ept *ept)
{
    uint64_t *table = ept->spares;

    ASSERT(table, "tables are kept back for whatever makes some");
    ept->spares = (uint64_t *)(uintptr_t)*table;
    ept->spare_count--;
    memset(table, 0, PAGE_SIZE);
    ept->stats.tables++;
    return table;
}

/* False: the bound is reached, or the host has no memory. */
static bool fill_spares(struct ept *ept)
{
    while (ept->spare_count < SPARES) {
        uint64_t *table = NULL;

        if (ept->stats.tables + ept->spare_count < ept->max_tables)
            table = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
        if (!table)
            return false;
        ASSERT(((uintptr_t)table & ~EPT_FRAME) == 0, "a host address fits an entry's frame");
        put_spare(ept, table);
    }
    return true;
}

/* Frees a table and all below it; counts the leaves that go. */
static void free_table(struct ept *ept, uint64_t *table, unsigned level)
{
    for (unsigned i = 0; i < X86_TABLE_ENTRIES; i++) {
        if (!ept_entry_present(table[i]))
            continue;
        if (ept_entry_mmio(table[i]) || x86_table_is_leaf(table[i], level))
            ept->stats.zapped++;
        else
            free_table(ept, child_of(table[i]), level - 1);
    }
    ept->stats.tables--;
    if (ept->spare_count < SPARES)
        put_spare(ept, table);
    else
        free(table);
}

static void drop_all(struct ept *ept)
{
    free_table(ept, ept->root, X86_TABLE_LEVELS);
    ept->root = new_table(ept);
    ept->mmio_tables = 0;
}

/* Before tables are made. With the root there are always SPARES + 1, in use or not. */
static void want_spares(struct ept *ept)
{
    if (fill_spares(ept))
        return;
    ept->stats.dropped_for_room++;
    drop_all(ept);
}

struct ept *ept_create(struct mem *mem, uint64_t max_tables)
{
    struct ept *ept = calloc(1, sizeof(*ept));

    if (!ept)
        return NULL;
    ASSERT(max_tables >= EPT_TABLES_MIN, "the bound was checked");
    ept->mem = mem;
    ept->max_tables = max_tables;
    ept->generation = mem_generation(mem);
    if (fill_spares(ept)) {
        ept->root = new_table(ept);
        if (fill_spares(ept))
            return ept;
    }
    ept_destroy(ept);
    return NULL;
}

void ept_destroy(struct ept *ept)
{
    if (!ept)
        return;
    if (ept->root)
        free_table(ept, ept->root, X86_TABLE_LEVELS);
    while (ept->spares) {
        uint64_t *table = ept->spares;

        ept->spares = (uint64_t *)(uintptr_t)*table;
        free(table);
    }
    free(ept);
}

enum ept_walk ept_walk(struct ept *ept, gpa_t gpa, unsigned access, struct ept_mapping *mapping)
{
    uint64_t *table = ept->root;

    mapping->rights = 0;
    if (gpa >> X86_TABLE_BITS)
        return EPT_WALK_VIOLATION;
    mapping->rights = EPT_RIGHTS;
    for (unsigned level = X86_TABLE_LEVELS;; level--) {
        uint64_t *entry = entry_at(table, gpa, level);

        if (ept_entry_mmio(*entry))
            return EPT_WALK_MISCONFIG;
        mapping->rights &= *entry;
        if ((*entry & access) != access)
            return EPT_WALK_VIOLATION;
        *entry |= EPT_ACCESSED;
        if (!x86_table_is_leaf(*entry, level)) {
            table = child_of(*entry);
            continue;
        }
        if (access & EPT_WRITE)
            *entry |= EPT_DIRTY;
        *mapping = (struct ept_mapping){
            .rights = mapping->rights,
            .hva = (uint8_t *)child_of(*entry) + (gpa & (x86_table_span(level) - 1)),
            .page_bytes = x86_table_span(level),
            .writable = *entry & EPT_WRITE,
            .dirty = *entry & EPT_DIRTY,
            .level = level,
        };
        return EPT_WALK_MAPPED;
    }
}

/* The level of the largest leaf that slot and alignment allow around gpa. */
static unsigned leaf_level(const struct mem_slot *slot, gpa_t gpa)
{
    unsigned level = X86_TABLE_LEVELS - 1;

    for (; level > 1; level--) {
        uint64_t span = x86_table_span(level);

        if (mem_slot_holds_leaf(slot, ALIGN_DOWN(gpa, span), span))
            break;
    }
    return level;
}

static uint64_t leaf_for(const struct mem_slot *slot, gpa_t base, unsigned level)
{
    uint64_t frame = (uintptr_t)slot->hva + (base - slot->base);
    /* A logged slot's pages are read-only until a violation has put the one page into the log. */
    bool write = slot->kind == MEM_SLOT_RAM && !slot->dirty;
    uint64_t rights = EPT_READ | EPT_EXEC | (write ? EPT_WRITE : 0);

    return frame | rights | EPT_WRITE_BACK | (level > 1 ? EPT_LEAF : 0);
}

/* Replaces a leaf by a table of leaves one level down that map the same. */
static void split(struct ept *ept, uint64_t *entry, unsigned level)
{
    uint64_t *table = new_table(ept);
    uint64_t leaf = *entry;

    for (unsigned i = 0; i < X86_TABLE_ENTRIES; i++) {
        table[i] = leaf + i * x86_table_span(level - 1);
        if (level - 1 == 1)
            table[i] &= ~EPT_LEAF;
    }
    *entry = (uintptr_t)table | EPT_RIGHTS | EPT_ACCESSED;
    ept->stats.split++;
}

/*
 * The entry of gpa at `level`, with tables made on the way. A leaf met higher up maps gpa already:
 * *level becomes its level.
 */
static uint64_t *make_entry(struct ept *ept, gpa_t gpa, unsigned *level)
{
    uint64_t *table = ept->root;

    for (unsigned at = X86_TABLE_LEVELS;; at--) {
        uint64_t *entry = entry_at(table, gpa, at);

        if (at == *level || (ept_entry_present(*entry) && x86_table_is_leaf(*entry, at))) {
            *level = at;
            return entry;
        }
        if (!ept_entry_present(*entry))
            *entry = (uintptr_t)new_table(ept) | EPT_RIGHTS;
        table = child_of(*entry);
    }
}

/* Marks a page without a slot, as long as the marks do not take too much memory. */
static void mark_mmio(struct ept *ept, gpa_t gpa)
{
    uint64_t tables = ept->stats.tables;
    unsigned level = 1;

    if (gpa >> X86_TABLE_BITS || ept->mmio_tables >= MAX_MMIO_TABLES)
        return;
    *make_entry(ept, gpa, &level) = EPT_MMIO;
    ept->mmio_tables += (unsigned)(ept->stats.tables - tables);
    ept->stats.filled[0]++;
}

/* Gives permission to write back to the one page; the leaf around it is split. */
static void allow_write(struct ept *ept, uint64_t *entry, unsigned level, gpa_t gpa)
{
    while (level > 1) {
        split(ept, entry, level);
        level = 1;
        entry = make_entry(ept, gpa, &level);
    }
    *entry |= EPT_WRITE;
    mem_mark_dirty(ept->mem, gpa);
}

static enum ept_fill fill(struct ept *ept, gpa_t gpa, unsigned access)
{
    const struct mem_slot *slot = mem_find_slot(ept->mem, gpa);
    unsigned level;
    uint64_t *entry;

    if (!slot || gpa >> X86_TABLE_BITS) {
        mark_mmio(ept, gpa);
        return EPT_FILL_MMIO;
    }
    level = leaf_level(slot, gpa);
    entry = make_entry(ept, gpa, &level);
    /* A table stands where a larger leaf would: something in it was split. Fill only the page. */
    if (ept_entry_present(*entry) && !x86_table_is_leaf(*entry, level)) {
        level = 1;
        entry = make_entry(ept, gpa, &level);
    }
    if (!ept_entry_present(*entry)) {
        *entry = leaf_for(slot, ALIGN_DOWN(gpa, x86_table_span(level)), level);
        ept->stats.filled[level]++;
    }
    if ((*entry & access) == access)
        return EPT_FILLED;
    if (slot->kind == MEM_SLOT_ROM)
        return EPT_FILL_READ_ONLY;
    allow_write(ept, entry, level, gpa);
    return EPT_FILLED;
}

enum ept_fill ept_fill(struct ept *ept, gpa_t gpa, unsigned access)
{
    static const char *const words[] = {
        [EPT_FILLED] = "filled",
        [EPT_FILL_MMIO] = "MMIO",
        [EPT_FILL_READ_ONLY] = "write to ROM",
    };
    enum ept_fill end;

    want_spares(ept);
    end = fill(ept, gpa, access);

    if (trace_on(TRACE_ept_violation)) {
        const uint64_t *path[X86_TABLE_LEVELS];
        unsigned count = ept_peek(ept, gpa, path);

        trace(ept_violation, gpa, access, TRACE_WORD(words[end]), X86_TABLE_LEVELS + 1 - count,
              count ? *path[count - 1] : 0);
    }
    return end;
}

/* What a range operation does with an entry that lies in the range whole; false: go into it. */
typedef bool (*entry_fn)(struct ept *ept, uint64_t *entry, unsigned level);

/* Tables go too: one that was left would keep a larger leaf from its place. */
static bool zap_entry(struct ept *ept, uint64_t *entry, unsigned level)
{
    trace(ept_zap, level, *entry);
    if (ept_entry_mmio(*entry) || x86_table_is_leaf(*entry, level))
        ept->stats.zapped++;
    else
        free_table(ept, child_of(*entry), level - 1);
    *entry = 0;
    return true;
}

static bool protect_entry(struct ept *ept, uint64_t *entry, unsigned level)
{
    if (ept_entry_mmio(*entry))
        return true;
    if (x86_table_is_leaf(*entry, level))
        *entry &= ~(uint64_t)EPT_WRITE;
    return x86_table_is_leaf(*entry, level);
}

/* Applies fn to the entries of [gpa, last]; a leaf that reaches beyond is split first. */
static void for_range(struct ept *ept, uint64_t *table, unsigned level, gpa_t gpa, gpa_t last,
                      entry_fn fn)
{
    for (gpa_t base = ALIGN_DOWN(gpa, x86_table_span(level));; base += x86_table_span(level)) {
        uint64_t *entry = entry_at(table, base, level);
        gpa_t end = base + (x86_table_span(level) - 1);
        bool whole = gpa <= base && end <= last;

        if (ept_entry_present(*entry) && !(whole && fn(ept, entry, level))) {
            if (x86_table_is_leaf(*entry, level))
                split(ept, entry, level);
            for_range(ept, child_of(*entry), level - 1, MAX(gpa, base), MIN(last, end), fn);
        }
        if (end >= last)
            return;
    }
}

/* Cuts a range to whole pages and to what the table can map; false when nothing is left. */
static bool clip(gpa_t *gpa, uint64_t len, gpa_t *last)
{
    if (len == 0 || *gpa >> X86_TABLE_BITS)
        return false;
    *last = *gpa + (len - 1);
    if (*last < *gpa || *last >> X86_TABLE_BITS)
        *last = BIT(X86_TABLE_BITS) - 1;
    *gpa &= PAGE_MASK;
    *last |= ~PAGE_MASK;
    return true;
}

void ept_zap(struct ept *ept, gpa_t gpa, uint64_t len)
{
    gpa_t last;

    want_spares(ept);
    if (clip(&gpa, len, &last))
        for_range(ept, ept->root, X86_TABLE_LEVELS, gpa, last, zap_entry);
}

void ept_write_protect(struct ept *ept, gpa_t gpa, uint64_t len)
{
    gpa_t last;

    want_spares(ept);
    if (clip(&gpa, len, &last))
        for_range(ept, ept->root, X86_TABLE_LEVELS, gpa, last, protect_entry);
}

bool ept_follow_slots(struct ept *ept)
{
    uint64_t now = mem_generation(ept->mem);
    uint64_t len;
    gpa_t gpa;

    if (ept->generation == now)
        return false;
    while (ept->generation != now) {
        ept->generation++;
        if (mem_change(ept->mem, ept->generation, &gpa, &len))
            ept_zap(ept, gpa, len);
        else
            drop_all(ept);
    }
    return true;
}

unsigned ept_peek(const struct ept *ept, gpa_t gpa, const uint64_t *path[4])
{
    uint64_t *table = ept->root;
    unsigned count = 0;

    if (gpa >> X86_TABLE_BITS)
        return 0;
    for (unsigned level = X86_TABLE_LEVELS;; level--) {
        uint64_t *entry = entry_at(table, gpa, level);

        path[count++] = entry;
        if (!ept_entry_present(*entry) || ept_entry_mmio(*entry) ||
            x86_table_is_leaf(*entry, level))
            return count;
        table = child_of(*entry);
    }
}

const struct ept_stats *ept_stats(const struct ept *ept)
{
    return &ept->stats;
}

typedef void (*visit_fn)(void *opaque, gpa_t gpa, uint64_t entry, unsigned level);

/* Visits a table's leaves; returns the number of tables. */
static uint64_t visit(uint64_t *table, unsigned level, gpa_t base, visit_fn fn, void *opaque)
{
    uint64_t tables = 1;

    for (unsigned i = 0; i < X86_TABLE_ENTRIES; i++) {
        gpa_t gpa = base + i * x86_table_span(level);

        if (!ept_entry_present(table[i]))
            continue;
        if (ept_entry_mmio(table[i]) || x86_table_is_leaf(table[i], level))
            fn(opaque, gpa, table[i], level);
        else
            tables += visit(child_of(table[i]), level - 1, gpa, fn, opaque);
    }
    return tables;
}

void ept_for_each(const struct ept *ept, visit_fn fn, void *opaque)
{
    visit(ept->root, X86_TABLE_LEVELS, 0, fn, opaque);
}

struct audit {
    const struct ept *ept;
    char *why;
    size_t size;
    bool good;
};

static void complain(struct audit *audit, gpa_t gpa, uint64_t entry, const char *what)
{
    if (audit->good)
        snprintf(audit->why, audit->size, "%s: gpa %#" PRIx64 " entry %#" PRIx64, what, gpa, entry);
    audit->good = false;
}

static void audit_leaf(void *opaque, gpa_t gpa, uint64_t entry, unsigned level)
{
    struct audit *audit = opaque;
    const struct mem_slot *slot = mem_find_slot(audit->ept->mem, gpa);

    if (ept_entry_mmio(entry)) {
        if (slot || level != 1 || entry != EPT_MMIO)
            complain(audit, gpa, entry, "an MMIO mark where a slot is, or no plain mark");
        return;
    }
    if (!slot || slot->size_bytes - (gpa - slot->base) < x86_table_span(level)) {
        complain(audit, gpa, entry, "a leaf outside its slot");
        return;
    }
    if ((uint8_t *)child_of(entry) != slot->hva + (gpa - slot->base))
        complain(audit, gpa, entry, "a leaf that points elsewhere than its slot");
    if (slot->kind == MEM_SLOT_ROM && (entry & EPT_WRITE))
        complain(audit, gpa, entry, "a writable leaf of ROM");
    if ((entry & EPT_WRITE) && slot->dirty && (level > 1 || mem_is_clean(slot, gpa)))
        complain(audit, gpa, entry, "a writable leaf of a page that a dirty log does not hold");
    if (!(entry & EPT_READ) || (entry & EPT_TYPE_MASK) != EPT_WRITE_BACK)
        complain(audit, gpa, entry, "a misconfigured leaf");
    if ((entry & EPT_DIRTY) && !(entry & EPT_ACCESSED))
        complain(audit, gpa, entry, "a dirty leaf that nobody accessed");
}

bool ept_audit(const struct ept *ept, char *why, size_t size)
{
    struct audit audit = {.ept = ept, .why = why, .size = size, .good = true};
    uint64_t tables = visit(ept->root, X86_TABLE_LEVELS, 0, audit_leaf, &audit);

    if (audit.good && tables != ept->stats.tables) {
        snprintf(why, size, "%" PRIu64 " tables are reachable, %" PRIu64 " are counted", tables,
                 ept->stats.tables);
        audit.good = false;
    }
    return audit.good;
}

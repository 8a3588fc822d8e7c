/*
 * The TLB: entries filled by walks, emptied as the manual asks. What a load of CR3 must not keep
 * and what INVLPG has to look for beside one entry is remembered here, so that both stay cheap.
 *
 *   global pages   stay over a load of CR3; the entries of all others are noted in a list, which
 * the load empties (the whole table is looked through when the list was too short) large pages have
 * an entry for each of their 4 KiB that was used; a filter by GiB tells whether any is cached
 * around an address code           which address leads to which block is forgotten with the
 * translations
 *
 * Specification: SDM 3 "Caching Translation Information".
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/soft/block.h"
#include "engine/soft/debug.h"
#include "engine/soft/paging.h"

/* Bits of cpu->tlb_pages below the page's address. */
#define PAGE_GLOBAL BIT(0)
#define PAGE_LARGE  BIT(1)

static struct tlb_entry *tlb_slot(struct cpu *cpu, enum tlb_kind kind, gva_t linear)
{
    return &cpu->tlb_tables[kind][tlb_index(cpu, linear)];
}

static void empty(struct cpu *cpu, unsigned kind, uint64_t index)
{
    struct tlb_entry *entry = &cpu->tlb_tables[kind][index];

    entry->read = entry->write = entry->exec = tlb_no_tag(index);
}

/* Large pages are at most a GiB: an entry of the same one lies in the same GiB. */
static uint64_t large_bit(gva_t linear)
{
    return BIT(linear >> GIB_SHIFT & 63);
}

/* Remembers an entry that the next load of CR3 takes away. */
static void note_local(struct cpu *cpu, enum tlb_kind kind, uint64_t index)
{
    if (cpu->tlb_locals < TLB_LOCALS)
        cpu->tlb_local[cpu->tlb_locals] = (uint16_t)(kind * TLB_MAX_ENTRIES + index);
    if (cpu->tlb_locals <= TLB_LOCALS)
        cpu->tlb_locals++;
}

/* Empties the slots that share the entry of one that is being filled; there are none but in a tiny
 * TLB. */
static void evict_sharers(struct cpu *cpu, enum tlb_kind kind, uint64_t index)
{
    for (uint64_t i = cpu->tlb_entries; i <= cpu->tlb_mask; i += cpu->tlb_entries)
        empty(cpu, kind, (index + i) & cpu->tlb_mask);
}

void tlb_fill(struct cpu *cpu, enum tlb_kind kind, gva_t linear, const struct translation *out,
              struct tlb_rights rights)
{
    uint64_t index = tlb_index(cpu, linear);
    struct tlb_entry *entry = &cpu->tlb_tables[kind][index];
    gva_t page = linear & PAGE_MASK;
    bool global = rights.global && !cpu->tlb_keeps_nothing;

    evict_sharers(cpu, kind, index);
    entry->host = (uint64_t)(uintptr_t)out->host - (linear & ~PAGE_MASK);
    entry->read = page;
    entry->write = rights.write && !out->watched ? page : tlb_no_tag(index);
    entry->exec = rights.execute ? page : tlb_no_tag(index);
    debug_hide_watched(cpu, entry, page);
    cpu->tlb_pages[kind][index] =
        (out->gpa & PAGE_MASK) | (global ? PAGE_GLOBAL : 0) | (rights.large ? PAGE_LARGE : 0);
    if (rights.large)
        cpu->tlb_large |= large_bit(linear);
    if (!global)
        note_local(cpu, kind, index);
}

bool tlb_fetch(struct cpu *cpu, enum tlb_kind kind, gva_t linear, gpa_t *gpa)
{
    gpa_t page = cpu->tlb_pages[kind][tlb_index(cpu, linear)];

    if (unlikely(tlb_slot(cpu, kind, linear)->exec != (linear & PAGE_MASK)))
        return false;
    *gpa = (page & PAGE_MASK) | (linear & ~PAGE_MASK);
    return true;
}

bool tlb_is_global(const struct cpu *cpu, enum tlb_kind kind, gva_t linear)
{
    uint64_t index = tlb_index(cpu, linear);

    return cpu->tlb_tables[kind][index].exec == (linear & PAGE_MASK) &&
           (cpu->tlb_pages[kind][index] & PAGE_GLOBAL);
}

bool tlb_is_large(const struct cpu *cpu, enum tlb_kind kind, gva_t linear)
{
    uint64_t index = tlb_index(cpu, linear);

    /* What the TLB has lost since may be of a large page. */
    return cpu->tlb_tables[kind][index].exec != (linear & PAGE_MASK) ||
           (cpu->tlb_pages[kind][index] & PAGE_LARGE);
}

gpa_t tlb_entry_gpa(const struct cpu *cpu, enum tlb_kind kind, uint64_t index)
{
    return cpu->tlb_pages[kind][index] & PAGE_MASK;
}

void tlb_clear_table(struct cpu *cpu, unsigned kind)
{
    /* All ones is tlb_no_tag of each slot but the first. */
    memset(cpu->tlb_tables[kind], 0xff, sizeof(cpu->tlb_tables[kind]));
    empty(cpu, kind, 0);
}

void tlb_flush_all(struct cpu *cpu)
{
    /* The table TLB_NEVER stays as it was made: empty. */
    for (unsigned kind = 0; kind < TLB_KINDS; kind++)
        tlb_clear_table(cpu, kind);
    cpu->tlb_large = 0;
    cpu->tlb_locals = 0;
    cpu->counters.tlb_flushes++;
    block_forget_addresses(cpu);
}

/* Too many to remember: looks at all entries. */
static void flush_locals_by_search(struct cpu *cpu)
{
    for (unsigned kind = 0; kind < TLB_KINDS; kind++) {
        for (uint64_t i = 0; i <= cpu->tlb_mask; i++) {
            if (!(cpu->tlb_pages[kind][i] & PAGE_GLOBAL))
                empty(cpu, kind, i);
        }
    }
}

void tlb_flush_local(struct cpu *cpu)
{
    if (cpu->tlb_locals > TLB_LOCALS) {
        flush_locals_by_search(cpu);
    } else {
        for (unsigned i = 0; i < cpu->tlb_locals; i++) {
            unsigned kind = cpu->tlb_local[i] / TLB_MAX_ENTRIES;
            unsigned index = cpu->tlb_local[i] % TLB_MAX_ENTRIES;

            /* A global page may have taken its place since. */
            if (!(cpu->tlb_pages[kind][index] & PAGE_GLOBAL))
                empty(cpu, kind, index);
        }
    }
    cpu->tlb_locals = 0;
    cpu->counters.tlb_flushes++;
    block_forget_local_addresses(cpu);
}

void tlb_drop_page(struct cpu *cpu, gva_t page)
{
    for (unsigned kind = 0; kind < TLB_KINDS; kind++)
        empty(cpu, kind, tlb_index(cpu, page));
    block_forget_page(cpu, page);
}

/* Empties the entries of large pages in the GiB around an address. */
static void drop_large(struct cpu *cpu, gva_t linear)
{
    for (unsigned kind = 0; kind < TLB_KINDS; kind++) {
        for (uint64_t i = 0; i <= cpu->tlb_mask; i++) {
            gva_t page;

            if (tlb_entry_page(&cpu->tlb_tables[kind][i], &page) &&
                (cpu->tlb_pages[kind][i] & PAGE_LARGE) && page >> GIB_SHIFT == linear >> GIB_SHIFT)
                empty(cpu, kind, i);
        }
    }
    block_forget_large(cpu, linear);
}

void tlb_flush_page(struct cpu *cpu, gva_t page)
{
    tlb_drop_page(cpu, page);
    if (cpu->tlb_large & large_bit(page)) {
        trace(tlb_flush, TRACE_WORD("INVLPG where large pages are cached"));
        cpu->counters.flushes[ENGINE_FLUSH_INVALIDATE]++;
        drop_large(cpu, page);
    }
}

void tlb_protect_page(struct cpu *cpu, gpa_t page)
{
    uintptr_t host = (uintptr_t)mem_host(cpu->mem, page, PAGE_SIZE, false);

    for (unsigned kind = 0; kind < TLB_KINDS; kind++) {
        for (uint64_t i = 0; i <= cpu->tlb_mask; i++) {
            struct tlb_entry *entry = &cpu->tlb_tables[kind][i];

            if (tlb_is_tag(entry->write) && entry->host == host)
                entry->write = tlb_no_tag(i);
        }
    }
}

static bool audit_entry(const struct cpu *cpu, unsigned kind, uint64_t index, char *why,
                        size_t size)
{
    const struct tlb_entry *entry = &cpu->tlb_tables[kind][index];
    gva_t tag;
    gpa_t gpa = tlb_entry_gpa(cpu, kind, index);
    bool write = tlb_is_tag(entry->write);

    if (!tlb_entry_page(entry, &tag))
        return true;
    if (tlb_index(cpu, tag) != index ||
        MAX(entry->host, 1) != (uintptr_t)mem_host(cpu->mem, gpa, PAGE_SIZE, write)) {
        snprintf(why, size,
                 "TLB entry %" PRIu64 " of kind %u leads from %#" PRIx64
                 " elsewhere than its page %#" PRIx64,
                 index, kind, tag, gpa);
        return false;
    }
    if (write && mem_write_is_told(cpu->mem, gpa)) {
        snprintf(why, size, "the TLB lets %#" PRIx64 " be written, page %#" PRIx64 " is told", tag,
                 gpa);
        return false;
    }
    if ((cpu->tlb_pages[kind][index] & PAGE_LARGE) && !(cpu->tlb_large & large_bit(tag))) {
        snprintf(why, size, "INVLPG would not look for the large page around %#" PRIx64, tag);
        return false;
    }
    return true;
}

/* Each local entry must be on the list that a load of CR3 empties. */
static bool audit_locals(const struct cpu *cpu, char *why, size_t size)
{
    uint8_t listed[TLB_KINDS * TLB_MAX_ENTRIES] = {0};

    if (cpu->tlb_locals > TLB_LOCALS)
        return true;
    for (unsigned i = 0; i < cpu->tlb_locals; i++)
        listed[cpu->tlb_local[i]] = 1;
    for (unsigned i = 0; i < TLB_KINDS * TLB_MAX_ENTRIES; i++) {
        unsigned kind = i / TLB_MAX_ENTRIES, index = i % TLB_MAX_ENTRIES;
        gva_t page;

        if (tlb_entry_page(&cpu->tlb_tables[kind][index], &page) &&
            !(cpu->tlb_pages[kind][index] & PAGE_GLOBAL) && !listed[i]) {
            snprintf(why, size, "a load of CR3 would keep the local page %#" PRIx64, page);
            return false;
        }
    }
    return true;
}

bool paging_audit(const struct cpu *cpu, char *why, size_t size)
{
    for (unsigned kind = 0; kind < TLB_KINDS; kind++) {
        for (uint64_t i = 0; i <= cpu->tlb_mask; i++) {
            if (!audit_entry(cpu, kind, i, why, size))
                return false;
        }
    }
    return audit_locals(cpu, why, size);
}

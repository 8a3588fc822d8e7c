/* Decoding of table entries for people. */
#include "mmu/dump.h"

#include "mmu/shadow_internal.h"

#include <inttypes.h>
#include <stdio.h>

#define FRAME_MASK (BIT(52) - PAGE_SIZE)
#define LEAF       BIT(7) /* page size: at levels 2 and 3, in all formats */
/* PSE-36: bits 20..13 of a 4 MiB page's entry are bits 39..32 of its address. */
#define PSE36_SHIFT 13
#define PSE36_MASK  0xffull

struct letter {
    char letter;
    unsigned bit;
};

static const struct letter guest_letters[] = {{'P', 0}, {'W', 1}, {'U', 2}, {'A', 5},
                                              {'D', 6}, {'S', 7}, {'G', 8}, {'N', 63}};
static const struct letter ept_letters[] = {{'R', 0}, {'W', 1}, {'X', 2},
                                            {'A', 8}, {'D', 9}, {'S', 7}};

#define MAX_LETTERS ARRAY_SIZE(guest_letters)

/* The letters of the bits that are set, into text; it has room for MAX_LETTERS and the end. */
static void put_letters(char *text, const struct letter *letters, size_t count, uint64_t entry)
{
    for (size_t i = 0; i < count; i++)
        text[i] = (char)(entry & BIT(letters[i].bit) ? letters[i].letter : '-');
    text[count] = '\0';
}

const char *dump_format_name(enum guest_paging format)
{
    switch (format) {
    case GUEST_PAGING_32BIT: return "32-bit";
    case GUEST_PAGING_PAE: return "PAE";
    case GUEST_PAGING_4LEVEL: return "4-level";
    default: return "none (GVA is GPA)";
    }
}

const char *dump_leaf_size(enum guest_paging format, unsigned level)
{
    switch (level) {
    case 1: return "4 KiB";
    case 2: return format == GUEST_PAGING_32BIT ? "4 MiB" : "2 MiB";
    case 3: return "1 GiB";
    default: return "512 GiB";
    }
}

const char *dump_entry_name(enum guest_paging format, unsigned level)
{
    switch (level) {
    case 1: return "PTE";
    case 2: return "PDE";
    case 3: return "PDPTE";
    default: return "PML4E";
    }
}

/* The frame that an entry names: of a table, or of a page of the entry's level. */
static uint64_t frame_of(enum guest_paging format, unsigned level, uint64_t entry, bool leaf)
{
    unsigned bits = format == GUEST_PAGING_32BIT ? 10 : 9;
    uint64_t frame = entry & FRAME_MASK;

    if (!leaf || level == 1)
        return frame;
    frame &= ~(BIT(PAGE_SHIFT + bits * (level - 1)) - 1);
    if (format == GUEST_PAGING_32BIT)
        frame |= (entry >> PSE36_SHIFT & PSE36_MASK) << 32;
    return frame;
}

void dump_guest_entry(char text[DUMP_BYTES], enum guest_paging format,
                      const struct guest_walk_step *step)
{
    char letters[MAX_LETTERS + 1];

    put_letters(letters, guest_letters, ARRAY_SIZE(guest_letters), step->entry);
    if (step->entry & 1)
        snprintf(text, DUMP_BYTES, "%s %s 0x%" PRIx64, letters, step->leaf ? "page " : "table",
                 frame_of(format, step->level, step->entry, step->leaf));
    else
        snprintf(text, DUMP_BYTES, "%s not present", letters);
}

void dump_shadow_entry(char text[DUMP_BYTES], unsigned level, uint64_t entry)
{
    struct guest_walk_step step = {
        .level = level,
        .entry = entry,
        .leaf = level == 1 || (entry & LEAF),
    };

    dump_guest_entry(text, GUEST_PAGING_4LEVEL, &step);
    if (!(entry & SPTE_P) && (entry & SPTE_MMIO))
        snprintf(text + MAX_LETTERS, DUMP_BYTES - MAX_LETTERS, " MMIO, GPA 0x%" PRIx64,
                 entry & SPTE_FRAME);
}

void dump_ept_entry(char text[DUMP_BYTES], unsigned level, uint64_t entry)
{
    bool leaf = level == 1 || (entry & LEAF);
    char letters[MAX_LETTERS + 1];
    unsigned rights = entry & 7;

    put_letters(letters, ept_letters, ARRAY_SIZE(ept_letters), entry);
    if (rights == 0)
        snprintf(text, DUMP_BYTES, "%s not present", letters);
    else if (rights == 6)
        snprintf(text, DUMP_BYTES, "%s MMIO (misconfigured on purpose)", letters);
    else
        snprintf(text, DUMP_BYTES, "%s %s 0x%" PRIx64, letters, leaf ? "page " : "table",
                 frame_of(GUEST_PAGING_4LEVEL, level, entry, leaf));
}

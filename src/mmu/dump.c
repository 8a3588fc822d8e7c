/* Decoding of table entries for people. */
#include "mmu/dump.h"

#include "mmu/ept.h"
#include "mmu/shadow/entry.h"

#include <inttypes.h>
#include <stdio.h>

struct letter {
    char letter;
    uint64_t bit;
};

static const struct letter guest_letters[] = {
    {'P', X86_PTE_P}, {'W', X86_PTE_W},  {'U', X86_PTE_U}, {'A', X86_PTE_A},
    {'D', X86_PTE_D}, {'S', X86_PTE_PS}, {'G', X86_PTE_G}, {'N', X86_PTE_NX},
};
static const struct letter ept_letters[] = {
    {'R', EPT_READ},     {'W', EPT_WRITE}, {'X', EPT_EXEC},
    {'A', EPT_ACCESSED}, {'D', EPT_DIRTY}, {'S', EPT_LEAF},
};

#define MAX_LETTERS ARRAY_SIZE(guest_letters)

/* The letters of the bits that are set, into text; it has room for MAX_LETTERS and the end. */
static void put_letters(char *text, const struct letter *letters, size_t count, uint64_t entry)
{
    for (size_t i = 0; i < count; i++)
        text[i] = (char)(entry & letters[i].bit ? letters[i].letter : '-');
    text[count] = '\0';
}

const char *dump_format_name(enum x86_paging format)
{
    switch (format) {
    case X86_PAGING_32BIT: return "32-bit";
    case X86_PAGING_PAE: return "PAE";
    case X86_PAGING_4LEVEL: return "4-level";
    default: return "none (GVA is GPA)";
    }
}

const char *dump_leaf_size(enum x86_paging format, unsigned level)
{
    switch (level) {
    case 1: return "4 KiB";
    case 2: return format == X86_PAGING_32BIT ? "4 MiB" : "2 MiB";
    case 3: return "1 GiB";
    default: return "512 GiB";
    }
}

const char *dump_entry_name(enum x86_paging format, unsigned level)
{
    switch (level) {
    case 1: return "PTE";
    case 2: return "PDE";
    case 3: return "PDPTE";
    default: return "PML4E";
    }
}

/* The frame that an entry names: of a table, or of a page of the entry's level. */
static uint64_t frame_of(enum x86_paging format, unsigned level, uint64_t entry, bool leaf)
{
    return leaf ? x86_paging_leaf_base(format, entry, level) : entry & X86_PTE_FRAME;
}

void dump_guest_entry(char text[DUMP_BYTES], enum x86_paging format,
                      const struct guest_walk_step *step)
{
    char letters[MAX_LETTERS + 1];

    put_letters(letters, guest_letters, ARRAY_SIZE(guest_letters), step->entry);
    if (step->entry & X86_PTE_P)
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
        .leaf = x86_table_is_leaf(entry, level),
    };

    dump_guest_entry(text, X86_PAGING_4LEVEL, &step);
    if (!(entry & X86_PTE_P) && (entry & SPTE_MMIO))
        snprintf(text + MAX_LETTERS, DUMP_BYTES - MAX_LETTERS, " MMIO, GPA 0x%" PRIx64,
                 entry & X86_PTE_FRAME);
}

void dump_ept_entry(char text[DUMP_BYTES], unsigned level, uint64_t entry)
{
    bool leaf = x86_table_is_leaf(entry, level);
    char letters[MAX_LETTERS + 1];

    put_letters(letters, ept_letters, ARRAY_SIZE(ept_letters), entry);
    if (!ept_entry_present(entry))
        snprintf(text, DUMP_BYTES, "%s not present", letters);
    else if (ept_entry_mmio(entry))
        snprintf(text, DUMP_BYTES, "%s MMIO (misconfigured)", letters);
    else
        snprintf(text, DUMP_BYTES, "%s %s 0x%" PRIx64, letters, leaf ? "page " : "table",
                 frame_of(X86_PAGING_4LEVEL, level, entry, leaf));
}

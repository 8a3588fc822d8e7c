/*
 * The formats of paging structures: the bits of their entries, and the geometry of the tables.
 *
 *                4-level and EPT   PAE              32-bit
 *   level 4      PML4E  47..39     -                -
 *   level 3      PDPTE  38..30     register 31..30  -
 *   level 2      PDE    29..21     PDE      29..21  PDE  31..22
 *   level 1      PTE    20..12     PTE      20..12  PTE  21..12      (bits of the address)
 *
 * A level's span is what one entry of a table of that level covers. Functions named x86_table_*
 * speak of tables with entries of 8 bytes, which all formats but 32-bit paging have; those named
 * x86_paging_* take the format.
 *
 * This file refuses to read memory and registers.
 * Specification: SDM 3 "Paging" ("32-Bit Paging", "PAE Paging", "4-Level Paging"), "The Extended
 * Page Table Mechanism (EPT)".
 */
#ifndef UMBRA_X86_PAGING_H
#define UMBRA_X86_PAGING_H

#include "base/types.h"

enum x86_paging {
    X86_PAGING_NONE,  /* CR0.PG clear: a linear address is the physical one */
    X86_PAGING_32BIT, /* 2 levels of 4-byte entries */
    X86_PAGING_PAE,   /* the PDPTE registers and 2 levels */
    X86_PAGING_4LEVEL,
};

/* --- entries of page tables --- */

#define X86_PTE_P  BIT(0)
#define X86_PTE_W  BIT(1)
#define X86_PTE_U  BIT(2)
#define X86_PTE_A  BIT(5)
#define X86_PTE_D  BIT(6)
#define X86_PTE_PS BIT(7) /* at levels 2 and 3: the entry maps a page */
#define X86_PTE_G  BIT(8)
#define X86_PTE_NX BIT(63)

/* The physical address of a table or a 4 KiB page: the most bits that an entry has for it. */
#define X86_ADDRESS_MASK (BIT(52) - 1)
#define X86_PTE_FRAME    (X86_ADDRESS_MASK & PAGE_MASK)

/* The lowest bit of a large page's address in its entry; those below, down to 12, are PAT and 0. */
#define X86_PTE_LARGE_LOW_BIT 13

/* PSE-36: bits 20..13 of a 4 MiB page's entry are bits 39..32 of its address, bit 21 is reserved.
 */
#define X86_PDE32_HIGH_SHIFT 13
#define X86_PDE32_HIGH_MASK  0xffull
#define X86_PDE32_RESERVED   BIT(21)

/* PAE's PDPTE registers: four of them, and the bits 8..5 and 2..1 that must be 0 in each. */
#define X86_PDPTES         4
#define X86_PDPTE_RESERVED 0x1e6ull

/* Page-fault error code (SDM 3 "Interrupt 14"). */
#define X86_PF_PRESENT BIT(0)
#define X86_PF_WRITE   BIT(1)
#define X86_PF_USER    BIT(2)
#define X86_PF_RSVD    BIT(3)
#define X86_PF_FETCH   BIT(4)

/* --- entries of the EPT --- */

enum ept_access {
    EPT_READ = 1,
    EPT_WRITE = 2,
    EPT_EXEC = 4,
};

#define EPT_RIGHTS     0x7ull /* none of them: not present */
#define EPT_TYPE_SHIFT 3
#define EPT_TYPE_MASK  (0x7ull << EPT_TYPE_SHIFT)
#define EPT_WRITE_BACK (6ull << EPT_TYPE_SHIFT)
#define EPT_LEAF       BIT(7) /* at levels 2 and 3 */
#define EPT_ACCESSED   BIT(8)
#define EPT_DIRTY      BIT(9)
#define EPT_FRAME      X86_PTE_FRAME

/* --- tables with entries of 8 bytes --- */

#define X86_TABLE_LEVELS     4
#define X86_TABLE_INDEX_BITS 9
#define X86_TABLE_ENTRIES    (1u << X86_TABLE_INDEX_BITS)
#define X86_TABLE_BITS       (PAGE_SHIFT + X86_TABLE_LEVELS * X86_TABLE_INDEX_BITS)

_Static_assert(X86_TABLE_ENTRIES * sizeof(uint64_t) == PAGE_SIZE, "a table fills a page");
_Static_assert(X86_TABLE_BITS == 48, "four levels translate 48 bits");
_Static_assert((uint64_t)EPT_LEAF == X86_PTE_PS, "a large page has one bit in both formats");

static inline unsigned x86_table_shift(unsigned level)
{
    return PAGE_SHIFT + X86_TABLE_INDEX_BITS * (level - 1);
}

static inline uint64_t x86_table_span(unsigned level)
{
    return BIT(x86_table_shift(level));
}

static inline unsigned x86_table_index(uint64_t address, unsigned level)
{
    return (address >> x86_table_shift(level)) & (X86_TABLE_ENTRIES - 1);
}

/* Whether a present entry maps a page; else it names a table. */
static inline bool x86_table_is_leaf(uint64_t entry, unsigned level)
{
    return level == 1 || (entry & X86_PTE_PS);
}

/* The PDPTE register that serves an address under PAE paging. */
static inline unsigned x86_pdpte_index(uint64_t address)
{
    return (unsigned)bits_get(address, 31, 30);
}

/* --- tables of any format --- */

static inline unsigned x86_paging_entry_bytes(enum x86_paging format)
{
    return format == X86_PAGING_32BIT ? 4 : 8;
}

static inline unsigned x86_paging_index_bits(enum x86_paging format)
{
    return format == X86_PAGING_32BIT ? 10 : X86_TABLE_INDEX_BITS;
}

/* The level of the root table in memory. */
static inline unsigned x86_paging_top_level(enum x86_paging format)
{
    return format == X86_PAGING_4LEVEL ? X86_TABLE_LEVELS : 2;
}

static inline uint64_t x86_paging_span(enum x86_paging format, unsigned level)
{
    return BIT(PAGE_SHIFT + x86_paging_index_bits(format) * (level - 1));
}

static inline uint64_t x86_paging_index(enum x86_paging format, uint64_t address, unsigned level)
{
    unsigned bits = x86_paging_index_bits(format);

    return (address >> (PAGE_SHIFT + bits * (level - 1))) & (BIT(bits) - 1);
}

/* The physical address of the page that an entry maps which is a leaf of this level. */
static inline uint64_t x86_paging_leaf_base(enum x86_paging format, uint64_t entry, unsigned level)
{
    uint64_t page = ~(x86_paging_span(format, level) - 1);

    if (format == X86_PAGING_32BIT && level == 2)
        return (entry & page & UINT32_MAX) | (entry >> X86_PDE32_HIGH_SHIFT & X86_PDE32_HIGH_MASK)
                                                 << 32;
    return entry & page & X86_ADDRESS_MASK;
}

#endif

/*
 * Table entries as text for people: the bits by their manual's letters, then the frame. Pure
 * functions; the columns of one format stand below each other. A bit that is clear is a dash.
 *
 *   guest and shadow   P W U A D S G N   present, writable, user, accessed, dirty, page size,
 *                                        global, no-execute
 *   EPT                R W X A D S       read, write, execute, accessed, dirty, page size
 *
 * Specification: SDM 3 "32-Bit Paging", "PAE Paging", "4-Level Paging", "The EPT Translation
 * Mechanism".
 */
#ifndef UMBRA_MMU_DUMP_H
#define UMBRA_MMU_DUMP_H

#include "base/types.h"
#include "mmu/guest_walk.h"

#define DUMP_BYTES 64 /* room for the longest text below and its end */

/* "32-bit", "PAE", "4-level", "none (GVA is GPA)" */
const char *dump_format_name(enum x86_paging format);

/* "4 KiB", "2 MiB", "1 GiB", "512 GiB": what an entry at the level maps as a leaf. */
const char *dump_leaf_size(enum x86_paging format, unsigned level);

/* What an entry of a guest's table at the level is called: "PML4E", "PDPTE", "PDE", "PTE". */
const char *dump_entry_name(enum x86_paging format, unsigned level);

/* "PWUAD--- table 0x1234000", "P-U----N page 0x200000", "-------- not present". */
void dump_guest_entry(char text[DUMP_BYTES], enum x86_paging format,
                      const struct guest_walk_step *step);

/* The same for an entry of a shadow table, whose frame is a host address; "... MMIO, GPA 0x...". */
void dump_shadow_entry(char text[DUMP_BYTES], unsigned level, uint64_t entry);

/* "RWXAD- table 0x7f...", "RWXADS page 0x7f...", "-WX--- MMIO", "------ not present". */
void dump_ept_entry(char text[DUMP_BYTES], unsigned level, uint64_t entry);

#endif

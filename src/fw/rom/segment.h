/*
 * Constants that assembly and C of the BIOS share. Preprocessor lines only.
 *
 *   EBDA_SEGMENT:0000 ... size in KiB (one byte), as the BDA's users expect
 *                0010 ... .data, .rodata and .bss of the BIOS (copied from the ROM at POST)
 *                STACK_BOTTOM .. STACK_TOP  the BIOS's own stack
 */
#ifndef UMBRA_FW_ROM_SEGMENT_H
#define UMBRA_FW_ROM_SEGMENT_H

#define ROM_SEGMENT  0xf000
#define EBDA_SEGMENT 0x9d00
#define EBDA_BYTES   0x3000
#define STACK_BOTTOM 0x2000
#define STACK_TOP    0x3000
#define STACK_GAP    0x180

/* Selectors of the GDT in entry.S. */
#define SELECTOR_CODE32 0x08
#define SELECTOR_DATA32 0x10
#define SELECTOR_CODE16 0x18
#define SELECTOR_DATA16 0x20

#endif

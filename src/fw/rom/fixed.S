/*
 * The part of the BIOS that stands at addresses which software knows: the reset vector, the date,
 * the tables that old programs read, and the entry points that the PC's first BIOS published.
 * Source: IBM PC/AT Technical Reference, "BIOS listing" (addresses only).
 */
#include "fw/rom/segment.h"

    .code16
    .section .fixed, "ax"
fixed_start:
    .ascii "Umbra BIOS"

    /* BOOT_ROM_RSDP_OFFSET of fw/boot.h: the monitor writes 36 bytes here. */
    .org 0x0020
rom_rsdp:
    .fill 36, 1, 0

    .org 0x005b
    .global post_entry
post_entry:
    ljmpw $ROM_SEGMENT, $post_start

    .org 0x02c3
    ljmpw $ROM_SEGMENT, $entry_nmi
    .org 0x03fe
    ljmpw $ROM_SEGMENT, $entry_13

    /*
     * INT 15h C0h points here: length, model, submodel, revision, features. A near jump fits
     * before.
     */
    .org 0x06f2
    jmp fixed_19
    .org 0x06f5
    .global rom_config_table
rom_config_table:
    .word 8
    .byte 0xfc, 0x00, 0x00
    .byte 0x74 /* second 8259, RTC, keyboard intercept by INT 15h 4Fh, EBDA */
    .byte 0x00, 0x00, 0x00, 0x00
fixed_19:
    ljmpw $ROM_SEGMENT, $entry_19

    .org 0x0739
    ljmpw $ROM_SEGMENT, $entry_14

    .org 0x082e
    ljmpw $ROM_SEGMENT, $entry_16
    .org 0x0987
    ljmpw $ROM_SEGMENT, $entry_09
    .org 0x0c59
    ljmpw $ROM_SEGMENT, $entry_13
    .org 0x0f57
    ljmpw $ROM_SEGMENT, $entry_irq_master

    /* INT 1Eh: the diskette parameter table of a 1.44 MB drive. */
    .org 0x0fc7
    .global rom_diskette_table
rom_diskette_table:
    .byte 0xaf, 0x02, 0x25, 0x02, 18, 0x1b, 0xff, 0x6c, 0xf6, 0x0f, 0x08
    .org 0x0fd2
    ljmpw $ROM_SEGMENT, $entry_17
    .org 0x1065
    ljmpw $ROM_SEGMENT, $entry_10

    /* INT 1Dh: CRTC values for the modes of a CGA; nothing here programs from it. */
    .org 0x10a4
    .global rom_video_table
rom_video_table:
    .byte 0x71, 0x50, 0x5a, 0x0a, 0x1f, 0x06, 0x19, 0x1c, 0x02, 0x07, 0x06, 0x07, 0, 0, 0, 0

    .org 0x1841
    ljmpw $ROM_SEGMENT, $entry_12
    .org 0x184d
    ljmpw $ROM_SEGMENT, $entry_11
    .org 0x1859
    ljmpw $ROM_SEGMENT, $entry_15

    /* Where an 8x8 font stands in a PC. Ours is blank: the screen is a text buffer, no dots. */
    .org 0x1a6e
    .global rom_font
rom_font:
    .fill 1024, 1, 0

    .org 0x1e6e
    ljmpw $ROM_SEGMENT, $entry_1a
    .org 0x1ea5
    ljmpw $ROM_SEGMENT, $entry_08
    .org 0x1f53
    .global rom_iret
rom_iret:
    iretw
    .org 0x1f54
    ljmpw $ROM_SEGMENT, $entry_05

    .org 0x1ff0
    .global rom_reset
rom_reset:
    ljmpw $ROM_SEGMENT, $post_entry
    .ascii "06/01/25"
    .org 0x1ffe
    .byte 0xfc, 0x00

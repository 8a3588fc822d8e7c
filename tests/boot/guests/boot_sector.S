/*
 * A disk's first sectors. The first one loads the next seven by INT 13h with cylinder, head and
 * sector, and they test the BIOS's disk services: the geometry, CHS beyond the first track, the LBA
 * extensions, and writing. Every line goes to COM1 and to port E9h; the last word is isa-debug-exit.
 * The disk (tests/boot/boot_sector.py) holds in each sector behind these its own number, as a dword.
 * Sources: Phoenix, "BIOS Enhanced Disk Drive Specification" 3.0; Ralf Brown's list, INT 13h.
 */
#include "com1.h"

#define DISK_SECTORS 32768
#define BUFFER       0x2000
#define STAGE_BYTES  (8 * 512)

        /* Both consoles: the bytes at SI up to a zero. */
        .macro tell text
        .pushsection .text.strings, "ax"
9999:   .asciz  "\text\r\n"
        .popsection
        movw    $9999b, %si
        call    tell_both
        .endm

        prologue
        movb    %dl, drive
        movw    $0x0207, %ax            /* read 7 sectors */
        movw    $0x0002, %cx            /* cylinder 0, sector 2 */
        movb    $0, %dh
        movw    $0x7e00, %bx
        int     $0x13
        jc      no_stage
        cmpw    $0x1234, stage_mark
        jne     no_stage
        jmp     stage

no_stage:
        movw    $bad_load, %si
        call    tell_both
        movb    $0x7f, %al
        outb    %al, $0xf4
1:      hlt
        jmp     1b

tell_both:
        pushw   %si
        call    print
        popw    %si
1:      lodsb
        testb   %al, %al
        jz      2f
        outb    %al, $0xe9
        jmp     1b
2:      ret

drive:  .byte   0
bad_load:
        .asciz  "the boot sector cannot load the rest\r\n"
        epilogue
        .org    510
        .word   0xaa55

stage_mark:
        .word   0x1234
stage:
        tell    "boot sector: started"
        cmpb    $0x80, drive
        jne     fail_drive

        /* 08h: the geometry must hold the disk, or most of it. */
        movb    $0x08, %ah
        movb    drive, %dl
        xorw    %di, %di
        int     $0x13
        jc      fail_geometry
        movw    $0, %ax
        movw    %ax, %es
        movb    %cl, %al
        andw    $0x3f, %ax
        jz      fail_geometry
        movw    %ax, sectors
        movzbw  %dh, %ax
        incw    %ax
        movw    %ax, heads
        tell    "geometry: read"

        /* 02h in another cylinder: LBA 5000, translated with that geometry. */
        movw    $5000, %ax
        xorw    %dx, %dx
        divw    sectors                 /* DX: sector - 1, AX: track */
        movb    %dl, %cl
        incb    %cl
        xorw    %dx, %dx
        divw    heads                   /* DX: head, AX: cylinder */
        movb    %al, %ch
        shlb    $6, %ah
        orb     %ah, %cl
        movb    %dl, %dh
        movb    drive, %dl
        movw    $0x0201, %ax
        movw    $BUFFER, %bx
        int     $0x13
        jc      fail_chs
        cmpl    $5000, BUFFER
        jne     fail_chs
        tell    "CHS: read"

        /* 41h: the extensions are there. */
        movb    $0x41, %ah
        movw    $0x55aa, %bx
        movb    drive, %dl
        int     $0x13
        jc      fail_extensions
        cmpw    $0xaa55, %bx
        jne     fail_extensions
        testb   $1, %cl
        jz      fail_extensions

        /* 48h: their count of sectors. */
        movw    $0x1e, parameters
        movb    $0x48, %ah
        movb    drive, %dl
        movw    $parameters, %si
        int     $0x13
        jc      fail_extensions
        cmpl    $DISK_SECTORS, parameters + 0x10
        jne     fail_extensions

        /* 42h: two sectors far behind. */
        movw    $2, packet_count
        movl    $30000, packet_lba
        movb    $0x42, %ah
        call    extended
        jc      fail_lba
        cmpl    $30000, BUFFER
        jne     fail_lba
        cmpl    $30001, BUFFER + 512
        jne     fail_lba
        tell    "LBA: read"

        /* Beyond the end: an error, and no harm. */
        movw    $1, packet_count
        movl    $DISK_SECTORS, packet_lba
        movb    $0x42, %ah
        call    extended
        jnc     fail_end
        tell    "end of disk: refused"

        /* 43h: what was read at 30000 also goes to 31000. */
        movw    $1, packet_count
        movl    $30000, packet_lba
        movb    $0x42, %ah
        call    extended
        jc      fail_write
        movl    $31000, packet_lba
        movw    $0x4300, %ax
        call    extended
        jc      fail_write
        tell    "LBA: written"

        /* 00h, and a wrong drive. */
        movb    $0x00, %ah
        movb    drive, %dl
        int     $0x13
        jc      fail_reset
        movw    $0x0201, %ax
        movw    $1, %cx
        movw    $0x0090, %dx
        movw    $BUFFER, %bx
        int     $0x13
        jnc     fail_reset
        tell    "all right"
        movb    $0x15, %al
        outb    %al, $0xf4
1:      hlt
        jmp     1b

extended:
        movb    drive, %dl
        movw    $packet, %si
        int     $0x13
        ret

        .macro  failure name, text
fail_\name:
        tell    "FAILED: \text"
        jmp     fail
        .endm

        failure drive, "DL is not 80h"
        failure geometry, "function 08h"
        failure chs, "function 02h in a far cylinder"
        failure extensions, "function 41h or 48h"
        failure lba, "function 42h"
        failure end, "a read behind the end succeeds"
        failure write, "function 43h"
        failure reset, "function 00h, or a drive that is not there"
fail:   movb    $0x7e, %al
        outb    %al, $0xf4
1:      hlt
        jmp     1b

        .balign 4
sectors:
        .word   0
heads:  .word   0
packet: .word   0x10
packet_count:
        .word   0
        .word   BUFFER, 0
packet_lba:
        .long   0, 0
parameters:
        .space  0x20

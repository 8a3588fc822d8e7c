/*
 * A guest that asks its disk for one thing, with the timer's interrupt on: a dot goes to port E9h at
 * each tick of the BIOS's clock, 18.2 a second. -DREAD, -DWRITE and -DFLUSH talk to the IDE drive
 * by programmed I/O, -DBIOS reads by INT 13h. -DUNCACHED turns the drive's write cache off before,
 * -DTIMES=N does it N times, with -DSTUBBORN also when it fails. "begin", then "done" with the status and error registers (of INT 13h:
 * AH), and isa-debug-exit.
 * Specification: ATA/ATAPI-6, chapter 8.
 */
#include "com1.h"

#ifndef TIMES
#define TIMES 1
#endif

#define ATA_DATA   0x1f0
#define ATA_ERROR  0x1f1
#define ATA_COUNT  0x1f2
#define ATA_LOW    0x1f3
#define ATA_MID    0x1f4
#define ATA_HIGH   0x1f5
#define ATA_DEVICE 0x1f6
#define ATA_STATUS 0x1f7
#define BSY        0x80
#define DRQ        0x08
#define BUFFER     0x8000

        prologue
        movw    $tick, 0x1c * 4
        movw    $0, 0x1c * 4 + 2
#ifdef UNCACHED
        out8    ATA_DEVICE, 0xe0
        out8    ATA_ERROR, 0x82
        out8    ATA_STATUS, 0xef
        call    wait_busy
#endif
        say     "begin\r\n"             /* no dot comes between its letters */
        sti
        movw    $TIMES, %bp
again:
#ifdef BIOS
        movw    $0x0201, %ax
        movw    $0x0001, %cx
        movw    $0x0080, %dx
        movw    $BUFFER, %bx
        int     $0x13
        jc      done
#else
        out8    ATA_DEVICE, 0xe0
        out8    ATA_COUNT, 1
        out8    ATA_LOW, 5
        out8    ATA_MID, 0
        out8    ATA_HIGH, 0
#if defined(READ)
        out8    ATA_STATUS, 0x20
        call    wait_busy
        movw    $BUFFER, %di
        movw    $ATA_DATA, %dx
        movw    $256, %cx
        rep     insw
#elif defined(WRITE)
        out8    ATA_STATUS, 0x30
        call    wait_busy
        movw    $BUFFER, %si
        movw    $ATA_DATA, %dx
        movw    $256, %cx
        rep     outsw
#else
        out8    ATA_STATUS, 0xe7
#endif
        call    wait_busy
#ifndef STUBBORN
        testb   $1, %al
        jnz     failed
#endif
#endif
        decw    %bp
        jnz     again
failed:
        movb    %al, %ah
        movw    $ATA_ERROR, %dx
        inb     %dx, %al
done:   cli
        movw    %ax, result
        say     "done "
        movb    result + 1, %al
        call    print_hex
        movb    $' ', %al
        call    print_char
        movb    result, %al
        call    print_hex
        say     "\r\n"
        movb    $0x15, %al
        outb    %al, $0xf4
1:      hlt
        jmp     1b

wait_busy:
        movw    $ATA_STATUS, %dx
1:      inb     %dx, %al
        testb   $BSY, %al
        jnz     1b
        ret

print_hex:
        pushw   %ax
        shrb    $4, %al
        call    1f
        popw    %ax
1:      andb    $15, %al
        cmpb    $10, %al
        sbbb    $0x69, %al
        das
        jmp     print_char

tick:   pushw   %ax
        movb    $'.', %al
        outb    %al, $0xe9
        popw    %ax
        iretw

result: .word   0
        epilogue

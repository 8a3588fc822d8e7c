/*
 * A guest that halts with interrupts on and only the RTC's update interrupt left: it sleeps for
 * three seconds of its clock between "halted" and "awake", then powers off.
 * Specification: MC146818 data sheet; 8259A data sheet.
 */
#include "com1.h"

#define RTC_VECTOR 0x70

        prologue
        movw    $on_rtc, RTC_VECTOR * 4
        movw    $0, RTC_VECTOR * 4 + 2
        movb    $0xfb, %al              /* the master lets only the slave through */
        outb    %al, $0x21
        movb    $0xfe, %al              /* the slave only the RTC */
        outb    %al, $0xa1
        movb    $0x0b, %al              /* update interrupts, 24 hours, BCD */
        outb    %al, $0x70
        movb    $0x12, %al
        outb    %al, $0x71
        movb    $0x0c, %al
        outb    %al, $0x70
        inb     $0x71, %al
        movw    $1, %cx                 /* wait for the start of a second */
        call    sleep
        say     "halted\r\n"
        movw    $3, %cx
        call    sleep
        say     "awake\r\n"
        cli
        jmp     power_off

        /* Halts for CX updates of the clock. */
sleep:
        movw    $0, updates
1:      sti
        hlt
        cli
        cmpw    %cx, updates
        jb      1b
        ret

on_rtc:
        pushw   %ax
        incw    updates
        movb    $0x0c, %al
        outb    %al, $0x70
        inb     $0x71, %al
        movb    $0x20, %al
        outb    %al, $0xa0
        outb    %al, $0x20
        popw    %ax
        iret

updates:
        .word   0
        epilogue

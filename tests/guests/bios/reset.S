/*
 * Every way back to the start, each from a machine left in disorder: the keyboard controller, port
 * 92h, port CF9h, the jump to FFFF:0. Byte 40h of the CMOS counts the starts.
 */
#include "bios.h"

#define CMOS_STARTS 0x40

tests:
    call test_start
    cmpw $0, failures
    jne 1f
    movb $CMOS_STARTS, %al
    outb %al, $0x70
    inb $0x71, %al
    incb %al
    outb %al, $0x71
    call disorder
    cmpb $1, %al
    je by_keyboard_controller
    cmpb $2, %al
    je by_port_92
    cmpb $3, %al
    je by_port_cf9
    cmpb $4, %al
    je by_jump
1:  ret

/* The state after power-up. */
test_start:
    cmpl $0x5a17c0de, fresh
    EXPECT e, "the guest's image is loaded again"
    pushw $0xffff
    popw %fs
    movb $0x11, 0x500
    movb $0x22, %fs:0x510
    cmpb $0x11, 0x500
    EXPECT e, "A20 is open"
    int $0x12
    cmpw $600, %ax
    EXPECT a, "INT 12h counts the memory anew"
    movb $0, %al
    movw $0x3f8 + 1, %dx
    inb %dx, %al
    EXPECT_EQ $0, %al, "COM1 raises no interrupts"
    movw 0x46c, %ax
1:  hlt
    cmpw %ax, 0x46c
    je 1b
    ret

/* Keeps AL. */
disorder:
    pushw %ax
    movl $0, fresh
    movw $0, 0x413
    movb $0xff, %al
    outb %al, $0x21           /* no interrupts */
    outb %al, $0xa1
    movb $0x14, %al           /* counter 0, low byte only, mode 2: thousands of ticks a second */
    outb %al, $0x43
    movb $0xff, %al
    outb %al, $0x40
    movb $0x0f, %al
    movw $0x3f8 + 1, %dx
    outb %al, %dx
    movb $0x0b, %al           /* RTC: periodic interrupts */
    outb %al, $0x70
    inb $0x71, %al
    orb $0x40, %al
    outb %al, $0x71
    inb $0x92, %al            /* A20 closed */
    andb $0xfc, %al
    outb %al, $0x92
    popw %ax
    ret

by_keyboard_controller:
    movb $0xfe, %al
    outb %al, $0x64
    jmp wait
by_port_92:
    movb $0x01, %al
    outb %al, $0x92
    jmp wait
by_port_cf9:
    movw $0xcf9, %dx
    movb $0x02, %al
    outb %al, %dx
    movb $0x06, %al
    outb %al, %dx
    jmp wait
by_jump:
    ljmpw $0xffff, $0
wait:
    cli
    hlt
    jmp wait

    .data
fresh:
    .long 0x5a17c0de

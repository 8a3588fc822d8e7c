/*
 * What a BIOS hands over to a boot sector: the processor and the chips as programs of a PC expect
 * them. soft.sh starts it from a disk, by Umbra's BIOS and by SeaBIOS, the second opinion.
 * Engines and machines that check no segment limits fail it.
 */
    .code16
    .text
    .globl loader
loader:
    ljmpw $0, $1f
1:  pushfw
    popw %cs:first_flags
    movb %dl, %cs:first_drive
    movl %cr0, %eax
    movl %eax, %cs:first_cr0
    /* The limits, before anything is loaded into a segment register. */
    xorw %ax, %ax
    movw %ax, %ds
    movw $limit_fault, 13 * 4
    movw %ax, 13 * 4 + 2
    movw $limit_fault, 12 * 4
    movw %ax, 12 * 4 + 2
    movw %ds:0xffff, %ax
    movw %es:0xffff, %ax
    movw %fs:0xffff, %ax
    movw %gs:0xffff, %ax
    movw %ss:0xffff, %ax
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x7c00, %sp
    movw $0x7e00, %bx
    movw $0x020c, %ax
    movw $2, %cx
    movb $0, %dh
    int $0x13
    movb first_drive, %dl
    jnc start
    int $0x18

/* #GP or #SS: counts and goes on behind the read, of 3 bytes or with a prefix 4. */
limit_fault:
    incb %cs:limit_faults
    pushw %bp
    movw %sp, %bp
    pushw %bx
    movw 2(%bp), %bx
    cmpb $0xa1, %cs:(%bx)
    je 1f
    incw 2(%bp)
1:  addw $3, 2(%bp)
    popw %bx
    popw %bp
    iretw

first_cr0:
    .long 0
first_flags:
    .word 0
first_drive:
    .byte 0
limit_faults:
    .byte 0
    .org 510
    .word 0xaa55

#include "bios.h"

#define UMBRA 0x72626d55 /* the first bytes of Umbra's BIOS */

tests:
    call test_processor
    call test_x87
    call test_chips
    call test_keyboard
    call test_move_keeps_limits
    ret

test_processor:
    cmpb $0x80, first_drive
    EXPECT e, "DL is 80h"
    cmpb $5, limit_faults
    EXPECT e, "DS, ES, FS, GS, SS: the word at FFFFh faults"
    movw first_flags, %ax
    testw $0x0200, %ax
    EXPECT nz, "flags: interrupts are on"
    testw $0x0400, %ax
    EXPECT z, "flags: strings go up"
    movl first_cr0, %eax
    testl $0xe000000f, %eax
    EXPECT z, "CR0: no PE, MP, EM, TS, PG, and the caches are on"
    sidtl table
    cmpw $0x3ff, table
    EXPECT e, "IDTR: 256 vectors"
    cmpl $0, table + 2
    EXPECT e, "IDTR: at 0"
    movl $1, %eax
    cpuid
    testl $1 << 25, %edx
    jz 1f
    movl %cr4, %eax
    orw $0x200, %ax
    movl %eax, %cr4
    stmxcsr table
    cmpl $0x1f80, table
    EXPECT e, "MXCSR: exceptions masked, to nearest"
1:  ret

/* SeaBIOS leaves the x87 as the processor's reset does; on QEMU that is FNINIT's state already. */
test_x87:
    movw $0xf000, %ax
    movw %ax, %es
    cmpl $UMBRA, %es:0
    movw $0, %ax
    movw %ax, %es
    je 1f
    ret
1:
    fnstenv environment
    cmpw $0x037f, environment
    EXPECT e, "x87: control word 037Fh"
    cmpw $0, environment + 2
    EXPECT e, "x87: status word 0"
    cmpw $0xffff, environment + 4
    EXPECT e, "x87: all registers are empty"
    fldcw environment
    fld1
    fwait
    fnstsw %ax
    testw $0x41, %ax
    EXPECT z, "x87: FLD1 has room"
    ret

test_chips:
    call wraps
    EXPECT nc, "A20 is on"
    inb $0x21, %al
    testb $0x07, %al
    EXPECT z, "8259: timer, keyboard and cascade are open"
    inb $0xa1, %al
    testb $0x01, %al
    EXPECT z, "8259: the real-time clock is open"
    movb $0x0b, %al
    outb %al, $0x20
    inb $0x20, %al
    EXPECT_EQ $0, %al, "8259: no interrupt is being served"
    movb $0x0a, %al
    outb %al, $0x20
    cli
    movb $0xe2, %al
    outb %al, $0x43
    inb $0x40, %al
    sti
    andb $0x7f, %al
    EXPECT_EQ $0x34, %al, "8254: counter 0 counts in mode 2"
    movb $0x0b, %al
    outb %al, $0x70
    inb $0x71, %al
    andb $0xf6, %al
    EXPECT_EQ $0x02, %al, "RTC: 24 hours, BCD, no interrupts"
    ret

/* CF set when 0000:0500 and FFFF:0510 are the same byte. */
wraps:
    movw $0xffff, %ax
    movw %ax, %es
    movb $0x5a, %es:0x510
    movb $0xa5, 0x500
    movb %es:0x510, %al
    movw $0, %cx
    movw %cx, %es
    cmpb $0xa5, %al
    stc
    je 1f
    clc
1:  ret

test_keyboard:
    cli
    movb $0x20, %al
    outb %al, $0x64
1:  inb $0x64, %al
    testb $1, %al
    jz 1b
    inb $0x60, %al
    sti
    andb $0x51, %al
    EXPECT_EQ $0x41, %al, "8042: IRQ1, translation, the keyboard is on"
    ret

/* INT 15h 87h goes through protected mode, and that must not show. */
test_move_keeps_limits:
    movw $limit_fault, 13 * 4
    movb $0, limit_faults
    movb $0x87, %ah
    movw $2, %cx
    movw $move_table, %si
    int $0x15
    EXPECT nc, "87h: moves a block"
    movw %ds:0xffff, %ax
    movw %es:0xffff, %ax
    cmpb $2, limit_faults
    EXPECT e, "87h: DS and ES have their limits again"
    cmpw $limit_fault, 13 * 4
    EXPECT e, "87h: vector 0Dh is as it was"
    /* A program may have its vectors elsewhere; a fault there is none of the BIOS's. */
    xorw %si, %si
    movw $0x6000, %di
    movw $0x200, %cx
    rep movsw
    movw $other_fault, 0x6000 + 13 * 4
    lidtl other_vectors
    movb $0x87, %ah
    movw $2, %cx
    movw $move_table, %si
    int $0x15
    lidtl table
    EXPECT nc, "87h: moves a block with vectors elsewhere"
    cmpb $0, other_faults
    EXPECT e, "87h: and raises nothing there"
    ret

other_fault:
    incb %cs:other_faults
    hlt
    jmp other_fault

    .data
    .balign 8
move_table:
    .quad 0, 0
    .word 0xffff, 0x1000
    .byte 0, 0x93, 0, 0
    .word 0xffff, 0x2000
    .byte 0, 0x93, 0, 0
    .quad 0, 0
table:
    .quad 0
other_vectors:
    .word 0x3ff
    .long 0x6000
other_faults:
    .byte 0
environment:
    .fill 14, 1, 0

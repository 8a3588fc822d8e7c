/*
 * A floppy image: it is drive 00h, with its medium's geometry, and there is no hard disk. The first
 * sector loads the rest. soft.sh builds images of all sizes: it writes the geometry at 500 to 504
 * and begins the last sector with "LAST", or has the image end before it.
 */
    .code16
    .text
    .globl loader
loader:
    ljmpw $0, $1f
1:  xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x7c00, %sp
    movw $0x7e00, %bx
    movw $0x0207, %ax
    movw $2, %cx
    movb $0, %dh
    int $0x13
    jnc start
    int $0x18
    .org 500
last_cylinder:
    .byte 79
last_head:
    .byte 1
sectors:
    .byte 18
type:
    .byte 4
is_short: /* the image ends before its medium */
    .byte 0
    .org 510
    .word 0xaa55

#include "bios.h"

#define BUFFER 0x6000

tests:
    cmpb $0, boot_drive
    EXPECT e, "DL is 00h"
    testb $1, 0x410
    EXPECT nz, "the equipment word counts it"
    movb $8, %ah
    movb $0, %dl
    int $0x13
    movw %di, parameters
    pushw $0
    popw %es
    EXPECT nc, "08h: tells the geometry"
    cmpb last_cylinder, %ch
    EXPECT e, "08h: the cylinders"
    cmpb sectors, %cl
    EXPECT e, "08h: the sectors"
    cmpb last_head, %dh
    EXPECT e, "08h: the heads"
    EXPECT_EQ $1, %dl, "08h: one drive"
    cmpb type, %bl
    EXPECT e, "08h: the type of drive"
    movb sectors, %cl
    lesw 0x1e * 4, %bx
    cmpb %es:4(%bx), %cl
    pushw $0
    popw %es
    EXPECT e, "INT 1Eh: the sectors of a track"
    cmpw %bx, parameters
    EXPECT e, "INT 1Eh: the table that 08h tells, too"
    movb $0x10, %al
    outb %al, $0x70
    inb $0x71, %al
    EXPECT_EQ $0, %al, "CMOS: no controller"
    movb $0x15, %ah
    movb $0, %dl
    int $0x13
    EXPECT_EQ $1, %ah, "15h: a floppy"
    movw $0x41 << 8, %ax
    movw $0x55aa, %bx
    movb $0, %dl
    int $0x13
    EXPECT c, "41h: a floppy has no extensions"
    movb $8, %ah
    movb $0x80, %dl
    int $0x13
    EXPECT c, "08h: no hard disk"
    cmpb $0, 0x475
    EXPECT e, "the BDA counts no hard disk"
    call last_sector
    movb $4, %ah
    int $0x13
    EXPECT nc, "04h: finds the last sector"
    movl $0x11223344, BUFFER
    call last_sector
    movb $2, %ah
    int $0x13
    EXPECT nc, "02h: reads the last sector"
    cmpb $0, is_short
    jne 1f
    cmpl $0x5453414c, BUFFER
    EXPECT e, "02h: which says so"
    movl $0x4e455457, BUFFER /* "WTEN" */
    call last_sector
    movb $3, %ah
    int $0x13
    EXPECT nc, "03h: writes it"
    jmp 2f
1:  cmpl $0, BUFFER
    EXPECT e, "02h: which is blank"
    call last_sector
    movb $3, %ah
    int $0x13
    EXPECT c, "03h: does not write behind the image's end"
2:  call last_sector
    incb %cl
    movb $2, %ah
    int $0x13
    EXPECT c, "02h: there is no sector behind it"
    call last_sector
    incb %ch
    movb $2, %ah
    int $0x13
    EXPECT c, "02h: and no cylinder"
    ret

last_sector:
    movb $1, %al
    movb last_cylinder, %ch
    movb sectors, %cl
    movb last_head, %dh
    movb $0, %dl
    movw $BUFFER, %bx
    ret

    .data
parameters:
    .word 0

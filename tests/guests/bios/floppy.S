/*
 * A disk image of 1.44 MB: it is drive 00h, with a floppy's geometry, and there is no hard disk.
 * The first sector loads the rest. umbra.sh builds the image: the last sector begins with "LAST".
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
    movw $0x0208, %ax
    movw $2, %cx
    movb $0, %dh
    int $0x13
    jnc start
    int $0x18
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
    pushw $0
    popw %es
    EXPECT nc, "08h: tells the geometry"
    EXPECT_EQ $0x4f12, %cx, "08h: 80 cylinders, 18 sectors"
    EXPECT_EQ $0x0101, %dx, "08h: 2 heads, 1 drive"
    EXPECT_EQ $4, %bl, "08h: 1.44 MB"
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
    movb $2, %ah
    int $0x13
    EXPECT nc, "02h: reads the last sector"
    cmpl $0x5453414c, BUFFER
    EXPECT e, "02h: which says so"
    movl $0x4e455457, BUFFER /* "WTEN" */
    call last_sector
    movb $3, %ah
    int $0x13
    EXPECT nc, "03h: writes it"
    call last_sector
    movb $19, %cl
    movb $2, %ah
    int $0x13
    EXPECT c, "02h: there is no sector 19"
    ret

last_sector:
    movb $1, %al
    movw $0x4f12, %cx
    movw $0x0100, %dx
    movw $BUFFER, %bx
    ret

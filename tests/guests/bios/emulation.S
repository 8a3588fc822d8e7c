/*
 * A floppy or hard disk image on a CD, booted by El Torito emulation: its first sector loads the
 * rest by cylinder, head and sector, as real boot sectors do. umbra.sh builds the images: the last
 * sector begins with "LAST".
 */
    .code16
    .text
    .globl loader
loader:
    ljmpw $0, $1f
1:  cli
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x7c00, %sp
    sti
    movw $0x7e00, %bx
    movw $2, %cx
    movb $0, %dh
2:  movw $0x0201, %ax
    int $0x13
    jc 3f
    addw $512, %bx
    incw %cx
    cmpb $18, %cl
    jb 2b
    jmp start
3:  movb %ah, %al
    addb $'0', %al
    movb $0x0e, %ah
    int $0x10
    cli
    hlt

    /* One partition that ends at cylinder 7, head 15, sector 63; floppies don't care. */
    .org 446
    .byte 0x80, 0, 1, 0, 0x0b, 15, 63, 7
    .long 1, 8 * 16 * 63 - 1
    .org 510
    .word 0xaa55

#include "bios.h"

#define SMALL 0x6000

tests:
    cmpb $0x80, boot_drive
    je 1f
    cmpb $0, boot_drive
    EXPECT e, "floppy: DL is 00h"
    testb $1, 0x410
    EXPECT nz, "floppy: the equipment word counts it"
    movb $8, %ah
    movb $0, %dl
    int $0x13
    pushw $0
    popw %es
    EXPECT nc, "floppy 08h: tells the geometry"
    EXPECT_EQ $0x4f12, %cx, "floppy 08h: 80 cylinders, 18 sectors"
    EXPECT_EQ $0x0101, %dx, "floppy 08h: 2 heads, 1 drive"
    EXPECT_EQ $4, %bl, "floppy 08h: 1.44 MB"
    movb $0x15, %ah
    movb $0, %dl
    int $0x13
    EXPECT_EQ $1, %ah, "floppy 15h: a floppy"
    jmp 2f
1:  movb $8, %ah
    movb $0x80, %dl
    int $0x13
    EXPECT nc, "disk 08h: tells the geometry"
    EXPECT_EQ $0x073f, %cx, "disk 08h: 8 cylinders, 63 sectors"
    EXPECT_EQ $15, %dh, "disk 08h: 16 heads"
    EXPECT_EQ 0x475, %dl, "disk 08h: as many disks as the BDA says"
2:  movw $0x0201, %ax /* the last sector */
    movb boot_drive, %dl
    movw $SMALL, %bx
    int $0x13
    EXPECT nc, "02h: reads the last sector"
    cmpl $0x5453414c, SMALL
    EXPECT e, "02h: which says so"
    incb %dh
    movw $0x0201, %ax
    int $0x13
    EXPECT c, "02h: there is no further head"
    movw $0x0301, %ax
    movw $2, %cx
    movb $0, %dh
    int $0x13
    EXPECT c, "03h: a CD cannot be written"
    EXPECT_EQ $3, %ah, "03h: AH = 03h"
    /* More than one sector, across the CD's blocks: equal to this program in memory. */
    movw $0x0205, %ax
    movw $2, %cx
    movb $0, %dh
    movw $SMALL, %bx
    int $0x13
    EXPECT nc, "02h: reads 5 sectors"
    movw $SMALL, %si
    movw $0x7e00, %di
    movw $200, %cx
    repe cmpsw
    EXPECT e, "02h: they are right"
    movw $0x4b01, %ax
    movb boot_drive, %dl
    movw $SMALL, %si
    int $0x13
    EXPECT nc, "4b01h: knows the emulation"
    cmpb $0x13, SMALL
    EXPECT e, "4b01h: a packet of 13h bytes"
    movb SMALL + 2, %al
    EXPECT_EQ boot_drive, %al, "4b01h: with the drive"
    cmpb $0, SMALL + 1
    EXPECT ne, "4b01h: and a medium"
    movw $0x4b00, %ax
    movb boot_drive, %dl
    movw $SMALL, %si
    int $0x13
    EXPECT nc, "4b00h: ends the emulation"
    cmpb $0x80, boot_drive
    je 3f
    movw $0x0201, %ax
    movw $1, %cx
    movw $0, %dx
    movw $SMALL, %bx
    int $0x13
    EXPECT c, "4b00h: the floppy is gone"
3:  movw $0x55aa, %bx
    movb $0x41, %ah
    movb $0xe0, %dl
    int $0x13
    EXPECT nc, "41h: the CD itself is still there"
    ret

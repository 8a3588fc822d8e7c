/*
 * INT 13h. Checks what it finds: hard disk 80h when the BDA counts one (its first sector must end
 * in 55 AA; the last block is written and restored), CD-ROM E0h when it answers. Without drives,
 * the refusals.
 */
#include "bios.h"

#define BUFFER  0x1000 /* segment of 64 KiB at 10000h */
#define BUFFER2 0x2000
#define SMALL   0x6000

tests:
    call test_missing
    cmpb $0, 0x475
    je 1f
    call test_geometry
    call test_chs
    call test_lba
    call test_parameters
    call test_errors
    call test_write
1:  call test_cd
    ret

.macro DISK function
    movb $\function, %ah
    movb $0x80, %dl
    int $0x13
.endm

test_missing:
    movw $0x0201, %ax
    movw $1, %cx
    movw $0x0083, %dx
    movw $SMALL, %bx
    int $0x13
    EXPECT c, "13h 02h: no drive 83h"
    EXPECT_EQ $1, %ah, "13h 02h: AH = 01h says so"
    movb $1, %ah
    movb $0x83, %dl
    int $0x13
    EXPECT c, "13h 01h: the status of the last call is kept"
    movb $8, %ah
    movb $0x83, %dl
    int $0x13
    EXPECT c, "13h 08h: no drive 83h"
    movb $0x15, %ah
    movb $0x83, %dl
    int $0x13
    EXPECT nc, "13h 15h: is no error"
    EXPECT_EQ $0, %ah, "13h 15h: but there is no drive 83h"
    movb $0x41, %ah
    movw $0x55aa, %bx
    movb $0x83, %dl
    int $0x13
    EXPECT c, "13h 41h: no drive 83h"
    movw $0x0201, %ax
    movw $1, %cx
    movw $0, %dx
    movw $SMALL, %bx
    int $0x13
    EXPECT c, "13h 02h: no floppy"
    movb $0, %ah
    movb $0, %dl
    int $0x13
    EXPECT nc, "13h 00h: a reset always works"
    ret

test_geometry:
    DISK 0x00
    EXPECT nc, "13h 00h: resets the disk"
    movw $0x1234, %si
    DISK 0x08
    EXPECT nc, "13h 08h: tells the geometry"
    EXPECT_EQ 0x475, %dl, "13h 08h: and the number of disks"
    movb %cl, %al
    andb $0x3f, %al
    movb %al, sectors
    incb %dh
    movb %dh, heads
    testb %al, %al
    EXPECT nz, "13h 08h: sectors count from 1"
    shrb $6, %cl
    xchgb %ch, %cl
    incw %cx
    movw %cx, cylinders
    DISK 0x15
    EXPECT nc, "13h 15h: is there"
    EXPECT_EQ $3, %ah, "13h 15h: a hard disk"
    shll $16, %ecx
    movw %dx, %cx
    movzbl sectors, %eax
    movzbl heads, %edx
    testl %edx, %edx
    jnz 1f
    movl $256, %edx
1:  mull %edx
    movzwl cylinders, %edx
    mull %edx
    EXPECT_EQ %ecx, %eax, "13h 15h: as many sectors as 08h tells"
    ret

test_chs:
    movw $0, SMALL + 510
    movw $0x0201, %ax
    movw $1, %cx
    movw $0x0080, %dx
    movw $SMALL, %bx
    int $0x13
    EXPECT nc, "13h 02h: reads the first sector"
    EXPECT_EQ $1, %al, "13h 02h: one sector"
    cmpw $0xaa55, SMALL + 510
    EXPECT e, "13h 02h: it ends in 55 AA"
    movw $0x0201, %ax
    movw $0, %cx
    movw $0x0080, %dx
    int $0x13
    EXPECT c, "13h 02h: there is no sector 0"
    movb sectors, %cl
    incb %cl
    movw $0x0201, %ax
    movb $0, %ch
    movw $0x0080, %dx
    cmpb $63, %cl
    ja 1f
    int $0x13
    EXPECT c, "13h 02h: there is no sector after the last"
1:  movw $0x0401, %ax
    movw $1, %cx
    movw $0x0080, %dx
    int $0x13
    EXPECT nc, "13h 04h: verifies"
    movw $0x0c00, %ax
    movw $0x0080, %dx
    int $0x13
    EXPECT nc, "13h 0ch: seeks"
    movb $0x10, %ah
    int $0x13
    EXPECT nc, "13h 10h: is ready"
    movb $5, %ah
    int $0x13
    EXPECT c, "13h 05h: does not format"
    ret

/* The packet: \count blocks from \lba on, to \segment:0. */
.macro PACKET count, lba, segment
    movw $0x0010, packet
    movw $\count, packet + 2
    movw $0, packet + 4
    movw $\segment, packet + 6
    movl $\lba, packet + 8
    movl $0, packet + 12
    movw $packet, %si
.endm

test_lba:
    movw $0x55aa, %bx
    DISK 0x41
    EXPECT nc, "13h 41h: there are extensions"
    EXPECT_EQ $0xaa55, %bx, "13h 41h: BX turned round"
    testw $1, %cx
    EXPECT nz, "13h 41h: access by block number"
    PACKET 1, 0, BUFFER
    DISK 0x42
    EXPECT nc, "13h 42h: reads block 0"
    EXPECT_EQ $0, %ah, "13h 42h: AH = 0"
    movw $BUFFER, %ax
    movw %ax, %es
    movw $SMALL, %si
    xorw %di, %di
    movw $256, %cx
    repe cmpsw
    EXPECT e, "13h 42h: the same bytes as by 02h"
    pushw $0
    popw %es
    PACKET 127, 0, BUFFER2
    DISK 0x42
    EXPECT nc, "13h 42h: reads 127 blocks"
    movw $BUFFER2, %ax
    movw %ax, %es
    movw $SMALL, %si
    xorw %di, %di
    movw $256, %cx
    repe cmpsw
    pushw $0
    popw %es
    EXPECT e, "13h 42h: the first of them is block 0"
    PACKET 1, 0, 0xffff
    movb $24, packet
    movw $0xffff, packet + 4
    movl $0x00100000, packet + 16
    movl $0, packet + 20
    movw $0x2401, %ax
    int $0x15
    DISK 0x42
    EXPECT nc, "13h 42h: a flat address above 1 MiB"
    movw $0xffff, %ax
    movw %ax, %es
    cmpw $0xaa55, %es:0x10 + 510
    pushw $0
    popw %es
    EXPECT e, "13h 42h: the block is there"
    PACKET 1, 0, BUFFER
    DISK 0x44
    EXPECT nc, "13h 44h: verifies"
    DISK 0x47
    EXPECT nc, "13h 47h: seeks"
    ret

test_parameters:
    movw $0x1a, SMALL
    movw $0x5a5a, SMALL + 0x1a
    movw $SMALL, %si
    DISK 0x48
    EXPECT nc, "13h 48h: tells the drive's parameters"
    cmpw $0x1a, SMALL
    EXPECT e, "13h 48h: 1Ah bytes"
    cmpw $512, SMALL + 0x18
    EXPECT e, "13h 48h: blocks of 512 bytes"
    movl SMALL + 0x10, %eax
    movl %eax, blocks
    testl %eax, %eax
    EXPECT nz, "13h 48h: how many"
    cmpw $0x5a5a, SMALL + 0x1a
    EXPECT e, "13h 48h: writes no further"
    movw $0x19, SMALL
    DISK 0x48
    EXPECT c, "13h 48h: a buffer too small is refused"
    ret

test_errors:
    PACKET 1, 0, BUFFER
    movl blocks, %eax
    movl %eax, packet + 8
    DISK 0x42
    EXPECT c, "13h 42h: the block after the last is refused"
    EXPECT_EQ $4, %ah, "13h 42h: AH = 04h"
    cmpw $0, packet + 2
    EXPECT e, "13h 42h: no block was read"
    PACKET 2, 0, BUFFER
    movl blocks, %eax
    decl %eax
    movl %eax, packet + 8
    DISK 0x42
    EXPECT c, "13h 42h: two blocks from the last on are refused"
    PACKET 1, 0, BUFFER
    movl $1, packet + 12
    DISK 0x42
    EXPECT c, "13h 42h: all 64 bits of the number count"
    PACKET 1, 0, BUFFER
    movb $15, packet
    DISK 0x42
    EXPECT c, "13h 42h: a packet of 15 bytes is refused"
    EXPECT_EQ $1, %ah, "13h 42h: AH = 01h"
    movw $0x55ab, %bx
    DISK 0x41
    EXPECT c, "13h 41h: wants its signature"
    movw $0x4b01, %ax
    movb $0x80, %dl
    movw $SMALL, %si
    int $0x13
    EXPECT c, "13h 4bh: no CD is emulated as 80h"
    ret

test_write:
    PACKET 1, 0, BUFFER
    movl blocks, %eax
    decl %eax
    movl %eax, packet + 8
    DISK 0x42
    EXPECT nc, "13h 42h: reads the last block"
    movw $BUFFER2, packet + 6
    movw $BUFFER2, %ax
    movw %ax, %es
    xorw %di, %di
    movw $256, %cx
    movw $0x7e57, %ax
    rep stosw
    movb $0, %al
    DISK 0x43
    EXPECT nc, "13h 43h: writes it"
    movw $BUFFER2 + 0x100, packet + 6
    DISK 0x42
    EXPECT nc, "13h 42h: reads it again"
    movw %es:0x1000, %ax
    EXPECT_EQ $0x7e57, %ax, "13h 43h: what was written is there"
    movw %es:0x11fe, %ax
    EXPECT_EQ $0x7e57, %ax, "13h 43h: to its end"
    pushw $0
    popw %es
    movw $BUFFER, packet + 6
    movb $0, %al
    DISK 0x43
    EXPECT nc, "13h 43h: writes back what was there"
    /* And by cylinder, head and sector: the first sector over itself. */
    movw $0x0301, %ax
    movw $1, %cx
    movw $0x0080, %dx
    movw $0x0201, %ax
    movw $SMALL, %bx
    int $0x13
    movw $0x0301, %ax
    int $0x13
    EXPECT nc, "13h 03h: writes the first sector"
    PACKET 1, 0, BUFFER
    DISK 0x42
    movw $BUFFER, %ax
    movw %ax, %es
    cmpw $0xaa55, %es:510
    pushw $0
    popw %es
    EXPECT e, "13h 03h: it is whole"
    ret

.macro CD function
    movb $\function, %ah
    movb $0xe0, %dl
    int $0x13
.endm

test_cd:
    movw $0x55aa, %bx
    CD 0x41
    jnc 1f
    ret
1:  EXPECT_EQ $0xaa55, %bx, "cd 41h: there are extensions"
    PACKET 1, 16, BUFFER
    CD 0x42
    EXPECT nc, "cd 42h: reads block 16"
    movw $BUFFER, %ax
    movw %ax, %es
    movl %es:1, %eax
    movb %es:5, %dl
    pushw $0
    popw %es
    EXPECT_EQ $0x30304443, %eax, "cd 42h: CD001 stands there"
    PACKET 1, 16, BUFFER
    CD 0x43
    EXPECT c, "cd 43h: cannot be written"
    EXPECT_EQ $3, %ah, "cd 43h: AH = 03h"
    movw $0x1a, SMALL
    movw $SMALL, %si
    CD 0x48
    EXPECT nc, "cd 48h: tells its parameters"
    cmpw $2048, SMALL + 0x18
    EXPECT e, "cd 48h: blocks of 2048 bytes"
    movw $0x0201, %ax
    movw $1, %cx
    movw $0x00e0, %dx
    movw $SMALL, %bx
    int $0x13
    EXPECT c, "cd 02h: has no cylinders"
    ret

    .data
    .balign 4
packet:
    .skip 24
blocks:
    .long 0
cylinders:
    .word 0
heads:
    .byte 0
sectors:
    .byte 0

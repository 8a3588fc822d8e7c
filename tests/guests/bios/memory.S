/*
 * INT 15h, 12h and 11h: the memory map with all its checks, the older sizes, block move, A20,
 * waits.
 */
#include "bios.h"

#define SMAP 0x534d4150
#define BUFFER 0x6000

tests:
    call test_map_errors
    call test_map
    call test_sizes
    call test_areas
    call test_a20
    call test_move
    call test_rest
    ret

/* AX = E820h with all registers as a good call has them; the caller changes one. */
.macro E820_ARGUMENTS
    movl $0xe820, %eax
    movl $SMAP, %edx
    movl $20, %ecx
    xorl %ebx, %ebx
    movw $BUFFER, %di
.endm

test_map_errors:
    movl $0x11223344, BUFFER
    E820_ARGUMENTS
    movl $0x534d4151, %edx
    int $0x15
    EXPECT c, "e820: a wrong signature is refused"
    EXPECT_EQ $0x86, %ah, "e820: with AH = 86h"
    E820_ARGUMENTS
    movl $19, %ecx
    int $0x15
    EXPECT c, "e820: a buffer of 19 bytes is refused"
    E820_ARGUMENTS
    movl $16, %ebx
    int $0x15
    EXPECT c, "e820: index 16 is refused"
    E820_ARGUMENTS
    movl $0xffffffff, %ebx
    int $0x15
    EXPECT c, "e820: index FFFFFFFFh is refused"
    cmpl $0x11223344, BUFFER
    EXPECT e, "e820: a refused call leaves the buffer alone"
    E820_ARGUMENTS
    movl $24, %ecx
    movl $0xdeadbeef, BUFFER + 20
    int $0x15
    EXPECT nc, "e820: a buffer of 24 bytes is fine"
    EXPECT_EQ $20, %ecx, "e820: but 20 bytes are given"
    cmpl $0xdeadbeef, BUFFER + 20
    EXPECT e, "e820: byte 20 is not touched"
    /* The buffer is ES:DI. */
    pushw %es
    movw $0x0100, %ax
    movw %ax, %es
    movl $0, BUFFER + 16
    E820_ARGUMENTS
    subw $0x1000, %di
    int $0x15
    popw %es
    cmpl $0, BUFFER + 16
    EXPECT ne, "e820: the buffer is at ES:DI"
    ret

test_map:
    xorl %ebx, %ebx
    movw $0, entries
    movb $0, bad_entry
1:  E820_ARGUMENTS
    movl next, %ebx
    int $0x15
    jc 3f
    cmpl $SMAP, %eax
    jne 3f
    movl %ebx, next
    incw entries
    movl BUFFER + 8, %eax
    orl BUFFER + 12, %eax
    jz 3f
    cmpl $1, BUFFER + 16
    jb 3f
    cmpl $4, BUFFER + 16
    ja 3f
    call remember_entry
    cmpw $16, entries
    ja 3f
    testl %ebx, %ebx
    jnz 1b
    jmp 4f
3:  movb $1, bad_entry
4:  cmpb $0, bad_entry
    EXPECT e, "e820: every entry has a length and a kind, the last one gives EBX = 0"
    cmpw $2, entries
    EXPECT ae, "e820: there are at least two entries"
    cmpl $0, high_kib
    EXPECT ne, "e820: there is RAM at 1 MiB"
    cmpl $0x80000, low_end
    EXPECT ae, "e820: there is RAM at 0, half a MiB at least"
    ret

/* Notes the end of the RAM at 0 and the KiB of RAM from 1 MiB on, below 4 GiB. */
remember_entry:
    cmpl $1, BUFFER + 16
    jne 2f
    cmpl $0, BUFFER + 4
    jne 2f
    cmpl $0, BUFFER + 12
    jne 2f
    movl BUFFER, %eax
    movl BUFFER + 8, %ecx
    addl %eax, %ecx
    jc 2f
    testl %eax, %eax
    jnz 1f
    movl %ecx, low_end
1:  cmpl $0x100000, %eax
    ja 2f
    cmpl $0x100000, %ecx
    jbe 2f
    subl $0x100000, %ecx
    shrl $10, %ecx
    movl %ecx, high_kib
2:  ret

test_sizes:
    movw $0xe801, %ax
    xorw %bx, %bx
    xorw %cx, %cx
    xorw %dx, %dx
    int $0x15
    EXPECT nc, "e801: is there"
    EXPECT_EQ %ax, %cx, "e801: AX = CX"
    EXPECT_EQ %bx, %dx, "e801: BX = DX"
    EXPECT_EQ $0x3c00, %ax, "e801: 15 MiB below 16 MiB (this test wants 32 MiB and more)"
    movzwl %bx, %ebx
    shll $6, %ebx
    movzwl %ax, %eax
    addl %ebx, %eax
    movl high_kib, %ecx
    andb $0xc0, %cl
    andb $0xc0, %al
    EXPECT_EQ %eax, %ecx, "e801: agrees with e820"
    movw $0xe881, %ax
    int $0x15
    EXPECT nc, "e881: is there"
    shll $6, %ebx
    addl %ebx, %eax
    andb $0xc0, %al
    movl high_kib, %ecx
    andb $0xc0, %cl
    EXPECT_EQ %eax, %ecx, "e881: agrees with e820"
    movb $0x88, %ah
    int $0x15
    EXPECT nc, "88h: is there"
    movzwl %ax, %eax
    movl high_kib, %ecx
    cmpl $0xfc00, %ecx
    jbe 1f
    movl $0xfc00, %ecx
1:  EXPECT_EQ %eax, %ecx, "88h: agrees with e820"
    ret

test_areas:
    int $0x12
    EXPECT_EQ 0x413, %ax, "int 12h: what the BDA says"
    movzwl %ax, %eax
    shll $10, %eax
    movzwl 0x40e, %ecx
    shll $4, %ecx
    EXPECT_EQ %eax, %ecx, "int 12h: memory ends where the EBDA begins"
    movl $0x40000000, %eax
    pushl %ecx
    cpuid
    popl %ecx
    cmpl $0x54474354, %ebx /* QEMU's own map knows nothing of our EBDA */
    je 1f
    cmpl low_end, %ecx
    EXPECT e, "e820: the RAM at 0 ends at the EBDA"
1:  movb $0xc1, %ah
    int $0x15
    movw %es, %ax
    pushw $0
    popw %es
    EXPECT nc, "c1h: is there"
    EXPECT_EQ 0x40e, %ax, "c1h: the EBDA's segment"
    int $0x11
    EXPECT_EQ 0x410, %ax, "int 11h: what the BDA says"
    andw $0x0e30, %ax
    EXPECT_EQ $0x0220, %ax, "int 11h: 80x25 colour, one serial port"
    movb $0xc0, %ah
    stc
    int $0x15
    EXPECT nc, "c0h: is there"
    EXPECT_EQ $0, %ah, "c0h: AH = 0"
    cmpw $8, %es:(%bx)
    EXPECT ae, "c0h: the table is long enough"
    movb %es:2(%bx), %al
    pushw $0xffff
    popw %es
    cmpb %es:0xe, %al
    pushw $0
    popw %es
    EXPECT e, "c0h: the model byte is the one at F000:FFFE"
    ret

/* CF set when 0000:0500 and FFFF:0510 are the same byte. */
wraps:
    pushw %ds
    movw $0xffff, %ax
    movw %ax, %ds
    movb $0x5a, %ds:0x510
    popw %ds
    movb $0xa5, 0x500
    pushw %ds
    movw %ax, %ds
    movb %ds:0x510, %al
    popw %ds
    cmpb $0xa5, %al
    stc
    je 1f
    clc
1:  ret

test_a20:
    movw $0x2403, %ax
    int $0x15
    EXPECT nc, "2403h: is there"
    testw $2, %bx
    EXPECT nz, "2403h: port 92h can"
    movw $0x2400, %ax
    int $0x15
    EXPECT nc, "2400h: A20 goes off"
    movw $0x2402, %ax
    int $0x15
    EXPECT_EQ $0, %al, "2402h: says off"
    call wraps
    EXPECT c, "2400h: addresses wrap at 1 MiB"
    movw $0x2401, %ax
    int $0x15
    EXPECT nc, "2401h: A20 goes on"
    movw $0x2402, %ax
    int $0x15
    EXPECT_EQ $1, %al, "2402h: says on"
    call wraps
    EXPECT nc, "2401h: addresses don't wrap"
    movw $0x24ff, %ax
    int $0x15
    EXPECT c, "24ffh: is refused"
    ret

/* Copies a text to 2 MiB and back, with A20 off before. */
test_move:
    movw $0x2400, %ax
    int $0x15
    movl $0x00200000, move_to
    movl $move_text, move_from
    call move
    EXPECT nc, "87h: a block goes up"
    movl $BUFFER, move_to
    movl $0x00200000, move_from
    call move
    EXPECT nc, "87h: and comes down"
    movw $0x2402, %ax
    int $0x15
    EXPECT_EQ $0, %al, "87h: leaves A20 as it was"
    movw $0x2401, %ax
    int $0x15
    movw $move_text, %si
    movw $BUFFER, %di
    movw $16, %cx
    repe cmpsb
    EXPECT e, "87h: the bytes are right"
    movw $0x8001, %cx
    movw $move_table, %si
    movb $0x87, %ah
    int $0x15
    EXPECT c, "87h: more than 64 KiB is refused"
    ret

move:
    movl move_from, %eax
    movw %ax, move_table + 0x12
    shrl $16, %eax
    movb %al, move_table + 0x14
    movl move_to, %eax
    movw %ax, move_table + 0x1a
    shrl $16, %eax
    movb %al, move_table + 0x1c
    movw $8, %cx
    movw $move_table, %si
    movb $0x87, %ah
    int $0x15
    ret

test_rest:
    movw $0x4f1e, %ax
    clc
    int $0x15
    EXPECT c, "4fh: lets the key pass"
    EXPECT_EQ $0x1e, %al, "4fh: as it is"
    movb $0xd8, %ah
    int $0x15
    EXPECT c, "d8h: is refused"
    EXPECT_EQ $0x86, %ah, "d8h: with AH = 86h"
    movw $0x5300, %ax
    int $0x15
    EXPECT c, "5300h: there is no APM"
    movw $0xe8ff, %ax
    int $0x15
    EXPECT c, "e8ffh: is refused"
    /* Three ticks pass in 165 ms; one may be late on a busy host. */
    movb $0x86, %ah
    movw $2, %cx
    movw $0x8488, %dx
    movl 0x46c, %esi
    sti
    int $0x15
    EXPECT nc, "86h: waits"
    movl 0x46c, %eax
    subl %esi, %eax
    cmpl $2, %eax
    EXPECT ae, "86h: 165 ms are two ticks at least"
    pushfw
    popw %ax
    testw $0x200, %ax
    EXPECT nz, "86h: interrupts are still on"
    ret

    .data
    .balign 4
next:
    .long 0
low_end:
    .long 0
high_kib:
    .long 0
move_from:
    .long 0
move_to:
    .long 0
entries:
    .word 0
bad_entry:
    .byte 0
move_text:
    .ascii "0123456789abcdef"
    .balign 8
move_table:
    .quad 0, 0
    .word 0xffff, 0
    .byte 0, 0x93, 0, 0
    .word 0xffff, 0
    .byte 0, 0x93, 0, 0
    .quad 0, 0

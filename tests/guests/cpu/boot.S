/*
 * A boot sector for a second opinion: loads the flat guest that follows it on the disk to
 * 0000:7C00 through INT 13h and jumps there, so that other machines can run the guests too.
 */
#define SECTORS 96
    .code16
    .text
    .globl start
start:
    cli
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0x7000, %sp
    mov $0x7c00, %si
    mov $0x600, %di
    mov $256, %cx
    cld
    rep movsw
    ljmp $0, $(moved - start + 0x600)
moved:
    mov $SECTORS, %cx
next:
    push %cx
    mov $(packet - start + 0x600), %si
    mov $0x42, %ah
    int $0x13
    pop %cx
    jc failed
    addw $0x20, packet - start + 0x600 + 6
    incl packet - start + 0x600 + 8
    loop next
    ljmp $0, $0x7c00
failed:
    mov $0x7f, %al
    out %al, $0xf4
    hlt
packet:
    .byte 16, 0
    .word 1
    .word 0, 0x7c0
    .quad 1
    .org 510
    .word 0xaa55

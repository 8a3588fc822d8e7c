/* Through all modes and back: real, protected 16 and 32, long 64, compatibility 16 and 32, real. */
#include "guest.h"

#define CODE16 0x08
#define CODE32 0x10
#define CODE64 0x18
#define DATA   0x20
#define DATA16 0x28
#define TABLES 0x20000
#define EFER   0xc0000080
#define LME    0x100
#define LMA    0x400
#define CR0_PE 1
#define CR0_PG 0x80000000
#define PAE    0x20

/*
 * The same bytes mean MOV EAX, imm32 or MOV AX, imm16 and more by the default size: what is in BX
 * afterwards tells which code size runs. B8 01 00 B3 02: 16 bits: AX = 1, BL = 2; 32 bits: EAX =
 * 02B30001h, with 90h as the rest.
 */
#define PROBE .byte 0xb8, 0x01, 0x00, 0xb3, 0x02, 0x90
/* 48h is DEC AX or a REX prefix: 48 FF C0 is DEC and INC, or INC RAX. */
#define PROBE_REX .byte 0x48, 0xff, 0xc0

    .code16
main16:
    movw $3, rounds
again:
    /* Real mode to protected mode with 16-bit code. */
    lgdt gdt_pointer
    mov %cr0, %eax
    or $CR0_PE, %al
    mov %eax, %cr0
    ljmp $CODE16, $prot16
prot16:
    xor %ebx, %ebx
    PROBE
    cmp $2, %bl
    CHECK16(e)
    smsw %ax
    test $CR0_PE, %al
    CHECK16(nz)
    mov $DATA16, %ax
    mov %ax, %ss
    mov $0x17000, %esp
    push %ax /* B = 0: SP counts, not ESP */
    cmp $0x16ffe, %esp
    CHECK16(e)
    cmpw $DATA16, %ss:0x6ffe
    CHECK16(e)
    ljmpl $CODE32, $prot32

    .code32
prot32:
    xor %ebx, %ebx
    PROBE
    cmp $0x02b30001, %eax
    CHECK32(e)
    mov $DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $0x7000, %esp
    /* Long mode: LME first does nothing, PG makes it active. */
    mov $TABLES, %edi
    mov $0x3000 / 4, %ecx
    xor %eax, %eax
    rep stosl
    movl $(TABLES + 0x1007), TABLES
    movl $(TABLES + 0x2007), TABLES + 0x1000
    movl $0x87, TABLES + 0x2000
    mov %cr4, %eax
    or $PAE, %eax
    mov %eax, %cr4
    mov $TABLES, %eax
    mov %eax, %cr3
    mov $EFER, %ecx
    rdmsr
    or $LME, %eax
    wrmsr
    rdmsr
    test $LMA, %eax
    CHECK32(z)
    mov %cr0, %eax
    or $CR0_PG, %eax
    mov %eax, %cr0
    rdmsr
    test $LMA, %eax
    CHECK32(nz)
    /* Compatibility mode already: 48h is still DEC. */
    mov $5, %eax
    PROBE_REX
    cmp $5, %eax
    CHECK32(e)
    ljmp $CODE64, $long64

    .code64
long64:
    mov $5, %eax
    PROBE_REX
    cmp $6, %rax
    CHECK64(e)
    mov $0x123456789abcdef0, %rax
    mov %rax, %r15
    mov $0xffffffffffffffff, %rax
    mov $1, %eax /* a 32-bit result is zero-extended */
    cmp $1, %rax
    CHECK64(e)
    mov $-1, %rsp
    mov $0x7000, %esp
    push %rax
    cmp $0x6ff8, %rsp
    CHECK64(e)
    ljmp *to_compat16

    .code16
compat16:
    xor %ebx, %ebx
    PROBE
    cmp $2, %bl
    CHECK16(e)
    mov $0x00010000, %eax
    mov %ax, %bx
    ljmpl $CODE32, $compat32

    .code32
compat32:
    PROBE
    cmp $0x02b30001, %eax
    CHECK32(e)
    mov $DATA, %eax
    mov %eax, %ss
    mov $0x7000, %esp
    push %eax
    cmp $0x6ffc, %esp
    CHECK32(e)
    /* Out of long mode: PG off clears LMA and leaves LME. */
    mov %cr0, %eax
    and $~CR0_PG, %eax
    mov %eax, %cr0
    mov $EFER, %ecx
    rdmsr
    test $LMA, %eax
    CHECK32(z)
    test $LME, %eax
    CHECK32(nz)
    and $~LME, %eax
    wrmsr
    mov %cr4, %eax
    and $~PAE, %eax
    mov %eax, %cr4
    mov $5, %eax
    PROBE_REX
    cmp $5, %eax
    CHECK32(e)
    ljmp $CODE16, $back16

    .code16
back16:
    mov $DATA16, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov %cr0, %eax
    and $~CR0_PE, %al
    mov %eax, %cr0
    ljmp $0, $real
real:
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0x7000, %sp
    movw $on_interrupt, 0x60 * 4
    movw $0, 0x60 * 4 + 2
    xor %bx, %bx
    int $0x60
    cmp $0x600d, %bx
    CHECK16(e)
    PROBE
    cmp $2, %bl
    CHECK16(e)
    decw rounds
    jnz again
    PASS16

on_interrupt:
    mov $0x600d, %bx
    iret

    .data
    .balign 8
gdt:
    .quad 0
    .quad 0x00009b000000ffff
    .quad 0x00cf9b000000ffff
    .quad 0x00af9b000000ffff
    .quad 0x00cf93000000ffff
    .quad 0x000093000000ffff
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt
to_compat16:
    .long compat16
    .word CODE16
rounds:
    .word 0
    .text

/*
 * What every processor test guest is made of: a flat binary for 0000:7C00 that starts in real mode,
 * checks, and reports by text on port E9h and a value on port F4h (0: pass). A failing check prints
 * its line and ends the guest there.
 *
 * A guest defines `main16` and ends with PASS16, PASS32 or PASS64.
 */
#ifndef GUEST_H
#define GUEST_H

#define PORT_TEXT 0xe9
#define PORT_EXIT 0xf4

    .text

/* Continues when the condition holds. */
#define CHECK(mode, cc) j##cc 9f; push $__LINE__; jmp fail##mode; 9:
#define CHECK16(cc)     CHECK(16, cc)
#define CHECK32(cc)     CHECK(32, cc)
#define CHECK64(cc)     CHECK(64, cc)

/* Fails where it stands. */
#define UNREACHED16 push $__LINE__; jmp fail16
#define UNREACHED32 push $__LINE__; jmp fail32
#define UNREACHED64 push $__LINE__; jmp fail64

#define PASS16 jmp pass16
#define PASS32 jmp pass32
#define PASS64 jmp pass64

    .macro PUT_CODES codes:vararg
    .irp code, \codes
    mov $\code, %al
    out %al, $PORT_TEXT
    .endr
    .endm

/* Prints BX in decimal; all in 16-bit operations, so that one text serves three modes. */
    .macro PUT_BX
    .irp power, 10000, 1000, 100, 10, 1
    mov %bx, %ax
    xor %dx, %dx
    mov $\power, %cx
    div %cx
    mov %dx, %bx
    add $'0', %al
    out %al, $PORT_TEXT
    .endr
    .endm

    .macro END_WITH value
    mov $'\n', %al
    out %al, $PORT_TEXT
    mov $\value, %al
    out %al, $PORT_EXIT
1:  cli
    hlt
    jmp 1b
    .endm

/* The ends of a guest in one mode; fail takes the line from the stack. */
    .macro ENDS suffix, reg
pass\suffix:
    PUT_CODES 'P', 'A', 'S', 'S'
    END_WITH 0
fail\suffix:
    pop \reg
    mov %ax, %bp
    PUT_CODES 'F', 'A', 'I', 'L', ' ', 'l', 'i', 'n', 'e', ' '
    mov %bp, %bx
    PUT_BX
    END_WITH 1
    .endm

    .code16
    .globl start
start:
    cli
    cld
    ljmp $0, $1f
1:  xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0x7000, %sp
    mov $0xff, %al
    out %al, $0x21
    out %al, $0xa1
    mov $0x40000000, %eax
    cpuid
    cmp $0x54474354, %ebx /* "TCGT" */
    sete on_tcg
    jmp main16

ENDS 16, %ax
    .code32
ENDS 32, %eax
    .code64
ENDS 64, %rax
    .code16

    .data
on_tcg:
    .byte 0 /* QEMU's TCG checks no segment limits and cuts some corners */
    .text

#endif

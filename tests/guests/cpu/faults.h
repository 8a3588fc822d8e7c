/*
 * What prot.h and long.h share: selectors, descriptors, a stub for each vector, and the report of a
 * fault that no check expected.
 */
#ifndef FAULTS_H
#define FAULTS_H

#define KCODE  0x08
#define KDATA  0x10
#define RETURN 0x40 /* a gate of DPL 3 */
#define NONE   0xff /* what fault_vector holds when nothing was raised */

#define VECTORS   0x50
#define STUB_SIZE 16

#define STACK0 0x6000 /* what the TSS gives to level 0 */
#define STACK3 0x5000

/* A segment descriptor: 20-bit limit, and attr as in bits 8 to 23 of its second dword. */
#define SEGMENT(base, limit, attr)                                                                 \
    .word (limit) & 0xffff, (base) & 0xffff;                                                       \
    .byte ((base) >> 16) & 0xff, (attr) & 0xff, (((limit) >> 16) & 0xf) | (((attr) >> 8) & 0xf0),  \
        (base) >> 24

/* Pushes an error code where the processor has not, and the vector; size is l or q. */
    .macro FAULT_STUBS size
    .balign STUB_SIZE
stubs:
    .set vector, 0
    .rept VECTORS
    .balign STUB_SIZE
    .if !((vector == 8) || ((vector >= 10) && (vector <= 14)) || (vector == 17))
    push\size $0
    .endif
    push\size $vector
    jmp common
    .set vector, vector + 1
    .endr
    .endm

/* Prints the fault and fails on the line of the check that came last. */
    .macro REPORT_UNEXPECTED size, ip, fail
unexpected:
    PUT_CODES 'v', 'e', 'c', 't', 'o', 'r', ' '
    mov fault_vector, %ebx
    PUT_BX
    PUT_CODES ' ', 'e', 'r', 'r', 'o', 'r', ' '
    mov fault_error, %ebx
    PUT_BX
    PUT_CODES ' ', 'i', 'p', ' '
    mov \ip, %ebx
    PUT_BX
    PUT_CODES ' ', 'a', 'f', 't', 'e', 'r', ' '
    push\size line
    jmp \fail
    .endm

/* The guest's own descriptors follow behind `gdt_more`, and then this. */
#define GDT_END gdt_end: .text

#endif

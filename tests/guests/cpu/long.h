/*
 * Long mode for the processor test guests: as prot.h, with `main64` and FAULTS64. The first GiB is
 * mapped at 0 and again at HIGH, for everybody. Descriptors behind gdt_more begin at MORE.
 */
#ifndef LONG_H
#define LONG_H

#include "faults.h"

#define UCODE32 0x1b /* in SYSRET's order */
#define UDATA   0x23
#define UCODE   0x2b
#define TSS     0x30
#define KCODE32 0x40
#define MORE    0x48

#define IST1    0x4008 /* crooked on purpose: the frame is aligned */
#define RFLAGS3 0x3002
#define HIGH    0xffffff8000000000
#define TABLES  0x20000

#define SYSTEM_AT(label, limit, attr, high)                                                        \
    .word (limit) & 0xffff, label; .byte 0, (attr) & 0xff, 0, 0; .long high, 0
#define GATE(selector, label, attr) .word label, selector; .byte 0, attr; .word 0; .long 0, 0

#define FAULTS64(vector, error, ...)                                                               \
    movq $__LINE__, line; movq $NONE, fault_vector; movq $8f, escape; movq %rsp, escape_rsp;       \
    __VA_ARGS__;                                                                                   \
8:  movq $0, escape; cmpq $vector, fault_vector; CHECK64(e); cmpq $(error), fault_error; CHECK64(e)

#define IRETQ_TO(cs, rip, flags, ss, rsp)                                                          \
    pushq $(ss); pushq $(rsp); pushq $(flags); pushq $(cs); pushq $(rip); iretq
#define RING3(vector, error, label)                                                                \
    FAULTS64(vector, error, IRETQ_TO(UCODE, label, RFLAGS3, UDATA, STACK3))
#define RING3_32(vector, error, label)                                                             \
    FAULTS64(vector, error, IRETQ_TO(UCODE32, label, RFLAGS3, UDATA, STACK3))

#define EXPECT64(what, value) cmpq $(value), what; CHECK64(e)
#define UNLESS_TCG(...) cmpb $0, on_tcg; jne 7f; __VA_ARGS__; 7:

#define MSR_EFER 0xc0000080
#define EFER_SCE 1
#define EFER_LME 0x100

#define WRITE_MSR(index, low, high) mov $(index), %ecx; mov $(low), %eax; mov $(high), %edx; wrmsr

    .code16
main16:
    lgdt gdt_pointer
    mov %cr0, %eax
    or $0x21, %al
    mov %eax, %cr0
    ljmp $KCODE32, $1f
    .code32
1:  mov $KDATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $0x7000, %esp
    mov $TABLES, %edi
    mov $0x3000 / 4, %ecx
    xor %eax, %eax
    rep stosl
    movl $(TABLES + 0x1007), TABLES
    movl $(TABLES + 0x1007), TABLES + 511 * 8
    movl $(TABLES + 0x2007), TABLES + 0x1000
    mov $0x87, %eax
    mov $(TABLES + 0x2000), %edi
1:  mov %eax, (%edi)
    add $0x200000, %eax
    add $8, %edi
    cmp $0x40000000, %eax
    jb 1b
    mov %cr4, %eax
    or $0x620, %eax /* PAE, SSE */
    mov %eax, %cr4
    mov $TABLES, %eax
    mov %eax, %cr3
    mov $MSR_EFER, %ecx
    rdmsr
    or $EFER_LME, %eax
    wrmsr
    mov %cr0, %eax
    or $0x80000000, %eax
    mov %eax, %cr0
    ljmp $KCODE, $1f
    .code64
1:  lidt idt_pointer
    lgdt gdt_pointer_high
    xor %ecx, %ecx
1:  mov %ecx, %eax
    imul $STUB_SIZE, %eax
    add $stubs, %eax
    mov %ecx, %edx
    shl $4, %edx
    mov %ax, idt(%rdx)
    movw $KCODE, idt + 2(%rdx)
    movw $0x8e00, idt + 4(%rdx)
    shr $16, %eax
    mov %ax, idt + 6(%rdx)
    cmp $RETURN, %ecx
    jb 2f
    movb $0xee, idt + 5(%rdx)
2:  inc %ecx
    cmp $VECTORS, %ecx
    jb 1b
    mov $(HIGH + STACK0), %rax
    mov %rax, tss + 4
    movq $IST1, tss + 36
    mov $TSS, %eax
    ltr %ax
    jmp main64

FAULT_STUBS q

common:
    popq fault_vector
    popq fault_error
    popq frame_rip
    popq frame_cs
    popq frame_rflags
    popq frame_rsp
    popq frame_ss
    mov %rsp, frame_at
    mov %ss, seen_ss
    cmpq $0, escape
    je unexpected
    mov escape_rsp, %rsp
    jmp *escape

REPORT_UNEXPECTED q, frame_rip, fail64

    .data
    .balign 8
gdt:
    .quad 0
    SEGMENT(0, 0xfffff, 0xa09b)
    SEGMENT(0, 0xfffff, 0xc093)
    SEGMENT(0, 0xfffff, 0xc0fb)
    SEGMENT(0, 0xfffff, 0xc0f3)
    SEGMENT(0, 0xfffff, 0xa0fb)
    SYSTEM_AT(tss, 0x67, 0x89, 0)
    SEGMENT(0, 0xfffff, 0xc09b)
    /* gdt_more must follow at once */
    .text

    .section .data.after, "aw"
gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt
gdt_pointer_high:
    .word gdt_end - gdt - 1
    .quad HIGH + gdt
idt_pointer:
    .word VECTORS * 16 - 1
    .quad HIGH + idt
    .balign 16
idt:
    .space VECTORS * 16
tss:
    .space 0x66
    .word 0x68
line:
    .quad 0
escape:
    .quad 0
escape_rsp:
    .quad 0
fault_vector:
    .quad NONE
fault_error:
    .quad 0
frame_rip:
    .quad 0
frame_cs:
    .quad 0
frame_rflags:
    .quad 0
frame_rsp:
    .quad 0
frame_ss:
    .quad 0
frame_at:
    .quad 0
seen_ss:
    .quad NONE
    .text

#endif

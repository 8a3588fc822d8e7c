/*
 * 32-bit protected mode for the processor test guests: enters it, catches every exception, and
 * lets a check expect one. A guest includes this after guest.h, defines `main32`, and may add
 * descriptors behind its own label `gdt_more` (they begin at selector MORE).
 *
 *   FAULTS32(vector, error, instruction)   the instruction must raise exactly this
 *   RING3(vector, error, label)            code at label must end so; `int $RETURN` ends it well
 *
 * Afterwards the frame is in frame_eip and so on, and DS and ES of the fault in seen_ds, seen_es.
 */
#ifndef PROT_H
#define PROT_H

#include "faults.h"

#define UCODE 0x1b
#define UDATA 0x23
#define TSS   0x28
#define MORE  0x30

#define TSS_LIMIT 0x88

#define EFLAGS3  0x3002 /* IOPL 3, so that level 3 may report */
#define EFLAGS30 0x0002

/* One whose base is a label below 64 KiB. */
#define SEGMENT_AT(label, limit, attr) .word (limit) & 0xffff, label; .byte 0, (attr) & 0xff, 0, 0
#define GATE(selector, label, attr, params)                                                        \
    .word label, selector; .byte params, attr; .word 0

#define FAULTS32(vector, error, ...)                                                               \
    movl $__LINE__, line; movl $NONE, fault_vector; movl $8f, escape; movl %esp, escape_esp;       \
    __VA_ARGS__;                                                                                   \
8:  movl $0, escape; cmpl $vector, fault_vector; CHECK32(e); cmpl $(error), fault_error; CHECK32(e)

#define RING3(vector, error, label) RING3_FLAGS(vector, error, label, EFLAGS3)
#define RING3_FLAGS(vector, error, label, eflags)                                                  \
    FAULTS32(vector, error, push $UDATA; push $STACK3; push $(eflags); push $UCODE; push $label;   \
             iret)

#define EXPECT32(what, value) cmpl $(value), what; CHECK32(e)

    .code16
main16:
    lgdt gdt_pointer
    lidt idt_pointer
    mov %cr0, %eax
    or $0x21, %al /* PE and NE */
    mov %eax, %cr0
    ljmp $KCODE, $1f
    .code32
1:  mov $KDATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $0x7000, %esp
    /* The IDT: interrupt gates, those from RETURN on for everybody, as are INT3 and INTO. */
    xor %ecx, %ecx
1:  mov %ecx, %eax
    imul $STUB_SIZE, %eax
    add $stubs, %eax
    mov %ax, idt(, %ecx, 8)
    movw $KCODE, idt + 2(, %ecx, 8)
    movw $0x8e00, idt + 4(, %ecx, 8)
    shr $16, %eax
    mov %ax, idt + 6(, %ecx, 8)
    cmp $RETURN, %ecx
    jae 2f
    cmp $3, %ecx
    je 2f
    cmp $4, %ecx
    jne 3f
2:  movb $0xee, idt + 5(, %ecx, 8)
3:  inc %ecx
    cmp $VECTORS, %ecx
    jb 1b
    movl $STACK0, tss + 4
    movl $KDATA, tss + 8
    movw $TSS_LIMIT, tss + 0x66 /* no port is allowed */
    mov $TSS, %eax
    ltr %ax
    jmp main32

FAULT_STUBS l

/* vector, error, EIP, CS, EFLAGS [, ESP, SS [, ES, DS, FS, GS]] */
common:
    push %ds
    push %es
    push %eax
    push %ecx
    mov $KDATA, %eax
    mov %eax, %ds
    mov %eax, %es
    pop %ecx
    popl seen_eax
    popl seen_es
    popl seen_ds
    popl fault_vector
    popl fault_error
    popl frame_eip
    popl frame_cs
    popl frame_eflags
    mov %esp, frame_at
    mov (%esp), %eax
    mov %eax, frame_esp
    mov 4(%esp), %eax
    mov %eax, frame_ss
    cmpl $0, escape
    je unexpected
    mov $KDATA, %eax
    mov %eax, %ss
    mov seen_eax, %eax
    mov escape_esp, %esp
    jmp *escape

REPORT_UNEXPECTED l, frame_eip, fail32

    .data
    .balign 8
gdt:
    .quad 0
    SEGMENT(0, 0xfffff, 0xc09b)
    SEGMENT(0, 0xfffff, 0xc093)
    SEGMENT(0, 0xfffff, 0xc0fb)
    SEGMENT(0, 0xfffff, 0xc0f3)
    SEGMENT_AT(tss, TSS_LIMIT, 0x89)
    /* gdt_more must follow at once: the guest's own .data begins with it */
    .text

    .section .data.after, "aw"
gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt
idt_pointer:
    .word VECTORS * 8 - 1
    .long idt
    .balign 8
idt:
    .space VECTORS * 8
tss:
    .space 0x68
redirection: /* VME's: a set bit sends INT to the IDT */
    .fill 32, 1, 0xff
    .byte 0xff
line:
    .long 0
escape:
    .long 0
escape_esp:
    .long 0
fault_vector:
    .long NONE
fault_error:
    .long 0
frame_eip:
    .long 0
frame_cs:
    .long 0
frame_eflags:
    .long 0
frame_esp:
    .long 0
frame_ss:
    .long 0
frame_at:
    .long 0
seen_ds:
    .long 0
seen_es:
    .long 0
seen_eax:
    .long 0
    .text

#endif

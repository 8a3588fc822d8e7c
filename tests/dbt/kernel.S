/*
 * The guest's kernel. An exception is written to the log, and then mended (a page mapped, AC or TF
 * cleared, a breakpoint passed) or gone on from elsewhere: at the next address of a table. R14 is
 * the fuel of the whole program; who finds none ends it. Interrupts leave no trace but a count.
 */
#include "layout.h"

    .section .rodata
    .globl kernel_start, kernel_end, kernel_vectors, kernel_syscall
    .globl kernel_intr, kernel_nmi, kernel_stop
    .balign 16
kernel_start:

#define FRAME_VECTOR 32
#define FRAME_ERROR  40
#define FRAME_RIP    48
#define FRAME_CS     56
#define FRAME_FLAGS  64
#define FRAME_RSP    72
#define FRAME_SS     80

#define FLAG_TF 0x100
#define FLAG_RF 0x10000
#define FLAG_AC 0x40000

    /* 16 bytes for each vector from 0 to 31, and one for VECTOR_CALL. */
kernel_vectors:
    vector = 0
    .rept 33
    .balign 16
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17)
    pushq $0
    .endif
    .if vector == 32
    pushq $VECTOR_CALL
    .else
    pushq $vector
    .endif
    jmp fault
    vector = vector + 1
    .endr

fault:
    pushq %rax
    pushq %rbx
    pushq %rcx
    pushq %rdx
    movabs $(SYS + GPA_DATA), %rbx
    movq VAR_LOG(%rbx), %rax
    incq VAR_LOG(%rbx)
    andl $(LOG_SLOTS - 1), %eax
    shll $LOG_SHIFT, %eax
    movabs $(SYS + GPA_LOG), %rcx
    addq %rax, %rcx
    movq FRAME_ERROR(%rsp), %rax
    shlq $8, %rax
    orq FRAME_VECTOR(%rsp), %rax
    movq FRAME_CS(%rsp), %rdx
    shlq $48, %rdx
    orq %rdx, %rax
    movq %rax, (%rcx)
    movq FRAME_RIP(%rsp), %rax
    movq %rax, 8(%rcx)
    movq %cr2, %rax
    movq %rax, 16(%rcx)
    movq %dr6, %rax
    shlq $32, %rax
    orq FRAME_FLAGS(%rsp), %rax
    xorq FRAME_RSP(%rsp), %rax
    movq %rax, 24(%rcx)

    movl FRAME_VECTOR(%rsp), %eax
    cmpl $1, %eax
    je debug
    cmpl $3, %eax
    je back
    cmpl $14, %eax
    je page_fault
    cmpl $17, %eax
    jne go_on
    andq $~FLAG_AC, FRAME_FLAGS(%rsp)
    jmp back

debug:
    movq %dr6, %rax
    testl $0xf, %eax
    jz 1f
    orq $FLAG_RF, FRAME_FLAGS(%rsp)
    incq VAR_BREAKS(%rbx)
    testb $3, VAR_BREAKS(%rbx)
    jnz 1f
    movl $0x400, %ecx
    movq %rcx, %dr7
1:  btl $14, %eax
    jnc 1f
    incq VAR_STEPS(%rbx)
    testb $15, VAR_STEPS(%rbx)
    jnz 1f
    andq $~FLAG_TF, FRAME_FLAGS(%rsp)
1:  xorl %eax, %eax
    movq %rax, %dr6
    jmp back

    /* The lazy page of the address space in force, if it is not present. */
page_fault:
    movq %cr2, %rax
    shrq $12, %rax
    cmpq $((LOW >> 12) + LAZY_PAGE), %rax
    jne go_on
    testb $1, FRAME_ERROR(%rsp)
    jnz go_on
    movq %cr3, %rcx
    andl $0xff000, %ecx
    movabs $SYS, %rdx
    addq %rdx, %rcx
    movq (%rcx), %rcx           /* PML4E, PDPTE and PDE of LOW */
    andl $0xff000, %ecx
    movq (%rcx,%rdx), %rcx
    andl $0xff000, %ecx
    movq (LOW >> 21 << 3)(%rcx,%rdx), %rcx
    andl $0xff000, %ecx
    orq $1, (LAZY_PAGE << 3)(%rcx,%rdx)
    movq %cr2, %rax
    invlpg (%rax)
    incq VAR_FIXED(%rbx)
    jmp back

    /* Elsewhere: bit 0 of the address says whether as a user. */
go_on:
    decq %r14
    jle stop_restored
    movq VAR_GO(%rbx), %rax
    incq VAR_GO(%rbx)
    movzbl %al, %eax
    movabs $(SYS + GPA_GO_USER), %rdx
    cmpl $VECTOR_CALL, FRAME_VECTOR(%rsp)
    jne 1f
    movabs $(SYS + GPA_GO_KERNEL), %rdx
1:  movq (%rdx,%rax,8), %rax
    movl $SEL_KERNEL_CS, %ecx
    movl $SEL_KERNEL_SS, %ebx
    movabs $(HIGH + STACK_TOP), %rdx
    btrq $0, %rax
    jnc 1f
    movl $SEL_USER_CS, %ecx
    movl $SEL_USER_SS, %ebx
    movl $(LOW + STACK_TOP), %edx
1:  movq %rax, FRAME_RIP(%rsp)
    movq %rcx, FRAME_CS(%rsp)
    movq %rbx, FRAME_SS(%rsp)
    movq %rdx, FRAME_RSP(%rsp)
    andq $~(FLAG_TF | FLAG_RF), FRAME_FLAGS(%rsp)
back:
    popq %rdx
    popq %rcx
    popq %rbx
    popq %rax
    addq $16, %rsp
    iretq

stop_restored:
    popq %rdx
    popq %rcx
    popq %rbx
    popq %rax
kernel_stop:
    cli
1:  hlt
    jmp 1b

    .balign 16
kernel_syscall:
    movabs $(SYS + GPA_CALLS_TOP), %rsp
    decq %r14
    jle kernel_stop
    pushq %rax
    movabs $(SYS + GPA_DATA), %rax
    movq VAR_GO(%rax), %rcx
    incq VAR_GO(%rax)
    movzbl %cl, %ecx
    movabs $(SYS + GPA_GO_KERNEL), %rax
    movq (%rax,%rcx,8), %rcx
    popq %rax
    movabs $(HIGH + STACK_TOP), %rsp
    jmp *%rcx

    .balign 16
kernel_intr:
kernel_nmi:
    pushq %rax
    movabs $(SYS + GPA_EVENTS), %rax
    incq (%rax)
    popq %rax
    iretq
kernel_end:
    .section .note.GNU-stack, "", @progbits

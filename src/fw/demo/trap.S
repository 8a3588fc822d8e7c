/*
 * The embedded guest's interrupt entries: every vector pushes the same frame (struct frame in
 * demo.h) and calls trap(). Also the way into ring 3, and the program that runs there.
 */
#include "fw/demo/layout.h"

    .code64
    .text
/*
 * Vectors that push an error code: 8, 10-14, 17, 21, 29, 30 (SDM 3, "Exception and Interrupt
 * Reference").
 */
    .balign 16
    .global trap_stubs
trap_stubs:
    .set vector, 0
    .rept 32
    .balign 16
    .set has_code, vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21
    .if !(has_code || vector == 29 || vector == 30)
    pushq $0
    .endif
    pushq $vector
    jmp trap_common
    .set vector, vector + 1
    .endr

    .balign 16
    .global trap_stub_80
trap_stub_80:
    pushq $0
    pushq $0x80
trap_common:
    pushq %rax
    pushq %rcx
    pushq %rdx
    pushq %rbx
    pushq %rbp
    pushq %rsi
    pushq %rdi
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    cld
    movq %rsp, %rdi
    call trap
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdi
    popq %rsi
    popq %rbp
    popq %rbx
    popq %rdx
    popq %rcx
    popq %rax
    addq $16, %rsp
    iretq

/*
 * uint64_t user_run(uint64_t rip, uint64_t rsp): runs ring-3 code until it calls CALL_EXIT; its
 * status.
 */
    .global user_run
user_run:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, user_kernel_rsp
    pushq $SELECTOR_USERDATA
    pushq %rsi
    pushq $0x002 /* interrupts stay off: the 8259s still send the BIOS's vectors, 08h for the timer */
    pushq $SELECTOR_USERCODE
    pushq %rdi
    iretq

/* void user_exit(uint64_t status): back to whoever called user_run. */
    .global user_exit
user_exit:
    movq %rdi, %rax
    movq user_kernel_rsp, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret

/* The ring-3 program; it runs from a copy elsewhere, so all its addresses are relative. */
    .balign 16
    .global user_program, user_program_end, user_forbidden_read, user_forbidden_hlt
user_program:
    movl $CALL_WRITE, %eax
    leaq user_text(%rip), %rsi
    movl $user_text_end - user_text, %edx
    int $0x80

    movl $CALL_WRITE, %eax
    leaq user_text2(%rip), %rsi
    movl $user_text2_end - user_text2, %edx
    int $0x80
user_forbidden_read:
    movq 0x7c00, %rax    /* the kernel's page: mapped, but not for ring 3 */
    .global user_forbidden_read_end
user_forbidden_read_end:

    movl $CALL_WRITE, %eax
    leaq user_text3(%rip), %rsi
    movl $user_text3_end - user_text3, %edx
    int $0x80
user_forbidden_hlt:
    hlt
    .global user_forbidden_hlt_end
user_forbidden_hlt_end:

    movl $CALL_WRITE, %eax
    leaq user_text4(%rip), %rsi
    movl $user_text4_end - user_text4, %edx
    int $0x80

    movl $CALL_EXIT, %eax
    movl $42, %edi
    int $0x80
    ud2
user_text:
    .ascii "     ring 3> Hello from ring 3. INT 80h took me through your IDT to print this.\r\n"
user_text_end:
user_text2:
    .ascii "     ring 3> Now I read your memory at 7C00h ...\r\n"
user_text2_end:
user_text3:
    .ascii "     ring 3> Then I try HLT, which only the kernel may ...\r\n"
user_text3_end:
user_text4:
    .ascii "     ring 3> Well guarded. I am done: exit status 42.\r\n"
user_text4_end:
user_program_end:

    .bss
    .balign 8
user_kernel_rsp:
    .skip 8

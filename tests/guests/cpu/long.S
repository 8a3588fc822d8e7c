/* Long mode: 64-bit gates and stacks, far transfers between its sub-modes, IRETQ, SYSCALL and so on. */
#include "guest.h"
#include "long.h"

#define LDT        0x48 /* 16 bytes, at HIGH */
#define BOTH       0x58 /* L and D */
#define GATE3      0x60 /* 64-bit call gate, DPL 3 */
#define TSS16      0x70
#define GATE32     0x80 /* call gate to 32-bit code */
#define FS_BASED   0x90
#define CONFORMING 0x98
#define GONE_CODE  0xa0
#define TASK_GATE  0xa8
#define CODE3      (UCODE - 3)
#define IN_LDT     4
#define GP         13
#define NP         11
#define SS_        12
#define UD         6
#define FLAG_TF    0x100
#define FLAG_IF    0x200
#define FLAG_DF    0x400
#define FLAG_NT    0x4000

#define MSR_STAR    0xc0000081
#define MSR_LSTAR   0xc0000082
#define MSR_SFMASK  0xc0000084
#define MSR_FS_BASE 0xc0000100
#define MSR_GS_BASE 0xc0000101

    .data
gdt_more:
    SYSTEM_AT(ldt, 31, 0x82, 0xffffff80)
    SEGMENT(0, 0xfffff, 0xe09b)
    GATE(KCODE, on_gate, 0xec)
    SYSTEM_AT(tss, 0x67, 0x81, 0)
    GATE(KCODE32, on_gate, 0xec)
    SEGMENT(0x12345678, 0xfffff, 0xc0f3)
    SEGMENT(0, 0xfffff, 0xa09f)
    SEGMENT(0, 0xfffff, 0xa01b)
    .word 0, TSS
    .byte 0, 0xe5, 0, 0
    GDT_END

#define LOAD(seg, selector) mov $(selector), %eax; mov %eax, %seg
#define VECTOR_BYTE(vector, offset) idt + (vector) * 16 + (offset)

    .code64
main64:
    /* A gate of the same level: SS:RSP always saved, the frame aligned, SS kept. */
    LOAD(ss, KDATA)
    mov $0x6ff8, %rsp
    FAULTS64(RETURN, 0, int $RETURN)
    EXPECT64(frame_rsp, 0x6ff8)
    EXPECT64(frame_ss, KDATA)
    EXPECT64(frame_at, 0x6ff0)
    EXPECT64(frame_cs, KCODE)
    mov %ss, %eax
    cmp $KDATA, %eax
    CHECK64(e)
    mov $0x7000, %rsp

    /* The interrupt stack table, aligned too. */
    movb $1, VECTOR_BYTE(0x41, 4)
    FAULTS64(0x41, 0, int $0x41)
    EXPECT64(frame_at, IST1 - 8)
    EXPECT64(frame_rsp, 0x7000)
    movb $2, VECTOR_BYTE(0x41, 4)
    mov $0x8000000000000000, %rax
    mov %rax, tss + 44
    UNLESS_TCG(FAULTS64(SS_, 0, int $0x41))
    movb $0, VECTOR_BYTE(0x41, 4)

    /* What is wrong with gates. */
    UNLESS_TCG(FAULTS64(GP, VECTORS * 8 + 2, int $VECTORS))
    movb $0x6e, VECTOR_BYTE(0x41, 5)
    UNLESS_TCG(FAULTS64(NP, 0x41 * 8 + 2, int $0x41))
    movb $0x85, VECTOR_BYTE(0x41, 5)
    UNLESS_TCG(FAULTS64(GP, 0x41 * 8 + 2, int $0x41))
    movb $0x86, VECTOR_BYTE(0x41, 5)
    UNLESS_TCG(FAULTS64(GP, 0x41 * 8 + 2, int $0x41))
    movb $0x8c, VECTOR_BYTE(0x41, 5)
    UNLESS_TCG(FAULTS64(GP, 0x41 * 8 + 2, int $0x41))
    movb $0x8e, VECTOR_BYTE(0x41, 5)
    movw $KCODE32, VECTOR_BYTE(0x41, 2)
    FAULTS64(GP, KCODE32, int $0x41)
    movw $0, VECTOR_BYTE(0x41, 2)
    FAULTS64(GP, 0, int $0x41)
    movw $KDATA, VECTOR_BYTE(0x41, 2)
    FAULTS64(GP, KDATA, int $0x41)
    movw $GONE_CODE, VECTOR_BYTE(0x41, 2)
    FAULTS64(NP, GONE_CODE, int $0x41)
    movw $KCODE, VECTOR_BYTE(0x41, 2)
    movl $0x8000, VECTOR_BYTE(0x41, 8)
    UNLESS_TCG(FAULTS64(GP, 0, int $0x41))
    movl $0, VECTOR_BYTE(0x41, 8)

    /* Trap gates keep IF; TF and NT go. */
    movw $on_flags, VECTOR_BYTE(0x42, 0)
    movb $0x8f, VECTOR_BYTE(0x42, 5)
    pushq $(FLAG_NT | FLAG_IF | 2)
    popfq
    mov $8f, %eax
    mov %rax, escape /* the handler's IRETQ runs with NT clear */
    int $0x42
8:  movq $0, escape
    pushfq
    pop %rax
    and $(FLAG_NT | FLAG_IF), %eax
    cmp $(FLAG_NT | FLAG_IF), %eax
    CHECK64(e)
    FAULTS64(GP, 0, iretq) /* NT means nothing good in long mode */
    pushq $2
    popfq
    mov seen_flags, %eax
    and $(FLAG_NT | FLAG_IF), %eax
    cmp $FLAG_IF, %eax
    CHECK64(e)

    /* Addresses that are not canonical. */
    mov $0x800000000000, %rbx
    FAULTS64(GP, 0, mov (%rbx), %al)
    UNLESS_TCG(mov %rbx, %rbp; FAULTS64(SS_, 0, mov (%rbp), %al))
    UNLESS_TCG(RING3(SS_, 0, ring3_bad_rsp); LOAD(ss, KDATA))

    /* Segment registers. */
    xor %eax, %eax
    mov %eax, %ss
    FAULTS64(RETURN, 0, int $RETURN)
    EXPECT64(frame_ss, 0)
    UNLESS_TCG(FAULTS64(GP, 0, LOAD(ss, 3)))
    LOAD(ss, KDATA)
    mov $MSR_FS_BASE, %ecx
    LOAD(fs, FS_BASED)
    rdmsr
    cmp $0x12345678, %eax
    CHECK64(e)
    test %edx, %edx
    CHECK64(z)
    mov $MSR_FS_BASE, %ecx
    mov $0x89abcdef, %eax
    mov $0xffffff81, %edx
    wrmsr
    LOAD(gs, KDATA)
    rdmsr
    cmp $0x89abcdef, %eax
    CHECK64(e)
    UNLESS_TCG(FAULTS64(GP, BOTH, ljmp *far_both))
    FAULTS64(GP, TSS, ljmp *far_tss)
    FAULTS64(GP, TASK_GATE, ljmp *far_task_gate)
    FAULTS64(GP, TSS16, lcall *far_tss16)
    FAULTS64(GP, KCODE32, lcall *far_gate32)

    /* LDT and TSS take 16 bytes; the LDT lies above 4 GiB. */
    UNLESS_TCG(FAULTS64(GP, TSS16, mov $TSS16, %eax; ltr %ax))
    FAULTS64(GP, TSS, mov $TSS, %eax; ltr %ax)
    mov $LDT, %eax
    lldt %ax
    LOAD(es, 8 | IN_LDT)
    FAULTS64(GP, 32 | IN_LDT, LOAD(es, 32 | IN_LDT))
    sgdt scratch
    movabs $(HIGH + gdt), %rax
    cmp %rax, scratch + 2
    CHECK64(e)
    mov $TSS, %ecx
    lar %ecx, %eax
    CHECK64(z)
    cmp $0x8b00, %eax
    CHECK64(e)
    mov $TSS16, %ecx
    UNLESS_TCG(lar %ecx, %eax; CHECK64(nz))
    mov $GATE3, %ecx
    lar %ecx, %eax
    CHECK64(z)
    lsl %ecx, %eax
    CHECK64(nz)

    /* Far transfers: with 32- and 64-bit offsets, to compatibility mode and back. */
    mov %rsp, %rbx
    lcall *far_leaf32
    cmp %rbx, %rsp
    CHECK64(e)
    rex.w lcall *far_leaf64
    cmp %rbx, %rsp
    CHECK64(e)
    mov $0x0123456789abcdef, %r9
    ljmp *far_compat
back_from_compat:
    cmp $0x1234, %ecx
    CHECK64(e)
    mov $0x0123456789abcdef, %rax
    cmp %rax, %r9
    CHECK64(e)
    UNLESS_TCG(FAULTS64(GP, 0, rex.w ljmp *far_noncanonical))

    /* IRETQ: what it takes and what not. */
    mov %rsp, %rbx
    pushq $0
    push %rbx
    pushq $2
    pushq $KCODE
    pushq $1f
    iretq /* a null SS is fine at level 0 */
1:  mov %ss, %eax
    test %eax, %eax
    CHECK64(z)
    LOAD(ss, KDATA)
    FAULTS64(GP, 0, IRETQ_TO(UCODE, 0, 2, 0, STACK3))
    FAULTS64(GP, 0, IRETQ_TO(0, 0, 2, KDATA, STACK3))
    FAULTS64(GP, KDATA, IRETQ_TO(UCODE, 0, 2, KDATA, STACK3))
    FAULTS64(GP, KDATA, IRETQ_TO(KDATA, 0, 2, KDATA, STACK3))
    UNLESS_TCG(FAULTS64(GP, BOTH, IRETQ_TO(BOTH, 0, 2, KDATA, STACK3)))
    FAULTS64(NP, GONE_CODE, IRETQ_TO(GONE_CODE, 0, 2, KDATA, STACK3))
    FAULTS64(GP, CODE3, IRETQ_TO(CODE3, 0, 2, KDATA, STACK3))
    mov $0x800000000000, %r10
    UNLESS_TCG(FAULTS64(GP, 0, pushq $UDATA; pushq $STACK3; pushq $2; pushq $UCODE; push %r10; iretq))

    /* Level 3 in 64-bit and compatibility mode; gate, TSS and stack lie above 4 GiB. */
    RING3(RETURN, 0, ring3_return)
    EXPECT64(frame_cs, UCODE)
    EXPECT64(frame_ss, UDATA)
    EXPECT64(frame_rsp, STACK3)
    EXPECT64(seen_ss, 0)
    mov $(HIGH + STACK0), %rax
    cmp %rax, frame_at
    CHECK64(e)
    LOAD(ss, KDATA)
    RING3_32(RETURN, 0, compat3)
    EXPECT64(frame_cs, UCODE32)
    cmp $0x7fffffff, %ecx
    CHECK64(e)
    mov $(HIGH + STACK0), %rax
    cmp %rax, frame_at
    CHECK64(e)
    RING3_32(GP, 0, compat3_null_ss)
    RING3(GP, 0, ring3_null_ss)
    UNLESS_TCG(RING3(GP, 0x20 * 8 + 2, ring3_int20))
    RING3(GP, 0, ring3_lidt)
    RING3(GP, KDATA, ring3_kdata)
    RING3(UD, 0, ring3_int_o)
    RING3(RETURN, 0, ring3_conforming)
    EXPECT64(frame_cs, CONFORMING + 3)
    RING3(RETURN, 0, ring3_gate)
    cmp $0x600d, %ecx
    CHECK64(e)
    /* FS base outlives a trip to level 3 with a null FS. */
    LOAD(fs, 0)
    WRITE_MSR(MSR_FS_BASE, 0x89abcdef, 0xffffff81)
    RING3(RETURN, 0, ring3_return)
    mov $MSR_FS_BASE, %ecx
    rdmsr
    cmp $0x89abcdef, %eax
    CHECK64(e)
    /* GS base outlives the loss of a selector that level 3 may not have, by IRET and by RETF. */
    LOAD(gs, KDATA)
    WRITE_MSR(MSR_GS_BASE, 0x12345000, 0)
    RING3(RETURN, 0, ring3_selectors)
    mov $MSR_GS_BASE, %ecx
    rdmsr
    cmp $0x12345000, %eax
    CHECK64(e)
    LOAD(gs, KDATA)
    WRITE_MSR(MSR_GS_BASE, 0x12345000, 0)
    FAULTS64(RETURN, 0, pushq $UDATA; pushq $STACK3; pushq $UCODE; pushq $ring3_selectors; lretq)
    mov $MSR_GS_BASE, %ecx
    rdmsr
    cmp $0x12345000, %eax
    CHECK64(e)
    /* Null selectors become 0 on the way out, whatever their RPL was. */
    LOAD(ds, 1)
    LOAD(es, 2)
    LOAD(fs, 3)
    LOAD(gs, 1)
    UNLESS_TCG(RING3(RETURN, 0, ring3_selectors))
    /* But not within a level. */
    LOAD(es, 2)
    mov %rsp, %rbx
    pushq $KDATA
    push %rbx
    pushq $2
    pushq $KCODE
    pushq $1f
    iretq
1:  mov %es, %eax
    cmp $2, %eax
    CHECK64(e)
    LOAD(es, KDATA)
    LOAD(ds, KDATA)

    /* SYSCALL and SYSRET. */
    RING3(UD, 0, ring3_syscall)
    FAULTS64(UD, 0, sysretq)
    mov $MSR_EFER, %ecx
    rdmsr
    or $EFER_SCE, %eax
    wrmsr
    WRITE_MSR(MSR_STAR, 0, (UCODE32 << 16) | KCODE)
    WRITE_MSR(MSR_LSTAR, on_syscall, 0)
    WRITE_MSR(MSR_SFMASK, FLAG_DF | FLAG_IF, 0)
    RING3(RETURN, 0, ring3_syscall)
    cmp $0x7ea, %ebx
    CHECK64(e)
    EXPECT64(frame_cs, UCODE)
    EXPECT64(frame_ss, UDATA)
    testq $FLAG_DF, frame_rflags
    CHECK64(nz)
    RING3(RETURN, 0, ring3_syscall32)
    EXPECT64(frame_cs, UCODE32)
    RING3(GP, 0, ring3_sysret)
    UNLESS_TCG(RING3_32(UD, 0, compat3_syscall))
    UNLESS_TCG(mov $0x800000000000, %rcx; FAULTS64(GP, 0, sysretq))

    /* SYSENTER and SYSEXIT, as Intel has them in long mode. */
    cmpb $0, on_tcg
    jne 1f
    mov $0x800000000000, %rcx
    FAULTS64(GP, 0, sysexitl) /* no SYSENTER_CS yet */
    WRITE_MSR(0x174, KCODE, 0)
    WRITE_MSR(0x175, 0x6800, 0xffffff80)
    WRITE_MSR(0x176, on_sysenter, 0)
    RING3(RETURN, 0, ring3_sysenter)
    cmp $0x5e, %ebx
    CHECK64(e)
    EXPECT64(frame_cs, UCODE)
    mov $1, %r12
    RING3_32(RETURN, 0, compat3_sysenter)
    cmp $0x5e, %ebx
    CHECK64(e)
    EXPECT64(frame_cs, KCODE + 16 + 3)
1:
    /* Single step, and its rest behind a load of SS. */
    xor %eax, %eax
    mov %rax, %dr6
    FAULTS64(1, 0, pushq $(FLAG_TF | 2); popfq; nop; hlt)
    mov %dr6, %rax
    test $0x4000, %eax
    CHECK64(nz)
    PASS64

on_flags:
    pushfq
    popq seen_flags
    iretq

on_leaf32:
    lretl
on_leaf64:
    lretq

on_syscall:
    pushfq
    pop %rdx
    test $(FLAG_DF | FLAG_IF), %edx
    CHECK64(z)
    mov %cs, %eax
    cmp $KCODE, %eax
    CHECK64(e)
    mov %ss, %eax
    cmp $KDATA, %eax
    CHECK64(e)
    cmp $(STACK3 - 16), %rsp /* SYSCALL leaves the stack to the kernel */
    CHECK64(e)
    test $FLAG_DF, %r11d
    CHECK64(nz)
    cmp %r8, %rcx
    CHECK64(e)
    mov $0x7ea, %ebx
    test %r12, %r12
    jnz 1f
    sysretq
1:  sysretl

on_sysenter:
    mov $(HIGH + 0x6800), %rax
    cmp %rax, %rsp
    CHECK64(e)
    pushfq
    pop %rax
    test $FLAG_IF, %eax
    CHECK64(z)
    mov $0x5e, %ebx
    cmp $0, %r12
    jne 1f
    mov $sysexit64_to, %edx
    mov $STACK3, %ecx
    rex.w sysexit
1:  mov $sysexit32_to, %edx
    mov $STACK3, %ecx
    sysexitl

ring3_return:
    int $RETURN
/* DS, ES, FS and GS are all 0. */
ring3_selectors:
    mov %ds, %eax
    mov %es, %ecx
    or %ecx, %eax
    mov %fs, %ecx
    or %ecx, %eax
    mov %gs, %ecx
    or %ecx, %eax
    CHECK64(z)
    int $RETURN
ring3_bad_rsp:
    mov $0x8000000000000000, %rsp
    push %rax
    UNREACHED64
ring3_null_ss:
    LOAD(ss, 0)
    UNREACHED64
ring3_int20:
    int $0x20
ring3_lidt:
    lidt idt_pointer
    UNREACHED64
ring3_kdata:
    LOAD(ds, KDATA)
    UNREACHED64
ring3_int_o:
    .byte 0xce /* INTO is gone */
ring3_conforming:
    ljmp *far_conforming
on_conforming:
    int $RETURN
ring3_gate:
    xor %ecx, %ecx
    lcall *far_gate
    cmp $STACK3, %rsp
    CHECK64(e)
    int $RETURN

/* Level 0 through a call gate: SS, RSP, CS and RIP of 8 bytes each; SS null. */
on_gate:
    mov %ss, %eax
    test %eax, %eax
    CHECK64(z)
    mov $(HIGH + STACK0 - 32), %rax
    cmp %rax, %rsp
    CHECK64(e)
    cmpq $UCODE, 8(%rsp)
    CHECK64(e)
    cmpq $STACK3, 16(%rsp)
    CHECK64(e)
    cmpq $UDATA, 24(%rsp)
    CHECK64(e)
    mov $0x600d, %ecx
    lretq

ring3_syscall:
    xor %r12, %r12
    jmp 2f
ring3_syscall32:
    mov $1, %r12
2:  pushq $(0x3002 | FLAG_DF | FLAG_IF)
    popfq
    push %rax
    push %rax
    mov $1f, %r8d
    xor %ebx, %ebx
    syscall
1:  int $RETURN /* the same two bytes in both modes */
ring3_sysret:
    sysretq
ring3_sysenter:
    xor %r12, %r12
    sysenter
sysexit64_to:
sysexit32_to:
    int $RETURN

    .code32
compat:
    mov %cs, %eax
    cmp $KCODE32, %eax
    CHECK32(e)
    mov $0x1234, %ecx
    push $KCODE
    push $back_from_compat
    lret
compat3:
    mov $0x7fffffff, %ecx
    int $RETURN
compat3_null_ss:
    LOAD(ss, 0)
    UNREACHED32
compat3_syscall:
    syscall
    UNREACHED32
compat3_sysenter:
    xor %ebx, %ebx
    sysenter
    .code64

    .data
    .balign 8
ldt:
    .quad 0
    SEGMENT(0, 0xfffff, 0xc093)
    .quad 0, 0
far_both:
    .long 0
    .word BOTH
far_tss:
    .long 0
    .word TSS
far_task_gate:
    .long 0
    .word TASK_GATE
far_tss16:
    .long 0
    .word TSS16
far_gate32:
    .long 0
    .word GATE32
far_leaf32:
    .long on_leaf32
    .word KCODE
far_leaf64:
    .quad on_leaf64
    .word KCODE
far_compat:
    .long compat
    .word KCODE32
far_noncanonical:
    .quad 0x800000000000
    .word KCODE
far_conforming:
    .long on_conforming
    .word CONFORMING
far_gate:
    .long 0
    .word GATE3
seen_flags:
    .quad 0
scratch:
    .space 16
    .text

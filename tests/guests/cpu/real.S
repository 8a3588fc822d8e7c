/* Real mode: segment registers, far transfers, interrupts and their flags, big real mode. */
#include "guest.h"

#define IVT(vector) ((vector)*4)
#define FLAGS_IF    0x0200
#define FLAGS_TF    0x0100
#define FLAGS_DF    0x0400
#define FLAGS_OF    0x0800

/* Points a vector at a handler of segment 0. */
#define SET_VECTOR(vector, handler) movw $handler, IVT(vector); movw $0, IVT(vector) + 2

    .code16
main16:
    /* PUSH and POP of segment registers, their width and what arrives. */
    mov $0x1234, %ax
    mov %ax, %es
    mov %sp, %bp
    push %es
    mov %bp, %bx
    sub %sp, %bx
    cmp $2, %bx
    CHECK16(e)
    pop %fs
    mov %fs, %bx
    cmp $0x1234, %bx
    CHECK16(e)
    cmp %bp, %sp
    CHECK16(e)
    pushl %fs /* 32 bits with the operand size prefix */
    mov %bp, %bx
    sub %sp, %bx
    cmp $4, %bx
    CHECK16(e)
    popl %gs
    cmp %bp, %sp
    CHECK16(e)
    mov $0xffffffff, %eax
    mov %gs, %eax /* a 32-bit destination is zero-extended */
    cmp $0x1234, %eax
    CHECK16(e)

    /* LES, LDS, LFS, LGS, LSS. */
    movl $0x20001111, scratch
    les scratch, %bx
    cmp $0x1111, %bx
    CHECK16(e)
    mov %es, %ax
    cmp $0x2000, %ax
    CHECK16(e)
    movl $0x89abcdef, scratch
    movw $0x3000, scratch + 4
    lgsl scratch, %ebx
    cmp $0x89abcdef, %ebx
    CHECK16(e)
    mov %gs, %ax
    cmp $0x3000, %ax
    CHECK16(e)
    movl $0x00006f00, scratch
    lss scratch, %sp
    cmp $0x6f00, %sp
    CHECK16(e)
    mov $0x7000, %sp

    /* Far CALL and RETF, with bytes released; the segment changes the base. */
    mov $0x55, %al
    lcall $0x0010, $(far_target - 0x100)
    cmp $0x56, %al
    CHECK16(e)
    cmp $0x7000, %sp
    CHECK16(e)
    push $7
    lcall $0x0010, $(far_release - 0x100)
    cmp $0x7000, %sp
    CHECK16(e)
    movl $(far_target - 0x200) + 0x00200000, scratch
    lcall *scratch
    cmp $0x57, %al
    CHECK16(e)
    lcalll $0x0010, $(far_target32 - 0x100) /* 8 bytes on the stack */
    cmp $0x7000, %sp
    CHECK16(e)
    ljmp $0x0001, $(1f - 0x10)
1:  mov %cs, %ax
    cmp $1, %ax
    CHECK16(e)
    ljmp $0, $1f
1:

    /* INT pushes FLAGS, CS, IP and clears IF and TF; IRET brings them back. */
    SET_VECTOR(0x60, on_int60)
    push $(FLAGS_IF | FLAGS_DF | FLAGS_OF | 0x0055 | 2)
    popf
    int $0x60
after60:
    pushf
    cli
    cld
    pop %ax
    and $0x0fff, %ax
    cmp $(FLAGS_IF | FLAGS_DF | FLAGS_OF | 0x0057), %ax
    CHECK16(e)
    cmpw $after60, seen_ip
    CHECK16(e)
    cmpw $0, seen_cs
    CHECK16(e)
    mov seen_flags, %ax
    and $0x0fff, %ax
    cmp $(FLAGS_IF | FLAGS_DF | FLAGS_OF | 0x0057), %ax
    CHECK16(e)
    testw $(FLAGS_IF | FLAGS_TF), inner_flags
    CHECK16(z)

    /* INTO only with OF; INT3 through vector 3. */
    movw $0, count
    SET_VECTOR(4, on_count)
    SET_VECTOR(3, on_count)
    xor %ax, %ax
    into
    cmpw $0, count
    CHECK16(e)
    mov $0x7f, %al
    inc %al
    into
    cmpw $1, count
    CHECK16(e)
    int3
    cmpw $2, count
    CHECK16(e)

    /* Faults push no error code and point at the instruction. */
    SET_VECTOR(0, on_fault)
    SET_VECTOR(6, on_fault)
    SET_VECTOR(13, on_fault)
    movw $1f, resume
    xor %cx, %cx
fault0:
    div %cx
    UNREACHED16
1:  cmpw $fault0, seen_ip
    CHECK16(e)
    movw $1f, resume
fault6:
    ud2
    UNREACHED16
1:  cmpw $fault6, seen_ip
    CHECK16(e)
    cmp $0x7000, %sp
    CHECK16(e)
    movw $1f, resume
fault_sldt:
    .byte 0x0f, 0x00, 0xc0 /* SLDT has no meaning in real mode */
    UNREACHED16
1:  cmpw $fault_sldt, seen_ip
    CHECK16(e)

    /* IRETD takes EFLAGS: AC and ID change, VM does not. */
    pushfl
    pop %eax
    mov %eax, %ebx
    xor $0x00260000, %eax
    push %eax
    pushl $0
    pushl $1f
    iretl
1:  pushfl
    pop %eax
    xor %ebx, %eax
    and $0x00260000, %eax
    cmp $0x00240000, %eax
    CHECK16(e)
    push %ebx
    popfl

    /* A vector beyond the table's limit is #GP; here INT 61h with room for 60h only. */
    sidt saved_idt
    movw $(IVT(0x61) - 1), new_idt
    movl $0, new_idt + 2
    lidt new_idt
    movw $1f, resume
fault_limit:
    int $0x61
    UNREACHED16
1:  cmpw $fault_limit, seen_ip
    CHECK16(e)
    lidt saved_idt

    /* A table elsewhere. */
    movw $0x3ff, new_idt
    movl $other_ivt, new_idt + 2
    lidt new_idt
    movw $on_count, other_ivt + IVT(0x20)
    movw $0, other_ivt + IVT(0x20) + 2
    movw $0, count
    int $0x20
    lidt saved_idt
    cmpw $1, count
    CHECK16(e)

    cmpb $0, on_tcg
    jne skip_limits

    /* Real mode has limits too: a word at FFFFh, and a stack push that wraps. */
    SET_VECTOR(12, on_fault)
    lgdt gdt_pointer
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    jmp 1f
1:  mov $16, %bx
    mov %bx, %ds /* the firmware may have left a larger limit */
    and $0xfe, %al
    mov %eax, %cr0
    jmp 1f
1:  xor %bx, %bx
    mov %bx, %ds
    movw $1f, resume
    mov $0xffff, %bx
fault_word:
    mov (%bx), %ax
    UNREACHED16
1:  cmpw $fault_word, seen_ip
    CHECK16(e)
    movw $1f, resume
    mov $0x10000, %ebx
fault_far:
    mov (%ebx), %eax /* a 32-bit address above the limit */
    UNREACHED16
1:  cmpw $fault_far, seen_ip
    CHECK16(e)
skip_limits:

    /* Big real mode: a limit loaded in protected mode outlives a new selector. */
    lgdt gdt_pointer
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    jmp 1f
1:  mov $8, %bx
    mov %bx, %fs
    and $0xfe, %al
    mov %eax, %cr0
    jmp 1f
1:  xor %bx, %bx
    mov %bx, %fs
    mov $0x00100000, %ebx
    movl $0x600df00d, %fs:(%ebx)
    cmpl $0x600df00d, %fs:(%ebx)
    CHECK16(e)
    mov $0x1000, %cx
    mov %cx, %fs
    mov $0x000f0000, %ebx
    cmpl $0x600df00d, %fs:(%ebx)
    CHECK16(e)

    /* SGDT gives back what LGDT took. */
    sgdt scratch
    mov scratch, %ax
    cmp $(gdt_end - gdt - 1), %ax
    CHECK16(e)
    mov scratch + 2, %eax
    cmp $gdt, %eax
    CHECK16(e)

    /* Single step: one trap after each instruction, none after a load of SS. */
    SET_VECTOR(1, on_count)
    movw $0, count
    pushf
    pop %ax
    or $FLAGS_TF, %ax
    push %ax
    xor %bx, %bx
    popf
    nop /* trap 1 */
    mov %bx, %ss /* no trap */
    nop /* trap 2 covers both */
    pushf
    pop %ax
    and $~FLAGS_TF, %ax
    push %ax
    popf
    nop
    cmpw $7, count /* nop, mov and nop, pushf, pop, and, push, and popf itself */
    CHECK16(e)
    PASS16

far_target:
    inc %al
    lret
far_release:
    lret $2
far_target32:
    lretl

on_int60:
    pushf
    popw inner_flags
    mov %sp, %bp
    mov (%bp), %ax
    mov %ax, seen_ip
    mov 2(%bp), %ax
    mov %ax, seen_cs
    mov 4(%bp), %ax
    mov %ax, seen_flags
    iret

on_count:
    incw count
    iret

/* Remembers where and goes on at resume; fails when nobody expects it. */
on_fault:
    popw seen_ip
    popw seen_cs
    popw seen_flags
    cmpw $0, resume
    CHECK16(ne)
    mov resume, %ax
    movw $0, resume
    jmp *%ax

    .balign 8
gdt:
    .quad 0, 0x00cf93000000ffff, 0x000093000000ffff
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt
saved_idt:
    .space 6
new_idt:
    .space 6
scratch:
    .space 16
seen_ip:
    .word 0
seen_cs:
    .word 0
seen_flags:
    .word 0
inner_flags:
    .word 0
resume:
    .word 0
count:
    .word 0
    .balign 16
other_ivt:
    .space 0x400

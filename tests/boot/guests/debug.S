/*
 * The guest of tests/boot/gdb.py, which stops at its labels and changes its data. Real mode first,
 * with CS bases; then 64-bit code under paging, with a timer interrupt, in a loop until `quit` is
 * not 0, and a triple fault if it is 2. All labels are linear addresses, also behind CS bases.
 */
#include "com1.h"

#define DEBUG_EXIT 0xf4

#define TABLES  0x10000 /* PML4, PDPT, PD */
#define IDT     0x14000
#define STACK   0x18000
#define ALIAS   0x400000 /* leads to physical 0, too */
#define MISSING 0x600000 /* the handler of #PF maps it, and the loop takes it away */

#define PRESENT 3 /* and writable */
#define LARGE   0x83

        prologue
        movw    $source, %si
        movw    $target, %di
        movw    $5, %cx
        .globl  copy, copied
copy:   rep movsb
copied: ljmp    $0x7c0, $(based - 0x7c00)
        .globl  based
based:  movw    $0x1234, %ax
        ljmp    $0, $unbased
        .globl  unbased
unbased:
        movw    $(TABLES >> 4), %ax
        movw    %ax, %es
        xorw    %di, %di
        xorw    %ax, %ax
        movw    $0x4000, %cx
        rep stosw
        movl    $(TABLES + 0x1000 + PRESENT), %es:0
        movl    $(TABLES + 0x2000 + PRESENT), %es:0x1000
        movl    $LARGE, %es:0x2000
        movl    $LARGE, %es:0x2010

        movl    $0x20, %eax /* PAE */
        movl    %eax, %cr4
        movl    $TABLES, %eax
        movl    %eax, %cr3
        movl    $0xc0000080, %ecx
        movl    $0x100, %eax /* LME */
        xorl    %edx, %edx
        wrmsr
        lgdtl   gdt_register
        movl    $0x80000011, %eax /* PG, ET, PE */
        movl    %eax, %cr0
        ljmp    $8, $long

        .code64
        .globl  long, loop, store, load, vector, call, fault, after_fault, halted, done, function
long:
        movl    $16, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    $STACK, %esp
        movq    $on_page_fault, %rax
        movl    $(IDT + 14 * 16), %edi
        call    set_gate
        movq    $on_timer, %rax
        movl    $(IDT + 0x20 * 16), %edi
        call    set_gate
        lidt    idt_register
        call    start_timer
        movq    %cr4, %rax
        orq     $0x600, %rax /* SSE */
        movq    %rax, %cr4
        movl    $77, other
        sti
loop:
        incq    rounds
store:  movq    rounds, %rax
        movq    %rax, value
load:   movq    other, %rbx
        movq    $0x1122334455667788, %rcx
        movq    %rcx, %xmm1
vector: movups  %xmm1, aligned
call:   call    function
        movl    $MISSING, %esi
fault:  movq    (%rsi), %rdx
after_fault:
        movl    $0, TABLES + 0x2018
        invlpg  (%rsi)
halted: hlt
done:   cmpl    $1, quit
        jb      loop
        ja      broken
        movw    $DEBUG_EXIT, %dx
        movl    $0x15, %eax
        outb    %al, %dx
        jmp     .
broken: lidt    nothing
        int3
        jmp     .

function:
        pushq   %rdi
        leaq    area, %rdi
        movl    $64, %ecx
        movb    $0x5a, %al
        .globl  fill, filled
fill:   rep stosb
filled: popq    %rdi
        ret

        .globl  on_page_fault, mapped, on_timer
on_page_fault:
        movl    $LARGE, TABLES + 0x2018
mapped: addq    $8, %rsp
        iretq

on_timer:
        incq    ticks
        pushq   %rax
        movb    $0x20, %al
        outb    %al, $0x20
        popq    %rax
        iretq

        /* RAX: the handler; RDI: where its gate stands. */
set_gate:
        movw    %ax, (%rdi)
        movw    $8, 2(%rdi)
        movw    $0x8e00, 4(%rdi)
        shrq    $16, %rax
        movw    %ax, 6(%rdi)
        ret

        /* IRQ 0 a thousand times a second, at vector 20h. */
start_timer:
        movb    $0x11, %al
        outb    %al, $0x20
        movb    $0x20, %al
        outb    %al, $0x21
        movb    $4, %al
        outb    %al, $0x21
        movb    $1, %al
        outb    %al, $0x21
        movb    $0xfe, %al
        outb    %al, $0x21
        movb    $0x34, %al
        outb    %al, $0x43
        movb    $0xa9, %al
        outb    %al, $0x40
        movb    $0x04, %al
        outb    %al, $0x40
        ret

        .balign 16
gdt:    .quad   0, 0x00af9a000000ffff, 0x00cf92000000ffff
gdt_register:
        .word   23
        .long   gdt
idt_register:
        .word   0x21 * 16 - 1
        .quad   IDT
nothing:
        .word   0
        .quad   0
source: .ascii  "bytes"
target: .space  5
        .globl  source, target, rounds, value, other, aligned, area, ticks, quit

        /* On a page of their own, zero at the start. */
        .set    rounds, 0xa000
        .set    value, 0xa008
        .set    other, 0xa010
        .set    ticks, 0xa018
        .set    quit, 0xa020
        .set    aligned, 0xa030
        .set    area, 0xa040

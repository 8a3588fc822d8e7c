/*
 * A guest that makes Umbra's own memory grow, for ever: a dot goes to port E9h after each round.
 * -DLINKS: 30,000 jumps to one place, then as many other blocks, so that the first ones go.
 * -DALIAS: one page of code at 600 linear addresses. -DREWRITE: each byte of a page of code is
 * written before it is called. 32-bit code in flat segments from 0, 64 MiB of memory.
 */
#include "com1.h"

#define AREA   0x400000
#define OTHERS 0x1800000
#define PAGES  0x300000 /* a page directory and a page table for ALIAS */
#define BLOCKS 30000

        prologue
        say     "begin\r\n"
        lgdt    gdt_pointer
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        ljmp    $8, $flat

        .code32
flat:   movw    $16, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    $0x7c00, %esp
        cld

#if defined(LINKS)
round:  movl    $AREA, %edi
        movl    $BLOCKS, %ecx
1:      movb    $0xe9, (%edi)           /* JMP together */
        movl    $together - 5, %eax
        subl    %edi, %eax
        movl    %eax, 1(%edi)
        movb    $0xc3, OTHERS - AREA(%edi)
        addl    $16, %edi
        loop    1b
        movl    $70, %ebx               /* enough to be translated and linked */
2:      movl    $AREA, %edi
        movl    $BLOCKS, %ecx
3:      jmp     *%edi
together:
        addl    $16, %edi
        decl    %ecx
        jnz     3b
        decl    %ebx
        jnz     2b
        movl    $OTHERS, %edi
        movl    $BLOCKS, %ecx
4:      call    *%edi
        addl    $16, %edi
        loop    4b

#elif defined(ALIAS)
        movl    $AREA, %edi
        movl    $1024, %ecx
        movl    $0x9090e5ff, %eax       /* JMP EBP */
        rep     stosl
        movl    $PAGES + 0x1000, %edi   /* every page of the table is the one at AREA */
        movl    $1024, %ecx
        movl    $AREA + 3, %eax
        rep     stosl
        movl    $PAGES, %edi            /* 0 to 2 GiB: themselves; above: that table */
        movl    $0x83, %eax
        movl    $512, %ecx
1:      stosl
        addl    $0x400000, %eax
        loop    1b
        movl    $512, %ecx
        movl    $PAGES + 0x1003, %eax
        rep     stosl
        movl    $0x10, %eax             /* PSE */
        movl    %eax, %cr4
        movl    $PAGES, %eax
        movl    %eax, %cr3
        movl    %cr0, %eax
        orl     $0x80000000, %eax
        movl    %eax, %cr0
round:  movl    $0x80000000, %esi
        movl    $600, %ebx
        movl    $back, %ebp
2:      movl    $1024, %ecx
3:      jmp     *%esi
back:   addl    $4, %esi
        loop    3b
        decl    %ebx
        jnz     2b

#else
round:  movl    $20, %ebx
1:      movl    $AREA, %edi
        movl    $4096, %ecx
2:      movb    $0xc3, (%edi)
        call    *%edi
        incl    %edi
        loop    2b
        decl    %ebx
        jnz     1b
#endif
        movb    $'.', %al
        outb    %al, $0xe9
        jmp     round

        .balign 8
gdt:    .quad   0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
        .word   23
        .long   gdt
        .code16
        epilogue

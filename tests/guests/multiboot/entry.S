/*
 * The entry of the multiboot guest: the header, the state that the loader left, then C. With KLUDGE
 * the header tells the addresses itself, for a flat binary.
 * Specification: Multiboot 0.6.96, 3.1 and 3.2.
 */
    .equ MAGIC, 0x1badb002
#ifdef KLUDGE
    .equ FLAGS, 0x10003 /* aligned modules, memory information, addresses */
#else
    .equ FLAGS, 0x3
#endif

    .section .header, "a"
    .balign 4
header:
    .long MAGIC
    .long FLAGS
    .long -(MAGIC + FLAGS)
#ifdef KLUDGE
    .long header
    .long image_start
    .long image_end
    .long bss_end
    .long start
#endif

    .text
    .global start
start:
    movl %eax, entered
    movl %ebx, entered + 4
    movl %esp, entered + 8
    leal stack_top, %esp
    pushfl
    popl entered + 12
    movl %cr0, %eax
    movl %eax, entered + 16
    movl %cr4, %eax
    movl %eax, entered + 20
    /* Through each segment the first byte of the reset vector: base 0 and a limit of 4 GiB. */
    movb %cs:0xfffffff0, %al
    movb %al, reached
    movb %ds:0xfffffff0, %al
    movb %al, reached + 1
    movb %es:0xfffffff0, %al
    movb %al, reached + 2
    movb %fs:0xfffffff0, %al
    movb %al, reached + 3
    movb %gs:0xfffffff0, %al
    movb %al, reached + 4
    movb %ss:0xfffffff0, %al
    movb %al, reached + 5
    movl %cs, %eax
    larl %eax, %eax
    movl %eax, code_rights
    call check_all
    outb %al, $0xf4
1:  hlt
    jmp 1b

    .data
    .balign 4
    .global entered, reached, code_rights
entered:
    .fill 6, 4, 0
code_rights:
    .long 0
reached:
    .fill 6, 1, 0

    .bss
    .balign 16
    .fill 4096
stack_top:

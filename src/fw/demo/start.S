/*
 * The embedded guest, first part: from 16-bit real mode through 32-bit protected mode into 64-bit
 * long mode. Entered at 0000:7C00 by the BIOS. Each step says on the console what it does.
 */
#include "fw/demo/layout.h"

    .section .start, "ax"
    .code16
    .global start16
start16:
    ljmpw $0, $1f
1:  cli
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x7c00, %sp
    sti
    cld
    movw $text_hello, %si
    call print16
    call print_memory_map

    movw $text_to32, %si
    call print16
    cli
    lgdtl gdt_pointer
    movl %cr0, %eax
    orb $1, %al          /* CR0.PE */
    movl %eax, %cr0
    ljmpl $SELECTOR_CODE32, $start32

/* Prints the text at SI by the BIOS. */
print16:
    lodsb
    testb %al, %al
    jz 1f
    movb $0x0e, %ah
    movw $7, %bx
    int $0x10
    jmp print16
1:  ret

/* Prints EAX as eight hexadecimal digits. */
print_hex16:
    movw $8, %cx
1:  roll $4, %eax
    pushl %eax
    andb $15, %al
    addb $'0', %al
    cmpb $'9', %al
    jbe 2f
    addb $'A' - '0' - 10, %al
2:  movb $0x0e, %ah
    movw $7, %bx
    int $0x10
    popl %eax
    loop 1b
    ret

/* Asks INT 15h E820h for one entry after the other: EBX says where to go on, 0 at the end. */
print_memory_map:
    xorl %ebx, %ebx
1:  movl $0xe820, %eax
    movl $0x534d4150, %edx
    movl $20, %ecx
    movw $e820_entry, %di
    int $0x15
    jc 3f
    cmpl $0x534d4150, %eax
    jne 3f
    pushl %ebx
    movw $text_indent, %si
    call print16
    movl e820_entry + 4, %eax
    call print_hex16
    movl e820_entry, %eax
    call print_hex16
    movw $text_dash, %si
    call print16
    /* the last byte: base + length - 1 */
    movl e820_entry, %eax
    movl e820_entry + 4, %edx
    addl e820_entry + 8, %eax
    adcl e820_entry + 12, %edx
    subl $1, %eax
    sbbl $0, %edx
    pushl %eax
    movl %edx, %eax
    call print_hex16
    popl %eax
    call print_hex16
    movl e820_entry + 16, %ebx
    cmpl $4, %ebx
    jbe 2f
    xorl %ebx, %ebx
2:  shlw $1, %bx
    movw kinds(%bx), %si
    call print16
    popl %ebx
    testl %ebx, %ebx
    jnz 1b
    ret
3:  movw $text_no_map, %si
    jmp print16

kinds:
    .word text_kind_other, text_kind1, text_kind2, text_kind3, text_kind4

text_hello:
    .ascii "\r\nHello. I am the guest that is built into Umbra. This is what I see of my PC.\r\n"
    .ascii "\r\n1. Real mode, 16 bit\r\n"
    .ascii "   The processor began at its reset vector, in the BIOS, which jumped to my\r\n"
    .ascii "   first byte at 0000:7C00. I print by INT 10h. INT 15h E820h tells me what\r\n"
    .ascii "   there is in guest-physical memory:\r\n"
    .asciz "     first byte         last byte          kind\r\n"
text_indent:
    .asciz "     "
text_dash:
    .asciz " - "
text_kind1:
    .asciz "   RAM\r\n"
text_kind2:
    .asciz "   reserved\r\n"
text_kind3:
    .asciz "   ACPI tables\r\n"
text_kind4:
    .asciz "   ACPI non-volatile\r\n"
text_kind_other:
    .asciz "   something else\r\n"
text_no_map:
    .asciz "     (the BIOS has no such call)\r\n"
text_to32:
    .ascii "\r\n2. Protected mode, 32 bit\r\n"
    .ascii "   LGDT, CR0.PE = 1, a far jump. The BIOS stays behind: from here on I write\r\n"
    .asciz "   to the serial port at 3F8h myself.\r\n"

    .code32
start32:
    movw $SELECTOR_DATA, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %fs
    movw %ax, %gs
    movw %ax, %ss
    movl $0x7c00, %esp
    movl $bss_start, %edi
    movl $bss_end, %ecx
    subl %edi, %ecx
    xorl %eax, %eax
    rep stosb
    movl $text_in32, %esi
    call print32

    /* Tables for the first 2 MiB, each page to the frame of the same number. */
    movl $DEMO_TABLES, %edi
    movl $(DEMO_TABLES_END - DEMO_TABLES) / 4, %ecx
    xorl %eax, %eax
    rep stosl
    movl $DEMO_PDPT + 3, DEMO_PML4
    movl $DEMO_PD + 3, DEMO_PDPT
    movl $DEMO_PT + 3, DEMO_PD
    movl $DEMO_PT, %edi
    movl $3, %eax        /* present, writable */
    movl $512, %ecx
1:  movl %eax, (%edi)
    addl $0x1000, %eax
    addl $8, %edi
    loop 1b

    movl $text_to64, %esi
    call print32
    movl $DEMO_PML4, %eax
    movl %eax, %cr3
    movl %cr4, %eax
    orl $0x20, %eax      /* CR4.PAE */
    movl %eax, %cr4
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x100, %eax     /* EFER.LME */
    wrmsr
    movl %cr0, %eax
    orl $0x80010000, %eax /* CR0.PG, CR0.WP */
    movl %eax, %cr0
    ljmpl $SELECTOR_CODE64, $start64

/* Prints the text at ESI on COM1. */
print32:
    movw $0x3fd, %dx
1:  inb %dx, %al
    testb $0x20, %al
    jz 1b
    lodsb
    testb %al, %al
    jz 2f
    movw $0x3f8, %dx
    outb %al, %dx
    jmp print32
2:  ret

text_in32:
    .ascii "   Segments come from my GDT now, flat from 0 to 4 GiB. Paging is off: every\r\n"
    .ascii "   address that I use is a guest-physical one (GPA). Umbra alone decides which\r\n"
    .asciz "   memory of its own (HVA) stands behind it.\r\n"
text_to64:
    .ascii "\r\n3. Paging on, and long mode, 64 bit\r\n"
    .ascii "   I have built four levels of tables: PML4 at 10000h, PDPT at 11000h, PD at\r\n"
    .ascii "   12000h, PT at 13000h. CR3 = 10000h, CR4.PAE = 1, EFER.LME = 1, CR0.PG = 1,\r\n"
    .asciz "   then a far jump into a 64-bit segment.\r\n"

    .code64
start64:
    movw $SELECTOR_DATA, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    xorl %eax, %eax
    movw %ax, %fs
    movw %ax, %gs
    movl $DEMO_STACK_TOP, %esp
    xorl %ebp, %ebp
    call demo_main
1:  cli
    hlt
    jmp 1b

    .balign 8
    .global gdt
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff /* 08h: 32-bit code */
    .quad 0x00cf93000000ffff /* 10h: data */
    .quad 0x00af9b000000ffff /* 18h: 64-bit code */
    .quad 0x00cff3000000ffff /* 20h: data, ring 3 */
    .quad 0x00affb000000ffff /* 28h: 64-bit code, ring 3 */
    .quad 0, 0               /* 30h: TSS, filled in later */
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt

    .bss
    .balign 4
e820_entry:
    .skip 20

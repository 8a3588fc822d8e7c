/*
 * Interrupt entry and exit, calls out to the guest's own handlers, and the ways out of the BIOS.
 *
 * Each entry stub brings a C handler's address to int_common, which leaves the caller's stack
 * almost untouched (10 bytes), switches to the BIOS's own stack in the EBDA and calls
 * handler(struct regs *):
 *
 *    caller's stack            BIOS stack (struct regs in rom.h, rising addresses)
 *    flags cs ip               edi esi ebp - ebx edx ecx eax | gs fs es ds | ip cs flags - | esp ss
 *    eax edx ds
 *
 * Where the BIOS stack starts: an interrupt that hits the BIOS itself (SS is the EBDA) goes on
 * below the current ESP; any other starts at stack_free, which every call out of the BIOS lowers
 * for its duration: to STACK_GAP below the current ESP, so that a hook may push that much before
 * it switches to a stack of its own and calls the BIOS from there. The C code may use 32-bit
 * addresses: all upper halves of ESP and of pointers are clean.
 */
#include "fw/rom/segment.h"

    .code16
    .section .head, "ax"
    .ascii "Umbra BIOS, MIT "

    .text
    .macro LEAVE_STACK
    movl %esp, stack_free
    subl $STACK_GAP, stack_free
    .endm

    .macro ENTRY number, handler
    .global entry_\number
entry_\number:
    pushl %eax
    movl $\handler, %eax
    jmp int_common
    .endm

    ENTRY 05, int05
    ENTRY 08, int08
    ENTRY 09, int09
    ENTRY 10, int10
    ENTRY 11, int11
    ENTRY 12, int12
    ENTRY 13, int13
    ENTRY 14, int14
    ENTRY 15, int15
    ENTRY 16, int16
    ENTRY 17, int17
    ENTRY 18, int18
    ENTRY 19, int19
    ENTRY 1a, int1a
    ENTRY 70, int70
    ENTRY nmi, int02
    ENTRY irq_master, irq_unexpected
    ENTRY irq_slave, irq_unexpected

int_common:
    cli
    cld
    pushl %edx
    pushw %ds
    movw $EBDA_SEGMENT, %dx
    movw %dx, %ds
    movl %eax, int_handler
    movl %esp, int_esp
    movw %ss, int_ss
    movl stack_free, %eax
    cmpw int_ss, %dx
    jne 1f
    movl %esp, %eax
1:  movw %dx, %ss
    movl %eax, %esp

    subw $2, %sp
    pushw int_ss
    pushl int_esp
    subw $10, %sp        /* ds ip cs flags and a filler, copied below */
    pushw %es
    pushw %fs
    pushw %gs
    pushal
    movl %esp, %ebp
    movw %dx, %es
    movw int_ss, %fs
    movzwl int_esp, %ebx
    movw %fs:(%ebx), %ax
    movw %ax, 38(%ebp)   /* ds */
    movl %fs:2(%ebx), %eax
    movl %eax, 20(%ebp)  /* edx */
    movl %fs:6(%ebx), %eax
    movl %eax, 28(%ebp)  /* eax */
    movl %fs:10(%ebx), %eax
    movl %eax, 40(%ebp)  /* ip, cs */
    movw %fs:14(%ebx), %ax
    movw %ax, 44(%ebp)   /* flags */

    movl %ebp, %eax
    calll *int_handler

    /*
     * Back: what the handler changed in struct regs goes to the registers and to the flags image.
     */
    cli
    movl %ebp, %esp
    movw 52(%ebp), %fs
    movzwl 48(%ebp), %ebx
    movw 38(%ebp), %ax
    movw %ax, %fs:(%ebx)
    movl 20(%ebp), %eax
    movl %eax, %fs:2(%ebx)
    movl 28(%ebp), %eax
    movl %eax, %fs:6(%ebx)
    movw 44(%ebp), %ax
    movw %ax, %fs:14(%ebx)
    popal
    popw %gs
    popw %fs
    popw %es
    movl %esp, %eax
    lssl %ss:10(%eax), %esp
    popw %ds
    popl %edx
    popl %eax
    iretw

/*
 * uint32_t rom_call_interrupt(uint32_t vector, uint32_t eax): INT `vector` through the IVT, with
 * EAX given. Returns EAX; CF goes to call_carry. A vector of 0:0 is not called.
 */
    .global rom_call_interrupt
rom_call_interrupt:
    pushl %ebp
    pushl %ebx
    pushl %esi
    pushl %edi
    xorl %ebx, %ebx
    movw %bx, %fs
    movb $1, call_carry
    cmpl $0, %fs:(,%eax,4)
    je 1f
    pushl stack_free
    LEAVE_STACK
    movl %eax, %ebx
    movl %edx, %eax
    stc
    pushfw
    lcallw *%fs:(,%ebx,4)
    jmp call_return
1:  movl %edx, %eax
    jmp 2f
call_return:
    cli
    cld
    movw $EBDA_SEGMENT, %dx
    movw %dx, %ds
    movw %dx, %es
    setc call_carry
    movzwl %sp, %esp
    popl stack_free
2:  popl %edi
    popl %esi
    popl %ebx
    popl %ebp
    retl

/* void rom_call_far(uint32_t segment, uint32_t offset): a far call, for option ROMs. */
    .global rom_call_far
rom_call_far:
    pushl %ebp
    pushl %ebx
    pushl %esi
    pushl %edi
    pushl stack_free
    LEAVE_STACK
    pushw %cs
    pushw $call_far_return
    pushw %ax
    pushw %dx
    xorw %ax, %ax
    lretw
call_far_return:
    cli
    cld
    movw $EBDA_SEGMENT, %dx
    movw %dx, %ds
    movw %dx, %es
    movzwl %sp, %esp
    popl stack_free
    popl %edi
    popl %esi
    popl %ebx
    popl %ebp
    retl

/* void rom_idle(void): sleeps until an interrupt has been served. */
    .global rom_idle
rom_idle:
    pushl stack_free
    LEAVE_STACK
    sti
    hlt
    cli
    cld
    popl stack_free
    retl

/* void rom_let_interrupts_in(void): takes those that are pending, without waiting for one. */
    .global rom_let_interrupts_in
rom_let_interrupts_in:
    pushl stack_free
    LEAVE_STACK
    sti
    nop
    cli
    cld
    popl stack_free
    retl

/* void rom_enter_real(const struct launch *): leaves for a guest in real mode; see rom.h. */
    .global rom_enter_real
rom_enter_real:
    movl $STACK_TOP, stack_free
    movl %eax, %ebp
    movzwl 4(%ebp), %ecx   /* sp */
    movw 6(%ebp), %dx      /* ss */
    movl 12(%ebp), %ebx
    movl (%ebp), %esi      /* ip, cs */
    movw 10(%ebp), %di     /* interrupt flag */
    movl 16(%ebp), %eax
    movw 8(%ebp), %bp      /* data segments */
    movw %dx, %ss
    movl %ecx, %esp
    pushw %di
    pushl %esi
    movw %bp, %ds
    movw %bp, %es
    movw %bp, %fs
    movw %bp, %gs
    movl %ebx, %edx
    xorl %ebx, %ebx
    xorl %ecx, %ecx
    xorl %esi, %esi
    xorl %edi, %edi
    xorl %ebp, %ebp
    iretw

/* void rom_enter_multiboot(uint32_t eip, uint32_t ebx): leaves for a 32-bit kernel. */
    .global rom_enter_multiboot
rom_enter_multiboot:
    cli
    movl %eax, %ecx
    movl %edx, %ebx
    lgdtl %cs:rom_gdt_pointer
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $SELECTOR_CODE32, $(multiboot32 + ROM_SEGMENT * 16)
    .code32
multiboot32:
    movl $SELECTOR_DATA32, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    movl %eax, %ss
    movl $0x7c00, %esp
    xorl %edx, %edx
    xorl %esi, %esi
    xorl %edi, %edi
    xorl %ebp, %ebp
    movl $0x2badb002, %eax
    jmp *%ecx
    .code16

/*
 * void rom_flat_copy(uint32_t destination, uint32_t source, uint32_t bytes): copies physical
 * memory, four bytes at a time where it can, so that an aligned dword is one access (a register of
 * the local APIC wants that). DS and ES get the limits back that they came with, of 64 KiB or, in
 * big real mode, 4 GiB. The GDTR is preserved. Must run with interrupts off.
 */
    .global rom_flat_copy
rom_flat_copy:
    pushl %ebp
    pushl %esi
    pushl %edi
    pushl %ebx
    movl %eax, %edi
    movl %edx, %esi
    call probe_limits
    subw $8, %sp
    movl %esp, %ebx
    sgdtl %ss:(%ebx)
    lgdtl %cs:rom_gdt_pointer
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpw $SELECTOR_CODE16, $flat_copy_protected
flat_copy_protected:
    movw $SELECTOR_DATA32, %dx
    movw %dx, %ds
    movw %dx, %es
    movl %ecx, %edx
    shrl $2, %ecx
    addr32 rep movsl
    movl %edx, %ecx
    andl $3, %ecx
    addr32 rep movsb
    movw %bp, %es
    shrl $16, %ebp
    movw %bp, %ds
    movl %cr0, %eax
    andb $0xfe, %al
    movl %eax, %cr0
    ljmpw $ROM_SEGMENT, $flat_copy_real
flat_copy_real:
    movw $EBDA_SEGMENT, %dx
    movw %dx, %ds
    movw %dx, %es
    lgdtl %ss:(%ebx)
    addw $8, %sp
    popl %ebx
    popl %edi
    popl %esi
    popl %ebp
    retl

/*
 * To EBP: selectors for DS (upper half) and ES with the limits that they have. No instruction
 * tells a limit in real mode, but a word at FFFFh raises #GP or does not; it is the ROM that is
 * read. Where the vectors are not at 0, where we could catch that, they count as 4 GiB. Both
 * segments come back as EBDA_SEGMENT. Uses EAX, EBX, EDX and FS.
 */
probe_limits:
    movl $(SELECTOR_DATA32 << 16 | SELECTOR_DATA32), %ebp
    subw $8, %sp
    movl %esp, %ebx
    sidtl %ss:(%ebx)
    movl %ss:2(%ebx), %eax
    cmpw $(14 * 4 - 1), %ss:(%ebx)
    leal 8(%esp), %esp
    jb 3f
    testl %eax, %eax
    jnz 3f
    movw %ax, %fs
    pushl %fs:13 * 4
    movl $(ROM_SEGMENT << 16), %fs:13 * 4
    movw $limit_fault, %fs:13 * 4
    movw $(ROM_SEGMENT - 0x800), %ax
    movw %ax, %ds
    movw %ax, %es
    movl $(SELECTOR_DATA16 << 16 | SELECTOR_DATA32), %edx
    movw $1f, %bx
    movw %ds:0xffff, %ax
1:  movl %ebp, %edx
    movw $SELECTOR_DATA16, %dx
    movw $2f, %bx
    movw %es:0xffff, %ax
2:  popl %fs:13 * 4
3:  movw $EBDA_SEGMENT, %ax
    movw %ax, %ds
    movw %ax, %es
    ret

/* #GP of one of the two reads: EBP becomes EDX, and BX is where it goes on. */
limit_fault:
    addw $6, %sp
    movl %edx, %ebp
    jmpw *%bx

    .balign 8
rom_gdt:
    .quad 0
    .quad 0x00cf9b000000ffff /* 08h: 32-bit code, flat */
    .quad 0x00cf93000000ffff /* 10h: data, flat */
    .quad 0x00009b0f0000ffff /* 18h: 16-bit code, this ROM */
    .quad 0x0000930f0000ffff /* 20h: 16-bit data, this ROM */
rom_gdt_pointer:
    .word . - rom_gdt - 1
    .long rom_gdt + ROM_SEGMENT * 16
vectors_pointer:
    .word 256 * 4 - 1
    .long 0

/* POST, part one: a stack, then the data from the ROM, then C. */
    .global post_start
post_start:
    cli
    cld
    movb $0x01, %al
    outb %al, $0x80
    lidtl %cs:vectors_pointer /* a reset leaves a limit of 64 KiB */
    movw $EBDA_SEGMENT, %ax
    movw %ax, %ss
    movl $STACK_TOP, %esp
    movw %ax, %es
    movw $ROM_SEGMENT, %ax
    movw %ax, %ds
    xorl %edi, %edi
    xorl %eax, %eax
    movl $STACK_TOP / 4, %ecx
    rep stosl
    movl $rom_data_load, %esi
    movl $0x10, %edi
    movl $rom_data_bytes, %ecx
    rep movsb
    movw $EBDA_SEGMENT, %ax
    movw %ax, %ds
    calll post
    ud2

    .data
    .balign 4
    .global stack_free
stack_free:
    .long STACK_TOP
    .bss
    .balign 4
int_handler:
    .long 0
int_esp:
    .long 0
int_ss:
    .word 0
    .global call_carry
call_carry:
    .byte 0

/*
 * The entry of the memory benchmark's guest: a multiboot kernel that goes to 64-bit mode with the
 * low gigabyte and the local APIC mapped by 2 MiB pages, and the stubs of its exceptions.
 * Specification: Multiboot 0.6.96, 3.1 and 3.2; SDM 3 "Initializing IA-32e Mode".
 */
    .equ MAGIC, 0x1badb002
    .equ FLAGS, 0x3
    .equ CR0_PG_WP_PE, 0x80010001
    .equ CR4_PAE_PGE, 0xa0
    .equ EFER, 0xc0000080
    .equ EFER_LME_NXE, 0x900
    .equ LARGE, 0x83  /* present, writable, 2 MiB */
    .equ DEVICE, 0x9b /* and not cached */
    .equ APIC, 0xfee00000

    .section .header, "a"
    .balign 4
    .long MAGIC, FLAGS, -(MAGIC + FLAGS)

    .text
    .code32
    .global start
start:
    movl $stack_top, %esp
    movl %ebx, %ebp
    movl $kernel_pdpt + 3, kernel_pml4
    movl $kernel_pd + 3, kernel_pdpt
    movl $device_pd + 3, kernel_pdpt + 3 * 8
    movl $APIC + DEVICE, device_pd + ((APIC >> 21) & 511) * 8
    movl $kernel_pd, %edi
    movl $LARGE, %eax
1:  movl %eax, (%edi)
    addl $0x200000, %eax
    addl $8, %edi
    cmpl $kernel_pd + 4096, %edi
    jb 1b

    movl $CR4_PAE_PGE, %eax
    movl %eax, %cr4
    movl $kernel_pml4, %eax
    movl %eax, %cr3
    movl $EFER, %ecx
    rdmsr
    orl $EFER_LME_NXE, %eax
    wrmsr
    movl $CR0_PG_WP_PE, %eax
    movl %eax, %cr0
    lgdt gdt_pointer
    ljmp $8, $in_long_mode

    .code64
in_long_mode:
    movl $16, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl $stack_top, %esp
    movl %ebp, %edi
    call guest_main
1:  hlt
    jmp 1b

/* read_or_fault(address): reads a byte; true when the fault handler had to step over the read. */
    .global read_or_fault, read_resume
read_or_fault:
    xorl %eax, %eax
    movb (%rdi), %cl
    ret
read_resume:
    movl $1, %eax
    ret

    .global page_fault_stub
page_fault_stub:
    pushq %rax
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    movq %cr2, %rdi
    leaq 72(%rsp), %rsi
    call page_fault
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rax
    addq $8, %rsp
    iretq

/* Any other exception ends the guest; each stub is 8 bytes long. */
    .global exception_stubs
    .balign 8
exception_stubs:
    vector = 0
    .rept 32
    .balign 8
    pushq $vector
    jmp exception
    vector = vector + 1
    .endr
exception:
    popq %rdi
    call unexpected_exception

    .data
    .balign 8
gdt:
    .quad 0
    .quad 0x00af9b000000ffff /* code, 64-bit */
    .quad 0x00cf93000000ffff /* data */
gdt_pointer:
    .word . - gdt - 1
    .long gdt

    .bss
    .balign 4096
    .global kernel_pml4
kernel_pml4: .fill 4096
kernel_pdpt: .fill 4096
kernel_pd:   .fill 4096
device_pd:   .fill 4096
    .fill 16384
stack_top:

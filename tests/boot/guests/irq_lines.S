/*
 * What an interrupt line does behind each kind of input: the UART's line, raised and lowered by its
 * interrupt enable register, at the 8259 pair and at the I/O APIC, as edge and as level, masked and
 * not. A flat binary for 0000:7C00; it prints one line a case on port E9h, with the number of
 * interrupts that came, and ends by port F4h.
 */
#define PORT_TEXT 0xe9
#define PORT_EXIT 0xf4

#define IER     0x3f9
#define MCR     0x3fc
#define PIC     0x20
#define ELCR    0x4d0
#define LINE    4
#define MASKED  0xff
#define OPEN    0xef /* IRQ 4 only */
#define IOAPIC  0xfec00000
#define RTE     (0x10 + 2 * LINE)
#define APIC_ID 0xfee00020
#define APIC_SVR 0xfee000f0
#define APIC_EOI 0xfee000b0
#define PIC_VECTOR 0x24
#define APIC_VECTOR 0x50
#define RTE_LEVEL  0x8000
#define RTE_MASKED 0x10000

#define OUT(port, value) mov $(port), %dx; mov $(value), %al; out %al, %dx
#define RAISE OUT(IER, 2)
#define LOWER OUT(IER, 0)
#define MASK(value) OUT(PIC + 1, value)
/* Interrupts that wait are taken here; a KVM that emulates takes its time. */
#define TAKE sti; mov $5000, %cx; loop .; cli
/* A case starts with the line low, nothing pending, and a handler that lowers at interrupt `at`. */
#define CASE(at) call quiet; mov $(at), %bp
#define PRINT(letter) mov $(letter), %al; call print
#define ENTRY(flags) mov $(APIC_VECTOR | (flags)), %eax; call set_entry

    .text
    .code16
    .globl start
start:
    cli
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0x7000, %sp
    movw $pic_handler, PIC_VECTOR * 4
    movw %ax, PIC_VECTOR * 4 + 2
    movw $apic_handler, APIC_VECTOR * 4
    movw %ax, APIC_VECTOR * 4 + 2
    OUT(MCR, 8) /* OUT2: the interrupt reaches the line */
    call reach_all

    /* --- the 8259 pair --- */

    CASE(9)
    MASK(OPEN)
    RAISE
    TAKE
    TAKE /* the line is still high, which is no edge */
    PRINT('a')
    LOWER
    RAISE
    TAKE
    PRINT('b')

    CASE(9)
    RAISE /* while masked */
    MASK(OPEN)
    TAKE
    PRINT('c')

    CASE(9)
    OUT(PIC, 0x0a) /* the next read gives the IRR */
    RAISE
    in $PIC, %al
    shr $LINE, %al
    and $1, %al
    cbtw
    mov %ax, %bx
    PRINT('d')

    CASE(3)
    OUT(ELCR, 1 << LINE)
    RAISE
    MASK(OPEN)
    TAKE
    PRINT('e')

    CASE(9)
    RAISE
    LOWER
    MASK(OPEN)
    TAKE
    PRINT('f')
    OUT(ELCR, 0)

    /* --- the I/O APIC --- */

    mov $APIC_SVR, %esi
    movl $0x1ff, (%esi)

    CASE(9)
    ENTRY(0)
    RAISE
    TAKE
    TAKE
    PRINT('g')
    LOWER
    RAISE
    TAKE
    PRINT('h')

    CASE(3)
    ENTRY(RTE_LEVEL | RTE_MASKED)
    RAISE
    ENTRY(RTE_LEVEL)
    TAKE
    PRINT('i')

    CASE(9)
    ENTRY(RTE_LEVEL | RTE_MASKED)
    RAISE
    LOWER
    ENTRY(RTE_LEVEL)
    TAKE
    PRINT('j')

    CASE(2)
    ENTRY(RTE_LEVEL)
    RAISE
    TAKE
    PRINT('k')

    OUT(PORT_EXIT, 21) /* status 43 */
1:  hlt
    jmp 1b

/* DS reaches 4 GiB from here on: its limit stays when protected mode is left. */
reach_all:
    lgdt gdt_pointer
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    mov $8, %bx
    mov %bx, %ds
    and $0xfe, %al
    mov %eax, %cr0
    xor %bx, %bx
    mov %bx, %ds
    ret

/* The line low, the pair's vectors at 20h and all of its inputs masked, the entry too; no count. */
quiet:
    LOWER
    OUT(PIC, 0x11)
    OUT(PIC + 1, PIC_VECTOR - LINE)
    OUT(PIC + 1, 4)
    OUT(PIC + 1, 1)
    MASK(MASKED)
    ENTRY(RTE_MASKED)
    xor %bx, %bx
    ret

/* EAX: the low half of the line's entry; the high half names this processor. */
set_entry:
    mov %eax, %ecx
    mov $APIC_ID, %esi
    mov (%esi), %eax
    and $0xff000000, %eax
    mov $IOAPIC, %esi
    movl $(RTE + 1), (%esi)
    mov %eax, 0x10(%esi)
    movl $RTE, (%esi)
    mov %ecx, 0x10(%esi)
    ret

pic_handler:
    call came
    OUT(PIC, 0x20)
    iretw

apic_handler:
    call came
    mov $APIC_EOI, %esi
    movl $0, (%esi)
    iretw

/* Counts in BX, and lowers the line at interrupt BP; ten are enough to see that it does not end. */
came:
    inc %bx
    cmp %bp, %bx
    je 1f
    cmp $9, %bx
    jb 2f
1:  LOWER
2:  ret

/* The case's letter in AL, and the count. */
print:
    out %al, $PORT_TEXT
    mov %bl, %al
    add $'0', %al
    out %al, $PORT_TEXT
    mov $'\n', %al
    out %al, $PORT_TEXT
    ret

    .balign 8
gdt:
    .quad 0
    .quad 0x00cf93000000ffff
gdt_pointer:
    .word 15
    .long gdt

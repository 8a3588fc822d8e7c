/* Interrupts from outside: IF, the shadows of STI and SS, HLT, their place in VM86, NMI and IRET. */
#include "guest.h"
#include "prot.h"

#define IRQ0    0x48 /* the master's vectors */
#define IF      0x200
#define ICR_LOW 0xfee00300
#define ICR_HI  0xfee00310
#define SVR     0xfee000f0
#define NMI     0x4400 /* asserted, to the processor with ID 0 */
#define GP      13

    .data
gdt_more:
    GDT_END

    .code32
#define OUT(port, value) mov $(value), %al; out %al, $(port)
/* A single shot of channel 0 about a tenth of a millisecond from now. */
#define SHOOT OUT(0x43, 0x30); OUT(0x40, 120); OUT(0x40, 0)
/* Waits until the master has a request. */
#define AWAIT 1: OUT(0x20, 0x0a); in $0x20, %al; test $1, %al; jz 1b

main32:
    movl $on_irq, %eax
    mov %ax, idt + IRQ0 * 8
    movl $on_nmi, %eax
    mov %ax, idt + 2 * 8
    OUT(0x20, 0x11)
    OUT(0x21, IRQ0)
    OUT(0x21, 4)
    OUT(0x21, 1)
    OUT(0x21, 0xfe)
    OUT(0xa1, 0xff)

    /* Pending and not taken while IF is clear. */
    SHOOT
    AWAIT
    EXPECT32(count, 0)
    /* Not between STI and what follows it, so STI; CLI lets none in. */
    sti
    cli
    EXPECT32(count, 0)
    sti
after_sti:
    nop
taken_at:
    nop
    cli
    EXPECT32(count, 1)
    EXPECT32(irq_eip, taken_at)
    testl $IF, irq_eflags
    CHECK32(nz)
    testl $IF, inside_eflags
    CHECK32(z)
    /* A load of SS under STI's shadow casts its own. */
    mov $KDATA, %ecx
    SHOOT
    AWAIT
    sti
    mov %ecx, %ss
behind_ss:
    nop
    nop
    cli
    EXPECT32(count, 2)
    cmpl $behind_ss, irq_eip /* the second shadow may be left out, not the first */
    CHECK32(ae)
    /* POPF and IRET open at once. */
    SHOOT
    AWAIT
    push $(IF | 2)
    popf
popf_at:
    nop
    cli
    EXPECT32(count, 3)
    EXPECT32(irq_eip, popf_at)
    SHOOT
    AWAIT
    push $(IF | 2)
    push $KCODE
    push $iret_at
    iret
iret_at:
    nop
    cli
    EXPECT32(count, 4)
    EXPECT32(irq_eip, iret_at)

    /* HLT wakes, behind itself; STI; HLT can't miss one. */
    SHOOT
    sti
    hlt
halt_at:
    cli
    EXPECT32(count, 5)
    EXPECT32(irq_eip, halt_at)
    SHOOT
    AWAIT
    sti
    hlt
halt_at2:
    cli
    EXPECT32(count, 6)
    EXPECT32(irq_eip, halt_at2)

    /* A long string instruction is interrupted and goes on. */
    SHOOT
    mov $0x100000, %edi
    mov $0x300000, %ecx
    mov $0x5a, %al
    mov $400, %ebx /* until it has been: a busy host may be late */
    sti
1:  mov $0x100000, %edi
    mov $0x300000, %ecx
    rep stosb
    test %ecx, %ecx
    CHECK32(z)
    cmpl $7, count
    je 2f
    dec %ebx
    jnz 1b
2:  cli
    EXPECT32(count, 7)
    cmpl $0x5a5a5a5a, 0x3ffffc
    CHECK32(e)

    /* From level 3 and from virtual-8086 mode, onto level 0's stack. */
    SHOOT
    AWAIT
    RING3_FLAGS(RETURN, 0, ring3, 0x3002 | IF)
    EXPECT32(count, 8)
    EXPECT32(irq_cs, UCODE)
    SHOOT
    AWAIT
    FAULTS32(RETURN, 0, push $0; push $0; push $0; push $0; push $0x500; push $0x0ffe;              \
             push $(0x23002 | IF); push $0; push $vm86; iret)
    EXPECT32(count, 9)
    EXPECT32(irq_eip, vm86)
    testl $0x20000, irq_eflags
    CHECK32(nz)

    /* NMI: whatever IF says; the next waits for IRET. */
    movl $0x1ff, SVR
    movl $0, ICR_HI
    movl $NMI, ICR_LOW
    mov $1000000, %ecx
1:  cmpl $2, nmis
    je 2f
    pause
    loop 1b
2:  EXPECT32(nmis, 2)
    EXPECT32(nested, 0)

    PASS32

on_irq:
    pushf
    popl %ss:inside_eflags /* DS is null or the program's */
    push %eax
    incl %ss:count
    mov 4(%esp), %eax
    mov %eax, %ss:irq_eip
    mov 8(%esp), %eax
    mov %eax, %ss:irq_cs
    mov 12(%esp), %eax
    mov %eax, %ss:irq_eflags
    mov $0x20, %al
    out %al, $0x20
    pop %eax
    iret

/* The first sends itself a second one and looks whether it stays away. */
on_nmi:
    push %ecx
    incl nmis
    cmpl $0, inside
    je 1f
    incl nested
1:  incl inside
    cmpl $1, nmis
    jne 2f
    movl $NMI, ICR_LOW
    mov $2000, %ecx
1:  pause
    loop 1b
2:  decl inside
    pop %ecx
    iret

ring3:
    nop
    int $RETURN
    .code16
vm86:
    nop
    int $RETURN
    .code32

    .data
    .balign 4
count:
    .long 0
irq_eip:
    .long 0
irq_cs:
    .long 0
irq_eflags:
    .long 0
inside_eflags:
    .long 0
nmis:
    .long 0
nested:
    .long 0
inside:
    .long 0
    .text

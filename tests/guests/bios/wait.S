/*
 * INT 15h 86h waits as long as it is asked to, whatever a program has made of the 8254: ACPI's
 * timer is the measure. soft.sh runs it with the clock that counts instructions, where no busy
 * host makes a wait longer.
 */
#include "bios.h"

#define PM_TIMER 0x608
#define MS_50    178977 /* ticks of 3579545 Hz */
#define MS_1     3580

tests:
    movl $hook, 0x1c * 4
    call wait_50_ms
    EXPECT be, "86h: 50 ms, as the BIOS sets the timer up"
    movl $200000, %edx
    call wait
    movl $4 * MS_50, %edx
    call check
    EXPECT be, "86h: 200 ms, which are several ticks"
    movb $0x36, %al
    movw $0, %bx
    call program
    call wait_50_ms
    EXPECT be, "86h: 50 ms in mode 3, which counts by two"
    movb $0x3e, %al
    movw $0, %bx
    call program
    call wait_50_ms
    EXPECT be, "86h: 50 ms in mode 7, which is mode 3"
    movb $0x34, %al
    movw $1193, %bx
    call program
    call wait_50_ms
    EXPECT be, "86h: 50 ms at a thousand ticks a second"
    movb $0x30, %al
    movw $2, %bx
    call program
    movl $200000, %edx
    call wait
    movl $4 * MS_50, %edx
    call check
    EXPECT be, "86h: 200 ms in mode 0, when its interrupt has been"
    movb $0x34, %al
    outb %al, $0x43
    movl $200000, %edx
    call wait
    movl $4 * MS_50, %edx
    call check
    EXPECT be, "86h: 200 ms when the count was not written"
    movb $0x34, %al
    movw $0, %bx
    call program
    inb $0x21, %al
    orb $1, %al
    outb %al, $0x21
    movl $200000, %edx
    call wait
    inb $0x21, %al
    andb $0xfe, %al
    outb %al, $0x21
    movl $4 * MS_50, %edx
    call check
    EXPECT be, "86h: 200 ms with the timer's interrupt masked"
    movb $1, hook_waits
1:  hlt
    cmpb $0, hook_waits
    jne 1b
    movl hook_took, %eax
    movl $4 * MS_50, %edx
    call check
    EXPECT be, "86h: 200 ms from within INT 1Ch"
    call wait_6_s
    EXPECT be, "86h: 6 s, longer than ACPI's timer takes to wrap"
    movw $PM_TIMER, %dx
    inl %dx, %eax
    movl %eax, hook_took
    movw $0xb001, %ax
    call set_pm_ports
    movl $50000, %edx
    call wait
    movw $0x601, %ax
    call set_pm_ports
    movw $PM_TIMER, %dx
    inl %dx, %eax
    subl hook_took, %eax
    andl $0xffffff, %eax
    movl $MS_50, %edx
    call check
    EXPECT be, "86h: 50 ms when ACPI's ports are elsewhere"
    xorl %edx, %edx
    call wait
    cmpl $MS_1, %eax
    EXPECT be, "86h: 0 us are nothing"
    ret

/* Counter 0: the control word AL, then BX as its count. */
program:
    outb %al, $0x43
    movb %bl, %al
    outb %al, $0x40
    movb %bh, %al
    outb %al, $0x40
    ret

/* Moves ACPI's ports to AX: register 40h of the PIIX4's function 01.3. */
set_pm_ports:
    pushl %eax
    movl $0x80000b40, %eax
    movw $0xcf8, %dx
    outl %eax, %dx
    popl %eax
    movw $0xcfc, %dx
    outw %ax, %dx
    ret

/* Waits EDX microseconds; EAX: the ticks that went by, as far as 24 bits tell. */
wait:
    pushl %ebx
    pushl %edx
    movw $PM_TIMER, %dx
    inl %dx, %eax
    movl %eax, %ebx
    popl %edx
    pushl %edx
    movl %edx, %ecx
    shrl $16, %ecx
    movb $0x86, %ah
    int $0x15
    movw $PM_TIMER, %dx
    inl %dx, %eax
    subl %ebx, %eax
    andl $0xffffff, %eax
    popl %edx
    popl %ebx
    ret

/* BE when EAX is at least EDX, and not a millisecond more. */
check:
    subl %edx, %eax
    cmpl $MS_1, %eax
    ret

wait_50_ms:
    movl $50000, %edx
    call wait
    movl $MS_50, %edx
    jmp check

wait_6_s:
    movl $6000000, %edx
    call wait
    movl $(120 * MS_50 - 0x1000000), %edx
    jmp check

/* INT 1Ch: waits once when told to, before IRQ0 is ended. */
hook:
    cmpb $0, %cs:hook_waits
    je 1f
    pushl %eax
    pushl %ecx
    pushl %edx
    movl $200000, %edx
    call wait
    movl %eax, %cs:hook_took
    movb $0, %cs:hook_waits
    popl %edx
    popl %ecx
    popl %eax
1:  iretw

    .data
    .balign 4
hook_took:
    .long 0
hook_waits:
    .byte 0

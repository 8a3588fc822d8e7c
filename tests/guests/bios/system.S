/*
 * INT 1Ah (time and PCI BIOS), the timer interrupt, and how calls treat the caller: registers,
 * stack, interrupt flag, big real mode, calls from within a timer hook.
 */
#include "bios.h"

tests:
    call test_vectors
    call test_time
    call test_pci
    call test_registers
    call test_stack
    call test_big_real
    call test_hook
    ret

test_vectors:
    movl 0x13 * 4, %eax
    shrl $16, %eax
    EXPECT_EQ $0xf000, %ax, "vectors: INT 13h is in the BIOS"
    movl 0x1c * 4, %eax
    testl %eax, %eax
    EXPECT nz, "vectors: INT 1Ch can be called"
    lesw 0x1e * 4, %bx
    movb %es:4(%bx), %al
    EXPECT_EQ $18, %al, "vectors: INT 1Eh is a diskette table"
    pushw $0xf000
    popw %es
    movb %es:0xfff0, %al
    EXPECT_EQ $0xea, %al, "ROM: a far jump at the reset vector"
    movb %es:0xfff7, %al
    EXPECT_EQ $'/', %al, "ROM: a date behind it"
    pushw $0
    popw %es
    ret

test_time:
    movb $0, %ah
    int $0x1a
    movw %dx, %si
    movl 0x46c, %eax
    EXPECT_EQ %dx, %ax, "1ah 00h: the BDA's ticks"
    sti
    movw $4, %cx
1:  hlt
    movb $0, %ah
    pushw %cx
    int $0x1a
    popw %cx
    cmpw %si, %dx
    loope 1b
    EXPECT ne, "int 08h: ticks go on"
    movb $2, %ah
    int $0x1a
    EXPECT nc, "1ah 02h: is there"
    cmpb $0x24, %ch
    EXPECT b, "1ah 02h: hours in BCD"
    cmpb $0x60, %cl
    EXPECT b, "1ah 02h: minutes in BCD"
    movb $4, %ah
    int $0x1a
    EXPECT nc, "1ah 04h: is there"
    EXPECT_EQ $0x20, %ch, "1ah 04h: the century"
    /* Ticks since midnight agree with the clock: hour = ticks / 65543. */
    movb $2, %ah
    int $0x1a
    movb %ch, %al
    shrb $4, %al
    movb $10, %dl
    mulb %dl
    andb $0xf, %ch
    addb %ch, %al
    movb %al, %bl
    movl 0x46c, %eax
    xorl %edx, %edx
    movl $65543, %ecx
    divl %ecx
    EXPECT_EQ %al, %bl, "1ah 00h: the ticks began with the clock's time"
    /* Set and read back. */
    movb $5, %ah
    movw $0x2031, %cx
    movw $0x1129, %dx
    int $0x1a
    movb $4, %ah
    int $0x1a
    EXPECT_EQ $0x2031, %cx, "1ah 05h: sets the year"
    EXPECT_EQ $0x1129, %dx, "1ah 05h: sets month and day"
    movb $3, %ah
    movw $0x1234, %cx
    movw $0x5000, %dx
    int $0x1a
    movb $2, %ah
    int $0x1a
    EXPECT_EQ $0x1234, %cx, "1ah 03h: sets the time"
    movb $0x7f, %ah
    int $0x1a
    EXPECT c, "1ah 7fh: is refused"
    /* An alarm in the next seconds; three seconds are 55 ticks. */
    movw $alarm, 0x4a * 4
    movw $0, 0x4a * 4 + 2
    movb $6, %ah
    movw $0x1234, %cx
    movb $0x52, %dh
    int $0x1a
    EXPECT nc, "1ah 06h: sets an alarm"
    movb $6, %ah
    int $0x1a
    EXPECT c, "1ah 06h: not a second one"
    movl 0x46c, %eax
    addl $70, %eax
2:  hlt
    cmpb $0, alarms
    jne 3f
    cmpl 0x46c, %eax
    ja 2b
3:  cmpb $1, alarms
    EXPECT e, "int 70h: the alarm comes by INT 4Ah"
    movb $7, %ah
    int $0x1a
    EXPECT nc, "1ah 07h: no more alarms"
    ret

alarm:
    incb %cs:alarms
    iretw

/* A call of the PCI BIOS, if need be with a register in DI. */
.macro PCI function, register
    movw $\function, %ax
    .ifnb \register
    movw $\register, %di
    .endif
    int $0x1a
.endm

test_pci:
    PCI 0xb101
    EXPECT nc, "b101h: is there"
    EXPECT_EQ $0x20494350, %edx, "b101h: 'PCI '"
    EXPECT_EQ $0x0210, %bx, "b101h: version 2.10"
    EXPECT_EQ $1, %al, "b101h: mechanism 1"
    movw $0xb102, %ax
    movw $0x1237, %cx
    movw $0x8086, %dx
    movw $0, %si
    int $0x1a
    EXPECT nc, "b102h: finds the host bridge"
    EXPECT_EQ $0, %bx, "b102h: at 0:0.0"
    movw $0xb102, %ax
    movw $1, %si
    int $0x1a
    EXPECT c, "b102h: there is no second one"
    EXPECT_EQ $0x86, %ah, "b102h: and AH = 86h says so"
    movw $0xb102, %ax
    movw $0xffff, %dx
    movw $0, %si
    int $0x1a
    EXPECT_EQ $0x83, %ah, "b102h: vendor FFFFh is refused"
    movw $0xb103, %ax
    movl $0x060100, %ecx
    movw $0, %si
    int $0x1a
    EXPECT nc, "b103h: finds the ISA bridge by its class"
    EXPECT_EQ $0x0008, %bx, "b103h: at 0:1.0"
    PCI 0xb10a, 0
    EXPECT_EQ $0x70008086, %ecx, "b10ah: reads a dword"
    PCI 0xb109, 2
    EXPECT_EQ $0x7000, %cx, "b109h: reads a word"
    PCI 0xb108, 1
    EXPECT_EQ $0x80, %cl, "b108h: reads a byte"
    PCI 0xb109
    EXPECT_EQ $0x87, %ah, "b109h: an odd register is refused"
    PCI 0xb10a, 0x100
    EXPECT_EQ $0x87, %ah, "b10ah: register 100h is refused"
    PCI 0xb108, 0x60
    EXPECT_EQ $10, %cl, "PCI: PIRQA is routed to IRQ10"
    PCI 0xb108, 0x61
    movb %cl, %dl
    movw $0xb10b, %ax
    movb $5, %cl
    int $0x1a
    EXPECT nc, "b10bh: writes a byte"
    PCI 0xb108
    EXPECT_EQ $5, %cl, "b10bh: which is there now"
    movw $0xb10b, %ax
    movb %dl, %cl
    int $0x1a
    PCI 0xb180
    EXPECT_EQ $0x81, %ah, "b180h: is refused"
    ret

/* Calls INT \number with patterns in all registers that it has no use for. */
test_registers:
    movw %sp, saved_sp
    movl $0xbbbbbbbb, %ebx
    movl $0xcccccccc, %ecx
    movl $0xdddddddd, %edx
    movl $0x51515151, %esi
    movl $0xd1d1d1d1, %edi
    movl $0xb9b9b9b9, %ebp
    movl $0xaaaa0000, %eax
    movw $0x1111, %ax
    movw %ax, %fs
    movw $0x2222, %ax
    movw %ax, %gs
    movw $0x3333, %ax
    movw %ax, %es
    int $0x12
    movw %sp, seen_sp
    pushl %eax
    movw %es, %ax
    EXPECT_EQ $0x3333, %ax, "registers: ES is kept"
    movw %fs, %ax
    EXPECT_EQ $0x1111, %ax, "registers: FS is kept"
    movw %gs, %ax
    EXPECT_EQ $0x2222, %ax, "registers: GS is kept"
    movw %ds, %ax
    EXPECT_EQ $0, %ax, "registers: DS is kept"
    popl %eax
    pushw $0
    popw %es
    EXPECT_EQ 0x413, %ax, "registers: AX is the answer"
    shrl $16, %eax
    EXPECT_EQ $0xaaaa, %ax, "registers: the upper half of EAX is kept"
    EXPECT_EQ $0xbbbbbbbb, %ebx, "registers: EBX is kept"
    EXPECT_EQ $0xcccccccc, %ecx, "registers: ECX is kept"
    EXPECT_EQ $0xdddddddd, %edx, "registers: EDX is kept"
    EXPECT_EQ $0x51515151, %esi, "registers: ESI is kept"
    EXPECT_EQ $0xd1d1d1d1, %edi, "registers: EDI is kept"
    EXPECT_EQ $0xb9b9b9b9, %ebp, "registers: EBP is kept"
    movw seen_sp, %ax
    EXPECT_EQ saved_sp, %ax, "registers: SP is kept"
    cli
    int $0x11
    pushfw
    popw %ax
    sti
    testw $0x200, %ax
    EXPECT z, "flags: interrupts stay off"
    int $0x11
    pushfw
    popw %ax
    testw $0x200, %ax
    EXPECT nz, "flags: interrupts stay on"
    std
    movb $0x88, %ah
    int $0x15
    pushfw
    popw %ax
    cld
    testw $0x400, %ax
    EXPECT nz, "flags: the direction flag stays, and does no harm"
    /* As a far call with the flags pushed. */
    movw $0, %ax
    pushfw
    lcallw *0x12 * 4
    EXPECT_EQ 0x413, %ax, "calls: by PUSHF and CALL FAR"
    ret

/* A caller with a stack of 40 bytes and rubbish in the upper half of ESP. */
test_stack:
    cli
    movl %esp, %ebp
    movl $0x12345678, tight_stack
    movl $(tight_stack + 44) + 0xabcd0000, %esp
    movb $3, %ah
    movb $0, %bh
    int $0x10
    movl %esp, %eax
    movl %ebp, %esp
    sti
    EXPECT_EQ $(tight_stack + 44) + 0xabcd0000, %eax, "stack: ESP is kept, upper half too"
    cmpl $0x12345678, tight_stack
    EXPECT e, "stack: 40 bytes are enough"
    ret

/* DS with a limit of 4 GiB must survive calls, those that visit protected mode too. */
test_big_real:
    cli
    lgdtl gdt_pointer
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    jmp 1f
1:  movw $8, %bx
    movw %bx, %ds
    movw %bx, %es
    andb $0xfe, %al
    movl %eax, %cr0
    jmp 2f
2:  xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    sti
    movl $0x00300000, %ebx
    movl $0xfeedface, (%ebx)
    movw $0x0e2e, %ax
    pushl %ebx
    movw $7, %bx
    int $0x10
    popl %ebx
    movl (%ebx), %eax
    EXPECT_EQ $0xfeedface, %eax, "big real mode: survives INT 10h"
    pushl %ebx
    movb $0x87, %ah
    movw $2, %cx
    movw $move_table, %si
    int $0x15
    popl %ebx
    movl (%ebx), %eax
    EXPECT_EQ $0xfeedface, %eax, "big real mode: survives INT 15h 87h"
    sgdtw seen_gdt
    movl seen_gdt + 2, %eax
    andl $0xffffff, %eax
    EXPECT_EQ $gdt, %eax, "INT 15h 87h: leaves the GDTR alone"
    ret

/* A timer hook with a stack of its own, calling the BIOS while the BIOS waits for a key. */
test_hook:
    cli
    movl 0x1c * 4, %eax
    movl %eax, old_hook
    movw $hook, 0x1c * 4
    movw $0, 0x1c * 4 + 2
    movw $0, hook_count
    sti
    movb $0, %ah /* the hook puts in a key at its third call */
    int $0x16
    cli
    movl old_hook, %ecx
    movl %ecx, 0x1c * 4
    sti
    EXPECT_EQ $0x1e61, %ax, "hook: INT 1Ch may call the BIOS while it waits"
    cmpw $3, hook_count
    EXPECT ae, "hook: INT 1Ch was called for each tick"
    ret

hook:
    pushw %ds
    pushw $0
    popw %ds
    movw %sp, hook_sp
    movw %ss, hook_ss
    pushw $0
    popw %ss
    movw $hook_stack, %sp
    pushaw
    incw hook_count
    movb $3, %ah
    movb $0, %bh
    int $0x10
    movb $0x12, %ah
    int $0x16
    cmpw $3, hook_count
    jne 1f
    movb $5, %ah
    movw $0x1e61, %cx
    int $0x16
1:  popaw
    movw hook_ss, %ss
    movw hook_sp, %sp
    popw %ds
    iretw

    .data
    .balign 8
gdt:
    .quad 0
    .quad 0x00cf93000000ffff
gdt_pointer:
    .word 15
    .long gdt
seen_gdt:
    .skip 6
    .balign 8
move_table:
    .quad 0, 0
    .word 0xffff, 0x6000
    .byte 0, 0x93, 0, 0
    .word 0xffff, 0x6100
    .byte 0, 0x93, 0, 0
    .quad 0, 0
old_hook:
    .long 0
saved_sp:
    .word 0
seen_sp:
    .word 0
hook_sp:
    .word 0
hook_ss:
    .word 0
alarms:
    .byte 0
hook_count:
    .word 0
    .balign 4
tight_stack:
    .skip 44
    .skip 256
hook_stack:

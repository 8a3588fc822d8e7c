/* #DB: single step, breakpoints of every kind, RF, general detect, INT1, and what DR6 says. */
#include "guest.h"
#include "prot.h"

#define DB     1
#define UD     6
#define BS     0x4000
#define BD     0x2000
#define TF     0x100
#define RF     0x10000
#define GD     0x2000
#define CR4_DE 8
#define STACK_AT 0x6e00

/* DR7: enable n, and what it watches. */
#define ENABLE(n)    (2 << (2 * (n)))
#define EXEC(n)      ENABLE(n)
#define WRITE1(n)    (ENABLE(n) | 0x1 << (16 + 4 * (n)))
#define WRITE4(n)    (ENABLE(n) | 0xd << (16 + 4 * (n)))
#define ACCESS2(n)   (ENABLE(n) | 0x7 << (16 + 4 * (n)))
#define PORT1(n)     (ENABLE(n) | 0x2 << (16 + 4 * (n)))
#define UNLESS_TCG(...) cmpb $0, on_tcg; jne 7f; __VA_ARGS__; 7:

#define SET_DR(n, value) mov $(value), %eax; mov %eax, %dr##n
#define CLEAR_DR6 xor %eax, %eax; mov %eax, %dr6
/* The causes and nothing else. */
#define EXPECT_DR6(causes)                                                                         \
    mov %dr6, %eax; and $0xe00f, %eax; cmp $(causes), %eax; CHECK32(e); CLEAR_DR6

    .data
gdt_more:
    GDT_END

    .code32
main32:
    CLEAR_DR6

    /* TF: after the instruction behind POPF, with TF saved and then clear. */
    FAULTS32(DB, 0, push $(TF | 2); popf; nop; step1: hlt)
    EXPECT32(frame_eip, step1)
    EXPECT_DR6(BS)
    testl $TF, frame_eflags
    CHECK32(nz)
    pushf
    pop %eax
    test $TF, %eax
    CHECK32(z)
    /* The same by IRET. */
    FAULTS32(DB, 0, push $(TF | 2); push $KCODE; push $1f; iret; 1: nop; step2: hlt)
    EXPECT32(frame_eip, step2)
    EXPECT_DR6(BS)
    /* A load of SS is stepped over. */
    mov $KDATA, %ecx
    FAULTS32(DB, 0, push $(TF | 2); popf; mov %ecx, %ss; nop; step3: hlt)
    EXPECT32(frame_eip, step3)
    EXPECT_DR6(BS)
    /* A handler starts with TF clear; IRET brings it back, for the instruction behind the INT. */
    movw $on_int42, idt + 0x42 * 8
    FAULTS32(DB, 0, push $(TF | 2); popf; int $0x42; step4: nop; step5: hlt)
    cmpl $step4, frame_eip
    je 1f
    EXPECT32(frame_eip, step5)
1:  EXPECT_DR6(BS)
    EXPECT32(seen_flags, 0)
    /* A fault comes before the step that would have followed. */
    FAULTS32(UD, 0, push $(TF | 2); popf; ud2)
    testl $TF, frame_eflags
    CHECK32(nz)
    EXPECT_DR6(0)
    /* Branches and string iterations are steps. */
    FAULTS32(DB, 0, push $(TF | 2); popf; jmp step6; hlt; step6: hlt)
    EXPECT32(frame_eip, step6)
    EXPECT_DR6(BS)
    mov $scratch, %edi
    mov $4, %ecx
    xor %eax, %eax
    FAULTS32(DB, 0, push $(TF | 2); popf; step7: rep stosb)
    EXPECT32(frame_eip, step7)
    cmp $3, %ecx
    CHECK32(e)
    EXPECT_DR6(BS)

    /* An instruction breakpoint is a fault without RF; with RF it lets one instruction pass. */
    SET_DR(0, break1)
    SET_DR(7, EXEC(0))
    FAULTS32(DB, 0, nop; break1: inc %ebx; break2: ud2)
    EXPECT32(frame_eip, break1)
    EXPECT_DR6(1)
    testl $RF, frame_eflags
    CHECK32(z)
    mov $5, %ebx
    FAULTS32(UD, 0, push $(RF | 2); push $KCODE; push $break1; iret)
    EXPECT32(frame_eip, break2)
    cmp $6, %ebx
    CHECK32(e)
    /* Other faults save RF. */
    UNLESS_TCG(testl $RF, frame_eflags; CHECK32(nz))
    /* Not behind a load of SS. */
    SET_DR(0, break3)
    UNLESS_TCG(mov $KDATA, %ecx; mov %ecx, %ss; break3: nop)
    /* Disabled: nothing. */
    SET_DR(0, break4)
    SET_DR(7, 0)
break4:
    nop

    cmpb $0, on_tcg
    jne skip_data

    /* Data breakpoints are traps: behind the instruction. */
    SET_DR(1, scratch)
    SET_DR(7, WRITE4(1))
    mov scratch, %eax
    movb $1, scratch + 4
    FAULTS32(DB, 0, movb $2, scratch + 3; data1: hlt)
    EXPECT32(frame_eip, data1)
    EXPECT_DR6(2)
    cmpb $2, scratch + 3
    CHECK32(e)
    FAULTS32(DB, 0, incl scratch; data2: hlt)
    EXPECT32(frame_eip, data2)
    EXPECT_DR6(2)
    FAULTS32(DB, 0, movl $0, scratch - 2; data3: hlt) /* overlaps from below */
    EXPECT32(frame_eip, data3)
    EXPECT_DR6(2)
    SET_DR(7, ACCESS2(1))
    FAULTS32(DB, 0, mov scratch, %al; data4: hlt)
    EXPECT32(frame_eip, data4)
    EXPECT_DR6(2)
    mov scratch + 2, %al
    SET_DR(2, STACK_AT)
    SET_DR(7, WRITE4(2))
    FAULTS32(DB, 0, mov $(STACK_AT + 4), %esp; push $1; data5: hlt)
    EXPECT32(frame_eip, data5)
    EXPECT_DR6(4)
    /* A string instruction stops behind the iteration that hits. */
    SET_DR(3, scratch + 2)
    SET_DR(7, WRITE1(3))
    mov $scratch, %edi
    mov $8, %ecx
    FAULTS32(DB, 0, rep stosb)
    UNLESS_TCG(cmp $5, %ecx; CHECK32(e))
    EXPECT_DR6(8)
    SET_DR(7, 0)
    mov $scratch, %edi
    mov $8, %ecx
    rep stosb

    /* Two at once. */
    SET_DR(0, scratch)
    SET_DR(1, scratch)
    SET_DR(7, WRITE1(0) | WRITE4(1))
    FAULTS32(DB, 0, movb $1, scratch; hlt)
    EXPECT_DR6(3)
    SET_DR(7, 0)

skip_data:
    /* Ports, once CR4.DE says so. */
    FAULTS32(NONE, 0, movl $0, fault_error; mov %dr4, %ebx; mov %dr5, %ebx)
    mov %cr4, %eax
    or $CR4_DE, %eax
    mov %eax, %cr4
    FAULTS32(UD, 0, mov %dr4, %ebx)
    FAULTS32(UD, 0, mov %ebx, %dr5)
    SET_DR(0, 0x80)
    SET_DR(7, PORT1(0))
    out %al, $0x84
    FAULTS32(DB, 0, out %al, $0x80; port1: hlt)
    EXPECT32(frame_eip, port1)
    EXPECT_DR6(1)
    FAULTS32(DB, 0, in $0x80, %al; port2: hlt)
    EXPECT32(frame_eip, port2)
    EXPECT_DR6(1)

    /* General detect: the access faults, and GD is clear for the handler. */
    mov $GD, %eax
    mov %eax, %dr7
    UNLESS_TCG(FAULTS32(DB, 0, detect: mov %dr0, %ebx); EXPECT32(frame_eip, detect); EXPECT_DR6(BD))
    SET_DR(7, 0)
    mov %dr7, %eax
    cmp $0x400, %eax
    CHECK32(e)

    /* INT1 is no breakpoint to DR6, and needs no DPL. */
    UNLESS_TCG(FAULTS32(DB, 0, .byte 0xf1; int1: hlt); EXPECT32(frame_eip, int1); EXPECT_DR6(0))

    /* At level 3: DRs are out of reach, breakpoints are not. */
    RING3(13, 0, ring3_dr)
    SET_DR(0, ring3_break)
    SET_DR(7, EXEC(0))
    RING3(DB, 0, ring3_break)
    EXPECT32(frame_eip, ring3_break)
    EXPECT_DR6(1)
    SET_DR(7, 0)
    PASS32

on_int42:
    pushf
    pop %eax
    and $TF, %eax
    mov %eax, seen_flags
    iret

ring3_dr:
    mov %dr6, %eax
ring3_break:
    nop
    int $RETURN

    .data
    .balign 16
    .space 16
scratch:
    .space 16
seen_flags:
    .long -1
    .text

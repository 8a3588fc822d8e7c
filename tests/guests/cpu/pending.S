/*
 * Debug traps that wait: behind a load of SS, in front of every kind of event, for the accesses of
 * far transfers and deliveries, and for a task's T flag. The rules stand in engine/soft/single.c.
 */
#include "guest.h"
#include "prot.h"

#define DB       1
#define BP       3
#define UD       6
#define TS       10
#define GP       13
#define SOFT     0x42 /* INT n */
#define BS       0x4000
#define BD       0x2000
#define BT       0x8000
#define TF       0x100
#define GD       0x2000
#define STACK_AT 0x6e00
#define GATE0    0x30 /* call gate to on_far */
#define TSS2     0x38
#define SHORT_CODE 0x40
#define STACK2   0x4800

#define WRITE4(n)  (2 << (2 * (n)) | 0xd << (16 + 4 * (n)))
#define ACCESS2(n) (2 << (2 * (n)) | 0x7 << (16 + 4 * (n)))
#define ACCESS4(n) (2 << (2 * (n)) | 0xf << (16 + 4 * (n)))

#define STUB(vector)    stubs + (vector) * STUB_SIZE
#define SET_DR(n, value) mov $(value), %eax; mov %eax, %dr##n
#define CLEAR_DR6       xor %eax, %eax; mov %eax, %dr6
/* The causes and nothing else. */
#define EXPECT_DR6(causes)                                                                         \
    mov %dr6, %eax; and $0xe00f, %eax; cmp $(causes), %eax; CHECK32(e); CLEAR_DR6
#define STEP push $(TF | 2); popf
#define WATCHED_LOAD mov data_selector, %ss
#define PLAIN_LOAD   mov %ecx, %ss
/* The event, then nothing: what waited is gone. */
#define NOTHING_WAITS EXPECT_DR6(0); nop; nop; EXPECT_DR6(0)

    .data
gdt_more:
    GATE(KCODE, on_far, 0x8c, 0)
    SEGMENT_AT(tss2, 0x67, 0x89)
    .word short_end - 1, 0
    .byte 0, 0x9b, 0x40, 0
    GDT_END

    .code32
main32:
    cmpb $0, on_tcg /* it drops what waits */
    jne passed
    CLEAR_DR6
    mov $KDATA, %ecx

    /* The step behind a load of SS is dropped, whatever comes next; the one after it is not. */
    FAULTS32(SOFT, 0, STEP; PLAIN_LOAD; int $SOFT)
    NOTHING_WAITS
    FAULTS32(BP, 0, STEP; PLAIN_LOAD; int3)
    NOTHING_WAITS
    FAULTS32(UD, 0, STEP; PLAIN_LOAD; ud2)
    NOTHING_WAITS
    FAULTS32(DB, 0, STEP; PLAIN_LOAD; .byte 0xf1; step1: nop)
    EXPECT32(frame_eip, step1)
    NOTHING_WAITS
    FAULTS32(DB, 0, STEP; PLAIN_LOAD; PLAIN_LOAD; nop; step2: nop)
    EXPECT32(frame_eip, step2)
    EXPECT_DR6(BS)
    FAULTS32(DB, 0, STEP; push %ss; step3: pop %ss; nop)
    EXPECT32(frame_eip, step3)
    EXPECT_DR6(BS)
    FAULTS32(DB, 0, push %ss; STEP; pop %ss; nop; step4: nop)
    EXPECT32(frame_eip, step4)
    EXPECT_DR6(BS)
    FAULTS32(DB, 0, mov %esp, far_stack; STEP; lss far_stack, %esp; step5: nop)
    EXPECT32(frame_eip, step5)
    EXPECT_DR6(BS)
    /* POPF that clears TF is stepped over. */
    FAULTS32(DB, 0, push $2; STEP; popf; step6: nop)
    EXPECT32(frame_eip, step6)
    EXPECT_DR6(BS)
    /* So is a far CALL through a gate, which leaves TF. */
    FAULTS32(DB, 0, STEP; lcall $GATE0, $0)
    EXPECT32(frame_eip, on_far)
    EXPECT_DR6(BS)

    /* A breakpoint that a load of SS hits waits for one more instruction. */
    SET_DR(0, data_selector)
    SET_DR(7, ACCESS2(0))
    FAULTS32(DB, 0, WATCHED_LOAD; nop; wait1: nop)
    EXPECT32(frame_eip, wait1)
    EXPECT_DR6(1)
    FAULTS32(DB, 0, WATCHED_LOAD; WATCHED_LOAD; nop; wait2: nop)
    EXPECT32(frame_eip, wait2)
    EXPECT_DR6(1)
    FAULTS32(DB, 0, STEP; WATCHED_LOAD; nop; wait3: nop)
    EXPECT32(frame_eip, wait3)
    EXPECT_DR6(BS | 1)
    FAULTS32(DB, 0, lss data_far, %ebx; wait4: nop)
    EXPECT32(frame_eip, wait4)
    EXPECT_DR6(1)
    mov $0x7000, %esp
    /* The next one's own hits are part of it. */
    SET_DR(1, scratch)
    SET_DR(7, ACCESS2(0) | WRITE4(1))
    FAULTS32(DB, 0, WATCHED_LOAD; incl scratch; wait5: nop)
    EXPECT32(frame_eip, wait5)
    EXPECT_DR6(3)
    /* Even when the next one disables it. */
    FAULTS32(DB, 0, xor %eax, %eax; WATCHED_LOAD; mov %eax, %dr7; wait6: nop)
    EXPECT32(frame_eip, wait6)
    EXPECT_DR6(1)
    SET_DR(7, ACCESS2(0))
    /* Behind software interrupts it comes at their handlers' first instructions. */
    FAULTS32(DB, 0, WATCHED_LOAD; int $SOFT)
    EXPECT32(frame_eip, STUB(SOFT))
    EXPECT_DR6(1)
    FAULTS32(DB, 0, WATCHED_LOAD; int3)
    EXPECT32(frame_eip, STUB(BP))
    EXPECT_DR6(1)
    /* INT1's #DB takes it along: there is no second one. */
    FAULTS32(DB, 0, WATCHED_LOAD; .byte 0xf1; wait7: nop)
    EXPECT32(frame_eip, wait7)
    EXPECT_DR6(1)
    NOTHING_WAITS
    /* So does general detect's, and DR7.GD is clear afterwards. */
    SET_DR(7, ACCESS2(0) | GD)
    FAULTS32(DB, 0, WATCHED_LOAD; wait8: mov %dr0, %ebx)
    EXPECT32(frame_eip, wait8)
    EXPECT_DR6(BD | 1)
    SET_DR(7, ACCESS2(0) | GD)
    FAULTS32(DB, 0, .byte 0xf1; wait9: nop)
    EXPECT32(frame_eip, wait9)
    NOTHING_WAITS
    /* Exceptions drop it. */
    FAULTS32(UD, 0, WATCHED_LOAD; ud2)
    NOTHING_WAITS
    FAULTS32(GP, 0x1f8, mov $0x1f8, %eax; WATCHED_LOAD; mov %eax, %fs)
    NOTHING_WAITS
    FAULTS32(GP, VECTORS * 8 + 2, WATCHED_LOAD; int $VECTORS)
    NOTHING_WAITS
    /* Also those of the instruction's fetch: a jump over the limit is fetched behind the load. */
    FAULTS32(GP, 0, ljmp $SHORT_CODE, $short_code)
    NOTHING_WAITS
    /* And what an instruction itself has hit before it faults. */
    movl $0, scratch
    SET_DR(1, scratch)
    SET_DR(7, ACCESS4(1))
    FAULTS32(0, 0, xor %edx, %edx; mov $1, %eax; divl scratch)
    NOTHING_WAITS

    /* Stack accesses of far transfers and deliveries hit. */
    SET_DR(0, STACK_AT)
    SET_DR(7, WRITE4(0))
    FAULTS32(DB, 0, mov $(STACK_AT + 8), %esp; lcall $KCODE, $on_far)
    EXPECT32(frame_eip, on_far)
    EXPECT_DR6(1)
    FAULTS32(DB, 0, mov $(STACK_AT + 8), %esp; lcall $GATE0, $0)
    EXPECT32(frame_eip, on_far)
    EXPECT_DR6(1)
    FAULTS32(DB, 0, mov $(STACK_AT + 8), %esp; int $SOFT)
    EXPECT32(frame_eip, STUB(SOFT))
    EXPECT_DR6(1)
    FAULTS32(DB, 0, mov $(STACK_AT + 8), %esp; ud2)
    EXPECT32(frame_eip, STUB(UD))
    EXPECT_DR6(1)
    /* Reads as well; at level 3, for a handler on the same stack would hit once more. */
    SET_DR(7, 0)
    movl $far1, STACK3 - 12
    movl $UCODE, STACK3 - 8
    movl $EFLAGS3, STACK3 - 4
    SET_DR(0, STACK3 - 8)
    SET_DR(7, ACCESS4(0))
    RING3(DB, 0, ring3_lret)
    EXPECT32(frame_eip, far1)
    EXPECT_DR6(1)
    RING3(DB, 0, ring3_iret)
    EXPECT32(frame_eip, far1)
    EXPECT_DR6(1)
    mov $KDATA, %ecx
    /* ENTER's look at where its last byte would go is no access. */
    SET_DR(0, STACK_AT)
    SET_DR(7, WRITE4(0))
    mov $(STACK_AT + 0x24), %esp
    enter $0x20, $0
    nop
    mov $0x7000, %esp
    NOTHING_WAITS
    SET_DR(7, 0)

    /* A task's T flag: behind the error code, before the first instruction, together with a step. */
    call fresh_tss2
    movw $TSS2, idt + GP * 8 + 2
    movb $0x85, idt + GP * 8 + 5
    mov $0x1f8, %eax
    FAULTS32(DB, 0, mov %eax, %fs)
    movw $KCODE, idt + GP * 8 + 2
    movb $0x8e, idt + GP * 8 + 5
    EXPECT32(frame_eip, in_task)
    EXPECT_DR6(BT)
    EXPECT32(STACK2 - 4, 0x1f8)
    call back_to_first
    call fresh_tss2
    FAULTS32(DB, 0, STEP; ljmp $TSS2, $0)
    EXPECT32(frame_eip, in_task)
    EXPECT_DR6(BT | BS)
    call back_to_first
passed:
    PASS32

on_far:
    lret

ring3_lret:
    sub $12, %esp
    lret
ring3_iret:
    sub $12, %esp
    iret
far1:
    UNREACHED32

short_code:
    WATCHED_LOAD
short_end:
    UNREACHED32

fresh_tss2:
    push %eax
    movl $in_task, tss2 + 0x20
    movl $2, tss2 + 0x24
    movl $STACK2, tss2 + 0x38
    movl $KCODE, tss2 + 0x4c
    movl $KDATA, tss2 + 0x48
    movl $KDATA, tss2 + 0x50
    movl $KDATA, tss2 + 0x54
    movl $1, tss2 + 0x64 /* T */
    andb $~2, gdt + TSS2 + 5
    pop %eax
    ret

/* Makes the first task current again. */
back_to_first:
    andb $~2, gdt + TSS + 5
    mov $TSS, %eax
    ltr %ax
    mov $KDATA, %ecx
    push $2
    popf
    ret

in_task:
    UNREACHED32

    .data
    .balign 8
data_far:
    .long 0
data_selector:
    .word KDATA, 0
far_stack:
    .long 0
    .word KDATA, 0
scratch:
    .long 0
tss2:
    .space 0x68
    .text

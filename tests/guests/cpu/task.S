/* The hardware task switch: JMP, CALL, IRET, gates, events, and everything that can be wrong. */
#include "guest.h"
#include "prot.h"

#define TSS2      0x30
#define TSS16     0x38
#define GATE2     0x40 /* task gate to TSS2 */
#define GONE_TSS  0x48
#define SHORT_TSS 0x50
#define GONE_DATA 0x58
#define GONE_GATE 0x60
#define LDT       0x68
#define GATE_BAD  0x70 /* task gate to what is no TSS */
#define TSS0      0x78 /* DPL 0 */
#define GP        13
#define NP        11
#define TS        10
#define SS_       12
#define FLAG_NT   0x4000
#define BUSY      2
#define CR0_TS    8
#define STACK2    0x4800

/* Fields of a 32-bit TSS. */
#define T_LINK   0
#define T_CR3    0x1c
#define T_EIP    0x20
#define T_EFLAGS 0x24
#define T_EAX    0x28
#define T_EBX    0x34
#define T_ESP    0x38
#define T_ES     0x48
#define T_CS     0x4c
#define T_SS     0x50
#define T_DS     0x54
#define T_FS     0x58
#define T_GS     0x5c
#define T_LDT    0x60
#define T_TRAP   0x64

    .data
gdt_more:
    SEGMENT_AT(tss2, 0x67, 0xe9)
    SEGMENT_AT(tss16, 0x2b, 0x81)
    .word 0, TSS2
    .byte 0, 0xe5, 0, 0
    SEGMENT_AT(tss2, 0x67, 0x09)
    SEGMENT_AT(tss2, 0x66, 0x89)
    SEGMENT(0, 0xfffff, 0xc073)
    .word 0, TSS2
    .byte 0, 0x65, 0, 0
    SEGMENT_AT(idt, 15, 0x82)
    .word 0, KDATA
    .byte 0, 0xe5, 0, 0
    SEGMENT_AT(tss2, 0x67, 0x89)
    GDT_END

#define UNLESS_TCG(...) cmpb $0, on_tcg; jne 7f; __VA_ARGS__; 7:
#define RIGHTS(selector) gdt + (selector) + 5

/* Gives the second task a start; the rest of its TSS is as fresh_tss2 leaves it. */
#define TASK2(label) call fresh_tss2; movl $label, tss2 + T_EIP
#define EXPECT_TR(selector) str %eax; cmp $(selector), %eax; CHECK32(e)
#define EXPECT_BUSY(selector) testb $BUSY, RIGHTS(selector); CHECK32(nz)
#define EXPECT_FREE(selector) testb $BUSY, RIGHTS(selector); CHECK32(z)

/*
 * A switch that must fail in the new task: the handler runs there, on its stack or level 0's, and
 * comes back here by making the first task current again.
 */
#define FAULTS_INSIDE(vector, error)                                                               \
    FAULTS32(vector, error, ljmp $TSS2, $0); EXPECT_TR(TSS2); call back_to_first

    .code32
main32:
    /* JMP: state saved and loaded, busy bits, TS. */
    TASK2(task_jumped)
    clts
    mov $0x11111111, %eax
    mov $0x22222222, %ebx
    mov $KDATA, %ecx
    mov %ecx, %fs
    push $(FLAG_NT | 0x2)
    popf
    stc
    ljmp $TSS2, $0xdeadbeef
after_jump:
    CHECK32(c)
    cmp $0x22222222, %ebx
    CHECK32(e)
    cmp $0x11111111, %eax
    CHECK32(e)
    cmp $0x7000, %esp
    CHECK32(e)
    pushf
    pop %eax
    test $FLAG_NT, %eax
    CHECK32(nz)
    push $2
    popf
    EXPECT_TR(TSS)
    EXPECT_BUSY(TSS)
    EXPECT_FREE(TSS2)

    /* CALL nests: link, NT; IRET goes back and clears NT in the image. */
    TASK2(task_called)
    lcall $TSS2, $0
    cmp $0x7000, %esp /* nothing was pushed */
    CHECK32(e)
    EXPECT_TR(TSS)
    EXPECT_FREE(TSS2)
    EXPECT_BUSY(TSS)
    testl $FLAG_NT, tss2 + T_EFLAGS
    CHECK32(z)
    pushf
    pop %eax
    test $FLAG_NT, %eax
    CHECK32(z)
    /* The second CALL goes on behind the IRET. */
    lcall $GATE2, $0
    EXPECT_TR(TSS)

    /* INT and exceptions through a task gate; an error code lands on the new stack. */
    movw $GATE2 * 0 + TSS2, idt + 0x45 * 8 + 2
    movb $0xe5, idt + 0x45 * 8 + 5
    TASK2(task_interrupt)
    int $0x45
    EXPECT_TR(TSS)
    EXPECT32(count, 1)
    movw $TSS2, idt + 13 * 8 + 2
    movb $0x85, idt + 13 * 8 + 5
    TASK2(task_error)
    mov $0x1f8, %eax
faulting:
    mov %eax, %fs
    EXPECT_TR(TSS)
    EXPECT32(count, 2)
    movw $KCODE, idt + 13 * 8 + 2
    movb $0x8e, idt + 13 * 8 + 5

    /* Level 3 may use a TSS or gate of DPL 3. */
    TASK2(task_from_ring3)
    RING3(RETURN, 0, ring3_call_task)
    RING3(GP, TSS0, ring3_call_tss0)

    /* Faults before the switch: nothing has changed. */
    call fresh_tss2
    FAULTS32(GP, TSS, ljmp $TSS, $0) /* busy */
    FAULTS32(NP, GONE_TSS, ljmp $GONE_TSS, $0)
    FAULTS32(TS, SHORT_TSS, ljmp $SHORT_TSS, $0)
    FAULTS32(NP, GONE_GATE, ljmp $GONE_GATE, $0)
    FAULTS32(GP, KDATA, ljmp $GATE_BAD, $0)
    EXPECT_TR(TSS)
    EXPECT_FREE(TSS2)
    /* IRET with NT and a link that leads nowhere. */
    movw $KDATA, tss + T_LINK
    FAULTS32(TS, KDATA, push $(FLAG_NT | 2); popf; iret)
    movw $TSS2, tss + T_LINK
    FAULTS32(TS, TSS2, push $(FLAG_NT | 2); popf; iret) /* not busy */
    push $2
    popf

    /* Faults in the new task, of level 3 so that the handler finds a stack in the TSS. */
    call user_tss2
    movl $3, tss2 + T_CS
    FAULTS_INSIDE(TS, 0)
    call user_tss2
    movl $(KDATA + 3), tss2 + T_CS
    FAULTS_INSIDE(TS, KDATA)
    call user_tss2
    movl $(KCODE + 3), tss2 + T_CS
    FAULTS_INSIDE(TS, KCODE)
    call user_tss2
    movl $3, tss2 + T_SS
    FAULTS_INSIDE(TS, 0)
    call user_tss2
    movl $(KDATA + 3), tss2 + T_SS
    FAULTS_INSIDE(TS, KDATA)
    call user_tss2
    movl $(GONE_DATA + 3), tss2 + T_SS
    UNLESS_TCG(FAULTS_INSIDE(SS_, GONE_DATA))
    call user_tss2
    movl $(GONE_DATA + 3), tss2 + T_DS
    FAULTS_INSIDE(NP, GONE_DATA)
    call user_tss2
    movl $KDATA, tss2 + T_ES
    FAULTS_INSIDE(TS, KDATA)
    call user_tss2
    movl $0x1f8, tss2 + T_GS
    FAULTS_INSIDE(TS, 0x1f8)
    call user_tss2
    movw $KDATA, tss2 + T_LDT
    FAULTS_INSIDE(TS, KDATA)
    call fresh_tss2
    movw $LDT, tss2 + T_LDT
    movl $task_ldt, tss2 + T_EIP
    ljmp $TSS2, $0
after_ldt:

    /* The T bit: #DB before the first instruction, DR6.BT. */
    cmpb $0, on_tcg
    jne 1f
    TASK2(task_trapped)
    movw $1, tss2 + T_TRAP
    xor %eax, %eax
    mov %eax, %dr6
    FAULTS32(1, 0, ljmp $TSS2, $0)
    EXPECT32(frame_eip, task_trapped)
    mov %dr6, %eax
    test $0x8000, %eax
    CHECK32(nz)
    call back_to_first
1:
    /* A 286 task. */
    movw $task_286, tss16 + 0x0e
    movw $2, tss16 + 0x10
    movw $0x1234, tss16 + 0x12
    movw $STACK2, tss16 + 0x1a
    movw $KDATA, tss16 + 0x22
    movw $KCODE, tss16 + 0x24
    movw $KDATA, tss16 + 0x26
    movw $KDATA, tss16 + 0x28
    lcall $TSS16, $0
    EXPECT_TR(TSS)
    EXPECT32(count, 286)

    /* The new CR3, with paging on: two directories of 4 MiB pages that differ at 4 MiB. */
    mov %cr4, %eax
    or $0x10, %eax
    mov %eax, %cr4
    mov $0x20000, %edi
    mov $0x2000 / 4, %ecx
    xor %eax, %eax
    rep stosl
    movl $0x83, 0x20000
    movl $0x83, 0x21000
    movl $0x83, 0x20004
    movl $0x400083, 0x21004
    movl $0x0badf00d, 0x100000
    movl $0x600dcafe, 0x500000
    mov $0x20000, %eax
    mov %eax, %cr3
    mov %cr0, %eax
    or $0x80000000, %eax
    mov %eax, %cr0
    movl $0x20000, tss + T_CR3
    EXPECT32(0x500000, 0x0badf00d)
    TASK2(task_paged)
    movl $0x21000, tss2 + T_CR3
    lcall $TSS2, $0
    EXPECT32(0x500000, 0x0badf00d)
    EXPECT32(count, 0x600dcafe)
    PASS32

fresh_tss2:
    push %edi
    push %ecx
    push %eax
    mov $tss2, %edi
    mov $0x68 / 4, %ecx
    xor %eax, %eax
    rep stosl
    movl $0x2, tss2 + T_EFLAGS
    movl $STACK2, tss2 + T_ESP
    movl $STACK0, tss2 + 4
    movl $KDATA, tss2 + 8
    movl $KCODE, tss2 + T_CS
    movl $KDATA, tss2 + T_SS
    movl $KDATA, tss2 + T_DS
    movl $KDATA, tss2 + T_ES
    andb $~BUSY, RIGHTS(TSS2)
    pop %eax
    pop %ecx
    pop %edi
    ret

user_tss2:
    call fresh_tss2
    movl $UCODE, tss2 + T_CS
    movl $UDATA, tss2 + T_SS
    movl $UDATA, tss2 + T_DS
    movl $0, tss2 + T_ES
    ret

/* Makes the first task current again after a fault inside the second. */
back_to_first:
    andb $~BUSY, RIGHTS(TSS)
    mov $TSS, %eax
    ltr %ax
    andb $~BUSY, RIGHTS(TSS2)
    xor %eax, %eax
    lldt %ax
    push $2
    popf
    ret

task_jumped:
    CHECK32(nc)
    cmp $STACK2, %esp
    CHECK32(e)
    mov %cr0, %eax
    test $CR0_TS, %eax
    CHECK32(nz)
    EXPECT_TR(TSS2)
    EXPECT_BUSY(TSS2)
    EXPECT_FREE(TSS)
    EXPECT32(tss + T_EAX, 0x11111111)
    EXPECT32(tss + T_EBX, 0x22222222)
    EXPECT32(tss + T_EIP, after_jump)
    EXPECT32(tss + T_ESP, 0x7000)
    cmpw $KDATA, tss + T_FS
    CHECK32(e)
    cmpw $KCODE, tss + T_CS
    CHECK32(e)
    mov tss + T_EFLAGS, %eax
    and $(FLAG_NT | 1), %eax
    cmp $(FLAG_NT | 1), %eax /* JMP leaves NT */
    CHECK32(e)
    pushf
    pop %eax
    test $FLAG_NT, %eax
    CHECK32(z)
    ljmp $TSS, $0

task_called:
    pushf
    pop %eax
    test $FLAG_NT, %eax
    CHECK32(nz)
    cmpw $TSS, tss2 + T_LINK
    CHECK32(e)
    EXPECT_BUSY(TSS)
    EXPECT_BUSY(TSS2)
    iret
    EXPECT_TR(TSS2) /* the second CALL */
    iret
    UNREACHED32

task_interrupt:
    cmp $STACK2, %esp
    CHECK32(e)
    movl $1, count
    iret
    UNREACHED32

task_error:
    cmp $(STACK2 - 4), %esp
    CHECK32(e)
    pop %eax
    cmp $0x1f8, %eax
    CHECK32(e)
    EXPECT32(tss + T_EIP, faulting)
    movl $0, tss + T_EAX
    movl $2, count
    iret
    UNREACHED32

ring3_call_task:
    lcall $GATE2, $0
    int $RETURN
ring3_call_tss0:
    lcall $TSS0, $0

task_from_ring3:
    cmpw $UCODE, tss + T_CS
    CHECK32(e)
    iret

task_ldt:
    sldt %eax
    cmp $LDT, %eax
    CHECK32(e)
    movl $after_ldt, tss + T_EIP
    xor %eax, %eax
    ljmp $TSS, $0

task_trapped:
    UNREACHED32

task_286:
    cmp $0x1234, %ax
    CHECK32(e)
    cmp $STACK2, %sp
    CHECK32(e)
    mov %fs, %eax
    test %eax, %eax
    CHECK32(z)
    movl $286, count
    iret

task_paged:
    mov 0x500000, %eax
    mov %eax, count
    mov %cr3, %eax
    cmp $0x21000, %eax
    CHECK32(e)
    iret

    .data
    .balign 8
tss2:
    .space 0x68
tss16:
    .space 0x2c
count:
    .long 0
    .text

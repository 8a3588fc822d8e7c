/* What becomes of a fault while another is being delivered: in turn, or a double fault. */
#include "guest.h"
#include "prot.h"

#define GONE_DATA 0x30
#define TSS2      0x38
#define DE        0
#define UD        6
#define DF        8
#define TS        10
#define NP        11
#define GP        13
#define PF        14
#define TABLES    0x20000
#define HOLE      0x400000 /* not mapped */
#define STACK2    0x4800

    .data
gdt_more:
    SEGMENT(0, 0xfffff, 0xc013)
    SEGMENT_AT(tss2, 0x67, 0x89)
    GDT_END

#define UNLESS_TCG(...) cmpb $0, on_tcg; jne 7f; __VA_ARGS__; 7:
#define GATE_BYTE(vector) idt + (vector) * 8 + 5
#define REMOVE(vector)  andb $0x7f, GATE_BYTE(vector)
#define RESTORE(vector) orb $0x80, GATE_BYTE(vector)
#define EXT(vector)     ((vector) * 8 + 3)

    .code32
main32:
    /* Benign first: the second is served in turn. */
    REMOVE(UD)
    UNLESS_TCG(FAULTS32(NP, EXT(UD), ud2))
    RESTORE(UD)

    /* Contributory twice. */
    REMOVE(GP)
    FAULTS32(DF, 0, mov $0x1f8, %eax; mov %eax, %fs)
    RESTORE(GP)
    REMOVE(DE)
    FAULTS32(DF, 0, xor %ecx, %ecx; div %ecx)
    EXPECT32(frame_cs, KCODE)
    RESTORE(DE)
    movw $0x1f8, idt + DE * 8 + 2
    FAULTS32(DF, 0, xor %ecx, %ecx; div %ecx)
    movw $KCODE, idt + DE * 8 + 2
    /* A software interrupt is no fault: its trouble comes alone. */
    REMOVE(0x41)
    FAULTS32(NP, 0x41 * 8 + 2, int $0x41)
    RESTORE(0x41)

    /* With paging: one page table for the first 4 MiB, nothing behind. */
    mov $TABLES, %edi
    mov $0x2000 / 4, %ecx
    xor %eax, %eax
    rep stosl
    movl $(TABLES + 0x1007), TABLES
    mov $7, %eax
    mov $(TABLES + 0x1000), %edi
1:  mov %eax, (%edi)
    add $0x1000, %eax
    add $4, %edi
    cmp $HOLE, %eax
    jb 1b
    mov $TABLES, %eax
    mov %eax, %cr3
    mov %cr0, %eax
    or $0x80000000, %eax
    mov %eax, %cr0

    /* A page fault alone, and its error codes. */
    FAULTS32(PF, 0, mov HOLE + 0x123, %al)
    mov %cr2, %eax
    cmp $(HOLE + 0x123), %eax
    CHECK32(e)
    FAULTS32(PF, 2, movb %al, HOLE)
    FAULTS32(PF, 0, jmp HOLE)
    EXPECT32(frame_eip, HOLE)
    RING3(PF, 4, HOLE)
    RING3(PF, 6, ring3_write)

    /* A page fault, then a contributory one. */
    REMOVE(PF)
    FAULTS32(DF, 0, mov HOLE, %al)
    RESTORE(PF)

    /* A contributory one, then a page fault: in turn. The IDT lies across two pages here. */
    mov $idt, %esi
    mov $0x31000 - GP * 8, %edi
    mov $VECTORS * 8 / 4, %ecx
    rep movsl
    movl $(0x31000 - GP * 8), idt_pointer + 2
    lidt idt_pointer
    movl $0, TABLES + 0x1000 + 0x31 * 4
    invlpg 0x31000
    /* Entry 13 and all behind it are gone; #PF's own entry too: #GP, then #PF, then #PF. */
    FAULTS32(DF, 0, mov $0x1f8, %eax; mov %eax, %fs)
    mov %cr2, %eax
    cmp $0x31000 + (PF - GP) * 8, %eax
    CHECK32(e)
    FAULTS32(DF, 0, mov HOLE, %al)
    movl $0x31007, TABLES + 0x1000 + 0x31 * 4
    movl $(0x33000 - PF * 8), idt_pointer + 2
    mov $0x31000 - GP * 8, %esi
    mov $0x33000 - PF * 8, %edi
    mov $VECTORS * 8 / 4, %ecx
    rep movsl
    lidt idt_pointer
    movl $0, TABLES + 0x1000 + 0x32 * 4 /* #GP's entry, but not #PF's; nor #DF's */
    invlpg 0x32000
    FAULTS32(PF, 0, mov $0x1f8, %eax; mov %eax, %fs)
    mov %cr2, %eax
    cmp $(0x33000 - 8), %eax
    CHECK32(e)
    movl $0x32007, TABLES + 0x1000 + 0x32 * 4
    invlpg 0x32000
    movl $idt, idt_pointer + 2
    lidt idt_pointer

    /* A level 0 stack on a missing page: the push faults, the #PF's too; #DF by a task gate. */
    movw $TSS2, idt + DF * 8 + 2
    movb $0x85, GATE_BYTE(DF)
    mov %cr3, %eax
    mov %eax, tss2 + 0x1c
    movl $double_task, tss2 + 0x20
    movl $2, tss2 + 0x24
    movl $STACK2, tss2 + 0x38
    movl $KDATA, tss2 + 0x48
    movl $KCODE, tss2 + 0x4c
    movl $KDATA, tss2 + 0x50
    movl $KDATA, tss2 + 0x54
    movl $(HOLE + 0x1000), tss + 4
    push $UDATA
    push $STACK3
    push $EFLAGS3
    push $UCODE
    push $ring3_stack
    iret

double_task:
    cmp $(STACK2 - 4), %esp
    CHECK32(e)
    cmpl $0, (%esp)
    CHECK32(e)
    str %eax
    cmp $TSS2, %eax
    CHECK32(e)
    mov %cr2, %eax
    cmp $(HOLE + 0x1000 - 4), %eax
    CHECK32(e)
    cmpl $ring3_stack, tss + 0x20
    CHECK32(e)
    cmpw $UCODE, tss + 0x4c
    CHECK32(e)
    PASS32

ring3_write:
    mov $UDATA, %eax
    mov %eax, %ds
    movb %al, HOLE + 1
ring3_stack:
    ud2

    .data
    .balign 8
tss2:
    .space 0x68
    .text

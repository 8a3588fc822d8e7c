/* Protected mode: segment loads, far transfers, gates and levels, and what probes descriptors. */
#include "guest.h"
#include "prot.h"

#define LDT         0x30
#define CODE16      0x38
#define CONFORMING  0x40
#define GONE_DATA   0x48
#define GONE_CODE   0x50
#define EXEC_ONLY   0x58
#define READ_ONLY   0x60
#define SMALL       0x68
#define DOWN        0x70
#define GATE2       0x78 /* DPL 3, two parameters */
#define GONE_GATE   0x80
#define GATE16      0x88 /* DPL 3, 286 */
#define GATE0       0x90 /* DPL 0 */
#define FRESH_DATA  0x98 /* not yet accessed */
#define LDT_AS_DATA 0xa0
#define GATE_CONF   0xa8 /* DPL 3, to conforming code */
#define GONE_LDT    0xb0
#define CODE3       0xb8 /* nonconforming, DPL 3 */
#define DATA16      0xc0
#define BEYOND      0xc8
#define IN_LDT      0x04
#define GP          13
#define NP          11
#define SS_         12
#define UD          6

    .data
gdt_more:
    SEGMENT_AT(ldt, 15, 0x82)
    SEGMENT(0, 0xffff, 0x009b)
    SEGMENT(0, 0xfffff, 0xc09f)
    SEGMENT(0, 0xfffff, 0xc013)
    SEGMENT(0, 0xfffff, 0xc01b)
    SEGMENT(0, 0xfffff, 0xc099)
    SEGMENT(0, 0xfffff, 0xc091)
    SEGMENT(0, 0x00fff, 0x4093)
    SEGMENT(0, 0x00fff, 0x4097)
    GATE(KCODE, on_gate2, 0xec, 2)
    GATE(KCODE, on_gate2, 0x6c, 0)
    GATE(CODE16, on_gate16, 0xe4, 1)
    GATE(KCODE, on_gate2, 0x8c, 0)
    SEGMENT(0, 0xfffff, 0xc092)
    SEGMENT_AT(ldt, 15, 0x82)
    GATE(CONFORMING, on_gate_conf, 0xec, 0)
    SEGMENT_AT(ldt, 15, 0x02)
    SEGMENT(0, 0xfffff, 0xc0fb)
    SEGMENT(0, 0xfffff, 0x0093)
    GDT_END

    .code32
#define UNLESS_TCG(...) cmpb $0, on_tcg; jne 7f; __VA_ARGS__; 7:
#define LOAD(seg, selector) mov $(selector), %eax; mov %eax, %seg

main32:
    /* Loads of data segments and what is wrong with them. */
    LOAD(fs, KDATA)
    LOAD(fs, 0)
    UNLESS_TCG(FAULTS32(GP, 0, movb %fs:0, %al))
    LOAD(fs, 3)
    LOAD(gs, READ_ONLY)
    UNLESS_TCG(FAULTS32(GP, 0, movb %al, %gs:0x500))
    FAULTS32(GP, BEYOND, LOAD(fs, BEYOND + 2))
    FAULTS32(GP, EXEC_ONLY, LOAD(fs, EXEC_ONLY))
    FAULTS32(NP, GONE_DATA, LOAD(fs, GONE_DATA + 1 - 1))
    FAULTS32(GP, LDT, LOAD(fs, LDT))
    FAULTS32(GP, KDATA, LOAD(fs, KDATA + 3))
    xor %eax, %eax
    lldt %ax
    FAULTS32(GP, 8 | IN_LDT, LOAD(fs, 8 | IN_LDT)) /* no LDT */
    LOAD(fs, CONFORMING + 3)
    UNLESS_TCG(FAULTS32(GP, 0, movb %al, %fs:0x500))
    LOAD(fs, KCODE)
    UNLESS_TCG(FAULTS32(GP, 0, movb %al, %fs:0x500))
    cmpb $0, on_tcg
    jne 1f
    LOAD(fs, SMALL)
    movl %fs:0xffc, %ebx
    FAULTS32(GP, 0, movl %fs:0xffd, %ebx)
    LOAD(fs, DOWN)
    movl %fs:0x1000, %ebx
    FAULTS32(GP, 0, movl %fs:0xffd, %ebx)
1:
    /* The accessed bit. */
    testb $1, gdt + FRESH_DATA + 5
    CHECK32(z)
    LOAD(fs, FRESH_DATA)
    testb $1, gdt + FRESH_DATA + 5
    CHECK32(nz)

    /* SS has rules of its own. */
    FAULTS32(GP, 0, LOAD(ss, 0))
    FAULTS32(GP, READ_ONLY, LOAD(ss, READ_ONLY))
    FAULTS32(GP, KCODE, LOAD(ss, KCODE))
    FAULTS32(GP, KDATA, LOAD(ss, KDATA + 1))
    FAULTS32(GP, UDATA - 3, LOAD(ss, UDATA))
    FAULTS32(SS_, GONE_DATA, LOAD(ss, GONE_DATA))
    FAULTS32(UD, 0, .byte 0x8e, 0xc8) /* MOV CS */

    /* POP into a segment register, RSP whole after a fault. */
    push $EXEC_ONLY
    mov %esp, %ebx
    FAULTS32(GP, EXEC_ONLY, pop %fs)
    cmp %esp, %ebx
    CHECK32(e)
    pop %eax

    /* LLDT, SLDT, loads through the LDT. */
    FAULTS32(GP, KDATA, mov $KDATA, %eax; lldt %ax)
    FAULTS32(GP, LDT | IN_LDT, mov $(LDT | IN_LDT), %eax; lldt %ax)
    FAULTS32(NP, GONE_LDT, mov $GONE_LDT, %eax; lldt %ax)
    mov $LDT, %eax
    lldt %ax
    xor %eax, %eax
    sldt %ax
    cmp $LDT, %eax
    CHECK32(e)
    LOAD(fs, 8 | IN_LDT)
    FAULTS32(GP, 16 | IN_LDT, LOAD(fs, 16 | IN_LDT))
    mov $0, %eax
    lldt %ax
    FAULTS32(GP, 8 | IN_LDT, LOAD(fs, 8 | IN_LDT))
    mov $LDT, %eax
    lldt %ax

    /* LTR and STR; the TSS is busy now. */
    str %eax
    cmp $TSS, %eax
    CHECK32(e)
    FAULTS32(GP, TSS, mov $TSS, %eax; ltr %ax)
    UNLESS_TCG(FAULTS32(GP, 0, xor %eax, %eax; ltr %ax))
    FAULTS32(GP, LDT, mov $LDT, %eax; ltr %ax)

    /* Far jumps and calls within level 0. */
    ljmp $KCODE, $1f
1:  FAULTS32(GP, 0, ljmp $0, $0)
    FAULTS32(GP, KDATA, ljmp $KDATA, $0)
    FAULTS32(GP, CODE3, ljmp $CODE3, $0)
    FAULTS32(NP, GONE_CODE, ljmp $GONE_CODE, $0)
    FAULTS32(GP, KCODE, ljmp $(KCODE + 1), $0)
    FAULTS32(GP, BEYOND, ljmp $BEYOND, $0)
    mov %esp, %ebx
    ljmp $CONFORMING, $1f
1:  mov %cs, %eax
    cmp $CONFORMING, %eax
    CHECK32(e)
    lcall $KCODE, $far_leaf
    cmp %esp, %ebx
    CHECK32(e)
    mov %cs, %eax
    cmp $CONFORMING, %eax
    CHECK32(e)
    ljmp $KCODE, $1f
1:  lcall $CODE16, $far_leaf16
    cmp %esp, %ebx
    CHECK32(e)
    cmpb $0, on_tcg
    jne 1f
    FAULTS32(GP, 0, ljmp $CODE16, $0x10000) /* beyond the limit */
1:
    /* Gates of the same level. */
    mov %esp, %ebx
    lcall $GATE0, $0x12345678 /* the offset means nothing */
    cmp %esp, %ebx
    CHECK32(e)
    ljmp $GATE0, $0

on_gate2:
    cmpl $3, %ss:state /* DS is null when it comes from level 3 */
    je gate_from_ring3
    cmpl $0, state
    jne 1f
    incl state
    lret
1:  cmpl $1, state
    CHECK32(e)
    movl $2, state
    FAULTS32(NP, GONE_GATE, lcall $GONE_GATE, $0)
    FAULTS32(GP, 0x1f8, lcall $0x1f8, $0)

    /* INT n: gates, their limit, their level. */
    FAULTS32(RETURN, 0, int $RETURN)
    FAULTS32(GP, VECTORS * 8 + 2, int $VECTORS)
    FAULTS32(3, 0, int3)
    FAULTS32(4, 0, mov $0x7f, %al; inc %al; into)
    movb $0x6e, idt + 0x41 * 8 + 5
    FAULTS32(NP, 0x41 * 8 + 2, int $0x41)
    movb $0x8c, idt + 0x41 * 8 + 5
    FAULTS32(GP, 0x41 * 8 + 2, int $0x41) /* a call gate in the IDT */
    movb $0x8e, idt + 0x41 * 8 + 5
    movw $KDATA, idt + 0x41 * 8 + 2
    FAULTS32(GP, KDATA, int $0x41)
    movw $0, idt + 0x41 * 8 + 2
    FAULTS32(GP, 0, int $0x41)
    movw $GONE_CODE, idt + 0x41 * 8 + 2
    FAULTS32(NP, GONE_CODE, int $0x41)
    movw $KCODE, idt + 0x41 * 8 + 2

    /* The same with an exception instead of INT: EXT is set. */
    movb $0x0e, idt + 6 * 8 + 5
    UNLESS_TCG(FAULTS32(NP, 6 * 8 + 2 + 1, ud2))
    movb $0x8e, idt + 6 * 8 + 5

    /* A trap gate leaves IF, an interrupt gate clears it; both clear TF and NT. */
    movw $on_flags, idt + 0x42 * 8
    movb $0x8f, idt + 0x42 * 8 + 5
    push $0x4202
    popf
    int $0x42
    pushf
    cli
    pop %eax
    and $0x4200, %eax
    cmp $0x4200, %eax
    CHECK32(e)
    push $2
    popf
    mov seen_flags, %eax
    and $0x4300, %eax
    cmp $0x0200, %eax
    CHECK32(e)

    /* A 286 gate pushes words. */
    movw $on_gate286, idt + 0x43 * 8
    movb $0xe6, idt + 0x43 * 8 + 5
    mov %esp, %ebx
    int $0x43
    cmp %esp, %ebx
    CHECK32(e)
    cmpl $6, seen_size
    CHECK32(e)

    /* LAR, LSL, VERR, VERW, ARPL at level 0. */
    mov $KDATA, %ecx
    lar %ecx, %eax
    CHECK32(z)
    and $0x00f0ff00, %eax /* the manual leaves the limit's bits open */
    cmp $0x00c09300, %eax
    CHECK32(e)
    lsl %ecx, %eax
    CHECK32(z)
    cmp $0xffffffff, %eax
    CHECK32(e)
    mov $SMALL, %ecx
    lsl %ecx, %eax
    CHECK32(z)
    cmp $0xfff, %eax
    CHECK32(e)
    mov $GATE2, %ecx
    lar %ecx, %eax
    CHECK32(z)
    and $0xff00, %eax
    cmp $0xec00, %eax
    CHECK32(e)
    lsl %ecx, %eax
    CHECK32(nz)
    xor %ecx, %ecx
    lar %ecx, %eax
    CHECK32(nz)
    mov $BEYOND, %ecx
    lar %ecx, %eax
    CHECK32(nz)
    verr %cx
    CHECK32(nz)
    mov $TSS, %ecx
    lsl %ecx, %eax
    CHECK32(z)
    cmp $TSS_LIMIT, %eax
    CHECK32(e)
    lar %cx, %ax
    CHECK32(z)
    cmp $0x8b00, %ax /* busy */
    CHECK32(e)
    mov $READ_ONLY, %ecx
    verr %cx
    CHECK32(z)
    verw %cx
    CHECK32(nz)
    mov $EXEC_ONLY, %ecx
    verr %cx
    CHECK32(nz)
    mov $KDATA, %ecx
    verw %cx
    CHECK32(z)
    mov $(KDATA + 3), %ecx
    verr %cx
    CHECK32(nz)
    mov $UDATA, %ecx
    mov $KDATA, %edx
    arpl %cx, %dx
    CHECK32(z)
    cmp $(KDATA + 3), %dx
    CHECK32(e)
    arpl %cx, %dx
    CHECK32(nz)
    /* ARPL writes only what it changes. */
    LOAD(fs, READ_ONLY)
    movw $(KDATA + 3), scratch
    UNLESS_TCG(FAULTS32(NONE, 0, movl $0, fault_error; arpl %cx, %fs:scratch); arpl %cx, %fs:scratch; CHECK32(nz))
    movw $KDATA, scratch
    UNLESS_TCG(FAULTS32(GP, 0, arpl %cx, %fs:scratch))
    cmpw $KDATA, scratch
    CHECK32(e)
    arpl %cx, scratch
    CHECK32(z)
    cmpw $(KDATA + 3), scratch
    CHECK32(e)

    /* ENTER pushes a frame pointer as wide as its operand, also on a 16-bit stack. */
    LOAD(ss, DATA16)
    mov $0x57000, %esp
    mov $0x12346000, %ebp
    enter $4, $1
    mov %esp, %ecx
    mov %ebp, %edx
    LOAD(ss, KDATA)
    mov $0x7000, %esp
    cmp $0x56ff4, %ecx
    CHECK32(e)
    cmp $0x56ffc, %edx
    CHECK32(e)
    EXPECT32(0x6ffc, 0x12346000)
    UNLESS_TCG(EXPECT32(0x6ff8, 0x56ffc))

    /* Level 3. */
    RING3(RETURN, 0, ring3_plain)
    EXPECT32(frame_cs, UCODE)
    EXPECT32(frame_ss, UDATA)
    EXPECT32(frame_esp, STACK3 - 8)
    EXPECT32(frame_at, STACK0 - 8)
    mov frame_eflags, %eax
    and $0x3000, %eax
    cmp $0x3000, %eax
    CHECK32(e)
    EXPECT32(seen_ds, 0) /* IRET took the kernel's segments away */
    RING3(GP, 0x20 * 8 + 2, ring3_int20)
    RING3(GP, KDATA, ring3_load_kdata)
    RING3(GP, 0, ring3_lgdt)
    RING3(GP, 0, ring3_lldt)
    RING3(GP, KCODE, ring3_jump_kcode)
    RING3(GP, GATE0, ring3_gate0)
    RING3(GP, KDATA, ring3_ss_kdata)
    RING3(RETURN, 0, ring3_conforming)
    EXPECT32(frame_cs, CONFORMING + 3)
    RING3(RETURN, 0, ring3_probe)
    UNLESS_TCG(RING3(RETURN, 0, ring3_gate_conf))
    RING3_FLAGS(GP, 0, ring3_plain + 0, EFLAGS30) /* CLI below IOPL */
    movl $3, state
    RING3(RETURN, 0, ring3_gate2)
    EXPECT32(state, 4)
    RING3(RETURN, 0, ring3_gate16)
    EXPECT32(state, 5)

    /* IRET to level 3 with things that are wrong. */
#define IRET_TO(vector, error, cs, ss)                                                             \
    FAULTS32(vector, error, push $(ss); push $STACK3; push $EFLAGS3; push $(cs); push $0; iret)
    IRET_TO(GP, KDATA, UCODE, KDATA)
    IRET_TO(GP, 0, UCODE, 0)
    IRET_TO(GP, UCODE - 3, UCODE - 1, UDATA)
    IRET_TO(GP, KCODE, KCODE + 3, UDATA)
    IRET_TO(GP, KDATA, KDATA, UDATA)
    IRET_TO(NP, GONE_CODE, GONE_CODE, UDATA)
    IRET_TO(GP, 0, 0, UDATA)
    mov %esp, %ebx
    push $(UDATA)
    push $STACK3
    push $(UDATA)
    push $0
    FAULTS32(GP, UDATA - 3, lret)

    /* UMIP keeps level 3 from the table registers. */
    mov $7, %eax
    xor %ecx, %ecx
    cpuid
    test $4, %ecx
    jz 1f
    RING3(RETURN, 0, ring3_sgdt)
    mov %cr4, %eax
    or $0x800, %eax
    mov %eax, %cr4
    RING3(GP, 0, ring3_sgdt)
    RING3(GP, 0, ring3_sldt)
1:
    PASS32

far_leaf:
    lret

/* Level 3 runs with IOPL 3 unless said otherwise. DS is the kernel's: reached through its own. */
ring3_plain:
    cli
    push %ds
    push %es
    push $UDATA
    pop %ds
    pop %eax
    pop %ebx
    push %ebx
    push %eax
    or %eax, %ebx
    UNLESS_TCG(test %ebx, %ebx; CHECK32(z))
    push $0
    pop %ds
    int $RETURN
ring3_int20:
    int $0x20
ring3_load_kdata:
    LOAD(ds, KDATA)
    UNREACHED32
ring3_lgdt:
    LOAD(ds, UDATA)
    lgdt gdt_pointer
    UNREACHED32
ring3_lldt:
    lldt %ax
    UNREACHED32
ring3_jump_kcode:
    ljmp $KCODE, $far_leaf
ring3_gate0:
    lcall $GATE0, $0
ring3_ss_kdata:
    LOAD(ss, KDATA)
    UNREACHED32
ring3_conforming:
    ljmp $CONFORMING, $1f
1:  int $RETURN
ring3_probe:
    mov $KDATA, %ecx
    verr %cx
    CHECK32(nz)
    lar %ecx, %eax
    CHECK32(nz)
    mov $CONFORMING, %ecx
    verr %cx
    CHECK32(z)
    mov $UDATA, %ecx
    verw %cx
    CHECK32(z)
    mov $(UDATA - 3), %ecx
    verw %cx
    CHECK32(z)
    int $RETURN
ring3_gate_conf:
    lcall $GATE_CONF, $0
    int $RETURN
on_gate_conf:
    mov %cs, %eax
    cmp $(CONFORMING + 3), %eax
    CHECK32(e)
    lret
ring3_gate2:
    push $0x1111
    push $0x2222
    lcall $GATE2, $0
    cmp $STACK3, %esp /* RETF 8 has released the parameters here too */
    CHECK32(e)
    int $RETURN
ring3_gate16:
    pushw $0x3333
    lcall $GATE16, $0
    cmp $STACK3, %esp
    CHECK32(e)
    int $RETURN
ring3_sgdt:
    LOAD(ds, UDATA)
    sgdt scratch
    int $RETURN
ring3_sldt:
    sldt %eax
    int $RETURN

/* Level 0 through a gate with two parameters: SS, ESP, 2222h's parameter order, CS, EIP. */
gate_from_ring3:
    cmp $(STACK0 - 24), %esp
    CHECK32(e)
    cmpl $UCODE, 4(%esp)
    CHECK32(e)
    cmpl $0x2222, 8(%esp)
    CHECK32(e)
    cmpl $0x1111, 12(%esp)
    CHECK32(e)
    cmpl $(STACK3 - 8), 16(%esp)
    CHECK32(e)
    cmpl $UDATA, 20(%esp)
    CHECK32(e)
    push $KDATA
    pop %ds
    movl $4, state
    lret $8

on_flags:
    pushf
    popl seen_flags
    iret

    .code16
far_leaf16:
    lretl
on_gate16:
    push $KDATA
    pop %ds
    movl $5, state
    lretw $2
    .code32
on_gate286: /* 32-bit code behind a 286 gate */
    mov %ebx, %eax
    sub %esp, %eax
    mov %eax, seen_size
    iretw

    .data
    .balign 8
ldt:
    .quad 0
    SEGMENT(0, 0xfffff, 0xc093)
state:
    .long 0
seen_flags:
    .long 0
seen_size:
    .long 0
scratch:
    .space 16
    .text

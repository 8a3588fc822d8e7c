/* Virtual-8086 mode: entry and exit, what IOPL traps, segments, and VME's redirection of INT. */
#include "guest.h"
#include "prot.h"

#define CODE3   0x30
#define IOPL0   0x20002
#define IOPL3   0x23002
#define FLAG_IF 0x200
#define CR4_VME 1
#define GP      13
#define UD      6

    .data
gdt_more:
    SEGMENT(0, 0xfffff, 0xc0fb)
    GDT_END

#define UNLESS_TCG(...) cmpb $0, on_tcg; jne 7f; __VA_ARGS__; 7:
#define VM86(vector, error, label, eflags)                                                         \
    FAULTS32(vector, error, push $0x1004; push $0x1003; push $0x1002; push $0x1001; push $0x500;   \
             push $0x0ffe; push $(eflags); push $0x10; push $(label - 0x100); iret)
#define AT(label) EXPECT32(frame_eip, label - 0x100)

    .code32
main32:
    /* There and back: nine dwords on the level 0 stack, data segments null in the handler. */
    VM86(RETURN, 0, vm86_return, IOPL3)
    AT(vm86_return + 2)
    EXPECT32(frame_cs, 0x10)
    EXPECT32(frame_at, STACK0 - 24)
    EXPECT32(frame_esp, 0x0ffe)
    EXPECT32(frame_ss, 0x500)
    EXPECT32(STACK0 - 16, 0x1001)
    EXPECT32(STACK0 - 12, 0x1002)
    EXPECT32(STACK0 - 8, 0x1003)
    EXPECT32(STACK0 - 4, 0x1004)
    EXPECT32(seen_ds, 0)
    EXPECT32(seen_es, 0)
    mov %fs, %eax
    mov %gs, %ebx
    or %ebx, %eax
    CHECK32(z)
    mov frame_eflags, %eax
    and $0x23000, %eax
    cmp $0x23000, %eax
    CHECK32(e)

    /* Segments are paragraphs of 64 KiB. */
    movl $0x11223344, 0x10020
    VM86(RETURN, 0, vm86_segments, IOPL3)
    cmp $0x3344, %bx
    CHECK32(e)
    cmp $0x1000, %cx
    CHECK32(e)
    UNLESS_TCG(VM86(GP, 0, vm86_limit, IOPL3); AT(vm86_limit))

    /* IOPL 3: the flags are the program's own, IOPL excepted. */
    VM86(RETURN, 0, vm86_flags, IOPL3)
    and $0xffff, %ebx
    cmp $0x3202, %ebx
    CHECK32(e)
    VM86(RETURN, 0, vm86_iret, IOPL3)
    cmp $0x1234, %cx
    CHECK32(e)

    /* IOPL 0: PUSHF, POPF, CLI, STI, INT n and IRET trap; INT3 and INTO do not. */
    VM86(GP, 0, vm86_pushf, IOPL0)
    AT(vm86_pushf)
    VM86(GP, 0, vm86_popf, IOPL0)
    AT(vm86_popf)
    VM86(GP, 0, vm86_cli, IOPL0)
    VM86(GP, 0, vm86_sti, IOPL0)
    VM86(GP, 0, vm86_return, IOPL0)
    AT(vm86_return)
    VM86(GP, 0, vm86_iret_only, IOPL0)
    AT(vm86_iret_only)
    VM86(3, 0, vm86_int3, IOPL0)
    AT(vm86_int3 + 1)
    VM86(4, 0, vm86_into, IOPL0 | 0x800)
    AT(vm86_into + 1)

    /* Never allowed, or unknown there. */
    VM86(GP, 0, vm86_hlt, IOPL3)
    VM86(GP, 0, vm86_mov_cr, IOPL3)
    VM86(GP, 0, vm86_lgdt, IOPL3)
    VM86(GP, 0, vm86_in, IOPL3) /* by the TSS's map, whatever IOPL says */
    VM86(UD, 0, vm86_sldt, IOPL3)
    VM86(UD, 0, vm86_lar, IOPL3)
    VM86(UD, 0, vm86_arpl, IOPL3)
    VM86(0, 0, vm86_divide, IOPL3)
    AT(vm86_divide + 2)

    /* A handler must have level 0. */
    movw $CODE3, idt + 0x41 * 8 + 2
    VM86(GP, CODE3, vm86_int41, IOPL3)

    /* IRET at level 3 does not enter the mode, whatever the image says. */
    UNLESS_TCG(RING3(RETURN, 0, ring3_iret); testl $0x20000, frame_eflags; CHECK32(z))

    /* The CPU has VME: redirect INT 60h to the program's own table at 0. */
    mov $1, %eax
    cpuid
    test $2, %edx
    jz done
    cmpb $0, on_tcg
    jne done
    mov %cr4, %eax
    or $CR4_VME, %eax
    mov %eax, %cr4
    andb $~1, redirection + 0x60 / 8
    movl $((0x10 << 16) + on_int60 - 0x100), 0x60 * 4
    VM86(RETURN, 0, vm86_int60, IOPL3 | FLAG_IF)
    cmp $0x6060, %cx
    CHECK32(e)
    mov %ebx, %eax
    and $0x3200, %ax
    cmp $0x3200, %ax
    CHECK32(e)
    test $FLAG_IF, %dx
    CHECK32(z)
    /* Below IOPL 3 the program sees VIF as IF, and IOPL as 3; the real IF stays. */
    VM86(GP, 0, vm86_int60_gp, IOPL0 | FLAG_IF | 0x80000)
    AT(vm86_int60_gp + 2)
    cmp $0x6060, %cx
    CHECK32(e)
    mov %ebx, %eax
    and $0x3200, %ax
    cmp $0x3200, %ax
    CHECK32(e)
    mov frame_eflags, %eax
    and $0x83200, %eax
    cmp $0x80200, %eax /* the handler's IRET has set VIF again */
    CHECK32(e)
    /* A vector that is not redirected traps as before. */
    VM86(GP, 0, vm86_return, IOPL0)
    AT(vm86_return)
done:
    PASS32

ring3_iret:
    push $0x23002
    push $UCODE
    push $1f
    iret
1:  int $RETURN

    .code16
vm86_return:
    int $RETURN
vm86_segments:
    mov $0x1000, %ax
    mov %ax, %ds
    mov 0x20, %bx
    mov %ds, %cx
    int $RETURN
vm86_limit:
    mov %ds:0xffff, %ax
vm86_flags:
    sti
    pushf
    pop %bx
    cli
    push $0x0002
    popf /* tries to lower IOPL */
    pushf
    pop %ax
    and $0x3000, %ax
    or %ax, %bx
    int $RETURN
vm86_iret:
    pushf
    push %cs
    push $(1f - 0x100)
    iret
1:  mov $0x1234, %cx
    int $RETURN
vm86_pushf:
    pushf
vm86_popf:
    popf
vm86_cli:
    cli
vm86_sti:
    sti
vm86_iret_only:
    iret
vm86_int3:
    int3
vm86_into:
    into
vm86_hlt:
    hlt
vm86_mov_cr:
    mov %cr0, %eax
vm86_lgdt:
    lgdt 0
vm86_in:
    in $0x80, %al
vm86_sldt:
    .byte 0x0f, 0x00, 0xc0
vm86_lar:
    .byte 0x0f, 0x02, 0xc0
vm86_arpl:
    .byte 0x63, 0xc0
vm86_divide:
    xor %cx, %cx
    div %cx
vm86_int41:
    int $0x41
vm86_int60:
    int $0x60
    int $RETURN
vm86_int60_gp:
    int $0x60
    hlt
on_int60: /* BX: the flags that INT pushed, DX: those it left */
    mov $0x6060, %cx
    mov %sp, %bp
    mov 4(%bp), %bx
    xor %dx, %dx
    iret
    .code32
    .text

/*
 * Redundant prefixes: an instruction of up to 15 bytes does what it does without them, one of 16 is
 * #GP. Each check runs often enough to be translated.
 */
#include "guest.h"
#include "long.h"

#define GP      13
#define ROUNDS  100
#define LONGEST 15
#define ROOM    0x30000 /* where the sweep puts its instructions */
#define OPERAND 0x31000
#define SEVEN   0x401c000000000000 /* as a double */

    .data
gdt_more:
    GDT_END

/* Runs what stands here ROUNDS times, in R12. */
#define OFTEN(...) mov $ROUNDS, %r12d; 6: __VA_ARGS__; dec %r12d; jnz 6b

    .macro TIMES count, byte
    .rept \count
    .byte \byte
    .endr
    .endm

    .code64
main64:
    mov $7, %r10d
    mov $7, %eax
    mov $OPERAND, %ebx
    movabs $SEVEN, %r13
    mov %r13, (%rbx)

    /* Registers that the translator keeps in memory, and a REX that it adds. */
    OFTEN(xorps %xmm0, %xmm0; TIMES 10, 0xf2; .byte 0x49, 0x0f, 0x2a, 0xc2) /* CVTSI2SD XMM0, R10 */
    movq %xmm0, %rdx
    cmp %r13, %rdx
    CHECK64(e)
    OFTEN(xorps %xmm0, %xmm0; TIMES 12, 0xf2; .byte 0x0f, 0x2a, 0xc0) /* CVTSI2SD XMM0, EAX */
    movq %xmm0, %rdx
    cmp %r13, %rdx
    CHECK64(e)
    OFTEN(xorps %xmm0, %xmm0; TIMES 12, 0xf2; .byte 0x0f, 0x10, 0x03) /* MOVSD XMM0, [RBX] */
    movq %xmm0, %rdx
    cmp %r13, %rdx
    CHECK64(e)
    OFTEN(xor %ecx, %ecx; TIMES 10, 0xf3; .byte 0x49, 0x0f, 0xb8, 0xca) /* POPCNT RCX, R10 */
    cmp $3, %rcx
    CHECK64(e)
    OFTEN(xor %ecx, %ecx; TIMES 12, 0x66; .byte 0x41, 0x01, 0xd1) /* ADD R9W, DX */
    OFTEN(mov $5, %ecx; TIMES 6, 0x66; TIMES 6, 0xf3; .byte 0x4d, 0x03, 0xca) /* ADD R9, R10 */

    /* One byte more. */
    OFTEN(FAULTS64(GP, 0, TIMES 13, 0xf2; .byte 0x0f, 0x2a, 0xc0))
    OFTEN(FAULTS64(GP, 0, TIMES 15, 0x66; nop))
    OFTEN(FAULTS64(GP, 0, TIMES 11, 0x2e; .byte 0xc4, 0xe1, 0x78, 0x10, 0x03)) /* VMOVUPS */

    /* Each opcode of SSE and MMX with [RBX], plain and padded with each of its prefixes. */
    xor %r8d, %r8d
next_prefix:
    mov $0x10, %r9d
next_opcode:
    call sweep_plain
    call sweep_padded
    cmp %r14, %r15
    CHECK64(e)
    inc %r9d
    cmp $0x100, %r9d
    jb next_opcode
    inc %r8d
    cmp $3, %r8d
    jb next_prefix
    PASS64

/* The instruction with one prefix: R14 is what it raised, and XMM0 with it. */
sweep_plain:
    mov $ROOM, %edi
    mov prefixes(%r8), %al
    stosb
    call sweep_run
    mov %rdx, %r14
    ret

sweep_padded:
    mov $ROOM, %edi
    mov prefixes(%r8), %al
    mov $(LONGEST - 3), %ecx
    mov %r9d, %edx
    and $0xfc, %edx
    cmp $0x70, %edx /* these have an immediate */
    jne 1f
    dec %ecx
1:  rep stosb
    call sweep_run
    mov %rdx, %r15
    ret

/* Appends the opcode and runs it; RDX: the vector that it raised, and what of the results fits. */
sweep_run:
    mov $0x0f, %al
    stosb
    mov %r9d, %eax
    stosb
    mov $0x03, %al /* [RBX] */
    stosb
    movl $0xc3c3c3c3, (%rdi) /* RET; an operand of 8 bits, if there is one */
    xor %edx, %edx
    call is_safe
    jnc 2f
    mov %r13, OPERAND
    mov %r13, OPERAND + 8
    mov $3, %eax
    movq %r13, %xmm0
    movq %r13, %mm0
    movq $NONE, fault_vector
    movq $8f, escape
    movq %rsp, escape_rsp
    mov $ROOM, %esi
    call *%rsi
8:  movq $0, escape
    movq %xmm0, %rdx
    add OPERAND, %rdx
    shl $8, %rdx
    mov fault_vector, %dl
2:  ret

/* CF: the opcode in R9 is SSE's or MMX's. */
is_safe:
    cmp $0xd0, %r9d
    jae 1f
    cmp $0x80, %r9d
    jae 3f
    cmp $0x50, %r9d
    jae 1f
    cmp $0x30, %r9d
    jae 3f
    cmp $0x28, %r9d
    jae 1f
    cmp $0x18, %r9d
    ret
1:  cmp $0x77, %r9d /* EMMS, and four that are VMX's and SSE4a's */
    jb 2f
    cmp $0x7b, %r9d
    jbe 3f
2:  stc
    ret
3:  clc
    ret

    .data
prefixes:
    .byte 0x66, 0xf2, 0xf3
    .text

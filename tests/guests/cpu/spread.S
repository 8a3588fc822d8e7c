/*
 * One word in every 64 MiB of all memory that there is, as far as the RTC's memory sizes go: each
 * is written with a value of its own, and after the last write each must still hold it.
 */
#include "guest.h"
#include "long.h"

#define CMOS_ABOVE_16M 0x34 /* in 64 KiB, two bytes */
#define CMOS_ABOVE_4G  0x5b /* in 64 KiB, three bytes */

#define STRIDE 0x4000000
#define FIRST  0x1000000
#define FOUR_G 0x100000000

/* One entry of 2 MiB at VIRT, below entry 1 of the PML4, is pointed here and there. */
#define VIRT  0x8000000000
#define PML4E TABLES + 8
#define PDPTE 0x28000
#define PDE   0x29000

#define CMOS(index) mov $(index), %al; out %al, $0x70; in $0x71, %al; movzbl %al, %eax

/* Calls `label` for each address of [from, to) in rdi: rdi, rax and rdx are its own. */
#define FOR_EACH(from, to, label) mov $(from), %rsi; 1: cmp to, %rsi; jae 2f; call label; add $STRIDE, %rsi; jmp 1b; 2:

    .data
gdt_more:
    GDT_END

    .code64
main64:
    mov $0x28000, %edi
    mov $0x2000 / 8, %ecx
    xor %eax, %eax
    rep stosq
    movq $(PDPTE + 7), PML4E
    movq $(PDE + 7), PDPTE
    mov $VIRT, %rbx

    CMOS(CMOS_ABOVE_16M + 1)
    shl $8, %eax
    mov %eax, %ecx
    CMOS(CMOS_ABOVE_16M)
    or %ecx, %eax
    shl $16, %rax
    add $FIRST, %rax
    mov %rax, low_end

    CMOS(CMOS_ABOVE_4G + 2)
    shl $16, %eax
    mov %eax, %ecx
    CMOS(CMOS_ABOVE_4G + 1)
    shl $8, %eax
    or %eax, %ecx
    CMOS(CMOS_ABOVE_4G)
    or %ecx, %eax
    shl $16, %rax
    mov $FOUR_G, %rdx
    add %rdx, %rax
    mov %rax, high_end

    FOR_EACH(FIRST, low_end, write)
    FOR_EACH(FOUR_G, high_end, write)
    FOR_EACH(FIRST, low_end, compare)
    FOR_EACH(FOUR_G, high_end, compare)
    PASS64

/* Lets rdx point at a word of the 64 MiB at rsi, and makes rax its value. */
point:
    mov %rsi, %rax
    or $0x87, %rax
    mov %rax, PDE
    invlpg (%rbx)
    mov $0x9e3779b97f4a7c15, %rax
    imul %rsi, %rax
    shr $26, %rax
    mov %rax, %rdx
    and $0x1ffff8, %edx
    add %rbx, %rdx
    ret

write:
    call point
    mov %rax, (%rdx)
    ret

compare:
    call point
    cmp %rax, (%rdx)
    CHECK64(e)
    ret

    .data
    .balign 8
low_end:
    .quad 0
high_end:
    .quad 0
    .text

/*
 * What the real-mode guests that test the BIOS share. Such a guest is a flat binary for 0000:7C00;
 * it prints a line "ok NAME" or "FAIL NAME" for each check on COM1, then "PASS n" or "FAILED n of
 * m", and ends by port F4h with 0 for a pass, 1 for a failure.
 */
#ifndef TESTS_GUESTS_BIOS_H
#define TESTS_GUESTS_BIOS_H

    .code16
    .text
    .globl start
start:
    ljmpw $0, $1f
1:  cli
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x7c00, %sp
    movb %dl, boot_drive
    cld
    sti
    call tests
    movw failures, %ax
    testw %ax, %ax
    jnz 2f
    movw $text_pass, %si
    call report_text
    movw checks, %ax
    call report_number
    movw $text_end, %si
    call report_text
    movb $0, %al
    jmp 3f
2:  movw $text_failed, %si
    call report_text
    call report_number
    movw $text_of, %si
    call report_text
    movw checks, %ax
    call report_number
    movw $text_end, %si
    call report_text
    movb $1, %al
3:  outb %al, $0xf4
    cli
    hlt
    jmp 3b

/* The check holds when the condition does. Keeps every register, but not the flags. */
    .macro EXPECT condition, name:vararg
    pushw $777f
    j\condition 776f
    call check_failed
    jmp 778f
776:
    call check_passed
778:
    .pushsection .rodata
777:
    .asciz \name
    .popsection
    .endm

/* EXPECT_EQ a, b, name: as CMP takes them. */
    .macro EXPECT_EQ a, b, name:vararg
    cmp \a, \b
    EXPECT e, \name
    .endm

check_passed:
    pushaw
    movw $text_ok, %si
    jmp check_report
check_failed:
    pushaw
    incw failures
    movw $text_fail, %si
check_report:
    incw checks
    call report_text
    movw %sp, %bp
    movw 18(%bp), %si
    call report_text
    movw $text_end, %si
    call report_text
    popaw
    retw $2

/* Prints the text at SI. */
report_text:
    pushw %ax
1:  lodsb
    testb %al, %al
    jz 2f
    call report_byte
    jmp 1b
2:  popw %ax
    ret

report_byte:
    pushw %dx
    movb %al, %ah
    movw $0x3fd, %dx
1:  inb %dx, %al
    testb $0x20, %al
    jz 1b
    movw $0x3f8, %dx
    movb %ah, %al
    outb %al, %dx
    popw %dx
    ret

/* Prints AX in decimal. */
report_number:
    pushw %ax
    pushw %bx
    pushw %dx
    movw $10, %bx
    xorw %dx, %dx
    divw %bx
    testw %ax, %ax
    jz 1f
    call report_number
1:  movb %dl, %al
    addb $'0', %al
    call report_byte
    popw %dx
    popw %bx
    popw %ax
    ret

    .data
checks:
    .word 0
failures:
    .word 0
boot_drive:
    .byte 0
text_ok:
    .asciz "ok   "
text_fail:
    .asciz "FAIL "
text_pass:
    .asciz "PASS "
text_failed:
    .asciz "FAILED "
text_of:
    .asciz " of "
text_end:
    .asciz "\r\n"
    .text

#endif

/*
 * What the flat guests share: printing and reading at COM1 without the BIOS, and the way out.
 * 16-bit code with all segments zero, started at 0000:7C00. Refuses interrupts: the serial line is
 * polled.
 * Specification: PC16550D data sheet.
 */
#define COM1          0x3f8
#define COM1_LSR      (COM1 + 5)
#define LSR_DATA      0x01
#define LSR_THR_EMPTY 0x20

#define PM1_STATUS   0x600
#define PM1_ENABLE   0x602
#define PM1_CONTROL  0x604
#define PM1_PWRBTN   0x0100
#define PM1_SCI_EN   0x0001
#define S5_AND_SLEEP (1 << 13) /* type 0 is S5, as on the PIIX4 */

        .macro out8 port, value
        movw    $\port, %dx
        movb    $\value, %al
        outb    %al, %dx
        .endm

        .macro out16 port, value
        movw    $\port, %dx
        movw    $\value, %ax
        outw    %ax, %dx
        .endm

        /* Prints a string that ends in zero. */
        .macro say text
        .pushsection .text.strings, "ax"
9999:   .asciz  "\text"
        .popsection
        movw    $9999b, %si
        call    print
        .endm

        .macro prologue
        .code16
        .section .text
        .globl  start
start:
        cli
        cld
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        .endm

        .macro epilogue
print_char:
        pushw   %dx
        pushw   %ax
        movw    $COM1_LSR, %dx
1:      inb     %dx, %al
        testb   $LSR_THR_EMPTY, %al
        jz      1b
        popw    %ax
        movw    $COM1, %dx
        outb    %al, %dx
        popw    %dx
        ret

print:
        lodsb
        testb   %al, %al
        jz      1f
        call    print_char
        jmp     print
1:      ret

        /* Waits for a byte: AL. */
read_char:
        movw    $COM1_LSR, %dx
1:      inb     %dx, %al
        testb   $LSR_DATA, %al
        jz      1b
        movw    $COM1, %dx
        inb     %dx, %al
        ret

power_off:
        out16   PM1_CONTROL, S5_AND_SLEEP
1:      hlt
        jmp     1b
        .endm

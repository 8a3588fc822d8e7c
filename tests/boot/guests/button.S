/*
 * A guest that takes the power button as an operating system does: switches to ACPI mode, enables
 * the button, polls its status bit, powers off. With -DDEAF it never looks.
 * Specification: ACPI 6.4, 4.8.3.1 "PM1 Event Grouping".
 */
#include "com1.h"

        prologue
        movb    $0xf1, %al              /* ACPI enable, to the SMI command port */
        outb    %al, $0xb2
1:      movw    $PM1_CONTROL, %dx
        inw     %dx, %ax
        testw   $PM1_SCI_EN, %ax
        jz      1b
        out16   PM1_ENABLE, PM1_PWRBTN
        say     "ready\r\n"
#ifdef DEAF
2:      hlt
        jmp     2b
#endif
        movw    $PM1_STATUS, %dx
3:      inw     %dx, %ax
        testw   $PM1_PWRBTN, %ax
        jz      3b
        out16   PM1_STATUS, PM1_PWRBTN
        say     "button\r\n"
        jmp     power_off
        epilogue

/*
 * A guest that sends back every byte of its serial line, from the moment that it says "ready". An
 * escape byte makes it wait for two updates of the RTC and say "still here"; 'q' powers off.
 */
#include "com1.h"

        prologue
        say     "ready\r\n"
next:
        call    read_char
        cmpb    $0x1b, %al
        je      pause
        call    print_char
        cmpb    $'q', %al
        jne     next
        jmp     power_off

pause:
        movb    $0x00, %al              /* the seconds */
        outb    %al, $0x70
        inb     $0x71, %al
        movb    %al, %bl
        movb    $2, %cl
1:      movb    $0x00, %al
        outb    %al, $0x70
        inb     $0x71, %al
        cmpb    %al, %bl
        je      1b
        movb    %al, %bl
        decb    %cl
        jnz     1b
        say     "still here\r\n"
        jmp     power_off
        epilogue

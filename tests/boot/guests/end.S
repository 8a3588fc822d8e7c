/* A guest that says "start" and ends in the way that -DWAY_... names. */
#include "com1.h"

        prologue
        say     "start\r\n"
#if defined(WAY_POWER_OFF)
        jmp     power_off
#elif defined(WAY_RESET_CF9)
        out8    0xcf9, 0x06
#elif defined(WAY_RESET_KEYBOARD)
        outb    %al, $0xed
        movb    $0xfe, %al
        outb    %al, $0x64
#elif defined(WAY_RESET_PORT92)
        movb    $0x01, %al
        outb    %al, $0x92
#elif defined(WAY_PANIC)
        out8    0x505, 0x01
#elif defined(WAY_CRASH)
        out8    0x505, 0x02
        say     "the crash kernel runs\r\n"
#if WAY_CRASH == 1
        jmp     power_off
#elif WAY_CRASH == 2
        out8    0xcf9, 0x06
#elif WAY_CRASH == 3
        lidt    no_idt
        int3
#elif WAY_CRASH == 4
        cli
#endif
#elif defined(WAY_DEBUG_EXIT)
        movb    $0x15, %al
        outb    %al, $0xf4
#elif defined(WAY_TRIPLE_FAULT)
        lidt    no_idt
        int3
#elif defined(WAY_SPIN)
1:      jmp     1b
#elif defined(WAY_REBOOT)
        /* The first life writes a byte of CMOS and resets; the second one finds it. */
        movb    $0x50, %al
        outb    %al, $0x70
        inb     $0x71, %al
        cmpb    $0x5a, %al
        je      second
        movb    $0x50, %al
        outb    %al, $0x70
        movb    $0x5a, %al
        outb    %al, $0x71
        say     "first life\r\n"
        out8    0xcf9, 0x06
        jmp     wait
second:
        say     "second life\r\n"
        jmp     power_off
#endif
wait:
        hlt
        jmp     wait

        .balign 4
no_idt: .word   0
        .long   0
        epilogue

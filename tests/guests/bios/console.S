/*
 * INT 10h and 16h (with INT 09h behind it): screen, cursor, keys; INT 14h and 17h.
 */
#include "bios.h"

tests:
    call test_screen
    call test_scroll
    call test_pages
    call test_video_info
    call test_key_buffer
    call test_key_interrupt
    call test_serial_keys
    call test_ports
    ret

.macro SCREEN
    movw $0xb800, %ax
    movw %ax, %es
.endm

/* Calls of INT 10h and INT 16h, with the function in AH alone where AL is set before. */
.macro VIDEO ax
    movw $\ax, %ax
    int $0x10
.endm

.macro VIDEO_AH ah
    movb $\ah, %ah
    int $0x10
.endm

.macro KEYS ah
    movb $\ah, %ah
    int $0x16
.endm

/* Reads a register of the CRTC to AL. */
.macro CRTC index
    movw $0x3d4, %dx
    movb $\index, %al
    outb %al, %dx
    incw %dx
    inb %dx, %al
.endm

.macro CURSOR row, column
    movb $2, %ah
    movb $0, %bh
    movw $(\row << 8 | \column), %dx
    int $0x10
.endm

test_screen:
    VIDEO 3
    VIDEO_AH 0xf
    EXPECT_EQ $0x5003, %ax, "10h 0fh: mode 3 with 80 columns"
    EXPECT_EQ $0, %bh, "10h 0fh: page 0"
    SCREEN
    movw %es:(0), %ax
    EXPECT_EQ $0x0720, %ax, "10h 00h: the screen is blank"
    movw %es:(24 * 160 + 158), %ax
    EXPECT_EQ $0x0720, %ax, "10h 00h: to its last cell"
    CURSOR 5, 70
    movb $3, %ah
    movb $0, %bh
    int $0x10
    EXPECT_EQ $0x0546, %dx, "10h 03h: the cursor is where 02h set it"
    EXPECT_EQ $0x0607, %cx, "10h 03h: its shape"
    CRTC 0xe
    movb %al, %ah
    CRTC 0xf
    EXPECT_EQ $(5 * 80 + 70), %ax, "10h 02h: the CRTC knows it too"
    movw $0x0941, %ax
    movw $0x001e, %bx
    movw $12, %cx
    int $0x10
    movw %es:(5 * 160 + 140), %ax
    EXPECT_EQ $0x1e41, %ax, "10h 09h: character and attribute"
    movw %es:(6 * 160 + 2), %ax
    EXPECT_EQ $0x1e41, %ax, "10h 09h: goes on in the next line"
    movw %es:(6 * 160 + 4), %ax
    EXPECT_EQ $0x0720, %ax, "10h 09h: no further than CX says"
    VIDEO_AH 8
    EXPECT_EQ $0x1e41, %ax, "10h 08h: reads it back"
    movw $0x0a42, %ax
    movw $1, %cx
    int $0x10
    movw %es:(5 * 160 + 140), %ax
    EXPECT_EQ $0x1e42, %ax, "10h 0ah: keeps the attribute"
    CURSOR 5, 79
    VIDEO 0x0e43
    VIDEO_AH 3
    EXPECT_EQ $0x0600, %dx, "10h 0eh: the line wraps"
    VIDEO 0x0e0a
    VIDEO 0x0e44
    VIDEO 0x0e08
    VIDEO_AH 3
    EXPECT_EQ $0x0700, %dx, "10h 0eh: line feed and backspace move"
    movb %es:(7 * 160), %al
    EXPECT_EQ $0x44, %al, "10h 0eh: backspace erases nothing"
    VIDEO 0x0e07
    VIDEO_AH 3
    EXPECT_EQ $0x0700, %dx, "10h 0eh: BEL does not move"
    /* A string with attributes, cursor following. */
    pushw $0
    popw %es
    movw $0x1303, %ax
    movw $0, %bx
    movw $3, %cx
    movw $0x0a00, %dx
    movw $string, %bp
    int $0x10
    SCREEN
    movl %es:(10 * 160), %eax
    EXPECT_EQ $0x70590758, %eax, "10h 13h: characters with their attributes"
    VIDEO_AH 3
    EXPECT_EQ $0x0a03, %dx, "10h 13h: the cursor follows when AL says so"
    pushw $0
    popw %es
    ret

test_scroll:
    SCREEN
    CURSOR 24, 0
    VIDEO 0x0e53
    VIDEO 0x0e0d
    VIDEO 0x0e0a
    movb %es:(23 * 160), %al
    EXPECT_EQ $0x53, %al, "10h 0eh: a line feed in the last line scrolls"
    movb %es:(24 * 160), %al
    EXPECT_EQ $0x20, %al, "10h 0eh: and leaves a blank line"
    VIDEO_AH 3
    EXPECT_EQ $0x1800, %dx, "10h 0eh: the cursor stays in the last line"
    /* A window one line down, then cleared. */
    movb $'W', %es:(2 * 160 + 20)
    movb $'N', %es:(2 * 160 + 18)
    movw $0x0701, %ax
    movb $0x4e, %bh
    movw $0x020a, %cx
    movw $0x0414, %dx
    int $0x10
    movb %es:(3 * 160 + 20), %al
    EXPECT_EQ $'W', %al, "10h 07h: moves down"
    movw %es:(2 * 160 + 20), %ax
    EXPECT_EQ $0x4e20, %ax, "10h 07h: the new line has BH as its attribute"
    movb %es:(2 * 160 + 18), %al
    EXPECT_EQ $'N', %al, "10h 07h: outside of the window nothing moves"
    movw $0x0600, %ax
    movb $0x2f, %bh
    movw $0, %cx
    movw $0xffff, %dx
    int $0x10
    movw %es:(24 * 160 + 158), %ax
    EXPECT_EQ $0x2f20, %ax, "10h 06h: AL = 0 clears, a window too large is cut"
    movw %es:(25 * 160), %ax
    EXPECT_EQ $0x0720, %ax, "10h 06h: nothing behind the page changes"
    /* A cursor outside of the screen must not make anything write there. */
    CURSOR 200, 200
    VIDEO 0x0e5a
    movb $3, %ah
    movb $0, %bh
    int $0x10
    cmpb $25, %dh
    EXPECT b, "10h 0eh: comes back to the screen"
    pushw $0
    popw %es
    ret

test_pages:
    VIDEO 0x0503
    VIDEO_AH 0xf
    EXPECT_EQ $3, %bh, "10h 05h: page 3"
    movw 0x44e, %ax
    EXPECT_EQ $0x3000, %ax, "10h 05h: its start in the BDA"
    CRTC 0xc
    EXPECT_EQ $0x18, %al, "10h 05h: the CRTC shows it"
    VIDEO 0x0e50
    SCREEN
    movb %es:(0x3000), %al
    EXPECT_EQ $'P', %al, "10h 0eh: writes on the active page"
    pushw $0
    popw %es
    VIDEO 0x83
    VIDEO_AH 0xf
    EXPECT_EQ $0x83, %al, "10h 00h: bit 7 keeps the screen, and 0fh says so"
    EXPECT_EQ $0, %bh, "10h 00h: back on page 0"
    SCREEN
    movb %es:(0x3000), %al
    EXPECT_EQ $'P', %al, "10h 00h: it did keep it"
    pushw $0
    popw %es
    VIDEO 3
    ret

test_video_info:
    VIDEO 0x1a00
    EXPECT_EQ $0x1a, %al, "10h 1ah: a VGA BIOS"
    EXPECT_EQ $8, %bx, "10h 1ah: VGA with a colour display"
    movb $0x12, %ah
    movb $0x10, %bl
    int $0x10
    EXPECT_EQ $0x0003, %bx, "10h 12h: colour, 256 KiB"
    movw $0x1130, %ax
    movb $6, %bh
    int $0x10
    movw %es, %ax
    EXPECT_EQ $16, %cx, "10h 1130h: 16 lines a character"
    EXPECT_EQ $24, %dl, "10h 1130h: 25 rows"
    EXPECT_EQ $0xf000, %ax, "10h 1130h: the font is in the ROM"
    pushw $0
    popw %es
    movw $0x1b00, %ax
    movw $0, %bx
    movw $0x6000, %di
    int $0x10
    EXPECT_EQ $0x1b, %al, "10h 1bh: is there"
    movb 0x6004, %al
    EXPECT_EQ $3, %al, "10h 1bh: the mode is in it"
    movw $0x4f00, %ax
    movw $0x6000, %di
    int $0x10
    cmpw $0x004f, %ax
    EXPECT ne, "10h 4f00h: there is no VBE"
    ret

test_key_buffer:
    KEYS 1
    EXPECT z, "16h 01h: no key"
    movb $5, %ah
    movw $0x1e61, %cx
    int $0x16
    EXPECT_EQ $0, %al, "16h 05h: a key goes in"
    KEYS 1
    EXPECT nz, "16h 01h: there is one"
    EXPECT_EQ $0x1e61, %ax, "16h 01h: this one"
    KEYS 0
    EXPECT_EQ $0x1e61, %ax, "16h 00h: takes it"
    KEYS 1
    EXPECT z, "16h 01h: no key again"
    /* 15 keys fit. */
    movw $15, %si
1:  movb $5, %ah
    movw %si, %cx
    orw $0x3000, %cx
    int $0x16
    cmpb $0, %al
    jne 2f
    decw %si
    jnz 1b
2:  EXPECT_EQ $0, %si, "16h 05h: 15 keys fit"
    movb $5, %ah
    movw $0x1e62, %cx
    int $0x16
    EXPECT_EQ $1, %al, "16h 05h: the 16th does not"
    movw $15, %si
3:  movb $0x10, %ah
    int $0x16
    andb $0xf, %al
    xorb $0, %ah
    movzbw %al, %ax
    cmpw %si, %ax
    jne 4f
    decw %si
    jnz 3b
4:  EXPECT_EQ $0, %si, "16h 10h: they come out in order"
    movb $5, %ah
    movw $0x48e0, %cx
    int $0x16
    KEYS 0x11
    EXPECT_EQ $0x48e0, %ax, "16h 11h: the enhanced code of cursor up"
    KEYS 0
    EXPECT_EQ $0x4800, %ax, "16h 00h: the classic one"
    movb $5, %ah
    movw $0x8500, %cx
    int $0x16
    KEYS 1
    EXPECT z, "16h 01h: F11 is dropped, an old keyboard has none"
    ret

/*
 * Makes the i8042 deliver AL as if the keyboard had sent it (command D2h), and lets INT 09h take
 * it.
 */
press:
    movb %al, %ah
1:  inb $0x64, %al
    testb $2, %al
    jnz 1b
    movb $0xd2, %al
    outb %al, $0x64
2:  inb $0x64, %al
    testb $2, %al
    jnz 2b
    movb %ah, %al
    outb %al, $0x60
    movw $2000, %cx
3:  inb $0x64, %al
    testb $1, %al
    loopnz 3b
    ret

.macro PRESS codes:vararg
    .irp code, \codes
    movb $\code, %al
    call press
    .endr
.endm

/* AX: the next key, 0 when there is none. */
key:
    KEYS 0x11
    jnz 1f
    xorw %ax, %ax
    ret
1:  movb $0x10, %ah
    int $0x16
    ret

test_key_interrupt:
    PRESS 0x1e, 0x9e
    call key
    EXPECT_EQ $0x1e61, %ax, "int 09h: a"
    PRESS 0x2a, 0x1e
    KEYS 2
    EXPECT_EQ $2, %al, "16h 02h: left shift is down"
    PRESS 0x9e, 0xaa
    call key
    EXPECT_EQ $0x1e41, %ax, "int 09h: shift-a"
    PRESS 0x3a, 0xba, 0x1e, 0x9e
    call key
    EXPECT_EQ $0x1e41, %ax, "int 09h: a with caps lock"
    PRESS 0x02, 0x82
    call key
    EXPECT_EQ $0x0231, %ax, "int 09h: 1 with caps lock"
    PRESS 0x3a, 0xba, 0x1d, 0x2e, 0xae, 0x9d
    call key
    EXPECT_EQ $0x2e03, %ax, "int 09h: ctrl-c"
    PRESS 0x38, 0x10, 0x90, 0xb8
    call key
    EXPECT_EQ $0x1000, %ax, "int 09h: alt-q"
    PRESS 0x3b, 0xbb
    call key
    EXPECT_EQ $0x3b00, %ax, "int 09h: F1"
    PRESS 0xe0, 0x48, 0xe0, 0xc8
    call key
    EXPECT_EQ $0x48e0, %ax, "int 09h: cursor up"
    PRESS 0x45, 0xc5, 0x47, 0xc7, 0x45, 0xc5
    call key
    EXPECT_EQ $0x4737, %ax, "int 09h: 7 of the keypad with num lock"
    PRESS 0x0f, 0x8f
    call key
    EXPECT_EQ $0x0f09, %ax, "int 09h: tab"
    PRESS 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5
    call key
    EXPECT_EQ $0, %ax, "int 09h: pause is no key"
    KEYS 2
    EXPECT_EQ $0, %al, "16h 02h: all keys are up"
    ret

/* Sends bytes to COM1's own receiver: its modem control register has a loop. */
.macro SERIAL bytes:vararg
    movw $0x3fc, %dx
    movb $0x13, %al
    outb %al, %dx
    movw $0x3f8, %dx
    .irp byte, \bytes
    movb $\byte, %al
    outb %al, %dx
    .endr
.endm

/*
 * AX: the next key from there; the loop is open again afterwards. Waits for a tick, as a UART may
 * take its time.
 */
serial_key:
    movl 0x46c, %eax
1:  hlt
    cmpl 0x46c, %eax
    je 1b
    call key
    pushw %ax
    movw $0x3fc, %dx
    movb $0x03, %al
    outb %al, %dx
    popw %ax
    ret

test_serial_keys:
    SERIAL 'a'
    call serial_key
    EXPECT_EQ $0x1e61, %ax, "COM1: a"
    SERIAL '?'
    call serial_key
    EXPECT_EQ $0x353f, %ax, "COM1: ?"
    SERIAL 3
    call serial_key
    EXPECT_EQ $0x2e03, %ax, "COM1: ctrl-c"
    SERIAL 10
    call serial_key
    EXPECT_EQ $0x1c0d, %ax, "COM1: a line feed is Enter"
    SERIAL 0x7f
    call serial_key
    EXPECT_EQ $0x0e08, %ax, "COM1: DEL is backspace"
    SERIAL 0x1b, '[', 'A'
    call serial_key
    EXPECT_EQ $0x48e0, %ax, "COM1: cursor up"
    SERIAL 0x1b, '[', '5', '~'
    call serial_key
    EXPECT_EQ $0x49e0, %ax, "COM1: page up"
    SERIAL 0x1b
    call serial_key
    EXPECT_EQ $0, %ax, "COM1: ESC alone has to wait"
    KEYS 0
    EXPECT_EQ $0x011b, %ax, "COM1: but comes"
    ret

test_ports:
    movb $3, %ah
    movw $0, %dx
    int $0x14
    testb $0x20, %ah
    EXPECT nz, "14h 03h: COM1 can send"
    movw $0x012e, %ax
    movw $0, %dx
    int $0x14
    testb $0x80, %ah
    EXPECT z, "14h 01h: sends"
    movw $0x0300, %ax
    movw $3, %dx
    int $0x14
    EXPECT_EQ $0x0300, %ax, "14h 03h: COM4 is not there"
    movb $2, %ah
    movw $0, %dx
    int $0x17
    testb $0x10, %ah
    EXPECT z, "17h 02h: no printer is selected"
    ret

    .data
string:
    .byte 'X', 0x07, 'Y', 0x70, 'Z', 0x07

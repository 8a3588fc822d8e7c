/*
 * The keyboard: INT 09h turns scan codes of set 1 into keys in the BDA's buffer; bytes from COM1
 * become keys by the same tables, read backwards. A key is (scan code << 8 | ASCII) as INT 16h
 * returns it. Source: IBM BIOS Interface Technical Reference, "Keyboard"; ECMA-48 for the arrow
 * keys of a terminal.
 */
#include "fw/rom/bda.h"
#include "fw/rom/parts.h"

#define KBC_DATA   0x60
#define KBC_STATUS 0x64

#define FLAG_RIGHT_SHIFT 0x01
#define FLAG_LEFT_SHIFT  0x02
#define FLAG_SHIFT       0x03
#define FLAG_CTRL        0x04
#define FLAG_ALT         0x08
#define FLAG_SCROLL_LOCK 0x10
#define FLAG_NUM_LOCK    0x20
#define FLAG_CAPS_LOCK   0x40
#define FLAG_INSERT      0x80

#define MODE_E1       0x01 /* in BDA_KEY_MODE: prefixes seen, and the enhanced keyboard */
#define MODE_E0       0x02
#define MODE_ENHANCED 0x10

#define SCAN_TAB   0x0f
#define SCAN_F1    0x3b
#define SCAN_F10   0x44
#define SCAN_KP7   0x47
#define SCAN_KPDOT 0x53
#define SCAN_F11   0x57
#define SCAN_F12   0x58

#define SERIAL_BYTES_A_POLL 16 /* a UART's FIFO */

/* ASCII by scan code 00h-39h, US layout. */
static const char plain[0x3a] =
    "\0\0331234567890-=\b\tqwertyuiop[]\r\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 ";
static const char shifted[0x3a] =
    "\0\033!@#$%^&*()_+\b\0QWERTYUIOP{}\r\0ASDFGHJKL:\"~\0|ZXCVBNM<>?\0*\0 ";
static const char keypad[] = "789-456+1230.";

/* What COM1's byte stream is in the middle of: nothing, ESC, ESC [ or ESC O, ESC [ digit. */
static uint8_t escape_state, escape_digit;
static uint32_t escape_time;

void kbd_init(void)
{
    bda_write16(BDA_KEY_HEAD, BDA_KEY_BUFFER);
    bda_write16(BDA_KEY_TAIL, BDA_KEY_BUFFER);
    bda_write16(BDA_KEY_START, BDA_KEY_BUFFER);
    bda_write16(BDA_KEY_END, BDA_KEY_BUFFER_END);
    bda_write8(BDA_KEY_MODE, MODE_ENHANCED);
}

bool kbd_put(uint16_t key)
{
    uint16_t tail = bda_read16(BDA_KEY_TAIL);
    uint16_t next = (uint16_t)(tail + 2);

    if (next >= bda_read16(BDA_KEY_END))
        next = bda_read16(BDA_KEY_START);
    if (next == bda_read16(BDA_KEY_HEAD))
        return false;
    bda_write16(tail, key);
    bda_write16(BDA_KEY_TAIL, next);
    return true;
}

static bool is_letter(char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

/* Control key with a scan code below 3Ah. Keys that have no control character give nothing. */
static uint16_t control_key(uint8_t scan)
{
    char c = plain[scan];

    if (is_letter(c) || (c >= '[' && c <= ']'))
        return (uint16_t)(scan << 8 | (c & 0x1f));
    switch (c) {
    case '2': return 0x0300;
    case '6': return 0x071e;
    case '-': return 0x0c1f;
    case '\b': return 0x0e7f;
    case '\r': return 0x1c0a;
    case '\t': return 0x9400;
    case 0x1b: return 0x011b;
    case ' ': return 0x3920;
    default: return 0;
    }
}

static uint16_t alt_key(uint8_t scan)
{
    if (scan >= 0x02 && scan <= 0x0d)
        return (uint16_t)((scan + 0x76) << 8); /* the row of digits */
    if (plain[scan] == ' ')
        return 0x3920;
    return (uint16_t)(scan << 8);
}

static uint16_t function_key(uint8_t scan, uint8_t flags)
{
    uint8_t step = flags & FLAG_ALT ? 3 : flags & FLAG_CTRL ? 2 : flags & FLAG_SHIFT ? 1 : 0;

    if (scan >= SCAN_F11)
        return (uint16_t)((0x85 + (scan - SCAN_F11) + 2 * step) << 8);
    return (uint16_t)((scan + (step ? 0x0f + 10 * step : 0)) << 8);
}

/* The keys 47h-53h: digits with NumLock or shift, else movement; with E0 always movement. */
static uint16_t keypad_key(uint8_t scan, uint8_t flags, bool extended)
{
    static const uint8_t with_ctrl[13] = {0x77, 0x8d, 0x84, 0x8e, 0x73, 0x8f, 0x74,
                                          0x90, 0x75, 0x91, 0x76, 0x92, 0x93};
    uint8_t index = (uint8_t)(scan - SCAN_KP7);
    uint8_t low = extended ? 0xe0 : 0;
    bool digits = !extended && ((flags & FLAG_NUM_LOCK) != 0) != ((flags & FLAG_SHIFT) != 0);

    if (flags & FLAG_CTRL)
        return (uint16_t)(with_ctrl[index] << 8 | low);
    if (flags & FLAG_ALT)
        return extended ? (uint16_t)((scan + 0x50) << 8) : 0;
    if (digits || keypad[index] == '-' || keypad[index] == '+')
        return (uint16_t)(scan << 8 | keypad[index]);
    return (uint16_t)(scan << 8 | low);
}

static uint16_t translate(uint8_t scan, uint8_t flags, bool extended)
{
    if (extended && scan == 0x1c)
        return flags & FLAG_ALT ? 0xa600 : flags & FLAG_CTRL ? 0xe00a : 0xe00d;
    if (extended && scan == 0x35)
        return flags & FLAG_ALT ? 0xa400 : flags & FLAG_CTRL ? 0x9500 : 0xe02f;
    if (scan >= SCAN_KP7 && scan <= SCAN_KPDOT)
        return keypad_key(scan, flags, extended);
    if ((scan >= SCAN_F1 && scan <= SCAN_F10) || scan == SCAN_F11 || scan == SCAN_F12)
        return function_key(scan, flags);
    if (extended || scan >= sizeof(plain) || (!plain[scan] && scan != 0x37))
        return 0;
    if (flags & FLAG_ALT)
        return alt_key(scan);
    if (flags & FLAG_CTRL)
        return control_key(scan);
    bool shift = flags & FLAG_SHIFT;
    if (is_letter(plain[scan]) && (flags & FLAG_CAPS_LOCK))
        shift = !shift;
    return (uint16_t)(scan << 8 | (uint8_t)(shift ? shifted[scan] : plain[scan]));
}

/* Shift and lock keys: true when the scan code was one of them. */
static bool modifier(uint8_t scan, bool down)
{
    uint8_t flags = bda_read8(BDA_KEY_FLAGS);
    uint8_t bit;

    switch (scan) {
    case 0x2a: bit = FLAG_LEFT_SHIFT; break;
    case 0x36: bit = FLAG_RIGHT_SHIFT; break;
    case 0x1d: bit = FLAG_CTRL; break;
    case 0x38: bit = FLAG_ALT; break;
    case 0x3a: bit = FLAG_CAPS_LOCK; break;
    case 0x45: bit = FLAG_NUM_LOCK; break;
    case 0x46: bit = FLAG_SCROLL_LOCK; break;
    default: return false;
    }
    if (bit >= FLAG_SCROLL_LOCK)
        flags ^= down ? bit : 0;
    else
        flags = (uint8_t)(down ? flags | bit : flags & ~bit);
    bda_write8(BDA_KEY_FLAGS, flags);
    bda_write8(BDA_KEY_LEDS, (uint8_t)((bda_read8(BDA_KEY_LEDS) & ~7) | (flags >> 4 & 7)));
    return true;
}

static void control_break(void)
{
    bda_write16(BDA_KEY_HEAD, bda_read16(BDA_KEY_START));
    bda_write16(BDA_KEY_TAIL, bda_read16(BDA_KEY_START));
    bda_write8(BDA_BREAK, 0x80);
    rom_call_interrupt(0x1b, 0);
    kbd_put(0);
}

static void scan_code(uint8_t code)
{
    uint8_t mode = bda_read8(BDA_KEY_MODE);
    uint8_t flags = bda_read8(BDA_KEY_FLAGS);
    uint8_t scan = code & 0x7f;
    bool down = !(code & 0x80), extended = mode & MODE_E0;

    if (code == 0xe0 || code == 0xe1) {
        bda_write8(BDA_KEY_MODE, mode | (code == 0xe0 ? MODE_E0 : MODE_E1));
        return;
    }
    if ((mode & MODE_E1) && scan == 0x1d)
        return; /* Pause is E1 1D 45: the prefix lasts for two codes */
    bda_write8(BDA_KEY_MODE, (uint8_t)(mode & ~(MODE_E0 | MODE_E1)));
    if (mode & MODE_E1)
        return;
    if (extended && (scan == 0x2a || scan == 0x36))
        return; /* shifts that the keyboard makes up */
    if (extended && scan == 0x46 && (flags & FLAG_CTRL)) {
        if (down)
            control_break();
        return;
    }
    if (modifier(scan, down) || !down)
        return;
    if (scan == SCAN_KPDOT && (flags & FLAG_CTRL) && (flags & FLAG_ALT)) {
        bda_write16(BDA_RESET_FLAG, 0x1234);
        outb(KBC_STATUS, 0xfe);
    }
    uint16_t key = translate(scan, flags, extended);
    if (scan == SCAN_TAB && (flags & FLAG_SHIFT) && !(flags & (FLAG_ALT | FLAG_CTRL)))
        key = 0x0f00;
    if (key)
        kbd_put(key);
}

void int09(struct regs *r)
{
    (void)r;
    if (inb(KBC_STATUS) & 1) {
        uint32_t code = inb(KBC_DATA);

        /* Whoever hooked INT 15h may change or, by CF clear, swallow the code. */
        code = rom_call_interrupt(0x15, 0x4f00 | code) & 0xff;
        if (call_carry)
            scan_code((uint8_t)code);
    }
    pic_end(1);
}

static uint16_t key_of_ascii(uint8_t c)
{
    if (c == '\n')
        c = '\r';
    if (c == 0x7f)
        c = '\b';
    for (uint8_t scan = 1; scan < sizeof(plain); scan++) {
        if (c && ((uint8_t)plain[scan] == c || (uint8_t)shifted[scan] == c))
            return (uint16_t)(scan << 8 | c);
    }
    for (uint8_t scan = 1; c < 0x20 && scan < sizeof(plain); scan++) {
        if (is_letter(plain[scan]) && (plain[scan] & 0x1f) == c)
            return (uint16_t)(scan << 8 | c);
    }
    return c; /* not on a US keyboard: no scan code */
}

/* The last byte of ESC [ x, and ESC [ n ~. 0 for what no PC key matches. */
static uint16_t key_of_escape(uint8_t last, uint8_t digit)
{
    static const uint8_t numbered[8] = {0x47, 0x52, 0x53, 0x4f, 0x49, 0x51, 0x47, 0x4f};

    switch (last) {
    case 'A': return 0x48e0;
    case 'B': return 0x50e0;
    case 'C': return 0x4de0;
    case 'D': return 0x4be0;
    case 'H': return 0x47e0;
    case 'F': return 0x4fe0;
    case 'P':
    case 'Q':
    case 'R':
    case 'S': return (uint16_t)((SCAN_F1 + last - 'P') << 8);
    case '~': return digit >= 1 && digit <= 8 ? (uint16_t)(numbered[digit - 1] << 8 | 0xe0) : 0;
    default: return 0;
    }
}

static void serial_byte(uint8_t c)
{
    uint16_t key = 0;

    if (escape_state == 1) {
        if (c == '[' || c == 'O') {
            escape_state = 2;
            return;
        }
        escape_state = 0;
        kbd_put(0x011b);
    } else if (escape_state == 2) {
        if (c >= '0' && c <= '9') {
            escape_digit = (uint8_t)(c - '0');
            return;
        }
        escape_state = 0;
        key = key_of_escape(c, escape_digit);
        if (key)
            kbd_put(key);
        return;
    }
    if (c == 0x1b) {
        escape_state = 1;
        escape_digit = 0;
        escape_time = wait_now();
        return;
    }
    kbd_put(key_of_ascii(c));
}

/* Two keys fit into the buffer: one byte can make as many, ESC and what follows it. */
static bool has_room(void)
{
    uint16_t next = bda_read16(BDA_KEY_TAIL);

    for (uint8_t i = 0; i < 2; i++) {
        next = (uint16_t)(next + 2);
        if (next >= bda_read16(BDA_KEY_END))
            next = bda_read16(BDA_KEY_START);
        if (next == bda_read16(BDA_KEY_HEAD))
            return false;
    }
    return true;
}

void kbd_poll_serial(void)
{
    uint8_t c;

    for (uint8_t i = 0; i < SERIAL_BYTES_A_POLL; i++) {
        if (!has_room())
            return; /* the bytes wait in the UART */
        if (!serial_read(&c))
            break;
        serial_byte(c);
    }
    if (escape_state == 1 && wait_escape_is_over(escape_time)) {
        escape_state = 0;
        kbd_put(0x011b); /* ESC alone */
    }
}

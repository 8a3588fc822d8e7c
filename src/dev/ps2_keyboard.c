/* The PS/2 keyboard's command interpreter and its typist; see ps2_keyboard.h. */
#include "dev/ps2_keyboard.h"

#include <string.h>

/* Commands to the keyboard. */
#define CMD_LEDS      0xed
#define CMD_ECHO      0xee
#define CMD_CODE_SET  0xf0
#define CMD_IDENTIFY  0xf2
#define CMD_TYPEMATIC 0xf3
#define CMD_ENABLE    0xf4
#define CMD_DISABLE   0xf5
#define CMD_DEFAULTS  0xf6
#define CMD_ALL_FIRST 0xf7 /* F7h to FAh: key modes of all keys */
#define CMD_ALL_LAST  0xfa
#define CMD_KEY_FIRST 0xfb /* FBh to FDh: the mode of the keys that follow */
#define CMD_KEY_LAST  0xfd
#define CMD_RESEND    0xfe
#define CMD_RESET     0xff
#define CMD_FIRST     0xed /* a byte from here on is a command even where a parameter is due */

/* What it says. */
#define SAY_SELF_TEST_OK 0xaa
#define SAY_ACK          0xfa
#define SAY_RESEND       0xfe
#define SAY_ID_0         0xab
#define SAY_ID_1         0x83

#define SET2_BREAK 0xf0
#define SET1_BREAK 0x80

#define KEY_SHIFT 0x12
#define KEY_CTRL  0x14

#define SHIFTED 0x80 /* in the table below; no key of it has a code of 80h or more */

/* The key of each printable character on a US keyboard, in set 2, from 20h on. */
static const uint8_t ascii_keys[96] = {
    0x29,           0x16 | SHIFTED, 0x52 | SHIFTED, 0x26 | SHIFTED, /*   ! " # */
    0x25 | SHIFTED, 0x2e | SHIFTED, 0x3d | SHIFTED, 0x52,           /* $ % & ' */
    0x46 | SHIFTED, 0x45 | SHIFTED, 0x3e | SHIFTED, 0x55 | SHIFTED, /* ( ) * + */
    0x41,           0x4e,           0x49,           0x4a,           /* , - . / */
    0x45,           0x16,           0x1e,           0x26,           /* 0 1 2 3 */
    0x25,           0x2e,           0x36,           0x3d,           /* 4 5 6 7 */
    0x3e,           0x46,           0x4c | SHIFTED, 0x4c,           /* 8 9 : ; */
    0x41 | SHIFTED, 0x55,           0x49 | SHIFTED, 0x4a | SHIFTED, /* < = > ? */
    0x1e | SHIFTED, 0x1c | SHIFTED, 0x32 | SHIFTED, 0x21 | SHIFTED, /* @ A B C */
    0x23 | SHIFTED, 0x24 | SHIFTED, 0x2b | SHIFTED, 0x34 | SHIFTED, /* D E F G */
    0x33 | SHIFTED, 0x43 | SHIFTED, 0x3b | SHIFTED, 0x42 | SHIFTED, /* H I J K */
    0x4b | SHIFTED, 0x3a | SHIFTED, 0x31 | SHIFTED, 0x44 | SHIFTED, /* L M N O */
    0x4d | SHIFTED, 0x15 | SHIFTED, 0x2d | SHIFTED, 0x1b | SHIFTED, /* P Q R S */
    0x2c | SHIFTED, 0x3c | SHIFTED, 0x2a | SHIFTED, 0x1d | SHIFTED, /* T U V W */
    0x22 | SHIFTED, 0x35 | SHIFTED, 0x1a | SHIFTED, 0x54,           /* X Y Z [ */
    0x5d,           0x5b,           0x36 | SHIFTED, 0x4e | SHIFTED, /* \ ] ^ _ */
    0x0e,           0x1c,           0x32,           0x21,           /* ` a b c */
    0x23,           0x24,           0x2b,           0x34,           /* d e f g */
    0x33,           0x43,           0x3b,           0x42,           /* h i j k */
    0x4b,           0x3a,           0x31,           0x44,           /* l m n o */
    0x4d,           0x15,           0x2d,           0x1b,           /* p q r s */
    0x2c,           0x3c,           0x2a,           0x1d,           /* t u v w */
    0x22,           0x35,           0x1a,           0x54 | SHIFTED, /* x y z { */
    0x5d | SHIFTED, 0x5b | SHIFTED, 0x0e | SHIFTED, 0x66,           /* | } ~ Backspace */
};

/* Keys of the control characters that have one of their own. */
static const struct {
    uint8_t ascii, key;
} control_keys[] = {
    {'\b', 0x66}, {'\t', 0x0d}, {'\n', 0x5a}, {'\r', 0x5a}, {0x1b, 0x76},
};

/*
 * Set 2 to set 1, as the mask ROM of the AT's controller has it: each byte up to 7Fh, also those
 * of no key, such as the number of a scan code set, which a keyboard may answer (43h, 41h and 3Fh
 * arrive) and 00h, its overrun. Of the codes from 80h on all but two pass: a 0 here.
 */
static const uint8_t set1_codes[0x85] = {
    [0x00] = 0xff, [0x01] = 0x43, [0x02] = 0x41, [0x03] = 0x3f, [0x04] = 0x3d, [0x05] = 0x3b,
    [0x06] = 0x3c, [0x07] = 0x58, [0x08] = 0x64, [0x09] = 0x44, [0x0a] = 0x42, [0x0b] = 0x40,
    [0x0c] = 0x3e, [0x0d] = 0x0f, [0x0e] = 0x29, [0x0f] = 0x59, [0x10] = 0x65, [0x11] = 0x38,
    [0x12] = 0x2a, [0x13] = 0x70, [0x14] = 0x1d, [0x15] = 0x10, [0x16] = 0x02, [0x17] = 0x5a,
    [0x18] = 0x66, [0x19] = 0x71, [0x1a] = 0x2c, [0x1b] = 0x1f, [0x1c] = 0x1e, [0x1d] = 0x11,
    [0x1e] = 0x03, [0x1f] = 0x5b, [0x20] = 0x67, [0x21] = 0x2e, [0x22] = 0x2d, [0x23] = 0x20,
    [0x24] = 0x12, [0x25] = 0x05, [0x26] = 0x04, [0x27] = 0x5c, [0x28] = 0x68, [0x29] = 0x39,
    [0x2a] = 0x2f, [0x2b] = 0x21, [0x2c] = 0x14, [0x2d] = 0x13, [0x2e] = 0x06, [0x2f] = 0x5d,
    [0x30] = 0x69, [0x31] = 0x31, [0x32] = 0x30, [0x33] = 0x23, [0x34] = 0x22, [0x35] = 0x15,
    [0x36] = 0x07, [0x37] = 0x5e, [0x38] = 0x6a, [0x39] = 0x72, [0x3a] = 0x32, [0x3b] = 0x24,
    [0x3c] = 0x16, [0x3d] = 0x08, [0x3e] = 0x09, [0x3f] = 0x5f, [0x40] = 0x6b, [0x41] = 0x33,
    [0x42] = 0x25, [0x43] = 0x17, [0x44] = 0x18, [0x45] = 0x0b, [0x46] = 0x0a, [0x47] = 0x60,
    [0x48] = 0x6c, [0x49] = 0x34, [0x4a] = 0x35, [0x4b] = 0x26, [0x4c] = 0x27, [0x4d] = 0x19,
    [0x4e] = 0x0c, [0x4f] = 0x61, [0x50] = 0x6d, [0x51] = 0x73, [0x52] = 0x28, [0x53] = 0x74,
    [0x54] = 0x1a, [0x55] = 0x0d, [0x56] = 0x62, [0x57] = 0x6e, [0x58] = 0x3a, [0x59] = 0x36,
    [0x5a] = 0x1c, [0x5b] = 0x1b, [0x5c] = 0x75, [0x5d] = 0x2b, [0x5e] = 0x63, [0x5f] = 0x76,
    [0x60] = 0x55, [0x61] = 0x56, [0x62] = 0x77, [0x63] = 0x78, [0x64] = 0x79, [0x65] = 0x7a,
    [0x66] = 0x0e, [0x67] = 0x7b, [0x68] = 0x7c, [0x69] = 0x4f, [0x6a] = 0x7d, [0x6b] = 0x4b,
    [0x6c] = 0x47, [0x6d] = 0x7e, [0x6e] = 0x7f, [0x6f] = 0x6f, [0x70] = 0x52, [0x71] = 0x53,
    [0x72] = 0x50, [0x73] = 0x4c, [0x74] = 0x4d, [0x75] = 0x48, [0x76] = 0x01, [0x77] = 0x45,
    [0x78] = 0x57, [0x79] = 0x4e, [0x7a] = 0x51, [0x7b] = 0x4a, [0x7c] = 0x37, [0x7d] = 0x49,
    [0x7e] = 0x46, [0x7f] = 0x54, [0x83] = 0x41, [0x84] = 0x54,
};

uint8_t ps2_set2_to_set1(uint8_t code)
{
    if (code < ARRAY_SIZE(set1_codes) && set1_codes[code])
        return set1_codes[code];
    return code;
}

static void say(struct ps2_keyboard *kbd, uint8_t byte)
{
    if (kbd->count == PS2_QUEUE_SIZE)
        return; /* a guest that never reads loses answers, as with a real one */
    kbd->queue[(kbd->head + kbd->count) % PS2_QUEUE_SIZE] = byte;
    kbd->count++;
}

static void clear_output(struct ps2_keyboard *kbd)
{
    kbd->head = kbd->count = 0;
}

static void set_defaults(struct ps2_keyboard *kbd)
{
    kbd->code_set = 2;
    kbd->leds = 0;
    kbd->parameter_of = 0;
}

void ps2_keyboard_init(struct ps2_keyboard *kbd)
{
    memset(kbd, 0, sizeof(*kbd));
    set_defaults(kbd);
    kbd->scanning = true;
}

bool ps2_keyboard_sound(const struct ps2_keyboard *kbd)
{
    switch (kbd->parameter_of) {
    case 0:
    case CMD_LEDS:
    case CMD_CODE_SET:
    case CMD_TYPEMATIC: break;
    default:
        if (kbd->parameter_of < CMD_KEY_FIRST || kbd->parameter_of > CMD_KEY_LAST)
            return false;
    }
    return kbd->head < PS2_QUEUE_SIZE && kbd->count <= PS2_QUEUE_SIZE && kbd->leds <= 7 &&
           kbd->code_set >= 1 && kbd->code_set <= 3;
}

static void parameter(struct ps2_keyboard *kbd, uint8_t byte)
{
    uint8_t command = kbd->parameter_of;

    if (command < CMD_KEY_FIRST) /* the list of keys goes on until the next command */
        kbd->parameter_of = 0;
    if (command == CMD_CODE_SET && byte > 3) {
        say(kbd, SAY_RESEND);
        return;
    }
    say(kbd, SAY_ACK);
    if (command == CMD_LEDS)
        kbd->leds = byte & 7;
    else if (command == CMD_CODE_SET && byte == 0)
        say(kbd, kbd->code_set);
    else if (command == CMD_CODE_SET)
        kbd->code_set = byte;
}

static void command_with_parameter(struct ps2_keyboard *kbd, uint8_t command)
{
    kbd->parameter_of = command;
    say(kbd, SAY_ACK);
}

void ps2_keyboard_command(struct ps2_keyboard *kbd, uint8_t byte)
{
    if (kbd->parameter_of && byte < CMD_FIRST) {
        parameter(kbd, byte);
        return;
    }
    kbd->parameter_of = 0;
    switch (byte) {
    case CMD_LEDS:
    case CMD_CODE_SET:
    case CMD_TYPEMATIC: command_with_parameter(kbd, byte); return;
    case CMD_ECHO: say(kbd, CMD_ECHO); return;
    case CMD_IDENTIFY:
        say(kbd, SAY_ACK);
        say(kbd, SAY_ID_0);
        say(kbd, SAY_ID_1);
        return;
    case CMD_ENABLE:
    case CMD_DISABLE:
        clear_output(kbd);
        if (byte == CMD_DISABLE)
            set_defaults(kbd);
        kbd->scanning = byte == CMD_ENABLE;
        say(kbd, SAY_ACK);
        return;
    case CMD_DEFAULTS:
        clear_output(kbd);
        set_defaults(kbd);
        say(kbd, SAY_ACK);
        return;
    case CMD_RESEND: say(kbd, kbd->last); return;
    case CMD_RESET:
        ps2_keyboard_init(kbd);
        say(kbd, SAY_ACK);
        say(kbd, SAY_SELF_TEST_OK);
        return;
    }
    if (byte >= CMD_KEY_FIRST && byte <= CMD_KEY_LAST)
        command_with_parameter(kbd, byte);
    else
        say(kbd, byte >= CMD_ALL_FIRST && byte <= CMD_ALL_LAST ? SAY_ACK : SAY_RESEND);
}

uint8_t ps2_keyboard_take(struct ps2_keyboard *kbd)
{
    uint8_t byte;

    if (kbd->count == 0)
        return 0;
    byte = kbd->queue[kbd->head];
    kbd->head = (kbd->head + 1) % PS2_QUEUE_SIZE;
    kbd->count--;
    if (byte != SAY_RESEND)
        kbd->last = byte;
    return byte;
}

bool ps2_keyboard_keys(struct ps2_keyboard *kbd, const uint8_t *codes, size_t count)
{
    bool released = false;

    if (!kbd->scanning || count > PS2_QUEUE_SIZE - kbd->count)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (kbd->code_set != 1) {
            say(kbd, codes[i]);
        } else if (codes[i] == SET2_BREAK) {
            released = true;
        } else {
            say(kbd, ps2_set2_to_set1(codes[i]) | (released ? SET1_BREAK : 0));
            released = false;
        }
    }
    return true;
}

/* The key, and the one to hold down meanwhile (0: none), that type a character; 0: there is none.
 */
static uint8_t key_of(uint8_t ascii, uint8_t *hold)
{
    uint8_t entry;

    *hold = 0;
    for (size_t i = 0; i < ARRAY_SIZE(control_keys); i++) {
        if (control_keys[i].ascii == ascii)
            return control_keys[i].key;
    }
    if (ascii >= 128)
        return 0;
    if (ascii < 32) { /* as the terminal makes them: Ctrl and the character 40h above */
        *hold = KEY_CTRL;
        return ascii_keys[(ascii | 0x40) - 32] & ~SHIFTED;
    }
    entry = ascii_keys[ascii - 32];
    if (entry & SHIFTED)
        *hold = KEY_SHIFT;
    return entry & ~SHIFTED;
}

bool ps2_keyboard_type(struct ps2_keyboard *kbd, uint8_t ascii)
{
    uint8_t codes[6], hold;
    uint8_t key = key_of(ascii, &hold);
    size_t n = 0;

    if (!key)
        return true;
    if (hold)
        codes[n++] = hold;
    codes[n++] = key;
    codes[n++] = SET2_BREAK;
    codes[n++] = key;
    if (hold) {
        codes[n++] = SET2_BREAK;
        codes[n++] = hold;
    }
    return ps2_keyboard_keys(kbd, codes, n);
}

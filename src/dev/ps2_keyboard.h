/*
 * A PS/2 keyboard at the end of its cable: commands in, acknowledges and scan codes out. The i8042
 * stands between it and the guest.
 *
 * Refused: scan code set 3 for keys (DEVIATION: it may be chosen and is reported, keys then still
 * send set 2), typematic repeat, break suppression of single keys.
 * Specification: IBM PS/2 Hardware Interface Technical Reference, "101- and 102-Key Keyboards".
 */
#ifndef UMBRA_DEV_PS2_KEYBOARD_H
#define UMBRA_DEV_PS2_KEYBOARD_H

#include "base/types.h"

#define PS2_QUEUE_SIZE 256 /* more than the 16 of a real one, so that text can be typed ahead */

struct ps2_keyboard {
    uint8_t queue[PS2_QUEUE_SIZE];
    unsigned head, count;
    uint8_t parameter_of; /* the command that waits for its parameter; 0: none */
    uint8_t last;         /* for "resend" */
    uint8_t leds;         /* bit 0 scroll, 1 num, 2 caps */
    uint8_t code_set;     /* 1 to 3 */
    bool scanning;
};

/* As after power-on and a passed self test; nothing is queued. */
void ps2_keyboard_init(struct ps2_keyboard *kbd);

/* Whether values of a saved keyboard are such as the functions below make. */
bool ps2_keyboard_sound(const struct ps2_keyboard *kbd);

/* A byte from the controller: a command or a parameter. The answer is queued. */
void ps2_keyboard_command(struct ps2_keyboard *kbd, uint8_t byte);

static inline bool ps2_keyboard_has_output(const struct ps2_keyboard *kbd)
{
    return kbd->count != 0;
}

/* The next byte to the controller; 0 when there is none. */
uint8_t ps2_keyboard_take(struct ps2_keyboard *kbd);

/*
 * Queues raw scan codes (set 2, F0h before a break), all or nothing. False when there is no room or
 * the guest has stopped the scanning.
 */
bool ps2_keyboard_keys(struct ps2_keyboard *kbd, const uint8_t *codes, size_t count);

/*
 * Presses and releases the keys of a US keyboard that type an ASCII character; '\n' and '\r' are
 * Enter, 8 and 127 Backspace, other control characters Ctrl and their letter. False as above;
 * a byte above 127 has no key and is swallowed.
 */
bool ps2_keyboard_type(struct ps2_keyboard *kbd, uint8_t ascii);

/* The i8042's translation of one byte, be it a code of set 2 or an answer; without a break bit. */
uint8_t ps2_set2_to_set1(uint8_t code);

#endif

/*
 * INT 16h: keys from the BDA's buffer, which INT 09h and COM1 fill.
 * Source: IBM BIOS Interface Technical Reference, INT 16h.
 */
#include "fw/rom/bda.h"
#include "fw/rom/parts.h"

/* The oldest key; false when there is none. */
static bool peek(uint16_t *key)
{
    uint16_t head = bda_read16(BDA_KEY_HEAD);

    if (head == bda_read16(BDA_KEY_TAIL))
        return false;
    *key = bda_read16(head);
    return true;
}

static void drop(void)
{
    uint16_t head = (uint16_t)(bda_read16(BDA_KEY_HEAD) + 2);

    if (head >= bda_read16(BDA_KEY_END))
        head = bda_read16(BDA_KEY_START);
    bda_write16(BDA_KEY_HEAD, head);
}

/* What a program that knows 84 keys only gets to see. */
static uint16_t to_classic(uint16_t key)
{
    if ((key & 0xff00) == 0xe000)
        return key == 0xe02f ? 0x352f : (uint16_t)(0x1c00 | (key & 0xff));
    return (key & 0xff) == 0xe0 && (key & 0xff00) ? (uint16_t)(key & 0xff00) : key;
}

static bool classic_knows(uint16_t key)
{
    return (key & 0xff) || (key >> 8) <= 0x84;
}

/* Drops keys that a classic caller must not see, then looks. */
static bool look(uint16_t *key, bool enhanced)
{
    kbd_poll_serial();
    while (peek(key)) {
        if (enhanced)
            return true;
        if (classic_knows(to_classic(*key))) {
            *key = to_classic(*key);
            return true;
        }
        drop();
    }
    return false;
}

static void read_key(struct regs *r, bool enhanced)
{
    uint16_t key;

    while (!look(&key, enhanced)) {
        if (!serial_listen())
            rom_idle();
    }
    drop();
    r->ax = key;
}

static void check_key(struct regs *r, bool enhanced)
{
    uint16_t key;

    if (look(&key, enhanced)) {
        r->ax = key;
        r->flags = (uint16_t)(r->flags & ~FLAG_ZF);
    } else {
        r->flags |= FLAG_ZF;
    }
}

void int16(struct regs *r)
{
    switch (r->ah) {
    case 0x00: read_key(r, false); break;
    case 0x01: check_key(r, false); break;
    case 0x02: r->al = bda_read8(BDA_KEY_FLAGS); break;
    case 0x03: break; /* typematic rate: the keyboard's default stays */
    case 0x05: r->al = !kbd_put(r->cx); break;
    case 0x09: r->al = 0x20; break; /* 10h-12h are there */
    case 0x10: read_key(r, true); break;
    case 0x11: check_key(r, true); break;
    case 0x12:
        r->al = bda_read8(BDA_KEY_FLAGS);
        r->ah = bda_read8(BDA_KEY_FLAGS_2);
        break;
    default: break;
    }
}

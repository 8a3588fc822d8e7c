/*
 * One channel of the 8254: what it counts, as a function of the tick. pit.c gives it ports and
 * time. A tick is one cycle of the 1193182 Hz input since the start of the virtual clock.
 * Specification: Intel 8254 data sheet (231164-005), "Mode Definitions".
 */
#ifndef UMBRA_DEV_PIT_CHANNEL_H
#define UMBRA_DEV_PIT_CHANNEL_H

#include "base/types.h"

#define PIT_TICK_NEVER UINT64_MAX

/* Which bytes of the count a port access carries (bits 5..4 of the control word). */
enum pit_access {
    PIT_ACCESS_LATCH = 0,
    PIT_ACCESS_LOW = 1,
    PIT_ACCESS_HIGH = 2,
    PIT_ACCESS_BOTH = 3,
};

enum pit_mode {
    PIT_TERMINAL_COUNT = 0,
    PIT_ONE_SHOT = 1,
    PIT_RATE = 2,
    PIT_SQUARE = 3,
    PIT_STROBE = 4,
    PIT_HARDWARE_STROBE = 5,
};

struct pit_channel {
    enum pit_mode mode;
    enum pit_access access;
    bool bcd;
    bool gate;
    bool programmed;  /* a control word came since the reset */
    bool null_count;  /* the count written last is not yet being counted */
    bool written;     /* a whole count was written since the control word */
    bool loaded;      /* a count is being counted */
    bool running;     /* false: frozen by the gate */
    bool load_low;    /* mode 3: the load at load_at begins a low half */
    uint32_t count;   /* as written, 1 to 65536 (10000 in BCD) */
    uint32_t period;  /* as loaded */
    uint64_t load_at; /* the tick at which count becomes period; PIT_TICK_NEVER: none is due */
    uint64_t since;   /* running: the tick at which counting began */
    uint64_t frozen;  /* not running: ticks counted so far */
};

/* Whether values of a saved channel are such as the functions below make. */
bool pit_channel_sound(const struct pit_channel *ch);

/* A control word: the mode is taken, counting stops until a count is written. */
void pit_channel_program(struct pit_channel *ch, enum pit_mode mode, enum pit_access access,
                         bool bcd);

/* The first of two count bytes of mode 0: it stops the counting. */
void pit_channel_half_written(struct pit_channel *ch);

/* A whole count (16 bits, BCD digits if so programmed) written at a tick. */
void pit_channel_write(struct pit_channel *ch, uint16_t value, uint64_t tick);

void pit_channel_set_gate(struct pit_channel *ch, bool gate, uint64_t tick);

/* Takes over a count whose load is due; every question below wants this first. */
void pit_channel_sync(struct pit_channel *ch, uint64_t tick);

uint16_t pit_channel_count(const struct pit_channel *ch, uint64_t tick);
bool pit_channel_out(const struct pit_channel *ch, uint64_t tick);

/* The first tick after this one at which OUT rises; PIT_TICK_NEVER: it won't by itself. */
uint64_t pit_channel_next_rise(const struct pit_channel *ch, uint64_t tick);

/* Ticks between two rises in the periodic modes, 0 in the others and when OUT never moves. */
uint32_t pit_channel_period(const struct pit_channel *ch);

#endif

/*
 * One 8254 channel in closed form. elapsed() is how many cycles of the input the counting element
 * has seen since its load; count and OUT follow from it:
 *
 *   mode 2, N = 3            mode 3, N = 5 (high 3, low 2)
 *   elapsed 0 1 2 0 1 2      elapsed 0 1 2 3 4 0
 *   count   3 2 1 3 2 1      count   4 2 0 4 2 4
 *   OUT     1 1 0 1 1 0      OUT     1 1 1 0 0 1
 */
#include "dev/pit_channel.h"

#define BINARY_MODULUS 0x10000
#define BCD_MODULUS    10000

static uint32_t modulus(const struct pit_channel *ch)
{
    return ch->bcd ? BCD_MODULUS : BINARY_MODULUS;
}

static bool periodic(const struct pit_channel *ch)
{
    return ch->mode == PIT_RATE || ch->mode == PIT_SQUARE;
}

/* Modes 1 and 5 are started by a rise of GATE and do not care for its level. */
static bool triggered(const struct pit_channel *ch)
{
    return ch->mode == PIT_ONE_SHOT || ch->mode == PIT_HARDWARE_STROBE;
}

static uint32_t high_ticks(uint32_t period)
{
    return (period + 1) / 2;
}

static uint32_t from_bcd(uint16_t digits)
{
    return (uint32_t)(digits & 15) + 10u * ((digits >> 4) & 15) + 100u * ((digits >> 8) & 15) +
           1000u * (digits >> 12);
}

static uint16_t to_bcd(uint32_t value)
{
    return (uint16_t)(value % 10 | (value / 10 % 10) << 4 | (value / 100 % 10) << 8 |
                      (value / 1000 % 10) << 12);
}

bool pit_channel_sound(const struct pit_channel *ch)
{
    bool counts = ch->written || ch->load_at != PIT_TICK_NEVER;

    return ch->mode <= PIT_HARDWARE_STROBE && ch->access <= PIT_ACCESS_BOTH &&
           ch->count <= BINARY_MODULUS && ch->period <= BINARY_MODULUS &&
           (!counts || ch->count > 0) && (!ch->loaded || ch->period > 0);
}

static uint64_t elapsed(const struct pit_channel *ch, uint64_t tick)
{
    return ch->running ? tick - ch->since : ch->frozen;
}

void pit_channel_program(struct pit_channel *ch, enum pit_mode mode, enum pit_access access,
                         bool bcd)
{
    bool gate = ch->gate;

    *ch = (struct pit_channel){
        .mode = mode,
        .access = access,
        .bcd = bcd,
        .gate = gate,
        .programmed = true,
        .null_count = true,
        .load_at = PIT_TICK_NEVER,
    };
}

void pit_channel_half_written(struct pit_channel *ch)
{
    if (ch->mode != PIT_TERMINAL_COUNT)
        return;
    ch->loaded = false;
    ch->load_at = PIT_TICK_NEVER;
}

/* When a count written now is loaded: at once, or at the end of the period that runs. */
static uint64_t load_tick(struct pit_channel *ch, uint64_t tick)
{
    uint64_t into, high;

    ch->load_low = false;
    if (triggered(ch))
        return PIT_TICK_NEVER; /* the trigger loads it */
    if (!periodic(ch))
        return tick + 1;
    if (!ch->gate)
        return PIT_TICK_NEVER; /* the rise of GATE loads it */
    if (!ch->loaded)
        return tick + 1;
    into = elapsed(ch, tick) % ch->period;
    high = high_ticks(ch->period);
    if (ch->mode == PIT_RATE || into >= high)
        return tick + (ch->period - into);
    ch->load_low = true;
    return tick + (high - into);
}

void pit_channel_write(struct pit_channel *ch, uint16_t value, uint64_t tick)
{
    pit_channel_sync(ch, tick);
    ch->count = ch->bcd ? from_bcd(value) : value;
    if (ch->count == 0)
        ch->count = modulus(ch);
    ch->written = true;
    ch->null_count = true;
    if (ch->load_at == PIT_TICK_NEVER)
        ch->load_at = load_tick(ch, tick);
}

void pit_channel_set_gate(struct pit_channel *ch, bool gate, uint64_t tick)
{
    bool rise = gate && !ch->gate;

    pit_channel_sync(ch, tick);
    if (gate == ch->gate)
        return;
    ch->gate = gate;
    if (triggered(ch) || periodic(ch)) {
        if (rise && ch->written)
            ch->load_at = tick + 1;
        ch->load_low = false;
        if (periodic(ch) && !rise) { /* stopped: the rise will load anew */
            ch->frozen = elapsed(ch, tick);
            ch->running = false;
            ch->load_at = PIT_TICK_NEVER;
        }
        return;
    }
    if (rise) {
        ch->since = tick - ch->frozen;
    } else {
        ch->frozen = elapsed(ch, tick);
    }
    ch->running = gate;
}

void pit_channel_sync(struct pit_channel *ch, uint64_t tick)
{
    if (ch->load_at > tick)
        return;
    ch->period = ch->count;
    ch->since = ch->load_at;
    if (ch->load_low) /* as if the high half had just gone by */
        ch->since -= high_ticks(ch->period);
    ch->frozen = 0;
    ch->running = ch->gate || triggered(ch);
    ch->loaded = true;
    ch->null_count = false;
    ch->load_low = false;
    ch->load_at = PIT_TICK_NEVER;
}

uint16_t pit_channel_count(const struct pit_channel *ch, uint64_t tick)
{
    uint32_t value = 0;
    uint64_t done = elapsed(ch, tick);

    if (!ch->loaded) {
        value = ch->count;
    } else if (ch->mode == PIT_RATE) {
        value = ch->period - (uint32_t)(done % ch->period);
    } else if (ch->mode == PIT_SQUARE) {
        uint32_t into = (uint32_t)(done % ch->period);

        if (into >= high_ticks(ch->period))
            into -= high_ticks(ch->period);
        value = (ch->period & ~1u) - 2 * into;
    } else { /* these count on below zero */
        uint32_t m = modulus(ch);

        value = (uint32_t)((ch->period + m - done % m) % m);
    }
    return ch->bcd ? to_bcd(value % BCD_MODULUS) : (uint16_t)value;
}

bool pit_channel_out(const struct pit_channel *ch, uint64_t tick)
{
    uint64_t done = elapsed(ch, tick);

    if (!ch->programmed)
        return false;
    switch (ch->mode) {
    case PIT_TERMINAL_COUNT: return ch->loaded && done >= ch->period;
    case PIT_ONE_SHOT: return !ch->loaded || done >= ch->period;
    case PIT_RATE: return !ch->loaded || !ch->running || done % ch->period != ch->period - 1;
    case PIT_SQUARE:
        return !ch->loaded || !ch->running || done % ch->period < high_ticks(ch->period);
    case PIT_STROBE:
    case PIT_HARDWARE_STROBE: return !ch->loaded || done != ch->period;
    }
    return true;
}

/* The next rise if no load is due any more. */
static uint64_t next_rise_loaded(const struct pit_channel *ch, uint64_t tick)
{
    uint64_t done = elapsed(ch, tick), edge = 0;

    if (!ch->loaded || !ch->running)
        return PIT_TICK_NEVER;
    switch (ch->mode) {
    case PIT_TERMINAL_COUNT:
    case PIT_ONE_SHOT: edge = ch->period; break;
    case PIT_STROBE:
    case PIT_HARDWARE_STROBE: edge = (uint64_t)ch->period + 1; break;
    case PIT_RATE:
    case PIT_SQUARE:
        if (ch->period == 1) /* OUT never moves; the data sheet forbids it */
            return PIT_TICK_NEVER;
        edge = (done / ch->period + 1) * ch->period;
        break;
    }
    return done < edge ? ch->since + edge : PIT_TICK_NEVER;
}

uint64_t pit_channel_next_rise(const struct pit_channel *ch, uint64_t tick)
{
    struct pit_channel later;
    uint64_t rise;

    if (ch->load_at == PIT_TICK_NEVER)
        return next_rise_loaded(ch, tick);
    /* What runs may rise until the load comes; the load itself ends a period in mode 2 and 3. */
    rise = next_rise_loaded(ch, tick);
    if (rise <= ch->load_at)
        return rise;
    later = *ch;
    pit_channel_sync(&later, ch->load_at);
    if (!pit_channel_out(ch, ch->load_at - 1) && pit_channel_out(&later, ch->load_at))
        return ch->load_at;
    return next_rise_loaded(&later, ch->load_at);
}

uint32_t pit_channel_period(const struct pit_channel *ch)
{
    return ch->loaded && ch->running && periodic(ch) && ch->period > 1 ? ch->period : 0;
}

/*
 * The HPET. The counter is computed from the clock; a comparator arms a timer for its match.
 * Line levels are computed anew at each change, so that timers may share a pin.
 *
 * DEVIATION: periodic interrupts come no faster than PERIOD_MIN_NS, and a comparator whose
 * interrupt is disabled stands still until it is enabled, which then catches up.
 */
#include "dev/hpet.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/trace.h"

#define PERIOD_MIN_NS (20 * NS_PER_US)

/* Offsets of the 64-bit registers. */
#define REG_CAPABILITY 0x000
#define REG_CONFIG     0x010
#define REG_STATUS     0x020
#define REG_COUNTER    0x0f0
#define REG_TIMERS     0x100
#define TIMER_STRIDE   0x20
#define TIMER_CONFIG   0x00
#define TIMER_COMPARE  0x08

/* Vendor 8086h, legacy replacement, 64-bit counter, three timers, revision 1. */
#define CAPABILITY (0x8086a201u | (uint64_t)HPET_PERIOD_FS << 32)

#define CONFIG_ENABLE BIT(0)
#define CONFIG_LEGACY BIT(1)

/* A timer's configuration: what software writes, and what it finds there. */
#define TN_LEVEL        BIT(1)
#define TN_ENABLE       BIT(2)
#define TN_PERIODIC     BIT(3)
#define TN_CAN_PERIODIC BIT(4)
#define TN_CAN_64       BIT(5)
#define TN_SET_VALUE    BIT(6)
#define TN_32_BIT       BIT(8)
#define TN_ROUTE_SHIFT  9
#define TN_ROUTE        (0x1fu << TN_ROUTE_SHIFT)
#define TN_WRITABLE     (TN_LEVEL | TN_ENABLE | TN_PERIODIC | TN_SET_VALUE | TN_32_BIT | TN_ROUTE)
#define TN_CAPABILITY   (TN_CAN_PERIODIC | TN_CAN_64 | (uint64_t)HPET_ROUTE_CAP << 32)

/* Beyond this many ticks a match is never seen: some hundred years. */
#define FAR_AWAY_TICKS BIT(58)

struct hpet_timer {
    struct hpet *hpet;
    struct timer timer;
    uint64_t config; /* the writable bits, without TN_SET_VALUE once it is used */
    uint64_t comparator;
    uint64_t period; /* the last value written to the comparator */
};

struct hpet {
    struct hpet_config board;
    uint64_t config;
    uint64_t status;
    uint64_t counter; /* at start_ns */
    uint64_t start_ns;
    struct hpet_timer timers[HPET_TIMERS];
    bool inputs[HPET_LEGACY_LINES];
    bool pin_level[HPET_PINS]; /* as last driven */
    bool legacy_level[HPET_LEGACY_LINES];
};

static uint64_t counter_now(const struct hpet *hpet)
{
    if (!(hpet->config & CONFIG_ENABLE))
        return hpet->counter;
    return hpet->counter + (clock_now_ns(hpet->board.clock) - hpet->start_ns) / HPET_TICK_NS;
}

static unsigned timer_index(const struct hpet_timer *t)
{
    return (unsigned)(t - t->hpet->timers);
}

static uint64_t width_mask(const struct hpet_timer *t)
{
    return t->config & TN_32_BIT ? UINT32_MAX : UINT64_MAX;
}

static bool is_periodic(const struct hpet_timer *t)
{
    return t->config & TN_PERIODIC && t->period != 0;
}

static bool replaces_legacy(const struct hpet *hpet)
{
    return hpet->config & CONFIG_LEGACY;
}

/* Drives each line to what timers and legacy inputs ask for. */
static void update_lines(struct hpet *hpet)
{
    bool pins[HPET_PINS] = {false}, legacy[HPET_LEGACY_LINES];

    for (unsigned i = 0; i < HPET_LEGACY_LINES; i++)
        legacy[i] = !replaces_legacy(hpet) && hpet->inputs[i];
    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        const struct hpet_timer *t = &hpet->timers[i];
        bool level = hpet->config & CONFIG_ENABLE && hpet->status & BIT(i) && t->config & TN_ENABLE;
        uint64_t pin = (t->config & TN_ROUTE) >> TN_ROUTE_SHIFT;

        if (!level)
            continue;
        if (i < HPET_LEGACY_LINES && replaces_legacy(hpet))
            legacy[i] = true;
        else if (HPET_ROUTE_CAP & BIT(pin))
            pins[pin] = true;
    }
    for (unsigned i = 0; i < HPET_PINS; i++) {
        if (pins[i] != hpet->pin_level[i])
            irq_set(&hpet->board.pins[i], pins[i]);
        hpet->pin_level[i] = pins[i];
    }
    for (unsigned i = 0; i < HPET_LEGACY_LINES; i++) {
        if (legacy[i] != hpet->legacy_level[i])
            irq_set(&hpet->board.legacy[i], legacy[i]);
        hpet->legacy_level[i] = legacy[i];
    }
}

/* A match: a level lights its status bit, an edge is a pulse. */
static void interrupt(struct hpet_timer *t)
{
    struct hpet *hpet = t->hpet;
    unsigned i = timer_index(t);
    bool level = t->config & TN_LEVEL;

    trace(hpet_fire, i, counter_now(hpet));
    hpet->status |= BIT(i);
    update_lines(hpet);
    if (level)
        return;
    hpet->status &= ~BIT(i);
    update_lines(hpet);
}

/* Moves a periodic comparator that the counter has passed to its next value ahead. */
static void catch_up(struct hpet_timer *t)
{
    uint64_t behind = (counter_now(t->hpet) - t->comparator) & width_mask(t);

    /* In the upper half of the range it is ahead. */
    if (!is_periodic(t) || behind > width_mask(t) / 2)
        return;
    t->comparator = (t->comparator + (behind / t->period + 1) * t->period) & width_mask(t);
}

/* Arms for the next match; one that is due this very tick counts unless it was just seen. */
static void arm(struct hpet_timer *t, bool just_seen)
{
    struct hpet *hpet = t->hpet;
    uint64_t now = clock_now_ns(hpet->board.clock);
    uint64_t ahead, deadline;

    timer_cancel(&t->timer);
    if (!(hpet->config & CONFIG_ENABLE) || !(t->config & TN_ENABLE))
        return;
    ahead = (t->comparator - counter_now(hpet)) & width_mask(t);
    /* The next match of one that was just seen is a whole turn of the counter away. */
    if (ahead == 0 && just_seen)
        ahead = width_mask(t) == UINT64_MAX ? UINT64_MAX : width_mask(t) + 1;
    if (ahead >= FAR_AWAY_TICKS)
        return;
    deadline = now - (now - hpet->start_ns) % HPET_TICK_NS + ahead * HPET_TICK_NS;
    if (is_periodic(t) && just_seen)
        deadline = MAX(deadline, now + PERIOD_MIN_NS);
    timer_arm(&t->timer, deadline);
}

static void matched(void *opaque)
{
    struct hpet_timer *t = opaque;

    catch_up(t);
    arm(t, true);
    interrupt(t);
}

/* After any change of a timer's registers or of the counter. */
static void rearm(struct hpet_timer *t)
{
    /* A comparator written with the counter's very value matches now: leave that to arm. */
    if (t->comparator != (counter_now(t->hpet) & width_mask(t)))
        catch_up(t);
    arm(t, false);
}

static void write_config(struct hpet *hpet, uint64_t value)
{
    uint64_t changed = hpet->config ^ value;

    if (changed & CONFIG_ENABLE) {
        hpet->counter = counter_now(hpet);
        hpet->start_ns = clock_now_ns(hpet->board.clock);
    }
    hpet->config = value & (CONFIG_ENABLE | CONFIG_LEGACY);
    for (unsigned i = 0; i < HPET_TIMERS; i++)
        rearm(&hpet->timers[i]);
    update_lines(hpet);
}

static void write_counter(struct hpet *hpet, uint64_t value)
{
    hpet->counter = value;
    hpet->start_ns = clock_now_ns(hpet->board.clock);
    for (unsigned i = 0; i < HPET_TIMERS; i++)
        rearm(&hpet->timers[i]);
}

static void write_timer_config(struct hpet_timer *t, uint64_t value)
{
    uint64_t pin = (value & TN_ROUTE) >> TN_ROUTE_SHIFT;

    /* An input that can't be had is not taken: software reads back another than it wrote. */
    if (!(HPET_ROUTE_CAP & BIT(pin)))
        value = (value & ~(uint64_t)TN_ROUTE) | (t->config & TN_ROUTE);
    t->config = value & TN_WRITABLE;
    t->comparator &= width_mask(t);
    t->period &= width_mask(t);
    /* Only levels have a status. */
    if (!(t->config & TN_LEVEL))
        t->hpet->status &= ~BIT(timer_index(t));
    rearm(t);
    update_lines(t->hpet);
}

/*
 * One-shot: the match. Periodic: the value is what each match adds, and after TN_SET_VALUE the
 * match itself too.
 */
static void write_comparator(struct hpet_timer *t, uint64_t value)
{
    value &= width_mask(t);
    if (!(t->config & TN_PERIODIC) || t->config & TN_SET_VALUE)
        t->comparator = value;
    if (t->config & TN_PERIODIC)
        t->period = value;
    t->config &= ~TN_SET_VALUE;
    rearm(t);
}

static uint64_t read_register(const struct hpet *hpet, uint64_t reg)
{
    const struct hpet_timer *t = &hpet->timers[(reg - REG_TIMERS) / TIMER_STRIDE % HPET_TIMERS];

    switch (reg) {
    case REG_CAPABILITY: return CAPABILITY;
    case REG_CONFIG: return hpet->config;
    case REG_STATUS: return hpet->status;
    case REG_COUNTER: return counter_now(hpet);
    default: break;
    }
    if (reg < REG_TIMERS || reg >= REG_TIMERS + HPET_TIMERS * TIMER_STRIDE)
        return 0;
    switch (reg % TIMER_STRIDE) {
    case TIMER_CONFIG: return t->config | TN_CAPABILITY;
    case TIMER_COMPARE: return t->comparator;
    default: return 0;
    }
}

static void write_register(struct hpet *hpet, uint64_t reg, uint64_t value)
{
    struct hpet_timer *t = &hpet->timers[(reg - REG_TIMERS) / TIMER_STRIDE % HPET_TIMERS];

    switch (reg) {
    case REG_CONFIG: write_config(hpet, value); return;
    case REG_STATUS:
        hpet->status &= ~value;
        update_lines(hpet);
        return;
    case REG_COUNTER: write_counter(hpet, value); return;
    default: break;
    }
    if (reg < REG_TIMERS || reg >= REG_TIMERS + HPET_TIMERS * TIMER_STRIDE)
        return;
    switch (reg % TIMER_STRIDE) {
    case TIMER_CONFIG: write_timer_config(t, value); break;
    case TIMER_COMPARE: write_comparator(t, value); break;
    default: break;
    }
}

static uint64_t hpet_read(void *dev, uint64_t offset, unsigned width)
{
    return read_register(dev, ALIGN_DOWN(offset, 8)) >> (8 * (offset % 8));
}

static void hpet_write(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    uint64_t reg = ALIGN_DOWN(offset, 8), before = 0;

    /* Whole registers and their aligned halves only, as the specification demands. */
    if (width < 4 || offset % width != 0)
        return;
    if (width == 4) {
        /* Status is cleared by ones: the other half must stay zeroes. */
        if (reg != REG_STATUS)
            before = read_register(dev, reg);
        value = offset % 8 ? (value << 32 | (uint32_t)before) : (before >> 32 << 32 | value);
    }
    write_register(dev, reg, value);
}

const struct bus_ops hpet_ops = {
    .read = hpet_read,
    .write = hpet_write,
    .widths = 4 | 8,
};

void hpet_set_legacy_input(void *opaque, unsigned number, bool level)
{
    struct hpet *hpet = opaque;

    ASSERT(number < HPET_LEGACY_LINES, "the HPET replaces the PIT and the RTC, no more");
    hpet->inputs[number] = level;
    update_lines(hpet);
}

void hpet_reset(struct hpet *hpet)
{
    hpet->config = 0;
    hpet->status = 0;
    hpet->counter = 0;
    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        struct hpet_timer *t = &hpet->timers[i];

        timer_cancel(&t->timer);
        t->config = 0;
        t->comparator = UINT64_MAX;
        t->period = 0;
    }
    update_lines(hpet);
}

struct hpet *hpet_create(const struct hpet_config *config)
{
    struct hpet *hpet = calloc(1, sizeof(*hpet));

    ASSERT(config->clock, "an HPET has a clock");
    if (!hpet)
        return NULL;
    hpet->board = *config;
    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        hpet->timers[i].hpet = hpet;
        timer_init(&hpet->timers[i].timer, config->clock, matched, &hpet->timers[i]);
    }
    hpet_reset(hpet);
    return hpet;
}

void hpet_destroy(struct hpet *hpet)
{
    if (!hpet)
        return;
    for (unsigned i = 0; i < HPET_TIMERS; i++)
        timer_cancel(&hpet->timers[i].timer);
    free(hpet);
}

/*
 * The HPET. The counter is computed from the clock; a comparator knows the tick of its next match
 * and arms a timer for it. The host may be late to run that timer: each access to a register first
 * tells the matches that are due, so that none is lost to what the access changes.
 * Line levels are computed anew at each change, so that timers may share a pin.
 *
 * DEVIATION: periodic interrupts come no faster than PERIOD_MIN_NS. A periodic timer whose first
 * match was written up to LATE_TICKS too late goes on from there in step, where hardware waits for
 * a whole turn of the counter: a guest in a VM may be held up between reading and writing.
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
#define NEVER          UINT64_MAX
#define LATE_TICKS     (NS_PER_SEC / HPET_TICK_NS)

struct hpet_timer_state {
    uint64_t config; /* the writable bits, without TN_SET_VALUE once it is used */
    uint64_t comparator;
    uint64_t period; /* the last value written to the comparator */
    uint64_t due;    /* the next match, in ticks since start_ns; NEVER while the counter halts */
    uint64_t deadline_ns; /* saved: when the match is to be told of; CLOCK_NEVER: not */
};

struct hpet_timer {
    struct hpet *hpet;
    struct hpet_timer_state *state; /* in hpet->state */
    struct timer timer;
};

struct hpet_state {
    uint64_t config;
    uint64_t status;
    uint64_t counter;  /* at start_ns */
    uint64_t start_ns; /* when the counter was started or written */
    struct hpet_timer_state timers[HPET_TIMERS];
    bool inputs[HPET_LEGACY_LINES];
    bool pin_level[HPET_PINS]; /* as last driven */
    bool legacy_level[HPET_LEGACY_LINES];
};

struct hpet {
    struct device device;
    struct hpet_config board;
    struct hpet_timer timers[HPET_TIMERS];
    struct hpet_state state;
};

static bool is_running(const struct hpet *hpet)
{
    return hpet->state.config & CONFIG_ENABLE;
}

static uint64_t ticks_now(const struct hpet *hpet)
{
    return (clock_now_ns(hpet->board.clock) - hpet->state.start_ns) / HPET_TICK_NS;
}

static uint64_t counter_now(const struct hpet *hpet)
{
    return hpet->state.counter + (is_running(hpet) ? ticks_now(hpet) : 0);
}

static unsigned timer_index(const struct hpet_timer *t)
{
    return (unsigned)(t - t->hpet->timers);
}

static uint64_t width_mask(const struct hpet_timer *t)
{
    return t->state->config & TN_32_BIT ? UINT32_MAX : UINT64_MAX;
}

static bool is_periodic(const struct hpet_timer *t)
{
    return t->state->config & TN_PERIODIC && t->state->period != 0;
}

static bool replaces_legacy(const struct hpet *hpet)
{
    return is_running(hpet) && hpet->state.config & CONFIG_LEGACY;
}

/* Drives each line to what timers and legacy inputs ask for. */
static void update_lines(struct hpet *hpet)
{
    bool pins[HPET_PINS] = {false}, legacy[HPET_LEGACY_LINES];

    for (unsigned i = 0; i < HPET_LEGACY_LINES; i++)
        legacy[i] = !replaces_legacy(hpet) && hpet->state.inputs[i];
    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        const struct hpet_timer *t = &hpet->timers[i];
        bool level =
            is_running(hpet) && hpet->state.status & BIT(i) && t->state->config & TN_ENABLE;
        uint64_t pin = (t->state->config & TN_ROUTE) >> TN_ROUTE_SHIFT;

        if (!level)
            continue;
        if (i < HPET_LEGACY_LINES && replaces_legacy(hpet))
            legacy[i] = true;
        else if (HPET_ROUTE_CAP & BIT(pin))
            pins[pin] = true;
    }
    for (unsigned i = 0; i < HPET_PINS; i++) {
        if (pins[i] != hpet->state.pin_level[i])
            irq_set(&hpet->board.pins[i], pins[i]);
        hpet->state.pin_level[i] = pins[i];
    }
    for (unsigned i = 0; i < HPET_LEGACY_LINES; i++) {
        if (legacy[i] != hpet->state.legacy_level[i])
            irq_set(&hpet->board.legacy[i], legacy[i]);
        hpet->state.legacy_level[i] = legacy[i];
    }
}

/* A match: a level lights its status bit, an edge is a pulse. */
static void interrupt(struct hpet_timer *t)
{
    struct hpet *hpet = t->hpet;
    unsigned i = timer_index(t);
    bool level = t->state->config & TN_LEVEL;

    trace(hpet_fire, i, counter_now(hpet));
    hpet->state.status |= BIT(i);
    update_lines(hpet);
    if (level)
        return;
    hpet->state.status &= ~BIT(i);
    update_lines(hpet);
}

/* Finds the next match of the comparator as it stands; it may be this very tick's. */
static void aim(struct hpet_timer *t)
{
    uint64_t ahead = (t->state->comparator - counter_now(t->hpet)) & width_mask(t);

    t->state->due = NEVER;
    if (is_running(t->hpet) && ahead < FAR_AWAY_TICKS)
        t->state->due = ticks_now(t->hpet) + ahead;
}

/* Goes on from the match that was due to the first one after this tick. */
static void go_on(struct hpet_timer *t, uint64_t ticks)
{
    uint64_t turn = width_mask(t) == UINT64_MAX ? FAR_AWAY_TICKS : width_mask(t) + 1;
    uint64_t step = is_periodic(t) ? t->state->period : turn;
    uint64_t steps = (ticks - t->state->due) / step + 1;

    if (is_periodic(t))
        t->state->comparator = (t->state->comparator + steps * step) & width_mask(t);
    t->state->due = step < FAR_AWAY_TICKS ? t->state->due + steps * step : NEVER;
}

/* Arms for the next match. */
static void arm(struct hpet_timer *t, bool just_told)
{
    uint64_t deadline;

    timer_cancel(&t->timer);
    if (t->state->due == NEVER || !(t->state->config & TN_ENABLE))
        return;
    deadline = t->hpet->state.start_ns + t->state->due * HPET_TICK_NS;
    if (is_periodic(t) && just_told)
        deadline = MAX(deadline, clock_now_ns(t->hpet->board.clock) + PERIOD_MIN_NS);
    timer_arm(&t->timer, deadline);
}

/* Tells of the matches that are due. A disabled timer has them too, and may light its status. */
static void tell_matches(struct hpet *hpet)
{
    uint64_t ticks = ticks_now(hpet);

    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        struct hpet_timer *t = &hpet->timers[i];

        if (t->state->due > ticks)
            continue;
        go_on(t, ticks);
        arm(t, true);
        interrupt(t);
    }
}

static void matched(void *opaque)
{
    tell_matches(((struct hpet_timer *)opaque)->hpet);
}

static void restart_timers(struct hpet *hpet)
{
    hpet->state.start_ns = clock_now_ns(hpet->board.clock);
    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        aim(&hpet->timers[i]);
        arm(&hpet->timers[i], false);
    }
}

static void write_config(struct hpet *hpet, uint64_t value)
{
    uint64_t changed = hpet->state.config ^ value;
    uint64_t counter = counter_now(hpet);

    hpet->state.config = value & (CONFIG_ENABLE | CONFIG_LEGACY);
    if (changed & CONFIG_ENABLE) {
        hpet->state.counter = counter;
        restart_timers(hpet);
    }
    update_lines(hpet);
}

static void write_counter(struct hpet *hpet, uint64_t value)
{
    hpet->state.counter = value;
    restart_timers(hpet);
}

static void write_timer_config(struct hpet_timer *t, uint64_t value)
{
    uint64_t pin = (value & TN_ROUTE) >> TN_ROUTE_SHIFT;
    uint64_t changed = t->state->config ^ value;

    /* An input that can't be had is not taken: software reads back another than it wrote. */
    if (!(HPET_ROUTE_CAP & BIT(pin)))
        value = (value & ~(uint64_t)TN_ROUTE) | (t->state->config & TN_ROUTE);
    t->state->config = value & TN_WRITABLE;
    t->state->comparator &= width_mask(t);
    t->state->period &= width_mask(t);
    /* Only levels have a status. */
    if (!(t->state->config & TN_LEVEL))
        t->hpet->state.status &= ~BIT(timer_index(t));
    if (changed & (TN_PERIODIC | TN_32_BIT))
        aim(t);
    arm(t, false);
    update_lines(t->hpet);
}

/* The first match of a periodic timer has gone by before it could be written: see DEVIATION. */
static void make_up(struct hpet_timer *t)
{
    uint64_t behind = (counter_now(t->hpet) - t->state->comparator) & width_mask(t);

    if (!is_running(t->hpet) || !is_periodic(t) || behind == 0 || behind > LATE_TICKS)
        return;
    t->state->comparator =
        (t->state->comparator + (behind / t->state->period + 1) * t->state->period) & width_mask(t);
    aim(t);
}

/* The bits of a register that a write leaves alone are not in its mask. */
static uint64_t merge(uint64_t before, uint64_t value, uint64_t mask)
{
    return (before & ~mask) | (value & mask);
}

/*
 * One-shot: the match. Periodic: the value is what each match adds, and after TN_SET_VALUE the
 * match itself too.
 */
static void write_comparator(struct hpet_timer *t, uint64_t value, uint64_t mask)
{
    t->state->period = merge(t->state->period, value, mask) & width_mask(t);
    if (!(t->state->config & TN_PERIODIC) || t->state->config & TN_SET_VALUE) {
        t->state->comparator = merge(t->state->comparator, value, mask) & width_mask(t);
        aim(t);
    } else {
        make_up(t);
    }
    t->state->config &= ~TN_SET_VALUE;
    arm(t, false);
}

static uint64_t read_register(const struct hpet *hpet, uint64_t reg)
{
    const struct hpet_timer *t = &hpet->timers[(reg - REG_TIMERS) / TIMER_STRIDE % HPET_TIMERS];

    switch (reg) {
    case REG_CAPABILITY: return CAPABILITY;
    case REG_CONFIG: return hpet->state.config;
    case REG_STATUS: return hpet->state.status;
    case REG_COUNTER: return counter_now(hpet);
    default: break;
    }
    if (reg < REG_TIMERS || reg >= REG_TIMERS + HPET_TIMERS * TIMER_STRIDE)
        return 0;
    switch (reg % TIMER_STRIDE) {
    case TIMER_CONFIG: return t->state->config | TN_CAPABILITY;
    case TIMER_COMPARE: return t->state->comparator;
    default: return 0;
    }
}

static void write_register(struct hpet *hpet, uint64_t reg, uint64_t value, uint64_t mask)
{
    struct hpet_timer *t = &hpet->timers[(reg - REG_TIMERS) / TIMER_STRIDE % HPET_TIMERS];

    switch (reg) {
    case REG_CONFIG: write_config(hpet, merge(hpet->state.config, value, mask)); return;
    case REG_STATUS:
        hpet->state.status &= ~(value & mask);
        update_lines(hpet);
        return;
    case REG_COUNTER: write_counter(hpet, merge(counter_now(hpet), value, mask)); return;
    default: break;
    }
    if (reg < REG_TIMERS || reg >= REG_TIMERS + HPET_TIMERS * TIMER_STRIDE)
        return;
    switch (reg % TIMER_STRIDE) {
    case TIMER_CONFIG: write_timer_config(t, merge(t->state->config, value, mask)); break;
    case TIMER_COMPARE: write_comparator(t, value, mask); break;
    default: break;
    }
}

static uint64_t hpet_peek(const void *dev, uint64_t offset, unsigned width)
{
    return read_register(dev, ALIGN_DOWN(offset, 8)) >> (8 * (offset % 8));
}

static uint64_t hpet_read(void *dev, uint64_t offset, unsigned width)
{
    tell_matches(dev);
    return hpet_peek(dev, offset, width);
}

static void hpet_write(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    unsigned shift = 8 * (offset % 8);
    uint64_t mask = width == 8 ? UINT64_MAX : (uint64_t)UINT32_MAX << shift;

    /* Whole registers and their aligned halves only, as the specification demands. */
    if (width < 4 || offset % width != 0)
        return;
    tell_matches(dev);
    write_register(dev, ALIGN_DOWN(offset, 8), value << shift, mask);
}

const struct bus_ops hpet_ops = {
    .read = hpet_read,
    .write = hpet_write,
    .widths = 4 | 8,
    .peek = hpet_peek,
};

void hpet_set_legacy_input(void *opaque, unsigned number, bool level)
{
    struct hpet *hpet = opaque;

    ASSERT(number < HPET_LEGACY_LINES, "the HPET replaces the PIT and the RTC, no more");
    hpet->state.inputs[number] = level;
    update_lines(hpet);
}

void hpet_reset(struct hpet *hpet)
{
    hpet->state.config = 0;
    hpet->state.status = 0;
    hpet->state.counter = 0;
    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        struct hpet_timer *t = &hpet->timers[i];

        timer_cancel(&t->timer);
        t->state->config = 0;
        t->state->comparator = UINT64_MAX;
        t->state->period = 0;
        t->state->due = NEVER;
    }
    update_lines(hpet);
}

static void reset(void *dev)
{
    hpet_reset(dev);
}

static void settle(void *dev)
{
    struct hpet *hpet = dev;

    for (unsigned i = 0; i < HPET_TIMERS; i++)
        hpet->state.timers[i].deadline_ns = hpet->timers[i].timer.deadline_ns;
}

static void resume(void *dev)
{
    struct hpet *hpet = dev;

    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        struct hpet_timer *t = &hpet->timers[i];

        timer_cancel(&t->timer);
        if (t->state->deadline_ns != CLOCK_NEVER)
            timer_arm(&t->timer, t->state->deadline_ns);
    }
}

static bool timer_sound(const struct hpet_timer_state *state)
{
    uint64_t pin = (state->config & TN_ROUTE) >> TN_ROUTE_SHIFT;
    uint64_t most = state->config & TN_32_BIT ? UINT32_MAX : UINT64_MAX;

    return !(state->config & ~(uint64_t)TN_WRITABLE) && pin < HPET_PINS &&
           state->comparator <= most && state->period <= most &&
           (state->due == NEVER || state->due < 2 * FAR_AWAY_TICKS);
}

static bool sound(const void *opaque)
{
    const struct hpet_state *state = opaque;

    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        if (!timer_sound(&state->timers[i]))
            return false;
    }
    return !(state->config & ~(CONFIG_ENABLE | CONFIG_LEGACY)) && !(state->status >> HPET_TIMERS);
}

static const struct device_field fields[] = {
    DEVICE_FIELD(struct hpet_state, config),
    DEVICE_FIELD(struct hpet_state, status),
    DEVICE_FIELD(struct hpet_state, counter),
    DEVICE_FIELD(struct hpet_state, start_ns),
    DEVICE_EACH(struct hpet_state, timers, config),
    DEVICE_EACH(struct hpet_state, timers, comparator),
    DEVICE_EACH(struct hpet_state, timers, period),
    DEVICE_EACH(struct hpet_state, timers, due),
    DEVICE_EACH(struct hpet_state, timers, deadline_ns),
    DEVICE_ARRAY(struct hpet_state, inputs),
    DEVICE_ARRAY(struct hpet_state, pin_level),
    DEVICE_ARRAY(struct hpet_state, legacy_level),
};

static const struct device_class class = {
    .name = "HPET",
    .version = 1,
    DEVICE_STATE(struct hpet_state, fields),
    .reset = reset,
    .settle = settle,
    .sound = sound,
    .resume = resume,
};

const struct device *hpet_device(const struct hpet *hpet)
{
    return &hpet->device;
}

struct hpet *hpet_create(const struct hpet_config *config)
{
    struct hpet *hpet = calloc(1, sizeof(*hpet));

    ASSERT(config->clock, "an HPET has a clock");
    if (!hpet)
        return NULL;
    hpet->device = (struct device){&class, hpet, &hpet->state};
    hpet->board = *config;
    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        hpet->timers[i].hpet = hpet;
        hpet->timers[i].state = &hpet->state.timers[i];
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

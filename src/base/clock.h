/*
 * A virtual clock and its timers. The time source is a function, so that a test steps it by hand
 * and the VM drives it from host time (src/vm/clock_host.c, the only reader of host time).
 *
 * Locking: none here. The owner (the VM's machine lock, or a test) serialises every call but
 * clock_now_ns, which may be called from any thread if the source may.
 */
#ifndef UMBRA_BASE_CLOCK_H
#define UMBRA_BASE_CLOCK_H

#include "base/types.h"

#define CLOCK_NEVER UINT64_MAX

struct clock;

/* A timer is embedded in its owner; init it once, then arm and cancel at will. */
struct timer {
    struct clock *clock;
    void (*fn)(void *opaque); /* runs with the clock's owner's lock held; may arm timers */
    void *opaque;
    uint64_t deadline_ns; /* CLOCK_NEVER when idle */
    struct timer *next;   /* sorted by deadline */
};

struct clock {
    uint64_t (*source)(void *opaque); /* nanoseconds since the VM's start, monotonic */
    void *opaque;
    struct timer *timers;
    void (*changed)(void *opaque); /* NULL, or told that the first deadline came nearer */
    void *changed_opaque;
};

/* Makes a clock over a source. */
void clock_init(struct clock *clock, uint64_t (*source)(void *opaque), void *opaque);

/* Virtual nanoseconds since the VM's start. */
static inline uint64_t clock_now_ns(const struct clock *clock)
{
    return clock->source(clock->opaque);
}

void timer_init(struct timer *timer, struct clock *clock, void (*fn)(void *opaque), void *opaque);

/* Arms at an absolute virtual time; re-arming moves it. A deadline in the past fires at the next
 * run. */
void timer_arm(struct timer *timer, uint64_t deadline_ns);

/* Disarms; harmless when idle. */
void timer_cancel(struct timer *timer);

static inline bool timer_armed(const struct timer *timer)
{
    return timer->deadline_ns != CLOCK_NEVER;
}

/* The first deadline, or CLOCK_NEVER. */
uint64_t clock_next_deadline_ns(const struct clock *clock);

/* Fires, in the order of their deadlines, the timers that are due now. */
void clock_run_timers(struct clock *clock);

/* A clock that a test steps by hand. */
struct clock_stepped {
    struct clock clock;
    uint64_t now_ns;
};

void clock_stepped_init(struct clock_stepped *stepped);

/* Advances by ns, firing each timer at its own deadline on the way. */
void clock_stepped_advance(struct clock_stepped *stepped, uint64_t ns);

/* a * b / c without overflow of the product; c must not be 0. For ticks <-> nanoseconds. */
static inline uint64_t clock_muldiv(uint64_t a, uint64_t b, uint64_t c)
{
    return (uint64_t)((unsigned __int128)a * b / c);
}

#endif

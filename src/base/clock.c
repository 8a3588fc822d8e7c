/* The timer list of a virtual clock: sorted, short, one owner. */
#include "base/clock.h"

#include "base/assert.h"

/* A guest can make a timer re-arm itself in the past; this bounds one run of the list. */
#define RUN_BUDGET 1000

void clock_init(struct clock *clock, uint64_t (*source)(void *opaque), void *opaque)
{
    *clock = (struct clock){.source = source, .opaque = opaque};
}

void timer_init(struct timer *timer, struct clock *clock, void (*fn)(void *opaque), void *opaque)
{
    *timer = (struct timer){.clock = clock, .fn = fn, .opaque = opaque, .deadline_ns = CLOCK_NEVER};
}

void timer_cancel(struct timer *timer)
{
    if (!timer_armed(timer))
        return;
    for (struct timer **link = &timer->clock->timers; *link; link = &(*link)->next) {
        if (*link == timer) {
            *link = timer->next;
            break;
        }
    }
    timer->deadline_ns = CLOCK_NEVER;
}

void timer_arm(struct timer *timer, uint64_t deadline_ns)
{
    struct clock *clock = timer->clock;
    struct timer **link = &clock->timers;

    timer_cancel(timer);
    if (deadline_ns == CLOCK_NEVER)
        return;
    while (*link && (*link)->deadline_ns <= deadline_ns)
        link = &(*link)->next;
    timer->deadline_ns = deadline_ns;
    timer->next = *link;
    *link = timer;
    if (clock->timers == timer && clock->changed)
        clock->changed(clock->changed_opaque);
}

uint64_t clock_next_deadline_ns(const struct clock *clock)
{
    return clock->timers ? clock->timers->deadline_ns : CLOCK_NEVER;
}

void clock_run_timers(struct clock *clock)
{
    uint64_t now = clock_now_ns(clock);

    for (unsigned i = 0; i < RUN_BUDGET; i++) {
        struct timer *first = clock->timers;

        if (!first || first->deadline_ns > now)
            return;
        timer_cancel(first);
        first->fn(first->opaque);
    }
}

static uint64_t stepped_source(void *opaque)
{
    return ((struct clock_stepped *)opaque)->now_ns;
}

void clock_stepped_init(struct clock_stepped *stepped)
{
    stepped->now_ns = 0;
    clock_init(&stepped->clock, stepped_source, stepped);
}

void clock_stepped_advance(struct clock_stepped *stepped, uint64_t ns)
{
    uint64_t end = stepped->now_ns + ns;

    while (clock_next_deadline_ns(&stepped->clock) <= end) {
        stepped->now_ns = MAX(stepped->now_ns, clock_next_deadline_ns(&stepped->clock));
        clock_run_timers(&stepped->clock);
    }
    stepped->now_ns = end;
}

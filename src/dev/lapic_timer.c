/*
 * The local APIC's timer: one-shot and periodic counting down from the initial count, and the TSC
 * deadline. Counts are computed from the clock when they are read; nothing ticks.
 * Specification: Intel SDM 3, "APIC Timer".
 *
 * DEVIATION: the interrupts of a periodic timer come no faster than PERIOD_MIN_NS, whatever the
 * count, so that a guest can't make its monitor do nothing else.
 */
#include "dev/lapic_state.h"

#define PERIOD_MIN_NS (20 * NS_PER_US)

/* Beyond this a deadline is never reached: about 146 years. */
#define FAR_AWAY_NS (UINT64_MAX / 4)

static uint32_t timer_mode(const struct lapic *lapic)
{
    return lapic->state.lvt[LAPIC_LVT_TIMER] & LVT_TIMER_MODE;
}

/* The divide register's bits 3, 1 and 0: 0 divides by 2, 6 by 128, 7 by 1. */
static unsigned divisor(const struct lapic *lapic)
{
    uint32_t divide = lapic->state.timer.divide;
    unsigned code = (divide & 3) | ((divide & 8) >> 1);

    return 1u << ((code + 1) & 7);
}

static uint64_t ticks_to_ns(const struct lapic *lapic, uint64_t ticks)
{
    return clock_muldiv(ticks * divisor(lapic), NS_PER_SEC, LAPIC_TIMER_HZ);
}

static uint64_t ns_to_ticks(const struct lapic *lapic, uint64_t ns)
{
    return clock_muldiv(ns, LAPIC_TIMER_HZ, NS_PER_SEC) / divisor(lapic);
}

/* The ticks since the lap's first; a lap lasts lap_ticks, the ones after it `initial` each. */
static uint64_t ticks_since_lap(const struct lapic *lapic)
{
    return ns_to_ticks(lapic, clock_now_ns(lapic->config.clock) - lapic->state.timer.lap_start_ns);
}

/* The count where the timer counts in this mode. */
static uint32_t count_in(const struct lapic *lapic, uint32_t mode)
{
    const struct lapic_timer_state *timer = &lapic->state.timer;
    uint64_t ticks;

    if (timer->lap_ticks == 0 || mode == LVT_TIMER_DEADLINE)
        return 0;
    ticks = ticks_since_lap(lapic);
    if (ticks < timer->lap_ticks)
        return timer->lap_ticks - (uint32_t)ticks;
    if (mode != LVT_TIMER_PERIODIC)
        return 0;
    return timer->initial - (uint32_t)((ticks - timer->lap_ticks) % timer->initial);
}

uint32_t lapic_timer_current(const struct lapic *lapic)
{
    return count_in(lapic, timer_mode(lapic));
}

/* Arms for the end of a periodic lap that is at least PERIOD_MIN_NS ahead. */
static void arm_periodic(struct lapic *lapic)
{
    struct lapic_timer_state *timer = &lapic->state.timer;
    uint64_t ticks = ticks_since_lap(lapic);
    uint64_t ahead = timer->lap_ticks;
    uint64_t now = clock_now_ns(lapic->config.clock);
    uint64_t deadline;

    if (ticks >= ahead)
        ahead += ((ticks - ahead) / timer->initial + 1) * timer->initial;
    deadline = timer->lap_start_ns + ticks_to_ns(lapic, ahead);
    timer_arm(&lapic->timer, MAX(deadline, now + PERIOD_MIN_NS));
}

/*
 * Arms for the next event of the present mode, or disarms. One shot is armed for even when its end
 * has passed: the clock goes on between the write of a short count and here, and the guest waits
 * for that interrupt.
 */
static void rearm(struct lapic *lapic)
{
    struct lapic_timer_state *timer = &lapic->state.timer;

    timer_cancel(&lapic->timer);
    if (timer->lap_ticks == 0)
        return;
    /* A masked period would only wake the host. */
    if (timer_mode(lapic) == LVT_TIMER_PERIODIC) {
        if (!(lapic->state.lvt[LAPIC_LVT_TIMER] & LVT_MASKED))
            arm_periodic(lapic);
    } else {
        timer_arm(&lapic->timer, timer->lap_start_ns + ticks_to_ns(lapic, timer->lap_ticks));
    }
}

static uint64_t tsc_now(const struct lapic *lapic)
{
    const struct lapic_callbacks *callbacks = &lapic->config.callbacks;

    return callbacks->tsc_now(callbacks->opaque) + lapic->state.timer.tsc_offset;
}

static bool has_deadline_mode(const struct lapic *lapic)
{
    return lapic->config.tsc_hz != 0 && lapic->config.callbacks.tsc_now;
}

/* Fires when the TSC has reached the deadline, else arms for the time when it will have. */
static void check_tsc_deadline(struct lapic *lapic)
{
    struct lapic_timer_state *timer = &lapic->state.timer;
    uint64_t tsc = tsc_now(lapic), ahead_ns;

    timer_cancel(&lapic->timer);
    if (timer->tsc_deadline == 0)
        return;
    if (tsc >= timer->tsc_deadline) {
        timer->tsc_deadline = 0;
        lapic_post_lvt(lapic, LAPIC_LVT_TIMER);
        return;
    }
    if ((timer->tsc_deadline - tsc) / lapic->config.tsc_hz >= FAR_AWAY_NS / NS_PER_SEC)
        return;
    /* One more: rounding down would fire a nanosecond early, and again. */
    ahead_ns = clock_muldiv(timer->tsc_deadline - tsc, NS_PER_SEC, lapic->config.tsc_hz) + 1;
    timer_arm(&lapic->timer, clock_now_ns(lapic->config.clock) + ahead_ns);
}

static void expire(void *opaque)
{
    struct lapic *lapic = opaque;

    if (timer_mode(lapic) == LVT_TIMER_DEADLINE) {
        check_tsc_deadline(lapic);
        return;
    }
    if (timer_mode(lapic) == LVT_TIMER_PERIODIC)
        rearm(lapic);
    else
        lapic->state.timer.lap_ticks =
            0; /* one shot is over; the next initial count starts another */
    lapic_post_lvt(lapic, LAPIC_LVT_TIMER);
}

void lapic_timer_settle(struct lapic *lapic)
{
    struct timer *timer = &lapic->timer;

    if (!timer_armed(timer) || timer->deadline_ns > clock_now_ns(lapic->config.clock))
        return;
    timer_cancel(timer);
    expire(lapic);
}

void lapic_timer_init(struct lapic *lapic)
{
    timer_init(&lapic->timer, lapic->config.clock, expire, lapic);
}

void lapic_timer_stop(struct lapic *lapic)
{
    struct lapic_timer_state *timer = &lapic->state.timer;

    timer_cancel(&lapic->timer);
    timer->initial = 0;
    timer->divide = 0;
    timer->lap_ticks = 0;
    timer->tsc_deadline = 0;
}

/* A new lap of `ticks` starts now. */
static void start_lap(struct lapic *lapic, uint32_t ticks)
{
    lapic->state.timer.lap_ticks = ticks;
    lapic->state.timer.lap_start_ns = clock_now_ns(lapic->config.clock);
    rearm(lapic);
}

void lapic_timer_set_initial(struct lapic *lapic, uint32_t count)
{
    if (timer_mode(lapic) == LVT_TIMER_DEADLINE)
        return;
    lapic_timer_settle(lapic);
    lapic->state.timer.initial = count;
    start_lap(lapic, count);
}

void lapic_timer_set_divide(struct lapic *lapic, uint32_t divide)
{
    uint32_t current;

    lapic_timer_settle(lapic);
    current = lapic_timer_current(lapic);
    if (current == 0 && lapic->state.timer.lap_ticks != 0)
        current = 1; /* its interrupt is still to come */
    lapic->state.timer.divide = divide & 0xb;
    if (timer_mode(lapic) != LVT_TIMER_DEADLINE)
        start_lap(lapic, current);
}

void lapic_timer_lvt_changed(struct lapic *lapic, uint32_t before)
{
    struct lapic_timer_state *timer = &lapic->state.timer;
    uint32_t *entry = &lapic->state.lvt[LAPIC_LVT_TIMER];
    uint32_t mode_before = before & LVT_TIMER_MODE;
    bool was_deadline = mode_before == LVT_TIMER_DEADLINE;

    /* The reserved mode 3, and the deadline mode where there is none, count once. */
    if ((*entry & LVT_TIMER_MODE) == LVT_TIMER_MODE ||
        (timer_mode(lapic) == LVT_TIMER_DEADLINE && !has_deadline_mode(lapic)))
        *entry &= ~(uint32_t)LVT_TIMER_MODE;
    if (was_deadline != (timer_mode(lapic) == LVT_TIMER_DEADLINE)) {
        timer_cancel(&lapic->timer);
        timer->lap_ticks = 0;
        timer->initial = 0;
        timer->tsc_deadline = 0;
    } else if (mode_before == LVT_TIMER_PERIODIC && timer_mode(lapic) != LVT_TIMER_PERIODIC) {
        start_lap(lapic, count_in(lapic, mode_before)); /* the present period is the last */
    } else if (!was_deadline) {
        rearm(lapic);
    }
}

uint64_t lapic_tsc_deadline_read(struct lapic *lapic)
{
    lapic_timer_settle(lapic);
    return lapic->state.timer.tsc_deadline;
}

void lapic_tsc_deadline_write(struct lapic *lapic, uint64_t value)
{
    if (timer_mode(lapic) != LVT_TIMER_DEADLINE)
        return;
    lapic_timer_settle(lapic);
    lapic->state.timer.tsc_deadline = value;
    check_tsc_deadline(lapic);
}

void lapic_set_tsc_offset(struct lapic *lapic, uint64_t offset)
{
    lapic_timer_settle(lapic);
    lapic->state.timer.tsc_offset = offset;
    if (timer_mode(lapic) == LVT_TIMER_DEADLINE)
        check_tsc_deadline(lapic);
}

/*
 * The MC146818A on a virtual clock. Nothing ticks: the time and the three interrupt flags follow
 * from the clock when they are asked for. A timer is armed only for a flag that may interrupt.
 *
 *   second n            |<- 2228 us ->|  second n + 1
 *   --------------------[ UIP is set  ]--------------------
 *                        244 us ahead ^ the bytes change, UF
 *                        + 1984 us of updating
 */
#include "dev/rtc.h"

#include <stdlib.h>

#include "base/trace.h"
#include "dev/rtc_calendar.h"

#define INDEX_MASK 0x7f
#define INDEX_NMI  0x80

#define A_UIP           0x80
#define A_DIVIDER       0x70
#define A_DIVIDER_RESET 0x60 /* 110b and 111b hold the divider in reset */
#define A_RATE          0x0f
#define A_RESET         0x26 /* 32768 Hz, 1024 Hz periodic rate: what a BIOS sets */

#define B_SET     0x80
#define B_PIE     0x40
#define B_AIE     0x20
#define B_UIE     0x10
#define B_SQWE    0x08
#define B_BINARY  0x04
#define B_HOURS24 0x02

#define C_IRQF 0x80
#define C_PF   0x40 /* the flags stand where B has their enables */
#define C_AF   0x20
#define C_UF   0x10

#define D_VRT 0x80 /* the battery is good */

#define BASE_HZ         32768
#define UPDATE_NS       (2228 * (int64_t)NS_PER_US)
#define FIRST_UPDATE_NS (500 * (int64_t)NS_PER_MS) /* after the divider leaves its reset */
#define SECOND_NS       ((int64_t)NS_PER_SEC)

/* Bounds of a saved state: far beyond what registers of two digits show, and sums do not overflow.
 */
#define UTC_MAX ((int64_t)1 << 40)
#define NS_MAX  ((int64_t)1 << 61)

_Static_assert(C_PF == B_PIE && C_AF == B_AIE && C_UF == B_UIE, "flags stand below their enables");

struct rtc_state {
    int64_t base_utc;   /* the time at base_ns, or the time at which the clock stands */
    int64_t base_ns;    /* a boundary between two seconds */
    int64_t synced_utc; /* UF and AF are right up to this second */
    uint64_t synced_ns; /* PF is right up to this moment */
    bool irq_level;
    uint8_t index, extended_index;
    uint8_t flags;               /* register C without IRQF */
    uint8_t cmos[RTC_CMOS_SIZE]; /* B_SET: the calendar bytes are the guest's */
    uint8_t extended[RTC_EXTENDED_SIZE];
};

struct rtc {
    struct device device;
    struct clock *clock;
    struct irq_line irq;
    struct timer timer;
    struct rtc_state state;
};

static int64_t now_ns(const struct rtc *rtc)
{
    return (int64_t)clock_now_ns(rtc->clock);
}

static struct rtc_format format_of(const struct rtc *rtc)
{
    return (struct rtc_format){
        .binary = rtc->state.cmos[RTC_B] & B_BINARY,
        .hours24 = rtc->state.cmos[RTC_B] & B_HOURS24,
    };
}

static bool divider_runs(const struct rtc *rtc)
{
    return (rtc->state.cmos[RTC_A] & A_DIVIDER) < A_DIVIDER_RESET;
}

static bool time_runs(const struct rtc *rtc)
{
    return divider_runs(rtc) && !(rtc->state.cmos[RTC_B] & B_SET);
}

/* Whole seconds since base_ns; before the first update after a divider reset there are none. */
static int64_t seconds_since_base(const struct rtc *rtc)
{
    int64_t ns = now_ns(rtc) - rtc->state.base_ns;

    return ns > 0 ? ns / SECOND_NS : 0;
}

static int64_t current_utc(const struct rtc *rtc)
{
    return rtc->state.base_utc + (time_runs(rtc) ? seconds_since_base(rtc) : 0);
}

static bool update_in_progress(const struct rtc *rtc)
{
    int64_t into = (now_ns(rtc) - rtc->state.base_ns) % SECOND_NS;

    return time_runs(rtc) && SECOND_NS - into <= UPDATE_NS;
}

/* The periodic rate as a number of 32768 Hz cycles; 0: off. */
static uint64_t periodic_cycles(const struct rtc *rtc)
{
    unsigned rate = rtc->state.cmos[RTC_A] & A_RATE;

    if (rate == 0 || !divider_runs(rtc))
        return 0;
    return BIT((rate <= 2 ? rate + 7 : rate) - 1); /* 1 and 2 are the rates 8 and 9 again */
}

static uint64_t ns_to_cycles(uint64_t ns)
{
    return clock_muldiv(ns, BASE_HZ, NS_PER_SEC);
}

/* The first nanosecond that belongs to a cycle. */
static uint64_t cycles_to_ns(uint64_t cycles)
{
    uint64_t ns = clock_muldiv(cycles, NS_PER_SEC, BASE_HZ);

    return ns_to_cycles(ns) < cycles ? ns + 1 : ns;
}

/* Brings the flags up to now. */
static void sync_flags(struct rtc *rtc)
{
    uint64_t now = clock_now_ns(rtc->clock);
    uint64_t cycles = periodic_cycles(rtc);
    int64_t utc = current_utc(rtc), alarm;

    if (cycles && ns_to_cycles(now) / cycles != ns_to_cycles(rtc->state.synced_ns) / cycles)
        rtc->state.flags |= C_PF;
    rtc->state.synced_ns = now;
    if (!time_runs(rtc) || utc <= rtc->state.synced_utc) {
        rtc->state.synced_utc = utc;
        return;
    }
    rtc->state.flags |= C_UF;
    alarm = rtc_next_alarm(rtc->state.cmos, format_of(rtc), rtc->state.synced_utc);
    if (alarm >= 0 && alarm <= utc)
        rtc->state.flags |= C_AF;
    rtc->state.synced_utc = utc;
}

/* The virtual time at which the clock will show a second. */
static uint64_t utc_to_ns(const struct rtc *rtc, int64_t utc)
{
    return (uint64_t)(rtc->state.base_ns + (utc - rtc->state.base_utc) * SECOND_NS);
}

/* The next moment at which a flag that may interrupt and is clear becomes set. */
static uint64_t next_interrupt_ns(const struct rtc *rtc)
{
    uint8_t wanted = rtc->state.cmos[RTC_B] & ~rtc->state.flags;
    uint64_t cycles = periodic_cycles(rtc), first = CLOCK_NEVER;
    int64_t utc = current_utc(rtc), alarm;

    if ((wanted & B_PIE) && cycles)
        first = cycles_to_ns((ns_to_cycles(clock_now_ns(rtc->clock)) / cycles + 1) * cycles);
    if (!time_runs(rtc))
        return first;
    if (wanted & B_UIE)
        first = MIN(first, utc_to_ns(rtc, utc + 1));
    if (wanted & B_AIE) {
        alarm = rtc_next_alarm(rtc->state.cmos, format_of(rtc), utc);
        if (alarm >= 0)
            first = MIN(first, utc_to_ns(rtc, alarm));
    }
    return first;
}

/* Brings flags, line and timer up to now; wanted after each change of state. */
static void rtc_update(struct rtc *rtc)
{
    bool level;

    sync_flags(rtc);
    level = rtc->state.flags & rtc->state.cmos[RTC_B] & (B_PIE | B_AIE | B_UIE);
    timer_arm(&rtc->timer, next_interrupt_ns(rtc));
    if (level == rtc->state.irq_level)
        return;
    rtc->state.irq_level = level;
    irq_set(&rtc->irq, level);
}

static void rtc_fire(void *opaque)
{
    rtc_update(opaque);
}

static bool is_calendar(unsigned index)
{
    return index <= RTC_YEAR ? index != RTC_ALARM_SECONDS && index != RTC_ALARM_MINUTES &&
                                   index != RTC_ALARM_HOURS
                             : index == RTC_CENTURY;
}

/* Lets the time go on from the calendar bytes; the fraction of the second is untouched. */
static void take_calendar(struct rtc *rtc)
{
    rtc->state.base_ns += seconds_since_base(rtc) * SECOND_NS;
    rtc->state.base_utc = rtc_decode(rtc->state.cmos, format_of(rtc));
    rtc->state.synced_utc = rtc->state.base_utc;
    trace(rtc_set, (uint64_t)rtc->state.base_utc);
}

/* Fixes the time as it is now, before what makes it run changes. */
static void hold_time(struct rtc *rtc)
{
    int64_t utc = current_utc(rtc);

    rtc->state.base_ns += seconds_since_base(rtc) * SECOND_NS;
    rtc->state.base_utc = utc;
}

static void write_a(struct rtc *rtc, uint8_t value)
{
    bool ran = divider_runs(rtc);

    hold_time(rtc);
    rtc->state.cmos[RTC_A] = value & ~A_UIP;
    if (!ran && divider_runs(rtc))
        rtc->state.base_ns = now_ns(rtc) - (SECOND_NS - FIRST_UPDATE_NS);
}

static void write_b(struct rtc *rtc, uint8_t value)
{
    uint8_t old = rtc->state.cmos[RTC_B];

    hold_time(rtc);
    if (value & B_SET)
        value &= ~B_UIE; /* the chip clears it with SET */
    if ((value & B_SET) && !(old & B_SET))
        rtc_encode(rtc->state.cmos, format_of(rtc), rtc->state.base_utc);
    rtc->state.cmos[RTC_B] = value;
    if (!(value & B_SET) && (old & B_SET))
        take_calendar(rtc);
}

static void write_calendar(struct rtc *rtc, unsigned index, uint8_t value)
{
    bool set = rtc->state.cmos[RTC_B] & B_SET;

    if (!set)
        rtc_encode(rtc->state.cmos, format_of(rtc), current_utc(rtc));
    rtc->state.cmos[index] = value;
    if (!set)
        take_calendar(rtc);
}

static void write_register(struct rtc *rtc, unsigned index, uint8_t value)
{
    if (index > RTC_D && index != RTC_CENTURY) {
        rtc->state.cmos[index] = value;
        return;
    }
    sync_flags(rtc);
    if (is_calendar(index))
        write_calendar(rtc, index, value);
    else if (index == RTC_A)
        write_a(rtc, value);
    else if (index == RTC_B)
        write_b(rtc, value);
    else if (index != RTC_C && index != RTC_D)
        rtc->state.cmos[index] = value; /* the alarm */
    rtc_update(rtc);
}

static uint8_t read_c(struct rtc *rtc)
{
    uint8_t value;

    sync_flags(rtc);
    value = rtc->state.flags;
    if (value & rtc->state.cmos[RTC_B] & (B_PIE | B_AIE | B_UIE))
        value |= C_IRQF;
    rtc->state.flags = 0;
    rtc_update(rtc);
    return value;
}

static uint8_t read_register(struct rtc *rtc, unsigned index)
{
    if (is_calendar(index)) {
        if (!(rtc->state.cmos[RTC_B] & B_SET))
            rtc_encode(rtc->state.cmos, format_of(rtc), current_utc(rtc));
        return rtc->state.cmos[index];
    }
    switch (index) {
    case RTC_A: return rtc->state.cmos[RTC_A] | (update_in_progress(rtc) ? A_UIP : 0);
    case RTC_C: return read_c(rtc);
    case RTC_D: return D_VRT;
    default: return rtc->state.cmos[index];
    }
}

static uint64_t rtc_read(void *dev, uint64_t offset, unsigned width)
{
    struct rtc *rtc = dev;

    if (!(offset & 1))
        return 0xff; /* the index is write-only */
    return read_register(rtc, rtc->state.index & INDEX_MASK);
}

static void rtc_write(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    struct rtc *rtc = dev;

    if (offset & 1)
        write_register(rtc, rtc->state.index & INDEX_MASK, (uint8_t)value);
    else
        rtc->state.index = (uint8_t)value;
}

static uint64_t extended_read(void *dev, uint64_t offset, unsigned width)
{
    struct rtc *rtc = dev;

    return offset & 1 ? rtc->state.extended[rtc->state.extended_index] : rtc->state.extended_index;
}

static void extended_write(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    struct rtc *rtc = dev;

    if (offset & 1)
        rtc->state.extended[rtc->state.extended_index] = (uint8_t)value;
    else
        rtc->state.extended_index = (uint8_t)value;
}

const struct bus_ops rtc_ops = {.read = rtc_read, .write = rtc_write};
const struct bus_ops rtc_extended_ops = {.read = extended_read, .write = extended_write};

uint8_t *rtc_cmos(struct rtc *rtc)
{
    return rtc->state.cmos;
}

int64_t rtc_time(struct rtc *rtc)
{
    return current_utc(rtc);
}

bool rtc_nmi_masked(const struct rtc *rtc)
{
    return rtc->state.index & INDEX_NMI;
}

static void reset(void *dev)
{
    rtc_reset(dev);
}

static void settle(void *dev)
{
    sync_flags(dev);
}

static void resume(void *dev)
{
    struct rtc *rtc = dev;

    timer_arm(&rtc->timer, next_interrupt_ns(rtc));
}

/* Times so far off that sums of them would overflow are nobody's. */
static bool sound(const void *opaque)
{
    const struct rtc_state *state = opaque;

    return state->base_utc >= -UTC_MAX && state->base_utc <= UTC_MAX &&
           state->synced_utc >= -UTC_MAX && state->synced_utc <= UTC_MAX &&
           state->base_ns >= -SECOND_NS && state->base_ns <= NS_MAX &&
           state->synced_ns <= (uint64_t)NS_MAX;
}

static const struct device_field fields[] = {
    DEVICE_FIELD(struct rtc_state, base_utc),       DEVICE_FIELD(struct rtc_state, base_ns),
    DEVICE_FIELD(struct rtc_state, synced_utc),     DEVICE_FIELD(struct rtc_state, synced_ns),
    DEVICE_FIELD(struct rtc_state, irq_level),      DEVICE_FIELD(struct rtc_state, index),
    DEVICE_FIELD(struct rtc_state, extended_index), DEVICE_FIELD(struct rtc_state, flags),
    DEVICE_ARRAY(struct rtc_state, cmos),           DEVICE_ARRAY(struct rtc_state, extended),
};

static const struct device_class class = {
    .name = "MC146818A clock and CMOS",
    .version = 1,
    DEVICE_STATE(struct rtc_state, fields),
    .reset = reset,
    .settle = settle,
    .sound = sound,
    .resume = resume,
};

const struct device *rtc_device(const struct rtc *rtc)
{
    return &rtc->device;
}

struct rtc *rtc_create(struct clock *clock, int64_t start_utc, const struct irq_line *irq)
{
    struct rtc *rtc = calloc(1, sizeof(*rtc));

    if (!rtc)
        return NULL;
    rtc->device = (struct device){&class, rtc, &rtc->state};
    rtc->clock = clock;
    rtc->irq = *irq;
    timer_init(&rtc->timer, clock, rtc_fire, rtc);
    rtc->state.cmos[RTC_A] = A_RESET;
    rtc->state.cmos[RTC_B] = B_HOURS24;
    rtc->state.base_utc = start_utc;
    rtc->state.base_ns = now_ns(rtc);
    rtc->state.synced_utc = start_utc;
    rtc->state.synced_ns = clock_now_ns(clock);
    rtc_encode(rtc->state.cmos, format_of(rtc), start_utc);
    return rtc;
}

void rtc_destroy(struct rtc *rtc)
{
    if (!rtc)
        return;
    timer_cancel(&rtc->timer);
    free(rtc);
}

void rtc_reset(struct rtc *rtc)
{
    rtc->state.cmos[RTC_B] &= ~(B_PIE | B_AIE | B_UIE | B_SQWE);
    rtc->state.index = 0;
    rtc->state.extended_index = 0;
    sync_flags(rtc);
    rtc->state.flags = 0;
    rtc_update(rtc);
}

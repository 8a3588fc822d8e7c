/* The 8254's ports and its time; the counting itself is in pit_channel.c. */
#include "dev/pit.h"

#include <stdlib.h>

#include "base/trace.h"
#include "dev/pit_channel.h"

#define CHANNELS     3
#define PORT_CONTROL 3

/* The control word. */
#define CONTROL_BCD           0x01
#define CONTROL_MODE_SHIFT    1
#define CONTROL_MODE_MASK     7
#define CONTROL_ACCESS_SHIFT  4
#define CONTROL_ACCESS_MASK   3
#define CONTROL_CHANNEL_SHIFT 6
#define CONTROL_READ_BACK     3    /* as a channel */
#define CONTROL_STATUS_MASK   0x3f /* what the status byte repeats */

/* The read-back command: bits 1 to 3 select channels 0 to 2. */
#define READ_BACK_NO_STATUS 0x10
#define READ_BACK_NO_COUNT  0x20

/* The status byte; below NULL COUNT it repeats the control word. */
#define STATUS_OUT  0x80
#define STATUS_NULL 0x40

/* Channel 1 asks for a memory refresh every 18 ticks on a PC; 61h shows a flip-flop behind it. */
#define REFRESH_TICKS 18

/*
 * A period below this one would have the host do nothing but interrupts. Edges closer together are
 * skipped and counted as lost; no system programs a tick above 20 kHz.
 */
#define MIN_EDGE_TICKS 60

/*
 * Edges that the host came too late for are made up for between the next ones, so that a guest
 * which counts ticks keeps time over a short hiccup. After a long one (a stopped process, a
 * suspended host) a storm of old ticks would do more harm than a wrong count: hence the bound.
 */
#define BACKLOG_MAX 8

struct port {
    struct pit_channel ch;
    bool write_high; /* the next write carries the high byte */
    bool read_high;
    bool count_latched;
    bool status_latched;
    uint8_t control; /* the last control word */
    uint8_t write_low;
    uint8_t status;
    uint16_t latch;
};

struct pit_state {
    struct port port[CHANNELS];
    uint64_t edge;    /* the tick of channel 0's next rise that gets an interrupt */
    unsigned backlog; /* edges still to be made up for */
    uint64_t lost;
    uint64_t deadline_ns; /* of the timer; CLOCK_NEVER: it is idle */
};

struct pit {
    struct device device;
    struct clock *clock;
    struct irq_line irq;
    struct timer timer;
    struct pit_state state;
};

static uint64_t ns_to_tick(uint64_t ns)
{
    return clock_muldiv(ns, PIT_HZ, NS_PER_SEC);
}

/* The first nanosecond that belongs to a tick. */
static uint64_t tick_to_ns(uint64_t tick)
{
    uint64_t ns = clock_muldiv(tick, NS_PER_SEC, PIT_HZ);

    return ns_to_tick(ns) < tick ? ns + 1 : ns;
}

static uint64_t pit_now(const struct pit *pit)
{
    return ns_to_tick(clock_now_ns(pit->clock));
}

static void pit_add_missed(struct pit *pit, uint64_t missed)
{
    uint64_t taken = MIN(missed, (uint64_t)(BACKLOG_MAX - pit->state.backlog));

    pit->state.backlog += (unsigned)taken;
    pit->state.lost += missed - taken;
}

/* Sets the timer to channel 0's next rise, or to an edge that is to be made up for before it. */
static void pit_arm(struct pit *pit, uint64_t tick)
{
    struct pit_channel *ch = &pit->state.port[0].ch;
    uint32_t period;
    uint64_t deadline;

    pit_channel_sync(ch, tick);
    pit->state.edge = pit_channel_next_rise(ch, tick);
    if (pit->state.edge == PIT_TICK_NEVER) {
        pit->state.backlog = 0;
        timer_cancel(&pit->timer);
        return;
    }
    period = pit_channel_period(ch);
    if (period && period < MIN_EDGE_TICKS && pit->state.edge < tick + MIN_EDGE_TICKS) {
        uint64_t skip = (tick + MIN_EDGE_TICKS - pit->state.edge + period - 1) / period;

        pit->state.edge += skip * period;
        pit->state.lost += skip;
    }
    deadline = pit->state.edge;
    if (pit->state.backlog)
        deadline = MIN(deadline, tick + MAX(period / 2, MIN_EDGE_TICKS));
    timer_arm(&pit->timer, tick_to_ns(deadline));
}

static void pit_fire(void *opaque)
{
    struct pit *pit = opaque;
    struct pit_channel *ch = &pit->state.port[0].ch;
    uint64_t tick = pit_now(pit);

    if (pit->state.edge <= tick) {
        uint32_t period;

        pit_channel_sync(ch, pit->state.edge);
        period = pit_channel_period(ch);
        if (period)
            pit_add_missed(pit, (tick - pit->state.edge) / period);
    } else if (pit->state.backlog) {
        pit->state.backlog--;
    }
    trace(pit_tick, pit->state.edge, pit->state.backlog, pit->state.lost);
    /* OUT has fallen since the last rise (in mode 2 for a single tick); only the rise is timed. */
    irq_set(&pit->irq, false);
    irq_set(&pit->irq, true);
    pit_arm(pit, tick);
}

/* After the guest changed channel 0: OUT may have moved, and the next edge is another one. */
static void pit_changed(struct pit *pit, unsigned channel, uint64_t tick)
{
    if (channel != 0)
        return;
    pit->state.backlog = 0;
    irq_set(&pit->irq, pit_channel_out(&pit->state.port[0].ch, tick));
    pit_arm(pit, tick);
}

static void pit_latch_count(struct port *port, uint64_t tick)
{
    if (port->count_latched)
        return; /* the first latch holds until it is read */
    port->latch = pit_channel_count(&port->ch, tick);
    port->count_latched = true;
}

static void pit_latch_status(struct port *port, uint64_t tick)
{
    const struct pit_channel *ch = &port->ch;

    if (port->status_latched)
        return;
    port->status = port->control & CONTROL_STATUS_MASK;
    if (ch->null_count)
        port->status |= STATUS_NULL;
    if (pit_channel_out(ch, tick))
        port->status |= STATUS_OUT;
    port->status_latched = true;
}

static void pit_read_back(struct pit *pit, uint8_t command, uint64_t tick)
{
    for (unsigned i = 0; i < CHANNELS; i++) {
        if (!(command & (2u << i)))
            continue;
        pit_channel_sync(&pit->state.port[i].ch, tick);
        if (!(command & READ_BACK_NO_COUNT))
            pit_latch_count(&pit->state.port[i], tick);
        if (!(command & READ_BACK_NO_STATUS))
            pit_latch_status(&pit->state.port[i], tick);
    }
}

static void pit_control(struct pit *pit, uint8_t word, uint64_t tick)
{
    unsigned channel = word >> CONTROL_CHANNEL_SHIFT;
    unsigned access = (word >> CONTROL_ACCESS_SHIFT) & CONTROL_ACCESS_MASK;
    unsigned mode = (word >> CONTROL_MODE_SHIFT) & CONTROL_MODE_MASK;
    struct port *port;

    if (channel == CONTROL_READ_BACK) {
        pit_read_back(pit, word, tick);
        return;
    }
    port = &pit->state.port[channel];
    if (access == PIT_ACCESS_LATCH) {
        pit_channel_sync(&port->ch, tick);
        pit_latch_count(port, tick);
        return;
    }
    if (mode > PIT_HARDWARE_STROBE)
        mode -= 4; /* the high bit of modes 2 and 3 is not decoded */
    trace(pit_program, channel, mode, word);
    port->control = word;
    pit_channel_program(&port->ch, mode, access, word & CONTROL_BCD);
    port->write_high = port->read_high = false;
    port->count_latched = port->status_latched = false;
    pit_changed(pit, channel, tick);
}

static void pit_write_count(struct pit *pit, unsigned channel, uint8_t byte, uint64_t tick)
{
    struct port *port = &pit->state.port[channel];
    uint16_t value = byte;

    if (!port->ch.programmed)
        return;
    if (port->ch.access == PIT_ACCESS_HIGH) {
        value = (uint16_t)(byte << 8);
    } else if (port->ch.access == PIT_ACCESS_BOTH) {
        port->write_high = !port->write_high;
        if (port->write_high) {
            port->write_low = byte;
            pit_channel_sync(&port->ch, tick);
            pit_channel_half_written(&port->ch);
            pit_changed(pit, channel, tick);
            return;
        }
        value = (uint16_t)(byte << 8 | port->write_low);
    }
    pit_channel_write(&port->ch, value, tick);
    pit_changed(pit, channel, tick);
}

static uint8_t pit_read_count(struct pit *pit, unsigned channel, uint64_t tick)
{
    struct port *port = &pit->state.port[channel];
    bool both = port->ch.access == PIT_ACCESS_BOTH;
    bool high = both ? port->read_high : port->ch.access == PIT_ACCESS_HIGH;
    uint16_t value;

    if (port->status_latched) {
        port->status_latched = false;
        return port->status;
    }
    pit_channel_sync(&port->ch, tick);
    value = port->count_latched ? port->latch : pit_channel_count(&port->ch, tick);
    if (both)
        port->read_high = !port->read_high;
    if (!both || high) /* that was the latch's last byte */
        port->count_latched = false;
    return (uint8_t)(high ? value >> 8 : value);
}

static uint64_t pit_read(void *dev, uint64_t offset, unsigned width)
{
    struct pit *pit = dev;

    if ((offset & 3) == PORT_CONTROL)
        return 0xff; /* write-only: the chip leaves the bus floating */
    return pit_read_count(pit, offset & 3, pit_now(pit));
}

static void pit_write(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    struct pit *pit = dev;

    if ((offset & 3) == PORT_CONTROL)
        pit_control(pit, (uint8_t)value, pit_now(pit));
    else
        pit_write_count(pit, offset & 3, (uint8_t)value, pit_now(pit));
}

const struct bus_ops pit_ops = {.read = pit_read, .write = pit_write};

bool pit_channel2_out(struct pit *pit)
{
    uint64_t tick = pit_now(pit);

    pit_channel_sync(&pit->state.port[2].ch, tick);
    return pit_channel_out(&pit->state.port[2].ch, tick);
}

bool pit_channel2_gate(const struct pit *pit)
{
    return pit->state.port[2].ch.gate;
}

void pit_set_channel2_gate(struct pit *pit, bool gate)
{
    pit_channel_set_gate(&pit->state.port[2].ch, gate, pit_now(pit));
}

bool pit_refresh_toggle(const struct pit *pit)
{
    return pit_now(pit) / REFRESH_TICKS & 1;
}

uint64_t pit_lost_ticks(const struct pit *pit)
{
    return pit->state.lost;
}

static void reset(void *dev)
{
    pit_reset(dev);
}

static void settle(void *dev)
{
    struct pit *pit = dev;

    pit->state.deadline_ns = pit->timer.deadline_ns;
}

static void resume(void *dev)
{
    struct pit *pit = dev;

    if (pit->state.deadline_ns == CLOCK_NEVER)
        timer_cancel(&pit->timer);
    else
        timer_arm(&pit->timer, pit->state.deadline_ns);
}

static bool sound(const void *opaque)
{
    const struct pit_state *state = opaque;

    for (unsigned i = 0; i < CHANNELS; i++) {
        if (!pit_channel_sound(&state->port[i].ch))
            return false;
    }
    return state->backlog <= BACKLOG_MAX;
}

static const struct device_field fields[] = {
    DEVICE_EACH(struct pit_state, port, ch.mode),
    DEVICE_EACH(struct pit_state, port, ch.access),
    DEVICE_EACH(struct pit_state, port, ch.bcd),
    DEVICE_EACH(struct pit_state, port, ch.gate),
    DEVICE_EACH(struct pit_state, port, ch.programmed),
    DEVICE_EACH(struct pit_state, port, ch.null_count),
    DEVICE_EACH(struct pit_state, port, ch.written),
    DEVICE_EACH(struct pit_state, port, ch.loaded),
    DEVICE_EACH(struct pit_state, port, ch.running),
    DEVICE_EACH(struct pit_state, port, ch.load_low),
    DEVICE_EACH(struct pit_state, port, ch.count),
    DEVICE_EACH(struct pit_state, port, ch.period),
    DEVICE_EACH(struct pit_state, port, ch.load_at),
    DEVICE_EACH(struct pit_state, port, ch.since),
    DEVICE_EACH(struct pit_state, port, ch.frozen),
    DEVICE_EACH(struct pit_state, port, write_high),
    DEVICE_EACH(struct pit_state, port, read_high),
    DEVICE_EACH(struct pit_state, port, count_latched),
    DEVICE_EACH(struct pit_state, port, status_latched),
    DEVICE_EACH(struct pit_state, port, control),
    DEVICE_EACH(struct pit_state, port, write_low),
    DEVICE_EACH(struct pit_state, port, status),
    DEVICE_EACH(struct pit_state, port, latch),
    DEVICE_FIELD(struct pit_state, edge),
    DEVICE_FIELD(struct pit_state, backlog),
    DEVICE_FIELD(struct pit_state, lost),
    DEVICE_FIELD(struct pit_state, deadline_ns),
};

static const struct device_class class = {
    .name = "8254 timer",
    .version = 1,
    DEVICE_STATE(struct pit_state, fields),
    .reset = reset,
    .settle = settle,
    .sound = sound,
    .resume = resume,
};

const struct device *pit_device(const struct pit *pit)
{
    return &pit->device;
}

struct pit *pit_create(struct clock *clock, const struct irq_line *irq)
{
    struct pit *pit = calloc(1, sizeof(*pit));

    if (!pit)
        return NULL;
    pit->device = (struct device){&class, pit, &pit->state};
    pit->clock = clock;
    pit->irq = *irq;
    timer_init(&pit->timer, clock, pit_fire, pit);
    pit_reset(pit);
    return pit;
}

void pit_destroy(struct pit *pit)
{
    if (!pit)
        return;
    timer_cancel(&pit->timer);
    free(pit);
}

void pit_reset(struct pit *pit)
{
    timer_cancel(&pit->timer);
    for (unsigned i = 0; i < CHANNELS; i++) {
        pit->state.port[i] = (struct port){0};
        pit->state.port[i].ch.load_at = PIT_TICK_NEVER;
        pit->state.port[i].ch.gate = i != 2;
    }
    pit->state.edge = PIT_TICK_NEVER;
    pit->state.backlog = 0;
    pit->state.lost = 0;
    irq_set(&pit->irq, false);
}

/* Ports 61h, 92h, 80h and EDh; see sysctl.h. */
#include "dev/sysctl.h"

#include <stdlib.h>

#include "base/trace.h"

/* Port 61h; bits 7 and 6 (SERR#, IOCHK#) are always clear. */
#define P61_GATE2    0x01 /* GATE of the timer's channel 2 */
#define P61_SPEAKER  0x02
#define P61_NO_SERR  0x04
#define P61_NO_IOCHK 0x08
#define P61_REFRESH  0x10 /* toggles with each refresh */
#define P61_OUT2     0x20
#define P61_WRITABLE (P61_SPEAKER | P61_NO_SERR | P61_NO_IOCHK)

/* Port 92h. */
#define P92_RESET 0x01 /* a rise resets the processor */
#define P92_A20   0x02

struct sysctl_state {
    uint8_t port61; /* P61_WRITABLE */
    uint8_t port92; /* P92_RESET */
    uint8_t post_code;
};

struct sysctl {
    struct device device;
    struct pit *pit;
    struct a20_gate *a20;
    struct irq_line reset;
    struct sysctl_state state;
};

static uint64_t port61_read(void *dev, uint64_t offset, unsigned width)
{
    struct sysctl *sysctl = dev;
    uint8_t value = sysctl->state.port61;

    if (pit_channel2_gate(sysctl->pit))
        value |= P61_GATE2;
    if (pit_refresh_toggle(sysctl->pit))
        value |= P61_REFRESH;
    if (pit_channel2_out(sysctl->pit))
        value |= P61_OUT2;
    return value;
}

static void port61_write(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    struct sysctl *sysctl = dev;

    sysctl->state.port61 = (uint8_t)value & P61_WRITABLE;
    pit_set_channel2_gate(sysctl->pit, value & P61_GATE2);
}

static uint64_t port92_read(void *dev, uint64_t offset, unsigned width)
{
    const struct sysctl *sysctl = dev;

    return sysctl->state.port92 | (sysctl->a20->enabled ? P92_A20 : 0);
}

static void port92_write(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    struct sysctl *sysctl = dev;
    bool rise = (value & P92_RESET) && !(sysctl->state.port92 & P92_RESET);

    sysctl->state.port92 = (uint8_t)value & P92_RESET;
    a20_set(sysctl->a20, value & P92_A20);
    if (rise)
        irq_pulse(&sysctl->reset);
}

static uint64_t post_read(void *dev, uint64_t offset, unsigned width)
{
    return ((const struct sysctl *)dev)->state.post_code;
}

static void post_write(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    trace(sysctl_post, value);
    ((struct sysctl *)dev)->state.post_code = (uint8_t)value;
}

static uint64_t delay_read(void *dev, uint64_t offset, unsigned width)
{
    return 0xff;
}

static void delay_write(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
}

const struct bus_ops sysctl_port61_ops = {.read = port61_read, .write = port61_write};
const struct bus_ops sysctl_port92_ops = {.read = port92_read, .write = port92_write};
const struct bus_ops sysctl_post_ops = {.read = post_read, .write = post_write};
const struct bus_ops sysctl_delay_ops = {.read = delay_read, .write = delay_write};

uint8_t sysctl_post_code(const struct sysctl *sysctl)
{
    return sysctl->state.post_code;
}

static void reset(void *dev)
{
    sysctl_reset(dev);
}

static bool sound(const void *opaque)
{
    const struct sysctl_state *state = opaque;

    return !(state->port61 & ~P61_WRITABLE) && !(state->port92 & ~P92_RESET);
}

static const struct device_field fields[] = {
    DEVICE_FIELD(struct sysctl_state, port61),
    DEVICE_FIELD(struct sysctl_state, port92),
    DEVICE_FIELD(struct sysctl_state, post_code),
};

static const struct device_class class = {
    .name = "system control ports",
    .version = 1,
    DEVICE_STATE(struct sysctl_state, fields),
    .reset = reset,
    .sound = sound,
};

const struct device *sysctl_device(const struct sysctl *sysctl)
{
    return &sysctl->device;
}

struct sysctl *sysctl_create(struct pit *pit, struct a20_gate *a20, const struct irq_line *reset)
{
    struct sysctl *sysctl = calloc(1, sizeof(*sysctl));

    if (!sysctl)
        return NULL;
    sysctl->device = (struct device){&class, sysctl, &sysctl->state};
    sysctl->pit = pit;
    sysctl->a20 = a20;
    sysctl->reset = *reset;
    return sysctl;
}

void sysctl_destroy(struct sysctl *sysctl)
{
    free(sysctl);
}

void sysctl_reset(struct sysctl *sysctl)
{
    sysctl->state.port61 = 0;
    sysctl->state.port92 = 0;
    sysctl->state.post_code = 0;
}

/*
 * ACPI's fixed hardware. Registers are little-endian and may be accessed in any width, so each is
 * read and written a byte at a time; only the timer is read whole.
 */
#include "dev/acpi_pm.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/trace.h"
#include "mem/layout.h"

/* Offsets in the PM block. */
#define PM1_STATUS  0
#define PM1_ENABLE  2
#define PM1_CONTROL 4
#define PM_TIMER    8

/* PM1 status and enable bits. */
#define PM1_TIMER        BIT(0)
#define PM1_GLOBAL       BIT(5)
#define PM1_POWER_BUTTON BIT(8)
#define PM1_RTC          BIT(10)
#define PM1_EVENTS       (PM1_TIMER | PM1_GLOBAL | PM1_POWER_BUTTON | PM1_RTC)

/* PM1 control bits. */
#define PM1_SCI_ENABLE       BIT(0)
#define PM1_BUS_MASTER_RLD   BIT(1)
#define PM1_SLEEP_TYPE_SHIFT 10
#define PM1_SLEEP_TYPE       (7u << PM1_SLEEP_TYPE_SHIFT)
#define PM1_SLEEP_ENABLE     BIT(13) /* write-only */

/* The 24-bit counter's status bit is set whenever its highest bit changes. */
#define TIMER_BITS      24
#define TIMER_HALF_LOOP BIT(TIMER_BITS - 1)

struct acpi_pm_state {
    uint64_t overflow_tick; /* the first change of the highest bit since its status was cleared */
    uint16_t status;        /* without the timer's bit, which is computed */
    uint16_t enable;
    uint16_t control;
    uint16_t gpe_enable; /* no general-purpose event exists; its status is 0 */
    uint8_t smi_data;
    bool sci_level;
};

struct acpi_pm {
    struct device device;
    struct acpi_pm_config config;
    struct timer overflow;
    struct acpi_pm_state state;
};

static uint64_t timer_ticks(const struct acpi_pm *pm)
{
    return clock_muldiv(clock_now_ns(pm->config.clock), ACPI_PM_TIMER_HZ, NS_PER_SEC);
}

static uint16_t read_status(const struct acpi_pm *pm)
{
    return pm->state.status | (timer_ticks(pm) >= pm->state.overflow_tick ? PM1_TIMER : 0);
}

/* The next change of the timer's highest bit from now on. */
static void await_overflow(struct acpi_pm *pm)
{
    pm->state.overflow_tick = (timer_ticks(pm) | (TIMER_HALF_LOOP - 1)) + 1;
}

/* Sets the SCI line, and arms for the overflow if the guest wants to hear of it. */
static void update(struct acpi_pm *pm)
{
    uint16_t status = read_status(pm);
    bool level = pm->state.control & PM1_SCI_ENABLE && status & pm->state.enable & PM1_EVENTS;

    if (pm->state.enable & PM1_TIMER && !(status & PM1_TIMER))
        timer_arm(&pm->overflow,
                  clock_muldiv(pm->state.overflow_tick, NS_PER_SEC, ACPI_PM_TIMER_HZ) + 1);
    else
        timer_cancel(&pm->overflow);
    if (level == pm->state.sci_level)
        return;
    pm->state.sci_level = level;
    trace(acpi_pm_sci, level);
    irq_set(&pm->config.sci, level);
}

static void overflow_due(void *opaque)
{
    update(opaque);
}

/* Puts a byte into a register of two. */
static uint16_t with_byte(uint16_t before, unsigned index, uint8_t value)
{
    unsigned shift = 8 * index;

    return (uint16_t)((before & ~(0xffu << shift)) | (unsigned)value << shift);
}

static void write_status(struct acpi_pm *pm, uint16_t ones)
{
    if (ones & PM1_TIMER && read_status(pm) & PM1_TIMER)
        await_overflow(pm);
    pm->state.status &= (uint16_t)~ones;
}

/* SLP_EN is in the high byte, beside the sleep type that it commands. */
static void write_control(struct acpi_pm *pm, uint16_t value)
{
    /* SCI_EN belongs to the SMI command port; a write here leaves it. */
    uint16_t writable = PM1_BUS_MASTER_RLD | PM1_SLEEP_TYPE;

    pm->state.control = (uint16_t)((pm->state.control & ~writable) | (value & writable));
    if (value & PM1_SLEEP_ENABLE &&
        (pm->state.control & PM1_SLEEP_TYPE) >> PM1_SLEEP_TYPE_SHIFT == LAYOUT_PM_SLP_TYP_S5 &&
        pm->config.power_off)
        pm->config.power_off(pm->config.opaque);
}

static uint8_t read_byte(const struct acpi_pm *pm, uint64_t offset)
{
    unsigned shift = 8 * (offset & 1);

    switch (offset & ~(uint64_t)1) {
    case PM1_STATUS: return (uint8_t)(read_status(pm) >> shift);
    case PM1_ENABLE: return (uint8_t)(pm->state.enable >> shift);
    case PM1_CONTROL: return (uint8_t)(pm->state.control >> shift);
    case PM_TIMER:
    case PM_TIMER + 2: return (uint8_t)(bits_get(timer_ticks(pm), 23, 0) >> (8 * (offset & 3)));
    default: return 0;
    }
}

static void write_byte(struct acpi_pm *pm, uint64_t offset, uint8_t value)
{
    unsigned index = offset & 1;

    switch (offset & ~(uint64_t)1) {
    case PM1_STATUS: write_status(pm, with_byte(0, index, value)); break;
    case PM1_ENABLE:
        pm->state.enable = with_byte(pm->state.enable, index, value) & PM1_EVENTS;
        break;
    case PM1_CONTROL: write_control(pm, with_byte(pm->state.control, index, value)); break;
    default: break;
    }
}

static uint64_t acpi_pm_read(void *dev, uint64_t offset, unsigned width)
{
    struct acpi_pm *pm = dev;
    uint64_t value = 0;

    /* One moment for all bytes of the timer. */
    if (offset == PM_TIMER)
        return bits_get(timer_ticks(pm), TIMER_BITS - 1, 0);
    for (unsigned i = 0; i < width; i++)
        value |= (uint64_t)read_byte(pm, offset + i) << (8 * i);
    return value;
}

static void acpi_pm_write(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    struct acpi_pm *pm = dev;

    trace(acpi_pm_write, offset, value);
    for (unsigned i = 0; i < width; i++)
        write_byte(pm, offset + i, (uint8_t)(value >> (8 * i)));
    update(pm);
}

const struct bus_ops acpi_pm_ops = {
    .read = acpi_pm_read,
    .write = acpi_pm_write,
    .widths = 1 | 2 | 4,
};

static uint64_t acpi_gpe_read(void *dev, uint64_t offset, unsigned width)
{
    const struct acpi_pm *pm = dev;

    return offset < 2 ? 0 : (uint8_t)(pm->state.gpe_enable >> (8 * (offset & 1)));
}

static void acpi_gpe_write(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    struct acpi_pm *pm = dev;

    if (offset >= 2)
        pm->state.gpe_enable = with_byte(pm->state.gpe_enable, offset & 1, (uint8_t)value);
}

const struct bus_ops acpi_gpe_ops = {
    .read = acpi_gpe_read,
    .write = acpi_gpe_write,
    .widths = 1,
};

static uint64_t acpi_hotplug_read(void *dev, uint64_t offset, unsigned width)
{
    return 0;
}

static void acpi_hotplug_write(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    /* Nothing can be ejected. */
}

const struct bus_ops acpi_hotplug_ops = {
    .read = acpi_hotplug_read,
    .write = acpi_hotplug_write,
    .widths = 1 | 2 | 4,
};

static uint64_t acpi_smi_read(void *dev, uint64_t offset, unsigned width)
{
    const struct acpi_pm *pm = dev;

    /* A command is done as soon as it is written: the command port reads 0. */
    return offset == 1 ? pm->state.smi_data : 0;
}

static void acpi_smi_write(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    struct acpi_pm *pm = dev;

    if (offset == 1)
        pm->state.smi_data = (uint8_t)value;
    else if (value == LAYOUT_SMI_ACPI_ENABLE)
        pm->state.control |= PM1_SCI_ENABLE;
    else if (value == LAYOUT_SMI_ACPI_DISABLE)
        pm->state.control &= (uint16_t)~PM1_SCI_ENABLE;
    update(pm);
}

const struct bus_ops acpi_smi_ops = {
    .read = acpi_smi_read,
    .write = acpi_smi_write,
    .widths = 1,
};

bool acpi_pm_press_power_button(struct acpi_pm *pm)
{
    pm->state.status |= PM1_POWER_BUTTON;
    update(pm);
    return pm->state.control & PM1_SCI_ENABLE && pm->state.enable & PM1_POWER_BUTTON;
}

bool acpi_pm_enabled(const struct acpi_pm *pm)
{
    return pm->state.control & PM1_SCI_ENABLE;
}

void acpi_pm_reset(struct acpi_pm *pm)
{
    pm->state.status = 0;
    pm->state.enable = 0;
    pm->state.control = 0;
    pm->state.gpe_enable = 0;
    pm->state.smi_data = 0;
    await_overflow(pm);
    update(pm);
}

static void reset(void *dev)
{
    acpi_pm_reset(dev);
}

static bool sound(const void *opaque)
{
    const struct acpi_pm_state *state = opaque;
    uint16_t control = PM1_SCI_ENABLE | PM1_BUS_MASTER_RLD | PM1_SLEEP_TYPE;

    return !(state->enable & ~PM1_EVENTS) && !(state->control & ~control);
}

/* The lines are as they were; the timer goes on. */
static void resume(void *dev)
{
    update(dev);
}

static const struct device_field fields[] = {
    DEVICE_FIELD(struct acpi_pm_state, overflow_tick), DEVICE_FIELD(struct acpi_pm_state, status),
    DEVICE_FIELD(struct acpi_pm_state, enable),        DEVICE_FIELD(struct acpi_pm_state, control),
    DEVICE_FIELD(struct acpi_pm_state, gpe_enable),    DEVICE_FIELD(struct acpi_pm_state, smi_data),
    DEVICE_FIELD(struct acpi_pm_state, sci_level),
};

static const struct device_class class = {
    .name = "ACPI power management",
    .version = 1,
    DEVICE_STATE(struct acpi_pm_state, fields),
    .reset = reset,
    .sound = sound,
    .resume = resume,
};

const struct device *acpi_pm_device(const struct acpi_pm *acpi_pm)
{
    return &acpi_pm->device;
}

struct acpi_pm *acpi_pm_create(const struct acpi_pm_config *config)
{
    struct acpi_pm *pm = calloc(1, sizeof(*pm));

    ASSERT(config->clock, "the PM timer has a clock");
    if (!pm)
        return NULL;
    pm->device = (struct device){&class, pm, &pm->state};
    pm->config = *config;
    timer_init(&pm->overflow, config->clock, overflow_due, pm);
    acpi_pm_reset(pm);
    return pm;
}

void acpi_pm_destroy(struct acpi_pm *pm)
{
    if (!pm)
        return;
    timer_cancel(&pm->overflow);
    free(pm);
}

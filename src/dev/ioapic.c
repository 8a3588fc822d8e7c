/* The I/O APIC: an index register, a data register and the redirection table. */
#include "dev/ioapic.h"

#include <stdlib.h>
#include <string.h>

#include "base/trace.h"

/* Page offsets. */
#define IOAPIC_SELECT 0x00
#define IOAPIC_WINDOW 0x10
#define IOAPIC_EOI    0x40

/* Indirect registers. */
#define REG_ID          0x00
#define REG_VERSION     0x01
#define REG_ARBITRATION 0x02
#define REG_TABLE       0x10

#define ID_SHIFT      24
#define ID_MASK       0x0f000000u
#define VERSION_VALUE (0x20u | (IOAPIC_PINS - 1) << 16)

/* A redirection entry. */
#define ENTRY_LOGICAL    BIT(11)
#define ENTRY_STATUS     BIT(12) /* read-only; messages leave at once: 0 */
#define ENTRY_POLARITY   BIT(13)
#define ENTRY_REMOTE_IRR BIT(14) /* read-only: a level was sent, its EOI is awaited */
#define ENTRY_LEVEL      BIT(15)
#define ENTRY_MASKED     BIT(16)
#define ENTRY_WRITABLE                                                                             \
    (0xff000000000007ffu | ENTRY_LOGICAL | ENTRY_POLARITY | ENTRY_LEVEL | ENTRY_MASKED)

struct ioapic_state {
    uint8_t select;
    uint32_t id;                 /* as the register holds it */
    uint32_t lines;              /* the pins that are asserted */
    uint64_t table[IOAPIC_PINS]; /* the redirection table */
};

struct ioapic {
    struct device device;
    struct apic_bus *bus;
    uint8_t reset_id;
    struct ioapic_state state;
};

static void send(struct ioapic *ioapic, unsigned pin)
{
    uint64_t entry = ioapic->state.table[pin];
    struct apic_message message = {
        .destination = (uint32_t)(entry >> 56),
        .logical = entry & ENTRY_LOGICAL,
        .level = entry & ENTRY_LEVEL,
        .delivery = (uint8_t)bits_get(entry, 10, 8),
        .vector = (uint8_t)entry,
    };

    if (message.delivery == APIC_DELIVER_EXTINT || message.delivery == APIC_DELIVER_SIPI)
        return;
    apic_bus_deliver(ioapic->bus, &message);
}

/* Sends an asserted level that no EOI is awaited for. */
static void service_level(struct ioapic *ioapic, unsigned pin)
{
    uint64_t *entry = &ioapic->state.table[pin];

    if (!(*entry & ENTRY_LEVEL) || *entry & (ENTRY_MASKED | ENTRY_REMOTE_IRR) ||
        !(ioapic->state.lines & BIT(pin)))
        return;
    *entry |= ENTRY_REMOTE_IRR;
    send(ioapic, pin);
}

void ioapic_set_irq(void *opaque, unsigned pin, bool level)
{
    struct ioapic *ioapic = opaque;
    uint32_t before = ioapic->state.lines;

    if (pin >= IOAPIC_PINS)
        return;
    trace(ioapic_line, pin, level);
    if (level)
        ioapic->state.lines |= (uint32_t)BIT(pin);
    else
        ioapic->state.lines &= ~(uint32_t)BIT(pin);
    if (ioapic->state.table[pin] & ENTRY_LEVEL) {
        service_level(ioapic, pin);
        return;
    }
    /* A masked edge is lost, as the data sheet says. */
    if (ioapic->state.lines & ~before && !(ioapic->state.table[pin] & ENTRY_MASKED))
        send(ioapic, pin);
}

/* The bus's broadcast, or the EOI register. */
static void end_interrupt(void *opaque, uint8_t vector)
{
    struct ioapic *ioapic = opaque;

    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        uint64_t *entry = &ioapic->state.table[pin];

        if (!(*entry & ENTRY_REMOTE_IRR) || (uint8_t)*entry != vector)
            continue;
        *entry &= ~ENTRY_REMOTE_IRR;
        service_level(ioapic, pin);
    }
}

static void write_entry(struct ioapic *ioapic, unsigned pin, uint64_t value)
{
    uint64_t *entry = &ioapic->state.table[pin];

    *entry = (value & ENTRY_WRITABLE) | (*entry & ENTRY_REMOTE_IRR);
    /* Software for old versions ends a level by making it an edge for a moment. */
    if (!(*entry & ENTRY_LEVEL))
        *entry &= ~ENTRY_REMOTE_IRR;
    service_level(ioapic, pin);
}

static uint32_t read_indirect(const struct ioapic *ioapic)
{
    unsigned index = ioapic->state.select - REG_TABLE;

    switch (ioapic->state.select) {
    case REG_ID:
    case REG_ARBITRATION: return ioapic->state.id;
    case REG_VERSION: return VERSION_VALUE;
    default: break;
    }
    if (ioapic->state.select < REG_TABLE || index / 2 >= IOAPIC_PINS)
        return UINT32_MAX;
    return (uint32_t)(ioapic->state.table[index / 2] >> (32 * (index % 2)));
}

static void write_indirect(struct ioapic *ioapic, uint32_t value)
{
    unsigned index = ioapic->state.select - REG_TABLE;
    uint64_t entry;

    if (ioapic->state.select == REG_ID)
        ioapic->state.id = value & ID_MASK;
    if (ioapic->state.select < REG_TABLE || index / 2 >= IOAPIC_PINS)
        return;
    entry = ioapic->state.table[index / 2];
    if (index % 2)
        entry = (uint64_t)value << 32 | (uint32_t)entry;
    else
        entry = (entry >> 32) << 32 | value;
    write_entry(ioapic, index / 2, entry);
}

static uint64_t ioapic_mmio_peek(const void *dev, uint64_t offset, unsigned width)
{
    const struct ioapic *ioapic = dev;

    switch (offset) {
    case IOAPIC_SELECT: return ioapic->state.select;
    case IOAPIC_WINDOW: return read_indirect(ioapic);
    default: return 0;
    }
}

static uint64_t ioapic_mmio_read(void *dev, uint64_t offset, unsigned width)
{
    return ioapic_mmio_peek(dev, offset, width);
}

static void ioapic_mmio_write(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    struct ioapic *ioapic = dev;

    switch (offset) {
    case IOAPIC_SELECT: ioapic->state.select = (uint8_t)value; break;
    case IOAPIC_WINDOW:
        if (width == 4)
            write_indirect(ioapic, (uint32_t)value);
        break;
    case IOAPIC_EOI: end_interrupt(ioapic, (uint8_t)value); break;
    default: break;
    }
}

const struct bus_ops ioapic_mmio_ops = {
    .read = ioapic_mmio_read,
    .write = ioapic_mmio_write,
    .widths = 4,
    .peek = ioapic_mmio_peek,
};

void ioapic_reset(struct ioapic *ioapic)
{
    ioapic->state.select = 0;
    ioapic->state.id = (uint32_t)ioapic->reset_id << ID_SHIFT;
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        ioapic->state.table[pin] = ENTRY_MASKED;
}

static void reset(void *dev)
{
    ioapic_reset(dev);
}

/* What a write cannot set must not come by a load. */
static bool sound(const void *opaque)
{
    const struct ioapic_state *state = opaque;

    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        if (state->table[pin] & ~(ENTRY_WRITABLE | ENTRY_REMOTE_IRR))
            return false;
    }
    return !(state->id & ~ID_MASK) && !(state->lines >> IOAPIC_PINS);
}

static const struct device_field fields[] = {
    DEVICE_FIELD(struct ioapic_state, select),
    DEVICE_FIELD(struct ioapic_state, id),
    DEVICE_FIELD(struct ioapic_state, lines),
    DEVICE_ARRAY(struct ioapic_state, table),
};

static const struct device_class class = {
    .name = "I/O APIC",
    .version = 1,
    DEVICE_STATE(struct ioapic_state, fields),
    .reset = reset,
    .sound = sound,
};

const struct device *ioapic_device(const struct ioapic *ioapic)
{
    return &ioapic->device;
}

struct ioapic *ioapic_create(uint8_t id, struct apic_bus *bus)
{
    struct ioapic *ioapic = calloc(1, sizeof(*ioapic));

    if (!ioapic)
        return NULL;
    ioapic->device = (struct device){&class, ioapic, &ioapic->state};
    ioapic->bus = bus;
    ioapic->reset_id = id & (ID_MASK >> ID_SHIFT);
    ioapic_reset(ioapic);
    if (apic_bus_listen_eoi(bus, end_interrupt, ioapic) != 0) {
        free(ioapic);
        return NULL;
    }
    return ioapic;
}

void ioapic_destroy(struct ioapic *ioapic)
{
    if (!ioapic)
        return;
    apic_bus_unlisten_eoi(ioapic->bus, ioapic);
    free(ioapic);
}

/*
 * The MP table, entry after entry in the order of their types. Fields are named by their offsets in
 * the specification's figures.
 */
#include "fw/mptable.h"

#include <errno.h>

#include "base/assert.h"
#include "fw/bytes.h"
#include "fw/irq_routes.h"
#include "mem/layout.h"

#define SPEC_REVISION 4 /* 1.4 */
#define POINTER_SIZE  16
#define HEADER_SIZE   44
#define CPU_SIZE      20
#define ENTRY_SIZE    8 /* of every entry but a processor's */

enum entry_type { ENTRY_CPU, ENTRY_BUS, ENTRY_IOAPIC, ENTRY_IO_INTERRUPT, ENTRY_LOCAL_INTERRUPT };

/* Buses by the number that Linux takes for PCI's own. */
enum bus_id { BUS_PCI = 0, BUS_ISA = 1 };

enum interrupt_type { INTERRUPT_VECTORED = 0, INTERRUPT_NMI = 1, INTERRUPT_EXTINT = 3 };

#define CPU_ENABLED    BIT(0)
#define CPU_BOOTSTRAP  BIT(1)
#define LAPIC_VERSION  0x14
#define IOAPIC_VERSION 0x20 /* as its version register says */
#define IOAPIC_ENABLED BIT(0)
#define EVERY_LAPIC    0xff

#define BUSES            2
#define ISA_INTERRUPTS   (IRQ_ROUTES_ISA - 1) /* without the cascade */
#define PCI_INTERRUPTS   ((IRQ_ROUTES_SLOTS - 1) * IRQ_ROUTES_PINS)
#define LOCAL_INTERRUPTS 2
#define SHORT_ENTRIES    (BUSES + 1 + ISA_INTERRUPTS + PCI_INTERRUPTS + LOCAL_INTERRUPTS)

static uint8_t *add_cpus(uint8_t *at, const struct mptable_config *config)
{
    for (size_t i = 0; i < config->cpu_count; i++, at += CPU_SIZE) {
        at[0] = ENTRY_CPU;
        at[1] = config->apic_ids[i];
        at[2] = LAPIC_VERSION;
        at[3] = CPU_ENABLED | (i == 0 ? CPU_BOOTSTRAP : 0);
        bytes_put32(at + 4, config->cpu_signature);
        bytes_put32(at + 8, config->cpu_features);
    }
    return at;
}

static uint8_t *add_bus(uint8_t *at, enum bus_id id, const char name[6])
{
    at[0] = ENTRY_BUS;
    at[1] = (uint8_t)id;
    memcpy(at + 2, name, 6);
    return at + ENTRY_SIZE;
}

static uint8_t *add_ioapic(uint8_t *at, uint8_t id)
{
    at[0] = ENTRY_IOAPIC;
    at[1] = id;
    at[2] = IOAPIC_VERSION;
    at[3] = IOAPIC_ENABLED;
    bytes_put32(at + 4, LAYOUT_IOAPIC_BASE);
    return at + ENTRY_SIZE;
}

/* Where an interrupt comes from and where it goes. */
struct route {
    enum entry_type entry;
    enum interrupt_type type;
    uint8_t flags; /* polarity and trigger; 0 conforms to the bus */
    enum bus_id bus;
    uint8_t irq; /* on that bus; for PCI: device << 2 | pin */
    uint8_t apic_id;
    uint8_t pin;
};

static uint8_t *add_route(uint8_t *at, const struct route *route)
{
    at[0] = (uint8_t)route->entry;
    at[1] = (uint8_t)route->type;
    bytes_put16(at + 2, route->flags);
    at[4] = (uint8_t)route->bus;
    at[5] = route->irq;
    at[6] = route->apic_id;
    at[7] = route->pin;
    return at + ENTRY_SIZE;
}

static uint8_t *add_isa_interrupts(uint8_t *at, uint8_t ioapic_id)
{
    struct route route = {.entry = ENTRY_IO_INTERRUPT, .bus = BUS_ISA, .apic_id = ioapic_id};

    for (unsigned irq = 0; irq < IRQ_ROUTES_ISA; irq++) {
        if (irq == 2)
            continue;
        route.flags = irq_routes_isa_flags(irq);
        route.irq = (uint8_t)irq;
        route.pin = irq_routes_isa_pin(irq);
        at = add_route(at, &route);
    }
    return at;
}

/* The PIRQs are active-high levels at the I/O APIC, while PCI's own convention is low. */
static uint8_t *add_pci_interrupts(uint8_t *at, uint8_t ioapic_id)
{
    struct route route = {.entry = ENTRY_IO_INTERRUPT,
                          .flags = IRQ_FLAGS_HIGH_LEVEL,
                          .bus = BUS_PCI,
                          .apic_id = ioapic_id};

    for (unsigned slot = 1; slot < IRQ_ROUTES_SLOTS; slot++) {
        for (unsigned pin = 0; pin < IRQ_ROUTES_PINS; pin++) {
            route.irq = (uint8_t)(slot << 2 | pin);
            route.pin = irq_routes_pirq_irq(irq_routes_pirq(slot, pin));
            at = add_route(at, &route);
        }
    }
    return at;
}

/* The 8259's INTR arrives at LINT0, NMI at LINT1, of every processor. */
static uint8_t *add_local_interrupts(uint8_t *at)
{
    struct route route = {.entry = ENTRY_LOCAL_INTERRUPT,
                          .type = INTERRUPT_EXTINT,
                          .bus = BUS_ISA,
                          .apic_id = EVERY_LAPIC,
                          .pin = 0};

    at = add_route(at, &route);
    route.type = INTERRUPT_NMI;
    route.pin = 1;
    return add_route(at, &route);
}

static void build_pointer(uint8_t *pointer, gpa_t table)
{
    memcpy(pointer, "_MP_", 4);
    bytes_put32(pointer + 4, (uint32_t)table);
    pointer[8] = POINTER_SIZE / 16;
    pointer[9] = SPEC_REVISION;
    /* Feature bytes stay 0: the table is there, and the board is in virtual wire mode. */
    pointer[10] = bytes_checksum(pointer, POINTER_SIZE);
}

int mptable_build(const struct mptable_config *config, gpa_t gpa, uint8_t *out, size_t room_bytes)
{
    size_t size = HEADER_SIZE + config->cpu_count * CPU_SIZE + SHORT_ENTRIES * ENTRY_SIZE;
    uint8_t *table = out + POINTER_SIZE, *at;

    ASSERT(gpa % 16 == 0, "a guest looks for the MP pointer at multiples of 16");
    if (config->cpu_count == 0)
        return -EINVAL;
    if (room_bytes < POINTER_SIZE + size)
        return -ENOSPC;
    memset(out, 0, POINTER_SIZE + size);
    at = add_cpus(table + HEADER_SIZE, config);
    at = add_bus(at, BUS_PCI, "PCI   ");
    at = add_bus(at, BUS_ISA, "ISA   ");
    at = add_ioapic(at, config->ioapic_id);
    at = add_isa_interrupts(at, config->ioapic_id);
    at = add_pci_interrupts(at, config->ioapic_id);
    at = add_local_interrupts(at);
    ASSERT(at == table + size, "the MP table is as long as was reckoned");

    memcpy(table, "PCMP", 4);
    bytes_put16(table + 4, (uint16_t)size);
    table[6] = SPEC_REVISION;
    memcpy(table + 8, "UMBRA   ", 8);
    memcpy(table + 16, "UMBRAPC     ", 12);
    bytes_put16(table + 34, (uint16_t)(config->cpu_count + SHORT_ENTRIES));
    bytes_put32(table + 36, LAYOUT_LAPIC_BASE);
    table[7] = bytes_checksum(table, size);
    build_pointer(out, gpa + POINTER_SIZE);
    return (int)(POINTER_SIZE + size);
}

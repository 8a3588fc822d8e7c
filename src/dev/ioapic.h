/*
 * An I/O APIC: 24 pins, each with an entry of the redirection table, that become messages on the
 * APIC bus. Version 20h, so that software may end an interrupt by the EOI register.
 * It refuses: SMI and ExtINT entries (the 8259's way to the processor is LINT0). An entry's
 * polarity is stored only: a level here is "asserted" or not.
 * Specification: Intel 82093AA data sheet; the EOI register after the I/O APIC of the ICH family.
 *
 * Locking: the owner's machine lock is held around every call.
 */
#ifndef UMBRA_DEV_IOAPIC_H
#define UMBRA_DEV_IOAPIC_H

#include "base/types.h"
#include "dev/apic_bus.h"
#include "dev/bus.h"
#include "dev/device.h"

#define IOAPIC_PINS      24
#define IOAPIC_PAGE_SIZE 0x1000

struct ioapic;

/* Makes an I/O APIC with an id (0 to 15) on the bus, all entries masked; NULL without memory. */
struct ioapic *ioapic_create(uint8_t id, struct apic_bus *bus);
void ioapic_destroy(struct ioapic *ioapic);
void ioapic_reset(struct ioapic *ioapic);

/* Its state, for the board; the device's own. */
const struct device *ioapic_device(const struct ioapic *ioapic);

/* The page's registers; the device pointer is the struct ioapic. */
extern const struct bus_ops ioapic_mmio_ops;

/* Raises or lowers a pin; an irq_line's function. Pins that do not exist are ignored. */
void ioapic_set_irq(void *ioapic, unsigned pin, bool level);

#endif

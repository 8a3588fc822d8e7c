/*
 * A high precision event timer block: one 64-bit counter of 100 MHz and three comparators, each
 * one-shot or periodic, 32 or 64 bits wide, by edge or level, on an input of the I/O APIC or, in
 * legacy replacement mode, in the place of the PIT (timer 0) and the RTC (timer 1).
 * It refuses: FSB (message) interrupts, and inputs that HPET_ROUTE_CAP leaves out.
 * Specification: IA-PC HPET (High Precision Event Timers) Specification 1.0a.
 *
 * The board wires the PIT's and the RTC's interrupts to hpet_set_legacy_input (numbers 0 and 1):
 * the HPET passes them on to its own legacy lines as long as it does not replace them.
 *
 * Locking: the owner's machine lock is held around every call.
 */
#ifndef UMBRA_DEV_HPET_H
#define UMBRA_DEV_HPET_H

#include "base/clock.h"
#include "base/irq.h"
#include "base/types.h"
#include "dev/bus.h"
#include "dev/device.h"

#define HPET_SIZE      0x400
#define HPET_TIMERS    3
#define HPET_PINS      24 /* inputs of the I/O APIC */
#define HPET_TICK_NS   10
#define HPET_PERIOD_FS 10000000 /* a tick, in femtoseconds, as the capability register says */

/* The I/O APIC inputs that a timer may take: 2, 8 and 16 to 23. */
#define HPET_ROUTE_CAP 0x00ff0104u

enum hpet_legacy { HPET_LEGACY_PIT, HPET_LEGACY_RTC, HPET_LEGACY_LINES };

struct hpet_config {
    struct clock *clock;
    struct irq_line pins[HPET_PINS];           /* of the I/O APIC */
    struct irq_line legacy[HPET_LEGACY_LINES]; /* ISA interrupts 0 and 8 */
};

struct hpet;

/* Makes a block whose counter is 0 and halted, or NULL without memory. */
struct hpet *hpet_create(const struct hpet_config *config);
void hpet_destroy(struct hpet *hpet);
void hpet_reset(struct hpet *hpet);

/* Its state, for the board; the device's own. */
const struct device *hpet_device(const struct hpet *hpet);

/* HPET_SIZE bytes of registers; the device pointer is the struct hpet. */
extern const struct bus_ops hpet_ops;

/* An irq_line's function for the PIT (number 0) and the RTC (1); opaque is the struct hpet. */
void hpet_set_legacy_input(void *hpet, unsigned number, bool level);

#endif

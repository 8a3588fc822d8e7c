/*
 * ACPI's fixed hardware: PM1a event and control registers, the PM timer, an empty GPE0 block, the
 * SMI command port that switches ACPI mode on and off, and the power button.
 * It refuses: the sleep states S1 to S4 (writes of their types do nothing) and SMIs: an event that
 * comes before ACPI mode only sets its status bit.
 * Specification: ACPI 6.4, 4.8 "ACPI Register Model", and 4.8.3.3 "Power Management Timer".
 *
 * Locking: the owner's machine lock is held around every call.
 */
#ifndef UMBRA_DEV_ACPI_PM_H
#define UMBRA_DEV_ACPI_PM_H

#include "base/clock.h"
#include "base/irq.h"
#include "base/types.h"
#include "dev/bus.h"
#include "dev/device.h"

#define ACPI_PM_TIMER_HZ 3579545

/* The sizes of the port ranges that the three tables of functions answer to. */
#define ACPI_PM_SIZE  0x10 /* at LAYOUT_PM_BASE: event +0, control +4, timer +8 */
#define ACPI_GPE_SIZE 4    /* at LAYOUT_PM_GPE_BASE: 2 bytes of status, 2 of enable */
#define ACPI_SMI_SIZE 2    /* at LAYOUT_SMI_PORT: command and data */

struct acpi_pm;

struct acpi_pm_config {
    struct clock *clock;
    struct irq_line sci;             /* level; raised while an enabled event stands in ACPI mode */
    void (*power_off)(void *opaque); /* the guest has asked for S5 */
    void *opaque;
};

/* Makes the block in its power-up state, or NULL without memory. */
struct acpi_pm *acpi_pm_create(const struct acpi_pm_config *config);
void acpi_pm_destroy(struct acpi_pm *pm);
void acpi_pm_reset(struct acpi_pm *pm);

/* Its state, for the board; the device's own. */
const struct device *acpi_pm_device(const struct acpi_pm *acpi_pm);

/* The device pointer of all of these is the struct acpi_pm. */
extern const struct bus_ops acpi_pm_ops;
extern const struct bus_ops acpi_gpe_ops;
extern const struct bus_ops acpi_smi_ops;

/*
 * SeaBIOS brings ACPI tables of its own, written for QEMU's machine: a GPE0 block at AFE0h and PCI
 * hot-plug registers at AE00h. Ports that read as ones there would make the guest's OS unplug every
 * device, so these answer that nothing can be plugged and nothing has happened.
 * Specification: QEMU, docs/specs/acpi_pci_hotplug.
 */
#define ACPI_FOREIGN_GPE_BASE     0xafe0
#define ACPI_FOREIGN_HOTPLUG_BASE 0xae00
#define ACPI_HOTPLUG_SIZE         0x14

extern const struct bus_ops acpi_hotplug_ops;

/* Presses the power button; returns whether the guest has asked to be told (else: use force). */
bool acpi_pm_press_power_button(struct acpi_pm *pm);

/* Whether SCI_EN is set. */
bool acpi_pm_enabled(const struct acpi_pm *pm);

#endif

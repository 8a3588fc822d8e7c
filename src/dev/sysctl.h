/*
 * The small system ports of a PC: 61h (NMI status and speaker), 92h (fast A20 and reset), 80h (POST
 * code) and EDh (a delay without effect).
 *
 * Refused: sound, parity and I/O channel errors (they never happen), the page registers of the DMA
 * controller beside port 80h.
 * Specification: Intel ICH data sheets (NMI_SC, PORT92); IBM PC/AT Technical Reference.
 *
 * Locking: the machine lock is held around every call.
 */
#ifndef UMBRA_DEV_SYSCTL_H
#define UMBRA_DEV_SYSCTL_H

#include "base/irq.h"
#include "base/types.h"
#include "dev/a20.h"
#include "dev/bus.h"
#include "dev/device.h"
#include "dev/pit.h"

struct sysctl;

/* Makes the ports; pit and a20 outlive them, reset is pulsed. NULL: no memory. */
struct sysctl *sysctl_create(struct pit *pit, struct a20_gate *a20, const struct irq_line *reset);
void sysctl_destroy(struct sysctl *sysctl);
void sysctl_reset(struct sysctl *sysctl);

/* Its state, for the board; the device's own. */
const struct device *sysctl_device(const struct sysctl *sysctl);

/* The last POST code written, 0 before any. */
uint8_t sysctl_post_code(const struct sysctl *sysctl);

/* One port each; the dev of each is the struct sysctl. */
extern const struct bus_ops sysctl_port61_ops;
extern const struct bus_ops sysctl_port92_ops;
extern const struct bus_ops sysctl_post_ops;  /* 80h */
extern const struct bus_ops sysctl_delay_ops; /* EDh */

#endif

/*
 * The 8254 interval timer: three channels, all six modes, binary and BCD, latches and read-back.
 *
 * Counting is not simulated: each channel knows at which tick its count was loaded, and whatever is
 * asked (count, OUT, next edge) follows from the virtual clock. Only OUT of channel 0 has a timer.
 * Refused: GATE of channels 0 and 1, which a PC ties high.
 * Specification: Intel 8254 data sheet (231164-005).
 *
 * Locking: the machine lock is held around every call.
 */
#ifndef UMBRA_DEV_PIT_H
#define UMBRA_DEV_PIT_H

#include "base/clock.h"
#include "base/irq.h"
#include "base/types.h"
#include "dev/bus.h"
#include "dev/device.h"

#define PIT_HZ 1193182

struct pit;

/* Makes a timer, not yet programmed; irq is OUT of channel 0. NULL: no memory. */
struct pit *pit_create(struct clock *clock, const struct irq_line *irq);
void pit_destroy(struct pit *pit);
void pit_reset(struct pit *pit);

/* Its state, for the board; the device's own. */
const struct device *pit_device(const struct pit *pit);

/* For port 61h: OUT and GATE of channel 2, and the refresh request, which toggles about every 15
 * us. */
bool pit_channel2_out(struct pit *pit);
bool pit_channel2_gate(const struct pit *pit);
void pit_set_channel2_gate(struct pit *pit, bool gate);
bool pit_refresh_toggle(const struct pit *pit);

/* Edges of channel 0 that came too late and will not be made up for, since the reset. */
uint64_t pit_lost_ticks(const struct pit *pit);

extern const struct bus_ops pit_ops; /* 4 ports; dev: the struct pit */

#endif

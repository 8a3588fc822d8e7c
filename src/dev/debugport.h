/*
 * Ports by which a guest talks to its monitor: a byte console (E9h as in Bochs, 402h as SeaBIOS and
 * OVMF use it), isa-debug-exit and pvpanic.
 *
 * Refused: input; shutdown by pvpanic (its bit is not offered).
 * Specification: Bochs, "port_e9_hack"; QEMU, docs/specs/pvpanic and isa-debug-exit's status.
 *
 * Locking: the machine lock is held around every call.
 */
#ifndef UMBRA_DEV_DEBUGPORT_H
#define UMBRA_DEV_DEBUGPORT_H

#include "base/types.h"
#include "dev/bus.h"
#include "dev/device.h"

enum debugport_panic {
    DEBUGPORT_PANICKED = 1,    /* the guest's kernel panicked */
    DEBUGPORT_CRASH_LOADED = 2 /* it panicked and goes on in its crash kernel */
};

/* Where the ports lead; each function may be NULL. */
struct debugport_sink {
    void (*write)(void *opaque, uint8_t byte);   /* the console */
    void (*exit)(void *opaque, unsigned status); /* the value << 1 | 1 */
    void (*panic)(void *opaque, enum debugport_panic what);
    void *opaque;
};

struct debugport;

/* Makes the ports; they hold no state but the sink, so there is nothing to reset. NULL: no memory.
 */
struct debugport *debugport_create(const struct debugport_sink *sink);
void debugport_destroy(struct debugport *debugport);
const struct device *debugport_device(const struct debugport *debugport);

/* The dev of each is the struct debugport. */
extern const struct bus_ops debugport_console_ops; /* 1 port; may be claimed at E9h and at 402h */
extern const struct bus_ops debugport_exit_ops;    /* 4 ports */
extern const struct bus_ops debugport_pvpanic_ops; /* 1 port */

#endif

/*
 * The A20 gate of a PC, which the keyboard controller and port 92h both drive: the last write
 * wins, and each reads back what the other did. The board owns the gate and listens to its line.
 * Specification: none but the PC/AT's custom.
 */
#ifndef UMBRA_DEV_A20_H
#define UMBRA_DEV_A20_H

#include "base/irq.h"
#include "base/types.h"

struct a20_gate {
    bool enabled;         /* address bit 20 passes */
    struct irq_line line; /* set to enabled on each change */
};

static inline void a20_set(struct a20_gate *gate, bool enabled)
{
    if (gate->enabled == enabled)
        return;
    gate->enabled = enabled;
    irq_set(&gate->line, enabled);
}

#endif

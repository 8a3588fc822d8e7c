/*
 * An interrupt line: a function, an object and a number. A device raises and lowers its line and
 * does not know what stands at the other end.
 */
#ifndef UMBRA_BASE_IRQ_H
#define UMBRA_BASE_IRQ_H

#include "base/types.h"

struct irq_line {
    void (*set)(void *opaque, unsigned number, bool level); /* NULL: not connected */
    void *opaque;
    unsigned number;
};

static inline void irq_set(const struct irq_line *line, bool level)
{
    if (line->set)
        line->set(line->opaque, line->number, level);
}

/* An edge: up, then down. */
static inline void irq_pulse(const struct irq_line *line)
{
    irq_set(line, true);
    irq_set(line, false);
}

#endif

/*
 * Hostile use of a device: random reads and writes of every offset and width. Under the sanitizers
 * this must end without a report. The generator is seeded, so a failure repeats.
 */
#ifndef UMBRA_TESTS_UNIT_DEV_HOSTILE_H
#define UMBRA_TESTS_UNIT_DEV_HOSTILE_H

#include "base/types.h"
#include "dev/bus.h"

struct hostile {
    uint64_t seed;
};

static inline uint64_t hostile_next(struct hostile *h)
{
    h->seed ^= h->seed << 13;
    h->seed ^= h->seed >> 7;
    h->seed ^= h->seed << 17;
    return h->seed;
}

/* Makes count random accesses of the declared widths to offsets below size. */
static inline void hostile_access(struct hostile *h, const struct bus_ops *ops, void *dev,
                                  uint64_t size, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned width = 1u << (hostile_next(h) & 3);
        uint64_t offset = hostile_next(h) % size;
        uint64_t value = hostile_next(h);

        if (!((ops->widths ? ops->widths : 1) & width))
            width = 1;
        if (value & BIT(40))
            ops->write(dev, offset, width, width == 8 ? value : value & (BIT(8 * width) - 1));
        else
            (void)ops->read(dev, offset, width);
    }
}

#endif

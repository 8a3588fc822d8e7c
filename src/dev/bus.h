/*
 * The bus: ranges of I/O ports and of guest-physical addresses, each owned by a device, which sees
 * offsets only. Reads of what nobody owns give all ones, writes there are dropped, both are traced.
 * Specification: none but the PC's custom (open bus reads as ones).
 *
 * A device accepts the widths it declares. Any other access is cut into accesses of the nearest
 * narrower declared width (little-endian), or, when it is narrower than the narrowest, passed on
 * with the width as it is; a device ignores what it has no register for.
 *
 * Locking: the owner's machine lock is held around every call.
 */
#ifndef UMBRA_DEV_BUS_H
#define UMBRA_DEV_BUS_H

#include "base/types.h"

enum bus_space {
    BUS_PORT, /* 64 Ki ports */
    BUS_MMIO, /* guest-physical addresses that no slot covers */
    BUS_SPACES
};

/* What a device answers to. Widths are in bytes: 1, 2, 4 or 8. */
struct bus_ops {
    uint64_t (*read)(void *dev, uint64_t offset, unsigned width);
    void (*write)(void *dev, uint64_t offset, unsigned width, uint64_t value);
    uint8_t widths; /* OR of the widths accepted: 1|2|4|8; 0 means 1 */

    /*
     * What `read` would give, while nothing changes: no latch, no status, no line. For who looks
     * at the guest from outside. NULL: the device can't be looked at so.
     */
    uint64_t (*peek)(const void *dev, uint64_t offset, unsigned width);
};

struct bus;

/* Makes an empty bus, or NULL without memory. */
struct bus *bus_create(void);
void bus_destroy(struct bus *bus);

/*
 * Claims [base, base + size). Returns 0, -EINVAL when the range is empty or outside the space,
 * -EEXIST when it overlaps a claimed one, -ENOMEM.
 */
int bus_add(struct bus *bus, enum bus_space space, uint64_t base, uint64_t size,
            const struct bus_ops *ops, void *dev) must_check;

/* Gives up the range that starts at base (a PCI BAR moves); harmless when there is none. */
void bus_remove(struct bus *bus, enum bus_space space, uint64_t base);

/* The access that a vCPU or a bus master makes. Width 1, 2, 4 or 8 (8: MMIO only). */
uint64_t bus_read(struct bus *bus, enum bus_space space, uint64_t address, unsigned width);
void bus_write(struct bus *bus, enum bus_space space, uint64_t address, unsigned width,
               uint64_t value);

/*
 * What a bus_read would give, without its effects and without a trace. False, with *value left
 * alone, when nobody owns a part of it, or a device that can't be looked at does.
 */
bool bus_peek(const struct bus *bus, enum bus_space space, uint64_t address, unsigned width,
              uint64_t *value) must_check;

/* Calls fn for each claimed range, with its device, in rising order (for `info` and tests). */
void bus_for_each(const struct bus *bus, enum bus_space space,
                  void (*fn)(void *opaque, uint64_t base, uint64_t size, const void *dev),
                  void *opaque);

#endif

/* The bus: a sorted array of ranges a space, found by bisection. */
#include "dev/bus.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bisect.h"
#include "base/trace.h"

#define PORT_SPACE_SIZE 0x10000

struct bus_range {
    uint64_t base, size;
    const struct bus_ops *ops;
    void *dev;
};

struct bus_table {
    struct bus_range *ranges; /* sorted by base, disjoint */
    size_t count;
    size_t capacity;
};

struct bus {
    struct bus_table table[BUS_SPACES];
};

struct bus *bus_create(void)
{
    return calloc(1, sizeof(struct bus));
}

void bus_destroy(struct bus *bus)
{
    if (!bus)
        return;
    for (size_t i = 0; i < BUS_SPACES; i++)
        free(bus->table[i].ranges);
    free(bus);
}

static bool range_ends_below(const void *ranges, size_t index, uint64_t address)
{
    const struct bus_range *range = (const struct bus_range *)ranges + index;

    return range->base + (range->size - 1) < address;
}

/* The index of the first range that ends above the address. */
static size_t lower_bound(const struct bus_table *table, uint64_t address)
{
    return bisect(table->ranges, table->count, address, range_ends_below);
}

static int table_reserve(struct bus_table *table)
{
    size_t capacity = table->capacity ? 2 * table->capacity : 16;
    struct bus_range *ranges;

    if (table->count < table->capacity)
        return 0;
    ranges = realloc(table->ranges, capacity * sizeof(*ranges));
    if (!ranges)
        return -ENOMEM;
    table->ranges = ranges;
    table->capacity = capacity;
    return 0;
}

int bus_add(struct bus *bus, enum bus_space space, uint64_t base, uint64_t size,
            const struct bus_ops *ops, void *dev)
{
    struct bus_table *table = &bus->table[space];
    size_t at;

    if (size == 0 || base + (size - 1) < base)
        return -EINVAL;
    if (space == BUS_PORT && base + (size - 1) >= PORT_SPACE_SIZE)
        return -EINVAL;
    at = lower_bound(table, base);
    if (at < table->count && table->ranges[at].base <= base + (size - 1))
        return -EEXIST;
    if (table_reserve(table) != 0)
        return -ENOMEM;
    memmove(&table->ranges[at + 1], &table->ranges[at],
            (table->count - at) * sizeof(*table->ranges));
    table->ranges[at] = (struct bus_range){base, size, ops, dev};
    table->count++;
    return 0;
}

void bus_remove(struct bus *bus, enum bus_space space, uint64_t base)
{
    struct bus_table *table = &bus->table[space];
    size_t at = lower_bound(table, base);

    if (at == table->count || table->ranges[at].base != base)
        return;
    memmove(&table->ranges[at], &table->ranges[at + 1],
            (table->count - at - 1) * sizeof(*table->ranges));
    table->count--;
}

static const struct bus_range *find(const struct bus *bus, enum bus_space space, uint64_t address)
{
    const struct bus_table *table = &bus->table[space];
    size_t at = lower_bound(table, address);

    if (at == table->count || table->ranges[at].base > address)
        return NULL;
    return &table->ranges[at];
}

/* The widest declared width that is no wider than the access; the access's own if none is. */
static unsigned pick_width(const struct bus_ops *ops, unsigned width)
{
    unsigned widths = ops->widths ? ops->widths : 1;
    unsigned pick = width;

    while (pick && !(widths & pick))
        pick >>= 1;
    return pick ? pick : width;
}

static uint64_t ones(unsigned width)
{
    return width >= 8 ? UINT64_MAX : BIT(8 * width) - 1;
}

/* One access that a device takes whole; an access may run past the end of a range. */
static uint64_t read_piece(struct bus *bus, enum bus_space space, uint64_t address, unsigned width)
{
    const struct bus_range *range = find(bus, space, address);

    if (!range) {
        trace(bus_unclaimed, space, address, width, 0);
        return ones(width);
    }
    return range->ops->read(range->dev, address - range->base, width) & ones(width);
}

static void write_piece(struct bus *bus, enum bus_space space, uint64_t address, unsigned width,
                        uint64_t value)
{
    const struct bus_range *range = find(bus, space, address);

    if (!range) {
        trace(bus_unclaimed, space, address, width, 1);
        return;
    }
    range->ops->write(range->dev, address - range->base, width, value & ones(width));
}

/* What is left of an access after some pieces need not be a power of two. */
static unsigned floor_pow2(unsigned width)
{
    while (width & (width - 1))
        width &= width - 1;
    return width;
}

/* The width of the pieces that an access is cut into. */
static unsigned piece_width(const struct bus *bus, enum bus_space space, uint64_t address,
                            unsigned width)
{
    const struct bus_range *range = find(bus, space, address);
    unsigned piece = width;

    if (range) {
        piece = pick_width(range->ops, width);
        while (piece > 1 && range->base + (range->size - 1) < address + (piece - 1))
            piece >>= 1;
        return piece;
    }
    /* Unclaimed here, yet a later byte may be claimed: go byte by byte then. */
    for (unsigned i = 1; i < width; i++) {
        if (find(bus, space, address + i))
            return 1;
    }
    return width;
}

uint64_t bus_read(struct bus *bus, enum bus_space space, uint64_t address, unsigned width)
{
    uint64_t value = 0;

    ASSERT(width == 1 || width == 2 || width == 4 || width == 8, "bus widths are 1, 2, 4 and 8");
    for (unsigned done = 0; done < width;) {
        unsigned piece = piece_width(bus, space, address + done, floor_pow2(width - done));

        value |= read_piece(bus, space, address + done, piece) << (8 * done);
        done += piece;
    }
    if (space == BUS_PORT)
        trace(bus_port_read, address, width, value);
    else
        trace(bus_mmio_read, address, width, value);
    return value;
}

bool bus_peek(const struct bus *bus, enum bus_space space, uint64_t address, unsigned width,
              uint64_t *value)
{
    uint64_t seen = 0;

    ASSERT(width == 1 || width == 2 || width == 4 || width == 8, "bus widths are 1, 2, 4 and 8");
    for (unsigned done = 0; done < width;) {
        unsigned piece = piece_width(bus, space, address + done, floor_pow2(width - done));
        const struct bus_range *range = find(bus, space, address + done);

        if (!range || !range->ops->peek)
            return false;
        seen |= (range->ops->peek(range->dev, address + done - range->base, piece) & ones(piece))
                << (8 * done);
        done += piece;
    }
    *value = seen;
    return true;
}

void bus_write(struct bus *bus, enum bus_space space, uint64_t address, unsigned width,
               uint64_t value)
{
    ASSERT(width == 1 || width == 2 || width == 4 || width == 8, "bus widths are 1, 2, 4 and 8");
    if (space == BUS_PORT)
        trace(bus_port_write, address, width, value);
    else
        trace(bus_mmio_write, address, width, value);
    for (unsigned done = 0; done < width;) {
        unsigned piece = piece_width(bus, space, address + done, floor_pow2(width - done));

        write_piece(bus, space, address + done, piece, value >> (8 * done));
        done += piece;
    }
}

void bus_for_each(const struct bus *bus, enum bus_space space,
                  void (*fn)(void *opaque, uint64_t base, uint64_t size, const void *dev),
                  void *opaque)
{
    const struct bus_table *table = &bus->table[space];

    for (size_t i = 0; i < table->count; i++)
        fn(opaque, table->ranges[i].base, table->ranges[i].size, table->ranges[i].dev);
}

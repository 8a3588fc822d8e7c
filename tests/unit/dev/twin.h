/*
 * A device and its twin: what was saved from the one and loaded into the other makes them the same.
 * Both are then used alike, and must answer alike.
 */
#ifndef UMBRA_TESTS_UNIT_DEV_TWIN_H
#define UMBRA_TESTS_UNIT_DEV_TWIN_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "dev/device.h"
#include "hostile.h"

/* A state of so many bytes takes its time. */
#define TWIN_LARGE 65536

/* Both save the same bytes. */
static inline void twin_same(const struct device *a, const struct device *b)
{
    struct stream_writer first = {0}, second = {0};

    device_save(a, &first);
    device_save(b, &second);
    assert_false(first.failed || second.failed);
    assert_int_equal(first.count, second.count);
    assert_memory_equal(first.bytes, second.bytes, first.count);
    stream_writer_fini(&first);
    stream_writer_fini(&second);
}

/* Loads a's state into b; both save the same bytes then. */
static inline void twin_copy(const struct device *a, const struct device *b)
{
    struct stream_writer saved = {0};
    struct stream_reader reader;

    device_save(a, &saved);
    assert_false(saved.failed);
    reader = (struct stream_reader){.at = saved.bytes, .left = saved.count};
    if (device_load(b, &reader) != 0)
        fail_msg("a state of %s that came to be is no sound one", a->class->name);
    assert_int_equal(reader.left, 0);
    stream_writer_fini(&saved);
    twin_same(a, b);
}

/* The same random accesses to both, whose reads must agree. */
static inline void twin_access(struct hostile *h, const struct bus_ops *ops, void *a, void *b,
                               uint64_t size, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t offset = hostile_next(h) % size, value = hostile_next(h);
        unsigned width = ops->widths ? ops->widths & -ops->widths : 1;

        value &= BIT(8 * width) - 1;
        if (hostile_next(h) & 1) {
            ops->write(a, offset, width, value);
            ops->write(b, offset, width, value);
        } else {
            assert_int_equal(ops->read(a, offset, width), ops->read(b, offset, width));
        }
    }
}

/*
 * Bytes cut short, and bytes changed one at a time: a load gives an error with the old state kept,
 * or a state that can be saved again as it was loaded. use is called after each load that was
 * taken.
 */
static inline void twin_damage(const struct device *device, void (*use)(void *opaque), void *opaque)
{
    struct stream_writer good = {0};
    size_t step;

    device_save(device, &good);
    step = 1 + good.count / (good.count > TWIN_LARGE ? 40 : 1000); /* it has much that is alike */
    for (size_t cut = 0; cut < good.count; cut += step) {
        struct stream_reader reader = {.at = good.bytes, .left = cut};

        assert_int_equal(device_load(device, &reader), -EINVAL);
    }
    for (size_t i = 0; i < good.count; i += step) {
        for (unsigned value = 1; value < 256; value += 41) {
            uint8_t was = good.bytes[i];
            struct stream_reader reader = {.at = good.bytes, .left = good.count};

            good.bytes[i] ^= (uint8_t)value;
            if (device_load(device, &reader) == 0)
                use(opaque);
            good.bytes[i] = was;
        }
    }
    stream_writer_fini(&good);
}

#endif

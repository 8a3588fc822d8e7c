/* The bus: claiming, cutting accesses to declared widths, open bus, accesses over range ends. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "dev/bus.h"

struct probe {
    unsigned reads, writes;
    uint64_t last_offset;
    unsigned last_width;
    uint64_t last_value;
};

static uint64_t probe_read(void *dev, uint64_t offset, unsigned width)
{
    struct probe *probe = dev;

    probe->reads++;
    probe->last_offset = offset;
    probe->last_width = width;
    return 0x8877665544332210 + offset; /* more than the width: the bus masks */
}

static void probe_write(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    struct probe *probe = dev;

    probe->writes++;
    probe->last_offset = offset;
    probe->last_width = width;
    probe->last_value = value;
}

static uint64_t probe_peek(const void *dev, uint64_t offset, unsigned width)
{
    return 0x8877665544332210 + offset + width;
}

static const struct bus_ops byte_ops = {.read = probe_read, .write = probe_write, .widths = 1};
static const struct bus_ops any_ops = {
    .read = probe_read, .write = probe_write, .widths = 1 | 2 | 4};
static const struct bus_ops dword_ops = {
    .read = probe_read, .write = probe_write, .widths = 4, .peek = probe_peek};

static int make(void **state)
{
    *state = bus_create();
    return *state ? 0 : -1;
}

static int unmake(void **state)
{
    bus_destroy(*state);
    return 0;
}

static void test_claims(void **state)
{
    struct bus *bus = *state;
    struct probe probe = {0};

    assert_int_equal(bus_add(bus, BUS_PORT, 0x60, 0, &byte_ops, &probe), -EINVAL);
    assert_int_equal(bus_add(bus, BUS_PORT, 0xffff, 2, &byte_ops, &probe), -EINVAL);
    assert_int_equal(bus_add(bus, BUS_PORT, 0xffff, 1, &byte_ops, &probe), 0);
    assert_int_equal(bus_add(bus, BUS_PORT, 0x60, 4, &byte_ops, &probe), 0);
    assert_int_equal(bus_add(bus, BUS_PORT, 0x63, 1, &byte_ops, &probe), -EEXIST);
    assert_int_equal(bus_add(bus, BUS_PORT, 0x5f, 2, &byte_ops, &probe), -EEXIST);
    assert_int_equal(bus_add(bus, BUS_PORT, 0x64, 1, &byte_ops, &probe), 0);
    assert_int_equal(bus_add(bus, BUS_MMIO, 0x60, 1, &byte_ops, &probe), 0);
    bus_remove(bus, BUS_PORT, 0x61); /* not the base: nothing happens */
    assert_int_equal(bus_add(bus, BUS_PORT, 0x61, 1, &byte_ops, &probe), -EEXIST);
    bus_remove(bus, BUS_PORT, 0x60);
    assert_int_equal(bus_add(bus, BUS_PORT, 0x61, 1, &byte_ops, &probe), 0);
}

static void test_widths(void **state)
{
    struct bus *bus = *state;
    struct probe bytes = {0}, any = {0}, dwords = {0};

    assert_int_equal(bus_add(bus, BUS_PORT, 0x10, 4, &byte_ops, &bytes), 0);
    assert_int_equal(bus_add(bus, BUS_PORT, 0x20, 8, &any_ops, &any), 0);
    assert_int_equal(bus_add(bus, BUS_PORT, 0x30, 4, &dword_ops, &dwords), 0);
    assert_int_equal(bus_read(bus, BUS_PORT, 0x10, 4), 0x13121110);
    assert_int_equal(bytes.reads, 4);
    assert_int_equal(bus_read(bus, BUS_PORT, 0x20, 4), 0x44332210);
    assert_int_equal(any.reads, 1);
    bus_write(bus, BUS_PORT, 0x24, 2, 0xdeadbeef);
    assert_int_equal(any.last_value, 0xbeef);
    assert_int_equal(any.last_offset, 4);
    /* Narrower than the narrowest: passed on as it is. */
    bus_write(bus, BUS_PORT, 0x31, 1, 0x77);
    assert_int_equal(dwords.last_width, 1);
    assert_int_equal(dwords.last_offset, 1);
}

/* Looking asks no device that can't be looked at, and disturbs none. */
static void test_peek(void **state)
{
    struct bus *bus = *state;
    struct probe probe = {0};
    uint64_t value = 77;

    assert_int_equal(bus_add(bus, BUS_MMIO, 0x1000, 8, &dword_ops, &probe), 0);
    assert_int_equal(bus_add(bus, BUS_MMIO, 0x1008, 8, &any_ops, &probe), 0);
    assert_false(bus_peek(bus, BUS_MMIO, 0xffc, 4, &value));  /* nobody */
    assert_false(bus_peek(bus, BUS_MMIO, 0x1008, 4, &value)); /* one without peek */
    assert_false(bus_peek(bus, BUS_MMIO, 0xffe, 4, &value));  /* half of each */
    assert_false(bus_peek(bus, BUS_MMIO, 0x1006, 4, &value));
    assert_false(bus_peek(bus, BUS_PORT, 0x1000, 4, &value));
    assert_int_equal(value, 77);
    assert_true(bus_peek(bus, BUS_MMIO, 0x1000, 4, &value));
    assert_int_equal(value, 0x44332214);
    assert_true(bus_peek(bus, BUS_MMIO, 0x1000, 8, &value)); /* cut as a read is */
    assert_int_equal(value, 0x4433221844332214);
    assert_true(bus_peek(bus, BUS_MMIO, 0x1001, 1, &value));
    assert_int_equal(value, 0x12);
    assert_int_equal(probe.reads, 0);
}

static void test_open_bus_and_ends(void **state)
{
    struct bus *bus = *state;
    struct probe probe = {0};

    assert_int_equal(bus_read(bus, BUS_PORT, 0x80, 1), 0xff);
    assert_int_equal(bus_read(bus, BUS_PORT, 0x80, 4), 0xffffffff);
    assert_true(bus_read(bus, BUS_MMIO, 0x1000, 8) == UINT64_MAX);
    bus_write(bus, BUS_PORT, 0xffff, 4, 0);
    assert_int_equal(bus_add(bus, BUS_PORT, 0x81, 1, &any_ops, &probe), 0);
    /* Byte 1 of the access belongs to somebody, the others to nobody. */
    assert_int_equal(bus_read(bus, BUS_PORT, 0x80, 4), 0xffff10ff);
    assert_int_equal(probe.reads, 1);
    assert_int_equal(probe.last_width, 1);
    /* A wide access at the end of a range is cut there. */
    assert_int_equal(bus_read(bus, BUS_PORT, 0x81, 2), 0xff10);
    bus_write(bus, BUS_PORT, 0x7f, 4, 0x44332211);
    assert_int_equal(probe.last_value, 0x33);
    assert_int_equal(probe.writes, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_claims, make, unmake),
        cmocka_unit_test_setup_teardown(test_widths, make, unmake),
        cmocka_unit_test_setup_teardown(test_peek, make, unmake),
        cmocka_unit_test_setup_teardown(test_open_bus_and_ends, make, unmake),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The console, exit and panic ports by script, on a real bus so that the widths count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dev/bus.h"
#include "dev/debugport.h"
#include "hostile.h"

struct bench {
    struct bus *bus;
    struct debugport *port;
    char text[16];
    unsigned length, status, exits, panicked, crash_loaded;
};

static void on_write(void *opaque, uint8_t byte)
{
    struct bench *b = opaque;

    b->text[b->length++ % (sizeof(b->text) - 1)] = (char)byte;
}

static void on_exit_port(void *opaque, unsigned status)
{
    struct bench *b = opaque;

    b->status = status;
    b->exits++;
}

static void on_panic(void *opaque, enum debugport_panic what)
{
    struct bench *b = opaque;

    b->panicked += what == DEBUGPORT_PANICKED;
    b->crash_loaded += what == DEBUGPORT_CRASH_LOADED;
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    struct debugport_sink sink = {on_write, on_exit_port, on_panic, b};

    if (!b)
        return -1;
    b->bus = bus_create();
    b->port = debugport_create(&sink);
    *state = b;
    if (!b->bus || !b->port ||
        bus_add(b->bus, BUS_PORT, 0xe9, 1, &debugport_console_ops, b->port) ||
        bus_add(b->bus, BUS_PORT, 0x402, 1, &debugport_console_ops, b->port) ||
        bus_add(b->bus, BUS_PORT, 0xf4, 4, &debugport_exit_ops, b->port) ||
        bus_add(b->bus, BUS_PORT, 0x505, 1, &debugport_pvpanic_ops, b->port))
        return -1;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    bus_destroy(b->bus);
    debugport_destroy(b->port);
    free(b);
    return 0;
}

static void test_console(void **state)
{
    struct bench *b = *state;

    assert_int_equal(bus_read(b->bus, BUS_PORT, 0xe9, 1), 0xe9);
    assert_int_equal(bus_read(b->bus, BUS_PORT, 0x402, 1), 0xe9);
    bus_write(b->bus, BUS_PORT, 0xe9, 1, 'h');
    bus_write(b->bus, BUS_PORT, 0x402, 1, 'i');
    assert_string_equal(b->text, "hi");
}

static void test_exit_status(void **state)
{
    struct bench *b = *state;

    bus_write(b->bus, BUS_PORT, 0xf4, 1, 0);
    assert_int_equal(b->status, 1);
    bus_write(b->bus, BUS_PORT, 0xf4, 4, 0x10);
    assert_int_equal(b->status, 0x21);
    assert_int_equal(b->exits, 2); /* a wide write is one exit */
    bus_write(b->bus, BUS_PORT, 0xf5, 1, 1);
    assert_int_equal(b->exits, 2);
}

static void test_pvpanic(void **state)
{
    struct bench *b = *state;

    assert_int_equal(bus_read(b->bus, BUS_PORT, 0x505, 1), 3);
    bus_write(b->bus, BUS_PORT, 0x505, 1, 4);
    assert_int_equal(b->panicked + b->crash_loaded, 0);
    bus_write(b->bus, BUS_PORT, 0x505, 1, 2);
    assert_int_equal(b->crash_loaded, 1);
    bus_write(b->bus, BUS_PORT, 0x505, 1, 1);
    assert_int_equal(b->panicked, 1);
}

static void test_hostile_without_a_sink(void **state)
{
    const struct debugport_sink none = {0};
    struct debugport *port = debugport_create(&none);
    struct hostile h = {.seed = 233};

    assert_non_null(port);
    hostile_access(&h, &debugport_console_ops, port, 1, 1000);
    hostile_access(&h, &debugport_exit_ops, port, 4, 1000);
    hostile_access(&h, &debugport_pvpanic_ops, port, 1, 1000);
    debugport_destroy(port);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_console),
        TEST(test_exit_status),
        TEST(test_pvpanic),
        cmocka_unit_test(test_hostile_without_a_sink),
    };

    return cmocka_run_group_tests_name("debugport", tests, NULL, NULL);
}

/*
 * The local APIC's timer where the clock does not stand still between two looks at it, and where
 * its mode changes under way. test_lapic.c has the rest of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "dev/lapic.h"

/* Page offsets, as the SDM lists them. */
#define EOI     0xb0
#define SVR     0xf0
#define TIMER   0x320
#define INITIAL 0x380
#define CURRENT 0x390
#define DIVIDE  0x3e0

#define PERIODIC 0x20000
#define MASKED   0x10000
#define VECTOR   0x20

#define STEP_NS NS_PER_US

struct machine {
    struct clock clock;
    uint64_t now_ns;
    uint64_t step_ns; /* by which the clock goes on when it is looked at */
    struct apic_bus *bus;
    struct lapic *lapic;
    bool intr;
};

static uint64_t source(void *opaque)
{
    struct machine *machine = opaque;

    return machine->now_ns += machine->step_ns;
}

static void on_intr(void *opaque, bool pending)
{
    ((struct machine *)opaque)->intr = pending;
}

static uint32_t rd(struct machine *machine, uint64_t offset)
{
    return (uint32_t)lapic_mmio_ops.read(machine->lapic, offset, 4);
}

static void wr(struct machine *machine, uint64_t offset, uint32_t value)
{
    lapic_mmio_ops.write(machine->lapic, offset, 4, value);
}

static int set_up(void **state)
{
    static struct machine the_machine;
    struct machine *machine = &the_machine;
    struct lapic_config config = {
        .bsp = true, .clock = &machine->clock, .callbacks = {.opaque = machine, .intr = on_intr}};

    *machine = (struct machine){.bus = apic_bus_create()};
    assert_non_null(machine->bus);
    clock_init(&machine->clock, source, machine);
    config.bus = machine->bus;
    machine->lapic = lapic_create(&config);
    assert_non_null(machine->lapic);
    wr(machine, SVR, 0x1ff);
    wr(machine, DIVIDE, 0xb); /* by 1: a tick is a nanosecond */
    *state = machine;
    return 0;
}

static int tear_down(void **state)
{
    struct machine *machine = *state;

    lapic_destroy(machine->lapic);
    apic_bus_destroy(machine->bus);
    return 0;
}

static void advance(struct machine *machine, uint64_t ns)
{
    machine->now_ns += ns;
    clock_run_timers(&machine->clock);
}

static void take_interrupt(struct machine *machine)
{
    assert_true(machine->intr);
    assert_int_equal(lapic_acknowledge(machine->lapic), VECTOR);
    wr(machine, EOI, 0);
    assert_false(machine->intr);
}

/* What is written to the timer while it counts. */
enum then { NOTHING, THEN_TIMER, THEN_DIVIDE };

/* One shot of `count` ticks gives one interrupt, even if it ends before anybody arms for it. */
static void check_count(struct machine *machine, uint32_t count, enum then then)
{
    wr(machine, INITIAL, count);
    if (then == THEN_TIMER)
        wr(machine, TIMER, VECTOR);
    if (then == THEN_DIVIDE)
        wr(machine, DIVIDE, 0xb);
    advance(machine, 20 * STEP_NS);
    take_interrupt(machine);
    wr(machine, TIMER, VECTOR);
    advance(machine, NS_PER_SEC);
    assert_false(machine->intr);
}

static void test_short_counts(void **state)
{
    struct machine *machine = *state;

    machine->step_ns = STEP_NS;
    wr(machine, TIMER, VECTOR);
    for (uint32_t count = 1; count <= 8 * STEP_NS; count += STEP_NS / 4) {
        check_count(machine, count, NOTHING);
        check_count(machine, count, THEN_TIMER);
        check_count(machine, count, THEN_DIVIDE);
    }
}

/* One shot instead of a period: the period that runs is the last. */
static void test_last_period(void **state)
{
    struct machine *machine = *state;
    const uint32_t masks[] = {0, MASKED};

    for (unsigned i = 0; i < ARRAY_SIZE(masks); i++) {
        wr(machine, TIMER, PERIODIC | masks[i] | VECTOR);
        wr(machine, INITIAL, NS_PER_MS);
        advance(machine, 3 * NS_PER_MS + 400 * NS_PER_US);
        if (!masks[i])
            take_interrupt(machine);
        wr(machine, TIMER, VECTOR);
        assert_int_equal(rd(machine, CURRENT), 600 * NS_PER_US);
        advance(machine, 600 * NS_PER_US - 1);
        assert_false(machine->intr);
        advance(machine, 1);
        take_interrupt(machine);
        advance(machine, NS_PER_SEC);
        assert_false(machine->intr);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_short_counts),
        TEST(test_last_period),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

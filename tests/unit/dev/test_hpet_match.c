/*
 * When an HPET's comparator matches: while the host is late to run the timers, while the counter
 * halts or is written, in both widths, and what becomes of a match that is not let through.
 */
#include "hpet_rig.h"

/* --- time that has passed before anybody ran the timers, as on a busy host --- */

static void pass_unseen(struct board *board, uint64_t ns)
{
    board->clock.now_ns += ns;
}

/* Timer 2 on pin 20, due at tick 100, and it is tick 150; no interrupt yet. */
static void be_late(struct board *board, uint32_t more)
{
    wr(board, CONFIG, ENABLE);
    wr(board, TN_CONFIG(2), TN_PIN(20) | TN_ENABLE | more);
    bus_write(board->bus, BUS_MMIO, TN_COMPARE(2), 8, 100);
    pass_unseen(board, 1500);
    assert_int_equal(board->edges[20], 0);
}

/* Whatever is written then comes after the match. */
static void test_late_one_shot(void **state)
{
    static const struct {
        uint64_t reg;
        uint32_t value;
    } writes[] = {
        {CONFIG, ENABLE | LEGACY},
        {CONFIG, 0},
        {STATUS, 7},
        {COUNTER, 0},
        {TN_CONFIG(2), 0},
        {TN_CONFIG(2), TN_PIN(21) | TN_ENABLE},
        {TN_COMPARE(2), 500},
        {TN_COMPARE(1), 500},
        {TN_CONFIG(2), TN_32 | TN_PERIOD},
    };
    struct board *board = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(writes); i++) {
        be_late(board, 0);
        wr(board, writes[i].reg, writes[i].value);
        assert_int_equal(board->edges[20], 1);
        clock_run_timers(&board->clock.clock);
        assert_int_equal(board->edges[20], 1);
        hpet_reset(board->hpet);
        board->edges[20] = 0;
    }
    be_late(board, TN_LEVEL);
    assert_int_equal(rd(board, STATUS), 4);
    assert_true(board->level[20]);
    wr(board, STATUS, 4);
    clock_run_timers(&board->clock.clock);
    assert_int_equal(board->edges[20], 1);
    assert_false(board->level[20]);
}

static void test_late_periodic(void **state)
{
    struct board *board = *state;

    be_late(board, TN_PERIOD | TN_SET);
    wr(board, TN_CONFIG(1), 0);
    assert_int_equal(board->edges[20], 1);
    assert_int_equal(rd(board, TN_COMPARE(2)), 200);
    /* Many that nobody saw are one interrupt, and the phase is kept. */
    pass_unseen(board, 100000);
    assert_int_equal(rd(board, TN_COMPARE(2)), 10200);
    assert_int_equal(board->edges[20], 2);
    clock_stepped_advance(&board->clock, 20 * NS_PER_US);
    assert_in_range(board->edges[20], 3, 4);
}

/* A match is told once, though its tick lasts. */
static void test_told_once(void **state)
{
    struct board *board = *state;

    be_late(board, 0);
    bus_write(board->bus, BUS_MMIO, TN_COMPARE(2), 8, 200);
    clock_stepped_advance(&board->clock, 500);
    assert_int_equal(rd(board, COUNTER), 200);
    assert_int_equal(board->edges[20], 2);
    wr(board, TN_CONFIG(2), TN_PIN(20) | TN_ENABLE);
    wr(board, CONFIG, ENABLE);
    clock_stepped_advance(&board->clock, 9);
    assert_int_equal(board->edges[20], 2);
}

/* --- comparators in the past, and halted counters --- */

static void test_written_in_the_past(void **state)
{
    struct board *board = *state;

    wr(board, CONFIG, ENABLE);
    clock_stepped_advance(&board->clock, 10000);
    wr(board, TN_CONFIG(0), TN_PIN(16) | TN_ENABLE);
    wr(board, TN_CONFIG(1), TN_PIN(17) | TN_ENABLE | TN_32);
    wr(board, TN_CONFIG(2), TN_PIN(18) | TN_ENABLE | TN_32);
    for (unsigned i = 0; i < 2; i++)
        bus_write(board->bus, BUS_MMIO, TN_COMPARE(i), 8, 999);
    wr(board, TN_COMPARE(2), 1000); /* the counter's very value */
    clock_stepped_advance(&board->clock, BIT(32) * HPET_TICK_NS - 11);
    assert_int_equal(board->edges[16], 0);
    assert_int_equal(board->edges[17], 0);
    assert_int_equal(board->edges[18], 1);
    clock_stepped_advance(&board->clock, 11);
    assert_int_equal(board->edges[16], 0);
    assert_int_equal(board->edges[17], 1);
    assert_int_equal(board->edges[18], 2);
    assert_int_equal(rd(board, TN_COMPARE(0)), 999);
}

/* DEVIATION of hpet.c: a guest that was held up while it set a periodic timer gets its ticks. */
static void test_periodic_written_late(void **state)
{
    struct board *board = *state;

    wr(board, CONFIG, ENABLE);
    clock_stepped_advance(&board->clock, 10000);
    wr(board, TN_CONFIG(0), TN_PIN(2) | TN_ENABLE | TN_PERIOD | TN_SET | TN_32);
    wr(board, TN_COMPARE(0), 300);
    wr(board, TN_COMPARE(0), 5000);
    assert_int_equal(rd(board, TN_COMPARE(0)), 5300);
    clock_stepped_advance(&board->clock, 42999);
    assert_int_equal(board->edges[2], 0);
    clock_stepped_advance(&board->clock, 1);
    assert_int_equal(board->edges[2], 1);
    assert_int_equal(rd(board, TN_COMPARE(0)), 10300);
}

/* First the comparator, then the counter: what is behind a halted counter stays there. */
static void test_set_while_halted(void **state)
{
    struct board *board = *state;

    bus_write(board->bus, BUS_MMIO, COUNTER, 8, BIT(33));
    wr(board, TN_CONFIG(0), TN_PIN(2) | TN_ENABLE | TN_PERIOD | TN_SET);
    bus_write(board->bus, BUS_MMIO, TN_COMPARE(0), 8, 5000);
    wr(board, TN_CONFIG(0), TN_PIN(2) | TN_ENABLE | TN_PERIOD);
    assert_int_equal(rd(board, TN_COMPARE(0)), 5000);
    bus_write(board->bus, BUS_MMIO, COUNTER, 8, 0);
    clock_stepped_advance(&board->clock, NS_PER_SEC);
    assert_int_equal(board->edges[2], 0);
    wr(board, CONFIG, ENABLE);
    clock_stepped_advance(&board->clock, 49999);
    assert_int_equal(board->edges[2], 0);
    clock_stepped_advance(&board->clock, 1);
    assert_int_equal(board->edges[2], 1);
    /* Halted between two matches, it goes on with what was left. */
    clock_stepped_advance(&board->clock, 20000);
    wr(board, CONFIG, 0);
    clock_stepped_advance(&board->clock, NS_PER_SEC);
    wr(board, CONFIG, ENABLE);
    clock_stepped_advance(&board->clock, 29999);
    assert_int_equal(board->edges[2], 1);
    clock_stepped_advance(&board->clock, 1);
    assert_int_equal(board->edges[2], 2);
}

static void test_counter_written_while_it_runs(void **state)
{
    struct board *board = *state;

    wr(board, CONFIG, ENABLE);
    wr(board, TN_CONFIG(0), TN_PIN(16) | TN_ENABLE);
    bus_write(board->bus, BUS_MMIO, TN_COMPARE(0), 8, 1000);
    bus_write(board->bus, BUS_MMIO, COUNTER, 8, 900);
    clock_stepped_advance(&board->clock, 999);
    assert_int_equal(board->edges[16], 0);
    clock_stepped_advance(&board->clock, 1);
    assert_int_equal(board->edges[16], 1);
    /* Set back, it comes to the same value once more. */
    bus_write(board->bus, BUS_MMIO, COUNTER, 8, 990);
    clock_stepped_advance(&board->clock, 100);
    assert_int_equal(board->edges[16], 2);
    /* Through the end of 64 bits. */
    bus_write(board->bus, BUS_MMIO, TN_COMPARE(0), 8, 4);
    bus_write(board->bus, BUS_MMIO, COUNTER, 8, UINT64_MAX - 5);
    clock_stepped_advance(&board->clock, 100);
    assert_int_equal(rd(board, COUNTER), 4);
    assert_int_equal(board->edges[16], 3);
}

/* --- the periodic accumulator --- */

/* The way that 32-bit software takes to all 64 bits (1.0a, 2.3.9.2.2). */
static void test_periodic_in_halves(void **state)
{
    struct board *board = *state;
    uint32_t config = TN_PIN(2) | TN_ENABLE | TN_PERIOD;

    bus_write(board->bus, BUS_MMIO, COUNTER, 8, BIT(32) - 100);
    wr(board, TN_CONFIG(0), config | TN_SET);
    wr(board, TN_COMPARE(0), 400);
    wr(board, TN_CONFIG(0), config | TN_SET);
    wr(board, TN_COMPARE(0) + 4, 1);
    wr(board, TN_COMPARE(0), 5000); /* the rate alone */
    wr(board, TN_COMPARE(0) + 4, 0);
    assert_int_equal(rd(board, TN_COMPARE(0)), BIT(32) + 400);
    wr(board, CONFIG, ENABLE);
    clock_stepped_advance(&board->clock, 5000);
    assert_int_equal(board->edges[2], 1);
    assert_int_equal(rd(board, TN_COMPARE(0)), BIT(32) + 5400);
    clock_stepped_advance(&board->clock, 50000);
    assert_int_equal(board->edges[2], 2);
    assert_int_equal(rd(board, TN_COMPARE(0)), BIT(32) + 10400);
}

/* Half a turn of 32 bits and more is a period too; other writes leave it alone. */
static void test_long_period(void **state)
{
    struct board *board = *state;
    uint64_t period = 3000000000;

    wr(board, CONFIG, ENABLE);
    wr(board, TN_CONFIG(0), TN_PIN(2) | TN_ENABLE | TN_PERIOD | TN_SET | TN_32);
    wr(board, TN_COMPARE(0), (uint32_t)period);
    for (unsigned i = 1; i < 4; i++) {
        wr(board, CONFIG, ENABLE);
        wr(board, TN_CONFIG(0), TN_PIN(2) | TN_ENABLE | TN_PERIOD | TN_32);
        clock_stepped_advance(&board->clock, period * HPET_TICK_NS - 1);
        assert_int_equal(board->edges[2], i - 1);
        clock_stepped_advance(&board->clock, 1);
        assert_int_equal(board->edges[2], i);
        assert_int_equal(rd(board, TN_COMPARE(0)), (uint32_t)((i + 1) * period));
    }
}

/* What is added is the value last written, in whatever mode; it wraps with the width. */
static void test_accumulator(void **state)
{
    struct board *board = *state;

    bus_write(board->bus, BUS_MMIO, COUNTER, 8, 0xfffeff00);
    wr(board, TN_CONFIG(0), TN_PIN(2) | TN_ENABLE | TN_32);
    wr(board, TN_COMPARE(0), 0x20000);
    wr(board, TN_CONFIG(0), TN_PIN(2) | TN_ENABLE | TN_PERIOD | TN_SET | TN_32);
    wr(board, TN_COMPARE(0), 0xffff0000);
    wr(board, TN_COMPARE(0), 0x20000);
    wr(board, CONFIG, ENABLE);
    clock_stepped_advance(&board->clock, 0x100 * HPET_TICK_NS);
    assert_int_equal(board->edges[2], 1);
    assert_int_equal(rd(board, TN_COMPARE(0)), 0x10000);
    clock_stepped_advance(&board->clock, 0x20000 * HPET_TICK_NS);
    assert_int_equal(board->edges[2], 2);

    hpet_reset(board->hpet);
    bus_write(board->bus, BUS_MMIO, TN_COMPARE(1), 8, 0x12345);
    wr(board, TN_CONFIG(1), TN_PIN(16) | TN_ENABLE | TN_PERIOD);
    wr(board, CONFIG, ENABLE);
    clock_stepped_advance(&board->clock, 0x12345 * HPET_TICK_NS);
    assert_int_equal(board->edges[16], 1);
    assert_int_equal(rd(board, TN_COMPARE(1)), 0x2468a);
}

/* --- interrupts that are not let through --- */

/* A timer whose interrupt is disabled keeps its status and its comparator going. */
static void test_disabled_timer(void **state)
{
    struct board *board = *state;

    wr(board, CONFIG, ENABLE);
    wr(board, TN_CONFIG(0), TN_PIN(16) | TN_LEVEL | TN_PERIOD | TN_SET);
    bus_write(board->bus, BUS_MMIO, TN_COMPARE(0), 8, 100);
    assert_int_equal(clock_next_deadline_ns(&board->clock.clock), CLOCK_NEVER);
    clock_stepped_advance(&board->clock, 999);
    assert_int_equal(rd(board, STATUS), 0);
    clock_stepped_advance(&board->clock, 1501);
    assert_int_equal(rd(board, STATUS), 1);
    assert_int_equal(rd(board, TN_COMPARE(0)), 300);
    assert_false(board->level[16]);
    wr(board, TN_CONFIG(0), TN_PIN(16) | TN_LEVEL | TN_PERIOD | TN_ENABLE);
    assert_true(board->level[16]);
    /* Halting the block takes the level away and leaves the status. */
    wr(board, CONFIG, 0);
    assert_false(board->level[16]);
    assert_int_equal(rd(board, STATUS), 1);
    wr(board, CONFIG, ENABLE);
    assert_true(board->level[16]);
    wr(board, STATUS, 1);
    assert_false(board->level[16]);
}

/* Legacy replacement takes both bits: a block that is off keeps the PIT from nothing. */
static void test_legacy_while_halted(void **state)
{
    struct board *board = *state;

    wr(board, CONFIG, LEGACY);
    hpet_set_legacy_input(board->hpet, HPET_LEGACY_PIT, true);
    assert_true(board->level[PIT]);
    wr(board, CONFIG, ENABLE | LEGACY);
    assert_false(board->level[PIT]);
    wr(board, CONFIG, LEGACY);
    assert_true(board->level[PIT]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_late_one_shot),
        TEST(test_late_periodic),
        TEST(test_told_once),
        TEST(test_written_in_the_past),
        TEST(test_periodic_written_late),
        TEST(test_set_while_halted),
        TEST(test_counter_written_while_it_runs),
        TEST(test_periodic_in_halves),
        TEST(test_long_period),
        TEST(test_accumulator),
        TEST(test_disabled_timer),
        TEST(test_legacy_while_halted),
    };

    return cmocka_run_group_tests_name("hpet matches", tests, NULL, NULL);
}

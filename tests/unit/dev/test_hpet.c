/* The HPET's registers and lines by script, through a bus, with a stepped clock. */
#include "hostile.h"
#include "hpet_rig.h"

static void test_counter(void **state)
{
    struct board *board = *state;

    assert_int_equal(rd(board, CAPABILITY), 0x009896808086a201);
    clock_stepped_advance(&board->clock, 1000);
    assert_int_equal(rd(board, COUNTER), 0);
    wr(board, CONFIG, ENABLE);
    clock_stepped_advance(&board->clock, 1005);
    assert_int_equal(rd(board, COUNTER), 100);
    wr(board, CONFIG, 0);
    clock_stepped_advance(&board->clock, NS_PER_SEC);
    assert_int_equal(rd(board, COUNTER), 100);
    bus_write(board->bus, BUS_MMIO, COUNTER, 8, 0x1fffffff0);
    wr(board, CONFIG, ENABLE);
    clock_stepped_advance(&board->clock, 160);
    assert_int_equal(rd(board, COUNTER), 0x200000000);
    assert_int_equal(bus_read(board->bus, BUS_MMIO, COUNTER + 4, 4), 2);
}

static void test_timer_registers(void **state)
{
    struct board *board = *state;

    assert_int_equal(rd(board, TN_CONFIG(0)), 0x00ff010400000030);
    assert_int_equal(rd(board, TN_COMPARE(0)), UINT64_MAX);
    wr(board, TN_CONFIG(1), TN_PIN(17u) | TN_ENABLE | 0x8001);
    assert_int_equal(rd(board, TN_CONFIG(1)) & 0xffff, TN_PIN(17) | TN_ENABLE | 0x30);
    wr(board, TN_CONFIG(1), TN_PIN(5)); /* an input that can't be had */
    assert_int_equal(rd(board, TN_CONFIG(1)) & 0xffff, TN_PIN(17) | 0x30);
    assert_int_equal(rd(board, TN_CONFIG(3)), 0);
    wr(board, TN_CONFIG(2), TN_32);
    assert_int_equal(rd(board, TN_COMPARE(2)), UINT32_MAX);
}

static void test_one_shot(void **state)
{
    struct board *board = *state;

    wr(board, CONFIG, ENABLE);
    wr(board, TN_CONFIG(2), TN_PIN(20) | TN_ENABLE | TN_32);
    wr(board, TN_COMPARE(2), 1000);
    clock_stepped_advance(&board->clock, 9999);
    assert_int_equal(board->edges[20], 0);
    clock_stepped_advance(&board->clock, 1);
    assert_int_equal(board->edges[20], 1);
    assert_false(board->level[20]);
    assert_int_equal(rd(board, STATUS), 0);
    /* 32 bits match again after a whole turn, and not a tick before. */
    clock_stepped_advance(&board->clock, BIT(32) * HPET_TICK_NS - 1);
    assert_int_equal(board->edges[20], 1);
    clock_stepped_advance(&board->clock, 1);
    assert_int_equal(board->edges[20], 2);
    /* 64 bits do not. */
    wr(board, TN_CONFIG(2), TN_PIN(20) | TN_ENABLE);
    wr(board, TN_COMPARE(2), 1000);
    clock_stepped_advance(&board->clock, 2 * BIT(32) * HPET_TICK_NS);
    assert_int_equal(board->edges[20], 2);
    assert_int_equal(clock_next_deadline_ns(&board->clock.clock), CLOCK_NEVER);
}

static void test_level(void **state)
{
    struct board *board = *state;

    wr(board, CONFIG, ENABLE);
    wr(board, TN_CONFIG(0), TN_PIN(16) | TN_ENABLE | TN_LEVEL);
    wr(board, TN_CONFIG(1), TN_PIN(16) | TN_ENABLE | TN_LEVEL);
    bus_write(board->bus, BUS_MMIO, TN_COMPARE(0), 8, 100);
    bus_write(board->bus, BUS_MMIO, TN_COMPARE(1), 8, 200);
    clock_stepped_advance(&board->clock, 1000);
    assert_true(board->level[16]);
    assert_int_equal(rd(board, STATUS), 1);
    clock_stepped_advance(&board->clock, 1000);
    assert_int_equal(rd(board, STATUS), 3);
    wr(board, STATUS, 1); /* the other still holds the shared pin */
    assert_true(board->level[16]);
    wr(board, STATUS + 4, 2);
    assert_true(board->level[16]);
    wr(board, STATUS, 2);
    assert_false(board->level[16]);
    assert_int_equal(board->edges[16], 1);
}

static void test_periodic(void **state)
{
    struct board *board = *state;

    wr(board, CONFIG, ENABLE);
    wr(board, TN_CONFIG(0), TN_PIN(2) | TN_ENABLE | TN_PERIOD | TN_SET | TN_32);
    wr(board, TN_COMPARE(0), 50000);  /* the first match */
    wr(board, TN_COMPARE(0), 100000); /* each one after it: 1 ms */
    clock_stepped_advance(&board->clock, 499999);
    assert_int_equal(board->edges[2], 0);
    clock_stepped_advance(&board->clock, 1);
    assert_int_equal(board->edges[2], 1);
    for (unsigned i = 2; i < 12; i++) {
        clock_stepped_advance(&board->clock, NS_PER_MS - 1);
        assert_int_equal(board->edges[2], i - 1);
        clock_stepped_advance(&board->clock, 1);
        assert_int_equal(board->edges[2], i);
    }
    assert_int_equal(rd(board, TN_COMPARE(0)), 50000 + 11 * 100000);
    /* Disabled for 10.5 periods: no wake-up meanwhile, and then in step. */
    wr(board, TN_CONFIG(0), TN_PIN(2) | TN_PERIOD | TN_32);
    assert_int_equal(clock_next_deadline_ns(&board->clock.clock), CLOCK_NEVER);
    clock_stepped_advance(&board->clock, 10 * NS_PER_MS + NS_PER_MS / 2);
    wr(board, TN_CONFIG(0), TN_PIN(2) | TN_ENABLE | TN_PERIOD | TN_32);
    clock_stepped_advance(&board->clock, NS_PER_MS / 2 - 1);
    assert_int_equal(board->edges[2], 11);
    clock_stepped_advance(&board->clock, 1);
    assert_int_equal(board->edges[2], 12);
    /* A period of one tick does not keep the monitor from all else. */
    wr(board, TN_COMPARE(0), 1);
    clock_stepped_advance(&board->clock, 100 * NS_PER_MS);
    assert_in_range(board->edges[2], 13, 6000);
}

static void test_legacy(void **state)
{
    struct board *board = *state;

    hpet_set_legacy_input(board->hpet, HPET_LEGACY_PIT, true);
    hpet_set_legacy_input(board->hpet, HPET_LEGACY_RTC, true);
    assert_true(board->level[PIT] && board->level[RTC]);
    wr(board, TN_CONFIG(0), TN_PIN(2) | TN_ENABLE);
    wr(board, TN_CONFIG(1), TN_PIN(8) | TN_ENABLE | TN_LEVEL);
    wr(board, TN_CONFIG(2), TN_PIN(8) | TN_ENABLE);
    for (unsigned i = 0; i < HPET_TIMERS; i++)
        bus_write(board->bus, BUS_MMIO, TN_COMPARE(i), 8, 100);
    wr(board, CONFIG, ENABLE | LEGACY);
    assert_false(board->level[PIT] || board->level[RTC]);
    clock_stepped_advance(&board->clock, 1000);
    assert_int_equal(board->edges[PIT], 2);
    assert_true(board->level[RTC]);
    assert_int_equal(board->edges[2], 0);
    assert_int_equal(board->edges[8], 1);
    hpet_set_legacy_input(board->hpet, HPET_LEGACY_PIT, false);
    hpet_set_legacy_input(board->hpet, HPET_LEGACY_PIT, true);
    assert_int_equal(board->edges[PIT], 2);
    wr(board, CONFIG, ENABLE);
    assert_true(board->level[PIT]);
    assert_true(board->level[8]); /* timer 1's level is on its pin now */
    hpet_reset(board->hpet);
    assert_false(board->level[8]);
    assert_true(board->level[PIT]);
}

static void test_hostile(void **state)
{
    struct board *board = *state;
    struct hostile hostile = {.seed = 11};

    for (unsigned i = 0; i < 20000; i++) {
        hostile_access(&hostile, &hpet_ops, board->hpet, i % 2 ? HPET_SIZE : 0x160, 10);
        wr(board, CONFIG, hostile_next(&hostile) & 3);
        wr(board, TN_COMPARE(i % 3), (uint32_t)rd(board, COUNTER) + (uint32_t)(i % 1000));
        hpet_set_legacy_input(board->hpet, i & 1, i & 2);
        clock_stepped_advance(&board->clock, hostile_next(&hostile) % (100 * NS_PER_US));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_counter),  TEST(test_timer_registers), TEST(test_one_shot), TEST(test_level),
        TEST(test_periodic), TEST(test_legacy),          TEST(test_hostile),
    };

    return cmocka_run_group_tests_name("hpet", tests, NULL, NULL);
}

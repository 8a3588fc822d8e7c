/* The 8254 by script on a stepped clock: each mode, latches, read-back, BCD, edges, late hosts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "dev/pit.h"
#include "hostile.h"

struct bench {
    struct clock_stepped time;
    struct pit *pit;
    uint64_t tick; /* what the clock was stepped to */
    bool irq;
    unsigned edges;
    uint64_t edge_tick;
};

static void on_irq(void *opaque, unsigned number, bool level)
{
    struct bench *b = opaque;

    if (level && !b->irq) {
        b->edges++;
        b->edge_tick = clock_muldiv(b->time.now_ns, PIT_HZ, NS_PER_SEC);
    }
    b->irq = level;
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    struct irq_line irq = {.set = on_irq, .opaque = b};

    if (!b)
        return -1;
    clock_stepped_init(&b->time);
    b->pit = pit_create(&b->time.clock, &irq);
    *state = b;
    return b->pit ? 0 : -1;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    pit_destroy(b->pit);
    assert_true(clock_next_deadline_ns(&b->time.clock) == CLOCK_NEVER);
    free(b);
    return 0;
}

/* The middle of a tick, so that rounding can't matter. */
static uint64_t tick_ns(uint64_t tick)
{
    return clock_muldiv(2 * tick + 1, NS_PER_SEC, 2 * PIT_HZ);
}

static void advance(struct bench *b, uint64_t ticks)
{
    b->tick += ticks;
    clock_stepped_advance(&b->time, tick_ns(b->tick) - b->time.now_ns);
}

static void out(struct bench *b, unsigned port, uint8_t value)
{
    pit_ops.write(b->pit, port, 1, value);
}

static uint8_t in(struct bench *b, unsigned port)
{
    return (uint8_t)pit_ops.read(b->pit, port, 1);
}

static void program(struct bench *b, unsigned channel, unsigned mode, uint16_t count)
{
    out(b, 3, (uint8_t)(channel << 6 | 0x30 | mode << 1));
    out(b, channel, (uint8_t)count);
    out(b, channel, (uint8_t)(count >> 8));
}

static uint16_t count(struct bench *b, unsigned channel)
{
    uint16_t low = in(b, channel);

    return (uint16_t)(in(b, channel) << 8 | low);
}

static uint8_t status(struct bench *b, unsigned channel)
{
    out(b, 3, (uint8_t)(0xe0 | 2u << channel));
    return in(b, channel);
}

static void test_mode0(void **state)
{
    struct bench *b = *state;

    advance(b, 10);
    program(b, 0, 0, 5);
    assert_int_equal(status(b, 0), 0x70); /* null count, OUT low, both bytes, mode 0 */
    advance(b, 1);
    assert_int_equal(status(b, 0), 0x30);
    assert_int_equal(count(b, 0), 5);
    advance(b, 4);
    assert_int_equal(count(b, 0), 1);
    assert_int_equal(b->edges, 0);
    advance(b, 1);
    assert_int_equal(b->edges, 1);
    assert_int_equal(b->edge_tick, 16); /* written at 10, loaded at 11, five ticks more */
    assert_int_equal(status(b, 0), 0xb0);
    advance(b, 1);
    assert_int_equal(count(b, 0), 0xffff); /* it counts on */
    advance(b, 100000);
    assert_int_equal(b->edges, 1);
}

static void test_mode0_gate_and_half_write(void **state)
{
    struct bench *b = *state;

    pit_set_channel2_gate(b->pit, true);
    program(b, 2, 0, 10);
    advance(b, 4);
    assert_int_equal(count(b, 2), 7);
    pit_set_channel2_gate(b->pit, false);
    advance(b, 50);
    assert_int_equal(count(b, 2), 7); /* frozen */
    pit_set_channel2_gate(b->pit, true);
    advance(b, 6);
    assert_false(pit_channel2_out(b->pit));
    advance(b, 1);
    assert_true(pit_channel2_out(b->pit));
    out(b, 2, 20); /* the first byte alone makes OUT low and stops the count */
    assert_false(pit_channel2_out(b->pit));
    advance(b, 1000);
    assert_false(pit_channel2_out(b->pit));
    out(b, 2, 0);
    advance(b, 20);
    assert_false(pit_channel2_out(b->pit));
    advance(b, 1);
    assert_true(pit_channel2_out(b->pit));
}

static void test_mode1(void **state)
{
    struct bench *b = *state;

    program(b, 2, 1, 3);
    advance(b, 10);
    assert_true(pit_channel2_out(b->pit));
    pit_set_channel2_gate(b->pit, true);
    advance(b, 1);
    assert_false(pit_channel2_out(b->pit));
    pit_set_channel2_gate(b->pit, false); /* the level does not matter */
    advance(b, 2);
    assert_false(pit_channel2_out(b->pit));
    pit_set_channel2_gate(b->pit, true); /* retrigger */
    advance(b, 3);
    assert_false(pit_channel2_out(b->pit));
    advance(b, 1);
    assert_true(pit_channel2_out(b->pit));
}

static void test_mode2_edges_keep_phase(void **state)
{
    struct bench *b = *state;

    program(b, 0, 2, 100);
    assert_true(b->irq); /* OUT went high with the control word */
    b->edges = 0;
    for (unsigned i = 1; i <= 50; i++) {
        advance(b, 100);
        assert_int_equal(b->edges, i - (b->tick % 100 == 0));
    }
    assert_int_equal(b->edge_tick % 100, 1); /* loaded at tick 1 */
    advance(b, 1);
    assert_int_equal(count(b, 0), 100);
    advance(b, 99);
    assert_int_equal(count(b, 0), 1);
    assert_int_equal(status(b, 0) & 0x80, 0); /* OUT is low for this one tick */
    assert_int_equal(pit_lost_ticks(b->pit), 0);
}

static void test_mode2_new_count_at_period_end(void **state)
{
    struct bench *b = *state;

    program(b, 0, 2, 100);
    b->edges = 0;
    advance(b, 51); /* 50 into the period */
    out(b, 0, 200);
    out(b, 0, 0);
    assert_int_equal(status(b, 0) & 0x40, 0x40);
    assert_int_equal(count(b, 0), 50); /* the old count runs on */
    advance(b, 50);
    assert_int_equal(b->edges, 1);
    assert_int_equal(status(b, 0) & 0x40, 0);
    assert_int_equal(count(b, 0), 200);
    advance(b, 199);
    assert_int_equal(b->edges, 1);
    advance(b, 1);
    assert_int_equal(b->edges, 2);
}

static void test_mode2_gate(void **state)
{
    struct bench *b = *state;

    program(b, 2, 2, 10);
    advance(b, 20);
    assert_true(pit_channel2_out(b->pit));
    assert_int_equal(status(b, 2) & 0x40, 0x40); /* no gate, no load */
    pit_set_channel2_gate(b->pit, true);
    advance(b, 4);
    assert_int_equal(count(b, 2), 7);
    pit_set_channel2_gate(b->pit, false);
    advance(b, 4);
    assert_int_equal(count(b, 2), 7);
    pit_set_channel2_gate(b->pit, true); /* reloads */
    advance(b, 1);
    assert_int_equal(count(b, 2), 10);
}

static void test_mode3(void **state)
{
    static const uint8_t counts[] = {4, 2, 0, 4, 2, 4, 2, 0};
    static const bool levels[] = {1, 1, 1, 0, 0, 1, 1, 1};
    struct bench *b = *state;

    pit_set_channel2_gate(b->pit, true);
    program(b, 2, 3, 5);
    for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
        advance(b, 1);
        assert_int_equal(count(b, 2), counts[i]);
        assert_int_equal(pit_channel2_out(b->pit), levels[i]);
    }
    program(b, 2, 3, 4);
    advance(b, 1);
    assert_int_equal(count(b, 2), 4);
    advance(b, 1);
    assert_int_equal(count(b, 2), 2);
    out(b, 2, 8); /* taken over at the end of this half: four ticks low follow */
    out(b, 2, 0);
    advance(b, 1);
    for (unsigned i = 0; i < 4; i++) {
        assert_false(pit_channel2_out(b->pit));
        assert_int_equal(count(b, 2), 8 - 2 * i);
        advance(b, 1);
    }
    assert_true(pit_channel2_out(b->pit));
}

static void test_mode3_edges(void **state)
{
    struct bench *b = *state;

    program(b, 0, 3, 0); /* 65536: the PC's 18.2 Hz */
    b->edges = 0;
    clock_stepped_advance(&b->time, 10 * NS_PER_SEC);
    assert_int_equal(b->edges, 182);
}

static void test_mode4_and_5(void **state)
{
    struct bench *b = *state;

    program(b, 0, 4, 10);
    b->edges = 0;
    advance(b, 11);
    assert_int_equal(status(b, 0) & 0x80, 0); /* the strobe */
    assert_int_equal(b->edges, 0);
    advance(b, 1);
    assert_int_equal(b->edges, 1);
    out(b, 0, 20);
    out(b, 0, 0);
    advance(b, 10000);
    assert_int_equal(b->edges, 2); /* once a write */

    program(b, 2, 5, 6);
    advance(b, 50);
    assert_true(pit_channel2_out(b->pit));
    pit_set_channel2_gate(b->pit, true);
    advance(b, 6);
    assert_true(pit_channel2_out(b->pit));
    advance(b, 1);
    assert_false(pit_channel2_out(b->pit));
    advance(b, 1);
    assert_true(pit_channel2_out(b->pit));
}

static void test_latch_and_read_back(void **state)
{
    struct bench *b = *state;

    program(b, 0, 2, 1000);
    advance(b, 1);
    out(b, 3, 0x00);
    advance(b, 100);
    out(b, 3, 0x00); /* the second latch is ignored */
    assert_int_equal(count(b, 0), 1000);
    assert_int_equal(count(b, 0), 900);
    out(b, 3, 0xc2); /* count and status of channel 0 */
    advance(b, 5);
    assert_int_equal(in(b, 0), 0xb4);
    assert_int_equal(count(b, 0), 900);
    out(b, 3, 0x24); /* the high byte only */
    assert_int_equal(in(b, 3), 0xff);
    out(b, 0, 2);
    advance(b, 1);
    assert_int_equal(in(b, 0), 2);
    out(b, 3, 0x14); /* the low byte only */
    out(b, 0, 77);
    advance(b, 2);
    assert_int_equal(in(b, 0), 76);
}

/* The status repeats the control word's low six bits as they were written, for each of them. */
static void test_status_repeats_the_control_word(void **state)
{
    struct bench *b = *state;

    for (unsigned word = 0x10; word < 0x40; word++) {
        out(b, 3, (uint8_t)(0x80 | word));
        assert_int_equal(status(b, 2) & 0x7f, 0x40 | word);
    }
    out(b, 3, 0xbe); /* mode 7, which counts as mode 3 does */
    out(b, 2, 4);
    out(b, 2, 0);
    pit_set_channel2_gate(b->pit, true);
    advance(b, 2);
    assert_int_equal(status(b, 2), 0xbe);
    assert_int_equal(count(b, 2), 2);
}

static void test_bcd(void **state)
{
    struct bench *b = *state;

    out(b, 3, 0x31);
    out(b, 0, 0x00);
    out(b, 0, 0x10); /* 1000 */
    advance(b, 2);
    assert_int_equal(count(b, 0), 0x0999);
    advance(b, 1000);
    assert_int_equal(count(b, 0), 0x9999);
    out(b, 3, 0x31);
    out(b, 0, 0);
    out(b, 0, 0); /* 10000 */
    b->edges = 0;
    advance(b, 10000);
    assert_int_equal(b->edges, 0);
    advance(b, 1);
    assert_int_equal(b->edges, 1);
}

/* A host that comes late: jump the source without firing what lies between. */
static void test_late_host(void **state)
{
    struct bench *b = *state;
    uint64_t lost;

    program(b, 0, 2, 1000);
    b->edges = 0;
    b->tick = 4501;
    b->time.now_ns = tick_ns(4501); /* four edges due: one fires, three are owed */
    clock_run_timers(&b->time.clock);
    assert_int_equal(b->edges, 1);
    advance(b, 10000);
    assert_int_equal(b->edges, 14);
    assert_int_equal(b->edge_tick % 1000, 1);
    assert_int_equal(pit_lost_ticks(b->pit), 0);

    b->tick += 10000000;
    b->time.now_ns = tick_ns(b->tick); /* a suspended host: no storm */
    b->edges = 0;
    clock_run_timers(&b->time.clock);
    assert_int_equal(b->edges, 1);
    lost = pit_lost_ticks(b->pit);
    assert_true(lost > 9900);
    advance(b, 100000);
    assert_int_equal(b->edges, 1 + 8 + 100);
    assert_int_equal(pit_lost_ticks(b->pit), lost);
}

static void test_tiny_periods_do_not_storm(void **state)
{
    struct bench *b = *state;

    program(b, 0, 2, 1);
    b->edges = 0;
    advance(b, 1000);
    assert_int_equal(b->edges, 0);
    program(b, 0, 2, 2);
    b->edges = 0;
    advance(b, 119318);
    assert_in_range(b->edges, 1000, 2000);
}

static void test_refresh_toggle(void **state)
{
    struct bench *b = *state;
    unsigned toggles = 0;
    bool last = pit_refresh_toggle(b->pit);

    for (unsigned i = 0; i < 1000; i++) {
        clock_stepped_advance(&b->time, NS_PER_US);
        toggles += pit_refresh_toggle(b->pit) != last;
        last = pit_refresh_toggle(b->pit);
    }
    assert_in_range(toggles, 64, 68); /* every 15.085 us */
}

static void test_hostile(void **state)
{
    struct bench *b = *state;
    struct hostile h = {.seed = 8254};

    for (unsigned i = 0; i < 20000; i++) {
        hostile_access(&h, &pit_ops, b->pit, 4, 3);
        pit_set_channel2_gate(b->pit, hostile_next(&h) & 1);
        (void)pit_channel2_out(b->pit);
        clock_stepped_advance(&b->time, hostile_next(&h) % 100000);
    }
    pit_reset(b->pit);
    assert_false(b->irq);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_mode0),
        TEST(test_mode0_gate_and_half_write),
        TEST(test_mode1),
        TEST(test_mode2_edges_keep_phase),
        TEST(test_mode2_new_count_at_period_end),
        TEST(test_mode2_gate),
        TEST(test_mode3),
        TEST(test_mode3_edges),
        TEST(test_mode4_and_5),
        TEST(test_latch_and_read_back),
        TEST(test_status_repeats_the_control_word),
        TEST(test_bcd),
        TEST(test_late_host),
        TEST(test_tiny_periods_do_not_storm),
        TEST(test_refresh_toggle),
        TEST(test_hostile),
    };

    return cmocka_run_group_tests_name("pit", tests, NULL, NULL);
}

/* Timers on a stepped clock: order, re-arming, cancelling, deadlines of the past. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"

struct log {
    struct clock_stepped *stepped;
    uint64_t at[8];
    unsigned count;
};

static void note(void *opaque)
{
    struct log *log = opaque;

    assert_true(log->count < 8);
    log->at[log->count++] = log->stepped->now_ns;
}

static void test_order(void **state)
{
    struct clock_stepped stepped;
    struct log log = {.stepped = &stepped};
    struct timer a, b;

    clock_stepped_init(&stepped);
    timer_init(&a, &stepped.clock, note, &log);
    timer_init(&b, &stepped.clock, note, &log);
    timer_arm(&a, 200);
    timer_arm(&b, 100);
    assert_int_equal(clock_next_deadline_ns(&stepped.clock), 100);
    clock_stepped_advance(&stepped, 150);
    assert_int_equal(log.count, 1);
    assert_int_equal(log.at[0], 100);
    assert_false(timer_armed(&b));
    clock_stepped_advance(&stepped, 50);
    assert_int_equal(log.count, 2);
    assert_int_equal(log.at[1], 200);
    assert_true(clock_next_deadline_ns(&stepped.clock) == CLOCK_NEVER);
}

static void test_rearm_and_cancel(void **state)
{
    struct clock_stepped stepped;
    struct log log = {.stepped = &stepped};
    struct timer a, b;

    clock_stepped_init(&stepped);
    timer_init(&a, &stepped.clock, note, &log);
    timer_init(&b, &stepped.clock, note, &log);
    timer_arm(&a, 100);
    timer_arm(&a, 300);
    timer_arm(&b, 200);
    timer_cancel(&b);
    timer_cancel(&b);
    clock_stepped_advance(&stepped, 1000);
    assert_int_equal(log.count, 1);
    assert_int_equal(log.at[0], 300);
}

static void count_change(void *opaque)
{
    (*(unsigned *)opaque)++;
}

static void test_changed(void **state)
{
    struct clock_stepped stepped;
    struct log log = {.stepped = &stepped};
    struct timer a, b;
    unsigned changes = 0;

    clock_stepped_init(&stepped);
    stepped.clock.changed = count_change;
    stepped.clock.changed_opaque = &changes;
    timer_init(&a, &stepped.clock, note, &log);
    timer_init(&b, &stepped.clock, note, &log);
    timer_arm(&a, 100);
    timer_arm(&b, 200);
    assert_int_equal(changes, 1); /* the second is not the first deadline */
    timer_arm(&b, 50);
    assert_int_equal(changes, 2);
}

static void again_in_the_past(void *opaque)
{
    struct timer *timer = opaque;

    timer_arm(timer, 1);
}

static void test_past_is_bounded(void **state)
{
    struct clock_stepped stepped;
    struct timer timer;

    clock_stepped_init(&stepped);
    stepped.now_ns = 10;
    timer_init(&timer, &stepped.clock, again_in_the_past, &timer);
    timer_arm(&timer, 5);
    clock_run_timers(&stepped.clock); /* comes back although the timer is always due */
    assert_true(timer_armed(&timer));
    timer_cancel(&timer);
}

static void test_muldiv(void **state)
{
    assert_true(clock_muldiv(UINT64_MAX, 3, 3) == UINT64_MAX);
    assert_int_equal(clock_muldiv(1000000000u, 1193182, 1000000000u), 1193182);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),   cmocka_unit_test(test_rearm_and_cancel),
        cmocka_unit_test(test_changed), cmocka_unit_test(test_past_is_bounded),
        cmocka_unit_test(test_muldiv),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

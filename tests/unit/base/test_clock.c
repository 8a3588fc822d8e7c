/* Timers on a stepped clock: order, re-arming, cancelling, deadlines of the past. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"

/* A stepped clock with two timers that note when they fire. */
struct rig {
    struct clock_stepped stepped;
    struct timer a, b;
    uint64_t at[8];
    unsigned count;
};

static void note(void *opaque)
{
    struct rig *rig = opaque;

    assert_true(rig->count < 8);
    rig->at[rig->count++] = rig->stepped.now_ns;
}

static void rig_init(struct rig *rig)
{
    *rig = (struct rig){0};
    clock_stepped_init(&rig->stepped);
    timer_init(&rig->a, &rig->stepped.clock, note, rig);
    timer_init(&rig->b, &rig->stepped.clock, note, rig);
}

static void test_order(void **state)
{
    struct rig rig;

    rig_init(&rig);
    timer_arm(&rig.a, 200);
    timer_arm(&rig.b, 100);
    assert_int_equal(clock_next_deadline_ns(&rig.stepped.clock), 100);
    clock_stepped_advance(&rig.stepped, 150);
    assert_int_equal(rig.count, 1);
    assert_int_equal(rig.at[0], 100);
    assert_false(timer_armed(&rig.b));
    clock_stepped_advance(&rig.stepped, 50);
    assert_int_equal(rig.count, 2);
    assert_int_equal(rig.at[1], 200);
    assert_true(clock_next_deadline_ns(&rig.stepped.clock) == CLOCK_NEVER);
}

static void test_rearm_and_cancel(void **state)
{
    struct rig rig;

    rig_init(&rig);
    timer_arm(&rig.a, 100);
    timer_arm(&rig.a, 300);
    timer_arm(&rig.b, 200);
    timer_cancel(&rig.b);
    timer_cancel(&rig.b);
    clock_stepped_advance(&rig.stepped, 1000);
    assert_int_equal(rig.count, 1);
    assert_int_equal(rig.at[0], 300);
}

static void count_change(void *opaque)
{
    (*(unsigned *)opaque)++;
}

static void test_changed(void **state)
{
    struct rig rig;
    unsigned changes = 0;

    rig_init(&rig);
    rig.stepped.clock.changed = count_change;
    rig.stepped.clock.changed_opaque = &changes;
    timer_arm(&rig.a, 100);
    timer_arm(&rig.b, 200);
    assert_int_equal(changes, 1); /* the second is not the first deadline */
    timer_arm(&rig.b, 50);
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

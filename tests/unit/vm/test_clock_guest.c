/* Virtual time that counts instructions: rounding of deadlines, jumps over halts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "vm/clock_guest.h"

struct log {
    struct clock_guest *guest;
    uint64_t fired_at_ns;
    unsigned count;
};

static void note(void *opaque)
{
    struct log *log = opaque;

    log->fired_at_ns = clock_now_ns(&log->guest->clock);
    log->count++;
}

static void test_time_is_the_count(void **state)
{
    struct clock_guest guest;
    uint64_t instructions = 0;

    clock_guest_init(&guest, 4);
    assert_int_equal(clock_now_ns(&guest.clock), 0); /* no vCPU yet */
    clock_guest_attach(&guest, &instructions);
    instructions = 1000;
    assert_int_equal(clock_now_ns(&guest.clock), 4000);
}

static void test_deadlines_round_up(void **state)
{
    struct clock_guest guest;
    struct log log = {.guest = &guest};
    struct timer timer;
    uint64_t instructions = 0;

    clock_guest_init(&guest, 10);
    clock_guest_attach(&guest, &instructions);
    timer_init(&timer, &guest.clock, note, &log);
    assert_int_equal(clock_guest_deadline(&guest), UINT64_MAX);
    for (uint64_t ns = 0; ns <= 40; ns++) {
        timer_arm(&timer, ns);
        assert_int_equal(clock_guest_deadline(&guest), (ns + 9) / 10);
    }
    timer_arm(&timer, 25);
    instructions = 2;
    clock_run_timers(&guest.clock);
    assert_int_equal(log.count, 0);
    instructions = clock_guest_deadline(&guest);
    clock_run_timers(&guest.clock);
    assert_int_equal(log.count, 1);
}

static void test_a_halt_jumps(void **state)
{
    struct clock_guest guest;
    struct log log = {.guest = &guest};
    struct timer timer;
    uint64_t instructions = 7;

    clock_guest_init(&guest, 10);
    clock_guest_attach(&guest, &instructions);
    timer_init(&timer, &guest.clock, note, &log);
    assert_false(clock_guest_skip(&guest)); /* to nowhere */
    assert_int_equal(clock_now_ns(&guest.clock), 70);
    timer_arm(&timer, 12345);
    assert_true(clock_guest_skip(&guest));
    assert_int_equal(log.count, 1);
    assert_int_equal(log.fired_at_ns, 12345);
    instructions++;
    assert_int_equal(clock_now_ns(&guest.clock), 12355);
    /* The next deadline counts from there. */
    timer_arm(&timer, 12376);
    assert_int_equal(clock_guest_deadline(&guest), 11);
    /* A deadline in the past fires without going back. */
    timer_arm(&timer, 5);
    assert_int_equal(clock_guest_deadline(&guest), 0);
    assert_true(clock_guest_skip(&guest));
    assert_int_equal(log.fired_at_ns, 12355);
    /* The end of time does not come. */
    timer_arm(&timer, UINT64_MAX - 1);
    assert_false(clock_guest_skip(&guest));
    assert_int_equal(clock_now_ns(&guest.clock), 12355);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time_is_the_count),
        cmocka_unit_test(test_deadlines_round_up),
        cmocka_unit_test(test_a_halt_jumps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

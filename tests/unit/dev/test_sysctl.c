/* The small system ports by script, with a real timer behind port 61h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "dev/sysctl.h"
#include "hostile.h"

struct bench {
    struct clock_stepped time;
    struct pit *pit;
    struct sysctl *sysctl;
    struct a20_gate a20;
    unsigned resets;
};

static void on_reset(void *opaque, unsigned number, bool level)
{
    ((struct bench *)opaque)->resets += level;
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    struct irq_line none = {0}, reset = {.set = on_reset, .opaque = b};

    if (!b)
        return -1;
    clock_stepped_init(&b->time);
    b->pit = pit_create(&b->time.clock, &none);
    b->sysctl = sysctl_create(b->pit, &b->a20, &reset);
    *state = b;
    return b->pit && b->sysctl ? 0 : -1;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    sysctl_destroy(b->sysctl);
    pit_destroy(b->pit);
    free(b);
    return 0;
}

static uint8_t in61(struct bench *b)
{
    return (uint8_t)sysctl_port61_ops.read(b->sysctl, 0, 1);
}

/* As Linux calibrates its clock: channel 2 in mode 0, gate on, wait for OUT. */
static void test_timer_behind_port_61h(void **state)
{
    struct bench *b = *state;

    sysctl_port61_ops.write(b->sysctl, 0, 1, 0x01);
    pit_ops.write(b->pit, 3, 1, 0xb0);
    pit_ops.write(b->pit, 2, 1, 0x9c);
    pit_ops.write(b->pit, 2, 1, 0x2e); /* 11932 ticks: 10 ms */
    assert_int_equal(in61(b) & 0x21, 0x01);
    clock_stepped_advance(&b->time, 9990 * NS_PER_US);
    assert_int_equal(in61(b) & 0x20, 0);
    clock_stepped_advance(&b->time, 20 * NS_PER_US);
    assert_int_equal(in61(b) & 0x20, 0x20);
    sysctl_port61_ops.write(b->sysctl, 0, 1, 0xfe);
    assert_int_equal(in61(b) & 0xcf, 0x0e);
    assert_false(pit_channel2_gate(b->pit));
    sysctl_reset(b->sysctl);
    assert_int_equal(in61(b) & 0x0e, 0);
}

static void test_refresh_bit_toggles(void **state)
{
    struct bench *b = *state;
    uint8_t first = in61(b) & 0x10;

    clock_stepped_advance(&b->time, 16 * NS_PER_US);
    assert_int_not_equal(in61(b) & 0x10, first);
}

static void test_port_92h(void **state)
{
    struct bench *b = *state;

    assert_int_equal(sysctl_port92_ops.read(b->sysctl, 0, 1), 0);
    sysctl_port92_ops.write(b->sysctl, 0, 1, 0x02);
    assert_true(b->a20.enabled);
    assert_int_equal(sysctl_port92_ops.read(b->sysctl, 0, 1), 0x02);
    a20_set(&b->a20, false); /* as the keyboard controller does */
    assert_int_equal(sysctl_port92_ops.read(b->sysctl, 0, 1), 0);
    assert_int_equal(b->resets, 0);
    sysctl_port92_ops.write(b->sysctl, 0, 1, 0x01);
    sysctl_port92_ops.write(b->sysctl, 0, 1, 0x01); /* no rise */
    assert_int_equal(b->resets, 1);
}

static void test_post_code_and_delay(void **state)
{
    struct bench *b = *state;

    sysctl_post_ops.write(b->sysctl, 0, 1, 0x42);
    assert_int_equal(sysctl_post_code(b->sysctl), 0x42);
    assert_int_equal(sysctl_post_ops.read(b->sysctl, 0, 1), 0x42);
    sysctl_delay_ops.write(b->sysctl, 0, 1, 0x42);
    assert_int_equal(sysctl_delay_ops.read(b->sysctl, 0, 1), 0xff);
}

static void test_hostile(void **state)
{
    struct bench *b = *state;
    struct hostile h = {.seed = 61};

    for (unsigned i = 0; i < 5000; i++) {
        hostile_access(&h, &sysctl_port61_ops, b->sysctl, 1, 2);
        hostile_access(&h, &sysctl_port92_ops, b->sysctl, 1, 2);
        hostile_access(&h, &sysctl_post_ops, b->sysctl, 1, 2);
        hostile_access(&h, &sysctl_delay_ops, b->sysctl, 1, 2);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_timer_behind_port_61h),
        TEST(test_refresh_bit_toggles),
        TEST(test_port_92h),
        TEST(test_post_code_and_delay),
        TEST(test_hostile),
    };

    return cmocka_run_group_tests_name("sysctl", tests, NULL, NULL);
}

/* The MC146818A by script on a stepped clock: formats, setting, update cycle, the three interrupts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "dev/rtc.h"
#include "dev/rtc_calendar.h"
#include "hostile.h"

/* 2024-02-29 23:59:50 UTC, a Thursday. */
#define START 1709251190

struct bench {
    struct clock_stepped time;
    struct rtc *rtc;
    bool irq;
    unsigned edges;
};

static void on_irq(void *opaque, unsigned number, bool level)
{
    struct bench *b = opaque;

    b->edges += level && !b->irq;
    b->irq = level;
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    struct irq_line irq = {.set = on_irq, .opaque = b};

    if (!b)
        return -1;
    clock_stepped_init(&b->time);
    b->rtc = rtc_create(&b->time.clock, START, &irq);
    *state = b;
    return b->rtc ? 0 : -1;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    rtc_destroy(b->rtc);
    assert_true(clock_next_deadline_ns(&b->time.clock) == CLOCK_NEVER);
    free(b);
    return 0;
}

static uint8_t get(struct bench *b, uint8_t index)
{
    rtc_ops.write(b->rtc, 0, 1, index);
    return (uint8_t)rtc_ops.read(b->rtc, 1, 1);
}

static void put(struct bench *b, uint8_t index, uint8_t value)
{
    rtc_ops.write(b->rtc, 0, 1, index);
    rtc_ops.write(b->rtc, 1, 1, value);
}

static void advance_ms(struct bench *b, uint64_t ms)
{
    clock_stepped_advance(&b->time, ms * NS_PER_MS);
}

/* Checks hour, minute, second, weekday, day, month, year, century as the registers have them. */
static void assert_registers(struct bench *b, const uint8_t expected[8])
{
    static const uint8_t index[8] = {4, 2, 0, 6, 7, 8, 9, 0x32};

    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(get(b, index[i]), expected[i]);
}

static void test_bcd_over_a_leap_day(void **state)
{
    struct bench *b = *state;

    assert_registers(b, (uint8_t[]){0x23, 0x59, 0x50, 5, 0x29, 0x02, 0x24, 0x20});
    advance_ms(b, 9999);
    assert_registers(b, (uint8_t[]){0x23, 0x59, 0x59, 5, 0x29, 0x02, 0x24, 0x20});
    advance_ms(b, 1);
    assert_registers(b, (uint8_t[]){0x00, 0x00, 0x00, 6, 0x01, 0x03, 0x24, 0x20});
    assert_int_equal(rtc_time(b->rtc), START + 10);
    assert_int_equal(get(b, 0x0d), 0x80);
}

static void test_formats(void **state)
{
    struct bench *b = *state;

    put(b, 0x0b, 0x06); /* binary, 24 hours */
    assert_registers(b, (uint8_t[]){23, 59, 50, 5, 29, 2, 24, 20});
    put(b, 0x0b, 0x04); /* binary, 12 hours */
    assert_int_equal(get(b, 4), 0x80 | 11);
    put(b, 0x0b, 0x00); /* BCD, 12 hours */
    assert_int_equal(get(b, 4), 0x91);
    advance_ms(b, 10000);
    assert_int_equal(get(b, 4), 0x12); /* midnight is 12 AM */
    put(b, 4, 0x92);                   /* noon is 12 PM */
    put(b, 0x0b, 0x02);
    assert_int_equal(get(b, 4), 0x12);
}

static void test_setting_the_time(void **state)
{
    struct bench *b = *state;

    advance_ms(b, 300);
    put(b, 0x0b, 0x92); /* SET clears UIE */
    assert_int_equal(get(b, 0x0b), 0x82);
    advance_ms(b, 5000);
    assert_int_equal(get(b, 0), 0x50); /* stands still */
    put(b, 0, 0x58);
    put(b, 2, 0x59);
    put(b, 4, 0x23);
    put(b, 7, 0x31);
    put(b, 8, 0x12);
    put(b, 9, 0x99);
    put(b, 0x32, 0x19);
    assert_int_equal(get(b, 7), 0x31);
    put(b, 0x0b, 0x02);
    assert_int_equal(rtc_time(b->rtc), 946684798);
    advance_ms(b, 700); /* the fraction of the second went on below */
    assert_int_equal(get(b, 0), 0x59);
    advance_ms(b, 1000);
    assert_registers(b, (uint8_t[]){0x00, 0x00, 0x00, 7, 0x01, 0x01, 0x00, 0x20});
    put(b, 9, 0x30); /* a write without SET counts too */
    assert_int_equal(rtc_time(b->rtc), 1893456000);
}

static void test_divider_reset(void **state)
{
    struct bench *b = *state;

    put(b, 0x0a, 0x76);
    advance_ms(b, 5000);
    assert_int_equal(get(b, 0), 0x50);
    put(b, 0x0a, 0x26);
    advance_ms(b, 499);
    assert_int_equal(get(b, 0), 0x50);
    advance_ms(b, 1);
    assert_int_equal(get(b, 0), 0x51); /* the first update after half a second */
    advance_ms(b, 1000);
    assert_int_equal(get(b, 0), 0x52);
}

static void test_update_in_progress(void **state)
{
    struct bench *b = *state;

    assert_int_equal(get(b, 0x0a), 0x26);
    advance_ms(b, 997);
    assert_int_equal(get(b, 0x0a), 0x26);
    advance_ms(b, 2);
    assert_int_equal(get(b, 0x0a), 0xa6);
    assert_int_equal(get(b, 0x0c) & 0x10, 0);
    advance_ms(b, 1);
    assert_int_equal(get(b, 0x0a), 0x26);
    assert_int_equal(get(b, 0x0c) & 0x10, 0x10); /* UF without any enable */
    assert_int_equal(get(b, 0x0c) & 0x10, 0);
    assert_false(b->irq);
}

static void test_update_interrupt(void **state)
{
    struct bench *b = *state;

    put(b, 0x0b, 0x12);
    advance_ms(b, 999);
    assert_false(b->irq);
    advance_ms(b, 1);
    assert_true(b->irq);
    advance_ms(b, 3000);
    assert_int_equal(b->edges, 1); /* the line stays high until C is read */
    assert_int_equal(get(b, 0x0c) & 0x90, 0x90);
    assert_false(b->irq);
    advance_ms(b, 1000);
    assert_int_equal(b->edges, 2);
    rtc_reset(b->rtc);
    assert_false(b->irq);
    assert_int_equal(get(b, 0x0b), 0x02);
}

static void test_periodic_interrupt(void **state)
{
    struct bench *b = *state;
    unsigned ticks = 0;

    put(b, 0x0a, 0x26); /* 1024 Hz */
    (void)get(b, 0x0c);
    put(b, 0x0b, 0x42);
    for (unsigned i = 0; i < 10000; i++) {
        clock_stepped_advance(&b->time, 100 * NS_PER_US);
        if (b->irq) {
            assert_int_equal(get(b, 0x0c) & 0xc0, 0xc0);
            ticks++;
        }
    }
    assert_in_range(ticks, 1023, 1024);
    put(b, 0x0a, 0x21); /* rate 1: 256 Hz */
    b->edges = 0;
    for (unsigned i = 0; i < 1000; i++) {
        advance_ms(b, 1);
        (void)get(b, 0x0c);
    }
    assert_in_range(b->edges, 255, 257);
    put(b, 0x0a, 0x20); /* off */
    b->edges = 0;
    advance_ms(b, 1000);
    assert_int_equal(b->edges, 0);
}

static void test_alarm(void **state)
{
    struct bench *b = *state;

    put(b, 1, 0x05);
    put(b, 3, 0x00);
    put(b, 5, 0xff); /* any hour */
    put(b, 0x0b, 0x22);
    advance_ms(b, 14999);
    assert_false(b->irq);
    advance_ms(b, 1); /* 00:00:05 */
    assert_true(b->irq);
    assert_int_equal(get(b, 0x0c) & 0xa0, 0xa0);
    advance_ms(b, 3599999);
    assert_false(b->irq);
    advance_ms(b, 1); /* 01:00:05 */
    assert_true(b->irq);
    put(b, 5, 0x75); /* an hour that never comes */
    (void)get(b, 0x0c);
    b->edges = 0;
    advance_ms(b, 2 * 86400 * 1000);
    assert_int_equal(b->edges, 0);
}

static void test_next_alarm_search(void **state)
{
    static const struct {
        uint8_t hour, minute, second;
        int64_t from, expected;
    } row[] = {
        {0xff, 0xff, 0xff, 100, 101},        {12, 0, 0, 0, 43200},
        {12, 0, 0, 43200, 43200 + 86400},    {0xff, 30, 0xff, 0, 1800},
        {0xff, 30, 0xff, 1859, 3600 + 1800}, {0xff, 0xff, 59, 0, 59},
        {23, 59, 59, 86398, 86399},          {24, 0, 0, 0, -1},
    };
    struct rtc_format format = {.binary = true, .hours24 = true};

    for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
        uint8_t registers[RTC_CMOS_SIZE] = {0};

        registers[RTC_ALARM_HOURS] = row[i].hour;
        registers[RTC_ALARM_MINUTES] = row[i].minute;
        registers[RTC_ALARM_SECONDS] = row[i].second;
        assert_int_equal(rtc_next_alarm(registers, format, row[i].from), row[i].expected);
    }
}

static void test_memory_and_nmi(void **state)
{
    struct bench *b = *state;

    put(b, 0x40, 0xa5);
    assert_int_equal(get(b, 0xc0), 0xa5);
    assert_true(rtc_nmi_masked(b->rtc));
    (void)get(b, 0x40);
    assert_false(rtc_nmi_masked(b->rtc));
    assert_int_equal(rtc_cmos(b->rtc)[0x40], 0xa5);
    rtc_cmos(b->rtc)[0x34] = 7;
    assert_int_equal(get(b, 0x34), 7);
    rtc_extended_ops.write(b->rtc, 0, 1, 0xc0);
    rtc_extended_ops.write(b->rtc, 1, 1, 0x77);
    assert_int_equal(rtc_extended_ops.read(b->rtc, 1, 1), 0x77);
    assert_int_equal(get(b, 0x40), 0xa5);
    rtc_reset(b->rtc);
    assert_int_equal(get(b, 0x40), 0xa5);
}

static void test_hostile(void **state)
{
    struct bench *b = *state;
    struct hostile h = {.seed = 146818};

    for (unsigned i = 0; i < 20000; i++) {
        hostile_access(&h, &rtc_ops, b->rtc, 2, 4);
        put(b, hostile_next(&h) % 14, (uint8_t)hostile_next(&h));
        hostile_access(&h, &rtc_extended_ops, b->rtc, 2, 2);
        clock_stepped_advance(&b->time, hostile_next(&h) % (NS_PER_SEC / 100));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_bcd_over_a_leap_day),
        TEST(test_formats),
        TEST(test_setting_the_time),
        TEST(test_divider_reset),
        TEST(test_update_in_progress),
        TEST(test_update_interrupt),
        TEST(test_periodic_interrupt),
        TEST(test_alarm),
        TEST(test_next_alarm_search),
        TEST(test_memory_and_nmi),
        TEST(test_hostile),
    };

    return cmocka_run_group_tests_name("rtc", tests, NULL, NULL);
}

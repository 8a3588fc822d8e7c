/* ACPI's fixed hardware by script, through a bus, with a stepped clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "dev/acpi_pm.h"
#include "mem/layout.h"

#define STATUS  (LAYOUT_PM_BASE + 0)
#define ENABLE  (LAYOUT_PM_BASE + 2)
#define CONTROL (LAYOUT_PM_BASE + 4)
#define TIMER   (LAYOUT_PM_BASE + 8)

#define TIMER_BIT  0x0001u
#define BUTTON_BIT 0x0100u
#define SLEEP_S5   (0x2000u | LAYOUT_PM_SLP_TYP_S5 << 10)

/* Half a loop of the 24-bit counter, to the nanosecond below. */
#define HALF_LOOP_NS 2343484437

struct board {
    struct clock_stepped clock;
    struct bus *bus;
    struct acpi_pm *pm;
    bool sci;
    unsigned power_offs;
};

static void on_sci(void *opaque, unsigned number, bool level)
{
    struct board *board = opaque;

    assert_int_equal(number, LAYOUT_IRQ_SCI);
    assert_int_not_equal(level, board->sci);
    board->sci = level;
}

static void on_power_off(void *opaque)
{
    ((struct board *)opaque)->power_offs++;
}

static int set_up(void **state)
{
    static struct board the_board;
    struct board *board = &the_board;
    struct acpi_pm_config config = {
        .clock = &board->clock.clock,
        .sci = {on_sci, board, LAYOUT_IRQ_SCI},
        .power_off = on_power_off,
        .opaque = board,
    };

    memset(board, 0, sizeof(*board));
    clock_stepped_init(&board->clock);
    board->bus = bus_create();
    board->pm = acpi_pm_create(&config);
    assert_non_null(board->bus);
    assert_non_null(board->pm);
    assert_int_equal(
        bus_add(board->bus, BUS_PORT, LAYOUT_PM_BASE, ACPI_PM_SIZE, &acpi_pm_ops, board->pm), 0);
    assert_int_equal(
        bus_add(board->bus, BUS_PORT, LAYOUT_PM_GPE_BASE, ACPI_GPE_SIZE, &acpi_gpe_ops, board->pm),
        0);
    assert_int_equal(
        bus_add(board->bus, BUS_PORT, LAYOUT_SMI_PORT, ACPI_SMI_SIZE, &acpi_smi_ops, board->pm), 0);
    *state = board;
    return 0;
}

static int tear_down(void **state)
{
    struct board *board = *state;

    acpi_pm_destroy(board->pm);
    bus_destroy(board->bus);
    return 0;
}

static uint32_t in(struct board *board, uint64_t port, unsigned width)
{
    return (uint32_t)bus_read(board->bus, BUS_PORT, port, width);
}

static void out(struct board *board, uint64_t port, unsigned width, uint32_t value)
{
    bus_write(board->bus, BUS_PORT, port, width, value);
}

static void test_acpi_mode(void **state)
{
    struct board *board = *state;

    assert_int_equal(in(board, CONTROL, 2), 0);
    out(board, CONTROL, 2, 1); /* SCI_EN is not software's */
    assert_int_equal(in(board, CONTROL, 2), 0);
    out(board, LAYOUT_SMI_PORT, 1, LAYOUT_SMI_ACPI_ENABLE);
    assert_int_equal(in(board, CONTROL, 2), 1);
    assert_true(acpi_pm_enabled(board->pm));
    out(board, LAYOUT_SMI_PORT, 1, 0x55);
    assert_int_equal(in(board, CONTROL, 2), 1);
    out(board, LAYOUT_SMI_PORT, 1, LAYOUT_SMI_ACPI_DISABLE);
    assert_int_equal(in(board, CONTROL, 2), 0);
    out(board, LAYOUT_SMI_PORT + 1, 1, 0x77);
    assert_int_equal(in(board, LAYOUT_SMI_PORT + 1, 1), 0x77);
}

static void test_power_button(void **state)
{
    struct board *board = *state;

    assert_false(acpi_pm_press_power_button(board->pm));
    assert_int_equal(in(board, STATUS, 2), BUTTON_BIT);
    assert_false(board->sci);
    out(board, ENABLE, 2, BUTTON_BIT);
    assert_false(board->sci);
    out(board, LAYOUT_SMI_PORT, 1, LAYOUT_SMI_ACPI_ENABLE);
    assert_true(board->sci);
    out(board, STATUS, 2, ~BUTTON_BIT & 0xffff);
    assert_true(board->sci);
    out(board, STATUS + 1, 1, BUTTON_BIT >> 8);
    assert_false(board->sci);
    assert_int_equal(in(board, STATUS, 2), 0);
    assert_true(acpi_pm_press_power_button(board->pm));
    assert_true(board->sci);
    assert_int_equal(in(board, STATUS, 4), BUTTON_BIT << 16 | BUTTON_BIT);
    acpi_pm_reset(board->pm);
    assert_false(board->sci);
}

static void test_timer_counts(void **state)
{
    struct board *board = *state;

    assert_int_equal(in(board, TIMER, 4), 0);
    clock_stepped_advance(&board->clock, NS_PER_SEC);
    assert_int_equal(in(board, TIMER, 4), ACPI_PM_TIMER_HZ);
    assert_int_equal(in(board, TIMER, 2), ACPI_PM_TIMER_HZ & 0xffff);
    assert_int_equal(in(board, TIMER + 2, 1), ACPI_PM_TIMER_HZ >> 16);
    clock_stepped_advance(&board->clock, 99 * NS_PER_SEC);
    assert_int_equal(in(board, TIMER, 4), 100 * ACPI_PM_TIMER_HZ % (1 << 24));
    out(board, TIMER, 4, 0);
    assert_int_equal(in(board, TIMER, 4), 100 * ACPI_PM_TIMER_HZ % (1 << 24));
}

static void test_timer_overflow(void **state)
{
    struct board *board = *state;

    out(board, LAYOUT_SMI_PORT, 1, LAYOUT_SMI_ACPI_ENABLE);
    clock_stepped_advance(&board->clock, HALF_LOOP_NS);
    assert_int_equal(in(board, TIMER, 4), 0x7fffff);
    assert_int_equal(in(board, STATUS, 2), 0);
    clock_stepped_advance(&board->clock, 1);
    assert_int_equal(in(board, TIMER, 4), 0x800000);
    assert_int_equal(in(board, STATUS, 2), TIMER_BIT);
    out(board, STATUS, 2, TIMER_BIT);
    assert_int_equal(in(board, STATUS, 2), 0);
    /* The way back to 0 is a change too, and interrupts once enabled. */
    out(board, ENABLE, 2, TIMER_BIT);
    clock_stepped_advance(&board->clock, HALF_LOOP_NS - 1);
    assert_false(board->sci);
    clock_stepped_advance(&board->clock, 2);
    assert_true(board->sci);
    out(board, STATUS, 2, TIMER_BIT);
    assert_false(board->sci);
    clock_stepped_advance(&board->clock, 2 * (uint64_t)HALF_LOOP_NS);
    assert_true(board->sci);
    out(board, ENABLE, 2, 0);
    assert_false(board->sci);
    assert_int_equal(clock_next_deadline_ns(&board->clock.clock), CLOCK_NEVER);
}

static void test_soft_off(void **state)
{
    struct board *board = *state;

    out(board, CONTROL, 2, LAYOUT_PM_SLP_TYP_S5 << 10);
    out(board, CONTROL, 2, 0x2000 | (LAYOUT_PM_SLP_TYP_S5 ^ 1) << 10);
    assert_int_equal(board->power_offs, 0);
    out(board, CONTROL, 2, SLEEP_S5);
    assert_int_equal(board->power_offs, 1);
    assert_int_equal(in(board, CONTROL, 2), LAYOUT_PM_SLP_TYP_S5 << 10); /* SLP_EN reads 0 */
    out(board, CONTROL, 1, 2);
    assert_int_equal(board->power_offs, 1);
    out(board, CONTROL + 1, 1, SLEEP_S5 >> 8);
    assert_int_equal(board->power_offs, 2);
}

static void test_gpe_block(void **state)
{
    struct board *board = *state;

    out(board, LAYOUT_PM_GPE_BASE, 4, 0x1234ffff);
    assert_int_equal(in(board, LAYOUT_PM_GPE_BASE, 4), 0x12340000);
}

static void test_hostile(void **state)
{
    struct board *board = *state;
    uint64_t seed = 3;

    for (unsigned i = 0; i < 200000; i++) {
        uint64_t port;
        unsigned width;

        seed = seed * 6364136223846793005u + 1442695040888963407u;
        port = LAYOUT_PM_BASE - 4 + (seed >> 33) % 0x30;
        width = 1u << (seed >> 40) % 3;
        if (seed >> 63)
            out(board, port, width, (uint32_t)(seed >> 20));
        else
            in(board, port, width);
        if ((seed >> 45) % 16 == 0)
            out(board, LAYOUT_SMI_PORT, 1, (uint8_t)(0xf0 | (seed >> 50 & 1)));
        if ((seed >> 50) % 64 == 0)
            clock_stepped_advance(&board->clock, seed >> 30);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_acpi_mode),      TEST(test_power_button), TEST(test_timer_counts),
        TEST(test_timer_overflow), TEST(test_soft_off),     TEST(test_gpe_block),
        TEST(test_hostile),
    };

    return cmocka_run_group_tests_name("acpi_pm", tests, NULL, NULL);
}

/* The I/O APIC by script, with a local APIC at the other end of the bus. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "dev/ioapic.h"
#include "dev/lapic.h"

#define MASKED             0x10000u
#define LEVEL              0x8000u
#define REMOTE             0x4000u
#define NMI                0x400u
#define EXTINT             0x700u
#define LAPIC_EOI_OFFSET   0xb0
#define LAPIC_SVR_OFFSET   0xf0
#define LAPIC_IRR_2_OFFSET 0x220 /* vectors 40h to 5Fh */

struct board {
    struct clock_stepped clock;
    struct apic_bus *bus;
    struct lapic *lapic;
    struct ioapic *ioapic;
    unsigned nmis;
};

static void on_nmi(void *opaque)
{
    ((struct board *)opaque)->nmis++;
}

static int set_up(void **state)
{
    static struct board the_board;
    struct board *board = &the_board;
    struct lapic_config config = {.clock = &board->clock.clock};

    memset(board, 0, sizeof(*board));
    clock_stepped_init(&board->clock);
    board->bus = apic_bus_create();
    assert_non_null(board->bus);
    config.bus = board->bus;
    config.callbacks.nmi = on_nmi;
    config.callbacks.opaque = board;
    board->lapic = lapic_create(&config);
    board->ioapic = ioapic_create(1, board->bus);
    assert_non_null(board->lapic);
    assert_non_null(board->ioapic);
    lapic_mmio_ops.write(board->lapic, LAPIC_SVR_OFFSET, 4, 0x1ff);
    *state = board;
    return 0;
}

static int tear_down(void **state)
{
    struct board *board = *state;

    ioapic_destroy(board->ioapic);
    lapic_destroy(board->lapic);
    apic_bus_destroy(board->bus);
    return 0;
}

static uint32_t rd(struct board *board, uint8_t reg)
{
    ioapic_mmio_ops.write(board->ioapic, 0, 4, reg);
    assert_int_equal(ioapic_mmio_ops.read(board->ioapic, 0, 4), reg);
    return (uint32_t)ioapic_mmio_ops.read(board->ioapic, 0x10, 4);
}

static void wr(struct board *board, uint8_t reg, uint32_t value)
{
    ioapic_mmio_ops.write(board->ioapic, 0, 4, reg);
    ioapic_mmio_ops.write(board->ioapic, 0x10, 4, value);
}

static void set_entry(struct board *board, unsigned pin, uint32_t low)
{
    wr(board, (uint8_t)(0x10 + 2 * pin), low);
}

static uint32_t entry(struct board *board, unsigned pin)
{
    return rd(board, (uint8_t)(0x10 + 2 * pin));
}

static void eoi(struct board *board)
{
    lapic_mmio_ops.write(board->lapic, LAPIC_EOI_OFFSET, 4, 0);
}

static void test_registers(void **state)
{
    struct board *board = *state;

    assert_int_equal(rd(board, 0), 1u << 24);
    assert_int_equal(rd(board, 1), 0x170020);
    wr(board, 0, 0xffffffff);
    assert_int_equal(rd(board, 0), 0x0f000000);
    assert_int_equal(rd(board, 3), 0xffffffff);
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        assert_int_equal(entry(board, pin), MASKED);
    assert_int_equal(rd(board, 0x40), 0xffffffff);
    wr(board, 0x40, 0);
    /* Status and remote IRR are read-only, the reserved middle reads 0. */
    wr(board, 0x3e, 0xffffffff);
    wr(board, 0x3f, 0xffffffff);
    assert_int_equal(rd(board, 0x3e), 0x1afff);
    assert_int_equal(rd(board, 0x3f), 0xff000000);
}

static void test_edge(void **state)
{
    struct board *board = *state;

    ioapic_set_irq(board->ioapic, 4, true);
    ioapic_set_irq(board->ioapic, 4, false);
    set_entry(board, 4, 0x34);
    assert_int_equal(lapic_acknowledge(board->lapic), -1); /* a masked edge is lost */
    ioapic_set_irq(board->ioapic, 4, true);
    assert_int_equal(lapic_acknowledge(board->lapic), 0x34);
    ioapic_set_irq(board->ioapic, 4, true);
    eoi(board);
    assert_int_equal(lapic_acknowledge(board->lapic), -1);
    ioapic_set_irq(board->ioapic, 4, false);
    ioapic_set_irq(board->ioapic, 4, true);
    assert_int_equal(lapic_acknowledge(board->lapic), 0x34);
}

static void test_level(void **state)
{
    struct board *board = *state;

    ioapic_set_irq(board->ioapic, 11, true);
    set_entry(board, 11, LEVEL | 0x5b); /* a level waits for the unmasking */
    assert_int_equal(entry(board, 11), LEVEL | REMOTE | 0x5b);
    assert_int_equal(lapic_acknowledge(board->lapic), 0x5b);
    ioapic_set_irq(board->ioapic, 11, false);
    ioapic_set_irq(board->ioapic, 11, true);
    assert_int_equal(lapic_mmio_ops.read(board->lapic, LAPIC_IRR_2_OFFSET, 4), 0);
    eoi(board); /* the line still stands: again */
    assert_int_equal(lapic_acknowledge(board->lapic), 0x5b);
    ioapic_set_irq(board->ioapic, 11, false);
    eoi(board);
    assert_int_equal(lapic_acknowledge(board->lapic), -1);
    assert_int_equal(entry(board, 11), LEVEL | 0x5b);
}

static void test_directed_eoi(void **state)
{
    struct board *board = *state;

    set_entry(board, 11, LEVEL | 0x5b);
    ioapic_set_irq(board->ioapic, 11, true);
    ioapic_set_irq(board->ioapic, 11, false);
    ioapic_mmio_ops.write(board->ioapic, 0x40, 4, 0x5c);
    assert_int_equal(entry(board, 11), LEVEL | REMOTE | 0x5b);
    ioapic_mmio_ops.write(board->ioapic, 0x40, 4, 0x5b);
    assert_int_equal(entry(board, 11), LEVEL | 0x5b);
    /* The old way: an edge for a moment. */
    ioapic_set_irq(board->ioapic, 11, true);
    set_entry(board, 11, MASKED | 0x5b);
    assert_int_equal(entry(board, 11), MASKED | 0x5b);
}

static void test_delivery_modes(void **state)
{
    struct board *board = *state;

    set_entry(board, 2, NMI);
    ioapic_set_irq(board->ioapic, 2, true);
    assert_int_equal(board->nmis, 1);
    set_entry(board, 3, EXTINT | 0x33);
    ioapic_set_irq(board->ioapic, 3, true);
    assert_false(lapic_pending(board->lapic));
    wr(board, 0x19, 7u << 24); /* pin 4 to an APIC that is not there */
    set_entry(board, 4, 0x34);
    ioapic_set_irq(board->ioapic, 4, true);
    assert_false(lapic_pending(board->lapic));
    ioapic_set_irq(board->ioapic, 24, true);
}

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static void test_hostile(void **state)
{
    struct board *board = *state;
    uint64_t seed = 7;

    for (unsigned i = 0; i < 200000; i++) {
        uint32_t value = next_random(&seed);
        uint64_t offset = next_random(&seed) % (value & 1 ? 0x50 : IOAPIC_PAGE_SIZE);

        switch (next_random(&seed) % 6) {
        case 0: ioapic_mmio_ops.write(board->ioapic, offset, 1u << value % 3, value); break;
        case 1: ioapic_mmio_ops.read(board->ioapic, offset, 1u << value % 3); break;
        case 2: wr(board, (uint8_t)offset, value); break;
        case 3: ioapic_set_irq(board->ioapic, value % 32, value & 64); break;
        case 4: lapic_acknowledge(board->lapic); break;
        default: eoi(board); break;
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_registers),    TEST(test_edge),           TEST(test_level),
        TEST(test_directed_eoi), TEST(test_delivery_modes), TEST(test_hostile),
    };

    return cmocka_run_group_tests_name("ioapic", tests, NULL, NULL);
}

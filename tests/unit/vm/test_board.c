/* The whole motherboard without a processor: who answers where, and what a reset brings back. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dev/bus.h"
#include "dev/lapic.h"
#include "../dev/twin.h"
#include "vm/board.h"

#define TSC_HZ         1000000000u
#define IOAPIC_SELECT  (LAYOUT_IOAPIC_BASE + 0x00)
#define IOAPIC_WINDOW  (LAYOUT_IOAPIC_BASE + 0x10)
#define IOAPIC_VERSION 0x01
#define LAPIC_VERSION  (LAYOUT_LAPIC_BASE + 0x30)
#define LAPIC_ON       (LAPIC_BASE_ENABLE | BIT(8)) /* of the boot processor */
#define NOBODY         UINT32_MAX

struct rig {
    struct clock_stepped clock;
    struct layout layout;
    struct mem *mem;
    struct board *board;
    struct block *disk;
    struct block_queue *disk_queue; /* without a thread */
    bool intr;
    unsigned resets;
    uint8_t disk_data[64 * 512];
};

static void on_event(void *opaque)
{
}

static void on_panic(void *opaque, bool goes_on)
{
}

static void on_reset(void *opaque)
{
    ((struct rig *)opaque)->resets++;
}

static void on_status(void *opaque, unsigned status)
{
}

static void on_intr(void *opaque, bool level)
{
    ((struct rig *)opaque)->intr = level;
}

static void on_byte(void *opaque, uint8_t byte)
{
}

static uint64_t tsc_now(void *opaque)
{
    return 0;
}

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    struct board_config config = {
        .tsc_hz = TSC_HZ,
        .physical_bits = 40,
        .events =
            {
                .opaque = rig,
                .power_off = on_event,
                .reset = on_reset,
                .panic = on_panic,
                .debug_exit = on_status,
                .intr = on_intr,
                .nmi = on_event,
                .init = on_event,
                .sipi = on_byte,
                .tsc_now = tsc_now,
                .address_space_changed = on_event,
                .serial_output = on_byte,
                .serial_room = on_event,
                .debug_output = on_byte,
            },
    };

    assert_non_null(rig);
    clock_stepped_init(&rig->clock);
    assert_int_equal(layout_init(&rig->layout, 16 * MIB), 0);
    rig->mem = mem_create(NULL);
    assert_non_null(rig->mem);
    assert_int_equal(layout_add_slots(&rig->layout, rig->mem), 0);
    assert_int_equal(block_open_memory(&rig->disk, rig->disk_data, sizeof(rig->disk_data)), 0);
    assert_int_equal(block_queue_create(&rig->disk_queue, rig->disk, NULL), 0);
    config.disk = rig->disk_queue;
    config.layout = &rig->layout;
    config.mem = rig->mem;
    config.clock = &rig->clock.clock;
    assert_int_equal(board_create(&rig->board, &config), 0);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    assert_true(block_queue_stop(rig->disk_queue, 0));
    board_destroy(rig->board);
    block_close(rig->disk);
    mem_destroy(rig->mem);
    free(rig);
    return 0;
}

static uint32_t in32(struct rig *rig, gpa_t gpa)
{
    return (uint32_t)bus_read(rig->board->bus, BUS_MMIO, gpa, 4);
}

static void out8(struct rig *rig, uint16_t port, uint8_t value)
{
    bus_write(rig->board->bus, BUS_PORT, port, 1, value);
}

static uint8_t in8(struct rig *rig, uint16_t port)
{
    return (uint8_t)bus_read(rig->board->bus, BUS_PORT, port, 1);
}

static void assert_ioapic_answers(struct rig *rig)
{
    bus_write(rig->board->bus, BUS_MMIO, IOAPIC_SELECT, 4, IOAPIC_VERSION);
    assert_int_equal(in32(rig, IOAPIC_WINDOW) & 0xff, 0x20);
}

/* A guest may move its local APIC anywhere; no other device goes away for that. */
static void test_moving_the_local_apic(void **state)
{
    struct rig *rig = *state;
    struct lapic *lapic = rig->board->lapic;

    assert_int_not_equal(in32(rig, LAPIC_VERSION), NOBODY);
    assert_ioapic_answers(rig);
    assert_true(lapic_base_write(lapic, LAYOUT_IOAPIC_BASE | LAPIC_ON));
    assert_int_equal(in32(rig, LAPIC_VERSION), NOBODY);
    assert_ioapic_answers(rig);
    assert_true(lapic_base_write(lapic, LAYOUT_LAPIC_BASE | LAPIC_ON));
    assert_int_not_equal(in32(rig, LAPIC_VERSION), NOBODY);
    assert_ioapic_answers(rig);
    /* The same with the APIC off. */
    assert_true(lapic_base_write(lapic, LAYOUT_IOAPIC_BASE | BIT(8)));
    board_reset(rig->board);
    assert_int_not_equal(in32(rig, LAPIC_VERSION), NOBODY);
    assert_ioapic_answers(rig);
}

/* Timers that ran before a reset are silent after it, and A20 is open again. */
static void test_reset_of_what_ran(void **state)
{
    struct rig *rig = *state;

    out8(rig, 0x92, 0x00);
    assert_int_equal(rig->board->a20_mask, ~BIT(20));
    /* PIC: vectors 8 and 70h on, all open. */
    out8(rig, 0x20, 0x11);
    out8(rig, 0x21, 0x08);
    out8(rig, 0x21, 0x04);
    out8(rig, 0x21, 0x01);
    out8(rig, 0x21, 0x00);
    /* PIT: square wave at 18 Hz. RTC: periodic at 1024 Hz. */
    out8(rig, 0x43, 0x36);
    out8(rig, 0x40, 0x00);
    out8(rig, 0x40, 0x00);
    out8(rig, 0x70, 0x0b);
    out8(rig, 0x71, in8(rig, 0x71) | 0x40);
    clock_stepped_advance(&rig->clock, NS_PER_SEC);
    assert_true(rig->intr);

    board_reset(rig->board);
    assert_false(rig->intr);
    assert_int_equal(rig->board->a20_mask, UINT64_MAX);
    clock_stepped_advance(&rig->clock, NS_PER_SEC);
    assert_false(rig->intr);
    out8(rig, 0x70, 0x0b);
    assert_int_equal(in8(rig, 0x71) & 0x70, 0);
}

/* Each way in which PC software asks for a reset. */
static void test_ways_to_reset(void **state)
{
    struct rig *rig = *state;

    out8(rig, 0x64, 0xfe);
    assert_int_equal(rig->resets, 1);
    out8(rig, 0x92, 0x01);
    assert_int_equal(rig->resets, 2);
    out8(rig, 0xcf9, 0x02);
    assert_int_equal(rig->resets, 2);
    out8(rig, 0xcf9, 0x06);
    assert_int_equal(rig->resets, 3);
    for (unsigned i = 0; i < 2; i++) {
        board_reset(rig->board);
        assert_int_equal(rig->resets, 3 + i);
        out8(rig, 0x92, 0x01);
        assert_int_equal(rig->resets, 4 + i);
    }
}

#define MEMORY_BYTES (16 * MIB)

static void work(struct rig *rig)
{
    while (block_queue_ready(rig->disk_queue))
        block_queue_deliver(rig->disk_queue);
}

/* One access by chance, mostly where a device is, and a little time; what it read. */
static uint64_t access_by_chance(struct rig *rig, uint64_t random)
{
    static const uint64_t mmio[] = {LAYOUT_VGA_BASE + 0x18000, LAYOUT_IOAPIC_BASE, LAYOUT_HPET_BASE,
                                    LAYOUT_LAPIC_BASE};
    static const uint16_t ports[] = {0x20,  0x40,  0x60,  0x70,  0x80,  0x92,  0xa0,
                                     0x1f0, 0x1f0, 0x3c0, 0x3d0, 0x3f0, 0x3f8, 0x4d0,
                                     0x510, 0x600, 0xcf8, 0xcf8, 0x5550};
    struct bus *bus = rig->board->bus;
    unsigned width = 1u << (random & 3) % 3;
    enum bus_space space = random & BIT(2) ? BUS_PORT : BUS_MMIO;
    uint64_t address, value = random >> 40 & (BIT(8 * width) - 1);

    clock_stepped_advance(&rig->clock, random >> 16 & 0x3ffff);
    if (random & BIT(3))
        work(rig);
    if (space == BUS_PORT)
        address = ports[(random >> 5) % ARRAY_SIZE(ports)] + (random >> 12 & 7);
    else
        address = mmio[(random >> 5) % ARRAY_SIZE(mmio)] + (random >> 10 & 0x3f0);
    if (random & BIT(4))
        return bus_read(bus, space, address, width);
    bus_write(bus, space, address, width, value);
    return rig->intr;
}

static void copy_memory(struct rig *from, struct rig *to)
{
    void *bytes = malloc(MEMORY_BYTES);

    assert_non_null(bytes);
    assert_true(mem_read(from->mem, 0, bytes, 640 * KIB));
    assert_true(mem_write(to->mem, 0, bytes, 640 * KIB));
    assert_true(mem_read(from->mem, 1 * MIB, bytes, MEMORY_BYTES - 1 * MIB));
    assert_true(mem_write(to->mem, 1 * MIB, bytes, MEMORY_BYTES - 1 * MIB));
    free(bytes);
    memcpy(to->disk_data, from->disk_data, sizeof(to->disk_data));
}

static void load_board(struct rig *from, struct rig *to)
{
    struct stream_writer saved = {0};
    struct stream_reader reader;

    work(to);
    board_save(from->board, &saved);
    reader = (struct stream_reader){.at = saved.bytes, .left = saved.count};
    assert_int_equal(board_load(to->board, &reader), 0);
    assert_int_equal(reader.left, 0);
    stream_writer_fini(&saved);
}

static void assert_same_board(struct rig *a, struct rig *b)
{
    assert_int_equal(a->board->device_count, b->board->device_count);
    for (size_t i = 0; i < a->board->device_count; i++)
        twin_same(a->board->devices[i], b->board->devices[i]);
    assert_true(a->board->a20_mask == b->board->a20_mask);
    assert_int_equal(a->intr, b->intr);
}

/* A board into which another's state was loaded goes on as that one does. */
static void test_saved_and_loaded(void **state)
{
    struct rig *a = *state, *b;
    struct hostile h = {.seed = 31337};

    setup((void **)&b);
    for (unsigned round = 0; round < 12; round++) {
        for (unsigned i = 0; i < 3000; i++)
            access_by_chance(a, hostile_next(&h));
        for (unsigned i = 0; i < 300; i++)
            access_by_chance(b, hostile_next(&h));
        clock_stepped_advance(a->clock.now_ns < b->clock.now_ns ? &a->clock : &b->clock,
                              a->clock.now_ns < b->clock.now_ns
                                  ? b->clock.now_ns - a->clock.now_ns
                                  : a->clock.now_ns - b->clock.now_ns);
        copy_memory(a, b);
        load_board(a, b);
        assert_same_board(a, b);
        for (unsigned i = 0; i < 3000; i++) {
            uint64_t random = hostile_next(&h);

            assert_true(access_by_chance(a, random) == access_by_chance(b, random));
        }
        work(a);
        work(b);
        assert_int_equal(a->intr, b->intr);
    }
    teardown((void **)&b);
}

/* What is no state of this board resets it. */
static void test_refused_state(void **state)
{
    struct rig *a = *state, *b;
    struct stream_writer saved = {0};
    struct stream_reader reader;

    setup((void **)&b);
    clock_stepped_advance(&a->clock, 1000);
    board_save(a->board, &saved);
    reader = (struct stream_reader){.at = saved.bytes, .left = saved.count};
    assert_int_equal(board_load(b->board, &reader), -ERANGE);
    clock_stepped_advance(&b->clock, 1000);
    for (size_t cut = 0; cut < saved.count; cut += 1 + saved.count / 300) {
        reader = (struct stream_reader){.at = saved.bytes, .left = cut};
        out8(b, 0x80, 0x55);
        assert_int_equal(board_load(b->board, &reader), -EINVAL);
        assert_int_equal(in8(b, 0x80), 0);
    }
    saved.bytes[4]++;
    reader = (struct stream_reader){.at = saved.bytes, .left = saved.count};
    assert_int_equal(board_load(b->board, &reader), -ENOTSUP);
    stream_writer_fini(&saved);
    teardown((void **)&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_moving_the_local_apic, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reset_of_what_ran, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ways_to_reset, setup, teardown),
        cmocka_unit_test_setup_teardown(test_saved_and_loaded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_state, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

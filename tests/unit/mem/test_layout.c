/* The layout for memories of every kind: E820, slots and CMOS must tell one story. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mem/layout.h"
#include "mem/mem.h"

static const uint64_t sizes[] = {
    1 * MIB,        1 * MIB + PAGE_SIZE, 2 * MIB, 16 * MIB,          64 * MIB, 512 * MIB,
    3 * GIB,        3 * GIB + PAGE_SIZE, 4 * GIB, 3 * GIB + GIB / 2, 8 * GIB,  64 * GIB,
    3 * GIB - 4096, 1024 * GIB,
};

static void test_bounds(void **state)
{
    struct layout layout;

    assert_int_equal(layout_init(&layout, LAYOUT_MIN_MEMORY - PAGE_SIZE), -EINVAL);
    assert_int_equal(layout_init(&layout, LAYOUT_MAX_MEMORY + PAGE_SIZE), -EINVAL);
    assert_int_equal(layout_init(&layout, 64 * MIB + 1), -EINVAL);
}

static void check_e820(const struct layout *layout)
{
    gpa_t end = 0;

    for (size_t i = 0; i < layout->e820_count; i++) {
        const struct layout_range *range = &layout->e820[i];

        assert_true(range->size_bytes > 0);
        assert_true(range->base >= end); /* rising and disjoint */
        end = range->base + range->size_bytes;
    }
}

/* Every byte that E820 calls RAM or ACPI is in a RAM slot, and what it leaves out is small. */
static void check_slots(const struct layout *layout)
{
    struct mem *mem = mem_create(NULL);
    uint64_t usable = 0;

    assert_non_null(mem);
    assert_int_equal(layout_add_slots(layout, mem), 0);
    for (size_t i = 0; i < layout->e820_count; i++) {
        const struct layout_range *range = &layout->e820[i];

        if (range->kind == LAYOUT_RESERVED)
            continue;
        assert_non_null(mem_host(mem, range->base, range->size_bytes, true));
        usable += range->size_bytes;
    }
    assert_true(usable <= layout->memory_bytes);
    assert_true(layout->memory_bytes - usable <= 384 * KIB + 64 * KIB);
    assert_null(mem_find_slot(mem, LAYOUT_IOAPIC_BASE));
    assert_null(mem_find_slot(mem, LAYOUT_LAPIC_BASE));
    assert_null(mem_find_slot(mem, LAYOUT_VGA_BASE));
    mem_destroy(mem);
}

static void check_cmos(const struct layout *layout)
{
    uint8_t cmos[128] = {0};
    uint64_t above_16m, high;

    layout_fill_cmos(layout, cmos);
    assert_int_equal(cmos[0x15] | cmos[0x16] << 8, 640);
    above_16m = (uint64_t)(cmos[0x34] | cmos[0x35] << 8) * 64 * KIB;
    if (layout->low_end > 16 * MIB)
        assert_int_equal(above_16m, ALIGN_DOWN(layout->low_end - 16 * MIB, 64 * KIB));
    high = (uint64_t)(cmos[0x5b] | cmos[0x5c] << 8 | cmos[0x5d] << 16) * 64 * KIB;
    assert_int_equal(high, ALIGN_DOWN(layout->high_end - LAYOUT_4G, 64 * KIB));
}

static void test_consistent(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct layout layout;

        assert_int_equal(layout_init(&layout, sizes[i]), 0);
        assert_true(layout.low_end <= LAYOUT_HOLE_BASE);
        assert_int_equal(layout.low_end + (layout.high_end - LAYOUT_4G), sizes[i]);
        check_e820(&layout);
        check_slots(&layout);
        check_cmos(&layout);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_consistent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

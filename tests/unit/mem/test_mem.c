/* Slots: what is covered, what is refused, accesses across slots, watching. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "mem/mem.h"

static int make(void **state)
{
    *state = mem_create(NULL);
    return *state ? 0 : -1;
}

static int unmake(void **state)
{
    mem_destroy(*state);
    return 0;
}

static void test_add_refuses(void **state)
{
    struct mem *mem = *state;

    assert_int_equal(mem_add_slot(mem, "a", 0x1000, 0, MEM_SLOT_RAM), -EINVAL);
    assert_int_equal(mem_add_slot(mem, "a", 0x1001, 0x1000, MEM_SLOT_RAM), -EINVAL);
    assert_int_equal(mem_add_slot(mem, "a", 0x1000, 0x1001, MEM_SLOT_RAM), -EINVAL);
    assert_int_equal(mem_add_slot(mem, "a", UINT64_MAX & PAGE_MASK, 0x2000, MEM_SLOT_RAM), -EINVAL);
    assert_int_equal(mem_add_slot(mem, "a", 0x2000, 0x2000, MEM_SLOT_RAM), 0);
    assert_int_equal(mem_add_slot(mem, "b", 0x3000, 0x1000, MEM_SLOT_RAM), -EEXIST);
    assert_int_equal(mem_add_slot(mem, "b", 0x1000, 0x2000, MEM_SLOT_RAM), -EEXIST);
    assert_int_equal(mem_add_slot(mem, "b", 0x0000, 0x9000, MEM_SLOT_RAM), -EEXIST);
    assert_int_equal(mem_add_slot(mem, "b", 0x4000, 0x1000, MEM_SLOT_RAM), 0);
    assert_int_equal(mem_remove_slot(mem, 0x3000), -ENOENT);
    assert_int_equal(mem_remove_slot(mem, 0x2000), 0);
    assert_null(mem_find_slot(mem, 0x2000));
}

static void test_host_is_bounded(void **state)
{
    struct mem *mem = *state;

    assert_int_equal(mem_add_slot(mem, "ram", 0x1000, 0x2000, MEM_SLOT_RAM), 0);
    assert_int_equal(mem_add_slot(mem, "rom", 0x3000, 0x1000, MEM_SLOT_ROM), 0);
    assert_non_null(mem_host(mem, 0x1000, 0x2000, true));
    assert_null(mem_host(mem, 0x1000, 0x2001, false)); /* two slots */
    assert_null(mem_host(mem, 0xfff, 1, false));
    assert_null(mem_host(mem, 0x1800, UINT64_MAX, false));
    assert_null(mem_host(mem, 0x1000, 0, false));
    assert_non_null(mem_host(mem, 0x3fff, 1, false));
    assert_null(mem_host(mem, 0x3fff, 1, true)); /* ROM */
    assert_null(mem_host(mem, 0x4000, 1, false));
}

static void test_read_write_across(void **state)
{
    struct mem *mem = *state;
    uint8_t buffer[0x2010];

    assert_int_equal(mem_add_slot(mem, "a", 0x1000, 0x1000, MEM_SLOT_RAM), 0);
    assert_int_equal(mem_add_slot(mem, "b", 0x2000, 0x1000, MEM_SLOT_RAM), 0);
    assert_true(mem_write(mem, 0x1ffe, "abcd", 4));
    assert_memory_equal(mem_host(mem, 0x2000, 2, false), "cd", 2);
    assert_int_equal(mem_read32(mem, 0x1ffe), 0x64636261);
    /* What nobody backs reads as ones and swallows writes. */
    assert_false(mem_read(mem, 0x2ff0, buffer, 0x20));
    assert_int_equal(buffer[0x0f], 0);
    assert_int_equal(buffer[0x10], 0xff);
    memset(buffer, 0x55, sizeof(buffer));
    assert_false(mem_write(mem, 0xff8, buffer, sizeof(buffer)));
    assert_int_equal(mem_read16(mem, 0x1000), 0x5555);
    assert_int_equal(mem_read16(mem, 0x2ffe), 0x5555);
    assert_true(mem_read64(mem, UINT64_MAX - 3) == UINT64_MAX);
}

static void test_rom(void **state)
{
    struct mem *mem = *state;

    assert_int_equal(mem_add_slot(mem, "rom", 0, 0x1000, MEM_SLOT_ROM), 0);
    assert_true(mem_rom_load(mem, 0, "firm", 4));
    assert_false(mem_write(mem, 0, "soft", 4));
    assert_int_equal(mem_read32(mem, 0), 0x6d726966);
}

struct seen {
    gpa_t gpa[4];
    uint64_t len[4];
    unsigned count;
};

static void watcher(void *opaque, gpa_t gpa, uint64_t len)
{
    struct seen *seen = opaque;

    assert_true(seen->count < 4);
    seen->gpa[seen->count] = gpa;
    seen->len[seen->count++] = len;
}

static void test_watch(void **state)
{
    struct mem *mem = *state;
    struct seen seen = {0};
    uint8_t data[0x1000] = {0};

    assert_int_equal(mem_add_slot(mem, "ram", 0, 0x10000, MEM_SLOT_RAM), 0);
    mem_set_watcher(mem, MEM_WATCH_CODE, watcher, &seen);
    mem_watch_page(mem, MEM_WATCH_CODE, 0x3000, true);
    assert_true(mem_page_watched(mem, MEM_WATCH_CODE, 0x3fff));
    assert_false(mem_page_watched(mem, MEM_WATCH_CODE, 0x4000));
    assert_true(mem_write(mem, 0x1000, data, sizeof(data)));
    assert_int_equal(seen.count, 0);
    assert_true(mem_write(mem, 0x2ff0, data, sizeof(data)));
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.gpa[0], 0x3000);
    assert_int_equal(seen.len[0], 0xff0);
    mem_watch_page(mem, MEM_WATCH_CODE, 0x3000, false);
    assert_true(mem_write(mem, 0x3000, data, 8));
    assert_int_equal(seen.count, 1);
}

static void test_dirty(void **state)
{
    struct mem *mem = *state;
    uint64_t bits[2];

    assert_int_equal(mem_add_slot(mem, "ram", 0x10000, 100 * PAGE_SIZE, MEM_SLOT_RAM), 0);
    assert_int_equal(mem_dirty_fetch(mem, 0x10000, bits, 2), -ENOENT);
    assert_int_equal(mem_dirty_log(mem, 0x11000, true), -ENOENT);
    assert_true(mem_write(mem, 0x10000, "x", 1)); /* before the log: not remembered */
    assert_int_equal(mem_dirty_log(mem, 0x10000, true), 0);
    assert_int_equal(mem_dirty_fetch(mem, 0x10000, bits, 1), -EINVAL);
    assert_true(mem_write(mem, 0x10000 + 64 * PAGE_SIZE - 1, "ab", 2));
    assert_true(mem_rom_load(mem, 0x10000 + 99 * PAGE_SIZE, "x", 1));
    assert_int_equal(mem_dirty_fetch(mem, 0x10000, bits, 2), 0);
    assert_true(bits[0] == BIT(63));
    assert_true(bits[1] == (BIT(0) | BIT(35)));
    assert_int_equal(mem_dirty_fetch(mem, 0x10000, bits, 2), 0);
    assert_true((bits[0] | bits[1]) == 0);
    assert_int_equal(mem_dirty_log(mem, 0x10000, false), 0);
    assert_int_equal(mem_dirty_fetch(mem, 0x10000, bits, 2), -ENOENT);
}

/* 64 GiB on a small host: nothing is touched until somebody does. */
static void test_large(void **state)
{
    struct mem *mem = *state;

    assert_int_equal(mem_add_slot(mem, "high", 4 * GIB, 64 * GIB, MEM_SLOT_RAM), 0);
    assert_true(mem_write(mem, 68 * GIB - 4, "last", 4));
    assert_int_equal(mem_read32(mem, 68 * GIB - 4), 0x7473616c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_add_refuses, make, unmake),
        cmocka_unit_test_setup_teardown(test_host_is_bounded, make, unmake),
        cmocka_unit_test_setup_teardown(test_read_write_across, make, unmake),
        cmocka_unit_test_setup_teardown(test_rom, make, unmake),
        cmocka_unit_test_setup_teardown(test_watch, make, unmake),
        cmocka_unit_test_setup_teardown(test_dirty, make, unmake),
        cmocka_unit_test_setup_teardown(test_large, make, unmake),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

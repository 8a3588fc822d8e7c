/* The fw_cfg file "etc/e820" against the layout. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "fw/bytes.h"
#include "fw/e820.h"

static void test_bytes(void **state)
{
    static const uint64_t sizes[] = {LAYOUT_MIN_MEMORY, 512 * MIB, 8 * GIB};

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct e820_entry entries[LAYOUT_MAX_RANGES];
        const uint8_t *bytes = (const uint8_t *)entries;
        struct layout layout;
        uint64_t ram = 0, end = 0;
        size_t used;

        assert_int_equal(layout_init(&layout, sizes[i]), 0);
        memset(entries, 0xa5, sizeof(entries));
        used = e820_build(&layout, entries);
        assert_int_equal(used, 20 * layout.e820_count);
        for (size_t at = 0; at < used; at += 20) {
            uint64_t base = bytes_get64(bytes + at), size = bytes_get64(bytes + at + 8);

            assert_true(base >= end);
            end = base + size;
            if (bytes_get32(bytes + at + 16) == LAYOUT_RAM)
                ram += size;
        }
        assert_in_range(ram, sizes[i] - MIB, sizes[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bytes)};

    return cmocka_run_group_tests_name("e820", tests, NULL, NULL);
}

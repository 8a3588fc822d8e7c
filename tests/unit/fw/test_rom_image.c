/*
 * The embedded images: what the processor, old software and the monitor expect at fixed places.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "fw/boot.h"
#include "fw/rom_image.h"

static void test_bios_fixed_places(void **state)
{
    static const uint8_t jump[5] = {0xea, 0x5b, 0xe0, 0x00, 0xf0}; /* ljmp F000:E05B */
    size_t len;
    const uint8_t *rom = rom_image_data(&len);

    assert_int_equal(len, BOOT_ROM_SIZE);
    assert_memory_equal(rom + 0xfff0, jump, sizeof(jump));
    assert_int_equal(rom[0xfff7], '/'); /* MM/DD/YY */
    assert_int_equal(rom[0xfffa], '/');
    assert_int_equal(rom[0xfffe], 0xfc);   /* a PC/AT */
    assert_int_equal(rom[0xff53], 0xcf);   /* IRET, where most vectors point */
    assert_int_equal(rom[0xefc7 + 4], 18); /* the diskette table's sectors a track */
}

static void test_bios_rsdp_hole(void **state)
{
    static const uint8_t zero[BOOT_ROM_RSDP_SIZE];
    size_t len;
    const uint8_t *rom = rom_image_data(&len);

    assert_int_equal(BOOT_ROM_RSDP_OFFSET % 16, 0);
    assert_memory_equal(rom + BOOT_ROM_RSDP_OFFSET, zero, sizeof(zero));
    for (size_t i = 0; i + 8 <= len; i += 16)
        assert_int_not_equal(memcmp(rom + i, "RSD PTR ", 8), 0);
}

/* It runs at 7C00h and keeps its page tables at 10000h. */
static void test_demo_fits(void **state)
{
    size_t len;
    const uint8_t *demo = demo_image_data(&len);

    assert_true(len > 512 && len <= 0x10000 - 0x7c00);
    assert_int_equal(demo[0], 0xea); /* a far jump that makes CS 0 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bios_fixed_places),
        cmocka_unit_test(test_bios_rsdp_hole),
        cmocka_unit_test(test_demo_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The boot catalog: the entry that is picked, and catalogs that lie. */
#include "fw_test.h"

#include <errno.h>

#include "fw/eltorito.h"

static int parse(struct fw_test *test, size_t size_bytes, struct eltorito *entry)
{
    fw_test_image(test, size_bytes);
    return eltorito_parse(&test->image, entry, &test->error);
}

static void refused(struct fw_test *test, size_t size_bytes, const char *words)
{
    struct eltorito entry;

    assert_int_equal(parse(test, size_bytes, &entry), -EINVAL);
    fw_test_says(test, words);
}

static void test_default_entry(void **state)
{
    struct fw_test *test = *state;
    size_t size = sample_cd(test->file);
    struct boot_info boot = {0};
    struct eltorito entry;

    assert_int_equal(parse(test, size, &entry), 0);
    eltorito_fill_boot(&entry, &boot);
    assert_int_equal(boot.image_lba, 20);
    assert_int_equal(boot.sector_count, 4);
    assert_int_equal(boot.load_segment, 0x7c0);
    assert_int_equal(boot.media, BOOT_MEDIA_NONE);

    /* A count of 0 is what some makers write for one block. */
    bytes_put16(test->file + SAMPLE_CD_ENTRY + 6, 0);
    bytes_put16(test->file + SAMPLE_CD_ENTRY + 2, 0x1000);
    assert_int_equal(parse(test, size, &entry), 0);
    assert_int_equal(entry.sector_count, 4);
    assert_int_equal(entry.load_segment, 0x1000);

    test->file[SAMPLE_CD_ENTRY + 1] = 0x12; /* the type is in the low four bits */
    assert_int_equal(parse(test, size, &entry), 0);
    assert_int_equal(entry.media, BOOT_MEDIA_FLOPPY_1440K);
    assert_int_equal(entry.sector_count, 1);
}

/* An EFI entry first, the PC's in a section behind it. */
static void test_section(void **state)
{
    struct fw_test *test = *state;
    size_t size = sample_cd(test->file);
    uint8_t *catalog = test->file + SAMPLE_CD_CATALOG;
    struct eltorito entry;

    catalog[1] = 0xef;
    sample_cd_checksum(catalog);
    refused(test, size, "boots no PC with a BIOS");

    catalog[64] = 0x91;
    catalog[65] = 0; /* x86 */
    bytes_put16(catalog + 66, 2);
    catalog[96] = 0x00; /* not bootable */
    memcpy(catalog + 128, catalog + 32, 32);
    bytes_put16(catalog + 128 + 6, 2);
    assert_int_equal(parse(test, size, &entry), 0);
    assert_int_equal(entry.sector_count, 2);

    catalog[65] = 0xef;
    refused(test, size, "boots no PC with a BIOS");

    /* A section that never ends stops at the end of the block. */
    bytes_put16(catalog + 66, 0xffff);
    refused(test, size, "boots no PC with a BIOS");
}

static void test_hostile(void **state)
{
    static const struct {
        unsigned offset, width;
        uint32_t value;
        const char *words;
    } cases[] = {
        {17 * 2048 + 7, 1, 'X', "no El Torito"},
        {16 * 2048 + 1, 1, 'X', "no El Torito"},
        {17 * 2048 + 0x47, 4, 21, "catalog lies at block 21"},
        {17 * 2048 + 0x47, 4, UINT32_MAX, "catalog lies at block"},
        {SAMPLE_CD_CATALOG, 1, 2, "checksum"},
        {SAMPLE_CD_CATALOG + 4, 1, 1, "checksum"},
        {SAMPLE_CD_CATALOG + 30, 2, 0, "checksum"},
        {SAMPLE_CD_ENTRY, 1, 0, "boots no PC"},
        {SAMPLE_CD_ENTRY + 1, 1, 5, "media type 5"},
        {SAMPLE_CD_ENTRY + 8, 4, 21, "boot image ends at byte 45056, the file has 43008"},
        {SAMPLE_CD_ENTRY + 8, 4, UINT32_MAX, "boot image ends at byte"},
        {SAMPLE_CD_ENTRY + 6, 2, UINT16_MAX, "boot image ends at byte"},
        {SAMPLE_CD_ENTRY + 2, 2, UINT16_MAX, "below 640 KiB"},
    };
    struct fw_test *test = *state;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        size_t size = sample_cd(test->file);

        memcpy(test->file + cases[i].offset, &cases[i].value, cases[i].width);
        refused(test, size, cases[i].words);
        memset(test->file, 0, SAMPLE_MAX_BYTES);
    }
}

static void test_cut_off(void **state)
{
    struct fw_test *test = *state;

    sample_cd(test->file);
    refused(test, 0, "no El Torito");
    refused(test, 17 * 2048, "no El Torito");
    refused(test, 18 * 2048 - 1, "no El Torito");
    refused(test, 19 * 2048 + 2047, "behind the end of the file");
    refused(test, 20 * 2048 + 2047, "get a whole copy");
}

/* Boot records without an end are given up after a budget. */
static void test_endless_descriptors(void **state)
{
    struct fw_test *test = *state;

    for (unsigned i = 16; i < SAMPLE_MAX_BYTES / 2048; i++)
        memcpy(test->file + i * 2048,
               "\x02"
               "CD001\x01",
               7);
    refused(test, SAMPLE_MAX_BYTES, "no El Torito");
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fw_test_setup, fw_test_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_default_entry),       TEST(test_section), TEST(test_hostile), TEST(test_cut_off),
        TEST(test_endless_descriptors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The Linux loader: a right bzImage lands where the protocol says, spoiled ones are refused. */
#include "fw_test.h"

#include <errno.h>

#include "fw/linux.h"

static int plan(struct fw_test *test, size_t size_bytes, const char *line,
                struct linux_plan *result)
{
    struct linux_files files = {.kernel = &test->image, .command_line = line};

    fw_test_image(test, size_bytes);
    return linux_plan(&files, &test->layout, result, &test->error);
}

static void refused(struct fw_test *test, size_t size_bytes, const char *words)
{
    struct linux_plan result;

    assert_int_equal(plan(test, size_bytes, "", &result), -EINVAL);
    fw_test_says(test, words);
}

static void test_places(void **state)
{
    struct fw_test *test = *state;
    size_t size = sample_linux(test->file);
    uint8_t initrd_bytes[5000], byte;
    struct boot_info boot = {0};
    struct linux_plan result;
    struct image initrd;
    char line[16];

    memset(initrd_bytes, 0x5a, sizeof(initrd_bytes));
    image_from_bytes(&initrd, "initrd", initrd_bytes, sizeof(initrd_bytes));
    fw_test_image(test, size);
    struct linux_files files = {&test->image, &initrd, "console=ttyS0"};
    assert_int_equal(linux_plan(&files, &test->layout, &result, &test->error), 0);
    assert_int_equal(linux_place(&files, &result, test->mem, &boot), 0);

    assert_int_equal(boot.kind, BOOT_LINUX);
    assert_int_equal(boot.segment, 0x1000);
    assert_int_equal(boot.sp, 0xe000);
    assert_int_equal(mem_read32(test->mem, 0x10000 + 0x202), 0x53726448);
    assert_int_equal(mem_read16(test->mem, 0x10000 + 0x1fa), 0xffff); /* vid_mode */
    assert_int_equal(mem_read16(test->mem, 0x10000 + 0x210), 0x81ff); /* loader, flags */
    assert_int_equal(mem_read16(test->mem, 0x10000 + 0x224), 0xde00); /* heap_end_ptr */
    assert_int_equal(mem_read32(test->mem, 0x10000 + 0x228), 0x1e000);
    assert_int_equal(mem_read32(test->mem, 0x10000 + 0x21c), sizeof(initrd_bytes));
    /* As high as possible: the last page-aligned place below the ACPI tables. */
    assert_int_equal(mem_read32(test->mem, 0x10000 + 0x218), test->layout.acpi_base - 8192);
    assert_int_equal(mem_read32(test->mem, test->layout.acpi_base - 8192), 0x5a5a5a5a);
    assert_int_equal(mem_read32(test->mem, 0x100000), 0x6b6b6b6b);
    mem_read(test->mem, 0x100000 + SAMPLE_LINUX_KERNEL_BYTES - 1, &byte, 1);
    assert_int_equal(byte, 0x6b);
    mem_read(test->mem, 0x1e000, line, sizeof(line));
    assert_string_equal(line, "console=ttyS0");
}

static void test_initrd_limit(void **state)
{
    struct fw_test *test = *state;
    size_t size = sample_linux(test->file);
    struct linux_plan result;
    uint8_t bytes[4096] = {1};
    struct image initrd;

    image_from_bytes(&initrd, "initrd", bytes, sizeof(bytes));
    bytes_put32(test->file + 0x22c, 0x7fffff); /* the last byte at 8 MiB - 1 */
    fw_test_image(test, size);
    struct linux_files files = {&test->image, &initrd, ""};
    assert_int_equal(linux_plan(&files, &test->layout, &result, &test->error), 0);
    assert_int_equal(result.initrd_base, 0x800000 - 4096);

    bytes_put32(test->file + 0x22c, 0x1fffff); /* where the kernel runs */
    fw_test_image(test, size);
    assert_int_equal(linux_plan(&files, &test->layout, &result, &test->error), -ENOMEM);
    assert_non_null(strstr(test->error.text, "--memory"));
}

static void test_bad_files(void **state)
{
    struct fw_test *test = *state;
    size_t size = sample_linux(test->file);

    refused(test, 0x201, "no Linux bzImage");
    refused(test, 0x206, "ends inside the setup header");
    refused(test, 0x263, "ends inside the setup header");
    refused(test, SAMPLE_LINUX_SETUP_BYTES, "ends inside its setup code");
    refused(test, SAMPLE_LINUX_SETUP_BYTES + 1, "cut off");
    refused(test, size - 16, "cut off");
}

static void test_bad_fields(void **state)
{
    static const struct {
        unsigned offset, width;
        uint64_t value;
        const char *words;
    } cases[] = {
        {0x1fe, 2, 0x55aa, "boot flag"},
        {0x206, 2, 0x0201, "2.02 is needed"},
        {0x206, 2, 0x0000, "2.02 is needed"},
        {0x211, 1, 0x00, "zImage"},
        {0x1f1, 1, 64, "setup code takes 64 sectors"},
        {0x1f1, 1, 255, "setup code takes 255 sectors"},
        {0x1f4, 4, UINT32_MAX, "cut off"},
        {0x230, 4, 0, "no power of two"},
        {0x230, 4, 0x3000, "no power of two"},
        {0x258, 8, UINT64_MAX, "above 4 GiB"},
        {0x258, 8, UINT64_MAX - 0xfffff, "above 4 GiB"},
    };
    struct fw_test *test = *state;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        size_t size = sample_linux(test->file);

        memcpy(test->file + cases[i].offset, &cases[i].value, cases[i].width);
        refused(test, size, cases[i].words);
    }
}

static void test_too_little_memory(void **state)
{
    struct fw_test *test = *state;
    size_t size = sample_linux(test->file);
    struct linux_plan result;

    bytes_put32(test->file + 0x260, UINT32_MAX); /* init_size */
    assert_int_equal(plan(test, size, "", &result), -ENOMEM);
    fw_test_says(test, "needs 4097 MiB");

    bytes_put32(test->file + 0x260, 15 * MIB);
    assert_int_equal(plan(test, size, "", &result), -ENOMEM);
    fw_test_says(test, "give more with --memory");
    fw_test_set_memory(test, 17 * MIB);
    assert_int_equal(plan(test, size, "", &result), 0);
}

static void test_command_line_length(void **state)
{
    struct fw_test *test = *state;
    size_t size = sample_linux(test->file);
    struct linux_plan result;
    char line[300];

    memset(line, 'x', sizeof(line));
    line[256] = '\0';
    assert_int_equal(plan(test, size, line, &result), -EINVAL);
    fw_test_says(test, "the command line has 256 bytes, this kernel takes 255");
    line[255] = '\0';
    assert_int_equal(plan(test, size, line, &result), 0);

    /* A kernel's word alone does not let the line run over the loader's place for it. */
    bytes_put32(test->file + 0x238, UINT32_MAX);
    assert_int_equal(plan(test, size, line, &result), 0);
    assert_int_equal(result.command_line_max, 32 * KIB);
}

static void test_old_protocol(void **state)
{
    struct fw_test *test = *state;
    size_t size = sample_linux(test->file);
    struct linux_plan result;

    /* 2.02 knows none of these fields: their bytes are code. */
    bytes_put16(test->file + 0x206, 0x0202);
    bytes_put32(test->file + 0x230, 0xffffffff);
    bytes_put32(test->file + 0x238, 0xffffffff);
    bytes_put32(test->file + 0x260, 0xffffffff);
    assert_int_equal(plan(test, size, "", &result), 0);
    assert_int_equal(result.command_line_max, 255);
    assert_int_equal(result.kernel_end, 0x100000 + SAMPLE_LINUX_KERNEL_BYTES);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fw_test_setup, fw_test_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_places),       TEST(test_initrd_limit),      TEST(test_bad_files),
        TEST(test_bad_fields),   TEST(test_too_little_memory), TEST(test_command_line_length),
        TEST(test_old_protocol),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

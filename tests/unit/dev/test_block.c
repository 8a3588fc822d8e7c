/* The block backend: bounds, partial sectors, locks, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "dev/backend/block.h"

static char path[64];

static int make_image(void **state)
{
    static const char text[] = "0123456789";
    int fd;

    (void)state;
    strcpy(path, "/tmp/umbra-block-XXXXXX");
    fd = mkstemp(path);
    if (fd < 0)
        return -1;
    if (write(fd, text, 10) != 10 || ftruncate(fd, 1000) != 0)
        return -1;
    return close(fd);
}

static int drop_image(void **state)
{
    (void)state;
    return unlink(path);
}

static void reads_and_writes_a_file(void **state)
{
    struct block *block;
    char buffer[512];

    (void)state;
    assert_int_equal(block_open(&block, path, false), 0);
    assert_int_equal(block_size_bytes(block), 1024);
    assert_false(block_read_only(block));
    assert_int_equal(block_read(block, 0, buffer, 10), 0);
    assert_memory_equal(buffer, "0123456789", 10);
    assert_int_equal(block_write(block, 4, "abc", 3), 0);
    assert_int_equal(block_read(block, 2, buffer, 6), 0);
    assert_memory_equal(buffer, "23abc7", 6);
    assert_int_equal(block_flush(block), 0);
    block_close(block);
}

static void last_partial_sector_reads_as_zeroes(void **state)
{
    struct block *block;
    struct stat st;
    uint8_t buffer[512];

    (void)state;
    assert_int_equal(block_open(&block, path, false), 0);
    memset(buffer, 0x55, sizeof(buffer));
    assert_int_equal(block_write(block, 512, buffer, 488), 0);
    memset(buffer, 0xaa, sizeof(buffer));
    assert_int_equal(block_read(block, 512, buffer, 512), 0);
    assert_int_equal(buffer[487], 0x55);
    for (size_t i = 488; i < 512; i++)
        assert_int_equal(buffer[i], 0);
    buffer[511] = 0x77;
    assert_int_equal(block_write(block, 512, buffer, 512), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 1024);
    memset(buffer, 0, sizeof(buffer));
    assert_int_equal(block_read(block, 512, buffer, 512), 0);
    assert_int_equal(buffer[511], 0x77);
    block_close(block);
}

static void refuses_what_lies_outside(void **state)
{
    struct block *block;
    char buffer[16];

    (void)state;
    assert_int_equal(block_open(&block, path, false), 0);
    assert_int_equal(block_read(block, 1024, buffer, 0), 0);
    assert_int_equal(block_read(block, 1024, buffer, 1), -ERANGE);
    assert_int_equal(block_read(block, 1009, buffer, 16), -ERANGE);
    assert_int_equal(block_read(block, UINT64_MAX - 3, buffer, 8), -ERANGE);
    assert_int_equal(block_write(block, 1016, buffer, 16), -ERANGE);
    assert_int_equal(block_write(block, UINT64_MAX, buffer, 2), -ERANGE);
    block_close(block);
}

static void read_only_refuses_writes(void **state)
{
    struct block *block;

    (void)state;
    assert_int_equal(block_open(&block, path, true), 0);
    assert_true(block_read_only(block));
    assert_int_equal(block_write(block, 0, "x", 1), -EROFS);
    assert_int_equal(block_flush(block), 0);
    block_close(block);
}

static void one_writer_or_many_readers(void **state)
{
    struct block *first, *second;

    (void)state;
    assert_int_equal(block_open(&first, path, false), 0);
    assert_int_equal(block_open(&second, path, false), -EBUSY);
    assert_null(second);
    assert_int_equal(block_open(&second, path, true), -EBUSY);
    block_close(first);
    assert_int_equal(block_open(&first, path, true), 0);
    assert_int_equal(block_open(&second, path, true), 0);
    block_close(second);
    assert_int_equal(block_open(&second, path, false), -EBUSY);
    block_close(first);
    assert_int_equal(block_open(&second, path, false), 0);
    block_close(second);
}

static void refuses_what_is_no_image(void **state)
{
    struct block *block;
    char fifo[80];

    (void)state;
    assert_int_equal(block_open(&block, "/tmp", true), -EISDIR);
    assert_int_equal(block_open(&block, "/tmp/umbra-no-such-image", true), -ENOENT);
    assert_int_equal(block_open(&block, "/dev/null", true), -EINVAL);
    snprintf(fifo, sizeof(fifo), "%s.fifo", path);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(block_open(&block, fifo, true), -EINVAL);
    unlink(fifo);
    block_close(NULL);
}

static void a_file_cut_short_reads_as_zeroes(void **state)
{
    struct block *block;
    char buffer[16];

    (void)state;
    assert_int_equal(block_open(&block, path, false), 0);
    assert_int_equal(truncate(path, 4), 0);
    assert_int_equal(block_read(block, 0, buffer, 16), 0);
    assert_memory_equal(buffer, "0123\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    block_close(block);
}

static void memory_disk(void **state)
{
    uint8_t data[700];
    uint8_t buffer[512];
    struct block *block;

    (void)state;
    memset(data, 0x11, sizeof(data));
    assert_int_equal(block_open_memory(&block, data, sizeof(data)), 0);
    assert_int_equal(block_size_bytes(block), 1024);
    assert_int_equal(block_read(block, 512, buffer, 512), 0);
    assert_int_equal(buffer[187], 0x11);
    assert_int_equal(buffer[188], 0);
    memset(buffer, 0x22, sizeof(buffer));
    assert_int_equal(block_write(block, 512, buffer, 512), 0);
    assert_int_equal(data[699], 0x22);
    assert_int_equal(block_write(block, 513, buffer, 512), -ERANGE);
    assert_int_equal(block_flush(block), 0);
    block_close(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define WITH_IMAGE(name) cmocka_unit_test_setup_teardown(name, make_image, drop_image)
        WITH_IMAGE(reads_and_writes_a_file),
        WITH_IMAGE(last_partial_sector_reads_as_zeroes),
        WITH_IMAGE(refuses_what_lies_outside),
        WITH_IMAGE(read_only_refuses_writes),
        WITH_IMAGE(one_writer_or_many_readers),
        WITH_IMAGE(refuses_what_is_no_image),
        WITH_IMAGE(a_file_cut_short_reads_as_zeroes),
        cmocka_unit_test(memory_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

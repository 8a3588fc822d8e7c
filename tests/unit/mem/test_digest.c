/* Guest memory as one number and as a file: what changes them, and that looking touches nothing. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "mem/digest.h"
#include "mem/mem.h"

#define HIGH 0x100000000u

static struct mem *make(void)
{
    struct mem *mem = mem_create(NULL);

    assert_non_null(mem);
    assert_int_equal(mem_add_slot(mem, "low", 0, 4 * MIB, MEM_SLOT_RAM), 0);
    assert_int_equal(mem_add_slot(mem, "high", HIGH, 4 * MIB, MEM_SLOT_RAM), 0);
    return mem;
}

static uint64_t with(gpa_t gpa, const void *bytes, size_t len)
{
    struct mem *mem = make();
    uint64_t digest;

    assert_true(mem_write(mem, gpa, bytes, len));
    digest = mem_digest(mem);
    mem_destroy(mem);
    return digest;
}

static void test_each_bit_counts(void **state)
{
    uint8_t page[PAGE_SIZE];
    uint64_t digest, others[64];

    for (unsigned i = 0; i < PAGE_SIZE; i++)
        page[i] = (uint8_t)(i * 7);
    digest = with(0x5000, page, sizeof(page));
    assert_int_equal(digest, with(0x5000, page, sizeof(page)));
    for (unsigned i = 0; i < 64; i++) {
        unsigned at = i * 509 % PAGE_SIZE;

        page[at] ^= (uint8_t)(1u << (i % 8));
        others[i] = with(0x5000, page, sizeof(page));
        page[at] ^= (uint8_t)(1u << (i % 8));
        assert_int_not_equal(others[i], digest);
        for (unsigned j = 0; j < i; j++)
            assert_int_not_equal(others[i], others[j]);
    }
    /* The highest bits of two words of a lane must not cancel each other. */
    page[7] ^= 0x80;
    page[7 + 64] ^= 0x80;
    assert_int_not_equal(with(0x5000, page, sizeof(page)), digest);
}

static void test_place_counts(void **state)
{
    uint64_t low = with(0x5000, "x", 1);

    assert_int_not_equal(low, with(0x6000, "x", 1));
    assert_int_not_equal(low, with(HIGH + 0x5000, "x", 1));
    assert_int_not_equal(low, with(0x5001, "x", 1));
}

static void test_zeroes_are_nothing(void **state)
{
    struct mem *mem = make();
    uint64_t digest;

    assert_true(mem_write(mem, 0x5000, "x", 1));
    digest = mem_digest(mem);
    assert_int_equal(mem_resident_bytes(mem), PAGE_SIZE); /* looking touched no other page */
    assert_true(mem_write(mem, 0x7000, "\0", 1));
    assert_int_equal(mem_digest(mem), digest);
    assert_true(mem_write(mem, 0x5000, "\0", 1));
    assert_int_equal(mem_digest(mem), 0);
    mem_destroy(mem);
}

static void test_file(void **state)
{
    struct mem *mem = make();
    FILE *file = tmpfile();
    struct stat st;
    char text[4] = {0};

    assert_non_null(file);
    assert_true(mem_write(mem, 0x5ffe, "abcd", 4));
    assert_true(mem_write(mem, HIGH + 0x1000, "e", 1));
    assert_int_equal(mem_save(mem, fileno(file)), 0);
    assert_int_equal(pread(fileno(file), text, 4, 0x5ffe), 4);
    assert_memory_equal(text, "abcd", 4);
    assert_int_equal(pread(fileno(file), text, 1, (off_t)HIGH + 0x1000), 1);
    assert_int_equal(text[0], 'e');
    assert_int_equal(fstat(fileno(file), &st), 0);
    assert_int_equal(st.st_size, HIGH + 0x2000);
    assert_true(st.st_blocks * 512 <= 64 * 1024); /* holes */
    fclose(file);
    assert_int_not_equal(mem_save(mem, -1), 0);
    mem_destroy(mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_bit_counts),
        cmocka_unit_test(test_place_counts),
        cmocka_unit_test(test_zeroes_are_nothing),
        cmocka_unit_test(test_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

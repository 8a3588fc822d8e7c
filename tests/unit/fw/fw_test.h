/* What the loaders' tests share: a guest's memory, a file in memory, and its refusal. */
#ifndef UMBRA_TESTS_FW_TEST_H
#define UMBRA_TESTS_FW_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../samples.h"
#include "fw/image.h"
#include "mem/layout.h"
#include "mem/mem.h"

struct fw_test {
    struct layout layout;
    struct mem *mem;
    struct fw_error error;
    uint8_t *file; /* SAMPLE_MAX_BYTES of zeroes */
    struct image image;
    void *kept; /* the exact copy behind image */
};

static inline void fw_test_set_memory(struct fw_test *test, uint64_t memory_bytes)
{
    mem_destroy(test->mem);
    assert_int_equal(layout_init(&test->layout, memory_bytes), 0);
    test->mem = mem_create(NULL);
    assert_non_null(test->mem);
    assert_int_equal(layout_add_slots(&test->layout, test->mem), 0);
}

static inline int fw_test_setup(void **state)
{
    struct fw_test *test = calloc(1, sizeof(*test));

    test->file = calloc(1, SAMPLE_MAX_BYTES);
    fw_test_set_memory(test, 16 * MIB);
    *state = test;
    return 0;
}

static inline int fw_test_teardown(void **state)
{
    struct fw_test *test = *state;

    mem_destroy(test->mem);
    free(test->file);
    free(test->kept);
    free(test);
    return 0;
}

/* Makes the image of exactly so many bytes, so that a sanitizer sees each read behind its end. */
static inline void fw_test_image(struct fw_test *test, size_t size_bytes)
{
    free(test->kept);
    test->kept = malloc(size_bytes ? size_bytes : 1);
    memcpy(test->kept, test->file, size_bytes);
    image_from_bytes(&test->image, "path/sample.img", test->kept, size_bytes);
}

/* The refusal names the file and says this. */
static inline void fw_test_says(struct fw_test *test, const char *words)
{
    if (!strstr(test->error.text, words) || strchr(test->error.text, '\n'))
        fail_msg("the text is \"%s\", it should say \"%s\"", test->error.text, words);
    assert_non_null(strstr(test->error.text, "sample.img"));
}

#endif

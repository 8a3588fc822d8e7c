/* What a screen shows of an answer: whole lines, wrapped ones counted with all their rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "vm/monitor_pager.h"

/* The pages of a text, each of as many rows as the first, with | between them. */
static void expect_pages(const char *text, unsigned rows, unsigned columns, const char *pages)
{
    char shown[256] = "";
    size_t bytes = strlen(text);

    while (bytes > 0) {
        size_t page = monitor_page(text, bytes, rows, columns);

        assert_in_range(page, 1, bytes);
        strncat(shown, text, page);
        text += page;
        bytes -= page;
        if (bytes > 0)
            strcat(shown, "|");
    }
    assert_string_equal(shown, pages);
}

static void test_lines(void **state)
{
    expect_pages("a\nb\nc\nd\n> ", 2, 80, "a\nb\n|c\nd\n> ");
    expect_pages("a\nb\nc\n> ", 3, 80, "a\nb\nc\n> ");
    expect_pages("a\r\nb\r\n> ", 1, 80, "a\r\n|b\r\n> ");
    expect_pages("\n\n\n> ", 1, 80, "\n|\n|\n> ");
    expect_pages("> ", 1, 80, "> ");
    assert_int_equal(monitor_page("", 0, 1, 80), 0);
}

static void test_wrapped(void **state)
{
    expect_pages("1234\n12345\nx\n> ", 2, 4, "1234\n|12345\n|x\n> ");
    expect_pages("1234\r\nx\r\n> ", 2, 4, "1234\r\nx\r\n> "); /* a return takes no column */
    expect_pages("123456789abcdef\nx\n> ", 2, 4, "123456789abcdef\n|x\n> "); /* never nothing */
    expect_pages("a\n123456789", 2, 4, "a\n|123456789");
}

static void test_no_size(void **state)
{
    expect_pages("a\nb\nc\n> ", 0, 80, "a\nb\nc\n> ");
    expect_pages("a\nb\nc\n> ", 24, 0, "a\nb\nc\n> ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_wrapped),
        cmocka_unit_test(test_no_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

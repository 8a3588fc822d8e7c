/* Line editing: keys in, line and what the terminal shows out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vm/monitor_line.h"

struct rig {
    struct monitor_line line;
    char *echo;
    size_t echo_bytes;
    FILE *out;
};

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    rig->out = open_memstream(&rig->echo, &rig->echo_bytes);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    fclose(rig->out);
    free(rig->echo);
    free(rig);
    return 0;
}

/* Types keys; returns how many lines they completed, the last of which is in the rig. */
static unsigned type(struct rig *rig, const char *keys)
{
    unsigned lines = 0;

    for (; *keys; keys++)
        lines += monitor_line_key(&rig->line, (uint8_t)*keys, rig->out);
    fflush(rig->out);
    return lines;
}

/* Types a line to its end and starts the next. */
static void expect_line(struct rig *rig, const char *keys, const char *text)
{
    assert_int_equal(type(rig, keys), 1);
    assert_string_equal(rig->line.text, text);
    monitor_line_next(&rig->line);
}

static void test_plain(void **state)
{
    struct rig *rig = *state;

    expect_line(rig, "info mmu\r", "info mmu");
    assert_string_equal(rig->echo, "info mmu\n");
    assert_int_equal(type(rig, "\n"), 0); /* it belongs to the return */
    expect_line(rig, "abc\n", "abc");     /* a line feed alone is an end, too */
}

static void test_return_and_line_feed(void **state)
{
    struct rig *rig = *state;

    /* CR LF is one end. */
    assert_int_equal(type(rig, "a\r\n"), 1);
    monitor_line_next(&rig->line);
    assert_int_equal(type(rig, "b\n\n"), 2);
}

static void test_erasing(void **state)
{
    struct rig *rig = *state;

    expect_line(rig,
                "\x7f\x08"
                "abx\x7fy\x08zc\r",
                "abzc");
    expect_line(rig, "junk\x15good\r", "good");
    expect_line(rig, "walk one  \x17two\r", "walk two");
    expect_line(rig, "  \x17\x17x\r", "x");
    expect_line(rig, "give this up\x03", "");
    assert_non_null(strstr(rig->echo, "^C\n"));
}

static void test_history(void **state)
{
    struct rig *rig = *state;

    expect_line(rig, "\x1b[A\x1b[B\r", ""); /* none yet */
    expect_line(rig, "one\r", "one");
    expect_line(rig, "two\r", "two");
    expect_line(rig, "two\r", "two"); /* kept once */
    expect_line(rig, "\r", "");       /* not kept */
    expect_line(rig, "\x1b[A\r", "two");
    expect_line(rig, "junk\x1b[A\x1b[A\r", "one"); /* now the newest */
    expect_line(rig, "\x1b[A\x1b[A\x1b[B\r", "one");
    expect_line(rig, "\x1bOA\x1bOA\x1bOA\x1bOA\x1bOA!\r", "one!");
    expect_line(rig, "x\x1b[A\x1b[B\r", "");
    for (char c = 'a'; c <= 'z'; c++) {
        char keys[3] = {c, '\r', 0};

        assert_int_equal(type(rig, keys), 1);
        monitor_line_next(&rig->line);
    }
    for (unsigned i = 0; i < 40; i++)
        type(rig, "\x1b[A");
    assert_string_equal(rig->line.text, "k"); /* the 16th from the end */
}

static void test_keys_without_meaning(void **state)
{
    struct rig *rig = *state;

    expect_line(rig,
                "a\x1b[C\x1b[E\x1b[1;5C\x1b[3~\x1b[9~\x1b[~\x1bxb\x01\x04\t\xff\x80"
                "c\r",
                "abc");
    assert_string_equal(rig->echo, "abc\n");
}

/* What a terminal of one long row shows after all that was echoed; only backspace moves back. */
static void expect_screen(struct rig *rig, const char *row, size_t column)
{
    char screen[2048] = "";
    size_t at = 0, end = 0;

    for (size_t i = 0; i < rig->echo_bytes; i++) {
        if (rig->echo[i] == '\n') {
            at = end = 0;
        } else if (rig->echo[i] == '\b') {
            assert_true(at > 0);
            at--;
        } else if (rig->echo[i] != '\a') {
            assert_true(at < sizeof(screen) - 1);
            screen[at++] = rig->echo[i];
        }
        end = MAX(end, at);
    }
    while (end > 0 && screen[end - 1] == ' ')
        end--;
    screen[end] = '\0';
    assert_string_equal(screen, row);
    assert_int_equal(at, column);
}

static void test_cursor(void **state)
{
    struct rig *rig = *state;

    type(rig, "ac\x1b[Db"); /* left: into the middle */
    expect_screen(rig, "abc", 2);
    type(rig, "\x1b[D\x1b[D\x1b[D\x1b[D+"); /* not beyond the start */
    expect_screen(rig, "+abc", 1);
    type(rig, "\x1b[C\x1b[3~"); /* right, Delete */
    expect_screen(rig, "+ac", 2);
    type(rig, "\x7f"); /* backspace */
    expect_screen(rig, "+c", 1);
    type(rig, "\x1b[F!\x1b[3~"); /* End; nothing to delete there */
    expect_screen(rig, "+c!", 3);
    type(rig, "\x1b[H1\x1b[4~2\x1b[1~0\x05"
              "3\x02\x02\x06-");
    expect_screen(rig, "01+c!2-3", 7);
    type(rig, "\x1bOD\x0b");
    expect_screen(rig, "01+c!2", 6);
    type(rig, " one two\x1b[D\x1b[D\x17"); /* a word up to the cursor */
    expect_screen(rig, "01+c!2 one wo", 11);
    type(rig, "\x1b[A");                     /* no history: as it is */
    expect_line(rig, "\r", "01+c!2 one wo"); /* Return takes all of it */
    type(rig, "x\x1b[D\x1b[A\x1b[D?");
    expect_screen(rig, "01+c!2 one w?o", 13);
    type(rig, "\x1b[D\x15");
    expect_screen(rig, "", 0);
    expect_line(rig, "\r", "");
}

static void complete_fruit(const char *line, size_t word, struct monitor_words *words)
{
    static const char *const fruit[] = {"apple", "apricot", "banana"};

    for (size_t i = 0; i < ARRAY_SIZE(fruit); i++) {
        if (strncmp(fruit[i], line + word, strlen(line + word)) == 0)
            strcpy(words->word[words->count++], fruit[i]);
    }
}

static void test_tab(void **state)
{
    struct rig *rig = *state;

    rig->line.prompt = "> ";
    rig->line.complete = complete_fruit;
    expect_line(rig, "b\t!\r", "banana !");
    expect_line(rig, "eat b\tnow\r", "eat banana now");
    type(rig, "a\t"); /* what both share */
    expect_screen(rig, "ap", 2);
    type(rig, "\t"); /* and the list of them */
    assert_non_null(strstr(rig->echo, "\napple               apricot\n> ap"));
    expect_line(rig, "r\t\r", "apricot ");
    type(rig, "xb z\x1b[D\x1b[D\t"); /* no word begins so */
    expect_line(rig,
                "\x15"
                "b !\x1b[D\x1b[D\t\r",
                "banana  !");
    assert_non_null(strchr(rig->echo, '\a'));
}

/* A full line does not grow by a completion. */
static void test_tab_full(void **state)
{
    struct rig *rig = *state;

    rig->line.complete = complete_fruit;
    for (unsigned i = 0; i < MONITOR_LINE_MAX - 2; i++)
        type(rig, " ");
    type(rig, "b\t");
    assert_int_equal(rig->line.len, MONITOR_LINE_MAX);
    assert_string_equal(rig->line.text + MONITOR_LINE_MAX - 3, " ba");
}

static void test_full(void **state)
{
    struct rig *rig = *state;

    for (unsigned i = 0; i < MONITOR_LINE_MAX + 100; i++)
        assert_false(monitor_line_key(&rig->line, 'a', rig->out));
    assert_int_equal(rig->line.len, MONITOR_LINE_MAX);
    assert_int_equal(strlen(rig->line.text), MONITOR_LINE_MAX);
    assert_true(monitor_line_key(&rig->line, '\r', rig->out));
    monitor_line_next(&rig->line);
    assert_int_equal(strlen(rig->line.history[0]), MONITOR_LINE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plain, setup, teardown),
        cmocka_unit_test_setup_teardown(test_return_and_line_feed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_erasing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_history, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keys_without_meaning, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cursor, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tab, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tab_full, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

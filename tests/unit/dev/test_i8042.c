/* The keyboard controller by script: Linux's probe sequence, keyboard commands, typing, A20, reset.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dev/i8042.h"
#include "hostile.h"

enum line { LINE_KEYBOARD, LINE_AUX, LINE_RESET, LINE_A20, LINES };

struct bench {
    struct i8042 *i8042;
    struct a20_gate a20;
    bool level[LINES];
    unsigned edges[LINES];
};

static void on_line(void *opaque, unsigned number, bool level)
{
    struct bench *b = opaque;

    b->edges[number] += level && !b->level[number];
    b->level[number] = level;
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    struct i8042_lines lines = {
        .keyboard = {on_line, b, LINE_KEYBOARD},
        .aux = {on_line, b, LINE_AUX},
        .reset = {on_line, b, LINE_RESET},
    };

    if (!b)
        return -1;
    b->a20.line = (struct irq_line){on_line, b, LINE_A20};
    lines.a20 = &b->a20;
    b->i8042 = i8042_create(&lines);
    *state = b;
    return b->i8042 ? 0 : -1;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    i8042_destroy(b->i8042);
    free(b);
    return 0;
}

static void command(struct bench *b, uint8_t value)
{
    i8042_command_ops.write(b->i8042, 0, 1, value);
}

static void data(struct bench *b, uint8_t value)
{
    i8042_data_ops.write(b->i8042, 0, 1, value);
}

static uint8_t status(struct bench *b)
{
    return (uint8_t)i8042_command_ops.read(b->i8042, 0, 1);
}

/* The next byte; a byte must be there. */
static uint8_t take(struct bench *b)
{
    assert_int_equal(status(b) & 0x01, 0x01);
    return (uint8_t)i8042_data_ops.read(b->i8042, 0, 1);
}

static void assert_empty(struct bench *b)
{
    assert_int_equal(status(b) & 0x01, 0);
}

static uint8_t ask(struct bench *b, uint8_t value)
{
    command(b, value);
    return take(b);
}

/* drivers/input/serio/i8042.c, in its order: each step is answered without waiting. */
static void test_linux_probe(void **state)
{
    struct bench *b = *state;
    uint8_t mode;

    assert_empty(b);
    assert_int_equal(ask(b, 0xaa), 0x55);
    mode = ask(b, 0x20);
    assert_int_equal(mode & 0x40, 0x40);      /* translated */
    assert_int_equal(status(b) & 0x10, 0x10); /* not locked */
    mode = (mode | 0x10) & ~0x01;
    command(b, 0x60);
    data(b, mode);
    assert_int_equal(ask(b, 0x20), mode);
    command(b, 0xd3); /* AUX loop */
    data(b, 0x5a);
    assert_int_equal(status(b) & 0x21, 0x21);
    assert_int_equal(take(b), 0x5a);
    assert_int_equal(ask(b, 0xa9), 0x00);
    command(b, 0xa7);
    assert_int_equal(ask(b, 0x20) & 0x20, 0x20);
    command(b, 0xa8);
    assert_int_equal(ask(b, 0x20) & 0x20, 0);
    command(b, 0x60); /* is IRQ 12 delivered? */
    data(b, mode | 0x02);
    command(b, 0xd3);
    data(b, 0xa5);
    assert_int_equal(b->edges[LINE_AUX], 1);
    assert_int_equal(take(b), 0xa5);
    assert_false(b->level[LINE_AUX]);
    command(b, 0xd4); /* nobody is there: said at once */
    data(b, 0xf2);
    assert_int_equal(status(b) & 0x61, 0x61);
    assert_int_equal(take(b), 0xfe);
    assert_empty(b);
}

static void test_keyboard_commands(void **state)
{
    static const struct {
        uint8_t send, answers[3], count;
    } row[] = {
        {0xff, {0xfa, 0xaa}, 2}, {0xf2, {0xfa, 0xab, 0x83}, 3},
        {0xed, {0xfa}, 1},       {0x02, {0xfa}, 1},
        {0xee, {0xee}, 1},       {0xfe, {0xee}, 1},
        {0xf0, {0xfa}, 1},       {0x00, {0xfa, 0x02}, 2},
        {0xf0, {0xfa}, 1},       {0x09, {0xfe}, 1},
        {0xf3, {0xfa}, 1},       {0x20, {0xfa}, 1},
        {0xf5, {0xfa}, 1},       {0xf4, {0xfa}, 1},
        {0xf8, {0xfa}, 1},       {0x10, {0xfe}, 1},
        {0xf0, {0xfa}, 1},       {0xee, {0xee}, 1}, /* a command in a parameter's place */
        {0x01, {0xfe}, 1},
    };
    struct bench *b = *state;

    command(b, 0x60);
    data(b, 0x01); /* no translation, IRQ 1 */
    for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
        data(b, row[i].send);
        for (unsigned j = 0; j < row[i].count; j++) {
            assert_true(b->level[LINE_KEYBOARD]);
            assert_int_equal(take(b), row[i].answers[j]);
        }
        assert_empty(b);
        assert_false(b->level[LINE_KEYBOARD]);
    }
}

/* The controller translates whatever the keyboard says, answers too. */
static void test_answers_are_translated(void **state)
{
    static const uint8_t set_numbers[] = {0x43, 0x41, 0x3f};
    struct bench *b = *state;

    command(b, 0x60);
    data(b, 0x41);
    for (uint8_t set = 1; set <= 3; set++) {
        data(b, 0xf0);
        assert_int_equal(take(b), 0xfa);
        data(b, set);
        assert_int_equal(take(b), 0xfa);
        data(b, 0xf0);
        assert_int_equal(take(b), 0xfa);
        data(b, 0x00);
        assert_int_equal(take(b), 0xfa);
        assert_int_equal(take(b), set_numbers[set - 1]);
        data(b, 0xfe); /* once more */
        assert_int_equal(take(b), set_numbers[set - 1]);
        assert_empty(b);
    }
    data(b, 0xf2);
    assert_int_equal(take(b), 0xfa);
    assert_int_equal(take(b), 0xab);
    assert_int_equal(take(b), 0x41); /* 83h */
    data(b, 0xee);
    assert_int_equal(take(b), 0xee);
    data(b, 0xff);
    assert_int_equal(take(b), 0xfa);
    assert_int_equal(take(b), 0xaa);
    assert_empty(b);
}

/* Bytes up to 7Fh become 01h to 7Fh, each once, and FFh. */
static void test_translation_is_one_to_one(void **state)
{
    struct bench *b = *state;
    bool seen[256] = {false};

    command(b, 0x60);
    data(b, 0x40);
    for (unsigned code = 0; code < 0x80; code++) {
        const uint8_t key = (uint8_t)code;
        uint8_t got;

        assert_true(i8042_key_input(b->i8042, &key, 1));
        got = take(b);
        assert_false(seen[got]);
        seen[got] = true;
    }
    assert_true(seen[0xff]); /* 00h: the overrun */
    assert_false(seen[0x00]);
    for (unsigned got = 1; got < 0x80; got++)
        assert_true(seen[got]);
}

static void test_each_byte_makes_an_edge(void **state)
{
    struct bench *b = *state;
    const uint8_t codes[] = {0x1c, 0xf0, 0x1c, 0xe0, 0x75};

    command(b, 0x60);
    data(b, 0x41);
    assert_true(i8042_key_input(b->i8042, codes, sizeof(codes)));
    assert_int_equal(b->edges[LINE_KEYBOARD], 1);
    assert_int_equal(take(b), 0x1e);
    assert_int_equal(b->edges[LINE_KEYBOARD], 2);
    assert_int_equal(take(b), 0x9e);
    assert_int_equal(take(b), 0xe0);
    assert_int_equal(take(b), 0x48);
    assert_int_equal(b->edges[LINE_KEYBOARD], 4);
    assert_empty(b);
}

/* Decodes set 1 on a US keyboard, independently of the device's tables. */
static uint8_t decode(struct bench *b)
{
    static const char plain[] = "\0\0331234567890-=\b\tqwertyuiop[]\n\0asdfghjkl;'`\0\\zxcvbnm,./"
                                "\0\0\0 ";
    static const char shifted[] = "\0\033!@#$%^&*()_+\b\tQWERTYUIOP{}\n\0ASDFGHJKL:\"~\0|ZXCVBNM<>?"
                                  "\0\0\0 ";
    bool shift = false, ctrl = false;
    uint8_t typed = 0;

    while (status(b) & 1) {
        uint8_t code = take(b);

        if ((code & 0x7f) == 0x2a)
            shift = !(code & 0x80);
        else if ((code & 0x7f) == 0x1d)
            ctrl = !(code & 0x80);
        else if (!(code & 0x80))
            typed = (uint8_t)(shift ? shifted : plain)[code];
    }
    assert_false(shift || ctrl); /* nothing is left held down */
    return typed;
}

static void test_typing_ascii(void **state)
{
    struct bench *b = *state;

    command(b, 0xae);
    for (unsigned c = 32; c < 127; c++) {
        assert_true(i8042_type_ascii(b->i8042, (uint8_t)c));
        assert_int_equal(decode(b), c);
    }
    assert_true(i8042_type_ascii(b->i8042, '\r'));
    assert_int_equal(decode(b), '\n');
    assert_true(i8042_type_ascii(b->i8042, 127));
    assert_int_equal(decode(b), '\b');
    assert_true(i8042_type_ascii(b->i8042, 3)); /* Ctrl-C */
    assert_int_equal(take(b), 0x1d);
    assert_int_equal(take(b), 0x2e);
    assert_int_equal(decode(b), 0);
    assert_true(i8042_type_ascii(b->i8042, 200));
    assert_empty(b);
}

static void test_scan_code_set_1_and_full_queue(void **state)
{
    struct bench *b = *state;
    unsigned typed = 0;

    command(b, 0x60);
    data(b, 0x00);
    data(b, 0xf0);
    data(b, 0x01);
    assert_int_equal(take(b), 0xfa);
    assert_int_equal(take(b), 0xfa);
    i8042_type_ascii(b->i8042, 'a');
    assert_int_equal(take(b), 0x1e);
    assert_int_equal(take(b), 0x9e);
    while (i8042_type_ascii(b->i8042, 'A'))
        typed++;
    assert_in_range(typed, 40, 200);
    for (unsigned i = 0; i < typed; i++) {
        assert_int_equal(take(b), 0x2a);
        assert_int_equal(take(b), 0x1e);
        assert_int_equal(take(b), 0x9e);
        assert_int_equal(take(b), 0xaa);
    }
    assert_empty(b);
    data(b, 0xf5);
    assert_int_equal(take(b), 0xfa);
    assert_false(i8042_type_ascii(b->i8042, 'a')); /* scanning is off */
}

static void test_disabled_keyboard_keeps_its_bytes(void **state)
{
    struct bench *b = *state;

    command(b, 0xad);
    i8042_type_ascii(b->i8042, 'a');
    assert_empty(b);
    assert_int_equal(ask(b, 0xd0) & 0x03, 0x03); /* the controller still answers */
    command(b, 0xae);
    assert_int_equal(take(b), 0x1e);
    command(b, 0xd2);
    data(b, 0x77);
    assert_int_equal(take(b), 0x9e); /* in the order in which they came */
    assert_int_equal(take(b), 0x77);
}

static void test_a20_and_reset(void **state)
{
    struct bench *b = *state;

    assert_true(b->a20.enabled);
    command(b, 0xd1);
    data(b, 0xdd);
    assert_false(b->a20.enabled);
    assert_false(b->level[LINE_A20]);
    assert_int_equal(ask(b, 0xd0) & 0x02, 0);
    command(b, 0xdf);
    assert_true(b->level[LINE_A20]);
    command(b, 0xdd);
    assert_false(b->level[LINE_A20]);
    i8042_reset(b->i8042);
    assert_true(b->level[LINE_A20]);
    assert_int_equal(b->edges[LINE_RESET], 0);
    command(b, 0xff); /* pulses nothing */
    assert_int_equal(b->edges[LINE_RESET], 0);
    command(b, 0xfe);
    assert_int_equal(b->edges[LINE_RESET], 1);
    command(b, 0xd1);
    data(b, 0x02);
    assert_int_equal(b->edges[LINE_RESET], 2);
}

static void test_memory(void **state)
{
    struct bench *b = *state;

    command(b, 0x7f);
    data(b, 0x99);
    assert_int_equal(ask(b, 0x3f), 0x99);
    assert_int_equal(ask(b, 0xa4), 0xf1);
    assert_int_equal(ask(b, 0xab), 0x00);
    assert_int_equal(ask(b, 0xc0), 0xa0);
    assert_int_equal(status(b) & 0x08, 0x08);
    command(b, 0x05); /* unknown: nothing happens */
    assert_empty(b);
}

static void test_hostile(void **state)
{
    struct bench *b = *state;
    struct hostile h = {.seed = 8042};

    for (unsigned i = 0; i < 50000; i++) {
        hostile_access(&h, &i8042_data_ops, b->i8042, 1, 2);
        hostile_access(&h, &i8042_command_ops, b->i8042, 1, 2);
        i8042_type_ascii(b->i8042, (uint8_t)hostile_next(&h));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_linux_probe),
        TEST(test_keyboard_commands),
        TEST(test_answers_are_translated),
        TEST(test_translation_is_one_to_one),
        TEST(test_each_byte_makes_an_edge),
        TEST(test_typing_ascii),
        TEST(test_scan_code_set_1_and_full_queue),
        TEST(test_disabled_keyboard_keeps_its_bytes),
        TEST(test_a20_and_reset),
        TEST(test_memory),
        TEST(test_hostile),
    };

    return cmocka_run_group_tests_name("i8042", tests, NULL, NULL);
}

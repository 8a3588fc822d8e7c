/* The VGA by script: text window and screen, planar modes, register files, retrace bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dev/vga.h"
#include "hostile.h"

#define TEXT 0x18000 /* B8000h in the window */

struct bench {
    struct clock_stepped time;
    struct vga *vga;
    char text[65536];
};

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));

    if (!b)
        return -1;
    clock_stepped_init(&b->time);
    b->vga = vga_create(&b->time.clock);
    if (!b->vga)
        return -1;
    vga_set_text_mode(b->vga);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    vga_destroy(b->vga);
    free(b);
    return 0;
}

static void out(struct bench *b, unsigned port, uint8_t value)
{
    vga_port_ops.write(b->vga, port - 0x3b0, 1, value);
}

static uint8_t in(struct bench *b, unsigned port)
{
    return (uint8_t)vga_port_ops.read(b->vga, port - 0x3b0, 1);
}

static void indexed(struct bench *b, unsigned port, uint8_t index, uint8_t value)
{
    out(b, port, index);
    out(b, port + 1, value);
}

static void poke(struct bench *b, uint64_t offset, unsigned width, uint64_t value)
{
    vga_memory_ops.write(b->vga, offset, width, value);
}

static uint64_t peek(struct bench *b, uint64_t offset, unsigned width)
{
    return vga_memory_ops.read(b->vga, offset, width);
}

static void put_string(struct bench *b, unsigned row, unsigned column, const char *text)
{
    for (uint64_t at = TEXT + 2 * (80 * row + column); *text; text++, at += 2)
        poke(b, at, 2, 0x0700 | (uint8_t)*text);
}

static void test_text_memory(void **state)
{
    struct bench *b = *state;

    poke(b, TEXT, 8, 0x1744174317421741);
    assert_int_equal(peek(b, TEXT, 1), 'A');
    assert_int_equal(peek(b, TEXT + 1, 1), 0x17);
    assert_int_equal(peek(b, TEXT + 2, 4), 0x17431742);
    poke(b, TEXT + 1, 1, 0x4f);
    assert_int_equal(peek(b, TEXT, 2), 0x4f41);
    assert_int_equal(peek(b, TEXT + 0x7ffe, 2), 0x0720); /* the window's last cell */
    assert_int_equal(peek(b, 0, 2), 0xffff);             /* A0000h is shut in text mode */
    poke(b, 0x10000, 1, 'Z');
    assert_int_equal(peek(b, 0x10000, 1), 0xff);
}

static void test_screen_text(void **state)
{
    struct bench *b = *state;
    size_t length;

    put_string(b, 0, 0, "first");
    put_string(b, 1, 2, "\xc9\xcd\xbb \x01"); /* box drawing and a smiley */
    put_string(b, 24, 79, "!");
    length = vga_screen_text(b->vga, b->text, sizeof(b->text));
    assert_int_equal(length, strlen(b->text));
    assert_memory_equal(b->text, "first\n  ╔═╗ ☺\n\n\n", strlen("first\n  ╔═╗ ☺\n\n\n"));
    assert_string_equal(b->text + length - 3, " !\n");
    assert_int_equal(vga_screen_text(b->vga, b->text, 0), 0);
    for (size_t size = 1; size < 40; size++) {
        memset(b->text, 'x', 64);
        length = vga_screen_text(b->vga, b->text, size);
        assert_true(length < size);
        assert_int_equal(b->text[length], 0);
        assert_int_equal(b->text[size], 'x');
    }
}

static void test_start_address_and_cursor(void **state)
{
    struct bench *b = *state;
    unsigned column, row;

    put_string(b, 3, 0, "third");
    indexed(b, 0x3d4, 0x0d, 240); /* scrolled by three rows */
    vga_screen_text(b->vga, b->text, sizeof(b->text));
    assert_memory_equal(b->text, "third\n", 6);
    indexed(b, 0x3d4, 0x0e, 1);
    indexed(b, 0x3d4, 0x0f, 0x45); /* cell 325 */
    assert_true(vga_cursor(b->vga, &column, &row));
    assert_int_equal(row, 1);
    assert_int_equal(column, 5);
    indexed(b, 0x3d4, 0x0a, 0x20);
    assert_false(vga_cursor(b->vga, &column, &row));
    indexed(b, 0x3d4, 0x0a, 0x0d);
    indexed(b, 0x3d4, 0x0e, 0x40);
    assert_false(vga_cursor(b->vga, &column, &row));
}

static void test_no_text_in_graphics(void **state)
{
    struct bench *b = *state;

    put_string(b, 0, 0, "text");
    indexed(b, 0x3ce, 6, 0x05);
    assert_false(vga_is_text(b->vga));
    assert_int_equal(vga_screen_text(b->vga, b->text, sizeof(b->text)), 0);
    assert_string_equal(b->text, "");
    vga_reset(b->vga);
    assert_false(vga_is_text(b->vga));
    assert_int_equal(peek(b, TEXT, 1), 0xff);
}

/* Mode 12h's addressing: planar at A0000h. */
static void set_planar(struct bench *b)
{
    indexed(b, 0x3c4, 4, 0x06);
    indexed(b, 0x3c4, 2, 0x0f);
    indexed(b, 0x3ce, 5, 0x00);
    indexed(b, 0x3ce, 6, 0x05);
}

static uint8_t plane(struct bench *b, unsigned which, uint64_t offset)
{
    indexed(b, 0x3ce, 4, (uint8_t)which);
    return (uint8_t)peek(b, offset, 1);
}

static void test_planar_writes(void **state)
{
    struct bench *b = *state;

    set_planar(b);
    poke(b, 100, 1, 0x5a); /* write mode 0 to all planes */
    assert_int_equal(plane(b, 0, 100) & plane(b, 3, 100), 0x5a);
    indexed(b, 0x3c4, 2, 0x05);
    poke(b, 100, 1, 0xff); /* planes 0 and 2 only */
    assert_int_equal(plane(b, 1, 100), 0x5a);
    assert_int_equal(plane(b, 2, 100), 0xff);
    indexed(b, 0x3c4, 2, 0x0f);
    indexed(b, 0x3ce, 1, 0x0f); /* set/reset: the colour 6 whatever is written */
    indexed(b, 0x3ce, 0, 0x06);
    indexed(b, 0x3ce, 8, 0x0f); /* the low four pixels only */
    poke(b, 100, 1, 0x00);      /* the latch is of the last read */
    assert_int_equal(plane(b, 0, 100), 0xf0);
    assert_int_equal(plane(b, 1, 100), 0x5f);
    assert_int_equal(plane(b, 2, 100), 0xff);
    assert_int_equal(plane(b, 3, 100), 0x50);
    indexed(b, 0x3ce, 1, 0);
    indexed(b, 0x3ce, 8, 0xff);
    indexed(b, 0x3ce, 3, 0x1c); /* exclusive or, rotated by 4 */
    (void)peek(b, 100, 1);
    poke(b, 100, 1, 0x12);
    assert_int_equal(plane(b, 0, 100), 0xf0 ^ 0x21);
}

static void test_write_modes_1_2_3_and_compare(void **state)
{
    struct bench *b = *state;

    set_planar(b);
    indexed(b, 0x3ce, 5, 0x02);
    poke(b, 7, 1, 0x09); /* write mode 2: the colour 9 */
    assert_int_equal(plane(b, 0, 7), 0xff);
    assert_int_equal(plane(b, 1, 7), 0x00);
    assert_int_equal(plane(b, 3, 7), 0xff);
    indexed(b, 0x3ce, 5, 0x01); /* write mode 1 copies the latch */
    (void)peek(b, 7, 1);
    poke(b, 8, 1, 0);
    assert_int_equal(plane(b, 3, 8), 0xff);
    indexed(b, 0x3ce, 5, 0x03); /* write mode 3: the data is a mask for set/reset */
    indexed(b, 0x3ce, 0, 0x02);
    (void)peek(b, 8, 1);
    poke(b, 8, 1, 0x81);
    assert_int_equal(plane(b, 0, 8), 0x7e);
    assert_int_equal(plane(b, 1, 8), 0x81);
    indexed(b, 0x3ce, 5, 0x08); /* read mode 1 */
    indexed(b, 0x3ce, 2, 0x09);
    indexed(b, 0x3ce, 7, 0x0f);
    assert_int_equal(peek(b, 8, 1), 0x7e);
    indexed(b, 0x3ce, 7, 0x00); /* care for nothing: all pixels match */
    assert_int_equal(peek(b, 8, 1), 0xff);
}

/* What looks from outside leaves the latch alone. */
static void test_peek_keeps_the_latch(void **state)
{
    struct bench *b = *state;

    set_planar(b);
    poke(b, 7, 1, 0x5a);
    poke(b, 9, 1, 0xc3);
    (void)peek(b, 7, 1);
    assert_int_equal(vga_memory_ops.peek(b->vga, 9, 1), 0xc3);
    assert_int_equal(vga_memory_ops.peek(b->vga, 8, 2) >> 8, 0xc3);
    indexed(b, 0x3ce, 5, 0x01); /* write mode 1 copies the latch */
    poke(b, 8, 1, 0);
    assert_int_equal(peek(b, 8, 1), 0x5a);
}

static void test_chain4(void **state)
{
    struct bench *b = *state;

    set_planar(b);
    indexed(b, 0x3c4, 4, 0x0e);
    poke(b, 0xfffc, 4, 0x44332211);
    assert_int_equal(peek(b, 0xfffc, 4), 0x44332211);
    assert_int_equal(peek(b, 0xfffe, 1), 0x33);
}

static void test_register_files(void **state)
{
    struct bench *b = *state;

    assert_int_equal(in(b, 0x3cc), 0x67);
    assert_int_equal(in(b, 0x3b4), 0xff); /* colour: nothing at 3Bxh */
    out(b, 0x3c2, 0x66);
    assert_int_equal(in(b, 0x3d4), 0xff);
    out(b, 0x3b4, 0x13);
    assert_int_equal(in(b, 0x3b5), 0x28);
    out(b, 0x3c2, 0x67);
    indexed(b, 0x3d4, 0x00, 0x11); /* protected */
    assert_int_equal(in(b, 0x3d5), 0x5f);
    indexed(b, 0x3d4, 0x07, 0xff);
    assert_int_equal(in(b, 0x3d5), 0x1f);
    indexed(b, 0x3d4, 0x11, 0x0e);
    indexed(b, 0x3d4, 0x00, 0x11);
    assert_int_equal(in(b, 0x3d5), 0x11);
    indexed(b, 0x3d4, 0x3f, 0x11);
    assert_int_equal(in(b, 0x3d5), 0);
    indexed(b, 0x3c4, 2, 0xff);
    assert_int_equal(in(b, 0x3c5), 0x0f);
}

static void test_attribute_flip_flop(void **state)
{
    struct bench *b = *state;

    (void)in(b, 0x3da);
    out(b, 0x3c0, 0x06); /* index, screen off */
    assert_false(vga_is_text(b->vga));
    out(b, 0x3c0, 0x2a);
    assert_int_equal(in(b, 0x3c1), 0x2a);
    out(b, 0x3c0, 0x26);
    out(b, 0x3c0, 0x11); /* the palette belongs to the screen now */
    assert_int_equal(in(b, 0x3c1), 0x2a);
    out(b, 0x3c0, 0x30);
    (void)in(b, 0x3da); /* index again */
    out(b, 0x3c0, 0x34);
    assert_int_equal(in(b, 0x3c0), 0x34);
    assert_true(vga_is_text(b->vga));
}

static void test_dac(void **state)
{
    struct bench *b = *state;

    out(b, 0x3c8, 255);
    for (unsigned i = 1; i <= 6; i++)
        out(b, 0x3c9, (uint8_t)(0xc0 | i));
    out(b, 0x3c7, 255);
    assert_int_equal(in(b, 0x3c7), 3);
    for (unsigned i = 1; i <= 6; i++)
        assert_int_equal(in(b, 0x3c9), i);
    out(b, 0x3c7, 7); /* light grey of the palette's first colours */
    assert_int_equal(in(b, 0x3c9), 0x2a);
    out(b, 0x3c6, 0x0f);
    assert_int_equal(in(b, 0x3c6), 0x0f);
}

static void test_retrace(void **state)
{
    struct bench *b = *state;
    unsigned retraces = 0, visible = 0;
    bool last = false;

    for (unsigned i = 0; i < 100000; i++) { /* a second */
        uint8_t status = in(b, 0x3da);

        retraces += (status & 8) && !last;
        visible += !(status & 1);
        last = status & 8;
        clock_stepped_advance(&b->time, 10 * NS_PER_US);
    }
    assert_in_range(retraces, 69, 71);
    assert_in_range(visible, 65000, 80000);
}

static void test_hostile(void **state)
{
    struct bench *b = *state;
    struct hostile h = {.seed = 720};
    unsigned column, row;

    for (unsigned i = 0; i < 3000; i++) {
        hostile_access(&h, &vga_port_ops, b->vga, VGA_PORT_COUNT, 20);
        if (i & 1)
            out(b, 0x3c2, (uint8_t)hostile_next(&h) | 2);
        hostile_access(&h, &vga_memory_ops, b->vga, VGA_WINDOW_SIZE, 20);
        (void)vga_screen_text(b->vga, b->text, hostile_next(&h) % sizeof(b->text));
        (void)vga_cursor(b->vga, &column, &row);
        if (i % 100 == 0)
            vga_set_text_mode(b->vga);
        indexed(b, 0x3d4, hostile_next(&h) % 32, (uint8_t)hostile_next(&h));
        clock_stepped_advance(&b->time, NS_PER_MS);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_text_memory),
        TEST(test_screen_text),
        TEST(test_start_address_and_cursor),
        TEST(test_no_text_in_graphics),
        TEST(test_planar_writes),
        TEST(test_write_modes_1_2_3_and_compare),
        TEST(test_chain4),
        TEST(test_peek_keeps_the_latch),
        TEST(test_register_files),
        TEST(test_attribute_flip_flop),
        TEST(test_dac),
        TEST(test_retrace),
        TEST(test_hostile),
    };

    return cmocka_run_group_tests_name("vga", tests, NULL, NULL);
}

/* The 8259A pair by script: initialisation, priorities, end of interrupt, modes, spurious requests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "dev/pic.h"
#include "hostile.h"

struct bench {
    struct pic *pic;
    bool intr;
    unsigned edges; /* rising edges of INTR */
};

static void on_intr(void *opaque, unsigned number, bool level)
{
    struct bench *b = opaque;

    b->edges += level && !b->intr;
    b->intr = level;
}

static void out(struct bench *b, unsigned chip, unsigned port, uint8_t value)
{
    (chip ? &pic_slave_ops : &pic_master_ops)->write(b->pic, port, 1, value);
}

static uint8_t in(struct bench *b, unsigned chip, unsigned port)
{
    return (uint8_t)(chip ? &pic_slave_ops : &pic_master_ops)->read(b->pic, port, 1);
}

/* As a BIOS does it, with the vectors 8 and 70h, and icw4 for both. */
static void init_pair(struct bench *b, uint8_t icw4)
{
    static const uint8_t vector[2] = {0x08, 0x70};
    static const uint8_t icw3[2] = {0x04, 0x02};

    for (unsigned chip = 0; chip < 2; chip++) {
        out(b, chip, 0, 0x11);
        out(b, chip, 1, vector[chip]);
        out(b, chip, 1, icw3[chip]);
        out(b, chip, 1, icw4);
    }
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    struct irq_line intr = {.set = on_intr, .opaque = b};

    if (!b)
        return -1;
    b->pic = pic_create(&intr);
    if (!b->pic)
        return -1;
    init_pair(b, 0x01);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    pic_destroy(b->pic);
    free(b);
    return 0;
}

static void pulse(struct bench *b, unsigned irq)
{
    pic_set_irq(b->pic, irq, true);
    pic_set_irq(b->pic, irq, false);
}

static uint8_t isr(struct bench *b, unsigned chip)
{
    out(b, chip, 0, 0x0b);
    return in(b, chip, 0);
}

static void test_master_and_slave_vectors(void **state)
{
    struct bench *b = *state;

    pulse(b, 1);
    assert_true(b->intr);
    assert_true(pic_intr(b->pic));
    assert_int_equal(pic_acknowledge(b->pic), 0x09);
    assert_false(b->intr);
    assert_int_equal(isr(b, 0), 0x02);
    out(b, 0, 0, 0x20);
    assert_int_equal(isr(b, 0), 0);

    pulse(b, 12);
    assert_int_equal(pic_acknowledge(b->pic), 0x74);
    assert_int_equal(isr(b, 0), 0x04);
    assert_int_equal(isr(b, 1), 0x10);
    out(b, 1, 0, 0x20);
    out(b, 0, 0, 0x20);
    assert_int_equal(isr(b, 0) | isr(b, 1), 0);
}

static void test_priority_and_mask(void **state)
{
    struct bench *b = *state;

    out(b, 0, 1, 0x08);
    assert_int_equal(in(b, 0, 1), 0x08);
    pulse(b, 3);
    assert_false(b->intr); /* masked */
    pulse(b, 5);
    pulse(b, 1);
    assert_int_equal(pic_acknowledge(b->pic), 0x09); /* the higher one first */
    assert_false(b->intr);                           /* 5 waits behind 1 */
    pulse(b, 0);
    assert_true(b->intr); /* 0 interrupts 1 */
    assert_int_equal(pic_acknowledge(b->pic), 0x08);
    out(b, 0, 0, 0x20);
    assert_int_equal(isr(b, 0), 0x02); /* the plain EOI ended the highest */
    out(b, 0, 0, 0x61);                /* specific, input 1 */
    assert_int_equal(pic_acknowledge(b->pic), 0x0d);
    out(b, 0, 0, 0x20);
    out(b, 0, 1, 0);
    assert_int_equal(pic_acknowledge(b->pic), 0x0b); /* unmasked, it was remembered */
}

static void test_level_by_elcr(void **state)
{
    struct bench *b = *state;

    pic_elcr_ops.write(b->pic, 0, 1, 0xff);
    pic_elcr_ops.write(b->pic, 1, 1, 0xff);
    assert_int_equal(pic_elcr_ops.read(b->pic, 0, 1), 0xf8);
    assert_int_equal(pic_elcr_ops.read(b->pic, 1, 1), 0xde);
    pic_set_irq(b->pic, 11, true);
    assert_int_equal(pic_acknowledge(b->pic), 0x73);
    out(b, 1, 0, 0x20);
    out(b, 0, 0, 0x20);
    assert_true(b->intr); /* the line is still high */
    pic_set_irq(b->pic, 11, false);
    out(b, 1, 0, 0x0a);
    assert_int_equal(in(b, 1, 0), 0);
}

static void test_edge_needs_a_new_rise(void **state)
{
    struct bench *b = *state;

    pic_set_irq(b->pic, 4, true);
    assert_int_equal(pic_acknowledge(b->pic), 0x0c);
    out(b, 0, 0, 0x20);
    assert_false(b->intr);
    pic_set_irq(b->pic, 4, true);
    assert_false(b->intr);
    pic_set_irq(b->pic, 4, false);
    pic_set_irq(b->pic, 4, true);
    assert_true(b->intr);
}

static void test_spurious(void **state)
{
    struct bench *b = *state;

    assert_int_equal(pic_acknowledge(b->pic), 0x0f);
    assert_int_equal(isr(b, 0), 0);
    /* A slave's level request that goes away leaves the cascade's edge behind: IRQ 15. */
    pic_elcr_ops.write(b->pic, 1, 1, 0x04);
    pic_set_irq(b->pic, 10, true);
    pic_set_irq(b->pic, 10, false);
    assert_true(b->intr);
    assert_int_equal(pic_acknowledge(b->pic), 0x77);
    assert_int_equal(isr(b, 1), 0);
    assert_int_equal(isr(b, 0), 0x04); /* the master needs its EOI */
}

static void test_cascade_rises_again(void **state)
{
    struct bench *b = *state;

    pulse(b, 14);
    pulse(b, 9);
    assert_int_equal(pic_acknowledge(b->pic), 0x71);
    out(b, 1, 0, 0x20);
    out(b, 0, 0, 0x20);
    assert_true(b->intr);
    assert_int_equal(pic_acknowledge(b->pic), 0x76);
}

static void test_rotation(void **state)
{
    struct bench *b = *state;

    pulse(b, 3);
    assert_int_equal(pic_acknowledge(b->pic), 0x0b);
    out(b, 0, 0, 0xa0); /* rotate on plain EOI: 4 is the highest now */
    pulse(b, 1);
    pulse(b, 4);
    assert_int_equal(pic_acknowledge(b->pic), 0x0c);
    out(b, 0, 0, 0x20);
    assert_int_equal(pic_acknowledge(b->pic), 0x09);
    out(b, 0, 0, 0xe1); /* rotate on specific EOI of 1: 2 is the highest */
    pulse(b, 0);
    pulse(b, 7);
    assert_int_equal(pic_acknowledge(b->pic), 0x0f);
    out(b, 0, 0, 0x20);
    assert_int_equal(pic_acknowledge(b->pic), 0x08);
    out(b, 0, 0, 0x20);
    out(b, 0, 0, 0xc7); /* set priority: 7 the lowest, 0 the highest */
    pulse(b, 7);
    pulse(b, 0);
    assert_int_equal(pic_acknowledge(b->pic), 0x08);
}

static void test_special_mask(void **state)
{
    struct bench *b = *state;

    pulse(b, 1);
    assert_int_equal(pic_acknowledge(b->pic), 0x09);
    pulse(b, 6);
    assert_false(b->intr);
    out(b, 0, 0, 0x68);
    out(b, 0, 1, 0x02);
    assert_true(b->intr); /* 1 is in service but masked: it blocks nobody */
    assert_int_equal(pic_acknowledge(b->pic), 0x0e);
    out(b, 0, 0, 0x20);
    assert_int_equal(isr(b, 0), 0x02);
    out(b, 0, 0, 0x48); /* the mode off again */
    out(b, 0, 0, 0x20);
    assert_int_equal(isr(b, 0), 0);
}

static void test_auto_eoi(void **state)
{
    struct bench *b = *state;

    init_pair(b, 0x03);
    pulse(b, 5);
    pulse(b, 6);
    assert_int_equal(pic_acknowledge(b->pic), 0x0d);
    assert_int_equal(isr(b, 0), 0);
    out(b, 0, 0, 0x80); /* rotate in AEOI */
    assert_int_equal(pic_acknowledge(b->pic), 0x0e);
    pulse(b, 0);
    pulse(b, 7);
    assert_int_equal(pic_acknowledge(b->pic), 0x0f);
    assert_int_equal(pic_acknowledge(b->pic), 0x08);
}

static void test_special_fully_nested(void **state)
{
    struct bench *b = *state;

    init_pair(b, 0x11);
    pulse(b, 12);
    assert_int_equal(pic_acknowledge(b->pic), 0x74);
    pulse(b, 5);
    assert_false(b->intr);
    pulse(b, 8);
    assert_true(b->intr); /* the cascade interrupts itself */
    assert_int_equal(pic_acknowledge(b->pic), 0x70);
    init_pair(b, 0x01);
    pulse(b, 12);
    assert_int_equal(pic_acknowledge(b->pic), 0x74);
    pulse(b, 8);
    assert_false(b->intr); /* without the mode it waits */
}

static void test_poll(void **state)
{
    struct bench *b = *state;

    out(b, 0, 0, 0x0c);
    assert_int_equal(in(b, 0, 0), 0);
    pulse(b, 6);
    out(b, 0, 0, 0x0c);
    assert_int_equal(in(b, 0, 0), 0x86);
    assert_false(b->intr);
    assert_int_equal(isr(b, 0), 0x40);
    out(b, 0, 0, 0x20);
    pulse(b, 10);
    out(b, 1, 0, 0x0c);
    assert_int_equal(in(b, 1, 0), 0x82);
    assert_false(b->intr);
}

static void test_icw1_forgets(void **state)
{
    struct bench *b = *state;

    out(b, 0, 1, 0xff);
    pic_set_irq(b->pic, 3, true);
    pulse(b, 9);
    init_pair(b, 0x01);
    assert_int_equal(in(b, 0, 1), 0);
    assert_false(b->intr); /* the held line made its edge before */
    pic_set_irq(b->pic, 3, false);
    pic_set_irq(b->pic, 3, true);
    assert_int_equal(pic_acknowledge(b->pic), 0x0b);
    pic_reset(b->pic);
    assert_false(b->intr);
    assert_int_equal(isr(b, 0), 0);
}

static void test_without_icw4_and_icw3(void **state)
{
    struct bench *b = *state;

    out(b, 0, 0, 0x12); /* single, no ICW4 */
    out(b, 0, 1, 0x40);
    out(b, 0, 1, 0xfe); /* OCW1 already */
    assert_int_equal(in(b, 0, 1), 0xfe);
    pulse(b, 0);
    assert_int_equal(pic_acknowledge(b->pic), 0x40);
}

static void test_hostile(void **state)
{
    struct bench *b = *state;
    struct hostile h = {.seed = 8259};

    for (unsigned i = 0; i < 20000; i++) {
        hostile_access(&h, &pic_master_ops, b->pic, 2, 2);
        hostile_access(&h, &pic_slave_ops, b->pic, 2, 2);
        hostile_access(&h, &pic_elcr_ops, b->pic, 2, 1);
        pic_set_irq(b->pic, hostile_next(&h) % 20, hostile_next(&h) & 1);
        if (hostile_next(&h) & 1)
            assert_in_range(pic_acknowledge(b->pic), 0, 255);
        assert_int_equal(b->intr, pic_intr(b->pic));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_master_and_slave_vectors),
        TEST(test_priority_and_mask),
        TEST(test_level_by_elcr),
        TEST(test_edge_needs_a_new_rise),
        TEST(test_spurious),
        TEST(test_cascade_rises_again),
        TEST(test_rotation),
        TEST(test_special_mask),
        TEST(test_auto_eoi),
        TEST(test_special_fully_nested),
        TEST(test_poll),
        TEST(test_icw1_forgets),
        TEST(test_without_icw4_and_icw3),
        TEST(test_hostile),
    };

    return cmocka_run_group_tests_name("pic", tests, NULL, NULL);
}

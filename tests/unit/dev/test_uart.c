/* The 16550A by script, with the steps by which Linux's 8250 driver recognises it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "dev/uart.h"
#include "hostile.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };

struct bench {
    struct uart *uart;
    bool irq;
    uint8_t sent[64];
    unsigned sent_count;
    unsigned rooms;
    unsigned refill; /* bytes that the room callback still delivers */
    uint8_t unread[64];
    unsigned unread_count;
};

static void on_irq(void *opaque, unsigned number, bool level)
{
    ((struct bench *)opaque)->irq = level;
}

static void on_write(void *opaque, uint8_t byte)
{
    struct bench *b = opaque;

    b->sent[b->sent_count++ % sizeof(b->sent)] = byte;
}

static void on_room(void *opaque)
{
    struct bench *b = opaque;

    b->rooms++;
    while (b->refill && uart_can_receive(b->uart))
        uart_receive(b->uart, (uint8_t)b->refill--);
}

static void on_unread(void *opaque, const uint8_t *bytes, size_t count)
{
    struct bench *b = opaque;

    for (size_t i = 0; i < count; i++)
        b->unread[b->unread_count++ % sizeof(b->unread)] = bytes[i];
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    struct irq_line irq = {.set = on_irq, .opaque = b};
    struct uart_backend backend = {
        .write = on_write, .room = on_room, .unread = on_unread, .opaque = b};

    if (!b)
        return -1;
    b->uart = uart_create(&backend, &irq);
    *state = b;
    return b->uart ? 0 : -1;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    uart_destroy(b->uart);
    free(b);
    return 0;
}

static void out(struct bench *b, unsigned port, uint8_t value)
{
    uart_ops.write(b->uart, port, 1, value);
}

static uint8_t in(struct bench *b, unsigned port)
{
    return (uint8_t)uart_ops.read(b->uart, port, 1);
}

/* drivers/tty/serial/8250/8250_port.c, "autoconfig": what it looks at, in its order. */
static void test_linux_finds_a_16550a(void **state)
{
    struct bench *b = *state;

    out(b, IER, 0);
    assert_int_equal(in(b, IER) & 0x0f, 0);
    out(b, IER, 0x0f);
    assert_int_equal(in(b, IER), 0x0f);
    out(b, IER, 0);
    out(b, MCR, 0x1a); /* loop, OUT2, RTS */
    assert_int_equal(in(b, MSR) & 0xf0, 0x90);
    out(b, MCR, 0);
    out(b, LCR, 0xbf); /* no enhanced register behind this */
    out(b, IIR, 0);
    out(b, LCR, 0);
    out(b, IIR, 0x01);
    assert_int_equal(in(b, IIR) >> 6, 3); /* 16550A */
    out(b, LCR, 0x80);
    assert_int_not_equal(in(b, IIR), 0); /* not a 16650 */
    out(b, LCR, 0);
    out(b, IIR, 0x21); /* no 64-byte FIFO of a 16750 */
    assert_int_equal(in(b, IIR) >> 5, 6);
    out(b, IER, 0x40); /* no UUE bit of an XScale */
    assert_int_equal(in(b, IER) & 0x40, 0);
}

/* The driver's two THRE tests at open. */
static void test_thre_interrupt(void **state)
{
    struct bench *b = *state;

    assert_int_equal(in(b, LSR), 0x60);
    assert_int_equal(in(b, IIR), 0x01);
    for (unsigned i = 0; i < 2; i++) {
        out(b, IER, 0x02);
        assert_true(b->irq);
        assert_int_equal(in(b, IIR), 0x02);
        assert_false(b->irq); /* reading IIR resets it */
        assert_int_equal(in(b, IIR), 0x01);
        out(b, IER, 0);
    }
    out(b, IER, 0x02);
    (void)in(b, IIR);
    out(b, DATA, 'x'); /* sent at once, so empty again at once */
    assert_true(b->irq);
    assert_int_equal(b->sent_count, 1);
    assert_int_equal(b->sent[0], 'x');
    out(b, IER, 0);
    assert_false(b->irq);
}

static void test_receive_without_fifo(void **state)
{
    struct bench *b = *state;

    out(b, IER, 0x05);
    assert_true(uart_can_receive(b->uart));
    uart_receive(b->uart, 'a');
    assert_false(uart_can_receive(b->uart));
    assert_true(b->irq);
    assert_int_equal(in(b, IIR), 0x04);
    assert_int_equal(in(b, LSR), 0x61);
    uart_receive(b->uart, 'b'); /* overrun */
    assert_int_equal(in(b, IIR), 0x06);
    assert_int_equal(in(b, LSR), 0x63);
    assert_int_equal(in(b, LSR), 0x61);
    assert_int_equal(in(b, DATA), 'b');
    assert_false(b->irq);
    assert_int_equal(b->rooms, 2); /* the first one: the guest enabled the interrupt */
}

static void test_receive_fifo_trigger_and_timeout(void **state)
{
    struct bench *b = *state;

    out(b, IIR, 0x81); /* trigger at 8 */
    out(b, IER, 0x01);
    b->rooms = 0;
    uart_receive(b->uart, 0);
    assert_int_equal(in(b, IIR), 0xcc);
    for (unsigned i = 1; i < 8; i++)
        uart_receive(b->uart, (uint8_t)i);
    assert_int_equal(in(b, IIR), 0xc4);
    for (unsigned i = 8; i < 16; i++)
        uart_receive(b->uart, (uint8_t)i);
    assert_false(uart_can_receive(b->uart));
    uart_receive(b->uart, 99); /* lost */
    assert_int_equal(in(b, LSR) & 0x02, 0x02);
    for (unsigned i = 0; i < 16; i++) {
        assert_true(b->irq);
        assert_int_equal(b->rooms, 0);
        assert_int_equal(in(b, DATA), i);
    }
    assert_false(b->irq);
    assert_int_equal(b->rooms, 1);
    assert_int_equal(in(b, LSR) & 1, 0);
}

/* Who can wait with sending: until the receive interrupt is wanted, or the guest polls. */
static void test_reader(void **state)
{
    struct bench *b = *state;

    assert_false(uart_is_read(b->uart));
    out(b, IER, 0x0f); /* Linux tries out the register */
    assert_false(uart_is_read(b->uart));
    out(b, IER, 0x02); /* a sender */
    for (unsigned i = 0; i < 1000; i++) {
        in(b, LSR);
        in(b, LSR); /* before the byte, and behind the one before */
        out(b, DATA, 'x');
    }
    assert_false(uart_is_read(b->uart));
    assert_int_equal(b->rooms, 0);

    out(b, IER, 0x01);
    assert_true(uart_is_read(b->uart));
    assert_int_equal(b->rooms, 1);
    out(b, IER, 0);
    assert_false(uart_is_read(b->uart));
    out(b, MCR, 0x08);
    out(b, IER, 0x0f); /* with OUT2 it is meant */
    assert_true(uart_is_read(b->uart));
    out(b, IER, 0);
    assert_int_equal(b->rooms, 2);

    for (unsigned i = 1; i < UART_READER_POLLS; i++)
        in(b, LSR);
    assert_false(uart_is_read(b->uart));
    in(b, LSR);
    assert_true(uart_is_read(b->uart));
    assert_int_equal(b->rooms, 3);
    out(b, DATA, 'x'); /* an echo: it goes on reading */
    assert_true(uart_is_read(b->uart));
    out(b, IER, 0); /* other software sets the line up */
    assert_false(uart_is_read(b->uart));
    uart_reset(b->uart);
    assert_false(uart_is_read(b->uart));
}

/* The bytes that a driver clears away as it starts come back; its own and breaks do not. */
static void test_unread(void **state)
{
    struct bench *b = *state;

    out(b, IER, 0x05); /* Linux enables the interrupt before the FIFO */
    b->rooms = 0;
    uart_receive(b->uart, 'a');
    out(b, IIR, 0x01);
    assert_int_equal(b->unread_count, 1);
    assert_int_equal(b->unread[0], 'a');
    assert_int_equal(b->rooms, 1);

    uart_receive(b->uart, 'b');
    uart_receive_break(b->uart);
    uart_receive(b->uart, 'c');
    uart_receive(b->uart, 'd');
    assert_int_equal(in(b, DATA), 'b');
    out(b, IIR, 0x03);
    assert_int_equal(b->unread_count, 3);
    assert_memory_equal(b->unread, "acd", 3);
    assert_int_equal(in(b, LSR) & 1, 0);

    uart_receive(b->uart, 'e');
    out(b, MCR, 0x10); /* loop */
    out(b, DATA, 'f');
    uart_reset(b->uart);
    assert_int_equal(b->unread_count, 4);
    assert_memory_equal(b->unread, "acde", 4);
    uart_reset(b->uart);
    assert_int_equal(b->unread_count, 4);
}

static void test_room_refills(void **state)
{
    struct bench *b = *state;

    out(b, IIR, 0x01);
    b->refill = 40;
    uart_receive(b->uart, 41);
    for (unsigned i = 41; i > 0; i--) {
        assert_int_equal(in(b, LSR) & 1, 1);
        assert_int_equal(in(b, DATA), i);
    }
    assert_int_equal(in(b, LSR) & 1, 0);
    uart_receive(b->uart, 1);
    b->rooms = 0;
    out(b, IIR, 0x03); /* clearing the FIFO makes room too */
    assert_int_equal(b->rooms, 1);
    uart_receive(b->uart, 1);
    uart_reset(b->uart); /* and so does a reset: input that waits outside must not wait for ever */
    assert_int_equal(b->rooms, 2);
    uart_reset(b->uart);
    assert_int_equal(b->rooms, 2);
}

static void test_break(void **state)
{
    struct bench *b = *state;

    out(b, IIR, 0x01);
    out(b, IER, 0x04);
    uart_receive(b->uart, 'a');
    uart_receive_break(b->uart);
    assert_int_equal(in(b, LSR), 0xe1); /* it is in the FIFO, not at its head */
    assert_false(b->irq);
    assert_int_equal(in(b, DATA), 'a');
    assert_true(b->irq);
    assert_int_equal(in(b, LSR) & 0x10, 0x10);
    assert_false(b->irq);
    assert_int_equal(in(b, DATA), 0);
    assert_int_equal(in(b, LSR), 0x60);
}

static void test_loopback(void **state)
{
    struct bench *b = *state;

    out(b, MCR, 0x10);
    assert_int_equal(in(b, MSR) & 0xfb, 0x0b); /* CTS, DSR and DCD fell */
    assert_false(uart_can_receive(b->uart));
    uart_receive(b->uart, 'n'); /* the line is cut */
    assert_int_equal(in(b, LSR) & 1, 0);
    out(b, DATA, 'z');
    assert_int_equal(b->sent_count, 0);
    assert_int_equal(in(b, DATA), 'z');
    out(b, MCR, 0x14);
    out(b, MCR, 0x10);
    assert_int_equal(in(b, MSR) & 0x04, 0x04); /* trailing edge of RI */
    out(b, IER, 0x08);
    out(b, MCR, 0x11);
    assert_int_equal(in(b, IIR), 0x00);
    assert_true(b->irq);
    assert_int_equal(in(b, MSR), 0x22);
    assert_false(b->irq);
    b->rooms = 0;
    out(b, MCR, 0x00);
    assert_int_equal(b->rooms, 1); /* the line is whole again */
}

static void test_divisor_and_scratch(void **state)
{
    struct bench *b = *state;

    out(b, LCR, 0x83);
    out(b, DATA, 0x01);
    out(b, IER, 0x02);
    assert_int_equal(in(b, DATA), 0x01);
    assert_int_equal(in(b, IER), 0x02);
    out(b, LCR, 0x03);
    assert_int_equal(in(b, IER), 0);
    assert_int_equal(b->sent_count, 0);
    out(b, SCR, 0x5a);
    assert_int_equal(in(b, SCR), 0x5a);
    out(b, IER, 0x02);
    uart_reset(b->uart);
    assert_false(b->irq);
    assert_int_equal(in(b, LCR) | in(b, IER) | in(b, MCR), 0);
}

static void test_hostile(void **state)
{
    struct bench *b = *state;
    struct hostile h = {.seed = 16550};

    for (unsigned i = 0; i < 50000; i++) {
        hostile_access(&h, &uart_ops, b->uart, 8, 4);
        if (hostile_next(&h) & 1)
            uart_receive(b->uart, (uint8_t)hostile_next(&h));
        else
            uart_receive_break(b->uart);
        b->refill = hostile_next(&h) % 32;
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_linux_finds_a_16550a),
        TEST(test_thre_interrupt),
        TEST(test_receive_without_fifo),
        TEST(test_receive_fifo_trigger_and_timeout),
        TEST(test_reader),
        TEST(test_unread),
        TEST(test_room_refills),
        TEST(test_break),
        TEST(test_loopback),
        TEST(test_divisor_and_scratch),
        TEST(test_hostile),
    };

    return cmocka_run_group_tests_name("uart", tests, NULL, NULL);
}

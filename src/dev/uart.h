/*
 * A 16550A UART: registers, FIFOs, interrupts, modem lines and loopback.
 *
 * There is no baud rate: a byte that the guest writes is out at once, and the time-out of the
 * receive FIFO has always gone by already. The other end is always there: CTS, DSR and DCD are on.
 * Refused: DMA modes, errors other than overrun and break.
 * Specification: National Semiconductor PC16550D data sheet.
 *
 * Locking: the machine lock is held around every call.
 */
#ifndef UMBRA_DEV_UART_H
#define UMBRA_DEV_UART_H

#include "base/irq.h"
#include "base/types.h"
#include "dev/bus.h"
#include "dev/device.h"

struct uart;

/* The host's end of the line; each function may be NULL. */
struct uart_backend {
    void (*write)(void *opaque, uint8_t byte); /* the guest sent a byte */
    void (*room)(void *opaque);                /* the guest read all input, or begins to read */
    /* The guest cleared bytes that it had not read; the oldest first. No call into the UART. */
    void (*unread)(void *opaque, const uint8_t *bytes, size_t count);
    void *opaque;
};

/* So many reads of the LSR in a row, with nothing to read and nothing sent, mean a reader. */
#define UART_READER_POLLS 32

/* Makes a UART in its reset state. NULL: no memory. */
struct uart *uart_create(const struct uart_backend *backend, const struct irq_line *irq);
void uart_destroy(struct uart *uart);
void uart_reset(struct uart *uart);

/* Its state, for the board; the device's own. */
const struct device *uart_device(const struct uart *uart);

/* Whether uart_receive would find room (never in loopback mode, where the line is cut). */
bool uart_can_receive(const struct uart *uart);

/*
 * Whether software reads the line: the receive interrupt is enabled, or the guest polls. A sender
 * that can wait sends nothing before; room is called when it changes to true.
 */
bool uart_is_read(const struct uart *uart);

/* A byte arrives from the host; without room the newest byte is lost with an overrun error. */
void uart_receive(struct uart *uart, uint8_t byte);

/* A break arrives from the host (Linux's serial console takes it as SysRq). */
void uart_receive_break(struct uart *uart);

extern const struct bus_ops uart_ops; /* 8 ports; dev: the struct uart */

#endif

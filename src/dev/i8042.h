/*
 * The keyboard controller of a PC/AT and PS/2 (Intel 8042 with its firmware), with a keyboard on
 * its first port and no mouse on the second. It answers every command at once.
 *
 * Refused: passwords, the multiplexer mode of newer controllers, a mouse.
 * Specification: IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device
 * Controller".
 *
 * Locking: the machine lock is held around every call.
 */
#ifndef UMBRA_DEV_I8042_H
#define UMBRA_DEV_I8042_H

#include "base/irq.h"
#include "base/types.h"
#include "dev/a20.h"
#include "dev/bus.h"
#include "dev/device.h"

struct i8042;

struct i8042_lines {
    struct irq_line keyboard; /* IRQ 1 */
    struct irq_line aux;      /* IRQ 12 */
    struct irq_line reset;    /* pulsed: reset the system */
    struct a20_gate *a20;     /* the board's; it outlives the controller */
};

/* Makes a controller in its reset state. NULL: no memory. */
struct i8042 *i8042_create(const struct i8042_lines *lines);
void i8042_destroy(struct i8042 *i8042);

/* The controller and its keyboard; not the A20 gate, which is the board's. */
const struct device *i8042_device(const struct i8042 *i8042);

/* As RESET: also opens the A20 gate, since the chip's ports come up high. */
void i8042_reset(struct i8042 *i8042);

/* Types one ASCII character on a US keyboard. False: no room now, or the guest reads no keys. */
bool i8042_type_ascii(struct i8042 *i8042, uint8_t ascii);

/* Sends raw scan codes of set 2 (F0h before a break), all or nothing. False as above. */
bool i8042_key_input(struct i8042 *i8042, const uint8_t *codes, size_t count);

extern const struct bus_ops i8042_data_ops;    /* 60h, 1 port; dev: the struct i8042 */
extern const struct bus_ops i8042_command_ops; /* 64h, 1 port; dev: the struct i8042 */

#endif

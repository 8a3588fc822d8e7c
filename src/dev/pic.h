/*
 * The two 8259A interrupt controllers of a PC, the second one cascaded on input 2 of the first,
 * with the edge/level registers (ELCR) of the PCI chipsets.
 *
 * Refused: the 8080/8085 call mode, buffered mode and more than one slave; LTIM of ICW1 has no
 * effect, as in the PIIX3, since the ELCR took its place.
 * Specification: Intel 8259A data sheet (231468-003); Intel PIIX3 data sheet (ELCR1, ELCR2).
 *
 * Locking: the machine lock is held around every call.
 */
#ifndef UMBRA_DEV_PIC_H
#define UMBRA_DEV_PIC_H

#include "base/irq.h"
#include "base/types.h"
#include "dev/bus.h"
#include "dev/device.h"

#define PIC_INPUTS  16 /* IRQ 0 to 15; input 2 is the cascade and takes no device */
#define PIC_CASCADE 2

struct pic;

/* Makes the pair in its reset state; intr is INTR, the line to the processor. NULL: no memory. */
struct pic *pic_create(const struct irq_line *intr);
void pic_destroy(struct pic *pic);

/* As RESET: masks nothing, expects ICW1, all inputs edge triggered. Input levels are kept. */
void pic_reset(struct pic *pic);

/* Its state, for the board; the device's own. */
const struct device *pic_device(const struct pic *pic);

/* Drives input irq (0 to 15); fits struct irq_line's set, with pic as the opaque. */
void pic_set_irq(void *pic, unsigned irq, bool level);

/* Whether INTR is high. */
bool pic_intr(const struct pic *pic);

/*
 * The INTA cycle: returns the vector (0 to 255) and puts the request into service. When the request
 * is gone the vector is that of the spurious IRQ 7 or 15, and nothing comes into service there.
 */
int pic_acknowledge(struct pic *pic);

/* What a monitor or a test wants to see of one chip (0: master, 1: slave). */
struct pic_view {
    uint8_t irr, imr, isr;
    uint8_t elcr;   /* set: level triggered */
    uint8_t vector; /* of input 0 */
};
void pic_view(const struct pic *pic, unsigned chip, struct pic_view *view);

/* The dev of each is the struct pic. Master and slave: 2 ports. ELCR: 2 ports. */
extern const struct bus_ops pic_master_ops; /* 20h, 21h */
extern const struct bus_ops pic_slave_ops;  /* A0h, A1h */
extern const struct bus_ops pic_elcr_ops;   /* 4D0h, 4D1h */

#endif

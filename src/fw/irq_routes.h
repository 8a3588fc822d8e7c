/*
 * How the board's interrupt lines reach the I/O APIC and the 8259s, for the tables that tell a
 * guest: MADT, MP table and $PIR. The DSDT says the same in ASL.
 * Source: Intel 82371SB (PIIX3) data sheet, "PIRQx Route Control Registers".
 */
#ifndef UMBRA_FW_IRQ_ROUTES_H
#define UMBRA_FW_IRQ_ROUTES_H

#include "base/types.h"
#include "mem/layout.h"

#define IRQ_ROUTES_ISA   16 /* ISA interrupts; 2 is the cascade, no line */
#define IRQ_ROUTES_SLOTS 32 /* devices of PCI bus 0; 0 is the host bridge */
#define IRQ_ROUTES_PINS  4  /* INTA# to INTD# of a slot */

/* The ISA interrupts that are active-high levels: the SCI, and all that a PIRQ can be routed to. */
#define IRQ_ROUTES_LEVEL (BIT(5) | BIT(LAYOUT_IRQ_SCI) | BIT(10) | BIT(11))

/* Polarity and trigger as MADT and MP table code them: 0 conforms to the bus. */
#define IRQ_FLAGS_HIGH_LEVEL 0xd

static inline uint8_t irq_routes_isa_flags(unsigned irq)
{
    return IRQ_ROUTES_LEVEL & BIT(irq) ? IRQ_FLAGS_HIGH_LEVEL : 0;
}

/* The I/O APIC's pin, and the global system interrupt, of an ISA interrupt. */
static inline uint8_t irq_routes_isa_pin(unsigned irq)
{
    return irq == 0 ? 2 : (uint8_t)irq;
}

/* The PIRQ, 0 to 3, that a slot's pin (0 is INTA#) arrives at: turned by one a slot. */
static inline unsigned irq_routes_pirq(unsigned slot, unsigned pin)
{
    return (slot + pin + 3) & 3;
}

/* The ISA interrupt and I/O APIC pin of a PIRQ, as the BIOS sets the route registers at POST. */
static inline uint8_t irq_routes_pirq_irq(unsigned pirq)
{
    static const uint8_t irqs[4] = {LAYOUT_PIRQ_IRQS};

    return irqs[pirq];
}

#endif

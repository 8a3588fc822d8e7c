/*
 * The message bus between APICs: I/O APICs, MSI writes and inter-processor interrupts put messages
 * on it, local APICs take those that name them, and an end of interrupt goes back over it.
 * It refuses nothing: a message that no local APIC takes is dropped and traced.
 * Specification: Intel SDM 3, "Advanced Programmable Interrupt Controller (APIC)", sections
 * "Determining IPI Destination" and "Message Signalled Interrupts".
 *
 * Locking: the owner's machine lock is held around every call.
 */
#ifndef UMBRA_DEV_APIC_BUS_H
#define UMBRA_DEV_APIC_BUS_H

#include "base/types.h"

#define APIC_BUS_MAX_LAPICS    256
#define APIC_BUS_MAX_LISTENERS 8

/* The delivery modes as ICR, LVT, redirection entries and MSI data encode them (bits 10:8). */
enum apic_delivery {
    APIC_DELIVER_FIXED = 0,
    APIC_DELIVER_LOWEST = 1,
    APIC_DELIVER_SMI = 2,
    APIC_DELIVER_NMI = 4,
    APIC_DELIVER_INIT = 5,
    APIC_DELIVER_SIPI = 6,
    APIC_DELIVER_EXTINT = 7,
};

/* One interrupt message. */
struct apic_message {
    uint32_t destination; /* an APIC id, or a logical set */
    bool logical;         /* destination is a logical set */
    bool wide;            /* 32-bit destination of an x2APIC sender; else 8-bit */
    bool level;           /* level-triggered: its end of interrupt is broadcast */
    uint8_t delivery;     /* enum apic_delivery; reserved values are dropped */
    uint8_t vector;
};

struct apic_bus;
struct lapic;

/* Makes a bus without APICs, or NULL without memory. It owns none of what is attached to it. */
struct apic_bus *apic_bus_create(void);
void apic_bus_destroy(struct apic_bus *bus);

/* Attaches a local APIC (lapic_create does it). 0, or -ENOSPC. */
int apic_bus_attach(struct apic_bus *bus, struct lapic *lapic) must_check;
void apic_bus_detach(struct apic_bus *bus, struct lapic *lapic);

/* Tells fn of each end of a level-triggered interrupt (an I/O APIC's need). 0, or -ENOSPC. */
int apic_bus_listen_eoi(struct apic_bus *bus, void (*fn)(void *opaque, uint8_t vector),
                        void *opaque) must_check;
void apic_bus_unlisten_eoi(struct apic_bus *bus, const void *opaque);

/* Delivers to the local APICs that the message's destination names. */
void apic_bus_deliver(struct apic_bus *bus, const struct apic_message *message);

/* Delivers to every local APIC but one (NULL: to all); the destination is not looked at. */
void apic_bus_deliver_all(struct apic_bus *bus, const struct apic_message *message,
                          const struct lapic *except);

/* A message signalled interrupt: a write of data to FEExxxxxh. Other addresses are ignored. */
void apic_bus_deliver_msi(struct apic_bus *bus, uint64_t address, uint32_t data);

/* Broadcasts an end of interrupt to the listeners. */
void apic_bus_end_interrupt(struct apic_bus *bus, uint8_t vector);

#endif

/*
 * A local APIC: xAPIC through its 4 KiB page, x2APIC through MSRs 800h to 83Fh, its timer, and the
 * taking of messages from the APIC bus.
 * It refuses: SMI, ExtINT messages (ExtINT comes by LINT0), CMCI, suppressed EOI broadcasts and
 * the arbitration registers of old processors, which read as 0.
 * Specification: Intel SDM 3, "Advanced Programmable Interrupt Controller (APIC)".
 *
 * Locking: the owner's machine lock is held around every call.
 */
#ifndef UMBRA_DEV_LAPIC_H
#define UMBRA_DEV_LAPIC_H

#include "base/clock.h"
#include "base/types.h"
#include "dev/apic_bus.h"
#include "dev/bus.h"
#include "dev/device.h"

#define LAPIC_PAGE_SIZE 0x1000

/* The rate at which the timer counts when it divides by 1. */
#define LAPIC_TIMER_HZ NS_PER_SEC

/* IA32_APIC_BASE. */
#define LAPIC_BASE_BSP    BIT(8)
#define LAPIC_BASE_EXTD   BIT(10)
#define LAPIC_BASE_ENABLE BIT(11)

struct lapic;

/* What a local APIC does to its processor. Each gets `opaque`; NULL ones are not called. */
struct lapic_callbacks {
    void (*intr)(void *opaque, bool pending); /* lapic_pending() has changed */
    void (*nmi)(void *opaque);
    void (*init)(void *opaque);                 /* the local APIC itself has done its INIT before */
    void (*sipi)(void *opaque, uint8_t vector); /* start at vector << 12 */
    uint64_t (*tsc_now)(void *opaque);          /* for the deadline mode; lapic_set_tsc_offset */
    void (*base_changed)(void *opaque, uint64_t base); /* IA32_APIC_BASE was written */
    void *opaque;
};

struct lapic_config {
    uint32_t id;
    bool bsp;          /* the bootstrap processor's flag in IA32_APIC_BASE */
    bool virtual_wire; /* LINT0 is ExtINT and unmasked after reset, as firmware would leave it */
    uint8_t phys_bits; /* MAXPHYADDR: the width of the base address; 0 means 36 */
    struct clock *clock;
    uint64_t tsc_hz; /* 0: no TSC-deadline mode */
    struct apic_bus *bus;
    struct lapic_callbacks callbacks;
};

/* Makes a local APIC in its power-up state on the bus of the config, or NULL without memory. */
struct lapic *lapic_create(const struct lapic_config *config);
void lapic_destroy(struct lapic *lapic);

/* Power-up reset, IA32_APIC_BASE included. */
void lapic_reset(struct lapic *lapic);

/* Its state, for the board; the device's own. */
const struct device *lapic_device(const struct lapic *lapic);

uint32_t lapic_id(const struct lapic *lapic);

/* The page's registers; the device pointer is the struct lapic. */
extern const struct bus_ops lapic_mmio_ops;

/* MSRs 800h to 8FFh. False: #GP (no such register, not in x2APIC mode, a reserved bit). */
bool lapic_msr_read(struct lapic *lapic, uint32_t index, uint64_t *value) must_check;
bool lapic_msr_write(struct lapic *lapic, uint32_t index, uint64_t value) must_check;

/* IA32_APIC_BASE. The write returns false for #GP: reserved bits, illegal mode transitions. */
uint64_t lapic_base_read(const struct lapic *lapic);
bool lapic_base_write(struct lapic *lapic, uint64_t value) must_check;

/* IA32_TSC_DEADLINE: 0 when nothing is armed; writes outside the deadline mode are ignored. */
uint64_t lapic_tsc_deadline_read(struct lapic *lapic);
void lapic_tsc_deadline_write(struct lapic *lapic, uint64_t value);

/*
 * The processor's TSC is from now on tsc_now plus an offset, modulo 2^64 (0 after a reset): the
 * guest has written to it. A deadline that it has passed so fires at once.
 */
void lapic_set_tsc_offset(struct lapic *lapic, uint64_t offset);

/* The whole task priority register; CR8 is its bits 7:4. */
uint8_t lapic_get_tpr(const struct lapic *lapic);
void lapic_set_tpr(struct lapic *lapic, uint8_t tpr);

/*
 * Whether something waits for the processor: a vector above its priority, or the 8259's INTR that
 * LINT0 lets pass.
 */
bool lapic_pending(const struct lapic *lapic);

/*
 * The processor takes an interrupt: moves the highest deliverable vector from IRR to ISR and
 * returns it, or -1 when there is none. When lapic_extint_pending says so, the caller asks the
 * 8259 first and comes here only if that has none.
 * A spurious vector is never returned: what is withdrawn is withdrawn by `intr` at once.
 */
int lapic_acknowledge(struct lapic *lapic);

/* Whether the 8259's INTR would pass, and whether it does so now. */
bool lapic_accepts_extint(const struct lapic *lapic);
bool lapic_extint_pending(const struct lapic *lapic);

/*
 * The pins LINT0 (the 8259's INTR) and LINT1 (NMI); level true means asserted, whatever the LVT's
 * polarity bit. With the APIC disabled by IA32_APIC_BASE the pins are INTR and NMI.
 */
void lapic_set_lint(struct lapic *lapic, unsigned pin, bool level);

/* As lapic_set_lint, as an irq_line's function: number is the pin, opaque the struct lapic. */
void lapic_set_lint_line(void *opaque, unsigned number, bool level);

/* "disabled", "xAPIC" or "x2APIC"; for people. */
const char *lapic_mode_name(const struct lapic *lapic);

#endif

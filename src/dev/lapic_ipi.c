/*
 * The local APIC's interrupt command register: sending interrupts to processors.
 * Specification: Intel SDM 3, "Interrupt Command Register (ICR)" and its tables of valid
 * combinations of delivery mode, trigger mode and shorthand.
 */
#include "base/trace.h"
#include "dev/lapic_state.h"

#define ICR_DELIVERY(icr) ((uint8_t)bits_get(icr, 10, 8))
#define ICR_LOGICAL       BIT(11)
#define ICR_ASSERT        BIT(14)
#define ICR_LEVEL         BIT(15)

enum icr_shorthand {
    ICR_NO_SHORTHAND,
    ICR_SELF,
    ICR_ALL,
    ICR_OTHERS,
};

/* Self and all-including-self carry fixed interrupts only. */
static bool shorthand_allows(enum icr_shorthand shorthand, uint8_t delivery)
{
    if (shorthand == ICR_SELF || shorthand == ICR_ALL)
        return delivery == APIC_DELIVER_FIXED;
    return delivery != APIC_DELIVER_EXTINT;
}

void lapic_send_ipi(struct lapic *lapic)
{
    enum icr_shorthand shorthand = (enum icr_shorthand)bits_get(lapic->state.icr, 19, 18);
    bool wide = lapic_in_x2apic(lapic);
    struct apic_message message = {
        .destination = (uint32_t)(wide ? lapic->state.icr >> 32 : lapic->state.icr >> 56),
        .logical = lapic->state.icr & ICR_LOGICAL,
        .wide = wide,
        /* Level-triggered IPIs but INIT de-assert have gone: they act as edges. */
        .level = false,
        .delivery = ICR_DELIVERY(lapic->state.icr),
        .vector = (uint8_t)lapic->state.icr,
    };
    bool fixed = message.delivery == APIC_DELIVER_FIXED || message.delivery == APIC_DELIVER_LOWEST;

    /* INIT level de-assert has no effect since the Pentium 4. */
    if (message.delivery == APIC_DELIVER_INIT && lapic->state.icr & ICR_LEVEL &&
        !(lapic->state.icr & ICR_ASSERT))
        return;
    if (fixed && message.vector < LAPIC_FIRST_LEGAL_VECTOR) {
        lapic_raise_error(lapic, ESR_SEND_ILLEGAL_VECTOR);
        return;
    }
    if (!shorthand_allows(shorthand, message.delivery)) {
        trace(apic_dropped, lapic->config.id, message.vector, message.delivery);
        return;
    }
    switch (shorthand) {
    case ICR_NO_SHORTHAND: apic_bus_deliver(lapic->config.bus, &message); break;
    case ICR_SELF: lapic_accept(lapic, &message); break;
    case ICR_ALL: apic_bus_deliver_all(lapic->config.bus, &message, NULL); break;
    case ICR_OTHERS: apic_bus_deliver_all(lapic->config.bus, &message, lapic); break;
    }
}

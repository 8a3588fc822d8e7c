/* The APIC message bus: an array of local APICs and one of end-of-interrupt listeners. */
#include "dev/apic_bus.h"

#include <errno.h>
#include <stdlib.h>

#include "base/trace.h"
#include "dev/lapic_state.h"

struct eoi_listener {
    void (*fn)(void *opaque, uint8_t vector);
    void *opaque;
};

struct apic_bus {
    struct lapic *lapics[APIC_BUS_MAX_LAPICS];
    size_t lapic_count;
    struct eoi_listener listeners[APIC_BUS_MAX_LISTENERS];
    size_t listener_count;
    size_t turn; /* where the next search for the lowest priority starts */
};

struct apic_bus *apic_bus_create(void)
{
    return calloc(1, sizeof(struct apic_bus));
}

void apic_bus_destroy(struct apic_bus *bus)
{
    free(bus);
}

int apic_bus_attach(struct apic_bus *bus, struct lapic *lapic)
{
    if (bus->lapic_count == APIC_BUS_MAX_LAPICS)
        return -ENOSPC;
    bus->lapics[bus->lapic_count++] = lapic;
    return 0;
}

void apic_bus_detach(struct apic_bus *bus, struct lapic *lapic)
{
    for (size_t i = 0; i < bus->lapic_count; i++) {
        if (bus->lapics[i] == lapic) {
            bus->lapics[i] = bus->lapics[--bus->lapic_count];
            return;
        }
    }
}

int apic_bus_listen_eoi(struct apic_bus *bus, void (*fn)(void *opaque, uint8_t vector),
                        void *opaque)
{
    if (bus->listener_count == APIC_BUS_MAX_LISTENERS)
        return -ENOSPC;
    bus->listeners[bus->listener_count++] = (struct eoi_listener){fn, opaque};
    return 0;
}

void apic_bus_unlisten_eoi(struct apic_bus *bus, const void *opaque)
{
    for (size_t i = 0; i < bus->listener_count; i++) {
        if (bus->listeners[i].opaque == opaque) {
            bus->listeners[i] = bus->listeners[--bus->listener_count];
            return;
        }
    }
}

/*
 * Of the addressed local APICs the one with the lowest processor priority. The search starts one
 * further each time, so that processors of equal priority share the interrupts.
 */
static void deliver_lowest(struct apic_bus *bus, const struct apic_message *message)
{
    struct lapic *best = NULL;

    for (size_t i = 0; i < bus->lapic_count; i++) {
        struct lapic *lapic = bus->lapics[(bus->turn + i) % bus->lapic_count];

        if (!lapic_software_enabled(lapic) || !lapic_is_addressed(lapic, message))
            continue;
        if (!best || lapic_processor_priority(lapic) < lapic_processor_priority(best))
            best = lapic;
    }
    bus->turn++;
    if (best)
        lapic_accept(best, message);
    else
        trace(apic_dropped, message->destination, message->vector, message->delivery);
}

void apic_bus_deliver(struct apic_bus *bus, const struct apic_message *message)
{
    bool taken = false;

    trace(apic_message, message->destination, message->vector, message->delivery);
    if (message->delivery == APIC_DELIVER_LOWEST) {
        deliver_lowest(bus, message);
        return;
    }
    for (size_t i = 0; i < bus->lapic_count; i++) {
        if (!lapic_is_addressed(bus->lapics[i], message))
            continue;
        lapic_accept(bus->lapics[i], message);
        taken = true;
    }
    if (!taken)
        trace(apic_dropped, message->destination, message->vector, message->delivery);
}

void apic_bus_deliver_all(struct apic_bus *bus, const struct apic_message *message,
                          const struct lapic *except)
{
    trace(apic_message, UINT32_MAX, message->vector, message->delivery);
    for (size_t i = 0; i < bus->lapic_count; i++) {
        if (bus->lapics[i] != except)
            lapic_accept(bus->lapics[i], message);
    }
}

/* SDM 3, "Message Address Register Format" and "Message Data Register Format". */
#define MSI_ADDRESS_TOP     0xfee
#define MSI_ADDRESS_LOGICAL BIT(2)
#define MSI_DATA_LEVEL      BIT(15)

void apic_bus_deliver_msi(struct apic_bus *bus, uint64_t address, uint32_t data)
{
    struct apic_message message = {
        .destination = (uint32_t)bits_get(address, 19, 12),
        .logical = address & MSI_ADDRESS_LOGICAL,
        .level = data & MSI_DATA_LEVEL,
        .delivery = (uint8_t)bits_get(data, 10, 8),
        .vector = (uint8_t)data,
    };

    if (address >> 20 == MSI_ADDRESS_TOP)
        apic_bus_deliver(bus, &message);
}

void apic_bus_end_interrupt(struct apic_bus *bus, uint8_t vector)
{
    for (size_t i = 0; i < bus->listener_count; i++)
        bus->listeners[i].fn(bus->listeners[i].opaque, vector);
}

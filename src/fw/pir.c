/* $PIR: a header and an entry for each slot of bus 0. */
#include "fw/pir.h"

#include <errno.h>

#include "fw/bytes.h"
#include "fw/irq_routes.h"

#define HEADER_SIZE 32
#define SLOT_SIZE   16
#define SLOTS       (IRQ_ROUTES_SLOTS - 1) /* without the host bridge */
#define TABLE_SIZE  (HEADER_SIZE + SLOTS * SLOT_SIZE)
#define VERSION     0x0100

#define ROUTER_DEVFN (1 << 3)   /* the ISA bridge is 01.0 */
#define ROUTER_ID    0x70008086 /* PIIX3 */
#define ROUTER_PIRQA 0x60       /* a link's value is the register that routes it */

/* What a guest may route a PIRQ to: the interrupts that no ISA device has. */
#define CHOICES (IRQ_ROUTES_LEVEL & ~BIT(LAYOUT_IRQ_SCI))

int pir_build(uint8_t *out, size_t room_bytes)
{
    uint8_t *entry = out + HEADER_SIZE;

    if (room_bytes < TABLE_SIZE)
        return -ENOSPC;
    memset(out, 0, TABLE_SIZE);
    memcpy(out, "$PIR", 4);
    bytes_put16(out + 4, VERSION);
    bytes_put16(out + 6, TABLE_SIZE);
    out[9] = ROUTER_DEVFN;
    bytes_put32(out + 12, ROUTER_ID);
    for (unsigned slot = 1; slot <= SLOTS; slot++, entry += SLOT_SIZE) {
        entry[1] = (uint8_t)(slot << 3);
        for (unsigned pin = 0; pin < IRQ_ROUTES_PINS; pin++) {
            entry[2 + 3 * pin] = (uint8_t)(ROUTER_PIRQA + irq_routes_pirq(slot, pin));
            bytes_put16(entry + 3 + 3 * pin, (uint16_t)CHOICES);
        }
        /* The slot number at offset 14 stays 0: everything is on the board. */
    }
    out[31] = bytes_checksum(out, TABLE_SIZE);
    return TABLE_SIZE;
}

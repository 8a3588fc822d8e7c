/*
 * The small services: INT 11h (equipment), 12h (memory), 14h (serial), 17h (printer), 1Ah (time,
 * PCI). Source: IBM BIOS Interface Technical Reference.
 */
#include "fw/rom/bda.h"
#include "fw/rom/parts.h"

#define SERIAL_TRIES   50000
#define SERIAL_TIMEOUT 0x80

void int11(struct regs *r)
{
    r->ax = bda_read16(BDA_EQUIPMENT);
}

void int12(struct regs *r)
{
    r->ax = bda_read16(BDA_MEMORY_KIB);
}

static void serial_status(struct regs *r, uint16_t port)
{
    r->ah = inb((uint16_t)(port + 5));
    r->al = inb((uint16_t)(port + 6));
}

/* Waits until a line status bit is set; false when it never is. */
static bool serial_wait(uint16_t port, uint8_t bit)
{
    for (uint16_t i = 0; i < SERIAL_TRIES; i++) {
        if (inb((uint16_t)(port + 5)) & bit)
            return true;
    }
    return false;
}

static void serial_setup(uint16_t port, uint8_t settings)
{
    static const uint16_t divisors[8] = {1047, 768, 384, 192, 96, 48, 24, 12};
    uint16_t divisor = divisors[settings >> 5];

    outb((uint16_t)(port + 3), 0x80);
    outb(port, (uint8_t)divisor);
    outb((uint16_t)(port + 1), (uint8_t)(divisor >> 8));
    outb((uint16_t)(port + 3), settings & 0x1f);
    outb((uint16_t)(port + 1), 0);
}

void int14(struct regs *r)
{
    uint16_t port = r->dx < 4 ? bda_read16((uint16_t)(BDA_COM_PORTS + 2 * r->dx)) : 0;

    if (!port)
        return;
    switch (r->ah) {
    case 0x00:
        serial_setup(port, r->al);
        serial_status(r, port);
        break;
    case 0x01:
        if (serial_wait(port, 0x20)) {
            outb(port, r->al);
            r->ah = inb((uint16_t)(port + 5));
        } else {
            r->ah = SERIAL_TIMEOUT;
        }
        break;
    case 0x02:
        if (serial_wait(port, 0x01)) {
            r->ah = inb((uint16_t)(port + 5)) & 0x1e;
            r->al = inb(port);
        } else {
            r->ah = SERIAL_TIMEOUT;
        }
        break;
    case 0x03: serial_status(r, port); break;
    default: break;
    }
}

/* No printer: time-out, not selected. */
void int17(struct regs *r)
{
    r->ah = 0x01;
}

void int1a(struct regs *r)
{
    if (r->ah == 0xb1)
        pci_services(r);
    else
        rtc_services(r);
}

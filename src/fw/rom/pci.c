/*
 * PCI at POST: BARs, interrupt routing and enable bits for the functions of bus 0. Bridges to
 * further buses are left alone. Register addresses of the south bridge are the PIIX3's (Intel
 * 82371SB data sheet).
 */
#include "mem/layout.h"
#include "fw/rom/parts.h"
#include "fw/rom/pci.h"

#define IO_BASE 0xc000
#define IO_END  0xf000

#define COMMAND_IO     0x1
#define COMMAND_MEMORY 0x2
#define COMMAND_MASTER 0x4

#define PIIX_ISA_BRIDGE 0x70008086 /* vendor and device */
#define PIIX_ROUTES     0x60       /* in the ISA bridge: PIRQA-PIRQD */
#define PIIX_ROUTE_NONE 0x80
#define PIIX_IDE_TIM                                                                               \
    0x40 /* in the IDE function: bit 15 of a channel's word lets its ports decode */
#define PIIX4_PMBASE 0x40
#define PIIX4_PMMISC 0x80

struct windows {
    uint32_t io, memory; /* next free address of each */
};

static const uint8_t route_irqs[4] = {LAYOUT_PIRQ_IRQS};

uint16_t pci_next(uint16_t bdf)
{
    for (; bdf < 256; bdf++) {
        uint16_t vendor = pci_read16(bdf, PCI_VENDOR);

        if (vendor != 0xffff && vendor != 0)
            return bdf;
        if ((bdf & 7) == 0)
            bdf |= 7; /* no function 0: no device */
    }
    return 256;
}

/* After a function: skips to the next device unless this one says that it has several functions. */
static uint16_t pci_after(uint16_t bdf)
{
    if ((bdf & 7) == 0 && !(pci_read8(bdf, PCI_HEADER) & 0x80))
        return (uint16_t)(bdf + 8);
    return (uint16_t)(bdf + 1);
}

/* The board's swizzle: INTA of device 1 is PIRQA, each further device shifts by one. */
uint8_t pci_irq_of(uint16_t bdf, uint8_t pin)
{
    uint8_t device = bdf >> 3 & 31;

    return route_irqs[(device + 3 + pin - 1) & 3];
}

/* One BAR; returns how many registers it takes. */
static uint8_t assign_bar(struct windows *w, uint16_t bdf, uint8_t offset, uint16_t *enable)
{
    uint32_t old = pci_read32(bdf, offset);
    bool io = old & 1;
    uint32_t mask = io ? ~3u : ~15u;
    uint8_t registers = !io && (old & 6) == 4 ? 2 : 1;

    pci_write32(bdf, offset, 0xffffffff);
    uint32_t size = ~(pci_read32(bdf, offset) & mask) + 1;
    if (io)
        size &= 0xffff;
    if (!size) {
        pci_write32(bdf, offset, old);
        return registers;
    }
    uint32_t *next = io ? &w->io : &w->memory;
    uint32_t at = old & mask;
    if (!at) {
        at = (*next + size - 1) & ~(size - 1);
        if (at < *next || at + size < at || at + size > (io ? IO_END : LAYOUT_PCI_MMIO_END)) {
            pci_write32(bdf, offset, old); /* no room: stays off */
            return registers;
        }
        *next = at + size;
    }
    pci_write32(bdf, offset, at | (old & ~mask));
    if (registers == 2)
        pci_write32(bdf, (uint8_t)(offset + 4), 0);
    *enable |= io ? COMMAND_IO : COMMAND_MEMORY;
    return registers;
}

static void init_function(struct windows *w, uint16_t bdf)
{
    uint16_t enable = 0;
    uint16_t class = (uint16_t)(pci_read32(bdf, PCI_CLASS) >> 16);
    uint32_t id = pci_read32(bdf, PCI_VENDOR);
    uint8_t pin = pci_read8(bdf, PCI_IRQ_PIN);

    if (class == 0x0600 || class == 0x0601 || (pci_read8(bdf, PCI_HEADER) & 0x7f) != 0)
        return; /* bridges */
    for (uint8_t i = 0; i < 6;)
        i = (uint8_t)(i + assign_bar(w, bdf, (uint8_t)(PCI_BAR0 + 4 * i), &enable));
    if (class >> 8 == 3)
        enable |= COMMAND_IO | COMMAND_MEMORY; /* a VGA has fixed addresses as well */
    if (id == 0x70108086) {
        pci_write32(bdf, PIIX_IDE_TIM, 0x80008000);
        enable |= COMMAND_IO;
    }
    if (id == 0x71138086) {
        pci_write32(bdf, PIIX4_PMBASE, LAYOUT_PM_BASE | 1);
        pci_write8(bdf, PIIX4_PMMISC, 1);
        pci_write8(bdf, PCI_IRQ_LINE, LAYOUT_IRQ_SCI);
    } else if (pin >= 1 && pin <= 4) {
        pci_write8(bdf, PCI_IRQ_LINE, pci_irq_of(bdf, pin));
    }
    if (enable)
        pci_write16(bdf, PCI_COMMAND, pci_read16(bdf, PCI_COMMAND) | enable | COMMAND_MASTER);
}

/* A reset leaves PIRQA unrouted; pci_init routes it. */
bool pci_initialized(void)
{
    uint16_t bdf = pci_next(0);

    while (bdf < 256 && pci_read32(bdf, PCI_VENDOR) != PIIX_ISA_BRIDGE)
        bdf = pci_next(pci_after(bdf));
    return bdf < 256 && !(pci_read8(bdf, PIIX_ROUTES) & PIIX_ROUTE_NONE);
}

void pci_init(void)
{
    struct windows w = {.io = IO_BASE, .memory = (uint32_t)LAYOUT_PCI_MMIO_BASE};

    for (uint16_t bdf = pci_next(0); bdf < 256; bdf = pci_next(pci_after(bdf))) {
        if (pci_read32(bdf, PCI_VENDOR) == PIIX_ISA_BRIDGE) {
            for (uint8_t i = 0; i < 4; i++)
                pci_write8(bdf, (uint8_t)(PIIX_ROUTES + i), route_irqs[i]);
        }
        init_function(&w, bdf);
    }
}

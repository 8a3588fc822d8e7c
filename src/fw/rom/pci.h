/*
 * PCI configuration space by mechanism 1. An address is bus << 8 | device << 3 | function, as BX
 * has it in the PCI BIOS. Source: PCI Local Bus Specification 3.0, 3.2.2.3.2.
 */
#ifndef UMBRA_FW_ROM_PCI_H
#define UMBRA_FW_ROM_PCI_H

#include "fw/rom/rom.h"

#define PCI_VENDOR   0x00
#define PCI_DEVICE   0x02
#define PCI_COMMAND  0x04
#define PCI_CLASS    0x08 /* dword: class, subclass, interface, revision */
#define PCI_HEADER   0x0e
#define PCI_BAR0     0x10
#define PCI_IRQ_LINE 0x3c
#define PCI_IRQ_PIN  0x3d

static inline uint16_t pci_select(uint16_t bdf, uint8_t offset)
{
    outl(0xcf8, 0x80000000u | (uint32_t)bdf << 8 | (offset & 0xfc));
    return (uint16_t)(0xcfc + (offset & 3));
}

static inline uint8_t pci_read8(uint16_t bdf, uint8_t offset)
{
    return inb(pci_select(bdf, offset));
}

static inline uint16_t pci_read16(uint16_t bdf, uint8_t offset)
{
    return inw(pci_select(bdf, offset));
}

static inline uint32_t pci_read32(uint16_t bdf, uint8_t offset)
{
    return inl(pci_select(bdf, offset));
}

static inline void pci_write8(uint16_t bdf, uint8_t offset, uint8_t value)
{
    outb(pci_select(bdf, offset), value);
}

static inline void pci_write16(uint16_t bdf, uint8_t offset, uint16_t value)
{
    outw(pci_select(bdf, offset), value);
}

static inline void pci_write32(uint16_t bdf, uint8_t offset, uint32_t value)
{
    outl(pci_select(bdf, offset), value);
}

/* The next function of bus 0 that answers, from `bdf` on; 256 when there is none. */
uint16_t pci_next(uint16_t bdf);

/* The interrupt line that pin 1-4 (INTA-INTD) of a function is routed to. */
uint8_t pci_irq_of(uint16_t bdf, uint8_t pin);

#endif

/*
 * The PCI BIOS, INT 1Ah B1h, for 16-bit callers. The 32-bit entry (BIOS32) is not there.
 * Source: PCI BIOS Specification 2.1.
 */
#include "fw/rom/parts.h"
#include "fw/rom/pci.h"

#define PCI_NOT_SUPPORTED    0x81
#define PCI_BAD_VENDOR       0x83
#define PCI_DEVICE_NOT_FOUND 0x86
#define PCI_BAD_REGISTER     0x87

static void present(struct regs *r)
{
    r->al = 0x01;        /* mechanism 1 */
    r->bx = 0x0210;      /* version 2.10 */
    r->cl = 0;           /* last bus */
    r->edx = 0x20494350; /* "PCI " */
    r->edi = 0;
    regs_return(r, 0);
}

/* Finds the SI-th function whose dword at `offset`, shifted, equals `wanted`. */
static void find(struct regs *r, uint8_t offset, uint8_t shift, uint32_t wanted)
{
    uint16_t index = r->si;

    for (uint16_t bdf = pci_next(0); bdf < 256; bdf = pci_next((uint16_t)(bdf + 1))) {
        if ((bdf & 7) && !(pci_read8(bdf & 0xf8, PCI_HEADER) & 0x80))
            continue;
        if (pci_read32(bdf, offset) >> shift != wanted)
            continue;
        if (index-- == 0) {
            r->bx = bdf;
            regs_return(r, 0);
            return;
        }
    }
    regs_return(r, PCI_DEVICE_NOT_FOUND);
}

static void access(struct regs *r)
{
    uint8_t offset = (uint8_t)r->di;
    uint8_t width_mask = (uint8_t)((1 << ((r->al - 0x08) % 3)) - 1);

    if (r->di > 255 || (offset & width_mask)) {
        regs_return(r, PCI_BAD_REGISTER);
        return;
    }
    switch (r->al) {
    case 0x08: r->cl = pci_read8(r->bx, offset); break;
    case 0x09: r->cx = pci_read16(r->bx, offset); break;
    case 0x0a: r->ecx = pci_read32(r->bx, offset); break;
    case 0x0b: pci_write8(r->bx, offset, r->cl); break;
    case 0x0c: pci_write16(r->bx, offset, r->cx); break;
    default: pci_write32(r->bx, offset, r->ecx); break;
    }
    regs_return(r, 0);
}

void pci_services(struct regs *r)
{
    switch (r->al) {
    case 0x01: present(r); break;
    case 0x02:
        if (r->dx == 0xffff)
            regs_return(r, PCI_BAD_VENDOR);
        else
            find(r, PCI_VENDOR, 0, (uint32_t)r->cx << 16 | r->dx);
        break;
    case 0x03: find(r, PCI_CLASS, 8, r->ecx & 0xffffff); break;
    case 0x08:
    case 0x09:
    case 0x0a:
    case 0x0b:
    case 0x0c:
    case 0x0d: access(r); break;
    default: regs_return(r, PCI_NOT_SUPPORTED); break; /* 06h special cycle, 0Eh, 0Fh routing */
    }
}

/* What pci.c and pci_intx.c share: the host's state. For no other file. */
#ifndef UMBRA_DEV_PCI_INTERNAL_H
#define UMBRA_DEV_PCI_INTERNAL_H

#include "dev/pci.h"

#define PCI_FUNCTIONS 256 /* 32 slots of 8 */

struct pci_host_state {
    uint32_t address;         /* CF8h */
    uint8_t reset_control;    /* CF9h */
    uint8_t route[PCI_PIRQS]; /* ISA interrupt or PCI_ROUTE_NONE */
    bool pirq_level[PCI_PIRQS];
    bool isa_level[16];
};

struct pci_host {
    struct device device;
    struct bus *bus;
    struct pci_wiring wiring;
    struct pci_function *functions[PCI_FUNCTIONS]; /* by devfn */
    struct pci_host_state state;
};

/* Computes all levels anew and drives the lines that changed. */
void pci_intx_update(struct pci_host *host);

#endif

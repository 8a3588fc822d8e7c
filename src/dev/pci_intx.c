/*
 * INTx routing: function -> PIRQ -> ISA interrupt and I/O APIC input, each an OR of levels.
 * Everything is computed anew at each change: no count can go astray when a guest moves routes
 * while lines are up.
 */
#include "dev/pci_internal.h"

#include "base/assert.h"

/* What PIIX3's route register can't name: timer, keyboard, cascade, RTC and FPU are not PCI's. */
#define UNROUTABLE (BIT(0) | BIT(1) | BIT(2) | BIT(8) | BIT(13))

unsigned pci_pirq(unsigned slot, unsigned pin)
{
    return (slot + pin - 2) & 3;
}

/* The level after COMMAND's gate; STATUS shows it before the gate (PCI 3.0, 6.2.3). */
static bool function_level(struct pci_function *function)
{
    uint8_t pin = function->state.config[PCI_INTERRUPT_PIN];

    if (function->state.intx)
        function->state.config[PCI_STATUS] |= PCI_STATUS_INTX;
    else
        function->state.config[PCI_STATUS] &= (uint8_t)~PCI_STATUS_INTX;
    if (pin < 1 || pin > 4 ||
        (function->state.config[PCI_COMMAND + 1] & (PCI_COMMAND_INTX_OFF >> 8)))
        return false;
    return function->state.intx;
}

void pci_intx_update(struct pci_host *host)
{
    bool pirq[PCI_PIRQS] = {false};
    bool isa[16] = {false};

    for (unsigned devfn = 0; devfn < PCI_FUNCTIONS; devfn++) {
        struct pci_function *function = host->functions[devfn];

        if (function && function_level(function))
            pirq[pci_pirq(devfn >> 3, function->state.config[PCI_INTERRUPT_PIN])] = true;
    }
    for (unsigned i = 0; i < PCI_PIRQS; i++) {
        if (pirq[i] && host->state.route[i] != PCI_ROUTE_NONE)
            isa[host->state.route[i]] = true;
    }
    for (unsigned i = 0; i < PCI_PIRQS; i++) {
        if (pirq[i] != host->state.pirq_level[i])
            irq_set(&host->wiring.ioapic[i], pirq[i]);
        host->state.pirq_level[i] = pirq[i];
    }
    for (unsigned i = 0; i < 16; i++) {
        if (isa[i] != host->state.isa_level[i])
            irq_set(&host->wiring.isa[i], isa[i]);
        host->state.isa_level[i] = isa[i];
    }
}

void pci_function_set_irq(struct pci_function *function, bool level)
{
    if (function->state.intx == level)
        return;
    function->state.intx = level;
    if (function->host)
        pci_intx_update(function->host);
}

void pci_host_route(struct pci_host *host, unsigned pirq, unsigned irq)
{
    ASSERT(pirq < PCI_PIRQS, "there are four PIRQs");
    if (irq > 15 || (UNROUTABLE & BIT(irq)))
        irq = PCI_ROUTE_NONE;
    host->state.route[pirq] = (uint8_t)irq;
    pci_intx_update(host);
}

/*
 * PCI bus 0: configuration mechanism #1 (CF8h/CFCh), functions with their 256 bytes of
 * configuration space, base address registers that appear on the bus while COMMAND enables them,
 * and INTx routing through four PIRQ lines. Refuses bridges to other buses, 64-bit and prefetchable
 * BARs, MSI and expansion ROMs; a BAR that would overlap a claimed range stays unmapped, with a
 * trace event. Specification: PCI Local Bus Specification 3.0, 3.2.2.3.2 ("Software Generation of
 * Configuration Transactions"), chapter 6 ("Configuration Space"); Intel 82371SB (PIIX3) data
 * sheet, "PIRQx Route Control Registers" and "Reset Control Register".
 *
 * INTx of slot s (its pin INTA# = 1 .. INTD# = 4) arrives at PIRQ (s + pin - 2) & 3: INTA# of slot
 * 1 is PIRQA, as the PIRQ tables of PC firmware for the i440FX have it. pci_pirq() says it in code.
 *
 * A PIRQ is the OR of the functions on it. Each of its two ways out is a level:
 *   - irq line isa[n], n from the route register: the OR of the PIRQs routed to n. The host is the
 *     only driver of these 16 lines; where an ISA device shares the interrupt, the board ORs both.
 *   - irq line ioapic[0..3], if the board connects them: the PIRQ itself (inputs 16..19, by
 * custom). Lines are driven on changes only.
 *
 * Locking: the owner's machine lock is held around every call.
 */
#ifndef UMBRA_DEV_PCI_H
#define UMBRA_DEV_PCI_H

#include "base/irq.h"
#include "base/types.h"
#include "dev/bus.h"
#include "dev/device.h"

#define PCI_CONFIG_PORT  0xcf8 /* where a PC has it; CF9h, the reset control register, is inside */
#define PCI_CONFIG_PORTS 8

#define PCI_DEVFN(slot, function) ((uint8_t)((slot) << 3 | (function)))

#define PCI_CONFIG_BYTES 256
#define PCI_BARS         6
#define PCI_PIRQS        4
#define PCI_ROUTE_NONE   16 /* a PIRQ that no ISA interrupt carries */

/* The header of type 0: offsets. */
enum pci_register {
    PCI_VENDOR_ID = 0x00,
    PCI_DEVICE_ID = 0x02,
    PCI_COMMAND = 0x04,
    PCI_STATUS = 0x06,
    PCI_REVISION = 0x08,
    PCI_PROG_IF = 0x09,
    PCI_SUBCLASS = 0x0a,
    PCI_CLASS = 0x0b,
    PCI_HEADER_TYPE = 0x0e,
    PCI_BAR0 = 0x10,
    PCI_SUBSYSTEM_VENDOR = 0x2c,
    PCI_SUBSYSTEM_ID = 0x2e,
    PCI_INTERRUPT_LINE = 0x3c,
    PCI_INTERRUPT_PIN = 0x3d,
};

#define PCI_COMMAND_IO           0x0001
#define PCI_COMMAND_MEMORY       0x0002
#define PCI_COMMAND_MASTER       0x0004
#define PCI_COMMAND_INTX_OFF     0x0400
#define PCI_STATUS_INTX          0x0008
#define PCI_HEADER_MULTIFUNCTION 0x80

struct pci_host;

/* A window of a function; set up by pci_function_add_bar. */
struct pci_bar {
    enum bus_space space;
    uint32_t size; /* bytes, a power of two; 0: no such BAR */
    const struct bus_ops *ops;
    void *dev;
    bool mapped;
    bool refused;  /* enabled, but the range was taken */
    uint32_t base; /* while mapped */
};

struct pci_function_state {
    uint8_t config[PCI_CONFIG_BYTES];
    bool intx; /* what the function asks for, before COMMAND's gate */
};

/*
 * The base of every function, embedded in its owner. Fill it with pci_function_init, the
 * config_set functions and pci_function_add_bar, then register it.
 */
struct pci_function {
    struct device device;
    struct pci_host *host; /* once registered */
    uint8_t devfn;
    struct pci_function_state state;
    uint8_t writable[PCI_CONFIG_BYTES];   /* bits that a write stores */
    uint8_t clear_on_1[PCI_CONFIG_BYTES]; /* bits that writing a one clears */
    uint8_t at_reset[PCI_CONFIG_BYTES];   /* config as it was registered */
    struct pci_bar bars[PCI_BARS];
    /* NULL, or told after a write changed [offset, offset + width) and after a reset (whole). */
    void (*config_written)(struct pci_function *function, unsigned offset, unsigned width);
};

struct pci_identity {
    uint16_t vendor, device;
    uint8_t class_code, subclass, prog_if, revision;
};

/* What the board hands down. */
struct pci_wiring {
    struct irq_line isa[16];
    struct irq_line ioapic[PCI_PIRQS];
    void (*reset)(void *opaque, bool hard); /* NULL, or a reset asked for through CF9h */
    void *reset_opaque;
};

extern const struct bus_ops pci_host_ops; /* for PCI_CONFIG_PORTS ports */

/* Makes bus 0 without functions; BARs will appear on `bus` (not owned). NULL without memory. */
struct pci_host *pci_host_create(struct bus *bus, const struct pci_wiring *wiring);

/* Takes every function off the bus; they stay their owners', which may destroy them after. */
void pci_host_destroy(struct pci_host *host);

/*
 * The bridge's own state: what was loaded into the functions before it takes effect with it. A
 * function's is its `device`.
 */
const struct device *pci_host_device(const struct pci_host *host);

/* The function at a place, or NULL. */
struct pci_function *pci_host_function(const struct pci_host *host, uint8_t devfn);

/* All functions back to the state in which they were registered; PIRQs unrouted. */
void pci_host_reset(struct pci_host *host);

/* Makes an empty function with its identity and COMMAND, STATUS and interrupt line in place. */
void pci_function_init(struct pci_function *function, const struct pci_identity *identity);

/* Sets a register's reset value and its writable bits; width 1, 2 or 4, inside the space. */
void pci_function_set(struct pci_function *function, unsigned offset, unsigned width,
                      uint32_t value, uint32_t writable);

/* Adds a window: size a power of two, at least 4 (ports, at most 256) or 16 (memory). */
void pci_function_add_bar(struct pci_function *function, unsigned index, enum bus_space space,
                          uint32_t size, const struct bus_ops *ops, void *dev);

/* Puts it on the bus. Returns 0 or -EEXIST when the place is taken. */
int pci_function_register(struct pci_host *host, struct pci_function *function,
                          uint8_t devfn) must_check;

/* Unmaps its BARs, lowers its interrupt and takes it off the bus; harmless when it is on none. */
void pci_function_unregister(struct pci_function *function);

/* The function's INTx level; the pin is in its configuration space. */
void pci_function_set_irq(struct pci_function *function, bool level);

static inline bool pci_function_is_master(const struct pci_function *function)
{
    return function->state.config[PCI_COMMAND] & PCI_COMMAND_MASTER;
}

/* Configuration space by hand: what CF8h/CFCh do. Absent functions read as ones. */
uint32_t pci_config_read(struct pci_host *host, uint8_t devfn, unsigned offset, unsigned width);
void pci_config_write(struct pci_host *host, uint8_t devfn, unsigned offset, unsigned width,
                      uint32_t value);

/* The PIRQ (0..3) of a slot's pin (1..4). */
unsigned pci_pirq(unsigned slot, unsigned pin);

/* Routes a PIRQ to an ISA interrupt, or nowhere with PCI_ROUTE_NONE. */
void pci_host_route(struct pci_host *host, unsigned pirq, unsigned irq);

#endif

/*
 * The chipset on PCI bus 0: the i440FX host bridge (00.0), the PIIX3 ISA bridge (01.0) and the
 * PIIX4 power management function (01.3). The IDE function (01.1) is ide.h's. It holds
 * configuration space only: RAM shadowing is a callback, PIRQ routes go to the PCI host, the ports
 * of the power management function are a device of their own. Refuses SMM (its registers are
 * stored, no more). Specification: Intel 82441FX data sheet (PMC), "PAM - Programmable Attribute
 * Map Registers"; Intel 82371SB (PIIX3) data sheet, function 0; Intel 82371AB (PIIX4) data sheet,
 * function 3.
 *
 * DEVIATION: the power management block is enabled from reset on, at the board's base (PMREGMISC
 * reads as on), so that a guest without firmware finds it where ACPI says; PMBASE moves it as on
 * the chip. DEVIATION: subsystem 1AF4:1100 stands in every function, by which SeaBIOS knows that
 * fw_cfg is there; DEVACTB of 01.3 says that SMM is set up already, so that it does not wait for an
 * SMI.
 *
 * Locking: the owner's machine lock is held around every call.
 */
#ifndef UMBRA_DEV_I440FX_H
#define UMBRA_DEV_I440FX_H

#include "base/types.h"
#include "dev/pci.h"

#define I440FX_PAM_SEGMENTS 13

struct i440fx_options {
    uint16_t pm_base;  /* first port of the PM block at reset, a multiple of 64 */
    uint8_t sci_irq;   /* shown as 01.3's interrupt line */
    uint16_t smb_base; /* reset value of the SMBus base, config only; 0 for none */
    /*
     * NULL, or told of each PAM segment that changes: reads go to RAM (else to ROM), writes go to
     * RAM (else nowhere). Also called for all segments at reset.
     */
    void (*pam)(void *opaque, unsigned segment, bool read_ram, bool write_ram);
    void *pam_opaque;
    /* NULL, or told that PMBASE has moved; 0 means nowhere. Also called at reset, with pm_base. */
    void (*pm_moved)(void *opaque, uint16_t base);
    void *pm_opaque;
};

struct i440fx;

/* Makes the three functions and registers them on the host. NULL without memory or place. */
struct i440fx *i440fx_create(struct pci_host *host, const struct i440fx_options *options);

/* Before or after pci_host_destroy; NULL is harmless. */
void i440fx_destroy(struct i440fx *chipset);

/* The range of a PAM segment: 0 is F0000-FFFFF, 1..12 are 16 KiB each from C0000 on. */
void i440fx_pam_range(unsigned segment, uint32_t *base, uint32_t *size_bytes);

/* The subsystem that every function of this board carries (see DEVIATION above). */
void i440fx_set_subsystem(struct pci_function *function);

#endif

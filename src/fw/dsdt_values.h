/*
 * Plain numbers that src/fw/dsdt.asl needs: the ASL compiler knows no C. src/fw/acpi.c asserts at
 * compile time that those of the layout are the layout's.
 */
#ifndef UMBRA_FW_DSDT_VALUES_H
#define UMBRA_FW_DSDT_VALUES_H

#define DSDT_PCI_MMIO_BASE 0xc0000000
#define DSDT_PCI_MMIO_LAST 0xfebfffff
#define DSDT_PCI_MMIO_SIZE 0x3ec00000
#define DSDT_HPET_BASE     0xfed00000
#define DSDT_PM_BASE       0x600
#define DSDT_PM_GPE_BASE   0x620
#define DSDT_SMI_PORT      0xb2
#define DSDT_SLP_TYP_S5    0
#define DSDT_PVPANIC_PORT  0x505

#endif

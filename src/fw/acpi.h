/*
 * The ACPI tables: RSDP, RSDT, XSDT, FADT, FACS, MADT, HPET, WAET and the DSDT that src/fw/dsdt.asl
 * becomes. All addresses come from the physical layout.
 * It refuses: more processors than 8-bit APIC ids name, and hardware-reduced ACPI.
 * Specification: ACPI 6.4, chapter 5 (the FADT in its revision 4), IA-PC HPET 1.0a, WAET 1.0.
 */
#ifndef UMBRA_FW_ACPI_H
#define UMBRA_FW_ACPI_H

#include "base/types.h"

struct layout;

#define ACPI_RSDP_SIZE 36
#define ACPI_MAX_CPUS  255

struct acpi_config {
    const uint8_t *apic_ids; /* of each processor, the bootstrap processor's first */
    size_t cpu_count;        /* 1 to ACPI_MAX_CPUS */
    uint8_t ioapic_id;
    bool hpet; /* the board has one at LAYOUT_HPET_BASE */
};

struct acpi_tables {
    uint8_t *blob; /* for layout->acpi_base; owned, freed by acpi_fini */
    size_t len_bytes;
    uint8_t rsdp[ACPI_RSDP_SIZE]; /* for a 16-byte boundary in F0000h to FFFFFh or in the EBDA */
};

/*
 * Builds the tables. 0; -EINVAL (number of processors), -ENOSPC (the layout has no room for them:
 * a guest of some MiB; *out is then empty), -ENOMEM.
 */
int acpi_build(const struct layout *layout, const struct acpi_config *config,
               struct acpi_tables *out) must_check;
void acpi_fini(struct acpi_tables *tables);

#endif

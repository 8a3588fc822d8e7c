/*
 * THE physical layout. Slots, E820, the CMOS sizes, fw_cfg and ACPI all derive from this one table.
 *
 *   0 ................ 9D000  RAM            (EBDA above it: reserved, backed)
 *   A0000 ............ BFFFF  VGA window     (MMIO)
 *   C0000 ............ EFFFF  RAM, reserved  (option ROMs, shadow)
 *   F0000 ............ FFFFF  BIOS           (ROM; its alias ends at FFFFFFFF)
 *   100000 ........... low_end  RAM          (low_end <= 3 GiB; ACPI tables in its last pages)
 *   low_end .......... 4 GiB  hole: PCI windows, I/O APIC, HPET, local APIC, BIOS alias
 *   4 GiB ............ RAM that did not fit below
 */
#ifndef UMBRA_MEM_LAYOUT_H
#define UMBRA_MEM_LAYOUT_H

#include "base/types.h"

#define LAYOUT_EBDA_BASE     0x9d000 /* the BIOS keeps its data and its stack here */
#define LAYOUT_EBDA_SIZE     0x3000
#define LAYOUT_VGA_BASE      0xa0000
#define LAYOUT_VGA_SIZE      0x20000
#define LAYOUT_UPPER_BASE    0xc0000
#define LAYOUT_BIOS_BASE     0xf0000
#define LAYOUT_BIOS_SIZE     0x10000
#define LAYOUT_HIGH_BASE     0x100000
#define LAYOUT_HOLE_BASE     (3 * GIB) /* RAM below 4 GiB ends here at the latest */
#define LAYOUT_PCI_MMIO_BASE (3 * GIB)
#define LAYOUT_PCI_MMIO_END  0xfec00000
#define LAYOUT_IOAPIC_BASE   0xfec00000
#define LAYOUT_HPET_BASE     0xfed00000
#define LAYOUT_LAPIC_BASE    0xfee00000
#define LAYOUT_4G            (4 * GIB)
#define LAYOUT_ACPI_SIZE     0x20000 /* reserved at the end of low RAM for the ACPI tables */
#define LAYOUT_MIN_MEMORY    (1 * MIB)
#define LAYOUT_MAX_MEMORY    (1024 * GIB)

/* Port numbers and interrupt lines of the board, for the board and for ACPI. */
#define LAYOUT_PM_BASE          0x600 /* ACPI PM1a event/control block, PM timer at +8 */
#define LAYOUT_PM_GPE_BASE      0x620
#define LAYOUT_IRQ_SCI          9
#define LAYOUT_PIRQ_IRQS        10, 10, 11, 11 /* where the BIOS routes PCI's PIRQA to PIRQD */
#define LAYOUT_PM_SLP_TYP_S5    0 /* the sleep type of \_S5 in PM1 control, as the PIIX4 has it */
#define LAYOUT_SMI_PORT         0xb2 /* SMI command, data at +1 */
#define LAYOUT_SMI_ACPI_ENABLE  0xf1
#define LAYOUT_SMI_ACPI_DISABLE 0xf0
#define LAYOUT_RESET_PORT       0xcf9 /* 6 written here resets the board */
#define LAYOUT_RESET_VALUE      6

/* The kinds of INT 15h E820 (ACPI specification, "Address Range Types"). */
enum layout_kind {
    LAYOUT_RAM = 1,
    LAYOUT_RESERVED = 2,
    LAYOUT_ACPI = 3,
    LAYOUT_NVS = 4,
};

struct layout_range {
    gpa_t base;
    uint64_t size_bytes;
    enum layout_kind kind;
};

#define LAYOUT_MAX_RANGES 16

struct layout {
    uint64_t memory_bytes; /* what the user configured */
    uint64_t low_end;      /* end of RAM below 4 GiB */
    uint64_t high_end;     /* end of RAM above 4 GiB; 4 GiB when there is none */
    gpa_t acpi_base;       /* the ACPI tables' range below low_end */
    uint64_t acpi_size_bytes;
    struct layout_range e820[LAYOUT_MAX_RANGES]; /* rising, disjoint */
    size_t e820_count;
};

/*
 * Derives the layout from the configured memory. 0, or -EINVAL below LAYOUT_MIN_MEMORY, above
 * LAYOUT_MAX_MEMORY or not a multiple of the page size.
 */
int layout_init(struct layout *layout, uint64_t memory_bytes) must_check;

struct mem;

/* Adds the slots of the layout (RAM, the BIOS ROM and its alias are the loader's). 0 or -errno. */
int layout_add_slots(const struct layout *layout, struct mem *mem) must_check;

/* CMOS 15h-18h, 30h/31h, 34h/35h, 5Bh-5Dh: the sizes as a PC's BIOS finds them. */
void layout_fill_cmos(const struct layout *layout, uint8_t cmos[128]);

#endif

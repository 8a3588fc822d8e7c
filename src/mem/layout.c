/* The physical layout, from one number: the memory that the user configured. */
#include "mem/layout.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "mem/mem.h"

static void add_range(struct layout *layout, gpa_t base, gpa_t end, enum layout_kind kind)
{
    if (end <= base)
        return;
    ASSERT(layout->e820_count < LAYOUT_MAX_RANGES, "the layout's ranges fit its table");
    layout->e820[layout->e820_count++] = (struct layout_range){base, end - base, kind};
}

int layout_init(struct layout *layout, uint64_t memory_bytes)
{
    if (memory_bytes < LAYOUT_MIN_MEMORY || memory_bytes > LAYOUT_MAX_MEMORY ||
        memory_bytes % PAGE_SIZE != 0)
        return -EINVAL;

    memset(layout, 0, sizeof(*layout));
    layout->memory_bytes = memory_bytes;
    layout->low_end = MIN(memory_bytes, LAYOUT_HOLE_BASE);
    layout->high_end = LAYOUT_4G + (memory_bytes - layout->low_end);
    /* A guest of one MiB has no room for ACPI tables above it; it gets none. */
    layout->acpi_size_bytes =
        layout->low_end >= LAYOUT_HIGH_BASE + 2 * LAYOUT_ACPI_SIZE ? LAYOUT_ACPI_SIZE : 0;
    layout->acpi_base = layout->low_end - layout->acpi_size_bytes;

    add_range(layout, 0, LAYOUT_EBDA_BASE, LAYOUT_RAM);
    add_range(layout, LAYOUT_EBDA_BASE, LAYOUT_VGA_BASE, LAYOUT_RESERVED);
    add_range(layout, LAYOUT_BIOS_BASE, LAYOUT_HIGH_BASE, LAYOUT_RESERVED);
    add_range(layout, LAYOUT_HIGH_BASE, layout->acpi_base, LAYOUT_RAM);
    add_range(layout, layout->acpi_base, layout->low_end, LAYOUT_ACPI);
    add_range(layout, LAYOUT_IOAPIC_BASE, LAYOUT_IOAPIC_BASE + 0x1000, LAYOUT_RESERVED);
    add_range(layout, LAYOUT_LAPIC_BASE, LAYOUT_LAPIC_BASE + 0x1000, LAYOUT_RESERVED);
    add_range(layout, LAYOUT_4G - 4 * LAYOUT_BIOS_SIZE, LAYOUT_4G, LAYOUT_RESERVED);
    add_range(layout, LAYOUT_4G, layout->high_end, LAYOUT_RAM);
    return 0;
}

int layout_add_slots(const struct layout *layout, struct mem *mem)
{
    int err;

    err = mem_add_slot(mem, "low", 0, LAYOUT_VGA_BASE, MEM_SLOT_RAM);
    if (err)
        return err;
    err = mem_add_slot(mem, "upper", LAYOUT_UPPER_BASE, LAYOUT_BIOS_BASE - LAYOUT_UPPER_BASE,
                       MEM_SLOT_RAM);
    if (err)
        return err;
    if (layout->low_end > LAYOUT_HIGH_BASE) {
        err = mem_add_slot(mem, "main", LAYOUT_HIGH_BASE, layout->low_end - LAYOUT_HIGH_BASE,
                           MEM_SLOT_RAM);
        if (err)
            return err;
    }
    if (layout->high_end > LAYOUT_4G)
        err = mem_add_slot(mem, "high", LAYOUT_4G, layout->high_end - LAYOUT_4G, MEM_SLOT_RAM);
    return err;
}

static void put16(uint8_t *cmos, unsigned at, uint64_t value)
{
    cmos[at] = (uint8_t)value;
    cmos[at + 1] = (uint8_t)(value >> 8);
}

void layout_fill_cmos(const struct layout *layout, uint8_t cmos[128])
{
    uint64_t extended_kib = (layout->low_end - LAYOUT_HIGH_BASE) / KIB;
    uint64_t above_16m_64k =
        layout->low_end > 16 * MIB ? (layout->low_end - 16 * MIB) / (64 * KIB) : 0;
    uint64_t high_64k = (layout->high_end - LAYOUT_4G) / (64 * KIB);

    put16(cmos, 0x15, LAYOUT_VGA_BASE / KIB); /* the EBDA is the BIOS's to subtract */
    put16(cmos, 0x17, MIN(extended_kib, 0xfc00));
    put16(cmos, 0x30, MIN(extended_kib, 0xfc00));
    put16(cmos, 0x34, MIN(above_16m_64k, 0xffff));
    put16(cmos, 0x5b, high_64k);
    cmos[0x5d] = (uint8_t)(high_64k >> 16);
}

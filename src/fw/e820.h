/*
 * The fw_cfg file "etc/e820": the physical layout as firmware reads it, a packed array of entries.
 * Specification: ACPI 6.4, 15 "System Address Map Interfaces", without the extended attributes.
 */
#ifndef UMBRA_FW_E820_H
#define UMBRA_FW_E820_H

#include "base/types.h"
#include "mem/layout.h"

#define E820_FILE "etc/e820"

/* One range, little-endian, 20 bytes. */
struct e820_entry {
    uint64_t base;
    uint64_t size_bytes;
    uint32_t kind; /* enum layout_kind */
} __attribute__((packed));

_Static_assert(sizeof(struct e820_entry) == 20, "firmware reads entries of 20 bytes");

/* Writes the layout's ranges in their order; returns the number of bytes used. */
size_t e820_build(const struct layout *layout, struct e820_entry entries[LAYOUT_MAX_RANGES]);

#endif

/*
 * The MultiProcessor table: a floating pointer and the configuration table behind it, for guests
 * that know no ACPI or are told to ignore it. It lists processors, the ISA bus and PCI bus 0, the
 * I/O APIC and how interrupts reach it and the local APICs.
 * It refuses: PIC mode (the board is wired for virtual wire mode, there is no IMCR), and SMI and
 * ExtINT on the I/O APIC.
 * Specification: Intel MultiProcessor Specification 1.4, chapter 4.
 */
#ifndef UMBRA_FW_MPTABLE_H
#define UMBRA_FW_MPTABLE_H

#include "base/types.h"

struct mptable_config {
    const uint8_t *apic_ids; /* of each processor, the bootstrap processor's first */
    size_t cpu_count;
    uint32_t cpu_signature; /* EAX and EDX of CPUID leaf 1 */
    uint32_t cpu_features;
    uint8_t ioapic_id;
};

/*
 * Writes both tables to out, which the guest will see at gpa: 16-byte aligned, in F0000h to FFFFFh.
 * Returns their length in bytes; -EINVAL without processors, -ENOSPC when the room is too small.
 */
int mptable_build(const struct mptable_config *config, gpa_t gpa, uint8_t *out,
                  size_t room_bytes) must_check;

#endif

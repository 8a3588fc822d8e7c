/*
 * The SMBIOS tables: an entry point and the structures 0, 1, 3, 4, 16, 17, 19, 32 and 127 behind
 * it, so that a guest can name its machine and count its memory.
 * It refuses: the 64-bit entry point (all lies below 1 MiB), and memory devices as a real board has
 * them: all memory is one.
 * Specification: DMTF DSP0134, System Management BIOS 2.8.
 */
#ifndef UMBRA_FW_SMBIOS_H
#define UMBRA_FW_SMBIOS_H

#include "base/types.h"

struct layout;

struct smbios_config {
    size_t cpu_count;
    uint32_t cpu_signature; /* EAX and EDX of CPUID leaf 1 */
    uint32_t cpu_features;
    const char *cpu_vendor; /* CPUID leaf 0 as a text */
    const char *cpu_name;   /* the brand string */
    uint64_t cpu_hz;
};

/*
 * Writes entry point and structures to out, which the guest will see at gpa: 16-byte aligned, in
 * F0000h to FFFFFh. Returns their length in bytes; -EINVAL without processors, -ENOSPC when the
 * room is too small.
 */
int smbios_build(const struct layout *layout, const struct smbios_config *config, gpa_t gpa,
                 uint8_t *out, size_t room_bytes) must_check;

#endif

/*
 * Guest code that is built into the monitor: the BIOS of src/fw/rom and the guest of src/fw/demo.
 * The bytes are constant; whoever patches the RSDP into the BIOS (fw/boot.h) does so in a copy.
 */
#ifndef UMBRA_FW_ROM_IMAGE_H
#define UMBRA_FW_ROM_IMAGE_H

#include "base/types.h"

/* The BIOS image, for F0000h-FFFFFh and for the end of the first 4 GiB. *len gets its size, 64 KiB.
 */
const uint8_t *rom_image_data(size_t *len);

/* The embedded guest, a flat binary for 0000:7C00 (BOOT_FLAT). *len gets its size in bytes. */
const uint8_t *demo_image_data(size_t *len);

#endif

/*
 * Guest code as constant bytes. mk/rom.mk turns the linked images into the two lists that are
 * included here.
 */
#include "fw/rom_image.h"

#include "fw/boot.h"

static const uint8_t rom_bytes[] = {
#include "rom_bios.inc"
};

static const uint8_t demo_bytes[] = {
#include "rom_demo.inc"
};

_Static_assert(sizeof(rom_bytes) == BOOT_ROM_SIZE, "the BIOS fills F0000h-FFFFFh");

const uint8_t *rom_image_data(size_t *len)
{
    *len = sizeof(rom_bytes);
    return rom_bytes;
}

const uint8_t *demo_image_data(size_t *len)
{
    *len = sizeof(demo_bytes);
    return demo_bytes;
}

/*
 * Option ROMs between C8000h and EFFFFh: a signature, a length and a checksum make one; its entry
 * at offset 3 is called far. Source: Plug and Play BIOS Specification 1.0A, "Option ROM".
 */
#include "fw/rom/parts.h"

#define FIRST_SEGMENT 0xc800
#define END_SEGMENT   0xf000
#define STEP_SEGMENT  0x80 /* 2 KiB */

static bool checksum_right(uint16_t segment, uint16_t blocks)
{
    uint8_t sum = 0;

    for (uint16_t block = 0; block < blocks; block++) {
        for (uint16_t i = 0; i < 512; i++)
            sum = (uint8_t)(sum + far_read8((uint16_t)(segment + block * 32), i));
    }
    return sum == 0;
}

void optrom_run(void)
{
    uint16_t segment = FIRST_SEGMENT;

    while (segment < END_SEGMENT) {
        uint16_t blocks = far_read8(segment, 2);

        if (far_read16(segment, 0) != 0xaa55 || !blocks || segment + blocks * 32u > END_SEGMENT ||
            !checksum_right(segment, blocks)) {
            segment = (uint16_t)(segment + STEP_SEGMENT);
            continue;
        }
        rom_call_far(segment, 3);
        segment =
            (uint16_t)(segment + (blocks * 32 + STEP_SEGMENT - 1) / STEP_SEGMENT * STEP_SEGMENT);
    }
}

/*
 * The memory map behind INT 15h E820h and its elders. The map is the monitor's; without one, the
 * sizes in CMOS make a plain one.
 */
#include "fw/rom/parts.h"

#define KIND_RAM      1
#define KIND_RESERVED 2
#define MIB_1         0x100000u

struct memmap_entry memmap[MEMMAP_MAX];
uint8_t memmap_count;

static void add(uint64_t base, uint64_t size_bytes, uint32_t kind)
{
    memmap[memmap_count].base = base;
    memmap[memmap_count].size_bytes = size_bytes;
    memmap[memmap_count++].kind = kind;
}

static uint16_t cmos_word(uint8_t index)
{
    return (uint16_t)(cmos_read(index) | cmos_read((uint8_t)(index + 1)) << 8);
}

void memmap_use_cmos(void)
{
    uint32_t above_16m = (uint32_t)cmos_word(0x34) << 16; /* in 64 KiB */
    uint32_t above_1m = (uint32_t)cmos_word(0x30) << 10;  /* in KiB, 64 MiB at most */
    uint32_t low_end = above_16m ? 16 * MIB_1 + above_16m : MIB_1 + above_1m;

    if (memmap_count)
        return;
    add(0, (uint32_t)EBDA_SEGMENT * 16, KIND_RAM);
    add((uint32_t)EBDA_SEGMENT * 16, EBDA_BYTES, KIND_RESERVED);
    add(0xf0000, 0x10000, KIND_RESERVED);
    if (low_end > MIB_1)
        add(MIB_1, low_end - MIB_1, KIND_RAM);
}

uint32_t memmap_kib_above_1m(void)
{
    for (uint8_t i = 0; i < memmap_count; i++) {
        uint64_t end = memmap[i].base + memmap[i].size_bytes;

        if (memmap[i].kind != KIND_RAM || memmap[i].base > MIB_1 || end <= MIB_1)
            continue;
        if (end > 0xfffffc00u)
            end = 0xfffffc00u;
        return (uint32_t)(end - MIB_1) >> 10;
    }
    return 0;
}

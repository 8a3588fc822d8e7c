/*
 * What the monitor tells the BIOS, read from fw_cfg: the memory map and what to boot. The file
 * names and the record formats are QEMU's; the byte-wise interface is enough. Source: QEMU
 * docs/specs/fw_cfg.
 */
#include "fw/rom/parts.h"

#define FWCFG_SELECT    0x510
#define FWCFG_DATA      0x511
#define FWCFG_SIGNATURE 0x00
#define FWCFG_DIRECTORY 0x19
#define FWCFG_MAX_FILES 256 /* a bound on what a directory may claim */

struct fwcfg_file {
    uint32_t size_be;
    uint16_t select_be;
    uint16_t reserved;
    char name[56];
};

struct boot_info boot_info;

static void fwcfg_read(void *to, uint16_t bytes)
{
    uint8_t *p = to;

    while (bytes--)
        *p++ = inb(FWCFG_DATA);
}

static uint32_t be32(uint32_t v)
{
    return v >> 24 | (v >> 8 & 0xff00) | (v << 8 & 0xff0000) | v << 24;
}

static bool name_is(const char *name, const char *wanted)
{
    for (uint8_t i = 0; i < 56; i++) {
        if (name[i] != wanted[i])
            return false;
        if (!name[i])
            return true;
    }
    return false;
}

static void read_memory_map(uint32_t size_bytes)
{
    uint32_t count = size_bytes / sizeof(struct memmap_entry);

    memmap_count = count > MEMMAP_MAX ? MEMMAP_MAX : (uint8_t)count;
    fwcfg_read(memmap, (uint16_t)(memmap_count * sizeof(struct memmap_entry)));
}

static void read_boot_info(uint32_t size_bytes)
{
    if (size_bytes < sizeof(boot_info))
        return;
    fwcfg_read(&boot_info, sizeof(boot_info));
    if (boot_info.magic != BOOT_MAGIC || boot_info.version != BOOT_VERSION)
        mem_set(&boot_info, 0, sizeof(boot_info));
}

void fwcfg_init(void)
{
    char signature[4];
    uint32_t count;
    uint32_t map_size = 0, boot_size = 0;
    uint16_t map_select = 0, boot_select = 0;

    outw(FWCFG_SELECT, FWCFG_SIGNATURE);
    fwcfg_read(signature, sizeof(signature));
    if (!mem_equal(signature, "QEMU", 4))
        return;
    outw(FWCFG_SELECT, FWCFG_DIRECTORY);
    fwcfg_read(&count, sizeof(count));
    count = be32(count);
    for (uint16_t i = 0; i < count && i < FWCFG_MAX_FILES; i++) {
        struct fwcfg_file file;

        fwcfg_read(&file, sizeof(file));
        uint16_t select = (uint16_t)(file.select_be >> 8 | file.select_be << 8);
        if (name_is(file.name, "etc/e820")) {
            map_select = select;
            map_size = be32(file.size_be);
        } else if (name_is(file.name, BOOT_FILE)) {
            boot_select = select;
            boot_size = be32(file.size_be);
        }
    }
    if (map_select) {
        outw(FWCFG_SELECT, map_select);
        read_memory_map(map_size);
    }
    if (boot_select) {
        outw(FWCFG_SELECT, boot_select);
        read_boot_info(boot_size);
    }
}

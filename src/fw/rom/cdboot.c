/*
 * Booting from a CD by El Torito: no emulation, or a floppy or hard disk image shown as drive 00h
 * or 80h. The monitor has parsed and checked the catalogue; its answer is in boot_info. Source: El
 * Torito Bootable CD-ROM Format Specification 1.0, INT 13h 4Ah-4Dh.
 */
#include "fw/rom/bda.h"
#include "fw/rom/disk.h"
#include "fw/rom/parts.h"

#define SECTORS_BLOCK 4 /* 512-byte sectors in a block */

struct specification {
    uint8_t size_bytes;
    uint8_t media;
    uint8_t drive;
    uint8_t controller;
    uint32_t image_lba;
    uint16_t device;
    uint16_t buffer_segment;
    uint16_t load_segment;
    uint16_t sector_count;
    uint8_t cylinders_low;
    uint8_t sectors_cylinders;
    uint8_t heads;
} __attribute__((packed));

_Static_assert(sizeof(struct specification) == 0x13, "El Torito, figure 7");

static bool emulating;

static uint16_t load_segment(void)
{
    return boot_info.load_segment ? boot_info.load_segment : 0x7c0;
}

/* The image's geometry: by its medium for floppies, by its partition table for hard disks. */
static bool set_emulated_geometry(void)
{
    static const uint8_t sectors[4] = {0, 15, 18, 36};
    uint8_t media = boot_info.media;
    struct drive *d = &emulated_drive;

    if (media <= BOOT_MEDIA_FLOPPY_2880K) {
        d->sectors = sectors[media];
        d->heads = 2;
        d->cylinders = 80;
        d->total_blocks = 160u * d->sectors;
        return true;
    }
    /* The end of the first partition gives heads and sectors; its last sector, the size. */
    uint8_t entry[16];
    uint16_t segment = load_segment();

    far_copy_in(entry, segment, 446, sizeof(entry));
    d->heads = (uint16_t)(entry[5] + 1);
    d->sectors = entry[6] & 0x3f;
    d->cylinders = (uint16_t)((entry[7] | (entry[6] & 0xc0) << 2) + 1);
    d->total_blocks = (uint32_t)d->cylinders * d->heads * d->sectors;
    return d->sectors != 0 && far_read16(segment, 510) == 0xaa55;
}

static void show_emulated(void)
{
    emulated_drive.device = BOOT_DISK_CD;
    emulated_drive.present = 1;
    emulated_drive.emulated = 1;
    emulated_drive.flags = BOOT_DISK_FLAG_READ_ONLY;
    emulated_drive.block_bytes = 512;
    emulated_drive.start = boot_info.image_lba * SECTORS_BLOCK;
    if (boot_info.media == BOOT_MEDIA_HARD_DISK) {
        emulated_number = 0x80;
        bda_write8(BDA_DISK_COUNT, (uint8_t)(bda_read8(BDA_DISK_COUNT) + 1));
    } else {
        emulated_number = 0;
        floppy_use_parameters(&emulated_drive);
        bda_write16(BDA_EQUIPMENT, bda_read16(BDA_EQUIPMENT) | 1);
    }
    emulating = true;
}

bool disk_start_cd(void)
{
    struct launch launch = {.ss = 0, .sp = 0x7c00, .flags = FLAG_IF, .eax = 0xaa55};
    uint32_t blocks = (boot_info.sector_count + SECTORS_BLOCK - 1u) / SECTORS_BLOCK;
    uint32_t gpa = (uint32_t)load_segment() * 16;

    if (!cd_drive.present || !blocks || boot_info.media > BOOT_MEDIA_HARD_DISK)
        return false;
    if (gpa < 0x600 || gpa + blocks * 2048 > (uint32_t)EBDA_SEGMENT * 16)
        return false; /* it would overwrite the BIOS's own data */
    if (disk_transfer(&cd_drive, BOOT_DISK_READ, boot_info.image_lba, blocks, gpa) != BOOT_DISK_OK)
        return false;
    launch.edx = BOOT_DRIVE_CDROM;
    if (boot_info.media != BOOT_MEDIA_NONE) {
        if (!set_emulated_geometry())
            return false;
        show_emulated();
        launch.edx = emulated_number;
    }
    /* 7C0:0 is entered as 0:7C00, which is what boot sectors are written for. */
    if (gpa == 0x7c00)
        launch.ip = 0x7c00;
    else
        launch.cs = load_segment();
    rom_enter_real(&launch);
}

/* 4B00h ends the emulation, 4B01h only tells. False: not a call about a CD that was booted. */
bool cd_emulation_status(struct regs *r)
{
    uint8_t number = emulating ? emulated_number : BOOT_DRIVE_CDROM;
    struct specification s;

    if (r->al > 1 || !boot_info.sector_count || !cd_drive.present)
        return false;
    if (r->dl != number && r->dl != 0x7f)
        return false;
    mem_set(&s, 0, sizeof(s));
    s.size_bytes = sizeof(s);
    s.media = boot_info.media;
    s.drive = number;
    s.image_lba = boot_info.image_lba;
    s.load_segment = boot_info.load_segment;
    s.sector_count = boot_info.sector_count;
    if (emulating) {
        uint16_t last = (uint16_t)(emulated_drive.cylinders - 1);

        s.cylinders_low = (uint8_t)last;
        s.sectors_cylinders = (uint8_t)((last >> 2 & 0xc0) | emulated_drive.sectors);
        s.heads = (uint8_t)(emulated_drive.heads - 1);
    }
    far_copy_out(r->ds, r->si, &s, sizeof(s));
    if (r->al == 0 && emulating) {
        emulating = false;
        emulated_drive.present = 0;
        if (emulated_number == 0x80)
            bda_write8(BDA_DISK_COUNT, (uint8_t)(bda_read8(BDA_DISK_COUNT) - 1));
    }
    regs_return(r, 0);
    return true;
}

/*
 * The floppy drive 00h: the first disk, when its size is that of a floppy or the monitor says that
 * it is one, and a CD's emulated floppy. What a program sees of it follows the medium: geometry,
 * type, and the diskette parameter table of INT 1Eh. Where an image ends before its medium does,
 * the rest of the medium reads as zeroes and can't be written. DEVIATION: there is no floppy
 * controller behind it, and none in CMOS; only INT 13h reaches it. Source: IBM BIOS Interface
 * Technical Reference, INT 13h 08h, and "Diskette parameter table".
 */
#include "fw/rom/bda.h"
#include "fw/rom/disk.h"
#include "fw/rom/parts.h"

#define MAX_CYLINDERS 1024
#define SECTORS_288   72 /* of a cylinder */

struct medium {
    uint16_t total_blocks;
    uint8_t cylinders, heads, sectors;
    uint8_t type;            /* of the drive that it goes into, as 08h tells it */
    uint8_t gap, format_gap; /* between sectors, for reading and for formatting */
};

/* 160 to 360 KB are all for the drive of the first PCs. */
static const struct medium media[] = {
    {320, 40, 1, 8, 1, 0x2a, 0x50},   {360, 40, 1, 9, 1, 0x2a, 0x50},
    {640, 40, 2, 8, 1, 0x2a, 0x50},   {720, 40, 2, 9, 1, 0x2a, 0x50},
    {1440, 80, 2, 9, 3, 0x2a, 0x50},  {2400, 80, 2, 15, 2, 0x1b, 0x54},
    {2880, 80, 2, 18, 4, 0x1b, 0x6c}, {5760, 80, 2, 36, 6, 0x1b, 0x53},
};

#define MEDIA      (sizeof(media) / sizeof(media[0]))
#define MEDIUM_144 (MEDIA - 2)
#define MEDIUM_288 (MEDIA - 1)

uint8_t floppy_parameters[11];

static const struct medium *medium_of(const struct drive *drive)
{
    for (uint8_t i = 0; i < MEDIA; i++) {
        const struct medium *m = &media[i];

        if (m->cylinders == drive->cylinders && m->heads == drive->heads &&
            m->sectors == drive->sectors)
            return m;
    }
    return &media[MEDIUM_288]; /* as its larger kin below */
}

uint8_t floppy_type(const struct drive *drive)
{
    return medium_of(drive)->type;
}

void floppy_use_parameters(const struct drive *drive)
{
    const struct medium *m = medium_of(drive);

    far_copy_in(floppy_parameters, ROM_SEGMENT, ROM_OFFSET(rom_diskette_table),
                sizeof(floppy_parameters));
    floppy_parameters[4] = (uint8_t)drive->sectors;
    floppy_parameters[5] = m->gap;
    floppy_parameters[7] = m->format_gap;
    far_write16(0, 0x1e * 4, (uint16_t)(uintptr_t)floppy_parameters);
    far_write16(0, 0x1e * 4 + 2, EBDA_SEGMENT);
}

/*
 * The smallest of 1.44 and 2.88 MB that holds an image of another size, which programs written
 * together "for a floppy" count on; then 2.88 MB with more cylinders.
 */
static void set_geometry(struct drive *drive)
{
    const struct medium *m = &media[MEDIUM_144];
    uint32_t cylinders;

    for (uint8_t i = 0; i < MEDIA; i++) {
        if (drive->total_blocks == media[i].total_blocks)
            m = &media[i];
    }
    if (drive->total_blocks > m->total_blocks)
        m = &media[MEDIUM_288];
    drive->heads = m->heads;
    drive->sectors = m->sectors;
    drive->cylinders = m->cylinders;
    if (drive->total_blocks <= m->total_blocks)
        return;
    cylinders = MAX_CYLINDERS;
    if (drive->total_blocks < MAX_CYLINDERS * SECTORS_288)
        cylinders = ((uint32_t)drive->total_blocks + SECTORS_288 - 1) / SECTORS_288;
    drive->cylinders = (uint16_t)cylinders;
}

static bool has_size_of_floppy(const struct drive *disk)
{
    for (uint8_t i = 0; i < MEDIA; i++) {
        if (disk->total_blocks == media[i].total_blocks)
            return true;
    }
    return false;
}

bool floppy_take(struct drive *disk)
{
    if (!disk->present || !(boot_info.flags & BOOT_FLAG_FLOPPY || has_size_of_floppy(disk)))
        return false;
    floppy_drive = *disk;
    set_geometry(&floppy_drive);
    floppy_use_parameters(&floppy_drive);
    disk->present = 0;
    bda_write16(BDA_EQUIPMENT, bda_read16(BDA_EQUIPMENT) | 1);
    return true;
}

uint32_t floppy_blocks(void)
{
    return (uint32_t)floppy_drive.cylinders * floppy_drive.heads * floppy_drive.sectors;
}

uint32_t floppy_read_blank(uint64_t lba, uint32_t count, uint32_t gpa)
{
    static const uint8_t zeroes[512];
    uint32_t image_has = 0;

    if (lba >= floppy_blocks() || count > floppy_blocks() - lba)
        return 0; /* an error, later */
    if (lba < floppy_drive.total_blocks) {
        uint64_t left = floppy_drive.total_blocks - lba;

        image_has = left < count ? (uint32_t)left : count;
    }
    for (uint32_t i = image_has; i < count; i++)
        rom_flat_copy(gpa + i * 512, near_to_gpa(zeroes), 512);
    return count - image_has;
}

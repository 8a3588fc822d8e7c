/*
 * The pages of IDENTIFY DEVICE and IDENTIFY PACKET DEVICE: 256 little-endian words, from a table
 * of what is fixed and a few lines for what is not. ATA-6, 8.15 and 8.16.
 */
#include "dev/ide_internal.h"

#include <stdio.h>
#include <string.h>

#define WORD_CYLINDERS 1
#define WORD_HEADS     3
#define WORD_SECTORS   6
#define WORD_SERIAL    10 /* 20 characters */
#define WORD_FIRMWARE  23 /* 8 */
#define WORD_MODEL     27 /* 40 */
#define WORD_CURRENT   54 /* cylinders, heads, sectors, capacity (2) */
#define WORD_MULTIPLE  59
#define WORD_LBA28     60
#define WORD_MWDMA     63
#define WORD_ENABLED   85
#define WORD_UDMA      88
#define WORD_LBA48     100

#define MAX_LBA28 0x0fffffff

struct fixed {
    uint8_t word;
    uint16_t value;
};

static const struct fixed disk_words[] = {
    {0, 0x0040},                     /* an ATA device, not removable */
    {47, 0x8000 | IDE_MAX_MULTIPLE}, /* sectors of a DRQ block at most */
    {49, 0x0f00},                    /* DMA, LBA, IORDY */
    {50, 0x4000},
    {51, 0x0200}, /* PIO mode 2 as the slowest */
    {53, 0x0007}, /* words 54-58, 64-70 and 88 hold */
    {64, 0x0003}, /* PIO modes 3 and 4 */
    {65, 120},
    {66, 120},
    {67, 120},
    {68, 120},    /* cycle times, ns */
    {80, 0x0070}, /* ATA/ATAPI-4, 5 and 6 */
    {82, 0x0028}, /* write cache, power management */
    {83, 0x7400}, /* FLUSH CACHE (EXT), 48-bit addresses */
    {84, 0x4000},
    {86, 0x3400}, /* what of words 83 and 84 is on */
    {87, 0x4000},
    {93, 0x600b}, /* the reset found an 80-wire cable */
};

static const struct fixed cdrom_words[] = {
    {0, 0x85c0},  /* ATAPI CD-ROM, removable, DRQ within 50 us, packets of 12 bytes */
    {49, 0x0f00}, /* DMA, LBA, IORDY */
    {50, 0x4000}, {51, 0x0200}, {53, 0x0006}, {64, 0x0003}, {65, 120},
    {66, 120},    {67, 120},    {68, 120},    {80, 0x0070}, {82, 0x0210}, /* DEVICE RESET, PACKET */
    {83, 0x4000}, {84, 0x4000}, {85, 0x0210}, {87, 0x4000}, {93, 0x600b},
};

static void put(uint8_t *page, unsigned word, uint64_t value)
{
    page[2 * word] = (uint8_t)value;
    page[2 * word + 1] = (uint8_t)(value >> 8);
}

/* Words, least significant first. */
static void put_words(uint8_t *page, unsigned word, unsigned count, uint64_t value)
{
    for (unsigned i = 0; i < count; i++)
        put(page, word + i, value >> (16 * i));
}

/* Text has the first character of each pair in the upper byte, and is padded with spaces. */
static void put_text(uint8_t *page, unsigned word, unsigned chars, const char *text)
{
    size_t len = strlen(text);

    for (unsigned i = 0; i < chars; i++)
        page[2 * word + (i ^ 1)] = (uint8_t)(i < len ? text[i] : ' ');
}

static void put_fixed(uint8_t *page, const struct fixed *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        put(page, rows[i].word, rows[i].value);
}

static void put_names(uint8_t *page, const struct ide_drive *drive, const char *model)
{
    char serial[21];

    snprintf(serial, sizeof(serial), "UMBRA-%u%u", drive->channel->number, drive->unit);
    put_text(page, WORD_SERIAL, 20, serial);
    put_text(page, WORD_FIRMWARE, 8, "1");
    put_text(page, WORD_MODEL, 40, model);
}

/* The modes that the drive has, and in the upper byte the one that SET FEATURES chose. */
static void put_modes(uint8_t *page, const struct ide_drive *drive)
{
    uint16_t chosen = (uint16_t)(0x100 << (drive->state.transfer_mode & 7));

    put(page, WORD_MWDMA, 0x0007 | (drive->state.transfer_mode >> 3 == 4 ? chosen : 0));
    put(page, WORD_UDMA, 0x003f | (drive->state.transfer_mode >> 3 == 8 ? chosen : 0));
}

/* The signature and the sum that makes the 512 bytes add up to 0. */
static void put_checksum(uint8_t *page)
{
    uint8_t sum = 0xa5;

    for (unsigned i = 0; i < IDE_SECTOR_BYTES - 2; i++)
        sum = (uint8_t)(sum + page[i]);
    page[510] = 0xa5;
    page[511] = (uint8_t)-sum;
}

void ide_identify_disk(const struct ide_drive *drive, uint8_t page[IDE_SECTOR_BYTES])
{
    uint64_t total = ide_total_sectors(drive);
    unsigned cylinders, heads, sectors;

    memset(page, 0, IDE_SECTOR_BYTES);
    put_fixed(page, disk_words, ARRAY_SIZE(disk_words));
    put_names(page, drive, "UMBRA HARDDISK");
    ide_default_geometry(drive, &cylinders, &heads, &sectors);
    put(page, WORD_CYLINDERS, cylinders);
    put(page, WORD_HEADS, heads);
    put(page, WORD_SECTORS, sectors);
    put(page, WORD_CURRENT, drive->state.cylinders);
    put(page, WORD_CURRENT + 1, drive->state.heads);
    put(page, WORD_CURRENT + 2, drive->state.sectors);
    put_words(page, WORD_CURRENT + 3, 2,
              (uint64_t)drive->state.cylinders * drive->state.heads * drive->state.sectors);
    put(page, WORD_MULTIPLE, drive->state.multiple ? 0x100 | drive->state.multiple : 0);
    put_words(page, WORD_LBA28, 2, MIN(total, (uint64_t)MAX_LBA28));
    put_modes(page, drive);
    put(page, WORD_ENABLED, drive->state.write_cache ? 0x0028 : 0x0008);
    put_words(page, WORD_LBA48, 4, total);
    put_checksum(page);
}

void ide_identify_cdrom(const struct ide_drive *drive, uint8_t page[IDE_SECTOR_BYTES])
{
    memset(page, 0, IDE_SECTOR_BYTES);
    put_fixed(page, cdrom_words, ARRAY_SIZE(cdrom_words));
    put_names(page, drive, "UMBRA CD-ROM");
    put_modes(page, drive);
    put_checksum(page);
}

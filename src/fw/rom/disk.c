/*
 * Drives and their blocks. The monitor's disk port does the transfer into the caller's memory; only
 * the sectors of a CD's emulated disk, four to a block, go through a buffer here. floppy.c has what
 * is particular to drive 00h.
 */
#include "fw/rom/bda.h"
#include "fw/rom/disk.h"
#include "fw/rom/parts.h"

#define CD_BLOCK      2048
#define SECTORS_BLOCK 4

struct drive hard_disks[DISK_MAX], cd_drive, emulated_drive, floppy_drive;
uint8_t emulated_number;
bool disk_lets_interrupts_in;

static uint8_t bounce[CD_BLOCK];
static uint8_t parameter_tables[2][16]; /* INT 41h and 46h */

/*
 * The request stands on the stack: where the caller lets interrupts in, one of their handlers may
 * come here again.
 */
static uint16_t submit(uint8_t device, uint8_t command, uint64_t lba, uint32_t count, uint32_t gpa)
{
    struct boot_disk_request request;

    mem_set(&request, 0, sizeof(request));
    request.magic = BOOT_DISK_MAGIC;
    request.drive = device;
    request.command = command;
    request.status = BOOT_DISK_NO_DRIVE;
    request.count = count;
    request.lba = lba;
    request.buffer_gpa = gpa;
    outl(BOOT_DISK_PORT, near_to_gpa(&request));
    while (inl(BOOT_DISK_PORT) == BOOT_DISK_PENDING) {
        if (disk_lets_interrupts_in)
            rom_let_interrupts_in();
    }
    /* The device has written the status into memory behind the compiler's back. */
    return *(volatile uint16_t *)&request.status;
}

static uint16_t read_emulated(struct drive *drive, uint64_t lba, uint32_t count, uint32_t gpa)
{
    uint32_t cached = 0xffffffff;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t sector = drive->start + (uint32_t)lba + i;

        if (sector / SECTORS_BLOCK != cached) {
            uint16_t status = submit(BOOT_DISK_CD, BOOT_DISK_READ, sector / SECTORS_BLOCK, 1,
                                     near_to_gpa(bounce));
            if (status != BOOT_DISK_OK)
                return status;
            cached = sector / SECTORS_BLOCK;
        }
        rom_flat_copy(gpa + i * 512, near_to_gpa(bounce) + sector % SECTORS_BLOCK * 512, 512);
    }
    return BOOT_DISK_OK;
}

uint16_t disk_transfer(struct drive *drive, enum boot_disk_command command, uint64_t lba,
                       uint32_t count, uint32_t gpa)
{
    if (drive == &floppy_drive && command == BOOT_DISK_READ) {
        uint32_t blank = floppy_read_blank(lba, count, gpa);

        if (blank && blank == count)
            return BOOT_DISK_OK;
        count -= blank;
    }
    if (lba >= drive->total_blocks || count > drive->total_blocks - lba)
        return BOOT_DISK_OUT_OF_RANGE;
    if (command == BOOT_DISK_WRITE && (drive->flags & BOOT_DISK_FLAG_READ_ONLY))
        return BOOT_DISK_READ_ONLY;
    if (count == 0)
        return BOOT_DISK_OK;
    if (drive->emulated)
        return read_emulated(drive, lba, count, gpa);
    return submit(drive->device, (uint8_t)command, lba, count, gpa);
}

uint8_t disk_code(uint16_t status)
{
    switch (status) {
    case BOOT_DISK_OK: return DISK_OK;
    case BOOT_DISK_NO_DRIVE: return DISK_TIMEOUT;
    case BOOT_DISK_OUT_OF_RANGE: return DISK_NOT_FOUND;
    case BOOT_DISK_READ_ONLY: return DISK_WRITE_PROTECT;
    case BOOT_DISK_BAD_REQUEST: return DISK_BAD_COMMAND;
    default: return DISK_CONTROLLER;
    }
}

/* A hard disk emulated from the CD takes 80h; the real ones move up by one. */
struct drive *disk_find(uint8_t number)
{
    struct drive *drive = NULL;

    if (emulated_drive.present && number == emulated_number)
        return &emulated_drive;
    if (emulated_drive.present && emulated_number == 0x80 && number > 0x80)
        number--;
    if (number == 0)
        drive = &floppy_drive;
    else if (number == BOOT_DRIVE_CDROM)
        drive = &cd_drive;
    else if (number >= 0x80 && number < 0x80 + DISK_MAX)
        drive = &hard_disks[number - 0x80];
    return drive && drive->present ? drive : NULL;
}

/*
 * The geometry to show. 16383/16/63 is what an ATA disk says when it is too large for CHS: heads
 * grow instead (the "LBA-assisted translation" of the Phoenix EDD specification), so that 1024
 * cylinders reach 8 GiB.
 */
static void set_geometry(struct drive *drive, const struct boot_disk_info *info)
{
    uint32_t heads = info->heads, sectors = info->sectors, cylinders = info->cylinders;

    if (!heads || heads > 255 || !sectors || sectors > 63 || !cylinders || cylinders > 1024) {
        uint32_t tracks;

        sectors = 63;
        tracks =
            drive->total_blocks > 0xffffffff ? 0xffffffff / 63 : (uint32_t)drive->total_blocks / 63;
        heads = 16;
        while (heads < 255 && tracks / heads > 1024)
            heads = heads == 128 ? 255 : heads * 2;
        cylinders = tracks / heads;
        if (cylinders > 1024)
            cylinders = 1024;
        if (!cylinders)
            cylinders = 1;
    }
    drive->heads = (uint16_t)heads;
    drive->sectors = (uint16_t)sectors;
    drive->cylinders = (uint16_t)cylinders;
}

static void probe(struct drive *drive, uint8_t device)
{
    struct boot_disk_info info;

    mem_set(&info, 0, sizeof(info));
    if (submit(device, BOOT_DISK_INFO, 0, 1, near_to_gpa(&info)) != BOOT_DISK_OK)
        return;
    drive->device = device;
    drive->present = 1;
    drive->flags = (uint8_t)info.flags;
    drive->block_bytes = (uint16_t)info.block_size_bytes;
    drive->total_blocks = info.total_blocks;
    set_geometry(drive, &info);
}

/* The fixed disk parameter table of INT 41h and 46h, in the EBDA. */
static void set_parameter_table(uint8_t index)
{
    const struct drive *drive = &hard_disks[index];
    uint8_t *table = parameter_tables[index];
    uint16_t vector = index ? 0x46 * 4 : 0x41 * 4;

    if (!drive->present)
        return;
    table[0] = (uint8_t)drive->cylinders;
    table[1] = (uint8_t)(drive->cylinders >> 8);
    table[2] = (uint8_t)drive->heads;
    table[8] = drive->heads > 8 ? 0x08 : 0;
    table[14] = (uint8_t)drive->sectors;
    far_write16(0, vector, (uint16_t)(uintptr_t)table);
    far_write16(0, (uint16_t)(vector + 2), EBDA_SEGMENT);
}

void disk_init(void)
{
    uint8_t count = 0;

    for (uint8_t i = 0; i < DISK_MAX; i++) {
        probe(&hard_disks[i], i);
        if (!hard_disks[i].present || (i == 0 && floppy_take(&hard_disks[0])))
            break;
        count++;
    }
    probe(&cd_drive, BOOT_DISK_CD);
    set_parameter_table(0);
    set_parameter_table(1);
    bda_write8(BDA_DISK_COUNT, count);
}

uint8_t disk_read_boot_sector(uint8_t *number)
{
    struct drive *drive;

    *number = floppy_drive.present ? 0 : BOOT_DRIVE_HARD_DISK;
    drive = disk_find(*number);
    if (!drive)
        return DISK_TIMEOUT;
    return disk_code(disk_transfer(drive, BOOT_DISK_READ, 0, 1, 0x7c00));
}

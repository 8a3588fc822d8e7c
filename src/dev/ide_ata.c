/*
 * ATA commands of a disk, by a table of 256 rows: what runs, and how its address and count are to
 * be read. A command without a row is aborted. ATA-6, chapter 8 ("Command descriptions").
 */
#include "dev/ide_internal.h"

#include "base/trace.h"

#define EXT      0x01 /* 48-bit address, 16-bit count */
#define TO_DRIVE 0x02 /* the guest writes */
#define DMA      0x04
#define MULTIPLE 0x08 /* DRQ blocks of SET MULTIPLE's size */

#define MAX_LBA28 0x0fffffff

struct command {
    void (*run)(struct ide_drive *drive, unsigned flags);
    uint8_t flags;
};

uint64_t ide_total_sectors(const struct ide_drive *drive)
{
    return block_size_bytes(block_queue_image(drive->image)) / IDE_SECTOR_BYTES;
}

/* The default translation: 16 heads, 63 sectors, at most 16383 cylinders (ATA-6, 6.2.1). */
void ide_default_geometry(const struct ide_drive *drive, unsigned *cylinders, unsigned *heads,
                          unsigned *sectors)
{
    uint64_t all = ide_total_sectors(drive) / (16 * 63);

    *cylinders = (unsigned)MAX((uint64_t)1, MIN(all, (uint64_t)16383));
    *heads = 16;
    *sectors = 63;
}

static uint32_t count_of(const struct ide_drive *drive, unsigned flags)
{
    uint32_t count = drive->state.now.count;

    if (flags & EXT) {
        count |= (uint32_t)drive->state.previous.count << 8;
        return count ? count : 65536;
    }
    return count ? count : 256;
}

/* The first sector of a command; false for a sector number that no translation has. */
static bool lba_of(const struct ide_drive *drive, unsigned flags, uint64_t *lba)
{
    const struct ide_taskfile *now = &drive->state.now, *previous = &drive->state.previous;
    uint32_t low = now->low | (uint32_t)now->mid << 8 | (uint32_t)now->high << 16;
    unsigned head = drive->state.device & 0x0f;

    if (flags & EXT) {
        uint32_t high =
            previous->low | (uint32_t)previous->mid << 8 | (uint32_t)previous->high << 16;

        *lba = (uint64_t)high << 24 | low;
        return true;
    }
    if (drive->state.device & IDE_DEVICE_LBA) {
        *lba = (uint32_t)head << 24 | low;
        return true;
    }
    if (now->low == 0 || now->low > drive->state.sectors || head >= drive->state.heads)
        return false;
    *lba =
        ((now->mid | (uint64_t)now->high << 8) * drive->state.heads + head) * drive->state.sectors +
        now->low - 1;
    return true;
}

/* Writes an address into the task file, in the form that the command's own address had. */
static void put_lba(struct ide_drive *drive, unsigned flags, uint64_t lba)
{
    drive->state.now.low = (uint8_t)lba;
    drive->state.now.mid = (uint8_t)(lba >> 8);
    drive->state.now.high = (uint8_t)(lba >> 16);
    if (flags & EXT) {
        drive->state.previous.low = (uint8_t)(lba >> 24);
        drive->state.previous.mid = (uint8_t)(lba >> 32);
        drive->state.previous.high = (uint8_t)(lba >> 40);
    } else {
        drive->state.device = (uint8_t)((drive->state.device & 0xf0) | ((lba >> 24) & 0x0f));
    }
}

/* Checks the range of a command; fails the command when it does not lie on the disk. */
static bool range_of(struct ide_drive *drive, unsigned flags, uint64_t *lba, uint32_t *count)
{
    uint64_t total = ide_total_sectors(drive);

    *count = count_of(drive, flags);
    if (lba_of(drive, flags, lba) && *lba < total && *count <= total - *lba) {
        trace(ide_command, drive->channel->number, drive->unit, drive->state.command, *lba, *count);
        return true;
    }
    ide_fail(drive, IDE_ERROR_IDNF);
    return false;
}

static void run_transfer(struct ide_drive *drive, unsigned flags)
{
    uint64_t lba;
    uint32_t count;

    if ((flags & MULTIPLE) && drive->state.multiple == 0) {
        ide_fail(drive, IDE_ERROR_ABRT);
        return;
    }
    if (!range_of(drive, flags, &lba, &count))
        return;
    if ((flags & TO_DRIVE) && block_read_only(block_queue_image(drive->image))) {
        ide_fail(drive, IDE_ERROR_ABRT);
        return;
    }
    drive->state.from_image = true;
    drive->state.to_drive = flags & TO_DRIVE;
    drive->state.image_offset = lba * IDE_SECTOR_BYTES;
    drive->state.left = (uint64_t)count * IDE_SECTOR_BYTES;
    drive->state.drq_bytes =
        (flags & MULTIPLE ? drive->state.multiple : 1) * (size_t)IDE_SECTOR_BYTES;
    if (flags & DMA)
        ide_begin_dma(drive);
    else if (flags & TO_DRIVE)
        ide_begin_pio_out(drive);
    else
        ide_begin_pio_in(drive);
}

static void run_verify(struct ide_drive *drive, unsigned flags)
{
    uint64_t lba;
    uint32_t count;

    if (range_of(drive, flags, &lba, &count))
        ide_complete(drive);
}

static void run_seek(struct ide_drive *drive, unsigned flags)
{
    uint64_t lba;

    if (lba_of(drive, flags, &lba) && lba < ide_total_sectors(drive))
        ide_complete(drive);
    else
        ide_fail(drive, IDE_ERROR_IDNF);
}

static void run_nothing(struct ide_drive *drive, unsigned flags)
{
    ide_complete(drive);
}

static void run_identify(struct ide_drive *drive, unsigned flags)
{
    ide_identify_disk(drive, drive->state.buffer);
    drive->state.from_image = false;
    drive->state.left = drive->state.drq_bytes = IDE_SECTOR_BYTES;
    ide_begin_pio_in(drive);
}

void ide_ata_flushed(struct ide_drive *drive, int err)
{
    if (err)
        ide_fail(drive, IDE_ERROR_ABRT);
    else
        ide_complete(drive);
}

static void run_flush(struct ide_drive *drive, unsigned flags)
{
    ide_flush(drive);
}

/* INITIALIZE DEVICE PARAMETERS: another translation of CHS addresses. */
static void run_set_geometry(struct ide_drive *drive, unsigned flags)
{
    unsigned heads = (drive->state.device & 0x0f) + 1u, sectors = drive->state.now.count;
    uint64_t cylinders;

    if (sectors == 0) {
        ide_fail(drive, IDE_ERROR_ABRT);
        return;
    }
    cylinders = ide_total_sectors(drive) / (heads * sectors);
    drive->state.cylinders = (unsigned)MAX((uint64_t)1, MIN(cylinders, (uint64_t)65535));
    drive->state.heads = heads;
    drive->state.sectors = sectors;
    ide_complete(drive);
}

static void run_set_multiple(struct ide_drive *drive, unsigned flags)
{
    unsigned sectors = drive->state.now.count;

    if (sectors > IDE_MAX_MULTIPLE || (sectors & (sectors - 1))) {
        ide_fail(drive, IDE_ERROR_ABRT);
        return;
    }
    drive->state.multiple = sectors;
    ide_complete(drive);
}

/* Whether a drive of ours has a transfer mode: PIO 0-4, multiword DMA 0-2, Ultra DMA 0-5. */
static bool mode_exists(uint8_t mode)
{
    switch (mode >> 3) {
    case 0: return mode <= 1;
    case 1: return (mode & 7) <= 4;
    case 4: return (mode & 7) <= 2;
    case 8: return (mode & 7) <= 5;
    default: return false;
    }
}

static void run_set_features(struct ide_drive *drive, unsigned flags)
{
    switch (drive->state.now.feature) {
    case 0x02: drive->state.write_cache = true; break;
    case 0x82: /* what the cache holds goes to the disk first (ATA-6, "Enable/disable write cache")
                */
        drive->state.write_cache = false;
        ide_flush(drive);
        return;
    case 0x03:
        if (!mode_exists(drive->state.now.count)) {
            ide_fail(drive, IDE_ERROR_ABRT);
            return;
        }
        drive->state.transfer_mode = drive->state.now.count;
        break;
    case 0x55: /* look-ahead off, on */
    case 0xaa:
    case 0x66: /* keep settings over a reset, or don't */
    case 0xcc: break;
    default: ide_fail(drive, IDE_ERROR_ABRT); return;
    }
    ide_complete(drive);
}

static void run_check_power(struct ide_drive *drive, unsigned flags)
{
    drive->state.now.count = 0xff; /* active or idle: a file does not spin down */
    ide_complete(drive);
}

static void run_native_max(struct ide_drive *drive, unsigned flags)
{
    uint64_t last = ide_total_sectors(drive) - 1;

    if (!(drive->state.device & IDE_DEVICE_LBA)) {
        ide_fail(drive, IDE_ERROR_ABRT);
        return;
    }
    put_lba(drive, flags, flags & EXT ? last : MIN(last, (uint64_t)MAX_LBA28));
    ide_complete(drive);
}

static const struct command commands[256] = {
    [0x10 ... 0x1f] = {run_nothing, 0}, /* RECALIBRATE */
    [0x20] = {run_transfer, 0},         /* READ SECTORS, with retries and without */
    [0x21] = {run_transfer, 0},
    [0x24] = {run_transfer, EXT},       /* READ SECTORS EXT */
    [0x25] = {run_transfer, EXT | DMA}, /* READ DMA EXT */
    [0x27] = {run_native_max, EXT},     /* READ NATIVE MAX ADDRESS EXT */
    [0x29] = {run_transfer, EXT | MULTIPLE},
    [0x30] = {run_transfer, TO_DRIVE}, /* WRITE SECTORS */
    [0x31] = {run_transfer, TO_DRIVE},
    [0x34] = {run_transfer, TO_DRIVE | EXT},
    [0x35] = {run_transfer, TO_DRIVE | EXT | DMA},
    [0x39] = {run_transfer, TO_DRIVE | EXT | MULTIPLE},
    [0x40] = {run_verify, 0}, /* READ VERIFY SECTORS */
    [0x41] = {run_verify, 0},
    [0x42] = {run_verify, EXT},
    [0x70 ... 0x7f] = {run_seek, 0}, /* SEEK */
    [0x91] = {run_set_geometry, 0},
    [0x94 ... 0x97] = {run_nothing, 0}, /* STANDBY IMMEDIATE .. IDLE, the old numbers */
    [0x98] = {run_check_power, 0},
    [0x99] = {run_nothing, 0},         /* SLEEP */
    [0xc4] = {run_transfer, MULTIPLE}, /* READ MULTIPLE */
    [0xc5] = {run_transfer, TO_DRIVE | MULTIPLE},
    [0xc6] = {run_set_multiple, 0},
    [0xc8] = {run_transfer, DMA}, /* READ DMA, with retries and without */
    [0xc9] = {run_transfer, DMA},
    [0xca] = {run_transfer, TO_DRIVE | DMA},
    [0xcb] = {run_transfer, TO_DRIVE | DMA},
    [0xe0 ... 0xe3] = {run_nothing, 0}, /* STANDBY IMMEDIATE, IDLE IMMEDIATE, STANDBY, IDLE */
    [0xe5] = {run_check_power, 0},
    [0xe6] = {run_nothing, 0}, /* SLEEP */
    [0xe7] = {run_flush, 0},   /* FLUSH CACHE */
    [0xea] = {run_flush, EXT},
    [0xec] = {run_identify, 0}, /* IDENTIFY DEVICE */
    [0xef] = {run_set_features, 0},
    [0xf8] = {run_native_max, 0}, /* READ NATIVE MAX ADDRESS */
};

void ide_ata_execute(struct ide_drive *drive, uint8_t command)
{
    const struct command *row = &commands[command];

    if (row->run)
        row->run(drive, row->flags);
    else
        ide_fail(drive, IDE_ERROR_ABRT);
}

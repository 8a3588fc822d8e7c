/* The BIOS's disk port: one request, copied once, checked, then carried out in bounded pieces. */
#include "dev/biosdisk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/trace.h"

#define REG_REQUEST 0
#define PIECE_BYTES (64 * KIB) /* bounce buffer; a multiple of both block sizes */

struct biosdisk {
    struct mem *mem;
    struct block *disks[BIOSDISK_MAX_DISKS];
    struct block *cds[BIOSDISK_MAX_CDS];
    uint32_t status; /* of the last request */
    uint8_t piece[PIECE_BYTES];
};

/* A drive as a request names it. */
struct drive {
    struct block *image;
    uint32_t block_size_bytes;
    uint64_t total_blocks;
    bool read_only, cd;
};

struct biosdisk *biosdisk_create(struct mem *mem)
{
    struct biosdisk *disk = calloc(1, sizeof(*disk));

    if (disk)
        disk->mem = mem;
    return disk;
}

void biosdisk_destroy(struct biosdisk *disk)
{
    free(disk);
}

int biosdisk_attach(struct biosdisk *disk, unsigned index, bool cd, struct block *image)
{
    if (index >= (cd ? BIOSDISK_MAX_CDS : BIOSDISK_MAX_DISKS))
        return -EINVAL;
    if (cd)
        disk->cds[index] = image;
    else
        disk->disks[index] = image;
    return 0;
}

void biosdisk_reset(struct biosdisk *disk)
{
    disk->status = BIOSDISK_OK;
}

void biosdisk_geometry(uint64_t total_sectors, struct biosdisk_info *info)
{
    static const uint32_t heads[] = {16, 32, 64, 128, 255};
    uint64_t cylinders = 1;

    info->sectors = 63;
    for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
        info->heads = heads[i];
        cylinders = total_sectors / (heads[i] * 63);
        if (cylinders <= 1024)
            break;
    }
    info->cylinders = (uint32_t)MAX((uint64_t)1, MIN(cylinders, (uint64_t)1024));
}

static bool find_drive(const struct biosdisk *disk, unsigned number, struct drive *drive)
{
    drive->cd = number >= BIOSDISK_CD;
    if (drive->cd && number - BIOSDISK_CD < BIOSDISK_MAX_CDS)
        drive->image = disk->cds[number - BIOSDISK_CD];
    else if (!drive->cd && number < BIOSDISK_MAX_DISKS)
        drive->image = disk->disks[number];
    else
        drive->image = NULL;
    if (!drive->image)
        return false;
    drive->block_size_bytes = drive->cd ? BIOSDISK_CD_BLOCK : BIOSDISK_DISK_BLOCK;
    drive->total_blocks = block_size_bytes(drive->image) / drive->block_size_bytes;
    drive->read_only = drive->cd || block_read_only(drive->image);
    return true;
}

static enum biosdisk_status answer_info(struct biosdisk *disk, const struct drive *drive,
                                        gpa_t buffer_gpa)
{
    struct biosdisk_info info = {
        .total_blocks = drive->total_blocks,
        .block_size_bytes = drive->block_size_bytes,
        .flags =
            (drive->read_only ? BIOSDISK_FLAG_READ_ONLY : 0) | (drive->cd ? BIOSDISK_FLAG_CD : 0),
    };

    biosdisk_geometry(block_size_bytes(drive->image) / BIOSDISK_DISK_BLOCK, &info);
    return mem_write(disk->mem, buffer_gpa, &info, sizeof(info)) ? BIOSDISK_OK
                                                                 : BIOSDISK_BAD_REQUEST;
}

/* One piece between image and guest memory, through the bounce buffer. */
static enum biosdisk_status move_piece(struct biosdisk *disk, struct block *image, bool write,
                                       uint64_t offset, gpa_t gpa, size_t len)
{
    if (write) {
        if (!mem_read(disk->mem, gpa, disk->piece, len))
            return BIOSDISK_BAD_REQUEST;
        return block_write(image, offset, disk->piece, len) ? BIOSDISK_IO_ERROR : BIOSDISK_OK;
    }
    if (block_read(image, offset, disk->piece, len))
        return BIOSDISK_IO_ERROR;
    return mem_write(disk->mem, gpa, disk->piece, len) ? BIOSDISK_OK : BIOSDISK_BAD_REQUEST;
}

static enum biosdisk_status transfer(struct biosdisk *disk, const struct drive *drive,
                                     const struct biosdisk_request *request)
{
    bool write = request->command == BIOSDISK_WRITE;
    uint64_t offset, left;

    if (request->count > BIOSDISK_MAX_BLOCKS)
        return BIOSDISK_BAD_REQUEST;
    if (request->lba > drive->total_blocks || request->count > drive->total_blocks - request->lba)
        return BIOSDISK_OUT_OF_RANGE;
    if (write && drive->read_only)
        return BIOSDISK_READ_ONLY;
    offset = request->lba * drive->block_size_bytes;
    left = (uint64_t)request->count * drive->block_size_bytes;
    if (request->buffer_gpa + left < request->buffer_gpa)
        return BIOSDISK_BAD_REQUEST;
    for (gpa_t gpa = request->buffer_gpa; left;) {
        size_t len = (size_t)MIN(left, PIECE_BYTES);
        enum biosdisk_status status = move_piece(disk, drive->image, write, offset, gpa, len);

        if (status != BIOSDISK_OK)
            return status;
        gpa += len;
        offset += len;
        left -= len;
    }
    return BIOSDISK_OK;
}

static enum biosdisk_status execute(struct biosdisk *disk, const struct biosdisk_request *request)
{
    struct drive drive;

    if (request->magic != BIOSDISK_MAGIC)
        return BIOSDISK_BAD_REQUEST;
    if (!find_drive(disk, request->drive, &drive))
        return BIOSDISK_NO_DRIVE;
    switch (request->command) {
    case BIOSDISK_READ:
    case BIOSDISK_WRITE: return transfer(disk, &drive, request);
    case BIOSDISK_INFO: return answer_info(disk, &drive, request->buffer_gpa);
    case BIOSDISK_FLUSH: return block_flush(drive.image) ? BIOSDISK_IO_ERROR : BIOSDISK_OK;
    default: return BIOSDISK_BAD_REQUEST;
    }
}

static uint64_t read_register(void *dev, uint64_t offset, unsigned width)
{
    const struct biosdisk *disk = dev;

    if (offset != REG_REQUEST || width != 4)
        return UINT64_MAX;
    return disk->status;
}

static void write_register(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    struct biosdisk_request request = {0};
    struct biosdisk *disk = dev;
    uint16_t status;

    if (offset != REG_REQUEST || width != 4)
        return;
    if (!mem_read(disk->mem, value, &request, sizeof(request))) {
        disk->status = BIOSDISK_BAD_REQUEST;
        return;
    }
    status = (uint16_t)execute(disk, &request);
    trace(biosdisk_request, request.drive, request.command, request.lba, request.count, status);
    disk->status = status;
    /* What lacks the magic is not a request: nothing is written there. */
    if (request.magic == BIOSDISK_MAGIC)
        mem_write(disk->mem, value + offsetof(struct biosdisk_request, status), &status,
                  sizeof(status));
}

const struct bus_ops biosdisk_ops = {read_register, write_register, 4};

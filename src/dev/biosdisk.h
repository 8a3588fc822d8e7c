/*
 * The disk port of our own BIOS: a port device by which INT 13h asks the monitor for disk blocks.
 * A request of 32 bytes stands in guest memory; writing its address to register 0 starts it.
 * Register 0 reads as BIOSDISK_PENDING until it is done, and then as its status, which is also
 * written into the request. A request that comes while another is under way waits for it, and takes
 * the place of one that waits already. Refuses accesses that are not 32 bits wide, and more than
 * BIOSDISK_MAX_BLOCKS in one request.
 * Specification: this header. The ROM holds the same layout (src/fw/boot.h).
 *
 * Locking: the owner's machine lock is held around every call.
 */
#ifndef UMBRA_DEV_BIOSDISK_H
#define UMBRA_DEV_BIOSDISK_H

#include "base/types.h"
#include "dev/backend/block_queue.h"
#include "dev/bus.h"
#include "dev/device.h"
#include "mem/mem.h"

#define BIOSDISK_PORT       0x5550 /* where our BIOS looks for it */
#define BIOSDISK_PORTS      8
#define BIOSDISK_MAGIC      0x31444255 /* "UBD1" */
#define BIOSDISK_CD         0x10       /* drive number of the first CD-ROM; disks count from 0 */
#define BIOSDISK_MAX_DISKS  4
#define BIOSDISK_MAX_CDS    2
#define BIOSDISK_MAX_BLOCKS 65536
#define BIOSDISK_DISK_BLOCK 512
#define BIOSDISK_CD_BLOCK   2048

enum biosdisk_command {
    BIOSDISK_READ = 0,
    BIOSDISK_WRITE = 1,
    BIOSDISK_INFO = 2, /* a struct biosdisk_info to buffer_gpa */
    BIOSDISK_FLUSH = 3,
};

enum biosdisk_status {
    BIOSDISK_OK = 0,
    BIOSDISK_NO_DRIVE = 1,
    BIOSDISK_OUT_OF_RANGE = 2,
    BIOSDISK_IO_ERROR = 3,
    BIOSDISK_READ_ONLY = 4,
    BIOSDISK_BAD_REQUEST = 5, /* no magic, unknown command, too long, or not in guest memory */
    BIOSDISK_PENDING = 6,     /* register 0 only: the request is under way */
};

/* In guest memory, little-endian. */
struct biosdisk_request {
    uint32_t magic;
    uint8_t drive;
    uint8_t command;
    uint16_t status; /* out */
    uint32_t count;  /* blocks: 512 bytes of a disk, 2048 of a CD-ROM */
    uint32_t reserved;
    uint64_t lba; /* in the same blocks */
    uint64_t buffer_gpa;
};

_Static_assert(offsetof(struct biosdisk_request, drive) == 4, "shared with the ROM");
_Static_assert(offsetof(struct biosdisk_request, command) == 5, "shared with the ROM");
_Static_assert(offsetof(struct biosdisk_request, status) == 6, "shared with the ROM");
_Static_assert(offsetof(struct biosdisk_request, count) == 8, "shared with the ROM");
_Static_assert(offsetof(struct biosdisk_request, lba) == 16, "shared with the ROM");
_Static_assert(offsetof(struct biosdisk_request, buffer_gpa) == 24, "shared with the ROM");
_Static_assert(sizeof(struct biosdisk_request) == 32, "shared with the ROM");

#define BIOSDISK_FLAG_READ_ONLY 1
#define BIOSDISK_FLAG_CD        2

/* The answer to BIOSDISK_INFO, little-endian. The geometry is the one INT 13h shall show. */
struct biosdisk_info {
    uint64_t total_blocks;
    uint32_t block_size_bytes;
    uint32_t flags;
    uint32_t cylinders;
    uint32_t heads;
    uint32_t sectors;
    uint32_t reserved;
};

_Static_assert(offsetof(struct biosdisk_info, block_size_bytes) == 8, "shared with the ROM");
_Static_assert(offsetof(struct biosdisk_info, cylinders) == 16, "shared with the ROM");
_Static_assert(sizeof(struct biosdisk_info) == 32, "shared with the ROM");

struct biosdisk;

extern const struct bus_ops biosdisk_ops;

/* Makes the device over guest memory (not owned). NULL without memory. */
struct biosdisk *biosdisk_create(struct mem *mem);

/* After the queues of the images have been stopped; NULL is harmless. */
void biosdisk_destroy(struct biosdisk *disk);

/* Saved with its request, which is begun again when it is loaded; not the images. */
const struct device *biosdisk_device(const struct biosdisk *disk);

/*
 * Shows an image (not owned) as hard disk `index`, or as CD-ROM `index` with cd set; NULL takes it
 * away. Returns 0, or -EINVAL when there are no such drive numbers.
 */
int biosdisk_attach(struct biosdisk *disk, unsigned index, bool cd,
                    struct block_queue *image) must_check;

/* What is under way goes on, but nothing of it reaches the guest any more. */
void biosdisk_reset(struct biosdisk *disk);

/*
 * LBA-assisted translation: 63 sectors, the fewest heads of 16, 32, 64, 128, 255 that keep the
 * cylinders at 1024 or below, cylinders rounded down, at least 1 and at most 1024.
 */
void biosdisk_geometry(uint64_t total_sectors, struct biosdisk_info *info);

#endif

/*
 * The BIOS's disk port: one request, copied once, checked, then carried out in bounded pieces, each
 * of which is a request to the image's queue.
 */
#include "dev/biosdisk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/trace.h"

#define REG_REQUEST 0
#define PIECE_BYTES (64 * KIB) /* bounce buffer; a multiple of both block sizes */

/* A drive as a request names it. */
struct drive {
    struct block_queue *image;
    uint32_t block_size_bytes;
    uint64_t total_blocks;
    bool read_only, cd;
};

/* The guest's request that is under way. */
struct job {
    struct biosdisk_request request;
    gpa_t request_gpa;
    bool dropped;    /* by a reset: it has no status, and moves nothing any more */
    uint64_t offset; /* of the next piece in the image, in bytes */
    uint64_t left;   /* bytes */
    gpa_t gpa;       /* of the next piece in guest memory */
};

struct biosdisk_state {
    uint32_t status; /* of the last request */
    bool waiting;    /* a request came meanwhile */
    gpa_t waiting_gpa;
    struct job job;
    bool busy; /* the job waits for the image; to begin its piece anew takes what follows */
    enum block_op piece_op;
    size_t piece_bytes;
    uint8_t piece[PIECE_BYTES];
};

struct biosdisk {
    struct device device;
    struct mem *mem;
    struct block_queue *disks[BIOSDISK_MAX_DISKS];
    struct block_queue *cds[BIOSDISK_MAX_CDS];
    struct drive drive; /* the job's */
    struct block_request io;
    struct iovec part; /* of the piece */
    struct biosdisk_state state;
};

void biosdisk_destroy(struct biosdisk *disk)
{
    free(disk);
}

int biosdisk_attach(struct biosdisk *disk, unsigned index, bool cd, struct block_queue *image)
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
    disk->state.status = BIOSDISK_OK;
    disk->state.waiting = false;
    disk->state.job.dropped = true;
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
    const struct block *image;

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
    image = block_queue_image(drive->image);
    drive->total_blocks = block_size_bytes(image) / drive->block_size_bytes;
    drive->read_only = drive->cd || block_read_only(image);
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

    biosdisk_geometry(block_size_bytes(block_queue_image(drive->image)) / BIOSDISK_DISK_BLOCK,
                      &info);
    return mem_write(disk->mem, buffer_gpa, &info, sizeof(info)) ? BIOSDISK_OK
                                                                 : BIOSDISK_BAD_REQUEST;
}

/* --- pieces of a transfer; each step answers PENDING while the image has something to do --- */

static void piece_done(struct block_request *io);

/* Hands in the piece that the state describes. */
static void submit_piece(struct biosdisk *disk)
{
    disk->part = (struct iovec){disk->state.piece, disk->state.piece_bytes};
    disk->io = (struct block_request){
        .op = disk->state.piece_op,
        .offset = disk->state.job.offset,
        .iov = &disk->part,
        .iov_count = 1,
        .done = piece_done,
    };
    block_queue_submit(disk->drive.image, &disk->io);
}

static enum biosdisk_status submit(struct biosdisk *disk, enum block_op op, size_t len)
{
    disk->state.busy = true;
    disk->state.piece_op = op;
    disk->state.piece_bytes = len;
    submit_piece(disk);
    return BIOSDISK_PENDING;
}

static enum biosdisk_status next_piece(struct biosdisk *disk)
{
    struct job *job = &disk->state.job;
    size_t len = (size_t)MIN(job->left, PIECE_BYTES);

    if (len == 0)
        return BIOSDISK_OK;
    if (job->request.command == BIOSDISK_READ)
        return submit(disk, BLOCK_READ, len);
    if (!mem_read(disk->mem, job->gpa, disk->state.piece, len))
        return BIOSDISK_BAD_REQUEST;
    return submit(disk, BLOCK_WRITE, len);
}

static enum biosdisk_status after_piece(struct biosdisk *disk)
{
    struct job *job = &disk->state.job;
    size_t len = disk->part.iov_len;

    if (disk->io.error)
        return BIOSDISK_IO_ERROR;
    if (disk->io.op == BLOCK_FLUSH)
        return BIOSDISK_OK;
    if (disk->io.op == BLOCK_READ && !mem_write(disk->mem, job->gpa, disk->state.piece, len))
        return BIOSDISK_BAD_REQUEST;
    job->gpa += len;
    job->offset += len;
    job->left -= len;
    return next_piece(disk);
}

/* --- requests --- */

static enum biosdisk_status transfer(struct biosdisk *disk)
{
    struct job *job = &disk->state.job;
    const struct biosdisk_request *request = &job->request;
    const struct drive *drive = &disk->drive;

    if (request->count > BIOSDISK_MAX_BLOCKS)
        return BIOSDISK_BAD_REQUEST;
    if (request->lba > drive->total_blocks || request->count > drive->total_blocks - request->lba)
        return BIOSDISK_OUT_OF_RANGE;
    if (request->command == BIOSDISK_WRITE && drive->read_only)
        return BIOSDISK_READ_ONLY;
    job->offset = request->lba * drive->block_size_bytes;
    job->left = (uint64_t)request->count * drive->block_size_bytes;
    job->gpa = request->buffer_gpa;
    return job->gpa + job->left < job->gpa ? BIOSDISK_BAD_REQUEST : next_piece(disk);
}

static enum biosdisk_status begin(struct biosdisk *disk)
{
    struct job *job = &disk->state.job;

    if (job->request.magic != BIOSDISK_MAGIC)
        return BIOSDISK_BAD_REQUEST;
    if (!find_drive(disk, job->request.drive, &disk->drive))
        return BIOSDISK_NO_DRIVE;
    switch (job->request.command) {
    case BIOSDISK_READ:
    case BIOSDISK_WRITE: return transfer(disk);
    case BIOSDISK_INFO: return answer_info(disk, &disk->drive, job->request.buffer_gpa);
    case BIOSDISK_FLUSH: return submit(disk, BLOCK_FLUSH, 0);
    default: return BIOSDISK_BAD_REQUEST;
    }
}

/* A request stands where it came to, or has ended. */
static void set_status(struct biosdisk *disk, enum biosdisk_status status)
{
    const struct biosdisk_request *request = &disk->state.job.request;
    gpa_t gpa = disk->state.job.request_gpa + offsetof(struct biosdisk_request, status);
    uint16_t told = (uint16_t)status;

    disk->state.status = status;
    if (status == BIOSDISK_PENDING)
        return;
    trace(biosdisk_request, request->drive, request->command, request->lba, request->count, status);
    /* What lacks the magic is not a request: nothing is written there. */
    if (request->magic == BIOSDISK_MAGIC)
        mem_write(disk->mem, gpa, &told, sizeof(told));
}

static void start(struct biosdisk *disk, gpa_t request_gpa)
{
    disk->state.job = (struct job){.request_gpa = request_gpa};
    if (mem_read(disk->mem, request_gpa, &disk->state.job.request, sizeof(disk->state.job.request)))
        set_status(disk, begin(disk));
    else
        disk->state.status = BIOSDISK_BAD_REQUEST;
}

static void piece_done(struct block_request *io)
{
    struct biosdisk *disk = container_of(io, struct biosdisk, io);

    disk->state.busy = false;
    if (!disk->state.job.dropped)
        set_status(disk, after_piece(disk));
    if (disk->state.waiting && !disk->state.busy) {
        disk->state.waiting = false;
        start(disk, disk->state.waiting_gpa);
    }
}

static uint64_t read_register(void *dev, uint64_t offset, unsigned width)
{
    const struct biosdisk *disk = dev;

    if (offset != REG_REQUEST || width != 4)
        return UINT64_MAX;
    return disk->state.status;
}

static void write_register(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    struct biosdisk *disk = dev;

    if (offset != REG_REQUEST || width != 4)
        return;
    if (!disk->state.busy) {
        start(disk, value);
        return;
    }
    disk->state.waiting = true;
    disk->state.waiting_gpa = value;
    disk->state.status = BIOSDISK_PENDING;
}

const struct bus_ops biosdisk_ops = {.read = read_register, .write = write_register, .widths = 4};

/* --- saved and loaded: as ide_state.c does it, a request under way is begun again --- */

static void reset(void *dev)
{
    biosdisk_reset(dev);
}

static bool host_is_busy(const void *dev)
{
    return ((const struct biosdisk *)dev)->state.busy;
}

static bool piece_is_ours(const void *opaque)
{
    const struct biosdisk_state *state = opaque;

    return !state->busy || state->piece_op != BLOCK_READ;
}

static bool sound(const void *opaque)
{
    const struct biosdisk_state *state = opaque;
    size_t bytes = state->piece_bytes;

    if (state->status > BIOSDISK_PENDING || state->piece_op >= BLOCK_OPS || bytes > PIECE_BYTES)
        return false;
    if (!state->busy)
        return state->status != BIOSDISK_PENDING && !state->waiting;
    return state->piece_op == BLOCK_FLUSH ? bytes == 0 : bytes > 0 && bytes <= state->job.left;
}

static void resume(void *dev)
{
    struct biosdisk *disk = dev;

    if (!disk->state.busy)
        return;
    if (find_drive(disk, disk->state.job.request.drive, &disk->drive)) {
        submit_piece(disk);
        return;
    }
    disk->state.busy = disk->state.waiting = false; /* saved where there was another drive */
    set_status(disk, BIOSDISK_NO_DRIVE);
}

static const struct device_field fields[] = {
    DEVICE_FIELD(struct biosdisk_state, status),
    DEVICE_FIELD(struct biosdisk_state, waiting),
    DEVICE_FIELD(struct biosdisk_state, waiting_gpa),
    DEVICE_FIELD(struct biosdisk_state, job.request.magic),
    DEVICE_FIELD(struct biosdisk_state, job.request.drive),
    DEVICE_FIELD(struct biosdisk_state, job.request.command),
    DEVICE_FIELD(struct biosdisk_state, job.request.status),
    DEVICE_FIELD(struct biosdisk_state, job.request.count),
    DEVICE_FIELD(struct biosdisk_state, job.request.reserved),
    DEVICE_FIELD(struct biosdisk_state, job.request.lba),
    DEVICE_FIELD(struct biosdisk_state, job.request.buffer_gpa),
    DEVICE_FIELD(struct biosdisk_state, job.request_gpa),
    DEVICE_FIELD(struct biosdisk_state, job.dropped),
    DEVICE_FIELD(struct biosdisk_state, job.offset),
    DEVICE_FIELD(struct biosdisk_state, job.left),
    DEVICE_FIELD(struct biosdisk_state, job.gpa),
    DEVICE_FIELD(struct biosdisk_state, busy),
    DEVICE_FIELD(struct biosdisk_state, piece_op),
    DEVICE_FIELD(struct biosdisk_state, piece_bytes),
    DEVICE_ARRAY_WHILE(struct biosdisk_state, piece, piece_is_ours),
};

static const struct device_class class = {
    .name = "BIOS disk port",
    .version = 1,
    DEVICE_STATE(struct biosdisk_state, fields),
    .reset = reset,
    .busy = host_is_busy,
    .sound = sound,
    .resume = resume,
};

const struct device *biosdisk_device(const struct biosdisk *disk)
{
    return &disk->device;
}

struct biosdisk *biosdisk_create(struct mem *mem)
{
    struct biosdisk *disk = calloc(1, sizeof(*disk));

    if (!disk)
        return NULL;
    disk->device = (struct device){&class, disk, &disk->state};
    disk->mem = mem;
    return disk;
}

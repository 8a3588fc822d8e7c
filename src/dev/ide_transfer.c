/*
 * The phases of a command that moves data. By PIO data goes in DRQ blocks, each with an interrupt:
 * before the guest reads one, after it wrote one. ATA-6, 9.5 to 9.8 ("PIO data-in", "data-out").
 *
 *   in   image --request, a buffer full--> buffer --DRQ blocks--> guest
 *   out  guest --DRQ blocks--> buffer, full or the last --request--> image
 *
 * The drive is busy while there is a request, and only then.
 */
#include "dev/ide_internal.h"

#include <string.h>

#include "base/assert.h"
#include "base/trace.h"

void ide_complete(struct ide_drive *drive)
{
    drive->phase = IDE_IDLE;
    drive->error = 0;
    drive->status = IDE_READY;
    ide_raise_irq(drive);
}

void ide_fail(struct ide_drive *drive, uint8_t error)
{
    trace(ide_refused, drive->channel->number, drive->unit, drive->command, error);
    drive->phase = IDE_IDLE;
    drive->error = error;
    drive->status = IDE_READY | IDE_STATUS_ERR;
    ide_raise_irq(drive);
}

/* The image failed us (or a CD's block). */
static void fail_data(struct ide_drive *drive)
{
    if (drive->packet)
        ide_atapi_data_failed(drive);
    else
        ide_fail(drive, drive->to_drive ? IDE_ERROR_ABRT : IDE_ERROR_UNC);
}

static void request_done(struct block_request *request)
{
    struct ide_drive *drive = container_of(request, struct ide_drive, request);
    void (*then)(struct ide_drive *, int) = drive->then;

    drive->then = NULL;
    then(drive, request->error);
}

static void submit(struct ide_drive *drive, struct block_request request, size_t len,
                   void (*then)(struct ide_drive *drive, int err))
{
    ASSERT(!ide_busy(drive), "a drive has one request under way at most");
    ASSERT(len <= IDE_BUFFER_BYTES, "a piece fits into the drive's buffer");
    drive->then = then;
    drive->part = (struct iovec){drive->buffer, len};
    drive->request = request;
    drive->request.offset = drive->image_offset;
    drive->request.iov = &drive->part;
    drive->request.iov_count = 1;
    drive->request.done = request_done;
    block_queue_submit(drive->image, &drive->request);
}

void ide_load(struct ide_drive *drive, size_t len, void (*then)(struct ide_drive *drive, int err))
{
    submit(drive, (struct block_request){.op = BLOCK_READ}, len, then);
}

void ide_store(struct ide_drive *drive, size_t len, bool last,
               void (*then)(struct ide_drive *drive, int err))
{
    struct block_request request = {.op = BLOCK_WRITE, .durable = last && !drive->write_cache};

    submit(drive, request, len, then);
}

void ide_flush(struct ide_drive *drive, void (*then)(struct ide_drive *drive, int err))
{
    submit(drive, (struct block_request){.op = BLOCK_FLUSH}, 0, then);
}

static void after_reset(struct ide_drive *drive, int err)
{
    /* The registers have been those of a drive after a reset since; now BSY goes. */
}

void ide_forget(struct ide_drive *drive)
{
    if (ide_busy(drive))
        drive->then = after_reset;
}

void ide_finish(struct ide_drive *drive)
{
    if (drive->packet) {
        ide_atapi_done(drive);
    } else if (drive->phase == IDE_PIO_IN) {
        drive->phase = IDE_IDLE; /* the last block's interrupt has been given */
        drive->status = IDE_READY;
    } else {
        ide_complete(drive);
    }
}

/* Offers the next DRQ block, which stands in the buffer, to the guest. */
static void offer_block(struct ide_drive *drive)
{
    size_t len = (size_t)MIN(drive->left, drive->drq_bytes);

    drive->at = drive->end;
    drive->end = drive->at + len;
    drive->left -= len;
    ASSERT(drive->end <= IDE_BUFFER_BYTES, "a DRQ block lies in the buffer");
    if (drive->packet) { /* the byte count and "data, to the host" */
        drive->now.mid = (uint8_t)len;
        drive->now.high = (uint8_t)(len >> 8);
        drive->now.count = 0x02;
    }
    drive->status = IDE_READY | IDE_STATUS_DRQ;
    ide_raise_irq(drive);
}

/* So much of the buffer holds whole DRQ blocks: each is moved without waiting for the image. */
static size_t whole_blocks(const struct ide_drive *drive)
{
    return IDE_BUFFER_BYTES - IDE_BUFFER_BYTES % drive->drq_bytes;
}

static void loaded(struct ide_drive *drive, int err)
{
    size_t len = drive->part.iov_len;

    if (err && len > drive->drq_bytes) {
        /* The blocks before the bad one are good: the guest gets them first. */
        ide_load(drive, drive->drq_bytes, loaded);
        return;
    }
    if (err) {
        fail_data(drive);
        return;
    }
    drive->image_offset += len;
    drive->filled = len;
    drive->at = drive->end = 0;
    offer_block(drive);
}

static void next_in(struct ide_drive *drive)
{
    if (drive->from_image && drive->end == drive->filled)
        ide_load(drive, (size_t)MIN(drive->left, whole_blocks(drive)), loaded);
    else
        offer_block(drive);
}

void ide_begin_pio_in(struct ide_drive *drive)
{
    drive->phase = IDE_PIO_IN;
    drive->to_drive = false;
    drive->error = 0;
    drive->at = drive->end = drive->filled = 0;
    next_in(drive);
}

/* Asks the guest for the next DRQ block. */
static void next_out(struct ide_drive *drive)
{
    drive->at = drive->end;
    drive->end = drive->at + (size_t)MIN(drive->left, drive->drq_bytes);
    drive->left -= drive->end - drive->at;
    drive->status = IDE_READY | IDE_STATUS_DRQ;
}

void ide_begin_pio_out(struct ide_drive *drive)
{
    drive->phase = IDE_PIO_OUT;
    drive->to_drive = true;
    drive->error = 0;
    drive->end = 0;
    next_out(drive); /* the first block is asked for without an interrupt */
}

static void stored(struct ide_drive *drive, int err)
{
    drive->image_offset += drive->part.iov_len;
    if (err) {
        fail_data(drive);
    } else if (drive->left) {
        drive->end = 0;
        next_out(drive);
        ide_raise_irq(drive);
    } else {
        ide_finish(drive);
    }
}

/* A DRQ block has come from the guest: the image gets it with others, as many as the buffer holds.
 */
static void block_written(struct ide_drive *drive)
{
    if (drive->left == 0 || drive->end == whole_blocks(drive)) {
        ide_store(drive, drive->end, drive->left == 0, stored);
    } else {
        next_out(drive);
        ide_raise_irq(drive);
    }
}

void ide_begin_dma(struct ide_drive *drive)
{
    drive->phase = IDE_DMA;
    drive->error = 0;
    drive->at = drive->end = 0;
    drive->status = IDE_READY | IDE_STATUS_DRQ;
    ide_dma_try(drive->channel);
}

/* The guest has read or filled the whole block. */
static void block_done(struct ide_drive *drive)
{
    switch (drive->phase) {
    case IDE_PIO_IN:
        if (drive->left)
            next_in(drive);
        else
            ide_finish(drive);
        break;
    case IDE_PIO_OUT: block_written(drive); break;
    case IDE_PACKET: ide_atapi_packet(drive); break;
    default: break;
    }
}

uint32_t ide_data_read(struct ide_drive *drive, unsigned width)
{
    uint32_t value = 0;

    if (drive->phase != IDE_PIO_IN || ide_busy(drive))
        return 0;
    for (unsigned i = 0; i < width && drive->at < drive->end; i++)
        value |= (uint32_t)drive->buffer[drive->at++] << (8 * i);
    if (drive->at == drive->end)
        block_done(drive);
    return value;
}

void ide_data_write(struct ide_drive *drive, unsigned width, uint32_t value)
{
    if ((drive->phase != IDE_PIO_OUT && drive->phase != IDE_PACKET) || ide_busy(drive))
        return;
    for (unsigned i = 0; i < width && drive->at < drive->end; i++)
        drive->buffer[drive->at++] = (uint8_t)(value >> (8 * i));
    if (drive->at == drive->end)
        block_done(drive);
}

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
    drive->state.phase = IDE_IDLE;
    drive->state.error = 0;
    drive->state.status = IDE_READY;
    ide_raise_irq(drive);
}

void ide_fail(struct ide_drive *drive, uint8_t error)
{
    trace(ide_refused, drive->channel->number, drive->unit, drive->state.command, error);
    drive->state.phase = IDE_IDLE;
    drive->state.error = error;
    drive->state.status = IDE_READY | IDE_STATUS_ERR;
    ide_raise_irq(drive);
}

/* The image failed us (or a CD's block). */
static void fail_data(struct ide_drive *drive)
{
    if (drive->state.packet)
        ide_atapi_data_failed(drive);
    else
        ide_fail(drive, drive->state.to_drive ? IDE_ERROR_ABRT : IDE_ERROR_UNC);
}

static void pio_loaded(struct ide_drive *drive, int err);
static void pio_stored(struct ide_drive *drive, int err);

static void request_done(struct block_request *request)
{
    struct ide_drive *drive = container_of(request, struct ide_drive, request);
    enum ide_then then = drive->state.then;
    int err = request->error;

    drive->state.then = IDE_THEN_NOTHING;
    switch (then) {
    case IDE_THEN_FLUSHED: ide_ata_flushed(drive, err); break;
    case IDE_THEN_PIO_LOADED: pio_loaded(drive, err); break;
    case IDE_THEN_PIO_STORED: pio_stored(drive, err); break;
    case IDE_THEN_DMA_LOADED: ide_dma_loaded(drive, err); break;
    case IDE_THEN_DMA_STORED: ide_dma_stored(drive, err); break;
    default: break; /* the registers are those of a drive after a reset already; now BSY goes */
    }
}

void ide_submit(struct ide_drive *drive)
{
    const struct ide_drive_state *state = &drive->state;

    drive->part = (struct iovec){drive->state.buffer, state->request_bytes};
    drive->request = (struct block_request){
        .op = state->request_op,
        .durable = state->request_durable,
        .offset = state->request_offset,
        .iov = &drive->part,
        .iov_count = 1,
        .done = request_done,
    };
    block_queue_submit(drive->image, &drive->request);
}

static void submit(struct ide_drive *drive, enum block_op op, size_t len, enum ide_then then)
{
    ASSERT(!ide_busy(drive), "a drive has one request under way at most");
    ASSERT(len <= IDE_BUFFER_BYTES, "a piece fits into the drive's buffer");
    drive->state.then = then;
    drive->state.request_op = op;
    drive->state.request_offset = drive->state.image_offset;
    drive->state.request_bytes = len;
    ide_submit(drive);
}

void ide_load(struct ide_drive *drive, size_t len, enum ide_then then)
{
    drive->state.request_durable = false;
    submit(drive, BLOCK_READ, len, then);
}

void ide_store(struct ide_drive *drive, size_t len, bool last, enum ide_then then)
{
    drive->state.request_durable = last && !drive->state.write_cache;
    submit(drive, BLOCK_WRITE, len, then);
}

void ide_flush(struct ide_drive *drive)
{
    drive->state.request_durable = false;
    submit(drive, BLOCK_FLUSH, 0, IDE_THEN_FLUSHED);
}

void ide_forget(struct ide_drive *drive)
{
    if (ide_busy(drive))
        drive->state.then = IDE_THEN_RESET;
}

void ide_finish(struct ide_drive *drive)
{
    if (drive->state.packet) {
        ide_atapi_done(drive);
    } else if (drive->state.phase == IDE_PIO_IN) {
        drive->state.phase = IDE_IDLE; /* the last block's interrupt has been given */
        drive->state.status = IDE_READY;
    } else {
        ide_complete(drive);
    }
}

/* Offers the next DRQ block, which stands in the buffer, to the guest. */
static void offer_block(struct ide_drive *drive)
{
    size_t len = (size_t)MIN(drive->state.left, drive->state.drq_bytes);

    drive->state.at = drive->state.end;
    drive->state.end = drive->state.at + len;
    drive->state.left -= len;
    ASSERT(drive->state.end <= IDE_BUFFER_BYTES, "a DRQ block lies in the buffer");
    if (drive->state.packet) { /* the byte count and "data, to the host" */
        drive->state.now.mid = (uint8_t)len;
        drive->state.now.high = (uint8_t)(len >> 8);
        drive->state.now.count = 0x02;
    }
    drive->state.status = IDE_READY | IDE_STATUS_DRQ;
    ide_raise_irq(drive);
}

/* So much of the buffer holds whole DRQ blocks: each is moved without waiting for the image. */
static size_t whole_blocks(const struct ide_drive *drive)
{
    return IDE_BUFFER_BYTES - IDE_BUFFER_BYTES % drive->state.drq_bytes;
}

static void pio_loaded(struct ide_drive *drive, int err)
{
    size_t len = drive->state.request_bytes;

    if (err && len > drive->state.drq_bytes) {
        /* The blocks before the bad one are good: the guest gets them first. */
        ide_load(drive, drive->state.drq_bytes, IDE_THEN_PIO_LOADED);
        return;
    }
    if (err) {
        fail_data(drive);
        return;
    }
    drive->state.image_offset += len;
    drive->state.filled = len;
    drive->state.at = drive->state.end = 0;
    offer_block(drive);
}

static void next_in(struct ide_drive *drive)
{
    if (drive->state.from_image && drive->state.end == drive->state.filled)
        ide_load(drive, (size_t)MIN(drive->state.left, whole_blocks(drive)), IDE_THEN_PIO_LOADED);
    else
        offer_block(drive);
}

void ide_begin_pio_in(struct ide_drive *drive)
{
    drive->state.phase = IDE_PIO_IN;
    drive->state.to_drive = false;
    drive->state.error = 0;
    drive->state.at = drive->state.end = drive->state.filled = 0;
    next_in(drive);
}

/* Asks the guest for the next DRQ block. */
static void next_out(struct ide_drive *drive)
{
    drive->state.at = drive->state.end;
    drive->state.end = drive->state.at + (size_t)MIN(drive->state.left, drive->state.drq_bytes);
    drive->state.left -= drive->state.end - drive->state.at;
    drive->state.status = IDE_READY | IDE_STATUS_DRQ;
}

void ide_begin_pio_out(struct ide_drive *drive)
{
    drive->state.phase = IDE_PIO_OUT;
    drive->state.to_drive = true;
    drive->state.error = 0;
    drive->state.end = 0;
    next_out(drive); /* the first block is asked for without an interrupt */
}

static void pio_stored(struct ide_drive *drive, int err)
{
    drive->state.image_offset += drive->state.request_bytes;
    if (err) {
        fail_data(drive);
    } else if (drive->state.left) {
        drive->state.end = 0;
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
    if (drive->state.left == 0 || drive->state.end == whole_blocks(drive)) {
        ide_store(drive, drive->state.end, drive->state.left == 0, IDE_THEN_PIO_STORED);
    } else {
        next_out(drive);
        ide_raise_irq(drive);
    }
}

void ide_begin_dma(struct ide_drive *drive)
{
    drive->state.phase = IDE_DMA;
    drive->state.error = 0;
    drive->state.at = drive->state.end = 0;
    drive->state.status = IDE_READY | IDE_STATUS_DRQ;
    ide_dma_try(drive->channel);
}

/* The guest has read or filled the whole block. */
static void block_done(struct ide_drive *drive)
{
    switch (drive->state.phase) {
    case IDE_PIO_IN:
        if (drive->state.left)
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

    if (drive->state.phase != IDE_PIO_IN || ide_busy(drive))
        return 0;
    for (unsigned i = 0; i < width && drive->state.at < drive->state.end; i++)
        value |= (uint32_t)drive->state.buffer[drive->state.at++] << (8 * i);
    if (drive->state.at == drive->state.end)
        block_done(drive);
    return value;
}

void ide_data_write(struct ide_drive *drive, unsigned width, uint32_t value)
{
    if ((drive->state.phase != IDE_PIO_OUT && drive->state.phase != IDE_PACKET) || ide_busy(drive))
        return;
    for (unsigned i = 0; i < width && drive->state.at < drive->state.end; i++)
        drive->state.buffer[drive->state.at++] = (uint8_t)(value >> (8 * i));
    if (drive->state.at == drive->state.end)
        block_done(drive);
}

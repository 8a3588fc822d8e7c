/*
 * The phases of a command that moves data. By PIO data goes in DRQ blocks, each with an interrupt:
 * before the guest reads one, after it wrote one. ATA-6, 9.5 to 9.8 ("PIO data-in", "data-out").
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

int ide_load(struct ide_drive *drive, size_t len)
{
    int err;

    ASSERT(len <= IDE_BUFFER_BYTES, "a piece fits into the drive's buffer");
    err = block_read(drive->image, drive->image_offset, drive->buffer, len);
    drive->image_offset += len;
    return err;
}

int ide_store(struct ide_drive *drive, size_t len)
{
    int err;

    ASSERT(len <= IDE_BUFFER_BYTES, "a piece fits into the drive's buffer");
    err = block_write(drive->image, drive->image_offset, drive->buffer, len);
    drive->image_offset += len;
    return err;
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

/* Offers the next DRQ block to the guest. */
static void next_in(struct ide_drive *drive)
{
    size_t len = (size_t)MIN(drive->left, drive->drq_bytes);

    if (drive->from_image) {
        if (ide_load(drive, len) != 0) {
            fail_data(drive);
            return;
        }
        drive->at = 0;
    } else {
        drive->at = drive->end;
    }
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

void ide_begin_pio_in(struct ide_drive *drive)
{
    drive->phase = IDE_PIO_IN;
    drive->to_drive = false;
    drive->error = 0;
    drive->at = drive->end = 0;
    next_in(drive);
}

/* Asks the guest for the next DRQ block. */
static void next_out(struct ide_drive *drive)
{
    drive->at = 0;
    drive->end = (size_t)MIN(drive->left, drive->drq_bytes);
    drive->left -= drive->end;
    drive->status = IDE_READY | IDE_STATUS_DRQ;
}

void ide_begin_pio_out(struct ide_drive *drive)
{
    drive->phase = IDE_PIO_OUT;
    drive->to_drive = true;
    drive->error = 0;
    next_out(drive); /* the first block is asked for without an interrupt */
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
    case IDE_PIO_OUT:
        if (ide_store(drive, drive->end) != 0) {
            fail_data(drive);
        } else if (drive->left) {
            next_out(drive);
            ide_raise_irq(drive);
        } else {
            ide_finish(drive);
        }
        break;
    case IDE_PACKET: ide_atapi_packet(drive); break;
    default: break;
    }
}

uint32_t ide_data_read(struct ide_drive *drive, unsigned width)
{
    uint32_t value = 0;

    if (drive->phase != IDE_PIO_IN)
        return 0;
    for (unsigned i = 0; i < width && drive->at < drive->end; i++)
        value |= (uint32_t)drive->buffer[drive->at++] << (8 * i);
    if (drive->at == drive->end)
        block_done(drive);
    return value;
}

void ide_data_write(struct ide_drive *drive, unsigned width, uint32_t value)
{
    if (drive->phase != IDE_PIO_OUT && drive->phase != IDE_PACKET)
        return;
    for (unsigned i = 0; i < width && drive->at < drive->end; i++)
        drive->buffer[drive->at++] = (uint8_t)(value >> (8 * i));
    if (drive->at == drive->end)
        block_done(drive);
}

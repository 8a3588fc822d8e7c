/*
 * The bus master: two sets of registers and the walk of a physical region descriptor (PRD) table.
 *
 *   PRDT -> { address, bytes } { address, bytes } ... { address, bytes, last }
 *
 * A table lies in 64 KiB, so a walk reads at most 8192 descriptors, whatever the guest wrote there.
 * Data goes in pieces through the drive's buffer, which is all that the image's queue gets to see:
 * guest memory is read and written here only, while the machine lock is held.
 * Specification: "Programming Interface for Bus Master IDE Controller", revision 1.0.
 */
#include "dev/ide_internal.h"

#include <endian.h>

#include "base/trace.h"

#define REG_COMMAND 0
#define REG_STATUS  2
#define REG_PRDT    4
#define REGS        8 /* a channel's */

#define PRD_LAST 0x80000000u

struct prd { /* little-endian, in guest memory */
    uint32_t address;
    uint32_t count_and_last;
};

_Static_assert(sizeof(struct prd) == 8, "the guest's layout of a PRD");

enum dma_result {
    DMA_DONE,
    DMA_EXHAUSTED, /* the table ended before the data */
    DMA_FAULT,     /* a descriptor or region out of memory */
    DMA_IMAGE,     /* the drive's own error */
};

static bool next_region(const struct mem *mem, struct ide_prd_walk *walk, enum dma_result *result)
{
    struct prd prd;
    uint32_t word;

    *result = DMA_EXHAUSTED;
    if (walk->last || walk->budget == 0)
        return false;
    *result = DMA_FAULT;
    if (!mem_read(mem, walk->next, &prd, sizeof(prd)))
        return false;
    word = le32toh(prd.count_and_last);
    walk->next += sizeof(prd);
    walk->budget--;
    walk->address = le32toh(prd.address) & ~(uint32_t)1;
    walk->left = word & 0xfffe ? word & 0xfffe : IDE_PRD_MAX_BYTES;
    walk->last = word & PRD_LAST;
    return true;
}

/* Moves len bytes between the drive's buffer and the regions of the walk. */
static enum dma_result move(struct ide_drive *drive, struct ide_prd_walk *walk, size_t len)
{
    struct mem *mem = drive->channel->ide->mem;
    enum dma_result result;

    for (uint8_t *at = drive->state.buffer; len;) {
        size_t piece;
        bool ok;

        if (walk->left == 0 && !next_region(mem, walk, &result))
            return result;
        piece = MIN(len, walk->left);
        ok = drive->state.to_drive ? mem_read(mem, walk->address, at, piece)
                                   : mem_write(mem, walk->address, at, piece);
        if (!ok)
            return DMA_FAULT;
        walk->address += piece;
        walk->left -= (uint32_t)piece;
        at += piece;
        len -= piece;
    }
    return DMA_DONE;
}

static void fail(struct ide_drive *drive)
{
    if (drive->state.packet)
        ide_atapi_data_failed(drive);
    else
        ide_fail(drive, IDE_ERROR_ABRT);
}

static void end(struct ide_drive *drive, enum dma_result result)
{
    struct ide_channel *channel = drive->channel;
    const struct ide_prd_walk *walk = &channel->state.walk;

    /* A table longer than the data leaves the bus master active (1.0, "Interrupt" and "Active"). */
    if (result != DMA_DONE || (walk->last && walk->left == 0))
        channel->state.bm_status &= (uint8_t)~IDE_BM_ACTIVE;
    if (result == DMA_FAULT)
        channel->state.bm_status |= IDE_BM_ERROR;
    trace(ide_dma, channel->number, channel->state.prdt, drive->state.left,
          channel->state.bm_status);
    if (result == DMA_DONE)
        ide_finish(drive);
    else
        fail(drive);
}

static bool master_runs(const struct ide_channel *channel)
{
    return (channel->state.bm_status & IDE_BM_ACTIVE) &&
           pci_function_is_master(&channel->ide->function);
}

static void next_piece(struct ide_drive *drive);

/*
 * A piece has been moved. Where the guest has stopped the bus master meanwhile, the drive waits for
 * it with the rest.
 */
static void piece_done(struct ide_drive *drive, size_t len)
{
    drive->state.image_offset += len;
    drive->state.left -= len;
    if (drive->state.left == 0)
        end(drive, DMA_DONE);
    else if (master_runs(drive->channel))
        next_piece(drive);
}

static void to_guest(struct ide_drive *drive, size_t len)
{
    enum dma_result result = move(drive, &drive->channel->state.walk, len);

    if (result == DMA_DONE)
        piece_done(drive, len);
    else
        end(drive, result);
}

void ide_dma_loaded(struct ide_drive *drive, int err)
{
    if (err)
        end(drive, DMA_IMAGE);
    else if (master_runs(drive->channel)) /* else the piece is read again when it does */
        to_guest(drive, drive->state.request_bytes);
}

void ide_dma_stored(struct ide_drive *drive, int err)
{
    if (err)
        end(drive, DMA_IMAGE);
    else
        piece_done(drive, drive->state.request_bytes);
}

static void next_piece(struct ide_drive *drive)
{
    size_t len = (size_t)MIN(drive->state.left, IDE_BUFFER_BYTES);
    enum dma_result result = DMA_DONE;

    if (!drive->state.to_drive && drive->state.from_image) {
        ide_load(drive, len, IDE_THEN_DMA_LOADED);
    } else if (!drive->state.to_drive) {
        to_guest(drive, len);
    } else {
        result = move(drive, &drive->channel->state.walk, len);
        if (result == DMA_DONE)
            ide_store(drive, len, len == drive->state.left, IDE_THEN_DMA_STORED);
        else
            end(drive, result);
    }
}

void ide_dma_try(struct ide_channel *channel)
{
    struct ide_drive *drive = &channel->drives[channel->state.selected];

    channel->state.walk =
        (struct ide_prd_walk){.next = channel->state.prdt, .budget = IDE_PRD_BUDGET};
    if (drive->kind == IDE_NONE || drive->state.phase != IDE_DMA || ide_busy(drive) ||
        !master_runs(channel))
        return;
    if (drive->state.to_drive == !!(channel->state.bm_command & IDE_BM_TO_MEMORY))
        end(drive, DMA_FAULT); /* the two sides disagree about the direction */
    else
        next_piece(drive);
}

void ide_dma_reset(struct ide_channel *channel)
{
    channel->state.bm_command = 0;
    channel->state.bm_status = 0;
    channel->state.prdt = 0;
    channel->state.walk = (struct ide_prd_walk){0};
}

static void write_command(struct ide_channel *channel, uint8_t value)
{
    bool was_started = channel->state.bm_command & IDE_BM_START;

    channel->state.bm_command = value & (IDE_BM_START | IDE_BM_TO_MEMORY);
    if (!(value & IDE_BM_START)) {
        channel->state.bm_status &= (uint8_t)~IDE_BM_ACTIVE;
    } else if (!was_started) {
        channel->state.bm_status |= IDE_BM_ACTIVE;
        ide_dma_try(channel);
    }
}

static void write_status(struct ide_channel *channel, uint8_t value)
{
    uint8_t cleared = value & (IDE_BM_ERROR | IDE_BM_INTERRUPT);

    channel->state.bm_status &= (uint8_t) ~(cleared | IDE_BM_CAPABLE);
    channel->state.bm_status |= value & IDE_BM_CAPABLE;
}

static uint8_t read_byte(const struct ide_channel *channel, unsigned reg)
{
    switch (reg) {
    case REG_COMMAND: return channel->state.bm_command;
    case REG_STATUS: return channel->state.bm_status;
    case REG_PRDT:
    case REG_PRDT + 1:
    case REG_PRDT + 2:
    case REG_PRDT + 3: return (uint8_t)(channel->state.prdt >> (8 * (reg - REG_PRDT)));
    default: return 0xff;
    }
}

static void write_byte(struct ide_channel *channel, unsigned reg, uint8_t value)
{
    if (reg == REG_COMMAND) {
        write_command(channel, value);
    } else if (reg == REG_STATUS) {
        write_status(channel, value);
    } else if (reg >= REG_PRDT) {
        unsigned shift = 8 * (reg - REG_PRDT);

        channel->state.prdt &= ~((uint32_t)0xff << shift);
        channel->state.prdt |= (uint32_t)value << shift;
        channel->state.prdt &= ~(uint32_t)3;
    }
}

static uint64_t busmaster_read(void *dev, uint64_t offset, unsigned width)
{
    struct ide *ide = container_of((struct pci_function *)dev, struct ide, function);
    uint64_t value = 0;

    for (unsigned i = 0; i < width; i++) {
        uint64_t at = offset + i;

        if (at < IDE_CHANNELS * REGS)
            value |= (uint64_t)read_byte(&ide->channels[at / REGS], at % REGS) << (8 * i);
    }
    return value;
}

static void busmaster_write(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    struct ide *ide = container_of((struct pci_function *)dev, struct ide, function);

    for (unsigned i = 0; i < width; i++) {
        uint64_t at = offset + i;

        if (at < IDE_CHANNELS * REGS)
            write_byte(&ide->channels[at / REGS], at % REGS, (uint8_t)(value >> (8 * i)));
    }
}

const struct bus_ops ide_busmaster_ops = {
    .read = busmaster_read, .write = busmaster_write, .widths = 1 | 2 | 4};

/*
 * The state of channels and drives as it is saved and loaded.
 *
 * A drive that waits for its image is saved with the request, and begins it again when it is
 * loaded: nobody has to wait for the host's disk, which may hang. While the image is being read
 * into the buffer, the buffer is the host's and is not saved.
 */
#include "dev/ide_internal.h"

#define CONTROL_STORED (IDE_CONTROL_NIEN | IDE_CONTROL_SRST | IDE_CONTROL_HOB)
#define MAX_HEADS      16
#define MAX_SECTORS    255
#define MAX_CYLINDERS  65535

static bool buffer_is_ours(const void *opaque)
{
    const struct ide_drive_state *state = opaque;

    return state->then == IDE_THEN_NOTHING || state->request_op != BLOCK_READ;
}

/* Whether so many bytes of the buffer, with others that come later, can be given in DRQ blocks. */
static bool are_blocks(const struct ide_drive_state *state, size_t bytes)
{
    return bytes == state->left || (bytes < state->left && bytes % state->drq_bytes == 0);
}

/* Whether the request that is under way is one that its end goes with. */
static bool request_sound(const struct ide_drive_state *state)
{
    size_t bytes = state->request_bytes;

    if (state->request_op >= BLOCK_OPS || bytes > IDE_BUFFER_BYTES)
        return false;
    switch (state->then) {
    case IDE_THEN_NOTHING:
    case IDE_THEN_RESET: return true;
    case IDE_THEN_FLUSHED: return state->request_op == BLOCK_FLUSH;
    case IDE_THEN_PIO_LOADED:
        return state->request_op == BLOCK_READ && state->phase == IDE_PIO_IN && state->from_image &&
               bytes && are_blocks(state, bytes);
    case IDE_THEN_PIO_STORED:
        return state->request_op == BLOCK_WRITE && state->phase == IDE_PIO_OUT;
    case IDE_THEN_DMA_LOADED:
        return state->request_op == BLOCK_READ && state->phase == IDE_DMA && bytes &&
               bytes <= state->left;
    case IDE_THEN_DMA_STORED:
        return state->request_op == BLOCK_WRITE && state->phase == IDE_DMA && bytes &&
               bytes <= state->left;
    default: return false;
    }
}

/* Whether the part of the buffer that is moved, and those that follow, lie in the buffer. */
static bool phase_sound(const struct ide_drive_state *state)
{
    size_t whole;

    if (state->at > state->end || state->end > IDE_BUFFER_BYTES)
        return false;
    if (state->phase == IDE_IDLE)
        return true;
    if (state->phase == IDE_PACKET)
        return state->end == IDE_PACKET_BYTES;
    if (state->phase == IDE_DMA)
        return state->from_image || state->left <= IDE_BUFFER_BYTES;
    if (state->drq_bytes == 0 || state->drq_bytes > IDE_BUFFER_BYTES)
        return false;
    whole = IDE_BUFFER_BYTES - IDE_BUFFER_BYTES % state->drq_bytes;
    if (state->phase == IDE_PIO_OUT)
        return state->left == 0 || (state->end % state->drq_bytes == 0 && state->end <= whole);
    if (state->phase != IDE_PIO_IN)
        return false;
    if (!state->from_image)
        return state->left <= IDE_BUFFER_BYTES - state->end;
    return state->filled <= IDE_BUFFER_BYTES && state->end <= state->filled &&
           are_blocks(state, state->filled - state->end);
}

static bool drive_sound(const struct ide_drive_state *state)
{
    unsigned multiple = state->multiple;

    return state->then < IDE_THENS && phase_sound(state) && request_sound(state) &&
           multiple <= IDE_MAX_MULTIPLE && !(multiple & (multiple - 1)) && state->heads >= 1 &&
           state->heads <= MAX_HEADS && state->sectors >= 1 && state->sectors <= MAX_SECTORS &&
           state->cylinders <= MAX_CYLINDERS;
}

static bool disk_sound(const void *opaque)
{
    const struct ide_drive_state *state = opaque;

    return drive_sound(state) && state->phase != IDE_PACKET && !state->packet;
}

/* No phase of a CD-ROM moves data to the drive, but for the packet. */
static bool cdrom_sound(const void *opaque)
{
    const struct ide_drive_state *state = opaque;

    return drive_sound(state) && state->phase != IDE_PIO_OUT &&
           !(state->phase == IDE_DMA && state->to_drive) && state->media_event <= 3;
}

static bool drive_busy(const void *dev)
{
    return ide_busy(dev);
}

static void resume_drive(void *dev)
{
    if (ide_busy(dev))
        ide_submit(dev);
}

static void reset_drive(void *dev)
{
    ide_reset_drive(dev, true);
}

static const struct device_field drive_fields[] = {
    DEVICE_FIELD(struct ide_drive_state, now.feature),
    DEVICE_FIELD(struct ide_drive_state, now.count),
    DEVICE_FIELD(struct ide_drive_state, now.low),
    DEVICE_FIELD(struct ide_drive_state, now.mid),
    DEVICE_FIELD(struct ide_drive_state, now.high),
    DEVICE_FIELD(struct ide_drive_state, previous.feature),
    DEVICE_FIELD(struct ide_drive_state, previous.count),
    DEVICE_FIELD(struct ide_drive_state, previous.low),
    DEVICE_FIELD(struct ide_drive_state, previous.mid),
    DEVICE_FIELD(struct ide_drive_state, previous.high),
    DEVICE_FIELD(struct ide_drive_state, device),
    DEVICE_FIELD(struct ide_drive_state, error),
    DEVICE_FIELD(struct ide_drive_state, status),
    DEVICE_FIELD(struct ide_drive_state, command),
    DEVICE_FIELD(struct ide_drive_state, intrq),
    DEVICE_FIELD(struct ide_drive_state, then),
    DEVICE_FIELD(struct ide_drive_state, request_op),
    DEVICE_FIELD(struct ide_drive_state, request_durable),
    DEVICE_FIELD(struct ide_drive_state, request_offset),
    DEVICE_FIELD(struct ide_drive_state, request_bytes),
    DEVICE_FIELD(struct ide_drive_state, phase),
    DEVICE_FIELD(struct ide_drive_state, at),
    DEVICE_FIELD(struct ide_drive_state, end),
    DEVICE_FIELD(struct ide_drive_state, filled),
    DEVICE_FIELD(struct ide_drive_state, drq_bytes),
    DEVICE_FIELD(struct ide_drive_state, left),
    DEVICE_FIELD(struct ide_drive_state, to_drive),
    DEVICE_FIELD(struct ide_drive_state, from_image),
    DEVICE_FIELD(struct ide_drive_state, image_offset),
    DEVICE_FIELD(struct ide_drive_state, packet),
    DEVICE_FIELD(struct ide_drive_state, cylinders),
    DEVICE_FIELD(struct ide_drive_state, heads),
    DEVICE_FIELD(struct ide_drive_state, sectors),
    DEVICE_FIELD(struct ide_drive_state, multiple),
    DEVICE_FIELD(struct ide_drive_state, write_cache),
    DEVICE_FIELD(struct ide_drive_state, transfer_mode),
    DEVICE_FIELD(struct ide_drive_state, sense.key),
    DEVICE_FIELD(struct ide_drive_state, sense.asc),
    DEVICE_FIELD(struct ide_drive_state, sense.ascq),
    DEVICE_FIELD(struct ide_drive_state, unit_attention),
    DEVICE_FIELD(struct ide_drive_state, tray_open),
    DEVICE_FIELD(struct ide_drive_state, locked),
    DEVICE_FIELD(struct ide_drive_state, media_event),
    DEVICE_ARRAY_WHILE(struct ide_drive_state, buffer, buffer_is_ours),
};

#define DRIVE_CLASS(text, check)                                                                   \
    {                                                                                              \
        .name = text, .version = 1, .state_bytes = sizeof(struct ide_drive_state),                 \
        .fields = drive_fields, .field_count = ARRAY_SIZE(drive_fields), .reset = reset_drive,     \
        .busy = drive_busy, .sound = check, .resume = resume_drive                                 \
    }

static const struct device_class disk_class = DRIVE_CLASS("ATA disk", disk_sound);
static const struct device_class cdrom_class = DRIVE_CLASS("ATAPI CD-ROM", cdrom_sound);

static bool channel_sound(const void *opaque)
{
    const struct ide_channel_state *state = opaque;

    return state->selected < IDE_UNITS && !(state->control & ~CONTROL_STORED) &&
           !(state->bm_command & ~(IDE_BM_START | IDE_BM_TO_MEMORY)) && !(state->prdt & 3) &&
           state->walk.budget <= IDE_PRD_BUDGET && state->walk.left <= IDE_PRD_MAX_BYTES;
}

static void reset_channel(void *dev)
{
    ide_reset_channel(dev);
}

static const struct device_field channel_fields[] = {
    DEVICE_FIELD(struct ide_channel_state, line),
    DEVICE_FIELD(struct ide_channel_state, selected),
    DEVICE_FIELD(struct ide_channel_state, control),
    DEVICE_FIELD(struct ide_channel_state, bm_command),
    DEVICE_FIELD(struct ide_channel_state, bm_status),
    DEVICE_FIELD(struct ide_channel_state, prdt),
    DEVICE_FIELD(struct ide_channel_state, walk.next),
    DEVICE_FIELD(struct ide_channel_state, walk.budget),
    DEVICE_FIELD(struct ide_channel_state, walk.address),
    DEVICE_FIELD(struct ide_channel_state, walk.left),
    DEVICE_FIELD(struct ide_channel_state, walk.last),
};

static const struct device_class channel_class = {
    .name = "IDE channel",
    .version = 1,
    DEVICE_STATE(struct ide_channel_state, channel_fields),
    .reset = reset_channel,
    .sound = channel_sound,
};

void ide_init_channel_device(struct ide_channel *channel)
{
    channel->device = (struct device){&channel_class, channel, &channel->state};
}

void ide_init_drive_device(struct ide_drive *drive)
{
    const struct device_class *class = drive->kind == IDE_DISK ? &disk_class : &cdrom_class;

    drive->device = (struct device){class, drive, &drive->state};
}

/* The IDE controller: task file, device control, interrupts, resets, the PCI function. */
#include "dev/ide.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/trace.h"
#include "dev/i440fx.h"
#include "dev/ide_internal.h"

enum command_register {
    REG_DATA,
    REG_ERROR, /* features when written */
    REG_COUNT,
    REG_LOW,
    REG_MID,
    REG_HIGH,
    REG_DEVICE,
    REG_STATUS, /* command when written */
};

#define COMMAND_DEVICE_RESET 0x08
#define COMMAND_DIAGNOSTIC   0x90
#define DIAGNOSTIC_PASSED    0x01

#define IDETIM          0x40
#define IDETIM_DECODE   0x8000
#define BUSMASTER_BAR   4
#define BUSMASTER_PORTS 16

static struct ide_drive *selected(struct ide_channel *channel)
{
    return &channel->drives[channel->state.selected];
}

void ide_update_irq(struct ide_channel *channel)
{
    const struct ide_drive *drive = selected(channel);
    bool level = drive->kind != IDE_NONE && drive->state.intrq &&
                 !(channel->state.control & (IDE_CONTROL_NIEN | IDE_CONTROL_SRST));

    if (level == channel->state.line)
        return;
    channel->state.line = level;
    if (level)
        channel->state.bm_status |= IDE_BM_INTERRUPT;
    irq_set(&channel->irq, level);
}

void ide_raise_irq(struct ide_drive *drive)
{
    drive->state.intrq = true;
    ide_update_irq(drive->channel);
}

void ide_set_signature(struct ide_drive *drive)
{
    bool cd = drive->kind == IDE_CDROM;

    drive->state.now = (struct ide_taskfile){.count = 1, .low = 1};
    drive->state.now.mid = cd ? 0x14 : 0;
    drive->state.now.high = cd ? 0xeb : 0;
    drive->state.previous = (struct ide_taskfile){0};
}

void ide_reset_drive(struct ide_drive *drive, bool hard)
{
    if (drive->kind == IDE_NONE)
        return;
    ide_forget(drive);
    drive->state.phase = IDE_IDLE;
    drive->state.packet = false;
    drive->state.intrq = false;
    drive->state.device = 0;
    drive->state.error = DIAGNOSTIC_PASSED;
    /* A packet device is not "ready" to ATA software until it got a packet command. */
    drive->state.status = drive->kind == IDE_CDROM ? 0 : IDE_READY;
    drive->state.multiple = drive->kind == IDE_DISK ? IDE_MAX_MULTIPLE : 0;
    ide_set_signature(drive);
    if (!hard)
        return;
    ide_default_geometry(drive, &drive->state.cylinders, &drive->state.heads,
                         &drive->state.sectors);
    drive->state.write_cache = true;
    drive->state.transfer_mode = 0;
    drive->state.sense = (struct ide_sense){0};
    drive->state.unit_attention = drive->kind == IDE_CDROM;
    drive->state.tray_open = false;
    drive->state.locked = false;
    drive->state.media_event = 0;
}

static void reset_channel(struct ide_channel *channel, bool hard)
{
    channel->state.selected = 0;
    for (unsigned unit = 0; unit < IDE_UNITS; unit++)
        ide_reset_drive(&channel->drives[unit], hard);
    ide_update_irq(channel);
}

void ide_reset_channel(struct ide_channel *channel)
{
    channel->state.control = 0;
    reset_channel(channel, true);
    ide_dma_reset(channel);
}

void ide_reset(struct ide *ide)
{
    for (unsigned i = 0; i < IDE_CHANNELS; i++)
        ide_reset_channel(&ide->channels[i]);
}

/* EXECUTE DEVICE DIAGNOSTIC is for both drives, whichever is selected (ATA-6, 8.11). */
static void run_diagnostic(struct ide_channel *channel)
{
    reset_channel(channel, false);
    if (channel->drives[0].kind != IDE_NONE)
        ide_raise_irq(&channel->drives[0]);
}

static void write_command(struct ide_channel *channel, uint8_t command)
{
    struct ide_drive *drive = selected(channel);

    if (command == COMMAND_DIAGNOSTIC && !ide_busy(drive)) {
        run_diagnostic(channel);
        return;
    }
    if (drive->kind == IDE_NONE)
        return;
    if (ide_busy(drive) && !(command == COMMAND_DEVICE_RESET && drive->kind == IDE_CDROM))
        return;
    drive->state.intrq = false; /* ATA-6, 5.2.9: a write to the command register clears INTRQ */
    ide_update_irq(channel);
    if (command == COMMAND_DEVICE_RESET && drive->kind == IDE_CDROM) {
        uint8_t unit = drive->state.device & IDE_DEVICE_UNIT;

        ide_reset_drive(drive, false);
        drive->state.device = unit;
        return;
    }
    if (drive->state.phase != IDE_IDLE && drive->kind == IDE_DISK)
        trace(ide_refused, channel->number, drive->unit, drive->state.command, 0);
    drive->state.phase = IDE_IDLE; /* whatever was under way is given up */
    drive->state.packet = false;
    drive->state.command = command;
    if (drive->kind == IDE_DISK)
        ide_ata_execute(drive, command);
    else
        ide_atapi_execute(drive, command);
}

static void shift_in(uint8_t *now, uint8_t *previous, uint8_t value)
{
    *previous = *now;
    *now = value;
}

/* The command block is on the cable: both drives see each write. */
static void write_taskfile(struct ide_drive *drive, unsigned reg, uint8_t value)
{
    struct ide_taskfile *now = &drive->state.now, *previous = &drive->state.previous;

    switch (reg) {
    case REG_ERROR: shift_in(&now->feature, &previous->feature, value); break;
    case REG_COUNT: shift_in(&now->count, &previous->count, value); break;
    case REG_LOW: shift_in(&now->low, &previous->low, value); break;
    case REG_MID: shift_in(&now->mid, &previous->mid, value); break;
    case REG_HIGH: shift_in(&now->high, &previous->high, value); break;
    case REG_DEVICE: drive->state.device = value; break;
    default: break;
    }
}

static void write_byte(struct ide_channel *channel, unsigned reg, uint8_t value)
{
    channel->state.control &= (uint8_t)~IDE_CONTROL_HOB;
    if (channel->state.control & IDE_CONTROL_SRST)
        return;
    if (reg == REG_STATUS) {
        write_command(channel, value);
        return;
    }
    /* A busy drive ignores them (ATA-6, "I/O register descriptions"), so it stays selected. */
    if (ide_busy(selected(channel)))
        return;
    for (unsigned unit = 0; unit < IDE_UNITS; unit++)
        write_taskfile(&channel->drives[unit], reg, value);
    if (reg == REG_DEVICE) {
        channel->state.selected = value & IDE_DEVICE_UNIT ? 1 : 0;
        ide_update_irq(channel);
    }
}

static uint8_t status_of(const struct ide_channel *channel)
{
    const struct ide_drive *drive = &channel->drives[channel->state.selected];

    if (drive->kind == IDE_NONE)
        return 0;
    return channel->state.control & IDE_CONTROL_SRST || ide_busy(drive) ? IDE_STATUS_BSY
                                                                        : drive->state.status;
}

static uint8_t read_byte(struct ide_channel *channel, unsigned reg)
{
    struct ide_drive *drive = selected(channel);
    const struct ide_taskfile *file =
        channel->state.control & IDE_CONTROL_HOB ? &drive->state.previous : &drive->state.now;

    if (drive->kind == IDE_NONE)
        return 0;
    switch (reg) {
    case REG_ERROR: return drive->state.error;
    case REG_COUNT: return file->count;
    case REG_LOW: return file->low;
    case REG_MID: return file->mid;
    case REG_HIGH: return file->high;
    case REG_DEVICE: return drive->state.device | 0xa0; /* the two obsolete bits read as ones */
    case REG_STATUS:
        drive->state.intrq = false;
        ide_update_irq(channel);
        return status_of(channel);
    default: return 0;
    }
}

static uint64_t command_read(void *dev, uint64_t offset, unsigned width)
{
    struct ide_channel *channel = dev;
    uint64_t value = 0;

    if (offset == REG_DATA)
        return selected(channel)->kind == IDE_NONE ? 0 : ide_data_read(selected(channel), width);
    for (unsigned i = 0; i < width && offset + i <= REG_STATUS; i++)
        value |= (uint64_t)read_byte(channel, (unsigned)offset + i) << (8 * i);
    return value;
}

static void command_write(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    struct ide_channel *channel = dev;

    if (offset == REG_DATA) {
        if (selected(channel)->kind != IDE_NONE)
            ide_data_write(selected(channel), width, (uint32_t)value);
        return;
    }
    for (unsigned i = 0; i < width && offset + i <= REG_STATUS; i++)
        write_byte(channel, (unsigned)offset + i, (uint8_t)(value >> (8 * i)));
}

const struct bus_ops ide_command_ops = {
    .read = command_read, .write = command_write, .widths = 1 | 2 | 4};

/* The alternate status: reading it leaves the interrupt as it is. */
static uint64_t control_read(void *dev, uint64_t offset, unsigned width)
{
    return status_of(dev);
}

static void control_write(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    struct ide_channel *channel = dev;
    bool was_reset = channel->state.control & IDE_CONTROL_SRST;

    channel->state.control =
        (uint8_t)value & (IDE_CONTROL_NIEN | IDE_CONTROL_SRST | IDE_CONTROL_HOB);
    if (!was_reset && (value & IDE_CONTROL_SRST))
        reset_channel(channel, false);
    ide_update_irq(channel);
}

const struct bus_ops ide_control_ops = {.read = control_read, .write = control_write, .widths = 1};

struct ide_channel *ide_get_channel(struct ide *ide, unsigned channel)
{
    ASSERT(channel < IDE_CHANNELS, "there are two IDE channels");
    return &ide->channels[channel];
}

const struct device *ide_channel_device(const struct ide *ide, unsigned channel)
{
    ASSERT(channel < IDE_CHANNELS, "there are two IDE channels");
    return &ide->channels[channel].device;
}

const struct device *ide_drive_device(const struct ide *ide, unsigned channel, unsigned unit)
{
    const struct ide_drive *drive;

    ASSERT(channel < IDE_CHANNELS && unit < IDE_UNITS, "there are two IDE channels of two drives");
    drive = &ide->channels[channel].drives[unit];
    return drive->kind == IDE_NONE ? NULL : &drive->device;
}

int ide_attach(struct ide *ide, unsigned channel, unsigned unit, enum ide_kind kind,
               struct block_queue *image)
{
    struct ide_drive *drive;

    ASSERT(channel < IDE_CHANNELS && unit < IDE_UNITS, "there are two IDE channels of two drives");
    drive = &ide->channels[channel].drives[unit];
    if (drive->kind != IDE_NONE)
        return -EEXIST;
    drive->kind = kind;
    drive->image = image;
    ide_init_drive_device(drive);
    ide_reset_drive(drive, true);
    return 0;
}

static void init_channels(struct ide *ide, const struct ide_config *config)
{
    for (unsigned i = 0; i < IDE_CHANNELS; i++) {
        struct ide_channel *channel = &ide->channels[i];

        channel->ide = ide;
        channel->number = i;
        channel->irq = config->irq[i];
        ide_init_channel_device(channel);
        for (unsigned unit = 0; unit < IDE_UNITS; unit++) {
            channel->drives[unit].channel = channel;
            channel->drives[unit].unit = unit;
        }
    }
}

static int add_function(struct ide *ide, struct pci_host *pci)
{
    struct pci_function *function = &ide->function;

    /* Programming interface 80h: a bus master, both channels in legacy mode for good. */
    pci_function_init(function, &(struct pci_identity){0x8086, 0x7010, 0x01, 0x01, 0x80, 0x00});
    pci_function_set(function, PCI_COMMAND, 2, 0, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
    pci_function_set(function, PCI_STATUS, 2, 0x0280, 0);
    pci_function_set(function, IDETIM, 2, IDETIM_DECODE, 0xffff);
    pci_function_set(function, IDETIM + 2, 2, IDETIM_DECODE, 0xffff);
    pci_function_set(function, 0x44, 1, 0, 0xff); /* slave timing */
    pci_function_add_bar(function, BUSMASTER_BAR, BUS_PORT, BUSMASTER_PORTS, &ide_busmaster_ops,
                         function);
    i440fx_set_subsystem(function);
    return pci_function_register(pci, function, PCI_DEVFN(1, 1));
}

struct ide *ide_create(const struct ide_config *config)
{
    struct ide *ide = calloc(1, sizeof(*ide));
    int err = 0;

    if (!ide)
        return NULL;
    ide->mem = config->mem;
    init_channels(ide, config);
    if (config->pci)
        err = add_function(ide, config->pci);
    ide->has_function = config->pci && !err;
    if (!err && config->disk)
        err = ide_attach(ide, 0, 0, IDE_DISK, config->disk);
    if (!err && config->cdrom)
        err = ide_attach(ide, 1, 0, IDE_CDROM, config->cdrom);
    if (err) {
        ide_destroy(ide);
        return NULL;
    }
    ide_reset(ide);
    return ide;
}

void ide_destroy(struct ide *ide)
{
    if (!ide)
        return;
    if (ide->has_function)
        pci_function_unregister(&ide->function);
    free(ide);
}

/*
 * The packet device: the phases of a PACKET command, sense data, and the commands that have an
 * effect or read the disc. ATA-6, 9.9 ("PACKET non-data, data-in"); MMC-3; SPC-2.
 *
 *   PACKET -> twelve bytes in -> data out to the host, in DRQ blocks or by DMA -> done
 */
#include "dev/ide_internal.h"

#include <string.h>

#include "base/trace.h"

#define COMMAND_PACKET          0xa0
#define COMMAND_IDENTIFY_PACKET 0xa1
#define COMMAND_READ_SECTORS    0x20
#define COMMAND_IDENTIFY        0xec

#define FEATURE_DMA 0x01

/* The interrupt reason, in the count register. */
#define REASON_COMMAND 0x01 /* command/data */
#define REASON_TO_HOST 0x02 /* input/output */

enum scsi_opcode {
    TEST_UNIT_READY = 0x00,
    REQUEST_SENSE = 0x03,
    INQUIRY = 0x12,
    START_STOP_UNIT = 0x1b,
    PREVENT_ALLOW = 0x1e,
    READ_CAPACITY = 0x25,
    READ_10 = 0x28,
    SEEK_10 = 0x2b,
    READ_TOC = 0x43,
    GET_CONFIGURATION = 0x46,
    GET_EVENT_STATUS = 0x4a,
    READ_DISC_INFORMATION = 0x51,
    MODE_SENSE_10 = 0x5a,
    READ_12 = 0xa8,
    SET_CD_SPEED = 0xbb,
    MECHANISM_STATUS = 0xbd,
};

#define KEY_NOT_READY      0x02
#define KEY_MEDIUM_ERROR   0x03
#define KEY_ILLEGAL        0x05
#define KEY_UNIT_ATTENTION 0x06

#define ASC_READ_ERROR     0x11
#define ASC_INVALID_OPCODE 0x20
#define ASC_OUT_OF_RANGE   0x21
#define ASC_INVALID_FIELD  0x24
#define ASC_MEDIUM_CHANGED 0x28
#define ASC_RESET          0x29
#define ASC_NO_MEDIUM      0x3a
#define ASC_REMOVAL_LOCKED 0x53

#define START_STOP_START 0x01
#define START_STOP_EJECT 0x02

#define EVENT_NEW_MEDIUM 2
#define EVENT_REMOVED    3

/* Which of the two conditions keep a command from running. */
#define NEEDS_MEDIUM      0x1
#define IGNORES_ATTENTION 0x2

struct packet_command {
    uint8_t opcode;
    uint8_t flags;
    void (*run)(struct ide_drive *drive, const uint8_t *packet);
};

static uint32_t get_be16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t get_be32(const uint8_t *p)
{
    return get_be16(p) << 16 | get_be16(p + 2);
}

static void put_be32(uint8_t *p, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        p[i] = (uint8_t)(value >> (24 - 8 * i));
}

uint32_t ide_cd_blocks(const struct ide_drive *drive)
{
    uint64_t blocks = block_size_bytes(block_queue_image(drive->image)) / IDE_CD_BLOCK_BYTES;

    return (uint32_t)MIN(blocks, (uint64_t)INT32_MAX);
}

void ide_atapi_done(struct ide_drive *drive)
{
    drive->state.packet = false;
    drive->state.now.count = REASON_COMMAND | REASON_TO_HOST;
    ide_complete(drive);
}

/* "Check condition": the sense key also stands in the error register's upper half. */
void ide_atapi_check(struct ide_drive *drive, uint8_t key, uint8_t asc, uint8_t ascq)
{
    drive->state.sense = (struct ide_sense){key, asc, ascq};
    drive->state.packet = false;
    drive->state.now.count = REASON_COMMAND | REASON_TO_HOST;
    ide_fail(drive, (uint8_t)(key << 4 | (key == KEY_ILLEGAL ? IDE_ERROR_ABRT : 0)));
}

void ide_atapi_data_failed(struct ide_drive *drive)
{
    ide_atapi_check(drive, KEY_MEDIUM_ERROR, ASC_READ_ERROR, 0);
}

/* Starts the data phase with what drive->state.left, from_image and so on say. */
static void send(struct ide_drive *drive)
{
    uint32_t limit = drive->state.now.mid | (uint32_t)drive->state.now.high << 8;

    drive->state.to_drive = false;
    if (drive->state.left == 0) {
        ide_atapi_done(drive);
    } else if (drive->state.now.feature & FEATURE_DMA) {
        ide_begin_dma(drive);
    } else {
        /* Blocks but the last have an even length; 0 and FFFFh stand for FFFEh (ATA-6, 8.23). */
        limit &= ~(uint32_t)1;
        drive->state.drq_bytes = limit ? limit : 0xfffe;
        ide_begin_pio_in(drive);
    }
}

/* Answers with the first bytes of the buffer, cut to the packet's allocation length. */
static void reply(struct ide_drive *drive, size_t len, uint32_t allocation)
{
    if (len == 0) {
        ide_atapi_check(drive, KEY_ILLEGAL, ASC_INVALID_FIELD, 0);
        return;
    }
    drive->state.from_image = false;
    drive->state.left = MIN(len, allocation);
    send(drive);
}

static void run_nothing(struct ide_drive *drive, const uint8_t *packet)
{
    ide_atapi_done(drive);
}

static void run_request_sense(struct ide_drive *drive, const uint8_t *packet)
{
    uint8_t *out = drive->state.buffer;

    if (drive->state.sense.key == 0 && drive->state.unit_attention) {
        drive->state.sense = (struct ide_sense){KEY_UNIT_ATTENTION, ASC_RESET, 0};
        drive->state.unit_attention = false;
    }
    out[0] = 0x70; /* current, fixed format */
    out[2] = drive->state.sense.key;
    out[7] = 10;
    out[12] = drive->state.sense.asc;
    out[13] = drive->state.sense.ascq;
    drive->state.sense = (struct ide_sense){0};
    reply(drive, 18, packet[4]);
}

static void run_inquiry(struct ide_drive *drive, const uint8_t *packet)
{
    reply(drive, ide_info_inquiry(packet, drive->state.buffer), get_be16(packet + 3));
}

static void run_start_stop(struct ide_drive *drive, const uint8_t *packet)
{
    bool start = packet[4] & START_STOP_START;

    if (packet[4] & START_STOP_EJECT) {
        if (!start && drive->state.locked) {
            ide_atapi_check(drive, KEY_ILLEGAL, ASC_REMOVAL_LOCKED, 2);
            return;
        }
        if (drive->state.tray_open == start)
            drive->state.media_event = start ? EVENT_NEW_MEDIUM : EVENT_REMOVED;
        drive->state.tray_open = !start;
    }
    ide_atapi_done(drive);
}

static void run_prevent(struct ide_drive *drive, const uint8_t *packet)
{
    drive->state.locked = packet[4] & 1;
    ide_atapi_done(drive);
}

static void run_capacity(struct ide_drive *drive, const uint8_t *packet)
{
    uint32_t blocks = ide_cd_blocks(drive);

    put_be32(drive->state.buffer, blocks ? blocks - 1 : 0);
    put_be32(drive->state.buffer + 4, IDE_CD_BLOCK_BYTES);
    reply(drive, 8, 8);
}

static void run_read(struct ide_drive *drive, const uint8_t *packet)
{
    uint32_t lba = get_be32(packet + 2), blocks = ide_cd_blocks(drive);
    uint32_t count = packet[0] == READ_12 ? get_be32(packet + 6) : get_be16(packet + 7);

    trace(ide_packet, drive->channel->number, drive->unit, packet[0], lba, count);
    if (lba > blocks || count > blocks - lba) {
        ide_atapi_check(drive, KEY_ILLEGAL, ASC_OUT_OF_RANGE, 0);
        return;
    }
    drive->state.from_image = true;
    drive->state.image_offset = (uint64_t)lba * IDE_CD_BLOCK_BYTES;
    drive->state.left = (uint64_t)count * IDE_CD_BLOCK_BYTES;
    send(drive);
}

static void run_seek(struct ide_drive *drive, const uint8_t *packet)
{
    if (get_be32(packet + 2) >= ide_cd_blocks(drive))
        ide_atapi_check(drive, KEY_ILLEGAL, ASC_OUT_OF_RANGE, 0);
    else
        ide_atapi_done(drive);
}

static void run_toc(struct ide_drive *drive, const uint8_t *packet)
{
    reply(drive, ide_info_toc(drive, packet, drive->state.buffer), get_be16(packet + 7));
}

static void run_configuration(struct ide_drive *drive, const uint8_t *packet)
{
    reply(drive, ide_info_configuration(drive, packet, drive->state.buffer), get_be16(packet + 7));
}

static void run_event(struct ide_drive *drive, const uint8_t *packet)
{
    reply(drive, ide_info_event(drive, packet, drive->state.buffer), get_be16(packet + 7));
}

static void run_disc_info(struct ide_drive *drive, const uint8_t *packet)
{
    reply(drive, ide_info_disc(drive->state.buffer), get_be16(packet + 7));
}

static void run_mode_sense(struct ide_drive *drive, const uint8_t *packet)
{
    reply(drive, ide_info_mode_sense(drive, packet, drive->state.buffer), get_be16(packet + 7));
}

static void run_mechanism(struct ide_drive *drive, const uint8_t *packet)
{
    reply(drive, ide_info_mechanism(drive, drive->state.buffer), get_be16(packet + 8));
}

static const struct packet_command commands[] = {
    {TEST_UNIT_READY, NEEDS_MEDIUM, run_nothing},
    {REQUEST_SENSE, IGNORES_ATTENTION, run_request_sense},
    {INQUIRY, IGNORES_ATTENTION, run_inquiry},
    {START_STOP_UNIT, 0, run_start_stop},
    {PREVENT_ALLOW, 0, run_prevent},
    {READ_CAPACITY, NEEDS_MEDIUM, run_capacity},
    {READ_10, NEEDS_MEDIUM, run_read},
    {SEEK_10, NEEDS_MEDIUM, run_seek},
    {READ_TOC, NEEDS_MEDIUM, run_toc},
    {GET_CONFIGURATION, IGNORES_ATTENTION, run_configuration},
    {GET_EVENT_STATUS, IGNORES_ATTENTION, run_event},
    {READ_DISC_INFORMATION, NEEDS_MEDIUM, run_disc_info},
    {MODE_SENSE_10, 0, run_mode_sense},
    {READ_12, NEEDS_MEDIUM, run_read},
    {SET_CD_SPEED, 0, run_nothing},
    {MECHANISM_STATUS, 0, run_mechanism},
};

static const struct packet_command *find_command(uint8_t opcode)
{
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (commands[i].opcode == opcode)
            return &commands[i];
    }
    return NULL;
}

void ide_atapi_packet(struct ide_drive *drive)
{
    const struct packet_command *row;
    uint8_t packet[IDE_PACKET_BYTES];

    memcpy(packet, drive->state.buffer, sizeof(packet));
    memset(drive->state.buffer, 0, IDE_CD_BLOCK_BYTES); /* answers are built in it */
    trace(ide_packet, drive->channel->number, drive->unit, packet[0], 0, 0);
    row = find_command(packet[0]);
    if (!row) {
        ide_atapi_check(drive, KEY_ILLEGAL, ASC_INVALID_OPCODE, 0);
    } else if (drive->state.unit_attention && !(row->flags & IGNORES_ATTENTION)) {
        drive->state.unit_attention = false;
        ide_atapi_check(drive, KEY_UNIT_ATTENTION, ASC_RESET, 0);
    } else if (drive->state.tray_open && (row->flags & NEEDS_MEDIUM)) {
        ide_atapi_check(drive, KEY_NOT_READY, ASC_NO_MEDIUM, 2);
    } else {
        if (packet[0] != REQUEST_SENSE)
            drive->state.sense = (struct ide_sense){0};
        row->run(drive, packet);
    }
}

/* PACKET: asks for the twelve bytes, without an interrupt (as word 0 of IDENTIFY says). */
static void begin_packet(struct ide_drive *drive)
{
    drive->state.packet = true;
    drive->state.phase = IDE_PACKET;
    drive->state.at = 0;
    drive->state.end = IDE_PACKET_BYTES;
    drive->state.left = 0;
    drive->state.error = 0;
    drive->state.now.count = REASON_COMMAND;
    drive->state.status = IDE_READY | IDE_STATUS_DRQ;
}

static void begin_identify(struct ide_drive *drive)
{
    ide_identify_cdrom(drive, drive->state.buffer);
    drive->state.from_image = false;
    drive->state.left = drive->state.drq_bytes = IDE_SECTOR_BYTES;
    ide_begin_pio_in(drive);
}

void ide_atapi_execute(struct ide_drive *drive, uint8_t command)
{
    switch (command) {
    case COMMAND_PACKET: begin_packet(drive); break;
    case COMMAND_IDENTIFY_PACKET: begin_identify(drive); break;
    case COMMAND_IDENTIFY:
    case COMMAND_READ_SECTORS: /* both say "I am a packet device" (ATA-6, 8.15.5 and 8.34.5) */
        ide_set_signature(drive);
        ide_fail(drive, IDE_ERROR_ABRT);
        break;
    case 0xef: /* SET FEATURES: transfer modes are all the same to us */
        drive->state.transfer_mode =
            drive->state.now.feature == 0x03 ? drive->state.now.count : drive->state.transfer_mode;
        ide_complete(drive);
        break;
    case 0xe5: /* CHECK POWER MODE */
        drive->state.now.count = 0xff;
        ide_complete(drive);
        break;
    case 0xe0: /* STANDBY IMMEDIATE, IDLE IMMEDIATE, STANDBY, IDLE, SLEEP, FLUSH CACHE */
    case 0xe1:
    case 0xe2:
    case 0xe3:
    case 0xe6:
    case 0xe7: ide_complete(drive); break;
    default: ide_fail(drive, IDE_ERROR_ABRT); break;
    }
}

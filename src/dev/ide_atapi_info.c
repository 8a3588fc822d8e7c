/*
 * A CD-ROM's answers about itself and its disc: one data track from block 0 to the end, one
 * session, closed. MMC-3: READ TOC/PMA/ATIP, GET CONFIGURATION, GET EVENT STATUS NOTIFICATION,
 * MECHANISM STATUS, READ DISC INFORMATION, MODE SENSE (10); SPC-2: INQUIRY.
 */
#include "dev/ide_internal.h"

#include <string.h>

#define TRACK_LEAD_OUT 0xaa
#define CONTROL_DATA   0x14 /* ADR 1, a data track, no copying */

#define PROFILE_CDROM 0x0008

#define PAGE_ERROR_RECOVERY 0x01
#define PAGE_CAPABILITIES   0x2a
#define PAGE_ALL            0x3f

#define EVENT_CLASS_MEDIA 4

static void put_be16(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static void put_be32(uint8_t *p, uint32_t value)
{
    put_be16(p, value >> 16);
    put_be16(p + 2, value);
}

/* Block address as minute, second, frame: 75 frames a second, and block 0 is at 00:02:00. */
static void put_msf(uint8_t *p, uint32_t lba)
{
    uint32_t frames = lba + 150;

    p[0] = 0;
    p[1] = (uint8_t)MIN(frames / 75 / 60, 255u);
    p[2] = (uint8_t)(frames / 75 % 60);
    p[3] = (uint8_t)(frames % 75);
}

static void put_address(uint8_t *p, bool msf, uint32_t lba)
{
    if (msf)
        put_msf(p, lba);
    else
        put_be32(p, lba);
}

size_t ide_info_inquiry(const uint8_t *packet, uint8_t *out)
{
    if (packet[1] & 3) /* no vital product data */
        return 0;
    out[0] = 0x05; /* CD-ROM */
    out[1] = 0x80; /* removable */
    out[2] = 0x05; /* SPC-3 */
    out[3] = 0x21; /* ATAPI 2, response format 1 */
    out[4] = 36 - 5;
    memcpy(out + 8, "UMBRA   CD-ROM          1   ", 28);
    return 36;
}

/* Format 0: first track, lead-out. */
static size_t toc_tracks(const struct ide_drive *drive, const uint8_t *packet, uint8_t *out)
{
    bool msf = packet[1] & 2;
    uint8_t first = packet[6];
    uint8_t *at = out + 4;

    if (first > 1 && first != TRACK_LEAD_OUT)
        return 0;
    if (first <= 1) {
        at[1] = CONTROL_DATA;
        at[2] = 1;
        put_address(at + 4, msf, 0);
        at += 8;
    }
    at[1] = CONTROL_DATA;
    at[2] = TRACK_LEAD_OUT;
    put_address(at + 4, msf, ide_cd_blocks(drive));
    at += 8;
    return (size_t)(at - out);
}

/* Format 2: the points of the lead-in, always in minutes, seconds and frames. */
static size_t toc_raw(const struct ide_drive *drive, uint8_t *out)
{
    static const uint8_t points[] = {0xa0, 0xa1, 0xa2, 0x01};
    uint8_t *at = out + 4;

    for (size_t i = 0; i < ARRAY_SIZE(points); i++, at += 11) {
        at[0] = 1; /* session */
        at[1] = CONTROL_DATA;
        at[3] = points[i];
        if (points[i] == 0xa0 || points[i] == 0xa1)
            at[8] = 1; /* first and last track */
        else
            put_msf(at + 7, points[i] == 0xa2 ? ide_cd_blocks(drive) : 0);
    }
    return (size_t)(at - out);
}

size_t ide_info_toc(const struct ide_drive *drive, const uint8_t *packet, uint8_t *out)
{
    unsigned format = packet[2] & 0x0f;
    size_t len;

    if (format == 0)
        format = packet[9] >> 6; /* where SFF-8020 had it */
    out[2] = out[3] = 1;         /* first and last track, or session */
    if (format == 0) {
        len = toc_tracks(drive, packet, out);
    } else if (format == 1) { /* the last session's first track */
        out[5] = CONTROL_DATA;
        out[6] = 1;
        len = 12;
    } else if (format == 2) {
        len = toc_raw(drive, out);
    } else {
        len = 0;
    }
    if (len)
        put_be16(out, (uint32_t)len - 2);
    return len;
}

static size_t page_error_recovery(uint8_t *at)
{
    at[0] = PAGE_ERROR_RECOVERY;
    at[1] = 6;
    at[3] = 5; /* retries */
    return 8;
}

static size_t page_capabilities(const struct ide_drive *drive, uint8_t *at)
{
    at[0] = PAGE_CAPABILITIES;
    at[1] = 20;
    at[2] = 0x03;                                       /* reads CD-R and CD-RW */
    at[4] = 0x71;                                       /* multi-session, mode 2, audio play */
    at[6] = 0x29 | (drive->state.locked ? 0x02 : 0x00); /* tray, ejects, can be locked */
    put_be16(at + 8, 706);                              /* speed, kB/s: four times */
    put_be16(at + 10, 2);                               /* volume levels */
    put_be16(at + 12, 512);                             /* buffer, KiB */
    put_be16(at + 14, 706);
    return 22;
}

size_t ide_info_mode_sense(const struct ide_drive *drive, const uint8_t *packet, uint8_t *out)
{
    unsigned page = packet[2] & 0x3f;
    size_t len = 8;

    if (packet[2] >> 6 == 3) /* no saved values */
        return 0;
    if (page == PAGE_ERROR_RECOVERY || page == PAGE_ALL)
        len += page_error_recovery(out + len);
    if (page == PAGE_CAPABILITIES || page == PAGE_ALL)
        len += page_capabilities(drive, out + len);
    if (len == 8)
        return 0;
    put_be16(out, (uint32_t)len - 2);
    out[2] = drive->state.tray_open ? 0x71 : 0x01; /* door open; 120 mm data disc */
    return len;
}

/* A feature's head; returns where its own bytes stand. */
static uint8_t *put_feature(uint8_t **at, unsigned number, unsigned flags, unsigned bytes)
{
    uint8_t *feature = *at;

    put_be16(feature, number);
    feature[2] = (uint8_t)flags;
    feature[3] = (uint8_t)bytes;
    *at += 4 + bytes;
    return feature + 4;
}

size_t ide_info_configuration(const struct ide_drive *drive, const uint8_t *packet, uint8_t *out)
{
    unsigned type = packet[1] & 3, start = (unsigned)packet[2] << 8 | packet[3];
    bool medium = !drive->state.tray_open;
    uint8_t *at = out + 8, *feature;

    if (type == 3)
        return 0;
    put_be16(out + 6, medium ? PROFILE_CDROM : 0);
    if (start == 0) { /* profile list */
        feature = put_feature(&at, 0, 0x03, 4);
        put_be16(feature, PROFILE_CDROM);
        feature[2] = medium;
    }
    if (type == 2 ? start == 1 : start <= 1) { /* core: ATAPI */
        feature = put_feature(&at, 1, 0x0b, 8);
        put_be32(feature, 2);
        feature[4] = 1; /* device busy event */
    }
    if (type == 2 ? start == 3 : start <= 3) { /* removable medium: tray, ejects, locks */
        feature = put_feature(&at, 3, 0x03, 4);
        feature[0] = 0x29;
    }
    put_be32(out, (uint32_t)(at - out) - 4);
    return (size_t)(at - out);
}

size_t ide_info_event(struct ide_drive *drive, const uint8_t *packet, uint8_t *out)
{
    if (!(packet[1] & 1)) /* asynchronous notification is not offered */
        return 0;
    out[3] = BIT(EVENT_CLASS_MEDIA); /* the classes that we have */
    if (!(packet[4] & BIT(EVENT_CLASS_MEDIA))) {
        out[2] = 0x80; /* no event of those asked for */
        put_be16(out, 2);
        return 4;
    }
    put_be16(out, 6);
    out[2] = EVENT_CLASS_MEDIA;
    out[4] = drive->state.media_event;
    out[5] = drive->state.tray_open ? 0x01 : 0x02; /* tray open; medium present */
    drive->state.media_event = 0;
    return 8;
}

size_t ide_info_mechanism(const struct ide_drive *drive, uint8_t *out)
{
    out[1] = drive->state.tray_open ? 0x10 : 0x00;
    out[5] = 1; /* slots; the table of slots is empty */
    return 8;
}

size_t ide_info_disc(uint8_t *out)
{
    put_be16(out, 32);
    out[2] = 0x0e; /* complete disc, complete last session */
    out[3] = 1;    /* first track; then sessions, first and last track of the last one */
    out[4] = 1;
    out[5] = 1;
    out[6] = 1;
    out[7] = 0x20;             /* unrestricted use */
    memset(out + 16, 0xff, 8); /* no lead-in and lead-out to write at */
    return 34;
}

/*
 * Names a file by the bytes in it, where it is of a well-known kind that is neither a guest nor the
 * plain bytes of a drive: disk images in a container, compressed data, UEFI firmware, archives,
 * programs, text. The user is then told what it is and what to do about it. It refuses to read such
 * a file: a guest can write any magic into its own raw disk, so a container is only ever named.
 * Specification: each format's own; QEMU's docs/interop for QCOW2, QED and Parallels.
 */
#ifndef UMBRA_FW_FORMAT_H
#define UMBRA_FW_FORMAT_H

#include "base/types.h"
#include "fw/fw_error.h"

struct image;

enum format_kind {
    FORMAT_CONTAINER, /* holds the bytes of a disk, but not as they are */
    FORMAT_PACKED,    /* compressed data, of whatever */
    FORMAT_FIRMWARE,  /* UEFI */
    FORMAT_OTHER,     /* no guest; a drive takes it as it takes any bytes */
};

struct format {
    enum format_kind kind;
    const char *name; /* "a QCOW2 disk image" */
    const char *way;  /* what to do; of a container and of packed data the command, before names */
};

/*
 * The format of a whole file, or NULL when none is known. Compressed data whose 512 bytes end in a
 * boot signature counts as a disk: its magic is short.
 */
const struct format *format_find(const struct image *image);

/*
 * Refuses to use a file as a drive whose bytes are not the drive's: a container, compressed data.
 * 0, or -EINVAL with a text that says what it is and how to convert it.
 */
int format_check_drive(const struct image *image, struct fw_error *error) must_check;

/* Writes what a file is that can't be started, and what to do about it. Returns -EINVAL. */
int format_refuse_start(const struct format *format, const char *path, struct fw_error *error);

/* Why a file that runs as a flat binary may be none, a clause; NULL: nothing speaks against it. */
const char *format_doubt(const uint8_t *bytes, size_t size_bytes);

#endif

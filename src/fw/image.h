/*
 * A file that the user wants in the guest: opens it for reading and tells by its content what it
 * is. It refuses what is no regular file, what is empty, and what fits no format; it never writes.
 *
 * The file is mapped, not copied, so that a large initrd costs no memory twice. Whoever cuts the
 * file short while Umbra runs gets the host's SIGBUS.
 */
#ifndef UMBRA_FW_IMAGE_H
#define UMBRA_FW_IMAGE_H

#include "base/types.h"
#include "fw/fw_error.h"

enum image_kind {
    IMAGE_LINUX,     /* bzImage: "HdrS" in the setup header */
    IMAGE_MULTIBOOT, /* a multiboot 1 header in the first 8 KiB */
    IMAGE_CDROM,     /* ISO 9660 with an El Torito boot record */
    IMAGE_DISK,      /* 55h AAh at the end of its first 512 bytes */
    IMAGE_FLAT,      /* nothing of these, and small: real-mode code for 0000:7C00 */
};

struct image {
    const uint8_t *bytes;
    size_t size_bytes;
    const char *path; /* the caller's string, for messages; outlives the image */
    bool mapped;      /* false: bytes are the caller's (image_from_bytes) */
};

#define IMAGE_FLAT_MAX_BYTES (480 * KIB) /* from 7C00h it ends below 80000h */

/*
 * Opens and maps a file. 0; -errno of the host; -EINVAL when it is empty or no regular file. On
 * failure nothing is held.
 */
int image_open(struct image *image, const char *path, struct fw_error *error) must_check;

/* Wraps bytes that outlive the image: the embedded guest, a test. */
void image_from_bytes(struct image *image, const char *name, const void *bytes, size_t size_bytes);

/* Unmaps; harmless on a zeroed image and a second time. */
void image_close(struct image *image);

/* Gives the pages read so far back to the host; they return on the next read. */
void image_drop_pages(const struct image *image);

/*
 * Tells what the image is. 0, or -EINVAL with a text that names what it looks like, if that is
 * known, and what to do about it.
 */
int image_detect(const struct image *image, enum image_kind *kind,
                 struct fw_error *error) must_check;

/* The path's last part, for messages. */
const char *image_name(const struct image *image);

#endif

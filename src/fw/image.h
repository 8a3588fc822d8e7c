/*
 * A file that the user wants in the guest: opens it for reading and tells by its content what it
 * is. It refuses what is no regular file, what is empty, and what fits no format; it never writes.
 *
 * The file is mapped while its start is planned, and read piece by piece when it is placed, so that
 * a large initrd costs no memory twice, and a file that is cut short while the guest runs is an
 * error at the next reset, no SIGBUS. Only somebody who cuts it short within the planning, before
 * there is a guest, gets that.
 */
#ifndef UMBRA_FW_IMAGE_H
#define UMBRA_FW_IMAGE_H

#include "base/types.h"
#include "fw/fw_error.h"

struct mem;

enum image_kind {
    IMAGE_LINUX,     /* bzImage: "HdrS" in the setup header */
    IMAGE_MULTIBOOT, /* a multiboot 1 header in the first 8 KiB of what is ELF or no disk */
    IMAGE_CDROM,     /* ISO 9660 with an El Torito boot record */
    IMAGE_DISK,      /* 55h AAh at the end of its first 512 bytes */
    IMAGE_FLAT,      /* nothing of these, and small: real-mode code for 0000:7C00 */
};

struct image {
    const uint8_t *bytes; /* NULL after image_unmap */
    size_t size_bytes;
    const char *path; /* the caller's string, for messages; outlives the image */
    bool is_file;     /* false: bytes are the caller's (image_from_bytes) */
    int fd;           /* of a file */
};

#define IMAGE_FLAT_MAX_BYTES (480 * KIB) /* from 7C00h it ends below 80000h */

/*
 * Opens and maps a file. 0; -errno of the host; -EINVAL when it is empty or no regular file. On
 * failure nothing is held.
 */
int image_open(struct image *image, const char *path, struct fw_error *error) must_check;

/* Wraps bytes that outlive the image: the embedded guest, a test. */
void image_from_bytes(struct image *image, const char *name, const void *bytes, size_t size_bytes);

/* Unmaps and closes; harmless on a zeroed image and a second time. */
void image_close(struct image *image);

/* Planning is over: from now on only the two functions below reach a file's bytes. */
void image_unmap(struct image *image);

/* Reads a part of the image. 0, or -EIO when the file no longer has it. */
int image_read(const struct image *image, uint64_t offset, void *buffer, size_t bytes) must_check;

/* Copies a part of the image into guest memory. 0, -EIO as above, or -EFAULT: no RAM there. */
int image_place(const struct image *image, uint64_t offset, uint64_t bytes, struct mem *mem,
                gpa_t gpa) must_check;

/*
 * Tells what the image is. 0, or -EINVAL with a text that names what it looks like, if that is
 * known, and what to do about it.
 */
int image_detect(const struct image *image, enum image_kind *kind,
                 struct fw_error *error) must_check;

/* The path's last part, for messages. */
const char *image_name(const struct image *image);

#endif

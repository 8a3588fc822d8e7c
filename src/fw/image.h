/*
 * A file that the user wants in the guest: opens it for reading and tells by its content what it
 * is. It refuses what is no regular file, what is empty, and what fits no format; it never writes.
 *
 * The file is never mapped: somebody may cut it short at any moment, and a mapping would answer
 * that with SIGBUS. Its first and last bytes, which tell its kind, are read once when it is opened;
 * all else is read piece by piece where it is wanted, so that a large initrd costs no memory twice.
 * A file that is shorter than it was when it was opened is an error there.
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
    const uint8_t *head; /* of head_bytes: the file's first IMAGE_HEAD_BYTES, or all of it */
    size_t head_bytes;
    const uint8_t *tail; /* of tail_bytes: its last IMAGE_TAIL_BYTES, or all of it */
    size_t tail_bytes;
    size_t size_bytes; /* when it was opened */
    const char *path;  /* the caller's string, for messages; outlives the image */
    bool is_file;      /* false: the bytes are the caller's (image_from_bytes) */
    int fd;            /* of a file */
};

/*
 * The head holds a bzImage's setup code and version (up to 66 KiB), a CD's volume descriptors (96
 * KiB) and the multiboot header; the tail holds the footer of a VHD.
 */
#define IMAGE_HEAD_BYTES (128 * KIB)
#define IMAGE_TAIL_BYTES 512

#define IMAGE_FLAT_MAX_BYTES (480 * KIB) /* from 7C00h it ends below 80000h */

/*
 * Opens a file and reads its head and tail. 0; -errno of the host; -EIO when it gets shorter
 * meanwhile; -EINVAL when it is empty or no regular file. On failure nothing is held.
 */
int image_open(struct image *image, const char *path, struct fw_error *error) must_check;

/* Wraps bytes that outlive the image: the embedded guest, a test. */
void image_from_bytes(struct image *image, const char *name, const void *bytes, size_t size_bytes);

/* Frees and closes; harmless on a zeroed image and a second time. */
void image_close(struct image *image);

/* A part of the head or the tail; NULL when neither holds all of it. Valid until image_close. */
const uint8_t *image_look(const struct image *image, uint64_t offset, size_t bytes);

/* Reads a part of the image. 0, or -EIO when the file no longer has it. */
int image_read(const struct image *image, uint64_t offset, void *buffer, size_t bytes) must_check;

/* Writes the text of a read that failed with -EIO. Returns -EIO. */
int image_refuse_short(const struct image *image, struct fw_error *error);

/*
 * Copies a part of the image into guest memory. 0, -EIO as above, -ENOMEM of the host, or -EFAULT:
 * no RAM there.
 */
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

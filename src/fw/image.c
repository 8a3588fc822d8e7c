/*
 * Opens guest files and detects their format from their content, never from their name.
 * Specification: the headers' own (see linux.h, multiboot.h, eltorito.h).
 */
#include "fw/image.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fw/bytes.h"
#include "fw/eltorito.h"
#include "fw/format.h"
#include "fw/linux.h"
#include "fw/multiboot.h"
#include "mem/mem.h"

#define PLACE_BYTES           (64 * KIB)
#define BOOT_SECTOR_BYTES     512
#define BOOT_SIGNATURE_OFFSET 510
#define BOOT_SIGNATURE        0xaa55 /* 55h AAh in memory */

static int check_file(int fd, const char *path, size_t *size_bytes, struct fw_error *error)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return fw_error_set(error, -errno, "cannot read %s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return fw_error_set(error, -EINVAL, "cannot use %s: it is a directory; name a file", path);
    if (!S_ISREG(st.st_mode))
        return fw_error_set(error, -EINVAL, "cannot use %s: it is no regular file; copy it to one",
                            path);
    if (st.st_size == 0)
        return fw_error_set(error, -EINVAL, "cannot use %s: the file is empty", path);
    *size_bytes = (size_t)st.st_size;
    return 0;
}

/* Head and tail share one allocation, which head points to. */
static int read_ends(struct image *image, struct fw_error *error)
{
    size_t head_bytes = MIN(image->size_bytes, (size_t)IMAGE_HEAD_BYTES);
    size_t tail_bytes = MIN(image->size_bytes, (size_t)IMAGE_TAIL_BYTES);
    uint8_t *ends = malloc(head_bytes + tail_bytes);

    if (!ends)
        return fw_error_set(error, -ENOMEM, "cannot read %s: out of memory", image->path);
    if (image_read(image, 0, ends, head_bytes) ||
        image_read(image, image->size_bytes - tail_bytes, ends + head_bytes, tail_bytes)) {
        free(ends);
        return image_refuse_short(image, error);
    }
    image->head = ends;
    image->head_bytes = head_bytes;
    image->tail = ends + head_bytes;
    image->tail_bytes = tail_bytes;
    return 0;
}

int image_open(struct image *image, const char *path, struct fw_error *error)
{
    size_t size_bytes = 0;
    int fd, result;

    *image = (struct image){.path = path};
    /* Without O_NONBLOCK a FIFO's open would wait for a writer. */
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fw_error_set(error, -errno, "cannot open %s: %s", path, strerror(errno));
    result = check_file(fd, path, &size_bytes, error);
    *image = (struct image){.size_bytes = size_bytes, .path = path, .is_file = true, .fd = fd};
    if (result == 0)
        result = read_ends(image, error);
    if (result)
        image_close(image);
    return result;
}

void image_from_bytes(struct image *image, const char *name, const void *bytes, size_t size_bytes)
{
    size_t tail_bytes = MIN(size_bytes, (size_t)IMAGE_TAIL_BYTES);

    *image = (struct image){.head = bytes,
                            .head_bytes = MIN(size_bytes, (size_t)IMAGE_HEAD_BYTES),
                            .tail = (const uint8_t *)bytes + (size_bytes - tail_bytes),
                            .tail_bytes = tail_bytes,
                            .size_bytes = size_bytes,
                            .path = name};
}

void image_close(struct image *image)
{
    if (image->is_file) {
        free((void *)image->head);
        close(image->fd);
    }
    *image = (struct image){.path = image->path};
}

const uint8_t *image_look(const struct image *image, uint64_t offset, size_t bytes)
{
    uint64_t tail_offset = image->size_bytes - image->tail_bytes;

    if (offset <= image->head_bytes && bytes <= image->head_bytes - offset)
        return image->head + offset;
    if (offset >= tail_offset && offset <= image->size_bytes && bytes <= image->size_bytes - offset)
        return image->tail + (offset - tail_offset);
    return NULL;
}

int image_read(const struct image *image, uint64_t offset, void *buffer, size_t bytes)
{
    uint8_t *to = buffer;

    if (offset > image->size_bytes || bytes > image->size_bytes - offset)
        return -EIO;
    if (!image->is_file) {
        memcpy(to, image->head + offset, bytes); /* where all of them are */
        return 0;
    }
    while (bytes > 0) {
        ssize_t n = pread(image->fd, to, bytes, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -EIO;
        to += n;
        offset += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return 0;
}

int image_refuse_short(const struct image *image, struct fw_error *error)
{
    return fw_error_set(error, -EIO,
                        "cannot read %s: it was cut short while it was read, or its disk fails; "
                        "get a whole copy",
                        image->path);
}

int image_place(const struct image *image, uint64_t offset, uint64_t bytes, struct mem *mem,
                gpa_t gpa)
{
    uint8_t *buffer = malloc(PLACE_BYTES);
    int err = buffer ? 0 : -ENOMEM;

    while (!err && bytes > 0) {
        size_t n = MIN(bytes, (uint64_t)PLACE_BYTES);

        err = image_read(image, offset, buffer, n);
        if (!err && !mem_write(mem, gpa, buffer, n))
            err = -EFAULT;
        offset += n;
        gpa += n;
        bytes -= n;
    }
    free(buffer);
    return err;
}

const char *image_name(const struct image *image)
{
    const char *slash = strrchr(image->path, '/');

    return slash ? slash + 1 : image->path;
}

static bool has_boot_signature(const struct image *image)
{
    return image->head_bytes >= BOOT_SECTOR_BYTES &&
           bytes_get16(image->head + BOOT_SIGNATURE_OFFSET) == BOOT_SIGNATURE;
}

/* A multiboot kernel, and not a disk whose first track holds one: GRUB's own core is such. */
static bool is_multiboot(const struct image *image)
{
    bool elf = image->head_bytes >= SELFMAG && memcmp(image->head, ELFMAG, SELFMAG) == 0;

    return (elf || !has_boot_signature(image)) && multiboot_probe(image->head, image->head_bytes);
}

/*
 * The order matters: a bzImage and a hybrid CD image carry the boot signature too, and a container
 * may hold any of these from its first bytes on.
 */
int image_detect(const struct image *image, enum image_kind *kind, struct fw_error *error)
{
    const struct format *format = format_find(image);

    if (format && format->kind == FORMAT_CONTAINER)
        return format_refuse_start(format, image->path, error);
    if (linux_probe(image->head, image->head_bytes)) {
        *kind = IMAGE_LINUX;
    } else if (is_multiboot(image)) {
        *kind = IMAGE_MULTIBOOT;
    } else if (eltorito_probe(image->head, image->head_bytes)) {
        *kind = IMAGE_CDROM;
    } else if (has_boot_signature(image)) {
        *kind = IMAGE_DISK;
    } else if (format) {
        return format_refuse_start(format, image->path, error);
    } else if (image->size_bytes <= IMAGE_FLAT_MAX_BYTES) {
        *kind = IMAGE_FLAT;
    } else {
        return fw_error_set(
            error, -EINVAL,
            "cannot start %s: it is no bzImage, no multiboot kernel, no bootable CD "
            "or disk image, and too large for a flat binary (%llu KiB at most)",
            image->path, (unsigned long long)(IMAGE_FLAT_MAX_BYTES / KIB));
    }
    return 0;
}

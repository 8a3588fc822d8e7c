/*
 * Opens guest files and detects their format from their content, never from their name.
 * Specification: the headers' own (see linux.h, multiboot.h, eltorito.h).
 */
#include "fw/image.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
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

static int map_file(struct image *image, int fd, const char *path, struct fw_error *error)
{
    struct stat st;
    void *map;

    if (fstat(fd, &st) < 0)
        return fw_error_set(error, -errno, "cannot read %s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return fw_error_set(error, -EINVAL, "cannot use %s: it is a directory; name a file", path);
    if (!S_ISREG(st.st_mode))
        return fw_error_set(error, -EINVAL, "cannot use %s: it is no regular file; copy it to one",
                            path);
    if (st.st_size == 0)
        return fw_error_set(error, -EINVAL, "cannot use %s: the file is empty", path);

    map = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return fw_error_set(error, -errno, "cannot map %s: %s", path, strerror(errno));
    *image = (struct image){
        .bytes = map, .size_bytes = st.st_size, .path = path, .is_file = true, .fd = fd};
    return 0;
}

int image_open(struct image *image, const char *path, struct fw_error *error)
{
    int fd, result;

    *image = (struct image){.path = path};
    /* Without O_NONBLOCK a FIFO's open would wait for a writer. */
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fw_error_set(error, -errno, "cannot open %s: %s", path, strerror(errno));
    result = map_file(image, fd, path, error);
    if (result)
        close(fd);
    return result;
}

void image_from_bytes(struct image *image, const char *name, const void *bytes, size_t size_bytes)
{
    *image = (struct image){.bytes = bytes, .size_bytes = size_bytes, .path = name};
}

void image_unmap(struct image *image)
{
    if (!image->is_file || !image->bytes)
        return;
    munmap((void *)image->bytes, image->size_bytes);
    image->bytes = NULL;
}

void image_close(struct image *image)
{
    image_unmap(image);
    if (image->is_file)
        close(image->fd);
    image->bytes = NULL;
    image->size_bytes = 0;
    image->is_file = false;
}

int image_read(const struct image *image, uint64_t offset, void *buffer, size_t bytes)
{
    uint8_t *to = buffer;

    if (offset > image->size_bytes || bytes > image->size_bytes - offset)
        return -EIO;
    if (!image->is_file) {
        memcpy(to, image->bytes + offset, bytes);
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

int image_place(const struct image *image, uint64_t offset, uint64_t bytes, struct mem *mem,
                gpa_t gpa)
{
    uint8_t buffer[PLACE_BYTES];

    while (bytes > 0) {
        size_t n = MIN(bytes, sizeof(buffer));
        int err = image_read(image, offset, buffer, n);

        if (err)
            return err;
        if (!mem_write(mem, gpa, buffer, n))
            return -EFAULT;
        offset += n;
        gpa += n;
        bytes -= n;
    }
    return 0;
}

const char *image_name(const struct image *image)
{
    const char *slash = strrchr(image->path, '/');

    return slash ? slash + 1 : image->path;
}

static bool has_boot_signature(const struct image *image)
{
    return image->size_bytes >= BOOT_SECTOR_BYTES &&
           bytes_get16(image->bytes + BOOT_SIGNATURE_OFFSET) == BOOT_SIGNATURE;
}

/* A multiboot kernel, and not a disk whose first track holds one: GRUB's own core is such. */
static bool is_multiboot(const struct image *image)
{
    bool elf = image->size_bytes >= SELFMAG && memcmp(image->bytes, ELFMAG, SELFMAG) == 0;

    return (elf || !has_boot_signature(image)) && multiboot_probe(image->bytes, image->size_bytes);
}

/*
 * The order matters: a bzImage and a hybrid CD image carry the boot signature too, and a container
 * may hold any of these from its first bytes on.
 */
int image_detect(const struct image *image, enum image_kind *kind, struct fw_error *error)
{
    const struct format *format = format_find(image->bytes, image->size_bytes);

    if (format && format->kind == FORMAT_CONTAINER)
        return format_refuse_start(format, image->path, error);
    if (linux_probe(image->bytes, image->size_bytes)) {
        *kind = IMAGE_LINUX;
    } else if (is_multiboot(image)) {
        *kind = IMAGE_MULTIBOOT;
    } else if (eltorito_probe(image->bytes, image->size_bytes)) {
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

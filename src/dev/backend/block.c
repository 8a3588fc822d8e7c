/* The block backend: pread and pwrite with the bounds checked first, and an open-file lock. */
#include "dev/backend/block.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

struct block {
    int fd;              /* -1: a buffer */
    uint8_t *data;       /* of a buffer */
    uint64_t data_bytes; /* what is backed: the file's or the buffer's size */
    uint64_t size_bytes; /* data_bytes rounded up to whole sectors */
    bool read_only;
    char *name; /* the path; NULL: a buffer */
};

/* A whole-file lock of the open file, so that a second VM in this very process is refused too. */
static int lock_image(int fd, bool read_only)
{
    struct flock lock = {.l_type = read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};

    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return 0;
    if (errno == EAGAIN || errno == EACCES)
        return -EBUSY;
    /* A file system without locks (some network ones) is no reason to refuse the image. */
    return errno == ENOLCK || errno == EOPNOTSUPP ? 0 : -errno;
}

static int image_size(int fd, uint64_t *size_bytes)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if (S_ISREG(st.st_mode)) {
        *size_bytes = (uint64_t)st.st_size;
        return 0;
    }
    if (!S_ISBLK(st.st_mode))
        return -EINVAL;
    return ioctl(fd, BLKGETSIZE64, size_bytes) == 0 ? 0 : -errno;
}

int block_open(struct block **out, const char *path, bool read_only)
{
    struct block *block = calloc(1, sizeof(*block));
    int err;

    *out = NULL;
    if (!block)
        return -ENOMEM;
    block->read_only = read_only;
    block->name = strdup(path);
    /* O_NONBLOCK: opening a FIFO must not wait for its other end. */
    block->fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK);
    err = block->fd < 0 ? -errno : image_size(block->fd, &block->data_bytes);
    if (!err && !block->name)
        err = -ENOMEM;
    if (!err)
        err = lock_image(block->fd, read_only);
    if (err) {
        block_close(block);
        return err;
    }
    block->size_bytes = ALIGN_UP(block->data_bytes, BLOCK_SECTOR_BYTES);
    *out = block;
    return 0;
}

int block_open_memory(struct block **out, void *data, size_t size_bytes)
{
    struct block *block = calloc(1, sizeof(*block));

    *out = block;
    if (!block)
        return -ENOMEM;
    block->fd = -1;
    block->data = data;
    block->data_bytes = size_bytes;
    block->size_bytes = ALIGN_UP(block->data_bytes, BLOCK_SECTOR_BYTES);
    return 0;
}

void block_close(struct block *block)
{
    if (!block)
        return;
    if (block->fd >= 0)
        close(block->fd); /* gives up the lock too */
    free(block->name);
    free(block);
}

uint64_t block_size_bytes(const struct block *block)
{
    return block->size_bytes;
}

bool block_read_only(const struct block *block)
{
    return block->read_only;
}

const char *block_name(const struct block *block)
{
    return block->name ? block->name : "in memory";
}

static bool in_range(const struct block *block, uint64_t offset, size_t len)
{
    return offset <= block->size_bytes && len <= block->size_bytes - offset;
}

int block_read(struct block *block, uint64_t offset, void *buffer, size_t len)
{
    uint8_t *at = buffer;
    size_t backed;

    if (!in_range(block, offset, len))
        return -ERANGE;
    backed = offset < block->data_bytes ? (size_t)MIN(len, block->data_bytes - offset) : 0;
    memset(at + backed, 0, len - backed);
    if (block->fd < 0) {
        if (backed)
            memcpy(at, block->data + offset, backed);
        return 0;
    }
    while (backed) {
        ssize_t n = pread(block->fd, at, backed, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0) { /* someone cut the file short: its end reads as zeroes */
            memset(at, 0, backed);
            return 0;
        }
        at += n;
        offset += (uint64_t)n;
        backed -= (size_t)n;
    }
    return 0;
}

int block_write(struct block *block, uint64_t offset, const void *buffer, size_t len)
{
    const uint8_t *at = buffer;

    if (!in_range(block, offset, len))
        return -ERANGE;
    if (block->read_only)
        return -EROFS;
    if (block->fd < 0) {
        if (offset < block->data_bytes)
            memcpy(block->data + offset, at, (size_t)MIN(len, block->data_bytes - offset));
        return 0;
    }
    while (len) {
        ssize_t n = pwrite(block->fd, at, len, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        at += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
        block->data_bytes = MAX(block->data_bytes, offset); /* the last sector is whole now */
    }
    return 0;
}

int block_flush(struct block *block)
{
    if (block->fd < 0 || block->read_only)
        return 0;
    return fdatasync(block->fd) == 0 ? 0 : -errno;
}

/* Files that are replaced whole. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm/stats_file.h"

/* Whether there is something that takes the bytes itself. */
static bool takes_bytes(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

static int write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            text += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

/* A new file beside the one named, with the rights that any new file has. */
static int open_beside(const char *path, char **name)
{
    mode_t mask = umask(0);
    int fd;

    umask(mask);
    if (asprintf(name, "%s.XXXXXX", path) < 0) {
        *name = NULL;
        return -ENOMEM;
    }
    fd = mkostemp(*name, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fchmod(fd, 0666 & ~mask) != 0) {
        int err = -errno;

        unlink(*name);
        close(fd);
        return err;
    }
    return fd;
}

int stats_file_check(const char *path)
{
    struct stat st;
    char *name;
    int fd;

    if (!*path)
        return -ENOENT;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return -EISDIR;
    if (takes_bytes(path))
        return access(path, W_OK) == 0 ? 0 : -errno;
    fd = open_beside(path, &name);
    if (fd >= 0) {
        unlink(name);
        close(fd);
    }
    free(name);
    return fd < 0 ? fd : 0;
}

int stats_file_replace(const char *path, const char *text, size_t len)
{
    bool direct = takes_bytes(path);
    char *name = NULL;
    int fd, err;

    fd = direct ? open(path, O_WRONLY | O_CLOEXEC) : open_beside(path, &name);
    if (fd < 0) {
        err = direct ? -errno : fd;
        free(name);
        return err;
    }
    err = write_all(fd, text, len);
    if (close(fd) != 0 && !err)
        err = -errno;
    if (!direct && !err && rename(name, path) != 0)
        err = -errno;
    if (!direct && err)
        unlink(name);
    free(name);
    return err;
}

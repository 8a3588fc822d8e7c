/*
 * A file that somebody cuts short while it is read: preloaded into umbra, it counts the calls of
 * fstat, mmap and pread on the file CUT_FILE, and empties it behind call number
 * CUT_AT.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int fstat(int fd, struct stat *buffer);
void *mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
ssize_t pread(int fd, void *buffer, size_t count, off_t offset);

static bool is_file(int fd)
{
    const char *path = getenv("CUT_FILE");
    struct stat wanted, found;

    return fd >= 0 && path && stat(path, &wanted) == 0 &&
           fstatat(fd, "", &found, AT_EMPTY_PATH) == 0 && wanted.st_dev == found.st_dev &&
           wanted.st_ino == found.st_ino;
}

static void count(int fd)
{
    static atomic_int calls;
    const char *at = getenv("CUT_AT");

    if (at && is_file(fd) && atomic_fetch_add(&calls, 1) + 1 == atoi(at) &&
        truncate(getenv("CUT_FILE"), 0) != 0)
        abort();
}

/* The C library's function, behind this one. */
#define NEXT(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))

int fstat(int fd, struct stat *buffer)
{
    int result = NEXT(fstat)(fd, buffer);

    count(fd);
    return result;
}

void *mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    void *result = NEXT(mmap)(at, bytes, protection, flags, fd, offset);

    count(fd);
    return result;
}

ssize_t pread(int fd, void *buffer, size_t count_bytes, off_t offset)
{
    ssize_t result = NEXT(pread)(fd, buffer, count_bytes, offset);

    count(fd);
    return result;
}

/*
 * A host's disk that hangs or fails as a test wants it: preloaded into umbra, it stands before
 * pread, pwrite and fdatasync of files whose names end with ".img", where the thread is the disk's
 * own: what Umbra reads of an image before its guest runs is left alone.
 *
 * SLOW_DISK is a list of rules, separated by commas: "pread=hang" never comes back, "pwrite=28"
 * fails with that errno, "pwrite=28@3" does so from the fourth call on. With SLOW_DISK_LOG it
 * appends a line to that file for each call that it lets through.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <unistd.h>

ssize_t pread(int fd, void *buffer, size_t count, off_t offset);
ssize_t pread64(int fd, void *buffer, size_t count, off64_t offset);
ssize_t pwrite(int fd, const void *buffer, size_t count, off_t offset);
ssize_t pwrite64(int fd, const void *buffer, size_t count, off64_t offset);
int fdatasync(int fd);

static bool is_image(int fd)
{
    char link[64], path[4096];
    ssize_t len;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    len = readlink(link, path, sizeof(path));
    return len >= 4 && memcmp(path + len - 4, ".img", 4) == 0;
}

static bool is_disk_thread(void)
{
    char name[16] = "";

    return prctl(PR_GET_NAME, name) == 0 && strcmp(name, "umbra-disk") == 0;
}

static void note(const char *call)
{
    const char *path = getenv("SLOW_DISK_LOG");
    int fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666) : -1;

    if (fd < 0)
        return;
    if (dprintf(fd, "%s\n", call) < 0)
        abort();
    close(fd);
}

static void hang(void)
{
    for (;;)
        pause();
}

/* Whether the call fails; errno says how. Comes back, or does not. */
static bool fails(const char *call, int fd)
{
    static atomic_int calls;
    const char *rule = getenv("SLOW_DISK");
    size_t len = strlen(call);
    int after = 0, number = 0;

    if (!is_disk_thread() || !is_image(fd))
        return false;
    while (rule && (strncmp(rule, call, len) != 0 || rule[len] != '='))
        rule = strchr(rule, ',') ? strchr(rule, ',') + 1 : NULL;
    if (rule && strncmp(rule + len, "=hang", 5) == 0)
        hang();
    if (rule && sscanf(rule + len, "=%d@%d", &number, &after) >= 1 &&
        atomic_fetch_add(&calls, 1) >= after) {
        errno = number;
        return true;
    }
    note(call);
    return false;
}

#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

ssize_t pread(int fd, void *buffer, size_t count, off_t offset)
{
    return fails("pread", fd) ? -1 : REAL(pread)(fd, buffer, count, offset);
}

ssize_t pread64(int fd, void *buffer, size_t count, off64_t offset)
{
    return fails("pread", fd) ? -1 : REAL(pread64)(fd, buffer, count, offset);
}

ssize_t pwrite(int fd, const void *buffer, size_t count, off_t offset)
{
    return fails("pwrite", fd) ? -1 : REAL(pwrite)(fd, buffer, count, offset);
}

ssize_t pwrite64(int fd, const void *buffer, size_t count, off64_t offset)
{
    return fails("pwrite", fd) ? -1 : REAL(pwrite64)(fd, buffer, count, offset);
}

int fdatasync(int fd)
{
    return fails("fdatasync", fd) ? -1 : REAL(fdatasync)(fd);
}

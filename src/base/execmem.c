/* Executable memory as two views of one memfd. */
#include "base/execmem.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CODE_ALIGN 16

int execmem_init(struct execmem *mem, size_t size_bytes)
{
    void *w, *x;
    int fd, err;

    *mem = (struct execmem){0};
    fd = memfd_create("umbra-code", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t)size_bytes) != 0)
        goto fail;
    w = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (w == MAP_FAILED)
        goto fail;
    x = mmap(NULL, size_bytes, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    if (x == MAP_FAILED) {
        err = -errno;
        munmap(w, size_bytes);
        close(fd);
        return err;
    }
    close(fd);
    *mem = (struct execmem){.write = w, .exec = x, .size_bytes = size_bytes};
    return 0;
fail:
    err = -errno;
    close(fd);
    return err;
}

void execmem_fini(struct execmem *mem)
{
    if (!mem->write)
        return;
    munmap(mem->write, mem->size_bytes);
    munmap(mem->exec, mem->size_bytes);
    *mem = (struct execmem){0};
}

const void *execmem_add(struct execmem *mem, const void *code, size_t len_bytes)
{
    size_t at = ALIGN_UP(mem->used_bytes, CODE_ALIGN);

    if (len_bytes > mem->size_bytes || at > mem->size_bytes - len_bytes)
        return NULL;
    memcpy(mem->write + at, code, len_bytes);
    mem->used_bytes = at + len_bytes;
    return mem->exec + at;
}

void execmem_reset(struct execmem *mem)
{
    mem->used_bytes = 0;
}

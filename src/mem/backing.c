/* mmap, in the three flavours; then what madvise can add. */
#include "mem/backing.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MAP_HUGE_2MB
#define MAP_HUGE_2MB (21 << 26)
#endif

/* A page before and one behind each slot, which nobody may touch. */
#define GUARD_BYTES PAGE_SIZE

/* Gives [from, to) back, if there is any of it. */
static void trim(uint8_t *from, uint8_t *to)
{
    if (to > from)
        munmap(from, (size_t)(to - from));
}

/*
 * Maps a slot's memory between two pages that fault: an access of ours that leaves the slot by a
 * little must not end in other memory of the host.
 * Host and guest address agree below the size of a huge page, as far as the slot is that large:
 * then the monitor's tables can map it by large leaves and the host back it by huge pages.
 * NULL with errno set on failure.
 */
static void *map_guarded(const struct mem_slot *slot, int flags)
{
    uint64_t align = slot->size_bytes >= GIB                  ? GIB
                     : slot->size_bytes >= BACKING_HUGE_BYTES ? BACKING_HUGE_BYTES
                                                              : PAGE_SIZE;
    uint64_t offset = slot->base & (align - 1);
    uint64_t reserved_bytes = slot->size_bytes + align + 2 * GUARD_BYTES;
    uint8_t *all, *at, *end;
    void *p;
    int err;

    all = mmap(NULL, reserved_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED)
        return NULL;
    at = (uint8_t *)(ALIGN_UP((uintptr_t)all + GUARD_BYTES - offset, align) + offset);
    end = at + slot->size_bytes;
    p = mmap(at, slot->size_bytes, PROT_READ | PROT_WRITE, flags | MAP_FIXED, slot->fd, 0);
    if (p == MAP_FAILED) {
        err = errno;
        munmap(all, reserved_bytes);
        errno = err;
        return NULL;
    }
    trim(all, at - GUARD_BYTES);
    trim(end + GUARD_BYTES, all + reserved_bytes);
    return p;
}

uint64_t backing_huge_bytes(gpa_t base, uint64_t size_bytes)
{
    gpa_t first = ALIGN_UP(base, BACKING_HUGE_BYTES);
    gpa_t end = ALIGN_DOWN(base + size_bytes, BACKING_HUGE_BYTES);

    return end > first ? end - first : 0;
}

/* Takes the host's memory for [hva, hva + bytes) now. */
static int populate(uint8_t *hva, uint64_t bytes)
{
    if (madvise(hva, bytes, MADV_POPULATE_WRITE) == 0)
        return 0;
    if (errno == EFAULT || errno == EHWPOISON)
        return -ENOMEM; /* the host's words for: it is not there, after all */
    if (errno != EINVAL)
        return -errno;
    /* Before Linux 5.14. The memory is new: nobody else writes to it. */
    for (uint64_t at = 0; at < bytes; at += PAGE_SIZE)
        *(volatile uint8_t *)(hva + at) = 0;
    return 0;
}

/* Puts huge pages in the place of what of the slot they can back. */
static int map_huge(struct mem_slot *slot)
{
    uint64_t bytes = backing_huge_bytes(slot->base, slot->size_bytes);
    uint8_t *at = slot->hva + (ALIGN_UP(slot->base, BACKING_HUGE_BYTES) - slot->base);

    if (bytes == 0)
        return 0;
    if (mmap(at, bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_HUGETLB | MAP_HUGE_2MB, -1,
             0) == MAP_FAILED)
        return -errno;
    /* The mapping has reserved them; a cgroup's limit would still strike at first touch. */
    return populate(at, bytes);
}

/*
 * Whether the host counts memory strictly (vm.overcommit_memory = 2). It does not count a memfd
 * before its pages are touched, and answers a touch that it cannot serve by SIGBUS.
 */
static bool host_counts_strictly(void)
{
    int fd = open("/proc/sys/vm/overcommit_memory", O_RDONLY | O_CLOEXEC);
    char mode = '0';

    if (fd < 0)
        return false;
    if (read(fd, &mode, 1) != 1)
        mode = '0';
    close(fd);
    return mode == '2';
}

/* The options for memory that the host pages on demand. */
static int advise(const struct mem_slot *slot, const struct mem_config *config)
{
    if (config->thp && slot->size_bytes >= BACKING_HUGE_BYTES &&
        madvise(slot->hva, slot->size_bytes, MADV_HUGEPAGE) != 0)
        return -EOPNOTSUPP;
    if (config->ksm && madvise(slot->hva, slot->size_bytes, MADV_MERGEABLE) != 0)
        return -EOPNOTSUPP;
    return 0;
}

int backing_map(struct mem_slot *slot, const struct mem_config *config)
{
    bool memfd = config->backend == MEM_BACKEND_MEMFD;
    int flags = MAP_NORESERVE | (memfd ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS);
    int err;

    if (memfd) {
        slot->fd = memfd_create("umbra-slot", MFD_CLOEXEC);
        if (slot->fd < 0 || ftruncate(slot->fd, (off_t)slot->size_bytes) != 0)
            return -errno;
    }
    slot->hva = map_guarded(slot, flags);
    if (!slot->hva)
        return -errno;
    err = advise(slot, config);
    if (!err && config->backend == MEM_BACKEND_HUGETLB)
        err = map_huge(slot);
    if (!err && (config->prealloc || (memfd && host_counts_strictly())))
        err = populate(slot->hva, slot->size_bytes);
    return err;
}

void backing_unmap(struct mem_slot *slot)
{
    if (slot->hva)
        munmap(slot->hva - GUARD_BYTES, slot->size_bytes + 2 * GUARD_BYTES);
    if (slot->fd >= 0)
        close(slot->fd);
}

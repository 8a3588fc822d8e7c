/* Reads of mincore, /proc/self/pagemap and /proc/kpageflags, some hundred pages at a time. */
#include "mem/host_pages.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mem/mem.h"

#define CHUNK_PAGES 512

/* An entry of /proc/self/pagemap. */
#define PM_PRESENT   BIT(63)
#define PM_EXCLUSIVE BIT(56) /* mapped here and nowhere else */
#define PM_FRAME     (BIT(55) - 1)

/* An entry of /proc/kpageflags (linux/kernel-page-flags.h). */
#define KPF_HUGETLB   BIT(17)
#define KPF_THP       BIT(22)
#define KPF_ZERO_PAGE BIT(24)

/* Reads count 8-byte entries from the one numbered `index` on; how many came. */
static size_t read_entries(int fd, uint64_t index, uint64_t *entries, size_t count)
{
    ssize_t got =
        fd < 0 ? -1
               : pread(fd, entries, count * sizeof(*entries), (off_t)(index * sizeof(*entries)));

    return got < 0 ? 0 : (size_t)got / sizeof(*entries);
}

/* The flags of the frames; frames that follow one another are read at once. */
static void read_flags(int fd, const uint64_t *frames, uint64_t *flags, size_t count)
{
    memset(flags, 0, count * sizeof(*flags));
    for (size_t i = 0, run; i < count; i += run) {
        run = 1;
        if (!frames[i])
            continue;
        while (i + run < count && frames[i + run] == frames[i] + run)
            run++;
        read_entries(fd, frames[i], &flags[i], run);
    }
}

/* At most CHUNK_PAGES of one slot. */
static void look_at_chunk(const struct mem_host_files *files, const uint8_t *hva, size_t count,
                          struct mem_host_page *pages)
{
    uint64_t entries[CHUNK_PAGES] = {0}, frames[CHUNK_PAGES] = {0}, flags[CHUNK_PAGES];
    unsigned char core[CHUNK_PAGES] = {0};

    if (mincore((void *)(uintptr_t)hva, count * PAGE_SIZE, core) != 0)
        return;
    read_entries(files->pagemap, (uintptr_t)hva >> PAGE_SHIFT, entries, count);
    for (size_t i = 0; i < count; i++) {
        if (entries[i] & PM_PRESENT)
            frames[i] = entries[i] & PM_FRAME;
    }
    read_flags(files->flags, frames, flags, count);
    for (size_t i = 0; i < count; i++) {
        /* Reading memory that nobody wrote maps one page of zeroes: it costs the host nothing. */
        if (!(core[i] & 1) || (flags[i] & KPF_ZERO_PAGE))
            continue;
        pages[i] = (struct mem_host_page){
            .resident = true,
            .shared = (entries[i] & PM_PRESENT) && !(entries[i] & PM_EXCLUSIVE),
            .huge = flags[i] & (KPF_HUGETLB | KPF_THP),
            .dirty = true,
            .hpa = frames[i] << PAGE_SHIFT,
        };
    }
}

static void look_at_log(const struct mem_slot *slot, uint64_t first, size_t count,
                        struct mem_host_page *pages)
{
    if (!slot->dirty)
        return;
    for (size_t i = 0; i < count; i++) {
        uint64_t word = atomic_load_explicit(&slot->dirty[(first + i) / 64], memory_order_relaxed);

        pages[i].dirty = word & BIT((first + i) % 64);
    }
}

void mem_host_pages(const struct mem *mem, gpa_t gpa, size_t count, struct mem_host_page *pages)
{
    const struct mem_host_files files = mem_host_files(mem);

    memset(pages, 0, count * sizeof(*pages));
    gpa &= PAGE_MASK;
    for (size_t n; count > 0; gpa += n * PAGE_SIZE, pages += n, count -= n) {
        const struct mem_slot *slot = mem_find_slot(mem, gpa);
        uint64_t first;

        n = 1;
        if (!slot)
            continue;
        first = (gpa - slot->base) >> PAGE_SHIFT;
        n = MIN(MIN(count, (size_t)CHUNK_PAGES), (slot->size_bytes >> PAGE_SHIFT) - first);
        look_at_chunk(&files, slot->hva + (first << PAGE_SHIFT), n, pages);
        look_at_log(slot, first, n, pages);
    }
}

/*
 * The hash runs over eight lanes of 64-bit words, each a chain of exclusive-or, rotation and
 * multiplication (every step can be undone, so one changed word always changes its lane); pages are
 * added up with their addresses mixed in, so their order does not matter.
 */
#include "mem/digest.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mem/mem.h"

#define CHUNK_PAGES 512
#define LANES       8
#define WORDS       (PAGE_SIZE / sizeof(uint64_t))
#define FACTOR      0x9e3779b97f4a7c15u /* odd: 2^64 divided by the golden ratio */

/* An entry of /proc/self/pagemap (Linux, Documentation/admin-guide/mm/pagemap.rst). */
#define PM_PRESENT BIT(63)
#define PM_SWAPPED BIT(62)

typedef int (*page_fn)(void *opaque, gpa_t gpa, const uint64_t *words);

static uint64_t rotate(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static uint64_t mix(uint64_t value)
{
    value = (value ^ value >> 32) * FACTOR;
    return value ^ value >> 29;
}

static bool page_is_zero(const uint64_t *words)
{
    uint64_t seen = 0;

    for (size_t i = 0; i < WORDS && !seen; i += 8)
        seen = words[i] | words[i + 1] | words[i + 2] | words[i + 3] | words[i + 4] | words[i + 5] |
               words[i + 6] | words[i + 7];
    return !seen;
}

static uint64_t hash_page(gpa_t gpa, const uint64_t *words)
{
    uint64_t lane[LANES] = {1, 2, 3, 4, 5, 6, 7, 8}, hash = mix(gpa ^ FACTOR);

    for (size_t i = 0; i < WORDS; i += LANES) {
        for (size_t j = 0; j < LANES; j++)
            lane[j] = rotate(lane[j] ^ words[i + j], 29) * FACTOR;
    }
    for (size_t j = 0; j < LANES; j++)
        hash = mix(hash ^ lane[j]);
    return hash;
}

/*
 * Which of at most CHUNK_PAGES pages have something behind them: in memory or in swap, which only
 * pagemap tells. It does not know what a file (memfd) holds that is not mapped now; mincore does.
 */
static void look_behind(int pagemap, const struct mem_slot *slot, const uint8_t *hva, size_t count,
                        unsigned char *behind)
{
    uint64_t entries[CHUNK_PAGES];
    size_t bytes = count * sizeof(*entries);
    bool told = pread(pagemap, entries, bytes,
                      (off_t)(((uintptr_t)hva >> PAGE_SHIFT) * sizeof(*entries))) == (ssize_t)bytes;

    memset(behind, 0, count);
    if ((!told || slot->fd >= 0) && mincore((void *)(uintptr_t)hva, count * PAGE_SIZE, behind) != 0)
        memset(behind, 1, count);
    for (size_t i = 0; i < count && told; i++)
        behind[i] |= (entries[i] & (PM_PRESENT | PM_SWAPPED)) != 0;
}

static int each_of_slot(const struct mem_slot *slot, int pagemap, page_fn fn, void *opaque)
{
    unsigned char behind[CHUNK_PAGES];
    uint64_t pages = slot->size_bytes >> PAGE_SHIFT;

    for (uint64_t at = 0, n; at < pages; at += n) {
        n = MIN(pages - at, (uint64_t)CHUNK_PAGES);
        look_behind(pagemap, slot, slot->hva + (at << PAGE_SHIFT), n, behind);
        for (uint64_t i = 0; i < n; i++) {
            const uint64_t *words = (const uint64_t *)(slot->hva + ((at + i) << PAGE_SHIFT));
            int err;

            if (!(behind[i] & 1) || page_is_zero(words))
                continue;
            err = fn(opaque, slot->base + ((at + i) << PAGE_SHIFT), words);
            if (err)
                return err;
        }
    }
    return 0;
}

/* Calls fn for each page that is not all zeroes, in rising order. */
static int each_page(const struct mem *mem, page_fn fn, void *opaque)
{
    int pagemap = mem_host_files(mem).pagemap, err = 0;
    size_t count;
    const struct mem_slot *slots = mem_slots(mem, &count);

    for (size_t i = 0; i < count && !err; i++)
        err = each_of_slot(&slots[i], pagemap, fn, opaque);
    return err;
}

static int add_page(void *opaque, gpa_t gpa, const uint64_t *words)
{
    *(uint64_t *)opaque += hash_page(gpa, words);
    return 0;
}

uint64_t mem_digest(const struct mem *mem)
{
    uint64_t digest = 0;

    each_page(mem, add_page, &digest);
    return digest;
}

static int save_page(void *opaque, gpa_t gpa, const uint64_t *words)
{
    ssize_t written = pwrite(*(const int *)opaque, words, PAGE_SIZE, (off_t)gpa);

    if (written == (ssize_t)PAGE_SIZE)
        return 0;
    return written < 0 ? -errno : -ENOSPC;
}

int mem_save(const struct mem *mem, int fd)
{
    return each_page(mem, save_page, &fd);
}

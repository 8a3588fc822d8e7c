/* Slots: a small sorted array; everything else is arithmetic on it. */
#include "mem/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bisect.h"
#include "base/trace.h"
#include "mem/backing.h"

#define MAX_SLOTS   32
#define MAX_CHANGES 16 /* that mem_change remembers */

struct mem {
    struct mem_config config;
    struct mem_host_files host_files;
    struct mem_slot slots[MAX_SLOTS];
    size_t count;
    uint64_t generation;
    struct change {
        gpa_t gpa;
        uint64_t len;
    } changes[MAX_CHANGES]; /* by the generation that they led to */
    struct watcher {
        void (*fn)(void *opaque, gpa_t gpa, uint64_t len);
        void *opaque;
    } watchers[MEM_WATCHES];
};

struct mem *mem_create(const struct mem_config *config)
{
    struct mem *mem = calloc(1, sizeof(*mem));

    if (!mem)
        return NULL;
    if (config)
        mem->config = *config;
    mem->host_files = (struct mem_host_files){
        .pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC),
        .flags = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC),
        .statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC),
    };
    return mem;
}

struct mem_host_files mem_host_files(const struct mem *mem)
{
    return mem->host_files;
}

static size_t bitmap_bytes(const struct mem_slot *slot)
{
    return ALIGN_UP((slot->size_bytes >> PAGE_SHIFT), 64) / 8;
}

static void slot_fini(struct mem_slot *slot)
{
    backing_unmap(slot);
    for (unsigned i = 0; i < MEM_WATCHES; i++) {
        if (slot->watch[i])
            munmap((void *)slot->watch[i], bitmap_bytes(slot));
    }
    free((void *)slot->dirty);
}

static void close_file(int fd)
{
    if (fd >= 0)
        close(fd);
}

void mem_destroy(struct mem *mem)
{
    if (!mem)
        return;
    for (size_t i = 0; i < mem->count; i++)
        slot_fini(&mem->slots[i]);
    close_file(mem->host_files.pagemap);
    close_file(mem->host_files.flags);
    close_file(mem->host_files.statm);
    free(mem);
}

/* Maps the slot's memory and its watch bits. */
static int slot_map(struct mem_slot *slot, const struct mem_config *config)
{
    int err = backing_map(slot, config);

    if (err)
        return err;
    for (unsigned i = 0; i < MEM_WATCHES; i++) {
        void *bits = mmap(NULL, bitmap_bytes(slot), PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (bits == MAP_FAILED)
            return -errno;
        slot->watch[i] = bits;
    }
    return 0;
}

static bool slot_ends_below(const void *slots, size_t index, uint64_t gpa)
{
    const struct mem_slot *slot = (const struct mem_slot *)slots + index;

    return slot->base + (slot->size_bytes - 1) < gpa;
}

/* The index of the first slot that ends above gpa. */
static size_t lower_bound(const struct mem *mem, gpa_t gpa)
{
    return bisect(mem->slots, mem->count, gpa, slot_ends_below);
}

static void changed(struct mem *mem, const struct mem_slot *slot)
{
    mem->generation++;
    mem->changes[mem->generation % MAX_CHANGES] = (struct change){slot->base, slot->size_bytes};
}

int mem_add_slot(struct mem *mem, const char *name, gpa_t base, uint64_t size_bytes,
                 enum mem_slot_kind kind)
{
    struct mem_slot slot = {.base = base, .size_bytes = size_bytes, .kind = kind, .fd = -1};
    size_t at;
    int err;

    if (size_bytes == 0 || base % PAGE_SIZE || size_bytes % PAGE_SIZE ||
        base + (size_bytes - 1) < base)
        return -EINVAL;
    at = lower_bound(mem, base);
    if (at < mem->count && mem->slots[at].base <= base + (size_bytes - 1))
        return -EEXIST;
    if (mem->count == MAX_SLOTS)
        return -ENOSPC;
    snprintf(slot.name, sizeof(slot.name), "%s", name);
    err = slot_map(&slot, &mem->config);
    if (err) {
        slot_fini(&slot);
        return err;
    }
    memmove(&mem->slots[at + 1], &mem->slots[at], (mem->count - at) * sizeof(slot));
    mem->slots[at] = slot;
    mem->count++;
    changed(mem, &slot);
    trace(slot_change, base, size_bytes, TRACE_WORD("comes"));
    return 0;
}

int mem_remove_slot(struct mem *mem, gpa_t base)
{
    size_t at = lower_bound(mem, base);

    if (at == mem->count || mem->slots[at].base != base)
        return -ENOENT;
    changed(mem, &mem->slots[at]);
    trace(slot_change, base, mem->slots[at].size_bytes, TRACE_WORD("goes"));
    slot_fini(&mem->slots[at]);
    memmove(&mem->slots[at], &mem->slots[at + 1], (mem->count - at - 1) * sizeof(mem->slots[0]));
    mem->count--;
    return 0;
}

const struct mem_slot *mem_find_slot(const struct mem *mem, gpa_t gpa)
{
    size_t at = lower_bound(mem, gpa);

    if (at == mem->count || mem->slots[at].base > gpa)
        return NULL;
    return &mem->slots[at];
}

bool mem_slot_holds_leaf(const struct mem_slot *slot, gpa_t base, uint64_t span)
{
    ASSERT(span > 0 && base % span == 0, "a leaf lies on a multiple of its span");
    return ((uintptr_t)slot->hva - slot->base) % span == 0 && base >= slot->base &&
           base - slot->base < slot->size_bytes && slot->size_bytes - (base - slot->base) >= span;
}

const struct mem_slot *mem_slots(const struct mem *mem, size_t *count)
{
    *count = mem->count;
    return mem->slots;
}

static struct mem_slot *slot_at(struct mem *mem, gpa_t base)
{
    size_t at = lower_bound(mem, base);

    return at < mem->count && mem->slots[at].base == base ? &mem->slots[at] : NULL;
}

int mem_dirty_log(struct mem *mem, gpa_t base, bool on)
{
    struct mem_slot *slot = slot_at(mem, base);

    if (!slot)
        return -ENOENT;
    free((void *)slot->dirty);
    slot->dirty = NULL;
    if (!on)
        return 0;
    slot->dirty = calloc(1, bitmap_bytes(slot));
    return slot->dirty ? 0 : -ENOMEM;
}

int mem_dirty_fetch(struct mem *mem, gpa_t base, uint64_t *bits, size_t words)
{
    struct mem_slot *slot = slot_at(mem, base);

    if (!slot || !slot->dirty)
        return -ENOENT;
    if (words < bitmap_bytes(slot) / 8)
        return -EINVAL;
    /* Acquire: the bytes of a page whose bit is seen here were written before it was set. */
    for (size_t i = 0; i < bitmap_bytes(slot) / 8; i++)
        bits[i] = atomic_exchange_explicit(&slot->dirty[i], 0, memory_order_acquire);
    return 0;
}

/* Counts a slot's resident pages, in steps that keep mincore's vector small. */
static uint64_t slot_resident_bytes(const struct mem_slot *slot)
{
    unsigned char vector[4096];
    uint64_t pages = 0;

    for (uint64_t at = 0; at < slot->size_bytes; at += sizeof(vector) * PAGE_SIZE) {
        uint64_t n = MIN(slot->size_bytes - at, sizeof(vector) * PAGE_SIZE);

        if (mincore(slot->hva + at, n, vector) != 0)
            break;
        for (uint64_t i = 0; i < n / PAGE_SIZE; i++)
            pages += vector[i] & 1;
    }
    return pages * PAGE_SIZE;
}

uint64_t mem_resident_bytes(const struct mem *mem)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < mem->count; i++)
        bytes += slot_resident_bytes(&mem->slots[i]);
    return bytes;
}

uint64_t mem_generation(const struct mem *mem)
{
    return mem->generation;
}

bool mem_change(const struct mem *mem, uint64_t generation, gpa_t *gpa, uint64_t *len)
{
    const struct change *change = &mem->changes[generation % MAX_CHANGES];

    if (generation + MAX_CHANGES <= mem->generation || generation > mem->generation)
        return false;
    *gpa = change->gpa;
    *len = change->len;
    return true;
}

void *mem_host(const struct mem *mem, gpa_t gpa, uint64_t len, bool write)
{
    const struct mem_slot *slot = mem_find_slot(mem, gpa);
    uint64_t offset;

    if (!slot || len == 0 || (write && slot->kind == MEM_SLOT_ROM))
        return NULL;
    offset = gpa - slot->base;
    if (len > slot->size_bytes - offset)
        return NULL;
    return slot->hva + offset;
}

bool mem_gpa_of_host(const struct mem *mem, const void *host, gpa_t *gpa)
{
    for (size_t i = 0; i < mem->count; i++) {
        const struct mem_slot *slot = &mem->slots[i];
        uint64_t offset = (uintptr_t)host - (uintptr_t)slot->hva;

        if (offset < slot->size_bytes) {
            *gpa = slot->base + offset;
            return true;
        }
    }
    return false;
}

/* How many of len bytes at gpa lie in one slot (or, without a slot, in one page's rest). */
static uint64_t piece(const struct mem_slot *slot, gpa_t gpa, uint64_t len)
{
    uint64_t room = slot ? slot->size_bytes - (gpa - slot->base) : PAGE_SIZE - gpa % PAGE_SIZE;

    return MIN(len, room);
}

bool mem_read(const struct mem *mem, gpa_t gpa, void *buffer, uint64_t len)
{
    uint8_t *to = buffer;
    bool all = true;

    while (len > 0) {
        const struct mem_slot *slot = mem_find_slot(mem, gpa);
        uint64_t n = piece(slot, gpa, len);

        if (slot) {
            memcpy(to, slot->hva + (gpa - slot->base), n);
        } else {
            memset(to, 0xff, n);
            all = false;
        }
        gpa += n;
        to += n;
        len -= n;
    }
    return all;
}

static bool write_slots(struct mem *mem, gpa_t gpa, const void *buffer, uint64_t len, bool rom)
{
    const uint8_t *from = buffer;
    bool all = true;

    while (len > 0) {
        const struct mem_slot *slot = mem_find_slot(mem, gpa);
        uint64_t n = piece(slot, gpa, len);

        if (slot && (rom || slot->kind == MEM_SLOT_RAM)) {
            memcpy(slot->hva + (gpa - slot->base), from, n);
            mem_mark_written(mem, gpa, n);
        } else {
            all = false;
        }
        gpa += n;
        from += n;
        len -= n;
    }
    return all;
}

bool mem_write(struct mem *mem, gpa_t gpa, const void *buffer, uint64_t len)
{
    return write_slots(mem, gpa, buffer, len, false);
}

bool mem_rom_load(struct mem *mem, gpa_t gpa, const void *buffer, uint64_t len)
{
    return write_slots(mem, gpa, buffer, len, true);
}

uint16_t mem_read16(const struct mem *mem, gpa_t gpa)
{
    uint16_t value;

    mem_read(mem, gpa, &value, sizeof(value));
    return value;
}

uint32_t mem_read32(const struct mem *mem, gpa_t gpa)
{
    uint32_t value;

    mem_read(mem, gpa, &value, sizeof(value));
    return value;
}

uint64_t mem_read64(const struct mem *mem, gpa_t gpa)
{
    uint64_t value;

    mem_read(mem, gpa, &value, sizeof(value));
    return value;
}

/* A page's bit; acquire pairs with the release of whoever sets or clears it. */
static bool bit_is_set(_Atomic uint64_t *bits, uint64_t index)
{
    return atomic_load_explicit(&bits[index / 64], memory_order_acquire) & BIT(index % 64);
}

/* Release: pairs with mem_dirty_fetch. */
static void log_page(const struct mem_slot *slot, uint64_t index)
{
    if (slot->dirty)
        atomic_fetch_or_explicit(&slot->dirty[index / 64], BIT(index % 64), memory_order_release);
}

void mem_mark_dirty(struct mem *mem, gpa_t gpa)
{
    const struct mem_slot *slot = mem_find_slot(mem, gpa);

    if (slot)
        log_page(slot, (gpa - slot->base) >> PAGE_SHIFT);
}

bool mem_is_clean(const struct mem_slot *slot, gpa_t gpa)
{
    return slot->dirty && !bit_is_set(slot->dirty, (gpa - slot->base) >> PAGE_SHIFT);
}

void mem_mark_written(struct mem *mem, gpa_t gpa, uint64_t len)
{
    for (uint64_t n; len > 0; gpa += n, len -= n) {
        const struct mem_slot *slot = mem_find_slot(mem, gpa);
        uint64_t index;

        n = MIN(len, PAGE_SIZE - gpa % PAGE_SIZE);
        if (!slot)
            continue;
        index = (gpa - slot->base) >> PAGE_SHIFT;
        log_page(slot, index);
        for (unsigned i = 0; i < MEM_WATCHES; i++) {
            const struct watcher *watcher = &mem->watchers[i];

            if (watcher->fn && bit_is_set(slot->watch[i], index))
                watcher->fn(watcher->opaque, gpa, n);
        }
    }
}

void mem_set_watcher(struct mem *mem, enum mem_watch kind,
                     void (*fn)(void *opaque, gpa_t gpa, uint64_t len), void *opaque)
{
    mem->watchers[kind] = (struct watcher){fn, opaque};
}

void mem_watch_page(struct mem *mem, enum mem_watch kind, gpa_t page, bool watch)
{
    const struct mem_slot *slot = mem_find_slot(mem, page);
    _Atomic uint64_t *word;
    uint64_t index;

    if (!slot)
        return;
    index = (page - slot->base) >> PAGE_SHIFT;
    word = &slot->watch[kind][index / 64];
    if (watch)
        atomic_fetch_or_explicit(word, BIT(index % 64), memory_order_release);
    else
        atomic_fetch_and_explicit(word, ~BIT(index % 64), memory_order_release);
}

bool mem_page_watched(const struct mem *mem, enum mem_watch kind, gpa_t page)
{
    const struct mem_slot *slot = mem_find_slot(mem, page);

    return slot && bit_is_set(slot->watch[kind], (page - slot->base) >> PAGE_SHIFT);
}

bool mem_write_is_told(const struct mem *mem, gpa_t gpa)
{
    const struct mem_slot *slot = mem_find_slot(mem, gpa);
    uint64_t index;

    if (!slot)
        return false;
    index = (gpa - slot->base) >> PAGE_SHIFT;
    if (mem_is_clean(slot, gpa))
        return true;
    return bit_is_set(slot->watch[MEM_WATCH_CODE], index) ||
           bit_is_set(slot->watch[MEM_WATCH_TABLES], index);
}

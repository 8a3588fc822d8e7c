/*
 * Guest-physical memory: slots GPA -> HVA. The only place that turns a guest-physical address into
 * a host pointer, always with a length. Host memory is touched on demand, so a guest larger than
 * the host starts.
 *
 * A pointer from here dies at the next change of slots (mem_generation tells).
 *
 * Locking: slots change only with every vCPU stopped and the machine lock held; reads and writes
 * may come from any thread at any time, as on a PC's memory bus.
 */
#ifndef UMBRA_MEM_MEM_H
#define UMBRA_MEM_MEM_H

#include <stdatomic.h>

#include "base/types.h"

enum mem_slot_kind {
    MEM_SLOT_RAM,
    MEM_SLOT_ROM, /* guest writes are dropped; the monitor's mem_rom_load writes */
};

enum mem_backend {
    MEM_BACKEND_ANON,
    MEM_BACKEND_MEMFD,
    MEM_BACKEND_HUGETLB, /* huge pages that the host has set aside */
};

/* What slots are made of; all zero is memory as the host gives it to anybody. */
struct mem_config {
    enum mem_backend backend;
    bool prealloc; /* take it from the host when the slot is added */
    bool ksm;      /* let the host merge equal pages: MEM_BACKEND_ANON only */
    bool thp;      /* ask for transparent huge pages; else the host's default holds */
};

/* Who wants to be told of writes to a page. */
enum mem_watch {
    MEM_WATCH_CODE,   /* an engine: it has decoded code from the page */
    MEM_WATCH_TABLES, /* shadow paging: the page is a gPT that is shadowed */
    MEM_WATCHES
};

/* A range of GPA backed by a range of HVA. */
struct mem_slot {
    gpa_t base;
    uint64_t size_bytes; /* a multiple of PAGE_SIZE */
    enum mem_slot_kind kind;
    char name[16]; /* "low", "high", "bios", ... for people */
    uint8_t *hva;
    int fd;                               /* of the memfd, or -1 */
    _Atomic uint64_t *watch[MEM_WATCHES]; /* a bit a page: writes must be told to the watcher */
    _Atomic uint64_t *dirty; /* a bit a page written since the last clear; NULL: not logged */
};

struct mem;

/*
 * Makes memory without slots, or NULL. config may be NULL: all zero. It opens what host_pages.h and
 * digest.h read later, when the process may not open files any more.
 */
struct mem *mem_create(const struct mem_config *config);
void mem_destroy(struct mem *mem);

/* /proc/self/pagemap and statm, and /proc/kpageflags, -1 where the host does not let us read them.
 */
struct mem_host_files {
    int pagemap;
    int flags;
    int statm;
};

struct mem_host_files mem_host_files(const struct mem *mem);

/*
 * Adds a slot of zeroes. 0, -EINVAL (not page-aligned, empty, wraps), -EEXIST (overlaps),
 * -EOPNOTSUPP (the host knows no KSM or no transparent huge pages), or the host's error (-ENOMEM:
 * no address space; no huge pages set aside; with prealloc, no memory).
 */
int mem_add_slot(struct mem *mem, const char *name, gpa_t base, uint64_t size_bytes,
                 enum mem_slot_kind kind) must_check;

/* Removes the slot that starts at base; -ENOENT when there is none. */
int mem_remove_slot(struct mem *mem, gpa_t base) must_check;

/* The slot of an address, or NULL (then it is MMIO or nothing at all). */
const struct mem_slot *mem_find_slot(const struct mem *mem, gpa_t gpa);

/*
 * Whether one leaf of span bytes (a power of two) may map the slot's memory at base, a multiple of
 * span: the slot holds the span whole, and lies in host memory as it does in the guest's.
 */
bool mem_slot_holds_leaf(const struct mem_slot *slot, gpa_t base, uint64_t span);

/* The slots in rising order. */
const struct mem_slot *mem_slots(const struct mem *mem, size_t *count);

/* How much of the slots the host keeps in memory now, in bytes. */
uint64_t mem_resident_bytes(const struct mem *mem);

/* Rises by one with each change of slots; cached translations from an older generation are void. */
uint64_t mem_generation(const struct mem *mem);

/*
 * The range of the slot that came or went when the generation rose to this one. False: too long
 * ago, anything may have changed.
 */
bool mem_change(const struct mem *mem, uint64_t generation, gpa_t *gpa, uint64_t *len);

/*
 * The host address of [gpa, gpa + len), or NULL when one slot does not cover it all. With write set
 * it also fails on ROM. A writer that goes past mem_write calls mem_mark_written itself.
 */
void *mem_host(const struct mem *mem, gpa_t gpa, uint64_t len, bool write);

/* The guest-physical address that a host address inside a slot backs; false: it is in none. */
bool mem_gpa_of_host(const struct mem *mem, const void *host, gpa_t *gpa);

/*
 * Copies between guest memory and a buffer, across slots. Reads of what no slot backs give ones,
 * writes there and to ROM are dropped; both return false then.
 */
bool mem_read(const struct mem *mem, gpa_t gpa, void *buffer, uint64_t len);
bool mem_write(struct mem *mem, gpa_t gpa, const void *buffer, uint64_t len);

/* As mem_write, into ROM too: for loaders before the guest starts. */
bool mem_rom_load(struct mem *mem, gpa_t gpa, const void *buffer, uint64_t len);

/* Little-endian values; the same rules. */
uint16_t mem_read16(const struct mem *mem, gpa_t gpa);
uint32_t mem_read32(const struct mem *mem, gpa_t gpa);
uint64_t mem_read64(const struct mem *mem, gpa_t gpa);

/* Marks the pages of a range dirty and tells the watcher of those that are watched. */
void mem_mark_written(struct mem *mem, gpa_t gpa, uint64_t len);

/*
 * Dirty logging of the slot that starts at base: from now on each written page is remembered.
 * Turning it on starts with no page dirty. Whoever caches write permission flushes it afterwards
 * (engine vcpu_flush). 0, -ENOENT or -ENOMEM.
 */
int mem_dirty_log(struct mem *mem, gpa_t base, bool on) must_check;

/*
 * Copies the dirty bits of a logged slot, a bit a page from its base on, and clears them. bits has
 * room for words 64-bit words. 0, -ENOENT (no such slot, or not logged), -EINVAL (no room).
 */
int mem_dirty_fetch(struct mem *mem, gpa_t base, uint64_t *bits, size_t words) must_check;

/* Remembers the page in the dirty log of its slot, if there is one: for who will let it be written.
 */
void mem_mark_dirty(struct mem *mem, gpa_t gpa);

/* Whether the slot has a dirty log that does not hold the page yet. */
bool mem_is_clean(const struct mem_slot *slot, gpa_t gpa);

/*
 * A watcher is told of writes (by mem_write and mem_mark_written) to pages that are watched for it.
 * The function is called on the writing thread, after the bytes have changed, once a page, with the
 * part of the write that lies in it. One watcher a kind.
 */
void mem_set_watcher(struct mem *mem, enum mem_watch kind,
                     void (*fn)(void *opaque, gpa_t gpa, uint64_t len), void *opaque);
void mem_watch_page(struct mem *mem, enum mem_watch kind, gpa_t page, bool watch);
bool mem_page_watched(const struct mem *mem, enum mem_watch kind, gpa_t page);

/*
 * Whether a write to this address must go through mem_mark_written: its page is watched, or in a
 * dirty log that does not hold it yet.
 */
bool mem_write_is_told(const struct mem *mem, gpa_t gpa);

#endif

/*
 * The memory benchmark's guest: a 64-bit kernel without anything under it that does a fixed amount
 * of one kind of memory work, checks what it read, and says how long its processor took.
 *
 *   command line   NAME [OPERATIONS]      0 operations: only what the measured loop needs before it
 *   output         "bench NAME OPERATIONS NANOSECONDS", or "skip NAME", or "FAIL NAME: words"
 *   status         33 (10h to isa-debug-exit) for a pass or a skip, 35 for a failure
 */
#ifndef MMU_GUEST_GUEST_H
#define MMU_GUEST_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE     4096ull
#define LARGE    (512 * PAGE)
#define MIB      0x100000ull
#define WORK     0x8140000000ull /* where workloads map: one gigabyte of the second PML4 entry */
#define NO_FLUSH (1ull << 63)    /* in a CR3 value, with PCIDs */

enum pte {
    PTE_P = 1,
    PTE_W = 2,
    PTE_PS = 0x80,
    PTE_OURS = 0x200, /* ignored by hardware: a copy is to be made at a write */
};
#define PTE_FRAME 0x000ffffffffff000ull

/* --- paging.c --- */

struct paging {
    uint64_t *root; /* in CR3 now; identity-mapped, as all tables are */
    bool maps, unlocks;
    bool resumes;    /* faults of read_or_fault end at its second exit */
    uint64_t faults; /* taken so far */
};
extern struct paging paging;

/* A page of zeroes, as an address and as a frame; ends the guest when there is none left. */
uint64_t frame_new(void);
void frame_free(uint64_t frame);
/* 2 MiB that are never given back, with whatever is in them. */
uint64_t frame_large(void);

/* An address space with the kernel's part in it. */
uint64_t *space_new(void);
/* Frees a space's tables and its share of the pages in the work area. */
void space_free(uint64_t *root);
/* A copy that shares all pages of the work area, write-protected in both. */
uint64_t *space_fork(uint64_t *root);
void space_enter(uint64_t *root);

/* The entry of level 1 (or 2: level) for an address, with tables made on the way. */
uint64_t *space_entry(uint64_t *root, uint64_t address, unsigned level);
/* Maps a new frame that holds its tag. */
void space_map(uint64_t *root, uint64_t address, uint64_t tag);

/* The second word of a page: tells which page it is. The first is free for use. */
uint64_t tag_of(uint64_t address);

static inline void invlpg(uint64_t address)
{
    __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

static inline void write_cr3(uint64_t value)
{
    __asm__ volatile("mov %0, %%cr3" : : "r"(value) : "memory");
}

static inline uint64_t read_word(uint64_t address, unsigned word)
{
    return ((volatile uint64_t *)address)[word];
}

static inline void write_word(uint64_t address, uint64_t value)
{
    *(volatile uint64_t *)address = value;
}

/* --- workloads.c --- */

struct workload {
    const char *name;
    uint64_t operations;
    void (*prepare)(uint64_t param, uint64_t operations);
    void (*run)(uint64_t param, uint64_t operations);
    void (*check)(uint64_t param, uint64_t operations); /* may be NULL */
    uint64_t param;
    bool pcid; /* needs process-context identifiers */
};
extern const struct workload workloads[];
extern const unsigned workload_count;

/* --- main.c --- */

void fail(const char *words) __attribute__((noreturn));
void expect(bool truth, const char *words);

#endif

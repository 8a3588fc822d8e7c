/*
 * What the user asked for: plain data, made by the command line and read by the VM. Strings belong
 * to whoever made the configuration and outlive the VM.
 */
#ifndef UMBRA_VM_CONFIG_H
#define UMBRA_VM_CONFIG_H

#include "base/types.h"
#include "mem/mem.h"
#include "mmu/mmu.h"
#include "vm/engines.h"

#define VM_CONFIG_DEFAULT_MEMORY (512 * MIB)
#define VM_CONFIG_DEFAULT_CPU    "max"
#define VM_CONFIG_DIGEST_UNSAID  UINT64_MAX
#define VM_CONFIG_DEFAULT_DIGEST 1000000 /* instructions */

/* The serial console that a Linux kernel is given when its command line names no console. */
#define VM_CONFIG_LINUX_CONSOLE "console=ttyS0"

struct vm_config {
    const char *file;   /* what to start, told by its content; NULL: see the others */
    const char *kernel; /* the paths below are NULL when not given */
    const char *initrd;
    const char *append; /* command line for a kernel */
    const char *disk;
    const char *floppy; /* in the place of a disk */
    const char *cdrom;
    const char *bios; /* replaces Umbra's own */
    uint64_t memory_bytes;
    enum mem_backend memory_backend;
    bool prealloc; /* touch all guest memory before the guest starts */
    bool ksm;      /* let the host merge equal pages */
    bool thp;      /* ask the host for huge pages */
    enum vm_engine engine;
    unsigned user_irqchip; /* kvm: 1, our own interrupt controllers; 0, the kernel's */
    enum vm_mmu mmu;
    uint64_t shadow_pages;         /* at most so many; 0: the default */
    uint64_t monitor_memory_bytes; /* the bound of budget.h; 0: the default */
    uint64_t tlb_entries;          /* a power of two; 0: the engine's choice */
    unsigned translate_after;      /* as engine.h has it; soft */
    const char *cpu_model;         /* a name that cpu_model_init knows */
    uint64_t timeout_s;        /* host seconds until the VM ends with VM_EXIT_TIMEOUT; 0: never */
    bool no_reboot;            /* a reset ends the VM */
    bool screen;               /* print the text screen at the end */
    uint64_t clock_ns;         /* virtual time of an instruction; 0: virtual time is host time */
    const char *digest;        /* NULL, or the file for digests (digest.h); needs clock_ns */
    uint64_t digest_every;     /* instructions between two digests */
    uint64_t digest_from;      /* the first is after so many; DIGEST_UNSAID: digest_every */
    uint64_t digest_to;        /* the VM ends after the last one that is not beyond; 0: never */
    const char *digest_memory; /* NULL, or the file for guest memory at that end */
    bool stats;                /* print the counters at the end */
    const char *stats_file;    /* NULL, or where they are written as JSON */
    uint64_t stats_interval_s; /* seconds between two lines of a live table; 0: none */
    const char *monitor;       /* NULL, or where the monitor console listens: unix:PATH */
    const char *gdb;           /* NULL, or where the gdb stub listens: PORT or unix:PATH */
    unsigned sandbox_off;      /* 1: threads keep all their system calls (sandbox.h) */
    bool wait;                 /* with gdb: the guest starts when gdb says so */
};

#endif

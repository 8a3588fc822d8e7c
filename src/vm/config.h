/*
 * What the user asked for: plain data, made by the command line and read by the VM. Strings belong
 * to whoever made the configuration and outlive the VM.
 */
#ifndef UMBRA_VM_CONFIG_H
#define UMBRA_VM_CONFIG_H

#include "base/types.h"

#define VM_CONFIG_DEFAULT_MEMORY (512 * MIB)
#define VM_CONFIG_DEFAULT_CPU    "max"

/* The serial console that a Linux kernel is given when its command line names no console. */
#define VM_CONFIG_LINUX_CONSOLE "console=ttyS0"

struct vm_config {
    const char *file;   /* what to start, told by its content; NULL: see the others */
    const char *kernel; /* the paths below are NULL when not given */
    const char *initrd;
    const char *append; /* command line for a kernel */
    const char *disk;
    const char *cdrom;
    const char *bios; /* replaces Umbra's own */
    uint64_t memory_bytes;
    const char *cpu_model; /* a name that cpu_model_init knows */
    uint64_t timeout_s;    /* host seconds until the VM ends with VM_EXIT_TIMEOUT; 0: never */
    bool no_reboot;        /* a reset ends the VM */
    bool screen;           /* print the text screen at the end */
    bool stats;            /* print the counters at the end */
};

#endif

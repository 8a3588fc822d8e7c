/* The VM's own state, shared by the files of src/vm that make it run. */
#ifndef UMBRA_VM_VM_INTERNAL_H
#define UMBRA_VM_VM_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/lock.h"
#include "engine/engine.h"
#include "fw/start.h"
#include "mem/layout.h"
#include "mem/mem.h"
#include "mmu/mmu.h"
#include "vm/board.h"
#include "vm/budget.h"
#include "vm/clock_guest.h"
#include "vm/clock_host.h"
#include "vm/config.h"
#include "vm/disks.h"
#include "vm/events.h"
#include "vm/terminal.h"
#include "vm/vm.h"
#include "x86/cpuid.h"

/* The guest's TSC ticks in nanoseconds of virtual time: exact, and quick to compute. */
#define VM_TSC_HZ NS_PER_SEC

struct vm {
    const struct vm_config *config;
    struct layout layout;
    struct cpu_model model;
    struct start start; /* what the guest starts from */
    uint8_t *bios;      /* the firmware's image */
    size_t bios_bytes;
    struct sandbox *sandbox; /* NULL: --sandbox off */
    struct vm_disk disks[VM_DISKS];
    struct mem *mem;
    struct budget budget; /* of the memory beside the guest's */
    struct mmu *mmu;
    struct clock_host clock;        /* host time */
    struct clock_guest clock_guest; /* under --clock instructions */
    struct clock *time;             /* virtual time: one of these two (guest_time.h) */
    struct digest *digest;          /* --digest, or NULL */
    struct board *board;
    const struct engine *engine;
    char host_paging[16]; /* of the host's KVM, where that runs the guest */
    char engine_why[320]; /* why this one, for people */
    char vcpu_error[256]; /* what the engine said when it made no vCPU; empty: nothing */
    char failure[256];    /* the sentence of vm_keep_failure; empty: none */
    struct engine_vcpu *vcpu;
    struct engine_host host;
    struct stats_recorder *stats; /* NULL: nobody asked for statistics */
    uint64_t started_ns;          /* host time when the guest started */
    uint64_t idle_ns;             /* with stats: how long the vCPU waited in HLT */
    struct terminal *terminal;
    struct monitor *monitor;         /* the console's commands */
    struct monitor_console *console; /* where it is typed */
    struct gdb_vm *gdb;              /* NULL: no --gdb */
    struct events *events;
    int timer_fd;          /* the virtual clock's next deadline */
    int timeout_fd;        /* --timeout, or -1 */
    unsigned terminations; /* SIGTERM and the like, so far */

    struct lock lock;    /* the machine lock */
    pthread_cond_t wake; /* with lock: a halted vCPU may have something to do */
    pthread_t vcpu_thread;

    /* With lock: what the vCPU's thread does when it is kicked. */
    bool reset_requested;
    bool panicked;         /* the guest has reported a panic; it may go on in its crash kernel */
    unsigned pauses;       /* vm_pause without their vm_resume (control.h) */
    bool vcpu_parked;      /* it waits outside the engine until pauses is 0 */
    pthread_cond_t parked; /* vcpu_parked became true */
    bool ended;
    int status; /* the process's exit status once ended */
};

/* Ends the VM with an exit status; the first one counts. Machine lock held, any thread. */
void vm_end_locked(struct vm *vm, int status);

/* The same where the guest itself ends: with VM_EXIT_PANIC if it has reported a panic. */
void vm_guest_ends_locked(struct vm *vm, int status);

/*
 * Keeps the sentence that says why the VM cannot be made: vm_run prints it as the one line about
 * it. Before the vCPU runs.
 */
void vm_keep_failure(struct vm *vm, const char *fmt, ...) printf_like(2, 3);

/* The engine's way to the devices (host_calls.c). */
void vm_host_init(struct vm *vm);

/* The vCPU's thread (vcpu_thread.c). */
void *vm_vcpu_main(void *opaque);

/* Firmware, ACPI tables and the guest's files into fresh memory (firmware.c). 0 or -errno. */
int vm_firmware_read(struct vm *vm) must_check;      /* the image; says itself what is wrong */
int vm_firmware_add_slots(struct vm *vm) must_check; /* where it lies */
int vm_firmware_place(struct vm *vm) must_check;

/* The tables that describe the machine (firmware_tables.c). 0 or -errno. */
int vm_firmware_place_tables(struct vm *vm) must_check;

#endif

/*
 * The VM's disk images: opened before the guest starts, each behind a queue with a thread of its
 * own (dev/backend/block_queue.h). What a queue has finished reaches the devices on the vCPU's
 * thread, while that is outside the engine: so nobody else writes guest memory while guest code
 * runs, and a paused guest's memory does not change.
 *
 *   guest's OUT -> device -> queue -> worker -> kick -> the vCPU's thread -> device -> interrupt
 *
 * It refuses to wait for the host's disk: neither the machine lock nor the end of the VM does.
 */
#ifndef UMBRA_VM_DISKS_H
#define UMBRA_VM_DISKS_H

#include "base/types.h"

struct block;
struct block_queue;
struct vm;

enum vm_disk_kind { VM_DISK, VM_CDROM, VM_DISKS };

struct vm_disk {
    struct block *image;       /* NULL: no such drive */
    struct block_queue *queue; /* NULL: no such drive, or not yet */
};

/* Opens the images that vm->start names; says itself what is wrong. 0 or -errno. */
int vm_disks_open(struct vm *vm) must_check;

/* Starts the queues' threads. 0 or -errno. */
int vm_disks_start(struct vm *vm) must_check;

/* Whether the devices have something to hear of. Any thread, without the lock. */
bool vm_disks_ready(const struct vm *vm);

/* Tells the devices of what has finished. The vCPU's thread, machine lock held. */
void vm_disks_deliver_locked(struct vm *vm);

/*
 * Whether the guest has to wait for its disks: under --clock instructions, where no instruction may
 * be executed between a request and its completion. Machine lock held.
 */
bool vm_disks_hold_locked(const struct vm *vm);

/*
 * Ends the threads. Waits for a request that is under way, but not for long: false when the host's
 * disk hangs. Then board, guest memory and vm must be left to the end of the process.
 */
bool vm_disks_stop(struct vm *vm) must_check;

/* Closes the images; their threads have ended. */
void vm_disks_close(struct vm *vm);

#endif

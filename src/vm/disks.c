/* Images and their queues; the way of a completion to the vCPU's thread. */
#include "vm/disks.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "dev/backend/block_queue.h"
#include "vm/guest_time.h"
#include "vm/sandbox.h"
#include "vm/vm_internal.h"

/* How long the end of a VM waits for the host's disk. A VM has to be gone within 100 ms. */
#define LAST_WAIT_NS (40 * NS_PER_MS)

static const char *way_out(int err)
{
    switch (err) {
    case -EBUSY: return "; another VM or program has locked it: end that, or give a copy";
    case -EINVAL: return "; it is neither a file nor a block device, copy it to a file";
    default: return "";
    }
}

static int open_image(struct vm_disk *disk, const char *path, bool read_only)
{
    int err;

    if (!path)
        return 0;
    err = block_open(&disk->image, path, read_only);
    if (err)
        log_error("cannot use %s as a drive: %s%s", path, strerror(-err), way_out(err));
    return err;
}

int vm_disks_open(struct vm *vm)
{
    int err = open_image(&vm->disks[VM_DISK], vm->start.disk, false);

    return err ? err : open_image(&vm->disks[VM_CDROM], vm->start.cdrom, true);
}

/* On a queue's thread, before it touches the image. */
static void on_started(void *opaque)
{
    sandbox_enter(((struct vm *)opaque)->sandbox, SANDBOX_DISK);
}

/* On a queue's thread: the vCPU's one has to come out of the engine, or wake up. */
static void on_finished(void *opaque)
{
    struct vm *vm = opaque;

    vm->engine->vcpu_kick(vm->vcpu);
    lock_acquire(&vm->lock);
    pthread_cond_broadcast(&vm->wake);
    lock_release(&vm->lock);
}

int vm_disks_start(struct vm *vm)
{
    const struct block_queue_thread thread = {on_started, on_finished, vm};
    int err = 0;

    for (unsigned i = 0; i < VM_DISKS && !err; i++) {
        struct vm_disk *disk = &vm->disks[i];

        if (disk->image)
            err = block_queue_create(&disk->queue, disk->image, &thread);
        if (err)
            vm_keep_failure(vm, "the host refuses a thread for the disk image %s: %s%s",
                            block_name(disk->image), strerror(-err),
                            err == -EAGAIN ? "; raise the limit of processes (ulimit -u)" : "");
    }
    return err;
}

bool vm_disks_ready(const struct vm *vm)
{
    for (unsigned i = 0; i < VM_DISKS; i++) {
        if (vm->disks[i].queue && block_queue_ready(vm->disks[i].queue))
            return true;
    }
    return false;
}

void vm_disks_deliver_locked(struct vm *vm)
{
    for (unsigned i = 0; i < VM_DISKS; i++) {
        struct block_queue *queue = vm->disks[i].queue;

        if (queue && block_queue_ready(queue))
            block_queue_deliver(queue);
    }
}

bool vm_disks_hold_locked(const struct vm *vm)
{
    if (!guest_time_counts(vm))
        return false;
    for (unsigned i = 0; i < VM_DISKS; i++) {
        if (vm->disks[i].queue && block_queue_busy(vm->disks[i].queue))
            return true;
    }
    return false;
}

bool vm_disks_stop(struct vm *vm)
{
    uint64_t deadline_ns = clock_host_ns() + LAST_WAIT_NS;
    bool all = true;

    for (unsigned i = 0; i < VM_DISKS; i++) {
        struct vm_disk *disk = &vm->disks[i];

        if (block_queue_stop(disk->queue, deadline_ns)) {
            disk->queue = NULL;
            continue;
        }
        log_warn("the host has not finished an access to %s; it is given up with the VM",
                 block_name(disk->image));
        all = false;
    }
    return all;
}

void vm_disks_close(struct vm *vm)
{
    for (unsigned i = 0; i < VM_DISKS; i++)
        block_close(vm->disks[i].image);
}

/* Checks before the start, and changes of memory with the vCPU stopped. */
#include "vm/memory.h"

#include <errno.h>
#include <inttypes.h>

#include "base/log.h"
#include "mem/backing.h"
#include "mem/host_memory.h"
#include "vm/control.h"
#include "vm/vm_internal.h"

/* How much of the layout's slots huge pages back (layout_add_slots, without making them). */
static uint64_t huge_bytes(const struct layout *layout)
{
    uint64_t bytes = 0;

    if (layout->low_end > LAYOUT_HIGH_BASE)
        bytes += backing_huge_bytes(LAYOUT_HIGH_BASE, layout->low_end - LAYOUT_HIGH_BASE);
    if (layout->high_end > LAYOUT_4G)
        bytes += backing_huge_bytes(LAYOUT_4G, layout->high_end - LAYOUT_4G);
    return bytes;
}

static int check_huge_pages(const struct layout *layout)
{
    struct host_huge_pages host = host_huge_pages();
    uint64_t needed = huge_bytes(layout) / BACKING_HUGE_BYTES;

    if (needed <= host.free)
        return 0;
    log_error("a guest of %" PRIu64 " MiB with --memory-backend hugetlb needs %" PRIu64
              " huge pages of 2 MiB, and the host has %" PRIu64
              " free; set more aside as root: sysctl vm.nr_hugepages=%" PRIu64,
              layout->memory_bytes / MIB, needed, host.free, host.total - host.free + needed);
    return -ENOMEM;
}

static int check_room(const struct vm_config *config, const struct layout *layout)
{
    uint64_t needed = layout->memory_bytes;
    uint64_t available = host_memory_available_bytes();

    if (config->memory_backend == MEM_BACKEND_HUGETLB)
        needed -= huge_bytes(layout);
    if (needed <= available)
        return 0;
    log_error("--prealloc needs %" PRIu64 " MiB for the guest now, and the host has %" PRIu64
              " MiB to give; leave it out (memory is then taken as the guest touches it) or choose "
              "a smaller --memory",
              needed / MIB, available / MIB);
    return -ENOMEM;
}

/* Options that the chosen backend has no use for; what merely has no effect now is a warning. */
static int check_advice(const struct vm_config *config)
{
    if (config->ksm && config->memory_backend != MEM_BACKEND_ANON) {
        log_error("--ksm merges private pages only; it needs --memory-backend anon");
        return -EINVAL;
    }
    if (config->thp && config->memory_backend == MEM_BACKEND_HUGETLB) {
        log_error("--thp has no use with --memory-backend hugetlb, whose pages are huge already");
        return -EINVAL;
    }
    if (config->ksm && !host_ksm_runs())
        log_warn("--ksm merges nothing until the host's KSM runs; start it as root: echo 1 > "
                 "/sys/kernel/mm/ksm/run");
    if (config->thp && !host_thp_helps(config->memory_backend == MEM_BACKEND_MEMFD))
        log_warn("--thp has no effect while the host gives no huge pages to %s memory; allow it as "
                 "root: echo %s > /sys/kernel/mm/transparent_hugepage/%s",
                 config->memory_backend == MEM_BACKEND_MEMFD ? "shared" : "private",
                 config->memory_backend == MEM_BACKEND_MEMFD ? "advise" : "madvise",
                 config->memory_backend == MEM_BACKEND_MEMFD ? "shmem_enabled" : "enabled");
    return 0;
}

int vm_memory_check(const struct vm_config *config, const struct layout *layout)
{
    int err = check_advice(config);

    if (!err && config->memory_backend == MEM_BACKEND_HUGETLB)
        err = check_huge_pages(layout);
    if (!err && config->prealloc)
        err = check_room(config, layout);
    return err;
}

int vm_add_slot(struct vm *vm, const char *name, gpa_t base, uint64_t size_bytes,
                enum mem_slot_kind kind)
{
    int err;

    if (!vm_pause(vm))
        return -ESHUTDOWN;
    lock_acquire(&vm->lock); /* devices reach memory too */
    err = mem_add_slot(vm->mem, name, base, size_bytes, kind);
    mmu_follow_slots(vm->mmu);
    lock_release(&vm->lock);
    vm_resume(vm);
    return err;
}

int vm_remove_slot(struct vm *vm, gpa_t base)
{
    int err;

    if (!vm_pause(vm))
        return -ESHUTDOWN;
    lock_acquire(&vm->lock);
    err = mem_remove_slot(vm->mem, base);
    mmu_follow_slots(vm->mmu);
    lock_release(&vm->lock);
    vm_resume(vm);
    return err;
}

int vm_dirty_log(struct vm *vm, gpa_t base, bool on)
{
    int err;

    if (!vm_pause(vm))
        return -ESHUTDOWN;
    lock_acquire(&vm->lock);
    err = mmu_dirty_log(vm->mmu, base, on);
    lock_release(&vm->lock);
    vm_resume(vm);
    return err;
}

int vm_dirty_fetch(struct vm *vm, gpa_t base, uint64_t *bits, size_t words)
{
    int err;

    if (!vm_pause(vm))
        return -ESHUTDOWN;
    lock_acquire(&vm->lock);
    err = mmu_dirty_fetch(vm->mmu, base, bits, words);
    lock_release(&vm->lock);
    vm_resume(vm);
    return err;
}

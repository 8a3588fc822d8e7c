/*
 * Writes logged by a ring: KVM puts each page that the vCPU dirties into the vCPU's ring, which it
 * shares with us, so that a look costs what was written and not what the slots measure. The ring's
 * slots go round:
 *
 *              KVM            collect            KVM_RESET_DIRTY_RINGS
 *     empty ---------> dirty ---------> to reset ---------------------> empty, the page protected
 *
 * Only the owner of a state moves an entry on, and the flags go last. A ring that is nearly full
 * makes KVM_RUN come back; what is left of it then is enough for what a vCPU does outside the
 * guest. A page may come twice. With the vCPU outside KVM_RUN the ring is complete: KVM empties the
 * processor's own log (Intel's PML) with each exit.
 *
 * It refuses a second vCPU: there is one ring. A KVM that overruns the ring is given up: from then
 * on all counts as written, until the ring is full again, which ends the run.
 * Source: KVM API, "KVM_CAP_DIRTY_LOG_RING/KVM_CAP_DIRTY_LOG_RING_ACQ_REL".
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/kvm/internal.h"

/* Enough for 16 MiB of dirty pages between two harvests. A power of two, as KVM asks for. */
#define RING_BYTES (64 * KIB)

/* How often a reset may do nothing: each time, a signal must have come. */
#define RESET_TRIES 1000

static size_t ring_bytes(const struct kvm_vm *vm)
{
    return vm->dirty_ring.entries * sizeof(struct kvm_dirty_gfn);
}

/*
 * These two come out of KVM_RUN in time. kvm_pvm, where it emulates, looks at the ring only when
 * something else ends its loop: entries are overwritten, and the host's kernel warns.
 */
static bool is_trusted(void)
{
    return access("/sys/module/kvm_intel", F_OK) == 0 || access("/sys/module/kvm_amd", F_OK) == 0;
}

void kvm_dirty_ring_enable(struct kvm_vm *vm, enum engine_dirty_log wish)
{
    /* The same ring, but the elder promises its order of accesses on x86 alone. */
    static const uint32_t capabilities[] = {KVM_CAP_DIRTY_LOG_RING_ACQ_REL, KVM_CAP_DIRTY_LOG_RING};

    if (wish == ENGINE_DIRTY_LOG_BITMAP || (wish == ENGINE_DIRTY_LOG_BEST && !is_trusted()))
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(capabilities); i++) {
        int most = kvm_ioctl_value(vm->fd, KVM_CHECK_EXTENSION, capabilities[i]);
        struct kvm_enable_cap enable = {.cap = capabilities[i], .args = {RING_BYTES}};

        while (most > 0 && enable.args[0] > (uint64_t)most)
            enable.args[0] /= 2;
        if (most > 0 && kvm_ioctl(vm->fd, KVM_ENABLE_CAP, &enable) >= 0) {
            vm->dirty_ring.entries = (uint32_t)(enable.args[0] / sizeof(struct kvm_dirty_gfn));
            return;
        }
    }
}

int kvm_dirty_ring_map(struct kvm_vm *vm, int vcpu_fd)
{
    void *ring;

    if (vm->dirty_ring.entries == 0)
        return 0;
    ring = mmap(NULL, ring_bytes(vm), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_fd,
                (off_t)KVM_DIRTY_LOG_PAGE_OFFSET * PAGE_SIZE);
    if (ring == MAP_FAILED)
        return -errno;
    vm->dirty_ring.entry = ring;
    return 0;
}

void kvm_dirty_ring_unmap(struct kvm_vm *vm)
{
    if (vm->dirty_ring.entry)
        munmap(vm->dirty_ring.entry, ring_bytes(vm));
    vm->dirty_ring.entry = NULL;
}

/* Numbers above ours are KVM's own regions, and those of other address spaces (bits 16 and up). */
static void mark(struct kvm_vm *vm, uint32_t number, uint64_t offset_pages)
{
    const struct kvm_region *region;

    if (number >= KVM_MAX_REGIONS)
        return;
    region = &vm->regions[number];
    if (offset_pages < region->size_bytes >> PAGE_SHIFT)
        mem_mark_written(vm->mem, region->shows + (offset_pages << PAGE_SHIFT), PAGE_SIZE);
}

static void mark_all(struct kvm_vm *vm)
{
    for (unsigned i = 0; i < KVM_MAX_REGIONS; i++) {
        const struct kvm_region *region = &vm->regions[i];

        if (region->logged)
            mem_mark_written(vm->mem, region->shows, region->size_bytes);
    }
}

unsigned kvm_dirty_ring_collect(struct kvm_vm *vm)
{
    struct kvm_dirty_ring *ring = &vm->dirty_ring;
    unsigned count = 0;

    for (; count < ring->entries; count++) {
        struct kvm_dirty_gfn *entry = &ring->entry[ring->next];
        /* Acquire: pairs with KVM's release, after it has filled the rest. */
        uint32_t flags = __atomic_load_n(&entry->flags, __ATOMIC_ACQUIRE);

        if ((flags & KVM_DIRTY_GFN_F_MASK) != KVM_DIRTY_GFN_F_DIRTY)
            break;
        mark(vm, entry->slot, entry->offset);
        /* Release: pairs with KVM's acquire, before it lets the entry be filled again. */
        __atomic_store_n(&entry->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
        ring->next = (ring->next + 1) % ring->entries;
    }
    /* KVM leaves some of a ring that it has not overrun. */
    ring->overrun = ring->overrun || count == ring->entries;
    if (ring->overrun)
        mark_all(vm);
    return count;
}

/*
 * All that was collected, or the writes to come would not be logged: kernels from 6.16 on stop
 * early, without an error, while a signal is pending.
 */
int kvm_dirty_ring_harvest(struct kvm_vm *vm)
{
    unsigned left = kvm_dirty_ring_collect(vm);

    if (vm->dirty_ring.overrun)
        return -ENOBUFS;
    for (unsigned idle = 0; left > 0 && idle < RESET_TRIES;) {
        int result = kvm_ioctl_value(vm->fd, KVM_RESET_DIRTY_RINGS, 0);

        if (result < 0)
            return result;
        idle = result == 0 ? idle + 1 : 0;
        left -= MIN(left, (unsigned)result);
    }
    return left == 0 ? 0 : -EIO;
}

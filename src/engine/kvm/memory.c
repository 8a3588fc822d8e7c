/*
 * Slots as KVM's memory regions. A change of slots takes away the regions that no slot matches any
 * more and adds those that are new; the others stay, with what KVM has built for them.
 * Source: KVM API, "KVM_SET_USER_MEMORY_REGION".
 */
#include <errno.h>

#include "engine/kvm/internal.h"

static int tell(const struct kvm_vm *vm, unsigned number, const struct kvm_region *region)
{
    struct kvm_userspace_memory_region user = {
        .slot = number,
        .flags = region->read_only ? KVM_MEM_READONLY : 0,
        .guest_phys_addr = region->base,
        .memory_size = region->size_bytes,
        .userspace_addr = (uintptr_t)region->hva,
    };

    return kvm_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &user);
}

static bool same(const struct kvm_region *region, const struct mem_slot *slot)
{
    return region->base == slot->base && region->size_bytes == slot->size_bytes &&
           region->hva == slot->hva && region->read_only == (slot->kind == MEM_SLOT_ROM);
}

/* Removes the regions that no slot matches. */
static int remove_stale(struct kvm_vm *vm, const struct mem_slot *slots, size_t count)
{
    for (unsigned i = 0; i < KVM_MAX_REGIONS; i++) {
        struct kvm_region *region = &vm->regions[i];
        bool found = region->size_bytes == 0;
        int err;

        for (size_t k = 0; k < count && !found; k++)
            found = same(region, &slots[k]);
        if (found)
            continue;
        region->size_bytes = 0;
        err = tell(vm, i, region);
        if (err < 0)
            return err;
    }
    return 0;
}

static int add_slot(struct kvm_vm *vm, const struct mem_slot *slot)
{
    struct kvm_region *free_region = NULL;

    for (unsigned i = 0; i < KVM_MAX_REGIONS; i++) {
        if (vm->regions[i].size_bytes == 0 && !free_region)
            free_region = &vm->regions[i];
        else if (same(&vm->regions[i], slot))
            return 0;
    }
    if (!free_region)
        return -ENOSPC;
    *free_region =
        (struct kvm_region){slot->base, slot->size_bytes, slot->hva, slot->kind == MEM_SLOT_ROM};
    return tell(vm, (unsigned)(free_region - vm->regions), free_region);
}

int kvm_mirror_slots(struct kvm_vm *vm)
{
    size_t count;
    const struct mem_slot *slots = mem_slots(vm->mem, &count);
    int err = remove_stale(vm, slots, count);

    for (size_t i = 0; i < count && err >= 0; i++)
        err = add_slot(vm, &slots[i]);
    if (err >= 0)
        vm->generation = mem_generation(vm->mem);
    return err < 0 ? err : 0;
}

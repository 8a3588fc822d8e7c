/*
 * Slots as KVM's memory regions, and their dirty logs. A change of slots takes away the regions
 * that no slot matches any more and adds those that are new; the others stay, with what KVM has
 * built for them. Source: KVM API, "KVM_SET_USER_MEMORY_REGION", "KVM_GET_DIRTY_LOG".
 */
#include <errno.h>
#include <stdlib.h>

#include "engine/kvm/internal.h"

static int tell(const struct kvm_vm *vm, unsigned number, const struct kvm_region *region)
{
    struct kvm_userspace_memory_region user = {
        .slot = number,
        .flags = (region->read_only ? KVM_MEM_READONLY : 0) |
                 (region->logged ? KVM_MEM_LOG_DIRTY_PAGES : 0),
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
    *free_region = (struct kvm_region){
        .base = slot->base,
        .size_bytes = slot->size_bytes,
        .hva = slot->hva,
        .read_only = slot->kind == MEM_SLOT_ROM,
        .logged = slot->dirty != NULL,
    };
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

static struct kvm_region *region_at(struct kvm_vm *vm, gpa_t base)
{
    for (unsigned i = 0; i < KVM_MAX_REGIONS; i++) {
        if (vm->regions[i].size_bytes && vm->regions[i].base == base)
            return &vm->regions[i];
    }
    return NULL;
}

int kvm_dirty_log(struct kvm_vm *vm, gpa_t base, bool on)
{
    struct kvm_region *region = region_at(vm, base);
    int err;

    if (!region)
        return -ENOENT;
    region->logged = on;
    err = tell(vm, (unsigned)(region - vm->regions), region);
    return err < 0 ? err : 0;
}

int kvm_dirty_sync(struct kvm_vm *vm, gpa_t base)
{
    struct kvm_region *region = region_at(vm, base);
    uint64_t pages, *bits;
    int err;

    if (!region || !region->logged)
        return -ENOENT;
    pages = region->size_bytes >> PAGE_SHIFT;
    bits = calloc(ALIGN_UP(pages, 64) / 64, sizeof(*bits));
    if (!bits)
        return -ENOMEM;
    err = kvm_ioctl(
        vm->fd, KVM_GET_DIRTY_LOG,
        &(struct kvm_dirty_log){.slot = (uint32_t)(region - vm->regions), .dirty_bitmap = bits});
    for (uint64_t i = 0; i < pages && err >= 0; i++) {
        if (bits[i / 64] & BIT(i % 64))
            mem_mark_written(vm->mem, base + (i << PAGE_SHIFT), PAGE_SIZE);
    }
    free(bits);
    return err < 0 ? err : 0;
}

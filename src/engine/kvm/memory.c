/*
 * Slots as KVM's memory regions, and their dirty logs. What the guest is to see is derived from the
 * slots and from A20, and compared with what KVM was told: regions that are no part of it any more
 * are taken away and new ones are added; the others stay, with what KVM has built for them.
 *
 *                 0                    1 MiB              2 MiB
 *   slots         low . upper bios     main ....................
 *   A20 open      low   upper bios   | main             | main
 *   A20 closed    low   upper bios   | low   upper bios | main
 *
 * Slots are cut at both lines at all times, so that the gate moves nothing but what is between.
 *
 * DEVIATION: a closed A20 masks the second megabyte, which is all of it that real mode reaches, and
 * addresses without memory; in the other odd megabytes the guest finds their own memory.
 * Source: KVM API, "KVM_SET_USER_MEMORY_REGION", "KVM_GET_DIRTY_LOG".
 */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
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
    int result = kvm_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &user);

    return result < 0 ? result : 0;
}

/* --- what the guest sees --- */

/* The part of a slot that lies in [first, last], seen `up` bytes above its address. */
static void show(struct kvm_view *view, const struct mem_slot *slot, gpa_t first, gpa_t last,
                 gpa_t up)
{
    first = MAX(first, slot->base);
    last = MIN(last, slot->base + (slot->size_bytes - 1));
    if (first > last)
        return;
    ASSERT(view->count < KVM_MAX_REGIONS, "each slot makes two regions, and two cuts one more");
    view->regions[view->count++] = (struct kvm_region){
        .base = first + up,
        .shows = first,
        .size_bytes = last - first + 1,
        .hva = slot->hva + (first - slot->base),
        .read_only = slot->kind == MEM_SLOT_ROM,
        .logged = slot->dirty != NULL,
    };
}

void kvm_make_view(struct kvm_view *view, const struct mem *mem, bool a20_closed)
{
    size_t count;
    const struct mem_slot *slots = mem_slots(mem, &count);

    view->count = 0;
    for (size_t i = 0; i < count; i++) {
        show(view, &slots[i], 0, KVM_A20 - 1, 0);
        if (a20_closed)
            show(view, &slots[i], 0, KVM_A20 - 1, KVM_A20);
        else
            show(view, &slots[i], KVM_A20, 2 * KVM_A20 - 1, 0);
        show(view, &slots[i], 2 * KVM_A20, UINT64_MAX, 0);
    }
}

/* --- what was written --- */

static int take_bitmap(struct kvm_vm *vm, unsigned number)
{
    const struct kvm_region *region = &vm->regions[number];
    uint64_t pages = region->size_bytes >> PAGE_SHIFT;
    uint64_t *bits = calloc(ALIGN_UP(pages, 64) / 64, sizeof(*bits));
    int result;

    if (!bits)
        return -ENOMEM;
    result = kvm_ioctl(vm->fd, KVM_GET_DIRTY_LOG,
                       &(struct kvm_dirty_log){.slot = number, .dirty_bitmap = bits});
    for (uint64_t i = 0; i < pages && result >= 0; i++) {
        if (bits[i / 64] & BIT(i % 64))
            mem_mark_written(vm->mem, region->shows + (i << PAGE_SHIFT), PAGE_SIZE);
    }
    free(bits);
    return result < 0 ? result : 0;
}

/* Marks what was written to a region; all of it, where KVM does not tell: then no write is lost. */
static int take_log(struct kvm_vm *vm, unsigned number)
{
    const struct kvm_region *region = &vm->regions[number];
    int err = -ENOENT;

    if (region->logged)
        err = vm->dirty_ring.entries ? kvm_dirty_ring_harvest(vm) : take_bitmap(vm, number);
    if (err)
        mem_mark_written(vm->mem, region->shows, region->size_bytes);
    return err;
}

int kvm_dirty_sync(struct kvm_vm *vm, gpa_t base)
{
    const struct mem_slot *slot = mem_find_slot(vm->mem, base);
    int first_error = 0;

    if (!slot || slot->base != base || !slot->dirty)
        return -ENOENT;
    for (unsigned i = 0; i < KVM_MAX_REGIONS; i++) {
        const struct kvm_region *region = &vm->regions[i];

        if (region->size_bytes && region->shows - base < slot->size_bytes) {
            int err = take_log(vm, i);

            first_error = first_error ? first_error : err;
        }
    }
    return first_error;
}

/* --- KVM's regions become the view --- */

static bool same(const struct kvm_region *a, const struct kvm_region *b)
{
    return a->base == b->base && a->shows == b->shows && a->size_bytes == b->size_bytes &&
           a->hva == b->hva && a->read_only == b->read_only;
}

static int remove_stale(struct kvm_vm *vm, const struct kvm_view *view)
{
    for (unsigned i = 0; i < KVM_MAX_REGIONS; i++) {
        struct kvm_region *region = &vm->regions[i];
        bool found = region->size_bytes == 0;
        int err;

        for (unsigned k = 0; k < view->count && !found; k++)
            found = same(region, &view->regions[k]);
        if (found)
            continue;
        /* The log goes with the region, and its number may be another's then: no ring holds it. */
        if (region->logged)
            (void)take_log(vm, i);
        err = tell(vm, i, &(struct kvm_region){.base = region->base});
        if (err)
            return err;
        *region = (struct kvm_region){0};
    }
    return 0;
}

static int add(struct kvm_vm *vm, const struct kvm_region *wanted)
{
    struct kvm_region *place = NULL;
    int err;

    for (unsigned i = 0; i < KVM_MAX_REGIONS; i++) {
        struct kvm_region *region = &vm->regions[i];

        if (region->size_bytes && same(region, wanted)) {
            place = region;
            break;
        }
        if (region->size_bytes == 0 && !place)
            place = region;
    }
    ASSERT(place, "the view has no more regions than there are numbers");
    if (place->size_bytes && place->logged == wanted->logged)
        return 0;
    err = tell(vm, (unsigned)(place - vm->regions), wanted);
    if (!err)
        *place = *wanted;
    return err;
}

int kvm_mirror_slots(struct kvm_vm *vm, bool a20_closed)
{
    struct kvm_view view;
    int err;

    kvm_make_view(&view, vm->mem, a20_closed);
    err = remove_stale(vm, &view);
    for (unsigned i = 0; i < view.count && !err; i++)
        err = add(vm, &view.regions[i]);
    if (!err)
        vm->a20_closed = a20_closed;
    return err;
}

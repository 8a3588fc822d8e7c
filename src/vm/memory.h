/*
 * Guest memory as the VM's business: what the host must have for it, and slots that come and go
 * while the guest runs.
 * It refuses to tell the guest: hotplug by ACPI is a device's part.
 */
#ifndef UMBRA_VM_MEMORY_H
#define UMBRA_VM_MEMORY_H

#include "mem/mem.h"

struct layout;
struct vm;
struct vm_config;

/*
 * Whether the host can give what --memory-backend, --prealloc, --ksm and --thp ask for; says itself
 * what is missing and how to get it. 0, -EINVAL (options that exclude one another) or -ENOMEM.
 */
int vm_memory_check(const struct vm_config *config, const struct layout *layout) must_check;

/*
 * Adds a slot to, and removes one from, a VM that runs: the vCPU is stopped, the tables follow, it
 * goes on. Errors as mem_add_slot and mem_remove_slot, and -ESHUTDOWN when the VM is ending.
 * Called from the event loop's thread, without the machine lock.
 */
int vm_add_slot(struct vm *vm, const char *name, gpa_t base, uint64_t size_bytes,
                enum mem_slot_kind kind) must_check;
int vm_remove_slot(struct vm *vm, gpa_t base) must_check;

/* The dirty log of the slot at base, as mmu_dirty_log and mmu_dirty_fetch, in the same way. */
int vm_dirty_log(struct vm *vm, gpa_t base, bool on) must_check;
int vm_dirty_fetch(struct vm *vm, gpa_t base, uint64_t *bits, size_t words) must_check;

#endif

/*
 * A VM without a guest and without threads, parked for ever: what the monitor console's tests and
 * its fuzzer look into. Memory of 8 MiB, the whole board, a vCPU of the soft engine in reset.
 */
#ifndef UMBRA_TESTS_MONITOR_VM_H
#define UMBRA_TESTS_MONITOR_VM_H

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "vm/guest_time.h"
#include "vm/monitor.h"
#include "vm/vm_internal.h"

struct monitor_vm {
    struct vm vm;
    struct vm_config config;
    int null_fd;
};

static inline void monitor_vm_event(void *opaque)
{
}

static inline void monitor_vm_panic(void *opaque, bool goes_on)
{
}

static inline void monitor_vm_level(void *opaque, bool level)
{
}

static inline void monitor_vm_byte(void *opaque, uint8_t byte)
{
}

static inline void monitor_vm_status(void *opaque, unsigned status)
{
}

static inline void monitor_vm_make_board(struct vm *vm)
{
    struct board_config config = {
        .layout = &vm->layout,
        .mem = vm->mem,
        .clock = vm->time,
        .tsc_hz = vm->model.tsc_hz,
        .physical_bits = vm->model.physical_bits,
        .events =
            {
                .opaque = vm,
                .power_off = monitor_vm_event,
                .reset = monitor_vm_event,
                .panic = monitor_vm_panic,
                .debug_exit = monitor_vm_status,
                .intr = monitor_vm_level,
                .nmi = monitor_vm_event,
                .init = monitor_vm_event,
                .sipi = monitor_vm_byte,
                .tsc_now = vm->host.tsc_now,
                .address_space_changed = monitor_vm_event,
                .serial_output = monitor_vm_byte,
                .serial_room = monitor_vm_event,
                .debug_output = monitor_vm_byte,
            },
    };

    if (board_create(&vm->board, &config) != 0)
        abort();
}

/* Aborts where the host fails. */
static inline struct vm *monitor_vm_create(enum mmu_mode mode)
{
    static const struct terminal_ops ops;
    struct monitor_vm *rig = calloc(1, sizeof(*rig));
    struct vm *vm = &rig->vm;
    const char *missing;

    rig->config.mmu = mode == MMU_SHADOW ? VM_MMU_SHADOW : VM_MMU_EPT;
    vm->config = &rig->config;
    vm->vcpu_parked = true;
    lock_init(&vm->lock, LOCK_RANK_MACHINE);
    pthread_cond_init(&vm->wake, NULL);
    pthread_cond_init(&vm->parked, NULL);
    if (layout_init(&vm->layout, 8 * MIB) || cpu_model_init(&vm->model, "max", &missing))
        abort();
    vm->model.tsc_hz = VM_TSC_HZ;
    vm->mem = mem_create(&(struct mem_config){.backend = MEM_BACKEND_ANON});
    if (layout_add_slots(&vm->layout, vm->mem) ||
        mem_add_slot(vm->mem, "bios", LAYOUT_BIOS_BASE, LAYOUT_BIOS_SIZE, MEM_SLOT_ROM))
        abort();
    vm->mmu = mmu_create(vm->mem, &(struct mmu_config){.mode = mode});
    guest_time_init(vm);
    vm->engine = &engine_soft;
    vm_host_init(vm);
    if (!vm->mmu || vm->engine->vcpu_create(&vm->vcpu, &(struct engine_vcpu_config){
                                                           .mmu = vm->mmu,
                                                           .host = &vm->host,
                                                           .model = &vm->model,
                                                       }))
        abort();
    monitor_vm_make_board(vm);
    vm->events = events_create();
    rig->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    vm->terminal = terminal_create(rig->null_fd, rig->null_fd, &ops, vm);
    vm->monitor = monitor_create(vm);
    if (!vm->events || !vm->terminal || !vm->monitor)
        abort();
    return vm;
}

static inline void monitor_vm_destroy(struct vm *vm)
{
    struct monitor_vm *rig = (struct monitor_vm *)vm; /* its first member */

    monitor_destroy(vm->monitor);
    terminal_destroy(vm->terminal);
    events_destroy(vm->events);
    close(rig->null_fd);
    board_destroy(vm->board);
    vm->engine->vcpu_destroy(vm->vcpu);
    mmu_destroy(vm->mmu);
    mem_destroy(vm->mem);
    pthread_cond_destroy(&vm->parked);
    pthread_cond_destroy(&vm->wake);
    lock_fini(&vm->lock);
    free(rig);
}

#endif

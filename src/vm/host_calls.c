/*
 * The engine's way to the devices: each call is a VM exit that takes the machine lock, reaches the
 * bus or an interrupt controller, and goes back into the guest.
 */
#include "dev/lapic.h"
#include "vm/guest_time.h"
#include "vm/stats_recorder.h"
#include "vm/vm_internal.h"
#include "x86/msr.h"

#define APIC_TPR_SHIFT 4

/*
 * Behind an access to a device: under --clock instructions a guest that has asked its disk for
 * something goes no further, but waits outside the engine (vcpu_thread.c).
 */
static void after_access_locked(struct vm *vm)
{
    if (vm_disks_hold_locked(vm))
        vm->engine->vcpu_kick(vm->vcpu);
}

static uint32_t port_read(void *opaque, uint16_t port, unsigned width)
{
    struct vm *vm = opaque;
    uint32_t value;

    lock_acquire(&vm->lock);
    if (vm->stats)
        stats_recorder_port(vm->stats, port);
    value = (uint32_t)bus_read(vm->board->bus, BUS_PORT, port, width);
    after_access_locked(vm);
    lock_release(&vm->lock);
    return value;
}

static void port_write(void *opaque, uint16_t port, unsigned width, uint32_t value)
{
    struct vm *vm = opaque;

    lock_acquire(&vm->lock);
    if (vm->stats)
        stats_recorder_port(vm->stats, port);
    bus_write(vm->board->bus, BUS_PORT, port, width, value);
    after_access_locked(vm);
    lock_release(&vm->lock);
}

static uint64_t mmio_read(void *opaque, gpa_t gpa, unsigned width)
{
    struct vm *vm = opaque;
    uint64_t value;

    lock_acquire(&vm->lock);
    value = bus_read(vm->board->bus, BUS_MMIO, gpa, width);
    after_access_locked(vm);
    lock_release(&vm->lock);
    return value;
}

static void mmio_write(void *opaque, gpa_t gpa, unsigned width, uint64_t value)
{
    struct vm *vm = opaque;

    lock_acquire(&vm->lock);
    bus_write(vm->board->bus, BUS_MMIO, gpa, width, value);
    after_access_locked(vm);
    lock_release(&vm->lock);
}

static int interrupt_acknowledge(void *opaque, unsigned vcpu)
{
    struct vm *vm = opaque;
    int vector;

    lock_acquire(&vm->lock);
    vector = board_interrupt_acknowledge(vm->board);
    lock_release(&vm->lock);
    return vector;
}

static bool msr_read(void *opaque, unsigned vcpu, uint32_t index, uint64_t *value)
{
    struct vm *vm = opaque;
    struct lapic *lapic = vm->board->lapic;
    bool ok = true;

    lock_acquire(&vm->lock);
    if (index == IA32_APIC_BASE)
        *value = lapic_base_read(lapic);
    else if (index == IA32_TSC_DEADLINE)
        *value = lapic_tsc_deadline_read(lapic);
    else
        ok = lapic_msr_read(lapic, index, value);
    lock_release(&vm->lock);
    return ok;
}

static bool msr_write(void *opaque, unsigned vcpu, uint32_t index, uint64_t value)
{
    struct vm *vm = opaque;
    struct lapic *lapic = vm->board->lapic;
    bool ok = true;

    lock_acquire(&vm->lock);
    if (index == IA32_APIC_BASE)
        ok = lapic_base_write(lapic, value);
    else if (index == IA32_TSC_DEADLINE)
        lapic_tsc_deadline_write(lapic, value);
    else
        ok = lapic_msr_write(lapic, index, value);
    lock_release(&vm->lock);
    return ok;
}

static uint64_t tpr_read(void *opaque, unsigned vcpu)
{
    struct vm *vm = opaque;
    uint64_t value;

    lock_acquire(&vm->lock);
    value = lapic_get_tpr(vm->board->lapic) >> APIC_TPR_SHIFT;
    lock_release(&vm->lock);
    return value;
}

static void tpr_write(void *opaque, unsigned vcpu, uint64_t value)
{
    struct vm *vm = opaque;

    lock_acquire(&vm->lock);
    lapic_set_tpr(vm->board->lapic, (uint8_t)(value << APIC_TPR_SHIFT));
    lock_release(&vm->lock);
}

/* The time-stamp counter is virtual time: constant, and synchronous on all vCPUs. */
static uint64_t tsc_now(void *opaque)
{
    const struct vm *vm = opaque;
    uint64_t ns = clock_now_ns(vm->time);

    /* As the division of 128 bits would have it, and in half the time. */
    if (likely(vm->model.tsc_hz == NS_PER_SEC))
        return ns;
    return clock_muldiv(ns, vm->model.tsc_hz, NS_PER_SEC);
}

static void tsc_offset_changed(void *opaque, unsigned vcpu, uint64_t offset)
{
    struct vm *vm = opaque;

    lock_acquire(&vm->lock);
    lapic_set_tsc_offset(vm->board->lapic, offset);
    lock_release(&vm->lock);
}

static uint64_t host_ns(void *opaque)
{
    return clock_host_ns();
}

static uint64_t a20_mask(void *opaque)
{
    const struct vm *vm = opaque;

    return atomic_load_explicit(&vm->board->a20_mask, memory_order_relaxed);
}

void vm_host_init(struct vm *vm)
{
    vm->host = (struct engine_host){
        .opaque = vm,
        .port_read = port_read,
        .port_write = port_write,
        .mmio_read = mmio_read,
        .mmio_write = mmio_write,
        .interrupt_acknowledge = interrupt_acknowledge,
        .msr_read = msr_read,
        .msr_write = msr_write,
        .tpr_read = tpr_read,
        .tpr_write = tpr_write,
        .tsc_now = tsc_now,
        .tsc_offset_changed = tsc_offset_changed,
        .tsc_hz = vm->model.tsc_hz,
        .a20_mask = a20_mask,
        .host_ns = vm_stats_wanted(vm) ? host_ns : NULL,
        .count_reached = guest_time_counts(vm) ? guest_time_reached : NULL,
    };
}

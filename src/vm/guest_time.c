/* The choice between two sources of virtual time, and the vCPU thread's timers under the second. */
#include "vm/guest_time.h"

#include "vm/digest.h"
#include "vm/vm_internal.h"

bool guest_time_counts(const struct vm *vm)
{
    return vm->config->clock_ns != 0;
}

void guest_time_init(struct vm *vm)
{
    clock_host_init(&vm->clock);
    vm->time = &vm->clock.clock;
    if (!guest_time_counts(vm))
        return;
    clock_guest_init(&vm->clock_guest, vm->config->clock_ns);
    vm->time = &vm->clock_guest.clock;
}

void guest_time_attach(struct vm *vm)
{
    if (guest_time_counts(vm))
        clock_guest_attach(&vm->clock_guest, &vm->engine->vcpu_counters(vm->vcpu)->instructions);
}

int64_t guest_time_start_utc(const struct vm *vm)
{
    return guest_time_counts(vm) ? CLOCK_GUEST_START_UTC : clock_host_utc();
}

void guest_time_limit_locked(struct vm *vm)
{
    vm->engine->vcpu_count_until(
        vm->vcpu, MIN(clock_guest_deadline(&vm->clock_guest), digest_next(vm->digest)));
}

void guest_time_reached(void *opaque)
{
    struct vm *vm = opaque;

    digest_look(vm->digest);
    lock_acquire(&vm->lock);
    clock_run_timers(vm->time);
    guest_time_limit_locked(vm);
    lock_release(&vm->lock);
}

bool guest_time_skip_locked(struct vm *vm)
{
    bool skipped = clock_guest_skip(&vm->clock_guest);

    guest_time_limit_locked(vm);
    return skipped;
}

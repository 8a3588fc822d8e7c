/* Pauses: a count that the vCPU's thread waits on, with the virtual clock stopped. */
#include "vm/control.h"

#include "base/assert.h"
#include "vm/vm_internal.h"

/* Virtual time, and what the engine has of its own: the TSC between the two stops with the clock.
 */
static void stop_time(struct vm *vm)
{
    if (vm->clock.stopped)
        return;
    if (vm->engine->vcpu_stop_time)
        vm->engine->vcpu_stop_time(vm->vcpu);
    clock_host_stop(&vm->clock);
}

static void start_time(struct vm *vm)
{
    clock_host_start(&vm->clock);
    if (vm->engine->vcpu_start_time)
        vm->engine->vcpu_start_time(vm->vcpu);
}

bool vm_pause(struct vm *vm)
{
    bool stopped;

    lock_acquire(&vm->lock);
    vm->pauses++;
    if (!vm->vcpu_parked)
        vm->engine->vcpu_kick(vm->vcpu);
    pthread_cond_broadcast(&vm->wake);
    while (!vm->vcpu_parked && !vm->ended)
        lock_wait(&vm->lock, &vm->parked);
    stopped = vm->vcpu_parked;
    if (stopped)
        stop_time(vm);
    else
        vm->pauses--;
    lock_release(&vm->lock);
    return stopped;
}

void vm_pause_here_locked(struct vm *vm)
{
    vm->pauses++;
    stop_time(vm);
}

void vm_resume(struct vm *vm)
{
    lock_acquire(&vm->lock);
    ASSERT(vm->pauses > 0, "each vm_resume has its vm_pause");
    if (--vm->pauses == 0) {
        start_time(vm);
        pthread_cond_broadcast(&vm->wake);
    }
    lock_release(&vm->lock);
}

/* Pauses: a count that the vCPU's thread waits on, with the virtual clock stopped. */
#include "vm/control.h"

#include "base/assert.h"
#include "vm/vm_internal.h"

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
        clock_host_stop(&vm->clock);
    else
        vm->pauses--;
    lock_release(&vm->lock);
    return stopped;
}

void vm_pause_here_locked(struct vm *vm)
{
    vm->pauses++;
    clock_host_stop(&vm->clock);
}

void vm_resume(struct vm *vm)
{
    lock_acquire(&vm->lock);
    ASSERT(vm->pauses > 0, "each vm_resume has its vm_pause");
    if (--vm->pauses == 0) {
        clock_host_start(&vm->clock);
        pthread_cond_broadcast(&vm->wake);
    }
    lock_release(&vm->lock);
}

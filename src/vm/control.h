/*
 * Stopping and continuing a VM for whoever wants to look into it: the monitor console, the gdb
 * stub, a change of slots. While it is paused the vCPU is outside the engine (its state, the tables
 * and the slots may be looked at and changed) and virtual time stands still.
 *
 * Pauses nest: each user holds its own, and the guest goes on when all have been given back.
 * Called from the event loop's thread, without the machine lock.
 */
#ifndef UMBRA_VM_CONTROL_H
#define UMBRA_VM_CONTROL_H

#include "base/types.h"

struct vm;

/* True: the vCPU has stopped. False: the VM is ending, and there is nothing to give back. */
bool vm_pause(struct vm *vm) must_check;

/*
 * A pause by the vCPU's own thread, outside the engine and with the machine lock held: it parks
 * when it looks next. Somebody else gives the pause back.
 */
void vm_pause_here_locked(struct vm *vm);

/* Gives one pause back. */
void vm_resume(struct vm *vm);

#endif

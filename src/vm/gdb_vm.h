/*
 * `--gdb`: the stub's socket, and the VM as the stub's target.
 *
 * A client that comes pauses the VM, as under QEMU; when it detaches or its connection is lost, its
 * breakpoints go and the guest goes on. A triple fault while one is there stops the VM, so that
 * it can be looked at, and ends it when it is continued.
 *
 * Locking: on the event loop's thread, without the machine lock, where nothing else is said.
 */
#ifndef UMBRA_VM_GDB_VM_H
#define UMBRA_VM_GDB_VM_H

#include "base/types.h"

struct vm;
struct gdb_vm;

/*
 * Listens where vm->config->gdb says and, with vm->config->wait, pauses the VM, whose thread has
 * not started. Says itself what is wrong. 0 or -errno; *out is NULL when no --gdb was given.
 */
int gdb_vm_create(struct gdb_vm **out, struct vm *vm) must_check;

/* Tells a waiting client that the VM has ended, if it has, and closes. NULL is fine. */
void gdb_vm_destroy(struct gdb_vm *gdb_vm);

/*
 * The vCPU has come out of its engine for a debugger, or by a triple fault. True: there is one, it
 * is told, and the VM is paused. Machine lock held, the vCPU's thread; NULL is fine.
 */
bool gdb_vm_stopped_locked(struct gdb_vm *gdb_vm, bool shutdown);

#endif

/*
 * Virtual time as the VM uses it: from the host's clock, or from the count of executed instructions
 * (`--clock instructions`), where the vCPU's own thread runs the timers at exact counts.
 */
#ifndef UMBRA_VM_GUEST_TIME_H
#define UMBRA_VM_GUEST_TIME_H

#include "base/types.h"

struct vm;

/* Sets vm->time, of either source; the vCPU follows later. */
void guest_time_init(struct vm *vm);

/* The vCPU exists: its instructions count from now on. */
void guest_time_attach(struct vm *vm);

/* What the real-time clock shows at virtual time 0, as seconds since 1970 UTC. */
int64_t guest_time_start_utc(const struct vm *vm);

/*
 * Whether virtual time counts instructions. Then the functions below are for the caller; host time
 * is of no matter to the guest.
 */
bool guest_time_counts(const struct vm *vm);

/* Tells the engine at which count it is next to call. A deadline changed; machine lock held. */
void guest_time_limit_locked(struct vm *vm);

/* engine_host.count_reached: runs the timers that are due. On the vCPU's thread, without lock. */
void guest_time_reached(void *opaque);

/* The vCPU is halted: time jumps to the next deadline; false: there is none. Machine lock held. */
bool guest_time_skip_locked(struct vm *vm);

#endif

/*
 * Host time for the VM: the one place that reads it. Virtual time is the host's monotonic time
 * since the VM was made, less the time that it stood still.
 */
#ifndef UMBRA_VM_CLOCK_HOST_H
#define UMBRA_VM_CLOCK_HOST_H

#include "base/clock.h"

struct clock_host {
    struct clock clock;
    uint64_t start_ns; /* host monotonic time of virtual time 0, were it never stopped */
    bool stopped;
    uint64_t stopped_ns; /* host monotonic time when it was stopped */
};

void clock_host_init(struct clock_host *host);

/*
 * Virtual time stands still from stop to start; neither nests. Only while no vCPU runs, for these
 * read it without a lock.
 */
void clock_host_stop(struct clock_host *host);
void clock_host_start(struct clock_host *host);

/* The host monotonic time of a virtual one, or CLOCK_NEVER while time stands still. */
uint64_t clock_host_deadline_ns(const struct clock_host *host, uint64_t virtual_ns);

/* The host's monotonic time in nanoseconds: for statistics, which the guest never sees. */
uint64_t clock_host_ns(void);

/* The processor time that this thread has used, with its guest: no longer on a busy host. */
uint64_t clock_host_thread_ns(void);

/* The host's civil time, as seconds since 1970 UTC. */
int64_t clock_host_utc(void);

#endif

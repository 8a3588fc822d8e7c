/*
 * Host time for the VM: the one place that reads it. Virtual time is the host's monotonic time
 * since the VM was made, less the time that it stood still.
 */
#ifndef UMBRA_VM_CLOCK_HOST_H
#define UMBRA_VM_CLOCK_HOST_H

#include "base/clock.h"

struct clock_host {
    struct clock clock;
    uint64_t start_ns; /* host monotonic time of virtual time 0 */
};

void clock_host_init(struct clock_host *host);

/* The host's civil time, as seconds since 1970 UTC. */
int64_t clock_host_utc(void);

#endif

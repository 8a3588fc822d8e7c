/* The host's monotonic clock as virtual time. */
#include "vm/clock_host.h"

#include <time.h>

#include "base/assert.h"

static uint64_t read_clock(clockid_t id)
{
    struct timespec ts;

    ASSERT(clock_gettime(id, &ts) == 0, "the host has this clock");
    return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

static uint64_t source(void *opaque)
{
    const struct clock_host *host = opaque;

    return (host->stopped ? host->stopped_ns : read_clock(CLOCK_MONOTONIC)) - host->start_ns;
}

void clock_host_init(struct clock_host *host)
{
    host->start_ns = read_clock(CLOCK_MONOTONIC);
    clock_init(&host->clock, source, host);
}

void clock_host_stop(struct clock_host *host)
{
    if (host->stopped)
        return;
    host->stopped_ns = read_clock(CLOCK_MONOTONIC);
    host->stopped = true;
}

void clock_host_start(struct clock_host *host)
{
    if (!host->stopped)
        return;
    host->start_ns += read_clock(CLOCK_MONOTONIC) - host->stopped_ns;
    host->stopped = false;
    if (host->clock.changed)
        host->clock.changed(host->clock.changed_opaque); /* deadlines lie elsewhere now */
}

uint64_t clock_host_deadline_ns(const struct clock_host *host, uint64_t virtual_ns)
{
    if (host->stopped || virtual_ns == CLOCK_NEVER)
        return CLOCK_NEVER;
    return virtual_ns + host->start_ns;
}

uint64_t clock_host_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_host_thread_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

int64_t clock_host_utc(void)
{
    return (int64_t)(read_clock(CLOCK_REALTIME) / NS_PER_SEC);
}

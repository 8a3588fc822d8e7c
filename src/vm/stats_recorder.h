/*
 * What happened when: a snapshot of the counters each 100 ms of host time, and the live table of
 * `--stats-interval`. A long run is thinned out: when the room for samples is full every second one
 * goes and the time between two doubles, so that a series has 300 to 600 samples whatever it spans.
 *
 * Owned by the VM; used by the event loop's thread, but for stats_recorder_port.
 */
#ifndef UMBRA_VM_STATS_RECORDER_H
#define UMBRA_VM_STATS_RECORDER_H

#include "vm/stats.h"
#include "vm/stats_host.h"

#define STATS_SAMPLE_NS   UINT64_C(100000000)
#define STATS_MAX_SAMPLES 600
#define STATS_PORTS       65536

/*
 * Samples are only added. Unit tests fill one without a VM; sample `count` of them is how many
 * ticks lie between two.
 */
struct stats_series {
    unsigned count;
    unsigned stride; /* ticks between two samples */
    unsigned ticks;  /* since the last one */
    struct stats_snapshot samples[STATS_MAX_SAMPLES];
};

void stats_series_init(struct stats_series *series);

/* A tick with the counters of then: kept if it is its turn. */
void stats_series_tick(struct stats_series *series, const struct stats_snapshot *snapshot);

/* The last one, whatever its turn; takes the place of the newest where there is no room. */
void stats_series_end(struct stats_series *series, const struct stats_snapshot *snapshot);

struct stats_recorder;

/* Starts sampling a VM that is made. live_s: seconds between two lines, 0 for none. NULL: errno. */
struct stats_recorder *stats_recorder_create(const struct vm *vm, uint64_t live_s);
void stats_recorder_destroy(struct stats_recorder *recorder);

/* A descriptor that is readable when stats_recorder_ready is to be called. */
int stats_recorder_fd(const struct stats_recorder *recorder);
void stats_recorder_ready(void *recorder);

/* The VM has ended: the last sample. */
void stats_recorder_end(struct stats_recorder *recorder);

/* The host, as it was when sampling started. */
const struct stats_host *stats_recorder_host(const struct stats_recorder *recorder);

const struct stats_series *stats_recorder_series(const struct stats_recorder *recorder);

/* Counts an access to a port; the vCPU's thread, with the machine lock. */
void stats_recorder_port(struct stats_recorder *recorder, uint16_t port);

/* How often each port was accessed: STATS_PORTS numbers. */
const uint64_t *stats_recorder_ports(const struct stats_recorder *recorder);

#endif

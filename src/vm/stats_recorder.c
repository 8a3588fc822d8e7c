/* The sampling timer, the series and how it is thinned out. */
#include "vm/stats_recorder.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vm/clock_host.h"
#include "vm/stats_live.h"
#include "vm/vm_internal.h"

struct stats_recorder {
    const struct vm *vm;
    int fd;
    struct stats_host host;
    struct stats_live live;
    struct stats_series series;
    uint64_t ports[STATS_PORTS];
};

void stats_series_init(struct stats_series *series)
{
    series->count = 0;
    series->stride = 1;
    series->ticks = 0;
}

/* Every second sample goes; the first stays. */
static void thin_out(struct stats_series *series)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < series->count; i += 2)
        series->samples[kept++] = series->samples[i];
    series->count = kept;
    series->stride *= 2;
}

void stats_series_tick(struct stats_series *series, const struct stats_snapshot *snapshot)
{
    if (series->count > 0 && ++series->ticks < series->stride)
        return;
    series->ticks = 0;
    if (series->count == STATS_MAX_SAMPLES)
        thin_out(series);
    series->samples[series->count++] = *snapshot;
}

void stats_series_end(struct stats_series *series, const struct stats_snapshot *snapshot)
{
    if (series->count == STATS_MAX_SAMPLES)
        series->count--;
    series->samples[series->count++] = *snapshot;
}

struct stats_recorder *stats_recorder_create(const struct vm *vm, uint64_t live_s)
{
    const struct timespec period = {.tv_nsec = (long)STATS_SAMPLE_NS};
    const struct itimerspec spec = {.it_interval = period, .it_value = period};
    struct stats_recorder *recorder = calloc(1, sizeof(*recorder));
    struct stats_snapshot now;

    if (!recorder)
        return NULL;
    recorder->vm = vm;
    recorder->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (recorder->fd < 0 || timerfd_settime(recorder->fd, 0, &spec, NULL) != 0) {
        int err = errno;

        stats_recorder_destroy(recorder);
        errno = err;
        return NULL;
    }
    stats_host_init(&recorder->host);
    stats_series_init(&recorder->series);
    vm_stats_snapshot(vm, &now);
    stats_series_tick(&recorder->series, &now);
    stats_live_init(&recorder->live, live_s, &now);
    return recorder;
}

void stats_recorder_destroy(struct stats_recorder *recorder)
{
    if (!recorder)
        return;
    if (recorder->fd >= 0)
        close(recorder->fd);
    stats_host_fini(&recorder->host);
    free(recorder);
}

int stats_recorder_fd(const struct stats_recorder *recorder)
{
    return recorder->fd;
}

void stats_recorder_ready(void *opaque)
{
    struct stats_recorder *recorder = opaque;
    struct stats_snapshot now;
    uint64_t expirations;

    if (read(recorder->fd, &expirations, sizeof(expirations)) < 0)
        return;
    vm_stats_snapshot(recorder->vm, &now);
    /* Ticks that a busy host swallowed count, so that the time between two samples stays even. */
    if (expirations > 1)
        recorder->series.ticks += (unsigned)MIN(expirations - 1, (uint64_t)STATS_MAX_SAMPLES);
    stats_series_tick(&recorder->series, &now);
    stats_live_look(&recorder->live, &now);
}

void stats_recorder_end(struct stats_recorder *recorder)
{
    struct stats_snapshot now;

    vm_stats_snapshot(recorder->vm, &now);
    stats_series_end(&recorder->series, &now);
    stats_live_end(&recorder->live, &now);
}

const struct stats_host *stats_recorder_host(const struct stats_recorder *recorder)
{
    return &recorder->host;
}

const struct stats_series *stats_recorder_series(const struct stats_recorder *recorder)
{
    return &recorder->series;
}

void stats_recorder_port(struct stats_recorder *recorder, uint16_t port)
{
    recorder->ports[port]++;
}

const uint64_t *stats_recorder_ports(const struct stats_recorder *recorder)
{
    return recorder->ports;
}

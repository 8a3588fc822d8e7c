/*
 * The statistics file of a run (docs/stats.md) as `umbra report` reads it: checked once, here, so
 * that whoever draws it need not. The file is hostile: whatever it holds, the answer is a report
 * or one line that says what is wrong.
 *
 * It refuses other versions of the schema, missing parts, numbers below zero or beyond 63 bits,
 * series of different lengths, time that runs backwards, and more of anything than a run can write.
 */
#ifndef UMBRA_CMD_REPORT_DATA_H
#define UMBRA_CMD_REPORT_DATA_H

#include "base/types.h"

#define REPORT_MAX_BYTES    (64u << 20) /* of a file */
#define REPORT_MAX_EXITS    70
#define REPORT_MAX_COUNTERS 128
#define REPORT_MAX_PORTS    16
#define REPORT_MAX_SLOTS    64
#define REPORT_MAX_BUCKETS  512
#define REPORT_MAX_SAMPLES  4096

/* Strings and series belong to the run. Strings are whatever the file says: escape them. */
struct report_exit {
    const char *name, *words;
    uint64_t count, ns;
    const uint64_t *series; /* of counts since the start */
};

struct report_counter {
    const char *name, *words;
    const char *group, *unit;
    uint64_t value;
    const uint64_t *series;
};

struct report_port {
    uint64_t port, count;
};

struct report_slot {
    const char *name;
    uint64_t base, bytes, bucket_bytes;
    bool dirty_logged;
    unsigned buckets;
    const uint64_t *resident, *dirty, *shared; /* pages of each bucket */
};

struct report_run {
    const char *guest, *engine, *mmu, *processor, *kernel;
    char *command; /* the words with spaces between */
    int64_t status;
    uint64_t memory_bytes, host_ns;
    unsigned exits, counters, ports, slots, samples;
    struct report_exit exit[REPORT_MAX_EXITS];
    struct report_counter counter[REPORT_MAX_COUNTERS];
    struct report_port port[REPORT_MAX_PORTS];
    struct report_slot slot[REPORT_MAX_SLOTS];
    const uint64_t *time_ns;
    void *json;         /* what the strings live in */
    uint64_t **numbers; /* every array made */
    size_t number_arrays;
};

struct report_error {
    char text[160]; /* printable ASCII */
};

/* Reads a file's bytes. NULL with a reason; else report_run_free gives it back. */
struct report_run *report_run_parse(const char *bytes, size_t len, struct report_error *error);
void report_run_free(struct report_run *run);

/* The counter of that name, or NULL. */
const struct report_counter *report_run_counter(const struct report_run *run, const char *name);

/* Its value, or 0. */
uint64_t report_run_value(const struct report_run *run, const char *name);

/* The exit of that name, or NULL. */
const struct report_exit *report_run_exit(const struct report_run *run, const char *name);

#endif

/*
 * What the benchmark programs share: they run their workloads in a row, on any Linux. As process 1
 * of a guest, they power it off at the end.
 *
 *   PROGRAM            prints "bench NAME MICROSECONDS OPERATIONS" for each, by the system's clock
 *   PROGRAM step       waits for a line of input before each and after the last
 *   PROGRAM nothing    does nothing: what `exec` workloads start
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <time.h>
#include <unistd.h>

struct bench_workload {
    const char *name;
    void (*run)(void);
    unsigned long operations; /* 0: its time as a whole is what counts */
    void (*prepare)(void);    /* before the clock runs; may be NULL */
};

static const char *bench_path; /* of the running program */

static inline void bench_die(const char *what)
{
    perror(what);
    exit(1);
}

static inline uint64_t bench_now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* Says what comes next and waits for a line, so that somebody outside can count around it. */
static inline void bench_step(const char *next)
{
    char line[16];

    printf("bench-next %s\n", next);
    if (!fgets(line, sizeof(line), stdin))
        bench_die("bench-next");
}

static inline int bench_main(int argc, char **argv, const struct bench_workload *workloads,
                             unsigned count)
{
    /* The last one: what the kernel does not know of its command line comes before it. */
    bool step = argc > 1 && strcmp(argv[argc - 1], "step") == 0;

    bench_path = argv[0];
    if (argc > 1 && strcmp(argv[1], "nothing") == 0)
        return 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (unsigned i = 0; i < count; i++) {
        uint64_t start;

        if (workloads[i].prepare)
            workloads[i].prepare();
        if (step)
            bench_step(workloads[i].name);
        start = bench_now_us();
        workloads[i].run();
        printf("bench %s %llu %lu\n", workloads[i].name,
               (unsigned long long)(bench_now_us() - start), workloads[i].operations);
        if (step)
            bench_step("-");
    }
    printf("bench end 0 0\n");
    if (getpid() == 1) {
        sync();
        reboot(RB_POWER_OFF);
    }
    return 0;
}

#endif

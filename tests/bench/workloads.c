/*
 * The user programs of `make bench`: each does a fixed amount of work. The same binary runs on the
 * host, under Umbra and under QEMU.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define PAGE 4096

static volatile uint64_t sink; /* keeps the compiler from dropping the work */

static uint64_t xorshift(uint64_t *state)
{
    uint64_t x = *state;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

static void integer_division(void)
{
    uint64_t state = 88172645463325252u, sum = 0;

    for (unsigned i = 0; i < 2000000; i++)
        sum += xorshift(&state) / ((xorshift(&state) & 0xffff) + 1);
    sink = sum;
}

static void sieve(void)
{
    enum { LIMIT = 1000000 };
    uint8_t *composite = calloc(LIMIT, 1);
    unsigned primes = 0;

    for (unsigned i = 2; i < LIMIT; i++) {
        if (composite[i])
            continue;
        primes++;
        for (unsigned j = 2 * i; j < LIMIT; j += i)
            composite[j] = 1;
    }
    sink = primes;
    free(composite);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static void sort(void)
{
    enum { COUNT = 100000 };
    uint32_t *values = malloc(COUNT * sizeof(*values));
    uint64_t state = 1234567;

    for (unsigned i = 0; i < COUNT; i++)
        values[i] = (uint32_t)xorshift(&state);
    qsort(values, COUNT, sizeof(*values), compare);
    sink = values[COUNT / 2];
    free(values);
}

static __attribute__((noinline)) unsigned fib(unsigned n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static void calls(void)
{
    sink = fib(32);
}

static void scalar_double(void)
{
    double x = 0.5, y = 0.25, sum = 0;

    for (unsigned i = 0; i < 2000000; i++) {
        x = 3.9 * x * (1 - x);
        y = y / (1.0 + x * x) + 0.001;
        sum += x * y;
    }
    sink = (uint64_t)(sum * 1000);
}

static void float_matrix(void)
{
    enum { N = 96 };
    static float a[N][N], b[N][N], c[N][N];

    for (unsigned i = 0; i < N; i++) {
        for (unsigned j = 0; j < N; j++) {
            a[i][j] = (float)(i + j);
            b[i][j] = (float)(i * j % 7);
            c[i][j] = 0;
        }
    }
    for (unsigned pass = 0; pass < 10; pass++) {
        for (unsigned i = 0; i < N; i++) {
            for (unsigned k = 0; k < N; k++) {
                for (unsigned j = 0; j < N; j++)
                    c[i][j] += a[i][k] * b[k][j];
            }
        }
    }
    sink = (uint64_t)c[N / 2][N / 3];
}

static void pointer_chase(void)
{
    enum { COUNT = 16 * 1024 * 1024 / 64 };
    struct node {
        struct node *next;
        char pad[56];
    } *nodes = malloc(COUNT * sizeof(*nodes));
    uint32_t *order = malloc(COUNT * sizeof(*order));
    struct node *at;
    uint64_t state = 42;

    for (unsigned i = 0; i < COUNT; i++)
        order[i] = i;
    for (unsigned i = COUNT - 1; i > 0; i--) {
        unsigned j = (unsigned)(xorshift(&state) % i);
        uint32_t swap = order[i];

        order[i] = order[j];
        order[j] = swap;
    }
    for (unsigned i = 0; i < COUNT; i++)
        nodes[order[i]].next = &nodes[order[(i + 1) % COUNT]];
    at = nodes;
    for (unsigned i = 0; i < 2 * COUNT; i++)
        at = at->next;
    sink = (uint64_t)(uintptr_t)at;
    free(nodes);
    free(order);
}

static void stream(void)
{
    enum { COUNT = 1024 * 1024 };
    double *from = malloc(COUNT * sizeof(*from)), *to = malloc(COUNT * sizeof(*to));

    for (unsigned i = 0; i < COUNT; i++)
        from[i] = i;
    for (unsigned pass = 0; pass < 4; pass++) {
        memcpy(to, from, COUNT * sizeof(*to));
        for (unsigned i = 0; i < COUNT; i++)
            from[i] = 1.5 * to[i];
    }
    sink = (uint64_t)from[COUNT - 1];
    free(from);
    free(to);
}

static void system_calls(void)
{
    for (unsigned i = 0; i < 100000; i++)
        sink = (uint64_t)syscall(SYS_getppid);
}

static void pipe_ping_pong(void)
{
    enum { ROUNDS = 5000 };
    int there[2], back[2];
    char byte = 0;
    pid_t child;

    if (pipe(there) != 0 || pipe(back) != 0 || (child = fork()) < 0)
        bench_die("pipe");
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (child == 0) {
            if (read(there[0], &byte, 1) != 1 || write(back[1], &byte, 1) != 1)
                _exit(1);
        } else if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1) {
            bench_die("ping-pong");
        }
    }
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
    close(there[0]);
    close(there[1]);
    close(back[0]);
    close(back[1]);
}

static void forks(void)
{
    for (unsigned i = 0; i < 300; i++) {
        pid_t child = fork();

        if (child == 0)
            _exit(0);
        if (child < 0 || waitpid(child, NULL, 0) < 0)
            bench_die("fork");
    }
}

static void execs(void)
{
    for (unsigned i = 0; i < 150; i++) {
        pid_t child = fork();

        if (child == 0) {
            execl(bench_path, bench_path, "nothing", (char *)NULL);
            _exit(1);
        }
        if (child < 0 || waitpid(child, NULL, 0) < 0)
            bench_die("exec");
    }
}

static void page_faults(void)
{
    enum { PAGES = 2000 };

    for (unsigned pass = 0; pass < 5; pass++) {
        uint8_t *p =
            mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED)
            bench_die("mmap");
        for (unsigned i = 0; i < PAGES; i++)
            p[i * PAGE] = 1;
        munmap(p, PAGES * PAGE);
    }
}

static const struct bench_workload workloads[] = {
    {"integer_division", integer_division, 0, NULL},
    {"sieve", sieve, 0, NULL},
    {"qsort", sort, 0, NULL},
    {"calls", calls, 0, NULL},
    {"scalar_double", scalar_double, 0, NULL},
    {"float_matrix", float_matrix, 0, NULL},
    {"pointer_chase", pointer_chase, 0, NULL},
    {"stream", stream, 0, NULL},
    {"system_calls", system_calls, 0, NULL},
    {"pipe_ping_pong", pipe_ping_pong, 0, NULL},
    {"fork", forks, 0, NULL},
    {"exec", execs, 0, NULL},
    {"page_faults", page_faults, 0, NULL},
};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, workloads, sizeof(workloads) / sizeof(workloads[0]));
}

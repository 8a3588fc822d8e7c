/*
 * The Linux side of `make bench-mmu`: what programs ask of memory virtualization, through Linux.
 * Each workload's operations are pages, faults, switches or processes, as its comment says.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define PAGE 4096
#define MIB  (1024 * 1024)
#define FEW  64 /* pages that a workload goes round in */

enum operations {
    TOUCHES = 16384,
    REMAPS = 200 * FEW,
    PROTECTS = 3000,
    PROTECTION_FAULTS = 10000,
    FILE_FAULTS = 4096,
    READS = 500000,
    SWITCHES = 4000,
    FORKS = 200,
    EXECS = 100,
};

static volatile uint64_t sink;
static uint8_t *area; /* what prepare made for run */

static uint8_t *map(size_t bytes)
{
    uint8_t *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED || madvise(p, bytes, MADV_NOHUGEPAGE))
        bench_die("mmap");
    return p;
}

static void unmap(uint8_t *p, size_t bytes)
{
    if (munmap(p, bytes))
        bench_die("munmap");
}

/* --- a page: mapped, touched for the first time, unmapped --- */

static void first_touch(void)
{
    uint8_t *p = map((size_t)TOUCHES * PAGE);

    for (size_t i = 0; i < TOUCHES; i++)
        p[i * PAGE] = 1;
    unmap(p, (size_t)TOUCHES * PAGE);
}

static void remap(void)
{
    for (unsigned round = 0; round < REMAPS / FEW; round++) {
        uint8_t *p = map(FEW * PAGE);

        for (unsigned i = 0; i < FEW; i++)
            p[i * PAGE] = (uint8_t)round;
        unmap(p, FEW * PAGE);
    }
}

/* --- a page made read-only and writable again, then written --- */

static void few_prepare(void)
{
    area = map(FEW * PAGE);
    memset(area, 1, FEW * PAGE);
}

static void protect(void)
{
    for (unsigned i = 0; i < PROTECTS; i++) {
        uint8_t *page = area + i % FEW * PAGE;

        if (mprotect(page, PAGE, PROT_READ) || mprotect(page, PAGE, PROT_READ | PROT_WRITE))
            bench_die("mprotect");
        *page = (uint8_t)i;
    }
}

/* --- a write to a read-only page, up to the program's signal handler and back --- */

static sigjmp_buf fault_return;

static void on_fault(int number)
{
    (void)number;
    siglongjmp(fault_return, 1);
}

static void protection_fault_prepare(void)
{
    struct sigaction action = {.sa_handler = on_fault, .sa_flags = SA_NODEFER};

    few_prepare();
    if (mprotect(area, FEW * PAGE, PROT_READ) || sigaction(SIGSEGV, &action, NULL))
        bench_die("protection_fault");
}

static void protection_fault(void)
{
    static volatile unsigned faults;

    for (faults = 0; faults < PROTECTION_FAULTS; faults++) {
        if (sigsetjmp(fault_return, 0) == 0) {
            area[faults % FEW * PAGE] = 1;
            bench_die("a write to a read-only page");
        }
    }
    signal(SIGSEGV, SIG_DFL);
}

/* --- a page of a file's mapping, in memory already --- */

static void file_fault_prepare(void)
{
    int fd = open("/bench-file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    static uint8_t page[PAGE];

    if (fd < 0)
        bench_die("/bench-file");
    for (unsigned i = 0; i < FILE_FAULTS; i++) {
        if (write(fd, page, PAGE) != PAGE)
            bench_die("/bench-file");
    }
    area = mmap(NULL, (size_t)FILE_FAULTS * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (area == MAP_FAILED)
        bench_die("mmap of a file");
    close(fd);
    unlink("/bench-file");
}

/* Writes: a read would have the kernel map the neighbours, too. */
static void file_fault(void)
{
    for (size_t i = 0; i < FILE_FAULTS; i++)
        area[i * PAGE] = 1;
}

/* --- reads in random order over 64 MiB --- */

#define READ_BYTES (64 * MIB)

static void random_read_prepare(void)
{
    area = map(READ_BYTES);
    for (size_t i = 0; i < READ_BYTES; i += PAGE)
        area[i] = 1;
}

static void random_read(void)
{
    uint64_t state = 1, sum = 0;

    for (unsigned i = 0; i < READS; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        sum += area[(state >> 33) % (READ_BYTES / 64) * 64];
    }
    sink = sum;
    unmap(area, READ_BYTES);
}

/* --- a token's way round a ring of processes, each of which then works on memory of its own --- */

enum { RING_MAX = 64, RING_PAGES = 16 };

static int ring[RING_MAX][2];
static pid_t ring_children[RING_MAX];
static unsigned ring_count;

static void ring_hop(unsigned from, unsigned to)
{
    uint8_t token;

    if (read(ring[from][0], &token, 1) != 1)
        exit(0); /* the end of the ring: its last writer has gone */
    for (unsigned i = 0; i < RING_PAGES; i++)
        area[i * PAGE]++;
    if (write(ring[to][1], &token, 1) != 1)
        exit(0);
}

/* The ring's processes 1 to count - 1; this one is process 0. */
static void ring_prepare(unsigned count)
{
    area = map(RING_PAGES * PAGE);
    memset(area, 1, RING_PAGES * PAGE);
    ring_count = count;
    signal(SIGPIPE, SIG_IGN);
    for (unsigned i = 0; i < count; i++) {
        if (pipe(ring[i]))
            bench_die("pipe");
    }
    for (unsigned i = 1; i < count; i++) {
        ring_children[i] = fork();
        if (ring_children[i] < 0)
            bench_die("fork");
        if (ring_children[i] == 0) {
            for (;;)
                ring_hop(i, (i + 1) % count);
        }
    }
}

static void ring_prepare_2(void)
{
    ring_prepare(2);
}

static void ring_prepare_8(void)
{
    ring_prepare(8);
}

static void ring_prepare_64(void)
{
    ring_prepare(RING_MAX);
}

static void ring_run(void)
{
    char token = 0;

    if (write(ring[0][1], &token, 1) != 1)
        bench_die("ring");
    for (unsigned i = 0; i < SWITCHES / ring_count; i++)
        ring_hop(0, 1);
    if (read(ring[0][0], &token, 1) != 1)
        bench_die("ring");
    for (unsigned i = 1; i < ring_count; i++)
        kill(ring_children[i], SIGKILL);
    for (unsigned i = 1; i < ring_count; i++)
        waitpid(ring_children[i], NULL, 0);
    for (unsigned i = 0; i < ring_count; i++) {
        close(ring[i][0]);
        close(ring[i][1]);
    }
}

/* --- processes --- */

static void forks(void)
{
    for (unsigned i = 0; i < FORKS; i++) {
        pid_t child = fork();

        if (child == 0)
            _exit(0);
        if (child < 0 || waitpid(child, NULL, 0) < 0)
            bench_die("fork");
    }
}

static void execs(void)
{
    for (unsigned i = 0; i < EXECS; i++) {
        pid_t child = fork();

        if (child == 0) {
            execl(bench_path, bench_path, "nothing", (char *)NULL);
            _exit(1);
        }
        if (child < 0 || waitpid(child, NULL, 0) < 0)
            bench_die("exec");
    }
}

static const struct bench_workload workloads[] = {
    {"first_touch", first_touch, TOUCHES, NULL},
    {"unmap_remap", remap, REMAPS, NULL},
    {"mprotect", protect, PROTECTS, few_prepare},
    {"protection_fault", protection_fault, PROTECTION_FAULTS, protection_fault_prepare},
    {"file_fault", file_fault, FILE_FAULTS, file_fault_prepare},
    {"random_read", random_read, READS, random_read_prepare},
    {"switch_2", ring_run, SWITCHES, ring_prepare_2},
    {"switch_8", ring_run, SWITCHES, ring_prepare_8},
    {"switch_64", ring_run, SWITCHES, ring_prepare_64},
    {"fork", forks, FORKS, NULL},
    {"exec", execs, EXECS, NULL},
};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, workloads, sizeof(workloads) / sizeof(workloads[0]));
}

/*
 * A /dev/kvm that exists in the process only, for the tests of a KVM that refuses: preloaded, it
 * answers open and ioctl as a quick and willing KVM, but for what FAKE_KVM says. It runs no guest:
 * the trial's loop is at its end at once, and the VM's first entries are writes that some guest
 * might have made ("fake guest" to port E9h), then a write to the exit port.
 *
 * FAKE_KVM is a list of words, each `trial:` or `vm:` (the process of the trial, the VM's) and
 *   open=ERRNO         opening the device fails
 *   api=VERSION        what KVM_GET_API_VERSION answers
 *   page=BYTES         what KVM_GET_VCPU_MMAP_SIZE answers
 *   without=CAP        a capability is not there
 *   fail=NR,ERRNO      the ioctl of this number fails
 *   map=1              a vCPU's page cannot be mapped
 *   run=ENTRY,ERRNO    KVM_RUN fails when it is called the ENTRYth time, from 0
 *   exit=ENTRY,REASON  KVM_RUN ends for this reason then
 *   away=MS            KVM_RUN takes so long, without the processor
 *   busy=MS            KVM_RUN takes so long, on the processor
 *   hang=HOW           KVM_RUN comes back for signals only (1), or never (2)
 * Source: KVM API; "asm-generic/ioctl.h".
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define RUN_BYTES 0x3000 /* kvm_run, its data page, the ring of gathered writes */
#define DATA_AT   0x1000
#define MAX_RULES 16
#define MAX_VCPUS 8
#define CONSOLE   0xe9
#define EXIT_PORT 0xf4
#define EXIT_BYTE 20   /* umbra's status is twice that and one */
#define RESULT    0x5a /* what the trial's loop leaves in AL */

static const char guest_output[] = "fake guest\n";

struct rule {
    bool trial;
    char what[8];
    unsigned a, b;
};

static struct rule rules[MAX_RULES];
static unsigned rule_count;
static pid_t vm_process;

/* The vCPUs made so far: a vCPU's descriptor is that of its page. */
static struct {
    int fd;
    struct kvm_run *run;
    unsigned entries;
} vcpus[MAX_VCPUS];
static unsigned vcpu_count;

static void __attribute__((constructor)) read_rules(void)
{
    const char *words = getenv("FAKE_KVM");
    char *copy = strdup(words ? words : ""), *rest = copy, *word;

    vm_process = getpid();
    while ((word = strsep(&rest, " ")) && rule_count < MAX_RULES) {
        struct rule *rule = &rules[rule_count];
        char stage[8];

        if (sscanf(word, "%7[a-z]:%7[a-z]=%u,%u", stage, rule->what, &rule->a, &rule->b) < 3)
            continue;
        rule->trial = strcmp(stage, "trial") == 0;
        rule_count++;
    }
    free(copy);
}

/* The rule of a kind that holds here, and with `key` in its first number. */
static const struct rule *find(const char *what, int key)
{
    bool trial = getpid() != vm_process;

    for (unsigned i = 0; i < rule_count; i++) {
        if (rules[i].trial == trial && strcmp(rules[i].what, what) == 0 &&
            (key < 0 || rules[i].a == (unsigned)key))
            return &rules[i];
    }
    return NULL;
}

static int refuse(unsigned error)
{
    errno = (int)error;
    return -1;
}

/* What a guest might do, one access an entry; after its exit it would go on for ever. */
static void make_exit(struct kvm_run *run, unsigned entry)
{
    bool ends = entry >= sizeof(guest_output) - 1;

    run->exit_reason = KVM_EXIT_IO;
    run->io.direction = KVM_EXIT_IO_OUT;
    run->io.port = ends ? EXIT_PORT : CONSOLE;
    run->io.size = 1;
    run->io.count = 1;
    run->io.data_offset = DATA_AT;
    *((uint8_t *)run + DATA_AT) = ends ? EXIT_BYTE : (uint8_t)guest_output[entry];
}

/* Milliseconds go by on one of the host's clocks. */
static void spend(const char *what, clockid_t clock)
{
    const struct rule *rule = find(what, -1);
    struct timespec now, nap = {.tv_nsec = 100000};
    uint64_t end = 0, ns;

    while (rule) {
        clock_gettime(clock, &now);
        ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
        if (end && ns >= end)
            break;
        end = end ? end : ns + rule->a * 1000000u;
        if (clock == CLOCK_MONOTONIC)
            nanosleep(&nap, NULL);
    }
}

static int enter(int fd)
{
    const struct rule *rule = find("hang", -1);
    struct kvm_run *run = NULL;
    unsigned entry = 0;

    for (unsigned i = 0; i < vcpu_count; i++) {
        if (vcpus[i].fd == fd) {
            run = vcpus[i].run;
            entry = vcpus[i].entries;
        }
    }
    if (!run)
        return refuse(EBADF);
    if (run->immediate_exit)
        return refuse(EINTR);
    while (rule) {
        pause();
        if (rule->a == 1)
            return refuse(EINTR);
    }
    spend("away", CLOCK_MONOTONIC);
    spend("busy", CLOCK_THREAD_CPUTIME_ID);
    rule = find("run", (int)entry);
    if (rule)
        return refuse(rule->b);
    rule = find("exit", (int)entry);
    if (getpid() != vm_process)
        run->exit_reason = KVM_EXIT_HLT;
    else
        make_exit(run, entry);
    if (rule) {
        memset(&run->hw, 0, sizeof(run->padding));
        run->exit_reason = rule->b;
    }
    for (unsigned i = 0; i < vcpu_count; i++)
        vcpus[i].entries += vcpus[i].fd == fd;
    return 0;
}

/* A vCPU's descriptor is a file of its page's size; one for reading only cannot be mapped. */
static int create_vcpu(void)
{
    char path[32];
    void *run;
    int fd = memfd_create("fake-vcpu", MFD_CLOEXEC);

    if (fd < 0 || ftruncate(fd, RUN_BYTES) != 0 || vcpu_count == MAX_VCPUS)
        return refuse(ENOMEM);
    run = mmap(NULL, RUN_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (run == MAP_FAILED)
        return -1;
    if (find("map", -1)) {
        int sealed;

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        sealed = open(path, O_RDONLY | O_CLOEXEC);
        close(fd);
        fd = sealed;
    }
    vcpus[vcpu_count].fd = fd;
    vcpus[vcpu_count].run = run;
    vcpus[vcpu_count].entries = 0;
    vcpu_count++;
    return fd;
}

/* A descriptor that goes away with its process. */
static int new_fd(const char *name)
{
    return memfd_create(name, MFD_CLOEXEC);
}

/* What the engine cannot do without, and the ring of gathered writes. */
static int capability(unsigned number)
{
    if (find("without", (int)number))
        return 0;
    switch (number) {
    case KVM_CAP_COALESCED_MMIO: return RUN_BYTES / 0x1000 - 1; /* its page */
    case KVM_CAP_IMMEDIATE_EXIT:
    case KVM_CAP_READONLY_MEM: return 1;
    default: return 0;
    }
}

static int answer(int fd, unsigned long request, void *argument)
{
    const struct rule *rule = find("fail", (int)_IOC_NR(request));

    if (rule)
        return refuse(rule->b);
    if (_IOC_DIR(request) == _IOC_READ)
        memset(argument, 0, _IOC_SIZE(request));
    switch (request) {
    case KVM_GET_API_VERSION: rule = find("api", -1); return rule ? (int)rule->a : KVM_API_VERSION;
    case KVM_GET_VCPU_MMAP_SIZE: rule = find("page", -1); return rule ? (int)rule->a : RUN_BYTES;
    case KVM_CHECK_EXTENSION: return capability((unsigned)(uintptr_t)argument);
    case KVM_CREATE_VM: return new_fd("fake-vm");
    case KVM_CREATE_VCPU: return create_vcpu();
    case KVM_RUN: return enter(fd);
    case KVM_GET_TSC_KHZ: return 1000000;
    case KVM_GET_SUPPORTED_CPUID: ((struct kvm_cpuid2 *)argument)->nent = 0; return 0;
    case KVM_GET_REGS: ((struct kvm_regs *)argument)->rax = RESULT; return 0;
    case KVM_GET_MSRS:
    case KVM_SET_MSRS: return (int)((struct kvm_msrs *)argument)->nmsrs;
    case KVM_GET_STATS_FD: return refuse(ENOTTY);
    default: return 0;
    }
}

/* --- what stands before libc's functions --- */

static void *next(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);

    if (!function)
        abort();
    return function;
}

__attribute__((visibility("default"))) int ioctl(int fd, unsigned long request, ...)
{
    int (*real)(int, unsigned long, ...);
    void *argument;
    va_list list;

    va_start(list, request);
    argument = va_arg(list, void *);
    va_end(list);
    if (_IOC_TYPE(request) == KVMIO)
        return answer(fd, request, argument);
    *(void **)&real = next("ioctl");
    return real(fd, request, argument);
}

__attribute__((visibility("default"))) int open(const char *path, int flags, ...)
{
    int (*real)(const char *, int, ...);
    const struct rule *rule;
    mode_t mode;
    va_list list;

    va_start(list, flags);
    mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0;
    va_end(list);
    if (strcmp(path, "/dev/kvm") == 0) {
        rule = find("open", -1);
        return rule ? refuse(rule->a) : new_fd("fake-kvm");
    }
    *(void **)&real = next("open");
    return real(path, flags, mode);
}

/*
 * A short guest loop in 16-bit and in 64-bit mode, timed: what /dev/kvm is worth. A timer ends what
 * does not end by itself.
 * Source: KVM API; SDM 3 "Initializing IA-32e Mode"; the kernel's documentation of the parameters
 * of kvm-intel and kvm-amd.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "engine/kvm/internal.h"

#define ALARM_SIGNAL (SIGRTMIN + 2)

/* The loop's two instructions run so often; long only where the short one was quick. */
#define SHORT_ROUNDS 10000
#define LONG_ROUNDS  1000000
#define QUICK_NS     (NS_PER_SEC / 1000)

/* Far above what emulation reaches (some millions a second), far below what hardware does. */
#define HARDWARE_PER_SECOND 200000000u

/* Guest memory: code and three page tables. */
#define PROBE_BYTES (4 * PAGE_SIZE)
#define CODE        0
#define PML4        PAGE_SIZE
#define PDPT        (2 * PAGE_SIZE)
#define PD          (3 * PAGE_SIZE)
#define RESULT      0x5a

/* A guest of one page, and what the probe needs to run it. */
struct probe_vm {
    int device_fd, vm_fd, vcpu_fd;
    size_t run_bytes;
    struct kvm_run *run;
    uint8_t *memory;
    uint64_t (*now_ns)(void);
    uint64_t (*used_ns)(void);
    uint64_t deadline_ns;
    const char *step; /* what is being done, for people */
};

const char *kvm_mode_name(enum kvm_mode mode)
{
    return mode == KVM_MODE_REAL ? "16-bit" : "64-bit";
}

static void on_alarm(int signal)
{
}

/* dec ecx; jnz; mov al, RESULT; hlt -- the same bytes but for the operand size in 16-bit mode. */
const uint8_t *kvm_loop_code(enum kvm_mode mode)
{
    static const uint8_t real[KVM_LOOP_BYTES] = {0x66, 0x49, 0x75, 0xfc, 0xb0, RESULT, 0xf4};
    static const uint8_t wide[KVM_LOOP_BYTES] = {0xff, 0xc9, 0x75, 0xfc, 0xb0, RESULT, 0xf4};

    return mode == KVM_MODE_REAL ? real : wide;
}

static int make_vm(struct probe_vm *vm)
{
    struct kvm_userspace_memory_region region = {.memory_size = PROBE_BYTES};
    void *p;
    int err;

    vm->step = "KVM_CREATE_VM";
    vm->vm_fd = kvm_ioctl_value(vm->device_fd, KVM_CREATE_VM, 0);
    if (vm->vm_fd < 0)
        return vm->vm_fd;
    vm->step = "memory for a guest";
    p = mmap(NULL, PROBE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return -errno;
    vm->memory = p;
    region.userspace_addr = (uintptr_t)p;
    vm->step = "KVM_SET_USER_MEMORY_REGION";
    kvm_ioctl_value(vm->vm_fd, KVM_SET_TSS_ADDR, KVM_TSS_ADDRESS);
    err = kvm_ioctl(vm->vm_fd, KVM_SET_USER_MEMORY_REGION, &region);
    if (err < 0)
        return err;
    vm->step = "KVM_CREATE_VCPU";
    vm->vcpu_fd = kvm_ioctl_value(vm->vm_fd, KVM_CREATE_VCPU, 0);
    if (vm->vcpu_fd < 0)
        return vm->vcpu_fd;
    vm->step = "the vCPU's page cannot be mapped";
    p = mmap(NULL, vm->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu_fd, 0);
    if (p == MAP_FAILED)
        return -errno;
    vm->run = p;
    return 0;
}

static void end_vm(struct probe_vm *vm)
{
    if (vm->run)
        munmap(vm->run, vm->run_bytes);
    if (vm->vcpu_fd >= 0)
        close(vm->vcpu_fd);
    if (vm->vm_fd >= 0)
        close(vm->vm_fd);
    if (vm->memory)
        munmap(vm->memory, PROBE_BYTES);
}

static void enter_long_mode(struct probe_vm *vm, struct kvm_sregs *sregs)
{
    const uint64_t table = 3; /* present, writable */
    const uint64_t entries[][2] = {
        {PML4, PDPT | table}, {PDPT, PD | table}, {PD, 0x80 | table} /* 2 MiB */};

    for (unsigned i = 0; i < ARRAY_SIZE(entries); i++)
        memcpy(vm->memory + entries[i][0], &entries[i][1], sizeof(uint64_t));
    sregs->cr3 = PML4;
    sregs->cr4 = X86_CR4_PAE;
    sregs->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_PG;
    sregs->efer = X86_EFER_LME | X86_EFER_LMA;
    sregs->cs = (struct kvm_segment){
        .limit = UINT32_MAX, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1};
    sregs->ss = sregs->ds = sregs->es = (struct kvm_segment){
        .limit = UINT32_MAX, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1};
}

static int start_loop(struct probe_vm *vm, enum kvm_mode mode, uint64_t rounds)
{
    struct kvm_regs regs = {.rip = CODE, .rcx = rounds, .rflags = X86_FLAG_ONE};
    struct kvm_sregs sregs;
    int err;

    vm->step = "the vCPU's registers";
    err = kvm_ioctl(vm->vcpu_fd, KVM_GET_SREGS, &sregs);
    if (err < 0)
        return err;
    memcpy(vm->memory + CODE, kvm_loop_code(mode), KVM_LOOP_BYTES);
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    if (mode == KVM_MODE_LONG)
        enter_long_mode(vm, &sregs);
    err = kvm_ioctl(vm->vcpu_fd, KVM_SET_SREGS, &sregs);
    return err < 0 ? err : kvm_ioctl(vm->vcpu_fd, KVM_SET_REGS, &regs);
}

/* Runs until HLT with the right result; -ETIME when the time is up, -EPROTO for any other end. */
static int run_loop(struct probe_vm *vm, uint64_t *took_ns)
{
    uint64_t start = vm->used_ns();
    struct kvm_regs regs;

    vm->step = "KVM_RUN";
    while (ioctl(vm->vcpu_fd, KVM_RUN, 0) < 0) {
        if (errno != EINTR && errno != EAGAIN)
            return -errno;
        if (vm->now_ns() >= vm->deadline_ns)
            return -ETIME;
    }
    *took_ns = MAX(vm->used_ns() - start, (uint64_t)1);
    if (vm->run->exit_reason != KVM_EXIT_HLT || kvm_ioctl(vm->vcpu_fd, KVM_GET_REGS, &regs) < 0)
        return -EPROTO;
    return (regs.rax & 0xff) == RESULT && (uint32_t)regs.rcx == 0 ? 0 : -EPROTO;
}

/* One loop in a VM of its own. What KVM refuses to do makes it of no use. */
static int time_loop(struct kvm_probe *probe, const struct probe_vm *shared, enum kvm_mode mode,
                     uint64_t rounds, uint64_t *took_ns)
{
    struct probe_vm vm = *shared;
    int err;

    vm.vm_fd = vm.vcpu_fd = -1;
    vm.run = NULL;
    vm.memory = NULL;
    err = make_vm(&vm);
    if (!err) {
        int khz = kvm_ioctl_value(vm.vcpu_fd, KVM_GET_TSC_KHZ, 0);

        probe->tsc_hz = khz > 0 ? (uint64_t)khz * 1000 : 0;
        err = start_loop(&vm, mode, rounds);
    }
    if (err >= 0)
        err = run_loop(&vm, took_ns);
    end_vm(&vm);
    if (err < 0 && err != -ETIME && err != -EPROTO) {
        probe->usable = false;
        snprintf(probe->reason, sizeof(probe->reason), "%s: %s%s", vm.step, strerror(-err),
                 err == -EBUSY ? " (another hypervisor may have the processor's extension)" : "");
    }
    return err < 0 ? err : 0;
}

static void time_mode(struct kvm_probe *probe, struct probe_vm *vm, enum kvm_mode mode)
{
    uint64_t rounds = SHORT_ROUNDS, took;
    int err = time_loop(probe, vm, mode, rounds, &took);

    if (!err && took < QUICK_NS) {
        rounds = LONG_ROUNDS;
        err = time_loop(probe, vm, mode, rounds, &took);
    }
    probe->works[mode] = err == 0;
    if (!err)
        probe->per_second[mode] = (uint64_t)((unsigned __int128)(2 * rounds) * NS_PER_SEC / took);
    else if (probe->usable)
        snprintf(probe->reason, sizeof(probe->reason), "a %s guest does not run: %s",
                 kvm_mode_name(mode),
                 err == -ETIME ? "it takes too long" : "it ends in the wrong way");
}

static bool parameter_on(const char *path)
{
    char value = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return false;
    if (read(fd, &value, 1) != 1)
        value = 0;
    close(fd);
    return value == 'Y' || value == '1';
}

void kvm_host_paging(char *paging, size_t size)
{
    const char *name = "unknown";

    if (access("/sys/module/kvm_intel", F_OK) == 0)
        name = parameter_on("/sys/module/kvm_intel/parameters/ept") ? "EPT" : "shadow";
    else if (access("/sys/module/kvm_amd", F_OK) == 0)
        name = parameter_on("/sys/module/kvm_amd/parameters/npt") ? "NPT" : "shadow";
    else if (access("/sys/module/kvm_pvm", F_OK) == 0)
        name = "shadow";
    snprintf(paging, size, "%s", name);
}

static const char *open_words(int err)
{
    switch (err) {
    case ENOENT: return "there is no /dev/kvm: the kvm module is not loaded, or hidden here";
    case EACCES:
    case EPERM: return "no permission for /dev/kvm; is the user in the group kvm?";
    default: return strerror(err);
    }
}

/* What the engine cannot do without; false with the reason. */
static bool has_capabilities(struct kvm_probe *probe, int device_fd)
{
    static const struct {
        unsigned number;
        const char *words;
    } needed[] = {
        {KVM_CAP_IMMEDIATE_EXIT, "immediate exit (Linux 4.11)"},
        {KVM_CAP_READONLY_MEM, "read-only memory (Linux 3.7)"},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(needed); i++) {
        if (kvm_ioctl_value(device_fd, KVM_CHECK_EXTENSION, needed[i].number) <= 0) {
            snprintf(probe->reason, sizeof(probe->reason), "it is too old, without %s",
                     needed[i].words);
            return false;
        }
    }
    return true;
}

/* Opens the device and looks at what it must have; false with the reason. */
static bool open_device(struct kvm_probe *probe, struct probe_vm *vm)
{
    int version, bytes;

    vm->device_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (vm->device_fd < 0) {
        snprintf(probe->reason, sizeof(probe->reason), "%s", open_words(errno));
        return false;
    }
    version = kvm_ioctl_value(vm->device_fd, KVM_GET_API_VERSION, 0);
    bytes = kvm_ioctl_value(vm->device_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (version < 0 || bytes < (int)sizeof(struct kvm_run)) {
        snprintf(probe->reason, sizeof(probe->reason), "/dev/kvm does not answer as KVM does");
        return false;
    }
    if (version != KVM_API_VERSION) {
        snprintf(probe->reason, sizeof(probe->reason), "its API has version %d, not %d", version,
                 KVM_API_VERSION);
        return false;
    }
    vm->run_bytes = (size_t)bytes;
    return has_capabilities(probe, vm->device_fd);
}

/* Interrupts KVM_RUN at the deadline, and again and again after it. */
static bool arm_alarm(timer_t *timer, uint64_t limit_ns)
{
    struct sigaction action = {.sa_handler = on_alarm};
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = ALARM_SIGNAL};
    struct itimerspec spec = {
        .it_value = {(time_t)(limit_ns / NS_PER_SEC), (long)(limit_ns % NS_PER_SEC)},
        .it_interval = {0, 1000000},
    };

    event._sigev_un._tid = gettid();
    sigaction(ALARM_SIGNAL, &action, NULL);
    return timer_create(CLOCK_MONOTONIC, &event, timer) == 0 &&
           timer_settime(*timer, 0, &spec, NULL) == 0;
}

static void judge(struct kvm_probe *probe)
{
    uint64_t slowest = UINT64_MAX;

    for (unsigned mode = 0; mode < KVM_MODES; mode++) {
        if (!probe->works[mode])
            return;
        slowest = MIN(slowest, probe->per_second[mode]);
    }
    probe->hardware_speed = slowest >= HARDWARE_PER_SECOND;
    if (probe->hardware_speed)
        snprintf(probe->reason, sizeof(probe->reason), "%.0f million instructions a second",
                 (double)slowest / 1e6);
    else
        snprintf(probe->reason, sizeof(probe->reason),
                 "it runs %.1f million instructions a second: it emulates them",
                 (double)slowest / 1e6);
}

void kvm_probe(struct kvm_probe *probe, uint64_t limit_ns, uint64_t (*now_ns)(void),
               uint64_t (*used_ns)(void))
{
    uint64_t start = now_ns();
    struct probe_vm vm = {.device_fd = -1,
                          .vm_fd = -1,
                          .vcpu_fd = -1,
                          .now_ns = now_ns,
                          .used_ns = used_ns,
                          .deadline_ns = start + limit_ns};
    timer_t timer;

    *probe = (struct kvm_probe){0};
    kvm_host_paging(probe->paging, sizeof(probe->paging));
    if (!open_device(probe, &vm)) {
        probe->usable = false;
    } else if (!arm_alarm(&timer, limit_ns)) {
        snprintf(probe->reason, sizeof(probe->reason), "the host has no timer for a trial: %s",
                 strerror(errno));
    } else {
        probe->usable = true;
        for (unsigned mode = 0; mode < KVM_MODES && probe->usable; mode++)
            time_mode(probe, &vm, mode);
        timer_delete(timer);
        judge(probe);
    }
    if (vm.device_fd >= 0)
        close(vm.device_fd);
    probe->took_ns = now_ns() - start;
}

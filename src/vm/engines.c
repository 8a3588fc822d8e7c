/* The choice between the engines, and the table of `umbra engines`. */
#include "vm/engines.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/engine.h"
#include "engine/kvm/kvm.h"
#include "mem/mem.h"
#include "mmu/mmu.h"
#include "vm/clock_host.h"
#include "x86/cpuid.h"

#define PROBE_LIMIT_NS (NS_PER_SEC / 10)
/* For the process of the trial, which may be late on a busy host: by itself, and when asked for. */
#define PATIENCE_MS       150
#define PATIENCE_ASKED_MS 10000
#define REAP_MS           100 /* for its end */

/* Waits for a process's end; one that finds none in time, the host clears away when it can. */
static void reap(pid_t child, int patience_ms)
{
    struct pollfd ended = {.fd = pidfd_open(child, 0), .events = POLLIN};
    bool over = ended.fd >= 0 && poll(&ended, 1, patience_ms) == 1;

    waitpid(child, NULL, over ? 0 : WNOHANG);
    if (ended.fd >= 0)
        close(ended.fd);
}

/* The trial's own process; it does not outlive this one, which may be ended any time. */
static void probe_and_exit(struct kvm_probe *probe, int answer_fd)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    kvm_probe(probe, PROBE_LIMIT_NS, clock_host_ns, clock_host_thread_ns);
    _exit(write(answer_fd, probe, sizeof(*probe)) != (ssize_t)sizeof(*probe));
}

/*
 * The trial in a process of its own: a KVM that answers late, or whose calls hang in the kernel,
 * must not hold this one up.
 */
static void probe_kvm(struct kvm_probe *probe, int patience_ms)
{
    struct pollfd ready = {.events = POLLIN};
    int pipe_fds[2];
    pid_t child;

    *probe = (struct kvm_probe){0};
    kvm_host_paging(probe->paging, sizeof(probe->paging));
    snprintf(probe->reason, sizeof(probe->reason), "the host has no room for a trial");
    if (pipe2(pipe_fds, O_CLOEXEC) != 0)
        return;
    child = fork();
    if (child == 0)
        probe_and_exit(probe, pipe_fds[1]);
    close(pipe_fds[1]);
    ready.fd = pipe_fds[0];
    if (child > 0) {
        snprintf(probe->reason, sizeof(probe->reason), "KVM gives no answer within %d ms",
                 patience_ms);
        if (poll(&ready, 1, patience_ms) == 1) {
            struct kvm_probe found;

            if (read(pipe_fds[0], &found, sizeof(found)) == (ssize_t)sizeof(found))
                *probe = found;
            else
                snprintf(probe->reason, sizeof(probe->reason), "the trial ended without an answer");
        } else {
            kill(child, SIGKILL);
        }
        reap(child, REAP_MS);
    }
    close(pipe_fds[0]);
}

static void refuse(struct vm_engine_choice *choice, const char *why)
{
    choice->engine = NULL;
    snprintf(choice->why, sizeof(choice->why), "%s", why);
}

/* What an explicit --engine kvm comes to. */
static void choose_kvm(enum vm_mmu mmu, const char *soft_only, const struct kvm_probe *probe,
                       struct vm_engine_choice *choice)
{
    if (!probe->usable) {
        refuse(choice, probe->reason);
    } else if (soft_only) {
        char why[80];

        snprintf(why, sizeof(why), "%s needs the soft engine", soft_only);
        refuse(choice, why);
    } else if (mmu != VM_MMU_AUTO) {
        char why[224];

        snprintf(
            why, sizeof(why),
            "the host's KVM uses %s, chosen by its module's parameter (ept of kvm_intel, npt of "
            "kvm_amd) and not by --mmu; leave --mmu out",
            probe->paging);
        refuse(choice, why);
    } else {
        choice->engine = &engine_kvm;
        snprintf(choice->why, sizeof(choice->why), "as asked for; %s", probe->reason);
    }
}

void vm_choose_engine(enum vm_engine want, enum vm_mmu mmu, const char *soft_only,
                      struct vm_engine_choice *choice)
{
    struct kvm_probe probe;

    *choice = (struct vm_engine_choice){.engine = &engine_soft};
    if (want == VM_ENGINE_SOFT || (want == VM_ENGINE_AUTO && (mmu != VM_MMU_AUTO || soft_only))) {
        if (want == VM_ENGINE_SOFT)
            snprintf(choice->why, sizeof(choice->why), "as asked for");
        else
            snprintf(choice->why, sizeof(choice->why), "%s asks for it",
                     soft_only ? soft_only : "--mmu");
        return;
    }
    probe_kvm(&probe, want == VM_ENGINE_AUTO ? PATIENCE_MS : PATIENCE_ASKED_MS);
    snprintf(choice->paging, sizeof(choice->paging), "%s", probe.paging);
    if (want == VM_ENGINE_KVM) {
        choose_kvm(mmu, soft_only, &probe, choice);
    } else if (probe.hardware_speed) {
        choice->engine = &engine_kvm;
        snprintf(choice->why, sizeof(choice->why), "%s", probe.reason);
    } else {
        snprintf(choice->why, sizeof(choice->why), "KVM is no help here: %s", probe.reason);
    }
    if (choice->engine == &engine_kvm)
        choice->tsc_hz = probe.tsc_hz;
}

/* --- the soft engine's own speed, by the loop that the probe of KVM runs --- */

#define TRIAL_BYTES  (16 * PAGE_SIZE)
#define TRIAL_CODE   0x1000
#define TRIAL_TABLES 0x2000
#define TRIAL_ROUNDS 2000000u

static uint64_t no_a20(void *opaque)
{
    return UINT64_MAX;
}

static uint64_t no_tsc(void *opaque)
{
    return 0;
}

/* A vCPU with a little memory, and the loop in it. */
struct trial {
    struct cpu_model model;
    struct mem *mem;
    struct mmu *mmu;
    struct engine_vcpu *vcpu;
};

static void trial_fini(struct trial *trial)
{
    engine_soft.vcpu_destroy(trial->vcpu);
    mmu_destroy(trial->mmu);
    mem_destroy(trial->mem);
}

static bool trial_init(struct trial *trial)
{
    static const struct engine_host host = {.a20_mask = no_a20, .tsc_now = no_tsc};
    const char *missing;

    *trial = (struct trial){0};
    if (cpu_model_init(&trial->model, "x86-64-v1", &missing) != 0)
        return false;
    trial->mem = mem_create(&(struct mem_config){.backend = MEM_BACKEND_ANON});
    if (!trial->mem || mem_add_slot(trial->mem, "trial", 0, TRIAL_BYTES, MEM_SLOT_RAM) != 0)
        return false;
    trial->mmu = mmu_create(trial->mem, &(struct mmu_config){.mode = MMU_EPT});
    return trial->mmu && engine_soft.vcpu_create(&trial->vcpu, &(struct engine_vcpu_config){
                                                                   .mmu = trial->mmu,
                                                                   .host = &host,
                                                                   .model = &trial->model,
                                                               }) == 0;
}

static void enter_long_mode(struct trial *trial, struct x86_state *state)
{
    const uint64_t tables[][2] = {
        {TRIAL_TABLES, (TRIAL_TABLES + PAGE_SIZE) | 3},
        {TRIAL_TABLES + PAGE_SIZE, (TRIAL_TABLES + 2 * PAGE_SIZE) | 3},
        {TRIAL_TABLES + 2 * PAGE_SIZE, 0x83},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(tables); i++)
        mem_write(trial->mem, tables[i][0], &tables[i][1], sizeof(uint64_t));
    state->cr3 = TRIAL_TABLES;
    state->cr4 = X86_CR4_PAE;
    state->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_PG;
    state->msr.efer = X86_EFER_LME | X86_EFER_LMA;
    state->seg[X86_CS].attr = X86_SEG_P | X86_SEG_S | X86_SEG_CODE | X86_SEG_READ | X86_SEG_L;
}

/* The loop that KVM is timed with. Instructions a second, or 0 when it went wrong. */
static uint64_t trial_speed(struct trial *trial, enum kvm_mode mode)
{
    struct x86_state state;
    uint64_t start, took;

    engine_soft.vcpu_reset(trial->vcpu, false);
    engine_soft.vcpu_get_state(trial->vcpu, &state);
    mem_write(trial->mem, TRIAL_CODE, kvm_loop_code(mode), KVM_LOOP_BYTES);
    state.seg[X86_CS].base = 0;
    state.seg[X86_CS].selector = 0;
    state.gpr[X86_RIP] = TRIAL_CODE;
    state.gpr[X86_RCX] = TRIAL_ROUNDS;
    if (mode == KVM_MODE_LONG)
        enter_long_mode(trial, &state);
    engine_soft.vcpu_set_state(trial->vcpu, &state);
    start = clock_host_thread_ns();
    if (engine_soft.vcpu_run(trial->vcpu) != ENGINE_STOP_HALT)
        return 0;
    took = MAX(clock_host_thread_ns() - start, (uint64_t)1);
    return clock_muldiv(2 * TRIAL_ROUNDS, NS_PER_SEC, took);
}

/* --- the table --- */

static void print_row(FILE *out, const char *name, const uint64_t per_second[KVM_MODES],
                      const char *paging, const char *reason)
{
    char speed[KVM_MODES][16];

    for (unsigned mode = 0; mode < KVM_MODES; mode++) {
        if (per_second[mode])
            snprintf(speed[mode], sizeof(speed[mode]), "%.1f", (double)per_second[mode] / 1e6);
        else
            snprintf(speed[mode], sizeof(speed[mode]), "no");
    }
    fprintf(out, "%-7s %9s %9s  %-12s %s\n", name, speed[KVM_MODE_REAL], speed[KVM_MODE_LONG],
            paging, reason);
}

void vm_print_engines(FILE *out)
{
    uint64_t soft[KVM_MODES] = {0};
    struct kvm_probe probe;
    struct trial trial;

    probe_kvm(&probe, PATIENCE_ASKED_MS);
    if (trial_init(&trial)) {
        for (unsigned mode = 0; mode < KVM_MODES; mode++)
            soft[mode] = trial_speed(&trial, mode);
    }
    trial_fini(&trial);
    fprintf(out, "engine     16-bit    64-bit  paging       remarks\n");
    print_row(out, "kvm", probe.per_second, probe.usable ? probe.paging : "-", probe.reason);
    print_row(out, "soft", soft, "ept, shadow", "our own processor in software; always there");
    fprintf(
        out,
        "Speeds are millions of instructions a second in a short loop. --engine auto takes %s.\n",
        probe.hardware_speed ? "kvm" : "soft");
}

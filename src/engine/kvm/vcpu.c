/*
 * The kvm engine's vCPU as engine.h asks for it. The interrupt controllers are the kernel's, or,
 * when asked for, the board's own: then KVM gets vectors one at a time.
 *
 *        +--> requests? --> kick (returns) | slots | INIT | SIPI | NMI
 *        |    INTR and the guest ready for it: acknowledge, KVM_INTERRUPT
 *        |    INTR and not ready: ask for an interrupt window
 *        |    KVM_RUN                                  <- signal or immediate_exit: look again
 *        +--- serve the exit (exits.c), or return
 *
 * Source: KVM API, "KVM_RUN", "KVM_INTERRUPT", "immediate_exit".
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "engine/kvm/internal.h"
#include "x86/msr.h"

/* IA32_APIC_BASE after reset: enabled, at its usual place; bit 8 tells the bootstrap processor. */
#define APIC_BASE_RESET 0xfee00800u
#define APIC_BASE_BSP   0x100u

#define KICK_SIGNAL (SIGRTMIN + 1)

/*
 * Sequentially consistent: the loop's clearing comes before its next look at the requests, or a
 * request between the two would be neither seen nor interrupt KVM_RUN.
 */
static void set_immediate_exit(struct engine_vcpu *vcpu, bool on)
{
    __atomic_store_n(&vcpu->run->immediate_exit, on, __ATOMIC_SEQ_CST);
}

void kvm_set_request(struct engine_vcpu *vcpu, uint32_t request)
{
    /*
     * Sequentially consistent, as is the store of `running` before the loop's look: either it sees
     * the request, or this sees it run.
     */
    atomic_fetch_or(&vcpu->requests, request);
    if (atomic_load(&vcpu->running)) {
        set_immediate_exit(vcpu, true);
        pthread_kill(vcpu->thread, KICK_SIGNAL);
    }
}

static void clear_request(struct engine_vcpu *vcpu, uint32_t request)
{
    atomic_fetch_and_explicit(&vcpu->requests, ~request, memory_order_acq_rel);
}

/* The signal only interrupts KVM_RUN. */
static void on_kick(int signal)
{
}

static void install_kick(void)
{
    struct sigaction action = {.sa_handler = on_kick};

    sigaction(KICK_SIGNAL, &action, NULL);
}

int kvm_fail(struct engine_vcpu *vcpu, const char *what, int err)
{
    snprintf(vcpu->error, sizeof(vcpu->error), "%s: %s", what, strerror(-err));
    return err;
}

int kvm_vcpu_reset(struct engine_vcpu *vcpu, bool init)
{
    struct x86_state state = {0};
    int err = init ? kvm_get_state(vcpu, &state) : 0;

    if (err)
        return kvm_fail(vcpu, "the vCPU's state cannot be read", err);
    x86_state_reset(&state, init);
    if (!init)
        vcpu->apic_base = APIC_BASE_RESET | (vcpu->index == 0 ? APIC_BASE_BSP : 0);
    vcpu->halted = false;
    vcpu->wait_for_sipi = vcpu->index != 0;
    err = kvm_set_state(vcpu, &state);
    if (!err && !init && vcpu->vm.irqchips)
        err = kvm_irqchip_reset(vcpu);
    if (!err && !init)
        kvm_reset_time(vcpu);
    return err ? kvm_fail(vcpu, "the vCPU cannot be reset", err) : 0;
}

static int vcpu_create(struct engine_vcpu **out, const struct engine_vcpu_config *config)
{
    install_kick();
    return kvm_vcpu_create(out, config);
}

/* --- the run loop --- */

static enum kvm_next take_sipi(struct engine_vcpu *vcpu, enum engine_stop *why)
{
    struct x86_state state;
    int err;

    clear_request(vcpu, KVM_REQUEST_SIPI);
    if (!vcpu->wait_for_sipi)
        return KVM_NEXT_ENTER;
    vcpu->wait_for_sipi = false;
    kvm_exit(vcpu, (struct exit){.reason = EXIT_SIPI, .qualification = vcpu->sipi_vector});
    err = kvm_get_state(vcpu, &state);
    if (!err) {
        state.seg[X86_CS].selector = (uint16_t)(vcpu->sipi_vector << 8);
        state.seg[X86_CS].base = (uint64_t)vcpu->sipi_vector << 12;
        state.gpr[X86_RIP] = 0;
        err = kvm_set_state(vcpu, &state);
    }
    if (!err)
        return KVM_NEXT_ENTER;
    kvm_fail(vcpu, "a start-up IPI cannot be served", err);
    return kvm_stop(why, ENGINE_STOP_ERROR);
}

static enum kvm_next serve_requests(struct engine_vcpu *vcpu, uint32_t requests,
                                    enum engine_stop *why)
{
    int err = 0;

    if (requests & KVM_REQUEST_FLUSH) {
        clear_request(vcpu, KVM_REQUEST_FLUSH);
        err = kvm_mirror_slots(&vcpu->vm, !(vcpu->host.a20_mask(vcpu->host.opaque) & KVM_A20));
        if (err) {
            kvm_fail(vcpu, "KVM does not take a change of memory", err);
            return kvm_stop(why, ENGINE_STOP_ERROR);
        }
    }
    if (requests & KVM_REQUEST_KICK) {
        clear_request(vcpu, KVM_REQUEST_KICK);
        return kvm_stop(why, ENGINE_STOP_KICK);
    }
    if (requests & KVM_REQUEST_INIT) {
        clear_request(vcpu, KVM_REQUEST_INIT);
        kvm_exit(vcpu, (struct exit){.reason = EXIT_INIT});
        if (kvm_vcpu_reset(vcpu, true))
            return kvm_stop(why, ENGINE_STOP_ERROR);
    }
    if (requests & KVM_REQUEST_SIPI) {
        if (take_sipi(vcpu, why) == KVM_NEXT_STOP)
            return KVM_NEXT_STOP;
    }
    if (vcpu->wait_for_sipi)
        return kvm_stop(why, ENGINE_STOP_WAIT);
    if (requests & KVM_REQUEST_NMI) {
        clear_request(vcpu, KVM_REQUEST_NMI);
        vcpu->halted = false;
        kvm_ioctl_value(vcpu->fd, KVM_NMI, 0);
    }
    return KVM_NEXT_ENTER;
}

/* Gives the guest its interrupt, or asks to be told when it can take one. */
static void inject_interrupt(struct engine_vcpu *vcpu)
{
    struct kvm_run *run = vcpu->run;
    bool level = (atomic_load_explicit(&vcpu->requests, memory_order_acquire) & KVM_REQUEST_INTR) &&
                 !kvm_debug_holds(vcpu);

    run->request_interrupt_window = level && !run->ready_for_interrupt_injection;
    if (level && run->ready_for_interrupt_injection) {
        int vector = vcpu->host.interrupt_acknowledge(vcpu->host.opaque, vcpu->index);
        struct kvm_interrupt interrupt = {.irq = (uint32_t)vector};

        if (vector < 0)
            return;
        vcpu->halted = false;
        vcpu->counters.interrupts_injected++;
        kvm_ioctl(vcpu->fd, KVM_INTERRUPT, &interrupt);
        kvm_debug_interrupt(vcpu, vector);
    }
}

/*
 * Two registers of our APIC are KVM's, too: CR8 and IA32_APIC_BASE. The guest moves both without an
 * exit; they come back with the next one.
 */
static void put_apic(struct engine_vcpu *vcpu)
{
    if (vcpu->vm.irqchips)
        return;
    vcpu->run->cr8 = vcpu->host.tpr_read(vcpu->host.opaque, vcpu->index);
}

static void get_apic(struct engine_vcpu *vcpu)
{
    uint64_t before;

    if (vcpu->vm.irqchips)
        return;
    before = vcpu->host.tpr_read(vcpu->host.opaque, vcpu->index);

    if (before != vcpu->run->cr8)
        vcpu->host.tpr_write(vcpu->host.opaque, vcpu->index, vcpu->run->cr8);
    if (vcpu->run->apic_base != vcpu->apic_base) {
        vcpu->apic_base = vcpu->run->apic_base;
        /* KVM has checked it; a refusal by our APIC would leave the two apart, no worse. */
        (void)vcpu->host.msr_write(vcpu->host.opaque, vcpu->index, IA32_APIC_BASE, vcpu->apic_base);
    }
}

/* One VM entry with its exit. */
static enum kvm_next enter(struct engine_vcpu *vcpu, enum engine_stop *why)
{
    enum kvm_next next;
    int result;

    if (unlikely(vcpu->debug.on) && kvm_debug_arm(vcpu, why))
        return KVM_NEXT_STOP;
    put_apic(vcpu);
    result = ioctl(vcpu->fd, KVM_RUN, 0) < 0 ? -errno : 0;
    if (result == -EINTR || result == -EAGAIN) {
        get_apic(vcpu); /* the guest ran, until the signal came */
        set_immediate_exit(vcpu, false);
        vcpu->exit_pending = false;
        return KVM_NEXT_ENTER;
    }
    if (result < 0) {
        snprintf(vcpu->error, sizeof(vcpu->error), "KVM_RUN failed: %s; use --engine soft",
                 strerror(-result));
        return kvm_stop(why, ENGINE_STOP_ERROR);
    }
    get_apic(vcpu);
    next = kvm_serve_exit(vcpu, why);
    if (next == KVM_NEXT_STOP && *why == ENGINE_STOP_DEBUG)
        next = kvm_debug_exit(vcpu, why) ? KVM_NEXT_STOP : KVM_NEXT_ENTER;
    return next;
}

/* An access that was served is completed by the next entry: before others look at the state. */
static void complete_exit(struct engine_vcpu *vcpu)
{
    if (!vcpu->exit_pending)
        return;
    set_immediate_exit(vcpu, true);
    ioctl(vcpu->fd, KVM_RUN, 0); /* comes back with EINTR */
    set_immediate_exit(vcpu, false);
    vcpu->exit_pending = false;
}

static bool pending(const struct engine_vcpu *vcpu)
{
    const uint32_t always =
        KVM_REQUEST_INIT | KVM_REQUEST_SIPI | KVM_REQUEST_KICK | KVM_REQUEST_NMI;
    uint32_t requests = atomic_load_explicit(&vcpu->requests, memory_order_acquire);

    return (requests & always) || ((requests & KVM_REQUEST_INTR) && vcpu->run->if_flag);
}

static enum engine_stop run_loop(struct engine_vcpu *vcpu)
{
    enum engine_stop why = ENGINE_STOP_ERROR;

    for (;;) {
        uint32_t requests = atomic_load_explicit(&vcpu->requests, memory_order_acquire);

        if (requests && serve_requests(vcpu, requests, &why) == KVM_NEXT_STOP)
            return why;
        if (!vcpu->exit_pending && !vcpu->vm.irqchips)
            inject_interrupt(vcpu);
        /* An interrupt that was withdrawn, or a request that came just now, does not end a HLT. */
        if (vcpu->halted && pending(vcpu))
            continue;
        if (vcpu->halted)
            return ENGINE_STOP_HALT;
        if (enter(vcpu, &why) == KVM_NEXT_STOP)
            return why;
    }
}

static enum engine_stop vcpu_run(struct engine_vcpu *vcpu)
{
    enum engine_stop why;

    vcpu->thread = pthread_self();
    atomic_store(&vcpu->running, true);
    if (unlikely(vcpu->debug.on))
        kvm_debug_begin_run(vcpu);
    why = run_loop(vcpu);
    complete_exit(vcpu);
    if (unlikely(vcpu->debug.on))
        why = kvm_debug_end_run(vcpu, why);
    kvm_drain_writes(vcpu);
    atomic_store_explicit(&vcpu->running, false, memory_order_release);
    return why;
}

/* --- the rest of the table --- */

static void vcpu_reset(struct engine_vcpu *vcpu, bool init)
{
    clear_request(vcpu, ~(uint32_t)KVM_REQUEST_FLUSH); /* the board's reset opens A20, too */
    if (kvm_vcpu_reset(vcpu, init))
        kvm_set_request(vcpu, KVM_REQUEST_KICK);
}

static void vcpu_get_state(struct engine_vcpu *vcpu, struct x86_state *state)
{
    int err = kvm_get_state(vcpu, state);

    if (err)
        kvm_fail(vcpu, "the vCPU's state cannot be read", err);
}

static void vcpu_set_state(struct engine_vcpu *vcpu, const struct x86_state *state)
{
    struct kvm_regs before;
    int err = kvm_ioctl(vcpu->fd, KVM_GET_REGS, &before);
    bool moved = err < 0 || before.rip != state->gpr[X86_RIP];

    err = kvm_set_state(vcpu, state);
    if (!err && moved && vcpu->vm.irqchips)
        err = kvm_irqchip_wake(vcpu);
    if (err)
        kvm_fail(vcpu, "the vCPU's state cannot be set", err);
    vcpu->halted = vcpu->halted && !moved;
    vcpu->wait_for_sipi = false;
}

static void vcpu_set_irq(struct engine_vcpu *vcpu, unsigned gsi, bool level)
{
    kvm_irqchip_set(&vcpu->vm, gsi, level);
}

static void vcpu_set_intr(struct engine_vcpu *vcpu, bool level)
{
    if (level)
        kvm_set_request(vcpu, KVM_REQUEST_INTR);
    else
        clear_request(vcpu, KVM_REQUEST_INTR);
}

static void vcpu_nmi(struct engine_vcpu *vcpu)
{
    kvm_set_request(vcpu, KVM_REQUEST_NMI);
}

static void vcpu_init(struct engine_vcpu *vcpu)
{
    kvm_set_request(vcpu, KVM_REQUEST_INIT);
}

static void vcpu_sipi(struct engine_vcpu *vcpu, uint8_t vector)
{
    vcpu->sipi_vector = vector;
    kvm_set_request(vcpu, KVM_REQUEST_SIPI);
}

static void vcpu_kick(struct engine_vcpu *vcpu)
{
    kvm_set_request(vcpu, KVM_REQUEST_KICK);
}

static void vcpu_flush(struct engine_vcpu *vcpu)
{
    kvm_set_request(vcpu, KVM_REQUEST_FLUSH);
}

static bool vcpu_pending(struct engine_vcpu *vcpu)
{
    return pending(vcpu);
}

static const struct engine_counters *vcpu_counters(struct engine_vcpu *vcpu)
{
    return &vcpu->counters;
}

static void vcpu_host_counters(struct engine_vcpu *vcpu,
                               void (*fn)(void *opaque, const char *name, uint64_t value),
                               void *opaque)
{
    kvm_read_stats(vcpu->fd, fn, opaque);
    kvm_read_stats(vcpu->vm.fd, fn, opaque);
}

static const char *vcpu_error(struct engine_vcpu *vcpu)
{
    return vcpu->error;
}

const struct engine engine_kvm = {
    .name = "kvm",
    .vcpu_create = vcpu_create,
    .vcpu_destroy = kvm_vcpu_destroy,
    .vcpu_run = vcpu_run,
    .vcpu_reset = vcpu_reset,
    .vcpu_get_state = vcpu_get_state,
    .vcpu_set_state = vcpu_set_state,
    .set_irq = vcpu_set_irq,
    .vcpu_set_intr = vcpu_set_intr,
    .vcpu_nmi = vcpu_nmi,
    .vcpu_init = vcpu_init,
    .vcpu_sipi = vcpu_sipi,
    .vcpu_kick = vcpu_kick,
    .vcpu_pending = vcpu_pending,
    .vcpu_flush = vcpu_flush,
    .vcpu_counters = vcpu_counters,
    .vcpu_host_counters = vcpu_host_counters,
    .vcpu_error = vcpu_error,
    .vcpu_read_gva = kvm_read_gva,
    .vcpu_translate = kvm_translate,
    .vcpu_stop_time = kvm_stop_time,
    .vcpu_start_time = kvm_start_time,
    .vcpu_debug_check = kvm_debug_check,
    .vcpu_debug = kvm_debug_set,
    .vcpu_debug_stop = kvm_debug_stop,
};

/*
 * What a debugger wants, told to KVM before each entry, and what came of it (see debug.h).
 *
 *   run  -> arm: the places, or a step            entry -> KVM_EXIT_DEBUG: judged
 *             |                                       |
 *             the guest's own debug exception <-------+--> the debugger's: vcpu_run returns
 *
 * Source: KVM API, "KVM_SET_GUEST_DEBUG"; SDM 3 "Debug Exceptions".
 */
#include "engine/kvm/debug.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "engine/kvm/internal.h"

/* A repeated instruction that is stepped past its breakpoint stops there again after so many. */
#define PAST_STEPS 65536

/* Of a step, before its instruction. */
#define MAX_IDLE_TRAPS 4

void kvm_debug_init(struct engine_vcpu *vcpu)
{
    struct kvm_debug *debug = &vcpu->debug;
    int device_fd = vcpu->vm.device_fd;
    int flags = kvm_ioctl_value(device_fd, KVM_CHECK_EXTENSION, KVM_CAP_SET_GUEST_DEBUG2);

    debug->offered = kvm_ioctl_value(device_fd, KVM_CHECK_EXTENSION, KVM_CAP_SET_GUEST_DEBUG) > 0 &&
                     kvm_ioctl_value(device_fd, KVM_CHECK_EXTENSION, KVM_CAP_DEBUGREGS) > 0;
    debug->can_block = flags > 0 && (flags & KVM_GUESTDBG_BLOCKIRQ);
    debug->interrupt = -1;
}

int kvm_debug_check(struct engine_vcpu *vcpu, const struct engine_debug *debug)
{
    struct kvm_debug_slot slots[KVM_DEBUG_REGISTERS];
    struct kvm_debugregs guests;
    unsigned used = kvm_debug_place(debug, true, slots, 0);

    if (!vcpu->debug.offered)
        return -ENODEV;
    for (unsigned i = 0; i < debug->watchpoints; i++) {
        if (!debug->watchpoint[i].write)
            return -EOPNOTSUPP;
    }
    if (used > 0 && kvm_ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &guests) >= 0) {
        for (unsigned i = 0; i < KVM_DEBUG_REGISTERS; i++)
            used += x86_breakpoint_enabled(guests.dr7, i);
    }
    return used > KVM_DEBUG_REGISTERS ? -ENOSPC : 0;
}

/* --- telling KVM --- */

static int send(struct engine_vcpu *vcpu)
{
    struct kvm_debug *debug = &vcpu->debug;
    struct kvm_guest_debug told = debug->last;

    if (debug->inject)
        told.control |= KVM_GUESTDBG_INJECT_DB;
    debug->inject = false;
    return kvm_ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &told);
}

/* The first `used` slots count. */
static int tell(struct engine_vcpu *vcpu, uint32_t control, unsigned used)
{
    struct kvm_debug *debug = &vcpu->debug;
    struct kvm_guest_debug told = {.control = control};

    if (debug->inject)
        told.control |= KVM_GUESTDBG_ENABLE;
    for (unsigned i = used; i < KVM_DEBUG_REGISTERS; i++)
        debug->slots[i] = (struct kvm_debug_slot){0};
    kvm_debug_write(&told, debug->slots, used);
    if (!debug->inject && memcmp(&told, &debug->last, sizeof(told)) == 0)
        return 0;
    debug->last = told;
    return send(vcpu);
}

/* KVM steps no more, and the trap flag is the guest's again. */
static int tell_nothing(struct engine_vcpu *vcpu)
{
    return tell(vcpu, 0, 0);
}

void kvm_debug_set(struct engine_vcpu *vcpu, const struct engine_debug *want)
{
    struct kvm_debug *debug = &vcpu->debug;

    ASSERT(want->breakpoints <= ENGINE_MAX_BREAKPOINTS &&
               want->watchpoints <= ENGINE_MAX_WATCHPOINTS,
           "a debugger's lists are as long as they may be");
    debug->want = *want;
    debug->pass = want->pass_first && want->breakpoints > 0;
    debug->past_steps = 0;
    debug->on = want->breakpoints || want->watchpoints || want->single_step || debug->inject;
    if (!debug->on && debug->last.control)
        (void)tell_nothing(
            vcpu); /* it was told more before; a guest that goes on is what is left */
}

void kvm_debug_stop(struct engine_vcpu *vcpu, struct engine_debug_stop *stop)
{
    *stop = vcpu->debug.stop;
}

/* The guest finds these bits in DR6, and the exception comes with the next entry. */
static int inject(struct engine_vcpu *vcpu, uint64_t bits)
{
    struct kvm_debugregs regs;
    int err = kvm_ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &regs);

    if (err < 0)
        return err;
    regs.dr6 = (regs.dr6 & ~(uint64_t)X86_DR6_HITS) | X86_DR6_FIXED | bits;
    vcpu->debug.inject = true;
    return kvm_ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &regs);
}

static bool has_breakpoint(const struct engine_debug *debug, gva_t pc)
{
    for (unsigned i = 0; i < debug->breakpoints; i++) {
        if (debug->breakpoint[i] == pc)
            return true;
    }
    return false;
}

static bool stop(struct engine_vcpu *vcpu, enum engine_debug_reason reason, unsigned watchpoint,
                 gva_t address, enum engine_stop *why)
{
    vcpu->debug.stop = (struct engine_debug_stop){reason, watchpoint, address};
    *why = ENGINE_STOP_DEBUG;
    return true;
}

static bool fail(struct engine_vcpu *vcpu, int err, enum engine_stop *why)
{
    kvm_fail(vcpu, "KVM does not do what a debugger asks for", err);
    *why = ENGINE_STOP_ERROR;
    return true;
}

/* --- before an entry --- */

static bool steps(const struct kvm_debug *debug)
{
    return debug->want.single_step || debug->past_steps > 0;
}

static bool is_halted(struct engine_vcpu *vcpu)
{
    struct kvm_mp_state state = {.mp_state = KVM_MP_STATE_RUNNABLE};

    if (vcpu->vm.irqchips)
        kvm_ioctl(vcpu->fd, KVM_GET_MP_STATE, &state);
    return vcpu->halted || state.mp_state == KVM_MP_STATE_HALTED;
}

bool kvm_debug_holds(const struct engine_vcpu *vcpu)
{
    const struct kvm_debug *debug = &vcpu->debug;

    return debug->on && !vcpu->halted &&
           (debug->past_steps > 0 || (debug->want.single_step && debug->want.hold_interrupts));
}

void kvm_debug_interrupt(struct engine_vcpu *vcpu, int vector)
{
    if (vcpu->debug.on)
        vcpu->debug.interrupt = vector;
}

static int arm_places(struct engine_vcpu *vcpu)
{
    struct kvm_debug *debug = &vcpu->debug;
    unsigned used = kvm_debug_place(&debug->want, true, debug->slots, 0);
    struct kvm_debugregs guests;
    int err;

    used = MIN(used, KVM_DEBUG_REGISTERS);
    if (used > 0) {
        /* The guest's own share the registers; what it changes is seen at its next exit. */
        err = kvm_ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &guests);
        if (err < 0)
            return err;
        used = kvm_debug_place_guest(&guests, debug->slots, used);
    }
    return tell(vcpu, used > 0 ? KVM_GUESTDBG_ENABLE : 0, used);
}

/* The processor's resume flag lets one instruction pass; the guest's own breakpoint there does not.
 */
static int pass_breakpoint(struct engine_vcpu *vcpu)
{
    struct kvm_debug *debug = &vcpu->debug;
    const struct kvm_debug_slot *guests;
    struct kvm_sregs sregs;
    int err = kvm_ioctl(vcpu->fd, KVM_GET_REGS, &debug->passed);

    if (err >= 0)
        err = kvm_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs);
    if (err < 0 || !has_breakpoint(&debug->want, kvm_linear_pc(&debug->passed, &sregs)))
        return err;
    guests = kvm_debug_guest_at(debug->slots, kvm_linear_pc(&debug->passed, &sregs));
    if (guests)
        return inject(vcpu, BIT(guests->number));
    debug->passed.rflags |= X86_FLAG_RF;
    return kvm_ioctl(vcpu->fd, KVM_SET_REGS, &debug->passed);
}

/*
 * The trap flag stays out of it where something else comes first: an interrupt's handler, or the
 * guest's own debug exception, which ends the step at its handler.
 */
static int arm_step(struct engine_vcpu *vcpu)
{
    struct kvm_debug *debug = &vcpu->debug;
    uint32_t control = KVM_GUESTDBG_ENABLE;
    unsigned watches, used;
    int err;

    if (debug->stepping && debug->interrupt < 0)
        return debug->inject ? send(vcpu) : 0; /* it goes on */
    if (debug->inject)
        debug->interrupt = X86_DB;
    err = tell_nothing(vcpu);
    if (err >= 0)
        err = kvm_step_look(vcpu, &debug->step);
    if (err < 0)
        return err;
    watches = MIN(kvm_debug_place(&debug->want, false, debug->slots, 0), KVM_DEBUG_REGISTERS);
    used = watches + kvm_step_handlers(vcpu, &debug->step, debug->interrupt, debug->slots + watches,
                                       KVM_DEBUG_REGISTERS - watches);
    if (debug->step.guest_tf)
        control |= KVM_GUESTDBG_USE_HW_BP; /* or KVM would deliver it by itself */
    else if (debug->interrupt < 0 || used == watches ||
             debug->slots[watches].number != (unsigned)debug->interrupt)
        control |= KVM_GUESTDBG_SINGLESTEP;
    if ((debug->past_steps > 0 || debug->want.hold_interrupts) && debug->can_block &&
        !is_halted(vcpu))
        control |= KVM_GUESTDBG_BLOCKIRQ;
    debug->stepping = true;
    debug->interrupt = -1;
    return tell(vcpu, control, used);
}

bool kvm_debug_arm(struct engine_vcpu *vcpu, enum engine_stop *why)
{
    struct kvm_debug *debug = &vcpu->debug;
    bool fresh = debug->fresh, pass = debug->pass;
    int err;

    if (vcpu->exit_pending)
        return false; /* the instruction is half done */
    debug->fresh = debug->pass = false;
    if (!steps(debug)) {
        err = arm_places(vcpu);
        if (err >= 0 && pass)
            err = pass_breakpoint(vcpu);
        if (err >= 0 && debug->inject)
            err = arm_places(vcpu);
        return err < 0 && fail(vcpu, err, why);
    }
    err = arm_step(vcpu);
    if (err < 0)
        return fail(vcpu, err, why);
    if (fresh && !pass && !debug->was_halted && !debug->past_steps) {
        gva_t pc = kvm_linear_pc(&debug->step.regs, &debug->step.sregs);

        if (has_breakpoint(&debug->want, pc))
            return stop(vcpu, ENGINE_DEBUG_BREAKPOINT, 0, pc, why);
    }
    return false;
}

/* --- after an exit --- */

/* The step is over, at a handler or behind its instruction; which is told when one was asked for.
 */
static bool end_step(struct engine_vcpu *vcpu, const struct kvm_debug_finding *finding, gva_t pc,
                     enum engine_stop *why)
{
    struct kvm_debug *debug = &vcpu->debug;
    struct kvm_debug_slot at = {0};
    gva_t from = kvm_linear_pc(&debug->step.regs, &debug->step.sregs);
    int err;

    if (finding->handler)
        at = *finding->handler;
    debug->stepping = false;
    err = tell_nothing(vcpu);
    if (err >= 0)
        err = kvm_step_end(vcpu, &debug->step, finding->handler ? &at : NULL);
    if (err < 0)
        return fail(vcpu, err, why);
    if (debug->step.mnemonic == ZYDIS_MNEMONIC_HLT && finding->stepped && !vcpu->vm.irqchips)
        vcpu->halted = true; /* a KVM that emulates tells of the step in the place of the HLT */
    if (debug->past_steps > 0) {
        debug->past_steps = pc == from ? debug->past_steps - 1 : 0;
        if (debug->past_steps == 0 && has_breakpoint(&debug->want, pc))
            return stop(vcpu, ENGINE_DEBUG_BREAKPOINT, 0, pc, why);
        return false;
    }
    return stop(vcpu, ENGINE_DEBUG_STEP, 0, pc, why);
}

/*
 * A KVM that emulates instructions minds the resume flag not. Where nothing at all has changed
 * since the breakpoint was to be passed, a step gets past it: were it an instruction that jumps to
 * itself, it would only do so once more.
 */
static bool get_past(struct engine_vcpu *vcpu)
{
    struct kvm_debug *debug = &vcpu->debug;
    struct kvm_regs regs;

    if (kvm_ioctl(vcpu->fd, KVM_GET_REGS, &regs) < 0)
        return false;
    regs.rflags |= X86_FLAG_RF;
    if (memcmp(&regs, &debug->passed, sizeof(regs)) != 0)
        return false;
    memset(&debug->passed, 0, sizeof(debug->passed));
    debug->past_steps = PAST_STEPS;
    return true;
}

/*
 * An emulated VT-x may trap at each entry, before the instruction: then the step goes on. A few
 * times: were it an instruction that jumps to itself, it would only do so as often.
 */
static bool has_moved(struct engine_vcpu *vcpu)
{
    struct kvm_step *step = &vcpu->debug.step;
    struct kvm_regs regs;

    if (step->idle_traps == MAX_IDLE_TRAPS || kvm_ioctl(vcpu->fd, KVM_GET_REGS, &regs) < 0)
        return true;
    regs.rflags = step->regs.rflags;
    step->idle_traps++;
    return memcmp(&regs, &step->regs, sizeof(regs)) != 0;
}

/* Whether the step that runs is to end at a handler. */
static bool waits(const struct kvm_debug *debug)
{
    for (unsigned i = 0; i < KVM_DEBUG_REGISTERS; i++) {
        if (debug->slots[i].use == KVM_SLOT_HANDLER)
            return true;
    }
    return false;
}

bool kvm_debug_exit(struct engine_vcpu *vcpu, enum engine_stop *why)
{
    struct kvm_debug *debug = &vcpu->debug;
    const struct kvm_debug_exit_arch *exit = &vcpu->run->debug.arch;
    struct kvm_debug_finding finding;
    gva_t pc = exit->pc;
    int err;

    kvm_debug_judge(exit, debug->slots, debug->stepping && !debug->step.guest_tf, &finding);
    if (finding.guests) {
        err = inject(vcpu, finding.guest_bits);
        if (err < 0)
            return fail(vcpu, err, why);
    }
    if (finding.watched) {
        struct kvm_debug_slot watched = *finding.watched;
        bool ended = debug->stepping && end_step(vcpu, &finding, pc, why);

        if (ended && *why == ENGINE_STOP_ERROR)
            return true;
        return stop(vcpu, ENGINE_DEBUG_WATCHPOINT, watched.number, watched.address, why);
    }
    if (finding.stepped && !finding.handler && !has_moved(vcpu))
        return false;
    if (finding.handler || finding.stepped || (finding.guests && debug->stepping && !waits(debug)))
        return end_step(vcpu, &finding, pc, why);
    if (finding.breakpoint && !get_past(vcpu))
        return stop(vcpu, ENGINE_DEBUG_BREAKPOINT, 0, pc, why);
    return false;
}

/* --- around a run --- */

void kvm_debug_begin_run(struct engine_vcpu *vcpu)
{
    struct kvm_debug *debug = &vcpu->debug;

    debug->fresh = true;
    debug->was_halted = is_halted(vcpu);
    if (debug->was_halted)
        debug->pass = false; /* its next instruction is its interrupt handler's */
}

enum engine_stop kvm_debug_end_run(struct engine_vcpu *vcpu, enum engine_stop why)
{
    struct kvm_debug *debug = &vcpu->debug;
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    int err = 0;

    if (debug->stepping) {
        debug->stepping = false;
        err = tell_nothing(vcpu);
    }
    if (err >= 0 && why == ENGINE_STOP_HALT && debug->want.single_step && !debug->was_halted) {
        err = kvm_ioctl(vcpu->fd, KVM_GET_REGS, &regs);
        if (err >= 0)
            err = kvm_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs);
        stop(vcpu, ENGINE_DEBUG_STEP, 0, kvm_linear_pc(&regs, &sregs), &why);
    }
    if (err < 0)
        fail(vcpu, err, &why);
    return why;
}

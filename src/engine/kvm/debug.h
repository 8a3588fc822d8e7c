/*
 * A debugger's breakpoints, watchpoints and single steps in the kvm engine, as engine.h asks for
 * them, by the processor's own means: its four breakpoint registers and its trap flag, which KVM
 * lends (KVM_SET_GUEST_DEBUG).
 *
 *   breakpoint   a register; that the next instruction passes its own is the resume flag
 *   watchpoint   as many registers as its bytes need: 1, 2, 4 or 8 aligned bytes each
 *   single step  the trap flag; where it would be lost, or seen by the guest, a register at the
 *                handler that the instruction may lead to, and repairs behind it (debug_step.c)
 *
 * The guest's own breakpoints get the registers that are left, and its own debug exceptions go back
 * to it. Nothing is written into guest memory but flags that the guest would otherwise see wrong.
 *
 * DEVIATION: what four registers cannot hold is refused (kvm_debug_check), as are watchpoints for
 * reads alone. With the kernel's interrupt controllers a step into an interrupt ends behind its
 * handler. A processor traps one instruction late behind one that loads SS.
 */
#ifndef UMBRA_ENGINE_KVM_DEBUG_H
#define UMBRA_ENGINE_KVM_DEBUG_H

#include <linux/kvm.h>

#include "engine/engine.h"
#include "x86/debug_regs.h"
#include "x86/insn.h"

#define KVM_DEBUG_REGISTERS X86_BREAKPOINTS

/* What one of the processor's breakpoint registers is used for. */
enum kvm_debug_use {
    KVM_SLOT_UNUSED,
    KVM_SLOT_BREAKPOINT,
    KVM_SLOT_WATCHPOINT, /* number: the debugger's */
    KVM_SLOT_HANDLER,    /* a step ends there; number: the vector, or KVM_STEP_SYSCALL */
    KVM_SLOT_GUEST,      /* number: the guest's register */
};

struct kvm_debug_slot {
    enum kvm_debug_use use;
    unsigned number;
    gva_t address;
    uint8_t kind; /* its R/W and LEN bits of DR7 */
};

/* A SYSCALL's entry point, in the place of a vector. */
#define KVM_STEP_SYSCALL 256u

/* The instruction that a single step executes, and what it may leave that it must not. */
struct kvm_step {
    struct kvm_regs regs; /* before it */
    struct kvm_sregs sregs;
    ZydisMnemonic mnemonic; /* ZYDIS_MNEMONIC_INVALID: it cannot be read */
    unsigned operand_bytes;
    uint8_t vector;      /* of INT, INT3, INTO */
    bool guest_tf;       /* the guest steps through itself */
    unsigned idle_traps; /* that came without a change */
    bool guest_tf_after; /* the instruction loads the guest's TF so */
};

struct kvm_debug {
    bool offered; /* by the host's KVM */
    bool can_block;
    bool on;             /* the debugger wants something */
    bool pass;           /* the next entry passes a breakpoint */
    bool fresh;          /* the run's first entry is to come */
    bool was_halted;     /* when the run began */
    bool inject;         /* a debug exception of the guest's own is to be delivered */
    unsigned past_steps; /* single steps left to get past a breakpoint; see kvm_debug_arm */
    bool stepping;       /* KVM was told to */
    int interrupt;       /* the vector that the guest takes before anything else; -1: none */
    struct engine_debug want;
    struct engine_debug_stop stop;
    struct kvm_debug_slot slots[KVM_DEBUG_REGISTERS];
    struct kvm_guest_debug last; /* what KVM was told last */
    struct kvm_regs passed;      /* when a breakpoint was passed */
    struct kvm_step step;
};

/* What a debug exit means. */
struct kvm_debug_finding {
    const struct kvm_debug_slot *watched, *handler, *breakpoint; /* NULL: not hit */
    bool stepped;
    bool guests;         /* it is the guest's, or its as well */
    uint64_t guest_bits; /* of DR6, which the guest is to find */
};

struct engine_vcpu;

/* --- debug_registers.c: pure functions --- */

/*
 * Places what the debugger wants behind the `used` slots that hold something. Returns how many are
 * used then, or more than there are: it cannot be done, and they are full.
 */
unsigned kvm_debug_place(const struct engine_debug *debug, bool breakpoints,
                         struct kvm_debug_slot *slots, unsigned used);

/* The same for the guest's own, as far as there is room. */
unsigned kvm_debug_place_guest(const struct kvm_debugregs *regs, struct kvm_debug_slot *slots,
                               unsigned used);

/* What KVM is told of the slots. */
void kvm_debug_write(struct kvm_guest_debug *to, const struct kvm_debug_slot *slots, unsigned used);

/* What an exit means, while these slots are used; stepping: the trap flag is the debugger's. */
void kvm_debug_judge(const struct kvm_debug_exit_arch *exit, const struct kvm_debug_slot *slots,
                     bool stepping, struct kvm_debug_finding *finding);

/* The guest's own breakpoint at this instruction, or NULL. */
const struct kvm_debug_slot *kvm_debug_guest_at(const struct kvm_debug_slot *slots, gva_t pc);

/* --- debug.c --- */

/* Whether the host's KVM lends its registers; when the vCPU is made. */
void kvm_debug_init(struct engine_vcpu *vcpu);

/* engine.h's functions. */
int kvm_debug_check(struct engine_vcpu *vcpu, const struct engine_debug *debug);
void kvm_debug_set(struct engine_vcpu *vcpu, const struct engine_debug *debug);
void kvm_debug_stop(struct engine_vcpu *vcpu, struct engine_debug_stop *stop);

/* A run begins, and ends for this reason; returns which to tell: a HLT was a single step, too. */
void kvm_debug_begin_run(struct engine_vcpu *vcpu);
enum engine_stop kvm_debug_end_run(struct engine_vcpu *vcpu, enum engine_stop why);

/* Before an entry, when vcpu->debug.on: tells KVM. True: vcpu_run returns *why. */
bool kvm_debug_arm(struct engine_vcpu *vcpu, enum engine_stop *why);

/* KVM_EXIT_DEBUG. As above. */
bool kvm_debug_exit(struct engine_vcpu *vcpu, enum engine_stop *why);

/* The monitor's controllers have given the guest this interrupt. */
void kvm_debug_interrupt(struct engine_vcpu *vcpu, int vector);

/* Whether the monitor's interrupts have to wait; with the kernel's, KVM makes them. */
bool kvm_debug_holds(const struct engine_vcpu *vcpu);

/* --- debug_step.c --- */

/* Looks at the instruction that is about to be stepped over. 0 or -errno. */
int kvm_step_look(struct engine_vcpu *vcpu, struct kvm_step *step) must_check;

/* Where it may lead to without a trap: as many slots as there are, most likely first. */
unsigned kvm_step_handlers(struct engine_vcpu *vcpu, const struct kvm_step *step, int interrupt,
                           struct kvm_debug_slot *slots, unsigned count);

/*
 * The step has ended, at a handler's slot or (NULL) behind its instruction, and KVM does not step
 * any more: takes the trap flag out of what was saved with it, and gives the guest its own back.
 */
int kvm_step_end(struct engine_vcpu *vcpu, const struct kvm_step *step,
                 const struct kvm_debug_slot *at) must_check;

/* CS:RIP. */
gva_t kvm_linear_pc(const struct kvm_regs *regs, const struct kvm_sregs *sregs);

/* Linear memory, as KVM translates it; false where nothing is. */
bool kvm_translate(struct engine_vcpu *vcpu, gva_t gva, gpa_t *gpa);
bool kvm_read_gva(struct engine_vcpu *vcpu, gva_t gva, void *buffer, size_t len);

#endif

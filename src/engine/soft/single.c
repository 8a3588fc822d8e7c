/*
 * One instruction with all that may happen around it: single steps by TF, breakpoints of the debug
 * registers, RF, the shadow of a load of SS, tracing, a debugger's pass over its breakpoint.
 *
 * The causes of a #DB trap wait in cpu->dr6_pending until the next instruction boundary that lets
 * them in, and are then one exception. The rules:
 *
 *   a breakpoint on data or ports    trap behind the instruction, or behind the iteration of a
 *                                    repeated one. Pushes and pops of far transfers and deliveries
 *                                    are accesses; uses of descriptor tables and TSSs are not.
 *   TF before an instruction         single step behind it, also where it clears TF; POPF, IRET
 *                                    and task switches that set TF are not stepped over.
 *   SYSCALL, SYSRET                  TF counts as they leave it: a kernel that masks TF by FMASK
 *                                    gets no step, and the program gets it behind SYSRET.
 *   SYSENTER, SYSEXIT, far CALL      leave TF alone and are steps.
 *   INT n, INT3, INT1, INTO taken    no step: their handlers start with TF clear.
 *   MOV SS, POP SS                   their own step is dropped. Breakpoints that they hit wait
 *                                    until the next instruction has been executed, which has no
 *                                    instruction breakpoint. A row of them is one; LSS is none.
 *   INT n, INT3, INTO behind them    what waits is taken at the handler's first instruction.
 *   INT1, general detect behind them what waits is part of their #DB.
 *   an exception                     drops what waits, also what its own instruction has hit.
 *   an interrupt, NMI                comes after the trap; none is taken behind a load of SS.
 *   INIT, RESET                      drop what waits.
 *   HLT                              is ended by a trap.
 *   T flag of a TSS                  trap before the new task's first instruction, and behind the
 *                                    push of an error code.
 *   INT1                             changes DR6 only by what has waited, and clears DR7.GD.
 *
 * Source: SDM 3 "Debug Exceptions", "Masking Exceptions and Interrupts When Switching Stacks",
 * "Priority Among Concurrent Events", "Delivery of Pending Debug Exceptions after VM Entry"; what
 * they leave open is as the processors that were tried have it (tests/boot/debug_traps.py compares
 * with the host's; tests/guests/cpu/pending.S has what only a kernel sees).
 */
#include "engine/soft/single.h"

#include "base/trace.h"
#include "engine/soft/block.h"
#include "engine/soft/debug.h"
#include "engine/soft/last_words.h"
#include "x86/debug_regs.h"

/* Whether TF makes a single step of an instruction that has ended with STEP_NEXT or the like. */
static bool is_step(const struct cpu *cpu, unsigned mnemonic, bool tf_before, enum step step)
{
    if (cpu->debug_shadow)
        return false;
    switch (mnemonic) {
    case ZYDIS_MNEMONIC_INT:
    case ZYDIS_MNEMONIC_INT3:
    case ZYDIS_MNEMONIC_INT1:
    case ZYDIS_MNEMONIC_INTO: /* one that is not taken goes on with STEP_NEXT */
        return tf_before && step != STEP_JUMP;
    case ZYDIS_MNEMONIC_SYSCALL:
    case ZYDIS_MNEMONIC_SYSRET: return false; /* they look at TF themselves (fastcall.c) */
    default: return tf_before;
    }
}

static bool instruction_breakpoint(struct cpu *cpu)
{
    uint64_t dr7 = cpu->x.dr[7];
    uint64_t linear = (cpu->seg_base[X86_CS] + cpu->x.gpr[X86_RIP]) & cpu->linear_mask;
    uint64_t hit = 0;

    if (cpu->x.rflags & X86_FLAG_RF)
        return false;
    for (unsigned i = 0; i < X86_BREAKPOINTS; i++) {
        if (x86_breakpoint_enabled(dr7, i) && x86_breakpoint_kind(dr7, i) == X86_BREAK_EXECUTE &&
            cpu->x.dr[i] == linear)
            hit |= BIT(i);
    }
    cpu->dr6_pending |= hit;
    return hit;
}

static void trace_instruction(struct cpu *cpu, const struct op *op)
{
    trace(cpu_insn, cpu->x.seg[X86_CS].selector, cpu->x.gpr[X86_RIP]);
    if (trace_on(TRACE_cpu_insn))
        last_words_trace(cpu);
}

/*
 * RF lets one instruction pass, a repeated one as a whole: it stands between its iterations too.
 * DEVIATION: there it does so only while a breakpoint is set, for nobody else looks; RF makes the
 * loop go one iteration at a time.
 */
static void update_resume_flag(struct cpu *cpu, unsigned mnemonic, bool rf, enum step step)
{
    uint64_t before = cpu->x.rflags;

    if (step == STEP_AGAIN && (cpu->x.dr[7] & X86_DR7_ENABLED))
        cpu->x.rflags |= X86_FLAG_RF;
    else if (rf && mnemonic != ZYDIS_MNEMONIC_IRET && mnemonic != ZYDIS_MNEMONIC_IRETD &&
             mnemonic != ZYDIS_MNEMONIC_IRETQ)
        cpu->x.rflags &= ~X86_FLAG_RF;
    if (cpu->x.rflags != before)
        cpu_update_mode(cpu);
}

static enum step run_one(struct cpu *cpu, struct block *block)
{
    const struct op *op = &block->ops[0];
    uint64_t rip = cpu->x.gpr[X86_RIP];
    unsigned mnemonic = op->mnemonic;
    bool tf = cpu->x.rflags & X86_FLAG_TF;
    bool rf = cpu->x.rflags & X86_FLAG_RF;
    enum step step;

    if (!cpu->debug_shadow && instruction_breakpoint(cpu))
        return cpu_raise(cpu, X86_DB);
    trace_instruction(cpu, op);
    cpu->interrupt_shadow = false;
    cpu->debug_shadow = false;
    cpu->x.gpr[X86_RIP] = rip + op->len;
    step = op->fn(cpu, op);
    cpu->counters.instructions++;
    if (step == STEP_AGAIN || (step == STEP_FAULT && !cpu->fault.is_trap))
        cpu->x.gpr[X86_RIP] = rip;
    if (step == STEP_FAULT)
        return step;
    update_resume_flag(cpu, mnemonic, rf, step);
    if (is_step(cpu, mnemonic, tf, step))
        cpu->dr6_pending |= X86_DR6_BS;
    if (cpu->dr6_pending && !cpu->debug_shadow) {
        cpu->halted = false;
        return cpu_deliver_debug_trap(cpu);
    }
    return step;
}

enum step single_run(struct cpu *cpu, struct block *block)
{
    enum step step = run_one(cpu, block);

    if (unlikely(cpu->debug_pass))
        debug_passed(cpu, step);
    return step;
}

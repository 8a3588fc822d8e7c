/*
 * What string instructions share, port I/O's among them: index registers, the count, the bound on
 * how long a repeated one may run before interrupts are looked at.
 * Source: SDM 1 "String Operations"; SDM 2 "REP/REPE/REPZ/REPNE/REPNZ".
 */
#ifndef UMBRA_ENGINE_INTERP_STRING_H
#define UMBRA_ENGINE_INTERP_STRING_H

#include "engine/interp/place.h"

/* Iterations of one step; what remains is asked for again by STEP_AGAIN. */
#define STRING_BUDGET 16384

/* One iteration; registers move only when it succeeds. */
typedef enum step (*string_fn)(struct cpu *cpu, const struct op *op);

/* Replaces the part of a register that the address size covers; 32 bits clear the upper half. */
ALWAYS_INLINE void string_set(struct cpu *cpu, unsigned reg, uint64_t value, uint64_t mask)
{
    uint64_t kept = mask == UINT16_MAX ? cpu->x.gpr[reg] & ~mask : 0;

    cpu->x.gpr[reg] = kept | (value & mask);
}

ALWAYS_INLINE uint64_t string_get(const struct cpu *cpu, const struct op *op, unsigned reg)
{
    return cpu->x.gpr[reg] & op->addr_mask;
}

/* Moves an index register past `count` elements, up or down as DF says. */
ALWAYS_INLINE void string_advance(struct cpu *cpu, const struct op *op, unsigned reg,
                                  uint64_t bytes)
{
    uint64_t delta = cpu->x.rflags & X86_FLAG_DF ? -bytes : bytes;

    string_set(cpu, reg, cpu->x.gpr[reg] + delta, op->addr_mask);
}

ALWAYS_INLINE bool string_repeated(const struct op *op)
{
    return op->flags & (OP_REP | OP_REPNE);
}

/* How many iterations this step may make: one while somebody watches each. */
ALWAYS_INLINE uint64_t string_budget(const struct cpu *cpu)
{
    return cpu->single_step ? 1 : STRING_BUDGET;
}

/*
 * Whether a step had better end, asked behind each iteration that goes the long way: one may walk
 * page tables, drop blocks or write to a device, which takes microseconds. Where instructions are
 * counted exactly nothing that another thread does may cut a step: each step counts.
 */
ALWAYS_INLINE bool string_interrupted(const struct cpu *cpu)
{
    /* Relaxed: the run loop looks again. Other requests can wait for the step's end. */
    return unlikely(cpu->debug_hit) ||
           unlikely(
               (atomic_load_explicit(&cpu->requests, memory_order_relaxed) & CPU_REQUEST_KICK) &&
               !cpu->host.count_reached);
}

/* Counts iterations off; true: the count has reached 0. */
ALWAYS_INLINE bool string_count_down(struct cpu *cpu, const struct op *op, uint64_t iterations)
{
    uint64_t count = (cpu->x.gpr[X86_RCX] - iterations) & op->addr_mask;

    string_set(cpu, X86_RCX, count, op->addr_mask);
    return !count;
}

/* Runs fn once, or as often as RCX says for a repeated instruction. */
ALWAYS_INLINE enum step string_repeat(struct cpu *cpu, const struct op *op, string_fn fn)
{
    uint64_t budget = string_budget(cpu);

    if (!string_repeated(op))
        return fn(cpu, op);
    if (!string_get(cpu, op, X86_RCX))
        return STEP_NEXT;
    while (budget--) {
        enum step step = fn(cpu, op);

        if (unlikely(step))
            return step;
        if (string_count_down(cpu, op, 1))
            return STEP_NEXT;
        if (string_interrupted(cpu))
            break;
    }
    return STEP_AGAIN;
}

/* The source's segment: DS, or what the override says. */
uint8_t string_source_segment(const struct x86_insn *insn);

/* Port I/O (io.c), repeated or not; as op.h describes binders. */
bool bind_io(struct op *op, const struct binder_input *in);

/* The short ways of REP (string_fast.c); see there. 0: none, do one iteration. */
uint64_t string_fast_movs(struct cpu *cpu, const struct op *op, unsigned size, uint64_t limit);
uint64_t string_fast_stos(struct cpu *cpu, const struct op *op, unsigned size, uint64_t limit);

#endif

/*
 * What string instructions share, port I/O's among them: index registers, the count, the bound on
 * how long a repeated one may run before interrupts are looked at.
 * Source: SDM 1 "String Operations"; SDM 2 "REP/REPE/REPZ/REPNE/REPNZ".
 */
#ifndef UMBRA_ENGINE_INTERP_STRING_H
#define UMBRA_ENGINE_INTERP_STRING_H

#include "engine/interp/place.h"

/*
 * What one step may cost; the iterations that remain are asked for again by STEP_AGAIN. An
 * iteration that goes the long way costs more than one of a piece that is moved at once: it may
 * walk page tables, drop blocks, or write to a device, which takes microseconds.
 */
#define STRING_BUDGET    16384
#define STRING_SLOW_COST 16

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

/* What this step may cost: one iteration while somebody watches each. */
ALWAYS_INLINE uint64_t string_budget(const struct cpu *cpu)
{
    if (unlikely(cpu->single_step))
        return 1;
    return unlikely(cpu->host.count_reached) ? STRING_BUDGET / STRING_SLOW_COST : STRING_BUDGET;
}

/*
 * What an iteration that goes the long way costs. Where instructions are counted exactly all cost
 * the same: which way is taken depends on the TLB, and the count must not.
 */
ALWAYS_INLINE uint64_t string_slow_cost(const struct cpu *cpu)
{
    return unlikely(cpu->host.count_reached) ? 1 : STRING_SLOW_COST;
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
    for (; budget > 0; budget -= MIN(budget, string_slow_cost(cpu))) {
        enum step step = fn(cpu, op);

        if (unlikely(step))
            return step;
        if (string_count_down(cpu, op, 1))
            return STEP_NEXT;
        if (unlikely(cpu->debug_hit))
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

/*
 * The stack as hot handlers use it: one TLB comparison, and a tail call for everything else. RSP
 * changes only on success.
 */
#ifndef UMBRA_ENGINE_INTERP_PUSH_H
#define UMBRA_ENGINE_INTERP_PUSH_H

#include "engine/interp/place.h"

/* Pushes the low width bytes of value; the long way. */
enum step push_slow(struct cpu *cpu, uint64_t value, unsigned width);

ALWAYS_INLINE bool push_find(const struct cpu *cpu, uint64_t top, unsigned width, bool write,
                             void **place)
{
    uint32_t flat = write ? cpu->seg_flat_write : cpu->seg_flat_read;

    return likely(flat >> X86_SS & 1) &&
           place_find(cpu, (cpu->seg_base[X86_SS] + top) & cpu->linear_mask, width, write, place);
}

/* Moves RSP, as far as the stack's width counts. */
ALWAYS_INLINE void push_set_rsp(struct cpu *cpu, uint64_t rsp)
{
    uint64_t *gpr = cpu->x.gpr;

    gpr[X86_RSP] = (gpr[X86_RSP] & ~cpu->stack_mask) | (rsp & cpu->stack_mask);
}

/* Pushes where the short way serves; false: nothing was done. */
ALWAYS_INLINE bool push_fast(struct cpu *cpu, uint64_t value, unsigned width)
{
    uint64_t top = (cpu->x.gpr[X86_RSP] - width) & cpu->stack_mask;
    void *place;

    if (unlikely(!push_find(cpu, top, width, true, &place)))
        return false;
    memcpy(place, &value, width);
    push_set_rsp(cpu, top);
    return true;
}

ALWAYS_INLINE enum step push_value(struct cpu *cpu, uint64_t value, unsigned width)
{
    return likely(push_fast(cpu, value, width)) ? STEP_NEXT : push_slow(cpu, value, width);
}

/* The value at the top of the stack, if it is there for the taking; RSP stays. */
ALWAYS_INLINE bool push_peek(const struct cpu *cpu, uint64_t *value, unsigned width)
{
    void *place;

    if (unlikely(!push_find(cpu, cpu->x.gpr[X86_RSP] & cpu->stack_mask, width, false, &place)))
        return false;
    *value = 0;
    memcpy(value, place, width);
    return true;
}

#endif

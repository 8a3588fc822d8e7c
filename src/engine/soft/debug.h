/*
 * A debugger's breakpoints, watchpoints and single steps in the soft engine, as engine.h asks for
 * them. The guest sees nothing of it: no byte, flag or register of its own is used.
 *
 *   breakpoint   blocks end there, and block_find asks debug_arrive: nobody else looks
 *   watchpoint   its pages have no tags in the TLB, so each access there takes the slow path, which
 *                calls debug_accessed; the block is left behind the instruction, and the request
 *                word makes the loop look
 *   single step  the run loop's own way of going one instruction at a time, and the request word
 */
#ifndef UMBRA_ENGINE_SOFT_DEBUG_H
#define UMBRA_ENGINE_SOFT_DEBUG_H

#include "engine/soft/cpu.h"

/* Replaces what the debugger wants; while the vCPU does not run. */
void debug_set(struct cpu *cpu, const struct engine_debug *debug);

/* A run begins. */
void debug_begin_run(struct cpu *cpu);

/* It ends for this reason; returns which to tell: an executed HLT was a single step, too. */
enum engine_stop debug_end_run(struct cpu *cpu, enum engine_stop why);

/* CPU_REQUEST_DEBUG stands: STEP_STOP when the run ends here. */
enum step debug_look(struct cpu *cpu);

/* The instruction that passes its breakpoint was run, with this outcome. */
void debug_passed(struct cpu *cpu, enum step step);

/* What follows is for debug_*() below. */
bool debug_list_has(const struct cpu *cpu, gva_t first, gva_t last);
enum step debug_arrive_slow(struct cpu *cpu, gva_t linear);
enum step debug_event_slow(struct cpu *cpu);
void debug_fault_slow(struct cpu *cpu);
void debug_accessed_slow(struct cpu *cpu, gva_t linear, unsigned size, bool read, bool write);
void debug_hide_slow(const struct cpu *cpu, struct tlb_entry *entry, gva_t page);

/* Whether a breakpoint stands at a linear address. */
static inline bool debug_breakpoint_at(const struct cpu *cpu, gva_t linear)
{
    return unlikely(cpu->debug.breakpoints) && debug_list_has(cpu, linear, linear);
}

/* Whether one stands inside a block that begins at `linear`, behind its first byte. */
static inline bool debug_breakpoint_within(const struct cpu *cpu, gva_t linear, unsigned bytes)
{
    return unlikely(cpu->debug.breakpoints) && bytes > 1 &&
           debug_list_has(cpu, linear + 1, linear + (bytes - 1));
}

/* The processor is about to fetch from a linear address: STEP_STOP at a breakpoint. */
static inline enum step debug_arrive(struct cpu *cpu, gva_t linear)
{
    return unlikely(cpu->debug.breakpoints) ? debug_arrive_slow(cpu, linear) : STEP_NEXT;
}

/* Whether interrupts have to wait. */
static inline bool debug_holds_interrupts(const struct cpu *cpu)
{
    return unlikely(cpu->debug_pass || (cpu->debug.single_step && cpu->debug.hold_interrupts)) &&
           !cpu->halted;
}

/* An interrupt was taken, with this outcome: a single step ends at its handler. */
static inline enum step debug_event(struct cpu *cpu, enum step step)
{
    return unlikely(cpu->debug.single_step) && step != STEP_STOP ? debug_event_slow(cpu) : step;
}

/* A fault is about to be delivered: what its instruction accessed does not count. */
static inline void debug_fault(struct cpu *cpu)
{
    if (unlikely(cpu->debug_hit || cpu->debug_pass))
        debug_fault_slow(cpu);
}

/* An instruction or a delivery has accessed memory by the slow path. */
static inline void debug_accessed(struct cpu *cpu, gva_t linear, unsigned size, bool read,
                                  bool write)
{
    if (unlikely(cpu->debug.watchpoints))
        debug_accessed_slow(cpu, linear, size, read, write);
}

/* Takes from a fresh TLB entry the tags that would let accesses past a watchpoint. */
static inline void debug_hide_watched(const struct cpu *cpu, struct tlb_entry *entry, gva_t page)
{
    if (unlikely(cpu->debug.watchpoints))
        debug_hide_slow(cpu, entry, page);
}

#endif

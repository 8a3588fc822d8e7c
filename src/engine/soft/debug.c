/*
 * Breakpoints, watchpoints and single steps for a debugger outside the guest (see debug.h). It
 * refuses to touch the guest's DR7, TF, RF and code.
 * The model of what stops where: SDM 3 "Debug Exceptions", for a debugger that the guest lacks.
 */
#include "engine/soft/debug.h"

#include <string.h>

#include "base/assert.h"
#include "engine/soft/block.h"
#include "engine/soft/run.h"

/*
 * A repeated instruction that passes its breakpoint runs iteration by iteration with interrupts
 * held; after so many they get in again, and the breakpoint counts again too.
 */
#define PASS_ITERATIONS 65536

static bool same_places(const struct engine_debug *a, const struct engine_debug *b)
{
    if (a->breakpoints != b->breakpoints || a->watchpoints != b->watchpoints)
        return false;
    for (unsigned i = 0; i < a->breakpoints; i++) {
        if (a->breakpoint[i] != b->breakpoint[i])
            return false;
    }
    for (unsigned i = 0; i < a->watchpoints; i++) {
        const struct engine_watchpoint *x = &a->watchpoint[i], *y = &b->watchpoint[i];

        if (x->start != y->start || x->bytes != y->bytes || x->read != y->read ||
            x->write != y->write)
            return false;
    }
    return true;
}

void debug_set(struct cpu *cpu, const struct engine_debug *debug)
{
    bool same = same_places(&cpu->debug, debug);

    ASSERT(debug->breakpoints <= ENGINE_MAX_BREAKPOINTS &&
               debug->watchpoints <= ENGINE_MAX_WATCHPOINTS,
           "a debugger's lists are as long as they may be");
    cpu->debug = *debug;
    /* A halted processor's next instruction is its interrupt handler's. */
    cpu->debug_pass = debug->pass_first && !cpu->halted ? PASS_ITERATIONS : 0;
    cpu->debug_hit = false;
    run_take_request(cpu, CPU_REQUEST_DEBUG);
    if (!same)
        tlb_flush_all(cpu); /* with it, which addresses lead to which blocks */
    cpu_update_mode(cpu);
}

void debug_begin_run(struct cpu *cpu)
{
    cpu->debug_stepped = false;
    cpu->debug_halted = cpu->halted;
    if (unlikely(cpu->debug.single_step || cpu->debug_hit))
        cpu_request(cpu, CPU_REQUEST_DEBUG);
}

static enum step stop(struct cpu *cpu)
{
    run_take_request(cpu, CPU_REQUEST_DEBUG);
    cpu->debug_hit = false;
    cpu->stop = ENGINE_STOP_DEBUG;
    return STEP_STOP;
}

static enum step stop_here(struct cpu *cpu, enum engine_debug_reason reason)
{
    cpu->debug_stop = (struct engine_debug_stop){reason, 0, block_next_linear(cpu)};
    return stop(cpu);
}

enum engine_stop debug_end_run(struct cpu *cpu, enum engine_stop why)
{
    if (why != ENGINE_STOP_HALT || cpu->debug_halted || !cpu->debug.single_step)
        return why;
    stop_here(cpu, ENGINE_DEBUG_STEP);
    return cpu->stop;
}

enum step debug_look(struct cpu *cpu)
{
    if (cpu->debug_hit)
        return stop(cpu);
    if (!cpu->debug.single_step) {
        run_take_request(cpu, CPU_REQUEST_DEBUG);
        return STEP_JUMP;
    }
    if (cpu->debug_stepped)
        return stop_here(cpu, ENGINE_DEBUG_STEP);
    cpu->debug_stepped = true;
    return STEP_JUMP;
}

enum step debug_event_slow(struct cpu *cpu)
{
    return cpu->debug_hit ? stop(cpu) : stop_here(cpu, ENGINE_DEBUG_STEP);
}

void debug_passed(struct cpu *cpu, enum step step)
{
    if (step == STEP_AGAIN && --cpu->debug_pass)
        return;
    cpu->debug_pass = 0;
    cpu_update_mode(cpu);
}

void debug_fault_slow(struct cpu *cpu)
{
    if (!cpu->fault.is_trap)
        cpu->debug_hit = false;
    if (cpu->debug_pass) {
        cpu->debug_pass = 0;
        cpu_update_mode(cpu);
    }
}

bool debug_list_has(const struct cpu *cpu, gva_t first, gva_t last)
{
    for (unsigned i = 0; i < cpu->debug.breakpoints; i++) {
        if (cpu->debug.breakpoint[i] >= first && cpu->debug.breakpoint[i] <= last)
            return true;
    }
    return false;
}

enum step debug_arrive_slow(struct cpu *cpu, gva_t linear)
{
    if (cpu->debug_pass || !debug_list_has(cpu, linear, linear))
        return STEP_NEXT;
    return stop_here(cpu, ENGINE_DEBUG_BREAKPOINT);
}

/*
 * Makes the loop look behind the running instruction: its block is dropped, and what is dropped
 * while it runs is left at its next op. RIP is past the instruction already.
 */
static void leave_block(struct cpu *cpu)
{
    gva_t last = (cpu->seg_base[X86_CS] + cpu->x.gpr[X86_RIP] - 1) & cpu->linear_mask;
    gpa_t gpa;

    cpu_request(cpu, CPU_REQUEST_DEBUG);
    if (cpu->single_step)
        return;
    if (paging_peek(cpu, last, &gpa))
        block_invalidate(cpu, gpa, 1);
    else
        block_drop_all(cpu);
}

static gva_t last_of(const struct engine_watchpoint *watch)
{
    return watch->start + (watch->bytes - 1);
}

void debug_accessed_slow(struct cpu *cpu, gva_t linear, unsigned size, bool read, bool write)
{
    gva_t last = linear + (size - 1);

    if (cpu->debug_hit)
        return; /* the first access of an instruction tells */
    for (unsigned i = 0; i < cpu->debug.watchpoints; i++) {
        const struct engine_watchpoint *watch = &cpu->debug.watchpoint[i];

        if (linear > last_of(watch) || last < watch->start)
            continue;
        if (!(read && watch->read) && !(write && watch->write))
            continue;
        cpu->debug_stop = (struct engine_debug_stop){
            .reason = ENGINE_DEBUG_WATCHPOINT,
            .watchpoint = i,
            .address = MAX(linear, watch->start),
        };
        cpu->debug_hit = true;
        leave_block(cpu);
        return;
    }
}

void debug_hide_slow(const struct cpu *cpu, struct tlb_entry *entry, gva_t page)
{
    for (unsigned i = 0; i < cpu->debug.watchpoints; i++) {
        const struct engine_watchpoint *watch = &cpu->debug.watchpoint[i];

        if (page > last_of(watch) || page + (PAGE_SIZE - 1) < watch->start)
            continue;
        entry->write =
            tlb_no_tag(tlb_index(cpu, page)); /* a read-modify-write asks for this tag only */
        if (watch->read)
            entry->read = tlb_no_tag(tlb_index(cpu, page));
    }
}

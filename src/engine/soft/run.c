/*
 * The soft engine's run loop: looks at requests, finds the block at RIP, runs it, delivers what it
 * raised.
 *
 *        +--> requests? --> flush | invalidate | INIT | NMI | INTR | kick (returns)
 *        |    block at RIP (decoded now if need be)
 *        |    run its ops until one does not say NEXT
 *        +--- NEXT/JUMP: go on; FAULT: deliver; AGAIN: go on; STOP: return to the monitor
 *
 * Events of one instruction are taken in the order of SDM 3 "Priority Among Concurrent Events".
 */
#include "engine/soft/run.h"

#include "engine/dbt/dbt.h"
#include "engine/soft/block.h"
#include "engine/soft/debug.h"
#include "engine/soft/native.h"
#include "engine/soft/single.h"

/* Inlined where the loop of each kind calls it: the call would cost a tenth of the speed. */
static inline __attribute__((always_inline)) enum step run_ops(struct cpu *cpu, const struct op *op)
{
    const struct op *first = op;
    uint64_t rip;
    enum step step;

    do {
        rip = cpu->x.gpr[X86_RIP];
        cpu->x.gpr[X86_RIP] = rip + op->len;
        step = op->fn(cpu, op);
        op++;
    } while (likely(step == STEP_NEXT));
    cpu->counters.instructions += (uint64_t)(op - first);
    if (unlikely(step == STEP_AGAIN || (step == STEP_FAULT && !cpu->fault.is_trap)))
        cpu->x.gpr[X86_RIP] = rip;
    return step;
}

void run_reset(struct cpu *cpu, bool init)
{
    native_sync(cpu);
    x86_state_reset(&cpu->x, init);
    cpu_set_arith(cpu, cpu->x.rflags);
    cpu->cpl = 0;
    cpu->interrupt_shadow = cpu->debug_shadow = false;
    cpu->halted = cpu->nmi_blocked = false;
    cpu->dr6_pending = 0;
    cpu->debug_pass = 0;
    paging_changed(cpu);
    cpu_update_mode(cpu);
}

void run_take_request(struct cpu *cpu, uint32_t request)
{
    atomic_fetch_and_explicit(&cpu->requests, ~request, memory_order_acq_rel);
}

static void take_sipi(struct cpu *cpu)
{
    struct x86_segment *cs = &cpu->x.seg[X86_CS];

    cs->selector = (uint16_t)(cpu->sipi_vector << 8);
    cs->base = (uint64_t)cpu->sipi_vector << 12;
    cpu->x.gpr[X86_RIP] = 0;
    cpu->wait_for_sipi = false;
    cpu_update_mode(cpu);
}

static enum step take_interrupt(struct cpu *cpu)
{
    exit_scope struct cpu *timed =
        cpu_exit_begin(cpu, (struct exit){.reason = EXIT_EXTERNAL_INTERRUPT});
    int vector;

    vector = cpu->host.interrupt_acknowledge(cpu->host.opaque, cpu->index);
    if (vector < 0)
        return STEP_JUMP;
    cpu->halted = false;
    return cpu_deliver_interrupt(cpu, (uint8_t)vector);
}

static enum step stop(struct cpu *cpu, enum engine_stop why)
{
    cpu->stop = why;
    return STEP_STOP;
}

/* Counts this look at the request word against the limit (soft_vcpu_limit). */
static bool limit_reached(struct cpu *cpu)
{
    if (cpu->looks_left > 0) {
        cpu->looks_left--;
        return false;
    }
    run_take_request(cpu, CPU_REQUEST_LIMIT);
    return true;
}

/* Serves what stands in the request word; STEP_JUMP to go on. */
static enum step serve_requests(struct cpu *cpu, uint32_t requests)
{
    if (requests & CPU_REQUEST_CODE) {
        run_take_request(cpu, CPU_REQUEST_CODE);
        block_apply_queued(cpu);
    }
    if (requests & CPU_REQUEST_FLUSH) {
        run_take_request(cpu, CPU_REQUEST_FLUSH);
        mmu_follow_slots(cpu->mmu);
        cpu->counters.flushes[ENGINE_FLUSH_MONITOR]++;
        paging_changed(cpu);
    }
    if ((requests & CPU_REQUEST_DEBUG) && debug_look(cpu) == STEP_STOP)
        return STEP_STOP;
    if ((requests & CPU_REQUEST_LIMIT) && limit_reached(cpu))
        requests |= CPU_REQUEST_KICK;
    if (requests & CPU_REQUEST_KICK) {
        run_take_request(cpu, CPU_REQUEST_KICK);
        return stop(cpu, ENGINE_STOP_KICK);
    }
    if (requests & CPU_REQUEST_INIT) {
        run_take_request(cpu, CPU_REQUEST_INIT);
        cpu_exit(cpu, (struct exit){.reason = EXIT_INIT});
        run_reset(cpu, true);
        cpu->wait_for_sipi = cpu->index != 0;
    }
    if (requests & CPU_REQUEST_SIPI) {
        run_take_request(cpu, CPU_REQUEST_SIPI);
        cpu_exit(cpu, (struct exit){.reason = EXIT_SIPI, .qualification = cpu->sipi_vector});
        if (cpu->wait_for_sipi)
            take_sipi(cpu);
    }
    if (cpu->wait_for_sipi)
        return stop(cpu, ENGINE_STOP_WAIT);
    if ((requests & CPU_REQUEST_TRAP) && !cpu->debug_shadow) {
        run_take_request(cpu, CPU_REQUEST_TRAP);
        if (cpu->dr6_pending)
            return debug_event(cpu, cpu_deliver_debug_trap(cpu));
    }
    if (cpu->interrupt_shadow || debug_holds_interrupts(cpu))
        return STEP_JUMP;
    if ((requests & CPU_REQUEST_NMI) && !cpu->nmi_blocked) {
        run_take_request(cpu, CPU_REQUEST_NMI);
        cpu_exit(cpu, (struct exit){.reason = EXIT_EXCEPTION_NMI});
        cpu->halted = false;
        return debug_event(cpu, cpu_deliver_nmi(cpu));
    }
    if ((requests & CPU_REQUEST_INTR) && (cpu->x.rflags & X86_FLAG_IF))
        return debug_event(cpu, take_interrupt(cpu));
    return STEP_JUMP;
}

/* What the loop looks at before each block, in one glance where nothing is the matter. */
static inline __attribute__((always_inline)) enum step before_block(struct cpu *cpu)
{
    uint32_t requests = atomic_load_explicit(&cpu->requests, memory_order_acquire);

    if (unlikely(requests || atomic_load_explicit(&cpu->attention, memory_order_relaxed))) {
        enum step step;

        /*
         * Translated code need not come back for what is served or refused now; what it refuses it
         * takes after an instruction that comes back by itself (STI, POPF, IRET). Sequentially
         * consistent, before the look: a request that is made after it sets the word again.
         */
        atomic_store(&cpu->attention, 0);
        requests = atomic_load(&cpu->requests);
        step = serve_requests(cpu, requests);
        if (requests & CPU_REQUEST_LIMIT)
            atomic_store_explicit(&cpu->attention, 1, memory_order_relaxed);

        if (step == STEP_STOP)
            return step;
    }
    if (unlikely(cpu->halted))
        return stop(cpu, ENGINE_STOP_HALT);
    return STEP_JUMP;
}

/* Finds the block at RIP; *last is the one before, or NULL, and becomes the one found. */
static inline __attribute__((always_inline)) enum step next_block(struct cpu *cpu,
                                                                  struct block **last)
{
    struct block *before = *last, *block = NULL;
    enum step step;

    if (likely(before))
        block = block_follow(cpu, before);
    if (unlikely(!block)) {
        *last = NULL;
        step = block_find(cpu, &block);
        if (unlikely(step))
            return step;
        /* Making it may have dropped the one before, which then waits to be collected. */
        if (before)
            block_remember(cpu, before, block);
    }
    *last = block;
    return STEP_NEXT;
}

/* As run_ops, and counts how often the TLB is asked. */
static enum step run_ops_counted(struct cpu *cpu, const struct block *block)
{
    uint64_t before = cpu->counters.instructions;
    enum step step = run_ops(cpu, block->ops);
    uint64_t executed = cpu->counters.instructions - before;

    if (likely(executed == block->count)) {
        cpu->counters.tlb_lookups += block->lookups;
        return step;
    }
    for (uint64_t i = 0; i < executed; i++)
        cpu->counters.tlb_lookups += block->ops[i].lookups;
    return step;
}

/* Whether a request stands that the processor would take now. */
static bool actionable(const struct cpu *cpu, uint32_t requests)
{
    if (!(cpu->x.rflags & X86_FLAG_IF))
        requests &= ~CPU_REQUEST_INTR;
    if (cpu->nmi_blocked)
        requests &= ~CPU_REQUEST_NMI;
    return requests;
}

static bool count_reached(const struct cpu *cpu)
{
    return cpu->counters.instructions >=
           atomic_load_explicit(&cpu->count_until, memory_order_relaxed);
}

/*
 * As run_ops, with the count kept up to date, and leaving the block wherever a request or the end
 * of the count comes up. So nothing that a guest sees depends on how its code was cut into blocks.
 */
static enum step run_ops_exact(struct cpu *cpu, const struct op *op)
{
    uint32_t requests;
    uint64_t rip;
    enum step step;

    do {
        rip = cpu->x.gpr[X86_RIP];
        cpu->x.gpr[X86_RIP] = rip + op->len;
        cpu->counters.tlb_lookups += op->lookups;
        step = op->fn(cpu, op);
        cpu->counters.instructions++;
        op++;
        requests = atomic_load_explicit(&cpu->requests, memory_order_acquire);
    } while (step == STEP_NEXT && !count_reached(cpu) &&
             likely(!requests || !actionable(cpu, requests)));
    if (step == STEP_AGAIN || (step == STEP_FAULT && !cpu->fault.is_trap))
        cpu->x.gpr[X86_RIP] = rip;
    return step;
}

/* How the loop counts; a constant where it is given, so that no case pays for another. */
enum counting {
    COUNT_BLOCKS,  /* instructions, by the block */
    COUNT_LOOKUPS, /* TLB look-ups too */
    COUNT_EXACT,   /* each instruction (host.count_reached) */
};

/* Whichever block it ends in, that is not known here. */
static enum step run_translation(struct cpu *cpu, struct block **last,
                                 struct host_block *translation)
{
    *last = NULL;
    return dbt_run(cpu, translation);
}

/* Back to the requests before anything has run: a debugger's single step is still to be made. */
static enum step look_first(struct cpu *cpu)
{
    cpu->debug_stepped = false;
    return STEP_JUMP;
}

static inline __attribute__((always_inline)) enum step
run_next(struct cpu *cpu, struct block **last, enum counting counting)
{
    bool translates = counting != COUNT_EXACT && cpu->dbt_context != DBT_NEVER;
    struct host_block *translation = NULL;
    enum step step;

    if (unlikely(block_dropped(cpu))) {
        *last = NULL;
        if (block_collect(cpu) == BLOCK_COLLECT_MORE)
            return look_first(cpu);
    }
    if (translates && likely(!cpu->interrupt_shadow))
        translation = dbt_find_again(cpu);
    if (likely(translation))
        return run_translation(cpu, last, translation);
    step = next_block(cpu, last);
    if (unlikely(step))
        return step;
    if (unlikely(block_dropped(cpu)))
        return look_first(cpu); /* finding it has dropped others: those are collected first */
    if (unlikely(cpu->single_step || cpu->interrupt_shadow))
        return single_run(cpu, *last);
    if (translates)
        translation = dbt_find(cpu, *last);
    if (translation)
        return run_translation(cpu, last, translation);
    cpu->block_running = *last;
    switch (counting) {
    case COUNT_LOOKUPS: return run_ops_counted(cpu, *last);
    case COUNT_EXACT: return run_ops_exact(cpu, (*last)->ops);
    default: return run_ops(cpu, (*last)->ops);
    }
}

static inline __attribute__((always_inline)) enum engine_stop loop(struct cpu *cpu,
                                                                   enum counting counting)
{
    struct block *last = NULL;

    for (;;) {
        enum step step;

        if (counting == COUNT_EXACT && count_reached(cpu))
            cpu->host.count_reached(cpu->host.opaque);
        step = before_block(cpu);
        if (step != STEP_STOP)
            step = run_next(cpu, &last, counting);
        while (unlikely(step == STEP_FAULT)) {
            /* A fault ends a shadow: the handler starts with interrupts as its gate says. */
            cpu->interrupt_shadow = cpu->debug_shadow = false;
            debug_fault(cpu);
            step = cpu_deliver_fault(cpu);
        }
        if (unlikely(step == STEP_STOP))
            return cpu->stop;
    }
}

enum engine_stop run_loop(struct cpu *cpu)
{
    if (cpu->host.count_reached)
        return loop(cpu, COUNT_EXACT);
    return cpu->host.host_ns ? loop(cpu, COUNT_LOOKUPS) : loop(cpu, COUNT_BLOCKS);
}

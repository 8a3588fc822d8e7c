/*
 * Exception and interrupt delivery in every mode, with the escalation to double fault and
 * shutdown. Until the last push has succeeded no register changes.
 *
 * Source: SDM 3 "Interrupt and Exception Handling", SDM 2 "INT n/INTO/INT3/INT1".
 * DEVIATION: an event whose delivery keeps raising benign exceptions (an #AC whose handler's stack
 * is misaligned in ring 3) hangs a processor; here it becomes a double fault after MAX_NESTED
 * rounds, so that a guest can't hang its vCPU's thread.
 */
#include "engine/soft/deliver.h"

#include "base/trace.h"
#include "engine/soft/access.h"
#include "engine/soft/task.h"
#include "engine/soft/transfer.h"
#include "x86/debug_regs.h"

#define MAX_NESTED 4

struct event {
    uint8_t vector;
    bool has_error;
    bool privileged; /* the gate's DPL must allow it: INT n, INT3, INTO */
    bool external;   /* not the program's doing: sets EXT in the error codes of its faults */
    bool resume;     /* a fault: the saved flags have RF, so that no breakpoint hits twice */
    uint32_t error;
};

/* What the gate of an event leads to. */
struct handler {
    struct x86_gate gate;
    struct descriptor cs;
    unsigned cpl;
    struct stack_frame frame;
};

static enum step raise_idt(struct cpu *cpu, enum x86_vector vector, const struct event *ev)
{
    return cpu_raise_error(cpu, vector, ((uint32_t)ev->vector << 3) | X86_ERROR_IDT);
}

/* RFLAGS as they go onto the stack. */
static uint64_t saved_flags(const struct cpu *cpu, const struct event *ev)
{
    uint64_t flags = cpu_rflags(cpu);

    if (ev->resume)
        return flags | X86_FLAG_RF;
    return ev->external ? flags : flags & ~X86_FLAG_RF;
}

/* The flags with which every handler starts. */
static void clear_flags(struct cpu *cpu, bool interrupt_gate)
{
    uint64_t cleared = X86_FLAG_TF | X86_FLAG_NT | X86_FLAG_RF | X86_FLAG_VM;

    if (interrupt_gate)
        cleared |= X86_FLAG_IF;
    cpu->x.rflags &= ~cleared;
}

enum step deliver_through_ivt(struct cpu *cpu, uint8_t vector, gva_t base, uint16_t flags)
{
    struct stack_frame frame;
    uint16_t entry[2]; /* IP, CS */
    enum step step = sys_read(cpu, (uint32_t)(base + 4 * vector), entry, 4);

    stack_frame_current(cpu, &frame);
    if (!step)
        step = stack_frame_push(cpu, &frame, flags, 2);
    if (!step)
        step = stack_frame_push(cpu, &frame, cpu->x.seg[X86_CS].selector, 2);
    if (!step)
        step = stack_frame_push(cpu, &frame, cpu->x.gpr[X86_RIP], 2);
    if (!step && entry[0] > cpu->x.seg[X86_CS].limit)
        step = cpu_raise_error(cpu, X86_GP, 0);
    if (step)
        return step;
    stack_frame_commit_rsp(cpu, &frame);
    cpu->x.gpr[X86_RIP] = entry[0];
    segment_load_real(cpu, X86_CS, entry[1]);
    return STEP_JUMP;
}

static enum step deliver_real(struct cpu *cpu, const struct event *ev)
{
    enum step step;

    if (4 * (uint32_t)ev->vector + 3 > cpu->x.idtr.limit)
        return raise_idt(cpu, X86_GP, ev);
    step = deliver_through_ivt(cpu, ev->vector, cpu->x.idtr.base, (uint16_t)saved_flags(cpu, ev));
    if (step != STEP_JUMP)
        return step;
    cpu->x.rflags &= ~(X86_FLAG_IF | X86_FLAG_TF | X86_FLAG_RF | X86_FLAG_AC);
    cpu_update_mode(cpu);
    return STEP_JUMP;
}

static enum step check_gate(struct cpu *cpu, const struct event *ev, const struct x86_gate *gate,
                            uint32_t types)
{
    if (unlikely(!(types >> gate->type & 1) || (ev->privileged && gate->dpl < cpu->cpl)))
        return raise_idt(cpu, X86_GP, ev);
    if (unlikely(!gate->present))
        return raise_idt(cpu, X86_NP, ev);
    return STEP_NEXT;
}

static enum step find_handler64(struct cpu *cpu, const struct event *ev, struct handler *h)
{
    uint64_t entry[2];
    enum step step;

    if (unlikely(16 * (uint32_t)ev->vector + 15 > cpu->x.idtr.limit))
        return raise_idt(cpu, X86_GP, ev);
    step = sys_read(cpu, cpu->x.idtr.base + 16 * ev->vector, entry, 16);
    if (unlikely(step))
        return step;
    h->gate = x86_gate_parse_wide(entry[0], entry[1]);
    step = check_gate(cpu, ev, &h->gate, BIT(X86_INT_GATE) | BIT(X86_TRAP_GATE));
    if (likely(!step))
        step = transfer_gate_code(cpu, h->gate.selector, &h->cs);
    if (unlikely(step))
        return step;
    h->cpl = x86_attr_is_conforming(h->cs.attr) ? cpu->cpl : x86_attr_dpl(h->cs.attr);
    if (unlikely(!x86_canonical(h->gate.offset)))
        return cpu_raise_error(cpu, X86_GP, 0);
    return STEP_NEXT;
}

/* Where a 64-bit handler's frame ends; SS is null after a change of level. */
static enum step find_stack64(struct cpu *cpu, struct handler *h, uint64_t *rsp)
{
    enum step step = STEP_NEXT;

    if (h->gate.ist) {
        step = transfer_ist_stack(cpu, h->gate.ist, rsp);
    } else if (h->cpl < cpu->cpl) {
        step = transfer_inner_stack(cpu, h->cpl, true, &h->frame);
        *rsp = h->frame.rsp;
    } else {
        *rsp = cpu->x.gpr[X86_RSP];
    }
    *rsp &= ~(uint64_t)15;
    return step;
}

static enum step deliver_long(struct cpu *cpu, const struct event *ev)
{
    uint64_t frame[6] = {ev->error,
                         cpu->x.gpr[X86_RIP],
                         cpu->x.seg[X86_CS].selector,
                         saved_flags(cpu, ev),
                         cpu->x.gpr[X86_RSP],
                         cpu->x.seg[X86_SS].selector};
    unsigned skip = ev->has_error ? 0 : 1;
    unsigned size = sizeof frame - 8 * skip;
    struct handler h;
    uint64_t rsp;
    enum step step = find_handler64(cpu, ev, &h);

    if (likely(!step))
        step = find_stack64(cpu, &h, &rsp);
    if (unlikely(step))
        return step;
    rsp -= size;
    if (unlikely(!x86_canonical(rsp) || !x86_canonical(rsp + size - 1)))
        return cpu_raise_error(cpu, X86_SS_FAULT, 0);
    step = lin_write_as(cpu, h.cpl == 3, rsp, frame + skip, size);
    if (likely(!step))
        step = descriptor_set_accessed(cpu, &h.cs);
    if (unlikely(step))
        return step;
    if (h.cpl < cpu->cpl)
        cpu->x.seg[X86_SS] = x86_segment_null((uint16_t)h.cpl, h.cpl);
    cpu->x.gpr[X86_RSP] = rsp;
    transfer_commit_code(cpu, &h.cs, h.cpl, h.gate.offset);
    clear_flags(cpu, h.gate.type == X86_INT_GATE);
    cpu_update_mode(cpu);
    return STEP_JUMP;
}

static enum step deliver_task(struct cpu *cpu, const struct event *ev, uint16_t selector)
{
    struct descriptor tss;
    struct stack_frame frame;
    enum step step = task_find(cpu, selector, TASK_EVENT, &tss);

    if (!step)
        step = task_switch(cpu, &tss, TASK_EVENT, saved_flags(cpu, ev));
    if (step != STEP_JUMP || !ev->has_error)
        return step;
    stack_frame_current(cpu, &frame);
    step = stack_frame_push(cpu, &frame, ev->error, x86_attr_system_wide(tss.attr) ? 4 : 2);
    if (step) {
        cpu->fault.is_trap = true; /* in the new task, whose RIP must stay */
        return step;
    }
    stack_frame_commit_rsp(cpu, &frame);
    return STEP_JUMP;
}

/* Chooses level and stack of a 16- or 32-bit handler. */
static enum step find_handler32(struct cpu *cpu, struct handler *h)
{
    enum step step = transfer_gate_code(cpu, h->gate.selector, &h->cs);

    if (step)
        return step;
    h->cpl = x86_attr_is_conforming(h->cs.attr) ? cpu->cpl : x86_attr_dpl(h->cs.attr);
    if (cpu_vm86(cpu) && h->cpl != 0)
        return cpu_raise_error(cpu, X86_GP, selector_error(h->gate.selector));
    if (h->cpl < cpu->cpl)
        return transfer_inner_stack(cpu, h->cpl, false, &h->frame);
    stack_frame_current(cpu, &h->frame);
    return STEP_NEXT;
}

static enum step push_frame32(struct cpu *cpu, const struct event *ev, struct handler *h)
{
    static const uint8_t vm86_segs[] = {X86_GS, X86_FS, X86_DS, X86_ES};
    unsigned width = h->gate.type & 0x8 ? 4 : 2;
    uint64_t values[10];
    unsigned count = 0;
    enum step step = STEP_NEXT;

    if (cpu_vm86(cpu))
        for (size_t i = 0; i < ARRAY_SIZE(vm86_segs); i++)
            values[count++] = cpu->x.seg[vm86_segs[i]].selector;
    if (h->cpl < cpu->cpl) {
        values[count++] = cpu->x.seg[X86_SS].selector;
        values[count++] = cpu->x.gpr[X86_RSP];
    }
    values[count++] = saved_flags(cpu, ev);
    values[count++] = cpu->x.seg[X86_CS].selector;
    values[count++] = cpu->x.gpr[X86_RIP];
    if (ev->has_error)
        values[count++] = ev->error;
    for (unsigned i = 0; !step && i < count; i++)
        step = stack_frame_push(cpu, &h->frame, values[i], width);
    return step;
}

static void enter_handler32(struct cpu *cpu, const struct handler *h)
{
    static const uint8_t data[] = {X86_ES, X86_DS, X86_FS, X86_GS};

    if (cpu_vm86(cpu))
        for (size_t i = 0; i < ARRAY_SIZE(data); i++)
            cpu->x.seg[data[i]] = x86_segment_null(0, 0);
    if (h->cpl < cpu->cpl)
        cpu->x.seg[X86_SS] = h->frame.ss;
    stack_frame_commit_rsp(cpu, &h->frame);
    transfer_commit_code(cpu, &h->cs, h->cpl, h->gate.offset);
    clear_flags(cpu, (h->gate.type & 0x7) == X86_INT_GATE16);
    cpu_update_mode(cpu);
}

static enum step deliver_protected(struct cpu *cpu, const struct event *ev)
{
    const uint32_t types = BIT(X86_TASK_GATE) | BIT(X86_INT_GATE16) | BIT(X86_TRAP_GATE16) |
                           BIT(X86_INT_GATE) | BIT(X86_TRAP_GATE);
    struct handler h;
    struct x86_segment cs;
    uint64_t entry;
    enum step step;

    if (8 * (uint32_t)ev->vector + 7 > cpu->x.idtr.limit)
        return raise_idt(cpu, X86_GP, ev);
    step = sys_read(cpu, table_linear(cpu, cpu->x.idtr.base, 8 * ev->vector), &entry, 8);
    if (step)
        return step;
    h.gate = x86_gate_parse(entry);
    step = check_gate(cpu, ev, &h.gate, types);
    if (step)
        return step;
    if (h.gate.type == X86_TASK_GATE)
        return deliver_task(cpu, ev, h.gate.selector);
    step = find_handler32(cpu, &h);
    if (step)
        return step;
    cs = x86_segment_parse(h.cs.low, h.gate.selector);
    step = push_frame32(cpu, ev, &h);
    if (!step && !transfer_target_valid(cpu, &cs, h.gate.offset))
        step = cpu_raise_error(cpu, X86_GP, 0);
    if (!step)
        step = descriptor_set_accessed(cpu, &h.cs);
    if (step)
        return step;
    enter_handler32(cpu, &h);
    return STEP_JUMP;
}

static enum step deliver(struct cpu *cpu, const struct event *ev)
{
    enum step step;

    cpu->interrupt_shadow = false;
    cpu->debug_shadow = false;
    if (likely(cpu_long_mode(cpu)))
        step = deliver_long(cpu, ev);
    else if (cpu->x.cr0 & X86_CR0_PE)
        step = deliver_protected(cpu, ev);
    else
        step = deliver_real(cpu, ev);
    if (unlikely(step == STEP_FAULT) && ev->external && cpu->fault.vector >= X86_TS &&
        cpu->fault.vector <= X86_GP)
        cpu->fault.error |= X86_ERROR_EXT;
    return step;
}

static bool contributory(unsigned vector)
{
    return vector == X86_DE || (vector >= X86_TS && vector <= X86_GP);
}

/* Whether a fault met while another was being delivered makes a double fault (SDM 3, table). */
static bool doubles(unsigned first, unsigned second)
{
    if (first == X86_PF)
        return second == X86_PF || contributory(second);
    return contributory(first) && contributory(second);
}

static enum step shut_down(struct cpu *cpu)
{
    cpu_exit(cpu, (struct exit){.reason = EXIT_TRIPLE_FAULT});
    cpu->stop = ENGINE_STOP_SHUTDOWN;
    return STEP_STOP;
}

/* What every #DB does to the debug registers; causes: bits of DR6. */
static void note_debug(struct cpu *cpu, uint64_t causes)
{
    if (causes)
        cpu->x.dr[6] = (cpu->x.dr[6] & ~(uint64_t)X86_DR6_HITS) | causes;
    cpu->x.dr[7] &= ~X86_DR7_GD;
}

/* What an exception leaves in CR2, DR6 and DR7 before its handler is looked for. */
static bool note_fault(struct cpu *cpu, const struct cpu_fault *fault)
{
    uint64_t pending = cpu->dr6_pending;
    bool resume = !fault->is_trap;

    cpu->dr6_pending = 0; /* another exception drops the trap that waits */
    if (fault->vector == X86_PF) {
        cpu->x.cr2 = fault->address;
    } else if (fault->vector == X86_DB) {
        /* An instruction breakpoint is a fault without RF: the handler sets it itself. */
        resume = pending & X86_DR6_BD;
        note_debug(cpu, pending);
    }
    return resume;
}

enum step cpu_deliver_fault(struct cpu *cpu)
{
    struct cpu_fault fault = cpu->fault;

    for (unsigned round = 0;; round++) {
        struct event ev = {
            .vector = fault.vector,
            .has_error = fault.has_error,
            .error = fault.error,
            .external = true,
            .resume = note_fault(cpu, &fault),
        };
        enum step step;

        cpu->counters.faults_injected++;
        cpu->counters.page_faults += fault.vector == X86_PF;
        trace(cpu_exception, fault.vector, fault.error, cpu->x.gpr[X86_RIP], cpu->x.cr2);
        step = deliver(cpu, &ev);
        if (likely(step != STEP_FAULT))
            return step;
        if (fault.vector == X86_DF)
            return shut_down(cpu);
        if (round < MAX_NESTED && !doubles(fault.vector, cpu->fault.vector)) {
            fault = cpu->fault;
            continue;
        }
        if (cpu->fault.vector == X86_PF)
            cpu->x.cr2 = cpu->fault.address;
        fault = (struct cpu_fault){.vector = X86_DF, .has_error = true};
    }
}

enum step cpu_deliver_debug_trap(struct cpu *cpu)
{
    cpu->fault = (struct cpu_fault){.vector = X86_DB, .is_trap = true};
    return cpu_deliver_fault(cpu);
}

enum step cpu_deliver_interrupt(struct cpu *cpu, uint8_t vector)
{
    const struct event ev = {.vector = vector, .external = true};
    enum step step;

    cpu->counters.interrupts_injected++;
    trace(cpu_interrupt, vector, cpu->x.gpr[X86_RIP]);
    step = deliver(cpu, &ev);
    return likely(step != STEP_FAULT) ? step : cpu_deliver_fault(cpu);
}

enum step cpu_deliver_nmi(struct cpu *cpu)
{
    cpu->nmi_blocked = true;
    return cpu_deliver_interrupt(cpu, X86_NMI);
}

enum step deliver_software(struct cpu *cpu, uint8_t vector, bool privileged)
{
    const struct event ev = {
        .vector = vector,
        .privileged = privileged,
        .external = !privileged,
    };

    trace(cpu_interrupt, vector, cpu->x.gpr[X86_RIP]);
    return deliver(cpu, &ev);
}

enum step deliver_int1(struct cpu *cpu)
{
    uint64_t waiting = cpu->dr6_pending;
    enum step step;

    /* What its own pushes meet comes at the handler's first instruction. */
    cpu->dr6_pending = 0;
    step = deliver_software(cpu, X86_DB, false);
    if (step == STEP_JUMP)
        note_debug(cpu, waiting);
    return step;
}

/*
 * Far JMP, CALL and RET: to code segments, through call gates with their change of stack, to task
 * gates and TSSs, and in real and virtual-8086 mode.
 * Source: SDM 2 "JMP", "CALL", "RET"; SDM 3 "Privilege Level Checking When Transferring Program
 * Control Between Code Segments".
 */
#include "engine/interp/segment_ops.h"

#include "engine/soft/access.h"
#include "engine/soft/task.h"
#include "engine/soft/transfer.h"

struct far_target {
    uint64_t offset;
    uint16_t selector;
    uint8_t width; /* operand size in bytes: also of what CALL pushes */
    bool call;
};

static enum step raise_gp(struct cpu *cpu, uint16_t selector)
{
    return cpu_raise_error(cpu, X86_GP, selector_error(selector));
}

/* Pushes the return address of a CALL. */
static enum step push_return(struct cpu *cpu, struct stack_frame *frame, unsigned width)
{
    enum step step = stack_frame_push(cpu, frame, cpu->x.seg[X86_CS].selector, width);

    return step ? step : stack_frame_push(cpu, frame, cpu->x.gpr[X86_RIP], width);
}

static enum step far_real(struct cpu *cpu, const struct far_target *to)
{
    struct stack_frame frame;
    enum step step = STEP_NEXT;

    stack_frame_current(cpu, &frame);
    if (to->call)
        step = push_return(cpu, &frame, to->width);
    if (step)
        return step;
    if (to->offset > cpu->x.seg[X86_CS].limit)
        return cpu_raise_error(cpu, X86_GP, 0);
    stack_frame_commit_rsp(cpu, &frame);
    cpu->x.gpr[X86_RIP] = to->offset;
    segment_load_real(cpu, X86_CS, to->selector);
    return STEP_JUMP;
}

/* Ends a transfer that keeps the privilege level and the stack. */
static enum step enter_same(struct cpu *cpu, const struct far_target *to, struct descriptor *d,
                            uint64_t rip, unsigned width)
{
    struct x86_segment cs = x86_segment_parse(d->low, d->selector);
    struct stack_frame frame;
    enum step step = STEP_NEXT;

    stack_frame_current(cpu, &frame);
    if (to->call)
        step = push_return(cpu, &frame, width);
    if (!step && !transfer_target_valid(cpu, &cs, rip))
        step = cpu_raise_error(cpu, X86_GP, 0);
    if (!step)
        step = descriptor_set_accessed(cpu, d);
    if (step)
        return step;
    if (to->call)
        stack_frame_commit_rsp(cpu, &frame);
    transfer_commit_code(cpu, d, cpu->cpl, rip);
    cpu_update_mode(cpu);
    return STEP_JUMP;
}

static enum step far_code(struct cpu *cpu, const struct far_target *to, struct descriptor *d)
{
    unsigned dpl = x86_attr_dpl(d->attr);
    bool allowed = x86_attr_is_conforming(d->attr)
                       ? dpl <= cpu->cpl
                       : dpl == cpu->cpl && x86_selector_rpl(to->selector) <= cpu->cpl;

    if (!allowed || !transfer_code_bits_valid(cpu, d->attr))
        return raise_gp(cpu, to->selector);
    if (!x86_attr_present(d->attr))
        return cpu_raise_error(cpu, X86_NP, selector_error(to->selector));
    return enter_same(cpu, to, d, to->offset, to->width);
}

/* Moves a legacy gate's parameters from the caller's stack to the inner one. */
static enum step copy_params(struct cpu *cpu, struct stack_frame *inner, unsigned count,
                             unsigned width)
{
    uint64_t values[31];
    struct stack_frame outer;
    enum step step = STEP_NEXT;

    stack_frame_current(cpu, &outer);
    for (unsigned i = 0; !step && i < count; i++)
        step = stack_frame_pop(cpu, &outer, &values[i], width);
    while (!step && count)
        step = stack_frame_push(cpu, inner, values[--count], width);
    return step;
}

/* A CALL through a gate to a more privileged level. */
static enum step enter_inner(struct cpu *cpu, const struct x86_gate *gate, struct descriptor *d,
                             unsigned width)
{
    unsigned dpl = x86_attr_dpl(d->attr);
    bool flat = cpu_long_mode(cpu);
    struct x86_segment cs = x86_segment_parse(d->low, gate->selector);
    struct stack_frame frame;
    enum step step = transfer_inner_stack(cpu, dpl, flat, &frame);

    if (!step)
        step = stack_frame_push(cpu, &frame, cpu->x.seg[X86_SS].selector, width);
    if (!step)
        step = stack_frame_push(cpu, &frame, cpu->x.gpr[X86_RSP], width);
    if (!step)
        step = copy_params(cpu, &frame, gate->params, width);
    if (!step)
        step = push_return(cpu, &frame, width);
    if (!step && !transfer_target_valid(cpu, &cs, gate->offset))
        step = cpu_raise_error(cpu, X86_GP, 0);
    if (!step)
        step = descriptor_set_accessed(cpu, d);
    if (step)
        return step;
    cpu->x.seg[X86_SS] = frame.ss;
    stack_frame_commit_rsp(cpu, &frame);
    transfer_commit_code(cpu, d, dpl, gate->offset);
    cpu_update_mode(cpu);
    return STEP_JUMP;
}

static enum step far_call_gate(struct cpu *cpu, const struct far_target *to, struct descriptor *d)
{
    bool wide = cpu_long_mode(cpu);
    unsigned width = wide ? 8 : x86_attr_system_wide(d->attr) ? 4 : 2;
    struct x86_gate gate;
    enum step step = STEP_NEXT;

    if (!x86_attr_present(d->attr))
        return cpu_raise_error(cpu, X86_NP, selector_error(to->selector));
    if (wide)
        step = descriptor_read_high(cpu, X86_GP, d);
    if (step)
        return step;
    if (wide && bits_get(d->high, 44, 40))
        return raise_gp(cpu, to->selector);
    gate = wide ? x86_gate_parse_wide(d->low, d->high) : x86_gate_parse(d->low);
    step = transfer_gate_code(cpu, gate.selector, d);
    if (step)
        return step;
    if (x86_attr_is_conforming(d->attr) || x86_attr_dpl(d->attr) == cpu->cpl)
        return enter_same(cpu, to, d, gate.offset, width);
    if (to->call)
        return enter_inner(cpu, &gate, d, width);
    return raise_gp(cpu, gate.selector); /* a JMP never changes the level */
}

static enum step far_task(struct cpu *cpu, const struct far_target *to, struct descriptor *d)
{
    enum task_cause cause = to->call ? TASK_CALL : TASK_JMP;
    uint16_t selector = to->selector;
    struct descriptor tss;
    enum step step;

    if (x86_attr_is_system(d->attr, X86_TASK_GATE)) {
        if (!x86_attr_present(d->attr))
            return cpu_raise_error(cpu, X86_NP, selector_error(selector));
        selector = x86_gate_parse(d->low).selector;
    }
    step = task_find(cpu, selector, cause, &tss);
    return step ? step : task_switch(cpu, &tss, cause, cpu_rflags(cpu) & ~X86_FLAG_RF);
}

static enum step far_system(struct cpu *cpu, const struct far_target *to, struct descriptor *d)
{
    unsigned dpl = x86_attr_dpl(d->attr);
    bool long_mode = cpu_long_mode(cpu);

    if (dpl < cpu->cpl || dpl < x86_selector_rpl(to->selector))
        return raise_gp(cpu, to->selector);
    if (x86_attr_is_system(d->attr, X86_CALL_GATE) ||
        (!long_mode && x86_attr_is_system(d->attr, X86_CALL_GATE16)))
        return far_call_gate(cpu, to, d);
    if (!long_mode && (x86_attr_is_tss(d->attr) || x86_attr_is_system(d->attr, X86_TASK_GATE)))
        return far_task(cpu, to, d);
    return raise_gp(cpu, to->selector);
}

static enum step far_transfer(struct cpu *cpu, const struct far_target *to)
{
    struct descriptor d;
    enum step step;

    if (cpu_real_or_vm86(cpu))
        return far_real(cpu, to);
    if (x86_selector_null(to->selector))
        return cpu_raise_error(cpu, X86_GP, 0);
    step = descriptor_read(cpu, to->selector, X86_GP, &d);
    if (step)
        return step;
    if (x86_attr_is_code(d.attr))
        return far_code(cpu, to, &d);
    return d.attr & X86_SEG_S ? raise_gp(cpu, to->selector) : far_system(cpu, to, &d);
}

/* The far pointer of an instruction: in the instruction or in memory. */
static enum step far_operand(struct cpu *cpu, const struct op *op, struct far_target *to)
{
    uint64_t at;
    enum step step;

    to->width = op->size;
    to->offset = 0;
    if (!(op->flags & OP_MEM)) {
        to->offset = op->imm;
        to->selector = op->aux;
        return STEP_NEXT;
    }
    at = op_offset(cpu, op);
    step = seg_read(cpu, op->seg, at, &to->offset, op->size);
    if (step)
        return step;
    return seg_read(cpu, op->seg, (at + op->size) & op->addr_mask, &to->selector, 2);
}

enum step op_jmp_far(struct cpu *cpu, const struct op *op)
{
    struct far_target to = {.call = false};
    enum step step = far_operand(cpu, op, &to);

    return step ? step : far_transfer(cpu, &to);
}

enum step op_call_far(struct cpu *cpu, const struct op *op)
{
    struct far_target to = {.call = true};
    enum step step = far_operand(cpu, op, &to);

    return step ? step : far_transfer(cpu, &to);
}

static enum step ret_real(struct cpu *cpu, struct stack_frame *frame, uint64_t rip,
                          uint16_t selector)
{
    if (rip > cpu->x.seg[X86_CS].limit)
        return cpu_raise_error(cpu, X86_GP, 0);
    stack_frame_commit_rsp(cpu, frame);
    cpu->x.gpr[X86_RIP] = rip;
    segment_load_real(cpu, X86_CS, selector);
    return STEP_JUMP;
}

/* RETF in protected and long mode; the frame stands behind CS:RIP and the released bytes. */
static enum step ret_protected(struct cpu *cpu, const struct op *op, struct stack_frame *frame,
                               struct transfer_return *to)
{
    uint64_t ss = 0;
    enum step step = STEP_NEXT;

    to->stack = transfer_goes_out(cpu, to->cs);
    if (to->stack) {
        step = stack_frame_pop(cpu, frame, &to->rsp, op->size);
        if (!step)
            step = stack_frame_pop(cpu, frame, &ss, op->size);
        to->ss = (uint16_t)ss;
    }
    if (!step)
        step = transfer_return(cpu, to);
    if (step)
        return step;
    cpu_update_mode(cpu);
    if (to->stack) /* the parameters lie on the outer stack too */
        stack_frame_current(cpu, frame);
    if (to->stack)
        stack_frame_release(frame, op->imm);
    stack_frame_commit_rsp(cpu, frame);
    return STEP_JUMP;
}

enum step op_ret_far(struct cpu *cpu, const struct op *op)
{
    struct transfer_return to = {0};
    struct stack_frame frame;
    uint64_t cs = 0;
    enum step step;

    stack_frame_current(cpu, &frame);
    step = stack_frame_pop(cpu, &frame, &to.rip, op->size);
    if (!step)
        step = stack_frame_pop(cpu, &frame, &cs, op->size);
    if (step)
        return step;
    to.cs = (uint16_t)cs;
    stack_frame_release(&frame, op->imm);
    if (cpu_real_or_vm86(cpu))
        return ret_real(cpu, &frame, to.rip, to.cs);
    return ret_protected(cpu, op, &frame, &to);
}

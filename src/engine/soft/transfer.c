/* The common parts of control transfers between segments. See transfer.h. */
#include "engine/soft/transfer.h"

#include "engine/soft/access.h"

/* Where a TSS keeps its stacks (SDM 3 "Task-State Segment", "64-Bit TSS"). */
#define TSS16_STACKS 2  /* SP, SS: 4 bytes a level */
#define TSS32_STACKS 4  /* ESP, SS and padding: 8 bytes a level */
#define TSS64_STACKS 4  /* RSP: 8 bytes a level */
#define TSS64_IST    36 /* IST1 */

void stack_frame_current(const struct cpu *cpu, struct stack_frame *frame)
{
    *frame = (struct stack_frame){
        .ss = cpu->x.seg[X86_SS],
        .rsp = cpu->x.gpr[X86_RSP],
        .mask = cpu->stack_mask,
        .flat = cpu->long64,
        .user = cpu->cpl == 3,
    };
}

void stack_frame_new(struct stack_frame *frame, const struct x86_segment *ss, uint64_t rsp,
                     unsigned dpl, bool flat)
{
    *frame = (struct stack_frame){
        .ss = *ss,
        .rsp = rsp,
        .mask = flat ? UINT64_MAX : x86_stack_mask(ss),
        .error = selector_error(ss->selector),
        .flat = flat,
        .user = dpl == 3,
    };
}

static enum step frame_linear(struct cpu *cpu, const struct stack_frame *frame, uint64_t offset,
                              unsigned width, gva_t *linear)
{
    bool fits;

    if (frame->flat) {
        *linear = offset;
        fits = x86_canonical(offset) && x86_canonical(offset + width - 1);
    } else {
        *linear = (uint32_t)(frame->ss.base + offset);
        fits = !(frame->ss.attr & X86_SEG_UNUSABLE) && x86_segment_holds(&frame->ss, offset, width);
    }
    return likely(fits) ? STEP_NEXT : cpu_raise_error(cpu, X86_SS_FAULT, frame->error);
}

enum step stack_frame_push(struct cpu *cpu, struct stack_frame *frame, uint64_t value,
                           unsigned width)
{
    uint64_t top = (frame->rsp - width) & frame->mask;
    gva_t linear;
    enum step step = frame_linear(cpu, frame, top, width, &linear);

    if (!step)
        step = lin_write_as(cpu, frame->user, linear, &value, width);
    if (!step)
        frame->rsp = (frame->rsp & ~frame->mask) | top;
    return step;
}

enum step stack_frame_pop(struct cpu *cpu, struct stack_frame *frame, uint64_t *value,
                          unsigned width)
{
    gva_t linear;
    enum step step = frame_linear(cpu, frame, frame->rsp & frame->mask, width, &linear);

    *value = 0;
    if (!step)
        step = lin_read_as(cpu, frame->user, linear, value, width);
    if (!step)
        stack_frame_release(frame, width);
    return step;
}

void stack_frame_release(struct stack_frame *frame, uint64_t count)
{
    frame->rsp = (frame->rsp & ~frame->mask) | ((frame->rsp + count) & frame->mask);
}

void stack_frame_commit_rsp(struct cpu *cpu, const struct stack_frame *frame)
{
    uint64_t *rsp = &cpu->x.gpr[X86_RSP];

    if (frame->mask == 0xffff)
        *rsp = (*rsp & ~frame->mask) | (frame->rsp & frame->mask);
    else
        *rsp = frame->rsp & frame->mask;
}

/* Reads from the current TSS; outside its limit #TS names TR. */
static enum step tss_read(struct cpu *cpu, uint32_t offset, void *value, unsigned size)
{
    const struct x86_segment *tr = &cpu->x.seg[X86_TR];

    if ((uint64_t)offset + size - 1 > tr->limit)
        return cpu_raise_error(cpu, X86_TS, selector_error(tr->selector));
    return sys_read(cpu, table_linear(cpu, tr->base, offset), value, size);
}

static enum step inner_stack64(struct cpu *cpu, unsigned dpl, struct stack_frame *frame)
{
    struct x86_segment ss = x86_segment_null((uint16_t)dpl, dpl);
    uint64_t rsp;
    enum step step = tss_read(cpu, TSS64_STACKS + 8 * dpl, &rsp, 8);

    if (step)
        return step;
    if (unlikely(!x86_canonical(rsp)))
        return cpu_raise_error(cpu, X86_SS_FAULT, 0);
    stack_frame_new(frame, &ss, rsp, dpl, true);
    return STEP_NEXT;
}

enum step transfer_inner_stack(struct cpu *cpu, unsigned dpl, bool flat, struct stack_frame *frame)
{
    struct x86_segment ss;
    uint32_t esp = 0;
    uint16_t selector = 0;
    unsigned width = x86_attr_system_wide(cpu->x.seg[X86_TR].attr) ? 4 : 2;
    uint32_t offset = width == 4 ? TSS32_STACKS + 8 * dpl : TSS16_STACKS + 4 * dpl;
    enum step step;

    if (flat)
        return inner_stack64(cpu, dpl, frame);
    step = tss_read(cpu, offset, &esp, width);
    if (!step)
        step = tss_read(cpu, offset + width, &selector, 2);
    if (!step)
        step = segment_fetch_stack(cpu, selector, dpl, X86_TS, &ss);
    if (!step)
        stack_frame_new(frame, &ss, esp, dpl, false);
    return step;
}

enum step transfer_ist_stack(struct cpu *cpu, unsigned ist, uint64_t *rsp)
{
    enum step step = tss_read(cpu, TSS64_IST + 8 * (ist - 1), rsp, 8);

    if (!step && !x86_canonical(*rsp))
        return cpu_raise_error(cpu, X86_SS_FAULT, 0);
    return step;
}

enum step transfer_gate_code(struct cpu *cpu, uint16_t selector, struct descriptor *d)
{
    enum step step;

    if (unlikely(x86_selector_null(selector)))
        return cpu_raise_error(cpu, X86_GP, 0);
    step = descriptor_read(cpu, selector, X86_GP, d);
    if (unlikely(step))
        return step;
    if (!x86_attr_is_code(d->attr) || x86_attr_dpl(d->attr) > cpu->cpl ||
        (cpu_long_mode(cpu) && (d->attr & (X86_SEG_L | X86_SEG_DB)) != X86_SEG_L))
        return cpu_raise_error(cpu, X86_GP, selector_error(selector));
    if (!x86_attr_present(d->attr))
        return cpu_raise_error(cpu, X86_NP, selector_error(selector));
    return STEP_NEXT;
}

bool transfer_code_bits_valid(const struct cpu *cpu, uint16_t attr)
{
    return !cpu_long_mode(cpu) || (attr & (X86_SEG_L | X86_SEG_DB)) != (X86_SEG_L | X86_SEG_DB);
}

bool transfer_target_valid(const struct cpu *cpu, const struct x86_segment *cs, uint64_t rip)
{
    if (cpu_long_mode(cpu) && x86_attr_is_long(cs->attr))
        return x86_canonical(rip);
    return rip <= cs->limit;
}

void transfer_commit_code(struct cpu *cpu, const struct descriptor *d, unsigned cpl, uint64_t rip)
{
    uint16_t selector = (uint16_t)((d->selector & ~X86_SELECTOR_RPL) | cpl);

    cpu->x.seg[X86_CS] = x86_segment_parse(d->low, selector);
    cpu->cpl = (uint8_t)cpl;
    cpu->x.gpr[X86_RIP] = rip;
}

static enum step return_code(struct cpu *cpu, uint16_t selector, struct descriptor *d)
{
    unsigned rpl = x86_selector_rpl(selector);
    unsigned dpl;
    enum step step;

    if (unlikely(x86_selector_null(selector)))
        return cpu_raise_error(cpu, X86_GP, 0);
    step = descriptor_read(cpu, selector, X86_GP, d);
    if (unlikely(step))
        return step;
    dpl = x86_attr_dpl(d->attr);
    if (unlikely(!x86_attr_is_code(d->attr) || rpl < cpu->cpl ||
                 (x86_attr_is_conforming(d->attr) ? dpl > rpl : dpl != rpl) ||
                 !transfer_code_bits_valid(cpu, d->attr)))
        return cpu_raise_error(cpu, X86_GP, selector_error(selector));
    if (unlikely(!x86_attr_present(d->attr)))
        return cpu_raise_error(cpu, X86_NP, selector_error(selector));
    return STEP_NEXT;
}

/* SS may be null on the way to 64-bit code of levels 0 to 2. */
static enum step return_stack(struct cpu *cpu, const struct transfer_return *to, bool to64,
                              struct x86_segment *ss)
{
    unsigned rpl = x86_selector_rpl(to->cs);

    if (unlikely(x86_selector_null(to->ss)) && to64 && rpl != 3 &&
        x86_selector_rpl(to->ss) == rpl) {
        *ss = x86_segment_null(to->ss, rpl);
        return STEP_NEXT;
    }
    return segment_fetch_stack(cpu, to->ss, rpl, X86_GP, ss);
}

static void return_set_stack(struct cpu *cpu, const struct transfer_return *to, bool to64,
                             const struct x86_segment *ss)
{
    struct stack_frame frame;

    stack_frame_new(&frame, ss, to->rsp, 0, to64);
    stack_frame_commit_rsp(cpu, &frame);
    cpu->x.seg[X86_SS] = *ss;
}

enum step transfer_return(struct cpu *cpu, const struct transfer_return *to)
{
    bool outer = transfer_goes_out(cpu, to->cs);
    struct x86_segment cs, ss;
    struct descriptor d;
    bool to64;
    enum step step = return_code(cpu, to->cs, &d);

    if (unlikely(step))
        return step;
    to64 = cpu_long_mode(cpu) && x86_attr_is_long(d.attr);
    if (to->stack)
        step = return_stack(cpu, to, to64, &ss);
    if (unlikely(step))
        return step;
    cs = x86_segment_parse(d.low, to->cs);
    if (unlikely(!transfer_target_valid(cpu, &cs, to->rip)))
        return cpu_raise_error(cpu, X86_GP, 0);
    step = descriptor_set_accessed(cpu, &d);
    if (unlikely(step))
        return step;
    transfer_commit_code(cpu, &d, x86_selector_rpl(to->cs), to->rip);
    if (to->stack)
        return_set_stack(cpu, to, to64, &ss);
    if (outer)
        segment_drop_privileged(cpu, cpu->cpl);
    return STEP_NEXT;
}

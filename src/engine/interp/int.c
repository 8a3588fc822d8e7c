/*
 * INT n, INT3, INT1, INTO and IRET in every mode.
 * Source: SDM 2 "INT n/INTO/INT3/INT1", "IRET/IRETD/IRETQ"; SDM 3 "Interrupt and Exception
 * Handling in Virtual-8086 Mode" (with the VME methods 5 and 6).
 */
#include "engine/interp/segment_ops.h"

#include "engine/soft/access.h"
#include "engine/soft/deliver.h"
#include "engine/soft/task.h"
#include "engine/soft/transfer.h"

#define TSS32_IOMAP    0x66 /* offset of the I/O map; the interrupt map ends where it begins */
#define REDIRECT_BYTES 32

/* What IRET may change whatever the level, by operand size. */
#define IRET_FLAGS16 (X86_FLAGS_ARITH | X86_FLAG_TF | X86_FLAG_DF | X86_FLAG_NT)
#define IRET_FLAGS32 (IRET_FLAGS16 | X86_FLAG_RF | X86_FLAG_AC | X86_FLAG_ID)

/* Whether VME's map sends an interrupt of virtual-8086 mode to the 8086 program itself. */
static enum step vme_redirects(struct cpu *cpu, uint8_t vector, bool *redirects)
{
    const struct x86_segment *tr = &cpu->x.seg[X86_TR];
    uint16_t iomap;
    uint32_t at;
    uint8_t byte;
    enum step step;

    *redirects = false;
    if (!(cpu->x.cr4 & X86_CR4_VME) || !x86_attr_system_wide(tr->attr) ||
        tr->limit < TSS32_IOMAP + 1)
        return STEP_NEXT;
    step = sys_read(cpu, table_linear(cpu, tr->base, TSS32_IOMAP), &iomap, 2);
    if (step)
        return step;
    at = (uint32_t)iomap - REDIRECT_BYTES + vector / 8;
    if (iomap < REDIRECT_BYTES || at > tr->limit)
        return cpu_raise_error(cpu, X86_GP, 0);
    step = sys_read(cpu, table_linear(cpu, tr->base, at), &byte, 1);
    *redirects = !step && !(byte >> (vector % 8) & 1);
    return step;
}

/* An interrupt that stays inside the 8086 program: below IOPL 3 it sees VIF as its IF. */
static enum step int_redirected(struct cpu *cpu, uint8_t vector)
{
    bool virtual = cpu_iopl(cpu) < 3;
    uint64_t flags = cpu_rflags(cpu);
    enum step step;

    if (virtual) {
        flags &= ~X86_FLAG_IF;
        flags |= X86_FLAG_IOPL | (flags & X86_FLAG_VIF ? X86_FLAG_IF : 0);
    }
    step = deliver_through_ivt(cpu, vector, 0, (uint16_t)flags);
    if (step != STEP_JUMP)
        return step;
    cpu->x.rflags &= ~(X86_FLAG_TF | X86_FLAG_RF | (virtual ? X86_FLAG_VIF : X86_FLAG_IF));
    cpu_update_mode(cpu);
    return STEP_JUMP;
}

enum step op_int(struct cpu *cpu, const struct op *op)
{
    uint8_t vector = (uint8_t)op->imm;
    bool redirects;

    if (cpu_vm86(cpu)) {
        enum step step = vme_redirects(cpu, vector, &redirects);

        if (step)
            return step;
        if (redirects)
            return int_redirected(cpu, vector);
        if (cpu_iopl(cpu) < 3)
            return cpu_raise_error(cpu, X86_GP, 0);
    }
    return deliver_software(cpu, vector, true);
}

enum step op_int3(struct cpu *cpu, const struct op *op)
{
    return deliver_software(cpu, X86_BP, true);
}

enum step op_int1(struct cpu *cpu, const struct op *op)
{
    return deliver_int1(cpu);
}

enum step op_into(struct cpu *cpu, const struct op *op)
{
    return cpu_rflags(cpu) & X86_FLAG_OF ? deliver_software(cpu, X86_OF, true) : STEP_NEXT;
}

/* The flags that an IRET started at the current level may change. */
static uint64_t iret_flags(const struct cpu *cpu, unsigned width)
{
    uint64_t changes = width == 2 ? IRET_FLAGS16 : IRET_FLAGS32;

    if (cpu->cpl <= cpu_iopl(cpu))
        changes |= X86_FLAG_IF;
    if (cpu->cpl == 0)
        changes |= X86_FLAG_IOPL;
    if (cpu->cpl == 0 && width > 2)
        changes |= X86_FLAG_VIF | X86_FLAG_VIP;
    return changes;
}

static uint64_t merge_flags(const struct cpu *cpu, uint64_t popped, uint64_t changes)
{
    return (cpu_rflags(cpu) & ~changes) | (popped & changes) | X86_FLAG_ONE;
}

/* Real mode, and virtual-8086 mode with IOPL 3 (where IOPL itself is kept). */
static enum step iret_real(struct cpu *cpu, struct stack_frame *frame, const uint64_t *popped,
                           unsigned width)
{
    uint64_t changes = iret_flags(cpu, width) & ~(X86_FLAG_VIF | X86_FLAG_VIP);

    if (popped[0] > cpu->x.seg[X86_CS].limit)
        return cpu_raise_error(cpu, X86_GP, 0);
    stack_frame_commit_rsp(cpu, frame);
    cpu->x.gpr[X86_RIP] = popped[0];
    segment_load_real(cpu, X86_CS, (uint16_t)popped[1]);
    return transfer_finish(cpu, merge_flags(cpu, popped[2], changes));
}

/* Virtual-8086 mode below IOPL 3 with VME: the program's IF is VIF. */
static enum step iret_vme(struct cpu *cpu, struct stack_frame *frame, const uint64_t *popped)
{
    bool enable = popped[2] & X86_FLAG_IF;
    uint64_t flags;

    if ((enable && cpu->x.rflags & X86_FLAG_VIP) || popped[2] & X86_FLAG_TF ||
        popped[0] > cpu->x.seg[X86_CS].limit)
        return cpu_raise_error(cpu, X86_GP, 0);
    stack_frame_commit_rsp(cpu, frame);
    cpu->x.gpr[X86_RIP] = popped[0];
    segment_load_real(cpu, X86_CS, (uint16_t)popped[1]);
    flags = merge_flags(cpu, popped[2], IRET_FLAGS16) & ~X86_FLAG_VIF;
    return transfer_finish(cpu, enable ? flags | X86_FLAG_VIF : flags);
}

static enum step iret_legacy(struct cpu *cpu, struct stack_frame *frame, const uint64_t *popped,
                             unsigned width)
{
    if (!cpu_vm86(cpu) || cpu_iopl(cpu) == 3)
        return iret_real(cpu, frame, popped, width);
    if (cpu->x.cr4 & X86_CR4_VME && width == 2)
        return iret_vme(cpu, frame, popped);
    return cpu_raise_error(cpu, X86_GP, 0);
}

/* Level 0 goes back to an 8086 program: ESP, SS, ES, DS, FS and GS follow on the stack. */
static enum step iret_to_vm86(struct cpu *cpu, struct stack_frame *frame, const uint64_t *popped)
{
    static const uint8_t order[] = {X86_SS, X86_ES, X86_DS, X86_FS, X86_GS};
    uint64_t esp, selector[ARRAY_SIZE(order)];
    enum step step = stack_frame_pop(cpu, frame, &esp, 4);

    for (size_t i = 0; !step && i < ARRAY_SIZE(order); i++)
        step = stack_frame_pop(cpu, frame, &selector[i], 4);
    if (step)
        return step;
    if ((uint32_t)popped[0] > 0xffff)
        return cpu_raise_error(cpu, X86_GP, 0);
    cpu->x.gpr[X86_RIP] = popped[0];
    cpu->x.gpr[X86_RSP] = esp;
    cpu->x.seg[X86_CS] = segment_vm86((uint16_t)popped[1]);
    for (size_t i = 0; i < ARRAY_SIZE(order); i++)
        cpu->x.seg[order[i]] = segment_vm86((uint16_t)selector[i]);
    cpu->cpl = 3;
    return transfer_finish(cpu, (uint32_t)popped[2] | X86_FLAG_ONE);
}

/* NT is set: back to the task whose TSS the current one links to. */
static enum step iret_task(struct cpu *cpu)
{
    struct descriptor tss;
    uint16_t link;
    enum step step = sys_read(cpu, table_linear(cpu, cpu->x.seg[X86_TR].base, 0), &link, 2);

    if (!step)
        step = task_find(cpu, link, TASK_IRET, &tss);
    return step ? step : task_switch(cpu, &tss, TASK_IRET, cpu_rflags(cpu) & ~X86_FLAG_RF);
}

/* The end of every IRET between code segments. frame holds what follows RFLAGS on the stack. */
static enum step iret_protected(struct cpu *cpu, struct stack_frame *frame, const uint64_t *popped,
                                unsigned width)
{
    struct transfer_return to = {.rip = popped[0], .cs = (uint16_t)popped[1]};
    uint64_t flags = merge_flags(cpu, popped[2], iret_flags(cpu, width));
    uint64_t ss = 0;
    enum step step = STEP_NEXT;

    to.stack = cpu->long64 || transfer_goes_out(cpu, to.cs);
    if (to.stack) {
        step = stack_frame_pop(cpu, frame, &to.rsp, width);
        if (!step)
            step = stack_frame_pop(cpu, frame, &ss, width);
        to.ss = (uint16_t)ss;
    }
    if (!step)
        step = transfer_return(cpu, &to);
    if (step)
        return step;
    if (!to.stack)
        stack_frame_commit_rsp(cpu, frame);
    return transfer_finish(cpu, flags);
}

/* IRETQ of 64-bit code, the one that is hot: the whole frame in one read. */
static enum step iret_long(struct cpu *cpu)
{
    uint64_t frame[5]; /* RIP, CS, RFLAGS, RSP, SS */
    struct transfer_return to;
    uint64_t flags;
    enum step step = seg_read(cpu, X86_SS, cpu->x.gpr[X86_RSP], frame, sizeof frame);

    if (unlikely(step))
        return step;
    to = (struct transfer_return){
        .rip = frame[0],
        .rsp = frame[3],
        .cs = (uint16_t)frame[1],
        .ss = (uint16_t)frame[4],
        .stack = true,
    };
    flags = merge_flags(cpu, frame[2], iret_flags(cpu, 8));
    step = transfer_return(cpu, &to);
    if (unlikely(step))
        return step;
    return transfer_finish(cpu, flags);
}

enum step op_iret(struct cpu *cpu, const struct op *op)
{
    struct stack_frame frame;
    uint64_t popped[3]; /* RIP, CS, RFLAGS */
    enum step step = STEP_NEXT;

    cpu->nmi_blocked = false; /* even should it fault (SDM 3 "Handling Multiple NMIs") */
    if (cpu_protected(cpu) && unlikely(cpu->x.rflags & X86_FLAG_NT))
        return cpu_long_mode(cpu) ? cpu_raise_error(cpu, X86_GP, 0) : iret_task(cpu);
    if (cpu->long64 && op->size == 8)
        return iret_long(cpu);
    stack_frame_current(cpu, &frame);
    for (unsigned i = 0; !step && i < ARRAY_SIZE(popped); i++)
        step = stack_frame_pop(cpu, &frame, &popped[i], op->size);
    if (step)
        return step;
    if (cpu_real_or_vm86(cpu))
        return iret_legacy(cpu, &frame, popped, op->size);
    if (popped[2] & X86_FLAG_VM && cpu->cpl == 0 && !cpu_long_mode(cpu) && op->size == 4)
        return iret_to_vm86(cpu, &frame, popped);
    return iret_protected(cpu, &frame, popped, op->size);
}

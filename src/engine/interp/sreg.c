/*
 * Moves between segment registers and registers, memory or the stack, and LDS and its like.
 * Source: SDM 2 "MOV", "PUSH", "POP", "LDS/LES/LFS/LGS/LSS".
 */
#include "engine/interp/segment_ops.h"

#include "engine/soft/access.h"
#include "engine/soft/segment.h"

/* A load of SS keeps interrupts and debug traps away until RSP has been loaded too. */
static void shadow_after_ss(struct cpu *cpu, unsigned seg)
{
    if (seg == X86_SS) {
        cpu->interrupt_shadow = true;
        cpu->debug_shadow = true;
    }
}

static enum step load(struct cpu *cpu, unsigned seg, uint16_t selector)
{
    enum step step = segment_load(cpu, seg, selector);

    if (!step)
        shadow_after_ss(cpu, seg);
    return step;
}

enum step op_mov_to_sreg(struct cpu *cpu, const struct op *op)
{
    uint16_t selector;

    if (op->flags & OP_MEM) {
        enum step step = op_read(cpu, op, &selector, 2);

        if (step)
            return step;
    } else {
        selector = CPU_REG(cpu, uint16_t, op->src);
    }
    return load(cpu, op->dst, selector);
}

enum step op_mov_from_sreg(struct cpu *cpu, const struct op *op)
{
    uint16_t selector = cpu->x.seg[op->src].selector;

    if (op->flags & OP_MEM)
        return op_write(cpu, op, &selector, 2);
    if (op->size == 2)
        CPU_REG(cpu, uint16_t, op->dst) = selector;
    else
        CPU_REG(cpu, uint64_t, op->dst) = selector;
    return STEP_NEXT;
}

enum step op_push_sreg(struct cpu *cpu, const struct op *op)
{
    /* Zero-extended, as AMD and early Intel processors do; later ones leave the upper bytes. */
    uint64_t selector = cpu->x.seg[op->src].selector;

    return stack_push(cpu, &selector, op->size);
}

enum step op_pop_sreg(struct cpu *cpu, const struct op *op)
{
    uint64_t *rsp = &cpu->x.gpr[X86_RSP];
    uint64_t mask = cpu->stack_mask; /* of the stack popped from, should SS be loaded */
    uint64_t top = *rsp & mask;
    uint64_t value = 0;
    enum step step = seg_read(cpu, X86_SS, top, &value, op->size);

    if (!step)
        step = load(cpu, op->dst, (uint16_t)value);
    if (!step)
        *rsp = (*rsp & ~mask) | ((top + op->size) & mask);
    return step;
}

enum step op_load_far_pointer(struct cpu *cpu, const struct op *op)
{
    uint64_t offset = op_offset(cpu, op);
    uint64_t value = 0;
    uint16_t selector;
    enum step step = seg_read(cpu, op->seg, offset, &value, op->size);

    if (!step)
        step = seg_read(cpu, op->seg, (offset + op->size) & op->addr_mask, &selector, 2);
    /* Unlike MOV SS, LSS loads RSP itself and so needs no shadow. */
    if (!step)
        step = segment_load(cpu, op->src, selector);
    if (step)
        return step;
    if (op->size == 2)
        CPU_REG(cpu, uint16_t, op->dst) = (uint16_t)value;
    else
        CPU_REG(cpu, uint64_t, op->dst) = value;
    return STEP_NEXT;
}

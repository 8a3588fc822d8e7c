/*
 * Descriptor table registers, LDTR and TR, and the instructions that probe descriptors.
 * Source: SDM 2 "LGDT/LIDT", "SGDT", "SIDT", "LLDT", "LTR", "SLDT", "STR", "LAR", "LSL",
 * "VERR/VERW", "ARPL".
 */
#include "engine/interp/segment_ops.h"

#include "engine/interp/operand.h"
#include "engine/soft/segment.h"

/* The access rights that LAR gives: the descriptor's second dword without its base. */
#define LAR_MASK 0x00ffff00

static void set_zf(struct cpu *cpu, bool zf)
{
    cpu->arith = zf ? cpu->arith | ARITH_ZF : cpu->arith & ~ARITH_ZF;
}

static void write_register(struct cpu *cpu, const struct op *op, uint64_t value)
{
    if (op->size == 2)
        CPU_REG(cpu, uint16_t, op->dst) = (uint16_t)value;
    else
        CPU_REG(cpu, uint64_t, op->dst) = value;
}

/* The 16-bit operand of LLDT, LTR, VERR and so on. */
static enum step read_selector(struct cpu *cpu, const struct op *op, uint16_t *selector)
{
    if (op->flags & OP_MEM)
        return op_read(cpu, op, selector, 2);
    *selector = CPU_REG(cpu, uint16_t, op->src);
    return STEP_NEXT;
}

/* LGDT and LIDT: 64-bit mode takes 8 bytes of base, a 16-bit operand size only 3. */
static enum step load_table(struct cpu *cpu, const struct op *op, struct x86_table_register *table)
{
    uint64_t at = op_offset(cpu, op);
    uint64_t base = 0;
    uint16_t limit;
    enum step step;

    if (cpu->cpl)
        return cpu_raise_error(cpu, X86_GP, 0);
    step = seg_read(cpu, op->seg, at, &limit, 2);
    if (!step)
        step = seg_read(cpu, op->seg, (at + 2) & op->addr_mask, &base, cpu->long64 ? 8 : 4);
    if (step)
        return step;
    if (cpu->long64 && !x86_canonical(base))
        return cpu_raise_error(cpu, X86_GP, 0);
    table->base = op->size == 2 && !cpu->long64 ? base & 0xffffff : base;
    table->limit = limit;
    return STEP_NEXT;
}

/* User mode instruction prevention covers SGDT, SIDT, SLDT, STR (and SMSW). */
static bool umip_forbids(const struct cpu *cpu)
{
    return cpu->x.cr4 & X86_CR4_UMIP && cpu->cpl;
}

static enum step store_table(struct cpu *cpu, const struct op *op,
                             const struct x86_table_register *table)
{
    uint64_t at = op_offset(cpu, op);
    unsigned size = cpu->long64 ? 8 : 4;
    gva_t linear;
    enum step step;

    if (umip_forbids(cpu))
        return cpu_raise_error(cpu, X86_GP, 0);
    /* The base first: when the second part faults the first must not have been stored. */
    step = seg_linear(cpu, op->seg, at, 2, true, &linear);
    if (!step)
        step = lin_probe(cpu, linear, 2, true);
    if (!step)
        step = seg_write(cpu, op->seg, (at + 2) & op->addr_mask, &table->base, size);
    return step ? step : lin_write(cpu, linear, &table->limit, 2);
}

enum step op_lgdt(struct cpu *cpu, const struct op *op)
{
    return load_table(cpu, op, &cpu->x.gdtr);
}

enum step op_lidt(struct cpu *cpu, const struct op *op)
{
    return load_table(cpu, op, &cpu->x.idtr);
}

enum step op_sgdt(struct cpu *cpu, const struct op *op)
{
    return store_table(cpu, op, &cpu->x.gdtr);
}

enum step op_sidt(struct cpu *cpu, const struct op *op)
{
    return store_table(cpu, op, &cpu->x.idtr);
}

static enum step load_system(struct cpu *cpu, const struct op *op,
                             enum step (*load)(struct cpu *cpu, uint16_t selector))
{
    uint16_t selector;
    enum step step;

    if (cpu_real_or_vm86(cpu))
        return cpu_raise(cpu, X86_UD);
    if (cpu->cpl)
        return cpu_raise_error(cpu, X86_GP, 0);
    step = read_selector(cpu, op, &selector);
    return step ? step : load(cpu, selector);
}

enum step op_lldt(struct cpu *cpu, const struct op *op)
{
    return load_system(cpu, op, segment_load_ldtr);
}

enum step op_ltr(struct cpu *cpu, const struct op *op)
{
    return load_system(cpu, op, segment_load_tr);
}

static enum step store_system(struct cpu *cpu, const struct op *op, unsigned seg)
{
    uint16_t selector = cpu->x.seg[seg].selector;

    if (cpu_real_or_vm86(cpu))
        return cpu_raise(cpu, X86_UD);
    if (umip_forbids(cpu))
        return cpu_raise_error(cpu, X86_GP, 0);
    if (op->flags & OP_MEM)
        return op_write(cpu, op, &selector, 2);
    write_register(cpu, op, selector);
    return STEP_NEXT;
}

enum step op_sldt(struct cpu *cpu, const struct op *op)
{
    return store_system(cpu, op, X86_LDTR);
}

enum step op_str(struct cpu *cpu, const struct op *op)
{
    return store_system(cpu, op, X86_TR);
}

/*
 * Reads the descriptor that LAR, LSL, VERR or VERW asks about; *visible: it exists and the
 * privilege levels let the program see it.
 */
static enum step probe(struct cpu *cpu, const struct op *op, struct descriptor *d, bool *visible)
{
    uint16_t selector;
    enum step step;

    *visible = false;
    if (cpu_real_or_vm86(cpu))
        return cpu_raise(cpu, X86_UD);
    step = read_selector(cpu, op, &selector);
    if (step || x86_selector_null(selector) || !descriptor_in_table(cpu, selector, false))
        return step;
    step = descriptor_read(cpu, selector, X86_GP, d);
    *visible = !step && x86_attr_reachable(d->attr, cpu->cpl, x86_selector_rpl(selector));
    return step;
}

/* Whether LAR (gates too) or LSL accepts a descriptor of this kind. */
static bool kind_valid(const struct cpu *cpu, uint16_t attr, bool gates)
{
    const uint32_t legacy = BIT(X86_TSS16_AVAIL) | BIT(X86_LDT) | BIT(X86_TSS16_BUSY) |
                            BIT(X86_TSS_AVAIL) | BIT(X86_TSS_BUSY);
    const uint32_t legacy_gates = BIT(X86_CALL_GATE16) | BIT(X86_TASK_GATE) | BIT(X86_CALL_GATE);
    const uint32_t wide = BIT(X86_LDT) | BIT(X86_TSS_AVAIL) | BIT(X86_TSS_BUSY);
    uint32_t valid;

    if (attr & X86_SEG_S)
        return true;
    if (cpu_long_mode(cpu))
        valid = gates ? wide | BIT(X86_CALL_GATE) : wide;
    else
        valid = gates ? legacy | legacy_gates : legacy;
    return valid >> (attr & X86_SEG_TYPE) & 1;
}

enum step op_lar(struct cpu *cpu, const struct op *op)
{
    struct descriptor d;
    bool visible;
    enum step step = probe(cpu, op, &d, &visible);

    if (step)
        return step;
    visible = visible && kind_valid(cpu, d.attr, true);
    set_zf(cpu, visible);
    if (visible)
        write_register(cpu, op, (d.low >> 32) & LAR_MASK);
    return STEP_NEXT;
}

enum step op_lsl(struct cpu *cpu, const struct op *op)
{
    struct descriptor d;
    bool visible;
    enum step step = probe(cpu, op, &d, &visible);

    if (step)
        return step;
    visible = visible && kind_valid(cpu, d.attr, false);
    set_zf(cpu, visible);
    if (visible)
        write_register(cpu, op, x86_segment_parse(d.low, d.selector).limit);
    return STEP_NEXT;
}

enum step op_verr(struct cpu *cpu, const struct op *op)
{
    struct descriptor d;
    bool visible;
    enum step step = probe(cpu, op, &d, &visible);

    if (!step)
        set_zf(cpu, visible && x86_attr_is_readable(d.attr));
    return step;
}

enum step op_verw(struct cpu *cpu, const struct op *op)
{
    struct descriptor d;
    bool visible;
    enum step step = probe(cpu, op, &d, &visible);

    if (!step)
        set_zf(cpu, visible && x86_attr_is_writable(d.attr));
    return step;
}

enum step op_arpl(struct cpu *cpu, const struct op *op)
{
    uint16_t selector = CPU_REG(cpu, uint16_t, op->dst);
    uint16_t rpl = CPU_REG(cpu, uint16_t, op->src) & X86_SELECTOR_RPL;
    enum step step = STEP_NEXT;
    bool raise;

    if (cpu_real_or_vm86(cpu))
        return cpu_raise(cpu, X86_UD);
    if (op->flags & OP_MEM)
        step = op_read(cpu, op, &selector, sizeof(selector));
    if (step)
        return step;
    raise = x86_selector_rpl(selector) < rpl;
    /* Processors write nothing where nothing changes: a read-only operand will do then. */
    if (raise) {
        selector = (uint16_t)((selector & ~X86_SELECTOR_RPL) | rpl);
        if (op->flags & OP_MEM)
            step = op_write(cpu, op, &selector, sizeof(selector));
        else
            CPU_REG(cpu, uint16_t, op->dst) = selector;
    }
    if (!step)
        set_zf(cpu, raise);
    return step;
}

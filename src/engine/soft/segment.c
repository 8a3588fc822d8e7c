/* Segment registers and descriptor tables. See segment.h. */
#include "engine/soft/segment.h"

#include "engine/soft/access.h"

/* A data segment as virtual-8086 mode has it: present, DPL 3, writable, accessed. */
#define ATTR_VM86 (X86_SEG_P | X86_SEG_DPL | X86_SEG_S | X86_SEG_WRITE | X86_SEG_ACCESSED)

static enum step raise_selector(struct cpu *cpu, enum x86_vector vector, uint16_t selector)
{
    return cpu_raise_error(cpu, vector, selector_error(selector));
}

bool descriptor_in_table(const struct cpu *cpu, uint16_t selector, bool wide)
{
    const struct x86_segment *ldt = &cpu->x.seg[X86_LDTR];
    uint32_t last = (selector & X86_SELECTOR_INDEX) + (wide ? 15 : 7);

    if (selector & X86_SELECTOR_LDT)
        return !(ldt->attr & X86_SEG_UNUSABLE) && last <= ldt->limit;
    return last <= cpu->x.gdtr.limit;
}

static gva_t descriptor_address(const struct cpu *cpu, uint16_t selector)
{
    uint64_t base = selector & X86_SELECTOR_LDT ? cpu->x.seg[X86_LDTR].base : cpu->x.gdtr.base;

    return table_linear(cpu, base, selector & X86_SELECTOR_INDEX);
}

enum step descriptor_read(struct cpu *cpu, uint16_t selector, enum x86_vector vector,
                          struct descriptor *d)
{
    enum step step;

    if (!descriptor_in_table(cpu, selector, false))
        return raise_selector(cpu, vector, selector);
    d->selector = selector;
    d->address = descriptor_address(cpu, selector);
    step = sys_read(cpu, d->address, &d->low, 8);
    d->high = 0;
    d->attr = step ? 0 : x86_descriptor_attr(d->low);
    return step;
}

enum step descriptor_read_high(struct cpu *cpu, enum x86_vector vector, struct descriptor *d)
{
    if (!descriptor_in_table(cpu, d->selector, true))
        return raise_selector(cpu, vector, d->selector);
    return sys_read(cpu, d->address + 8, &d->high, 8);
}

static enum step write_rights(struct cpu *cpu, struct descriptor *d, uint16_t attr)
{
    uint8_t rights = (uint8_t)attr;
    enum step step;

    step = sys_write(cpu, d->address + X86_DESCRIPTOR_RIGHTS_BYTE, &rights, 1);
    if (step)
        return step;
    d->attr = attr;
    d->low = (d->low & ~((uint64_t)0xff << 40)) | (uint64_t)rights << 40;
    return STEP_NEXT;
}

enum step descriptor_set_accessed(struct cpu *cpu, struct descriptor *d)
{
    if (likely(d->attr & X86_SEG_ACCESSED))
        return STEP_NEXT;
    return write_rights(cpu, d, d->attr | X86_SEG_ACCESSED);
}

enum step descriptor_set_busy(struct cpu *cpu, struct descriptor *d, bool busy)
{
    return write_rights(cpu, d, busy ? d->attr | 0x2 : d->attr & ~0x2);
}

struct x86_segment segment_vm86(uint16_t selector)
{
    return (struct x86_segment){
        .base = (uint64_t)selector << 4,
        .limit = 0xffff,
        .selector = selector,
        .attr = ATTR_VM86,
    };
}

void segment_load_real(struct cpu *cpu, unsigned seg, uint16_t selector)
{
    struct x86_segment *reg = &cpu->x.seg[seg];

    if (cpu_vm86(cpu)) {
        *reg = segment_vm86(selector);
    } else if (reg->attr & X86_SEG_UNUSABLE) {
        /* Left null by protected mode: give it what RESET gives. */
        *reg = segment_vm86(selector);
        reg->attr &= ~X86_SEG_DPL;
    } else {
        /* Real mode keeps limit and rights: that is what makes big real mode work. */
        reg->selector = selector;
        reg->base = (uint64_t)selector << 4;
    }
    cpu_update_mode(cpu);
}

enum step segment_fetch_stack(struct cpu *cpu, uint16_t selector, unsigned dpl,
                              enum x86_vector vector, struct x86_segment *ss)
{
    struct descriptor d;
    enum step step;

    if (x86_selector_null(selector))
        return cpu_raise_error(cpu, vector, 0);
    step = descriptor_read(cpu, selector, vector, &d);
    if (step)
        return step;
    if (x86_selector_rpl(selector) != dpl || x86_attr_dpl(d.attr) != dpl ||
        !x86_attr_is_writable(d.attr))
        return raise_selector(cpu, vector, selector);
    if (!x86_attr_present(d.attr))
        return raise_selector(cpu, X86_SS_FAULT, selector);
    step = descriptor_set_accessed(cpu, &d);
    if (!step)
        *ss = x86_segment_parse(d.low, selector);
    return step;
}

static enum step fetch_data(struct cpu *cpu, uint16_t selector, struct x86_segment *seg)
{
    struct descriptor d;
    enum step step = descriptor_read(cpu, selector, X86_GP, &d);

    if (step)
        return step;
    if (!x86_attr_is_readable(d.attr) ||
        !x86_attr_reachable(d.attr, cpu->cpl, x86_selector_rpl(selector)))
        return raise_selector(cpu, X86_GP, selector);
    if (!x86_attr_present(d.attr))
        return raise_selector(cpu, X86_NP, selector);
    step = descriptor_set_accessed(cpu, &d);
    if (!step)
        *seg = x86_segment_parse(d.low, selector);
    return step;
}

enum step segment_load(struct cpu *cpu, unsigned seg, uint16_t selector)
{
    struct x86_segment loaded;
    enum step step = STEP_NEXT;

    if (cpu_real_or_vm86(cpu)) {
        segment_load_real(cpu, seg, selector);
        return STEP_NEXT;
    }
    if (!x86_selector_null(selector)) {
        step = seg == X86_SS ? segment_fetch_stack(cpu, selector, cpu->cpl, X86_GP, &loaded)
                             : fetch_data(cpu, selector, &loaded);
    } else if (seg != X86_SS) {
        /* Intel clears FS and GS base here; AMD keeps them. */
        loaded = x86_segment_null(selector, 0);
    } else if (cpu->long64 && cpu->cpl < 3 && x86_selector_rpl(selector) == cpu->cpl) {
        loaded = x86_segment_null(selector, cpu->cpl);
    } else {
        return cpu_raise_error(cpu, X86_GP, 0);
    }
    if (step)
        return step;
    cpu->x.seg[seg] = loaded;
    cpu_update_mode(cpu);
    return STEP_NEXT;
}

/* A system descriptor of the GDT, whole: 16 bytes in long mode. */
static enum step fetch_system(struct cpu *cpu, uint16_t selector, struct descriptor *d)
{
    enum step step;

    if (selector & X86_SELECTOR_LDT)
        return raise_selector(cpu, X86_GP, selector);
    step = descriptor_read(cpu, selector, X86_GP, d);
    if (!step && cpu_long_mode(cpu))
        step = descriptor_read_high(cpu, X86_GP, d);
    return step;
}

/* The type field of the upper half of a 16-byte descriptor must be zero. */
static bool high_half_valid(const struct cpu *cpu, const struct descriptor *d)
{
    return !cpu_long_mode(cpu) || !bits_get(d->high, 44, 40);
}

enum step segment_load_ldtr(struct cpu *cpu, uint16_t selector)
{
    struct x86_segment loaded;
    struct descriptor d;
    enum step step;

    if (x86_selector_null(selector)) {
        cpu->x.seg[X86_LDTR] = x86_segment_null(selector, 0);
        return STEP_NEXT;
    }
    step = fetch_system(cpu, selector, &d);
    if (step)
        return step;
    if (!x86_attr_is_system(d.attr, X86_LDT) || !high_half_valid(cpu, &d))
        return raise_selector(cpu, X86_GP, selector);
    if (!x86_attr_present(d.attr))
        return raise_selector(cpu, X86_NP, selector);
    loaded = x86_segment_parse_wide(d.low, d.high, selector);
    if (cpu_long_mode(cpu) && !x86_canonical(loaded.base))
        return raise_selector(cpu, X86_GP, selector);
    cpu->x.seg[X86_LDTR] = loaded;
    return STEP_NEXT;
}

enum step segment_load_tr(struct cpu *cpu, uint16_t selector)
{
    struct x86_segment loaded;
    struct descriptor d;
    enum step step;

    if (x86_selector_null(selector))
        return cpu_raise_error(cpu, X86_GP, 0);
    step = fetch_system(cpu, selector, &d);
    if (step)
        return step;
    if (!x86_attr_is_tss(d.attr) || x86_attr_tss_busy(d.attr) || !high_half_valid(cpu, &d) ||
        (cpu_long_mode(cpu) && !x86_attr_system_wide(d.attr)))
        return raise_selector(cpu, X86_GP, selector);
    if (!x86_attr_present(d.attr))
        return raise_selector(cpu, X86_NP, selector);
    loaded = x86_segment_parse_wide(d.low, d.high, selector);
    if (cpu_long_mode(cpu) && !x86_canonical(loaded.base))
        return raise_selector(cpu, X86_GP, selector);
    step = descriptor_set_busy(cpu, &d, true);
    if (step)
        return step;
    loaded.attr = d.attr;
    cpu->x.seg[X86_TR] = loaded;
    return STEP_NEXT;
}

void segment_drop_privileged(struct cpu *cpu, unsigned cpl)
{
    static const uint8_t data[] = {X86_ES, X86_DS, X86_FS, X86_GS};

    for (size_t i = 0; i < ARRAY_SIZE(data); i++) {
        struct x86_segment *seg = &cpu->x.seg[data[i]];

        uint64_t base = seg->base;

        if (seg->attr & X86_SEG_UNUSABLE) {
            seg->selector = 0; /* of the null selectors 0 to 3 */
        } else if (!x86_attr_is_conforming(seg->attr) && x86_seg_dpl(seg) < cpl) {
            *seg = x86_segment_null(0, 0);
            seg->base = base; /* 64-bit code goes on with it, be FS and GS null or not */
        }
    }
}

/* Descriptors and gates, parsed. See descriptor.h. */
#include "x86/descriptor.h"

struct x86_segment x86_segment_parse(uint64_t low, uint16_t selector)
{
    uint32_t limit = (low & 0xffff) | ((low >> 32) & 0xf0000);
    struct x86_segment seg = {
        .base = bits_get(low, 39, 16) | bits_get(low, 63, 56) << 24,
        .selector = selector,
        .attr = x86_descriptor_attr(low),
    };

    seg.limit = seg.attr & X86_SEG_G ? limit << 12 | 0xfff : limit;
    return seg;
}

struct x86_segment x86_segment_parse_wide(uint64_t low, uint64_t high, uint16_t selector)
{
    struct x86_segment seg = x86_segment_parse(low, selector);

    seg.base |= high << 32;
    return seg;
}

struct x86_segment x86_segment_null(uint16_t selector, unsigned dpl)
{
    return (struct x86_segment){
        .selector = selector,
        .attr = (uint16_t)(X86_SEG_UNUSABLE | dpl << X86_SEG_DPL_SHIFT),
    };
}

struct x86_gate x86_gate_parse(uint64_t low)
{
    struct x86_gate gate = {
        .selector = (uint16_t)(low >> 16),
        .type = bits_get(low, 44, 40),
        .dpl = bits_get(low, 46, 45),
        .params = bits_get(low, 36, 32),
        .present = bits_get(low, 47, 47),
    };

    if (gate.type == X86_TASK_GATE)
        return gate;
    gate.offset = low & 0xffff;
    if (gate.type & 0x8)
        gate.offset |= bits_get(low, 63, 48) << 16;
    return gate;
}

struct x86_gate x86_gate_parse_wide(uint64_t low, uint64_t high)
{
    return (struct x86_gate){
        .offset = (low & 0xffff) | bits_get(low, 63, 48) << 16 | high << 32,
        .selector = (uint16_t)(low >> 16),
        .type = bits_get(low, 44, 40),
        .dpl = bits_get(low, 46, 45),
        .ist = bits_get(low, 34, 32),
        .present = bits_get(low, 47, 47),
    };
}

bool x86_segment_holds(const struct x86_segment *seg, uint64_t offset, unsigned size)
{
    uint64_t last = offset + size - 1;
    uint64_t top;

    if (!x86_attr_is_data(seg->attr) || !(seg->attr & X86_SEG_DOWN))
        return last <= seg->limit;
    top = seg->attr & X86_SEG_DB ? 0xffffffff : 0xffff;
    return offset > seg->limit && last <= top;
}

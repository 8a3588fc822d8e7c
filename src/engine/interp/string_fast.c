/*
 * Repeated MOVS and STOS by the piece: as many elements as lie on one page at either end, with one
 * check for all of them. Only upwards (DF = 0), and only where both pages are in the TLB and no
 * segment limit is in the way; the caller does everything else element by element.
 */
#include "engine/interp/string.h"

/* How many elements from this linear address on lie whole on its page. */
static uint64_t elements_on_page(gva_t linear, unsigned size)
{
    return (PAGE_SIZE - (linear & ~PAGE_MASK)) / size;
}

/* How many elements from this offset on the address size reaches without wrapping. */
static uint64_t elements_before_wrap(uint64_t offset, uint64_t mask, unsigned size)
{
    return mask == UINT64_MAX ? UINT64_MAX : (mask - offset + 1) / size;
}

/* One end of the copy: its linear address; false if its segment needs a closer look. */
static bool piece_linear(const struct cpu *cpu, const struct op *op, unsigned seg, unsigned reg,
                         gva_t *linear)
{
    uint32_t flat = reg == X86_RDI ? cpu->seg_flat_write : cpu->seg_flat_read;

    *linear = (cpu->seg_base[seg] + string_get(cpu, op, reg)) & cpu->linear_mask;
    return flat >> seg & 1;
}

/*
 * A legacy segment with a limit: the piece is cut at the limit of a segment that expands up. Rights
 * were checked by the element before this one, which is why the caller has done one already.
 */
static uint64_t elements_before_limit(struct cpu *cpu, const struct op *op, unsigned seg,
                                      unsigned reg, unsigned size)
{
    const struct x86_segment *s = &cpu->x.seg[seg];
    uint64_t offset = string_get(cpu, op, reg);
    bool down = (s->attr & (X86_SEG_CODE | X86_SEG_DOWN)) == X86_SEG_DOWN;

    if ((down && !cpu->legacy_real) || offset > s->limit)
        return 0;
    if (seg_check(cpu, seg, offset, size, reg == X86_RDI))
        return 0;
    return ((uint64_t)s->limit - offset + 1) / size;
}

/* The limit on a piece from one end, after its page, its segment and wrapping. */
static uint64_t piece_limit(struct cpu *cpu, const struct op *op, unsigned seg, unsigned reg,
                            unsigned size)
{
    gva_t linear;
    bool flat = piece_linear(cpu, op, seg, reg, &linear);
    uint64_t limit = elements_on_page(linear, size);

    limit = MIN(limit, elements_before_wrap(string_get(cpu, op, reg), op->addr_mask, size));
    if (!flat)
        limit = MIN(limit, elements_before_limit(cpu, op, seg, reg, size));
    return limit;
}

/*
 * Copies upwards as a loop over elements does: where the destination begins inside the source, what
 * was written is read again.
 */
static void copy_up(uint8_t *to, const uint8_t *from, size_t bytes, unsigned size)
{
    if (to <= from || to >= from + bytes) {
        memmove(to, from, bytes);
        return;
    }
    for (size_t i = 0; i < bytes; i += size) {
        uint64_t element;

        memcpy(&element, from + i, size);
        memcpy(to + i, &element, size);
    }
}

uint64_t string_fast_movs(struct cpu *cpu, const struct op *op, unsigned size, uint64_t limit)
{
    gva_t from, to;
    const void *source;
    void *target;

    limit = MIN(limit, string_get(cpu, op, X86_RCX));
    limit = MIN(limit, piece_limit(cpu, op, op->seg, X86_RSI, size));
    limit = MIN(limit, piece_limit(cpu, op, X86_ES, X86_RDI, size));
    if (limit < 2)
        return 0;
    piece_linear(cpu, op, op->seg, X86_RSI, &from);
    piece_linear(cpu, op, X86_ES, X86_RDI, &to);
    source = tlb_read_host(cpu, from, (unsigned)limit * size);
    target = tlb_write_host(cpu, to, (unsigned)limit * size);
    if (!source || !target)
        return 0;
    copy_up(target, source, limit * size, size);
    string_advance(cpu, op, X86_RSI, limit * size);
    string_advance(cpu, op, X86_RDI, limit * size);
    return limit;
}

static void fill(uint8_t *to, uint64_t value, size_t count, unsigned size)
{
    switch (size) {
    case 1: memset(to, (int)value, count); break;
    case 2:
        for (size_t i = 0; i < count; i++)
            PLACE(uint16_t, to + 2 * i) = (uint16_t)value;
        break;
    case 4:
        for (size_t i = 0; i < count; i++)
            PLACE(uint32_t, to + 4 * i) = (uint32_t)value;
        break;
    default:
        for (size_t i = 0; i < count; i++)
            PLACE(uint64_t, to + 8 * i) = value;
        break;
    }
}

uint64_t string_fast_stos(struct cpu *cpu, const struct op *op, unsigned size, uint64_t limit)
{
    gva_t to;
    void *target;

    limit = MIN(limit, string_get(cpu, op, X86_RCX));
    limit = MIN(limit, piece_limit(cpu, op, X86_ES, X86_RDI, size));
    if (limit < 2)
        return 0;
    piece_linear(cpu, op, X86_ES, X86_RDI, &to);
    target = tlb_write_host(cpu, to, (unsigned)limit * size);
    if (!target)
        return 0;
    fill(target, cpu->x.gpr[X86_RAX], limit, size);
    string_advance(cpu, op, X86_RDI, limit * size);
    return limit;
}

/*
 * The slow path of guest memory accesses: segment checks, canonical and alignment checks, data
 * breakpoints, TLB fills, straddled pages, MMIO, and writes that somebody must be told of.
 * Specification: SDM 3 "Protection" (limit, type and privilege checks), "Alignment Check
 * Exception", "Debug Registers".
 */
#include "engine/soft/access.h"

#include "base/assert.h"
#include "engine/soft/debug.h"
#include "engine/soft/paging.h"
#include "x86/debug_regs.h"

#define MAX_ACCESS_BYTES 64

static enum step segment_fault(struct cpu *cpu, unsigned seg)
{
    return cpu_raise_error(cpu, seg == X86_SS ? X86_SS_FAULT : X86_GP, 0);
}

enum step seg_check(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned size, bool write)
{
    const struct x86_segment *s = &cpu->x.seg[seg];
    uint64_t last = offset + (size - 1);

    if (cpu->long64)
        return STEP_NEXT; /* canonical form is looked at on a TLB miss */
    if (!cpu->legacy_real) {
        if (s->attr & X86_SEG_UNUSABLE)
            return segment_fault(cpu, seg);
        if (s->attr & X86_SEG_CODE) {
            if (write || !(s->attr & X86_SEG_READ))
                return segment_fault(cpu, seg);
        } else if (write && !(s->attr & X86_SEG_WRITE)) {
            return segment_fault(cpu, seg);
        }
        if (!(s->attr & X86_SEG_CODE) && (s->attr & X86_SEG_DOWN)) {
            uint64_t top = s->attr & X86_SEG_DB ? UINT32_MAX : UINT16_MAX;

            if (offset <= s->limit || last > top || last < offset)
                return segment_fault(cpu, seg);
            return STEP_NEXT;
        }
    }
    if (last > s->limit || last < offset)
        return segment_fault(cpu, seg);
    return STEP_NEXT;
}

enum step access_fault_of_segment(struct cpu *cpu, unsigned seg, enum step step)
{
    if (step == STEP_FAULT && cpu->fault.vector == X86_GP && seg == X86_SS)
        cpu->fault.vector = X86_SS_FAULT;
    return step;
}

/* Notes the data breakpoints that an access hits; they trap afterwards. */
static void check_data_breakpoints(struct cpu *cpu, gva_t linear, unsigned size, bool write)
{
    uint64_t dr7 = cpu->x.dr[7];

    for (unsigned i = 0; i < X86_BREAKPOINTS; i++) {
        enum x86_breakpoint_kind kind = x86_breakpoint_kind(dr7, i);
        unsigned bytes = x86_breakpoint_bytes(dr7, i);
        gva_t at = ALIGN_DOWN(cpu->x.dr[i], bytes);

        if (!x86_breakpoint_enabled(dr7, i))
            continue;
        if (kind != X86_BREAK_ACCESS && !(kind == X86_BREAK_WRITE && write))
            continue;
        if (linear < at + bytes && at < linear + size)
            cpu_pend_debug(cpu, BIT(i));
    }
}

/* What an explicit address has to be, before any translation. */
static enum step check_address(struct cpu *cpu, gva_t linear, unsigned size)
{
    ASSERT(size >= 1 && size <= MAX_ACCESS_BYTES, "an access has 1 to 64 bytes");
    if (cpu->long64 && (!x86_canonical(linear) || !x86_canonical(linear + (size - 1))))
        return cpu_raise_error(cpu, X86_GP, 0);
    if (likely(cpu->tlb != cpu->tlb_tables[TLB_NEVER]))
        return STEP_NEXT;
    if (cpu->cpl == 3 && (cpu->x.cr0 & X86_CR0_AM) && (cpu->x.rflags & X86_FLAG_AC) && size <= 8 &&
        (size & (size - 1)) == 0 && (linear & (size - 1)))
        return cpu_raise_error(cpu, X86_AC, 0);
    return STEP_NEXT;
}

/* What comes before any translation of an explicit access. */
static enum step check_access(struct cpu *cpu, gva_t linear, unsigned size, bool write)
{
    enum step step = check_address(cpu, linear, size);

    if (!step && unlikely(cpu->tlb == cpu->tlb_tables[TLB_NEVER]))
        check_data_breakpoints(cpu, linear, size, write);
    return step;
}

/*
 * Begins the exit that an access to MMIO is. Under shadow paging that was a page fault, which has
 * been counted; here its time goes on.
 */
static struct cpu *mmio_exit_begin(struct cpu *cpu, gpa_t gpa)
{
    if (!cpu->shadow)
        return cpu_exit_begin(cpu, (struct exit){.reason = EXIT_EPT_MISCONFIG, .gpa = gpa});
    if (unlikely(cpu->host.host_ns))
        exit_time_begin(cpu, EXIT_EXCEPTION_NMI);
    return cpu;
}

/* Reads or writes MMIO in pieces that the bus takes. */
static void mmio_read(struct cpu *cpu, gpa_t gpa, uint8_t *value, unsigned size)
{
    while (size > 0) {
        unsigned width = engine_bus_piece(size);
        uint64_t v;

        exit_scope struct cpu *timed = mmio_exit_begin(cpu, gpa);
        v = cpu->host.mmio_read(cpu->host.opaque, gpa, width);
        memcpy(value, &v, width);
        value += width;
        gpa += width;
        size -= width;
    }
}

static void mmio_write(struct cpu *cpu, gpa_t gpa, const uint8_t *value, unsigned size)
{
    while (size > 0) {
        unsigned width = engine_bus_piece(size);
        uint64_t v = 0;

        exit_scope struct cpu *timed = mmio_exit_begin(cpu, gpa);
        memcpy(&v, value, width);
        cpu->host.mmio_write(cpu->host.opaque, gpa, width, v);
        value += width;
        gpa += width;
        size -= width;
    }
}

/* One or two pages' worth of an access. */
struct pieces {
    struct translation part[2];
    unsigned bytes[2]; /* the second is 0 within one page */
};

/* Translates both pages before anything is touched. */
static enum step translate_pieces(struct cpu *cpu, enum tlb_kind kind, gva_t linear, unsigned size,
                                  enum access_kind access, struct pieces *pieces)
{
    unsigned room = (unsigned)(PAGE_SIZE - (linear & ~PAGE_MASK));
    /* Above 4 GiB only 64-bit code and system accesses of compatibility mode come here. */
    uint64_t mask = linear > UINT32_MAX ? UINT64_MAX : cpu->linear_mask;
    gva_t second = (linear + room) & mask;
    enum step step;

    pieces->bytes[0] = MIN(size, room);
    pieces->bytes[1] = size - pieces->bytes[0];
    step = paging_translate(cpu, kind, linear & mask, access, &pieces->part[0]);
    if (step || pieces->bytes[1] == 0)
        return step;
    return paging_translate(cpu, kind, second, access, &pieces->part[1]);
}

static enum step read_as(struct cpu *cpu, enum tlb_kind kind, gva_t linear, void *value,
                         unsigned size)
{
    struct pieces pieces;
    uint8_t *to = value;
    enum step step = translate_pieces(cpu, kind, linear, size, ACCESS_READ, &pieces);

    if (step)
        return step;
    debug_accessed(cpu, linear, size, true, false);
    for (unsigned i = 0; i < 2; i++) {
        if (pieces.bytes[i] == 0)
            break;
        if (pieces.part[i].host)
            memcpy(to, pieces.part[i].host, pieces.bytes[i]);
        else
            mmio_read(cpu, pieces.part[i].gpa, to, pieces.bytes[i]);
        to += pieces.bytes[i];
    }
    return STEP_NEXT;
}

static void write_piece(struct cpu *cpu, const struct translation *part, const uint8_t *from,
                        unsigned bytes)
{
    if (part->rom)
        return;
    if (!part->host) {
        mmio_write(cpu, part->gpa, from, bytes);
        return;
    }
    memcpy(part->host, from, bytes);
    if (part->watched)
        mem_mark_written(cpu->mem, part->gpa, bytes);
}

static enum step write_as(struct cpu *cpu, enum tlb_kind kind, gva_t linear, const void *value,
                          unsigned size)
{
    struct pieces pieces;
    const uint8_t *from = value;
    enum step step = translate_pieces(cpu, kind, linear, size, ACCESS_WRITE, &pieces);

    if (step)
        return step;
    debug_accessed(cpu, linear, size, false, true);
    if (likely(pieces.bytes[1] == 0)) {
        write_piece(cpu, &pieces.part[0], from, size);
        return STEP_NEXT;
    }
    /* The second page's translation may have made a guest's table of the first. */
    pieces.part[0].watched |= mem_write_is_told(cpu->mem, pieces.part[0].gpa);
    write_piece(cpu, &pieces.part[0], from, pieces.bytes[0]);
    write_piece(cpu, &pieces.part[1], from + pieces.bytes[0], pieces.bytes[1]);
    return STEP_NEXT;
}

enum step access_slow_read(struct cpu *cpu, gva_t linear, void *value, unsigned size)
{
    enum step step = check_access(cpu, linear, size, false);

    return step ? step : read_as(cpu, cpu->tlb_kind, linear, value, size);
}

enum step access_slow_write(struct cpu *cpu, gva_t linear, const void *value, unsigned size)
{
    enum step step = check_access(cpu, linear, size, true);

    return step ? step : write_as(cpu, cpu->tlb_kind, linear, value, size);
}

enum step access_slow_rmw_open(struct cpu *cpu, gva_t linear, unsigned size, struct access_rmw *rmw)
{
    struct pieces pieces;
    uint8_t *to = (uint8_t *)rmw->copy;
    enum step step;

    ASSERT(size <= sizeof(rmw->copy), "a read-modify-write has at most 16 bytes");
    step = check_access(cpu, linear, size, true);
    if (!step)
        step = translate_pieces(cpu, cpu->tlb_kind, linear, size, ACCESS_WRITE, &pieces);
    if (step)
        return step;
    debug_accessed(cpu, linear, size, true, true);
    if (pieces.bytes[1] == 0 && pieces.part[0].host && !pieces.part[0].watched) {
        rmw->host = pieces.part[0].host;
        rmw->direct = true;
        return STEP_NEXT;
    }
    *rmw = (struct access_rmw){.host = rmw->copy, .size = (uint8_t)size, .linear = linear};
    for (unsigned i = 0; i < 2 && pieces.bytes[i]; i++) {
        const struct translation *part = &pieces.part[i];

        rmw->gpa[i] = part->gpa;
        /* ROM has no host pointer for writes, yet reads as memory. */
        if (part->host || part->rom)
            mem_read(cpu->mem, part->gpa, to, pieces.bytes[i]);
        else
            mmio_read(cpu, part->gpa, to, pieces.bytes[i]);
        to += pieces.bytes[i];
    }
    return STEP_NEXT;
}

void access_slow_rmw_close(struct cpu *cpu, struct access_rmw *rmw)
{
    unsigned room = (unsigned)(PAGE_SIZE - (rmw->linear & ~PAGE_MASK));
    unsigned first = MIN(rmw->size, room);
    unsigned bytes[2] = {first, rmw->size - first};
    const uint8_t *from = rmw->host;

    for (unsigned i = 0; i < 2 && bytes[i]; i++) {
        if (mem_find_slot(cpu->mem, rmw->gpa[i]))
            mem_write(cpu->mem, rmw->gpa[i], from, bytes[i]);
        else
            mmio_write(cpu, rmw->gpa[i], from, bytes[i]);
        from += bytes[i];
    }
}

/* Implicit supervisor accesses ignore AC: SMAP holds for them whenever CR4 has it. */
static enum tlb_kind system_kind(const struct cpu *cpu)
{
    return cpu->x.cr4 & X86_CR4_SMAP ? TLB_SUPER_SMAP : TLB_SUPER;
}

/* The host address in a given table of the TLB, or NULL. */
static void *host_in(const struct cpu *cpu, enum tlb_kind kind, gva_t linear, unsigned size,
                     bool write)
{
    const struct tlb_entry *e = &cpu->tlb_tables[kind][tlb_index(cpu, linear)];
    uint64_t tag = write ? e->write : e->read;

    if (tag == (linear & PAGE_MASK) && (linear & ~PAGE_MASK) <= PAGE_SIZE - size)
        return (void *)(uintptr_t)(e->host + (linear & ~PAGE_MASK));
    return NULL;
}

/* System accesses in legacy modes wrap at 32 bits; in long mode (compatibility too) they do not. */
static gva_t system_linear(const struct cpu *cpu, gva_t linear)
{
    return cpu->x.msr.efer & X86_EFER_LMA ? linear : (uint32_t)linear;
}

static enum step kind_read(struct cpu *cpu, enum tlb_kind kind, gva_t linear, void *value,
                           unsigned size)
{
    const void *host;

    linear = system_linear(cpu, linear);
    host = host_in(cpu, kind, linear, size, false);
    if (likely(host)) {
        memcpy(value, host, size);
        return STEP_NEXT;
    }
    if (!x86_canonical(linear))
        return cpu_raise_error(cpu, X86_GP, 0);
    return read_as(cpu, kind, linear, value, size);
}

static enum step kind_write(struct cpu *cpu, enum tlb_kind kind, gva_t linear, const void *value,
                            unsigned size)
{
    void *host;

    linear = system_linear(cpu, linear);
    host = host_in(cpu, kind, linear, size, true);
    if (likely(host)) {
        memcpy(host, value, size);
        return STEP_NEXT;
    }
    if (!x86_canonical(linear))
        return cpu_raise_error(cpu, X86_GP, 0);
    return write_as(cpu, kind, linear, value, size);
}

enum step sys_read(struct cpu *cpu, gva_t linear, void *value, unsigned size)
{
    return kind_read(cpu, system_kind(cpu), linear, value, size);
}

enum step sys_write(struct cpu *cpu, gva_t linear, const void *value, unsigned size)
{
    return kind_write(cpu, system_kind(cpu), linear, value, size);
}

static enum tlb_kind kind_as(const struct cpu *cpu, bool user)
{
    if (user)
        return TLB_USER;
    /* Pushes of a delivery use the flags before it: AC still suspends SMAP at CPL < 3 only. */
    if ((cpu->x.cr4 & X86_CR4_SMAP) && !(cpu->cpl < 3 && (cpu->x.rflags & X86_FLAG_AC)))
        return TLB_SUPER_SMAP;
    return TLB_SUPER;
}

enum step lin_read_as(struct cpu *cpu, bool user, gva_t linear, void *value, unsigned size)
{
    if (unlikely(cpu->x.dr[7] & X86_DR7_ENABLED))
        check_data_breakpoints(cpu, linear, size, false);
    return kind_read(cpu, kind_as(cpu, user), linear, value, size);
}

enum step lin_write_as(struct cpu *cpu, bool user, gva_t linear, const void *value, unsigned size)
{
    if (unlikely(cpu->x.dr[7] & X86_DR7_ENABLED))
        check_data_breakpoints(cpu, linear, size, true);
    return kind_write(cpu, kind_as(cpu, user), linear, value, size);
}

enum step lin_probe(struct cpu *cpu, gva_t linear, unsigned size, bool write)
{
    struct pieces pieces;
    enum step step = check_address(cpu, linear, size);

    return step ? step
                : translate_pieces(cpu, cpu->tlb_kind, linear, size,
                                   write ? ACCESS_WRITE : ACCESS_READ, &pieces);
}

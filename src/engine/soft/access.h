/*
 * How instructions reach guest memory: segmentation, TLB, paging, MMIO. The fast path is inline and
 * needs one tag comparison; everything else is behind access_slow_*.
 *
 * Naming: seg_* takes segment and offset and checks the segment; lin_* takes a linear address and
 * accesses with the rights of the current CPL; sys_* accesses as supervisor whatever the CPL
 * (descriptor tables, TSS, IDT; SDM 3 "implicit supervisor-mode accesses").
 * Every function returns STEP_NEXT or STEP_FAULT. A store that straddles two pages checks both
 * before it writes either. All values are zero-extended to 64 bits.
 */
#ifndef UMBRA_ENGINE_SOFT_ACCESS_H
#define UMBRA_ENGINE_SOFT_ACCESS_H

#include <string.h>

#include "engine/soft/cpu.h"
#include "engine/soft/op.h"

enum access_kind {
    ACCESS_READ,
    ACCESS_WRITE,
    ACCESS_EXEC,
};

/* Checks limit, rights and canonical form for [offset, offset + size); #GP(0) or #SS(0). */
enum step seg_check(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned size, bool write);

/* The slow path: any size up to 64 bytes, any alignment, any kind of memory. */
enum step access_slow_read(struct cpu *cpu, gva_t linear, void *value, unsigned size);
enum step access_slow_write(struct cpu *cpu, gva_t linear, const void *value, unsigned size);

/* A non-canonical address through SS is #SS, through the others #GP: corrects what a miss raised.
 */
enum step access_fault_of_segment(struct cpu *cpu, unsigned seg, enum step step);

/* Segment and offset to linear address, checked. */
static inline enum step seg_linear(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned size,
                                   bool write, gva_t *linear)
{
    uint32_t flat = write ? cpu->seg_flat_write : cpu->seg_flat_read;

    if (unlikely(!(flat >> seg & 1))) {
        enum step step = seg_check(cpu, seg, offset, size, write);

        if (step)
            return step;
    }
    *linear = (cpu->seg_base[seg] + offset) & cpu->linear_mask;
    return STEP_NEXT;
}

/* The host address of a fast access, or NULL. */
static inline void *tlb_read_host(const struct cpu *cpu, gva_t linear, unsigned size)
{
    const struct tlb_entry *e = &cpu->tlb[tlb_index(cpu, linear)];

    if (likely(e->read == (linear & PAGE_MASK) && (linear & ~PAGE_MASK) <= PAGE_SIZE - size))
        return (void *)(uintptr_t)(e->host + (linear & ~PAGE_MASK));
    return NULL;
}

static inline void *tlb_write_host(const struct cpu *cpu, gva_t linear, unsigned size)
{
    const struct tlb_entry *e = &cpu->tlb[tlb_index(cpu, linear)];

    if (likely(e->write == (linear & PAGE_MASK) && (linear & ~PAGE_MASK) <= PAGE_SIZE - size))
        return (void *)(uintptr_t)(e->host + (linear & ~PAGE_MASK));
    return NULL;
}

static inline enum step lin_read(struct cpu *cpu, gva_t linear, void *value, unsigned size)
{
    const void *host = tlb_read_host(cpu, linear, size);

    if (likely(host)) {
        memcpy(value, host, size);
        return STEP_NEXT;
    }
    return access_slow_read(cpu, linear, value, size);
}

static inline enum step lin_write(struct cpu *cpu, gva_t linear, const void *value, unsigned size)
{
    void *host = tlb_write_host(cpu, linear, size);

    if (likely(host)) {
        memcpy(host, value, size);
        return STEP_NEXT;
    }
    return access_slow_write(cpu, linear, value, size);
}

static inline enum step seg_read(struct cpu *cpu, unsigned seg, uint64_t offset, void *value,
                                 unsigned size)
{
    gva_t linear;
    enum step step = seg_linear(cpu, seg, offset, size, false, &linear);

    if (likely(!step))
        step = lin_read(cpu, linear, value, size);
    return likely(!step) ? step : access_fault_of_segment(cpu, seg, step);
}

static inline enum step seg_write(struct cpu *cpu, unsigned seg, uint64_t offset, const void *value,
                                  unsigned size)
{
    gva_t linear;
    enum step step = seg_linear(cpu, seg, offset, size, true, &linear);

    if (likely(!step))
        step = lin_write(cpu, linear, value, size);
    return likely(!step) ? step : access_fault_of_segment(cpu, seg, step);
}

/* The memory operand of an op. size is a constant at each call, so the copies become moves. */
static inline enum step op_read(struct cpu *cpu, const struct op *op, void *value, unsigned size)
{
    return seg_read(cpu, op->seg, op_offset(cpu, op), value, size);
}

static inline enum step op_write(struct cpu *cpu, const struct op *op, const void *value,
                                 unsigned size)
{
    return seg_write(cpu, op->seg, op_offset(cpu, op), value, size);
}

/*
 * Read-modify-write: open gives a host pointer to the operand (guest RAM itself where possible, so
 * that a LOCKed host instruction on it is atomic; else a copy), with write permission checked and
 * A/D bits set; close writes a copy back (MMIO, straddled pages, code pages). Between the two no
 * other guest access may be made. close cannot fault; not closing leaves memory as it was.
 */
struct access_rmw {
    void *host;
    bool direct; /* host is guest RAM and nobody needs to be told of the write */
    uint8_t size;
    gva_t linear;
    gpa_t gpa[2]; /* of the first byte on each page */
    uint64_t copy[2];
};

enum step access_slow_rmw_open(struct cpu *cpu, gva_t linear, unsigned size,
                               struct access_rmw *rmw);
void access_slow_rmw_close(struct cpu *cpu, struct access_rmw *rmw);

static inline enum step lin_rmw_open(struct cpu *cpu, gva_t linear, unsigned size,
                                     struct access_rmw *rmw)
{
    rmw->host = tlb_write_host(cpu, linear, size);
    rmw->direct = true;
    if (likely(rmw->host))
        return STEP_NEXT;
    return access_slow_rmw_open(cpu, linear, size, rmw);
}

static inline enum step op_rmw_open(struct cpu *cpu, const struct op *op, unsigned size,
                                    struct access_rmw *rmw)
{
    gva_t linear;
    enum step step = seg_linear(cpu, op->seg, op_offset(cpu, op), size, true, &linear);

    if (likely(!step))
        step = lin_rmw_open(cpu, linear, size, rmw);
    return likely(!step) ? step : access_fault_of_segment(cpu, op->seg, step);
}

static inline void rmw_close(struct cpu *cpu, struct access_rmw *rmw)
{
    if (unlikely(!rmw->direct))
        access_slow_rmw_close(cpu, rmw);
}

/* As supervisor, whatever the CPL. */
enum step sys_read(struct cpu *cpu, gva_t linear, void *value, unsigned size);
enum step sys_write(struct cpu *cpu, gva_t linear, const void *value, unsigned size);

/*
 * With the rights of another CPL than the current one (stack switches push with the new CPL).
 * user: CPL 3's rights, else supervisor's explicit ones.
 */
enum step lin_read_as(struct cpu *cpu, bool user, gva_t linear, void *value, unsigned size);
enum step lin_write_as(struct cpu *cpu, bool user, gva_t linear, const void *value, unsigned size);

/*
 * Checks that [linear, linear + size) can be accessed so, without accessing it: A/D bits are set,
 * breakpoints and watchpoints are not hit.
 */
enum step lin_probe(struct cpu *cpu, gva_t linear, unsigned size, bool write);

/* Pushes and pops on the current stack; width in bytes. RSP changes only on success. */
static inline enum step stack_push(struct cpu *cpu, const void *value, unsigned width)
{
    uint64_t *rsp = &cpu->x.gpr[X86_RSP];
    uint64_t top = (*rsp - width) & cpu->stack_mask;
    enum step step = seg_write(cpu, X86_SS, top, value, width);

    if (likely(!step))
        *rsp = (*rsp & ~cpu->stack_mask) | top;
    return step;
}

static inline enum step stack_pop(struct cpu *cpu, void *value, unsigned width)
{
    uint64_t *rsp = &cpu->x.gpr[X86_RSP];
    enum step step = seg_read(cpu, X86_SS, *rsp & cpu->stack_mask, value, width);

    if (likely(!step))
        *rsp = (*rsp & ~cpu->stack_mask) | ((*rsp + width) & cpu->stack_mask);
    return step;
}

#endif

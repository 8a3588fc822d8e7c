/* Memory operands the long way: limits, TLB misses, straddled pages, MMIO, code pages. */
#include "engine/interp/place.h"

#include "base/assert.h"

enum step place_slow_read(struct cpu *cpu, const struct op *op, unsigned size, place_fn fn)
{
    uint64_t copy[2] = {0};
    gva_t linear;
    enum step step = seg_linear(cpu, op->seg, op_offset(cpu, op), size, false, &linear);
    const void *host;

    ASSERT(size <= sizeof(copy), "a memory operand fits into its copy");
    if (step)
        return step;
    host = tlb_read_host(cpu, linear, size);
    if (host) {
        memcpy(copy, host, size);
    } else {
        step = access_slow_read(cpu, linear, copy, size);
        if (step)
            return access_fault_of_segment(cpu, op->seg, step);
    }
    return fn(cpu, op, copy);
}

enum step place_slow_rmw(struct cpu *cpu, const struct op *op, unsigned size, place_fn fn)
{
    struct access_rmw rmw;
    enum step step = op_rmw_open(cpu, op, size, &rmw);

    if (step)
        return step;
    step = fn(cpu, op, rmw.host);
    if (step != STEP_FAULT)
        rmw_close(cpu, &rmw);
    return step;
}

enum step place_slow_write(struct cpu *cpu, const struct op *op, uint64_t value, unsigned size)
{
    return op_write(cpu, op, &value, size);
}

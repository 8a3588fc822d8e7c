/*
 * What does nothing that a guest can see (NOP, PAUSE, hints, prefetches, fences), what checks only
 * (BOUND, CLFLUSH), and what is undefined on purpose (UD0, UD1, UD2).
 * Source: SDM 2; hint space 0F 18 to 0F 1F: "NOP" and, for a processor without CET, RDSSP.
 */
#include "engine/interp/place.h"

HANDLER(nop)
{
    return STEP_NEXT;
}

HANDLER(fence)
{
    atomic_thread_fence(memory_order_seq_cst);
    return STEP_NEXT;
}

/* Faults as a load of one byte does; the host's caches are coherent. */
HANDLER(flush_line)
{
    uint8_t value;

    return op_read(cpu, op, &value, sizeof(value));
}

/* The bounds are two signed numbers, inclusive. */
#define BOUND(T, bits)                                                                             \
    HANDLER(bound##bits)                                                                           \
    {                                                                                              \
        T bounds[2], value = CPU_REG(cpu, T, op->dst);                                             \
        enum step step = op_read(cpu, op, bounds, sizeof(bounds));                                 \
                                                                                                   \
        if (step)                                                                                  \
            return step;                                                                           \
        if (value < bounds[0] || value > bounds[1])                                                \
            return cpu_raise(cpu, X86_BR);                                                         \
        return STEP_NEXT;                                                                          \
    }

BOUND(int16_t, 16)
BOUND(int32_t, 32)

bool bind_misc(struct op *op, const struct binder_input *in)
{
    switch (op->mnemonic) {
    case ZYDIS_MNEMONIC_NOP:
    case ZYDIS_MNEMONIC_PAUSE:
    case ZYDIS_MNEMONIC_ENDBR32:
    case ZYDIS_MNEMONIC_ENDBR64:
    case ZYDIS_MNEMONIC_RDSSPD:
    case ZYDIS_MNEMONIC_RDSSPQ:
    case ZYDIS_MNEMONIC_CLDEMOTE:
    case ZYDIS_MNEMONIC_PREFETCH:
    case ZYDIS_MNEMONIC_PREFETCHNTA:
    case ZYDIS_MNEMONIC_PREFETCHT0:
    case ZYDIS_MNEMONIC_PREFETCHT1:
    case ZYDIS_MNEMONIC_PREFETCHT2:
    case ZYDIS_MNEMONIC_PREFETCHW:
    case ZYDIS_MNEMONIC_PREFETCHWT1: op->fn = nop; return true;
    case ZYDIS_MNEMONIC_LFENCE:
    case ZYDIS_MNEMONIC_MFENCE:
    case ZYDIS_MNEMONIC_SFENCE: op->fn = fence; return true;
    case ZYDIS_MNEMONIC_CLFLUSH:
    case ZYDIS_MNEMONIC_CLFLUSHOPT:
    case ZYDIS_MNEMONIC_CLWB: op->fn = flush_line; return true;
    case ZYDIS_MNEMONIC_BOUND:
        operand_form(op, in->insn);
        op->fn = op->size == 2 ? bound16 : bound32;
        return true;
    case ZYDIS_MNEMONIC_UD0:
    case ZYDIS_MNEMONIC_UD1:
    case ZYDIS_MNEMONIC_UD2:
        op->fn = op_undefined;
        op->flags |= OP_ENDS;
        return true;
    default: return false;
    }
}

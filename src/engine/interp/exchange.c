/*
 * XCHG, XADD, CMPXCHG, CMPXCHG8B, CMPXCHG16B. With LOCK, and for XCHG always, the host's locked
 * instruction runs on guest RAM itself.
 * Source: SDM 2.
 */
#include "engine/interp/place.h"

#define XCHG(T, bits)                                                                              \
    HANDLER(xchg##bits##_rr)                                                                       \
    {                                                                                              \
        T a = CPU_REG(cpu, T, op->dst), b = CPU_REG(cpu, T, op->src);                              \
                                                                                                   \
        REG_SET(cpu, T, op->dst, b);                                                               \
        REG_SET(cpu, T, op->src, a);                                                               \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    MEMORY_BODY(xchg##bits##_mr)                                                                   \
    {                                                                                              \
        T b = CPU_REG(cpu, T, op->src);                                                            \
                                                                                                   \
        asm("xchg %1, %0" : "+m"(PLACE(T, place)), "+r"(b) : : "memory");                          \
        REG_SET(cpu, T, op->src, b);                                                               \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    MEMORY_HANDLER(xchg##bits##_mr, rmw, sizeof(T))

#define XADD_MEMORY(insn, T, bits, form)                                                           \
    MEMORY_BODY(xadd##bits##_##form)                                                               \
    {                                                                                              \
        T b = CPU_REG(cpu, T, op->src);                                                            \
        uint32_t flags;                                                                            \
                                                                                                   \
        asm(insn " %1, %0" FLAGS_SAVE                                                              \
            : "+m"(PLACE(T, place)), "+r"(b), "=a"(flags)                                          \
            :                                                                                      \
            : "cc", "memory");                                                                     \
        REG_SET(cpu, T, op->src, b);                                                               \
        cpu->arith = flags;                                                                        \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    MEMORY_HANDLER(xadd##bits##_##form, rmw, sizeof(T))

/* The source is written first, so that XADD of a register with itself leaves the sum. */
#define XADD(T, bits)                                                                              \
    HANDLER(xadd##bits##_rr)                                                                       \
    {                                                                                              \
        T a = CPU_REG(cpu, T, op->dst), b = CPU_REG(cpu, T, op->src);                              \
        uint32_t flags;                                                                            \
                                                                                                   \
        asm("xadd %1, %0" FLAGS_SAVE : "+r"(a), "+r"(b), "=a"(flags) : : "cc");                    \
        REG_SET(cpu, T, op->src, b);                                                               \
        REG_SET(cpu, T, op->dst, a);                                                               \
        cpu->arith = flags;                                                                        \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    XADD_MEMORY("xadd", T, bits, mr)                                                               \
    XADD_MEMORY("lock xadd", T, bits, mr_locked)

/*
 * The host gets RAX whole, and the destination register as type C, so that upper halves come out as
 * the processor has them; m is the operand modifier.
 */
#define CMPXCHG_MEMORY(insn, T, bits, m, form)                                                     \
    MEMORY_BODY(cmpxchg##bits##_##form)                                                            \
    {                                                                                              \
        T b = CPU_REG(cpu, T, op->src);                                                            \
        uint64_t rax = cpu->x.gpr[X86_RAX], kept;                                                  \
                                                                                                   \
        asm(insn " %" m "3, %0\n\tmov %%rax, %2" FLAGS_SAVE                                        \
            : "+m"(PLACE(T, place)), "+a"(rax), "=&r"(kept)                                        \
            : "r"(b)                                                                               \
            : "cc", "memory");                                                                     \
        cpu->x.gpr[X86_RAX] = kept;                                                                \
        cpu->arith = (uint32_t)rax;                                                                \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    MEMORY_HANDLER(cmpxchg##bits##_##form, rmw, sizeof(T))

#define CMPXCHG(T, C, bits, m)                                                                     \
    HANDLER(cmpxchg##bits##_rr)                                                                    \
    {                                                                                              \
        C a = CPU_REG(cpu, C, op->dst);                                                            \
        T b = CPU_REG(cpu, T, op->src);                                                            \
        uint64_t rax = cpu->x.gpr[X86_RAX], kept;                                                  \
        bool equal;                                                                                \
                                                                                                   \
        asm("cmpxchg %" m "3, %" m "0\n\tmov %%rax, %2" FLAGS_SAVE                                 \
            : "+&r"(a), "+a"(rax), "=&r"(kept)                                                     \
            : "r"(b)                                                                               \
            : "cc");                                                                               \
        equal = rax & ARITH_ZF;                                                                    \
        cpu->arith = (uint32_t)rax;                                                                \
        if (!equal)                                                                                \
            cpu->x.gpr[X86_RAX] = kept;                                                            \
        if (equal || op->dst != 8 * X86_RAX)                                                       \
            CPU_REG(cpu, C, op->dst) = a;                                                          \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    CMPXCHG_MEMORY("cmpxchg", T, bits, m, mr)                                                      \
    CMPXCHG_MEMORY("lock cmpxchg", T, bits, m, mr_locked)

XCHG(uint8_t, 8)
XCHG(uint16_t, 16)
XCHG(uint32_t, 32)
XCHG(uint64_t, 64)
XADD(uint8_t, 8)
XADD(uint16_t, 16)
XADD(uint32_t, 32)
XADD(uint64_t, 64)
CMPXCHG(uint8_t, uint8_t, 8, "b")
CMPXCHG(uint16_t, uint16_t, 16, "w")
CMPXCHG(uint32_t, uint64_t, 32, "k")
CMPXCHG(uint64_t, uint64_t, 64, "q")

static void set_zero_flag(struct cpu *cpu, bool zero)
{
    cpu->arith = (cpu->arith & ~ARITH_ZF) | (zero ? ARITH_ZF : 0);
}

/* Always locked: the manual allows a write cycle in any case, and what is not seen does no harm. */
MEMORY_BODY(cmpxchg8b)
{
    uint64_t *gpr = cpu->x.gpr;
    uint64_t old = (uint32_t)gpr[X86_RAX] | gpr[X86_RDX] << 32;
    uint64_t new = (uint32_t)gpr[X86_RBX] | gpr[X86_RCX] << 32;
    bool equal;

    asm("lock cmpxchgq %3, %0\n\tsete %2"
        : "+m"(PLACE(uint64_t, place)), "+a"(old), "=&q"(equal)
        : "r"(new)
        : "cc", "memory");
    set_zero_flag(cpu, equal);
    if (!equal) {
        gpr[X86_RAX] = (uint32_t)old;
        gpr[X86_RDX] = old >> 32;
    }
    return STEP_NEXT;
}
MEMORY_HANDLER(cmpxchg8b, rmw, 8)

/* For a place that is a copy (MMIO, code): nobody else sees it, and it need not be aligned. */
static bool compare_exchange_pair(uint64_t *pair, uint64_t *low, uint64_t *high,
                                  const uint64_t *gpr)
{
    bool equal = pair[0] == *low && pair[1] == *high;

    *low = pair[0];
    *high = pair[1];
    if (equal) {
        pair[0] = gpr[X86_RBX];
        pair[1] = gpr[X86_RCX];
    }
    return equal;
}

MEMORY_BODY(cmpxchg16b)
{
    uint64_t *gpr = cpu->x.gpr;
    uint64_t low = gpr[X86_RAX], high = gpr[X86_RDX];
    bool equal;

    if ((uintptr_t)place % 16 == 0)
        asm("lock cmpxchg16b %0\n\tsete %3"
            : "+m"(*(unsigned __int128 *)place), "+a"(low), "+d"(high), "=q"(equal)
            : "b"(gpr[X86_RBX]), "c"(gpr[X86_RCX])
            : "cc", "memory");
    else
        equal = compare_exchange_pair(place, &low, &high, gpr);
    set_zero_flag(cpu, equal);
    gpr[X86_RAX] = low;
    gpr[X86_RDX] = high;
    return STEP_NEXT;
}

/* Alignment comes before paging. */
HANDLER(cmpxchg16b)
{
    gva_t linear;
    enum step step = seg_linear(cpu, op->seg, op_offset(cpu, op), 16, true, &linear);

    if (step)
        return step;
    if (linear % 16)
        return cpu_raise_error(cpu, X86_GP, 0);
    return place_slow_rmw(cpu, op, 16, cmpxchg16b_at);
}

#define ROWS(name)                                                                                 \
    {                                                                                              \
        [FORM_RR] = SIZES(name, rr), [FORM_MR] = SIZES(name, mr),                                  \
        [FORM_MR_LOCKED] = SIZES(name, mr_locked)                                                  \
    }
#define XCHG_ROWS                                                                                  \
    {                                                                                              \
        [FORM_RR] = SIZES(xchg, rr), [FORM_MR] = SIZES(xchg, mr),                                  \
        [FORM_MR_LOCKED] = SIZES(xchg, mr)                                                         \
    }

static const struct {
    uint16_t mnemonic;
    op_fn fn[FORM_PAIRS][4];
} exchange_table[] = {
    {ZYDIS_MNEMONIC_XCHG, XCHG_ROWS},
    {ZYDIS_MNEMONIC_XADD, ROWS(xadd)},
    {ZYDIS_MNEMONIC_CMPXCHG, ROWS(cmpxchg)},
};

bool bind_exchange(struct op *op, const struct binder_input *in)
{
    if (op->mnemonic == ZYDIS_MNEMONIC_CMPXCHG8B) {
        op->fn = cmpxchg8b;
        return true;
    }
    if (op->mnemonic == ZYDIS_MNEMONIC_CMPXCHG16B) {
        op->fn = cmpxchg16b;
        return true;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(exchange_table); i++) {
        enum operand_form form;

        if (exchange_table[i].mnemonic != op->mnemonic)
            continue;
        form = operand_form(op, in->insn);
        if (form >= FORM_PAIRS)
            return false;
        op->fn = exchange_table[i].fn[form][operand_size_index(op->size)];
        return op->fn;
    }
    return false;
}

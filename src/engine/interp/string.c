/*
 * String instructions: MOVS, CMPS, SCAS, LODS, STOS, alone and repeated.
 * A repeated one shows its progress in the registers at each fault, and stops now and then so that
 * interrupts get in. A segment override changes the source only; the destination is always ES.
 * Source: SDM 2; SDM 1 "String Operations".
 */
#include "engine/interp/string.h"

/* CMP of the host. */
#define COMPARE(T, a, b)                                                                           \
    do {                                                                                           \
        T first = a, second = b;                                                                   \
        uint32_t flags;                                                                            \
                                                                                                   \
        asm("cmp %2, %1" FLAGS_SAVE : "=a"(flags) : "r"(first), "r"(second) : "cc");               \
        cpu->arith = flags;                                                                        \
    } while (0)

#define ELEMENTS(T, bits)                                                                          \
    HANDLER(movs##bits##_one)                                                                      \
    {                                                                                              \
        T value;                                                                                   \
        enum step step = seg_read(cpu, op->seg, string_get(cpu, op, X86_RSI), &value, sizeof(T));  \
                                                                                                   \
        if (likely(!step))                                                                         \
            step = seg_write(cpu, X86_ES, string_get(cpu, op, X86_RDI), &value, sizeof(T));        \
        if (unlikely(step))                                                                        \
            return step;                                                                           \
        string_advance(cpu, op, X86_RSI, sizeof(T));                                               \
        string_advance(cpu, op, X86_RDI, sizeof(T));                                               \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    HANDLER(stos##bits##_one)                                                                      \
    {                                                                                              \
        T value = CPU_REG(cpu, T, 8 * X86_RAX);                                                    \
        enum step step = seg_write(cpu, X86_ES, string_get(cpu, op, X86_RDI), &value, sizeof(T));  \
                                                                                                   \
        if (unlikely(step))                                                                        \
            return step;                                                                           \
        string_advance(cpu, op, X86_RDI, sizeof(T));                                               \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    HANDLER(lods##bits##_one)                                                                      \
    {                                                                                              \
        T value;                                                                                   \
        enum step step = seg_read(cpu, op->seg, string_get(cpu, op, X86_RSI), &value, sizeof(T));  \
                                                                                                   \
        if (unlikely(step))                                                                        \
            return step;                                                                           \
        REG_SET(cpu, T, 8 * X86_RAX, value);                                                       \
        string_advance(cpu, op, X86_RSI, sizeof(T));                                               \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    HANDLER(cmps##bits##_one)                                                                      \
    {                                                                                              \
        T a, b;                                                                                    \
        enum step step = seg_read(cpu, op->seg, string_get(cpu, op, X86_RSI), &a, sizeof(T));      \
                                                                                                   \
        if (likely(!step))                                                                         \
            step = seg_read(cpu, X86_ES, string_get(cpu, op, X86_RDI), &b, sizeof(T));             \
        if (unlikely(step))                                                                        \
            return step;                                                                           \
        COMPARE(T, a, b);                                                                          \
        string_advance(cpu, op, X86_RSI, sizeof(T));                                               \
        string_advance(cpu, op, X86_RDI, sizeof(T));                                               \
        return STEP_NEXT;                                                                          \
    }                                                                                              \
    HANDLER(scas##bits##_one)                                                                      \
    {                                                                                              \
        T value;                                                                                   \
        enum step step = seg_read(cpu, X86_ES, string_get(cpu, op, X86_RDI), &value, sizeof(T));   \
                                                                                                   \
        if (unlikely(step))                                                                        \
            return step;                                                                           \
        COMPARE(T, CPU_REG(cpu, T, 8 * X86_RAX), value);                                           \
        string_advance(cpu, op, X86_RDI, sizeof(T));                                               \
        return STEP_NEXT;                                                                          \
    }

ELEMENTS(uint8_t, 8)
ELEMENTS(uint16_t, 16)
ELEMENTS(uint32_t, 32)
ELEMENTS(uint64_t, 64)

/* MOVS and STOS: by the piece where that is possible, else one element and try again. */
ALWAYS_INLINE enum step repeat_pieces(struct cpu *cpu, const struct op *op, string_fn one,
                                      uint64_t (*fast)(struct cpu *cpu, const struct op *op,
                                                       unsigned size, uint64_t limit))
{
    uint64_t budget = string_budget(cpu);

    if (!string_get(cpu, op, X86_RCX))
        return STEP_NEXT;
    do {
        uint64_t done = 0;

        if (budget > 1 && !(cpu->x.rflags & X86_FLAG_DF))
            done = fast(cpu, op, op->size, budget);
        if (!done) {
            enum step step = one(cpu, op);

            if (unlikely(step))
                return step;
            done = 1;
        }
        if (string_count_down(cpu, op, done))
            return STEP_NEXT;
        budget -= done;
    } while (budget && !string_interrupted(cpu));
    return STEP_AGAIN;
}

/* CMPS and SCAS: REPE goes on while ZF is set, REPNE while it is clear. */
ALWAYS_INLINE enum step repeat_compare(struct cpu *cpu, const struct op *op, string_fn one)
{
    uint32_t going_on = op->flags & OP_REPNE ? 0 : ARITH_ZF;
    uint64_t budget = string_budget(cpu);

    if (!string_get(cpu, op, X86_RCX))
        return STEP_NEXT;
    while (budget--) {
        enum step step = one(cpu, op);

        if (unlikely(step))
            return step;
        if (string_count_down(cpu, op, 1) || (cpu->arith & ARITH_ZF) != going_on)
            return STEP_NEXT;
        if (string_interrupted(cpu))
            break;
    }
    return STEP_AGAIN;
}

#define REPEATED(bits)                                                                             \
    HANDLER(movs##bits##_rep)                                                                      \
    {                                                                                              \
        return repeat_pieces(cpu, op, movs##bits##_one, string_fast_movs);                         \
    }                                                                                              \
    HANDLER(stos##bits##_rep)                                                                      \
    {                                                                                              \
        return repeat_pieces(cpu, op, stos##bits##_one, string_fast_stos);                         \
    }                                                                                              \
    HANDLER(lods##bits##_rep)                                                                      \
    {                                                                                              \
        return string_repeat(cpu, op, lods##bits##_one);                                           \
    }                                                                                              \
    HANDLER(cmps##bits##_rep)                                                                      \
    {                                                                                              \
        return repeat_compare(cpu, op, cmps##bits##_one);                                          \
    }                                                                                              \
    HANDLER(scas##bits##_rep)                                                                      \
    {                                                                                              \
        return repeat_compare(cpu, op, scas##bits##_one);                                          \
    }

REPEATED(8)
REPEATED(16)
REPEATED(32)
REPEATED(64)

#define ROWS(name)                                                                                 \
    {                                                                                              \
        SIZES(name, one), SIZES(name, rep)                                                         \
    }

enum string_kind { MOVS, CMPS, SCAS, LODS, STOS, STRING_KINDS };

static const op_fn string_table[STRING_KINDS][2][4] = {
    [MOVS] = ROWS(movs), [CMPS] = ROWS(cmps), [SCAS] = ROWS(scas),
    [LODS] = ROWS(lods), [STOS] = ROWS(stos),
};

/* Told by opcode: the mnemonics MOVSD and CMPSD also name SSE instructions. */
static enum string_kind kind_of(const ZydisDecodedInstruction *info)
{
    if (info->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY ||
        info->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
        return STRING_KINDS;
    switch (info->opcode & 0xfe) {
    case 0xa4: return MOVS;
    case 0xa6: return CMPS;
    case 0xaa: return STOS;
    case 0xac: return LODS;
    case 0xae: return SCAS;
    default: return STRING_KINDS;
    }
}

uint8_t string_source_segment(const struct x86_insn *insn)
{
    for (unsigned i = 0; i < insn->info.operand_count; i++) {
        const ZydisDecodedOperand *operand = &insn->op[i];

        if (operand->type != ZYDIS_OPERAND_TYPE_MEMORY)
            continue;
        switch (operand->mem.base) {
        case ZYDIS_REGISTER_SI:
        case ZYDIS_REGISTER_ESI:
        case ZYDIS_REGISTER_RSI: return x86_segment_number(operand->mem.segment);
        default: break;
        }
    }
    return X86_DS;
}

bool bind_string(struct op *op, const struct binder_input *in)
{
    const ZydisDecodedInstruction *info = &in->insn->info;
    enum string_kind kind = kind_of(info);

    if (kind == STRING_KINDS)
        return bind_io(op, in);
    op->size = info->opcode & 1 ? (uint8_t)(info->operand_width / 8) : 1;
    op->seg = string_source_segment(in->insn);
    op->fn = string_table[kind][string_repeated(op)][operand_size_index(op->size)];
    return true;
}

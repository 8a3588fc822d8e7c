/*
 * Which arithmetic flags the manual leaves undefined after an instruction, given those that were
 * undefined before. Zydis' table serves for all but shifts, where it depends on the count.
 * Source: SDM 2, "Flags Affected" of each instruction.
 */
#include "generate.h"

#define COUNT_UNKNOWN (-1)

static bool is_double_shift(const ZydisDecodedInstruction *info)
{
    return info->mnemonic == ZYDIS_MNEMONIC_SHLD || info->mnemonic == ZYDIS_MNEMONIC_SHRD;
}

static bool is_shift(const ZydisDecodedInstruction *info)
{
    switch (info->mnemonic) {
    case ZYDIS_MNEMONIC_SHL:
    case ZYDIS_MNEMONIC_SHR:
    case ZYDIS_MNEMONIC_SAR:
    case ZYDIS_MNEMONIC_ROL:
    case ZYDIS_MNEMONIC_ROR:
    case ZYDIS_MNEMONIC_RCL:
    case ZYDIS_MNEMONIC_RCR: return true;
    default: return is_double_shift(info);
    }
}

static bool is_rotate(const ZydisDecodedInstruction *info)
{
    return info->mnemonic == ZYDIS_MNEMONIC_ROL || info->mnemonic == ZYDIS_MNEMONIC_ROR ||
           info->mnemonic == ZYDIS_MNEMONIC_RCL || info->mnemonic == ZYDIS_MNEMONIC_RCR;
}

/* The count as the processor masks it. */
static int shift_count(const struct x86_insn *insn, const uint64_t *rcx)
{
    const ZydisDecodedOperand *count = &insn->op[is_double_shift(&insn->info) ? 2 : 1];
    unsigned mask = insn->op[0].size == 64 ? 63 : 31;

    if (count->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
        return (int)(count->imm.value.u & mask);
    return rcx ? (int)(*rcx & mask) : COUNT_UNKNOWN;
}

static uint64_t after_shift(uint64_t undefined, const struct x86_insn *insn, const uint64_t *rcx)
{
    const ZydisDecodedInstruction *info = &insn->info;
    int count = shift_count(insn, rcx), width = insn->op[0].size;
    bool loses_carry = info->mnemonic == ZYDIS_MNEMONIC_SHL || info->mnemonic == ZYDIS_MNEMONIC_SHR;
    uint64_t touched = is_rotate(info) ? X86_FLAG_CF | X86_FLAG_OF : X86_FLAGS_ARITH;
    uint64_t unsaid = is_rotate(info) ? 0 : X86_FLAG_AF;

    if (count == 0)
        return undefined;
    if (count != COUNT_UNKNOWN) /* else some flags may be as they were */
        undefined &= ~touched;
    if (count != 1)
        unsaid |= X86_FLAG_OF;
    if (loses_carry && (count == COUNT_UNKNOWN || count >= width))
        unsaid |= X86_FLAG_CF;
    return undefined | unsaid;
}

/* Decimal adjustments, of which Zydis' table leaves some out. */
static uint64_t after_adjustment(const ZydisDecodedInstruction *info)
{
    switch (info->mnemonic) {
    case ZYDIS_MNEMONIC_AAA:
    case ZYDIS_MNEMONIC_AAS: return X86_FLAG_OF | X86_FLAG_SF | X86_FLAG_ZF | X86_FLAG_PF;
    case ZYDIS_MNEMONIC_AAD:
    case ZYDIS_MNEMONIC_AAM: return X86_FLAG_OF | X86_FLAG_AF | X86_FLAG_CF;
    case ZYDIS_MNEMONIC_DAA:
    case ZYDIS_MNEMONIC_DAS: return X86_FLAG_OF;
    default: return 0;
    }
}

uint64_t diff_undefined_flags(uint64_t undefined, const struct x86_insn *insn, const uint64_t *rcx)
{
    const ZydisAccessedFlags *f = insn->info.cpu_flags;
    /* A repeated instruction whose count is 0 leaves the flags as they were. */
    bool repeated = insn->info.attributes &
                    (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE);

    if (is_shift(&insn->info))
        return after_shift(undefined, insn, rcx);
    if (!f)
        return undefined;
    if (!repeated)
        undefined &= ~(uint64_t)(f->modified | f->set_0 | f->set_1);
    return undefined | (f->undefined & X86_FLAGS_ARITH) | after_adjustment(&insn->info);
}

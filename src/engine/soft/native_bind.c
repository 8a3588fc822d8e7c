/*
 * The whitelist of what runs natively, by Zydis' ISA sets, and what each instruction minds: gates,
 * alignment, which host registers. Refuses everything that it does not name.
 * Source: SDM 2 "Instruction Exception Specification" (the exception types), "MOVBE", "CRC32" ...
 */
#include "engine/soft/native_internal.h"

#include "x86/cpuid.h"

static enum step op_nothing(struct cpu *cpu, const struct op *op)
{
    return STEP_NEXT;
}

static enum step op_fence(struct cpu *cpu, const struct op *op)
{
    atomic_thread_fence(memory_order_seq_cst);
    return STEP_NEXT;
}

static bool has_register(const struct x86_insn *insn, ZydisRegister first, ZydisRegister last)
{
    for (unsigned i = 0; i < insn->info.operand_count; i++) {
        const ZydisDecodedOperand *operand = &insn->op[i];

        if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER && operand->reg.value >= first &&
            operand->reg.value <= last)
            return true;
    }
    return false;
}

/* Legacy SSE instructions that use no vector state, and mind no gate. */
static bool is_general(ZydisMnemonic mnemonic)
{
    return mnemonic == ZYDIS_MNEMONIC_MOVNTI || mnemonic == ZYDIS_MNEMONIC_CRC32;
}

/* Conversions to MMX registers use MXCSR even when they name no XMM register. */
static bool converts_to_mmx(ZydisMnemonic mnemonic)
{
    switch (mnemonic) {
    case ZYDIS_MNEMONIC_CVTPS2PI:
    case ZYDIS_MNEMONIC_CVTTPS2PI:
    case ZYDIS_MNEMONIC_CVTPD2PI:
    case ZYDIS_MNEMONIC_CVTTPD2PI: return true;
    default: return false;
    }
}

/* The class and the gates of legacy SSE and MMX instructions, by the registers that they name. */
static enum native_class classify_legacy(struct op *op, const struct x86_insn *insn)
{
    ZydisMnemonic mnemonic = insn->info.mnemonic;
    bool mmx = has_register(insn, ZYDIS_REGISTER_MM0, ZYDIS_REGISTER_MM7) ||
               mnemonic == ZYDIS_MNEMONIC_EMMS;
    bool xmm = has_register(insn, ZYDIS_REGISTER_XMM0, ZYDIS_REGISTER_XMM15) || !mmx ||
               converts_to_mmx(mnemonic);

    if (is_general(mnemonic))
        return NATIVE_GENERAL;
    op->cc = GATE_NM_TS | (xmm ? GATE_UD_SSE : GATE_UD_MMX);
    if (!mmx)
        return NATIVE_VECTOR;
    return xmm ? NATIVE_MIXED : NATIVE_MMX;
}

/* Instructions that leave the x87 instruction and operand pointers alone. */
static bool is_x87_control(ZydisMnemonic mnemonic)
{
    switch (mnemonic) {
    case ZYDIS_MNEMONIC_FLDCW:
    case ZYDIS_MNEMONIC_FNSTCW:
    case ZYDIS_MNEMONIC_FNSTSW:
    case ZYDIS_MNEMONIC_FNCLEX:
    case ZYDIS_MNEMONIC_FWAIT:
    case ZYDIS_MNEMONIC_FINCSTP:
    case ZYDIS_MNEMONIC_FDECSTP:
    case ZYDIS_MNEMONIC_FFREE:
    case ZYDIS_MNEMONIC_FFREEP:
    case ZYDIS_MNEMONIC_FNOP:
    case ZYDIS_MNEMONIC_FENI8087_NOP:
    case ZYDIS_MNEMONIC_FDISI8087_NOP:
    case ZYDIS_MNEMONIC_FSETPM287_NOP: return true;
    default: return false;
    }
}

/* Those that run although an exception is pending. */
static bool is_x87_non_waiting(ZydisMnemonic mnemonic)
{
    return mnemonic == ZYDIS_MNEMONIC_FNSTCW || mnemonic == ZYDIS_MNEMONIC_FNSTSW ||
           mnemonic == ZYDIS_MNEMONIC_FNCLEX;
}

static enum native_class classify_x87(struct op *op, const struct x86_insn *insn)
{
    const ZydisDecodedInstructionRaw *raw = &insn->info.raw;

    op->cc = insn->info.mnemonic == ZYDIS_MNEMONIC_FWAIT ? GATE_NM_WAIT : GATE_NM_X87;
    op->aux = (uint16_t)((insn->info.opcode & 7) << 8 | raw->modrm.mod << 6 | raw->modrm.reg << 3 |
                         raw->modrm.rm);
    op->dst = is_x87_non_waiting(insn->info.mnemonic);
    return is_x87_control(insn->info.mnemonic) ? NATIVE_MMX : NATIVE_X87;
}

static bool is_x87_opcode(uint8_t opcode)
{
    return opcode >= 0xd8 && opcode <= 0xdf;
}

/* NATIVE_CLASSES for what is not on the whitelist. */
static enum native_class classify(struct op *op, const struct x86_insn *insn)
{
    const ZydisDecodedInstruction *info = &insn->info;
    bool vex = info->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;

    if (!vex && info->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
        return NATIVE_CLASSES;
    /* Zydis' ISA sets are no help here: FCOMI is of the Pentium Pro, one FISTTP of SSE3. */
    if (!vex && info->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT)
        return info->meta.category == ZYDIS_CATEGORY_X87_ALU || is_x87_opcode(info->opcode)
                   ? classify_x87(op, insn)
                   : NATIVE_CLASSES;
    switch (info->meta.isa_set) {
    case ZYDIS_ISA_SET_PENTIUMMMX:
    case ZYDIS_ISA_SET_SSE:
    case ZYDIS_ISA_SET_SSE2:
    case ZYDIS_ISA_SET_SSE2MMX:
    case ZYDIS_ISA_SET_SSE3:
    case ZYDIS_ISA_SET_SSSE3:
    case ZYDIS_ISA_SET_SSSE3MMX:
    case ZYDIS_ISA_SET_SSE4:
    case ZYDIS_ISA_SET_SSE42:
    case ZYDIS_ISA_SET_AES:
    case ZYDIS_ISA_SET_PCLMULQDQ:
    case ZYDIS_ISA_SET_SHA: return vex ? NATIVE_CLASSES : classify_legacy(op, insn);
    case ZYDIS_ISA_SET_AVX:
    case ZYDIS_ISA_SET_AVX2:
    case ZYDIS_ISA_SET_AVXAES:
    case ZYDIS_ISA_SET_FMA:
    case ZYDIS_ISA_SET_F16C:
        op->cc = GATE_UD_AVX | GATE_NM_TS;
        return vex ? NATIVE_VECTOR : NATIVE_CLASSES;
    case ZYDIS_ISA_SET_BMI1:
    case ZYDIS_ISA_SET_BMI2: op->cc = vex ? GATE_UD_VEX_GPR : 0; return NATIVE_GENERAL;
    case ZYDIS_ISA_SET_LZCNT:
    case ZYDIS_ISA_SET_POPCNT:
    case ZYDIS_ISA_SET_MOVBE:
    case ZYDIS_ISA_SET_ADOX_ADCX:
    case ZYDIS_ISA_SET_RDRAND:
    case ZYDIS_ISA_SET_RDSEED: return vex ? NATIVE_CLASSES : NATIVE_GENERAL;
    default: return NATIVE_CLASSES;
    }
}

/* Legacy SSE wants 16-byte operands aligned, but for these. */
static bool may_be_unaligned(ZydisMnemonic mnemonic)
{
    switch (mnemonic) {
    case ZYDIS_MNEMONIC_MOVUPS:
    case ZYDIS_MNEMONIC_MOVUPD:
    case ZYDIS_MNEMONIC_MOVDQU:
    case ZYDIS_MNEMONIC_LDDQU:
    case ZYDIS_MNEMONIC_PCMPESTRI:
    case ZYDIS_MNEMONIC_PCMPESTRM:
    case ZYDIS_MNEMONIC_PCMPISTRI:
    case ZYDIS_MNEMONIC_PCMPISTRM: return true;
    default: return false;
    }
}

/* VEX instructions want no alignment, but for these. */
static bool must_be_aligned(ZydisMnemonic mnemonic)
{
    switch (mnemonic) {
    case ZYDIS_MNEMONIC_VMOVAPS:
    case ZYDIS_MNEMONIC_VMOVAPD:
    case ZYDIS_MNEMONIC_VMOVDQA:
    case ZYDIS_MNEMONIC_VMOVNTPS:
    case ZYDIS_MNEMONIC_VMOVNTPD:
    case ZYDIS_MNEMONIC_VMOVNTDQ:
    case ZYDIS_MNEMONIC_VMOVNTDQA: return true;
    default: return false;
    }
}

/* Fills in how the memory operand is used; false when it is used in a way that no stub has. */
static bool bind_memory(struct op *op, const struct x86_insn *insn, enum native_memory *memory)
{
    bool vex = insn->info.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;

    *memory = NATIVE_MEMORY_NONE;
    op->src2 = 0;
    for (unsigned i = 0; i < insn->info.operand_count; i++) {
        const ZydisDecodedOperand *operand = &insn->op[i];
        bool write = operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
        unsigned size = operand->size / 8;

        if (operand->type != ZYDIS_OPERAND_TYPE_MEMORY)
            continue;
        if (*memory != NATIVE_MEMORY_NONE || !size || size > 32 || !(op->flags & OP_MEM) ||
            (write && (operand->actions & ZYDIS_OPERAND_ACTION_MASK_READ)))
            return false;
        *memory = write ? NATIVE_MEMORY_STORE : NATIVE_MEMORY_LOAD;
        op->size = (uint8_t)size;
        if (vex ? must_be_aligned(insn->info.mnemonic)
                : size == 16 && !may_be_unaligned(insn->info.mnemonic))
            op->src2 = (uint8_t)(size - 1);
    }
    return true;
}

/* Hints of later processors, which ours runs as NOPs (cpu_model_allows let them pass as such). */
static bool is_later_hint(const ZydisDecodedInstruction *info)
{
    switch (info->meta.isa_set) {
    case ZYDIS_ISA_SET_CET:
    case ZYDIS_ISA_SET_MPX:
    case ZYDIS_ISA_SET_PREFETCHWT1:
    case ZYDIS_ISA_SET_CLDEMOTE: return true;
    default: return false;
    }
}

static bool bind_simple(struct op *op, const struct binder_input *in)
{
    switch (in->insn->info.mnemonic) {
    case ZYDIS_MNEMONIC_LFENCE:
    case ZYDIS_MNEMONIC_SFENCE:
    case ZYDIS_MNEMONIC_MFENCE: op->fn = op_fence; return true;
    default: break;
    }
    if (!is_later_hint(&in->insn->info))
        return false;
    op->fn = op_nothing;
    return true;
}

/* Whether the model runs TZCNT and LZCNT as BSF and BSR. */
static bool runs_as_bit_scan(const struct cpu_model *model, ZydisMnemonic mnemonic)
{
    return (mnemonic == ZYDIS_MNEMONIC_TZCNT && !model->has[X86_FEATURE_BMI1]) ||
           (mnemonic == ZYDIS_MNEMONIC_LZCNT && !model->has[X86_FEATURE_LZCNT]);
}

bool bind_native(struct op *op, const struct binder_input *in)
{
    bool bit_scan = runs_as_bit_scan(in->cpu->model, in->insn->info.mnemonic);
    enum native_class class;
    enum native_memory memory;
    native_stub_fn stub;

    if (bind_simple(op, in) || native_bind_x87(op, in) || native_bind_xsave(op, in) ||
        native_bind_control(op, in) || native_bind_masked(op, in))
        return true;
    op->cc = op->dst = 0;
    class = classify(op, in->insn);
    if (class == NATIVE_CLASSES || !bind_memory(op, in->insn, &memory))
        return false;
    stub = native_emit(in->cpu->native, in->insn, bit_scan);
    if (!stub)
        return false;
    op->native = (const void *)stub;
    op->fn = native_runner(class, memory);
    return true;
}

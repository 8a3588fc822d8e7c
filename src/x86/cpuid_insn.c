/*
 * Which instructions a CPUID model has: Zydis' ISA sets mapped to features. An ISA set that the
 * table does not name is refused, so that a newer decoder adds nothing by itself.
 * Source: SDM 2, the "CPUID Feature Flag" column of each instruction.
 */
#include "x86/cpuid.h"

enum {
    NEVER = 0,  /* no model has it */
    ALWAYS = 1, /* every x86-64 processor, or a hint that older ones run as a NOP */
    FEATURE = 2 /* and above: a feature + FEATURE */
};

#define NEEDS(name) (FEATURE + X86_FEATURE_##name)

static const uint8_t needs[ZYDIS_ISA_SET_MAX_VALUE + 1] = {
    [ZYDIS_ISA_SET_I86] = ALWAYS,
    [ZYDIS_ISA_SET_I186] = ALWAYS,
    [ZYDIS_ISA_SET_I286REAL] = ALWAYS,
    [ZYDIS_ISA_SET_I286PROTECTED] = ALWAYS,
    [ZYDIS_ISA_SET_I386] = ALWAYS,
    [ZYDIS_ISA_SET_I486] = ALWAYS,
    [ZYDIS_ISA_SET_I486REAL] = ALWAYS,
    [ZYDIS_ISA_SET_PENTIUMREAL] = ALWAYS,
    [ZYDIS_ISA_SET_PPRO] = ALWAYS,
    [ZYDIS_ISA_SET_FAT_NOP] = ALWAYS,
    [ZYDIS_ISA_SET_PREFETCH_NOP] = ALWAYS,
    [ZYDIS_ISA_SET_PREFETCHWT1] = ALWAYS,
    [ZYDIS_ISA_SET_PAUSE] = ALWAYS,
    [ZYDIS_ISA_SET_CLDEMOTE] = ALWAYS,
    [ZYDIS_ISA_SET_RDPMC] = ALWAYS,
    /* Rows on a feature follow. */
    [ZYDIS_ISA_SET_X87] = NEEDS(FPU),
    [ZYDIS_ISA_SET_CMOV] = NEEDS(CMOV),
    [ZYDIS_ISA_SET_FCMOV] = NEEDS(CMOV),
    [ZYDIS_ISA_SET_PENTIUMMMX] = NEEDS(MMX),
    [ZYDIS_ISA_SET_FXSAVE] = NEEDS(FXSR),
    [ZYDIS_ISA_SET_FXSAVE64] = NEEDS(FXSR),
    [ZYDIS_ISA_SET_SSE] = NEEDS(SSE),
    [ZYDIS_ISA_SET_SSEMXCSR] = NEEDS(SSE),
    [ZYDIS_ISA_SET_SSE_PREFETCH] = NEEDS(SSE),
    [ZYDIS_ISA_SET_SSE2] = NEEDS(SSE2),
    [ZYDIS_ISA_SET_SSE2MMX] = NEEDS(SSE2),
    [ZYDIS_ISA_SET_CLFSH] = NEEDS(CLFSH),
    [ZYDIS_ISA_SET_LONGMODE] = NEEDS(LM),
    [ZYDIS_ISA_SET_LAHF] = ALWAYS, /* in 64-bit mode see below */
    [ZYDIS_ISA_SET_SSE3] = NEEDS(SSE3),
    [ZYDIS_ISA_SET_SSE3X87] = NEEDS(SSE3),
    [ZYDIS_ISA_SET_SSSE3] = NEEDS(SSSE3),
    [ZYDIS_ISA_SET_SSSE3MMX] = NEEDS(SSSE3),
    [ZYDIS_ISA_SET_SSE4] = NEEDS(SSE4_1),
    [ZYDIS_ISA_SET_SSE42] = NEEDS(SSE4_2),
    [ZYDIS_ISA_SET_POPCNT] = NEEDS(POPCNT),
    [ZYDIS_ISA_SET_CMPXCHG16B] = NEEDS(CX16),
    [ZYDIS_ISA_SET_RDTSCP] = NEEDS(RDTSCP),
    [ZYDIS_ISA_SET_MOVBE] = NEEDS(MOVBE),
    [ZYDIS_ISA_SET_XSAVE] = NEEDS(XSAVE),
    [ZYDIS_ISA_SET_XSAVEOPT] = NEEDS(XSAVEOPT),
    [ZYDIS_ISA_SET_XSAVEC] = NEEDS(XSAVEC),
    [ZYDIS_ISA_SET_AVX] = NEEDS(AVX),
    [ZYDIS_ISA_SET_AVX2] = NEEDS(AVX2),
    [ZYDIS_ISA_SET_AVX2GATHER] = NEEDS(AVX2),
    [ZYDIS_ISA_SET_FMA] = NEEDS(FMA),
    [ZYDIS_ISA_SET_F16C] = NEEDS(F16C),
    [ZYDIS_ISA_SET_BMI1] = NEEDS(BMI1),
    [ZYDIS_ISA_SET_BMI2] = NEEDS(BMI2),
    [ZYDIS_ISA_SET_LZCNT] = ALWAYS, /* BSR on a processor without it */
    [ZYDIS_ISA_SET_AES] = NEEDS(AES),
    [ZYDIS_ISA_SET_AVXAES] = NEEDS(AES),
    [ZYDIS_ISA_SET_PCLMULQDQ] = NEEDS(PCLMULQDQ),
    [ZYDIS_ISA_SET_SHA] = NEEDS(SHA),
    [ZYDIS_ISA_SET_RDRAND] = NEEDS(RDRAND),
    [ZYDIS_ISA_SET_RDSEED] = NEEDS(RDSEED),
    [ZYDIS_ISA_SET_ADOX_ADCX] = NEEDS(ADX),
    [ZYDIS_ISA_SET_RDWRFSGS] = NEEDS(FSGSBASE),
    [ZYDIS_ISA_SET_INVPCID] = NEEDS(INVPCID),
    [ZYDIS_ISA_SET_SMAP] = NEEDS(SMAP),
    [ZYDIS_ISA_SET_CLFLUSHOPT] = NEEDS(CLFLUSHOPT),
};

_Static_assert(X86_FEATURES + FEATURE < UINT8_MAX, "a row fits a byte");

/* What a processor with neither CET nor MPX runs as a NOP of several bytes (0F 1A, 0F 1B, 0F 1E).
 */
static bool is_reserved_nop(const ZydisDecodedInstruction *info)
{
    return info->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
           info->opcode_map == ZYDIS_OPCODE_MAP_0F &&
           (info->opcode == 0x1a || info->opcode == 0x1b || info->opcode == 0x1e);
}

bool cpu_model_allows(const struct cpu_model *model, const ZydisDecodedInstruction *info)
{
    unsigned need = info->meta.isa_set <= ZYDIS_ISA_SET_MAX_VALUE ? needs[info->meta.isa_set] : 0;

    if (info->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
        info->encoding != ZYDIS_INSTRUCTION_ENCODING_VEX)
        return false;
    if (info->mnemonic == ZYDIS_MNEMONIC_TZCNT) /* BSF on a processor without it */
        return true;
    if ((info->mnemonic == ZYDIS_MNEMONIC_LAHF || info->mnemonic == ZYDIS_MNEMONIC_SAHF) &&
        info->machine_mode == ZYDIS_MACHINE_MODE_LONG_64)
        return model->has[X86_FEATURE_LAHF64];
    /* Zydis files the VEX form under AVX, which it needs as well. */
    if (info->mnemonic == ZYDIS_MNEMONIC_VPCLMULQDQ && !model->has[X86_FEATURE_PCLMULQDQ])
        return false;
    if (need == NEVER)
        return is_reserved_nop(info);
    return need == ALWAYS || model->has[need - FEATURE];
}

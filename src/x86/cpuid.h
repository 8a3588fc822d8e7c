/*
 * CPUID models: what a guest's processor says it can do. A model is a list of features on top of a
 * level (x86-64-v1, v2, v3 of the psABI), cut down to what the host has, because heavy instructions
 * run on it.
 * Source: SDM 2 "CPUID", AMD APM 3 "Obtaining Processor Information"; x86-64 psABI, "Micro-
 * Architecture Levels".
 */
#ifndef UMBRA_X86_CPUID_H
#define UMBRA_X86_CPUID_H

#include "base/types.h"

struct x86_cpuid_result {
    uint32_t eax, ebx, ecx, edx;
};

/* One bit of CPUID output each; rows of cpuid.def. */
enum x86_feature {
#define X86_FEATURE(name, leaf, subleaf, reg, bit, level, words) X86_FEATURE_##name,
#include "x86/cpuid.def"
#undef X86_FEATURE
    X86_FEATURES
};

struct cpu_model {
    char name[16];
    bool has[X86_FEATURES];
    unsigned physical_bits; /* at most 46; what MAXPHYADDR says */
    uint64_t tsc_hz;
};

/*
 * Fills in the model of that name ("x86-64-v1", "x86-64-v2", "x86-64-v3", "max"). 0, -ENOENT for an
 * unknown name, -EOPNOTSUPP when the host lacks a feature of the level (missing then names it).
 */
int cpu_model_init(struct cpu_model *model, const char *name, const char **missing) must_check;

/* Calls fn for each model's name with one line of description. */
void cpu_model_list(void (*fn)(void *opaque, const char *name, const char *words), void *opaque);

/* What the rest of the processor's state puts into CPUID's answers. */
struct x86_cpuid_context {
    unsigned apic_id;
    unsigned vcpus;
    uint64_t xcr0;
    bool osxsave; /* CR4.OSXSAVE */
    bool apic_enabled;
};

/* What the guest's CPUID answers. */
struct x86_cpuid_result cpu_model_cpuid(const struct cpu_model *model,
                                        const struct x86_cpuid_context *context, uint32_t leaf,
                                        uint32_t subleaf);

#endif

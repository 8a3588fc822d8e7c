/*
 * CPUID models: what a guest's processor says it can do. A model is a list of features on top of a
 * level (x86-64-v1, v2, v3 of the psABI), cut down to what the host has, because heavy instructions
 * run on it.
 * Source: SDM 2 "CPUID", AMD APM 3 "Obtaining Processor Information"; x86-64 psABI, "Micro-
 * Architecture Levels".
 */
#ifndef UMBRA_X86_CPUID_H
#define UMBRA_X86_CPUID_H

#include <Zydis/Zydis.h>

#include "base/types.h"

struct x86_cpuid_result {
    uint32_t eax, ebx, ecx, edx;
};

/* How to ask a processor; tests put a host of their own here. */
typedef struct x86_cpuid_result (*x86_cpuid_fn)(uint32_t leaf, uint32_t subleaf);

/* One bit of CPUID output each; rows of cpuid.def. */
enum x86_feature {
#define X86_FEATURE(name, leaf, subleaf, reg, bit, level, source, words) X86_FEATURE_##name,
#include "x86/cpuid.def"
#undef X86_FEATURE
    X86_FEATURES
};

struct cpu_model {
    char name[16];
    bool has[X86_FEATURES];
    unsigned physical_bits; /* 40 to 46; what MAXPHYADDR says */
    /*
     * The guest's TSC ticks a second; 0 until the VM's owner sets it. A guest need not calibrate
     * when it is a multiple of 1 MHz below 4.29 GHz.
     */
    uint64_t tsc_hz;
};

/* Whether the host's bit for a feature is set. */
bool cpu_host_has(x86_cpuid_fn host, enum x86_feature feature);

/* Asks the processor that runs this. */
struct x86_cpuid_result cpu_host_cpuid(uint32_t leaf, uint32_t subleaf);

/*
 * Fills in the model of that name ("x86-64-v1", "x86-64-v2", "x86-64-v3", "max"). 0, -ENOENT for an
 * unknown name, -EOPNOTSUPP when the host lacks a feature of the level (missing then names it).
 */
int cpu_model_init(struct cpu_model *model, const char *name, const char **missing) must_check;

/* As cpu_model_init, with the host's CPUID given. */
int cpu_model_init_for(struct cpu_model *model, const char *name, x86_cpuid_fn host,
                       const char **missing) must_check;

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

/*
 * Whether a processor of this model has the instruction; where not, it raises #UD. True for what
 * an older processor runs as something else: hints that are NOPs there (ENDBR64, RDSSP, BND*), and
 * TZCNT and LZCNT, which are BSF and BSR there (who binds those looks at the model itself).
 */
bool cpu_model_allows(const struct cpu_model *model, const ZydisDecodedInstruction *info);

#endif

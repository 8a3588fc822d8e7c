/*
 * CPUID models and what CPUID answers for them. Refuses models that the host can't carry; knows
 * nothing of the VM beyond struct x86_cpuid_context.
 * Source: SDM 2 "CPUID"; Intel AP-485; x86-64 psABI, "Micro-Architecture Levels".
 *
 * The identity is GenuineIntel, since SYSENTER in compatibility mode, SYSRET and the segment rules
 * are Intel's here. Family 6, model 36h is an in-order Atom: guests know that such a processor does
 * not speculate, as ours does not, and leave their costly counter-measures off.
 */
#include "x86/cpuid.h"

#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SIGNATURE          0x00030661 /* family 6, model 36h, stepping 1 */
#define MAX_BASIC          0x16
#define MAX_EXTENDED       0x80000008
#define HYPERVISOR_LEAF    0x40000000
#define CLFLUSH_BYTES      64
#define LINEAR_BITS        48
#define CRYSTAL_HZ         1000000000u /* the local APIC timer's input clock (dev/lapic.h) */
#define MHZ                1000000u
#define XSAVE_AVX_OFFSET   576
#define XSAVE_AVX_BYTES    256
#define CPUID1_ECX_OSXSAVE BIT(27)
#define CPUID1_EDX_HTT     BIT(28)

enum source { PSABI, HOST, OWN };
enum reg { EAX, EBX, ECX, EDX };

struct feature {
    const char *words;
    uint32_t leaf, subleaf;
    uint8_t reg, bit, level, source;
};

static const struct feature features[X86_FEATURES] = {
#define X86_FEATURE(name, leaf, subleaf, reg, bit, level, source, words)                           \
    {words, leaf, subleaf, reg, bit, level, source},
#include "x86/cpuid.def"
#undef X86_FEATURE
};

static const struct {
    const char *name;
    const char *words;
    unsigned level;
    bool whole; /* the host must have all that the level demands */
} models[] = {
    {"x86-64-v1", "the first x86-64 processors: SSE2", 1, true},
    {"x86-64-v2", "SSE4.2 and POPCNT", 2, true},
    {"x86-64-v3", "AVX2, BMI and FMA, with AES, SHA, RDRAND where the host has them", 3, true},
    {"max", "all that Umbra knows and the host has", 3, false},
};

struct x86_cpuid_result cpu_host_cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct x86_cpuid_result r = {0};

    /* A host answers leaves that it does not have with another leaf's bits. */
    if (leaf <= (unsigned)__get_cpuid_max(leaf & 0x80000000, NULL))
        __cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
    return r;
}

static uint32_t *result_register(struct x86_cpuid_result *r, unsigned reg)
{
    switch (reg) {
    case EAX: return &r->eax;
    case EBX: return &r->ebx;
    case ECX: return &r->ecx;
    default: return &r->edx;
    }
}

bool cpu_host_has(x86_cpuid_fn host, enum x86_feature feature)
{
    const struct feature *f = &features[feature];
    struct x86_cpuid_result r = host(f->leaf, f->subleaf);

    return *result_register(&r, f->reg) >> f->bit & 1;
}

int cpu_model_init_for(struct cpu_model *model, const char *name, x86_cpuid_fn host,
                       const char **missing)
{
    size_t m = 0;
    unsigned host_bits = host(0x80000008, 0).eax & 0xff;

    while (m < ARRAY_SIZE(models) && strcmp(models[m].name, name) != 0)
        m++;
    if (m == ARRAY_SIZE(models))
        return -ENOENT;
    *model = (struct cpu_model){.physical_bits = MAX(40u, MIN(46u, host_bits))};
    snprintf(model->name, sizeof(model->name), "%s", name);
    for (size_t i = 0; i < X86_FEATURES; i++) {
        const struct feature *f = &features[i];

        if (f->level > models[m].level)
            continue;
        model->has[i] = f->source == OWN || cpu_host_has(host, (enum x86_feature)i);
        if (!model->has[i] && f->source == PSABI && models[m].whole) {
            *missing = f->words;
            return -EOPNOTSUPP;
        }
    }
    return 0;
}

int cpu_model_init(struct cpu_model *model, const char *name, const char **missing)
{
    return cpu_model_init_for(model, name, cpu_host_cpuid, missing);
}

void cpu_model_list(void (*fn)(void *opaque, const char *name, const char *words), void *opaque)
{
    for (size_t i = 0; i < ARRAY_SIZE(models); i++)
        fn(opaque, models[i].name, models[i].words);
}

/* Sets the bits of the features that live in this leaf. */
static void add_features(const struct cpu_model *model, uint32_t leaf, uint32_t subleaf,
                         struct x86_cpuid_result *r)
{
    for (size_t i = 0; i < X86_FEATURES; i++) {
        const struct feature *f = &features[i];

        if (model->has[i] && f->leaf == leaf && f->subleaf == subleaf)
            *result_register(r, f->reg) |= (uint32_t)BIT(f->bit);
    }
}

static unsigned shift_for(unsigned count)
{
    unsigned shift = 0;

    while ((1u << shift) < count)
        shift++;
    return shift;
}

/* Text into registers in the order in which CPUID gives it. */
static void put_text(struct x86_cpuid_result *r, const char text[16])
{
    memcpy(r, text, sizeof(*r));
}

static void put_vendor(struct x86_cpuid_result *r, const char text[12], bool intel_order)
{
    uint32_t words[3];

    memcpy(words, text, sizeof(words));
    r->ebx = words[0];
    r->ecx = intel_order ? words[2] : words[1];
    r->edx = intel_order ? words[1] : words[2];
}

static void leaf_1(const struct x86_cpuid_context *context, struct x86_cpuid_result *r)
{
    unsigned logical = 1u << shift_for(context->vcpus);

    r->eax = SIGNATURE;
    r->ebx = CLFLUSH_BYTES / 8 << 8 | (uint32_t)context->apic_id << 24;
    if (context->vcpus > 1) {
        r->ebx |= MIN(logical, 255u) << 16;
        r->edx |= CPUID1_EDX_HTT;
    }
    if (context->osxsave)
        r->ecx |= (uint32_t)CPUID1_ECX_OSXSAVE;
}

/* Deterministic cache parameters: a plausible processor, one L1 and L2 a core. */
static void leaf_4(const struct x86_cpuid_context *context, uint32_t subleaf,
                   struct x86_cpuid_result *r)
{
    static const struct {
        uint8_t type, level, ways;
        uint16_t sets;
        bool shared;
    } caches[] = {{1, 1, 8, 64, false},
                  {2, 1, 8, 64, false},
                  {3, 2, 16, 1024, false},
                  {3, 3, 16, 16384, true}};
    unsigned ids = 1u << shift_for(context->vcpus);

    if (subleaf >= ARRAY_SIZE(caches))
        return;
    r->eax = caches[subleaf].type | (uint32_t)caches[subleaf].level << 5 | 1u << 8 |
             (caches[subleaf].shared ? ids - 1 : 0) << 14 | MIN(ids - 1, 63u) << 26;
    r->ebx = (CLFLUSH_BYTES - 1) | (uint32_t)(caches[subleaf].ways - 1) << 22;
    r->ecx = caches[subleaf].sets - 1u;
}

/* Extended topology: each vCPU is a core of one package. */
static void leaf_b(const struct x86_cpuid_context *context, uint32_t subleaf,
                   struct x86_cpuid_result *r)
{
    r->ecx = subleaf & 0xff;
    r->edx = context->apic_id;
    if (subleaf == 0) {
        r->ebx = 1;
        r->ecx |= 1 << 8;
    } else if (subleaf == 1) {
        r->eax = shift_for(context->vcpus);
        r->ebx = context->vcpus;
        r->ecx |= 2 << 8;
    }
}

static void leaf_d(const struct cpu_model *model, const struct x86_cpuid_context *context,
                   uint32_t subleaf, struct x86_cpuid_result *r)
{
    bool avx = model->has[X86_FEATURE_AVX];
    uint32_t in_use = XSAVE_AVX_OFFSET + (context->xcr0 & 4 ? XSAVE_AVX_BYTES : 0);

    if (!model->has[X86_FEATURE_XSAVE])
        return;
    if (subleaf == 0) {
        r->eax = avx ? 7 : 3;
        r->ebx = in_use;
        r->ecx = XSAVE_AVX_OFFSET + (avx ? XSAVE_AVX_BYTES : 0);
    } else if (subleaf == 1) {
        r->ebx = in_use;
    } else if (subleaf == 2 && avx) {
        r->eax = XSAVE_AVX_BYTES;
        r->ebx = XSAVE_AVX_OFFSET;
    }
}

/*
 * Leaf 15h: TSC = crystal * EBX / EAX. Linux multiplies kHz by EBX in 32 bits, hence the small
 * ratio; what it can't express exactly is left out, and the guest calibrates.
 */
static void leaf_15(const struct cpu_model *model, struct x86_cpuid_result *r)
{
    if (!model->tsc_hz || model->tsc_hz % MHZ != 0 || model->tsc_hz >= UINT32_MAX)
        return;
    r->eax = CRYSTAL_HZ / MHZ;
    r->ebx = (uint32_t)(model->tsc_hz / MHZ);
    r->ecx = CRYSTAL_HZ;
}

static void basic_leaf(const struct cpu_model *model, const struct x86_cpuid_context *context,
                       uint32_t leaf, uint32_t subleaf, struct x86_cpuid_result *r)
{
    switch (leaf) {
    case 0:
        r->eax = MAX_BASIC;
        put_vendor(r, "GenuineIntel", true);
        break;
    case 1: leaf_1(context, r); break;
    case 2: r->eax = 0xff01; break; /* one round; caches are told by leaf 4 */
    case 4: leaf_4(context, subleaf, r); break;
    case 0xb: leaf_b(context, subleaf, r); break;
    case 0xd: leaf_d(model, context, subleaf, r); break;
    case 0x15: leaf_15(model, r); break;
    case 0x16:
        r->eax = r->ebx = (uint32_t)(model->tsc_hz / MHZ) & 0xffff;
        r->ecx = 100;
        break;
    default: break;
    }
}

static void extended_leaf(const struct cpu_model *model, uint32_t leaf, struct x86_cpuid_result *r)
{
    char brand[49] = {0};

    switch (leaf) {
    case 0x80000000: r->eax = MAX_EXTENDED; break;
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
        snprintf(brand, sizeof(brand), "Umbra soft CPU (%s)", model->name);
        put_text(r, brand + 16 * (leaf - 0x80000002));
        break;
    case 0x80000006: r->ecx = CLFLUSH_BYTES | 6 << 12 | 1024u << 16; break; /* L2: 1 MiB, 8 ways */
    case 0x80000008: r->eax = model->physical_bits | LINEAR_BITS << 8; break;
    default: break;
    }
}

struct x86_cpuid_result cpu_model_cpuid(const struct cpu_model *model,
                                        const struct x86_cpuid_context *context, uint32_t leaf,
                                        uint32_t subleaf)
{
    struct x86_cpuid_result r = {0};
    bool hypervisor = leaf >> 28 == HYPERVISOR_LEAF >> 28;
    bool extended = leaf >> 28 == 8;

    /* An Intel processor answers a leaf beyond its last with the last basic one. */
    if ((!extended && !hypervisor && leaf > MAX_BASIC) || (extended && leaf > MAX_EXTENDED))
        leaf = MAX_BASIC;
    if (hypervisor) {
        if (leaf == HYPERVISOR_LEAF) {
            r.eax = HYPERVISOR_LEAF;
            put_vendor(&r, "UmbraUmbraUm", false);
        }
        return r;
    }
    /* The other leaves do not look at ECX. */
    if (leaf != 4 && leaf != 7 && leaf != 0xb && leaf != 0xd)
        subleaf = 0;
    add_features(model, leaf, subleaf, &r);
    if (leaf == 1 && !context->apic_enabled)
        r.edx &= ~(uint32_t)BIT(9);
    if (leaf & 0x80000000)
        extended_leaf(model, leaf, &r);
    else
        basic_leaf(model, context, leaf, subleaf, &r);
    return r;
}

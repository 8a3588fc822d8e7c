/*
 * CPUID under KVM: what the model answers, less what the host's KVM does not offer.
 * Source: KVM API, "KVM_SET_CPUID2", "KVM_GET_SUPPORTED_CPUID"; SDM 2 "CPUID".
 */
#include <asm/kvm_para.h>
#include <errno.h>
#include <stdlib.h>

#include "engine/kvm/internal.h"
#include "x86/cpuid.h"

#define MAX_ENTRIES   256
#define MAX_SUBLEAVES 8

/* What KVM supports of a leaf, or NULL. */
static const struct kvm_cpuid_entry2 *find(const struct kvm_cpuid2 *table, uint32_t leaf,
                                           uint32_t sub)
{
    for (uint32_t i = 0; i < table->nent; i++) {
        const struct kvm_cpuid_entry2 *entry = &table->entries[i];
        bool indexed = entry->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX;

        if (entry->function == leaf && (!indexed || entry->index == sub))
            return entry;
    }
    return NULL;
}

/* Feature bits are ANDed; all other leaves are the model's own. */
static void cut_down(struct engine_vcpu *vcpu, const struct kvm_cpuid2 *supported, uint32_t leaf,
                     uint32_t sub, struct x86_cpuid_result *r)
{
    /* What KVM does not list, yet serves or leaves to us. */
    const uint32_t own_ecx = BIT(31) | BIT(27);
    const struct kvm_cpuid_entry2 *entry = find(supported, leaf, sub);

    switch (leaf) {
    case 1:
        r->ecx &= (entry ? entry->ecx : 0) | own_ecx;
        if (!vcpu->vm.irqchips)
            r->ecx &= ~(uint32_t)(BIT(21) | BIT(24)); /* x2APIC, TSC deadline: not with our APIC */
        r->edx &= (entry ? entry->edx : 0) | BIT(9);
        break;
    case 7:
        r->ebx &= entry ? entry->ebx : 0;
        r->ecx &= entry ? entry->ecx : 0;
        r->edx &= entry ? entry->edx : 0;
        break;
    case 0x80000001:
        r->ecx &= entry ? entry->ecx : 0;
        r->edx &= entry ? entry->edx : 0;
        break;
    default: break;
    }
}

/* The leaves by which Linux finds KVM's own help: its clock, cheap EOIs, stolen time. */
static void paravirtual(struct engine_vcpu *vcpu, const struct kvm_cpuid2 *supported, uint32_t leaf,
                        struct x86_cpuid_result *r)
{
    const struct kvm_cpuid_entry2 *entry = find(supported, leaf, 0);
    uint32_t offered = BIT(KVM_FEATURE_CLOCKSOURCE) | BIT(KVM_FEATURE_NOP_IO_DELAY) |
                       BIT(KVM_FEATURE_CLOCKSOURCE2) | BIT(KVM_FEATURE_CLOCKSOURCE_STABLE_BIT);

    if (vcpu->vm.irqchips)
        offered |= BIT(KVM_FEATURE_PV_EOI) | BIT(KVM_FEATURE_STEAL_TIME);
    if (!entry)
        return;
    *r = (struct x86_cpuid_result){entry->eax, entry->ebx, entry->ecx, entry->edx};
    if (leaf == KVM_CPUID_SIGNATURE)
        r->eax = KVM_CPUID_FEATURES;
    else
        r->eax &= offered;
}

static bool has_subleaves(uint32_t leaf)
{
    return leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd;
}

static void add_leaf(struct engine_vcpu *vcpu, const struct kvm_cpuid2 *supported,
                     struct kvm_cpuid2 *table, uint32_t leaf)
{
    const struct x86_cpuid_context context = {
        .apic_id = vcpu->index,
        .vcpus = 1,
        .xcr0 = X86_XCR0_X87 | X86_XCR0_SSE | X86_XCR0_AVX,
        .apic_enabled = true,
    };
    unsigned subleaves = has_subleaves(leaf) ? MAX_SUBLEAVES : 1;

    for (uint32_t sub = 0; sub < subleaves && table->nent < MAX_ENTRIES; sub++) {
        struct x86_cpuid_result r = cpu_model_cpuid(vcpu->model, &context, leaf, sub);

        cut_down(vcpu, supported, leaf, sub, &r);
        if (leaf >= KVM_CPUID_SIGNATURE && leaf <= KVM_CPUID_FEATURES)
            paravirtual(vcpu, supported, leaf, &r);
        table->entries[table->nent++] = (struct kvm_cpuid_entry2){
            .function = leaf,
            .index = sub,
            .flags = subleaves > 1 ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
            .eax = r.eax,
            .ebx = r.ebx,
            .ecx = r.ecx,
            .edx = r.edx,
        };
    }
}

int kvm_set_cpuid(struct engine_vcpu *vcpu)
{
    static const uint32_t ranges[] = {0, 0x80000000};
    const struct x86_cpuid_context context = {.vcpus = 1};
    const size_t bytes = sizeof(struct kvm_cpuid2) + MAX_ENTRIES * sizeof(struct kvm_cpuid_entry2);
    struct kvm_cpuid2 *supported = calloc(1, bytes);
    struct kvm_cpuid2 *table = calloc(1, bytes);
    int err = supported && table ? 0 : -ENOMEM;

    if (!err) {
        supported->nent = MAX_ENTRIES;
        err = kvm_ioctl(vcpu->vm.device_fd, KVM_GET_SUPPORTED_CPUID, supported);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(ranges) && err >= 0; i++) {
        uint32_t last = cpu_model_cpuid(vcpu->model, &context, ranges[i], 0).eax;

        for (uint32_t leaf = ranges[i]; leaf <= last; leaf++)
            add_leaf(vcpu, supported, table, leaf);
    }
    for (uint32_t leaf = KVM_CPUID_SIGNATURE; leaf <= KVM_CPUID_FEATURES && err >= 0; leaf++)
        add_leaf(vcpu, supported, table, leaf);
    if (err >= 0)
        err = kvm_ioctl(vcpu->fd, KVM_SET_CPUID2, table);
    free(table);
    free(supported);
    return err < 0 ? err : 0;
}

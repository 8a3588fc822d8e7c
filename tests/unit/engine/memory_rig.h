/*
 * A whole vCPU over slots that tests change and log: 64-bit code at CPL 0 under page tables of the
 * test's making, in either mode of memory virtualization.
 */
#ifndef UMBRA_TESTS_MEMORY_RIG_H
#define UMBRA_TESTS_MEMORY_RIG_H

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/engine.h"
#include "engine/soft/vcpu.h"
#include "mem/mem.h"
#include "mmu/mmu.h"
#include "x86/cpuid.h"

#define PTE_TABLE 0x07u /* present, writable, user */
#define PTE_LARGE 0x87u

struct memory_rig {
    struct mem *mem;
    struct mmu *mmu;
    struct cpu_model model;
    struct engine_vcpu *vcpu;
};

static uint32_t memory_rig_port_read(void *opaque, uint16_t port, unsigned width)
{
    return 0;
}

static void memory_rig_port_write(void *opaque, uint16_t port, unsigned width, uint32_t value)
{
}

static uint64_t memory_rig_mmio_read(void *opaque, gpa_t gpa, unsigned width)
{
    return UINT64_MAX >> (64 - 8 * width);
}

static void memory_rig_mmio_write(void *opaque, gpa_t gpa, unsigned width, uint64_t value)
{
}

static uint64_t memory_rig_a20(void *opaque)
{
    return UINT64_MAX;
}

/* Memory without slots, and the vCPU in its reset state. */
static struct memory_rig *memory_rig_create(enum mmu_mode mode)
{
    struct memory_rig *rig = calloc(1, sizeof(*rig));
    const struct engine_host host = {
        .opaque = rig,
        .port_read = memory_rig_port_read,
        .port_write = memory_rig_port_write,
        .mmio_read = memory_rig_mmio_read,
        .mmio_write = memory_rig_mmio_write,
        .a20_mask = memory_rig_a20,
    };
    const char *missing;

    assert_non_null(rig);
    assert_int_equal(cpu_model_init(&rig->model, "max", &missing), 0);
    rig->mem = mem_create(NULL);
    assert_non_null(rig->mem);
    rig->mmu = mmu_create(rig->mem, &(struct mmu_config){.mode = mode});
    assert_non_null(rig->mmu);
    assert_int_equal(
        engine_soft.vcpu_create(
            &rig->vcpu,
            &(struct engine_vcpu_config){.mmu = rig->mmu, .host = &host, .model = &rig->model}),
        0);
    return rig;
}

static void memory_rig_destroy(struct memory_rig *rig)
{
    engine_soft.vcpu_destroy(rig->vcpu);
    mmu_destroy(rig->mmu);
    mem_destroy(rig->mem);
    free(rig);
}

static inline void memory_rig_put64(struct memory_rig *rig, gpa_t gpa, uint64_t value)
{
    assert_true(mem_write(rig->mem, gpa, &value, sizeof(value)));
}

/* 64-bit mode at CPL 0: RIP, RSP and the PML4. */
static inline void memory_rig_start(struct memory_rig *rig, uint64_t rip, uint64_t rsp,
                                    uint64_t cr3)
{
    struct x86_state state;

    engine_soft.vcpu_get_state(rig->vcpu, &state);
    state.cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_NE | X86_CR0_MP | X86_CR0_ET;
    state.cr3 = cr3;
    state.cr4 = X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
    if (rig->model.has[X86_FEATURE_AVX]) {
        state.cr4 |= X86_CR4_OSXSAVE;
        state.xcr0 = 7;
    }
    state.msr.efer = X86_EFER_LME | X86_EFER_LMA;
    for (unsigned i = 0; i < X86_SEGS; i++) {
        state.seg[i].base = 0;
        state.seg[i].limit = UINT32_MAX;
    }
    state.seg[X86_CS].attr |= X86_SEG_L;
    state.gpr[X86_RIP] = rip;
    state.gpr[X86_RSP] = rsp;
    engine_soft.vcpu_set_state(rig->vcpu, &state);
}

static inline void memory_rig_check_audit(const struct memory_rig *rig)
{
    char why[200] = "";

    if (!mmu_audit(rig->mmu, why, sizeof(why)))
        fail_msg("%s", why);
}

#endif

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

#include "engine/soft/vcpu.h"
#include "vcpu_rig.h"

#define PTE_TABLE 0x07u /* present, writable, user */
#define PTE_LARGE 0x87u

/* Memory without slots, and the vCPU in its reset state. */
static struct vcpu_rig *memory_rig_create(enum mmu_mode mode)
{
    struct vcpu_rig *rig = calloc(1, sizeof(*rig));
    const struct engine_host host = quiet_host(rig);

    assert_non_null(rig);
    vcpu_rig_init(rig, &engine_soft, "max");
    vcpu_rig_start(rig, mode, &host, 0);
    return rig;
}

static void memory_rig_destroy(struct vcpu_rig *rig)
{
    vcpu_rig_fini(rig);
    free(rig);
}

static inline void memory_rig_put64(struct vcpu_rig *rig, gpa_t gpa, uint64_t value)
{
    assert_true(mem_write(rig->mem, gpa, &value, sizeof(value)));
}

/* 64-bit mode at CPL 0: RIP, RSP and the PML4. */
static inline void memory_rig_start(struct vcpu_rig *rig, uint64_t rip, uint64_t rsp, uint64_t cr3)
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

static inline void memory_rig_check_audit(const struct vcpu_rig *rig)
{
    char why[200] = "";

    if (!mmu_audit(rig->mmu, why, sizeof(why)))
        fail_msg("%s", why);
}

#endif

/*
 * What tests of a whole vCPU share: memory, the MMU and the vCPU of an engine. A test puts its rig
 * around this one and adds the slots and the calls of the host that it is about.
 */
#ifndef UMBRA_TESTS_VCPU_RIG_H
#define UMBRA_TESTS_VCPU_RIG_H

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../quiet_host.h"
#include "engine/engine.h"
#include "mem/mem.h"
#include "mmu/mmu.h"
#include "x86/cpuid.h"

struct vcpu_rig {
    const struct engine *engine;
    struct mem *mem;
    struct mmu *mmu;
    struct cpu_model model;
    struct engine_vcpu *vcpu;
    enum engine_dirty_log dirty_log; /* engine_vcpu_config's; set before the start */
    unsigned translate_after;        /* so is this */
    size_t translate_bytes;          /* and this */
};

/* Memory without slots, for a processor of this model; vcpu_rig_start makes the rest. */
static inline void vcpu_rig_init(struct vcpu_rig *rig, const struct engine *engine,
                                 const char *model)
{
    const char *missing;

    *rig = (struct vcpu_rig){.engine = engine};
    assert_int_equal(cpu_model_init(&rig->model, model, &missing), 0);
    rig->mem = mem_create(NULL);
    assert_non_null(rig->mem);
}

static inline void vcpu_rig_add_ram(struct vcpu_rig *rig, gpa_t gpa, uint64_t bytes)
{
    assert_int_equal(mem_add_slot(rig->mem, "ram", gpa, bytes, MEM_SLOT_RAM), 0);
}

/* The MMU over the slots there are, and the vCPU in its reset state; 0 TLB entries: as many as
 * usual. */
static inline void vcpu_rig_start(struct vcpu_rig *rig, enum mmu_mode mode,
                                  const struct engine_host *host, unsigned tlb_entries)
{
    struct engine_vcpu_config config = {
        .host = host,
        .model = &rig->model,
        .tlb_entries = tlb_entries,
        .dirty_log = rig->dirty_log,
        .translate_after = rig->translate_after,
        .translate_bytes = rig->translate_bytes,
    };

    rig->mmu = mmu_create(rig->mem, &(struct mmu_config){.mode = mode});
    assert_non_null(rig->mmu);
    config.mmu = rig->mmu;
    assert_int_equal(rig->engine->vcpu_create(&rig->vcpu, &config), 0);
}

static inline void vcpu_rig_fini(struct vcpu_rig *rig)
{
    rig->engine->vcpu_destroy(rig->vcpu);
    mmu_destroy(rig->mmu);
    mem_destroy(rig->mem);
}

#endif

/*
 * What tests of a whole vCPU share: memory, the MMU and the vCPU of an engine, and a host that
 * offers nothing. A test puts its rig around this one and adds the slots and the calls it is about.
 */
#ifndef UMBRA_TESTS_VCPU_RIG_H
#define UMBRA_TESTS_VCPU_RIG_H

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

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
};

static uint32_t vcpu_rig_port_read(void *opaque, uint16_t port, unsigned width)
{
    return 0;
}

static void vcpu_rig_port_write(void *opaque, uint16_t port, unsigned width, uint32_t value)
{
}

static uint64_t vcpu_rig_mmio_read(void *opaque, gpa_t gpa, unsigned width)
{
    return UINT64_MAX >> (64 - 8 * width);
}

static void vcpu_rig_mmio_write(void *opaque, gpa_t gpa, unsigned width, uint64_t value)
{
}

static uint64_t vcpu_rig_tsc_now(void *opaque)
{
    return 0;
}

static uint64_t vcpu_rig_a20_mask(void *opaque)
{
    return UINT64_MAX;
}

/* A host without devices; what a test wants to see of it, it puts in their place. */
static inline struct engine_host vcpu_rig_host(void *opaque)
{
    return (struct engine_host){
        .opaque = opaque,
        .port_read = vcpu_rig_port_read,
        .port_write = vcpu_rig_port_write,
        .mmio_read = vcpu_rig_mmio_read,
        .mmio_write = vcpu_rig_mmio_write,
        .tsc_now = vcpu_rig_tsc_now,
        .a20_mask = vcpu_rig_a20_mask,
    };
}

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
        .host = host, .model = &rig->model, .tlb_entries = tlb_entries};

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

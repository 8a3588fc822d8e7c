/*
 * A whole vCPU of the soft engine in real mode, with its code at CODE, its stack below STACK, and a
 * HLT where each interrupt vector leads.
 */
#ifndef UMBRA_TESTS_RUN_RIG_H
#define UMBRA_TESTS_RUN_RIG_H

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/engine.h"
#include "mem/mem.h"
#include "mmu/mmu.h"
#include "x86/cpuid.h"

#define MEMORY_BYTES         0x200000u
#define CODE                 0x1000u
#define STACK                0x8000u
#define HANDLERS             0x9000u /* a byte a vector */
#define DATA                 0xa000u
#define HLT                  0xf4
#define HANDLER_DONE(vector) (HANDLERS + (vector) + 1)

struct rig {
    struct mem *mem;
    struct mmu *mmu;
    struct cpu_model model;
    struct engine_vcpu *vcpu;
    struct x86_state state;
    int vector; /* of the interrupt that waits, when INTR is high */
};

static uint32_t port_read(void *opaque, uint16_t port, unsigned width)
{
    return 0;
}

static void port_write(void *opaque, uint16_t port, unsigned width, uint32_t value)
{
}

static uint64_t mmio_read(void *opaque, gpa_t gpa, unsigned width)
{
    return 0;
}

static void mmio_write(void *opaque, gpa_t gpa, unsigned width, uint64_t value)
{
}

static int interrupt_acknowledge(void *opaque, unsigned vcpu)
{
    struct rig *rig = opaque;

    engine_soft.vcpu_set_intr(rig->vcpu, false);
    return rig->vector;
}

static uint64_t a20_mask(void *opaque)
{
    return UINT64_MAX;
}

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    const struct engine_host host = {
        .opaque = rig,
        .port_read = port_read,
        .port_write = port_write,
        .mmio_read = mmio_read,
        .mmio_write = mmio_write,
        .interrupt_acknowledge = interrupt_acknowledge,
        .a20_mask = a20_mask,
    };
    const char *missing;

    assert_non_null(rig);
    assert_int_equal(cpu_model_init(&rig->model, "max", &missing), 0);
    rig->mem = mem_create(NULL);
    assert_non_null(rig->mem);
    assert_int_equal(mem_add_slot(rig->mem, "low", 0, MEMORY_BYTES, MEM_SLOT_RAM), 0);
    rig->mmu = mmu_create(rig->mem, &(struct mmu_config){.mode = MMU_EPT});
    assert_non_null(rig->mmu);
    assert_int_equal(
        engine_soft.vcpu_create(
            &rig->vcpu,
            &(struct engine_vcpu_config){.mmu = rig->mmu, .host = &host, .model = &rig->model}),
        0);
    for (unsigned vector = 0; vector < 32; vector++) {
        const uint16_t entry[2] = {(uint16_t)(HANDLERS + vector), 0};
        const uint8_t hlt = HLT;

        mem_write(rig->mem, 4 * vector, entry, sizeof(entry));
        mem_write(rig->mem, HANDLERS + vector, &hlt, 1);
    }
    engine_soft.vcpu_get_state(rig->vcpu, &rig->state);
    rig->state.seg[X86_CS].selector = 0;
    rig->state.seg[X86_CS].base = 0;
    rig->state.gpr[X86_RSP] = STACK;
    rig->state.gpr[X86_RIP] = CODE;
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    engine_soft.vcpu_destroy(rig->vcpu);
    mmu_destroy(rig->mmu);
    mem_destroy(rig->mem);
    free(rig);
    return 0;
}

#define RIP(rig) ((rig)->state.gpr[X86_RIP])
#define RCX(rig) ((rig)->state.gpr[X86_RCX])
#define RAX(rig) ((rig)->state.gpr[X86_RAX])

/* A string literal's bytes as code. */
#define PUT(rig, gpa, bytes) mem_write((rig)->mem, gpa, bytes, sizeof(bytes) - 1)

/* Runs from rig->state to the next HLT, and fetches the state there. */
static inline void run_to_halt(struct rig *rig)
{
    engine_soft.vcpu_set_state(rig->vcpu, &rig->state);
    assert_int_equal(engine_soft.vcpu_run(rig->vcpu), ENGINE_STOP_HALT);
    engine_soft.vcpu_get_state(rig->vcpu, &rig->state);
}

/* A word of what the last event left on the stack: IP, CS, FLAGS. */
static inline uint16_t pushed(struct rig *rig, unsigned word)
{
    return mem_read16(rig->mem, (rig->state.gpr[X86_RSP] & 0xffff) + 2 * word);
}

#endif

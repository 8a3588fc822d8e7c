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

#include "vcpu_rig.h"

#define MEMORY_BYTES         0x200000u
#define CODE                 0x1000u
#define STACK                0x8000u
#define HANDLERS             0x9000u /* a byte a vector */
#define DATA                 0xa000u
#define HLT                  0xf4
#define HANDLER_DONE(vector) (HANDLERS + (vector) + 1)

struct rig {
    struct vcpu_rig base;
    struct x86_state state;
    int vector; /* of the interrupt that waits, when INTR is high */
};

static int interrupt_acknowledge(void *opaque, unsigned vcpu)
{
    struct rig *rig = opaque;

    engine_soft.vcpu_set_intr(rig->base.vcpu, false);
    return rig->vector;
}

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    struct engine_host host = quiet_host(rig);

    assert_non_null(rig);
    host.interrupt_acknowledge = interrupt_acknowledge;
    vcpu_rig_init(&rig->base, &engine_soft, "max");
    vcpu_rig_add_ram(&rig->base, 0, MEMORY_BYTES);
    vcpu_rig_start(&rig->base, MMU_EPT, &host, 0);
    for (unsigned vector = 0; vector < 32; vector++) {
        const uint16_t entry[2] = {(uint16_t)(HANDLERS + vector), 0};
        const uint8_t hlt = HLT;

        mem_write(rig->base.mem, 4 * vector, entry, sizeof(entry));
        mem_write(rig->base.mem, HANDLERS + vector, &hlt, 1);
    }
    engine_soft.vcpu_get_state(rig->base.vcpu, &rig->state);
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

    vcpu_rig_fini(&rig->base);
    free(rig);
    return 0;
}

#define RIP(rig) ((rig)->state.gpr[X86_RIP])
#define RCX(rig) ((rig)->state.gpr[X86_RCX])
#define RAX(rig) ((rig)->state.gpr[X86_RAX])

/* A string literal's bytes as code. */
#define PUT(rig, gpa, bytes) mem_write((rig)->base.mem, gpa, bytes, sizeof(bytes) - 1)

/* Runs from rig->state to the next HLT, and fetches the state there. */
static inline void run_to_halt(struct rig *rig)
{
    engine_soft.vcpu_set_state(rig->base.vcpu, &rig->state);
    assert_int_equal(engine_soft.vcpu_run(rig->base.vcpu), ENGINE_STOP_HALT);
    engine_soft.vcpu_get_state(rig->base.vcpu, &rig->state);
}

/* A word of what the last event left on the stack: IP, CS, FLAGS. */
static inline uint16_t pushed(struct rig *rig, unsigned word)
{
    return mem_read16(rig->base.mem, (rig->state.gpr[X86_RSP] & 0xffff) + 2 * word);
}

#endif

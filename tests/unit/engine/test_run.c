/*
 * The run loop around an instruction: a whole vCPU in real mode, with its code at CODE, its stack
 * below STACK, and a HLT where each interrupt vector leads.
 */
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
static void run_to_halt(struct rig *rig)
{
    engine_soft.vcpu_set_state(rig->vcpu, &rig->state);
    assert_int_equal(engine_soft.vcpu_run(rig->vcpu), ENGINE_STOP_HALT);
    engine_soft.vcpu_get_state(rig->vcpu, &rig->state);
}

/* A word of what the last event left on the stack: IP, CS, FLAGS. */
static uint16_t pushed(struct rig *rig, unsigned word)
{
    return mem_read16(rig->mem, (rig->state.gpr[X86_RSP] & 0xffff) + 2 * word);
}

/* SDM 2 "HLT": a debug exception resumes execution; the step behind HLT is one. */
static void test_single_step_leaves_halt(void **state)
{
    struct rig *rig = *state;

    PUT(rig, CODE, "\xf4\x90");
    rig->state.rflags |= X86_FLAG_TF;
    run_to_halt(rig);
    assert_int_equal(RIP(rig), HANDLER_DONE(X86_DB));
    assert_int_equal(pushed(rig, 0), CODE + 1);
    assert_true(rig->state.dr[6] & BIT(14));
}

/* INTO that is not taken is an instruction like any other; one that is taken clears TF. */
static void test_single_step_of_into(void **state)
{
    struct rig *rig = *state;

    PUT(rig, CODE, "\xce\xf4"); /* into; hlt */
    rig->state.rflags |= X86_FLAG_TF;
    run_to_halt(rig);
    assert_int_equal(RIP(rig), HANDLER_DONE(X86_DB));
    assert_int_equal(pushed(rig, 0), CODE + 1);
    RIP(rig) = CODE;
    rig->state.rflags |= X86_FLAG_TF | X86_FLAG_OF;
    rig->state.dr[6] = 0;
    run_to_halt(rig);
    assert_int_equal(RIP(rig), HANDLER_DONE(X86_OF));
    assert_int_equal(pushed(rig, 0), CODE + 1);
    assert_int_equal(rig->state.dr[6], 0);
}

/* SDM 3 "Instruction-Breakpoint Exception Condition": RF lasts for a whole repeated instruction. */
static void test_breakpoint_hits_once_a_repeated_instruction(void **state)
{
    struct rig *rig = *state;

    PUT(rig, CODE, "\xf3\xaa\xf4"); /* rep stosb; hlt */
    RCX(rig) = 4;
    rig->state.gpr[X86_RDI] = DATA;
    rig->state.dr[0] = CODE;
    rig->state.dr[7] |= 2;
    run_to_halt(rig);
    assert_int_equal(RIP(rig), HANDLER_DONE(X86_DB));
    assert_int_equal(RCX(rig), 4);
    RIP(rig) = CODE;
    rig->state.rflags |= X86_FLAG_RF;
    run_to_halt(rig);
    assert_int_equal(RIP(rig), CODE + 3);
    assert_int_equal(RCX(rig), 0);
    assert_false(rig->state.rflags & X86_FLAG_RF);
}

/* The marker at the end of a block is no instruction. */
static void test_instructions_are_counted(void **state)
{
    struct rig *rig = *state;
    uint8_t code[500];
    uint64_t before = engine_soft.vcpu_counters(rig->vcpu)->instructions;

    memset(code, 0x90, sizeof(code));
    code[sizeof(code) - 1] = HLT;
    mem_write(rig->mem, CODE, code, sizeof(code));
    run_to_halt(rig);
    assert_int_equal(engine_soft.vcpu_counters(rig->vcpu)->instructions - before, sizeof(code));
}

/* A write takes effect at the next instruction, in the running block and on the next page. */
static void test_code_that_changes_itself(void **state)
{
    struct rig *rig = *state;
    gpa_t edge = CODE + PAGE_SIZE - 1;

    /* movb $0x42, CODE + 6; mov $1, %al; hlt */
    PUT(rig, CODE, "\xc6\x06\x06\x10\x42\xb0\x01\xf4");
    run_to_halt(rig);
    assert_int_equal(RAX(rig) & 0xff, 0x42);

    /* The immediate of an instruction on two pages, each half once it has run. */
    PUT(rig, edge, "\xb8\x11\x11\xf4"); /* mov $0x1111, %ax; hlt */
    for (unsigned i = 0; i < 3; i++) {
        const uint16_t value = (uint16_t)(0x2222 * i);

        mem_write(rig->mem, edge + 1, &value, 2);
        RIP(rig) = edge;
        run_to_halt(rig);
        assert_int_equal(RAX(rig) & 0xffff, value);
    }
    PUT(rig, edge, "\xb9"); /* mov ..., %cx */
    RIP(rig) = edge;
    run_to_halt(rig);
    assert_int_equal(RCX(rig) & 0xffff, 0x4444);
}

/* The same bytes under a smaller limit: the block made before must not serve. */
static void test_limit_of_a_known_block(void **state)
{
    struct rig *rig = *state;

    PUT(rig, CODE, "\x90\x90\xb8\x34\x12\xf4"); /* nop; nop; mov $0x1234, %ax; hlt */
    run_to_halt(rig);
    assert_int_equal(RAX(rig) & 0xffff, 0x1234);
    rig->state.seg[X86_CS].limit = CODE + 3;
    RAX(rig) = 0;
    RIP(rig) = CODE;
    engine_soft.vcpu_set_state(rig->vcpu, &rig->state);
    /* The handler lies outside the limit too: no way out. */
    assert_int_equal(engine_soft.vcpu_run(rig->vcpu), ENGINE_STOP_SHUTDOWN);
    engine_soft.vcpu_get_state(rig->vcpu, &rig->state);
    assert_int_equal(RIP(rig), CODE + 2);
    assert_int_equal(RAX(rig) & 0xffff, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_single_step_leaves_halt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_single_step_of_into, setup, teardown),
        cmocka_unit_test_setup_teardown(test_breakpoint_hits_once_a_repeated_instruction, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_instructions_are_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_code_that_changes_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limit_of_a_known_block, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

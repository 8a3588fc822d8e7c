/* The run loop around an instruction: TF, DR7, RF, halts, code that changes, limits. */
#include "engine/soft/vcpu.h"
#include "run_rig.h"

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

/* SDM 3 "Priority Among Concurrent Events": IRET meets a breakpoint and lets an interrupt in. */
static void test_trap_comes_before_interrupt(void **state)
{
    struct rig *rig = *state;
    const uint16_t frame[3] = {DATA, 0, X86_FLAG_IF | X86_FLAG_ONE};

    PUT(rig, CODE, "\xcf"); /* iret */
    mem_write(rig->base.mem, STACK, frame, sizeof(frame));
    rig->state.dr[0] = STACK;
    rig->state.dr[7] |= 0x70002; /* two bytes, reads and writes */
    rig->vector = X86_UD;
    engine_soft.vcpu_set_intr(rig->base.vcpu, true);
    run_to_halt(rig);
    assert_int_equal(RIP(rig), HANDLER_DONE(X86_DB));
    /* The #DB's own frame lies there too: a second one at the handler. Below it is the first. */
    assert_int_equal(pushed(rig, 0), HANDLERS + X86_DB);
    assert_int_equal(pushed(rig, 3), DATA);
    assert_true(pushed(rig, 5) & X86_FLAG_IF);
    assert_int_equal(rig->state.dr[6] & 0xf, 1);
}

/* The marker at the end of a block is no instruction. */
static void test_instructions_are_counted(void **state)
{
    struct rig *rig = *state;
    uint8_t code[500];
    uint64_t before = engine_soft.vcpu_counters(rig->base.vcpu)->instructions;

    memset(code, 0x90, sizeof(code));
    code[sizeof(code) - 1] = HLT;
    mem_write(rig->base.mem, CODE, code, sizeof(code));
    run_to_halt(rig);
    assert_int_equal(engine_soft.vcpu_counters(rig->base.vcpu)->instructions - before,
                     sizeof(code));
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

        mem_write(rig->base.mem, edge + 1, &value, 2);
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
    engine_soft.vcpu_set_state(rig->base.vcpu, &rig->state);
    /* The handler lies outside the limit too: no way out. */
    assert_int_equal(engine_soft.vcpu_run(rig->base.vcpu), ENGINE_STOP_SHUTDOWN);
    engine_soft.vcpu_get_state(rig->base.vcpu, &rig->state);
    assert_int_equal(RIP(rig), CODE + 2);
    assert_int_equal(RAX(rig) & 0xffff, 0);
}

/* A kick and the limit end one run together; the next must not go on for ever. */
static void test_limit_and_kick_together(void **state)
{
    struct rig *rig = *state;

    PUT(rig, CODE, "\xeb\xfe"); /* JMP to itself */
    engine_soft.vcpu_set_state(rig->base.vcpu, &rig->state);
    soft_vcpu_limit(rig->base.vcpu, 1);
    engine_soft.vcpu_kick(rig->base.vcpu);
    assert_int_equal(engine_soft.vcpu_run(rig->base.vcpu), ENGINE_STOP_KICK);
    assert_true(soft_vcpu_limited(rig->base.vcpu));
    engine_soft.vcpu_kick(rig->base.vcpu);
    assert_int_equal(engine_soft.vcpu_run(rig->base.vcpu), ENGINE_STOP_KICK);
    assert_false(soft_vcpu_limited(rig->base.vcpu));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_single_step_leaves_halt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_single_step_of_into, setup, teardown),
        cmocka_unit_test_setup_teardown(test_breakpoint_hits_once_a_repeated_instruction, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_trap_comes_before_interrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_instructions_are_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_code_that_changes_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limit_of_a_known_block, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limit_and_kick_together, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

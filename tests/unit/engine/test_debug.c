/* Breakpoints, watchpoints and single steps of a debugger, which the guest cannot see. */
#include "run_rig.h"

static struct engine_debug_stop debug_stop(struct rig *rig)
{
    struct engine_debug_stop stop;

    engine_soft.vcpu_debug_stop(rig->base.vcpu, &stop);
    return stop;
}

/* Lets it go on from where it is. */
static enum engine_stop go(struct rig *rig, const struct engine_debug *debug)
{
    enum engine_stop why;

    engine_soft.vcpu_debug(rig->base.vcpu, debug);
    why = engine_soft.vcpu_run(rig->base.vcpu);
    engine_soft.vcpu_get_state(rig->base.vcpu, &rig->state);
    return why;
}

static void start(struct rig *rig)
{
    engine_soft.vcpu_set_state(rig->base.vcpu, &rig->state);
}

#define STOPS(rig, debug, why_, address_)                                                          \
    do {                                                                                           \
        assert_int_equal(go(rig, debug), ENGINE_STOP_DEBUG);                                       \
        assert_int_equal(debug_stop(rig).reason, why_);                                            \
        assert_int_equal(debug_stop(rig).address, address_);                                       \
    } while (0)

#define STEP(rig, at)                                                                              \
    do {                                                                                           \
        struct engine_debug step_ = {.single_step = true, .hold_interrupts = true};                \
        STOPS(rig, &step_, ENGINE_DEBUG_STEP, at);                                                 \
        assert_int_equal(RIP(rig), at);                                                            \
    } while (0)

/* In the middle of code that has run often: in blocks that know each other. */
static void test_breakpoint_in_known_code(void **state)
{
    struct rig *rig = *state;
    struct engine_debug debug = {.breakpoints = 2, .breakpoint = {CODE + 1, 0x5555}};

    /* inc %ax; inc %bx; loop CODE; hlt */
    PUT(rig, CODE, "\x40\x43\xe2\xfc\xf4");
    RCX(rig) = 100;
    run_to_halt(rig);
    RIP(rig) = CODE;
    RCX(rig) = 3;
    RAX(rig) = rig->state.gpr[X86_RBX] = 0;
    start(rig);
    for (unsigned round = 0; round < 3; round++) {
        STOPS(rig, &debug, ENGINE_DEBUG_BREAKPOINT, CODE + 1);
        assert_int_equal(RIP(rig), CODE + 1);
        assert_int_equal(RAX(rig), round + 1);
        assert_int_equal(rig->state.gpr[X86_RBX], round);
        assert_int_equal(RCX(rig), 3 - round);
        debug.pass_first = false;
        STOPS(rig, &debug, ENGINE_DEBUG_BREAKPOINT, CODE + 1); /* no progress without it */
        assert_int_equal(rig->state.gpr[X86_RBX], round);
        debug.pass_first = true;
    }
    assert_int_equal(go(rig, &debug), ENGINE_STOP_HALT);
    assert_int_equal(rig->state.gpr[X86_RBX], 3);
    /* And when it is taken away. */
    RIP(rig) = CODE;
    start(rig);
    debug.breakpoints = 0;
    assert_int_equal(go(rig, &debug), ENGINE_STOP_HALT);
}

/* Set while the vCPU stands still, with nothing else changed: what is remembered must go. */
static void test_breakpoint_set_later(void **state)
{
    struct rig *rig = *state;
    struct engine_debug debug = {.breakpoints = 1, .breakpoint = {CODE + 4}, .pass_first = true};

    /* inc %ax; inc %bx; loop CODE; nop; inc %cx; jmp CODE */
    PUT(rig, CODE, "\x40\x43\xe2\xfc\x90\x41\xeb\xf8");
    RCX(rig) = 50;
    start(rig);
    STOPS(rig, &debug, ENGINE_DEBUG_BREAKPOINT, CODE + 4);
    STOPS(rig, &debug, ENGINE_DEBUG_BREAKPOINT, CODE + 4);
    debug.breakpoint[debug.breakpoints++] = CODE + 1;
    STOPS(rig, &debug, ENGINE_DEBUG_BREAKPOINT, CODE + 1);
}

/* Nobody arrives inside an instruction, and its block is not made again and again. */
static void test_breakpoint_inside_an_instruction(void **state)
{
    struct rig *rig = *state;
    const struct engine_debug debug = {.breakpoints = 1, .breakpoint = {CODE + 2}};
    uint64_t made;

    PUT(rig, CODE, "\x40\xb8\x34\x12\xf4"); /* inc %ax; mov $0x1234, %ax; hlt */
    run_to_halt(rig);
    made = engine_soft.vcpu_counters(rig->base.vcpu)->blocks_made;
    for (unsigned i = 0; i < 3; i++) {
        RIP(rig) = CODE;
        start(rig); /* forgets which addresses lead to which blocks */
        assert_int_equal(go(rig, &debug), ENGINE_STOP_HALT);
    }
    assert_int_equal(engine_soft.vcpu_counters(rig->base.vcpu)->blocks_made, made);
}

/* One iteration of a repeated instruction is not arriving at it. */
static void test_breakpoint_at_repeated_instruction(void **state)
{
    struct rig *rig = *state;
    struct engine_debug debug = {.breakpoints = 1, .breakpoint = {CODE}};

    PUT(rig, CODE, "\xf3\xaa\xf4"); /* rep stosb; hlt */
    RCX(rig) = 300;
    rig->state.gpr[X86_RDI] = DATA;
    start(rig);
    engine_soft.vcpu_set_intr(rig->base.vcpu, true);
    rig->state.rflags |= X86_FLAG_IF;
    STOPS(rig, &debug, ENGINE_DEBUG_BREAKPOINT, CODE);
    assert_int_equal(RCX(rig), 300);
    debug.pass_first = true;
    assert_int_equal(go(rig, &debug), ENGINE_STOP_HALT);
    assert_int_equal(RIP(rig), CODE + 3);
    assert_int_equal(RCX(rig), 0);
}

static void test_breakpoint_at_handler(void **state)
{
    struct rig *rig = *state;
    struct engine_debug debug = {.breakpoints = 1, .breakpoint = {HANDLERS + X86_UD}};

    PUT(rig, CODE, "\x0f\x0b"); /* ud2 */
    debug.pass_first = true;
    start(rig);
    STOPS(rig, &debug, ENGINE_DEBUG_BREAKPOINT, HANDLERS + X86_UD);
    assert_int_equal(pushed(rig, 0), CODE);
}

static void test_watchpoints(void **state)
{
    static const struct {
        const char *code; /* the access, then inc %ax; hlt */
        uint8_t bytes, watched;
        bool reads, writes;
    } cases[] = {
        {"\xa1\x00\xa0\x40\xf4", 5, 3, true, false},         /* mov DATA, %ax */
        {"\x89\x0e\x00\xa0\x40\xf4", 6, 4, false, true},     /* mov %cx, DATA */
        {"\xff\x06\x00\xa0\x40\xf4", 6, 4, true, true},      /* incw DATA */
        {"\xf0\xff\x06\x00\xa0\x40\xf4", 7, 5, true, true},  /* lock incw DATA */
        {"\xff\x36\x00\xa0\x40\xf4", 6, 4, true, false},     /* push DATA */
        {"\xdd\x06\x00\xa0\x40\xf4", 6, 4, true, false},     /* fldl DATA */
        {"\xc6\x06\x01\xa0\x07\x40\xf4", 7, 5, false, true}, /* movb $7, DATA + 1 */
    };
    struct rig *rig = *state;

    rig->state.fpu.fcw = 0x37f;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        for (unsigned kind = 1; kind < 4; kind++) {
            struct engine_debug debug = {
                .watchpoints = 2,
                .watchpoint = {{0x5000, 4, true, true}, {DATA + 1, 1, kind & 1, kind & 2}},
            };
            bool hit = (cases[i].reads && (kind & 1)) || (cases[i].writes && (kind & 2));

            mem_write(rig->base.mem, CODE, cases[i].code, cases[i].bytes);
            RIP(rig) = CODE;
            start(rig);
            if (hit) {
                STOPS(rig, &debug, ENGINE_DEBUG_WATCHPOINT, DATA + 1);
                assert_int_equal(debug_stop(rig).watchpoint, 1);
                assert_int_equal(RIP(rig), CODE + cases[i].watched);
            }
            assert_int_equal(go(rig, &debug), ENGINE_STOP_HALT);
            assert_int_equal(RIP(rig), CODE + cases[i].bytes);
        }
    }
}

static void test_watchpoint_in_repeated_instruction(void **state)
{
    struct rig *rig = *state;
    struct engine_debug debug = {
        .watchpoints = 1,
        .watchpoint = {{DATA + 5, 2, false, true}},
    };

    PUT(rig, CODE, "\xf3\xaa\xf4"); /* rep stosb; hlt */
    RCX(rig) = 10;
    rig->state.gpr[X86_RDI] = DATA;
    start(rig);
    STOPS(rig, &debug, ENGINE_DEBUG_WATCHPOINT, DATA + 5);
    assert_int_equal(RIP(rig), CODE);
    assert_int_equal(RCX(rig), 4);
    STOPS(rig, &debug, ENGINE_DEBUG_WATCHPOINT, DATA + 6);
    assert_int_equal(RCX(rig), 3);
    assert_int_equal(go(rig, &debug), ENGINE_STOP_HALT);
    assert_int_equal(RCX(rig), 0);
}

/* What an instruction accessed before it faulted is not told; what the delivery pushes is. */
static void test_watchpoint_and_fault(void **state)
{
    struct rig *rig = *state;
    struct engine_debug debug = {
        .watchpoints = 1,
        .watchpoint = {{DATA, 2, true, true}},
    };

    PUT(rig, CODE, "\xa5"); /* movsw: reads DATA, and DI is at the limit */
    rig->state.gpr[X86_RSI] = DATA;
    rig->state.gpr[X86_RDI] = 0xffff;
    start(rig);
    assert_int_equal(go(rig, &debug), ENGINE_STOP_HALT);
    assert_int_equal(RIP(rig), HANDLER_DONE(X86_GP));

    debug.watchpoint[0] = (struct engine_watchpoint){STACK - 4, 1, false, true};
    RIP(rig) = CODE;
    rig->state.gpr[X86_RSP] = STACK;
    start(rig);
    STOPS(rig, &debug, ENGINE_DEBUG_WATCHPOINT, STACK - 4);
    assert_int_equal(RIP(rig), HANDLERS + X86_GP);
}

static void test_steps(void **state)
{
    struct rig *rig = *state;

    /* pushf; pop %bx; rep stosb; ud2 */
    PUT(rig, CODE, "\x9c\x5b\xf3\xaa\x0f\x0b");
    RCX(rig) = 2;
    rig->state.gpr[X86_RDI] = DATA;
    start(rig);
    STEP(rig, CODE + 1);
    STEP(rig, CODE + 2);
    assert_false(rig->state.gpr[X86_RBX] & (X86_FLAG_TF | X86_FLAG_RF)); /* nothing to be seen */
    STEP(rig, CODE + 2);
    STEP(rig, CODE + 4);
    STEP(rig, HANDLERS + X86_UD);
    assert_int_equal(pushed(rig, 0), CODE + 4);
    assert_false(pushed(rig, 2) & X86_FLAG_TF);
    STEP(rig, HANDLER_DONE(X86_UD)); /* HLT itself, and then it waits */
    assert_int_equal(go(rig, &(struct engine_debug){.single_step = true}), ENGINE_STOP_HALT);
}

static void test_steps_and_interrupts(void **state)
{
    struct rig *rig = *state;
    const struct engine_debug step = {.single_step = true};

    PUT(rig, CODE, "\x90\x90\x90\xf4");
    rig->state.rflags |= X86_FLAG_IF;
    rig->vector = 20;
    start(rig);
    engine_soft.vcpu_set_intr(rig->base.vcpu, true);
    STEP(rig, CODE + 1);
    STEP(rig, CODE + 2);
    STOPS(rig, &step, ENGINE_DEBUG_STEP, HANDLERS + 20);
    assert_int_equal(pushed(rig, 0), CODE + 2);
    /* A halted processor takes one, however one steps. */
    RIP(rig) = CODE + 3;
    rig->state.rflags |= X86_FLAG_IF;
    start(rig);
    STEP(rig, CODE + 4);
    engine_soft.vcpu_set_intr(rig->base.vcpu, true);
    STEP(rig, HANDLERS + 20);
}

/* What passes a breakpoint is the instruction that comes next, not a halted processor's handler. */
static void test_pass_of_halted_processor(void **state)
{
    struct rig *rig = *state;
    const struct engine_debug debug = {
        .breakpoints = 1,
        .breakpoint = {HANDLERS + 20},
        .pass_first = true,
    };

    PUT(rig, CODE, "\xf4");
    rig->state.rflags |= X86_FLAG_IF;
    rig->vector = 20;
    run_to_halt(rig);
    engine_soft.vcpu_set_intr(rig->base.vcpu, true);
    STOPS(rig, &debug, ENGINE_DEBUG_BREAKPOINT, HANDLERS + 20);
}

/* A register that a debugger changes does not wake a halted processor; another RIP does. */
static void test_halt_survives_registers(void **state)
{
    struct rig *rig = *state;

    PUT(rig, CODE, "\xf4\x40\xf4"); /* hlt; inc %ax; hlt */
    run_to_halt(rig);
    RAX(rig) = 7;
    start(rig);
    assert_int_equal(go(rig, &(struct engine_debug){0}), ENGINE_STOP_HALT);
    assert_int_equal(RIP(rig), CODE + 1);
    assert_int_equal(RAX(rig), 7);
    RIP(rig) = CODE;
    start(rig);
    assert_int_equal(go(rig, &(struct engine_debug){0}), ENGINE_STOP_HALT);
    assert_int_equal(RIP(rig), CODE + 1);
}

/* The guest's own TF, INT3 and DR7 go on. */
static void test_guest_debugs_itself(void **state)
{
    struct rig *rig = *state;
    struct engine_debug debug = {.breakpoints = 1, .breakpoint = {CODE + 2}};

    PUT(rig, CODE, "\x90\xcc\xf4"); /* nop; int3; hlt */
    rig->state.rflags |= X86_FLAG_TF;
    start(rig);
    STEP(rig, HANDLERS + X86_DB);
    assert_int_equal(pushed(rig, 0), CODE + 1);
    assert_true(rig->state.dr[6] & BIT(14));

    RIP(rig) = CODE + 1;
    rig->state.rflags &= ~X86_FLAG_TF;
    start(rig);
    assert_int_equal(go(rig, &debug), ENGINE_STOP_HALT);
    assert_int_equal(RIP(rig), HANDLER_DONE(X86_BP));

    /* A breakpoint of the guest's where the debugger has one: the debugger comes first. */
    RIP(rig) = CODE;
    rig->state.dr[0] = CODE + 2;
    rig->state.dr[7] |= 2;
    rig->state.dr[6] = 0;
    PUT(rig, CODE, "\x90\x90\xf4");
    start(rig);
    STOPS(rig, &debug, ENGINE_DEBUG_BREAKPOINT, CODE + 2);
    assert_int_equal(rig->state.dr[6], 0);
    debug.pass_first = true;
    assert_int_equal(go(rig, &debug), ENGINE_STOP_HALT);
    assert_int_equal(RIP(rig), HANDLER_DONE(X86_DB));
    assert_int_equal(rig->state.dr[6] & 15, 1);
}

/* Code that a debugger's memory access changes is decoded again. */
static void test_written_code(void **state)
{
    struct rig *rig = *state;

    PUT(rig, CODE, "\x40\x40\xf4"); /* inc %ax twice; hlt */
    run_to_halt(rig);
    PUT(rig, CODE + 1, "\x48"); /* dec %ax */
    RAX(rig) = 5;
    RIP(rig) = CODE;
    start(rig);
    STEP(rig, CODE + 1);
    STEP(rig, CODE + 2);
    assert_int_equal(RAX(rig), 5);
}

static void test_kick_comes_before_the_step(void **state)
{
    struct rig *rig = *state;
    const struct engine_debug step = {.single_step = true};

    PUT(rig, CODE, "\x90\x90\xf4");
    start(rig);
    engine_soft.vcpu_kick(rig->base.vcpu);
    assert_int_equal(go(rig, &step), ENGINE_STOP_KICK);
    assert_int_equal(RIP(rig), CODE);
    assert_int_equal(engine_soft.vcpu_run(rig->base.vcpu), ENGINE_STOP_DEBUG);
    engine_soft.vcpu_get_state(rig->base.vcpu, &rig->state);
    assert_int_equal(RIP(rig), CODE + 1);
    assert_int_equal(go(rig, &(struct engine_debug){0}), ENGINE_STOP_HALT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_breakpoint_in_known_code),
        TEST(test_breakpoint_set_later),
        TEST(test_breakpoint_inside_an_instruction),
        TEST(test_breakpoint_at_repeated_instruction),
        TEST(test_breakpoint_at_handler),
        TEST(test_watchpoints),
        TEST(test_watchpoint_in_repeated_instruction),
        TEST(test_watchpoint_and_fault),
        TEST(test_steps),
        TEST(test_steps_and_interrupts),
        TEST(test_pass_of_halted_processor),
        TEST(test_halt_survives_registers),
        TEST(test_guest_debugs_itself),
        TEST(test_written_code),
        TEST(test_kick_comes_before_the_step),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

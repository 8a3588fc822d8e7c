/* Near branches, PUSHF and POPF by privilege, and what only legacy modes have. */
#include "soft_fixture.h"

#define STACK_TOP (FIXTURE_DATA + 0x1000)
#define LINEAR32  0x8000u /* an address in flat 32-bit mode */

static int setup(void **state)
{
    struct fixture *f = fixture_create("max");

    f->cpu.x.gpr[X86_RIP] = FIXTURE_CODE;
    f->cpu.x.gpr[X86_RSP] = STACK_TOP;
    *state = f;
    return 0;
}

static int setup32(void **state)
{
    setup(state);
    fixture_enter_flat32(*state);
    ((struct fixture *)*state)->cpu.x.gpr[X86_RIP] = FIXTURE_CODE;
    ((struct fixture *)*state)->cpu.x.gpr[X86_RSP] = LINEAR32;
    return 0;
}

static int teardown(void **state)
{
    fixture_destroy(*state);
    return 0;
}

#define RIP(f) ((f)->cpu.x.gpr[X86_RIP])
#define RSP(f) ((f)->cpu.x.gpr[X86_RSP])
#define RCX(f) ((f)->cpu.x.gpr[X86_RCX])
#define RAX(f) ((f)->cpu.x.gpr[X86_RAX])

static uint64_t peek(struct fixture *f, uint64_t linear, unsigned bytes)
{
    uint64_t value = 0;

    assert_int_equal(access_slow_read(&f->cpu, linear, &value, bytes), STEP_NEXT);
    return value;
}

static void poke(struct fixture *f, uint64_t linear, uint64_t value, unsigned bytes)
{
    assert_int_equal(access_slow_write(&f->cpu, linear, &value, bytes), STEP_NEXT);
}

static void test_jumps_and_calls(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(RUN(f, "\xeb\xfe"), STEP_JUMP); /* jmp $ */
    assert_int_equal(RIP(f), FIXTURE_CODE);
    assert_int_equal(RUN(f, "\x66\xe9\x10\x00\x00\x00"), STEP_JUMP); /* 66h is ignored */
    assert_int_equal(RIP(f), FIXTURE_CODE + 6 + 0x10);
    RIP(f) = FIXTURE_CODE;
    assert_int_equal(RUN(f, "\xe8\x00\x01\x00\x00"), STEP_JUMP);
    assert_int_equal(RIP(f), FIXTURE_CODE + 5 + 0x100);
    assert_int_equal(RSP(f), STACK_TOP - 8);
    assert_int_equal(peek(f, STACK_TOP - 8, 8), FIXTURE_CODE + 5);
    assert_int_equal(RUN(f, "\xc2\x10\x00"), STEP_JUMP); /* ret 16 */
    assert_int_equal(RIP(f), FIXTURE_CODE + 5);
    assert_int_equal(RSP(f), STACK_TOP + 16);
    RAX(f) = 0x1234;
    assert_int_equal(RUN(f, "\xff\xe0"), STEP_JUMP); /* jmp rax */
    assert_int_equal(RIP(f), 0x1234);
}

static void test_targets_that_are_not_canonical(void **state)
{
    struct fixture *f = *state;

    RAX(f) = 0x0000800000000000;
    assert_raises(f, "\xff\xe0", X86_GP, 0); /* jmp rax */
    assert_raises(f, "\xff\xd0", X86_GP, 0); /* call rax: nothing is pushed */
    assert_int_equal(RSP(f), STACK_TOP);
    assert_int_equal(RIP(f), FIXTURE_CODE);
    poke(f, STACK_TOP, RAX(f), 8);
    assert_raises(f, "\xc3", X86_GP, 0);
    assert_int_equal(RSP(f), STACK_TOP);
}

static void test_loops(void **state)
{
    struct fixture *f = *state;

    RCX(f) = 2;
    RUN(f, "\xe2\x10"); /* loop */
    assert_int_equal(RIP(f), FIXTURE_CODE + 0x12);
    assert_int_equal(RCX(f), 1);
    RUN(f, "\xe2\x10");
    assert_int_equal(RIP(f), FIXTURE_CODE + 0x14);
    assert_int_equal(RCX(f), 0);
    RUN(f, "\x67\xe2\x10"); /* ECX: from 0 to FFFFFFFF, upper half cleared */
    assert_int_equal(RCX(f), 0xffffffff);
    RCX(f) = 5;
    f->cpu.arith = 0x4200;                           /* ZF */
    assert_int_equal(RUN(f, "\xe0\x10"), STEP_JUMP); /* loopne: not taken, but counted */
    assert_int_equal(RCX(f), 4);
    RIP(f) = FIXTURE_CODE;
    RUN(f, "\xe1\x10"); /* loope: taken */
    assert_int_equal(RIP(f), FIXTURE_CODE + 0x12);
    RCX(f) = 0x100000000;
    RIP(f) = FIXTURE_CODE;
    RUN(f, "\x67\xe3\x10"); /* jecxz */
    assert_int_equal(RIP(f), FIXTURE_CODE + 0x13);
    RIP(f) = FIXTURE_CODE;
    RUN(f, "\xe3\x10"); /* jrcxz */
    assert_int_equal(RIP(f), FIXTURE_CODE + 2);
}

/* Each condition against its definition, for every combination of flags. */
static void test_conditions(void **state)
{
    struct fixture *f = *state;

    for (unsigned bits = 0; bits < 32; bits++) {
        bool cf = bits & 1, zf = bits & 2, sf = bits & 4, of = bits & 8, pf = bits & 16;
        const bool expected[] = {of, cf, zf, cf || zf, sf, pf, sf != of, zf || sf != of};
        uint64_t flags = (cf ? X86_FLAG_CF : 0) | (zf ? X86_FLAG_ZF : 0) | (sf ? X86_FLAG_SF : 0) |
                         (of ? X86_FLAG_OF : 0) | (pf ? X86_FLAG_PF : 0);

        for (unsigned cc = 0; cc < 16; cc++) {
            const uint8_t bytes[] = {(uint8_t)(0x70 + cc), 0x40};
            bool taken = expected[cc / 2] != (cc & 1);

            cpu_set_arith(&f->cpu, flags);
            RIP(f) = FIXTURE_CODE;
            fixture_run(f, bytes, sizeof(bytes));
            assert_int_equal(RIP(f), FIXTURE_CODE + 2 + (taken ? 0x40 : 0));
        }
    }
}

static void test_limits_of_legacy_code(void **state)
{
    struct fixture *f = *state;

    RAX(f) = 0x5000;
    f->cpu.x.seg[X86_CS].limit = 0x4fff;
    assert_raises(f, "\xff\xe0", X86_GP, 0); /* jmp eax */
    f->cpu.x.seg[X86_CS].limit = 0x5000;
    assert_int_equal(RUN(f, "\xff\xe0"), STEP_JUMP);
    assert_int_equal(RIP(f), 0x5000);
    RIP(f) = 0x4ff0;
    RUN(f, "\x66\xe9\x00\xff"); /* jmp rel16: IP wraps at 64 KiB */
    assert_int_equal(RIP(f), 0x4ef4);
    RIP(f) = 0x10;
    f->cpu.x.seg[X86_CS].limit = 0xffff;
    RUN(f, "\x66\xe9\x00\xff");
    assert_int_equal(RIP(f), 0xff14);
}

static void test_pusha_popa(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < 8; i++) {
        if (i != X86_RSP)
            f->cpu.x.gpr[i] = 0x11111111u * (i + 1);
    }
    assert_int_equal(RUN(f, "\x60"), STEP_NEXT);
    assert_int_equal(RSP(f), LINEAR32 - 32);
    assert_int_equal(peek(f, LINEAR32 - 4, 4), 0x11111111);       /* EAX first */
    assert_int_equal(peek(f, LINEAR32 - 20, 4), LINEAR32);        /* ESP before */
    assert_int_equal(peek(f, LINEAR32 - 32, 4), 0x11111111u * 8); /* EDI last */
    poke(f, LINEAR32 - 20, 0xdead, 4);                            /* POPA skips it */
    for (unsigned i = 0; i < 8; i++)
        f->cpu.x.gpr[i] = i == X86_RSP ? RSP(f) : 0;
    assert_int_equal(RUN(f, "\x61"), STEP_NEXT);
    assert_int_equal(RSP(f), LINEAR32);
    assert_int_equal(f->cpu.x.gpr[X86_RDI], 0x11111111u * 8);
    assert_int_equal(RAX(f), 0x11111111);
}

/* The stack's width is SS's, whatever the operand size is. */
static void test_stack_of_16_bits(void **state)
{
    struct fixture *f = *state;

    f->cpu.x.seg[X86_SS].attr &= (uint16_t)~X86_SEG_DB;
    cpu_update_mode(&f->cpu);
    RSP(f) = 0x12340002;
    RAX(f) = 0xcafebabe;
    assert_int_equal(RUN(f, "\x50"), STEP_NEXT); /* push eax wraps SP */
    assert_int_equal(RSP(f), 0x1234fffe);
    assert_int_equal(peek(f, 0xfffe, 4), 0xcafebabe);
    assert_int_equal(RUN(f, "\x5b"), STEP_NEXT); /* pop ebx */
    assert_int_equal(RSP(f), 0x12340002);
    assert_int_equal(f->cpu.x.gpr[X86_RBX], 0xcafebabe);
}

static void decimal(struct fixture *f, const char *bytes, size_t len, uint16_t ax, uint64_t flags)
{
    RAX(f) = ax;
    cpu_set_arith(&f->cpu, flags);
    assert_int_equal(fixture_run(f, bytes, len), STEP_NEXT);
}

static void test_decimal(void **state)
{
    struct fixture *f = *state;

    /* DAA after 79h + 35h = AEh (SDM 2's example): 14h with carry. */
    decimal(f, "\x27", 1, 0xae, 0);
    assert_int_equal(RAX(f), 0x14);
    assert_true(cpu_rflags(&f->cpu) & X86_FLAG_CF);
    assert_true(cpu_rflags(&f->cpu) & X86_FLAG_AF);
    /* DAS after 35h - 47h = EEh with borrows (SDM 2's example): 88h. */
    decimal(f, "\x2f", 1, 0xee, X86_FLAG_CF | X86_FLAG_AF);
    assert_int_equal(RAX(f), 0x88);
    assert_true(cpu_rflags(&f->cpu) & X86_FLAG_CF);
    assert_true(cpu_rflags(&f->cpu) & X86_FLAG_SF);
    decimal(f, "\x37", 1, 0x000b, 0); /* aaa */
    assert_int_equal(RAX(f), 0x0101);
    decimal(f, "\x37", 1, 0x00fa, 0); /* the 6 carries into AH as well */
    assert_int_equal(RAX(f), 0x0200);
    decimal(f, "\x3f", 1, 0x0205, X86_FLAG_AF); /* aas */
    assert_int_equal(RAX(f), 0x000f);
    decimal(f, "\xd4\x0a", 2, 0x0043, 0); /* aam */
    assert_int_equal(RAX(f), 0x0607);
    decimal(f, "\xd5\x0a", 2, 0x0607, 0); /* aad */
    assert_int_equal(RAX(f), 0x0043);
    assert_raises(f, "\xd4\x00", X86_DE, 0);
    decimal(f, "\xd6", 1, 0x1200, X86_FLAG_CF); /* salc */
    assert_int_equal(RAX(f), 0x12ff);
}

static void test_bound(void **state)
{
    struct fixture *f = *state;

    poke(f, LINEAR32, (uint32_t)-5, 4);
    poke(f, LINEAR32 + 4, 7, 4);
    f->cpu.x.gpr[X86_RBX] = LINEAR32;
    RAX(f) = 7;
    assert_int_equal(RUN(f, "\x62\x03"), STEP_NEXT);
    RAX(f) = (uint32_t)-5;
    assert_int_equal(RUN(f, "\x62\x03"), STEP_NEXT);
    RAX(f) = 8;
    assert_raises(f, "\x62\x03", X86_BR, 0);
    RAX(f) = (uint32_t)-6;
    assert_raises(f, "\x62\x03", X86_BR, 0);
}

static void set_privilege(struct fixture *f, unsigned cpl, unsigned iopl)
{
    f->cpu.cpl = (uint8_t)cpl;
    cpu_set_rflags(&f->cpu, X86_FLAG_ONE | (uint64_t)iopl << X86_FLAG_IOPL_SHIFT);
    cpu_update_mode(&f->cpu);
}

static uint64_t popf(struct fixture *f, uint64_t image)
{
    RSP(f) = LINEAR32;
    poke(f, LINEAR32, image, 4);
    assert_int_equal(RUN(f, "\x9d"), STEP_JUMP);
    assert_int_equal(RSP(f), LINEAR32 + 4);
    return cpu_rflags(&f->cpu);
}

static void test_popf_by_privilege(void **state)
{
    const uint64_t sensitive = X86_FLAG_IF | X86_FLAG_IOPL;
    struct fixture *f = *state;

    set_privilege(f, 0, 0);
    assert_int_equal(popf(f, 0xffffffff & ~X86_FLAG_TF) & sensitive, sensitive);
    assert_false(cpu_rflags(&f->cpu) & (X86_FLAG_VM | X86_FLAG_VIF | X86_FLAG_VIP | X86_FLAG_RF));
    set_privilege(f, 3, 0);
    assert_int_equal(popf(f, 0xffffffff & ~(X86_FLAG_TF | X86_FLAG_AC)) & sensitive, 0);
    set_privilege(f, 3, 3);
    assert_int_equal(popf(f, X86_FLAG_IF) & sensitive, X86_FLAG_IF | X86_FLAG_IOPL);
    set_privilege(f, 1, 1);
    assert_int_equal(popf(f, sensitive) & sensitive, X86_FLAG_IF | (uint64_t)1 << 12);
}

static void test_pushf_popf_in_vm86(void **state)
{
    struct fixture *f = *state;

    f->cpu.x.rflags |= X86_FLAG_VM;
    cpu_update_mode(&f->cpu);
    RSP(f) = 0x8000;
    assert_raises(f, "\x9c", X86_GP, 0);
    assert_raises(f, "\x9d", X86_GP, 0);
    assert_raises(f, "\xfa", X86_GP, 0); /* cli */
    f->cpu.x.rflags |= X86_FLAG_IOPL;
    assert_int_equal(RUN(f, "\x9c"), STEP_NEXT);
    assert_int_equal(RSP(f), 0x7ffe);
    assert_int_equal(RUN(f, "\xfb"), STEP_JUMP); /* sti */
    assert_true(f->cpu.interrupt_shadow);
    f->cpu.x.rflags &= ~X86_FLAG_IOPL;
    f->cpu.x.cr4 |= X86_CR4_VME;
    assert_int_equal(RUN(f, "\xfa"), STEP_NEXT); /* VIF */
    assert_true(f->cpu.x.rflags & X86_FLAG_IF);
    assert_int_equal(RUN(f, "\x9c"), STEP_NEXT);
    assert_int_equal(peek(f, RSP(f), 2) & (X86_FLAG_IF | X86_FLAG_IOPL), X86_FLAG_IOPL);
    assert_raises(f, "\x66\x9c", X86_GP, 0);
}

/* A repeated instruction that faults shows how far it came. */
static void test_string_fault_shows_progress(void **state)
{
    struct fixture *f = *state;
    uint64_t *gpr = f->cpu.x.gpr;

    gpr[X86_RDI] = FIXTURE_DATA + FIXTURE_DATA_BYTES - 10;
    gpr[X86_RCX] = 100;
    assert_int_equal(RUN(f, "\xf3\xaa"), STEP_FAULT); /* rep stosb runs off the mapped pages */
    assert_int_equal(f->cpu.fault.vector, X86_PF);
    assert_int_equal(f->cpu.fault.address, FIXTURE_DATA + FIXTURE_DATA_BYTES);
    assert_int_equal(gpr[X86_RCX], 90);
    assert_int_equal(gpr[X86_RDI], FIXTURE_DATA + FIXTURE_DATA_BYTES);
    assert_int_equal(RIP(f), FIXTURE_CODE);
}

static void test_string_lets_interrupts_in(void **state)
{
    struct fixture *f = *state;
    uint64_t *gpr = f->cpu.x.gpr;
    unsigned again = 0;

    gpr[X86_RSI] = FIXTURE_DATA;
    gpr[X86_RDI] = FIXTURE_DATA + 0x80000;
    gpr[X86_RCX] = 0x40000;
    while (RUN(f, "\xf3\xa4") == STEP_AGAIN) {
        assert_int_equal(RIP(f), FIXTURE_CODE);
        again++;
    }
    assert_in_range(again, 4, 0x1000);
    assert_int_equal(gpr[X86_RCX], 0);
    RIP(f) = FIXTURE_CODE;
    f->cpu.single_step = true;
    gpr[X86_RCX] = 2;
    assert_int_equal(RUN(f, "\xf3\xa4"), STEP_AGAIN);
    assert_int_equal(gpr[X86_RCX], 1);
}

/* REP MOVS in real mode wraps at 64 KiB and obeys the limit. */
static void test_string_in_real_mode(void **state)
{
    struct fixture *f = *state;
    uint64_t *gpr = f->cpu.x.gpr;

    x86_state_reset(&f->cpu.x, false);
    f->cpu.x.seg[X86_ES].base = 0x20000;
    f->cpu.x.seg[X86_DS].base = 0x30000;
    tlb_flush_all(&f->cpu);
    cpu_update_mode(&f->cpu);
    poke(f, 0x3fffe, 0x2211, 2);
    poke(f, 0x30000, 0x4433, 2);
    gpr[X86_RSI] = 0xabcdfffe;
    gpr[X86_RDI] = 0x100;
    gpr[X86_RCX] = 4;
    assert_int_equal(RUN(f, "\xf3\xa4"), STEP_NEXT);
    assert_int_equal(peek(f, 0x20100, 4), 0x44332211);
    assert_int_equal(gpr[X86_RSI], 0xabcd0002);
    gpr[X86_RSI] = 0xffff;
    gpr[X86_RCX] = 1;
    assert_raises(f, "\xf3\xa5", X86_GP, 0); /* a word at FFFF is beyond the limit */
}

int main(void)
{
#define LONG(name)   cmocka_unit_test_setup_teardown(name, setup, teardown)
#define LEGACY(name) cmocka_unit_test_setup_teardown(name, setup32, teardown)
    const struct CMUnitTest tests[] = {
        LONG(test_jumps_and_calls),
        LONG(test_targets_that_are_not_canonical),
        LONG(test_loops),
        LONG(test_conditions),
        LONG(test_string_fault_shows_progress),
        LONG(test_string_lets_interrupts_in),
        LEGACY(test_limits_of_legacy_code),
        LEGACY(test_pusha_popa),
        LEGACY(test_stack_of_16_bits),
        LEGACY(test_decimal),
        LEGACY(test_bound),
        LEGACY(test_popf_by_privilege),
        LEGACY(test_pushf_popf_in_vm86),
        LEGACY(test_string_in_real_mode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

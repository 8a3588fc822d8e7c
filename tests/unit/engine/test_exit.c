/*
 * Exits as values: what instructions tell in the exit qualification, by the tables of SDM 3, "Exit
 * Qualification". The expected numbers are put together from the manual's bit positions by hand.
 */
#include "soft_fixture.h"

static int setup(void **state)
{
    struct fixture *f = fixture_create("max");

    f->cpu.x.gpr[X86_RIP] = FIXTURE_CODE;
    f->cpu.x.gpr[X86_RSP] = FIXTURE_DATA + 0x1000;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_destroy(*state);
    return 0;
}

/* An instruction that exits, and what it says. RAX, RCX, RDX, RSI and RDI are set by the test. */
struct row {
    const char *name;
    uint8_t bytes[8];
    uint8_t length;
    enum exit_reason reason;
    uint64_t qualification;
};

static const struct row rows[] = {
    /* Bits 3:0 the register, 5:4 0 for MOV to CR, 11:8 the general-purpose register. */
    {"mov cr0, rsi", {0x0f, 0x22, 0xc6}, 3, EXIT_CR_ACCESS, 0x600},
    {"mov cr4, r9", {0x41, 0x0f, 0x22, 0xe1}, 4, EXIT_CR_ACCESS, 0x904},
    {"mov cr8, rcx", {0x44, 0x0f, 0x22, 0xc1}, 4, EXIT_CR_ACCESS, 0x108},
    {"mov r10, cr8", {0x45, 0x0f, 0x20, 0xc2}, 4, EXIT_CR_ACCESS, 0xa18},
    {"clts", {0x0f, 0x06}, 2, EXIT_CR_ACCESS, 0x20},
    {"lmsw cx", {0x0f, 0x01, 0xf1}, 3, EXIT_CR_ACCESS, 0x00130030},
    {"lmsw [rdi]", {0x0f, 0x01, 0x37}, 3, EXIT_CR_ACCESS, 0x00010070},
    /* Bits 2:0 the register, 4 from it, 11:8 the general-purpose register. */
    {"mov dr7, rbx", {0x0f, 0x23, 0xfb}, 3, EXIT_DR_ACCESS, 0x307},
    {"mov rbp, dr6", {0x0f, 0x21, 0xf5}, 3, EXIT_DR_ACCESS, 0x516},
    /* Bits 2:0 bytes - 1, 3 IN, 4 string, 5 REP, 6 immediate, 31:16 the port. */
    {"in al, 60h", {0xe4, 0x60}, 2, EXIT_IO, 0x600048},
    {"in ax, dx", {0x66, 0xed}, 2, EXIT_IO, 0x3f80009},
    {"out dx, eax", {0xef}, 1, EXIT_IO, 0x3f80003},
    {"out 80h, al", {0xe6, 0x80}, 2, EXIT_IO, 0x800040},
    {"outsb", {0x6e}, 1, EXIT_IO, 0x3f80010},
    {"rep insw", {0xf3, 0x66, 0x6d}, 3, EXIT_IO, 0x3f80039},
    /* No qualification. */
    {"cpuid", {0x0f, 0xa2}, 2, EXIT_CPUID, 0},
    {"hlt", {0xf4}, 1, EXIT_HLT, 0},
    {"wbinvd", {0x0f, 0x09}, 2, EXIT_WBINVD, 0},
    {"xsetbv", {0x0f, 0x01, 0xd1}, 3, EXIT_XSETBV, 0},
};

static void set_registers(struct fixture *f)
{
    uint64_t *gpr = f->cpu.x.gpr;
    static const uint16_t msw = 1;

    gpr[X86_RSI] = gpr[X86_RBX] = f->cpu.x.cr0;
    gpr[X86_R9] = f->cpu.x.cr4 | X86_CR4_OSXSAVE;
    gpr[X86_RCX] = 1;
    gpr[X86_RDX] = 0x3f8;
    gpr[X86_RDI] = FIXTURE_DATA;
    mem_write(f->cpu.mem, FIXTURE_DATA_GPA, &msw, sizeof(msw));
}

static void test_qualifications(void **state)
{
    struct fixture *f = *state;

    f->cpu.x.cr4 |= X86_CR4_OSXSAVE;
    cpu_update_mode(&f->cpu);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct row *row = &rows[i];
        const struct exit *exit = &f->cpu.last_exit;
        uint64_t before = f->cpu.counters.exits[row->reason];

        set_registers(f);
        if (row->bytes[0] == 0x6e)
            f->cpu.x.gpr[X86_RSI] = FIXTURE_DATA;
        if (row->reason == EXIT_XSETBV)
            f->cpu.x.gpr[X86_RAX] = 7, f->cpu.x.gpr[X86_RCX] = f->cpu.x.gpr[X86_RDX] = 0;
        if (row->reason == EXIT_DR_ACCESS)
            f->cpu.x.gpr[X86_RBX] = 0x400;
        if (row->reason == EXIT_CR_ACCESS && row->bytes[2] == 0xf1)
            f->cpu.x.gpr[X86_RCX] = 0x13;
        f->cpu.last_exit = (struct exit){0};
        if (fixture_run(f, row->bytes, row->length) == STEP_FAULT)
            fail_msg("%s faults", row->name);
        if (exit->reason != row->reason || exit->qualification != row->qualification ||
            exit->length != row->length || f->cpu.counters.exits[row->reason] != before + 1)
            fail_msg("%s: reason %u, qualification %#llx, length %u", row->name, exit->reason,
                     (unsigned long long)exit->qualification, exit->length);
    }
}

/* Bits 2:0 the access, 5:3 what the entry allows, 7 the linear address is told, 8 it is its own. */
static void test_ept_violation(void **state)
{
    struct fixture *f = *state;
    const struct exit *exit = &f->cpu.last_exit;
    uint8_t byte = 1;

    tlb_flush_all(&f->cpu);
    assert_int_equal(lin_write(&f->cpu, FIXTURE_DATA + 0x10123, &byte, 1), STEP_NEXT);
    assert_int_equal(exit->reason, EXIT_EPT_VIOLATION);
    assert_true(exit->gpa == FIXTURE_DATA_GPA + 0x10123);
    assert_true(exit->gla == FIXTURE_DATA + 0x10123);
    assert_int_equal(exit->qualification, 0x183);
    assert_int_equal(exit->length, 0);
}

/* An exit that does not happen leaves the value alone. */
static void test_no_exit(void **state)
{
    struct fixture *f = *state;
    static const uint8_t smsw[] = {0x0f, 0x01, 0xe0}, mov_cr2[] = {0x0f, 0x22, 0xd0};

    f->cpu.last_exit = (struct exit){.reason = EXIT_REASONS};
    assert_int_equal(fixture_run(f, smsw, sizeof(smsw)), STEP_NEXT);
    assert_int_equal(fixture_run(f, mov_cr2, sizeof(mov_cr2)), STEP_JUMP);
    assert_int_equal(f->cpu.last_exit.reason, EXIT_REASONS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_qualifications, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ept_violation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_exit, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

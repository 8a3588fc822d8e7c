/* What the TLB remembers, and when it must not. */
#include "soft_fixture.h"

#include "engine/soft/paging.h"

#define PDE (FIXTURE_TABLES + 0x2000 + 8 * (FIXTURE_DATA >> 21))

static int make(void **state)
{
    *state = fixture_create("x86-64-v2");
    return 0;
}

static int unmake(void **state)
{
    fixture_destroy(*state);
    return 0;
}

static void set_pde(struct fixture *f, uint64_t entry)
{
    mem_write(f->cpu.mem, PDE, &entry, sizeof(entry));
}

/*
 * A page fault invalidates what was cached of its page, whatever the access was (SDM 3 "Operations
 * that Invalidate TLBs and Paging-Structure Caches").
 */
static void test_fault_invalidates(void **state)
{
    struct fixture *f = *state;
    struct cpu *cpu = &f->cpu;
    uint64_t value = 0;
    gpa_t gpa;

    set_pde(f, FIXTURE_DATA_GPA | 0xa1); /* a read-only page */
    cpu->x.cr0 |= X86_CR0_WP;
    assert_int_equal(lin_read(cpu, FIXTURE_DATA, &value, 8), STEP_NEXT);
    assert_int_equal(paging_fetch(cpu, FIXTURE_DATA, &gpa), STEP_NEXT);
    set_pde(f, 0);
    /* Remembered: this is allowed. */
    assert_int_equal(lin_read(cpu, FIXTURE_DATA, &value, 8), STEP_NEXT);
    assert_int_equal(lin_write(cpu, FIXTURE_DATA, &value, 8), STEP_FAULT);
    assert_int_equal(cpu->fault.error, X86_PF_WRITE);
    /* Not any more: this is not. */
    assert_int_equal(lin_read(cpu, FIXTURE_DATA, &value, 8), STEP_FAULT);
    assert_int_equal(paging_fetch(cpu, FIXTURE_DATA, &gpa), STEP_FAULT);
}

/* The same after INVLPG, for all 4 KiB pieces of a large page. */
static void test_invlpg_of_large_page(void **state)
{
    struct fixture *f = *state;
    struct cpu *cpu = &f->cpu;
    uint64_t value = 0;

    assert_int_equal(lin_read(cpu, FIXTURE_DATA + 5 * PAGE_SIZE, &value, 8), STEP_NEXT);
    set_pde(f, 0);
    cpu->x.gpr[X86_RAX] = FIXTURE_DATA;
    assert_int_equal(RUN(f, "\x0f\x01\x38"), STEP_JUMP);
    assert_int_equal(lin_read(cpu, FIXTURE_DATA + 5 * PAGE_SIZE, &value, 8), STEP_FAULT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fault_invalidates, make, unmake),
        cmocka_unit_test_setup_teardown(test_invlpg_of_large_page, make, unmake),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

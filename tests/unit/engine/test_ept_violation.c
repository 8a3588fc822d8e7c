/*
 * Each step of what happens when the processor meets an EPT entry that does not serve it:
 * violation, fill, mark of MMIO, misconfiguration, ROM, write protection, dirty log, slots; for
 * data and for the guest's own tables. The guest maps 2 MiB at FIXTURE_DATA to wherever a test
 * wants.
 */
#include "soft_fixture.h"

#include "engine/soft/paging.h"
#include "mmu/ept.h"

#define PDE     (FIXTURE_TABLES + 0x2000 + 8 * (FIXTURE_DATA >> 21))
#define LARGE   0xe7u          /* present, all rights, A, D, large */
#define TABLE   (0x7u | 0x20u) /* present, all rights, A */
#define ROM     0x800000u      /* 2 MiB, but 4 KiB shorter */
#define MAIN    0x1000000u     /* 4 MiB */
#define BIG     (4 * GIB)      /* 1 GiB */
#define NOTHING 0xc0000000u    /* no slot */
#define PT      (FIXTURE_DATA_GPA + FIXTURE_DATA_BYTES - PAGE_SIZE) /* a page for a table */

static int make(void **state)
{
    struct fixture *f = fixture_create("x86-64-v2");
    struct mem *mem = f->cpu.mem;

    assert_int_equal(mem_add_slot(mem, "rom", ROM, 2 * MIB - PAGE_SIZE, MEM_SLOT_ROM), 0);
    assert_int_equal(mem_add_slot(mem, "main", MAIN, 4 * MIB, MEM_SLOT_RAM), 0);
    assert_int_equal(mem_add_slot(mem, "big", BIG, GIB, MEM_SLOT_RAM), 0);
    mmu_follow_slots(f->cpu.mmu);
    tlb_flush_all(&f->cpu);
    *state = f;
    return 0;
}

static void check_audit(struct fixture *f)
{
    char why[200] = "";

    if (!mmu_audit(f->cpu.mmu, why, sizeof(why)))
        fail_msg("%s", why);
}

static int unmake(void **state)
{
    struct fixture *f = *state;

    check_audit(f);
    fixture_destroy(f);
    return 0;
}

/* The guest maps FIXTURE_DATA so; its tables are walked once, that later counts are of data only.
 */
static void map(struct fixture *f, uint64_t pde)
{
    uint64_t value;

    mem_write(f->cpu.mem, PDE, &(uint64_t){FIXTURE_DATA_GPA | LARGE}, 8);
    tlb_flush_all(&f->cpu);
    assert_int_equal(lin_read(&f->cpu, FIXTURE_DATA, &value, 8), STEP_NEXT);
    mem_write(f->cpu.mem, PDE, &pde, 8);
    tlb_flush_all(&f->cpu);
}

static uint64_t violations(const struct fixture *f)
{
    return f->cpu.counters.exits[EXIT_EPT_VIOLATION];
}

/* How the EPT stands to an address, as the processor would find it. */
static enum ept_walk look(struct fixture *f, gpa_t gpa, unsigned access, unsigned *level)
{
    struct ept_mapping mapping;
    enum ept_walk end = ept_walk(mmu_ept(f->cpu.mmu), gpa, access, &mapping);

    *level = end == EPT_WALK_MAPPED ? mapping.level : 0;
    return end;
}

static void write8(struct fixture *f, uint64_t offset, uint64_t value)
{
    assert_int_equal(lin_write(&f->cpu, FIXTURE_DATA + offset, &value, 8), STEP_NEXT);
}

static uint64_t read8(struct fixture *f, uint64_t offset)
{
    uint64_t value;

    assert_int_equal(lin_read(&f->cpu, FIXTURE_DATA + offset, &value, 8), STEP_NEXT);
    return value;
}

static void test_read_violates_once(void **state)
{
    struct fixture *f = *state;
    uint64_t before;
    unsigned level;

    map(f, MAIN | LARGE);
    before = violations(f);
    assert_int_equal(look(f, MAIN, EPT_READ, &level), EPT_WALK_VIOLATION);
    read8(f, 0);
    assert_int_equal(violations(f), before + 1);
    assert_int_equal(look(f, MAIN, EPT_READ, &level), EPT_WALK_MAPPED);
    tlb_flush_all(&f->cpu);
    read8(f, 8); /* walks again, and finds what was filled */
    assert_int_equal(violations(f), before + 1);
}

static void test_write_violates_once(void **state)
{
    struct fixture *f = *state;
    uint64_t before;

    map(f, MAIN | LARGE);
    before = violations(f);
    write8(f, 16, 77);
    assert_int_equal(violations(f), before + 1);
    assert_int_equal(mem_read64(f->cpu.mem, MAIN + 16), 77);
    tlb_flush_all(&f->cpu);
    write8(f, 24, 78);
    assert_int_equal(violations(f), before + 1);
}

static void test_fetch_violates_once(void **state)
{
    struct fixture *f = *state;
    uint64_t before;
    gpa_t gpa;
    unsigned level;

    map(f, MAIN | LARGE);
    before = violations(f);
    assert_int_equal(paging_fetch(&f->cpu, FIXTURE_DATA + 5, &gpa), STEP_NEXT);
    assert_int_equal(gpa, MAIN + 5);
    assert_int_equal(violations(f), before + 1);
    assert_int_equal(look(f, MAIN, EPT_READ | EPT_EXEC, &level), EPT_WALK_MAPPED);
}

/* As large as slot and alignment allow. */
static void test_fill_sizes(void **state)
{
    struct fixture *f = *state;
    unsigned level;

    map(f, ROM | LARGE); /* the slot ends before 2 MiB do */
    read8(f, 0);
    assert_int_equal(look(f, ROM, EPT_READ, &level), EPT_WALK_MAPPED);
    assert_int_equal(level, 1);
    map(f, (MAIN + 2 * MIB) | LARGE);
    read8(f, 0);
    assert_int_equal(look(f, MAIN + 2 * MIB, EPT_READ, &level), EPT_WALK_MAPPED);
    assert_int_equal(level, 2);
    map(f, BIG | LARGE);
    read8(f, 0);
    assert_int_equal(look(f, BIG, EPT_READ, &level), EPT_WALK_MAPPED);
    assert_int_equal(level, 3);
}

/* The first access is a violation that marks the page, the others are misconfigurations. */
static void test_mmio_is_marked(void **state)
{
    struct fixture *f = *state;
    const uint64_t *misconfigs = &f->cpu.counters.exits[EXIT_EPT_MISCONFIG];
    uint64_t before, misconfigs_before = *misconfigs;
    unsigned level;

    map(f, NOTHING | LARGE);
    before = violations(f);
    assert_int_equal(read8(f, 0), 0); /* what the fixture's bus answers */
    assert_int_equal(violations(f), before + 1);
    assert_int_equal(look(f, NOTHING, EPT_READ, &level), EPT_WALK_MISCONFIG);
    read8(f, 8);
    write8(f, 8, 1);
    assert_int_equal(violations(f), before + 1);
    assert_int_equal(*misconfigs, misconfigs_before + 3);
}

static void test_rom_write_is_dropped(void **state)
{
    struct fixture *f = *state;
    uint64_t value = 0x1234;

    mem_rom_load(f->cpu.mem, ROM, &value, 8);
    map(f, ROM | LARGE);
    write8(f, 0, 99);
    assert_int_equal(read8(f, 0), 0x1234);
    write8(f, 0, 99); /* the entry that the read filled lets no write through */
    assert_int_equal(read8(f, 0), 0x1234);
}

static void test_write_protection_violates(void **state)
{
    struct fixture *f = *state;
    uint64_t before;

    map(f, MAIN | LARGE);
    write8(f, 0, 1);
    ept_write_protect(mmu_ept(f->cpu.mmu), MAIN, PAGE_SIZE);
    tlb_flush_all(&f->cpu);
    before = violations(f);
    assert_int_equal(read8(f, 0), 1);
    assert_int_equal(violations(f), before);
    write8(f, 0, 2);
    assert_int_equal(violations(f), before + 1);
    assert_int_equal(mem_read64(f->cpu.mem, MAIN), 2);
    write8(f, PAGE_SIZE, 3); /* its neighbour was split off and keeps its rights */
    assert_int_equal(violations(f), before + 1);
}

/* The pages of a slot that were written since the last look. */
static uint64_t dirty_pages(struct fixture *f, gpa_t base, unsigned first)
{
    uint64_t bits[1024 / 64];

    assert_int_equal(mmu_dirty_fetch(f->cpu.mmu, base, bits, ARRAY_SIZE(bits)), 0);
    tlb_flush_all(&f->cpu);
    return bits[first / 64] >> (first % 64);
}

static void test_dirty_log(void **state)
{
    struct fixture *f = *state;

    map(f, MAIN | LARGE);
    write8(f, 0, 1);
    assert_int_equal(mmu_dirty_log(f->cpu.mmu, MAIN, true), 0);
    tlb_flush_all(&f->cpu);
    assert_int_equal(dirty_pages(f, MAIN, 0), 0);
    read8(f, 0);
    check_audit(f); /* what the read filled lets nobody write unseen */
    assert_int_equal(dirty_pages(f, MAIN, 0), 0);
    /* Also where nothing had been filled before. */
    mem_write(f->cpu.mem, PDE, &(uint64_t){(MAIN + 2 * MIB) | LARGE}, 8);
    tlb_flush_all(&f->cpu);
    read8(f, 0);
    check_audit(f);
    mem_write(f->cpu.mem, PDE, &(uint64_t){MAIN | LARGE}, 8);
    tlb_flush_all(&f->cpu);
    for (unsigned i = 0; i < 3; i++) {
        write8(f, 2 * PAGE_SIZE, i);
        write8(f, 2 * PAGE_SIZE + 8, i);
        assert_int_equal(dirty_pages(f, MAIN, 0), 4);
    }
    assert_int_equal(mmu_dirty_log(f->cpu.mmu, MAIN, false), 0);
}

static void test_slot_goes_and_comes(void **state)
{
    struct fixture *f = *state;
    unsigned level;

    map(f, MAIN | LARGE);
    write8(f, 0, 5);
    assert_int_equal(mem_remove_slot(f->cpu.mem, MAIN), 0);
    assert_true(mmu_follow_slots(f->cpu.mmu));
    tlb_flush_all(&f->cpu);
    read8(f, 0);
    assert_int_equal(look(f, MAIN, EPT_READ, &level), EPT_WALK_MISCONFIG);
    assert_int_equal(mem_add_slot(f->cpu.mem, "main", MAIN, 4 * MIB, MEM_SLOT_RAM), 0);
    assert_true(mmu_follow_slots(f->cpu.mmu));
    tlb_flush_all(&f->cpu);
    write8(f, 0, 6);
    assert_int_equal(mem_read64(f->cpu.mem, MAIN), 6);
}

/* Setting A and D is a write to the guest's table: protected, it is a violation and is logged. */
static void test_table_bits_are_logged(void **state)
{
    struct fixture *f = *state;
    uint64_t pte = MAIN | 7, before;

    mem_write(f->cpu.mem, PT, &pte, 8);
    map(f, PT | TABLE);
    read8(f, 0); /* sets A */
    assert_int_equal(mmu_dirty_log(f->cpu.mmu, 0, true), 0);
    tlb_flush_all(&f->cpu);
    before = violations(f);
    read8(f, 0);
    assert_int_equal(violations(f), before);
    assert_int_equal(dirty_pages(f, 0, PT / PAGE_SIZE), 0);
    write8(f, 0, 1); /* sets D */
    assert_true(violations(f) > before);
    assert_int_equal(mem_read64(f->cpu.mem, PT) & 0x60, 0x60);
    assert_int_equal(dirty_pages(f, 0, PT / PAGE_SIZE), 1);
    assert_int_equal(mmu_dirty_log(f->cpu.mmu, 0, false), 0);
}

/* A table in ROM serves, and keeps its bits. */
static void test_table_in_rom(void **state)
{
    struct fixture *f = *state;
    uint64_t pte = MAIN | 7;

    mem_rom_load(f->cpu.mem, ROM, &pte, 8);
    map(f, ROM | TABLE);
    write8(f, 0, 9);
    assert_int_equal(mem_read64(f->cpu.mem, MAIN), 9);
    assert_int_equal(mem_read64(f->cpu.mem, ROM), pte);
}

/* Where nothing answers all bits are set, reserved ones too: a page fault of the guest. */
static void test_table_without_slot(void **state)
{
    struct fixture *f = *state;
    uint64_t value;

    map(f, NOTHING | TABLE);
    assert_int_equal(lin_read(&f->cpu, FIXTURE_DATA, &value, 8), STEP_FAULT);
    assert_int_equal(f->cpu.fault.vector, X86_PF);
    assert_int_equal(f->cpu.fault.error, X86_PF_PRESENT | X86_PF_RSVD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_read_violates_once, make, unmake),
        cmocka_unit_test_setup_teardown(test_write_violates_once, make, unmake),
        cmocka_unit_test_setup_teardown(test_fetch_violates_once, make, unmake),
        cmocka_unit_test_setup_teardown(test_fill_sizes, make, unmake),
        cmocka_unit_test_setup_teardown(test_mmio_is_marked, make, unmake),
        cmocka_unit_test_setup_teardown(test_rom_write_is_dropped, make, unmake),
        cmocka_unit_test_setup_teardown(test_write_protection_violates, make, unmake),
        cmocka_unit_test_setup_teardown(test_dirty_log, make, unmake),
        cmocka_unit_test_setup_teardown(test_slot_goes_and_comes, make, unmake),
        cmocka_unit_test_setup_teardown(test_table_bits_are_logged, make, unmake),
        cmocka_unit_test_setup_teardown(test_table_in_rom, make, unmake),
        cmocka_unit_test_setup_teardown(test_table_without_slot, make, unmake),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

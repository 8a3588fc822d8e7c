/* The extended page table: fills by leaf size, MMIO marks, ROM, protection, splits, zaps, audit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mem/mem.h"
#include "mmu/ept.h"

struct fixture {
    struct mem *mem;
    struct ept *ept;
};

static int make(void **state)
{
    static struct fixture f;

    f.mem = mem_create(NULL);
    if (!f.mem || mem_add_slot(f.mem, "low", 0, 0xa0000, MEM_SLOT_RAM) != 0 ||
        mem_add_slot(f.mem, "bios", 0xf0000, 0x10000, MEM_SLOT_ROM) != 0 ||
        mem_add_slot(f.mem, "main", MIB, 63 * MIB, MEM_SLOT_RAM) != 0 ||
        mem_add_slot(f.mem, "high", 4 * GIB, 3 * GIB, MEM_SLOT_RAM) != 0)
        return -1;
    f.ept = ept_create(f.mem, UINT64_MAX);
    *state = &f;
    return f.ept ? 0 : -1;
}

static void check_audit(struct fixture *f)
{
    char why[200] = "";

    if (!ept_audit(f->ept, why, sizeof(why)))
        fail_msg("%s", why);
}

static int unmake(void **state)
{
    struct fixture *f = *state;

    ept_destroy(f->ept);
    mem_destroy(f->mem);
    return 0;
}

/* A violation, a fill, and then the mapping that the slot gives. */
static void check_fill(struct fixture *f, gpa_t gpa, uint64_t page_bytes)
{
    struct ept_mapping m;

    assert_int_equal(ept_walk(f->ept, gpa, EPT_READ, &m), EPT_WALK_VIOLATION);
    assert_int_equal(ept_fill(f->ept, gpa, EPT_READ), EPT_FILLED);
    assert_int_equal(ept_walk(f->ept, gpa, EPT_READ, &m), EPT_WALK_MAPPED);
    assert_ptr_equal(m.hva, mem_host(f->mem, gpa, 1, false));
    assert_int_equal(m.page_bytes, page_bytes);
    check_audit(f);
}

static void test_leaf_sizes(void **state)
{
    struct fixture *f = *state;

    check_fill(f, 0x1234, 4 * KIB);
    check_fill(f, 0x9ffff, 4 * KIB);
    check_fill(f, MIB + 5, 4 * KIB);         /* 0 to 2 MiB is not one slot */
    check_fill(f, 2 * MIB + 12345, 2 * MIB); /* congruent, inside */
    check_fill(f, 64 * MIB - 1, 2 * MIB);
    check_fill(f, 4 * GIB + 77, GIB);
    check_fill(f, 7 * GIB - 1, GIB);
    assert_int_equal(ept_stats(f->ept)->filled[1], 3);
    assert_int_equal(ept_stats(f->ept)->filled[2], 2);
    assert_int_equal(ept_stats(f->ept)->filled[3], 2);
}

static void test_mmio(void **state)
{
    struct fixture *f = *state;
    struct ept_mapping m;

    assert_int_equal(ept_walk(f->ept, 0xfee00300, EPT_WRITE, &m), EPT_WALK_VIOLATION);
    assert_int_equal(ept_fill(f->ept, 0xfee00300, EPT_WRITE), EPT_FILL_MMIO);
    assert_int_equal(ept_walk(f->ept, 0xfee00300, EPT_WRITE, &m), EPT_WALK_MISCONFIG);
    assert_int_equal(ept_walk(f->ept, 0xfee00ffc, EPT_READ, &m), EPT_WALK_MISCONFIG);
    assert_int_equal(ept_walk(f->ept, 0xfee01000, EPT_READ, &m), EPT_WALK_VIOLATION);
    check_audit(f);
    /* What no entry can name is never mapped. */
    assert_int_equal(ept_walk(f->ept, BIT(48), EPT_READ, &m), EPT_WALK_VIOLATION);
    assert_int_equal(ept_fill(f->ept, BIT(48), EPT_READ), EPT_FILL_MMIO);
    assert_int_equal(ept_walk(f->ept, BIT(48), EPT_READ, &m), EPT_WALK_VIOLATION);
}

/* Each of these pages needs three tables of its own; a guest must not take all memory so. */
static void test_mmio_marks_are_limited(void **state)
{
    struct fixture *f = *state;

    for (gpa_t gpa = 8 * GIB; gpa < BIT(46); gpa += 16 * GIB) {
        struct ept_mapping m;

        assert_int_equal(ept_walk(f->ept, gpa, EPT_READ, &m), EPT_WALK_VIOLATION);
        assert_int_equal(ept_fill(f->ept, gpa, EPT_READ), EPT_FILL_MMIO);
    }
    assert_in_range(ept_stats(f->ept)->tables, 1000, 1100);
    check_fill(f, 2 * MIB, 2 * MIB);
}

static void test_rom(void **state)
{
    struct fixture *f = *state;
    struct ept_mapping m;

    assert_int_equal(ept_fill(f->ept, 0xf1000, EPT_WRITE), EPT_FILL_READ_ONLY);
    assert_int_equal(ept_walk(f->ept, 0xf1000, EPT_READ | EPT_EXEC, &m), EPT_WALK_MAPPED);
    assert_false(m.writable);
    assert_int_equal(ept_walk(f->ept, 0xf1000, EPT_WRITE, &m), EPT_WALK_VIOLATION);
    assert_int_equal(ept_fill(f->ept, 0xf1000, EPT_WRITE), EPT_FILL_READ_ONLY);
    check_audit(f);
}

static void test_write_protect(void **state)
{
    struct fixture *f = *state;
    struct ept_mapping m;
    gpa_t page = 4 * GIB + 5 * MIB;

    assert_int_equal(ept_fill(f->ept, 4 * GIB, EPT_READ), EPT_FILLED);
    ept_write_protect(f->ept, page, PAGE_SIZE);
    check_audit(f);
    assert_int_equal(ept_stats(f->ept)->split, 2); /* 1 GiB, then 2 MiB */
    assert_int_equal(ept_walk(f->ept, page, EPT_READ, &m), EPT_WALK_MAPPED);
    assert_int_equal(m.page_bytes, PAGE_SIZE);
    assert_ptr_equal(m.hva, mem_host(f->mem, page, 1, false));
    assert_int_equal(ept_walk(f->ept, page + 8, EPT_WRITE, &m), EPT_WALK_VIOLATION);
    assert_int_equal(ept_walk(f->ept, page - 1, EPT_WRITE, &m), EPT_WALK_MAPPED);
    assert_int_equal(ept_walk(f->ept, page + PAGE_SIZE, EPT_WRITE, &m), EPT_WALK_MAPPED);
    assert_int_equal(ept_fill(f->ept, page + 8, EPT_WRITE), EPT_FILLED);
    assert_int_equal(ept_walk(f->ept, page + 8, EPT_WRITE, &m), EPT_WALK_MAPPED);
    check_audit(f);
    /* A protected large leaf gives permission back for the written page only. */
    ept_write_protect(f->ept, 5 * GIB, GIB);
    assert_int_equal(ept_fill(f->ept, 5 * GIB, EPT_READ), EPT_FILLED);
    ept_write_protect(f->ept, 5 * GIB, GIB);
    assert_int_equal(ept_fill(f->ept, 5 * GIB + 0x3000, EPT_WRITE), EPT_FILLED);
    assert_int_equal(ept_walk(f->ept, 5 * GIB + 0x3000, EPT_WRITE, &m), EPT_WALK_MAPPED);
    assert_int_equal(ept_walk(f->ept, 5 * GIB + 0x4000, EPT_WRITE, &m), EPT_WALK_VIOLATION);
    check_audit(f);
}

static void test_zap(void **state)
{
    struct fixture *f = *state;
    struct ept_mapping m;

    assert_int_equal(ept_fill(f->ept, 2 * MIB, EPT_READ), EPT_FILLED);
    assert_int_equal(ept_fill(f->ept, 4 * MIB, EPT_READ), EPT_FILLED);
    assert_int_equal(ept_fill(f->ept, 0x5000, EPT_READ), EPT_FILLED);
    ept_zap(f->ept, 3 * MIB, 2 * MIB); /* half of each leaf */
    check_audit(f);
    assert_int_equal(ept_walk(f->ept, 3 * MIB - 1, EPT_READ, &m), EPT_WALK_MAPPED);
    assert_int_equal(ept_walk(f->ept, 3 * MIB, EPT_READ, &m), EPT_WALK_VIOLATION);
    assert_int_equal(ept_walk(f->ept, 5 * MIB - 1, EPT_READ, &m), EPT_WALK_VIOLATION);
    assert_int_equal(ept_walk(f->ept, 5 * MIB, EPT_READ, &m), EPT_WALK_MAPPED);
    ept_zap(f->ept, 0, UINT64_MAX);
    assert_int_equal(ept_walk(f->ept, 0x5000, EPT_READ, &m), EPT_WALK_VIOLATION);
    assert_int_equal(ept_walk(f->ept, 5 * MIB, EPT_READ, &m), EPT_WALK_VIOLATION);
    check_audit(f);
}

static void test_slots_change(void **state)
{
    struct fixture *f = *state;
    struct ept_mapping m;
    char why[200];

    assert_false(ept_follow_slots(f->ept));
    check_fill(f, 4 * GIB, GIB);
    assert_int_equal(ept_fill(f->ept, 2 * MIB, EPT_READ), EPT_FILLED);
    assert_int_equal(mem_remove_slot(f->mem, MIB), 0);
    assert_false(ept_audit(f->ept, why, sizeof(why))); /* the leaf points to nothing now */
    assert_true(ept_follow_slots(f->ept));
    check_audit(f);
    assert_int_equal(ept_walk(f->ept, 2 * MIB, EPT_READ, &m), EPT_WALK_VIOLATION);
    assert_int_equal(ept_fill(f->ept, 2 * MIB, EPT_READ), EPT_FILL_MMIO);
    assert_int_equal(mem_add_slot(f->mem, "main", MIB, 63 * MIB, MEM_SLOT_RAM), 0);
    assert_true(ept_follow_slots(f->ept));
    check_fill(f, 2 * MIB, 2 * MIB);
    /* What lies elsewhere has stayed. */
    assert_int_equal(ept_walk(f->ept, 4 * GIB, EPT_READ, &m), EPT_WALK_MAPPED);
}

/* A logged slot is mapped by large leaves without W; a write gives it to one page, now in the log.
 */
static void test_dirty_log(void **state)
{
    struct fixture *f = *state;
    struct ept_mapping m;
    gpa_t page = 4 * MIB + 3 * PAGE_SIZE;
    uint64_t bits[63 * MIB / PAGE_SIZE / 64] = {0};

    assert_int_equal(mem_dirty_log(f->mem, MIB, true), 0);
    check_fill(f, 4 * MIB, 2 * MIB);
    assert_int_equal(ept_walk(f->ept, page, EPT_WRITE, &m), EPT_WALK_VIOLATION);
    assert_int_equal(ept_fill(f->ept, page, EPT_WRITE), EPT_FILLED);
    assert_int_equal(ept_walk(f->ept, page, EPT_WRITE, &m), EPT_WALK_MAPPED);
    assert_int_equal(ept_walk(f->ept, page + PAGE_SIZE, EPT_WRITE, &m), EPT_WALK_VIOLATION);
    assert_int_equal(ept_walk(f->ept, page - 1, EPT_READ, &m), EPT_WALK_MAPPED);
    check_audit(f);
    /* A write is the first thing that happens to the next two MiB. */
    assert_int_equal(ept_fill(f->ept, 6 * MIB, EPT_READ | EPT_WRITE), EPT_FILLED);
    assert_int_equal(ept_walk(f->ept, 6 * MIB, EPT_READ | EPT_WRITE, &m), EPT_WALK_MAPPED);
    check_audit(f);
    assert_int_equal(mem_dirty_fetch(f->mem, MIB, bits, ARRAY_SIZE(bits)), 0);
    assert_true(bits[12] == BIT(3)); /* 3 MiB on */
    assert_true(bits[20] == BIT(0));
    assert_true((bits[0] | bits[11] | bits[13] | bits[19] | bits[21]) == 0);
}

struct dirty {
    uint64_t accessed, dirty;
};

static void count_bits(void *opaque, gpa_t gpa, uint64_t entry, unsigned level)
{
    struct dirty *dirty = opaque;

    dirty->accessed += entry >> 8 & 1;
    dirty->dirty += entry >> 9 & 1;
}

static void test_accessed_dirty(void **state)
{
    struct fixture *f = *state;
    struct ept_mapping m;
    struct dirty dirty = {0};

    assert_int_equal(ept_fill(f->ept, 0x1000, EPT_READ), EPT_FILLED);
    assert_int_equal(ept_fill(f->ept, 0x2000, EPT_READ), EPT_FILLED);
    assert_int_equal(ept_fill(f->ept, 0x3000, EPT_READ), EPT_FILLED);
    assert_int_equal(ept_walk(f->ept, 0x1000, EPT_READ, &m), EPT_WALK_MAPPED);
    assert_int_equal(ept_walk(f->ept, 0x2000, EPT_WRITE, &m), EPT_WALK_MAPPED);
    ept_for_each(f->ept, count_bits, &dirty);
    assert_int_equal(dirty.accessed, 2);
    assert_int_equal(dirty.dirty, 1);
}

/* A guest that names pages far apart: all tables go when they are too many, and no fill fails. */
static void test_tables_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct ept_mapping m;

    ept_destroy(f->ept);
    f->ept = ept_create(f->mem, EPT_TABLES_MIN);
    assert_non_null(f->ept);
    for (gpa_t gpa = 8 * GIB; gpa < 208 * GIB; gpa += GIB) {
        assert_int_equal(ept_fill(f->ept, gpa, EPT_READ), EPT_FILL_MMIO);
        assert_int_equal(ept_walk(f->ept, gpa, EPT_READ, &m), EPT_WALK_MISCONFIG);
        assert_int_equal(ept_fill(f->ept, 0x1000, EPT_WRITE), EPT_FILLED);
        assert_int_equal(ept_walk(f->ept, 0x1000, EPT_WRITE, &m), EPT_WALK_MAPPED);
        assert_true(ept_stats(f->ept)->tables <= EPT_TABLES_MIN);
        check_audit(f);
    }
    assert_true(ept_stats(f->ept)->dropped_for_room > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_leaf_sizes, make, unmake),
        cmocka_unit_test_setup_teardown(test_mmio, make, unmake),
        cmocka_unit_test_setup_teardown(test_mmio_marks_are_limited, make, unmake),
        cmocka_unit_test_setup_teardown(test_rom, make, unmake),
        cmocka_unit_test_setup_teardown(test_write_protect, make, unmake),
        cmocka_unit_test_setup_teardown(test_zap, make, unmake),
        cmocka_unit_test_setup_teardown(test_slots_change, make, unmake),
        cmocka_unit_test_setup_teardown(test_dirty_log, make, unmake),
        cmocka_unit_test_setup_teardown(test_accessed_dirty, make, unmake),
        cmocka_unit_test_setup_teardown(test_tables_are_bounded, make, unmake),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

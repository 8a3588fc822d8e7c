/* What follows from the guest's writes to its tables, from its flushes and switches. */
#include "shadow_fixture.h"

static void test_gpt_write_zaps(void **state)
{
    struct rig rig;

    rig_make(&rig);
    map_frame(&rig, W | U);
    rig_switch(&rig);
    assert_int_equal(faults_of(&rig, GVA, &user_write), 1);
    put64(&rig, T1, 7, 0);
    assert_int_equal(rig_stats(&rig)->zapped, 1);
    assert_injects(&rig, GVA, &user_read, X86_PF_USER);
    put64(&rig, T1, 7, (FRAME + 0x5000) | P | W | U);
    assert_int_equal(faults_of(&rig, GVA, &user_read), 1);
    assert_int_equal(rig.result.gpa, FRAME + 0x5000);
    rig_free(&rig);
}

static void test_gpt_write_unlinks_a_table(void **state)
{
    struct rig rig;

    rig_make(&rig);
    map_frame(&rig, W | U);
    rig_switch(&rig);
    assert_int_equal(faults_of(&rig, GVA, &user_write), 1);
    put64(&rig, T2, 0, 0);
    assert_injects(&rig, GVA, &user_read, X86_PF_USER);
    put64(&rig, T2, 0, T1 | P | W | U);
    assert_int_equal(faults_of(&rig, GVA, &user_read), 1);
    put64(&rig, T2, 0, T1 | P | U | A); /* less rights: another page of the same table */
    assert_injects(&rig, GVA, &user_write, X86_PF_PRESENT | X86_PF_USER | X86_PF_WRITE);
    assert_int_equal(touch(&rig, GVA, &user_read), SHADOW_RETRY);
    rig_free(&rig);
}

/* What copy-on-write does keeps the mapping for readers. */
static void test_gpt_write_that_takes_rights_keeps_the_frame(void **state)
{
    struct rig rig;

    rig_make(&rig);
    map_frame(&rig, W | U);
    rig_switch(&rig);
    assert_int_equal(faults_of(&rig, GVA, &user_write), 1);
    put64(&rig, T1, 7, FRAME | P | U | A | D);
    assert_int_equal(rig_stats(&rig)->zapped, 0);
    assert_int_equal(faults_of(&rig, GVA, &user_fetch), 0);
    assert_injects(&rig, GVA, &user_write, X86_PF_PRESENT | X86_PF_USER | X86_PF_WRITE);
    put64(&rig, T1, 7, FRAME | P | U | A | D | NX);
    assert_int_equal(faults_of(&rig, GVA, &user_read), 0);
    assert_injects(&rig, GVA, &user_fetch, X86_PF_PRESENT | X86_PF_USER | X86_PF_FETCH);
    put64(&rig, T1, 7, FRAME | P | A | D); /* no user page any more */
    assert_injects(&rig, GVA, &user_read, X86_PF_PRESENT | X86_PF_USER);
    rig_free(&rig);
}

/* What is no longer global must not be taken for it, or a TLB would keep it too long. */
static void test_global(void **state)
{
    struct shadow_mapping mapping;
    struct rig rig;

    rig_make(&rig);
    map_frame(&rig, W | U | G);
    put64(&rig, T2, 1, 0 | P | W | U | G | PS); /* will be split */
    rig_switch(&rig);
    for (gva_t gva = GVA; gva <= 2 * MIB + GVA; gva += 2 * MIB) {
        assert_int_equal(faults_of(&rig, gva, &user_read), 1);
        assert_true(shadow_walk(rig.root.table, gva, &user_read, false, &mapping));
        assert_true(mapping.global);
    }
    put64(&rig, T1, 7, FRAME | P | W | U | A);
    put64(&rig, T2, 1, 0 | P | W | U | A | PS);
    for (gva_t gva = GVA; gva <= 2 * MIB + GVA; gva += 2 * MIB) {
        assert_int_equal(touch(&rig, gva, &user_read), SHADOW_RETRY);
        assert_true(shadow_walk(rig.root.table, gva, &user_read, false, &mapping));
        assert_false(mapping.global);
    }
    rig_free(&rig);
}

/* Halves, single bytes, and a write over the end of one entry into the next. */
static void test_partial_gpt_writes(void **state)
{
    const uint64_t straddle = 0;
    const uint8_t none = 0, nothing[20] = {0};
    const uint32_t high = 0x80000000u;
    struct rig rig;

    rig_make(&rig);
    map_frame(&rig, W | U);
    put64(&rig, T1, 8, (FRAME + 0x1000) | P | W | U);
    rig_switch(&rig);
    assert_int_equal(faults_of(&rig, GVA, &user_fetch), 1);
    assert_int_equal(faults_of(&rig, GVA + PAGE_SIZE, &user_read), 1);
    mem_write(rig.mem, T1 + 7 * 8 + 4, &high, 4); /* NX */
    assert_injects(&rig, GVA, &user_fetch, X86_PF_PRESENT | X86_PF_USER | X86_PF_FETCH);
    mem_write(rig.mem, T1 + 7 * 8, &none, 1); /* P, W, U, A, D */
    assert_injects(&rig, GVA, &user_read, X86_PF_USER);
    put64(&rig, T1, 7, FRAME | P | U);
    assert_int_equal(touch(&rig, GVA, &user_read), SHADOW_RETRY);
    mem_write(rig.mem, T1 + 7 * 8 + 4, &straddle, 8);
    assert_injects(&rig, GVA + PAGE_SIZE, &user_read, X86_PF_USER);
    assert_int_equal(faults_of(&rig, GVA, &user_read), 0);
    put64(&rig, T1, 8, (FRAME + 0x1000) | P | W | U);
    put64(&rig, T1, 10, (FRAME + 0x2000) | P | W | U);
    assert_int_equal(faults_of(&rig, GVA + PAGE_SIZE, &user_read), 1);
    assert_int_equal(faults_of(&rig, GVA + 3 * PAGE_SIZE, &user_read), 1);
    mem_write(rig.mem, T1 + 8 * 8 + 7, nothing, sizeof(nothing));
    assert_injects(&rig, GVA + 3 * PAGE_SIZE, &user_read, X86_PF_USER);
    rig_free(&rig);
}

/* A page of level 1 that maps the tables, so that the guest writes to them as guests do. */
static void map_tables(struct rig *rig)
{
    for (unsigned i = 1; i < 16; i++)
        put64(rig, T1, 0x100 + i, i * PAGE_SIZE | P | W);
}

#define VIA(table) (0x100000u + (table))

/* A second table of level 1, and what its entry 7 maps. */
#define SECOND     0x5000u
#define SECOND_GVA (2 * MIB + GVA)

/* The frame by both tables, the page behind it by entry 8 of the second; and the tables. */
static void map_second(struct rig *rig)
{
    map_frame(rig, W | U);
    map_tables(rig);
    put64(rig, T2, 1, SECOND | P | W | U);
    put64(rig, SECOND, 7, FRAME | P | W | U);
    put64(rig, SECOND, 8, (FRAME + 0x1000) | P | W | U);
    rig_switch(rig);
}

static void test_gpt_write_is_emulated(void **state)
{
    struct rig rig;

    rig_make(&rig);
    map_frame(&rig, W | U);
    map_tables(&rig);
    rig_switch(&rig);
    assert_int_equal(faults_of(&rig, GVA, &user_read), 1);
    /* The low byte of T1's entry 8 counts up from 0; P is bit 0. */
    assert_int_equal(touch(&rig, VIA(T1) + 8 * 8, &super_write), SHADOW_EMULATE_WRITE);
    assert_int_equal(rig.result.gpa, T1 + 8 * 8);
    assert_int_equal(rig_stats(&rig)->gpt_writes, 1);
    assert_int_equal(get64(&rig, T1, 8), 1);
    assert_int_equal(faults_of(&rig, VIA(T1), &super_read), 0); /* reading needs no help */
    rig_free(&rig);
}

static void write_often(struct rig *rig, gpa_t gpa, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        touch(rig, VIA(gpa), &super_write);
}

static void test_unsync_and_sync(void **state)
{
    struct rig rig;

    rig_make(&rig);
    map_second(&rig);
    assert_int_equal(faults_of(&rig, SECOND_GVA, &user_write), 1);
    assert_int_equal(faults_of(&rig, SECOND_GVA + PAGE_SIZE, &user_write), 1);
    write_often(&rig, SECOND + 2048, 3);
    assert_int_equal(rig_stats(&rig)->unsynced, 0);
    assert_int_equal(touch(&rig, VIA(SECOND) + 2048, &super_write), SHADOW_RETRY);
    assert_int_equal(rig_stats(&rig)->unsynced, 1);
    assert_false(mem_page_watched(rig.mem, MEM_WATCH_TABLES, SECOND));
    /* Now the guest writes unseen, and what is known may be old, as a TLB's. */
    put64(&rig, SECOND, 7, 0);
    assert_int_equal(faults_of(&rig, VIA(SECOND), &super_write), 0);
    put64(&rig, SECOND, 7, 0);
    assert_int_equal(faults_of(&rig, SECOND_GVA, &user_read), 0);
    shadow_flush(rig.shadow);
    rig_audit(&rig);
    assert_int_equal(rig_stats(&rig)->synced, 1);
    assert_true(mem_page_watched(rig.mem, MEM_WATCH_TABLES, SECOND));
    assert_injects(&rig, SECOND_GVA, &user_read, X86_PF_USER);
    assert_int_equal(faults_of(&rig, SECOND_GVA + PAGE_SIZE, &user_write), 0); /* kept */
    assert_int_equal(touch(&rig, VIA(SECOND), &super_write), SHADOW_EMULATE_WRITE);
    rig_free(&rig);
}

/* Makes the second table unsync. */
static void make_unsync(struct rig *rig)
{
    map_second(rig);
    assert_int_equal(faults_of(rig, SECOND_GVA, &user_write), 1);
    assert_int_equal(faults_of(rig, SECOND_GVA + PAGE_SIZE, &user_write), 1);
    write_often(rig, SECOND + 2048, 4);
    assert_int_equal(rig_stats(rig)->unsynced, 1);
}

static void test_invlpg(void **state)
{
    struct rig rig;

    rig_make(&rig);
    make_unsync(&rig);
    put64(&rig, SECOND, 7, (FRAME + 0x9000) | P | W | U);
    put64(&rig, SECOND, 8, 0);
    shadow_invlpg(rig.shadow, &rig.root, SECOND_GVA + 5);
    rig_audit(&rig);
    assert_int_equal(faults_of(&rig, SECOND_GVA, &user_read), 1);
    assert_int_equal(rig.result.gpa, FRAME + 0x9000);
    assert_int_equal(faults_of(&rig, SECOND_GVA + PAGE_SIZE, &user_read), 0); /* not asked */
    rig_free(&rig);
}

static void test_a_switch_syncs(void **state)
{
    struct rig rig;

    rig_make(&rig);
    make_unsync(&rig);
    put64(&rig, SECOND, 7, 0);
    rig_switch(&rig);
    assert_injects(&rig, SECOND_GVA, &user_read, X86_PF_USER);
    rig_free(&rig);
}

/* No TLB can know a table at an address at which it is linked only now. */
static void test_a_new_link_syncs(void **state)
{
    struct rig rig;

    rig_make(&rig);
    make_unsync(&rig);
    put64(&rig, SECOND, 7, (FRAME + 0x9000) | P | W | U);
    put64(&rig, SECOND, 8, (FRAME + 0xa000) | P | W | U);
    put64(&rig, T2, 2, SECOND | P | W | U);
    assert_int_equal(touch(&rig, 4 * MIB + GVA, &user_read), SHADOW_RETRY);
    assert_int_equal(rig.result.gpa, FRAME + 0x9000);
    assert_int_equal(touch(&rig, 4 * MIB + GVA + PAGE_SIZE, &user_read), SHADOW_RETRY);
    assert_int_equal(rig.result.gpa, FRAME + 0xa000);
    rig_free(&rig);
}

/* Nor may one page of a table be in step and another not. */
static void test_a_new_role_syncs(void **state)
{
    struct rig rig;

    rig_make(&rig);
    make_unsync(&rig);
    put64(&rig, SECOND, 7, (FRAME + 0x9000) | P | W | U);
    put64(&rig, T2, 2, SECOND | P | U);
    assert_int_equal(touch(&rig, 4 * MIB + GVA, &user_read), SHADOW_RETRY);
    assert_int_equal(touch(&rig, SECOND_GVA, &user_read), SHADOW_RETRY);
    assert_int_equal(rig.result.gpa, FRAME + 0x9000);
    assert_injects(&rig, 4 * MIB + GVA, &user_write, X86_PF_PRESENT | X86_PF_USER | X86_PF_WRITE);
    rig_free(&rig);
}

/* What becomes a table may still be in a TLB with permission to write. */
static void test_a_new_table_is_protected_in_tlbs(void **state)
{
    struct rig rig;

    rig_make(&rig);
    map_second(&rig);
    assert_int_equal(faults_of(&rig, VIA(SECOND), &super_write), 1);
    assert_int_equal(faults_of(&rig, SECOND_GVA, &user_read), 1);
    assert_int_equal(rig.protected_in_tlb, SECOND);
    assert_int_equal(touch(&rig, VIA(SECOND), &super_write), SHADOW_EMULATE_WRITE);
    rig_free(&rig);
}

/* A table that is a directory too cannot go unsync. */
static void test_a_table_of_two_levels_stays_told(void **state)
{
    struct rig rig;

    rig_make(&rig);
    map_frame(&rig, W | U);
    map_tables(&rig);
    put64(&rig, T2, 1, T2 | P | W | U); /* T2 as a table of level 1 too */
    rig_switch(&rig);
    assert_int_equal(touch(&rig, 2 * MIB, &super_read), SHADOW_RETRY);
    assert_int_equal(rig.result.gpa, T1);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(touch(&rig, VIA(T2) + 2048, &super_write), SHADOW_EMULATE_WRITE);
    assert_int_equal(rig_stats(&rig)->unsynced, 0);
    rig_free(&rig);
}

static void test_unsync_off(void **state)
{
    struct rig rig;

    rig_make_with(&rig, &(struct mmu_config){.mode = MMU_SHADOW, .unsync_off = true});
    map_second(&rig);
    assert_int_equal(touch(&rig, SECOND_GVA, &user_read), SHADOW_RETRY);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(touch(&rig, VIA(SECOND) + 2048, &super_write), SHADOW_EMULATE_WRITE);
    rig_free(&rig);
}

/* An upper table that is written again and again without use is no table any more. */
static void test_write_flooding(void **state)
{
    struct rig rig;

    rig_make(&rig);
    map_frame(&rig, W | U);
    map_tables(&rig);
    put64(&rig, T3, 1, 0x5000 | P | W | U);
    put64(&rig, 0x5000, 0, 0x6000 | P | W | U);
    put64(&rig, 0x6000, 7, FRAME | P | W | U);
    rig_switch(&rig);
    assert_int_equal(faults_of(&rig, GIB + GVA, &user_read), 1);
    write_often(&rig, 0x5000 + 2048, 4);
    assert_int_equal(rig_stats(&rig)->pages_freed, 1);
    assert_int_equal(touch(&rig, VIA(0x5000) + 2048, &super_write), SHADOW_RETRY);
    assert_false(mem_page_watched(rig.mem, MEM_WATCH_TABLES, 0x5000));
    assert_int_equal(faults_of(&rig, GIB + GVA, &user_read), 1); /* and is again when it is used */
    rig_free(&rig);
}

/* A table that nothing names is let go of by its first write, which need not be emulated. */
static void test_an_idle_table_is_given_up(void **state)
{
    struct rig rig;

    rig_make(&rig);
    map_second(&rig);
    assert_int_equal(faults_of(&rig, SECOND_GVA, &user_read), 1);
    put64(&rig, T2, 1, 0);
    assert_true(mem_page_watched(rig.mem, MEM_WATCH_TABLES, SECOND));
    assert_int_equal(touch(&rig, VIA(SECOND), &super_write), SHADOW_RETRY);
    assert_false(mem_page_watched(rig.mem, MEM_WATCH_TABLES, SECOND));
    rig_free(&rig);
}

/* Where no table is any more a large leaf may be. */
static void test_large_pages_come_back(void **state)
{
    struct rig rig;

    rig_make(&rig);
    map_frame(&rig, W);
    put64(&rig, T2, 1, FRAME | P | W | PS);
    put64(&rig, T2, 2, FRAME | P | W);
    rig_switch(&rig);
    assert_injects(&rig, 4 * MIB, &super_read, 0);
    put64(&rig, FRAME, 0, 0x5000 | P | W);
    assert_int_equal(faults_of(&rig, 4 * MIB, &super_read), 1);
    assert_int_equal(faults_of(&rig, 2 * MIB + PAGE_SIZE, &super_write), 1);
    assert_int_equal(leaf_level(&rig, 2 * MIB), 1);
    put64(&rig, T2, 2, 0);
    put64(&rig, FRAME, 0, 0);
    put64(&rig, T2, 3, FRAME | P | W | PS);
    assert_int_equal(faults_of(&rig, 6 * MIB, &super_write), 1);
    assert_int_equal(leaf_level(&rig, 6 * MIB), 2);
    rig_free(&rig);
}

static void test_root_cache(void **state)
{
    struct rig rig;

    rig_make(&rig);
    map_frame(&rig, W | U);
    put64(&rig, 0x5000, 0, T3 | P | W | U); /* a second root over the same tables */
    rig_switch(&rig);
    assert_int_equal(faults_of(&rig, GVA, &user_read), 1);
    rig.context.cr3 = 0x5000;
    rig_switch(&rig);
    assert_int_equal(faults_of(&rig, GVA, &user_read), 1); /* links what is there */
    assert_int_equal(rig_stats(&rig)->pages, 5);
    rig.context.cr3 = T4;
    rig_switch(&rig);
    assert_int_equal(faults_of(&rig, GVA, &user_read), 0);
    put64(&rig, T4, 0, 0); /* written while it is in use, and while it is not */
    assert_injects(&rig, GVA, &user_read, X86_PF_USER);
    put64(&rig, 0x5000, 0, 0);
    rig.context.cr3 = 0x5000;
    rig_switch(&rig);
    assert_injects(&rig, GVA, &user_read, X86_PF_USER);
    assert_int_equal(rig_stats(&rig)->roots_switched, 4);
    assert_int_equal(rig_stats(&rig)->roots_cached, 2);
    rig_free(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gpt_write_zaps),
        cmocka_unit_test(test_gpt_write_unlinks_a_table),
        cmocka_unit_test(test_gpt_write_that_takes_rights_keeps_the_frame),
        cmocka_unit_test(test_global),
        cmocka_unit_test(test_partial_gpt_writes),
        cmocka_unit_test(test_gpt_write_is_emulated),
        cmocka_unit_test(test_unsync_and_sync),
        cmocka_unit_test(test_invlpg),
        cmocka_unit_test(test_a_switch_syncs),
        cmocka_unit_test(test_a_new_link_syncs),
        cmocka_unit_test(test_a_new_role_syncs),
        cmocka_unit_test(test_a_new_table_is_protected_in_tlbs),
        cmocka_unit_test(test_a_table_of_two_levels_stays_told),
        cmocka_unit_test(test_unsync_off),
        cmocka_unit_test(test_write_flooding),
        cmocka_unit_test(test_an_idle_table_is_given_up),
        cmocka_unit_test(test_large_pages_come_back),
        cmocka_unit_test(test_root_cache),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * What the monitor itself and others do to shadow tables: eviction, dirty logging, slots that come
 * and go, A20, and writes by another thread.
 */
#include <pthread.h>

#include "shadow_fixture.h"

/* Another processor's root is not used by this one's faults, and stays. */
static void test_eviction_spares_roots_in_use(void **state)
{
    struct shadow_root other = {0};
    struct rig rig;

    rig_make_with(&rig, &(struct mmu_config){.mode = MMU_SHADOW, .shadow_pages = 16});
    map_frame(&rig, W | U);
    rig_switch(&rig);
    rig.context.cr3 = 0x5000;
    shadow_switch(rig.shadow, &other, &rig.context);
    rig.context.cr3 = T4;
    for (unsigned i = 0; i < 64; i++) {
        put64(&rig, T2, i, (0x10000 + i * PAGE_SIZE) | P | W | U);
        put64(&rig, 0x10000 + i * PAGE_SIZE, 7, FRAME | P | W | U);
        assert_int_equal(touch(&rig, i * 2 * MIB + GVA, &user_write), SHADOW_RETRY);
    }
    assert_true(rig_stats(&rig)->pages_evicted > 40);
    shadow_release(rig.shadow, &other);
    rig_free(&rig);
}

static void test_eviction(void **state)
{
    struct rig rig;

    rig_make_with(&rig, &(struct mmu_config){.mode = MMU_SHADOW, .shadow_pages = 16});
    map_frame(&rig, W | U);
    for (unsigned i = 1; i < 64; i++) {
        put64(&rig, T2, i, (0x10000 + i * PAGE_SIZE) | P | W | U);
        put64(&rig, 0x10000 + i * PAGE_SIZE, 7, (FRAME + i * PAGE_SIZE) | P | W | U);
    }
    rig_switch(&rig);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 1; i < 64; i++) {
            assert_int_equal(touch(&rig, i * 2 * MIB + GVA, &user_write), SHADOW_RETRY);
            assert_int_equal(rig.result.gpa, FRAME + i * PAGE_SIZE);
        }
    }
    assert_in_range(rig_stats(&rig)->pages, 1, 16);
    assert_true(rig_stats(&rig)->pages_evicted > 100);
    rig_free(&rig);
}

/*
 * PAE's root is evicted and its level 3 is not; found again, that must not remember what the PDPTE
 * registers said before.
 */
static void test_eviction_keeps_no_old_pdpte(void **state)
{
    struct rig rig;

    rig_make_with(&rig, &(struct mmu_config){.mode = MMU_SHADOW, .shadow_pages = 16});
    rig.context.format = X86_PAGING_PAE;
    rig.pdpte[0] = T3 | P;
    put64(&rig, T3, 0, T1 | P | W | U);
    put64(&rig, T1, 7, FRAME | P | W | U);
    rig_switch(&rig);
    assert_int_equal(faults_of(&rig, GVA, &user_read), 1);
    rig.context.format = X86_PAGING_NONE;
    rig_switch(&rig);
    for (unsigned i = 0; rig_stats(&rig)->pages_evicted < 1; i++)
        assert_int_equal(touch(&rig, HOLE + i * 2 * MIB, &super_read), SHADOW_MMIO);
    put64(&rig, T3, 0, 0); /* makes room without another eviction: T1 is idle, */
    put64(&rig, T1, 8, 0); /* and given up */
    assert_int_equal(rig_stats(&rig)->pages_freed, 2);
    put64(&rig, T3, 0, T1 | P | W | U);
    rig.context.format = X86_PAGING_PAE;
    rig.pdpte[0] = 0;
    rig.pdpte[1] = T3 | P;
    rig_switch(&rig);
    assert_int_equal(rig_stats(&rig)->roots_cached, 0);
    assert_int_equal(touch(&rig, GIB + GVA, &user_read), SHADOW_RETRY);
    assert_injects(&rig, GVA, &user_read, X86_PF_USER);
    rig_free(&rig);
}

static void test_dirty_log(void **state)
{
    uint64_t bits[RAM_BYTES / PAGE_SIZE / 64];
    struct rig rig;

    rig_make(&rig);
    map_frame(&rig, W | U);
    put64(&rig, T2, 1, (8 * MIB) | P | W | U | PS);
    rig_switch(&rig);
    assert_int_equal(faults_of(&rig, GVA, &user_write), 1);
    assert_int_equal(faults_of(&rig, 2 * MIB, &user_write), 1);
    assert_int_equal(leaf_level(&rig, 2 * MIB), 2);
    assert_int_equal(mmu_dirty_log(rig.mmu, 0, true), 0);
    rig_audit(&rig);
    put64(&rig, T1, 9, (FRAME + 0x9000) | P | W | U | A | D);
    assert_int_equal(faults_of(&rig, GVA + 2 * PAGE_SIZE, &user_read), 1);
    assert_int_equal(faults_of(&rig, GVA + 2 * PAGE_SIZE, &user_write), 1);
    assert_int_equal(faults_of(&rig, GVA, &user_write), 1);
    assert_int_equal(faults_of(&rig, 2 * MIB + 0x3000, &user_write), 1);
    assert_int_equal(leaf_level(&rig, 2 * MIB), 1);
    assert_int_equal(faults_of(&rig, GVA, &user_write), 0); /* once is enough */
    assert_int_equal(mmu_dirty_fetch(rig.mmu, 0, bits, sizeof(bits) / 8), 0);
    rig_audit(&rig);
    assert_true(bits[FRAME / PAGE_SIZE / 64] & BIT(FRAME / PAGE_SIZE % 64));
    assert_true(bits[(8 * MIB + 0x3000) / PAGE_SIZE / 64] & BIT(3));
    assert_false(bits[(8 * MIB + 0x3000) / PAGE_SIZE / 64] & BIT(2));
    assert_int_equal(faults_of(&rig, GVA, &user_write), 1); /* to be remembered anew */
    assert_int_equal(mmu_dirty_fetch(rig.mmu, 0, bits, sizeof(bits) / 8), 0);
    assert_true(bits[FRAME / PAGE_SIZE / 64] == BIT(FRAME / PAGE_SIZE % 64));
    assert_int_equal(mmu_dirty_log(rig.mmu, 0, false), 0);
    assert_int_equal(faults_of(&rig, 2 * MIB, &user_write), 1);
    assert_int_equal(leaf_level(&rig, 2 * MIB), 2);
    rig_free(&rig);
}

static void test_slots_change(void **state)
{
    struct rig rig;
    unsigned flushes;

    rig_make(&rig);
    map_frame(&rig, 0);
    put64(&rig, T1, 7, HOLE | P | W | U);
    rig_switch(&rig);
    assert_int_equal(touch(&rig, GVA, &user_write), SHADOW_MMIO);
    flushes = rig.tlb_flushes;
    assert_int_equal(mem_add_slot(rig.mem, "more", HOLE, 2 * MIB, MEM_SLOT_RAM), 0);
    assert_true(mmu_follow_slots(rig.mmu));
    assert_int_equal(rig.tlb_flushes, flushes + 1);
    rig_audit(&rig);
    assert_int_equal(faults_of(&rig, GVA, &user_write), 1);
    put64(&rig, T4, 0, T3 | P | W | U); /* the root in use is watched again */
    assert_int_equal(mem_remove_slot(rig.mem, HOLE), 0);
    assert_true(mmu_follow_slots(rig.mmu));
    assert_int_equal(touch(&rig, GVA, &user_write), SHADOW_MMIO);
    /* Nobody said so this time: the next fault sees it. */
    assert_int_equal(mem_add_slot(rig.mem, "more", HOLE, 2 * MIB, MEM_SLOT_RAM), 0);
    assert_int_equal(faults_of(&rig, GVA, &user_write), 1);
    put64(&rig, T4, 0, 0);
    assert_injects(&rig, GVA, &user_read, X86_PF_USER);
    rig_free(&rig);
}

static void test_a20(void **state)
{
    struct rig rig;

    rig_make(&rig);
    rig.context.format = X86_PAGING_NONE;
    rig_switch(&rig);
    assert_int_equal(touch(&rig, 5 * MIB + 3, &super_write), SHADOW_RETRY);
    mmu_a20_changed(rig.mmu);
    rig_audit(&rig);
    rig.context.a20_mask = ~BIT(20);
    rig_switch(&rig);
    assert_int_equal(touch(&rig, 5 * MIB + 3, &super_write), SHADOW_RETRY);
    assert_int_equal(rig.result.gpa, 4 * MIB + 3);
    rig.context.a20_mask = UINT64_MAX;
    rig_switch(&rig);
    assert_int_equal(touch(&rig, 5 * MIB + 3, &super_write), SHADOW_RETRY);
    assert_int_equal(rig.result.gpa, 5 * MIB + 3);
    rig_free(&rig);
}

static void *clear_entry(void *opaque)
{
    struct rig *rig = opaque;
    uint64_t none = 0;

    mem_write(rig->mem, T1 + 8 * 7, &none, 8);
    return NULL;
}

/* A device's write on another thread waits for the vCPU's, which comes by before it flushes. */
static void test_writes_by_another_thread(void **state)
{
    pthread_t thread;
    struct rig rig;

    rig_make(&rig);
    map_frame(&rig, W | U);
    rig_switch(&rig);
    assert_int_equal(faults_of(&rig, GVA, &user_read), 1);
    assert_int_equal(pthread_create(&thread, NULL, clear_entry, &rig), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    shadow_invlpg(rig.shadow, &rig.root, GVA);
    rig_audit(&rig);
    assert_injects(&rig, GVA, &user_read, X86_PF_USER);
    rig_free(&rig);
}

#define MANY_TABLES ((gpa_t)8 * MIB) /* further tables, one after the other */
#define TABLES      (SHADOW_LIST_MAX / 512 + 2)

static void put_entries(struct rig *rig, gpa_t table, uint64_t entry)
{
    for (unsigned i = 0; i < 512; i++)
        mem_write(rig->mem, table + 8 * i, &entry, 8);
}

/* Reads at each address that a page of a level-2 table spans; nothing is audited meanwhile. */
static void touch_all(struct rig *rig, uint64_t step, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(shadow_handle_fault(rig->shadow, &rig->root, &rig->context, i * step,
                                             &user_read, &rig->result),
                         SHADOW_RETRY);
    rig_audit(rig);
}

/* A frame that is mapped more often than a list is long; the entry made last always serves. */
static void test_a_frame_is_mapped_everywhere(void **state)
{
    struct shadow_mapping mapping;
    struct rig rig;

    rig_make(&rig);
    map_frame(&rig, W | U);
    rig_switch(&rig);
    for (unsigned i = 0; i < TABLES; i++) {
        uint64_t table = MANY_TABLES + i * PAGE_SIZE;

        put_entries(&rig, table, FRAME | P | W | U | D);
        table |= P | W | U;
        mem_write(rig.mem, T2 + 8 * i, &table, 8);
    }
    touch_all(&rig, PAGE_SIZE, TABLES * 512);
    assert_true(rig_stats(&rig)->rmap_entries <= SHADOW_LIST_MAX + 16);
    assert_true(
        shadow_walk(rig.root.table, (TABLES * 512 - 1) * PAGE_SIZE, &user_read, false, &mapping));
    shadow_write_protect(rig.shadow, FRAME, PAGE_SIZE);
    rig_audit(&rig);
    rig_free(&rig);
}

/* A table that is linked more often than a list is long, and is then freed by a change of slots. */
static void test_a_table_is_linked_everywhere(void **state)
{
    struct rig rig;

    rig_make(&rig);
    map_frame(&rig, W | U);
    rig_switch(&rig);
    put_entries(&rig, T1, FRAME | P | W | U);
    for (unsigned i = 0; i < TABLES; i++) {
        uint64_t table = MANY_TABLES + i * PAGE_SIZE;

        put_entries(&rig, table, T1 | P | W | U);
        table |= P | W | U;
        mem_write(rig.mem, T3 + 8 * i, &table, 8);
    }
    touch_all(&rig, 2 * MIB, TABLES * 512);
    put64(&rig, T1, 0, 0);
    assert_int_equal(mem_add_slot(rig.mem, "late", 200 * MIB, PAGE_SIZE, MEM_SLOT_RAM), 0);
    assert_true(mmu_follow_slots(rig.mmu));
    rig_audit(&rig);
    rig_free(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eviction_spares_roots_in_use),
        cmocka_unit_test(test_eviction),
        cmocka_unit_test(test_eviction_keeps_no_old_pdpte),
        cmocka_unit_test(test_dirty_log),
        cmocka_unit_test(test_slots_change),
        cmocka_unit_test(test_a20),
        cmocka_unit_test(test_writes_by_another_thread),
        cmocka_unit_test(test_a_frame_is_mapped_everywhere),
        cmocka_unit_test(test_a_table_is_linked_everywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

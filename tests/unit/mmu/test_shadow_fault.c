/* The steps of a page fault under shadow paging, one by one, in each of the guest's formats. */
#include "shadow_fixture.h"

static void test_inject_not_present(void **state)
{
    struct rig rig;

    rig_make(&rig);
    rig_switch(&rig);
    assert_injects(&rig, GVA, &user_read, X86_PF_USER);
    assert_injects(&rig, GVA, &super_write, X86_PF_WRITE);
    put64(&rig, T4, 0, T3 | P | W | U);
    put64(&rig, T3, 0, T2 | P | W | U);
    put64(&rig, T2, 0, T1 | P | W | U);
    assert_injects(&rig, GVA, &super_fetch, X86_PF_FETCH);
    assert_int_equal(rig_stats(&rig)->injected, 3);
    assert_int_equal(rig_stats(&rig)->filled, 0);
    assert_int_equal(get64(&rig, T4, 0), T3 | P | W | U); /* a walk that faults sets no bit */
    rig_free(&rig);
}

static void test_inject_rights(void **state)
{
    struct rig rig;

    rig_make(&rig);
    map_frame(&rig, NX);
    rig_switch(&rig);
    assert_injects(&rig, GVA, &user_read, X86_PF_USER | X86_PF_PRESENT);
    assert_injects(&rig, GVA, &super_write, X86_PF_WRITE | X86_PF_PRESENT);
    assert_injects(&rig, GVA, &super_fetch, X86_PF_FETCH | X86_PF_PRESENT);
    assert_int_equal(faults_of(&rig, GVA, &super_read), 1);
    /* With the entry filled they fault as before. */
    assert_injects(&rig, GVA, &user_read, X86_PF_USER | X86_PF_PRESENT);
    assert_injects(&rig, GVA, &super_write, X86_PF_WRITE | X86_PF_PRESENT);
    assert_injects(&rig, GVA, &super_fetch, X86_PF_FETCH | X86_PF_PRESENT);
    rig_free(&rig);
}

static void test_rights_of_upper_levels_reach_the_leaf(void **state)
{
    struct rig rig;

    rig_make(&rig);
    map_frame(&rig, W | U);
    put64(&rig, T3, 0, T2 | P | U | NX); /* takes W and execution away */
    rig_switch(&rig);
    assert_int_equal(faults_of(&rig, GVA, &user_read), 1);
    assert_injects(&rig, GVA, &user_write, X86_PF_WRITE | X86_PF_USER | X86_PF_PRESENT);
    assert_injects(&rig, GVA, &user_fetch, X86_PF_FETCH | X86_PF_USER | X86_PF_PRESENT);
    put64(&rig, T3, 0, T2 | P | W | U);
    assert_int_equal(touch(&rig, GVA, &user_write), SHADOW_RETRY);
    assert_int_equal(touch(&rig, GVA, &user_fetch), SHADOW_RETRY);
    rig_free(&rig);
}

static void test_inject_reserved(void **state)
{
    struct rig rig;

    rig_make(&rig);
    map_frame(&rig, W | BIT(45));
    rig_switch(&rig);
    assert_injects(&rig, GVA, &super_read, X86_PF_RSVD | X86_PF_PRESENT);
    put64(&rig, T1, 7, FRAME | P | NX);
    assert_int_equal(touch(&rig, GVA, &super_read), SHADOW_RETRY);
    rig.context.nxe = false; /* now NX is reserved */
    rig_switch(&rig);
    assert_injects(&rig, GVA, &super_read, X86_PF_RSVD | X86_PF_PRESENT);
    rig_free(&rig);
}

static void test_fill_makes_each_level_once(void **state)
{
    struct rig rig;

    rig_make(&rig);
    map_frame(&rig, W | U);
    put64(&rig, T1, 8, (FRAME + PAGE_SIZE) | P | W | U);
    rig_switch(&rig);
    assert_int_equal(rig_stats(&rig)->pages, 1);
    assert_int_equal(faults_of(&rig, GVA, &user_read), 1);
    assert_int_equal(rig.result.gpa, FRAME);
    assert_int_equal(rig_stats(&rig)->pages, 4);
    assert_int_equal(faults_of(&rig, GVA, &user_read), 0);
    assert_int_equal(faults_of(&rig, GVA + PAGE_SIZE + 5, &user_read), 1);
    assert_int_equal(rig.result.gpa, FRAME + PAGE_SIZE + 5);
    assert_int_equal(rig_stats(&rig)->pages, 4);
    assert_int_equal(rig_stats(&rig)->rmap_entries, 2);
    rig_free(&rig);
}

static void test_fill_large(void **state)
{
    struct rig rig;

    rig_make(&rig);
    map_frame(&rig, W);
    put64(&rig, T2, 5, (8 * MIB) | P | W | PS);
    rig_switch(&rig);
    assert_int_equal(faults_of(&rig, 10 * MIB + 0x1234, &super_write), 1);
    assert_int_equal(rig.result.gpa, 8 * MIB + 0x1234);
    assert_int_equal(leaf_level(&rig, 10 * MIB), 2);
    assert_int_equal(faults_of(&rig, 11 * MIB, &super_write), 0);
    assert_int_equal(rig_stats(&rig)->filled_large, 1);
    rig_free(&rig);
}

static void test_a_gib_page_is_mapped_by_what_the_slot_backs(void **state)
{
    struct rig rig;

    rig_make(&rig);
    put64(&rig, T4, 0, T3 | P | W | U);
    put64(&rig, T3, 1, 0 | P | W | PS); /* 1 GiB to GPA 0, of which 32 MiB are there */
    rig_switch(&rig);
    assert_int_equal(faults_of(&rig, GIB + 4 * MIB, &super_write), 1);
    assert_int_equal(leaf_level(&rig, GIB + 4 * MIB), 2);
    assert_int_equal(touch(&rig, GIB + HOLE, &super_read), SHADOW_MMIO);
    assert_int_equal(touch(&rig, GIB + T4 + 0x800, &super_write), SHADOW_EMULATE_WRITE);
    assert_int_equal(leaf_level(&rig, GIB + T4), 1);
    rig_free(&rig);
}

static void test_split_large_around_a_table(void **state)
{
    struct rig rig;

    rig_make(&rig);
    map_frame(&rig, W);
    put64(&rig, T2, 1, 0 | P | W | PS); /* 2 MiB that hold the tables */
    rig_switch(&rig);
    assert_int_equal(faults_of(&rig, 2 * MIB + 0x9000, &super_write), 1);
    assert_int_equal(leaf_level(&rig, 2 * MIB + 0x9000), 1);
    assert_int_equal(faults_of(&rig, 2 * MIB + 0xa000, &super_write), 0); /* all at once */
    assert_int_equal(touch(&rig, 2 * MIB + T3 + 64, &super_write), SHADOW_EMULATE_WRITE);
    rig_free(&rig);
}

/* A page that becomes a table loses its large leaf. */
static void test_a_new_table_splits_a_large_page(void **state)
{
    struct rig rig;

    rig_make(&rig);
    map_frame(&rig, W);
    put64(&rig, T2, 1, FRAME | P | W | PS);
    rig_switch(&rig);
    assert_int_equal(faults_of(&rig, 2 * MIB, &super_write), 1);
    assert_int_equal(leaf_level(&rig, 2 * MIB), 2);
    put64(&rig, FRAME, 3, 0x5000 | P | W);
    put64(&rig, T2, 2, FRAME | P | W);
    assert_int_equal(faults_of(&rig, 4 * MIB + 0x3000, &super_read), 1);
    assert_int_equal(rig_stats(&rig)->protected, 1);
    assert_int_equal(touch(&rig, 2 * MIB, &super_write), SHADOW_EMULATE_WRITE);
    assert_int_equal(leaf_level(&rig, 2 * MIB), 1);
    assert_int_equal(faults_of(&rig, 2 * MIB + PAGE_SIZE, &super_write), 0);
    rig_free(&rig);
}

static void test_mmio(void **state)
{
    struct rig rig;

    rig_make(&rig);
    map_frame(&rig, 0);
    put64(&rig, T1, 7, HOLE | P | U);
    rig_switch(&rig);
    assert_int_equal(touch(&rig, GVA + 0x123, &user_read), SHADOW_MMIO);
    assert_int_equal(rig.result.gpa, HOLE + 0x123);
    assert_int_equal(get64(&rig, T1, 7) & A, A);
    /* The mark is found, and rights still hold. */
    assert_int_equal(touch(&rig, GVA + 0x456, &user_read), SHADOW_MMIO);
    assert_int_equal(rig.result.gpa, HOLE + 0x456);
    assert_injects(&rig, GVA, &user_write, X86_PF_WRITE | X86_PF_USER | X86_PF_PRESENT);
    put64(&rig, T1, 7, HOLE | P | W | U);
    assert_int_equal(touch(&rig, GVA, &user_write), SHADOW_MMIO);
    assert_int_equal(get64(&rig, T1, 7) & D, D);
    assert_int_equal(rig_stats(&rig)->mmio, 3);
    put64(&rig, T1, 7, FRAME | P | W | U);
    assert_int_equal(faults_of(&rig, GVA, &user_write), 1);
    rig_free(&rig);
}

static void test_rom(void **state)
{
    struct rig rig;

    rig_make(&rig);
    map_frame(&rig, 0);
    put64(&rig, T1, 7, ROM | P | W | U);
    rig_switch(&rig);
    assert_int_equal(touch(&rig, GVA, &user_write), SHADOW_ROM);
    assert_int_equal(faults_of(&rig, GVA, &user_read), 0);
    assert_int_equal(touch(&rig, GVA, &user_write), SHADOW_ROM);
    assert_int_equal(mem_read64(rig.mem, ROM), 0);
    rig_free(&rig);
}

/* Tables in ROM keep their A and D bits, and serve all the same. */
static void test_tables_in_rom(void **state)
{
    const uint64_t to_frame = FRAME | P | W | U, to_table = ROM | P | W | U;
    struct rig rig;

    rig_make(&rig);
    map_frame(&rig, W | U);
    put64(&rig, T2, 0, to_table);
    mem_rom_load(rig.mem, ROM + 8 * 7, &to_frame, 8);
    rig_switch(&rig);
    assert_int_equal(faults_of(&rig, GVA, &user_write), 1);
    assert_int_equal(faults_of(&rig, GVA, &user_write), 0);
    assert_int_equal(get64(&rig, ROM, 7), to_frame);
    rig_free(&rig);
}

static void test_tables_where_no_memory_is(void **state)
{
    struct rig rig;

    rig_make(&rig);
    rig.context.cr3 = HOLE;
    rig_switch(&rig);
    assert_injects(&rig, GVA, &super_read, X86_PF_RSVD | X86_PF_PRESENT);
    rig.context.format = X86_PAGING_32BIT; /* all ones is a page of 4 MiB, with PSE-36 */
    rig.context.pse = false;
    rig_switch(&rig);
    assert_int_equal(touch(&rig, GVA, &super_read), SHADOW_MMIO);
    rig_free(&rig);
}

static void test_retry_when_the_entry_is_there_by_now(void **state)
{
    struct rig rig;
    struct shadow_fault_result result;

    rig_make(&rig);
    map_frame(&rig, W | U);
    rig_switch(&rig);
    assert_int_equal(touch(&rig, GVA, &user_write), SHADOW_RETRY);
    assert_int_equal(
        shadow_handle_fault(rig.shadow, &rig.root, &rig.context, GVA, &user_write, &result),
        SHADOW_RETRY);
    rig_audit(&rig);
    assert_int_equal(rig_stats(&rig)->rmap_entries, 1);
    rig_free(&rig);
}

static void test_accessed_and_dirty(void **state)
{
    struct rig rig;

    rig_make(&rig);
    map_frame(&rig, W | U);
    rig_switch(&rig);
    assert_int_equal(faults_of(&rig, GVA, &user_read), 1);
    assert_int_equal(get64(&rig, T4, 0) & (A | D), A);
    assert_int_equal(get64(&rig, T1, 7) & (A | D), A);
    assert_int_equal(faults_of(&rig, GVA, &user_write), 1); /* D has to be set */
    assert_int_equal(get64(&rig, T1, 7) & (A | D), A | D);
    assert_int_equal(faults_of(&rig, GVA, &user_write), 0);
    put64(&rig, T1, 7, FRAME | P | W | U | A); /* the guest clears D */
    assert_int_equal(faults_of(&rig, GVA, &user_read), 0);
    assert_int_equal(faults_of(&rig, GVA, &user_write), 1);
    assert_int_equal(get64(&rig, T1, 7) & D, D);
    put64(&rig, T1, 7, FRAME | P | W | U | D); /* and A */
    assert_int_equal(faults_of(&rig, GVA, &user_read), 1);
    assert_int_equal(get64(&rig, T1, 7) & A, A);
    put64(&rig, T3, 0, T2 | P | W | U); /* A of an upper level */
    assert_int_equal(faults_of(&rig, GVA, &user_read), 1);
    assert_int_equal(get64(&rig, T3, 0) & A, A);
    rig_free(&rig);
}

static void test_dirty_of_a_split_page(void **state)
{
    struct rig rig;

    rig_make(&rig);
    map_frame(&rig, W);
    put64(&rig, T2, 1, 0 | P | W | U | PS);
    rig_switch(&rig);
    assert_int_equal(faults_of(&rig, 2 * MIB + 0x9000, &user_read), 1);
    assert_int_equal(get64(&rig, T2, 1) & (A | D), A);
    assert_int_equal(faults_of(&rig, 2 * MIB + 0xa000, &user_write), 1);
    assert_int_equal(get64(&rig, T2, 1) & (A | D), A | D);
    put64(&rig, T2, 1, 0 | P | W | U | A | PS);
    assert_int_equal(faults_of(&rig, 2 * MIB + 0xb000, &user_write), 1);
    assert_int_equal(get64(&rig, T2, 1) & D, D);
    rig_free(&rig);
}

/* CR0.WP clear: a supervisor writes to a read-only user page, and the user may not. */
static void test_wp_trick(void **state)
{
    const uint32_t denied = X86_PF_PRESENT | X86_PF_USER | X86_PF_WRITE;
    struct rig rig;

    rig_make(&rig);
    map_frame(&rig, U);
    rig_switch(&rig);
    assert_injects(&rig, GVA, &super_write, X86_PF_PRESENT | X86_PF_WRITE);
    rig.context.wp = false;
    rig_switch(&rig);
    assert_int_equal(faults_of(&rig, GVA, &super_write), 1);
    assert_int_equal(faults_of(&rig, GVA, &super_write), 0);
    assert_injects(&rig, GVA, &user_write, denied);
    assert_int_equal(faults_of(&rig, GVA, &user_read), 1); /* flips back */
    assert_int_equal(faults_of(&rig, GVA, &user_fetch), 0);
    assert_injects(&rig, GVA, &user_write, denied);
    assert_int_equal(faults_of(&rig, GVA, &super_write), 1);
    assert_int_equal(faults_of(&rig, GVA, &super_fetch), 0); /* no SMEP: allowed */
    rig.context.wp = true;
    rig_switch(&rig);
    assert_injects(&rig, GVA, &super_write, X86_PF_PRESENT | X86_PF_WRITE);
    rig_free(&rig);
}

/* Where the write cannot be let through, readers keep their entry. */
static void test_wp_trick_on_a_table_and_on_rom(void **state)
{
    struct rig rig;

    rig_make(&rig);
    map_frame(&rig, U);
    put64(&rig, T1, 8, T3 | P | U);
    put64(&rig, T1, 9, ROM | P | U);
    rig.context.wp = false;
    rig_switch(&rig);
    assert_int_equal(touch(&rig, GVA + PAGE_SIZE + 0x800, &super_write), SHADOW_EMULATE_WRITE);
    assert_int_equal(faults_of(&rig, GVA + PAGE_SIZE, &user_read), 0);
    assert_int_equal(touch(&rig, GVA + 2 * PAGE_SIZE, &super_write), SHADOW_ROM);
    assert_int_equal(faults_of(&rig, GVA + 2 * PAGE_SIZE, &user_read), 0);
    rig_free(&rig);
}

static void test_smep(void **state)
{
    struct rig rig;

    rig_make(&rig);
    map_frame(&rig, U);
    rig.context.smep = true;
    rig_switch(&rig);
    assert_int_equal(faults_of(&rig, GVA, &user_fetch), 1);
    assert_injects(&rig, GVA, &super_fetch, X86_PF_PRESENT | X86_PF_FETCH);
    rig.context.wp = false; /* the trick must not hide that it is a user page */
    rig_switch(&rig);
    assert_int_equal(faults_of(&rig, GVA, &super_write), 1);
    assert_injects(&rig, GVA, &super_fetch, X86_PF_PRESENT | X86_PF_FETCH);
    assert_int_equal(touch(&rig, GVA, &user_fetch), SHADOW_RETRY);
    rig_free(&rig);
}

static void test_smap(void **state)
{
    struct rig rig;

    rig_make(&rig);
    map_frame(&rig, W | U);
    rig.context.smap = true;
    rig_switch(&rig);
    assert_int_equal(faults_of(&rig, GVA, &user_write), 1);
    assert_injects(&rig, GVA, &smap_read, X86_PF_PRESENT);
    assert_injects(&rig, GVA, &smap_write, X86_PF_PRESENT | X86_PF_WRITE);
    assert_int_equal(faults_of(&rig, GVA, &super_write), 0); /* AC set */
    rig_free(&rig);
}

/* With AC set the supervisor writes to a read-only page; the next access without AC must fault. */
static void test_smap_without_wp_emulates(void **state)
{
    struct rig rig;

    rig_make(&rig);
    map_frame(&rig, U);
    rig.context.smap = true;
    rig.context.wp = false;
    rig_switch(&rig);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(touch(&rig, GVA, &super_write), SHADOW_EMULATE_WRITE);
        assert_injects(&rig, GVA, &smap_read, X86_PF_PRESENT);
    }
    assert_int_equal(get64(&rig, FRAME, 0), 2);
    assert_int_equal(get64(&rig, T1, 7) & D, D);
    rig_free(&rig);
}

static void test_32bit_quadrants(void **state)
{
    struct rig rig;

    rig_make(&rig);
    rig.context.format = X86_PAGING_32BIT;
    /* An entry in each quarter of the directory, and in each half of a table. */
    for (unsigned q = 0; q < 4; q++)
        put32(&rig, T4, 256 * q + 3, (T2 + q * 0x1000) | P | W | U);
    for (unsigned q = 0; q < 4; q++) {
        put32(&rig, T2 + q * 0x1000, 7, (FRAME + q * 0x2000) | P | W | U);
        put32(&rig, T2 + q * 0x1000, 1000, (FRAME + q * 0x2000 + 0x1000) | P | W | U);
    }
    rig_switch(&rig);
    for (unsigned q = 0; q < 4; q++) {
        gva_t base = ((gva_t)256 * q + 3) << 22;

        assert_int_equal(faults_of(&rig, base + 0x7001, &user_write), 1);
        assert_int_equal(rig.result.gpa, FRAME + q * 0x2000 + 1);
        assert_int_equal(faults_of(&rig, base + 1000 * PAGE_SIZE + 2, &user_read), 1);
        assert_int_equal(rig.result.gpa, FRAME + q * 0x2000 + 0x1002);
    }
    /* A write to an entry finds the half and the quarter that depend on it. */
    put32(&rig, T2 + 0x1000, 1000, 0);
    assert_injects(&rig, (((gva_t)256 + 3) << 22) + 1000 * PAGE_SIZE, &user_read, X86_PF_USER);
    assert_int_equal(faults_of(&rig, (((gva_t)256 + 3) << 22) + 0x7000, &user_read), 0);
    put32(&rig, T4, 768 + 3, 0);
    assert_injects(&rig, (((gva_t)768 + 3) << 22) + 0x7000, &user_read, X86_PF_USER);
    rig_free(&rig);
}

static void test_32bit_large(void **state)
{
    gva_t gva = (gva_t)700 << 22;
    struct rig rig;

    rig_make(&rig);
    rig.context.format = X86_PAGING_32BIT;
    put32(&rig, T4, 700, (uint32_t)(16 * MIB) | P | W | U | PS);
    rig_switch(&rig);
    assert_int_equal(faults_of(&rig, gva + 5, &user_write), 1);
    assert_int_equal(rig.result.gpa, 16 * MIB + 5);
    assert_int_equal(faults_of(&rig, gva + 2 * MIB + 6, &user_write), 1); /* the other half */
    assert_int_equal(rig.result.gpa, 18 * MIB + 6);
    assert_int_equal(rig_stats(&rig)->filled_large, 2);
    put32(&rig, T4, 700, 0);
    assert_injects(&rig, gva, &user_read, X86_PF_USER);
    assert_injects(&rig, gva + 2 * MIB, &user_read, X86_PF_USER);
    put32(&rig, T4, 700, T3 | P | W | U | PS); /* without PSE it is a table */
    put32(&rig, T3, 1, FRAME | P | W | U);
    rig.context.pse = false;
    rig_switch(&rig);
    assert_int_equal(faults_of(&rig, gva + 0x1000, &user_write), 1);
    assert_int_equal(rig.result.gpa, FRAME);
    rig_free(&rig);
}

static void test_pae(void **state)
{
    struct rig rig;

    rig_make(&rig);
    rig.context.format = X86_PAGING_PAE;
    rig.context.cr3 = 0x6020; /* the four registers are what counts */
    rig.pdpte[0] = T3 | P;
    rig.pdpte[3] = T2 | P;
    put64(&rig, T3, 2, T1 | P | W | U);
    put64(&rig, T1, 7, FRAME | P | W | U);
    put64(&rig, T2, 511, (8 * MIB) | P | W | PS);
    rig_switch(&rig);
    assert_int_equal(faults_of(&rig, 4 * MIB + 0x7000, &user_write), 1);
    assert_int_equal(rig.result.gpa, FRAME);
    assert_int_equal(faults_of(&rig, 0xffe00000 + 3, &super_write), 1);
    assert_int_equal(rig.result.gpa, 8 * MIB + 3);
    assert_injects(&rig, GIB, &super_read, 0);
    /* Other registers at the same CR3: nothing of the old ones may stay. */
    rig.pdpte[0] = 0;
    rig.pdpte[1] = T3 | P;
    rig_switch(&rig);
    assert_injects(&rig, 4 * MIB + 0x7000, &user_write, X86_PF_USER | X86_PF_WRITE);
    assert_int_equal(faults_of(&rig, GIB + 4 * MIB + 0x7000, &user_write), 1);
    assert_int_equal(faults_of(&rig, 0xffe00000, &super_write), 0);
    rig_free(&rig);
}

static void test_no_paging(void **state)
{
    struct rig rig;

    rig_make(&rig);
    rig.context.format = X86_PAGING_NONE;
    rig.context.smep = true;
    rig_switch(&rig);
    assert_int_equal(faults_of(&rig, 5 * MIB + 7, &super_write), 1);
    assert_int_equal(rig.result.gpa, 5 * MIB + 7);
    assert_int_equal(leaf_level(&rig, 5 * MIB), 2);
    assert_int_equal(touch(&rig, ROM, &super_write), SHADOW_ROM);
    assert_int_equal(touch(&rig, HOLE + 9, &super_read), SHADOW_MMIO);
    assert_int_equal(rig.result.gpa, HOLE + 9);
    assert_int_equal(faults_of(&rig, 9 * MIB, &super_fetch), 1); /* SMEP needs paging */
    assert_int_equal(faults_of(&rig, 5 * MIB, &user_fetch), 0);
    assert_int_equal(touch(&rig, 5 * MIB, &super_fetch), SHADOW_RETRY);
    rig_free(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inject_not_present),
        cmocka_unit_test(test_inject_rights),
        cmocka_unit_test(test_rights_of_upper_levels_reach_the_leaf),
        cmocka_unit_test(test_inject_reserved),
        cmocka_unit_test(test_fill_makes_each_level_once),
        cmocka_unit_test(test_fill_large),
        cmocka_unit_test(test_a_gib_page_is_mapped_by_what_the_slot_backs),
        cmocka_unit_test(test_split_large_around_a_table),
        cmocka_unit_test(test_a_new_table_splits_a_large_page),
        cmocka_unit_test(test_mmio),
        cmocka_unit_test(test_rom),
        cmocka_unit_test(test_tables_in_rom),
        cmocka_unit_test(test_tables_where_no_memory_is),
        cmocka_unit_test(test_retry_when_the_entry_is_there_by_now),
        cmocka_unit_test(test_accessed_and_dirty),
        cmocka_unit_test(test_dirty_of_a_split_page),
        cmocka_unit_test(test_wp_trick),
        cmocka_unit_test(test_wp_trick_on_a_table_and_on_rom),
        cmocka_unit_test(test_smep),
        cmocka_unit_test(test_smap),
        cmocka_unit_test(test_smap_without_wp_emulates),
        cmocka_unit_test(test_32bit_quadrants),
        cmocka_unit_test(test_32bit_large),
        cmocka_unit_test(test_pae),
        cmocka_unit_test(test_no_paging),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

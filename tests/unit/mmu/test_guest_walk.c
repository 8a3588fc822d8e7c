/*
 * The guest walk by hand-made tables: each format, each right, each reserved bit, A and D bits.
 * What is expected stands in the rows as the manual says it, not as the walker computes it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "x86/cpuid.h"
#include "x86/state.h"
#include "guest_tables.h"

struct fixture {
    struct mem *mem;
    struct guest_walk_context context;
};

static int make(void **state)
{
    static struct fixture fixture;

    fixture.mem = mem_create(NULL);
    if (!fixture.mem || mem_add_slot(fixture.mem, "ram", 0, 0x10000, MEM_SLOT_RAM) != 0)
        return -1;
    fixture.context = four_level_context(fixture.mem);
    *state = &fixture;
    return 0;
}

static int unmake(void **state)
{
    mem_destroy(((struct fixture *)*state)->mem);
    return 0;
}

static void put64(struct fixture *f, gpa_t table, unsigned index, uint64_t entry)
{
    mem_write(f->mem, table + 8 * index, &entry, 8);
}

static uint64_t get64(struct fixture *f, gpa_t table, unsigned index)
{
    return mem_read64(f->mem, table + 8 * index);
}

/* GVA 0x201000 .. : PML4 0, PDPT 0, PD 1, PT 1. */
#define GVA 0x201234u

static void map4(struct fixture *f, uint64_t l4, uint64_t l3, uint64_t l2, uint64_t l1)
{
    put64(f, T4, 0, T3 | l4);
    put64(f, T3, 0, T2 | l3);
    put64(f, T2, 1, T1 | l2);
    put64(f, T1, 1, 0x123456000 | l1);
}

struct access_row {
    uint64_t l4, l3, l2, l1;
    bool write, fetch, user, smap, wp, smep, nxe;
    int64_t error; /* -1: mapped */
};

static void test_rights(void **state)
{
    static const struct access_row rows[] = {
        /* not present, at each level */
        {0, P, P, P, 0, 0, 0, 0, 1, 0, 1, 0},
        {P, 0, P, P, 1, 0, 0, 0, 1, 0, 1, 2},
        {P, P, 0, P, 0, 0, 1, 0, 1, 0, 1, 4},
        {P, P, P, 0, 0, 1, 1, 0, 1, 0, 1, 0x14},
        {P, P, P, 0, 0, 1, 1, 0, 1, 0, 0, 4}, /* no I/D bit without NXE and SMEP */
        {P, P, P, 0, 0, 1, 1, 0, 1, 1, 0, 0x14},
        /* the weakest level rules */
        {P | W | U, P | W | U, P | W | U, P | W | U, 1, 0, 1, 0, 1, 0, 1, -1},
        {P | W, P | W | U, P | W | U, P | W | U, 0, 0, 1, 0, 1, 0, 1, 5},
        {P | W | U, P | W | U, P | U, P | W | U, 1, 0, 1, 0, 1, 0, 1, 7},
        /* CR0.WP */
        {P | W, P | W, P | W, P, 1, 0, 0, 0, 1, 0, 1, 3},
        {P | W, P | W, P | W, P, 1, 0, 0, 0, 0, 0, 1, -1},
        {P | U, P | U, P | U, P | U, 1, 0, 1, 0, 0, 0, 1, 7}, /* users never */
        /* NX */
        {P | NX, P, P, P, 0, 1, 0, 0, 1, 0, 1, 0x11},
        {P, P, P, P | NX, 0, 1, 0, 0, 1, 0, 1, 0x11},
        {P, P, P, P | NX, 0, 0, 0, 0, 1, 0, 1, -1},
        {P, P, P, P | NX, 0, 0, 0, 0, 1, 0, 0, 9}, /* reserved without NXE */
        /* SMEP and SMAP */
        {P | U, P | U, P | U, P | U, 0, 1, 0, 0, 1, 1, 1, 0x11},
        {P | U, P | U, P | U, P | U, 0, 1, 1, 0, 1, 1, 1, -1},
        {P | U, P | U, P | U, P, 0, 1, 0, 0, 1, 1, 1, -1},
        {P | U, P | U, P | U, P | U, 0, 0, 0, 1, 1, 0, 1, 1},
        {P | U, P | U, P | U, P | U, 0, 0, 0, 0, 1, 0, 1, -1},
        {P | U, P | U, P | U, P | U, 0, 1, 0, 1, 1, 0, 1, -1}, /* SMAP: data only */
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct access_row *row = &rows[i];
        struct guest_walk_access access = {row->write, row->fetch, row->user, row->smap};
        struct guest_walk_result result;
        bool mapped;

        f->context.wp = row->wp;
        f->context.smep = row->smep;
        f->context.nxe = row->nxe;
        map4(f, row->l4, row->l3, row->l2, row->l1);
        mapped = guest_walk(&f->context, GVA, &access, &result);
        if (row->error < 0) {
            assert_true(mapped);
            assert_true(result.gpa == 0x123456234);
        } else {
            assert_false(mapped);
            assert_int_equal(result.error, row->error);
            assert_int_equal(get64(f, T1, 1) & (A | D), 0);
            assert_int_equal(get64(f, T4, 0) & A, 0);
        }
    }
}

static void test_accessed_dirty(void **state)
{
    struct fixture *f = *state;
    struct guest_walk_access read = {0}, write = {.write = true};
    struct guest_walk_result result;

    map4(f, P | W, P | W, P | W, P | W);
    assert_true(guest_walk_peek(&f->context, GVA, &result));
    assert_int_equal(get64(f, T4, 0) & A, 0);
    assert_true(guest_walk(&f->context, GVA, &read, &result));
    assert_false(result.writable); /* the first write must walk again, to set D */
    assert_int_equal(get64(f, T4, 0) & (A | D), A);
    assert_int_equal(get64(f, T2, 1) & (A | D), A);
    assert_int_equal(get64(f, T1, 1) & (A | D), A);
    assert_true(guest_walk(&f->context, GVA, &write, &result));
    assert_true(result.writable);
    assert_int_equal(get64(f, T1, 1) & (A | D), A | D);
    assert_int_equal(get64(f, T2, 1) & (A | D), A);
    assert_true(guest_walk(&f->context, GVA, &read, &result));
    assert_true(result.writable);
}

static void test_reserved(void **state)
{
    struct fixture *f = *state;
    struct guest_walk_access read = {0};
    struct guest_walk_result result;
    static const struct {
        unsigned level;
        uint64_t bit;
    } rows[] = {
        {4, PS}, {4, BIT(40)}, {3, BIT(51)}, {2, BIT(45)}, {1, BIT(40)},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t l[5] = {0, P, P, P, P};

        l[rows[i].level] |= rows[i].bit;
        map4(f, l[4], l[3], l[2], l[1]);
        assert_false(guest_walk(&f->context, GVA, &read, &result));
        assert_int_equal(result.error, X86_PF_PRESENT | X86_PF_RSVD);
    }
    /* Bits 52 to 62 are ignored in 4-level entries. */
    map4(f, P | BIT(52), P | BIT(62), P | BIT(58), P | BIT(60));
    assert_true(guest_walk(&f->context, GVA, &read, &result));
}

static void test_large(void **state)
{
    struct fixture *f = *state;
    struct guest_walk_access read = {0};
    struct guest_walk_result result;

    map4(f, P, P, P, P);
    put64(f, T2, 1, 0x40000000 | P | PS);
    assert_true(guest_walk(&f->context, GVA, &read, &result));
    assert_true(result.gpa == 0x40001234 && result.page_bytes == 2 * MIB);
    put64(f, T2, 1, 0x40000000 | P | PS | BIT(12)); /* PAT */
    assert_true(guest_walk(&f->context, GVA, &read, &result));
    assert_true(result.gpa == 0x40001234);
    put64(f, T2, 1, 0x40000000 | P | PS | BIT(13));
    assert_false(guest_walk(&f->context, GVA, &read, &result));
    assert_int_equal(result.error, 9);
    put64(f, T3, 0, 0x80000000 | P | PS);
    assert_true(guest_walk(&f->context, GVA, &read, &result));
    assert_true(result.gpa == 0x80000000 + GVA && result.page_bytes == GIB);
    f->context.gib_pages = false;
    assert_false(guest_walk(&f->context, GVA, &read, &result));
    assert_int_equal(result.error, 9);
}

static void test_32bit(void **state)
{
    struct fixture *f = *state;
    struct guest_walk_access read = {0}, write = {.write = true, .user = true};
    struct guest_walk_result result;
    uint32_t pde = T1 | P | W | U, pte = 0x6000 | P | W | U;

    f->context.format = X86_PAGING_32BIT;
    mem_write(f->mem, T4 + 4 * 0x300, &pde, 4);
    mem_write(f->mem, T1 + 4 * 0x3ff, &pte, 4);
    assert_true(guest_walk(&f->context, 0xc03ff678, &write, &result));
    assert_true(result.gpa == 0x6678);
    assert_int_equal(mem_read32(f->mem, T1 + 4 * 0x3ff) & (A | D), A | D);
    assert_int_equal(mem_read32(f->mem, T4 + 4 * 0x300) & (A | D), A);
    /* PSE-36: bits 13 to 20 are address bits 32 to 39. */
    pde = 0x00c00000 | P | PS | 0x12 << 13;
    mem_write(f->mem, T4 + 4 * 0x300, &pde, 4);
    assert_true(guest_walk(&f->context, 0xc03ff678, &read, &result));
    assert_true(result.gpa == 0x1200fff678 && result.page_bytes == 4 * MIB);
    pde |= 1u << 21;
    mem_write(f->mem, T4 + 4 * 0x300, &pde, 4);
    assert_false(guest_walk(&f->context, 0xc03ff678, &read, &result));
    assert_int_equal(result.error, 9);
    /* Without PSE the bit is ignored and the entry names a table (that of zeroes, far away). */
    f->context.pse = false;
    pde = T1 | P | PS;
    mem_write(f->mem, T4 + 4 * 0x300, &pde, 4);
    assert_true(guest_walk(&f->context, 0xc03ff678, &read, &result));
    assert_true(result.gpa == 0x6678);
}

/* I/D says "fetch" only where fetches can be forbidden: not in 32-bit paging without SMEP. */
static void test_fetch_bit(void **state)
{
    struct fixture *f = *state;
    struct guest_walk_access fetch = {.fetch = true};
    struct guest_walk_result result;

    f->context.nxe = true;
    f->context.format = X86_PAGING_32BIT;
    assert_false(guest_walk(&f->context, 0x5000, &fetch, &result));
    assert_int_equal(result.error, 0);
    f->context.smep = true;
    assert_false(guest_walk(&f->context, 0x5000, &fetch, &result));
    assert_int_equal(result.error, X86_PF_FETCH);
    f->context.smep = false;
    f->context.format = X86_PAGING_4LEVEL;
    assert_false(guest_walk(&f->context, 0x5000, &fetch, &result));
    assert_int_equal(result.error, X86_PF_FETCH);
}

static void test_pae(void **state)
{
    struct fixture *f = *state;
    uint64_t pdpte[4] = {0, 0, 0, T2 | P};
    struct guest_walk_access read = {0}, fetch = {.fetch = true};
    struct guest_walk_result result;

    f->context.format = X86_PAGING_PAE;
    f->context.pdpte = pdpte;
    put64(f, T2, 1, T1 | P);
    put64(f, T1, 1, 0x7000 | P | NX);
    assert_true(guest_walk(&f->context, 0xc0000000 + GVA, &read, &result));
    assert_true(result.gpa == 0x7234);
    assert_false(guest_walk(&f->context, 0xc0000000 + GVA, &fetch, &result));
    assert_int_equal(result.error, 0x11);
    assert_false(guest_walk(&f->context, GVA, &read, &result)); /* PDPTE 0 is not present */
    assert_int_equal(result.error, 0);
    put64(f, T1, 1, 0x7000 | P | BIT(55)); /* reserved in PAE, ignored in 4-level */
    assert_false(guest_walk(&f->context, 0xc0000000 + GVA, &read, &result));
    assert_int_equal(result.error, 9);
}

/* What the registers say about paging: SMEP and SMAP count with CR0.PG only, the format is EFER's.
 */
static void test_context(void **state)
{
    struct fixture *f = *state;
    static const struct cpu_model model = {.physical_bits = 40, .has[X86_FEATURE_PDPE1GB] = true};
    struct x86_state x = {
        .cr3 = T4,
        .cr4 = X86_CR4_PAE | X86_CR4_SMEP | X86_CR4_SMAP,
        .msr.efer = X86_EFER_LMA | X86_EFER_NXE,
    };
    struct guest_walk_context context;

    guest_walk_context_init(&context, f->mem, &x, &model, UINT64_MAX);
    assert_int_equal(context.format, X86_PAGING_NONE);
    assert_false(context.smep || context.smap || context.wp || context.pse);
    x.cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_WP;
    guest_walk_context_init(&context, f->mem, &x, &model, ~BIT(20));
    assert_int_equal(context.format, X86_PAGING_4LEVEL);
    assert_true(context.smep && context.smap && context.wp && context.nxe && context.gib_pages);
    assert_true(context.cr3 == T4 && context.a20_mask == ~BIT(20) && context.pdpte == x.pdpte);
    assert_int_equal(context.physical_bits, 40);
    x.msr.efer = 0;
    guest_walk_context_init(&context, f->mem, &x, &model, UINT64_MAX);
    assert_int_equal(context.format, X86_PAGING_PAE);
    x.cr4 = X86_CR4_PSE;
    guest_walk_context_init(&context, f->mem, &x, &model, UINT64_MAX);
    assert_int_equal(context.format, X86_PAGING_32BIT);
    assert_true(context.pse && !context.smep && !context.smap && !context.nxe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_context, make, unmake),
        cmocka_unit_test_setup_teardown(test_rights, make, unmake),
        cmocka_unit_test_setup_teardown(test_accessed_dirty, make, unmake),
        cmocka_unit_test_setup_teardown(test_reserved, make, unmake),
        cmocka_unit_test_setup_teardown(test_large, make, unmake),
        cmocka_unit_test_setup_teardown(test_32bit, make, unmake),
        cmocka_unit_test_setup_teardown(test_fetch_bit, make, unmake),
        cmocka_unit_test_setup_teardown(test_pae, make, unmake),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

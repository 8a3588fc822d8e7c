/* Table entries as text, each format and level against the manual's bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mmu/dump.h"

struct guest_case {
    enum x86_paging format;
    unsigned level;
    bool leaf;
    uint64_t entry;
    const char *text;
};

static const struct guest_case guest_cases[] = {
    {X86_PAGING_4LEVEL, 4, false, 0x0000000012345067, "PWUAD--- table 0x12345000"},
    {X86_PAGING_4LEVEL, 4, false, 0x0000000012345066, "-WUAD--- not present"},
    {X86_PAGING_4LEVEL, 1, true, 0x8000000012345163, "PW-AD-GN page  0x12345000"},
    {X86_PAGING_4LEVEL, 1, true, 0x8000000000000000, "-------N not present"},
    /* The PAT bit of a large page, 12, is no part of its frame. */
    {X86_PAGING_4LEVEL, 2, true, 0x00000000402011e3, "PW-ADSG- page  0x40200000"},
    {X86_PAGING_4LEVEL, 3, true, 0x000fffffc00000a5, "P-UA-S-- page  0xfffffc0000000"},
    /* Bits 52 to 62 are the guest's own. */
    {X86_PAGING_4LEVEL, 1, true, 0x7ff0000000001001, "P------- page  0x1000"},
    {X86_PAGING_PAE, 2, true, 0x00000000002000e7, "PWUADS-- page  0x200000"},
    {X86_PAGING_PAE, 1, true, 0x0000000fff0fe005, "P-U----- page  0xfff0fe000"},
    {X86_PAGING_32BIT, 2, false, 0x00345007, "PWU----- table 0x345000"},
    {X86_PAGING_32BIT, 2, true, 0x004000e7, "PWUADS-- page  0x400000"},
    /* PSE-36: bits 20..13 are bits 39..32 of the frame. */
    {X86_PAGING_32BIT, 2, true, 0x00802087, "PWU--S-- page  0x100800000"},
    {X86_PAGING_32BIT, 1, true, 0xfffff001, "P------- page  0xfffff000"},
};

static void test_guest_entries(void **state)
{
    char text[DUMP_BYTES];

    for (size_t i = 0; i < ARRAY_SIZE(guest_cases); i++) {
        const struct guest_case *c = &guest_cases[i];
        struct guest_walk_step step = {.level = c->level, .entry = c->entry, .leaf = c->leaf};

        dump_guest_entry(text, c->format, &step);
        assert_string_equal(text, c->text);
    }
}

struct table_case {
    unsigned level;
    uint64_t entry;
    const char *text;
};

static const struct table_case ept_cases[] = {
    {4, 0x00007f0012345107, "RWXA-- table 0x7f0012345000"},
    {2, 0x00007f00122003b7, "RWXADS page  0x7f0012200000"},
    {1, 0x00007f0012345135, "R-XA-- page  0x7f0012345000"},
    {1, 6, "-WX--- MMIO (misconfigured)"},
    {3, 0, "------ not present"},
};

static void test_ept_entries(void **state)
{
    char text[DUMP_BYTES];

    for (size_t i = 0; i < ARRAY_SIZE(ept_cases); i++) {
        dump_ept_entry(text, ept_cases[i].level, ept_cases[i].entry);
        assert_string_equal(text, ept_cases[i].text);
    }
}

static const struct table_case shadow_cases[] = {
    {4, 0x00007f0012345027, "PWUA---- table 0x7f0012345000"},
    {2, 0x80007f00122000e3, "PW-ADS-N page  0x7f0012200000"},
    {1, 0x80007f0012345063, "PW-AD--N page  0x7f0012345000"},
    {1, 0, "-------- not present"},
    /* The monitor's mark for MMIO, bit 9, with a GPA in the place of the frame. */
    {1, 0x00000000fee00202, "-W------ MMIO, GPA 0xfee00000"},
};

static void test_shadow_entries(void **state)
{
    char text[DUMP_BYTES];

    for (size_t i = 0; i < ARRAY_SIZE(shadow_cases); i++) {
        dump_shadow_entry(text, shadow_cases[i].level, shadow_cases[i].entry);
        assert_string_equal(text, shadow_cases[i].text);
    }
}

static void test_longest(void **state)
{
    struct guest_walk_step step = {.level = 1, .leaf = true, .entry = UINT64_MAX};
    char text[DUMP_BYTES];

    for (unsigned level = 1; level <= 4; level++) {
        step.level = level;
        dump_guest_entry(text, X86_PAGING_4LEVEL, &step);
        dump_ept_entry(text, level, UINT64_MAX);
        dump_shadow_entry(text, level, UINT64_MAX);
        dump_shadow_entry(text, level, UINT64_MAX - 1);
        assert_non_null(memchr(text, '\0', DUMP_BYTES));
    }
    assert_string_equal(text, "-WUADSGN MMIO, GPA 0xffffffffff000");
}

static void test_names(void **state)
{
    assert_string_equal(dump_entry_name(X86_PAGING_4LEVEL, 4), "PML4E");
    assert_string_equal(dump_entry_name(X86_PAGING_32BIT, 2), "PDE");
    assert_string_equal(dump_leaf_size(X86_PAGING_32BIT, 2), "4 MiB");
    assert_string_equal(dump_leaf_size(X86_PAGING_PAE, 2), "2 MiB");
    assert_string_equal(dump_format_name(X86_PAGING_NONE), "none (GVA is GPA)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guest_entries),  cmocka_unit_test(test_ept_entries),
        cmocka_unit_test(test_shadow_entries), cmocka_unit_test(test_longest),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

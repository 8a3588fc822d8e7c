/* Descriptors and gates: parsing of every field, rights as predicates, limits up and down. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "x86/descriptor.h"

/* A descriptor put together from its fields (SDM 3 "Segment Descriptors"). */
static uint64_t make(uint32_t base, uint32_t limit20, uint16_t attr)
{
    return (limit20 & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)(attr & 0xff) << 40 |
           (uint64_t)(limit20 >> 16) << 48 | (uint64_t)(attr >> 12) << 52 |
           (uint64_t)(base >> 24) << 56;
}

static void segment_fields(void **state)
{
    struct x86_segment seg = x86_segment_parse(make(0x89abcdef, 0x12345, 0x4093), 0x2b);

    assert_int_equal(seg.base, 0x89abcdef);
    assert_int_equal(seg.limit, 0x12345);
    assert_int_equal(seg.attr, 0x4093);
    assert_int_equal(seg.selector, 0x2b);
}

static void segment_granularity(void **state)
{
    assert_int_equal(x86_segment_parse(make(0, 0xfffff, 0xc09b), 8).limit, 0xffffffff);
    assert_int_equal(x86_segment_parse(make(0, 0, 0x8093), 8).limit, 0xfff);
    assert_int_equal(x86_segment_parse(make(0, 0x80000, 0x8093), 8).limit, 0x80000fff);
}

static void segment_known_values(void **state)
{
    /* The flat code segments that every 64-bit kernel has. */
    struct x86_segment code64 = x86_segment_parse(0x00af9b000000ffff, 0x10);
    struct x86_segment code32 = x86_segment_parse(0x00cffb000000ffff, 0x23);

    assert_true(x86_attr_is_code(code64.attr) && x86_attr_is_long(code64.attr));
    assert_int_equal(x86_attr_dpl(code64.attr), 0);
    assert_true(x86_attr_is_code(code32.attr) && !x86_attr_is_long(code32.attr));
    assert_int_equal(x86_attr_dpl(code32.attr), 3);
    assert_int_equal(code32.limit, 0xffffffff);
}

static void wide_base(void **state)
{
    uint64_t low = make(0x89abcdef, 0x67, 0x0089);

    assert_true(x86_segment_parse_wide(low, 0xfffffe00, 0x40).base == 0xfffffe0089abcdef);
    assert_true(x86_segment_parse(low, 0x40).base == 0x89abcdef);
}

static void null_segment(void **state)
{
    struct x86_segment seg = x86_segment_null(2, 2);

    assert_true(seg.attr & X86_SEG_UNUSABLE);
    assert_int_equal(x86_seg_dpl(&seg), 2);
    assert_int_equal(seg.selector, 2);
    assert_int_equal(seg.base, 0);
    assert_false(x86_attr_present(seg.attr));
}

static void null_selectors(void **state)
{
    for (uint16_t selector = 0; selector < 4; selector++)
        assert_true(x86_selector_null(selector));
    assert_false(x86_selector_null(4)); /* entry 0 of the LDT is a real one */
    assert_false(x86_selector_null(8));
    assert_int_equal(x86_selector_rpl(0x2b), 3);
}

static void kinds(void **state)
{
    const uint16_t data = 0x93, rodata = 0x91, code = 0x9b, xonly = 0x99, conforming = 0x9f;

    assert_true(x86_attr_is_data(data) && !x86_attr_is_code(data));
    assert_true(x86_attr_is_writable(data) && x86_attr_is_readable(data));
    assert_true(!x86_attr_is_writable(rodata) && x86_attr_is_readable(rodata));
    assert_true(x86_attr_is_readable(code) && !x86_attr_is_writable(code));
    assert_false(x86_attr_is_readable(xonly));
    assert_true(x86_attr_is_conforming(conforming));
    assert_false(x86_attr_is_conforming(code));
    assert_false(x86_attr_is_conforming(0x97)); /* the same bit of data means expand-down */
    assert_false(x86_attr_present(data & ~X86_SEG_P));
}

static void system_kinds(void **state)
{
    static const struct {
        uint8_t type;
        bool tss, busy;
    } want[16] = {[1] = {1, true, false},
                  [3] = {3, true, true},
                  [9] = {9, true, false},
                  [11] = {11, true, true}};

    for (unsigned type = 0; type < 16; type++) {
        uint16_t attr = (uint16_t)(X86_SEG_P | type);

        assert_int_equal(x86_attr_is_tss(attr), want[type].tss);
        if (want[type].tss)
            assert_int_equal(x86_attr_tss_busy(attr), want[type].busy);
        assert_true(x86_attr_is_system(attr, type));
        assert_false(x86_attr_is_system(attr | X86_SEG_S, type));
        assert_false(x86_attr_is_tss(attr | X86_SEG_S));
        assert_false(x86_attr_is_code(attr) || x86_attr_is_data(attr));
        assert_int_equal(x86_attr_system_wide(attr), type >= 8);
    }
}

static void reachable(void **state)
{
    for (unsigned dpl = 0; dpl < 4; dpl++) {
        for (unsigned cpl = 0; cpl < 4; cpl++) {
            for (unsigned rpl = 0; rpl < 4; rpl++) {
                uint16_t data = (uint16_t)(0x93 | dpl << 5);
                bool want = cpl <= dpl && rpl <= dpl;

                assert_int_equal(x86_attr_reachable(data, cpl, rpl), want);
                assert_int_equal(x86_attr_reachable(data | X86_SEG_CODE, cpl, rpl), want);
                assert_true(x86_attr_reachable((uint16_t)(0x9f | dpl << 5), cpl, rpl));
            }
        }
    }
}

static void gates(void **state)
{
    /* offset 12345678h, selector 9abch, DPL 3, present, 5 parameters */
    uint64_t low = 0x5678 | 0x9abcull << 16 | 5ull << 32 | 0xecull << 40 | 0x1234ull << 48;
    struct x86_gate gate = x86_gate_parse(low);

    assert_int_equal(gate.offset, 0x12345678);
    assert_int_equal(gate.selector, 0x9abc);
    assert_int_equal(gate.type, X86_CALL_GATE);
    assert_int_equal(gate.dpl, 3);
    assert_int_equal(gate.params, 5);
    assert_true(gate.present);
}

static void gate_286(void **state)
{
    uint64_t low = 0x5678 | 0x0008ull << 16 | 0x86ull << 40 | 0xffffull << 48;
    struct x86_gate gate = x86_gate_parse(low);

    assert_int_equal(gate.type, X86_INT_GATE16);
    assert_int_equal(gate.offset, 0x5678); /* the high word of a 286 gate is reserved */
    assert_int_equal(gate.dpl, 0);
}

static void gate_task(void **state)
{
    struct x86_gate gate = x86_gate_parse(0x1111 | 0x0040ull << 16 | 0x05ull << 40);

    assert_int_equal(gate.type, X86_TASK_GATE);
    assert_int_equal(gate.selector, 0x40);
    assert_int_equal(gate.offset, 0);
    assert_false(gate.present);
}

static void gate_wide(void **state)
{
    uint64_t low = 0x5678 | 0x0010ull << 16 | 3ull << 32 | 0x8eull << 40 | 0x8234ull << 48;
    struct x86_gate gate = x86_gate_parse_wide(low, 0xffffffff);

    assert_true(gate.offset == 0xffffffff82345678);
    assert_int_equal(gate.type, X86_INT_GATE);
    assert_int_equal(gate.ist, 3);
    assert_int_equal(gate.params, 0);
}

static void gate_is_segment(void **state)
{
    /* A code segment in the IDT must match no gate type. */
    assert_true(x86_gate_parse(0x00cf9e000000ffff).type > 15);
    assert_true(x86_gate_parse_wide(0x00af9e000000ffff, 0).type > 15);
}

static void limit_up(void **state)
{
    struct x86_segment seg = {.limit = 0xffff, .attr = 0x93};

    assert_true(x86_segment_holds(&seg, 0, 1));
    assert_true(x86_segment_holds(&seg, 0xffff, 1));
    assert_true(x86_segment_holds(&seg, 0xfffc, 4));
    assert_false(x86_segment_holds(&seg, 0xfffd, 4));
    assert_false(x86_segment_holds(&seg, 0x10000, 1));
    seg.limit = 0xffffffff;
    assert_true(x86_segment_holds(&seg, 0xfffffffc, 4));
    assert_false(x86_segment_holds(&seg, 0xfffffffd, 4));
}

static void limit_down(void **state)
{
    struct x86_segment seg = {.limit = 0xfff, .attr = 0x97};

    assert_false(x86_segment_holds(&seg, 0xfff, 1));
    assert_true(x86_segment_holds(&seg, 0x1000, 4));
    assert_true(x86_segment_holds(&seg, 0xffff, 1));
    assert_false(x86_segment_holds(&seg, 0xffff, 2));
    assert_false(x86_segment_holds(&seg, 0x10000, 1));
    seg.attr |= X86_SEG_DB;
    assert_true(x86_segment_holds(&seg, 0x10000, 4));
    assert_true(x86_segment_holds(&seg, 0xfffffffc, 4));
    assert_false(x86_segment_holds(&seg, 0xfffffffd, 4));
    /* The same bit of code means conforming: the limit counts upwards. */
    seg.attr = 0x9f;
    assert_true(x86_segment_holds(&seg, 0, 4));
    assert_false(x86_segment_holds(&seg, 0x1000, 1));
}

static void stack_masks(void **state)
{
    struct x86_segment ss = {.attr = 0x93};

    assert_int_equal(x86_stack_mask(&ss), 0xffff);
    ss.attr |= X86_SEG_DB;
    assert_true(x86_stack_mask(&ss) == 0xffffffff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segment_fields),
        cmocka_unit_test(segment_granularity),
        cmocka_unit_test(segment_known_values),
        cmocka_unit_test(wide_base),
        cmocka_unit_test(null_segment),
        cmocka_unit_test(null_selectors),
        cmocka_unit_test(kinds),
        cmocka_unit_test(system_kinds),
        cmocka_unit_test(reachable),
        cmocka_unit_test(gates),
        cmocka_unit_test(gate_286),
        cmocka_unit_test(gate_task),
        cmocka_unit_test(gate_wide),
        cmocka_unit_test(gate_is_segment),
        cmocka_unit_test(limit_up),
        cmocka_unit_test(limit_down),
        cmocka_unit_test(stack_masks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

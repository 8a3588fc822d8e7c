/*
 * Exact counts of instructions (host.count_reached): the same whether many stops were asked for or
 * one, interrupts between exactly two instructions, the count as a clock. And a TLB of few entries,
 * which must not be seen. The vCPU is in real mode, with segments that reach all of memory.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vcpu_rig.h"

#define CODE      0x1000u
#define STACK     0x8000u
#define HANDLER   0x9000u /* of every interrupt: IRET */
#define VECTOR    0x20
#define MAX_STOPS 400

/* Where slots begin and end: pages that are neighbours in the guest and none in the host. */
static const gpa_t edges[] = {0, 0x10000, 0x11000, 0x12000, 0x13000, 0x400000, 0x401000, 0x800000};

struct rig {
    struct vcpu_rig base;
    struct x86_state state;
    bool each;               /* stop at each instruction */
    bool interrupt;          /* raise INTR at a stop */
    uint64_t rip[MAX_STOPS]; /* where each count was reached */
    unsigned stops;
};

/* A device that interrupts when it is written to. */
static void mmio_write(void *opaque, gpa_t gpa, unsigned width, uint64_t value)
{
    engine_soft.vcpu_set_intr(((struct rig *)opaque)->base.vcpu, true);
}

static uint64_t count_of(const struct rig *rig)
{
    return engine_soft.vcpu_counters(rig->base.vcpu)->instructions;
}

static uint64_t tsc_now(void *opaque)
{
    return count_of(opaque);
}

static int interrupt_acknowledge(void *opaque, unsigned vcpu)
{
    struct rig *rig = opaque;

    engine_soft.vcpu_set_intr(rig->base.vcpu, false);
    return VECTOR;
}

static void count_reached(void *opaque)
{
    struct rig *rig = opaque;
    uint64_t count = count_of(rig);

    engine_soft.vcpu_get_state(rig->base.vcpu, &rig->state);
    assert_true(count < MAX_STOPS);
    rig->rip[count] = rig->state.gpr[X86_RIP];
    rig->stops++;
    if (rig->interrupt)
        engine_soft.vcpu_set_intr(rig->base.vcpu, true);
    engine_soft.vcpu_count_until(rig->base.vcpu, rig->each ? count + 1 : UINT64_MAX);
}

static struct rig *rig_create(unsigned tlb_entries, bool exact)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    struct engine_host host = quiet_host(rig);
    const uint16_t vector[2] = {HANDLER, 0};
    const uint8_t iret = 0xcf;

    assert_non_null(rig);
    host.mmio_write = mmio_write;
    host.interrupt_acknowledge = interrupt_acknowledge;
    host.tsc_now = tsc_now;
    host.count_reached = exact ? count_reached : NULL;
    vcpu_rig_init(&rig->base, &engine_soft, "max");
    for (size_t i = 0; i + 1 < ARRAY_SIZE(edges); i++)
        vcpu_rig_add_ram(&rig->base, edges[i], edges[i + 1] - edges[i]);
    vcpu_rig_start(&rig->base, MMU_EPT, &host, tlb_entries);
    for (unsigned i = 0; i < 256; i++)
        mem_write(rig->base.mem, 4 * i, vector, sizeof(vector));
    mem_write(rig->base.mem, HANDLER, &iret, 1);
    engine_soft.vcpu_get_state(rig->base.vcpu, &rig->state);
    for (unsigned i = 0; i < X86_SEGS; i++) {
        rig->state.seg[i].selector = 0;
        rig->state.seg[i].base = 0;
        rig->state.seg[i].limit = UINT32_MAX;
    }
    rig->state.gpr[X86_RIP] = CODE;
    rig->state.gpr[X86_RSP] = STACK;
    return rig;
}

static void rig_destroy(struct rig *rig)
{
    vcpu_rig_fini(&rig->base);
    free(rig);
}

/* Runs code to its HLT, with the first stop after so many instructions. */
static void run(struct rig *rig, const char *code, size_t len, uint64_t first_stop)
{
    assert_true(mem_write(rig->base.mem, CODE, code, len));
    engine_soft.vcpu_set_state(rig->base.vcpu, &rig->state);
    engine_soft.vcpu_count_until(rig->base.vcpu, first_stop);
    assert_int_equal(engine_soft.vcpu_run(rig->base.vcpu), ENGINE_STOP_HALT);
    engine_soft.vcpu_get_state(rig->base.vcpu, &rig->state);
}

#define RUN(rig, code, first_stop) run(rig, code, sizeof(code) - 1, first_stop)

/*
 * A loop, a string instruction that stops now and then, a software interrupt, and code that changes
 * an instruction behind it.
 */
static const char everything[] = "\xb9\x05\x00"             /* mov $5, %cx */
                                 "\x40\xe2\xfd"             /* 1: inc %ax; loop 1b */
                                 "\xbf\x00\xa0\xb9\x20\x4e" /* mov $0xa000, %di; mov $20000, %cx */
                                 "\xf3\xaa"                 /* rep stosb */
                                 "\xcd\x21"                 /* int $0x21 */
                                 "\xc6\x06\x17\x10\x43"     /* movb $0x43, 0x1017 */
                                 "\x90\x90\x40\x90"         /* nop; nop; inc %ax -> inc %bx; nop */
                                 "\xfb\x90\xfa\xf4";        /* sti; nop; cli; hlt */

static void test_count_does_not_depend_on_stops(void **state)
{
    struct rig *each = rig_create(0, true);
    struct rig *blocks = rig_create(0, false);
    uint64_t end;

    each->each = true;
    RUN(each, everything, 1);
    end = count_of(each);
    assert_int_equal(each->stops, end - 1); /* behind HLT the engine has returned */
    assert_int_equal(each->state.gpr[X86_RBX] & 0xffff, 1);
    for (uint64_t stop = 1; stop < end; stop++) {
        struct rig *one = rig_create(stop % 2, true);

        RUN(one, everything, stop);
        assert_int_equal(one->stops, 1);
        assert_int_equal(one->rip[stop], each->rip[stop]);
        assert_int_equal(count_of(one), end);
        rig_destroy(one);
    }
    RUN(blocks, everything, 1); /* without count_reached nobody calls it */
    assert_int_equal(blocks->stops, 0);
    assert_int_equal(count_of(blocks), end);
    assert_memory_equal(blocks->state.gpr, each->state.gpr, sizeof(each->state.gpr));
    rig_destroy(blocks);
    rig_destroy(each);
}

/* The time-stamp counter in the middle of a block: the instructions before it. */
static void test_count_is_a_clock(void **state)
{
    struct rig *rig = rig_create(0, true);

    RUN(rig, "\x90\x90\x0f\x31\x89\xc3\x90\x0f\x31\xf4", UINT64_MAX);
    assert_int_equal(rig->state.gpr[X86_RBX], 2);
    assert_int_equal(rig->state.gpr[X86_RAX], 5);
    rig_destroy(rig);
}

/* An interrupt that comes up between two instructions of a block is taken there. */
static void test_interrupt_between_two_instructions(void **state)
{
    for (uint64_t stop = 1; stop <= 12; stop++) {
        struct rig *rig = rig_create(0, true);
        uint16_t pushed;

        rig->interrupt = true;
        rig->state.rflags |= X86_FLAG_IF;
        RUN(rig, "\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\xf4", stop);
        mem_read(rig->base.mem, STACK - 6, &pushed, sizeof(pushed));
        assert_int_equal(pushed, CODE + stop);
        assert_int_equal(count_of(rig), 14); /* and IRET */
        rig_destroy(rig);
    }
}

/* So is one that an instruction of the block brings about. */
static void test_interrupt_behind_its_cause(void **state)
{
    struct rig *rig = rig_create(0, true);
    uint16_t pushed;

    rig->state.rflags |= X86_FLAG_IF;
    /* nop; mov %al, 0x900000; nop ... */
    RUN(rig, "\x90\x67\xa2\x00\x00\x90\x00\x90\x90\x90\xf4", UINT64_MAX);
    mem_read(rig->base.mem, STACK - 6, &pushed, sizeof(pushed));
    assert_int_equal(pushed, CODE + 7);
    rig_destroy(rig);
}

/* With IF clear it waits, and is taken behind STI's shadow. */
static void test_interrupt_waits_for_if(void **state)
{
    struct rig *rig = rig_create(0, true);
    uint16_t pushed;

    rig->interrupt = true;
    RUN(rig, "\x90\x90\x90\xfb\x90\x90\x90\xf4", 1);
    mem_read(rig->base.mem, STACK - 6, &pushed, sizeof(pushed));
    assert_int_equal(pushed, CODE + 5);
    rig_destroy(rig);
}

/*
 * Operands on two pages, of which the TLB has just the second: a comparison of one tag must not
 * take that for the whole. At 4 MiB the index of the table grows by two.
 */
static void test_straddled_operands(void **state)
{
    static const unsigned entries[] = {1, 2, 4, 4096};
    /* mov 4(%ebx), %al; mov (%ebx), %eax; mov %eax, %edx; mov 4(%ebx), %cl;
       add %eax, (%ebx); mov 4(%ebx), %cl; movl $imm, -1(%ebx); hlt */
    static const char code[] = "\x67\x8a\x43\x04\x67\x66\x8b\x03\x66\x89\xc2\x67\x8a\x4b\x04"
                               "\x67\x66\x01\x03\x67\x8a\x4b\x04"
                               "\x67\x66\xc7\x43\xff\x44\x33\x22\x11\xf4";

    for (size_t i = 0; i < ARRAY_SIZE(entries) * (ARRAY_SIZE(edges) - 2); i++) {
        struct rig *rig = rig_create(entries[i % ARRAY_SIZE(entries)], false);
        uint64_t at = edges[1 + i / ARRAY_SIZE(entries)] - 2;
        uint8_t bytes[8] = {0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x80};
        static const uint8_t after[8] = {0x10, 0x44, 0x33, 0x22, 0x11, 0xc0, 0x70, 0x80};

        mem_write(rig->base.mem, at - 2, bytes, sizeof(bytes));
        rig->state.gpr[X86_RBX] = at;
        RUN(rig, code, UINT64_MAX);
        assert_int_equal(rig->state.gpr[X86_RDX], 0x60504030);
        mem_read(rig->base.mem, at - 2, bytes, sizeof(bytes));
        assert_memory_equal(bytes, after, sizeof(after));
        rig_destroy(rig);
    }
}

/* As many entries as were asked for: one for two pages misses each time; code takes its share. */
static void test_entries_are_few(void **state)
{
    static const struct {
        unsigned entries, misses;
    } cases[] = {{1, 10}, {2, 3}, {4, 2}, {1024, 2}};
    /* mov $5, %cx; 1: mov 0x6000, %al; mov 0x7000, %al; loop 1b; hlt */
    static const char code[] = "\xb9\x05\x00\xa0\x00\x60\xa0\x00\x70\xe2\xf8\xf4";

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct rig *rig = rig_create(cases[i].entries, false);
        const struct engine_counters *counters = engine_soft.vcpu_counters(rig->base.vcpu);

        RUN(rig, code, UINT64_MAX);
        assert_int_equal(counters->tlb_misses - counters->tlb_fetch_misses, cases[i].misses);
        rig_destroy(rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_count_does_not_depend_on_stops),
        cmocka_unit_test(test_count_is_a_clock),
        cmocka_unit_test(test_interrupt_between_two_instructions),
        cmocka_unit_test(test_interrupt_behind_its_cause),
        cmocka_unit_test(test_interrupt_waits_for_if),
        cmocka_unit_test(test_straddled_operands),
        cmocka_unit_test(test_entries_are_few),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

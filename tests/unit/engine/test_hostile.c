/*
 * What random guests found (tests/fuzz/random_guest.c), one test each: code at CPL 0 of a guest
 * that runs through the engine's own loop until its HLT, or into a triple fault.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "vcpu_rig.h"

#define RAM_BYTES 0x200000u
#define PML4      0x1000u
#define PDPT      0x2000u
#define PD_LOW    0x3000u /* 0: all of RAM, one to one, as one large page */
#define PD_3G     0x4000u
#define PD_4G     0x5000u
#define PT_LOW    0x6000u /* 400000h: pages for a test's own use */
#define PT_3G     0x7000u
#define PT_4G     0x8000u
#define GDT       0x9000u
#define IDT       0xa000u
#define CODE      0x10000u
#define HANDLER   0x11000u
#define DATA      0x20000u
#define STACK_TOP 0x31000u
#define WINDOW    0x400000u
#define TABLE     0x67u /* present, writable, user, accessed, dirty */
#define LARGE     0xe7u

#define CS64 0x08
#define CS32 0x10
#define SS32 0x18

struct rig {
    struct vcpu_rig base;
    struct x86_state state;
    uint32_t port_value;
    unsigned port_width;
};

/* --- the host's side --- */

static uint32_t port_read(void *opaque, uint16_t port, unsigned width)
{
    return 0x44332211;
}

static void port_write(void *opaque, uint16_t port, unsigned width, uint32_t value)
{
    struct rig *rig = opaque;

    rig->port_width = width;
    rig->port_value = value;
}

static void put64(struct rig *rig, gpa_t gpa, uint64_t value)
{
    assert_true(mem_write(rig->base.mem, gpa, &value, sizeof(value)));
}

/* Maps a page of the window at 4 MiB. */
static void map_window(struct rig *rig, unsigned page, gpa_t gpa)
{
    put64(rig, PT_LOW + 8 * page, gpa | TABLE);
}

static void build_tables(struct rig *rig)
{
    put64(rig, PML4, PDPT | TABLE);
    put64(rig, PDPT + 8 * 0, PD_LOW | TABLE);
    put64(rig, PDPT + 8 * 3, PD_3G | TABLE);
    put64(rig, PDPT + 8 * 4, PD_4G | TABLE);
    put64(rig, PD_LOW, LARGE);
    put64(rig, PD_LOW + 8 * 2, PT_LOW | TABLE);
    put64(rig, PD_3G + 8 * 511, PT_3G | TABLE);
    put64(rig, PD_4G, PT_4G | TABLE);
    put64(rig, GDT + CS64, 0x00af9b000000ffff);
    put64(rig, GDT + CS32, 0x00cf9b000000ffff);
    put64(rig, GDT + SS32, 0x00cf93000000ffff);
    /* Only #UD has a gate: all else is a triple fault. */
    put64(rig, IDT + 16 * X86_UD,
          (uint64_t)0x00008e00 << 32 | CS64 << 16 | HANDLER |
              (uint64_t)(HANDLER & 0xffff0000) << 32);
}

static struct x86_segment flat(uint16_t selector, uint16_t attr)
{
    return (struct x86_segment){.limit = UINT32_MAX, .selector = selector, .attr = attr};
}

static void build_state(struct rig *rig)
{
    struct x86_state *x = &rig->state;

    x86_state_reset(x, false);
    x->cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_NE | X86_CR0_ET;
    x->cr3 = PML4;
    x->cr4 = X86_CR4_PAE;
    x->msr.efer = X86_EFER_LME | X86_EFER_LMA;
    for (unsigned i = 0; i < X86_SEGS; i++)
        x->seg[i] = flat(SS32, 0xc093);
    x->seg[X86_CS] = flat(CS64, 0xa09b);
    x->gdtr = (struct x86_table_register){GDT, 0x1f};
    x->idtr = (struct x86_table_register){IDT, 16 * 32 - 1};
    x->gpr[X86_RIP] = CODE;
    x->gpr[X86_RSP] = STACK_TOP;
}

/* 32-bit protected mode without paging; no gate at all. */
static void build_state32(struct rig *rig)
{
    struct x86_state *x = &rig->state;

    x->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE;
    x->cr4 = 0;
    x->msr.efer = 0;
    x->seg[X86_CS] = flat(CS32, 0xc09b);
    x->idtr.limit = 0;
}

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    struct engine_host host = quiet_host(rig);

    assert_non_null(rig);
    host.port_read = port_read;
    host.port_write = port_write;
    vcpu_rig_init(&rig->base, &engine_soft, "x86-64-v1");
    vcpu_rig_add_ram(&rig->base, 0, RAM_BYTES);
    vcpu_rig_start(&rig->base, MMU_EPT, &host, 0);
    build_tables(rig);
    build_state(rig);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    vcpu_rig_fini(&rig->base);
    free(rig);
    return 0;
}

/* The bytes of a string literal at a guest-physical address. */
#define PUT(rig, gpa, bytes) assert_true(mem_write((rig)->base.mem, gpa, bytes, sizeof(bytes) - 1))

static void run_until(struct rig *rig, enum engine_stop why)
{
    engine_soft.vcpu_set_state(rig->base.vcpu, &rig->state);
    assert_int_equal(engine_soft.vcpu_run(rig->base.vcpu), why);
    engine_soft.vcpu_get_state(rig->base.vcpu, &rig->state);
}

/* --- the tests --- */

/* The pages on both sides of 4 GiB once stood in one TLB entry. */
static void test_store_across_4_gib(void **state)
{
    struct rig *rig = *state;

    put64(rig, PT_3G + 8 * 511, DATA | TABLE);
    put64(rig, PT_4G, (DATA + 2 * PAGE_SIZE) | TABLE);
    rig->state.gpr[X86_RBX] = 0x100000000;
    rig->state.gpr[X86_RAX] = 0x8877665544332211;
    PUT(rig, CODE,
        "\x48\x89\x0b"     /* mov [rbx], rcx: the page above is in the TLB */
        "\x48\x89\x43\xfc" /* mov [rbx - 4], rax */
        "\x48\x8b\x53\xfc" /* mov rdx, [rbx - 4] */
        "\x48\x8d\x63\x04" /* lea rsp, [rbx + 4] */
        "\x50\xf4");       /* push rax; hlt */
    run_until(rig, ENGINE_STOP_HALT);
    assert_int_equal(rig->state.gpr[X86_RDX], 0x8877665544332211);
    assert_int_equal(mem_read32(rig->base.mem, DATA + PAGE_SIZE - 4), 0x44332211);
    assert_int_equal(mem_read32(rig->base.mem, DATA + 2 * PAGE_SIZE), 0x88776655);
    assert_int_equal(mem_read32(rig->base.mem, DATA + 2 * PAGE_SIZE - 4), 0);
    assert_int_equal(mem_read32(rig->base.mem, DATA + PAGE_SIZE), 0);
}

/* INSD and OUTSD have no form of 8 bytes: it copied what lay behind a variable of ours. */
static void test_port_strings_ignore_rex_w(void **state)
{
    struct rig *rig = *state;

    put64(rig, DATA + 0x100, 0x8877665544332211);
    rig->state.gpr[X86_RDX] = 0x80;
    rig->state.gpr[X86_RDI] = DATA;
    rig->state.gpr[X86_RSI] = DATA + 0x100;
    PUT(rig, CODE, "\x48\x6d\x48\x6f\xf4"); /* insd; outsd; hlt */
    run_until(rig, ENGINE_STOP_HALT);
    assert_int_equal(rig->state.gpr[X86_RDI], DATA + 4);
    assert_int_equal(mem_read64(rig->base.mem, DATA), 0x44332211);
    assert_int_equal(rig->state.gpr[X86_RSI], DATA + 0x104);
    assert_int_equal(rig->port_width, 4);
    assert_int_equal(rig->port_value, 0x44332211);
}

/* IRET to virtual-8086 mode took the flags as they lay in memory. */
static void test_reserved_flags_stay_clear(void **state)
{
    static const uint32_t frame[] = {0, 0x2000, 0xfffebdff, 0x1000, 0x3000, 0, 0, 0, 0};
    struct rig *rig = *state;

    build_state32(rig);
    rig->state.gpr[X86_RSP] = STACK_TOP - sizeof(frame);
    assert_true(mem_write(rig->base.mem, STACK_TOP - sizeof(frame), frame, sizeof(frame)));
    PUT(rig, CODE, "\xcf");    /* iret */
    PUT(rig, 0x20000, "\xf4"); /* hlt at 2000:0000 in virtual-8086 mode: #GP */
    run_until(rig, ENGINE_STOP_SHUTDOWN);
    assert_true(rig->state.rflags & X86_FLAG_VM);
    assert_int_equal(rig->state.rflags & ~(uint64_t)0x3f7fd7, 0);
    assert_true(rig->state.rflags & X86_FLAG_ONE);
}

/* The #UD handler makes CPUID of the two bytes and returns to it; RBX is where the second lies. */
static void run_repaired(struct rig *rig, gva_t rip, gpa_t second)
{
    PUT(rig, HANDLER, "\xc6\x03\xa2\x48\xcf"); /* mov byte [rbx], 0a2h; iretq */
    PUT(rig, second, "\x24\xf4");              /* 0f 24 is no instruction; hlt */
    rig->state.gpr[X86_RIP] = rip;
    rig->state.gpr[X86_RSP] = STACK_TOP;
    rig->state.gpr[X86_RBX] = second;
    rig->state.gpr[X86_RAX] = 0;
    run_until(rig, ENGINE_STOP_HALT);
    assert_true(rig->state.gpr[X86_RAX] != 0);
}

/* What is no instruction becomes one when any of the bytes that were looked at changes. */
static void test_undecodable_bytes_are_watched(void **state)
{
    struct rig *rig = *state;

    PUT(rig, CODE, "\x0f");
    run_repaired(rig, CODE, CODE + 1);
}

static void test_undecodable_across_pages(void **state)
{
    struct rig *rig = *state;

    map_window(rig, 0, DATA);
    map_window(rig, 1, DATA + 2 * PAGE_SIZE);
    PUT(rig, DATA + PAGE_SIZE - 1, "\x0f");
    run_repaired(rig, WINDOW + PAGE_SIZE - 1, DATA + 2 * PAGE_SIZE);
}

/* An instruction that begins at the end of a page and goes on at the beginning of the same one. */
static void test_instruction_wraps_onto_its_page(void **state)
{
    struct rig *rig = *state;

    map_window(rig, 0, DATA);
    map_window(rig, 1, DATA);
    PUT(rig, DATA + PAGE_SIZE - 3, "\xb8\x11\x22"); /* mov eax, 44332211h */
    PUT(rig, DATA, "\x33\x44\xc3");                 /* ret */
    rig->state.gpr[X86_RBX] = WINDOW + PAGE_SIZE - 3;
    rig->state.gpr[X86_RCX] = DATA + 1;
    PUT(rig, CODE,
        "\xff\xd3\x89\xc2" /* call rbx; mov edx, eax */
        "\xc6\x01\x55"     /* mov byte [rcx], 55h */
        "\xff\xd3\xf4");   /* call rbx; hlt */
    run_until(rig, ENGINE_STOP_HALT);
    assert_int_equal(rig->state.gpr[X86_RDX], 0x44332211);
    assert_int_equal(rig->state.gpr[X86_RAX], 0x55332211);
}

/* The host's kernel can read the slot's bytes and nothing beside them. */
static void test_slots_have_guards(void **state)
{
    struct rig *rig = *state;
    const struct mem_slot *slot = mem_find_slot(rig->base.mem, 0);
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], slot->hva, 1), 1);
    assert_int_equal(write(ends[1], slot->hva + RAM_BYTES - 1, 1), 1);
    assert_int_equal(write(ends[1], slot->hva - 1, 1), -1);
    assert_int_equal(write(ends[1], slot->hva + RAM_BYTES, 1), -1);
    close(ends[0]);
    close(ends[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_store_across_4_gib),        TEST(test_port_strings_ignore_rex_w),
        TEST(test_reserved_flags_stay_clear), TEST(test_undecodable_bytes_are_watched),
        TEST(test_undecodable_across_pages),  TEST(test_instruction_wraps_onto_its_page),
        TEST(test_slots_have_guards),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Random programs of vector instructions and of what comes between them (helpers, TLB misses,
 * jumps, changes of MXCSR, closed gates), each interpreted and translated from the same state:
 * registers, flags, vectors and memory must be the same. The programs never leave CPL 0 and end at
 * a HLT: their own, or an exception's.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/soft/native.h"
#include "vcpu_rig.h"
#include "vector_pieces.h"

#define MEMORY_BYTES 0x400000u
#define TABLES       0x2000u /* PML4, PDPT, PD, and a PT for the first 2 MiB */
#define IDT          0x6000u
#define GDT          0x7000u
#define HANDLERS     0x8000u /* a HLT a vector */
#define CODE         0x10000u
#define STACK        0x20000u
#define DATA         0x100000u /* 3 pages; RSI, RDI just before the second, RBX */
#define DATA_BYTES   0x3000u

#define PROGRAMS   4000
#define MAX_PIECES 24
#define ROUNDS     3 /* each program is a loop */
#define HLT        0xf4

struct rig {
    struct vcpu_rig base[2]; /* one interprets, one translates */
    struct x86_state state[2];
    uint64_t dice;
};

/* C code must find MXCSR as it likes it, whatever the guest's is. */
static uint32_t port_read(void *opaque, uint16_t port, unsigned width)
{
    uint32_t mxcsr;

    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    assert_int_equal(mxcsr & NATIVE_MXCSR_CONTROL, NATIVE_MXCSR_DEFAULT);
    return 0x55;
}

static uint64_t roll(struct rig *rig)
{
    rig->dice = rig->dice * 6364136223846793005u + 1442695040888963407u;
    return rig->dice >> 29;
}

static void put_tables(struct mem *mem)
{
    const uint64_t flags = 0x63; /* present, writable, A, D */
    const uint64_t code64 = 0x00209b0000000000;

    for (unsigned level = 0; level < 3; level++) {
        uint64_t entry = (TABLES + 0x1000 * (level + 1)) | flags;

        mem_write(mem, TABLES + 0x1000 * level, &entry, sizeof(entry));
    }
    for (uint64_t page = 0; page < 512; page++) {
        uint64_t entry = page << PAGE_SHIFT | flags;

        mem_write(mem, TABLES + 0x3000 + 8 * page, &entry, sizeof(entry));
    }
    mem_write(mem, GDT + 8, &code64, sizeof(code64));
    for (unsigned vector = 0; vector < 32; vector++) {
        const uint64_t gate[2] = {(uint64_t)0x8e00 << 32 | 8 << 16 | (HANDLERS + vector), 0};
        const uint8_t hlt = HLT;

        mem_write(mem, IDT + 16 * vector, gate, sizeof(gate));
        mem_write(mem, HANDLERS + vector, &hlt, 1);
    }
}

static void start(struct rig *rig, unsigned which)
{
    struct vcpu_rig *base = &rig->base[which];
    struct engine_host host = quiet_host(rig);

    host.port_read = port_read;
    vcpu_rig_init(base, &engine_soft, "max");
    vcpu_rig_add_ram(base, 0, MEMORY_BYTES);
    base->translate_after = which ? 1 : ENGINE_TRANSLATE_NEVER;
    vcpu_rig_start(base, MMU_EPT, &host, 0);
    put_tables(base->mem);
}

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    assert_non_null(rig);
    start(rig, 0);
    start(rig, 1);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    vcpu_rig_fini(&rig->base[0]);
    vcpu_rig_fini(&rig->base[1]);
    free(rig);
    return 0;
}

static const struct piece *pick(struct rig *rig)
{
    unsigned total = 0, at;

    for (unsigned i = 0; i < ARRAY_SIZE(pieces); i++)
        total += pieces[i].weight;
    at = (unsigned)(roll(rig) % total);
    for (const struct piece *piece = pieces;; piece++) {
        if (at < piece->weight)
            return piece;
        at -= piece->weight;
    }
}

/* Puts a program at CODE of both; tells what it is if asked. */
static void make_program(struct rig *rig, bool tell)
{
    uint8_t code[4096];
    size_t used = 0;
    unsigned count = 1 + (unsigned)(roll(rig) % MAX_PIECES);
    int32_t back;

    for (unsigned i = 0; i < count; i++) {
        const struct piece *piece = pick(rig);

        memcpy(code + used, piece->code, piece->bytes);
        used += piece->bytes;
        if (tell)
            print_message("    %s\n", piece->text);
    }
    back = -(int32_t)(used + 8);
    memcpy(code + used, "\xff\xcd\x0f\x85", 4); /* dec %ebp; jnz CODE */
    memcpy(code + used + 4, &back, 4);
    code[used + 8] = HLT;
    for (unsigned which = 0; which < 2; which++)
        mem_write(rig->base[which].mem, CODE, code, used + 9);
}

/* A single or double that is often something special. */
static uint64_t random_value(struct rig *rig)
{
    static const uint64_t special[] = {0,
                                       0x3ff0000000000000,
                                       0x7ff0000000000000,
                                       0x7ff4000000000000,
                                       0x0000000000000001,
                                       0x3f8000007f800000,
                                       0x8000000000000000,
                                       0x4024000040c00000};
    uint64_t value = roll(rig) << 31 ^ roll(rig);

    return roll(rig) % 3 ? value : special[roll(rig) % ARRAY_SIZE(special)];
}

static void make_data(struct rig *rig)
{
    static const uint32_t mxcsr[] = {0x1f80, 0xffc0, 0x3f80, 0x1d80};
    uint64_t data[DATA_BYTES / 8];

    for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
        data[i] = random_value(rig);
    memcpy((uint8_t *)data + 0x2100, mxcsr, sizeof(mxcsr));
    for (unsigned which = 0; which < 2; which++)
        mem_write(rig->base[which].mem, DATA, data, sizeof(data));
}

static void make_state(struct rig *rig)
{
    struct x86_state *s = &rig->state[0];

    engine_soft.vcpu_get_state(rig->base[0].vcpu, s);
    x86_state_reset(s, false);
    for (unsigned i = 0; i < 16; i++)
        s->gpr[i] = random_value(rig);
    s->gpr[X86_RSP] = STACK;
    s->gpr[X86_RBP] = ROUNDS;
    s->gpr[X86_RSI] = DATA;
    s->gpr[X86_RDI] = DATA + PAGE_SIZE - 8;
    s->gpr[X86_RBX] = DATA + 2 * PAGE_SIZE;
    s->gpr[X86_RIP] = CODE;
    s->cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_NE | X86_CR0_MP | X86_CR0_ET;
    s->cr3 = TABLES;
    s->cr4 = X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_OSXSAVE;
    s->xcr0 = 7;
    s->msr.efer = X86_EFER_LME | X86_EFER_LMA;
    s->gdtr = (struct x86_table_register){GDT, 15};
    s->idtr = (struct x86_table_register){IDT, 32 * 16 - 1};
    for (unsigned i = 0; i < X86_SEGS; i++)
        s->seg[i] = (struct x86_segment){.limit = UINT32_MAX, .selector = 16, .attr = 0xc093};
    s->seg[X86_CS].selector = 8;
    s->seg[X86_CS].attr = 0xa09b;
    for (unsigned i = 0; i < 16; i++) {
        for (unsigned at = 0; at < 32; at += 8) {
            uint64_t value = random_value(rig);

            memcpy(s->fpu.ymm[i] + at, &value, sizeof(value));
        }
    }
    if (roll(rig) & 1) { /* as in a program that knows SSE only */
        for (unsigned i = 0; i < 16; i++)
            memset(s->fpu.ymm[i] + 16, 0, 16);
    }
    s->fpu.mxcsr = roll(rig) % 4 ? 0x1f80 : 0x1f80 | (roll(rig) & 0xe07f);
    rig->state[1] = *s;
}

static void run(struct rig *rig, unsigned which)
{
    struct engine_vcpu *vcpu = rig->base[which].vcpu;

    engine_soft.vcpu_set_state(vcpu, &rig->state[which]);
    assert_int_equal(engine_soft.vcpu_run(vcpu), ENGINE_STOP_HALT);
    engine_soft.vcpu_get_state(vcpu, &rig->state[which]);
}

/* Says what differs first; NULL: nothing does. */
static const char *difference(struct rig *rig)
{
    const struct x86_state *a = &rig->state[0], *b = &rig->state[1];
    static uint8_t memory[2][STACK]; /* compared from CODE on */

    if (memcmp(a->gpr, b->gpr, sizeof(a->gpr)) != 0)
        return "a general register";
    if (a->rflags != b->rflags)
        return "RFLAGS";
    if (memcmp(a->fpu.ymm, b->fpu.ymm, sizeof(a->fpu.ymm)) != 0)
        return "a vector register";
    if (a->fpu.mxcsr != b->fpu.mxcsr)
        return "MXCSR";
    for (unsigned which = 0; which < 2; which++)
        mem_read(rig->base[which].mem, DATA, memory[which], DATA_BYTES);
    if (memcmp(memory[0], memory[1], DATA_BYTES) != 0)
        return "data";
    for (unsigned which = 0; which < 2; which++)
        mem_read(rig->base[which].mem, STACK - PAGE_SIZE, memory[which], PAGE_SIZE);
    return memcmp(memory[0], memory[1], PAGE_SIZE) != 0 ? "the stack" : NULL;
}

static void test_programs_do_the_same_translated(void **state)
{
    struct rig *rig = *state;
    unsigned ends = 0;

    native_install_signals(); /* cmocka puts handlers of its own around each test */
    for (unsigned i = 0; i < PROGRAMS; i++) {
        const char *what;

        rig->dice = i;
        make_program(rig, false);
        make_data(rig);
        make_state(rig);
        run(rig, 0);
        run(rig, 1);
        ends += rig->state[0].gpr[X86_RBP] == 0;
        what = difference(rig);
        if (!what)
            continue;
        print_error("program %u, which ends at %llx: %s differs\n", i,
                    (unsigned long long)rig->state[0].gpr[X86_RIP], what);
        rig->dice = i;
        make_program(rig, true);
        fail();
    }
    /* Programs that an exception ends are welcome, but not too many. */
    assert_in_range(ends, PROGRAMS / 4, PROGRAMS - PROGRAMS / 10);
}

/*
 * A block that begins with a vector instruction, behind a linked jump with the flags in the host's
 * registers: its fault shows them.
 */
static void test_fault_at_head_of_block_shows_flags(void **state)
{
    /*
     * l: mov $-1, r11; add r10, r11; jmp m
     * m: movaps xmm1, xmm2; add r12, r13; dec ebp; jnz l
     *    mov cr0, rax; or $8, al (TS); mov rax, cr0; jmp l
     */
    const char code[] = "\x49\xc7\xc3\xff\xff\xff\xff\x4d\x01\xd3\xeb\x00\x0f\x28\xd1\x4d\x01\xe5"
                        "\xff\xcd\x75\xea\x0f\x20\xc0\x0c\x08\x0f\x22\xc0\xeb\xe0";
    struct rig *rig = *state;
    uint64_t flags;

    make_state(rig);
    rig->state[1].gpr[X86_R10] = 1; /* to CF and ZF */
    rig->state[1].gpr[X86_R12] = rig->state[1].gpr[X86_R13] = 0;
    mem_write(rig->base[1].mem, CODE, code, sizeof(code) - 1);
    run(rig, 1);
    assert_int_equal(rig->state[1].gpr[X86_RIP], HANDLERS + X86_NM + 1);
    mem_read(rig->base[1].mem, rig->state[1].gpr[X86_RSP] + 16, &flags, sizeof(flags));
    assert_int_equal(flags & (X86_FLAG_CF | X86_FLAG_ZF), X86_FLAG_CF | X86_FLAG_ZF);
}

/* SDM 2 "VZEROALL": outside of 64-bit mode only the eight registers there are. */
static void test_32_bit_code_clears_half(void **state)
{
    struct rig *rig = *state;
    const char code[] = "\xc5\xfc\x77\xf4"; /* vzeroall; hlt */

    make_state(rig);
    rig->state[1].seg[X86_CS].attr = 0xc09b;
    memset(rig->state[1].fpu.ymm, 0xaa, sizeof(rig->state[1].fpu.ymm));
    mem_write(rig->base[1].mem, CODE, code, sizeof(code));
    run(rig, 1);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(rig->state[1].fpu.ymm[i][31], i < 8 ? 0 : 0xaa);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_programs_do_the_same_translated, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fault_at_head_of_block_shows_flags, setup, teardown),
        cmocka_unit_test_setup_teardown(test_32_bit_code_clears_half, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

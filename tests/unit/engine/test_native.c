/* Native instructions on a made-up vCPU: one page of memory in the TLB, no paging, no run loop. */
#include <stdlib.h>
#include <string.h>

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include "engine/soft/block.h"
#include "engine/soft/native_internal.h"
#include "x86/cpuid.h"

#define DATA 0x10000 /* linear address of the one data page */
#define CODE 0x400000

struct fixture {
    struct cpu cpu;
    struct cpu_model model;
    _Alignas(4096) uint8_t page[4096];
};

/* Lets the TLB in force lead to the data page. */
static void tlb_map_data(struct fixture *f)
{
    struct tlb_entry *e = &f->cpu.tlb[tlb_index(&f->cpu, DATA)];

    e->read = e->write = DATA;
    e->host = (uint64_t)(uintptr_t)f->page;
}

static void make_fixture(struct fixture **out, const char *model)
{
    struct fixture *f = aligned_alloc(4096, sizeof(*f));
    const char *missing;

    assert_non_null(f);
    memset(f, 0, sizeof(*f));
    if (cpu_model_init(&f->model, model, &missing) != 0) {
        free(f);
        skip();
    }
    f->cpu.model = &f->model;
    f->cpu.x.cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_NE | X86_CR0_MP;
    f->cpu.x.cr4 = X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_OSXSAVE;
    f->cpu.x.msr.efer = X86_EFER_LME | X86_EFER_LMA;
    f->cpu.x.xcr0 = f->model.has[X86_FEATURE_AVX] ? 7 : 3;
    f->cpu.x.seg[X86_CS].attr = X86_SEG_P | X86_SEG_S | X86_SEG_CODE | X86_SEG_L;
    f->cpu.x.fpu.mxcsr = MXCSR_DEFAULT;
    f->cpu.x.fpu.fcw = X87_CONTROL_DEFAULT;
    memset(f->cpu.tlb_tables, 0xff, sizeof(f->cpu.tlb_tables));
    f->cpu.tlb_mask = TLB_MAX_ENTRIES - 1;
    assert_int_equal(block_cache_create(&f->cpu, 16u << 20), 0);
    assert_int_equal(native_create(&f->cpu), 0);
    cpu_update_mode(&f->cpu);
    tlb_map_data(f);
    f->cpu.x.gpr[X86_RSI] = DATA;
    *out = f;
}

static int setup(void **state)
{
    struct fixture *f;

    make_fixture(&f, "x86-64-v3");
    *state = f;
    return 0;
}

static void drop_fixture(struct fixture *f)
{
    native_sync(&f->cpu);
    block_cache_destroy(&f->cpu);
    native_destroy(&f->cpu);
    free(f);
}

static int teardown(void **state)
{
    drop_fixture(*state);
    return 0;
}

/* Runs one instruction; the vector of its fault, or -1. */
static int run_bytes(struct fixture *f, const char *bytes, size_t len)
{
    struct x86_insn insn;
    struct op op;
    struct binder_input in = {.cpu = &f->cpu, .insn = &insn, .mode = f->cpu.mode};

    assert_int_equal(x86_decode(&insn, in.mode, (const uint8_t *)bytes, len), X86_DECODE_OK);
    op_bind(&op, &in);
    native_install_signals(); /* cmocka puts handlers of its own around each test */
    f->cpu.x.gpr[X86_RIP] = CODE + op.len;
    return op.fn(&f->cpu, &op) == STEP_NEXT ? -1 : f->cpu.fault.vector;
}

#define RUN(f, bytes)         run_bytes(f, bytes, sizeof(bytes) - 1)
#define assert_runs(f, bytes) assert_int_equal(RUN(f, bytes), -1)

static void set_floats(uint8_t *at, float a, float b, float c, float d)
{
    memcpy(at, (float[]){a, b, c, d}, 16);
}

static float float_at(const uint8_t *at, unsigned i)
{
    float value;

    memcpy(&value, at + 4 * i, 4);
    return value;
}

static void test_legacy_keeps_upper_half(void **state)
{
    struct fixture *f = *state;
    uint8_t(*ymm)[32] = f->cpu.x.fpu.ymm;

    memset(ymm, 0xaa, 16 * 32);
    set_floats(ymm[1], 1, 2, 3, 4);
    set_floats(ymm[9], 10, 20, 30, 40);
    assert_runs(f, "\x41\x0f\x58\xc9"); /* addps xmm1, xmm9 */
    assert_true(float_at(ymm[1], 3) == 44);
    assert_int_equal(ymm[1][16], 0xaa);
    assert_runs(f, "\xc4\xc1\x70\x58\xc9"); /* vaddps xmm1, xmm1, xmm9 */
    assert_true(float_at(ymm[1], 0) == 21);
    assert_int_equal(ymm[1][16], 0);
}

static void test_memory(void **state)
{
    struct fixture *f = *state;
    uint8_t(*ymm)[32] = f->cpu.x.fpu.ymm;

    memset(f->page, 3, 64);
    memset(ymm[2], 1, 32);
    assert_runs(f, "\xc5\xed\xfc\x56\x01"); /* vpaddb ymm2, ymm2, [rsi+1] */
    assert_int_equal(ymm[2][31], 4);
    assert_runs(f, "\x66\x0f\xfc\x56\x10"); /* paddb xmm2, [rsi+10h] */
    assert_int_equal(ymm[2][0], 7);
    assert_int_equal(ymm[2][31], 4);
    assert_int_equal(RUN(f, "\x66\x0f\xfc\x56\x11"), X86_GP); /* misaligned */
    assert_int_equal(RUN(f, "\x0f\x29\x56\x08"), X86_GP);     /* movaps [rsi+8], xmm2 */
    assert_runs(f, "\x0f\x11\x56\x21");                       /* movups [rsi+21h], xmm2 */
    assert_int_equal(f->page[0x21], 7);
    assert_int_equal(f->page[0x20], 3);
    assert_int_equal(f->page[0x31], 3);
}

static void test_general(void **state)
{
    struct fixture *f = *state;
    uint64_t *gpr = f->cpu.x.gpr;

    gpr[X86_RSP] = 0xf0f0;
    gpr[X86_RAX] = UINT64_MAX;
    assert_runs(f, "\xf3\x0f\xb8\xc4"); /* popcnt eax, esp */
    assert_int_equal(gpr[X86_RAX], 8);
    gpr[X86_RDX] = UINT64_MAX;
    gpr[X86_RCX] = 16;
    assert_runs(f, "\xc4\xe2\xfb\xf6\xd9"); /* mulx rbx, rax, rcx */
    assert_int_equal(gpr[X86_RBX], 15);
    assert_int_equal(gpr[X86_RAX], UINT64_MAX - 15);
    assert_runs(f, "\xc4\xe2\xfb\xf6\xc1"); /* mulx rax, rax, rcx: the high half stays */
    assert_int_equal(gpr[X86_RAX], 15);
    gpr[X86_RAX] = 0x1234;
    gpr[X86_RCX] = 0;
    assert_runs(f, "\xf2\x0f\x38\xf0\xcc"); /* crc32 ecx, ah */
    gpr[X86_RBX] = 0x12;
    gpr[X86_R8] = 0;
    assert_runs(f, "\xf2\x44\x0f\x38\xf0\xc3"); /* crc32 r8d, bl */
    assert_int_equal(gpr[X86_RCX], gpr[X86_R8]);
}

static void test_flags(void **state)
{
    struct fixture *f = *state;
    uint8_t(*ymm)[32] = f->cpu.x.fpu.ymm;

    set_floats(ymm[0], 1, 0, 0, 0);
    set_floats(ymm[1], 2, 0, 0, 0);
    cpu_set_arith(&f->cpu, X86_FLAGS_ARITH);
    assert_runs(f, "\x0f\x2f\xc1"); /* comiss xmm0, xmm1 */
    assert_int_equal(cpu_rflags(&f->cpu) & X86_FLAGS_ARITH, X86_FLAG_CF);
    cpu_set_arith(&f->cpu, X86_FLAG_CF | X86_FLAG_OF | X86_FLAG_ZF);
    f->cpu.x.gpr[X86_RAX] = 1;
    f->cpu.x.gpr[X86_RBX] = UINT64_MAX;
    assert_runs(f, "\x66\x48\x0f\x38\xf6\xc3"); /* adcx rax, rbx: 1 + ~0 + CF */
    assert_int_equal(f->cpu.x.gpr[X86_RAX], 1);
    assert_int_equal(cpu_rflags(&f->cpu) & X86_FLAGS_ARITH,
                     X86_FLAG_CF | X86_FLAG_OF | X86_FLAG_ZF);
}

static void test_simd_exception(void **state)
{
    struct fixture *f = *state;
    uint8_t(*ymm)[32] = f->cpu.x.fpu.ymm;

    set_floats(ymm[0], 1, 1, 1, 1);
    set_floats(ymm[1], 0, 1, 1, 1);
    assert_runs(f, "\x0f\x5e\xc1"); /* divps, masked */
    native_sync(&f->cpu);
    assert_int_equal(f->cpu.x.fpu.mxcsr, MXCSR_DEFAULT | 4);
    set_floats(ymm[0], 1, 1, 1, 1);
    native_set_mxcsr(&f->cpu, MXCSR_DEFAULT & ~0x200u);
    assert_int_equal(RUN(f, "\x0f\x5e\xc1"), X86_XM);
    assert_true(float_at(ymm[0], 0) == 1);
    assert_int_equal(f->cpu.x.fpu.mxcsr, (MXCSR_DEFAULT & ~0x200u) | 4);
    f->cpu.x.cr4 &= ~X86_CR4_OSXMMEXCPT;
    assert_int_equal(RUN(f, "\x0f\x5e\xc1"), X86_UD);
    assert_int_equal(host_mxcsr() & MXCSR_CONTROL, MXCSR_DEFAULT);
}

static void set_cr(struct fixture *f, uint64_t cr0, uint64_t cr4)
{
    f->cpu.x.cr0 = cr0;
    f->cpu.x.cr4 = cr4;
    cpu_update_mode(&f->cpu);
}

static void test_gates(void **state)
{
    struct fixture *f = *state;
    uint64_t cr0 = f->cpu.x.cr0, cr4 = f->cpu.x.cr4;

    set_cr(f, cr0 | X86_CR0_TS, cr4);
    assert_int_equal(RUN(f, "\x0f\x58\xc1"), X86_NM);     /* addps */
    assert_int_equal(RUN(f, "\xc5\xf0\x58\xc9"), X86_NM); /* vaddps */
    assert_int_equal(RUN(f, "\xd9\xe8"), X86_NM);         /* fld1 */
    assert_int_equal(RUN(f, "\x9b"), X86_NM);             /* fwait */
    assert_runs(f, "\xf3\x0f\xb8\xc4");                   /* popcnt */
    set_cr(f, cr0 | X86_CR0_EM | X86_CR0_TS, cr4);
    assert_int_equal(RUN(f, "\x0f\x58\xc1"), X86_UD);
    assert_int_equal(RUN(f, "\x0f\xfc\xc1"), X86_UD); /* paddb mm0, mm1 */
    assert_int_equal(RUN(f, "\xd9\xe8"), X86_NM);
    set_cr(f, cr0, cr4 & ~(X86_CR4_OSXSAVE | X86_CR4_OSFXSR));
    assert_int_equal(RUN(f, "\x0f\x58\xc1"), X86_UD);
    assert_int_equal(RUN(f, "\xc5\xf0\x58\xc9"), X86_UD);
    assert_int_equal(RUN(f, "\x0f\x01\xd0"), X86_UD); /* xgetbv */
    assert_runs(f, "\xc4\xe2\xf8\xf2\xc1");           /* andn needs neither */
    assert_runs(f, "\x0f\xfc\xc1");
}

static void test_x87(void **state)
{
    struct fixture *f = *state;
    double value;

    assert_runs(f, "\xd9\xe8");     /* fld1 */
    assert_runs(f, "\xd8\xc0");     /* fadd st, st(0) */
    assert_runs(f, "\xdd\x5e\x40"); /* fstp qword [rsi+40h] */
    memcpy(&value, f->page + 0x40, 8);
    assert_true(value == 2.0);
    assert_runs(f, "\xd9\x76\x60"); /* fnstenv [rsi+60h] */
    assert_memory_equal(f->page + 0x60 + 12, "\x00\x00\x40\x00", 4);
    assert_memory_equal(f->page + 0x60 + 20, "\x40\x00\x01\x00", 4);
    assert_memory_equal(f->page + 0x60 + 18, "\x5e\x05", 2);
    memcpy(f->page, "\x7b\x03", 2); /* division by zero unmasked */
    assert_runs(f, "\xd9\x2e");     /* fldcw [rsi] */
    assert_runs(f, "\xd9\xe8");
    assert_runs(f, "\xd9\xee");                   /* fldz */
    assert_runs(f, "\xd8\xf9");                   /* fdivr st, st(1): pends */
    assert_int_equal(RUN(f, "\xd9\xe8"), X86_MF); /* the next waiting one meets it */
    assert_runs(f, "\xdf\xe0");                   /* fnstsw ax */
    assert_int_equal(f->cpu.x.gpr[X86_RAX] & 0x84, 0x84);
    assert_runs(f, "\xdb\xe2"); /* fnclex */
    assert_runs(f, "\xd9\xe8");
    assert_runs(f, "\xdb\xe3"); /* fninit */
    native_sync(&f->cpu);
    assert_int_equal(f->cpu.x.fpu.fcw, 0x37f);
    assert_int_equal(f->cpu.x.fpu.ftw, 0);
}

static void test_mmx(void **state)
{
    struct fixture *f = *state;

    f->cpu.x.gpr[X86_RAX] = 0x0102030405060708;
    assert_runs(f, "\x48\x0f\x6e\xc0"); /* movq mm0, rax */
    assert_runs(f, "\x0f\xfc\xc0");     /* paddb mm0, mm0 */
    assert_runs(f, "\x48\x0f\x7e\xc3"); /* movq rbx, mm0 */
    assert_int_equal(f->cpu.x.gpr[X86_RBX], 0x020406080a0c0e10);
    native_sync(&f->cpu);
    assert_int_equal(f->cpu.x.fpu.ftw, 0xff);
    assert_runs(f, "\x0f\x77"); /* emms */
    native_sync(&f->cpu);
    assert_int_equal(f->cpu.x.fpu.ftw, 0);
}

static void test_xsave(void **state)
{
    struct fixture *f = *state;
    uint8_t(*ymm)[32] = f->cpu.x.fpu.ymm;

    memset(ymm[3], 0x33, 32);
    assert_runs(f, "\xd9\xe8"); /* fld1 */
    f->cpu.x.gpr[X86_RAX] = 7;
    f->cpu.x.gpr[X86_RDX] = 0;
    assert_runs(f, "\x0f\xae\x26"); /* xsave [rsi] */
    assert_int_equal(f->page[512], 7);
    memset(ymm[3], 0, 32);
    assert_runs(f, "\xdb\xe3");
    assert_runs(f, "\x0f\xae\x2e"); /* xrstor [rsi] */
    assert_int_equal(ymm[3][31], 0x33);
    assert_int_equal(f->cpu.x.fpu.ftw, 0x80);
    f->page[512] = 3; /* AVX to its initial configuration */
    assert_runs(f, "\x0f\xae\x2e");
    assert_int_equal(ymm[3][15], 0x33);
    assert_int_equal(ymm[3][31], 0);
    f->page[512] = 8; /* not in XCR0 */
    assert_int_equal(RUN(f, "\x0f\xae\x2e"), X86_GP);
    f->page[512] = 1;
    f->page[27] = 1; /* a reserved bit of MXCSR */
    assert_int_equal(RUN(f, "\x0f\xae\x2e"), X86_GP);
    assert_int_equal(RUN(f, "\x0f\xae\x66\x10"), X86_GP); /* misaligned */
}

static void test_xsave_compacted(void **state)
{
    struct fixture *f = *state;
    uint8_t(*ymm)[32] = f->cpu.x.fpu.ymm;
    uint64_t header[2];

    memset(f->page, 0xee, 1024);
    memset(ymm[1], 0x11, 32);
    f->cpu.x.gpr[X86_RAX] = 7;
    f->cpu.x.gpr[X86_RDX] = 0;
    assert_runs(f, "\x0f\xc7\x26"); /* xsavec [rsi]: x87 is in its initial configuration */
    memcpy(header, f->page + 512, 16);
    assert_int_equal(header[0], 6);
    assert_int_equal(header[1], BIT(63) | 7);
    assert_int_equal(f->page[0], 0xee);
    assert_int_equal(f->page[576 + 16], 0x11);
    assert_int_equal(RUN(f, "\x0f\xae\x2e"), X86_GP); /* the rest of the header is not zero */
    memset(f->page + 528, 0, 48);
    memset(ymm[1], 0, 32);
    f->cpu.x.fpu.fcw = 0x27f;
    assert_runs(f, "\x0f\xae\x2e"); /* xrstor [rsi] */
    assert_int_equal(ymm[1][31], 0x11);
    native_sync(&f->cpu);
    assert_int_equal(f->cpu.x.fpu.fcw, 0x37f);
    f->cpu.x.gpr[X86_RCX] = 1;
    assert_runs(f, "\x0f\x01\xd0"); /* xgetbv: what is in use */
    assert_int_equal(f->cpu.x.gpr[X86_RAX], 6);
}

static void test_fxsave(void **state)
{
    struct fixture *f = *state;

    memset(f->page, 0xee, 1024);
    assert_runs(f, "\xd9\xe8"); /* fld1 */
    f->cpu.x.fpu.ymm[15][0] = 0x5a;
    assert_runs(f, "\x48\x0f\xae\x06"); /* fxsave64 [rsi] */
    assert_memory_equal(f->page, "\x7f\x03\x00\x38\x80\x00\xe8\x01\x00\x00\x40\x00", 12);
    assert_memory_equal(f->page + 28, "\xff\xff\x00\x00", 4);
    assert_int_equal(f->page[160 + 15 * 16], 0x5a);
    assert_int_equal(f->page[416], 0xee);
    assert_runs(f, "\xdb\xe3"); /* fninit */
    f->cpu.x.fpu.ymm[15][0] = 0;
    assert_runs(f, "\x48\x0f\xae\x0e"); /* fxrstor64 [rsi] */
    assert_int_equal(f->cpu.x.fpu.ymm[15][0], 0x5a);
    assert_runs(f, "\xd9\x5e\x40"); /* fstp dword [rsi+40h] */
    assert_memory_equal(f->page + 0x40, "\x00\x00\x80\x3f", 4);
    f->page[26] = 1;
    assert_int_equal(RUN(f, "\x48\x0f\xae\x0e"), X86_GP);
    assert_int_equal(RUN(f, "\x0f\xae\x56\x18"), X86_GP); /* ldmxcsr [rsi+18h] */
}

static void test_xsetbv(void **state)
{
    struct fixture *f = *state;

    f->cpu.x.gpr[X86_RCX] = f->cpu.x.gpr[X86_RDX] = 0;
    f->cpu.x.gpr[X86_RAX] = 5; /* AVX without SSE */
    assert_int_equal(RUN(f, "\x0f\x01\xd1"), X86_GP);
    f->cpu.x.gpr[X86_RAX] = 6; /* without x87 */
    assert_int_equal(RUN(f, "\x0f\x01\xd1"), X86_GP);
    f->cpu.x.gpr[X86_RAX] = 0xe7; /* AVX-512, which no model has */
    assert_int_equal(RUN(f, "\x0f\x01\xd1"), X86_GP);
    f->cpu.x.gpr[X86_RAX] = 3;
    assert_runs(f, "\x0f\x01\xd1");
    assert_int_equal(RUN(f, "\xc5\xf0\x58\xc9"), X86_UD); /* vaddps without XCR0.AVX */
    assert_int_equal(f->cpu.counters.exits[EXIT_XSETBV], 1);
    f->cpu.cpl = 3;
    assert_int_equal(RUN(f, "\x0f\x01\xd1"), X86_GP);
}

static void test_masked_moves(void **state)
{
    struct fixture *f = *state;
    uint8_t(*ymm)[32] = f->cpu.x.fpu.ymm;

    memset(f->page, 1, sizeof(f->page));
    memset(ymm[0], 0x77, 32);
    memset(ymm[1], 0, 32);
    ymm[1][3] = 0x80; /* the first element only */
    f->cpu.x.gpr[X86_RSI] = DATA + 0xffc;
    /* The elements behind the page's end are masked off: no fault there. */
    assert_runs(f, "\xc4\xe2\x75\x2e\x06"); /* vmaskmovps [rsi], ymm1, ymm0 */
    assert_int_equal(f->page[0xfff], 0x77);
    assert_int_equal(f->page[0xffb], 1);
    assert_runs(f, "\xc4\xe2\x75\x2c\x16"); /* vmaskmovps ymm2, ymm1, [rsi] */
    assert_memory_equal(ymm[2], "\x77\x77\x77\x77\x00\x00\x00\x00", 8);
    f->cpu.x.gpr[X86_RDI] = DATA + 8;
    assert_runs(f, "\x66\x0f\xf7\xc1"); /* maskmovdqu xmm0, xmm1 */
    assert_memory_equal(f->page + 8, "\x01\x01\x01\x77\x01", 5);
}

static void test_vzero(void **state)
{
    struct fixture *f = *state;
    uint8_t(*ymm)[32] = f->cpu.x.fpu.ymm;

    memset(ymm, 0x99, 16 * 32);
    assert_runs(f, "\xc5\xf8\x77"); /* vzeroupper */
    assert_int_equal(ymm[15][15], 0x99);
    assert_int_equal(ymm[15][16], 0);
    assert_runs(f, "\xc5\xfc\x77"); /* vzeroall */
    assert_int_equal(ymm[15][15], 0);
}

static void test_gather(void **state)
{
    struct fixture *f = *state;
    uint8_t(*ymm)[32] = f->cpu.x.fpu.ymm;
    int32_t index[4] = {0, 4, -2147483647, 8};

    memcpy(f->page, "aaaabbbbcccc", 12);
    memcpy(ymm[1], index, 16);
    memset(ymm[2], 0xff, 16);
    memset(ymm[2] + 8, 0, 4); /* the wild element is masked off */
    memset(ymm[0], 'x', 32);
    assert_runs(f, "\xc4\xe2\x69\x90\x04\x0e"); /* vpgatherdd xmm0, [rsi+xmm1], xmm2 */
    assert_memory_equal(ymm[0], "aaaabbbbxxxxcccc", 16);
    assert_int_equal(ymm[0][16], 0);
    assert_int_equal(ymm[2][0], 0);
}

/* The stubs of 16-bit code are 64-bit code, too: sizes must come from the guest's mode. */
static void test_real_mode(void **state)
{
    struct fixture *f = *state;
    uint64_t *gpr = f->cpu.x.gpr;

    f->cpu.x.msr.efer = 0;
    set_cr(f, X86_CR0_NE, X86_CR4_OSFXSR);
    for (unsigned i = 0; i < X86_SEGS; i++)
        f->cpu.x.seg[i] = (struct x86_segment){.base = DATA, .limit = 0xffff, .attr = 0x93};
    f->cpu.x.seg[X86_CS] = (struct x86_segment){.base = 0xf0000, .limit = 0xffff, .attr = 0x9b};
    cpu_update_mode(&f->cpu);
    assert_int_equal(f->cpu.mode, X86_MODE_REAL16);
    tlb_map_data(f);
    gpr[X86_RAX] = 0x12345678;
    gpr[X86_RCX] = 0xf00ff;
    assert_runs(f, "\xf3\x0f\xb8\xc1"); /* popcnt ax, cx */
    assert_int_equal(gpr[X86_RAX], 0x12340008);
    assert_runs(f, "\x66\xf3\x0f\xb8\xc1"); /* popcnt eax, ecx */
    assert_int_equal(gpr[X86_RAX], 12);
    memset(f->page + 0x20, 2, 16);
    gpr[X86_RBX] = 0x10;
    gpr[X86_RSI] = 0x10;
    memset(f->cpu.x.fpu.ymm[0], 1, 16);
    assert_runs(f, "\x66\x0f\xfc\x00"); /* paddb xmm0, [bx+si] */
    assert_int_equal(f->cpu.x.fpu.ymm[0][15], 3);
    assert_runs(f, "\xd9\xe8"); /* fld1 */
    assert_runs(f, "\xd9\x37"); /* fnstenv [bx], 16-bit real-mode format */
    assert_memory_equal(f->page + 0x10 + 6, "\x00\x00\xe8\xf1", 4); /* F0000 + IP, opcode */
}

static void test_stubs_are_shared(void **state)
{
    struct fixture *f = *state;
    unsigned before;

    assert_runs(f, "\x0f\x58\xc1");
    before = f->cpu.native->stubs;
    assert_runs(f, "\x0f\x58\xc1");
    assert_int_equal(f->cpu.native->stubs, before);
    assert_runs(f, "\x0f\x58\xc2");
    assert_int_equal(f->cpu.native->stubs, before + 1);
    native_reset(&f->cpu);
    assert_int_equal(f->cpu.native->stubs, 0);
    assert_runs(f, "\x0f\x58\xc2");
}

static void test_bit_scan_of_old_models(void **state)
{
    struct fixture *f;

    make_fixture(&f, "x86-64-v2");
    f->cpu.x.gpr[X86_RCX] = 0x100;
    assert_runs(f, "\xf3\x0f\xbd\xc1"); /* lzcnt eax, ecx: bsr here */
    assert_int_equal(f->cpu.x.gpr[X86_RAX], 8);
    assert_int_equal(RUN(f, "\xc5\xf0\x58\xc9"), X86_UD); /* vaddps */
    drop_fixture(f);
}

/* Instructions of 15 bytes, most of them redundant prefixes: a stub has only what decides. */
static void test_longest(void **state)
{
    struct fixture *f = *state;
    uint8_t(*ymm)[32] = f->cpu.x.fpu.ymm;
    double value;

    f->cpu.x.gpr[X86_RAX] = 5;
    assert_runs(f, "\xf2\xf2\xf2\xf2\xf2\xf2\xf2\xf2\xf2\xf2\xf2\xf2\x0f\x2a\xc0"); /* cvtsi2sd */
    memcpy(&value, ymm[0], sizeof(value));
    assert_true(value == 5);
    f->cpu.x.gpr[X86_RAX] = 0;
    f->cpu.x.gpr[X86_RDX] = 1;
    assert_runs(f, "\xf2\xf2\x66\xf2\xf2\xf2\xf2\xf2\x66\xf2\x0f\x38\xf1\xc2"); /* crc32 eax, dx */
    assert_int_equal(f->cpu.x.gpr[X86_RAX], 0x13a29877);
    /* Of F2 and F3 the last counts, and 66 nothing beside them: movsd, movss. */
    memset(ymm[3], 0xaa, 32);
    memset(f->page, 0x11, 16);
    assert_runs(f,
                "\x66\x66\xf3\xf3\xf3\xf3\xf3\xf3\xf3\x66\x66\xf2\x0f\x10\x1e"); /* xmm3, [rsi] */
    assert_int_equal(ymm[3][7], 0x11);
    assert_int_equal(ymm[3][8], 0);
    memset(ymm[3], 0xaa, 32);
    assert_runs(f, "\xf2\xf2\xf2\xf2\xf2\xf2\xf2\xf2\xf2\xf2\xf2\xf3\x0f\x10\x1e");
    assert_int_equal(ymm[3][3], 0x11);
    assert_int_equal(ymm[3][4], 0);
    /* A REX that does not stand last counts for nothing: paddb xmm0, [rsi]. */
    memset(ymm[8], 0xaa, 32);
    memset(ymm[0], 1, 32);
    assert_runs(f, "\x4f\x66\x4f\x66\x4f\x66\x4f\x66\x4f\x66\x4f\x66\x0f\xfc\x06");
    assert_int_equal(ymm[0][0], 0x12);
    assert_int_equal(ymm[8][0], 0xaa);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_legacy_keeps_upper_half),
        TEST(test_memory),
        TEST(test_general),
        TEST(test_flags),
        TEST(test_simd_exception),
        TEST(test_gates),
        TEST(test_x87),
        TEST(test_mmx),
        TEST(test_xsave),
        TEST(test_xsave_compacted),
        TEST(test_fxsave),
        TEST(test_xsetbv),
        TEST(test_masked_moves),
        TEST(test_vzero),
        TEST(test_gather),
        TEST(test_real_mode),
        TEST(test_stubs_are_shared),
        TEST(test_longest),
        cmocka_unit_test(test_bit_scan_of_old_models),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

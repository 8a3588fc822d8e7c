/*
 * Faults of the host in code made for the guest, which a mistake of ours would cause: bad host
 * instructions are planted into translations and stubs. A translation must be left with the guest's
 * state as it is before the instruction at fault, and its block be interpreted, so that the guest
 * notices nothing; an instruction with a bad stub raises an exception.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "dbt_rig.h"
#include "engine/dbt/internal.h"
#include "engine/soft/native_internal.h"

/* Two of the host's pages, which 32 bits name: one with no memory behind it, one of zeroes. */
#define NOWHERE 0x10000000u
#define ZERO    0x11000000u

#define RESULT_BYTES 0x100
#define PROGRAM      (CODE + 0x40)

/* A host instruction that faults, and how. */
struct bad {
    const char *bytes;
    size_t len;
    uint8_t vector; /* what the guest gets for it in a stub */
};

#define BAD(bytes, vector)                                                                         \
    {                                                                                              \
        bytes, sizeof(bytes) - 1, vector                                                           \
    }

static const struct bad bads[] = {
    BAD("\x0f\x0b", X86_UD),                     /* UD2 */
    BAD("\xf4", X86_GP),                         /* HLT */
    BAD("\x88\x0c\x25\x10\x00\x00\x00", X86_UD), /* MOV [10h], CL: SIGSEGV */
    BAD("\x88\x0c\x25\x00\x00\x00\x10", X86_UD), /* MOV [NOWHERE], CL: SIGBUS */
    BAD("\xf7\x34\x25\x00\x00\x00\x11", X86_UD), /* DIV DWORD [ZERO] */
};

static void map_at(uintptr_t at, int flags, int fd)
{
    void *place = (void *)at;

    assert_ptr_equal(
        mmap(place, PAGE_SIZE, PROT_READ | PROT_WRITE, flags | MAP_FIXED_NOREPLACE, fd, 0), place);
}

static void map_pages(void)
{
    int fd = memfd_create("nowhere", MFD_CLOEXEC);

    assert_true(fd >= 0);
    map_at(NOWHERE, MAP_SHARED, fd);
    close(fd);
    map_at(ZERO, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static struct cpu *cpu_of(struct rig *rig)
{
    return soft_vcpu_cpu(rig->base.vcpu);
}

/* --- translations --- */

static struct host_block *translation(struct rig *rig, gva_t linear)
{
    struct host_block *t = cpu_of(rig)->dbt->newest;

    while (t && t->linear != linear)
        t = t->older;
    assert_non_null(t);
    return t;
}

static uint8_t *start_of(const struct host_block *t)
{
    return (uint8_t *)(uintptr_t)MIN(t->entry_host, t->entry_memory);
}

static void plant(uint8_t *at, const struct bad *bad)
{
    memcpy(at, bad->bytes, bad->len);
}

/* What a guest may notice. */
struct result {
    uint64_t gpr[X86_RIP + 1], rflags, instructions;
    uint8_t ymm[16][32];
    uint8_t data[RESULT_BYTES], stack[RESULT_BYTES];
};

static struct result run_program(struct rig *rig, const struct x86_state *from)
{
    struct result result = {.instructions = counters(rig)->instructions};
    uint8_t data[RESULT_BYTES];

    for (unsigned i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(7 * i + 3);
    mem_write(rig->base.mem, DATA, data, sizeof(data));
    mem_write(rig->base.mem, STACK - RESULT_BYTES, data, sizeof(data));
    rig->state = *from;
    run(rig, ENGINE_STOP_HALT);
    memcpy(result.gpr, rig->state.gpr, sizeof(result.gpr));
    memcpy(result.ymm, rig->state.fpu.ymm, sizeof(result.ymm));
    result.rflags = rig->state.rflags;
    result.instructions = counters(rig)->instructions - result.instructions;
    mem_read(rig->base.mem, DATA, result.data, RESULT_BYTES);
    mem_read(rig->base.mem, STACK - RESULT_BYTES, result.stack, RESULT_BYTES);
    return result;
}

/* Host code that touches guest memory or the vectors: what may fault if it was made wrong. */
static bool may_fault(const struct x86_insn *insn)
{
    for (unsigned i = 0; i < insn->info.operand_count_visible; i++) {
        const ZydisDecodedOperand *operand = &insn->op[i];

        if (operand->type == ZYDIS_OPERAND_TYPE_MEMORY && insn->info.mnemonic != ZYDIS_MNEMONIC_LEA)
            return operand->mem.segment != ZYDIS_REGISTER_GS;
        if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER &&
            ZydisRegisterGetClass(operand->reg.value) == ZYDIS_REGCLASS_XMM)
            return true;
    }
    return false;
}

/* The nth place of a translation where a fault is planted: its entries, and what may fault. */
static uint8_t *place_of_fault(const struct host_block *t, unsigned n)
{
    uint8_t *at = start_of(t);
    struct x86_insn insn;

    if (n == 0)
        return (uint8_t *)(uintptr_t)t->entry_memory;
    if (n == 1)
        return (uint8_t *)(uintptr_t)t->entry_host;
    for (n -= 2; at < t->end; at += insn.info.length) {
        assert_int_equal(x86_decode(&insn, X86_MODE_LONG64, at, (size_t)(t->end - at)),
                         X86_DECODE_OK);
        if (may_fault(&insn) && n-- == 0)
            return at;
    }
    return NULL;
}

/* The TLB is empty at first: this fills it for what follows, so that no slow path is taken there.
 */
static const char before_program[] = "\x83\x27\xff\x83\x64\x24\xf8\xff\xeb\x36"; /* AND, AND; JMP */

static const char program[] = "\x49\x89\xc2"             /* MOV R10, RAX */
                              "\x49\xff\xc7"             /* INC R15 */
                              "\x39\xd8"                 /* CMP EAX, EBX */
                              "\x11\x07"                 /* ADC [RDI], EAX */
                              "\x4c\x13\x57\x08"         /* ADC R10, [RDI + 8] */
                              "\x4c\x0f\xc1\x57\x10"     /* XADD [RDI + 16], R10 */
                              "\x00\x67\x18"             /* ADD [RDI + 24], AH */
                              "\x02\x77\x19"             /* ADD DH, [RDI + 25] */
                              "\x86\x67\x1a"             /* XCHG [RDI + 26], AH */
                              "\x50\x41\x57"             /* PUSH RAX; PUSH R15 */
                              "\xff\x77\x20\x8f\x47\x28" /* PUSH [RDI + 32]; POP [RDI + 40] */
                              "\x41\x5b\x5a"             /* POP R11; POP RDX */
                              "\x9c\x58"                 /* PUSHFQ; POP RAX */
                              "\x55\x48\x89\xe5\x53\xc9" /* PUSH RBP; MOV RBP, RSP; PUSH; LEAVE */
                              "\x0f\xb3\x5f\x30"         /* BTR [RDI + 48], EBX */
                              "\x0f\xb1\x4f\x38"         /* CMPXCHG [RDI + 56], ECX */
                              "\x0f\xc7\x4f\x40"         /* CMPXCHG8B [RDI + 64] */
                              "\x0f\x58\x4f\x50"         /* ADDPS XMM1, [RDI + 80] */
                              "\xf2\x49\x0f\x2a\xc2"     /* CVTSI2SD XMM0, R10 */
                              "\xf2\x0f\x58\xc8"         /* ADDSD XMM1, XMM0 */
                              "\x0f\x11\x4f\x60"         /* MOVUPS [RDI + 96], XMM1 */
                              "\xf2\x4c\x0f\x2d\xf9"     /* CVTSD2SI R15, XMM1 */
                              "\x31\xd2\xf7\xf3"         /* XOR EDX, EDX; DIV EBX */
                              "\x54\x5c\xf4";            /* PUSH RSP; POP RSP; HLT */

static struct x86_state program_state(struct rig *rig)
{
    struct x86_state s = rig->state;

    native_install_signals(); /* cmocka puts handlers of its own around each test */
    s.cr4 |= X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
    for (unsigned i = 0; i < 16; i++)
        s.gpr[i] = 0x1234567 * (i + 1);
    s.gpr[X86_RAX] = 5;
    s.gpr[X86_RBX] = 7;
    s.gpr[X86_RDX] = 3;
    s.gpr[X86_RDI] = DATA;
    s.gpr[X86_RSP] = STACK;
    s.gpr[X86_RIP] = CODE;
    for (unsigned i = 0; i < sizeof(s.fpu.ymm); i++)
        s.fpu.ymm[i / 32][i % 32] = (uint8_t)(i % 0x40);
    return s;
}

static void assert_same(const struct result *a, const struct result *b)
{
    assert_memory_equal(a->gpr, b->gpr, sizeof(a->gpr));
    assert_int_equal(a->rflags, b->rflags);
    assert_int_equal(a->instructions, b->instructions);
    assert_memory_equal(a->ymm, b->ymm, sizeof(a->ymm));
    assert_memory_equal(a->data, b->data, sizeof(a->data));
    assert_memory_equal(a->stack, b->stack, sizeof(a->stack));
}

static void a_fault_in_a_translation_costs_a_block(void **state)
{
    struct rig *rig = *state;
    struct x86_state from = program_state(rig);
    struct result expected;
    unsigned places = 0;

    PUT(rig, CODE, before_program);
    PUT(rig, PROGRAM, program);
    expected = run_program(rig, &from);
    assert_int_equal(RIP(rig), PROGRAM + sizeof(program) - 1);
    for (unsigned bad = 0; bad < ARRAY_SIZE(bads); bad++) {
        for (unsigned n = 0;; n++) {
            uint64_t faults = counters(rig)->host_faults;
            struct result result;
            uint8_t *place;

            PUT(rig, PROGRAM, program); /* another block */
            result = run_program(rig, &from);
            assert_same(&result, &expected);
            place = place_of_fault(translation(rig, PROGRAM), n);
            if (!place)
                break;
            plant(place, &bads[bad]);
            result = run_program(rig, &from);
            assert_same(&result, &expected);
            assert_true(n < 2 || counters(rig)->host_faults == faults + 1); /* one entry serves */
            result = run_program(rig, &from);
            assert_same(&result, &expected);
            assert_true(counters(rig)->host_faults <= faults + 1);
            places++;
        }
    }
    assert_true(places > 30 * ARRAY_SIZE(bads));
}

/* Whoever comes by a link brings the flags in the host's registers, or in memory. */
static void flags_survive_a_fault_behind_a_link(void **state)
{
    struct rig *rig = *state;
    static const char second[][16] = {
        "\x0f\x92\xc2\x11\xd9\xf4",     /* SETB DL; ADC ECX, EBX; HLT: wants them in the host's */
        "\x89\x0f\x0f\x92\xc2\x9c\xf4", /* MOV [RDI], ECX; SETB DL; PUSHFQ: in memory */
    };
    struct x86_state from = program_state(rig);

    for (unsigned i = 0; i < 2 * ARRAY_SIZE(second); i++) {
        uint64_t faults = counters(rig)->host_faults;
        struct result expected, result;
        const struct host_block *t;

        PUT(rig, CODE, "\x39\xd8\xeb\x3c"); /* CMP EAX, EBX; JMP CODE + 40h */
        mem_write(rig->base.mem, CODE + 0x40, second[i / 2], 16);
        for (unsigned k = 0; k < 3; k++)
            expected = run_program(rig, &from);
        t = translation(rig, CODE + 0x40);
        plant((uint8_t *)(uintptr_t)(i & 1 ? t->entry_host : t->entry_memory), &bads[0]);
        result = run_program(rig, &from);
        assert_same(&result, &expected);
        result = run_program(rig, &from);
        assert_same(&result, &expected);
        assert_in_range(counters(rig)->host_faults, faults, faults + 1);
    }
    assert_true(counters(rig)->host_faults >= ARRAY_SIZE(second));
}

/* The block is interpreted from then on, for good. */
static void a_fault_is_never_met_twice_by_a_block(void **state)
{
    struct rig *rig = *state;
    uint64_t made;

    rig->state = program_state(rig);
    PUT(rig, CODE, "\xff\x07\xff\xc9\x75\xfa\xf4"); /* INC [RDI]; DEC ECX; JNZ CODE; HLT */
    RCX(rig) = 10;
    run_from(rig, CODE);
    plant(place_of_fault(translation(rig, CODE), 2), &bads[0]);
    RCX(rig) = 1000;
    run_from(rig, CODE);
    assert_int_equal(counters(rig)->host_faults, 1);
    made = counters(rig)->translations_made;
    RCX(rig) = 1000;
    run_from(rig, CODE);
    assert_int_equal(counters(rig)->host_faults, 1);
    assert_int_equal(counters(rig)->translations_made, made);
    assert_int_equal(mem_read32(rig->base.mem, DATA), 2010);
}

/* --- stubs --- */

static int setup_interpreted(void **state)
{
    *state = create(ENGINE_TRANSLATE_NEVER, 0);
    return 0;
}

static uint8_t *only_stub(struct rig *rig)
{
    const struct native *native = cpu_of(rig)->native;

    assert_int_equal(native->stubs, 1);
    for (unsigned i = 0; i < NATIVE_TABLE_SLOTS; i++) {
        if (native->table[i].fn)
            return native->code.write +
                   ((uintptr_t)native->table[i].fn - (uintptr_t)native->code.exec);
    }
    return NULL;
}

static void a_fault_in_a_stub_is_an_exception(void **state)
{
    struct rig *rig = *state;
    uint8_t good[16];

    PUT(rig, CODE, "\x90\x0f\x58\x0f\xf4"); /* NOP; ADDPS XMM1, [RDI]; HLT */
    for (unsigned i = 0; i < ARRAY_SIZE(bads); i++) {
        struct x86_state from = program_state(rig);
        uint8_t *stub;

        run_program(rig, &from);
        assert_int_equal(RIP(rig), CODE + 5);
        stub = only_stub(rig);
        memcpy(good, stub, sizeof(good));
        plant(stub, &bads[i]);
        run_program(rig, &from);
        assert_int_equal(RIP(rig), HANDLERS + bads[i].vector + 1);
        assert_int_equal(mem_read64(rig->base.mem, STACK - 40), CODE + 1); /* RIP of the frame */
        assert_memory_equal(rig->state.fpu.ymm, from.fpu.ymm, sizeof(from.fpu.ymm));
        assert_int_equal(counters(rig)->host_faults, i + 1);
        memcpy(stub, good, sizeof(good));
        rig->state.seg[X86_CS].attr = 0xa09b;
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_fault_in_a_translation_costs_a_block),
        TEST(flags_survive_a_fault_behind_a_link),
        TEST(a_fault_is_never_met_twice_by_a_block),
        cmocka_unit_test_setup_teardown(a_fault_in_a_stub_is_an_exception, setup_interpreted,
                                        teardown),
    };

    map_pages();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

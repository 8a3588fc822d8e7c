/*
 * Segments in translated 32-bit code, in protected mode and in compatibility mode: what a load in
 * the middle of a block changes counts from the next instruction on, and what the context does not
 * promise is checked, for reads and for writes. Each case begins with flat segments and runs often
 * enough to be translated for them. More of them at random: tests/dbt.
 */
#include <stdlib.h>

#include "vcpu_rig.h"

#define MEMORY_BYTES 0x200000u
#define PML4         0x1000u
#define IDT          0x9000u
#define GDT          0xa000u
#define HANDLERS     0xc000u /* a HLT each */
#define STACK        0x10000u
#define DATA         0x11000u
#define POINTERS     0x12000u /* to DATA through each selector, 8 bytes apart */
#define CODE         0x20000u
#define BASE         0x40000u /* of based segments: from DATA to MOVED */
#define MOVED        (BASE + DATA)

#define HERE  0x11111111u /* what stands at DATA */
#define THERE 0x22222222u /* at MOVED */

#define TIMES 4

/* Selectors, so that they fit into instructions as bytes. */
#define CODE32    "\x08"
#define FLAT      "\x10"
#define BASED     "\x18"
#define LIMITED   "\x20" /* DATA is beyond */
#define READ_ONLY "\x28"
#define DOWN      "\x30" /* DATA is within, what is a page below is not */
#define NOTHING   "\x00"

static const uint64_t descriptors[] = {
    0,
    0x00cf9b000000ffff,
    0x00cf93000000ffff,
    0x00cf93000000ffff | (uint64_t)BASE << 16,
    0x0040930000000fff | (uint64_t)(DATA >> 16) << 48,
    0x00cf91000000ffff,
    0x00c0970000000000 | ((DATA >> 12) - 1),
    0x00af9b000000ffff, /* of the handlers in long mode */
};

#define SEL_CODE64 0x38

struct rig {
    struct vcpu_rig base;
    struct x86_state flat; /* what each case begins with */
    struct x86_state state;
};

static void put64(struct rig *rig, gpa_t gpa, uint64_t value)
{
    assert_true(mem_write(rig->base.mem, gpa, &value, sizeof(value)));
}

static void put_gate(struct rig *rig, unsigned vector, bool wide)
{
    uint64_t to = HANDLERS + vector, attr = 0x8e00ull << 32;

    put64(rig, wide ? IDT + 16 * vector : IDT + 8 * vector,
          to | (wide ? SEL_CODE64 : CODE32[0]) << 16 | attr);
}

static struct x86_segment segment(uint16_t selector, uint16_t attr)
{
    return (struct x86_segment){.limit = UINT32_MAX, .selector = selector, .attr = attr};
}

static void put_state(struct rig *rig, bool wide)
{
    struct x86_state *s = &rig->flat;

    engine_soft.vcpu_get_state(rig->base.vcpu, s);
    s->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE | (wide ? X86_CR0_PG : 0);
    s->cr3 = PML4;
    s->cr4 = X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
    s->msr.efer = wide ? X86_EFER_LME | X86_EFER_LMA : 0;
    s->idtr = (struct x86_table_register){IDT, 0xfff};
    s->gdtr = (struct x86_table_register){GDT, sizeof(descriptors) - 1};
    for (unsigned i = 0; i < X86_SEGS; i++)
        s->seg[i] = segment((uint16_t)FLAT[0], 0xc093);
    s->seg[X86_CS] = segment((uint16_t)CODE32[0], 0xc09b);
    s->gpr[X86_RSP] = STACK;
    s->gpr[X86_RIP] = CODE;
    s->rflags = X86_FLAG_ONE;
}

static void put_memory(struct rig *rig, bool wide)
{
    const uint8_t hlt = 0xf4;

    put64(rig, PML4, (PML4 + 0x1000) | 3);
    put64(rig, PML4 + 0x1000, (PML4 + 0x2000) | 3);
    put64(rig, PML4 + 0x2000, 0x83);
    for (unsigned vector = 0; vector < 32; vector++) {
        put_gate(rig, vector, wide);
        mem_write(rig->base.mem, HANDLERS + vector, &hlt, 1);
    }
    mem_write(rig->base.mem, GDT, descriptors, sizeof(descriptors));
    for (unsigned i = 0; i < ARRAY_SIZE(descriptors); i++)
        put64(rig, POINTERS + 8 * i, DATA | (uint64_t)(8 * i) << 32);
}

static int setup(void **state, bool wide)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    struct engine_host host = quiet_host(rig);

    assert_non_null(rig);
    vcpu_rig_init(&rig->base, &engine_soft, "max");
    rig->base.translate_after = 1;
    vcpu_rig_add_ram(&rig->base, 0, MEMORY_BYTES);
    vcpu_rig_start(&rig->base, MMU_EPT, &host, 0);
    put_memory(rig, wide);
    put_state(rig, wide);
    *state = rig;
    return 0;
}

static int setup_protected(void **state)
{
    return setup(state, false);
}

static int setup_compatibility(void **state)
{
    return setup(state, true);
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    vcpu_rig_fini(&rig->base);
    free(rig);
    return 0;
}

struct example {
    const char *name, *code;
    size_t len;
    unsigned vector; /* NONE, or what the last instruction raises */
    uint32_t eax;    /* when it raises nothing */
};

#define NONE 0xff

/*
 * What stands before each, while the segments are flat: it brings the pages into the TLB, so that
 * what is not checked goes through. OR DWORD [x], 0 for DATA, its page below, MOVED and POINTERS.
 */
#define WARM                                                                                       \
    "\x83\x0d\x00\x10\x01\x00\x00\x83\x0d\xf0\x0f\x01\x00\x00"                                     \
    "\x83\x0d\x00\x10\x05\x00\x00\x83\x0d\x00\x20\x01\x00\x00"

/* Behind each stands a HLT. */
#define ROW(name, vector, eax, code)                                                               \
    {                                                                                              \
        name, WARM code "\xf4", sizeof(WARM code), vector, eax                                     \
    }

#define READ_DATA     "\xa1\x00\x10\x01\x00"     /* MOV EAX, [DATA] */
#define READ_BELOW    "\xa1\xf0\x0f\x01\x00"     /* MOV EAX, [DATA - 10h] */
#define READ_VIA(seg) seg "\xa1\x00\x10\x01\x00" /* MOV EAX, seg:[DATA] */
#define WRITE_DATA    "\xa3\x00\x10\x01\x00"     /* MOV [DATA], EAX */
#define READ_BY_ECX   "\x8b\x01"                 /* MOV EAX, [ECX] */

/* MOV BL, selector; MOV seg, EBX. EBX is 0 at first. */
#define LOAD_ES(sel)   "\xb3" sel "\x8e\xc3"
#define LOAD_SS(sel)   "\xb3" sel "\x8e\xd3"
#define LOAD_DS(sel)   "\xb3" sel "\x8e\xdb"
#define LOAD_FS(sel)   "\xb3" sel "\x8e\xe3"
#define LOAD_GS(sel)   "\xb3" sel "\x8e\xeb"
#define PUSH(selector) "\x6a" selector
/* LDS and its like of ECX, from POINTERS + selector. */
#define FAR_LOAD(opcode, sel) opcode "\x0d" sel "\x20\x01\x00"

#define ES "\x26"
#define CS "\x2e"
#define SS "\x36"
#define DS "\x3e"
#define FS "\x64"
#define GS "\x65"

static const struct example loads[] = {
    ROW("MOV DS", NONE, THERE, LOAD_DS(BASED) READ_DATA),
    ROW("MOV ES", NONE, THERE, LOAD_ES(BASED) READ_VIA(ES)),
    ROW("MOV SS", NONE, THERE, LOAD_SS(BASED) READ_VIA(SS)),
    ROW("MOV FS", NONE, THERE, LOAD_FS(BASED) READ_VIA(FS)),
    ROW("MOV GS", NONE, THERE, LOAD_GS(BASED) READ_VIA(GS)),
    ROW("POP DS", NONE, THERE, PUSH(BASED) "\x1f" READ_DATA),
    ROW("POP ES", NONE, THERE, PUSH(BASED) "\x07" READ_VIA(ES)),
    ROW("POP SS", NONE, THERE, PUSH(BASED) "\x17" READ_VIA(SS)),
    ROW("POP FS", NONE, THERE, PUSH(BASED) "\x0f\xa1" READ_VIA(FS)),
    ROW("POP GS", NONE, THERE, PUSH(BASED) "\x0f\xa9" READ_VIA(GS)),
    ROW("LDS", NONE, THERE, FAR_LOAD("\xc5", BASED) READ_BY_ECX),
    ROW("LES", NONE, THERE, FAR_LOAD("\xc4", BASED) ES READ_BY_ECX),
    ROW("LSS", NONE, THERE, FAR_LOAD("\x0f\xb2", BASED) SS READ_BY_ECX),
    ROW("LFS", NONE, THERE, FAR_LOAD("\x0f\xb4", BASED) FS READ_BY_ECX),
    ROW("LGS", NONE, THERE, FAR_LOAD("\x0f\xb5", BASED) GS READ_BY_ECX),
    ROW("there and back", NONE, HERE, LOAD_DS(BASED) READ_DATA LOAD_DS(FLAT) READ_DATA),
    /* LSS ESP, and POP from there */
    ROW("LSS ESP", NONE, THERE, "\x0f\xb2\x25" BASED "\x20\x01\x00\x58"),
    ROW("LDS of a limit", X86_GP, 0, FAR_LOAD("\xc5", LIMITED) READ_BY_ECX),
    ROW("FS flat, then not", X86_GP, 0, LOAD_FS(FLAT) READ_VIA(FS) LOAD_FS(LIMITED) READ_VIA(FS)),
};

static const struct example rights[] = {
    ROW("read-only, read", NONE, HERE, LOAD_DS(READ_ONLY) READ_DATA),
    ROW("read-only, written", X86_GP, 0, LOAD_DS(READ_ONLY) WRITE_DATA),
    ROW("read-only FS, read", NONE, HERE, LOAD_FS(READ_ONLY) READ_VIA(FS)),
    ROW("read-only FS, written", X86_GP, 0, LOAD_FS(READ_ONLY) FS WRITE_DATA),
    ROW("read-only GS, read", NONE, HERE, LOAD_GS(READ_ONLY) READ_VIA(GS)),
    ROW("read-only GS, changed", X86_GP, 0, LOAD_GS(READ_ONLY) GS "\xff\x05\x00\x10\x01\x00"),
    ROW("code in DS, written", X86_GP, 0, LOAD_DS(CODE32) WRITE_DATA),
    ROW("beyond a limit", X86_GP, 0, LOAD_DS(LIMITED) READ_DATA),
    ROW("beyond SS's limit", X86_SS_FAULT, 0, LOAD_SS(LIMITED) READ_VIA(SS)),
    ROW("down, within", NONE, HERE, LOAD_DS(DOWN) READ_DATA),
    ROW("down, below", X86_GP, 0, LOAD_DS(DOWN) READ_BELOW),
    ROW("DS null", X86_GP, 0, LOAD_DS(NOTHING) READ_DATA),
    ROW("ES null", X86_GP, 0, LOAD_ES(NOTHING) READ_VIA(ES)),
    ROW("FS null", X86_GP, 0, LOAD_FS(NOTHING) READ_VIA(FS)),
    ROW("LEA through FS null", NONE, DATA, LOAD_FS(NOTHING) FS "\x8d\x05\x00\x10\x01\x00"),
};

/* ModRM of [DATA], with a register or digit 0 to 7. */
#define AT_DATA(modrm) modrm "\x00\x10\x01\x00"

static const struct example code_segment[] = {
    ROW("read", NONE, HERE, READ_VIA(CS)),
    ROW("CMP", NONE, 0, CS "\x39" AT_DATA("\x05")),
    ROW("BT", NONE, 0, CS "\x0f\xa3" AT_DATA("\x05")),
    ROW("PUSH", NONE, HERE, CS "\xff" AT_DATA("\x35") "\x58"),
    ROW("MOV absolute", X86_GP, 0, CS WRITE_DATA),
    ROW("MOV", X86_GP, 0, CS "\x89" AT_DATA("\x0d")),
    ROW("MOV of a byte", X86_GP, 0, CS "\xc6" AT_DATA("\x05") "\x01"),
    ROW("MOV of AH", X86_GP, 0, CS "\x88" AT_DATA("\x25")),
    ROW("MOV of DS", X86_GP, 0, CS "\x8c" AT_DATA("\x1d")),
    ROW("ADD", X86_GP, 0, CS "\x01" AT_DATA("\x05")),
    ROW("LOCK ADD", X86_GP, 0, CS "\xf0\x01" AT_DATA("\x05")),
    ROW("INC", X86_GP, 0, CS "\xff" AT_DATA("\x05")),
    ROW("NOT", X86_GP, 0, CS "\xf7" AT_DATA("\x15")),
    ROW("SHL", X86_GP, 0, CS "\xc1" AT_DATA("\x25") "\x01"),
    ROW("SHLD", X86_GP, 0, CS "\x0f\xa4" AT_DATA("\x05") "\x01"),
    ROW("XCHG", X86_GP, 0, CS "\x87" AT_DATA("\x05")),
    ROW("XADD", X86_GP, 0, CS "\x0f\xc1" AT_DATA("\x05")),
    ROW("CMPXCHG", X86_GP, 0, CS "\x0f\xb1" AT_DATA("\x0d")),
    ROW("CMPXCHG8B", X86_GP, 0, CS "\x0f\xc7" AT_DATA("\x0d")),
    ROW("SETZ", X86_GP, 0, CS "\x0f\x94" AT_DATA("\x05")),
    ROW("BTS", X86_GP, 0, CS "\x0f\xab" AT_DATA("\x05")),
    ROW("BTR by a constant", X86_GP, 0, CS "\x0f\xba" AT_DATA("\x35") "\x01"),
    ROW("POP", X86_GP, 0, CS "\x8f" AT_DATA("\x05")),
    ROW("MOVNTI", X86_GP, 0, CS "\x0f\xc3" AT_DATA("\x05")),
    ROW("MOVUPS", X86_GP, 0, CS "\x0f\x11" AT_DATA("\x05")),
    ROW("MOVD", X86_GP, 0, CS "\x66\x0f\x7e" AT_DATA("\x05")),
    ROW("FST", X86_GP, 0, CS "\xd9" AT_DATA("\x15")),
    ROW("STMXCSR", X86_GP, 0, CS "\x0f\xae" AT_DATA("\x1d")),
};

/* EBP leads to two places: MOV EAX, HERE and MOV EAX, THERE. 3E is DS and not SS. */
static const struct example branches[] = {
    ROW("JMP DS:[EBP]", NONE, HERE, LOAD_SS(BASED) DS "\xff\x65\x08"),
    ROW("JMP [EBP]", NONE, THERE, LOAD_SS(BASED) "\xff\x65\x08"),
    ROW("CALL DS:[EBP]", NONE, HERE, LOAD_SS(BASED) DS "\xff\x55\x08"),
    ROW("JMP of FS null", X86_GP, 0, LOAD_FS(NOTHING) FS "\xff\x65\x08"),
};

#define AT_HERE  (CODE + 0x800u)
#define AT_THERE (CODE + 0x900u)

static void put_places(struct rig *rig)
{
    const uint8_t here[] = {0xb8, 0x11, 0x11, 0x11, 0x11, 0xf4};
    const uint8_t there[] = {0xb8, 0x22, 0x22, 0x22, 0x22, 0xf4};

    put64(rig, DATA, HERE);
    put64(rig, MOVED, THERE);
    put64(rig, DATA + 8, AT_HERE);
    put64(rig, MOVED + 8, AT_THERE);
    mem_write(rig->base.mem, AT_HERE, here, sizeof(here));
    mem_write(rig->base.mem, AT_THERE, there, sizeof(there));
}

static void run(struct rig *rig, const struct example *example)
{
    put_places(rig);
    rig->state = rig->flat;
    rig->state.gpr[X86_RAX] = rig->state.gpr[X86_RBX] = rig->state.gpr[X86_RCX] = 0;
    rig->state.gpr[X86_RBP] = DATA;
    engine_soft.vcpu_set_state(rig->base.vcpu, &rig->state);
    if (engine_soft.vcpu_run(rig->base.vcpu) != ENGINE_STOP_HALT)
        fail_msg("%s: the processor shuts down", example->name);
    engine_soft.vcpu_get_state(rig->base.vcpu, &rig->state);
}

static void check(struct rig *rig, const struct example *example)
{
    uint64_t rip = rig->state.gpr[X86_RIP];
    unsigned vector = rip > HANDLERS && rip <= HANDLERS + 32 ? (unsigned)rip - HANDLERS - 1 : NONE;

    if (vector != example->vector)
        fail_msg("%s: vector %#x", example->name, vector);
    if (vector == NONE && (uint32_t)rig->state.gpr[X86_RAX] != example->eax)
        fail_msg("%s: EAX is %#llx", example->name, (unsigned long long)rig->state.gpr[X86_RAX]);
    if (vector != NONE && mem_read64(rig->base.mem, DATA) != HERE)
        fail_msg("%s: faults and writes", example->name);
}

static void run_all(struct rig *rig, const struct example *examples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t before = engine_soft.vcpu_counters(rig->base.vcpu)->translation_entries;

        mem_write(rig->base.mem, CODE, examples[i].code, examples[i].len);
        for (unsigned times = 0; times < TIMES; times++) {
            run(rig, &examples[i]);
            check(rig, &examples[i]);
        }
        assert_true(engine_soft.vcpu_counters(rig->base.vcpu)->translation_entries > before);
    }
}

static void a_load_counts_from_the_next_instruction_on(void **state)
{
    run_all(*state, loads, ARRAY_SIZE(loads));
}

static void rights_and_limits_are_checked(void **state)
{
    run_all(*state, rights, ARRAY_SIZE(rights));
}

static void nothing_is_written_through_cs(void **state)
{
    run_all(*state, code_segment, ARRAY_SIZE(code_segment));
}

static void branches_look_into_the_segment_they_name(void **state)
{
    run_all(*state, branches, ARRAY_SIZE(branches));
}

int main(void)
{
#define BOTH(test)                                                                                 \
    {"protected: " #test, test, setup_protected, teardown, NULL},                                  \
    {                                                                                              \
        "compatibility: " #test, test, setup_compatibility, teardown, NULL                         \
    }
    const struct CMUnitTest tests[] = {
        BOTH(a_load_counts_from_the_next_instruction_on),
        BOTH(rights_and_limits_are_checked),
        BOTH(nothing_is_written_through_cs),
        BOTH(branches_look_into_the_segment_they_name),
    };
#undef BOTH

    return cmocka_run_group_tests_name("segments", tests, NULL, NULL);
}

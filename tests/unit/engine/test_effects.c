/*
 * Which instructions may change what code takes for granted while it runs on: where addresses lead,
 * the mode and privilege, what is looked at between instructions, and the context of translations.
 * The table says which may; here every opcode is run in every mode, interpreted and translated:
 *
 *   - what it changes stands in the table, and all that stands there is seen to change
 *   - what changes more than the context leaves the interpreter's block
 *   - whatever it changes, translated code comes back to the run loop behind it
 *
 * See docs/translator.md, "Invariants".
 */
#include <stdlib.h>

#include "effects_rig.h"

enum effect {
    EFFECT_MAPPING = 1, /* where linear addresses lead, or may lead */
    EFFECT_MODE = 2,    /* and the CPL */
    EFFECT_LOOKS = 4,   /* TF, breakpoints: each instruction is looked at */
    EFFECT_CONTEXT = 8, /* what translations depend on beside the mode */
};

/* Which of an instruction's forms a row is about. */
enum form {
    FORM_PLAIN,   /* all others */
    FORM_SEGMENT, /* its first operand is a segment register */
    FORM_CONTROL,
    FORM_DEBUG,
    FORM_FAR,
};

struct row {
    ZydisMnemonic mnemonic;
    enum form form;
    unsigned effects;
};

/* clang-format off */
static const struct row table[] = {
    {ZYDIS_MNEMONIC_MOV,      FORM_SEGMENT, EFFECT_CONTEXT},
    {ZYDIS_MNEMONIC_POP,      FORM_SEGMENT, EFFECT_CONTEXT},
    {ZYDIS_MNEMONIC_LDS,      FORM_PLAIN,   EFFECT_CONTEXT},
    {ZYDIS_MNEMONIC_LES,      FORM_PLAIN,   EFFECT_CONTEXT},
    {ZYDIS_MNEMONIC_LFS,      FORM_PLAIN,   EFFECT_CONTEXT},
    {ZYDIS_MNEMONIC_LGS,      FORM_PLAIN,   EFFECT_CONTEXT},
    {ZYDIS_MNEMONIC_LSS,      FORM_PLAIN,   EFFECT_CONTEXT},
    {ZYDIS_MNEMONIC_JMP,      FORM_FAR,     EFFECT_MODE | EFFECT_CONTEXT},
    {ZYDIS_MNEMONIC_CALL,     FORM_FAR,     EFFECT_MODE | EFFECT_CONTEXT},
    {ZYDIS_MNEMONIC_RET,      FORM_FAR,     EFFECT_MODE | EFFECT_CONTEXT},
    {ZYDIS_MNEMONIC_INT,      FORM_PLAIN,   EFFECT_MODE | EFFECT_CONTEXT},
    {ZYDIS_MNEMONIC_INT1,     FORM_PLAIN,   EFFECT_MODE | EFFECT_CONTEXT},
    {ZYDIS_MNEMONIC_INT3,     FORM_PLAIN,   EFFECT_MODE | EFFECT_CONTEXT},
    {ZYDIS_MNEMONIC_IRET,     FORM_PLAIN,   EFFECT_MODE | EFFECT_LOOKS | EFFECT_CONTEXT},
    {ZYDIS_MNEMONIC_IRETD,    FORM_PLAIN,   EFFECT_MODE | EFFECT_LOOKS | EFFECT_CONTEXT},
    {ZYDIS_MNEMONIC_IRETQ,    FORM_PLAIN,   EFFECT_MODE | EFFECT_LOOKS | EFFECT_CONTEXT},
    {ZYDIS_MNEMONIC_SYSCALL,  FORM_PLAIN,   EFFECT_MODE | EFFECT_CONTEXT},
    {ZYDIS_MNEMONIC_SYSRET,   FORM_PLAIN,   EFFECT_MODE | EFFECT_LOOKS | EFFECT_CONTEXT},
    {ZYDIS_MNEMONIC_SYSENTER, FORM_PLAIN,   EFFECT_MODE | EFFECT_CONTEXT},
    {ZYDIS_MNEMONIC_SYSEXIT,  FORM_PLAIN,   EFFECT_MODE | EFFECT_CONTEXT},
    {ZYDIS_MNEMONIC_POPF,     FORM_PLAIN,   EFFECT_LOOKS | EFFECT_CONTEXT},
    {ZYDIS_MNEMONIC_POPFD,    FORM_PLAIN,   EFFECT_LOOKS | EFFECT_CONTEXT},
    {ZYDIS_MNEMONIC_POPFQ,    FORM_PLAIN,   EFFECT_LOOKS | EFFECT_CONTEXT},
    {ZYDIS_MNEMONIC_STAC,     FORM_PLAIN,   EFFECT_CONTEXT},
    {ZYDIS_MNEMONIC_CLAC,     FORM_PLAIN,   EFFECT_CONTEXT},
    {ZYDIS_MNEMONIC_MOV,      FORM_CONTROL, EFFECT_MAPPING | EFFECT_MODE | EFFECT_CONTEXT},
    {ZYDIS_MNEMONIC_MOV,      FORM_DEBUG,   EFFECT_LOOKS | EFFECT_CONTEXT},
    {ZYDIS_MNEMONIC_LMSW,     FORM_PLAIN,   EFFECT_MODE | EFFECT_CONTEXT},
    {ZYDIS_MNEMONIC_WRMSR,    FORM_PLAIN,   EFFECT_MAPPING},
    {ZYDIS_MNEMONIC_INVLPG,   FORM_PLAIN,   EFFECT_MAPPING},
    {ZYDIS_MNEMONIC_INVPCID,  FORM_PLAIN,   EFFECT_MAPPING},
};
/* clang-format on */

/* What an instruction may change, as it is derived from the registers. */
struct derived {
    uint64_t fetch_key;
    uint8_t cpl, context;
    bool single_step;
};

#define KEY_MODE 0xff /* mode and privilege in the fetch key */

static struct derived derived_of(const struct cpu *cpu)
{
    return (struct derived){cpu->fetch_key, cpu->cpl, cpu->dbt_context, cpu->single_step};
}

static unsigned effects_between(struct derived a, struct derived b)
{
    unsigned effects = 0;

    if (((a.fetch_key ^ b.fetch_key) & KEY_MODE) || a.cpl != b.cpl)
        effects |= EFFECT_MODE;
    /* Users and supervisors have generations of their own. */
    else if (a.fetch_key != b.fetch_key)
        effects |= EFFECT_MAPPING;
    if (a.context != b.context)
        effects |= EFFECT_CONTEXT;
    if (a.single_step != b.single_step)
        effects |= EFFECT_LOOKS;
    return effects;
}

static enum form form_of(const struct x86_insn *insn)
{
    if (insn->info.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR &&
        (insn->info.mnemonic == ZYDIS_MNEMONIC_JMP || insn->info.mnemonic == ZYDIS_MNEMONIC_CALL ||
         insn->info.mnemonic == ZYDIS_MNEMONIC_RET))
        return FORM_FAR;
    if (!insn->info.operand_count_visible || insn->op[0].type != ZYDIS_OPERAND_TYPE_REGISTER)
        return FORM_PLAIN;
    switch (ZydisRegisterGetClass(insn->op[0].reg.value)) {
    case ZYDIS_REGCLASS_SEGMENT: return FORM_SEGMENT;
    case ZYDIS_REGCLASS_CONTROL: return FORM_CONTROL;
    case ZYDIS_REGCLASS_DEBUG: return FORM_DEBUG;
    default: return FORM_PLAIN;
    }
}

/* One instruction in one mode, and what the table says of it. */
struct subject {
    struct effects_rig *rig;
    enum effects_mode mode;
    enum x86_mode decodes;
    struct x86_insn insn;
    uint8_t bytes[X86_INSN_MAX_BYTES + 1]; /* and a HLT behind it */
    unsigned allowed;
    unsigned *seen;
};

static void fail_subject(const struct subject *s, const char *what, unsigned effects)
{
    fail_msg("%s in %s (%02x %02x %02x %02x): %s, effects %#x",
             ZydisMnemonicGetString(s->insn.info.mnemonic), effects_mode_names[s->mode],
             s->bytes[0], s->bytes[1], s->bytes[2], s->bytes[3], what, effects);
}

/* Runs it as the interpreter does; the effects it has. */
static unsigned interpret(const struct subject *s, const struct x86_state *state)
{
    struct cpu *cpu = s->rig->cpu;
    struct binder_input in = {.cpu = cpu, .insn = &s->insn};
    struct derived before;
    unsigned effects;
    enum step step;
    struct op op;

    effects_load(s->rig, state);
    if (native_full(cpu))
        block_drop_all(cpu);
    before = derived_of(cpu);
    in.mode = (enum x86_mode)cpu->mode;
    op_bind(&op, &in);
    cpu->x.gpr[X86_RIP] += op.len;
    step = op.fn(cpu, &op);
    if (step == STEP_FAULT)
        return 0;
    effects = effects_between(before, derived_of(cpu));
    if (step == STEP_NEXT && !(op.flags & OP_ENDS) && (effects & ~(unsigned)EFFECT_CONTEXT))
        fail_subject(s, "the block goes on", effects);
    return effects;
}

/* Runs it translated: where it has effects, the HLT behind it must not be reached by itself. */
static void run_translated(const struct subject *s, const struct x86_state *state, unsigned effects)
{
    struct cpu *cpu = s->rig->cpu;
    struct host_block *translation;
    struct block *block;
    uint64_t executed;

    mem_write(s->rig->base.mem, EFFECTS_CODE, s->bytes, sizeof(s->bytes));
    effects_load(s->rig, state);
    if (cpu->dbt_context == DBT_NEVER || block_find(cpu, &block) != STEP_NEXT)
        return;
    translation = dbt_find(cpu, block);
    if (!translation)
        return;
    executed = cpu->counters.instructions;
    dbt_run(cpu, translation);
    executed = cpu->counters.instructions - executed;
    if (effects && executed != 1)
        fail_subject(s, "translated code goes on", effects);
}

static void run_subject(const struct subject *s)
{
    uint64_t seed = s->rig->dice.seed;
    struct x86_state state = effects_begin(s->rig, s->mode);
    unsigned effects = interpret(s, &state);

    *s->seen |= effects;
    if (effects & ~s->allowed)
        fail_subject(s, "not in the table", effects);
    s->rig->dice.seed = seed; /* the same memory again */
    state = effects_begin(s->rig, s->mode);
    run_translated(s, &state, effects);
}

/* --- every opcode --- */

#define MAPS  4  /* one byte, 0F, 0F 38, 0F 3A */
#define RARE  2  /* how often what runs natively is tried in each of its forms */
#define OFTEN 6  /* what is not in the table */
#define MUCH  64 /* what is */
#define FORMS 48 /* so many forms of an instruction are enough */

struct enumeration {
    struct effects_rig rig;
    unsigned seen[ARRAY_SIZE(table)], none;
    uint8_t forms[EFFECTS_MODE_COUNT][FORM_FAR + 1][ZYDIS_MNEMONIC_MAX_VALUE + 1];
};

/* What stands behind an opcode: a ModRM byte or none, and an immediate: 3, or a far pointer. */
static void put_rest(struct subject *s, unsigned at, int modrm)
{
    struct dice *dice = &s->rig->dice;
    uint64_t pointer = EFFECTS_TARGET;
    unsigned width = dice_chance(dice, 128) ? 2 : 4;
    uint16_t selector = effects_selector(s->rig, effects_is_user(s->mode));

    if (modrm >= 0)
        s->bytes[at++] = (uint8_t)modrm;
    memset(s->bytes + at, 0, sizeof(s->bytes) - at);
    s->bytes[at] = 3;
    if (modrm < 0 && dice_chance(dice, 192)) {
        memcpy(s->bytes + at, &pointer, width);
        memcpy(s->bytes + at + width, &selector, 2);
    }
}

static bool decode(struct subject *s)
{
    return x86_decode(&s->insn, s->decodes, s->bytes, X86_INSN_MAX_BYTES) == X86_DECODE_OK;
}

static void find_row(struct subject *s, struct enumeration *all)
{
    enum form form = form_of(&s->insn);

    s->allowed = 0;
    s->seen = &all->none;
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        if (table[i].mnemonic == s->insn.info.mnemonic && table[i].form == form) {
            s->allowed = table[i].effects;
            s->seen = &all->seen[i];
        }
    }
}

static bool is_vector(const struct x86_insn *insn)
{
    return insn->info.meta.isa_set >= ZYDIS_ISA_SET_SSE ||
           insn->info.meta.isa_ext == ZYDIS_ISA_EXT_X87;
}

/* One opcode, with prefixes, and one ModRM byte; false: it has none. */
static bool try_form(struct subject *s, struct enumeration *all, unsigned at, unsigned modrm)
{
    bool has_modrm = true;
    uint8_t *forms;
    unsigned times;

    put_rest(s, at, (int)modrm);
    if (!decode(s))
        return true;
    has_modrm = s->insn.info.attributes & ZYDIS_ATTRIB_HAS_MODRM;
    find_row(s, all);
    forms = &all->forms[s->mode][form_of(&s->insn)][s->insn.info.mnemonic];
    if (*forms >= FORMS)
        return has_modrm;
    ++*forms;
    times = s->allowed ? MUCH : is_vector(&s->insn) ? RARE : OFTEN;
    for (unsigned i = 0; i < times; i++) {
        put_rest(s, at, has_modrm ? (int)modrm : -1);
        if (!decode(s))
            continue;
        s->bytes[s->insn.info.length] = 0xf4;
        run_subject(s);
    }
    return has_modrm;
}

static void try_opcode(struct subject *s, struct enumeration *all, unsigned at)
{
    bool whole = s->bytes[at - 1] == 0x01 && at >= 2 && s->bytes[at - 2] == 0x0f;

    for (unsigned modrm = 0; modrm < 256; modrm++) {
        bool memory = modrm < 0x40 && (modrm & 7) == 7; /* [BX], [EDI], [RDI] */
        bool rax = modrm >= 0xc0 && (modrm & 7) == 0;

        /* 0F 01 C0 to FF are as many instructions. */
        if ((memory || rax || (whole && modrm >= 0xc0)) && !try_form(s, all, at, modrm))
            return;
    }
}

static unsigned put_opcode(uint8_t *bytes, unsigned prefix, bool wide, unsigned map,
                           unsigned opcode)
{
    static const uint8_t third[MAPS] = {0, 0, 0x38, 0x3a};
    unsigned at = 0;

    if (prefix)
        bytes[at++] = (uint8_t)prefix;
    if (wide)
        bytes[at++] = 0x48;
    if (map)
        bytes[at++] = 0x0f;
    if (third[map])
        bytes[at++] = third[map];
    bytes[at++] = (uint8_t)opcode;
    return at;
}

/* REP and REPNE repeat what stands without map bytes. */
static void try_all(struct subject *s, struct enumeration *all, unsigned prefix, bool wide)
{
    bool repeats = prefix == 0xf2 || prefix == 0xf3;

    for (unsigned map = repeats ? 1 : 0; map < MAPS; map++) {
        for (unsigned opcode = 0; opcode < 256; opcode++)
            try_opcode(s, all, put_opcode(s->bytes, prefix, wide, map, opcode));
    }
}

static void try_mode(struct enumeration *all, enum effects_mode mode)
{
    static const uint8_t prefixes[] = {0, 0x66, 0xf2, 0xf3};
    struct subject s = {.rig = &all->rig, .mode = mode};
    struct x86_state state = effects_begin(&all->rig, mode);
    struct block *other;

    state.gpr[X86_RIP] = EFFECTS_TARGET;
    engine_soft.vcpu_set_state(all->rig.base.vcpu, &state);
    s.decodes = (enum x86_mode)all->rig.cpu->mode;
    /* Another block in the page: while it is there, the page is watched, which is slow to begin. */
    assert_int_equal(block_find(all->rig.cpu, &other), STEP_NEXT);
    for (unsigned i = 0; i < ARRAY_SIZE(prefixes); i++) {
        try_all(&s, all, prefixes[i], false);
        if (s.decodes == X86_MODE_LONG64)
            try_all(&s, all, prefixes[i], true);
    }
}

static bool is_offered(const struct cpu_model *model, ZydisMnemonic mnemonic)
{
    switch (mnemonic) {
    case ZYDIS_MNEMONIC_STAC:
    case ZYDIS_MNEMONIC_CLAC: return model->has[X86_FEATURE_SMAP];
    case ZYDIS_MNEMONIC_INVPCID: return model->has[X86_FEATURE_INVPCID];
    default: return true;
    }
}

static void instructions_do_what_the_table_says(void **state)
{
    struct enumeration *all = calloc(1, sizeof(*all));

    assert_non_null(all);
    effects_init(&all->rig);
    for (unsigned mode = 0; mode < EFFECTS_MODE_COUNT; mode++)
        try_mode(all, (enum effects_mode)mode);
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        if (all->seen[i] != table[i].effects && is_offered(&all->rig.base.model, table[i].mnemonic))
            fail_msg("%s, form %u: %#x of %#x was seen", ZydisMnemonicGetString(table[i].mnemonic),
                     table[i].form, all->seen[i], table[i].effects);
    }
    effects_fini(&all->rig);
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instructions_do_what_the_table_says),
    };

    return cmocka_run_group_tests_name("effects", tests, NULL, NULL);
}

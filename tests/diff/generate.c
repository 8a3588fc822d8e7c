/* Puts cases together: a few instructions that may follow each other, and the state before them. */
#include "generate.h"

#include <string.h>

#define TRIES            40
#define STRETCHED_ONE_IN 8 /* so many instructions get the length of 15 bytes */

/* What the generator knows while it adds instructions. */
struct build {
    struct diff_case *c;
    struct diff_random *r;
    const struct diff_templates *t;
    const struct cpu_model *model;
    uint32_t pointers;  /* registers that still hold their first value */
    uint64_t undefined; /* flags that the manual leaves undefined by now */
    bool ends;          /* the last instruction jumps */
    uint8_t *data;
};

static bool is_popf(unsigned mnemonic)
{
    return mnemonic == ZYDIS_MNEMONIC_POPF || mnemonic == ZYDIS_MNEMONIC_POPFD ||
           mnemonic == ZYDIS_MNEMONIC_POPFQ;
}

static bool is_branch(const ZydisDecodedInstruction *info)
{
    return info->meta.branch_type != ZYDIS_BRANCH_TYPE_NONE ||
           info->meta.category == ZYDIS_CATEGORY_RET;
}

/*
 * What Intel and AMD do differently; Umbra does as Intel. 66h before a near branch in 64-bit mode
 * is ignored by Intel, SHA's memory operand must be aligned there, 0F 0D on a register is a NOP,
 * MOVSXD to 16 bits reads 16 bits. VPINSRD and VPEXTRD with VEX.W in 32-bit code raise #UD on AMD,
 * and its ARPL does not write what it does not change.
 */
static bool differs_by_vendor(const struct x86_insn *insn)
{
    const ZydisDecodedInstruction *info = &insn->info;

    if (is_branch(info) && info->machine_mode == ZYDIS_MACHINE_MODE_LONG_64)
        for (unsigned i = 0; i < info->raw.prefix_count; i++)
            if (info->raw.prefixes[i].value == 0x66)
                return true;
    if (info->opcode_map == ZYDIS_OPCODE_MAP_0F && info->opcode == 0x0d && info->raw.modrm.mod == 3)
        return true;
    if (info->mnemonic == ZYDIS_MNEMONIC_ARPL && insn->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY)
        return true;
    if (info->mnemonic == ZYDIS_MNEMONIC_MOVSXD && info->operand_width == 16)
        return true;
    if (info->machine_mode != ZYDIS_MACHINE_MODE_LONG_64 && info->raw.vex.W &&
        (info->mnemonic == ZYDIS_MNEMONIC_VPINSRD || info->mnemonic == ZYDIS_MNEMONIC_VPEXTRD))
        return true;
    return info->meta.isa_set == ZYDIS_ISA_SET_SHA && insn->op[1].type == ZYDIS_OPERAND_TYPE_MEMORY;
}

/* Whether an instruction may follow what is there: it must not look at undefined flags. */
static bool may_follow(const struct build *b, const struct x86_insn *insn)
{
    const ZydisDecodedInstruction *info = &insn->info;
    uint64_t read = info->cpu_flags ? info->cpu_flags->tested : 0;

    if (info->mnemonic == ZYDIS_MNEMONIC_PUSHF || info->mnemonic == ZYDIS_MNEMONIC_PUSHFD ||
        info->mnemonic == ZYDIS_MNEMONIC_PUSHFQ || info->mnemonic == ZYDIS_MNEMONIC_LAHF)
        read = X86_FLAGS_ARITH;
    return !(read & b->undefined) && !(is_popf(info->mnemonic) && b->c->count > 0);
}

/*
 * A relative branch goes forward, into the INT3s behind the case: a random target could be the
 * middle of an instruction, and then anything would run.
 */
static void tame_branch(uint8_t *bytes, const ZydisDecodedInstruction *info, struct diff_random *r)
{
    const unsigned width = info->raw.imm[0].size / 8;
    uint32_t distance = (uint32_t)random_below(r, 100);

    if (!info->raw.imm[0].is_relative)
        return;
    memcpy(bytes + info->raw.imm[0].offset, &distance, width);
}

/* Results that the manual leaves undefined: double shifts beyond the operand's width. */
static void tame_immediate(uint8_t *bytes, const ZydisDecodedInstruction *info)
{
    bool double_shift =
        info->mnemonic == ZYDIS_MNEMONIC_SHLD || info->mnemonic == ZYDIS_MNEMONIC_SHRD;

    if (double_shift && info->operand_width == 16 && info->raw.imm[0].size == 8)
        bytes[info->raw.imm[0].offset] &= 15;
}

/* Forgets what registers held that an instruction writes. */
static void follow_registers(struct build *b, const struct x86_insn *insn)
{
    for (unsigned i = 0; i < insn->info.operand_count; i++) {
        const ZydisDecodedOperand *o = &insn->op[i];
        ZydisRegister whole;

        if (o->type != ZYDIS_OPERAND_TYPE_REGISTER ||
            !(o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
            continue;
        whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, o->reg.value);
        if (ZydisRegisterGetClass(whole) == ZYDIS_REGCLASS_GPR64)
            b->pointers &= ~(1u << ZydisRegisterGetId(whole));
    }
}

/*
 * POPF takes its flags from memory: without TF, which would stop the tracer, AC (see below) and ID,
 * which ptrace can't clear again.
 */
static void tame_popf(struct build *b)
{
    uint64_t at = b->c->before.gpr[X86_RSP] - DIFF_DATA;

    if (at < DIFF_DATA_SIZE - 2) {
        b->data[at + 1] &= 0xfe;
        b->data[at + 2] &= 0xdb;
    }
}

/* Whether vector operands must be aligned under AC is the processor's choice: no AC with those. */
static void tame_alignment(struct build *b, const struct x86_insn *insn)
{
    for (unsigned i = 0; i < insn->info.operand_count; i++)
        if (insn->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
            (insn->op[i].size > 64 || insn->op[i].mem.type == ZYDIS_MEMOP_TYPE_VSIB))
            b->c->before.rflags &= ~X86_FLAG_AC;
}

/* Puts an instruction of a form into bytes; false when it became another one, or none. */
static bool make_instruction(struct build *b, const struct diff_template *t, uint8_t *bytes,
                             struct x86_insn *insn)
{
    enum x86_mode mode = b->t->compat ? X86_MODE_COMPAT32 : X86_MODE_LONG64;
    const struct diff_case *c = b->c;
    unsigned len =
        diff_encode(bytes, t, b->r, &c->before, b->pointers, b->t->compat, c->start + c->len);

    if (x86_decode(insn, mode, bytes, len) != X86_DECODE_OK)
        return false;
    if (random_one_in(b->r, STRETCHED_ONE_IN)) {
        diff_stretch(bytes, insn->info.length, b->r);
        if (x86_decode(insn, mode, bytes, X86_INSN_MAX_BYTES) != X86_DECODE_OK)
            return false;
    }
    return insn->info.mnemonic == (ZydisMnemonic)t->mnemonic && insn->info.opcode == t->opcode;
}

static bool add_instruction(struct build *b)
{
    struct diff_case *c = b->c;
    size_t m = random_below(b->r, b->t->mnemonics);
    size_t first = b->t->first[m], forms = b->t->first[m + 1] - first;
    const struct diff_template *t = &b->t->all[first + random_below(b->r, forms)];
    struct x86_insn insn;
    uint8_t bytes[48];

    if (!make_instruction(b, t, bytes, &insn) || !cpu_model_allows(b->model, &insn.info) ||
        differs_by_vendor(&insn) || diff_excluded(&insn) || !may_follow(b, &insn))
        return false;
    tame_branch(bytes, &insn.info, b->r);
    tame_immediate(bytes, &insn.info);
    if (is_popf(insn.info.mnemonic))
        tame_popf(b);
    tame_alignment(b, &insn);
    memcpy(c->code + c->len, bytes, insn.info.length);
    b->undefined = diff_undefined_flags(
        b->undefined, &insn, b->pointers >> X86_RCX & 1 ? &c->before.gpr[X86_RCX] : NULL);
    follow_registers(b, &insn);
    c->len += insn.info.length;
    c->mnemonics[c->count] = t->mnemonic;
    c->lengths[c->count] = insn.info.length;
    c->undefined_flags[c->count] = b->undefined;
    c->count++;
    b->ends = is_branch(&insn.info);
    return true;
}

void diff_generate(struct diff_case *c, const struct diff_templates *t,
                   const struct cpu_model *model, uint8_t pool[DIFF_POOL_BYTES], uint64_t seed,
                   uint64_t index, uint8_t data[DIFF_DATA_SIZE])
{
    struct diff_random r = {seed ^ index * 0xd1342543de82ef95};
    struct build b = {.c = c, .r = &r, .t = t, .model = model, .data = data, .pointers = 0xffff};
    unsigned wanted = 1 + (unsigned)random_below(&r, 4);

    memset(c, 0, sizeof(*c));
    c->compat = t->compat;
    c->data = data;
    memcpy(data, pool + random_below(&r, (DIFF_POOL_BYTES - DIFF_DATA_SIZE) / 8) * 8,
           DIFF_DATA_SIZE);
    diff_random_state(&c->before, &r, t->compat);
    c->start = DIFF_CODE + random_below(&r, 0x1f00 - DIFF_MAX_BYTES);
    if (random_one_in(&r, 16)) /* across the seam of two pages */
        c->start = DIFF_CODE + PAGE_SIZE - random_below(&r, 16);
    c->before.rip = c->start;
    if (t->compat)
        b.pointers = 0xff;
    for (unsigned i = 0; i < TRIES * wanted && c->count < wanted && !b.ends; i++)
        add_instruction(&b);
}

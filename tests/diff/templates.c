/* The forms of all instructions, found by decoding each opcode with each prefix. */
#include "generate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_TEMPLATES 60000

bool diff_excluded(const struct x86_insn *insn)
{
    const ZydisDecodedInstruction *info = &insn->info;

    switch (info->mnemonic) {
    /* The host's operating system: entry, emulation under UMIP, its descriptor tables. */
    case ZYDIS_MNEMONIC_SYSCALL:
    case ZYDIS_MNEMONIC_SYSENTER:
    case ZYDIS_MNEMONIC_INT:
    case ZYDIS_MNEMONIC_INT1:
    case ZYDIS_MNEMONIC_INT3:
    case ZYDIS_MNEMONIC_INTO:
    case ZYDIS_MNEMONIC_BOUND:
    case ZYDIS_MNEMONIC_SGDT:
    case ZYDIS_MNEMONIC_SIDT:
    case ZYDIS_MNEMONIC_SLDT:
    case ZYDIS_MNEMONIC_STR:
    case ZYDIS_MNEMONIC_SMSW:
    case ZYDIS_MNEMONIC_LAR:
    case ZYDIS_MNEMONIC_LSL:
    case ZYDIS_MNEMONIC_VERR:
    case ZYDIS_MNEMONIC_VERW:
    case ZYDIS_MNEMONIC_LDS:
    case ZYDIS_MNEMONIC_LES:
    case ZYDIS_MNEMONIC_LFS:
    case ZYDIS_MNEMONIC_LGS:
    case ZYDIS_MNEMONIC_LSS:
    case ZYDIS_MNEMONIC_IRET:
    case ZYDIS_MNEMONIC_IRETD:
    case ZYDIS_MNEMONIC_IRETQ:
    case ZYDIS_MNEMONIC_SYSRET:
    case ZYDIS_MNEMONIC_SYSEXIT:
    /* Not the same twice, or not the same processor. */
    case ZYDIS_MNEMONIC_CPUID:
    case ZYDIS_MNEMONIC_RDTSC:
    case ZYDIS_MNEMONIC_RDTSCP:
    case ZYDIS_MNEMONIC_RDPMC:
    case ZYDIS_MNEMONIC_RDRAND:
    case ZYDIS_MNEMONIC_RDSEED:
    case ZYDIS_MNEMONIC_XGETBV:
    /* Images that hold instruction pointers, which hosts keep differently; unit tests do these. */
    case ZYDIS_MNEMONIC_FNSTENV:
    case ZYDIS_MNEMONIC_FNSAVE:
    case ZYDIS_MNEMONIC_FXSAVE:
    case ZYDIS_MNEMONIC_FXSAVE64:
    case ZYDIS_MNEMONIC_FXRSTOR:
    case ZYDIS_MNEMONIC_FXRSTOR64:
    case ZYDIS_MNEMONIC_XSAVE:
    case ZYDIS_MNEMONIC_XSAVE64:
    case ZYDIS_MNEMONIC_XSAVEC:
    case ZYDIS_MNEMONIC_XSAVEC64:
    case ZYDIS_MNEMONIC_XSAVEOPT:
    case ZYDIS_MNEMONIC_XSAVEOPT64:
    case ZYDIS_MNEMONIC_XRSTOR:
    case ZYDIS_MNEMONIC_XRSTOR64: return true;
    default: break;
    }
    if (info->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
        return true;
    for (unsigned i = 0; i < info->operand_count_visible; i++)
        if (insn->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
            ZydisRegisterGetClass(insn->op[i].reg.value) == ZYDIS_REGCLASS_SEGMENT)
            return true;
    return false;
}

static enum x86_mode mode_of(bool compat)
{
    return compat ? X86_MODE_COMPAT32 : X86_MODE_LONG64;
}

static unsigned put_opcode(uint8_t *b, const struct diff_template *t)
{
    unsigned n = 0;

    if (t->vex) {
        b[n++] = 0xc4;
        b[n++] = 0xe0 | t->map;
        b[n++] = (uint8_t)((t->w ? 0x80 : 0) | 0x78 | (t->l ? 4u : 0) | diff_vex_pp(t->prefix));
    } else {
        if (t->prefix)
            b[n++] = t->prefix;
        if (t->w)
            b[n++] = 0x48;
        if (t->map > 0)
            b[n++] = 0x0f;
        if (t->map > 1)
            b[n++] = t->map == 2 ? 0x38 : 0x3a;
    }
    b[n++] = t->opcode;
    return n;
}

void diff_template_bytes(uint8_t *bytes, const struct diff_template *t)
{
    unsigned n = put_opcode(bytes, t);

    bytes[n] = t->modrm;
}

static bool is_prefix_byte(uint8_t opcode, bool compat)
{
    switch (opcode) {
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
    case 0x64:
    case 0x65:
    case 0x66:
    case 0x67:
    case 0xf0:
    case 0xf2:
    case 0xf3:
    case 0x0f:
    case 0x62:
    case 0xc4:
    case 0xc5: return true;
    default: return !compat && (opcode & 0xf0) == 0x40;
    }
}

/* Adds a form if it decodes, is whole (this very opcode) and may be tested. */
static void try_template(struct diff_templates *ts, struct diff_template t,
                         const struct cpu_model *model, const char *only)
{
    struct x86_insn insn;
    uint8_t b[32] = {0};
    unsigned n = put_opcode(b, &t);

    b[n] = t.modrm;
    /* Other ModRM bits must not matter for what is a memory form here: [RBX], VSIB [RBX+XMM1]. */
    if (x86_decode(&insn, mode_of(ts->compat), b, sizeof(b)) != X86_DECODE_OK) {
        b[n] = (uint8_t)((t.modrm & 0x38) | 4);
        b[n + 1] = 0x0b;
        if (!t.memory || x86_decode(&insn, mode_of(ts->compat), b, sizeof(b)) != X86_DECODE_OK)
            return;
    }
    if (insn.info.opcode != t.opcode || diff_excluded(&insn) ||
        !cpu_model_allows(model, &insn.info))
        return;
    t.has_modrm = insn.info.attributes & ZYDIS_ATTRIB_HAS_MODRM;
    if (!t.has_modrm && t.modrm != 3)
        return;
    if (only && strcasecmp(only, ZydisMnemonicGetString(insn.info.mnemonic)) != 0)
        return;
    t.mnemonic = (uint16_t)insn.info.mnemonic;
    if (ts->count < MAX_TEMPLATES)
        ts->all[ts->count++] = t;
}

static int by_mnemonic(const void *a, const void *b)
{
    const struct diff_template *x = a, *y = b;

    return (int)x->mnemonic - (int)y->mnemonic;
}

/* Each ModRM that selects another instruction: memory and register with each reg field. */
static void try_modrms(struct diff_templates *ts, struct diff_template t,
                       const struct cpu_model *model, const char *only)
{
    for (unsigned reg = 0; reg < 8; reg++) {
        /* x87 and 0F 01 tell instructions apart by the rm field too. */
        bool by_rm = (t.map == 0 && t.opcode >= 0xd8 && t.opcode <= 0xdf) ||
                     (t.map == 1 && t.opcode == 0x01);

        t.memory = true;
        t.modrm = (uint8_t)(reg << 3 | 3); /* [RBX] */
        try_template(ts, t, model, only);
        t.memory = false;
        for (unsigned rm = 0; rm < (by_rm ? 8u : 1u); rm++) {
            t.modrm = (uint8_t)(0xc0 | reg << 3 | (by_rm ? rm : 1));
            try_template(ts, t, model, only);
        }
    }
}

static void try_all(struct diff_templates *ts, const struct cpu_model *model, const char *only)
{
    static const uint8_t prefixes[] = {0, 0x66, 0xf3, 0xf2};

    for (unsigned i = 0; i < 4 * 4 * 4 * 256u; i++) {
        struct diff_template t = {
            .prefix = prefixes[i & 3], .map = i >> 2 & 3, .w = i >> 4 & 1, .vex = i >> 5 & 1};

        t.opcode = (uint8_t)(i >> 6);
        if ((t.vex && t.map == 0) || (!t.vex && t.map == 0 && is_prefix_byte(t.opcode, ts->compat)))
            continue;
        if (ts->compat && !t.vex && t.w)
            continue;
        try_modrms(ts, t, model, only);
        if (t.vex) {
            t.l = true;
            try_modrms(ts, t, model, only);
        }
    }
}

int diff_templates_init(struct diff_templates *ts, const struct cpu_model *model, bool compat,
                        const char *only)
{
    *ts = (struct diff_templates){.compat = compat};
    ts->all = malloc(MAX_TEMPLATES * sizeof(*ts->all));
    ts->first = malloc((ZYDIS_MNEMONIC_MAX_VALUE + 2) * sizeof(*ts->first));
    if (!ts->all || !ts->first)
        return -ENOMEM;
    try_all(ts, model, only);
    if (ts->count == 0)
        return -ENOENT;
    qsort(ts->all, ts->count, sizeof(*ts->all), by_mnemonic);
    for (size_t i = 0; i < ts->count; i++)
        if (i == 0 || ts->all[i].mnemonic != ts->all[i - 1].mnemonic)
            ts->first[ts->mnemonics++] = i;
    ts->first[ts->mnemonics] = ts->count;
    return 0;
}

void diff_templates_fini(struct diff_templates *ts)
{
    free(ts->all);
    free(ts->first);
}

/*
 * The stub generator: from a decoded guest instruction to host code that does the same on guest
 * state. It encodes what it is given and decides nothing about which instructions may run (see
 * native_bind.c); it refuses operands that it has no place for.
 *
 *   stub(cpu in RDI, memory operand in RSI):
 *       flags   <- cpu->arith          when the instruction reads or keeps some
 *       R8..R10 <- explicit general registers (ModRM.reg, VEX.vvvv, ModRM.rm)
 *       RAX, RCX, RDX <- implicit ones under their own number
 *       vectors <- x.fpu.ymm under their own number
 *       the instruction
 *       everything written back; legacy SSE leaves the upper halves in memory alone
 *       return 0 (a signal handler returns a vector instead)
 *
 * Source: SDM 2 "Instruction Format", "Intel Advanced Vector Extensions" (VEX).
 */
#include "engine/soft/native_internal.h"

#include <string.h>

#define HOST_REG  8 /* R8 stands for the general register in ModRM.reg */
#define HOST_VVVV 9
#define HOST_RM   10

#define REX_BASE         0x40
#define REX_W            0x08
#define MODRM_DISP32_RDI 0x87 /* mod 10, rm RDI */
#define MODRM_MEM_RSI    0x06 /* mod 00, rm RSI */

struct emitter {
    uint8_t code[NATIVE_MAX_STUB_BYTES];
    unsigned len;
};

/* A register that the stub loads before and stores after the instruction. */
struct place {
    uint8_t host;  /* register number in the stub */
    uint8_t guest; /* number in x.gpr or x.fpu.ymm */
    bool high;     /* AH, CH, DH, BH */
    bool byte;
    bool load, store;
    uint16_t bits;
};

#define MAX_PLACES 6

/* What the instruction becomes. */
struct shape {
    struct place gpr[MAX_PLACES], vector[MAX_PLACES];
    unsigned gprs, vectors;
    uint8_t reg, rm, vvvv, is4; /* register numbers in the stub, extension bit included */
    bool memory, has_is4;
    bool vex, strip_rep;
};

static void put8(struct emitter *e, unsigned byte)
{
    ASSERT(e->len < sizeof(e->code), "a stub fits its buffer");
    e->code[e->len++] = (uint8_t)byte;
}

static void put32(struct emitter *e, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        put8(e, value >> (8 * i) & 0xff);
}

/* An instruction between a register and [RDI + offset]: the ModRM byte and the displacement. */
static void put_state_operand(struct emitter *e, unsigned reg, size_t offset)
{
    put8(e, MODRM_DISP32_RDI | (reg & 7) << 3);
    put32(e, (uint32_t)offset);
}

static size_t gpr_offset(const struct place *p)
{
    return offsetof(struct cpu, x.gpr) + 8u * p->guest + (p->high ? 1 : 0);
}

static void put_gpr_load(struct emitter *e, const struct place *p)
{
    if (p->byte) { /* MOVZX r32, byte */
        put8(e, REX_BASE | (p->host >> 3) << 2);
        put8(e, 0x0f);
        put8(e, 0xb6);
    } else { /* MOV r64, m64 */
        put8(e, REX_BASE | REX_W | (p->host >> 3) << 2);
        put8(e, 0x8b);
    }
    put_state_operand(e, p->host, gpr_offset(p));
}

static void put_gpr_store(struct emitter *e, const struct place *p)
{
    put8(e, REX_BASE | REX_W | (p->host >> 3) << 2);
    put8(e, 0x89);
    put_state_operand(e, p->host, gpr_offset(p));
}

/* MOVUPS (legacy: 16 bytes, the rest stays) or VMOVDQU of 16 or 32 bytes. */
static void put_vector_move(struct emitter *e, const struct place *p, bool vex, bool store)
{
    size_t offset = offsetof(struct cpu, x.fpu.ymm) + 32u * p->guest;

    if (vex) {
        put8(e, 0xc5);
        put8(e, (p->host < 8 ? 0x80u : 0) | 0x78 | (store || p->bits > 128 ? 4 : 0) | 2);
        put8(e, store ? 0x7f : 0x6f);
    } else {
        if (p->host >= 8)
            put8(e, REX_BASE | 4);
        put8(e, 0x0f);
        put8(e, store ? 0x11 : 0x10);
    }
    put_state_operand(e, p->host, offset);
}

/* cpu->arith to the host's flags: OF from AL by an addition that overflows, the rest by SAHF. */
static void put_flags_load(struct emitter *e)
{
    put8(e, 0x8b); /* MOV EAX, arith */
    put_state_operand(e, X86_RAX, offsetof(struct cpu, arith));
    put8(e, 0x04); /* ADD AL, 127 */
    put8(e, 0x7f);
    put8(e, 0x9e); /* SAHF */
}

static void put_flags_store(struct emitter *e)
{
    put8(e, 0x9f); /* LAHF */
    put8(e, 0x0f); /* SETO AL */
    put8(e, 0x90);
    put8(e, 0xc0);
    put8(e, 0x0f); /* MOVZX EAX, AX */
    put8(e, 0xb7);
    put8(e, 0xc0);
    put8(e, 0x89); /* MOV arith, EAX */
    put_state_operand(e, X86_RAX, offsetof(struct cpu, arith));
}

static bool shape_gpr(struct shape *s, const ZydisDecodedOperand *operand)
{
    bool high;
    unsigned number = x86_register_number(operand->reg.value, &high);
    struct place *p;
    unsigned host;

    switch (operand->encoding) {
    case ZYDIS_OPERAND_ENCODING_MODRM_REG: host = s->reg = HOST_REG; break;
    case ZYDIS_OPERAND_ENCODING_MODRM_RM: host = s->rm = HOST_RM; break;
    case ZYDIS_OPERAND_ENCODING_NDSNDD: host = s->vvvv = HOST_VVVV; break;
    case ZYDIS_OPERAND_ENCODING_NONE:
        if (number != X86_RAX && number != X86_RCX && number != X86_RDX)
            return false;
        host = number;
        break;
    default: return false;
    }
    if (s->gprs == MAX_PLACES)
        return false;
    p = &s->gpr[s->gprs++];
    *p = (struct place){
        .host = (uint8_t)host,
        .guest = (uint8_t)(high ? number - 4 : number),
        .high = high,
        .byte = operand->size == 8,
        .load = true, /* 16-bit results keep the rest of the register */
        .store = operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE,
        .bits = operand->size,
    };
    return !(p->byte && p->store);
}

/* A register may be named twice, as XMM and as YMM (VINSERTI128): one place serves both. */
static void add_vector(struct shape *s, const ZydisDecodedOperand *operand, unsigned number)
{
    /* Zydis tells how much is used (VEXTRACTF128); which half is another matter. */
    uint16_t bits = ZydisRegisterGetClass(operand->reg.value) == ZYDIS_REGCLASS_YMM ? 256 : 128;
    unsigned i = 0;

    while (i < s->vectors && s->vector[i].host != number)
        i++;
    if (i == s->vectors)
        s->vector[s->vectors++] = (struct place){.host = (uint8_t)number, .guest = (uint8_t)number};
    s->vector[i].bits = MAX(s->vector[i].bits, bits);
    /* A legacy result may leave part of the 16 bytes as it was. */
    if (!s->vex || (operand->actions & ZYDIS_OPERAND_ACTION_MASK_READ))
        s->vector[i].load = true;
    if (operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
        s->vector[i].store = true;
}

static bool shape_vector(struct shape *s, const ZydisDecodedOperand *operand)
{
    unsigned number = (unsigned)(uint8_t)ZydisRegisterGetId(operand->reg.value);

    if (number > 15 || s->vectors == MAX_PLACES)
        return false;
    switch (operand->encoding) {
    case ZYDIS_OPERAND_ENCODING_MODRM_REG: s->reg = (uint8_t)number; break;
    case ZYDIS_OPERAND_ENCODING_MODRM_RM: s->rm = (uint8_t)number; break;
    case ZYDIS_OPERAND_ENCODING_NDSNDD: s->vvvv = (uint8_t)number; break;
    case ZYDIS_OPERAND_ENCODING_IS4:
        s->is4 = (uint8_t)number;
        s->has_is4 = true;
        break;
    case ZYDIS_OPERAND_ENCODING_NONE: break;
    default: return false;
    }
    add_vector(s, operand, number);
    return true;
}

/* A register operand that is not loaded: MMX and x87 live in the host, flags go their own way. */
static bool shape_other_register(struct shape *s, const ZydisDecodedOperand *operand)
{
    ZydisRegister reg = operand->reg.value;

    if (reg >= ZYDIS_REGISTER_MM0 && reg <= ZYDIS_REGISTER_MM7) {
        uint8_t number = (uint8_t)(reg - ZYDIS_REGISTER_MM0);

        if (operand->encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG)
            s->reg = number;
        else if (operand->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM)
            s->rm = number;
        return true;
    }
    if (reg >= ZYDIS_REGISTER_ST0 && reg <= ZYDIS_REGISTER_ST7)
        return true;
    switch (reg) {
    case ZYDIS_REGISTER_FLAGS:
    case ZYDIS_REGISTER_EFLAGS:
    case ZYDIS_REGISTER_RFLAGS:
    case ZYDIS_REGISTER_MXCSR:
    case ZYDIS_REGISTER_X87CONTROL:
    case ZYDIS_REGISTER_X87STATUS:
    case ZYDIS_REGISTER_X87TAG: return true;
    default: return false;
    }
}

static bool shape_operand(struct shape *s, const ZydisDecodedOperand *operand)
{
    switch (operand->type) {
    case ZYDIS_OPERAND_TYPE_IMMEDIATE: return true;
    case ZYDIS_OPERAND_TYPE_MEMORY:
        if (s->memory || operand->mem.type != ZYDIS_MEMOP_TYPE_MEM ||
            operand->encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM)
            return false;
        s->memory = true;
        return true;
    case ZYDIS_OPERAND_TYPE_REGISTER:
        switch (ZydisRegisterGetClass(operand->reg.value)) {
        case ZYDIS_REGCLASS_GPR8:
        case ZYDIS_REGCLASS_GPR16:
        case ZYDIS_REGCLASS_GPR32:
        case ZYDIS_REGCLASS_GPR64: return shape_gpr(s, operand);
        case ZYDIS_REGCLASS_XMM:
        case ZYDIS_REGCLASS_YMM: return shape_vector(s, operand);
        default: return shape_other_register(s, operand);
        }
    default: return false;
    }
}

static bool shape_init(struct shape *s, const struct x86_insn *insn, bool strip_rep)
{
    const ZydisDecodedInstruction *info = &insn->info;

    *s = (struct shape){
        .reg = info->raw.modrm.reg,
        .rm = info->raw.modrm.rm,
        .vex = info->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX,
        .strip_rep = strip_rep,
    };
    for (unsigned i = 0; i < info->operand_count; i++)
        if (!shape_operand(s, &insn->op[i]))
            return false;
    return true;
}

bool native_has_operand_size(ZydisMnemonic mnemonic)
{
    switch (mnemonic) {
    case ZYDIS_MNEMONIC_POPCNT:
    case ZYDIS_MNEMONIC_LZCNT:
    case ZYDIS_MNEMONIC_TZCNT:
    case ZYDIS_MNEMONIC_MOVBE:
    case ZYDIS_MNEMONIC_RDRAND:
    case ZYDIS_MNEMONIC_RDSEED:
    case ZYDIS_MNEMONIC_CRC32: return true;
    default: return false;
    }
}

/*
 * Only the prefixes that decide: the guest's may fill an instruction up to 15 bytes, and the host's
 * must not get longer. (66h of an operand size depends on the guest's default, too.)
 */
static void put_legacy_prefixes(struct emitter *e, const struct shape *s,
                                const struct x86_insn *insn)
{
    const ZydisDecodedInstruction *info = &insn->info;
    unsigned prefix = x86_mandatory_prefix(info), width = info->operand_width;

    if (info->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT) /* x87: no prefix means anything */
        return;
    if (info->mnemonic == ZYDIS_MNEMONIC_CRC32)
        width = insn->op[1].size;
    if (native_has_operand_size(info->mnemonic) && width == 16)
        put8(e, 0x66);
    if (prefix && !s->strip_rep)
        put8(e, prefix);
}

static void put_legacy(struct emitter *e, const struct shape *s, const struct x86_insn *insn)
{
    const ZydisDecodedInstruction *info = &insn->info;
    unsigned rex =
        (info->raw.rex.W ? REX_W : 0) | (s->reg >> 3) << 2 | (s->memory ? 0 : (unsigned)s->rm >> 3);

    put_legacy_prefixes(e, s, insn);
    if (rex)
        put8(e, REX_BASE | rex);
    if (info->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
        put8(e, 0x0f);
    if (info->opcode_map == ZYDIS_OPCODE_MAP_0F38)
        put8(e, 0x38);
    else if (info->opcode_map == ZYDIS_OPCODE_MAP_0F3A)
        put8(e, 0x3a);
    put8(e, info->opcode);
}

/* VEX.W selects a 64-bit general operand here, which exists in 64-bit mode only. */
static bool vex_w_is_operand_size(const ZydisDecodedInstruction *info)
{
    switch (info->opcode_map << 8 | info->opcode) {
    case ZYDIS_OPCODE_MAP_0F << 8 | 0x2a:
    case ZYDIS_OPCODE_MAP_0F << 8 | 0x2c:
    case ZYDIS_OPCODE_MAP_0F << 8 | 0x2d:
    case ZYDIS_OPCODE_MAP_0F << 8 | 0x6e:
    case ZYDIS_OPCODE_MAP_0F << 8 | 0x7e:
    case ZYDIS_OPCODE_MAP_0F38 << 8 | 0xf2:
    case ZYDIS_OPCODE_MAP_0F38 << 8 | 0xf3:
    case ZYDIS_OPCODE_MAP_0F38 << 8 | 0xf5:
    case ZYDIS_OPCODE_MAP_0F38 << 8 | 0xf6:
    case ZYDIS_OPCODE_MAP_0F38 << 8 | 0xf7:
    case ZYDIS_OPCODE_MAP_0F3A << 8 | 0x16:
    case ZYDIS_OPCODE_MAP_0F3A << 8 | 0x22:
    case ZYDIS_OPCODE_MAP_0F3A << 8 | 0x60:
    case ZYDIS_OPCODE_MAP_0F3A << 8 | 0x61:
    case ZYDIS_OPCODE_MAP_0F3A << 8 | 0xf0: return true;
    default: return false;
    }
}

bool native_vex_w(const ZydisDecodedInstruction *info)
{
    return info->raw.vex.W &&
           (info->machine_mode == ZYDIS_MACHINE_MODE_LONG_64 || !vex_w_is_operand_size(info));
}

static void put_vex(struct emitter *e, const struct shape *s, const struct x86_insn *insn)
{
    const ZydisDecodedInstruction *info = &insn->info;
    unsigned w = native_vex_w(info) ? 0x80 : 0;
    unsigned no_r = s->reg < 8 ? 0x80 : 0;
    unsigned no_b = s->memory || s->rm < 8 ? 0x20 : 0;

    put8(e, 0xc4);
    put8(e, no_r | 0x40 | no_b | info->raw.vex.m_mmmm);
    put8(e, w | (~(unsigned)s->vvvv & 0xf) << 3 | (info->raw.vex.L ? 4u : 0) | info->raw.vex.pp);
    put8(e, info->opcode);
}

static void put_instruction(struct emitter *e, const struct shape *s, const struct x86_insn *insn)
{
    const ZydisDecodedInstruction *info = &insn->info;

    if (s->vex)
        put_vex(e, s, insn);
    else
        put_legacy(e, s, insn);
    if (info->attributes & ZYDIS_ATTRIB_HAS_MODRM)
        put8(e, (s->memory ? MODRM_MEM_RSI : 0xc0u | (s->rm & 7)) | (s->reg & 7) << 3);
    if (s->has_is4)
        put8(e, (unsigned)s->is4 << 4);
    else
        for (unsigned i = 0; i < info->raw.imm[0].size / 8u; i++)
            put8(e, info->raw.imm[0].value.u >> (8 * i) & 0xff);
}

static void put_stub(struct emitter *e, const struct shape *s, const struct x86_insn *insn)
{
    const ZydisAccessedFlags *flags = insn->info.cpu_flags;
    uint32_t changed = 0, read = 0;

    if (flags) {
        changed =
            (flags->modified | flags->set_0 | flags->set_1 | flags->undefined) & X86_FLAGS_ARITH;
        read = flags->tested & X86_FLAGS_ARITH;
    }
    /* What the instruction does not define stays as it was on the way through. */
    if (read || (changed && (changed != X86_FLAGS_ARITH || flags->undefined)))
        put_flags_load(e);
    for (unsigned i = 0; i < s->gprs; i++)
        put_gpr_load(e, &s->gpr[i]);
    for (unsigned i = 0; i < s->vectors; i++)
        if (s->vector[i].load)
            put_vector_move(e, &s->vector[i], s->vex, false);
    put_instruction(e, s, insn);
    /* Backwards, so that of two equal results (MULX) the first operand's stands. */
    for (unsigned i = s->gprs; i-- > 0;)
        if (s->gpr[i].store)
            put_gpr_store(e, &s->gpr[i]);
    for (unsigned i = s->vectors; i-- > 0;)
        if (s->vector[i].store)
            put_vector_move(e, &s->vector[i], s->vex, true);
    if (changed)
        put_flags_store(e);
    if (s->vex && s->vectors) { /* VZEROUPPER: C code is legacy SSE */
        put8(e, 0xc5);
        put8(e, 0xf8);
        put8(e, 0x77);
    }
    put8(e, 0x31); /* XOR EAX, EAX */
    put8(e, 0xc0);
    put8(e, 0xc3); /* RET */
}

native_stub_fn native_emit(struct native *native, const struct x86_insn *insn, bool strip_rep)
{
    struct emitter e = {.len = 0};
    struct shape shape;

    if (!shape_init(&shape, insn, strip_rep))
        return NULL;
    put_stub(&e, &shape, insn);
    return native_stub_add(native, e.code, e.len);
}

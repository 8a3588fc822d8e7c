/*
 * What the interpreter gives to a stub (soft/native*.c) runs here in line: vector instructions on
 * the guest's vector registers under their own numbers (vector_state.c), and those on general
 * registers that insn.c does not know: VEX, MOVBE, CRC32, ADCX and ADOX. Which instructions may run
 * so is native_bind.c's to decide; this file finds places for their general registers and refuses
 * what has too many in memory.
 * Source: SDM 2.
 */
#include "engine/dbt/internal.h"
#include "engine/soft/native.h"

#define REX_W_SIZE 8

/* A general register that the instruction names. */
struct gpr {
    unsigned guest, host;
    bool used;
    bool load, store; /* from memory and back, when host is no register of the guest's */
};

struct parts {
    enum native_kind kind;
    struct gpr reg, rm, vvvv; /* explicit ones by where they are encoded */
    bool rax;                 /* an implied operand */
    unsigned reg_number, rm_number, vvvv_number;
    int is4; /* a vector register in the immediate, or -1 */
    const ZydisDecodedOperand *memory;
};

static bool is_written(const ZydisDecodedOperand *operand)
{
    return operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
}

static bool add_gpr(struct parts *p, const ZydisDecodedOperand *operand)
{
    bool high;
    unsigned guest = x86_register_number(operand->reg.value, &high);
    struct gpr *gpr;

    if (high)
        return false;
    switch (operand->encoding) {
    case ZYDIS_OPERAND_ENCODING_MODRM_REG: gpr = &p->reg; break;
    case ZYDIS_OPERAND_ENCODING_MODRM_RM: gpr = &p->rm; break;
    case ZYDIS_OPERAND_ENCODING_NDSNDD: gpr = &p->vvvv; break;
    default:
        /* RCX and RDX are themselves. */
        p->rax |= guest == X86_RAX;
        return guest == X86_RAX || guest == X86_RCX || guest == X86_RDX;
    }
    *gpr = (struct gpr){
        .guest = guest,
        .host = dbt_host_reg[guest],
        .used = true,
        .load = (operand->actions & ZYDIS_OPERAND_ACTION_MASK_READ) || operand->size < 32,
        .store = is_written(operand),
    };
    return true;
}

static bool add_vector(struct parts *p, const ZydisDecodedOperand *operand)
{
    unsigned number = (unsigned)(uint8_t)ZydisRegisterGetId(operand->reg.value);

    if (number > 15)
        return false;
    switch (operand->encoding) {
    case ZYDIS_OPERAND_ENCODING_MODRM_REG: p->reg_number = number; return true;
    case ZYDIS_OPERAND_ENCODING_MODRM_RM: p->rm_number = number; return true;
    case ZYDIS_OPERAND_ENCODING_NDSNDD: p->vvvv_number = number; return true;
    case ZYDIS_OPERAND_ENCODING_IS4: p->is4 = (int)number; return true;
    default: return operand->encoding == ZYDIS_OPERAND_ENCODING_NONE;
    }
}

static bool add_register(struct parts *p, const ZydisDecodedOperand *operand)
{
    switch (ZydisRegisterGetClass(operand->reg.value)) {
    case ZYDIS_REGCLASS_GPR8:
    case ZYDIS_REGCLASS_GPR16:
    case ZYDIS_REGCLASS_GPR32:
    case ZYDIS_REGCLASS_GPR64: return add_gpr(p, operand);
    case ZYDIS_REGCLASS_XMM:
    case ZYDIS_REGCLASS_YMM: return add_vector(p, operand);
    case ZYDIS_REGCLASS_FLAGS: return true;
    default: return operand->reg.value == ZYDIS_REGISTER_MXCSR;
    }
}

static bool add_operand(struct parts *p, const struct x86_insn *insn,
                        const ZydisDecodedOperand *operand)
{
    switch (operand->type) {
    case ZYDIS_OPERAND_TYPE_IMMEDIATE: return true;
    case ZYDIS_OPERAND_TYPE_REGISTER: return add_register(p, operand);
    case ZYDIS_OPERAND_TYPE_MEMORY:
        p->memory = operand;
        return operand->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM &&
               operand->mem.type == ZYDIS_MEMOP_TYPE_MEM && memory_known(insn, operand);
    default: return false;
    }
}

/*
 * Where registers go that live in memory. ModRM.rm is read there, and written through PLACE, which
 * is free then: nothing that writes ModRM.rm has a register in VEX.vvvv.
 */
static bool find_places(struct parts *p)
{
    if (p->reg.used && p->reg.host == HOST_NONE) {
        if (p->rax)
            return false;
        p->reg.host = SCRATCH;
    }
    if (p->rm.used && p->rm.host == HOST_NONE && p->rm.store)
        p->rm.host = PLACE;
    if (p->vvvv.used && p->vvvv.host == HOST_NONE) {
        bool place_taken = p->memory || p->rm.host == PLACE;
        bool scratch_taken = p->rax || (p->reg.used && p->reg.host == SCRATCH);

        if (place_taken && scratch_taken)
            return false;
        p->vvvv.host = place_taken ? SCRATCH : PLACE;
    }
    return true;
}

static bool parts_init(struct parts *p, const struct translator *t)
{
    const struct x86_insn *insn = t->insn;

    *p = (struct parts){
        .kind = native_kind(t->op), .is4 = -1, .reg_number = insn->info.raw.modrm.reg};
    if (insn->info.mnemonic == ZYDIS_MNEMONIC_MOVBE) /* the interpreter's own */
        p->kind = NATIVE_KIND_GENERAL;
    if (p->kind == NATIVE_KIND_OTHER)
        return false;
    switch (insn->info.mnemonic) {
    case ZYDIS_MNEMONIC_TZCNT: /* insn.c's, and bit scans where the model lacks them */
    case ZYDIS_MNEMONIC_LZCNT:
    case ZYDIS_MNEMONIC_POPCNT: return false;
    case ZYDIS_MNEMONIC_VZEROUPPER:
    case ZYDIS_MNEMONIC_VZEROALL:
        /* Whatever registers Zydis names. Outside of 64-bit mode it is only half of them. */
        return insn->info.machine_mode == ZYDIS_MACHINE_MODE_LONG_64;
    default: break;
    }
    for (unsigned i = 0; i < insn->info.operand_count; i++) {
        if (!add_operand(p, insn, &insn->op[i]))
            return false;
    }
    return find_places(p);
}

/* The operand size as struct encoding has it; 4 also where there is none. */
static unsigned operand_bytes(const struct x86_insn *insn, bool wide)
{
    const ZydisDecodedInstruction *info = &insn->info;
    unsigned width =
        info->mnemonic == ZYDIS_MNEMONIC_CRC32 ? insn->op[1].size : info->operand_width;

    if (wide)
        return REX_W_SIZE;
    return native_has_operand_size(info->mnemonic) && width == 16 ? 2 : 4;
}

static struct encoding encoding_of(const struct parts *p, const struct x86_insn *insn)
{
    static const uint8_t prefixes[] = {0, 0x66, 0xf3, 0xf2};
    const ZydisDecodedInstruction *info = &insn->info;
    bool vex = info->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
    struct encoding encoding = {
        .map = encoding_map(info),
        .opcode = info->opcode,
        .prefix = vex ? prefixes[info->raw.vex.pp] : x86_mandatory_prefix(info),
        .size = (uint8_t)operand_bytes(insn, vex ? native_vex_w(info) : info->raw.rex.W),
        .imm = info->raw.imm[0].value.u,
        .imm_bytes = info->raw.imm[0].size / 8,
        .vex = vex,
        .vex_256 = vex && info->raw.vex.L,
        .vvvv = (uint8_t)(p->vvvv.used ? p->vvvv.host : p->vvvv_number),
        /* CRC32 of SIL and the like */
        .byte_rm = p->rm.used && info->mnemonic == ZYDIS_MNEMONIC_CRC32 && insn->op[1].size == 8,
    };

    if (p->is4 >= 0) {
        encoding.imm = (unsigned)p->is4 << 4;
        encoding.imm_bytes = 1;
    }
    return encoding;
}

static struct rm rm_of(const struct parts *p)
{
    if (p->memory)
        return rm_at(PLACE, 0);
    if (!p->rm.used)
        return rm_reg(p->rm_number);
    return p->rm.host == HOST_NONE ? rm_guest(p->rm.guest) : rm_reg(p->rm.host);
}

static bool is_spare(const struct gpr *gpr)
{
    return gpr->used && (gpr->host == SCRATCH || gpr->host == PLACE);
}

static void load_gpr(struct translator *t, const struct gpr *gpr)
{
    if (is_spare(gpr) && gpr->load)
        emit_load(&t->e, gpr->host, rm_guest(gpr->guest));
}

static void store_gpr(struct translator *t, const struct gpr *gpr)
{
    if (is_spare(gpr) && gpr->store)
        emit_store(&t->e, rm_guest(gpr->guest), gpr->host);
}

static void emit_instruction(struct translator *t, const struct parts *p)
{
    struct encoding encoding = encoding_of(p, t->insn);

    if (t->insn->info.attributes & ZYDIS_ATTRIB_HAS_MODRM) {
        emit_modrm(&t->e, &encoding, p->reg.used ? p->reg.host : p->reg_number, rm_of(p));
        return;
    }
    emit8(&t->e, 0xc5); /* VZEROUPPER and VZEROALL are all there are */
    emit8(&t->e, encoding.vex_256 ? 0xfc : 0xf8);
    emit8(&t->e, 0x77);
}

static void emit_memory(struct translator *t, const struct parts *p)
{
    memory_operand(t, p->memory, t->op->size, is_written(p->memory));
    if (p->kind != NATIVE_KIND_VECTOR || !t->op->src2)
        return;
    /* #GP when misaligned; a page and where it lies on the host are aligned alike. TEST */
    emit_op_imm(&t->e, 0xf7, 4, 0, rm_reg(PLACE), t->op->src2, 4);
    slow_path(t, emit_jcc(&t->e, CC_NE));
}

/* As flags_used, but here Zydis is believed when it calls all flags defined. */
static enum flag_use flag_use_of(const struct x86_insn *insn)
{
    const ZydisAccessedFlags *flags = insn->info.cpu_flags;

    if (flags && !flags->undefined && !(flags->tested & X86_FLAGS_ARITH) &&
        ((flags->modified | flags->set_0 | flags->set_1) & X86_FLAGS_ARITH) == X86_FLAGS_ARITH)
        return FLAG_USE_WRITE;
    return flags_used(insn);
}

bool vector_emit(struct translator *t)
{
    enum flag_use use = flag_use_of(t->insn);
    struct parts p;
    unsigned first;

    if (!parts_init(&p, t))
        return false;
    if (p.kind == NATIVE_KIND_VECTOR)
        vectors_need(t, t->op->cc);
    first = t->slows;
    if (p.memory)
        emit_memory(t, &p);
    if (use == FLAG_USE_READ || use == FLAG_USE_CHANGE)
        flags_need(t);
    if (p.rax)
        emit_move(&t->e, SCRATCH, dbt_host_reg[X86_RAX]);
    load_gpr(t, &p.reg);
    load_gpr(t, &p.rm);
    load_gpr(t, &p.vvvv);
    emit_instruction(t, &p);
    /* Of two equal results (MULX) the first operand's stands. */
    store_gpr(t, &p.vvvv);
    store_gpr(t, &p.rm);
    store_gpr(t, &p.reg);
    if (use == FLAG_USE_WRITE || use == FLAG_USE_CHANGE)
        flags_written(t);
    slow_paths_resume(t, first);
    return true;
}

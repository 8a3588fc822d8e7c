/*
 * Safe instructions: the host runs the same one on the guest's registers where they are, or on the
 * operand that memory.c has found. Everything that is not named here is the interpreter's.
 * Source: SDM 2.
 */
#include "engine/dbt/internal.h"

#include "x86/cpuid.h"

/* How an instruction is emitted. */
enum shape {
    SHAPE_UNKNOWN,
    SHAPE_NOTHING,     /* a hint */
    SHAPE_MODRM,       /* ModRM with registers, memory and immediates */
    SHAPE_ACCUMULATOR, /* the same, and RAX is read and written beside them */
    SHAPE_RAX_IMM,     /* AL or eAX and an immediate, without ModRM */
    SHAPE_MOV_IMM,     /* a register in the opcode, and an immediate */
    SHAPE_SIGN,        /* CBW, CWD and theirs */
    SHAPE_FLAG,        /* one byte that changes CF */
    SHAPE_BSWAP,
    SHAPE_PUSH,
    SHAPE_POP,
    SHAPE_LEA,
    SHAPE_LEAVE,
};

static enum shape modrm_or(const struct x86_insn *insn, enum shape other)
{
    return insn->info.attributes & ZYDIS_ATTRIB_HAS_MODRM ? SHAPE_MODRM : other;
}

static enum shape shape_of(const struct translator *t)
{
    const struct x86_insn *insn = t->insn;
    const struct cpu_model *model = t->cpu->model;

    if (insn->info.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
        return SHAPE_UNKNOWN;
    switch (insn->info.mnemonic) {
    case ZYDIS_MNEMONIC_NOP:
    case ZYDIS_MNEMONIC_ENDBR64: return SHAPE_NOTHING;
    case ZYDIS_MNEMONIC_ADD:
    case ZYDIS_MNEMONIC_OR:
    case ZYDIS_MNEMONIC_ADC:
    case ZYDIS_MNEMONIC_SBB:
    case ZYDIS_MNEMONIC_AND:
    case ZYDIS_MNEMONIC_SUB:
    case ZYDIS_MNEMONIC_XOR:
    case ZYDIS_MNEMONIC_CMP:
    case ZYDIS_MNEMONIC_TEST: return modrm_or(insn, SHAPE_RAX_IMM);
    case ZYDIS_MNEMONIC_MOV: return modrm_or(insn, SHAPE_MOV_IMM);
    case ZYDIS_MNEMONIC_BT:
    case ZYDIS_MNEMONIC_BTS:
    case ZYDIS_MNEMONIC_BTR:
    case ZYDIS_MNEMONIC_BTC:
        /* With a bit number in a register the operand is anywhere in memory. */
        return insn->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY &&
                       insn->op[1].type == ZYDIS_OPERAND_TYPE_REGISTER
                   ? SHAPE_UNKNOWN
                   : SHAPE_MODRM;
    case ZYDIS_MNEMONIC_IMUL:
        return insn->info.operand_count_visible == 1 ? SHAPE_ACCUMULATOR : SHAPE_MODRM;
    case ZYDIS_MNEMONIC_MUL:
    case ZYDIS_MNEMONIC_CMPXCHG: return SHAPE_ACCUMULATOR;
    case ZYDIS_MNEMONIC_POPCNT: return model->has[X86_FEATURE_POPCNT] ? SHAPE_MODRM : SHAPE_UNKNOWN;
    case ZYDIS_MNEMONIC_TZCNT: return model->has[X86_FEATURE_BMI1] ? SHAPE_MODRM : SHAPE_UNKNOWN;
    case ZYDIS_MNEMONIC_LZCNT: return model->has[X86_FEATURE_LZCNT] ? SHAPE_MODRM : SHAPE_UNKNOWN;
    case ZYDIS_MNEMONIC_XCHG: return modrm_or(insn, SHAPE_UNKNOWN);
    case ZYDIS_MNEMONIC_MOVZX:
    case ZYDIS_MNEMONIC_MOVSX:
    case ZYDIS_MNEMONIC_MOVSXD:
    case ZYDIS_MNEMONIC_INC:
    case ZYDIS_MNEMONIC_DEC:
    case ZYDIS_MNEMONIC_NEG:
    case ZYDIS_MNEMONIC_NOT:
    case ZYDIS_MNEMONIC_SHL:
    case ZYDIS_MNEMONIC_SHR:
    case ZYDIS_MNEMONIC_SAR:
    case ZYDIS_MNEMONIC_ROL:
    case ZYDIS_MNEMONIC_ROR:
    case ZYDIS_MNEMONIC_RCL:
    case ZYDIS_MNEMONIC_RCR:
    case ZYDIS_MNEMONIC_SHLD:
    case ZYDIS_MNEMONIC_SHRD:
    case ZYDIS_MNEMONIC_BSF:
    case ZYDIS_MNEMONIC_BSR:
    case ZYDIS_MNEMONIC_XADD: return SHAPE_MODRM;
    case ZYDIS_MNEMONIC_CBW:
    case ZYDIS_MNEMONIC_CWDE:
    case ZYDIS_MNEMONIC_CDQE:
    case ZYDIS_MNEMONIC_CWD:
    case ZYDIS_MNEMONIC_CDQ:
    case ZYDIS_MNEMONIC_CQO: return SHAPE_SIGN;
    case ZYDIS_MNEMONIC_CLC:
    case ZYDIS_MNEMONIC_STC:
    case ZYDIS_MNEMONIC_CMC: return SHAPE_FLAG;
    case ZYDIS_MNEMONIC_BSWAP: return SHAPE_BSWAP;
    case ZYDIS_MNEMONIC_PUSH: return SHAPE_PUSH;
    case ZYDIS_MNEMONIC_POP: return SHAPE_POP;
    case ZYDIS_MNEMONIC_LEA: return SHAPE_LEA;
    case ZYDIS_MNEMONIC_LEAVE: return SHAPE_LEAVE;
    default: break;
    }
    /* SETcc and CMOVcc. */
    if (insn->info.opcode_map == ZYDIS_OPCODE_MAP_0F &&
        ((insn->info.opcode & 0xf0) == 0x90 || (insn->info.opcode & 0xf0) == 0x40))
        return SHAPE_MODRM;
    return SHAPE_UNKNOWN;
}

/* The guest number of a general register, or -1: AH to BH, and what is no general register. */
static int guest_register(ZydisRegister reg)
{
    bool high;
    unsigned number;

    switch (ZydisRegisterGetClass(reg)) {
    case ZYDIS_REGCLASS_GPR8:
    case ZYDIS_REGCLASS_GPR16:
    case ZYDIS_REGCLASS_GPR32:
    case ZYDIS_REGCLASS_GPR64:
        number = x86_register_number(reg, &high);
        return high ? -1 : (int)number;
    default: return -1;
    }
}

/* The operands of an instruction with ModRM. */
struct operands {
    const ZydisDecodedOperand *reg, *rm; /* reg: NULL when ModRM.reg extends the opcode */
};

static bool written(const ZydisDecodedOperand *operand)
{
    return operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
}

/* Whether what is there before matters; a bit scan that finds nothing leaves it. */
static bool kept(const struct x86_insn *insn, const ZydisDecodedOperand *operand)
{
    return operand->size < 32 || !(operand->actions & ZYDIS_OPERAND_ACTION_WRITE) ||
           (operand->actions & ZYDIS_OPERAND_ACTION_MASK_READ) ||
           insn->info.mnemonic == ZYDIS_MNEMONIC_BSF || insn->info.mnemonic == ZYDIS_MNEMONIC_BSR;
}

static bool find_operands(const struct translator *t, struct operands *out)
{
    const struct x86_insn *insn = t->insn;

    *out = (struct operands){NULL, NULL};
    for (unsigned i = 0; i < insn->info.operand_count; i++) {
        const ZydisDecodedOperand *operand = &insn->op[i];

        switch (operand->type) {
        case ZYDIS_OPERAND_TYPE_MEMORY:
            if (operand->encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM ||
                !memory_known(insn, operand))
                return false;
            out->rm = operand;
            break;
        case ZYDIS_OPERAND_TYPE_REGISTER:
            if (operand->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM)
                out->rm = operand;
            else if (operand->encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG)
                out->reg = operand;
            else
                break; /* flags, CL, RAX */
            if (guest_register(operand->reg.value) < 0)
                return false;
            break;
        case ZYDIS_OPERAND_TYPE_IMMEDIATE: break;
        default: return false;
        }
    }
    return out->rm;
}

static struct encoding encoding_of(const struct x86_insn *insn)
{
    const ZydisDecodedInstruction *info = &insn->info;
    struct encoding encoding = {
        .opcode = info->opcode,
        .size = info->operand_width == 8 ? 4 : (uint8_t)(info->operand_width / 8),
        .lock = info->attributes & ZYDIS_ATTRIB_HAS_LOCK,
        .imm = info->raw.imm[0].value.u,
        .imm_bytes = info->raw.imm[0].size / 8,
    };

    switch (info->opcode_map) {
    case ZYDIS_OPCODE_MAP_0F: encoding.map = 1; break;
    case ZYDIS_OPCODE_MAP_0F38: encoding.map = 2; break;
    case ZYDIS_OPCODE_MAP_0F3A: encoding.map = 3; break;
    default: break;
    }
    switch (info->mnemonic) {
    case ZYDIS_MNEMONIC_POPCNT:
    case ZYDIS_MNEMONIC_TZCNT:
    case ZYDIS_MNEMONIC_LZCNT: encoding.prefix = 0xf3; break;
    default: break;
    }
    return encoding;
}

/* The register in ModRM.reg on the host; one that lives in memory comes to SCRATCH. */
static unsigned begin_reg(struct translator *t, const ZydisDecodedOperand *operand)
{
    unsigned guest = (unsigned)guest_register(operand->reg.value);

    if (dbt_host_reg[guest] != HOST_NONE)
        return dbt_host_reg[guest];
    if (kept(t->insn, operand))
        emit_load(&t->e, SCRATCH, rm_guest(guest));
    return SCRATCH;
}

static void end_reg(struct translator *t, const ZydisDecodedOperand *operand)
{
    unsigned guest = (unsigned)guest_register(operand->reg.value);

    if (dbt_host_reg[guest] == HOST_NONE && written(operand))
        emit_store(&t->e, rm_guest(guest), SCRATCH);
}

/* Bit tests in memory by a register go beyond the operand: then it must be a register. */
static bool wants_register(const struct x86_insn *insn)
{
    switch (insn->info.mnemonic) {
    case ZYDIS_MNEMONIC_BT:
    case ZYDIS_MNEMONIC_BTS:
    case ZYDIS_MNEMONIC_BTR:
    case ZYDIS_MNEMONIC_BTC: return true;
    default: return false;
    }
}

/* A register in ModRM.rm. One in memory is used there, unless 32 bits must clear the upper half. */
static struct rm begin_rm(struct translator *t, const ZydisDecodedOperand *operand)
{
    unsigned guest = (unsigned)guest_register(operand->reg.value);

    if (dbt_host_reg[guest] != HOST_NONE)
        return rm_reg(dbt_host_reg[guest]);
    if (!wants_register(t->insn) && (!written(operand) || operand->size != 32))
        return rm_guest(guest);
    if (kept(t->insn, operand))
        emit_load(&t->e, PLACE, rm_guest(guest));
    return rm_reg(PLACE);
}

static void end_rm(struct translator *t, const ZydisDecodedOperand *operand, struct rm rm)
{
    unsigned guest = (unsigned)guest_register(operand->reg.value);

    if (rm.kind == RM_REG && rm.base == PLACE && written(operand))
        emit_store(&t->e, rm_guest(guest), PLACE);
}

static void emit_with_operands(struct translator *t, const struct operands *o, bool accumulator)
{
    enum flag_use use = flags_used(t->insn);
    struct encoding encoding = encoding_of(t->insn);
    bool memory = o->rm->type == ZYDIS_OPERAND_TYPE_MEMORY;
    unsigned reg = t->insn->info.raw.modrm.reg;
    struct rm rm;

    if (memory)
        memory_operand(t, o->rm, o->rm->size / 8, written(o->rm));
    if (use == FLAG_USE_READ || use == FLAG_USE_CHANGE)
        flags_need(t);
    rm = memory ? rm_at(PLACE, 0) : begin_rm(t, o->rm);
    if (accumulator)
        emit_move(&t->e, SCRATCH, dbt_host_reg[X86_RAX]);
    if (o->reg)
        reg = begin_reg(t, o->reg);
    encoding.byte_rm = o->rm->size == 8;
    encoding.byte_reg = o->reg && o->reg->size == 8;
    emit_modrm(&t->e, &encoding, reg, rm);
    if (accumulator)
        emit_move(&t->e, dbt_host_reg[X86_RAX], SCRATCH);
    if (o->reg)
        end_reg(t, o->reg);
    if (!memory)
        end_rm(t, o->rm, rm);
    if (use == FLAG_USE_WRITE || use == FLAG_USE_CHANGE)
        flags_written(t);
}

/* Whether a register that does not stay in its place would be written in two ways. */
static bool clashes(const struct operands *o, bool accumulator)
{
    int reg = guest_register(o->reg->reg.value), rm = guest_register(o->rm->reg.value);

    if (accumulator)
        return rm == X86_RAX;
    return reg == rm && dbt_host_reg[reg] == HOST_NONE && written(o->reg) && written(o->rm);
}

static bool emit_with_modrm(struct translator *t, bool accumulator)
{
    struct operands o;

    if (!find_operands(t, &o))
        return false;
    if (o.reg && o.rm->type == ZYDIS_OPERAND_TYPE_REGISTER && clashes(&o, accumulator))
        return false;
    if (accumulator && o.reg && dbt_host_reg[guest_register(o.reg->reg.value)] == HOST_NONE)
        return false; /* CMPXCHG: both scratch registers are taken */
    emit_with_operands(t, &o, accumulator);
    return true;
}

/* 04, 05, ... A8, A9: as 80 /n, 81 /n, F6 /0, F7 /0 on RAX where it lives. */
static bool emit_rax_imm(struct translator *t)
{
    struct encoding encoding = encoding_of(t->insn);
    unsigned opcode = t->insn->info.opcode, digit = opcode >> 3 & 7;
    bool test = (opcode & ~1u) == 0xa8;
    enum flag_use use = flags_used(t->insn);

    if (t->insn->info.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT || (!test && (opcode & 0xc6) != 0x04))
        return false;
    if (use != FLAG_USE_WRITE)
        flags_need(t);
    encoding.opcode = (uint8_t)((test ? 0xf6 : 0x80) | (opcode & 1));
    encoding.byte_rm = !(opcode & 1);
    emit_modrm(&t->e, &encoding, test ? 0 : digit, rm_reg(dbt_host_reg[X86_RAX]));
    flags_written(t);
    return true;
}

static bool emit_mov_imm(struct translator *t)
{
    unsigned opcode = t->insn->info.opcode, size = t->insn->op[0].size;
    uint64_t value = t->insn->op[1].imm.value.u;
    int guest = guest_register(t->insn->op[0].reg.value);
    unsigned host;
    struct rm rm;

    if (t->insn->info.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT || opcode < 0xb0 || opcode > 0xbf ||
        guest < 0)
        return false;
    host = dbt_host_reg[guest];
    if (size >= 32) {
        if (size == 32)
            value = (uint32_t)value;
        emit_constant(&t->e, host == HOST_NONE ? SCRATCH : host, value);
        if (host == HOST_NONE)
            emit_store(&t->e, rm_guest((unsigned)guest), SCRATCH);
        return true;
    }
    rm = host == HOST_NONE ? rm_guest((unsigned)guest) : rm_reg(host);
    emit_modrm(&t->e,
               &(struct encoding){.opcode = size == 8 ? 0xc6 : 0xc7,
                                  .size = (uint8_t)(size / 8),
                                  .byte_rm = size == 8,
                                  .imm = value,
                                  .imm_bytes = (uint8_t)(size / 8)},
               0, rm);
    return true;
}

static bool emit_sign(struct translator *t)
{
    unsigned rax = dbt_host_reg[X86_RAX];

    emit_move(&t->e, SCRATCH, rax);
    if (t->insn->info.operand_width == 16)
        emit8(&t->e, 0x66);
    if (t->insn->info.operand_width == 64)
        emit8(&t->e, 0x48);
    emit8(&t->e, t->insn->info.opcode);
    if (t->insn->info.opcode == 0x98)
        emit_move(&t->e, rax, SCRATCH);
    return true;
}

static bool emit_flag(struct translator *t)
{
    flags_need(t);
    emit8(&t->e, t->insn->info.opcode);
    flags_written(t);
    return true;
}

static bool emit_bswap(struct translator *t)
{
    int guest = guest_register(t->insn->op[0].reg.value);
    unsigned width = t->insn->op[0].size, host;

    if (guest < 0 || width < 32)
        return false;
    host = dbt_host_reg[guest];
    if (host == HOST_NONE) {
        host = SCRATCH;
        emit_load(&t->e, host, rm_guest((unsigned)guest));
    }
    emit8(&t->e, 0x40 | (width == 64 ? 8 : 0) | host >> 3);
    emit8(&t->e, 0x0f);
    emit8(&t->e, 0xc8 | (host & 7));
    if (host == SCRATCH)
        emit_store(&t->e, rm_guest((unsigned)guest), SCRATCH);
    return true;
}

static bool emit_push(struct translator *t)
{
    const ZydisDecodedOperand *operand = &t->insn->op[0];
    unsigned rsp = dbt_host_reg[X86_RSP], host = HOST_NONE;
    int guest = -1;

    if (t->insn->info.operand_width != 64)
        return false;
    if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER) {
        guest = guest_register(operand->reg.value);
        if (guest < 0)
            return false;
        host = dbt_host_reg[guest];
    } else if (operand->type != ZYDIS_OPERAND_TYPE_IMMEDIATE) {
        return false;
    }
    memory_at(t, rsp, -8, 8, true);
    if (guest < 0) {
        emit_op_imm(&t->e, 0xc7, 8, 0, rm_at(PLACE, 0), operand->imm.value.u, 4);
    } else {
        if (host == HOST_NONE)
            emit_load(&t->e, SCRATCH, rm_guest((unsigned)guest));
        emit_store(&t->e, rm_at(PLACE, 0), host == HOST_NONE ? SCRATCH : host);
    }
    emit_lea(&t->e, rsp, rm_at(rsp, -8));
    return true;
}

static bool emit_pop(struct translator *t)
{
    const ZydisDecodedOperand *operand = &t->insn->op[0];
    unsigned rsp = dbt_host_reg[X86_RSP];
    int guest;

    if (t->insn->info.operand_width != 64 || operand->type != ZYDIS_OPERAND_TYPE_REGISTER)
        return false;
    guest = guest_register(operand->reg.value);
    if (guest < 0)
        return false;
    memory_at(t, rsp, 0, 8, false);
    emit_lea(&t->e, rsp, rm_at(rsp, 8));
    if (dbt_host_reg[guest] == HOST_NONE) {
        emit_load(&t->e, SCRATCH, rm_at(PLACE, 0));
        emit_store(&t->e, rm_guest((unsigned)guest), SCRATCH);
    } else {
        emit_load(&t->e, dbt_host_reg[guest], rm_at(PLACE, 0));
    }
    return true;
}

static bool emit_lea_insn(struct translator *t)
{
    const ZydisDecodedOperand *from = &t->insn->op[1];
    int guest = guest_register(t->insn->op[0].reg.value);
    unsigned width = t->insn->op[0].size;
    unsigned to;

    if (guest < 0 || width < 32 || !memory_known(t->insn, from))
        return false;
    to = dbt_host_reg[guest];
    memory_offset(t, from);
    if (to == HOST_NONE) {
        if (width == 32)
            emit_op(&t->e, 0x8b, 4, PLACE, rm_reg(PLACE));
        emit_store(&t->e, rm_guest((unsigned)guest), PLACE);
    } else {
        emit_op(&t->e, 0x8b, width / 8, to, rm_reg(PLACE));
    }
    return true;
}

static bool emit_leave_insn(struct translator *t)
{
    unsigned rsp = dbt_host_reg[X86_RSP], rbp = dbt_host_reg[X86_RBP];

    if (t->insn->info.operand_width != 64)
        return false;
    memory_at(t, rbp, 0, 8, false);
    emit_lea(&t->e, rsp, rm_at(rbp, 8));
    emit_load(&t->e, rbp, rm_at(PLACE, 0));
    return true;
}

bool insn_emit(struct translator *t)
{
    unsigned first = t->slows;
    bool done = true;

    switch (shape_of(t)) {
    case SHAPE_NOTHING: break;
    case SHAPE_MODRM: done = emit_with_modrm(t, false); break;
    case SHAPE_ACCUMULATOR: done = emit_with_modrm(t, true); break;
    case SHAPE_RAX_IMM: done = emit_rax_imm(t); break;
    case SHAPE_MOV_IMM: done = emit_mov_imm(t); break;
    case SHAPE_SIGN: done = emit_sign(t); break;
    case SHAPE_FLAG: done = emit_flag(t); break;
    case SHAPE_BSWAP: done = emit_bswap(t); break;
    case SHAPE_PUSH: done = emit_push(t); break;
    case SHAPE_POP: done = emit_pop(t); break;
    case SHAPE_LEA: done = emit_lea_insn(t); break;
    case SHAPE_LEAVE: done = emit_leave_insn(t); break;
    default: return false;
    }
    slow_paths_resume(t, first);
    return done;
}

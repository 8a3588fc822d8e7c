/*
 * Instructions with ModRM whose operands the host has where it finds them: registers, memory,
 * immediates. Refuses operands that are no general registers.
 * Source: SDM 2 "Instruction Format".
 */
#include "engine/dbt/fault.h"
#include "engine/dbt/insn.h"

int guest_register(ZydisRegister reg)
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

bool operand_written(const ZydisDecodedOperand *operand)
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

static bool is_high(ZydisRegister reg)
{
    return reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH;
}

bool find_operands(const struct translator *t, struct operands *out)
{
    const struct x86_insn *insn = t->insn;

    *out = (struct operands){NULL, NULL, false};
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
            if (is_high(operand->reg.value))
                out->high = true;
            else if (guest_register(operand->reg.value) < 0)
                return false;
            break;
        case ZYDIS_OPERAND_TYPE_IMMEDIATE: break;
        default: return false;
        }
    }
    return out->rm;
}

uint8_t encoding_map(const ZydisDecodedInstruction *info)
{
    switch (info->opcode_map) {
    case ZYDIS_OPCODE_MAP_0F: return 1;
    case ZYDIS_OPCODE_MAP_0F38: return 2;
    case ZYDIS_OPCODE_MAP_0F3A: return 3;
    default: return 0;
    }
}

struct encoding encoding_of(const struct x86_insn *insn)
{
    const ZydisDecodedInstruction *info = &insn->info;
    struct encoding encoding = {
        .map = encoding_map(info),
        .opcode = info->opcode,
        .size = info->operand_width == 8 ? 4 : (uint8_t)(info->operand_width / 8),
        .lock = info->attributes & ZYDIS_ATTRIB_HAS_LOCK,
        .imm = info->raw.imm[0].value.u,
        .imm_bytes = info->raw.imm[0].size / 8,
    };

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

    if (dbt_host_reg[guest] == HOST_NONE && operand_written(operand))
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
    if (!wants_register(t->insn) && (!operand_written(operand) || operand->size != 32))
        return rm_guest(guest);
    if (kept(t->insn, operand))
        emit_load(&t->e, PLACE, rm_guest(guest));
    return rm_reg(PLACE);
}

static void end_rm(struct translator *t, const ZydisDecodedOperand *operand, struct rm rm)
{
    unsigned guest = (unsigned)guest_register(operand->reg.value);

    if (rm.kind == RM_REG && rm.base == PLACE && operand_written(operand))
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
        memory_operand(t, o->rm, o->rm->size / 8, operand_written(o->rm));
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
    return reg == rm && dbt_host_reg[reg] == HOST_NONE && operand_written(o->reg) &&
           operand_written(o->rm);
}

/* Whether an operand is a part of RAX, which is in R10 and comes to SCRATCH. */
static bool in_rax(const ZydisDecodedOperand *operand)
{
    return operand && operand->type == ZYDIS_OPERAND_TYPE_REGISTER &&
           (operand->reg.value == ZYDIS_REGISTER_AH ||
            guest_register(operand->reg.value) == X86_RAX);
}

/* The number of an operand in an instruction without a REX prefix, RAX being in SCRATCH. */
static unsigned legacy_number(const ZydisDecodedOperand *operand)
{
    bool high;
    unsigned guest = x86_register_number(operand->reg.value, &high);

    if (high)
        return guest; /* HOST_AH to BH, as there */
    return guest == X86_RAX ? SCRATCH : dbt_host_reg[guest];
}

/*
 * AH, CH, DH and BH exist beside no REX prefix, so nothing here may want one: RAX comes to SCRATCH,
 * the others that such an instruction can name are where they are on the guest, but for RSP. An
 * address comes to SCRATCH too, or, where that is taken, changes places with RDX.
 */
static bool emit_high(struct translator *t, const struct operands *o, bool accumulator)
{
    enum flag_use use = flags_used(t->insn);
    struct encoding encoding = encoding_of(t->insn);
    bool memory = o->rm->type == ZYDIS_OPERAND_TYPE_MEMORY;
    bool rax = accumulator || in_rax(o->reg) || in_rax(o->rm);
    unsigned reg = o->reg ? legacy_number(o->reg) : t->insn->info.raw.modrm.reg;
    unsigned address = rax ? HOST_RDX : SCRATCH;

    if ((memory && accumulator) || reg >= HOST_R8)
        return false; /* CMPXCHG, which may want RDX; MOVZX to RSP */
    if (memory)
        memory_operand(t, o->rm, o->rm->size / 8, operand_written(o->rm));
    if (use == FLAG_USE_READ || use == FLAG_USE_CHANGE)
        flags_need(t);
    if (rax)
        emit_move(&t->e, SCRATCH, dbt_host_reg[X86_RAX]);
    if (memory)
        emit_op(&t->e, rax ? OPCODE_XCHG : OPCODE_LOAD, 8, address, rm_reg(PLACE));
    if (memory && rax)
        fault_note(t, t->op, FAULT_EXCHANGED);
    emit_modrm(&t->e, &encoding, reg, memory ? rm_at(address, 0) : rm_reg(legacy_number(o->rm)));
    if (memory && rax) {
        emit_op(&t->e, OPCODE_XCHG, 8, address, rm_reg(PLACE));
        fault_note(t, t->op, 0);
    }
    if (rax)
        emit_move(&t->e, dbt_host_reg[X86_RAX], SCRATCH);
    if (use == FLAG_USE_WRITE || use == FLAG_USE_CHANGE)
        flags_written(t);
    return true;
}

static bool emit_with_modrm(struct translator *t, bool accumulator)
{
    struct operands o;

    if (!find_operands(t, &o))
        return false;
    if (o.high)
        return emit_high(t, &o, accumulator);
    if (o.reg && o.rm->type == ZYDIS_OPERAND_TYPE_REGISTER && clashes(&o, accumulator))
        return false;
    if (accumulator && o.reg && dbt_host_reg[guest_register(o.reg->reg.value)] == HOST_NONE)
        return false; /* CMPXCHG: both scratch registers are taken */
    emit_with_operands(t, &o, accumulator);
    return true;
}

bool insn_modrm(struct translator *t)
{
    return emit_with_modrm(t, false);
}

bool insn_accumulator(struct translator *t)
{
    return emit_with_modrm(t, true);
}

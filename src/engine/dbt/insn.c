/*
 * Safe instructions: the host runs the same one on the guest's registers where they are, or on the
 * operand that memory.c has found. Here is which function emits what, and those without ModRM.
 * Everything that is not named here is the interpreter's.
 * Source: SDM 2.
 */
#include "engine/dbt/insn.h"

#include "x86/cpuid.h"

/* Hints, which the interpreter also does nothing for. */
static bool emit_nothing(struct translator *t)
{
    return true;
}

/* LFENCE, MFENCE, SFENCE. */
static bool emit_fence(struct translator *t)
{
    emit8(&t->e, 0x0f);
    emit8(&t->e, 0xae);
    emit8(&t->e, 0xc0 | t->insn->info.raw.modrm.reg << 3);
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

/* B4 to B7: AH to BH by C6 without a REX prefix. */
static bool emit_mov_high(struct translator *t, unsigned value)
{
    unsigned number = t->insn->info.opcode & 7;
    bool ah = number == HOST_AH;

    if (ah)
        emit_move(&t->e, SCRATCH, dbt_host_reg[X86_RAX]);
    emit_op_imm(&t->e, 0xc6, 4, 0, rm_reg(number), value, 1);
    if (ah)
        emit_move(&t->e, dbt_host_reg[X86_RAX], SCRATCH);
    return true;
}

static bool emit_mov_imm(struct translator *t)
{
    unsigned opcode = t->insn->info.opcode, size = t->insn->op[0].size;
    uint64_t value = t->insn->op[1].imm.value.u;
    int guest = guest_register(t->insn->op[0].reg.value);
    unsigned host;
    struct rm rm;

    if (t->insn->info.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT || opcode < 0xb0 || opcode > 0xbf)
        return false;
    if (guest < 0)
        return emit_mov_high(t, (uint8_t)value);
    host = dbt_host_reg[guest];
    if (size >= 32) {
        if (size == 32)
            value = (uint32_t)value;
        emit_constant(&t->e, host == HOST_NONE ? SCRATCH : host, value);
        if (host == HOST_NONE)
            emit_store(&t->e, rm_guest((unsigned)guest), SCRATCH);
        return true;
    }
    rm = rm_guest_now((unsigned)guest);
    emit_modrm(&t->e,
               &(struct encoding){.opcode = size == 8 ? 0xc6 : 0xc7,
                                  .size = (uint8_t)(size / 8),
                                  .byte_rm = size == 8,
                                  .imm = value,
                                  .imm_bytes = (uint8_t)(size / 8)},
               0, rm);
    return true;
}

/* A0 to A3: RAX and memory at an address that stands in the instruction. */
static bool emit_mov_absolute(struct translator *t)
{
    unsigned opcode = t->insn->info.opcode;
    bool store = opcode & 2;
    const ZydisDecodedOperand *memory = &t->insn->op[!store];
    struct encoding encoding = {.opcode = (uint8_t)(opcode & 1 ? OPCODE_LOAD : OPCODE_LOAD - 1),
                                .size = (uint8_t)(memory->size / 8),
                                .byte_reg = !(opcode & 1)};

    if (!memory_known(t->insn, memory))
        return false;
    memory_operand(t, memory, memory->size / 8, store);
    if (store)
        encoding.opcode -= 2;
    emit_modrm(&t->e, &encoding, dbt_host_reg[X86_RAX], rm_at(PLACE, 0));
    return true;
}

/* 40 to 4F, in 32-bit code: as FF /0 and FF /1. All registers there are in the host's. */
static bool emit_inc(struct translator *t)
{
    int guest = guest_register(t->insn->op[0].reg.value);

    flags_need(t);
    emit_op(&t->e, 0xff, t->insn->op[0].size / 8, t->insn->info.opcode >> 3 & 1,
            rm_reg(dbt_host_reg[guest]));
    flags_written(t);
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

static bool emit_lahf(struct translator *t)
{
    flags_need(t);
    emit_move(&t->e, SCRATCH, dbt_host_reg[X86_RAX]);
    emit8(&t->e, 0x9f);
    emit_move(&t->e, dbt_host_reg[X86_RAX], SCRATCH);
    return true;
}

/* OF stays. */
static bool emit_sahf(struct translator *t)
{
    flags_need(t);
    emit_move(&t->e, SCRATCH, dbt_host_reg[X86_RAX]);
    emit8(&t->e, 0x9e);
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

static bool emit_lea_operand(struct translator *t)
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
            emit_op(&t->e, OPCODE_LOAD, 4, PLACE, rm_reg(PLACE));
        emit_store(&t->e, rm_guest((unsigned)guest), PLACE);
    } else {
        emit_op(&t->e, OPCODE_LOAD, width / 8, to, rm_reg(PLACE));
    }
    return true;
}

static insn_fn modrm_or(const struct x86_insn *insn, insn_fn other)
{
    return insn->info.attributes & ZYDIS_ATTRIB_HAS_MODRM ? insn_modrm : other;
}

static insn_fn mov(const struct x86_insn *insn)
{
    const ZydisDecodedOperand *from = &insn->op[1];

    if (from->type == ZYDIS_OPERAND_TYPE_REGISTER &&
        ZydisRegisterGetClass(from->reg.value) == ZYDIS_REGCLASS_SEGMENT)
        return insn_from_segment;
    if (insn->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY || from->type == ZYDIS_OPERAND_TYPE_MEMORY)
        return modrm_or(insn, emit_mov_absolute);
    return modrm_or(insn, emit_mov_imm);
}

static insn_fn bit_test(const struct x86_insn *insn)
{
    return insn->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY &&
                   insn->op[1].type == ZYDIS_OPERAND_TYPE_REGISTER
               ? insn_bit_string
               : insn_modrm;
}

static insn_fn if_model_has(const struct translator *t, enum x86_feature feature)
{
    return t->cpu->model->has[feature] ? insn_modrm : NULL;
}

/* NULL: nobody. */
static insn_fn find_integer(const struct translator *t)
{
    const struct x86_insn *insn = t->insn;

    switch (insn->info.mnemonic) {
    case ZYDIS_MNEMONIC_ADD:
    case ZYDIS_MNEMONIC_OR:
    case ZYDIS_MNEMONIC_ADC:
    case ZYDIS_MNEMONIC_SBB:
    case ZYDIS_MNEMONIC_AND:
    case ZYDIS_MNEMONIC_SUB:
    case ZYDIS_MNEMONIC_XOR:
    case ZYDIS_MNEMONIC_CMP:
    case ZYDIS_MNEMONIC_TEST: return modrm_or(insn, emit_rax_imm);
    case ZYDIS_MNEMONIC_INC:
    case ZYDIS_MNEMONIC_DEC: return modrm_or(insn, emit_inc);
    case ZYDIS_MNEMONIC_MOV: return mov(insn);
    case ZYDIS_MNEMONIC_BT:
    case ZYDIS_MNEMONIC_BTS:
    case ZYDIS_MNEMONIC_BTR:
    case ZYDIS_MNEMONIC_BTC: return bit_test(insn);
    case ZYDIS_MNEMONIC_IMUL:
        return insn->info.operand_count_visible == 1 ? insn_accumulator : insn_modrm;
    case ZYDIS_MNEMONIC_MUL:
    case ZYDIS_MNEMONIC_CMPXCHG: return insn_accumulator;
    case ZYDIS_MNEMONIC_DIV:
    case ZYDIS_MNEMONIC_IDIV: return insn_divide;
    case ZYDIS_MNEMONIC_CMPXCHG8B:
    case ZYDIS_MNEMONIC_CMPXCHG16B: return insn_exchange_pair;
    case ZYDIS_MNEMONIC_POPCNT: return if_model_has(t, X86_FEATURE_POPCNT);
    case ZYDIS_MNEMONIC_TZCNT: return if_model_has(t, X86_FEATURE_BMI1);
    case ZYDIS_MNEMONIC_LZCNT: return if_model_has(t, X86_FEATURE_LZCNT);
    case ZYDIS_MNEMONIC_XCHG: return modrm_or(insn, insn_exchange_rax);
    case ZYDIS_MNEMONIC_MOVZX:
    case ZYDIS_MNEMONIC_MOVSX:
    case ZYDIS_MNEMONIC_MOVSXD:
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
    case ZYDIS_MNEMONIC_XADD: return insn_modrm;
    default: break;
    }
    /* SETcc and CMOVcc. */
    if (insn->info.opcode_map == ZYDIS_OPCODE_MAP_0F &&
        ((insn->info.opcode & 0xf0) == 0x90 || (insn->info.opcode & 0xf0) == 0x40))
        return insn_modrm;
    return NULL;
}

static insn_fn find_other(const struct x86_insn *insn)
{
    switch (insn->info.mnemonic) {
    case ZYDIS_MNEMONIC_NOP:
    case ZYDIS_MNEMONIC_ENDBR64:
    case ZYDIS_MNEMONIC_PAUSE:
    case ZYDIS_MNEMONIC_PREFETCH:
    case ZYDIS_MNEMONIC_PREFETCHNTA:
    case ZYDIS_MNEMONIC_PREFETCHT0:
    case ZYDIS_MNEMONIC_PREFETCHT1:
    case ZYDIS_MNEMONIC_PREFETCHT2:
    case ZYDIS_MNEMONIC_PREFETCHW: return emit_nothing;
    case ZYDIS_MNEMONIC_LFENCE:
    case ZYDIS_MNEMONIC_MFENCE:
    case ZYDIS_MNEMONIC_SFENCE: return emit_fence;
    case ZYDIS_MNEMONIC_CBW:
    case ZYDIS_MNEMONIC_CWDE:
    case ZYDIS_MNEMONIC_CDQE:
    case ZYDIS_MNEMONIC_CWD:
    case ZYDIS_MNEMONIC_CDQ:
    case ZYDIS_MNEMONIC_CQO: return emit_sign;
    case ZYDIS_MNEMONIC_CLC:
    case ZYDIS_MNEMONIC_STC:
    case ZYDIS_MNEMONIC_CMC: return emit_flag;
    case ZYDIS_MNEMONIC_LAHF: return emit_lahf;
    case ZYDIS_MNEMONIC_SAHF: return emit_sahf;
    case ZYDIS_MNEMONIC_CLD:
    case ZYDIS_MNEMONIC_STD: return insn_direction;
    case ZYDIS_MNEMONIC_BSWAP: return emit_bswap;
    case ZYDIS_MNEMONIC_PUSH: return insn_push;
    case ZYDIS_MNEMONIC_POP: return insn_pop;
    case ZYDIS_MNEMONIC_PUSHFD:
    case ZYDIS_MNEMONIC_PUSHFQ: return insn_pushf;
    case ZYDIS_MNEMONIC_LEA: return emit_lea_operand;
    case ZYDIS_MNEMONIC_LEAVE: return insn_leave;
    case ZYDIS_MNEMONIC_CLI: return insn_cli;
    case ZYDIS_MNEMONIC_SWAPGS: return insn_swapgs;
    default: return NULL;
    }
}

bool insn_emit(struct translator *t)
{
    unsigned first = t->slows;
    insn_fn emit;

    if (t->insn->info.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
        return false;
    emit = find_integer(t);
    if (!emit)
        emit = find_other(t->insn);
    if (!emit || !emit(t))
        return false;
    slow_paths_resume(t, first);
    return true;
}

/*
 * Where the guest's arithmetic flags are, and how instructions deal with them.
 * cpu->arith is AX after LAHF and SETO AL (interp/operand.h).
 * Source: SDM 2, "EFLAGS Cross-Reference" of volume 1.
 */
#include "engine/dbt/fault.h"

void emit_flags_save(struct emitter *e)
{
    emit8(e, 0x9f);                                                                  /* LAHF */
    emit_modrm(e, &(struct encoding){.map = 1, .opcode = 0x90}, 0, rm_reg(SCRATCH)); /* SETO AL */
    emit_op(e, OPCODE_STORE, 2, SCRATCH, rm_state(CPU_FIELD(arith)));
}

void emit_flags_load(struct emitter *e)
{
    /* MOVZX EAX, word: as wide as the store, which is then forwarded. */
    emit_modrm(e, &(struct encoding){.map = 1, .opcode = 0xb7}, SCRATCH,
               rm_state(CPU_FIELD(arith)));
    emit8(e, 0x04); /* ADD AL, 7Fh: overflows just if AL is 1 */
    emit8(e, 0x7f);
    emit8(e, 0x9e); /* SAHF */
}

void flags_spoil(struct translator *t)
{
    bool saved = t->flags & FLAGS_MEMORY;

    t->flags = FLAGS_MEMORY;
    if (saved)
        return;
    emit_flags_save(&t->e);
    fault_note_flags(t);
}

void flags_need(struct translator *t)
{
    if (!(t->flags & FLAGS_HOST))
        emit_flags_load(&t->e);
    t->flags |= FLAGS_HOST;
}

void flags_written(struct translator *t)
{
    t->flags = FLAGS_HOST;
}

/* Shifts by a constant that is not 0, seen through its mask, write all flags. */
static bool shifts_surely(const struct x86_insn *insn)
{
    const ZydisDecodedOperand *count = &insn->op[1];
    unsigned mask = insn->info.operand_width == 64 ? 63 : 31;

    return insn->info.operand_count_visible == 2 && count->type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
           (count->imm.value.u & mask);
}

enum flag_use flags_used(const struct x86_insn *insn)
{
    const ZydisAccessedFlags *flags = insn->info.cpu_flags;
    uint32_t writes, reads;

    if (!flags)
        return FLAG_USE_NONE;
    writes = (flags->modified | flags->set_0 | flags->set_1 | flags->undefined) & X86_FLAGS_ARITH;
    reads = flags->tested & X86_FLAGS_ARITH;
    switch (insn->info.mnemonic) {
    case ZYDIS_MNEMONIC_ADD:
    case ZYDIS_MNEMONIC_SUB:
    case ZYDIS_MNEMONIC_CMP:
    case ZYDIS_MNEMONIC_NEG:
    case ZYDIS_MNEMONIC_AND:
    case ZYDIS_MNEMONIC_OR:
    case ZYDIS_MNEMONIC_XOR:
    case ZYDIS_MNEMONIC_TEST:
    case ZYDIS_MNEMONIC_XADD: return FLAG_USE_WRITE;
    case ZYDIS_MNEMONIC_SHL:
    case ZYDIS_MNEMONIC_SHR:
    case ZYDIS_MNEMONIC_SAR: return shifts_surely(insn) ? FLAG_USE_WRITE : FLAG_USE_CHANGE;
    default: break;
    }
    if (writes)
        return FLAG_USE_CHANGE; /* flags that the manual calls undefined may stay as they were */
    return reads ? FLAG_USE_READ : FLAG_USE_NONE;
}

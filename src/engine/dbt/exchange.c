/*
 * What reads and writes memory in a way of its own: bit strings, pairs of words; and XCHG of RAX.
 * Source: SDM 2 "BT", "CMPXCHG8B/CMPXCHG16B", "XCHG".
 */
#include "engine/dbt/insn.h"

/* The signed number of the operand-sized word that holds a register's bit, in SCRATCH. */
static void emit_word_number(struct emitter *e, unsigned guest, unsigned bytes)
{
    struct rm rm = rm_guest_now(guest);

    switch (bytes) {
    case 2:
        emit_modrm(e, &(struct encoding){.map = 1, .opcode = 0xbf, .size = 8}, SCRATCH, rm);
        break;
    case 4: emit_op(e, 0x63, 8, SCRATCH, rm); break;
    default: emit_load(e, SCRATCH, rm); break;
    }
    emit_op_imm(e, 0xc1, 8, 7, rm_reg(SCRATCH), (unsigned)__builtin_ctz(8 * bytes), 1); /* SAR */
}

/*
 * The word is looked for, and then its distance is taken back: the host's instruction adds it
 * again and so comes to the word that was found.
 */
bool insn_bit_string(struct translator *t)
{
    const ZydisDecodedOperand *memory = &t->insn->op[0];
    struct encoding encoding = encoding_of(t->insn);
    unsigned bytes = memory->size / 8, segment = x86_segment_number(memory->mem.segment);
    unsigned guest = (unsigned)guest_register(t->insn->op[1].reg.value), host = dbt_host_reg[guest];
    unsigned scale = (unsigned)__builtin_ctz(bytes), address = t->insn->info.address_width / 8u;

    if (!memory_known(t->insn, memory) || segment == X86_FS || segment == X86_GS)
        return false;
    flags_spoil(t);
    memory_offset(t, memory);
    emit_word_number(&t->e, guest, bytes);
    emit_op(&t->e, OPCODE_LEA, address, PLACE, rm_sum(PLACE, SCRATCH, scale, 0));
    memory_at(t, PLACE, 0, bytes, operand_written(memory));
    emit_word_number(&t->e, guest, bytes);
    emit_op(&t->e, 0xf7, 8, 3, rm_reg(SCRATCH)); /* NEG */
    emit_lea(&t->e, PLACE, rm_sum(PLACE, SCRATCH, scale, 0));
    flags_need(t);
    if (host == HOST_NONE) {
        host = SCRATCH;
        emit_load(&t->e, SCRATCH, rm_guest(guest));
    }
    emit_modrm(&t->e, &encoding, host, rm_at(PLACE, 0));
    flags_written(t);
    return true;
}

/* Always locked, as in the interpreter. What is not aligned is a fault, which that raises. */
bool insn_exchange_pair(struct translator *t)
{
    struct encoding encoding = encoding_of(t->insn);
    struct operands o;
    unsigned bytes;

    if (!find_operands(t, &o) || o.rm->type != ZYDIS_OPERAND_TYPE_MEMORY)
        return false;
    bytes = o.rm->size / 8;
    memory_operand(t, o.rm, bytes, true);
    if (bytes == 16) {
        emit_op_imm(&t->e, 0xf7, 4, 0, rm_reg(PLACE), bytes - 1, 4); /* TEST */
        slow_path(t, emit_jcc(&t->e, CC_NE));
    }
    flags_need(t);
    encoding.lock = true;
    encoding.size = bytes == 16 ? 8 : 4;
    emit_move(&t->e, SCRATCH, dbt_host_reg[X86_RAX]);
    emit_modrm(&t->e, &encoding, 1, rm_at(PLACE, 0));
    emit_move(&t->e, dbt_host_reg[X86_RAX], SCRATCH);
    flags_written(t);
    return true;
}

/* 90 to 97, with ModRM on the host. */
bool insn_exchange_rax(struct translator *t)
{
    int first = guest_register(t->insn->op[0].reg.value);
    int second = guest_register(t->insn->op[1].reg.value);

    if (first < 0 || second < 0 || dbt_host_reg[first] == HOST_NONE ||
        dbt_host_reg[second] == HOST_NONE)
        return false;
    emit_op(&t->e, OPCODE_XCHG, t->insn->op[0].size / 8, dbt_host_reg[first],
            rm_reg(dbt_host_reg[second]));
    return true;
}

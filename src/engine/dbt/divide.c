/*
 * DIV and IDIV. The host must not raise #DE, so it divides only what surely fits; the rest, also
 * some that would fit, goes the interpreter's way, which finds out.
 *
 *   DIV    fits just if the dividend's upper half is less than the divisor
 *   IDIV   fits if the upper half is the lower one's sign and the divisor is neither 0 nor -1
 *
 * Source: SDM 2 "DIV", "IDIV".
 */
#include "engine/dbt/insn.h"

#define RAX HOST_R10 /* dbt_host_reg[X86_RAX] */

/* MOVZX or MOVSX to 32 or 64 bits. */
static void emit_extend(struct emitter *e, unsigned opcode, unsigned size, struct rm rm)
{
    emit_modrm(
        e,
        &(struct encoding){
            .map = 1, .opcode = (uint8_t)opcode, .size = (uint8_t)size, .byte_rm = !(opcode & 1)},
        SCRATCH, rm);
}

static void check_unsigned(struct translator *t, unsigned bytes, struct rm divisor)
{
    struct emitter *e = &t->e;

    if (bytes == 1) {
        emit_extend(e, 0xb7, 4, rm_reg(RAX));
        emit_op_imm(e, 0xc1, 4, 5, rm_reg(SCRATCH), 8, 1); /* SHR */
        emit_modrm(e, &(struct encoding){.opcode = 0x3a, .byte_reg = true, .byte_rm = true},
                   SCRATCH, divisor); /* CMP */
    } else {
        emit_op(e, 0x3b, bytes, dbt_host_reg[X86_RDX], divisor); /* CMP */
    }
    slow_path(t, emit_jcc(e, CC_AE));
}

/* The divisor in SCRATCH with its sign. */
static void load_signed(struct emitter *e, unsigned bytes, struct rm divisor)
{
    switch (bytes) {
    case 1: emit_extend(e, 0xbe, 8, divisor); break;
    case 2: emit_extend(e, 0xbf, 8, divisor); break;
    case 4: emit_op(e, 0x63, 8, SCRATCH, divisor); break; /* MOVSXD */
    default: emit_load(e, SCRATCH, divisor); break;
    }
}

static void check_signed(struct translator *t, unsigned bytes, struct rm divisor)
{
    struct emitter *e = &t->e;

    if (bytes == 1) {
        emit_extend(e, 0xbe, 4, rm_reg(RAX));
        emit_op(e, 0x3b, 2, SCRATCH, rm_reg(RAX)); /* CMP */
    } else {
        emit_move(e, SCRATCH, RAX);
        emit_op_imm(e, 0xc1, bytes, 7, rm_reg(SCRATCH), 8 * bytes - 1, 1); /* SAR */
        emit_op(e, 0x3b, bytes, SCRATCH, rm_reg(dbt_host_reg[X86_RDX]));   /* CMP */
    }
    slow_path(t, emit_jcc(e, CC_NE));
    load_signed(e, bytes, divisor);
    emit_lea(e, SCRATCH, rm_at(SCRATCH, 1));
    emit_op_imm(e, 0x83, 8, 7, rm_reg(SCRATCH), 1, 1); /* CMP: -1 and 0 are 0 and 1 now */
    slow_path(t, emit_jcc(e, CC_BE));
}

bool insn_divide(struct translator *t)
{
    struct encoding encoding = encoding_of(t->insn);
    bool is_signed = t->insn->info.mnemonic == ZYDIS_MNEMONIC_IDIV;
    struct operands o;
    unsigned bytes;
    struct rm divisor = rm_at(PLACE, 0);

    if (!find_operands(t, &o) || o.high)
        return false;
    bytes = o.rm->size / 8;
    if (o.rm->type == ZYDIS_OPERAND_TYPE_MEMORY) {
        memory_operand(t, o.rm, bytes, false);
    } else {
        unsigned guest = (unsigned)guest_register(o.rm->reg.value);

        flags_spoil(t);
        divisor = rm_guest_now(guest);
    }
    if (is_signed)
        check_signed(t, bytes, divisor);
    else
        check_unsigned(t, bytes, divisor);
    flags_need(t);
    emit_move(&t->e, SCRATCH, RAX);
    encoding.byte_rm = bytes == 1;
    emit_modrm(&t->e, &encoding, t->insn->info.raw.modrm.reg, divisor);
    emit_move(&t->e, RAX, SCRATCH);
    flags_written(t);
    return true;
}

/*
 * The stack: PUSH, POP, PUSHF, LEAVE, with 64 bits. RSP changes last, behind all that may fault.
 * Source: SDM 2.
 */
#include "engine/dbt/insn.h"

#define BYTES 8

/* What a second operand in memory waits for while the first is looked for. */
static struct rm kept_value(void)
{
    return rm_state(CPU_FIELD(dbt_target));
}

static bool push_memory(struct translator *t)
{
    const ZydisDecodedOperand *operand = &t->insn->op[0];
    unsigned rsp = dbt_host_reg[X86_RSP];

    if (!memory_known(t->insn, operand))
        return false;
    memory_operand(t, operand, BYTES, false);
    emit_load(&t->e, SCRATCH, rm_at(PLACE, 0));
    emit_store(&t->e, kept_value(), SCRATCH);
    memory_at(t, rsp, -BYTES, BYTES, true);
    emit_load(&t->e, SCRATCH, kept_value());
    emit_store(&t->e, rm_at(PLACE, 0), SCRATCH);
    emit_lea(&t->e, rsp, rm_at(rsp, -BYTES));
    return true;
}

bool insn_push(struct translator *t)
{
    const ZydisDecodedOperand *operand = &t->insn->op[0];
    unsigned rsp = dbt_host_reg[X86_RSP], host = HOST_NONE;
    int guest = -1;

    if (t->insn->info.operand_width != 64)
        return false;
    if (operand->type == ZYDIS_OPERAND_TYPE_MEMORY)
        return push_memory(t);
    if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER) {
        guest = guest_register(operand->reg.value);
        if (guest < 0)
            return false;
        host = dbt_host_reg[guest];
    } else if (operand->type != ZYDIS_OPERAND_TYPE_IMMEDIATE) {
        return false;
    }
    memory_at(t, rsp, -BYTES, BYTES, true);
    if (guest < 0) {
        emit_op_imm(&t->e, 0xc7, 8, 0, rm_at(PLACE, 0), operand->imm.value.u, 4);
    } else {
        if (host == HOST_NONE)
            emit_load(&t->e, SCRATCH, rm_guest((unsigned)guest));
        emit_store(&t->e, rm_at(PLACE, 0), host == HOST_NONE ? SCRATCH : host);
    }
    emit_lea(&t->e, rsp, rm_at(rsp, -BYTES));
    return true;
}

/* The operand's address counts RSP after the pop: that one is left to the interpreter. */
static bool pop_memory(struct translator *t)
{
    const ZydisDecodedOperand *operand = &t->insn->op[0];
    unsigned rsp = dbt_host_reg[X86_RSP];

    if (!memory_known(t->insn, operand) || operand->mem.base == ZYDIS_REGISTER_RSP)
        return false;
    memory_at(t, rsp, 0, BYTES, false);
    emit_load(&t->e, SCRATCH, rm_at(PLACE, 0));
    emit_store(&t->e, kept_value(), SCRATCH);
    memory_operand(t, operand, BYTES, true);
    emit_load(&t->e, SCRATCH, kept_value());
    emit_store(&t->e, rm_at(PLACE, 0), SCRATCH);
    emit_lea(&t->e, rsp, rm_at(rsp, BYTES));
    return true;
}

bool insn_pop(struct translator *t)
{
    const ZydisDecodedOperand *operand = &t->insn->op[0];
    unsigned rsp = dbt_host_reg[X86_RSP];
    int guest;

    if (t->insn->info.operand_width != 64)
        return false;
    if (operand->type == ZYDIS_OPERAND_TYPE_MEMORY)
        return pop_memory(t);
    guest = guest_register(operand->reg.value);
    if (operand->type != ZYDIS_OPERAND_TYPE_REGISTER || guest < 0)
        return false;
    memory_at(t, rsp, 0, BYTES, false);
    emit_lea(&t->e, rsp, rm_at(rsp, BYTES));
    if (dbt_host_reg[guest] == HOST_NONE) {
        emit_load(&t->e, SCRATCH, rm_at(PLACE, 0));
        emit_store(&t->e, rm_guest((unsigned)guest), SCRATCH);
    } else {
        emit_load(&t->e, dbt_host_reg[guest], rm_at(PLACE, 0));
    }
    return true;
}

#define NOT_PUSHED (X86_FLAG_VM | X86_FLAG_RF)

/* RFLAGS as cpu_rflags puts it together, in SCRATCH. Spoils the host's flags. */
static void emit_rflags(struct emitter *e)
{
    emit_modrm(e, &(struct encoding){.map = 1, .opcode = 0xb7}, SCRATCH,
               rm_state(CPU_FIELD(arith)));                 /* MOVZX EAX, word */
    emit_op_imm(e, 0xc1, 2, 0, rm_reg(SCRATCH), 8, 1);      /* ROL AX: AL as LAHF, AH is OF */
    emit_op_imm(e, 0xc0, 4, 4, rm_reg(HOST_AH), 11 - 8, 1); /* SHL AH: OF to bit 11 */
    emit_op_imm(e, 0x81, 4, 4, rm_reg(SCRATCH), X86_FLAGS_ARITH | X86_FLAG_ONE, 4); /* AND */
    emit_op(e, 0x0b, 8, SCRATCH, rm_state(CPU_FIELD(x.rflags)));                    /* OR */
    emit_op_imm(e, 0x81, 8, 4, rm_reg(SCRATCH), (uint32_t)~NOT_PUSHED, 4);          /* AND */
}

bool insn_pushf(struct translator *t)
{
    unsigned rsp = dbt_host_reg[X86_RSP];

    if (t->insn->info.operand_width != 64)
        return false;
    memory_at(t, rsp, -BYTES, BYTES, true);
    emit_rflags(&t->e);
    emit_store(&t->e, rm_at(PLACE, 0), SCRATCH);
    emit_lea(&t->e, rsp, rm_at(rsp, -BYTES));
    return true;
}

bool insn_leave(struct translator *t)
{
    unsigned rsp = dbt_host_reg[X86_RSP], rbp = dbt_host_reg[X86_RBP];

    if (t->insn->info.operand_width != 64)
        return false;
    memory_at(t, rbp, 0, BYTES, false);
    emit_lea(&t->e, rsp, rm_at(rbp, BYTES));
    emit_load(&t->e, rbp, rm_at(PLACE, 0));
    return true;
}

/*
 * The stack: PUSH, POP, PUSHF, LEAVE, of the code's own width. RSP changes last, behind all that
 * may fault. Refuses what a prefix makes narrower.
 * Source: SDM 2.
 */
#include "engine/dbt/insn.h"

void stack_move(struct translator *t, int32_t bytes)
{
    unsigned rsp = dbt_host_reg[X86_RSP];

    emit_op(&t->e, OPCODE_LEA, native_bytes(t), rsp, rm_at(rsp, bytes));
}

void stack_find_push(struct translator *t)
{
    int32_t bytes = (int32_t)native_bytes(t);

    memory_at(t, dbt_host_reg[X86_RSP], -bytes, native_bytes(t), true);
}

void stack_find_pop(struct translator *t)
{
    memory_at(t, dbt_host_reg[X86_RSP], 0, native_bytes(t), false);
}

/* Stores a host register where stack_find_push has led. */
static void finish_push(struct translator *t, unsigned host)
{
    emit_op(&t->e, OPCODE_STORE, native_bytes(t), host, rm_at(PLACE, 0));
    stack_move(t, -(int32_t)native_bytes(t));
}

/* What a second operand in memory waits for while the first is looked for. */
static struct rm kept_value(void)
{
    return rm_state(CPU_FIELD(dbt_target));
}

static void keep_value(struct translator *t)
{
    emit_op(&t->e, OPCODE_LOAD, native_bytes(t), SCRATCH, rm_at(PLACE, 0));
    emit_store(&t->e, kept_value(), SCRATCH);
}

static bool push_memory(struct translator *t)
{
    const ZydisDecodedOperand *operand = &t->insn->op[0];

    if (!memory_known(t->insn, operand))
        return false;
    memory_operand(t, operand, native_bytes(t), false);
    keep_value(t);
    stack_find_push(t);
    emit_load(&t->e, SCRATCH, kept_value());
    finish_push(t, SCRATCH);
    return true;
}

static bool push_register(struct translator *t)
{
    int guest = guest_register(t->insn->op[0].reg.value);

    if (guest < 0)
        return false;
    stack_find_push(t);
    if (dbt_host_reg[guest] == HOST_NONE) {
        emit_load(&t->e, SCRATCH, rm_guest((unsigned)guest));
        finish_push(t, SCRATCH);
    } else {
        finish_push(t, dbt_host_reg[guest]);
    }
    return true;
}

static bool push_immediate(struct translator *t)
{
    unsigned bytes = native_bytes(t);

    stack_find_push(t);
    emit_op_imm(&t->e, 0xc7, bytes, 0, rm_at(PLACE, 0), t->insn->op[0].imm.value.u, 4);
    stack_move(t, -(int32_t)bytes);
    return true;
}

bool insn_push(struct translator *t)
{
    if (t->op->size != native_bytes(t))
        return false;
    switch (t->insn->op[0].type) {
    case ZYDIS_OPERAND_TYPE_MEMORY: return push_memory(t);
    case ZYDIS_OPERAND_TYPE_REGISTER: return push_register(t);
    case ZYDIS_OPERAND_TYPE_IMMEDIATE: return push_immediate(t);
    default: return false;
    }
}

/* The operand's address counts RSP after the pop: that one is left to the interpreter. */
static bool pop_memory(struct translator *t)
{
    const ZydisDecodedOperand *operand = &t->insn->op[0];
    ZydisRegister base = operand->mem.base;

    if (!memory_known(t->insn, operand) || base == ZYDIS_REGISTER_RSP || base == ZYDIS_REGISTER_ESP)
        return false;
    stack_find_pop(t);
    keep_value(t);
    memory_operand(t, operand, native_bytes(t), true);
    emit_load(&t->e, SCRATCH, kept_value());
    emit_op(&t->e, OPCODE_STORE, native_bytes(t), SCRATCH, rm_at(PLACE, 0));
    stack_move(t, (int32_t)native_bytes(t));
    return true;
}

bool insn_pop(struct translator *t)
{
    const ZydisDecodedOperand *operand = &t->insn->op[0];
    unsigned bytes = native_bytes(t);
    int guest;

    if (t->op->size != bytes)
        return false;
    if (operand->type == ZYDIS_OPERAND_TYPE_MEMORY)
        return pop_memory(t);
    guest = guest_register(operand->reg.value);
    if (operand->type != ZYDIS_OPERAND_TYPE_REGISTER || guest < 0)
        return false;
    stack_find_pop(t);
    if (dbt_host_reg[guest] == HOST_NONE) {
        emit_load(&t->e, SCRATCH, rm_at(PLACE, 0));
        emit_store(&t->e, rm_guest((unsigned)guest), SCRATCH);
    } else {
        emit_op(&t->e, OPCODE_LOAD, bytes, dbt_host_reg[guest], rm_at(PLACE, 0));
    }
    if (guest != X86_RSP) /* what was popped stands */
        stack_move(t, (int32_t)bytes);
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
    if (t->op->size != native_bytes(t))
        return false;
    stack_find_push(t);
    emit_rflags(&t->e);
    finish_push(t, SCRATCH);
    return true;
}

bool insn_leave(struct translator *t)
{
    unsigned rsp = dbt_host_reg[X86_RSP], rbp = dbt_host_reg[X86_RBP], bytes = native_bytes(t);

    if (t->op->size != bytes)
        return false;
    memory_at(t, rbp, 0, bytes, false);
    emit_op(&t->e, OPCODE_LOAD, bytes, SCRATCH, rm_at(PLACE, 0));
    emit_op(&t->e, OPCODE_LEA, bytes, rsp, rm_at(rbp, (int32_t)bytes));
    emit_move(&t->e, rbp, SCRATCH);
    return true;
}

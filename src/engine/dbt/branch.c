/*
 * The ends of translations: jumps to known addresses, which are linked to the translation there
 * once both exist, and jumps through a register or memory, which look into a table.
 *
 * A jump within the page stays linked for as long as its target lives: whoever runs in a page has
 * come there through its mapping. One to another page also compares the fetch key, which changes
 * with the mappings. What jumps backwards, and what jumps through a table, looks at cpu->attention
 * first, so no loop runs without it.
 */
#include "engine/dbt/fault.h"

static void look_at_attention(struct translator *t)
{
    emit_op_imm(&t->e, 0x83, 4, 7, rm_state(CPU_FIELD(attention)), 0, 1); /* CMP */
}

void branch_leave(struct translator *t)
{
    flags_spoil(t);
    emit_constant(&t->e, PLACE, 0);
    emit_patch(&t->e, emit_jmp(&t->e), t->dbt->leave);
}

void branch_direct(struct translator *t, gva_t target)
{
    struct site *site = &t->t->site[t->t->sites++];
    gva_t here = t->next - t->op->len;
    bool polls = target <= here, crosses = (target ^ here) & PAGE_MASK;
    uint8_t *out[2] = {NULL, NULL};

    *site = (struct site){.from = t->t, .target = target};
    if (polls || crosses)
        flags_spoil(t);
    if (polls) {
        look_at_attention(t);
        out[0] = emit_jcc(&t->e, CC_NE);
    }
    if (crosses) {
        emit_op_imm(&t->e, 0x81, 4, 7, rm_state(CPU_FIELD(fetch_key)), 0, 4); /* CMP */
        site->key = t->e.at - 4;
        out[1] = emit_jcc(&t->e, CC_NE);
    }
    site->flags_in_host = !(t->flags & FLAGS_MEMORY);
    site->jump = emit_jmp(&t->e);
    site->slow = t->e.at; /* where the displacement of 0 leads */
    for (unsigned i = 0; i < ARRAY_SIZE(out); i++) {
        if (out[i])
            emit_patch(&t->e, out[i], t->e.at);
    }
    if (site->flags_in_host)
        emit_flags_save(&t->e);
    emit_constant(&t->e, PLACE, (uintptr_t)site);
    emit_patch(&t->e, emit_jmp(&t->e), t->dbt->leave);
}

/* Leaves the place in the table of the address in PLACE there, or takes the slow path. */
static void look_up_jump(struct translator *t)
{
    struct emitter *e = &t->e;
    size_t table = CPU_FIELD(dbt_jumps);

    flags_spoil(t);
    look_at_attention(t);
    slow_path(t, emit_jcc(e, CC_NE));
    emit_move(e, SCRATCH, PLACE);
    emit_op(e, 0x33, 8, SCRATCH, rm_state(CPU_FIELD(dbt_jump_tag))); /* XOR */
    emit_op_imm(e, 0x81, 4, 4, rm_reg(PLACE), DBT_JUMPS - 1, 4);     /* AND */
    emit_op_imm(e, 0xc1, 4, 4, rm_reg(PLACE), DBT_JUMP_SHIFT, 1);    /* SHL */
    emit_op(e, 0x3b, 8, SCRATCH, rm_state_at(PLACE, table + offsetof(struct dbt_jump, tag)));
    slow_path(t, emit_jcc(e, CC_NE));
}

static void jump_by_table(struct translator *t)
{
    emit_op(&t->e, 0xff, 4, 4,
            rm_state_at(PLACE, CPU_FIELD(dbt_jumps) + offsetof(struct dbt_jump, code)));
}

/* Whether the target is in a register or memory, as wide as targets are, and of a known form. */
static bool target_known(const struct translator *t)
{
    const ZydisDecodedOperand *operand = &t->insn->op[0];

    if (operand->size != 8 * native_bytes(t))
        return false;
    return operand->type == ZYDIS_OPERAND_TYPE_REGISTER ||
           (operand->type == ZYDIS_OPERAND_TYPE_MEMORY && memory_known(t->insn, operand));
}

static void load_target(struct translator *t)
{
    bool high;
    unsigned guest = x86_register_number(t->insn->op[0].reg.value, &high);

    emit_op(&t->e, OPCODE_LOAD, native_bytes(t), PLACE, rm_guest_now(guest));
}

static gva_t relative_target(const struct translator *t)
{
    gva_t target = t->next + t->op->imm;

    return t->cpu->long64 ? target : (uint32_t)target;
}

static bool emit_jmp_insn(struct translator *t)
{
    const ZydisDecodedOperand *operand = &t->insn->op[0];
    unsigned bytes = native_bytes(t);

    if (operand->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
        branch_direct(t, relative_target(t));
        return true;
    }
    if (!target_known(t))
        return false;
    if (operand->type == ZYDIS_OPERAND_TYPE_MEMORY) {
        memory_operand(t, operand, bytes, false);
        emit_op(&t->e, OPCODE_LOAD, bytes, PLACE, rm_at(PLACE, 0));
    } else {
        load_target(t);
    }
    look_up_jump(t);
    jump_by_table(t);
    return true;
}

/* Stores the return address at a host register and moves RSP. */
static void push_return_address(struct translator *t, unsigned at)
{
    uint64_t next = t->next;

    if (!t->cpu->long64) {
        emit_op_imm(&t->e, 0xc7, 4, 0, rm_at(at, 0), (uint32_t)next, 4);
    } else if (fits_int32(next)) {
        emit_op_imm(&t->e, 0xc7, 8, 0, rm_at(at, 0), next, 4);
    } else {
        emit_op_imm(&t->e, 0xc7, 4, 0, rm_at(at, 0), (uint32_t)next, 4);
        emit_op_imm(&t->e, 0xc7, 4, 0, rm_at(at, 4), next >> 32, 4);
    }
    stack_move(t, -(int32_t)native_bytes(t));
}

/* Nothing is written before the target is known to be good: else the call faults. */
static bool emit_call_insn(struct translator *t)
{
    const ZydisDecodedOperand *operand = &t->insn->op[0];
    bool memory = operand->type == ZYDIS_OPERAND_TYPE_MEMORY;
    unsigned bytes = native_bytes(t);
    struct rm target = rm_state(CPU_FIELD(dbt_target));
    struct rm stack = rm_state(CPU_FIELD(dbt_stack));

    if (operand->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
        stack_find_push(t);
        push_return_address(t, PLACE);
        branch_direct(t, relative_target(t));
        return true;
    }
    if (!target_known(t))
        return false;
    if (memory) {
        memory_operand(t, operand, bytes, false);
        emit_op(&t->e, OPCODE_LOAD, bytes, PLACE, rm_at(PLACE, 0));
        emit_store(&t->e, target, PLACE);
    }
    stack_find_push(t);
    emit_store(&t->e, stack, PLACE);
    if (memory)
        emit_load(&t->e, PLACE, target);
    else
        load_target(t);
    look_up_jump(t);
    emit_load(&t->e, SCRATCH, stack);
    push_return_address(t, SCRATCH);
    jump_by_table(t);
    return true;
}

static bool emit_ret_insn(struct translator *t)
{
    unsigned bytes = native_bytes(t);

    stack_find_pop(t);
    emit_op(&t->e, OPCODE_LOAD, bytes, PLACE, rm_at(PLACE, 0));
    look_up_jump(t);
    stack_move(t, (int32_t)(bytes + t->op->imm));
    jump_by_table(t);
    return true;
}

static bool emit_jcc_insn(struct translator *t)
{
    uint8_t *taken;
    unsigned flags;

    flags_need(t);
    taken = emit_jcc(&t->e, t->insn->info.opcode & 0xf);
    flags = t->flags;
    branch_direct(t, t->next);
    emit_patch(&t->e, taken, t->e.at);
    t->flags = flags;
    fault_note_flags(t);
    branch_direct(t, relative_target(t));
    return true;
}

bool branch_emit(struct translator *t)
{
    const ZydisDecodedInstruction *info = &t->insn->info;
    ZydisBranchType type = info->meta.branch_type;
    bool direct =
        t->insn->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && info->mnemonic != ZYDIS_MNEMONIC_RET;

    if ((type != ZYDIS_BRANCH_TYPE_SHORT && type != ZYDIS_BRANCH_TYPE_NEAR) ||
        t->op->size != native_bytes(t))
        return false;
    if (direct && !x86_canonical(relative_target(t)))
        return false; /* the branch faults, not the fetch from there */
    switch (info->mnemonic) {
    case ZYDIS_MNEMONIC_JMP: return emit_jmp_insn(t);
    case ZYDIS_MNEMONIC_CALL: return emit_call_insn(t);
    case ZYDIS_MNEMONIC_RET: return emit_ret_insn(t);
    default: return x86_is_jcc(info) && emit_jcc_insn(t);
    }
}

/*
 * One block to host code: the entries, the instructions in their order, the end, and behind it the
 * slow paths.
 */
#include "engine/dbt/fault.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/trace.h"

#define CODE_ALIGN 16

/*
 * Decodes the block's bytes again: those that the block was decoded from and keeps, never the
 * guest's memory, where another writer may have been since. False for a block that ends in an
 * instruction which can't be decoded.
 */
static bool decode(struct dbt *dbt, const struct block *block)
{
    const uint8_t *bytes = block_bytes(block);
    uint64_t at = 0;

    for (unsigned i = 0; i < block->count; i++) {
        if (x86_decode(&dbt->insns[i], block->mode, bytes + at, block->bytes - at) !=
                X86_DECODE_OK ||
            dbt->insns[i].info.length != block->ops[i].len)
            return false;
        at += block->ops[i].len;
    }
    return true;
}

static bool has_memory(const struct x86_insn *insn)
{
    for (unsigned i = 0; i < insn->info.operand_count; i++) {
        if (insn->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
            return true;
    }
    return false;
}

/* Instructions that neither look at flags nor can fault, so nobody sees flags while they run. */
static bool is_blind(const struct x86_insn *insn)
{
    switch (insn->info.mnemonic) {
    case ZYDIS_MNEMONIC_MOV:
        return insn->info.meta.category == ZYDIS_CATEGORY_DATAXFER &&
               insn->info.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && insn->info.opcode != 0x8e;
    case ZYDIS_MNEMONIC_MOVZX:
    case ZYDIS_MNEMONIC_MOVSX:
    case ZYDIS_MNEMONIC_MOVSXD:
    case ZYDIS_MNEMONIC_XCHG:
    case ZYDIS_MNEMONIC_LEA:
    case ZYDIS_MNEMONIC_NOT:
    case ZYDIS_MNEMONIC_BSWAP:
    case ZYDIS_MNEMONIC_CBW:
    case ZYDIS_MNEMONIC_CWDE:
    case ZYDIS_MNEMONIC_CDQE:
    case ZYDIS_MNEMONIC_CWD:
    case ZYDIS_MNEMONIC_CDQ:
    case ZYDIS_MNEMONIC_CQO:
    case ZYDIS_MNEMONIC_NOP:
    case ZYDIS_MNEMONIC_ENDBR64: return true;
    default: return false;
    }
}

/*
 * Where the block wants the flags when it begins: what comes first decides. FLAGS_HOST for an
 * instruction that depends on them, both for one that overwrites them.
 */
static unsigned flags_wanted(const struct dbt *dbt, const struct block *block)
{
    for (unsigned i = 0; i < block->count; i++) {
        const struct x86_insn *insn = &dbt->insns[i];

        if ((has_memory(insn) && insn->info.mnemonic != ZYDIS_MNEMONIC_LEA) || block->ops[i].native)
            return FLAGS_MEMORY;
        if (block->ops[i].flags & OP_ENDS)
            return insn->info.meta.category == ZYDIS_CATEGORY_COND_BR ? FLAGS_HOST : FLAGS_MEMORY;
        switch (flags_used(insn)) {
        case FLAG_USE_NONE:
            if (!is_blind(insn))
                return FLAGS_MEMORY;
            break;
        case FLAG_USE_WRITE: return FLAGS_HOST | FLAGS_MEMORY;
        default: return FLAGS_HOST;
        }
    }
    return FLAGS_MEMORY;
}

/* Both entries; where the flags are not wanted they are not moved. */
static void emit_entries(struct translator *t, unsigned wanted)
{
    t->t->entry_host = t->t->entry_memory = t->e.at;
    t->flags = wanted == FLAGS_MEMORY ? FLAGS_HOST : FLAGS_MEMORY;
    fault_note(t, t->op, FAULT_UNCOUNTED);
    if (wanted == FLAGS_MEMORY) {
        emit_flags_save(&t->e);
        t->t->entry_memory = t->e.at;
    } else if (wanted == FLAGS_HOST) {
        emit_flags_load(&t->e);
        t->t->entry_host = t->e.at;
    }
    t->flags = wanted;
    fault_note(t, t->op, FAULT_UNCOUNTED);
}

static void emit_count(struct translator *t, size_t counter, unsigned amount)
{
    emit_load(&t->e, SCRATCH, rm_state(counter));
    emit_lea(&t->e, SCRATCH, rm_at(SCRATCH, (int32_t)amount));
    emit_store(&t->e, rm_state(counter), SCRATCH);
}

/* 82 is 80 in 32-bit code; the host, in 64-bit mode, has no such opcode. */
static bool host_lacks(const struct x86_insn *insn)
{
    return insn->info.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && insn->info.opcode == 0x82;
}

/* Whether the instruction was emitted, in host instructions that the host can run. */
static bool emit_known(struct translator *t)
{
    bool known = false;

    if (t->op->fn == op_undefined || !memory_promised(t) || host_lacks(t->insn))
        return false;
    if (t->op->flags & OP_ENDS)
        known = branch_emit(t);
    else
        known = insn_emit(t) || vector_emit(t);
    return known && !t->e.too_long;
}

/* True when the instruction has ended the block. */
static bool emit_instruction(struct translator *t)
{
    unsigned slows = t->slows, notes;
    uint8_t *at = t->e.at;
    unsigned flags = t->flags, sites = t->t->sites;

    fault_note(t, t->op, 0);
    notes = t->notes;
    if (emit_known(t))
        return t->op->flags & OP_ENDS;
    t->slows = slows;
    t->notes = notes;
    t->e.at = at;
    t->e.too_long = false;
    t->flags = flags;
    t->t->sites = sites;
    flags_spoil(t);
    call_helper(t, t->op, t->next);
    if (!(t->op->flags & (OP_ENDS | OP_SHADOW)))
        return false;
    branch_leave(t);
    return true;
}

static void emit_body(struct translator *t, struct block *block)
{
    t->op = block->ops;
    emit_entries(t, flags_wanted(t->dbt, block));
    emit_count(t, CPU_FIELD(counters.instructions), block->count);
    if (t->cpu->host.host_ns && block->lookups)
        emit_count(t, CPU_FIELD(counters.tlb_lookups), block->lookups);
    t->next = t->t->linear;
    for (unsigned i = 0; i < block->count; i++) {
        t->insn = &t->dbt->insns[i];
        t->op = &block->ops[i];
        t->next += t->op->len;
        if (emit_instruction(t))
            return;
    }
    fault_note(t, &block->ops[block->count], 0);
    branch_direct(t, t->next);
}

static void link_translation(struct dbt *dbt, struct block *block, struct host_block *fresh)
{
    fresh->next = block->translations;
    block->translations = fresh;
    fresh->older = dbt->newest;
    *(dbt->newest ? &dbt->newest->newer : &dbt->oldest) = fresh;
    dbt->newest = fresh;
    dbt->record_bytes += DBT_RECORD_BYTES;
}

struct host_block *translate(struct cpu *cpu, struct block *block, gva_t linear)
{
    struct dbt *dbt = cpu->dbt;
    struct translator t = {.cpu = cpu, .dbt = dbt};
    struct host_block *fresh = calloc(1, sizeof(*fresh));

    if (!fresh)
        return NULL;
    fresh->block = block;
    fresh->linear = linear;
    fresh->context = cpu->dbt_context;
    t.t = fresh;
    t.e = (struct emitter){.at = dbt->code.write + dbt->code.used_bytes,
                           .end = dbt->code.write + dbt->code.used_bytes + DBT_ROOM_BYTES -
                                  FAULT_NOTE_ROOM};
    fresh->start = t.e.at;
    if (!decode(dbt, block)) {
        free(fresh);
        return NULL;
    }
    emit_body(&t, block);
    slow_paths_emit(&t);
    if (t.e.full) {
        free(fresh);
        return NULL;
    }
    fault_keep_notes(&t);
    dbt->code.used_bytes = ALIGN_UP((size_t)(t.e.at - dbt->code.write), CODE_ALIGN);
    link_translation(dbt, block, fresh);
    cpu->counters.translations_made++;
    cpu->counters.translation_bytes =
        MAX(cpu->counters.translation_bytes, dbt->code.used_bytes - dbt->first_used);
    cpu->counters.translation_record_bytes = dbt->record_bytes;
    trace(dbt_translate, linear, block->gpa, block->count, (uint64_t)(fresh->end - fresh->start));
    return fresh;
}

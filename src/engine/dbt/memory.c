/*
 * Memory operands: the effective address, the look into the TLB, and the way round when it has no
 * answer. Only FS and GS have a base, and the TLB refuses what is not canonical.
 *
 *   PLACE   <- linear address
 *   SCRATCH <- offset of its TLB entry            (tlb_index)
 *   PLACE   <- PLACE ^ tag                        the offset in the page, if the tag is the page's
 *   above page size - bytes? -> slow path         another page, no entry, or two pages
 *   PLACE   <- PLACE + host page
 */
#include "base/assert.h"
#include "engine/dbt/fault.h"

#define ENTRY_SHIFT 5
_Static_assert(sizeof(struct tlb_entry) == 1 << ENTRY_SHIFT, "a TLB entry is indexed by a shift");

void slow_path(struct translator *t, uint8_t *from)
{
    ASSERT(t->slows < MAX_SLOW, "no instruction but the last has more than three slow paths");
    t->slow[t->slows++] = (struct slow_path){.from = from,
                                             .op = t->op,
                                             .next = t->next,
                                             .kind = t->vectors ? SLOW_STEP_VECTORS : SLOW_STEP};
}

void slow_paths_resume(struct translator *t, unsigned first)
{
    for (unsigned i = first; i < t->slows; i++)
        t->slow[i].resume = t->e.at;
}

/* Calls a thunk that wants RIP in its place and the op in PLACE. */
static void call_thunk(struct translator *t, const uint8_t *thunk, const struct op *op,
                       uint64_t next)
{
    struct rm rip = rm_guest(X86_RIP);

    if (fits_int32(next)) {
        emit_op_imm(&t->e, 0xc7, 8, 0, rip, next, 4);
    } else {
        emit_constant(&t->e, PLACE, next);
        emit_store(&t->e, rip, PLACE);
    }
    emit_constant(&t->e, PLACE, (uintptr_t)op);
    emit_patch(&t->e, emit_call(&t->e), thunk);
    t->flags = FLAGS_HOST | FLAGS_MEMORY;
}

void call_helper(struct translator *t, const struct op *op, uint64_t next)
{
    call_thunk(t, t->dbt->helper, op, next);
    fault_note(t, op + 1, 0);
    t->vectors = 0;
}

void slow_paths_emit(struct translator *t)
{
    for (unsigned i = 0; i < t->slows && !t->e.full; i++) {
        const struct slow_path *slow = &t->slow[i];

        emit_patch(&t->e, slow->from, t->e.at);
        t->flags = FLAGS_MEMORY;
        fault_note(t, slow->op, 0);
        call_thunk(t, slow->kind == SLOW_ENTER_VECTORS ? t->dbt->vectors_enter : t->dbt->helper,
                   slow->op, slow->next);
        fault_note(t, slow->op + (slow->kind != SLOW_ENTER_VECTORS), 0);
        if (slow->kind == SLOW_STEP_VECTORS)
            emit_patch(&t->e, emit_call(&t->e), t->dbt->vectors_load);
        emit_patch(&t->e, emit_jmp(&t->e), slow->resume);
    }
}

/* Whether an address register is as wide as the addresses. */
static bool plain_register(ZydisRegister reg, unsigned width)
{
    if (reg == ZYDIS_REGISTER_NONE || (reg == ZYDIS_REGISTER_RIP && width == 64))
        return true;
    return ZydisRegisterGetClass(reg) ==
           (width == 64 ? ZYDIS_REGCLASS_GPR64 : ZYDIS_REGCLASS_GPR32);
}

bool memory_known(const struct x86_insn *insn, const ZydisDecodedOperand *operand)
{
    unsigned width = insn->info.address_width;

    return width >= 32 && plain_register(operand->mem.base, width) &&
           plain_register(operand->mem.index, width) &&
           fits_int32((uint64_t)operand->mem.disp.value);
}

/* Whether accesses through a segment need no check in the translation's context. */
static bool promised(const struct host_block *t, unsigned segment, bool write)
{
    if (t->context & CONTEXT_WIDE)
        return true;
    switch (segment) {
    case X86_CS: return !write; /* protected mode has no code that can be written to */
    case X86_FS: return t->context & CONTEXT_FS;
    case X86_GS: return t->context & CONTEXT_GS;
    default: return true;
    }
}

bool memory_promised(const struct translator *t)
{
    for (unsigned i = 0; i < t->insn->info.operand_count; i++) {
        const ZydisDecodedOperand *operand = &t->insn->op[i];

        if (operand->type == ZYDIS_OPERAND_TYPE_MEMORY &&
            operand->mem.type != ZYDIS_MEMOP_TYPE_AGEN &&
            !promised(t->t, x86_segment_number(operand->mem.segment),
                      operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
            return false;
    }
    return true;
}

/* The host register of an address register, HOST_NONE for none; what is in memory goes to `spare`.
 */
static unsigned address_register(struct translator *t, ZydisRegister reg, unsigned spare)
{
    bool high;
    unsigned guest;

    if (reg == ZYDIS_REGISTER_NONE)
        return HOST_NONE;
    guest = x86_register_number(reg, &high);
    if (dbt_host_reg[guest] != HOST_NONE)
        return dbt_host_reg[guest];
    emit_load(&t->e, spare, rm_guest(guest));
    return spare;
}

void memory_offset(struct translator *t, const ZydisDecodedOperand *operand)
{
    const ZydisDecodedOperandMem *mem = &operand->mem;
    unsigned bytes = t->insn->info.address_width / 8u, base, index;
    uint64_t disp = (uint64_t)mem->disp.value;

    if (mem->base == ZYDIS_REGISTER_RIP) {
        emit_constant(&t->e, PLACE, t->next + disp);
        return;
    }
    base = address_register(t, mem->base, PLACE);
    index = address_register(t, mem->index, SCRATCH);
    if (base == HOST_NONE && index == HOST_NONE)
        emit_constant(&t->e, PLACE, bytes == 8 ? disp : (uint32_t)disp);
    else if (index == HOST_NONE && disp == 0)
        emit_op(&t->e, OPCODE_LOAD, bytes, PLACE, rm_reg(base));
    else /* LEA cuts the sum to the width of addresses */
        emit_op(&t->e, OPCODE_LEA, bytes, PLACE,
                rm_sum(base, index, mem->scale ? (unsigned)__builtin_ctz(mem->scale) : 0,
                       (int32_t)disp));
}

static void add_segment_base(struct translator *t, const ZydisDecodedOperand *operand)
{
    unsigned seg = x86_segment_number(operand->mem.segment);

    if (seg != X86_FS && seg != X86_GS)
        return;
    emit_load(&t->e, SCRATCH, rm_state(CPU_FIELD(seg_base) + 8 * (size_t)seg));
    emit_op(&t->e, OPCODE_LEA, native_bytes(t), PLACE, rm_sum(PLACE, SCRATCH, 0, 0));
}

static void look_up(struct translator *t, unsigned bytes, bool write)
{
    struct emitter *e = &t->e;
    size_t table = CPU_FIELD(tlb_tables) + t->cpu->tlb_kind * sizeof(t->cpu->tlb_tables[0]);
    size_t tag = write ? offsetof(struct tlb_entry, write) : offsetof(struct tlb_entry, read);

    flags_spoil(t);
    emit_op(e, OPCODE_LOAD, 4, SCRATCH, rm_reg(PLACE));
    emit_op_imm(e, 0xc1, 4, 5, rm_reg(SCRATCH), TLB_FOLD_SHIFT, 1); /* SHR */
    emit_op(e, 0x33, 4, SCRATCH, rm_reg(PLACE));                    /* XOR */
    emit_op_imm(e, 0xc1, 4, 5, rm_reg(SCRATCH), PAGE_SHIFT - ENTRY_SHIFT, 1);
    emit_op_imm(e, 0x81, 4, 4, rm_reg(SCRATCH), t->cpu->tlb_mask << ENTRY_SHIFT, 4); /* AND */
    emit_op(e, 0x33, 8, PLACE, rm_state_at(SCRATCH, table + tag));
    emit_op_imm(e, 0x81, 8, 7, rm_reg(PLACE), PAGE_SIZE - bytes, 4); /* CMP */
    slow_path(t, emit_jcc(e, CC_A));
    emit_op(e, 0x03, 8, PLACE, rm_state_at(SCRATCH, table + offsetof(struct tlb_entry, host)));
}

void memory_operand(struct translator *t, const ZydisDecodedOperand *operand, unsigned bytes,
                    bool write)
{
    memory_offset(t, operand);
    add_segment_base(t, operand);
    look_up(t, bytes, write);
}

void memory_at(struct translator *t, unsigned reg, int32_t disp, unsigned bytes, bool write)
{
    if (disp)
        emit_op(&t->e, OPCODE_LEA, native_bytes(t), PLACE, rm_at(reg, disp));
    else
        emit_op(&t->e, OPCODE_LOAD, native_bytes(t), PLACE, rm_reg(reg));
    look_up(t, bytes, write);
}

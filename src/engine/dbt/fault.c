/*
 * From a place in the host's code to the guest's instruction there, and out of it.
 *
 *   code memory:   thunks | code, its notes | code, its notes | ...
 *
 * A note holds where the code is that it tells of, as an offset in the translation, which op that
 * belongs to, and how the state is found there. Notes stand in the order of their offsets; the
 * first has offset 0.
 */
#include "engine/dbt/fault.h"

#include <asm/prctl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/trace.h"

#define HOW_BITS      3
#define OP_BITS       7
#define OFFSET_SHIFT  (HOW_BITS + OP_BITS)
#define FLAGS_ARE_OUT BIT(2) /* in cpu->arith; beside FAULT_* */

_Static_assert(BLOCK_MAX_OPS < 1 << OP_BITS, "a note can name each op and the end");

static uint32_t note_make(uint64_t offset, uint64_t op, unsigned how)
{
    return (uint32_t)(offset << OFFSET_SHIFT | op << HOW_BITS | how);
}

static uint32_t note_offset(uint32_t note)
{
    return note >> OFFSET_SHIFT;
}

static unsigned note_op(uint32_t note)
{
    return note >> HOW_BITS & ((1u << OP_BITS) - 1);
}

void fault_note(struct translator *t, const struct op *op, unsigned how)
{
    uint64_t offset = (uint64_t)(t->e.at - t->t->start);

    if (t->flags & FLAGS_MEMORY)
        how |= FLAGS_ARE_OUT;
    if (t->notes > 0 && note_offset(t->note[t->notes - 1]) == offset)
        t->notes--; /* no code came between them */
    if (t->notes == MAX_NOTES || offset >> (32 - OFFSET_SHIFT)) {
        t->e.full = true; /* without notes no translation */
        return;
    }
    t->note[t->notes++] = note_make(offset, (uint64_t)(op - t->t->block->ops), how);
}

void fault_note_flags(struct translator *t)
{
    uint32_t last = t->note[t->notes - 1];

    fault_note(t, &t->t->block->ops[note_op(last)], last & (FAULT_UNCOUNTED | FAULT_EXCHANGED));
}

void fault_keep_notes(struct translator *t)
{
    size_t bytes = t->notes * sizeof(t->note[0]);
    uint8_t *place = (uint8_t *)ALIGN_UP((uintptr_t)t->e.at, sizeof(t->note[0]));

    t->t->end = t->e.at;
    memcpy(place, t->note, bytes); /* the emitter has kept FAULT_NOTE_ROOM for them */
    t->t->note = (const uint32_t *)(const void *)place;
    t->t->notes = t->notes;
    t->e.at = place + bytes;
}

/* The vCPU that this thread runs if a place lies in its code memory, seen in the writable view. */
static struct cpu *running(uintptr_t host_pc, const uint8_t **code)
{
    struct cpu *cpu = NULL;

    if (syscall(SYS_arch_prctl, ARCH_GET_GS, &cpu) != 0 || !cpu || !cpu->dbt ||
        !execmem_contains(&cpu->dbt->code, host_pc))
        return NULL;
    *code = cpu->dbt->code.write + (host_pc - (uintptr_t)cpu->dbt->code.exec);
    return cpu;
}

static struct host_block *translation_at(const struct dbt *dbt, const uint8_t *code)
{
    struct host_block *t = dbt->newest;

    while (t && !(t->start <= code && code < t->end))
        t = t->older;
    return t;
}

struct cpu *dbt_where(uintptr_t host_pc, gva_t *block)
{
    const uint8_t *code;
    struct cpu *cpu = running(host_pc, &code);
    const struct host_block *t;

    if (!cpu)
        return NULL;
    t = translation_at(cpu->dbt, code);
    *block = t ? t->linear : cpu->x.gpr[X86_RIP]; /* in a thunk: as a helper's call has set it */
    return cpu;
}

/* Which note tells of a place; binary search. */
static uint32_t note_at(const struct host_block *t, const uint8_t *code)
{
    uint32_t offset = (uint32_t)(code - t->start);
    unsigned first = 0, end = t->notes;

    while (end - first > 1) {
        unsigned middle = first + (end - first) / 2;

        if (note_offset(t->note[middle]) <= offset)
            first = middle;
        else
            end = middle;
    }
    return t->note[first];
}

bool dbt_take_fault(ucontext_t *context)
{
    greg_t *regs = context->uc_mcontext.gregs;
    const uint8_t *code;
    struct cpu *cpu = running((uintptr_t)regs[REG_RIP], &code);
    struct host_block *t = cpu ? translation_at(cpu->dbt, code) : NULL;
    struct block *block;
    uint64_t rip, eflags = (uint64_t)regs[REG_EFL];
    uint32_t note;

    if (!t)
        return false;
    block = t->block;
    note = note_at(t, code);
    rip = t->linear;
    for (unsigned i = 0; i < note_op(note); i++)
        rip += block->ops[i].len;
    cpu->x.gpr[X86_RIP] = rip & cpu->ip_mask;
    if (!(note & FLAGS_ARE_OUT)) /* as LAHF and SETO AL would put them */
        cpu->arith = (uint32_t)((eflags & 0xff) << 8 | (eflags >> 11 & 1));
    if (note & FAULT_EXCHANGED)
        regs[REG_RDX] = regs[REG_R15];
    cpu->dbt->faulted = block;
    cpu->dbt->fault_uncounted = note & FAULT_UNCOUNTED;
    trace(dbt_host_fault, rip, (uint64_t)regs[REG_TRAPNO], t->linear);
    /* The thunk is made for a caller, whose return address it drops. */
    regs[REG_R15] = (greg_t)(uintptr_t)&block->ops[note_op(note)];
    regs[REG_RSP] -= 8;
    regs[REG_RIP] = (greg_t)(uintptr_t)(cpu->dbt->fault + cpu->dbt->to_exec);
    return true;
}

uint64_t fault_leave(struct cpu *cpu, const struct op *op)
{
    struct block *block = cpu->dbt->faulted;

    cpu->counters.host_faults++;
    if (!cpu->dbt->fault_uncounted)
        dbt_uncount(cpu, op, &block->ops[block->count]);
    block->interpret_only = true;
    dbt_drop(cpu, block);
    cpu->dbt_site = NULL;
    return STEP_JUMP;
}

/*
 * Faults of the host in translated code that nobody expected: our own mistake in what was made for
 * the guest, which costs the guest's block its translation and nothing else. While a block is
 * translated, it is noted where in the host's code which of the guest's instructions begins and
 * where the state is; a fault is left through a thunk as if the block had ended before it.
 *
 * An instruction's code changes the guest's registers only behind its last access to memory, so at
 * a fault they are as they were before the instruction. Refuses what lies in no translation: a
 * thunk, C code, a wild jump.
 */
#ifndef UMBRA_ENGINE_DBT_FAULT_H
#define UMBRA_ENGINE_DBT_FAULT_H

#include "engine/dbt/internal.h"

/* Beside where the flags are: */
#define FAULT_UNCOUNTED BIT(0) /* the block's instructions are not counted yet */
#define FAULT_EXCHANGED BIT(1) /* RDX and PLACE have changed places */

/* Bytes of notes that a translation has at most, with their alignment. */
#define FAULT_NOTE_ROOM ((MAX_NOTES + 1) * sizeof(uint32_t))

/*
 * From here on the host's code belongs to an op of the block (one behind the last: to its end),
 * with the flags as t->flags tells.
 */
void fault_note(struct translator *t, const struct op *op, unsigned how);

/* The flags alone have moved. */
void fault_note_flags(struct translator *t);

/* Puts the notes behind a translation that is done, in the FAULT_NOTE_ROOM that is left there. */
void fault_keep_notes(struct translator *t);

/* Called by the thunk that the signal handler has sent a translation to; op: where it goes on. */
uint64_t fault_leave(struct cpu *cpu, const struct op *op);

#endif

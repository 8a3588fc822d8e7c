/*
 * The translator: blocks that run often become host code. It emits host instructions for what is
 * safe and calls the interpreter's functions for everything else, so there is one body of semantics
 * for whatever is not the host's own.
 *
 * 64-bit code is translated, and 32-bit code in flat segments. What debugs, traces, counts exactly
 * or checks alignment is interpreted (dbt_update).
 */
#ifndef UMBRA_ENGINE_DBT_DBT_H
#define UMBRA_ENGINE_DBT_DBT_H

#include <ucontext.h>

#include "engine/soft/cpu.h"

struct block;
struct host_block;

/* With so many bytes for code; 0: its choice. 0, or -errno of the host. Sets cpu->dbt. */
int dbt_create(struct cpu *cpu, size_t code_bytes) must_check;
void dbt_destroy(struct cpu *cpu);

/* Makes this thread's GS base the vCPU; before dbt_run on a thread that ran something else. */
void dbt_claim_thread(struct cpu *cpu);

/*
 * For last words: if a host address lies in translated code that this thread runs, the vCPU, and at
 * which guest address the translated block begins; else NULL. Its registers are in the host's then,
 * and in cpu->x as the last C function saw them.
 */
struct cpu *dbt_where(uintptr_t host_pc, gva_t *block);

/*
 * For a signal handler, on the thread that met a fault of the host: if that is in a translation,
 * changes the context so that the translation is left before the guest's instruction that is at
 * fault, with the guest's state as it is there, and the block is interpreted from then on. False:
 * it is not, and nothing has been done.
 */
bool dbt_take_fault(ucontext_t *context);

/* Derives cpu->dbt_context from the mode; for cpu_update_mode. */
void dbt_update(struct cpu *cpu);

/*
 * The translation at RIP if it was run from there before and the TLB shows that the same code is
 * still there; NULL: look for the block. Only while cpu->dbt_context is not DBT_NEVER.
 */
struct host_block *dbt_find_again(struct cpu *cpu);

/*
 * The translation of the block at RIP, made now if the block has run often enough; NULL: it is to
 * be interpreted. Call it only while cpu->dbt_context is not DBT_NEVER.
 */
struct host_block *dbt_find(struct cpu *cpu, struct block *block);

/* Runs from a translation on until something stands in the way. As op functions return. */
enum step dbt_run(struct cpu *cpu, struct host_block *translation);

/* A block is being dropped: nothing leads to its translations any more. */
void dbt_drop(struct cpu *cpu, struct block *block);

/*
 * Which linear address leads where is forgotten, of all code or of CPL 3's: its generation was
 * `before` and is `now`.
 */
void dbt_forget_addresses(struct cpu *cpu, uint64_t before, uint64_t now);

#endif

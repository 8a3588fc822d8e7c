/*
 * What the files of the translator share: where guest registers live, a translation with the jumps
 * out of it, and the state of translating one block. Nobody else includes this.
 *
 *   host      guest                      host          use
 *   RCX RDX   RCX RDX                    R10           RAX
 *   RBX RBP   RBX RBP                    R11           RSP
 *   RSI RDI   RSI RDI                    RAX, R15      scratch
 *   R8 R9     R8 R9                      RSP           the host's own stack
 *   R12-R14   R12-R14                    GS base       struct cpu, with guest R10, R11 and R15
 *
 * Vector registers and MXCSR: the guest's own under their own numbers while cpu->dbt_closed is not
 * DBT_NO_VECTORS, which C code never sees (vector_state.c).
 *
 * RAX is scratch because LAHF and SETO AL put the flags there. RCX is itself because shifts count
 * with it.
 *
 * The guest's arithmetic flags are in the host's, in cpu->arith, or in both: where code is about to
 * spoil the host's, it saves them first unless they are saved already. So they are right in memory
 * wherever C code looks, at each instruction that may fault too.
 */
#ifndef UMBRA_ENGINE_DBT_INTERNAL_H
#define UMBRA_ENGINE_DBT_INTERNAL_H

#include "base/execmem.h"
#include "engine/dbt/dbt.h"
#include "engine/dbt/emit.h"
#include "engine/soft/block.h"

/*
 * cpu->dbt_context: what a translation depends on beside the mode of its block. 32-bit code is
 * translated while ES, SS and DS may be read and written, and CS read, at any offset, all from
 * base 0, and the stack has 32 bits. What goes through another segment, or writes through CS, is
 * left to the interpreter's function, which checks.
 */
#define CONTEXT_KIND 0x03 /* enum tlb_kind */
#define CONTEXT_WIDE 0x04 /* 64-bit mode */
#define CONTEXT_FS   0x08 /* FS needs no check for reads and writes, whatever its base */
#define CONTEXT_GS   0x10
#define CONTEXT_BITS 5

/* Scratch registers. RAX also carries the flags to and from memory. */
#define SCRATCH HOST_RAX
#define PLACE   HOST_R15 /* where a memory operand lies; also the op for a helper */

#define CPU_FIELD(field) offsetof(struct cpu, field)

/* A jump out of a translation to an address that is known when it is made. */
struct site {
    struct host_block *from, *to; /* to: NULL while it leads to the run loop */
    struct site *next, **link;    /* in to's list; link: what points to this site there */
    gva_t target;
    uint8_t *jump;       /* the displacement to patch, in the writable view */
    const uint8_t *slow; /* where it leads when nothing is linked */
    uint8_t *key;        /* the fetch key to patch, 32 bits, or NULL within a page */
    bool flags_in_host;  /* else in memory */
};

#define MAX_SITES 2

struct host_block {
    struct block *block;
    struct host_block *next; /* of the same block */
    struct host_block *newer, *older;
    const uint8_t *start; /* of its code, in the writable view */
    gva_t linear;
    uint8_t context;
    /* Entries in the writable view: with the flags in the host's, or in memory. */
    const uint8_t *entry_host, *entry_memory;
    struct site *incoming;
    unsigned incoming_count;
    struct site site[MAX_SITES];
    unsigned sites;
    const uint8_t *end;   /* behind its code, in the writable view */
    const uint32_t *note; /* fault.c's */
    unsigned notes;
};

#define DBT_ROOM_BYTES (256 * KIB) /* what one block needs at most, with room to spare */

/* What a translation takes beside its code, with what malloc takes. */
#define DBT_RECORD_BYTES (sizeof(struct host_block) + 16)

typedef uint64_t (*enter_fn)(const void *code);

struct dbt {
    struct execmem code;
    ptrdiff_t to_exec; /* from the writable view to the executable one */
    enter_fn enter;
    /* In the writable view. */
    const uint8_t *helper;        /* runs the op in PLACE and comes back, or leaves */
    const uint8_t *leave;         /* to the run loop with the flags in memory; PLACE is the site */
    const uint8_t *vectors_enter; /* before a vector instruction, the op in PLACE */
    const uint8_t *vectors_load;  /* behind helper, where the vectors were in the host before */
    const uint8_t *fault;         /* where a signal handler sends a translation; the op in PLACE */
    size_t first_used;            /* the code memory that is never given back */
    struct host_block *newest, *oldest;
    size_t record_bytes, max_record_bytes; /* of struct host_block, all together */
    struct site *pending;                  /* the site by which code was left last, to be linked */
    struct block *faulted;                 /* between handler and fault_leave: whose translation */
    bool fault_uncounted;                  /* the same: nothing of it is counted yet */
    struct x86_insn insns[BLOCK_MAX_OPS];
};

#define FLAGS_HOST   1u
#define FLAGS_MEMORY 2u

#define MAX_SLOW  (3 * BLOCK_MAX_OPS + 4)
#define MAX_NOTES (6 * BLOCK_MAX_OPS + 2 * MAX_SLOW)

/* What a slow path does. */
enum slow_kind {
    SLOW_STEP,         /* the instruction */
    SLOW_STEP_VECTORS, /* the same; the vectors are expected in the host's registers then */
    SLOW_ENTER_VECTORS /* it only gets the vectors there, if it may */
};

/* An instruction that goes the long way: through the interpreter's function. */
struct slow_path {
    uint8_t *from;         /* the jump that leads there */
    const uint8_t *resume; /* behind the instruction */
    const struct op *op;
    uint64_t next;
    enum slow_kind kind;
};

/* Translating one block. */
struct translator {
    struct emitter e;
    struct cpu *cpu;
    struct dbt *dbt;
    struct host_block *t;
    const struct x86_insn *insn;
    const struct op *op;
    uint64_t next;   /* RIP behind the instruction */
    unsigned flags;  /* FLAGS_*: where they are valid */
    uint8_t vectors; /* gates that are open, the vectors being in the host's registers; or 0 */
    unsigned slows, notes;
    struct slow_path slow[MAX_SLOW];
    uint32_t note[MAX_NOTES]; /* fault.c's */
};

/* Bytes of an address, of a stack slot and of a near branch target. */
static inline unsigned native_bytes(const struct translator *t)
{
    return t->cpu->long64 ? 8 : 4;
}

/* The host register of a guest's, or HOST_NONE when it is in memory only. */
extern const uint8_t dbt_host_reg[16];

static inline struct rm rm_guest(unsigned guest)
{
    return rm_state(CPU_FIELD(x.gpr) + 8 * (size_t)guest);
}

/* A guest register where it lives while translated code runs. */
static inline struct rm rm_guest_now(unsigned guest)
{
    return dbt_host_reg[guest] == HOST_NONE ? rm_guest(guest) : rm_reg(dbt_host_reg[guest]);
}

/* --- thunk.c --- */

/* Emits what all translations share. 0, or -ENOMEM. */
int dbt_emit_thunks(struct cpu *cpu, struct dbt *dbt) must_check;

/* --- flags.c --- */

/* Before code that spoils the host's flags. Uses SCRATCH. */
void flags_spoil(struct translator *t);
/* Before an instruction that reads flags or leaves some as they are. Uses SCRATCH. */
void flags_need(struct translator *t);
/* After an instruction that wrote flags. */
void flags_written(struct translator *t);
void emit_flags_save(struct emitter *e);
void emit_flags_load(struct emitter *e);

/* How an instruction deals with the arithmetic flags. */
enum flag_use {
    FLAG_USE_NONE,
    FLAG_USE_WRITE,  /* writes all, whatever they were */
    FLAG_USE_READ,   /* reads some, writes none */
    FLAG_USE_CHANGE, /* writes some or all, and what was there before matters */
};
enum flag_use flags_used(const struct x86_insn *insn);

/* --- memory.c --- */

/*
 * Puts the host address of the instruction's memory operand into PLACE, of so many bytes; the slow
 * path runs the whole instruction. Uses SCRATCH; the flags are in memory afterwards.
 */
void memory_operand(struct translator *t, const ZydisDecodedOperand *operand, unsigned bytes,
                    bool write);
/* The same for [register + disp], a host register. */
void memory_at(struct translator *t, unsigned reg, int32_t disp, unsigned bytes, bool write);
/* Whether the context promises that no memory operand's segment needs a check for what is done. */
bool memory_promised(const struct translator *t);
/* Whether an operand's address is of a form that memory_operand knows. */
bool memory_known(const struct x86_insn *insn, const ZydisDecodedOperand *operand);
/* The offset of a memory operand into PLACE, segment base left out; flags untouched. */
void memory_offset(struct translator *t, const ZydisDecodedOperand *operand);

/* A jump that was emitted leads to the instruction's slow path. */
void slow_path(struct translator *t, uint8_t *from);
/* Emits the slow paths at the end of a block. */
void slow_paths_emit(struct translator *t);
/* Gives the slow paths of the current instruction the place to come back to. */
void slow_paths_resume(struct translator *t, unsigned first);

/* Runs the instruction by the interpreter's function; comes back if it says STEP_NEXT. */
void call_helper(struct translator *t, const struct op *op, uint64_t next);

/* --- modrm.c --- */

/* The opcode map of an instruction as struct encoding has it. */
uint8_t encoding_map(const ZydisDecodedInstruction *info);

/* --- insn.c --- */

/* Emits a safe instruction in the middle of a block; false: nobody knows it here. */
bool insn_emit(struct translator *t);

/* --- stack.c: stack slots as wide as addresses --- */

/* Puts the host address of the slot that a push writes, or a pop reads, into PLACE. */
void stack_find_push(struct translator *t);
void stack_find_pop(struct translator *t);
/* Moves RSP; the flags stay as they are. */
void stack_move(struct translator *t, int32_t bytes);

/* --- vector.c --- */

/* The same for MMX, SSE and AVX instructions. */
bool vector_emit(struct translator *t);

/* --- vector_state.c --- */

/* Before a vector instruction that minds the gates: its registers are the host's. Uses SCRATCH. */
void vectors_need(struct translator *t, uint8_t gates);
/* Before C code, which finds them in cpu->x.fpu. Uses RAX; spoils the host's flags. */
void emit_vectors_save(struct emitter *e);
/* The opposite; the same registers. */
void emit_vectors_load(struct emitter *e);

/* --- branch.c --- */

/* Emits a branch, the last instruction of a block; false: nobody knows it here. */
bool branch_emit(struct translator *t);
/* Goes on at an address. */
void branch_direct(struct translator *t, gva_t target);
/* Back to the run loop, which goes on at cpu's RIP. */
void branch_leave(struct translator *t);

/* --- translate.c --- */

/* Makes the translation of a block at a linear address; NULL when the code memory is full. */
struct host_block *translate(struct cpu *cpu, struct block *block, gva_t linear);

/* --- run.c --- */

/* Takes back that the ops of a block from one to before another were counted by its head. */
void dbt_uncount(struct cpu *cpu, const struct op *from, const struct op *to);

/* Called by helper thunks. */
uint64_t dbt_step(struct cpu *cpu, const struct op *op);
/* Whether vectors may enter the host's registers: 0; else it has run the instruction. */
uint64_t dbt_enter_vectors(struct cpu *cpu, const struct op *op);

#endif

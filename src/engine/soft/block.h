/*
 * Blocks: straight runs of decoded guest instructions, keyed by the guest-physical address of their
 * first byte and the mode that decides decoding; dropped when their bytes are written.
 *
 *   linear RIP --jump cache--> block        (forgotten when translations change)
 *   gpa, mode  --hash--------> block --> ops[] ... end marker
 *   gfn        --page table--> the page's blocks and which of its 64-byte lines hold code
 *
 * A block never crosses a page, except when its only instruction does. At a debugger's breakpoint a
 * block ends, and none that begins there is remembered by its linear address: so whoever arrives
 * there comes through block_find, and nobody else pays for it.
 */
#ifndef UMBRA_ENGINE_SOFT_BLOCK_H
#define UMBRA_ENGINE_SOFT_BLOCK_H

#include "engine/soft/op.h"

#define BLOCK_MAX_OPS 48

struct code_page;
struct host_block;

/* Where a block went last time: followed without a look-up while the key holds. */
struct block_link {
    gva_t linear;
    uint64_t key; /* cpu->fetch_key then */
    struct block *to;
};

#define BLOCK_LINKS 2 /* taken and not taken */

/* A link in a ring of blocks. */
struct block_ring {
    struct block_ring *next, *before;
};

struct block {
    struct block_ring age; /* first: among the live blocks, or those that are being dropped */
    struct block_link links[BLOCK_LINKS];
    gpa_t gpa;
    gpa_t second_page; /* where a crossing instruction continues, or BLOCK_ONE_PAGE */
    uint8_t mode;      /* enum x86_mode */
    uint8_t count;     /* ops without the end marker */
    uint16_t bytes;
    uint16_t lookups; /* of all ops together */
    uint64_t drops;   /* how often all blocks had been dropped when it was made */
    bool dropped;
    uint32_t runs;       /* interpreted, while there is a translator */
    bool interpret_only; /* its translation met a fault of the host */
    struct host_block *translations;
    struct block *hash_next;
    struct block *page_next[2];  /* in the lists of its pages */
    struct block **page_link[2]; /* what points to it there */
    struct code_page *page[2];   /* NULL: in no list any more, nor in the hash */
    struct op ops[]; /* count + 1, and behind them the bytes that they were decoded from */
};

#define BLOCK_ONE_PAGE UINT64_MAX

/* The guest's bytes as they were read once, for the ops: a translation is made from the same. */
static inline const uint8_t *block_bytes(const struct block *block)
{
    return (const uint8_t *)&block->ops[block->count + 1];
}

/* The blocks may take so many bytes; the oldest make room. 0 or -ENOMEM. */
int block_cache_create(struct cpu *cpu, size_t max_bytes) must_check;
void block_cache_destroy(struct cpu *cpu);

/* What a cache takes beside its blocks. */
size_t block_cache_fixed_bytes(void);

/*
 * The block at CS:RIP, decoded now if need be. STEP_NEXT with *block set, or STEP_FAULT (#PF or #GP
 * of the fetch; an undecodable instruction is an op that raises #UD). STEP_STOP at a breakpoint.
 */
enum step block_find(struct cpu *cpu, struct block **block);

/* The linear address at which the processor goes on; RIP is cut to the mode's width. */
static inline gva_t block_next_linear(struct cpu *cpu)
{
    cpu->x.gpr[X86_RIP] &= cpu->ip_mask;
    return (cpu->seg_base[X86_CS] + cpu->x.gpr[X86_RIP]) & cpu->linear_mask;
}

/* Whether a block lies within the limit of the code segment as it is now. */
static inline bool block_fits_limit(const struct cpu *cpu, const struct block *block)
{
    return cpu->long64 || cpu->x.gpr[X86_RIP] + block->bytes - 1 <= cpu->x.seg[X86_CS].limit;
}

/* The block that follows at RIP if the one before remembers it, else NULL. */
static inline struct block *block_follow(struct cpu *cpu, const struct block *before)
{
    gva_t linear = block_next_linear(cpu);

    for (unsigned i = 0; i < BLOCK_LINKS; i++) {
        const struct block_link *link = &before->links[i];

        if (likely(link->linear == linear && link->key == cpu->fetch_key) &&
            block_fits_limit(cpu, link->to))
            return link->to;
    }
    return NULL;
}

/* Remembers that `to`, which stands at RIP now, followed. */
void block_remember(struct cpu *cpu, struct block *before, struct block *to);

/* Drops what was decoded from [gpa, gpa + len), which lies in one page. Safe while it executes. */
void block_invalidate(struct cpu *cpu, gpa_t gpa, uint64_t len);

/*
 * Drops every block, and with them all native stubs, in a time that does not depend on how many
 * there are: block_collect has the work. Safe while one executes.
 */
void block_drop_all(struct cpu *cpu);

/* Forgets which linear addresses lead where: translations changed, the code did not. */
void block_forget_addresses(struct cpu *cpu);

/* The same for what a load of CR3 changes (all but global pages), and for one page of 4 KiB. */
void block_forget_local_addresses(struct cpu *cpu);
void block_forget_page(struct cpu *cpu, gva_t page);

/* The same for the large pages around an address. */
void block_forget_large(struct cpu *cpu, gva_t linear);

/* Remembers that links and jumps may lead to code at a linear address; its fetch is in the TLB. */
void block_note_found(struct cpu *cpu, gva_t linear);

/* Derives cpu->fetch_key, under which links and jump cache entries hold; for cpu_update_mode. */
void block_update_key(struct cpu *cpu);

/*
 * Takes apart and frees what was dropped, a piece at a call; the run loop calls it between blocks.
 * Until it has said BLOCK_COLLECT_NOTHING since the last drop, no translated code may be entered,
 * for it may still be linked to what was dropped. A guest decides how much there is: requests are
 * looked at between two calls.
 */
enum block_collect {
    BLOCK_COLLECT_NOTHING,
    BLOCK_COLLECT_DONE, /* no block pointer from before holds */
    BLOCK_COLLECT_MORE, /* the same; call it again before anything runs */
};
enum block_collect block_collect(struct cpu *cpu);

/* Whether there is something to collect: then no block may be gone on with. */
bool block_dropped(const struct cpu *cpu);

/* Writes by other threads to pages with code: queued here, dropped by the vCPU at its next block.
 */
void block_invalidate_later(struct cpu *cpu, gpa_t gpa, uint64_t len);
void block_apply_queued(struct cpu *cpu);

/* Fills in an op from a decoded instruction and finds its function (bind.c). */
void op_bind(struct op *op, const struct binder_input *in);

#endif

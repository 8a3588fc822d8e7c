/*
 * What the files of the block cache share: block.c finds and decodes, block_drop.c keeps the lists
 * and drops, block_address.c knows which linear addresses lead where. Nobody else includes this.
 *
 * A guest decides how many blocks there are, in which hash chain and in which page's list they
 * stand. So each of these is cut at a length, and the whole at a number of bytes: what is over
 * goes.
 */
#ifndef UMBRA_ENGINE_SOFT_BLOCK_INTERNAL_H
#define UMBRA_ENGINE_SOFT_BLOCK_INTERNAL_H

#include "base/lock.h"
#include "engine/soft/access.h"
#include "engine/soft/block.h"

#define BLOCK_HASH_BITS  17
#define BLOCK_HASH_SIZE  (1u << BLOCK_HASH_BITS)
#define BLOCK_PAGES_BITS 14 /* of the hash of pages with code */
#define BLOCK_JUMPS      4096u
#define BLOCK_QUEUE      64

/*
 * A full chain or page begins anew. Code fills a page with a few hundred blocks; more than a
 * thousand are made by a guest that jumps to each byte of it.
 */
#define BLOCK_CHAIN_MAX 32
#define BLOCK_PAGE_MAX  1024
#define BLOCK_EVICTED   256 /* blocks that go at once when there are too many */
#define BLOCK_COLLECTED 128 /* blocks that one call of block_collect takes apart */

/* What malloc takes beside what it is asked for. */
#define BLOCK_MALLOC_BYTES 16

#define BLOCK_FOUND_BITS  15
#define BLOCK_FOUND_PAGES (1u << BLOCK_FOUND_BITS)
#define BLOCK_FOUND_LARGE 8

struct code_page {
    gpa_t page;
    uint64_t lines; /* which 64-byte lines hold decoded bytes; some more after a block went */
    struct block *blocks;
    unsigned count;
    struct code_page *next;
};

struct jump_entry {
    gva_t linear;
    uint64_t key; /* cpu->fetch_key */
    struct block *block;
};

struct queued_write {
    gpa_t gpa;
    uint64_t len;
};

struct block_cache {
    struct block *hash[BLOCK_HASH_SIZE];
    struct code_page *pages[1u << BLOCK_PAGES_BITS];
    struct jump_entry jumps[BLOCK_JUMPS];
    struct block_ring live;    /* the oldest first */
    struct block_ring dropped; /* to be taken apart; some are still in the hash and their pages */
    size_t live_count;
    uint64_t drops;          /* of all blocks at once */
    size_t bytes, max_bytes; /* of blocks, dropped ones too, and of code page records */
    /*
     * Of the translations: links and jumps of an older one are void. User code goes by the local
     * one, which loads of CR3 make older; supervisor code by the other, as long as all of it was
     * found on global pages.
     */
    uint64_t generation, local_generation, last_generation;
    bool supervisor_is_local;
    uint32_t code_generation; /* of the blocks: links and jumps of an older one are void, too */
    /* Filters, a bit a page, hashed: from which pages code was found (by [CPL is 3]). */
    uint64_t found[2][BLOCK_FOUND_PAGES / 64];
    /* The GiB of which code was found in large pages; more than BLOCK_FOUND_LARGE: anywhere. */
    uint64_t found_large[BLOCK_FOUND_LARGE];
    unsigned found_larges;
    struct lock queue_lock;
    struct queued_write queue[BLOCK_QUEUE];
    unsigned queued; /* more than BLOCK_QUEUE: drop everything */
};

/* The hash chain of blocks that begin at gpa in a mode. */
struct block **block_chain(struct block_cache *cache, gpa_t gpa, unsigned mode);

/* How many bytes of a block lie on its first page. */
uint64_t block_first_bytes(const struct block *block);

/* Makes room for one more block, of the oldest ones. */
void block_make_room(struct cpu *cpu);

/*
 * Allocates a block of so many ops and guest bytes, all else zero. NULL without memory; a block
 * that is not linked is freed by its owner.
 */
struct block *block_new(unsigned count, uint64_t bytes);

/* Puts a new block where it is found. False: no memory for it, nothing has changed. */
bool block_link_new(struct cpu *cpu, struct block *block);

/* The blocks themselves went, their addresses lead where they did (block_address.c). */
void block_forget_blocks(struct cpu *cpu);

/* What marks the end of a block's ops, and what a dropped block's become: leaves the block. */
enum step block_leave(struct cpu *cpu, const struct op *op);

#endif

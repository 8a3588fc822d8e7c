/*
 * The block cache: decoding, finding, dropping.
 *
 * Dropping a block that may be executing right now: its ops are overwritten with an op that leaves
 * the block, and the memory is freed at the next look of the run loop. The op that is running keeps
 * its own function pointer and length, which the loop has read already.
 *
 * DEVIATION: code is fetched from slots only; where there is none, from MMIO too, it reads as ones.
 */
#include "engine/soft/block.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/lock.h"
#include "engine/dbt/dbt.h"
#include "engine/soft/access.h"
#include "engine/soft/debug.h"
#include "engine/soft/native.h"

#define HASH_BITS       16
#define HASH_SIZE       (1u << HASH_BITS)
#define PAGE_HASH_SIZE  4096u
#define JUMP_CACHE_SIZE 4096u
#define LINE_SHIFT      6 /* 64 lines of 64 bytes a page: one bit each */
#define QUEUE_SIZE      64
/* When blocks take more than this, all go: simpler than ageing, and rare. */
#define MAX_BYTES (32 * MIB)

#define FOUND_BITS  15
#define FOUND_PAGES (1u << FOUND_BITS)
#define FOUND_LARGE 8

#define KEY_GENERATIONS_MASK 0xffffffu /* of cpu->fetch_key, above mode and privilege */

struct code_page {
    gpa_t page;
    uint64_t lines; /* which 64-byte lines hold decoded bytes */
    struct block *blocks;
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
    struct block *hash[HASH_SIZE];
    struct code_page *pages[PAGE_HASH_SIZE];
    struct jump_entry jumps[JUMP_CACHE_SIZE];
    /*
     * Of the translations: links and jumps of an older one are void. User code goes by the local
     * one, which loads of CR3 make older; supervisor code by the other, as long as all of it was
     * found on global pages.
     */
    uint64_t generation, local_generation, last_generation;
    bool supervisor_is_local;
    uint32_t code_generation; /* of the blocks: links and jumps of an older one are void, too */
    /* Filters, a bit a page, hashed: from which pages code was found (by [CPL is 3]). */
    uint64_t found[2][FOUND_PAGES / 64];
    /* The GiB of which code was found in large pages; more than FOUND_LARGE: anywhere. */
    uint64_t found_large[FOUND_LARGE];
    unsigned found_larges;
    size_t bytes; /* of the blocks that are not in the graveyard */
    struct block *graveyard;
    struct lock queue_lock;
    struct queued_write queue[QUEUE_SIZE];
    unsigned queued; /* more than QUEUE_SIZE: drop everything */
};

int block_cache_create(struct cpu *cpu)
{
    cpu->blocks = calloc(1, sizeof(*cpu->blocks));
    if (!cpu->blocks)
        return -ENOMEM;
    cpu->blocks->generation = cpu->blocks->local_generation = cpu->blocks->last_generation = 1;
    lock_init(&cpu->blocks->queue_lock, LOCK_RANK_ENGINE);
    return 0;
}

void block_cache_destroy(struct cpu *cpu)
{
    if (!cpu->blocks)
        return;
    block_drop_all(cpu);
    block_collect(cpu);
    lock_fini(&cpu->blocks->queue_lock);
    free(cpu->blocks);
    cpu->blocks = NULL;
}

static unsigned hash_of(gpa_t gpa, unsigned mode)
{
    uint64_t h = (gpa ^ (uint64_t)mode << 60) * 0x9e3779b97f4a7c15u;

    return (unsigned)(h >> (64 - HASH_BITS));
}

static struct code_page **page_link(struct block_cache *cache, gpa_t page)
{
    struct code_page **link = &cache->pages[(page >> PAGE_SHIFT) % PAGE_HASH_SIZE];

    while (*link && (*link)->page != page)
        link = &(*link)->next;
    return link;
}

/* The record of a page, made when its first block is; its writes come to us from then on. */
static struct code_page *page_get(struct cpu *cpu, gpa_t page)
{
    struct code_page **link = page_link(cpu->blocks, page);

    if (!*link) {
        struct code_page *fresh = calloc(1, sizeof(*fresh));

        ASSERT(fresh, "the host has memory for a code page record");
        fresh->page = page;
        *link = fresh;
        mem_watch_page(cpu->mem, MEM_WATCH_CODE, page, true);
        tlb_protect_page(cpu, page);
    }
    return *link;
}

static uint64_t line_bits(gpa_t gpa, uint64_t len)
{
    unsigned first = (unsigned)((gpa & ~PAGE_MASK) >> LINE_SHIFT);
    unsigned last = (unsigned)(((gpa & ~PAGE_MASK) + len - 1) >> LINE_SHIFT);

    return bits_get(UINT64_MAX, last, first) << first;
}

static enum step leave_block(struct cpu *cpu, const struct op *op)
{
    cpu->counters.instructions--; /* the loop counts ops, and this one is no instruction */
    return STEP_JUMP;
}

/* How many of a block's bytes lie on its first page. */
static uint64_t first_bytes(const struct block *block)
{
    return MIN(block->bytes, PAGE_SIZE - (block->gpa & ~PAGE_MASK));
}

/* Which lines of a page hold the block's bytes. Both its pages may be the same one. */
static uint64_t block_lines(const struct block *block, const struct code_page *page)
{
    uint64_t lines = 0;

    if (block->page[0] == page)
        lines |= line_bits(block->gpa, first_bytes(block));
    if (block->second_page == page->page)
        lines |= line_bits(page->page, block->bytes - first_bytes(block));
    return lines;
}

/* The memory of a block of so many ops and guest bytes; one op more marks its end. */
static size_t block_size(unsigned count, uint64_t bytes)
{
    return sizeof(struct block) + (count + 1) * sizeof(struct op) + bytes;
}

static void link_to_page(struct block *block, unsigned which, struct code_page *page)
{
    block->page[which] = page;
    block->page_next[which] = page->blocks;
    page->blocks = block;
}

static void link_block(struct cpu *cpu, struct block *block)
{
    struct block_cache *cache = cpu->blocks;
    struct block **head = &cache->hash[hash_of(block->gpa, block->mode)];

    block->hash_next = *head;
    *head = block;
    link_to_page(block, 0, page_get(cpu, block->gpa & PAGE_MASK));
    block->page[0]->lines |= block_lines(block, block->page[0]);
    if (block->second_page != BLOCK_ONE_PAGE && block->second_page != block->page[0]->page) {
        link_to_page(block, 1, page_get(cpu, block->second_page));
        block->page[1]->lines |= block_lines(block, block->page[1]);
    }
    cache->bytes += block_size(block->count, block->bytes);
    cpu->counters.block_bytes = cache->bytes;
    cpu->counters.blocks_made++;
}

static void unlink_from_page(struct block *block, struct code_page *page)
{
    struct block **link = &page->blocks;

    while (*link != block) {
        ASSERT(*link, "a block is in the lists of its pages");
        link = &(*link)->page_next[(*link)->page[1] == page];
    }
    *link = block->page_next[block->page[1] == page];
}

/* What is left of dropping a block that is in no list any more. */
static void bury(struct cpu *cpu, struct block *block)
{
    struct block_cache *cache = cpu->blocks;

    if (block->translations)
        dbt_drop(cpu, block);
    for (unsigned i = 0; i < block->count; i++) {
        block->ops[i].fn = leave_block;
        block->ops[i].len = 0;
    }
    block->hash_next = cache->graveyard;
    cache->graveyard = block;
    cache->bytes -= block_size(block->count, block->bytes);
    cpu->counters.block_bytes = cache->bytes;
    cpu->counters.blocks_dropped++;
}

/* Drops a block that has left the list of `already`, if that is not NULL. */
static void drop_block(struct cpu *cpu, struct block *block, const struct code_page *already)
{
    struct block **link = &cpu->blocks->hash[hash_of(block->gpa, block->mode)];

    while (*link != block) {
        ASSERT(*link, "a block is in its hash chain");
        link = &(*link)->hash_next;
    }
    *link = block->hash_next;
    for (unsigned i = 0; i < 2; i++) {
        if (block->page[i] && block->page[i] != already)
            unlink_from_page(block, block->page[i]);
    }
    bury(cpu, block);
}

void block_update_key(struct cpu *cpu)
{
    const struct block_cache *cache = cpu->blocks;
    bool user = cpu->cpl == 3;
    uint64_t generation = user ? cache->local_generation : cache->generation;

    cpu->fetch_key = (uint64_t)cache->code_generation << 32 | (uint32_t)generation << 8 |
                     (uint32_t)cpu->mode << 1 | user;
    dbt_update(cpu);
}

/* A new generation of the translations. The key has only its low bits: links of old keys go. */
static uint64_t next_generation(struct cpu *cpu)
{
    struct block_cache *cache = cpu->blocks;

    if ((++cache->last_generation & KEY_GENERATIONS_MASK) == 0) {
        cache->code_generation++;
        dbt_forget_keys(cpu);
    }
    return cache->last_generation;
}

void block_forget_addresses(struct cpu *cpu)
{
    struct block_cache *cache = cpu->blocks;
    uint64_t before = cache->generation;

    cache->generation = cache->local_generation = next_generation(cpu);
    cache->supervisor_is_local = false;
    cache->found_larges = 0;
    memset(cache->found, 0, sizeof(cache->found));
    block_update_key(cpu);
    dbt_forget_addresses(cpu, before, cache->generation);
}

/* Forgets what CPL 3 found. */
static void forget_user_addresses(struct cpu *cpu)
{
    struct block_cache *cache = cpu->blocks;
    uint64_t before = cache->local_generation;

    cache->local_generation = next_generation(cpu);
    memset(cache->found[true], 0, sizeof(cache->found[true]));
    block_update_key(cpu);
    dbt_forget_addresses(cpu, before, cache->local_generation);
}

void block_forget_local_addresses(struct cpu *cpu)
{
    if (cpu->blocks->supervisor_is_local)
        block_forget_addresses(cpu);
    else
        forget_user_addresses(cpu);
}

/* The blocks themselves went, their addresses lead where they did. */
static void forget_blocks(struct cpu *cpu)
{
    cpu->blocks->code_generation++;
    block_update_key(cpu);
}

static unsigned found_bit(gva_t linear)
{
    return (unsigned)((linear >> PAGE_SHIFT) * 0x9e3779b97f4a7c15u >> (64 - FOUND_BITS));
}

void block_forget_page(struct cpu *cpu, gva_t page)
{
    const struct block_cache *cache = cpu->blocks;
    unsigned bit = found_bit(page);

    if (cache->found[false][bit / 64] & BIT(bit % 64))
        block_forget_addresses(cpu);
    else if (cache->found[true][bit / 64] & BIT(bit % 64))
        forget_user_addresses(cpu);
}

static bool found_large(const struct block_cache *cache, gva_t linear)
{
    for (unsigned i = 0; i < MIN(cache->found_larges, FOUND_LARGE); i++) {
        if (cache->found_large[i] == linear >> GIB_SHIFT)
            return true;
    }
    return cache->found_larges > FOUND_LARGE;
}

void block_forget_large(struct cpu *cpu, gva_t linear)
{
    if (found_large(cpu->blocks, linear))
        block_forget_addresses(cpu);
}

void block_note_found(struct cpu *cpu, gva_t linear)
{
    struct block_cache *cache = cpu->blocks;
    bool user = cpu->cpl == 3;
    enum tlb_kind kind = user ? TLB_USER : TLB_SUPER;
    unsigned bit = found_bit(linear);

    /* A bit that is set may be another page's: it says nothing of what kind this one is. */
    cache->found[user][bit / 64] |= BIT(bit % 64);
    if (!user && !cache->supervisor_is_local && !tlb_is_global(cpu, TLB_SUPER, linear))
        cache->supervisor_is_local = true;
    if (tlb_is_large(cpu, kind, linear) && !found_large(cache, linear)) {
        if (cache->found_larges < FOUND_LARGE)
            cache->found_large[cache->found_larges] = linear >> GIB_SHIFT;
        cache->found_larges++;
    }
}

void block_remember(struct cpu *cpu, struct block *before, struct block *to)
{
    /* A crossing block's second page is looked up each time: it is not worth a cache of its own. */
    if (to->second_page != BLOCK_ONE_PAGE || debug_breakpoint_at(cpu, block_next_linear(cpu)))
        return;
    before->links[1] = before->links[0];
    before->links[0] = (struct block_link){block_next_linear(cpu), cpu->fetch_key, to};
}

/* Recomputes which lines of a page still hold code, after some of its blocks went. */
static void recount_lines(struct code_page *page)
{
    page->lines = 0;
    for (struct block *b = page->blocks; b; b = b->page_next[b->page[1] == page])
        page->lines |= block_lines(b, page);
}

static bool block_overlaps(const struct block *block, const struct code_page *page, gpa_t gpa,
                           uint64_t len)
{
    uint64_t first = first_bytes(block);

    if (block->page[0] == page && gpa < block->gpa + first && block->gpa < gpa + len)
        return true;
    return block->second_page == page->page && gpa < page->page + (block->bytes - first);
}

void block_invalidate(struct cpu *cpu, gpa_t gpa, uint64_t len)
{
    struct code_page *page = *page_link(cpu->blocks, gpa & PAGE_MASK);
    bool dropped = false;

    if (!page || !(page->lines & line_bits(gpa, len)))
        return;
    for (struct block **link = &page->blocks, *b; (b = *link);) {
        struct block **next = &b->page_next[b->page[1] == page];

        if (!block_overlaps(b, page, gpa, len)) {
            link = next;
            continue;
        }
        *link = *next;
        drop_block(cpu, b, page);
        dropped = true;
    }
    if (!dropped)
        return;
    recount_lines(page);
    forget_blocks(cpu);
    /*
     * A page without code needs no watching any more; its record goes when everything does. Some
     * blocks of another page may have ended here, so only an empty list says so.
     */
    if (!page->blocks) {
        struct code_page **link = page_link(cpu->blocks, page->page);

        mem_watch_page(cpu->mem, MEM_WATCH_CODE, page->page, false);
        *link = page->next;
        free(page);
    }
}

void block_drop_all(struct cpu *cpu)
{
    struct block_cache *cache = cpu->blocks;

    for (unsigned i = 0; i < HASH_SIZE; i++) {
        while (cache->hash[i]) {
            struct block *block = cache->hash[i];

            cache->hash[i] = block->hash_next;
            bury(cpu, block);
        }
    }
    for (unsigned i = 0; i < PAGE_HASH_SIZE; i++) {
        while (cache->pages[i]) {
            struct code_page *page = cache->pages[i];

            cache->pages[i] = page->next;
            mem_watch_page(cpu->mem, MEM_WATCH_CODE, page->page, false);
            free(page);
        }
    }
    forget_blocks(cpu);
    if (cpu->native)
        native_reset(cpu);
}

bool block_dropped(const struct cpu *cpu)
{
    return cpu->blocks->graveyard;
}

bool block_collect(struct cpu *cpu)
{
    struct block_cache *cache = cpu->blocks;

    if (likely(!cache->graveyard))
        return false;
    while (cache->graveyard) {
        struct block *block = cache->graveyard;

        cache->graveyard = block->hash_next;
        free(block);
    }
    return true;
}

void block_invalidate_later(struct cpu *cpu, gpa_t gpa, uint64_t len)
{
    struct block_cache *cache = cpu->blocks;

    lock_acquire(&cache->queue_lock);
    if (cache->queued < QUEUE_SIZE)
        cache->queue[cache->queued] = (struct queued_write){gpa, len};
    if (cache->queued <= QUEUE_SIZE)
        cache->queued++;
    lock_release(&cache->queue_lock);
    cpu_request(cpu, CPU_REQUEST_CODE);
}

void block_apply_queued(struct cpu *cpu)
{
    struct block_cache *cache = cpu->blocks;
    struct queued_write queue[QUEUE_SIZE];
    unsigned queued;

    lock_acquire(&cache->queue_lock);
    queued = cache->queued;
    memcpy(queue, cache->queue, sizeof(queue));
    cache->queued = 0;
    lock_release(&cache->queue_lock);
    if (queued > QUEUE_SIZE) {
        block_drop_all(cpu);
        return;
    }
    for (unsigned i = 0; i < queued; i++)
        block_invalidate(cpu, queue[i].gpa, queue[i].len);
}

/* Where decoding reads: the rest of the first page, and the second page once it is needed. */
struct fetch {
    struct cpu *cpu;
    gva_t linear;
    gpa_t gpa;
    uint64_t room;     /* bytes to the end of the page or of the CS limit */
    bool limited;      /* room is the limit's, not the page's */
    gpa_t second_page; /* BLOCK_ONE_PAGE until fetched */
    uint8_t bytes[PAGE_SIZE + X86_INSN_MAX_BYTES];
};

static enum step fetch_begin(struct fetch *fetch, struct cpu *cpu)
{
    uint64_t ip = cpu->x.gpr[X86_RIP];
    const struct x86_segment *cs = &cpu->x.seg[X86_CS];
    enum step step;

    fetch->cpu = cpu;
    fetch->second_page = BLOCK_ONE_PAGE;
    fetch->limited = false;
    if (cpu->long64) {
        fetch->linear = ip;
        if (!x86_canonical(ip))
            return cpu_raise_error(cpu, X86_GP, 0);
    } else {
        fetch->linear = (uint32_t)(cs->base + ip);
        if (ip > cs->limit)
            return cpu_raise_error(cpu, X86_GP, 0);
    }
    step = paging_fetch(cpu, fetch->linear, &fetch->gpa);
    if (step)
        return step;
    fetch->room = PAGE_SIZE - (fetch->linear & ~PAGE_MASK);
    if (!cpu->long64 && (uint64_t)cs->limit - ip + 1 < fetch->room) {
        fetch->room = (uint64_t)cs->limit - ip + 1;
        fetch->limited = true;
    }
    mem_read(cpu->mem, fetch->gpa, fetch->bytes, fetch->room);
    return STEP_NEXT;
}

/* Appends the first bytes of the next page, for an instruction that crosses into it. */
static enum step fetch_second(struct fetch *fetch)
{
    struct cpu *cpu = fetch->cpu;
    gva_t next = (fetch->linear + fetch->room) & cpu->linear_mask;
    uint64_t bytes = X86_INSN_MAX_BYTES;
    enum step step;

    if (fetch->limited)
        return cpu_raise_error(cpu, X86_GP, 0);
    if (!cpu->long64) {
        uint64_t limit = cpu->x.seg[X86_CS].limit;
        uint64_t used = cpu->x.gpr[X86_RIP] + fetch->room;

        if (used > limit)
            return cpu_raise_error(cpu, X86_GP, 0);
        bytes = MIN(bytes, limit - used + 1);
    } else if (!x86_canonical(next)) {
        return cpu_raise_error(cpu, X86_GP, 0);
    }
    step = paging_fetch(cpu, next, &fetch->second_page);
    if (step)
        return step;
    mem_read(cpu->mem, fetch->second_page, fetch->bytes + fetch->room, bytes);
    fetch->room += bytes;
    return STEP_NEXT;
}

static enum step op_too_long(struct cpu *cpu, const struct op *op)
{
    return cpu_raise_error(cpu, X86_GP, 0);
}

static void make_undecodable(struct op *op, enum x86_decode_result result)
{
    *op = (struct op){
        .fn = result == X86_DECODE_TOO_LONG ? op_too_long : op_undefined,
        .len = 1,
        .flags = OP_ENDS,
        .mnemonic = ZYDIS_MNEMONIC_INVALID,
    };
}

/*
 * Decodes into ops until something ends the block. Returns the number of ops; 0 with *step set when
 * not even the first instruction can be fetched.
 */
static unsigned decode_ops(struct fetch *fetch, struct op *ops, uint64_t *bytes, enum step *step)
{
    struct binder_input in = {.cpu = fetch->cpu, .mode = fetch->cpu->mode};
    struct x86_insn insn;
    unsigned count = 0;
    uint64_t at = 0;

    in.insn = &insn;
    while (count < BLOCK_MAX_OPS && at < fetch->room) {
        enum x86_decode_result result =
            x86_decode(&insn, in.mode, fetch->bytes + at, fetch->room - at);

        if (count > 0 && debug_breakpoint_at(fetch->cpu, fetch->linear + at))
            break; /* so that the loop comes by */
        if (result == X86_DECODE_MORE) {
            if (count > 0)
                break; /* gets a block of its own when it is reached */
            *step = fetch_second(fetch);
            if (*step)
                return 0;
            result = x86_decode(&insn, in.mode, fetch->bytes + at, fetch->room - at);
        }
        if (result == X86_DECODE_MORE) {
            /* Both pages' bytes end inside it: the limit does. */
            *step = cpu_raise_error(fetch->cpu, X86_GP, 0);
            return 0;
        }
        if (result != X86_DECODE_OK) {
            /* Any of the bytes that were looked at may make it valid when it changes. */
            make_undecodable(&ops[count], result);
            at += MIN(fetch->room - at, X86_INSN_MAX_BYTES);
        } else {
            op_bind(&ops[count], &in);
            at += insn.info.length;
        }
        count++;
        if ((ops[count - 1].flags & (OP_ENDS | OP_SHADOW)) || fetch->second_page != BLOCK_ONE_PAGE)
            break;
    }
    *bytes = at;
    return count;
}

static enum step make_block(struct cpu *cpu, struct block **out)
{
    struct op ops[BLOCK_MAX_OPS];
    struct fetch fetch;
    struct block *block;
    uint64_t bytes = 0;
    unsigned count;
    enum step step = fetch_begin(&fetch, cpu);

    if (step)
        return step;
    if (cpu->blocks->bytes >= MAX_BYTES || native_full(cpu))
        block_drop_all(cpu);
    count = decode_ops(&fetch, ops, &bytes, &step);
    if (count == 0)
        return step;
    block = calloc(1, block_size(count, bytes));
    ASSERT(block, "the host has memory for a block");
    block->gpa = fetch.gpa;
    block->second_page = fetch.second_page;
    block->mode = cpu->mode;
    block->count = (uint8_t)count;
    block->bytes = (uint16_t)bytes;
    memcpy(block->ops, ops, count * sizeof(struct op));
    memcpy(&block->ops[count + 1], fetch.bytes, bytes);
    for (unsigned i = 0; i < count; i++) {
        block->lookups += ops[i].lookups;
        block->ops[i].left = (uint8_t)(count - 1 - i);
    }
    block->ops[count].fn = leave_block;
    link_block(cpu, block);
    *out = block;
    return STEP_NEXT;
}

/* Where the instruction at the end of a page continues. */
static enum step fetch_next_page(struct cpu *cpu, gva_t linear, gpa_t *gpa)
{
    gva_t next = ((linear & PAGE_MASK) + PAGE_SIZE) & cpu->linear_mask;

    if (cpu->long64 && !x86_canonical(next))
        return cpu_raise_error(cpu, X86_GP, 0);
    return paging_fetch(cpu, next, gpa);
}

/* The first block of a hash chain that fits from `block` on, whatever its second page. */
static struct block *match(const struct cpu *cpu, struct block *block, gpa_t gpa)
{
    while (block &&
           (block->gpa != gpa || block->mode != cpu->mode || !block_fits_limit(cpu, block)))
        block = block->hash_next;
    return block;
}

/* Whether an instruction inside a block, not its first, stands at a breakpoint. */
static bool cut_by_breakpoint(const struct cpu *cpu, gva_t linear, const struct block *block)
{
    if (!debug_breakpoint_within(cpu, linear, block->bytes))
        return false;
    for (unsigned i = 0; i + 1 < block->count; i++) {
        linear += block->ops[i].len;
        if (debug_breakpoint_at(cpu, linear))
            return true;
    }
    return false;
}

/*
 * Looks in the hash, with the fetch translated; makes the block if it is not there. A walk of the
 * page tables writes to them and so may drop blocks: the chain is read from its head after one.
 */
static enum step find_by_gpa(struct cpu *cpu, gva_t linear, struct block **out)
{
    struct block **head, *block;
    gpa_t gpa, second = BLOCK_ONE_PAGE;
    enum step step;

    if (cpu->long64 ? !x86_canonical(linear) : cpu->x.gpr[X86_RIP] > cpu->x.seg[X86_CS].limit)
        return cpu_raise_error(cpu, X86_GP, 0);
    step = paging_fetch(cpu, linear, &gpa);
    if (step)
        return step;
    block_note_found(cpu, linear);
    head = &cpu->blocks->hash[hash_of(gpa, cpu->mode)];
    block = match(cpu, *head, gpa);
    while (block && block->second_page != BLOCK_ONE_PAGE && block->second_page != second) {
        if (second != BLOCK_ONE_PAGE) {
            block = match(cpu, block->hash_next, gpa);
            continue;
        }
        step = fetch_next_page(cpu, linear, &second);
        if (step)
            return step;
        block = match(cpu, *head, gpa);
    }
    if (block && cut_by_breakpoint(cpu, linear, block)) {
        block_invalidate(cpu, gpa, 1); /* it is older than the breakpoint, or made elsewhere */
        block = NULL;
    }
    if (!block)
        return make_block(cpu, out);
    *out = block;
    return STEP_NEXT;
}

enum step block_find(struct cpu *cpu, struct block **out)
{
    gva_t linear = block_next_linear(cpu);
    struct jump_entry *jump = &cpu->blocks->jumps[(linear ^ linear >> 12) % JUMP_CACHE_SIZE];
    enum step step;

    if (likely(jump->linear == linear && jump->key == cpu->fetch_key &&
               block_fits_limit(cpu, jump->block))) {
        *out = jump->block;
        return STEP_NEXT;
    }
    step = debug_arrive(cpu, linear);
    if (!step)
        step = find_by_gpa(cpu, linear, out);
    if (step)
        return step;
    if ((*out)->second_page == BLOCK_ONE_PAGE && !debug_breakpoint_at(cpu, linear))
        *jump = (struct jump_entry){linear, cpu->fetch_key, *out};
    return STEP_NEXT;
}

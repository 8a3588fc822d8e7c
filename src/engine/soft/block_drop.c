/*
 * The block cache's lists, and dropping.
 *
 *   live     --drop, evict--> dropped --block_collect--> freed
 *   hash, pages: a block leaves them when its bytes are written, else when it is collected
 *
 * Dropping a block takes the same short time whatever leads to it: links and jumps to it are void
 * by their key, and its translations are unlinked when it is collected. The run loop collects
 * before anything else runs, and looks at requests between the pieces. A block that is being
 * interpreted is left at its next op: its ops become ones that leave. The op that is running keeps
 * its own function pointer and length, which the loop has read already.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "engine/dbt/dbt.h"
#include "engine/soft/block_internal.h"
#include "engine/soft/native.h"

#define LINE_SHIFT 6 /* 64 lines of 64 bytes a page: one bit each */

/* --- rings --- */

static void ring_init(struct block_ring *ring)
{
    ring->next = ring->before = ring;
}

static bool ring_empty(const struct block_ring *ring)
{
    return ring->next == ring;
}

static void ring_remove(struct block_ring *at)
{
    at->before->next = at->next;
    at->next->before = at->before;
}

static void ring_append(struct block_ring *ring, struct block_ring *at)
{
    at->next = ring;
    at->before = ring->before;
    ring->before->next = at;
    ring->before = at;
}

/* Moves all of a ring behind another's last. */
static void ring_splice(struct block_ring *to, struct block_ring *from)
{
    if (ring_empty(from))
        return;
    to->before->next = from->next;
    from->next->before = to->before;
    from->before->next = to;
    to->before = from->before;
    ring_init(from);
}

/* --- life and death --- */

int block_cache_create(struct cpu *cpu, size_t max_bytes)
{
    struct block_cache *cache = calloc(1, sizeof(*cache));

    cpu->blocks = cache;
    if (!cache)
        return -ENOMEM;
    cache->max_bytes = max_bytes;
    cache->generation = cache->local_generation = cache->last_generation = 1;
    ring_init(&cache->live);
    ring_init(&cache->dropped);
    lock_init(&cache->queue_lock, LOCK_RANK_ENGINE);
    return 0;
}

void block_cache_destroy(struct cpu *cpu)
{
    if (!cpu->blocks)
        return;
    block_drop_all(cpu);
    while (block_collect(cpu) != BLOCK_COLLECT_NOTHING)
        ;
    lock_fini(&cpu->blocks->queue_lock);
    free(cpu->blocks);
    cpu->blocks = NULL;
}

size_t block_cache_fixed_bytes(void)
{
    return sizeof(struct block_cache);
}

static void count_bytes(struct cpu *cpu, size_t more, size_t less)
{
    struct block_cache *cache = cpu->blocks;

    cache->bytes += more;
    cache->bytes -= less;
    cpu->counters.block_bytes = cache->bytes;
}

/* --- pages with code --- */

static struct code_page **page_link(struct block_cache *cache, gpa_t page)
{
    uint64_t mixed = (page >> PAGE_SHIFT) * 0x9e3779b97f4a7c15u;
    struct code_page **link = &cache->pages[mixed >> (64 - BLOCK_PAGES_BITS)];

    while (*link && (*link)->page != page)
        link = &(*link)->next;
    return link;
}

#define PAGE_RECORD_BYTES (sizeof(struct code_page) + BLOCK_MALLOC_BYTES)

/*
 * The record of a page, made when its first block is; its writes come to us from then on. NULL
 * without memory.
 */
static struct code_page *page_get(struct cpu *cpu, gpa_t page)
{
    struct code_page **link = page_link(cpu->blocks, page);

    if (!*link) {
        struct code_page *fresh = calloc(1, sizeof(*fresh));

        if (!fresh)
            return NULL;
        fresh->page = page;
        *link = fresh;
        count_bytes(cpu, PAGE_RECORD_BYTES, 0);
        mem_watch_page(cpu->mem, MEM_WATCH_CODE, page, true);
        tlb_protect_page(cpu, page);
    }
    return *link;
}

/* A page without code needs no watching any more. */
static void page_put(struct cpu *cpu, struct code_page *page)
{
    struct code_page **link;

    if (page->blocks)
        return;
    link = page_link(cpu->blocks, page->page);
    mem_watch_page(cpu->mem, MEM_WATCH_CODE, page->page, false);
    *link = page->next;
    free(page);
    count_bytes(cpu, 0, PAGE_RECORD_BYTES);
}

static uint64_t line_bits(gpa_t gpa, uint64_t len)
{
    unsigned first = (unsigned)((gpa & ~PAGE_MASK) >> LINE_SHIFT);
    unsigned last = (unsigned)(((gpa & ~PAGE_MASK) + len - 1) >> LINE_SHIFT);

    return bits_get(UINT64_MAX, last, first) << first;
}

uint64_t block_first_bytes(const struct block *block)
{
    return MIN(block->bytes, PAGE_SIZE - (block->gpa & ~PAGE_MASK));
}

/* Which lines of a page hold the block's bytes. Both its pages may be the same one. */
static uint64_t block_lines(const struct block *block, const struct code_page *page)
{
    uint64_t lines = 0;

    if (block->page[0] == page)
        lines |= line_bits(block->gpa, block_first_bytes(block));
    if (block->second_page == page->page)
        lines |= line_bits(page->page, block->bytes - block_first_bytes(block));
    return lines;
}

static void link_to_page(struct block *block, unsigned which, struct code_page *page)
{
    struct block *first = page->blocks;

    block->page[which] = page;
    block->page_next[which] = first;
    block->page_link[which] = &page->blocks;
    if (first)
        first->page_link[first->page[1] == page] = &block->page_next[which];
    page->blocks = block;
    page->count++;
    page->lines |= block_lines(block, page);
}

static void unlink_from_page(struct cpu *cpu, struct block *block, unsigned which)
{
    struct code_page *page = block->page[which];
    struct block *next = block->page_next[which];

    ASSERT(*block->page_link[which] == block, "a block is in the lists of its pages");
    *block->page_link[which] = next;
    if (next)
        next->page_link[next->page[1] == page] = block->page_link[which];
    page->count--;
    block->page[which] = NULL;
    page_put(cpu, page);
}

/* --- blocks --- */

struct block **block_chain(struct block_cache *cache, gpa_t gpa, unsigned mode)
{
    uint64_t h = (gpa ^ (uint64_t)mode << 60) * 0x9e3779b97f4a7c15u;

    return &cache->hash[h >> (64 - BLOCK_HASH_BITS)];
}

/* The memory of a block of so many ops and guest bytes; one op more marks its end. */
static size_t block_size(unsigned count, uint64_t bytes)
{
    return sizeof(struct block) + (count + 1) * sizeof(struct op) + bytes;
}

static size_t block_cost(const struct block *block)
{
    return block_size(block->count, block->bytes) + BLOCK_MALLOC_BYTES;
}

struct block *block_new(unsigned count, uint64_t bytes)
{
    struct block *block = calloc(1, block_size(count, bytes));

    if (!block)
        return NULL;
    block->count = (uint8_t)count;
    block->bytes = (uint16_t)bytes;
    block->ops[count].fn = block_leave;
    return block;
}

enum step block_leave(struct cpu *cpu, const struct op *op)
{
    cpu->counters.instructions--; /* the loop counts ops, and this one is no instruction */
    return STEP_JUMP;
}

/* Takes a block out of the hash and its pages' lists. */
static void unlink_block(struct cpu *cpu, struct block *block)
{
    struct block **link = block_chain(cpu->blocks, block->gpa, block->mode);

    if (!block->page[0])
        return;
    while (*link != block) {
        ASSERT(*link, "a block is in its hash chain");
        link = &(*link)->hash_next;
    }
    *link = block->hash_next;
    for (unsigned i = 0; i < 2; i++) {
        if (block->page[i])
            unlink_from_page(cpu, block, i);
    }
}

/* Makes the block that is being interpreted leave at its next op. */
static void leave_running(struct cpu *cpu)
{
    struct block *block = cpu->block_running;

    for (unsigned i = 0; block && i < block->count; i++) {
        block->ops[i].fn = block_leave;
        block->ops[i].len = 0;
    }
    cpu->block_running = NULL;
}

/* A live block becomes a dropped one; links and jumps to it are the caller's to forget. */
static void condemn(struct cpu *cpu, struct block *block)
{
    struct block_cache *cache = cpu->blocks;

    if (block->dropped || block->drops != cache->drops)
        return;
    block->dropped = true;
    if (cpu->block_running == block)
        leave_running(cpu);
    ring_remove(&block->age);
    ring_append(&cache->dropped, &block->age);
    cache->live_count--;
    cpu->counters.blocks_dropped++;
}

static void drop_now(struct cpu *cpu, struct block *block)
{
    condemn(cpu, block);
    unlink_block(cpu, block);
}

/* Empties a chain or a page's list that a guest has made too long. */
static void cut_lists(struct cpu *cpu, const struct block *fresh)
{
    struct block **chain = block_chain(cpu->blocks, fresh->gpa, fresh->mode);
    gpa_t pages[2] = {fresh->gpa & PAGE_MASK, fresh->second_page};
    unsigned length = 0;
    bool dropped = false;

    for (const struct block *b = *chain; b; b = b->hash_next)
        length++;
    if (length >= BLOCK_CHAIN_MAX) {
        dropped = true;
        while (*chain)
            drop_now(cpu, *chain);
    }
    for (unsigned i = 0; i < 2; i++) {
        struct code_page *page = *page_link(cpu->blocks, pages[i]);

        if (!page || page->count < BLOCK_PAGE_MAX)
            continue;
        dropped = true;
        while ((page = *page_link(cpu->blocks, pages[i])))
            drop_now(cpu, page->blocks);
    }
    if (dropped)
        block_forget_blocks(cpu);
}

bool block_link_new(struct cpu *cpu, struct block *block)
{
    struct block_cache *cache = cpu->blocks;
    struct code_page *first, *second = NULL;
    struct block **head;
    bool crosses =
        block->second_page != BLOCK_ONE_PAGE && block->second_page != (block->gpa & PAGE_MASK);

    cut_lists(cpu, block);
    first = page_get(cpu, block->gpa & PAGE_MASK);
    if (first && crosses)
        second = page_get(cpu, block->second_page);
    if (!first || (crosses && !second)) {
        if (first)
            page_put(cpu, first);
        return false;
    }
    head = block_chain(cache, block->gpa, block->mode);
    block->hash_next = *head;
    *head = block;
    link_to_page(block, 0, first);
    if (crosses)
        link_to_page(block, 1, second);
    block->drops = cache->drops;
    ring_append(&cache->live, &block->age);
    cache->live_count++;
    count_bytes(cpu, block_cost(block), 0);
    cpu->counters.blocks_made++;
    return true;
}

/* --- dropping --- */

static struct block *block_of(struct block_ring *at)
{
    return container_of(at, struct block, age);
}

void block_make_room(struct cpu *cpu)
{
    struct block_cache *cache = cpu->blocks;

    if (likely(cache->bytes < cache->max_bytes))
        return;
    for (unsigned i = 0; i < BLOCK_EVICTED && !ring_empty(&cache->live); i++)
        condemn(cpu, block_of(cache->live.next));
    block_forget_blocks(cpu);
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
    uint64_t first = block_first_bytes(block);

    if (block->page[0] == page && gpa < block->gpa + first && block->gpa < gpa + len)
        return true;
    return block->second_page == page->page && gpa < page->page + (block->bytes - first);
}

void block_invalidate(struct cpu *cpu, gpa_t gpa, uint64_t len)
{
    struct code_page *page = *page_link(cpu->blocks, gpa & PAGE_MASK);
    struct block *next;
    bool dropped = false;

    if (!page || !(page->lines & line_bits(gpa, len)))
        return;
    for (struct block *b = page->blocks; b; b = next) {
        next = b->page_next[b->page[1] == page];
        if (block_overlaps(b, page, gpa, len)) {
            drop_now(cpu, b);
            dropped = true;
        }
    }
    page = *page_link(cpu->blocks, gpa & PAGE_MASK); /* it goes with its last block */
    if (page)
        recount_lines(page);
    if (dropped)
        block_forget_blocks(cpu);
}

void block_drop_all(struct cpu *cpu)
{
    struct block_cache *cache = cpu->blocks;

    leave_running(cpu);
    ring_splice(&cache->dropped, &cache->live);
    cache->drops++;
    cpu->counters.blocks_dropped += cache->live_count;
    cache->live_count = 0;
    block_forget_blocks(cpu);
    if (cpu->native)
        native_reset(cpu);
}

bool block_dropped(const struct cpu *cpu)
{
    return !ring_empty(&cpu->blocks->dropped);
}

/* The last steps of a block that was dropped. */
static void bury(struct cpu *cpu, struct block *block)
{
    unlink_block(cpu, block);
    if (block->translations)
        dbt_drop(cpu, block);
    if (cpu->block_running == block)
        cpu->block_running = NULL;
    ring_remove(&block->age);
    count_bytes(cpu, 0, block_cost(block));
    free(block);
}

enum block_collect block_collect(struct cpu *cpu)
{
    struct block_ring *dropped = &cpu->blocks->dropped;

    if (likely(ring_empty(dropped)))
        return BLOCK_COLLECT_NOTHING;
    for (unsigned i = 0; i < BLOCK_COLLECTED && !ring_empty(dropped); i++)
        bury(cpu, block_of(dropped->next));
    return ring_empty(dropped) ? BLOCK_COLLECT_DONE : BLOCK_COLLECT_MORE;
}

/* --- writes by other threads --- */

void block_invalidate_later(struct cpu *cpu, gpa_t gpa, uint64_t len)
{
    struct block_cache *cache = cpu->blocks;

    lock_acquire(&cache->queue_lock);
    if (cache->queued < BLOCK_QUEUE)
        cache->queue[cache->queued] = (struct queued_write){gpa, len};
    if (cache->queued <= BLOCK_QUEUE)
        cache->queued++;
    lock_release(&cache->queue_lock);
    cpu_request(cpu, CPU_REQUEST_CODE);
}

void block_apply_queued(struct cpu *cpu)
{
    struct block_cache *cache = cpu->blocks;
    struct queued_write queue[BLOCK_QUEUE];
    unsigned queued;

    lock_acquire(&cache->queue_lock);
    queued = cache->queued;
    memcpy(queue, cache->queue, sizeof(queue));
    cache->queued = 0;
    lock_release(&cache->queue_lock);
    if (queued > BLOCK_QUEUE) {
        block_drop_all(cpu);
        return;
    }
    for (unsigned i = 0; i < queued; i++)
        block_invalidate(cpu, queue[i].gpa, queue[i].len);
}

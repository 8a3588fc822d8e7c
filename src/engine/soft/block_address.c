/*
 * Which linear addresses lead to which code: the key under which links between blocks and entries
 * of the jump cache hold, and filters that tell which pages' translations matter to it.
 */
#include <string.h>

#include "engine/dbt/dbt.h"
#include "engine/soft/block_internal.h"
#include "engine/soft/debug.h"

#define KEY_GENERATIONS_MASK 0xffffffu /* of cpu->fetch_key, above mode and privilege */

void block_update_key(struct cpu *cpu)
{
    const struct block_cache *cache = cpu->blocks;
    bool user = cpu->cpl == 3;
    uint64_t generation = user ? cache->local_generation : cache->generation;

    cpu->fetch_key = (uint64_t)cache->code_generation << 32 | (uint32_t)generation << 8 |
                     (uint32_t)cpu->mode << 1 | user;
    dbt_update(cpu);
}

/*
 * A new generation of the translations. The key has only its low bits: where they begin anew all
 * blocks go, and with them what is linked under old keys.
 */
static uint64_t next_generation(struct cpu *cpu)
{
    struct block_cache *cache = cpu->blocks;

    if ((++cache->last_generation & KEY_GENERATIONS_MASK) == 0)
        block_drop_all(cpu);
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

void block_forget_blocks(struct cpu *cpu)
{
    struct block_cache *cache = cpu->blocks;

    if (++cache->code_generation == 0) {
        /* Old keys come again: nothing may be left that holds one. */
        memset(cache->jumps, 0, sizeof(cache->jumps));
        block_drop_all(cpu);
        return;
    }
    block_update_key(cpu);
}

static unsigned found_bit(gva_t linear)
{
    return (unsigned)((linear >> PAGE_SHIFT) * 0x9e3779b97f4a7c15u >> (64 - BLOCK_FOUND_BITS));
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
    for (unsigned i = 0; i < MIN(cache->found_larges, BLOCK_FOUND_LARGE); i++) {
        if (cache->found_large[i] == linear >> GIB_SHIFT)
            return true;
    }
    return cache->found_larges > BLOCK_FOUND_LARGE;
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
        if (cache->found_larges < BLOCK_FOUND_LARGE)
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

/* The mode switch between EPT and shadow paging, and what both need: TLBs, slots, dirty logs. */
#include "mmu/mmu.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/trace.h"
#include "mem/mem.h"
#include "mmu/ept.h"
#include "mmu/shadow/shadow.h"

struct mmu {
    enum mmu_mode mode;
    struct mem *mem;
    struct ept *ept;       /* MMU_EPT */
    struct shadow *shadow; /* MMU_SHADOW */
    struct mmu_tlbs tlbs;
};

struct mmu *mmu_create(struct mem *mem, const struct mmu_config *config)
{
    struct mmu *mmu = calloc(1, sizeof(*mmu));

    if (!mmu)
        return NULL;
    mmu->mode = config->mode;
    mmu->mem = mem;
    if (config->mode == MMU_SHADOW)
        mmu->shadow = shadow_create(
            mem, &mmu->tlbs, config->shadow_pages ? config->shadow_pages : SHADOW_PAGES_DEFAULT,
            config->unsync_off);
    else if (config->mode == MMU_EPT)
        mmu->ept = ept_create(mem, config->ept_tables ? config->ept_tables : UINT64_MAX);
    if (!mmu->ept && !mmu->shadow && config->mode != MMU_HOST) {
        mmu_destroy(mmu);
        return NULL;
    }
    return mmu;
}

void mmu_destroy(struct mmu *mmu)
{
    if (!mmu)
        return;
    ASSERT(!mmu->tlbs.first, "the vCPUs are gone before the tables that they walk");
    shadow_destroy(mmu->shadow);
    ept_destroy(mmu->ept);
    free(mmu);
}

enum mmu_mode mmu_mode(const struct mmu *mmu)
{
    return mmu->mode;
}

const char *mmu_mode_name(enum mmu_mode mode)
{
    static const char *const names[] = {"ept", "shadow", "host"};

    return names[mode];
}

struct mem *mmu_mem(const struct mmu *mmu)
{
    return mmu->mem;
}

struct ept *mmu_ept(const struct mmu *mmu)
{
    return mmu->ept;
}

struct shadow *mmu_shadow(const struct mmu *mmu)
{
    return mmu->shadow;
}

void mmu_attach(struct mmu *mmu, struct mmu_tlb *tlb)
{
    tlbs_add(&mmu->tlbs, tlb);
}

void mmu_detach(struct mmu *mmu, struct mmu_tlb *tlb)
{
    tlbs_remove(&mmu->tlbs, tlb);
}

void mmu_claim(struct mmu *mmu)
{
    if (mmu->shadow)
        shadow_claim(mmu->shadow);
}

/* Whether the slots have changed since the tables were made, which then follow. */
static bool tables_follow(struct mmu *mmu)
{
    if (mmu->shadow)
        return shadow_follow_slots(mmu->shadow);
    return !mmu->ept || ept_follow_slots(mmu->ept);
}

bool mmu_follow_slots(struct mmu *mmu)
{
    if (!tables_follow(mmu))
        return false;
    tlbs_slots_changed(&mmu->tlbs);
    return true;
}

void mmu_a20_changed(struct mmu *mmu)
{
    if (mmu->shadow)
        shadow_zap_all(mmu->shadow);
    tlbs_flush(&mmu->tlbs); /* the EPT maps what A20 has been applied to */
}

/* Pages lose their permission to be written behind a dirty log's back. The caller flushes TLBs. */
static void protect_pages(struct mmu *mmu, gpa_t gpa, uint64_t pages)
{
    if (mmu->shadow)
        shadow_write_protect(mmu->shadow, gpa, pages << PAGE_SHIFT);
    else if (mmu->ept)
        ept_write_protect(mmu->ept, gpa, pages << PAGE_SHIFT);
}

int mmu_dirty_log(struct mmu *mmu, gpa_t base, bool on)
{
    const struct mem_slot *slot = mem_find_slot(mmu->mem, base);
    int err;

    if (slot && slot->dirty)
        tlbs_dirty_sync(&mmu->tlbs,
                        base); /* what engines have seen up to here belongs to the log that ends */
    err = mem_dirty_log(mmu->mem, base, on);
    if (err)
        return err;
    tlbs_dirty_log(&mmu->tlbs, base, on);
    if (on)
        protect_pages(mmu, base, slot->size_bytes >> PAGE_SHIFT);
    else if (mmu->shadow)
        shadow_zap_all(mmu->shadow); /* large leaves come back */
    else if (mmu->ept)
        ept_zap(mmu->ept, base, slot->size_bytes);
    tlbs_flush(&mmu->tlbs);
    return 0;
}

/* Protects the pages whose bits are set, a run of neighbours at once. */
static void protect_dirty(struct mmu *mmu, const struct mem_slot *slot, const uint64_t *bits)
{
    uint64_t pages = slot->size_bytes >> PAGE_SHIFT;

    for (uint64_t i = 0, run; i < pages; i += run) {
        run = 1;
        if (bits[i / 64] == 0) {
            run = 64 - i % 64;
        } else if (bits[i / 64] & BIT(i % 64)) {
            while (i + run < pages && (bits[(i + run) / 64] & BIT((i + run) % 64)))
                run++;
            protect_pages(mmu, slot->base + (i << PAGE_SHIFT), run);
        }
    }
}

static uint64_t count_bits(const uint64_t *bits, size_t words)
{
    uint64_t count = 0;

    for (size_t i = 0; i < words; i++)
        count += (uint64_t)__builtin_popcountll(bits[i]);
    return count;
}

int mmu_dirty_fetch(struct mmu *mmu, gpa_t base, uint64_t *bits, size_t words)
{
    int err;

    tlbs_dirty_sync(&mmu->tlbs, base);
    err = mem_dirty_fetch(mmu->mem, base, bits, words);
    if (err)
        return err;
    if (trace_on(TRACE_dirty_fetch))
        trace(dirty_fetch, base, count_bits(bits, words));
    /* A page that is not in the log was not writable: only those that were lose something. */
    protect_dirty(mmu, mem_find_slot(mmu->mem, base), bits);
    tlbs_flush(&mmu->tlbs);
    return 0;
}

bool mmu_audit(const struct mmu *mmu, char *why, size_t size)
{
    if (mmu->shadow)
        return shadow_audit(mmu->shadow, why, size);
    return !mmu->ept || ept_audit(mmu->ept, why, size);
}

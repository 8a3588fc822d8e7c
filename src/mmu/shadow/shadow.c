/* Shadow paging from its ends: roots, flushes, life and death. */
#include "mmu/shadow/shadow.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/trace.h"
#include "mem/mem.h"
#include "mmu/shadow/config.h"
#include "mmu/shadow/meaning.h"
#include "mmu/shadow/track.h"

/* --- roots --- */

/* The PDPTE registers were loaded: what the root has from earlier ones must go. */
static void check_pdptes(struct shadow *shadow, struct shadow_page *root,
                         const struct guest_walk_context *context)
{
    struct shadow_page *page;

    if (!root->table[0])
        return;
    page = shadow_child(shadow, root->table[0]);
    for (unsigned i = 0; i < X86_PDPTES; i++) {
        struct shadow_grant grant = shadow_grant(shadow, page, i, context);
        uint64_t entry = page->table[i];
        struct shadow_role role;
        gfn_t gfn;

        shadow_child_key(shadow, page, &grant, i, &gfn, &role);
        if (entry && (!grant.present || shadow_child(shadow, entry)->gfn != gfn))
            shadow_clear(shadow, page, i);
    }
}

void shadow_claim(struct shadow *shadow)
{
    atomic_store_explicit(&shadow->owner, pthread_self(), memory_order_relaxed);
}

void shadow_release(struct shadow *shadow, struct shadow_root *root)
{
    if (root->page)
        root->page->users--;
    *root = (struct shadow_root){0};
}

void shadow_switch(struct shadow *shadow, struct shadow_root *root,
                   const struct guest_walk_context *context)
{
    struct shadow_page *page;
    struct shadow_role role;
    uint64_t made;
    bool cached;
    gfn_t gfn;

    shadow_settle(shadow, context);
    shadow_sync_all(shadow);
    shadow_root_key(context, &gfn, &role);
    made = shadow->stats.pages_made;
    page = shadow_track_get(shadow, gfn, role);
    page->users++;
    cached = made == shadow->stats.pages_made;
    shadow->stats.roots_switched++;
    shadow->stats.roots_cached += cached;
    trace(mmu_root, gfn, context->format, role.word, TRACE_WORD(cached ? "found" : "made"));
    shadow_release(shadow, root);
    if (context->format == X86_PAGING_PAE)
        check_pdptes(shadow, page, context);
    root->page = page;
    root->table = page->table;
}

void shadow_flush(struct shadow *shadow)
{
    shadow_settle(shadow, NULL);
    shadow_sync_all(shadow);
}

void shadow_invlpg(struct shadow *shadow, struct shadow_root *root, gva_t gva)
{
    const uint64_t *entry_at[X86_TABLE_LEVELS];
    struct shadow_page *page;

    shadow_settle(shadow, NULL);
    if (!root->page || shadow_walk_entries(root->table, gva, entry_at) != 1)
        return;
    page = shadow_page_of(shadow, entry_at[0]);
    if (page->unsync)
        shadow_clear(shadow, page, x86_table_index(gva, 1));
}

/* --- the monitor's reach into all of it --- */

void shadow_zap_all(struct shadow *shadow)
{
    shadow_page_free_all(shadow);
}

void shadow_write_protect(struct shadow *shadow, gpa_t gpa, uint64_t len)
{
    for (gpa_t page = ALIGN_DOWN(gpa, PAGE_SIZE); page - gpa < len; page += PAGE_SIZE)
        shadow_protect_entries(shadow, page);
}

const struct shadow_stats *shadow_stats(const struct shadow *shadow)
{
    return &shadow->stats;
}

uint64_t shadow_bytes(const struct shadow *shadow)
{
    return shadow->stats.pages * PAGE_SIZE * 2; /* a link is as large as an entry */
}

void shadow_for_each(const struct shadow *shadow,
                     void (*fn)(void *opaque, const struct shadow_page_info *info), void *opaque)
{
    for (const struct shadow_page *page = shadow->oldest; page; page = page->newer) {
        struct shadow_page_info info = {
            .table = page->table,
            .gfn = page->gfn,
            .level = page->role.level,
            .format = (enum x86_paging)page->role.format,
            .quadrant = page->role.quadrant,
            .direct = page->role.direct,
            .unsync = page->unsync,
            .root = page->users > 0,
            .user = page->role.user,
            .write = page->role.write,
            .execute = page->role.execute,
            .present = page->present,
            .hits = page->hits,
        };

        fn(opaque, &info);
    }
}

/* --- life and death --- */

static void *reserve(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

/* As many buckets as pages, rounded up. */
static size_t bucket_count(size_t pages)
{
    size_t count = 1;

    while (count < pages)
        count *= 2;
    return count;
}

struct shadow *shadow_create(struct mem *mem, const struct mmu_tlbs *tlbs, unsigned max_pages,
                             bool unsync_off)
{
    struct shadow *shadow = calloc(1, sizeof(*shadow));

    if (!shadow)
        return NULL;
    ASSERT(max_pages >= SHADOW_PAGES_MIN && max_pages <= SHADOW_PAGES_MAX,
           "the number of shadow pages was checked");
    shadow->tlbs = tlbs;
    shadow->mem = mem;
    shadow->unsync_off = unsync_off;
    shadow->max_pages = max_pages;
    shadow->generation = mem_generation(shadow->mem);
    shadow->a20_mask = UINT64_MAX;
    shadow_claim(shadow);
    pthread_mutex_init(&shadow->queue_lock, NULL);
    shadow->rmap = rmap_create(shadow->mem, (size_t)max_pages * X86_TABLE_ENTRIES);
    shadow->tables = reserve(max_pages * PAGE_SIZE);
    shadow->pages = reserve(max_pages * sizeof(*shadow->pages));
    shadow->hash_mask = bucket_count(max_pages) - 1;
    shadow->hash = calloc(shadow->hash_mask + 1, sizeof(struct shadow_page *));
    if (!shadow->rmap || !shadow->tables || !shadow->pages || !shadow->hash) {
        shadow_destroy(shadow);
        return NULL;
    }
    mem_set_watcher(shadow->mem, MEM_WATCH_TABLES, shadow_on_written, shadow);
    return shadow;
}

void shadow_destroy(struct shadow *shadow)
{
    if (!shadow)
        return;
    mem_set_watcher(shadow->mem, MEM_WATCH_TABLES, NULL, NULL);
    for (const struct shadow_page *page = shadow->oldest; page; page = page->newer) {
        if (!page->role.direct)
            mem_watch_page(shadow->mem, MEM_WATCH_TABLES, page->gfn << PAGE_SHIFT, false);
    }
    free(shadow->hash);
    if (shadow->pages)
        munmap(shadow->pages, shadow->max_pages * sizeof(*shadow->pages));
    if (shadow->tables)
        munmap(shadow->tables, shadow->max_pages * PAGE_SIZE);
    rmap_destroy(shadow->rmap);
    pthread_mutex_destroy(&shadow->queue_lock);
    free(shadow);
}

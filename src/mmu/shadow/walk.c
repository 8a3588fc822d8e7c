/* The walk of a shadow table as a processor with CR0.WP and EFER.NXE set makes it. */
#include "mmu/shadow/walk.h"

#include "mmu/shadow/entry.h"

bool shadow_walk(const uint64_t *table, gva_t gva, const struct guest_walk_access *access,
                 bool smep, struct shadow_mapping *mapping)
{
    uint64_t all = X86_PTE_U | X86_PTE_W, any = 0, entry;
    unsigned level = X86_TABLE_LEVELS;
    bool user_page;

    for (;; level--) {
        entry = table[x86_table_index(gva, level)];
        if (!(entry & X86_PTE_P))
            return false;
        all &= entry;
        any |= entry;
        if (x86_table_is_leaf(entry, level))
            break;
        table = (const uint64_t *)(const void *)shadow_frame(entry);
    }
    user_page = all & X86_PTE_U;
    mapping->writable = all & X86_PTE_W;
    mapping->executable = !(any & X86_PTE_NX) && (access->user || !(user_page && smep));
    if ((access->user && !user_page) || (access->write && !mapping->writable))
        return false;
    if (access->fetch ? !mapping->executable : access->smap && user_page)
        return false;
    mapping->page_bytes = x86_table_span(level);
    mapping->hva = shadow_frame(entry) + (gva & (mapping->page_bytes - 1));
    mapping->global = entry & X86_PTE_G;
    mapping->guest_large = entry & SPTE_LARGE;
    return true;
}

unsigned shadow_walk_entries(const uint64_t *table, gva_t gva,
                             const uint64_t *entry_at[X86_TABLE_LEVELS])
{
    unsigned level = X86_TABLE_LEVELS;

    for (;; level--) {
        const uint64_t *entry = &table[x86_table_index(gva, level)];

        entry_at[level - 1] = entry;
        if (!shadow_is_link(*entry, level))
            return level;
        table = (const uint64_t *)(const void *)shadow_frame(*entry);
    }
}

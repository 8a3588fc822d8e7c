/*
 * The decision about a page fault in non-root:
 *
 *   an MMIO entry that allows the access? -----------------------------> MMIO
 *   walk the guest's tables, setting A and D as the processor does
 *     they do not allow the access ------------------------------------> inject
 *   for each level: link the shadow page, made if need be
 *   at the leaf:
 *     no slot: make an MMIO entry -------------------------------------> MMIO
 *     the write would have to hide a user page from SMAP --------------> emulate the write
 *     fill the entry
 *       a write to ROM ------------------------------------------------> ROM
 *       a write to a guest table that stays write-tracked -------------> emulate the write
 *       else ----------------------------------------------------------> retry
 */
#include "mmu/shadow/fault.h"

#include "base/assert.h"
#include "base/trace.h"
#include "mem/mem.h"
#include "mmu/shadow/meaning.h"
#include "mmu/shadow/track.h"

/* A walk is made anew when somebody else has changed the tables since; not this often in a row. */
#define MAX_WALKS 1000

struct fault {
    struct shadow *shadow;
    const struct guest_walk_context *context;
    gva_t gva;
    const struct guest_walk_access *access;
    gpa_t gpa;    /* A20 applied; known at the leaf */
    bool changed; /* the tables are others than were walked a moment ago: walk again */
};

/* Whether an entry with these rights serves the access, as shadow_walk looks at them. */
static bool rights_serve(uint64_t entry, const struct guest_walk_context *context,
                         const struct guest_walk_access *access)
{
    bool smep = context->smep && context->format != X86_PAGING_NONE;
    bool user_page = entry & X86_PTE_U;

    if (access->user && !user_page)
        return false;
    if (access->fetch)
        return !(entry & X86_PTE_NX) && (access->user || !user_page || !smep);
    if (access->smap && user_page)
        return false;
    return !access->write || (entry & X86_PTE_W);
}

/* Whether the address is known to be MMIO, and the guest's tables allow the access. */
static bool find_mmio(const struct fault *fault, const struct shadow_root *root, gpa_t *gpa)
{
    const uint64_t *entry_at[X86_TABLE_LEVELS];
    unsigned level = shadow_walk_entries(root->table, fault->gva, entry_at);
    uint64_t entry = *entry_at[level - 1];

    if (level != 1 || (entry & X86_PTE_P) || !(entry & SPTE_MMIO) ||
        !rights_serve(entry, fault->context, fault->access))
        return false;
    *gpa = (entry & X86_PTE_FRAME) | (fault->gva & ~PAGE_MASK);
    return true;
}

/*
 * Whether one leaf of this level may map the frame: one slot backs it, aligned as the frame is,
 * no page of it is write-tracked, and A20 leaves it in one piece.
 */
static bool leaf_fits(const struct fault *fault, gpa_t base, unsigned level)
{
    const struct mem_slot *slot;

    if (level == 1)
        return true;
    slot = mem_find_slot(fault->shadow->mem, fault->gpa);
    if (level == X86_TABLE_LEVELS || !slot || slot->dirty || fault->context->a20_mask != UINT64_MAX)
        return false;
    return mem_slot_holds_leaf(slot, base, x86_table_span(level)) &&
           rmap_tables(fault->shadow->rmap, base, level) == 0;
}

/* The bits of a leaf beside its rights. */
static uint64_t leaf_bits(const struct shadow_page *page, uint64_t rights)
{
    bool large = page->role.direct ? page->role.split : page->role.level > 1;

    return X86_PTE_P | X86_PTE_A | rights | (rights & X86_PTE_W ? X86_PTE_D : 0) |
           (page->role.level > 1 ? X86_PTE_PS : 0) | (large ? SPTE_LARGE : 0);
}

/*
 * Fills a page that splits a larger one, or maps GPAs, all at once: nothing has to be asked of the
 * guest's tables, and its neighbours will be wanted.
 */
static void fill_direct(struct fault *fault, struct shadow_page *page)
{
    struct shadow *shadow = fault->shadow;
    unsigned before = page->present;

    for (unsigned i = 0; i < X86_TABLE_ENTRIES; i++) {
        struct shadow_grant grant = shadow_grant(shadow, page, i, NULL);
        gpa_t gpa = grant.gpa & fault->context->a20_mask;
        const struct mem_slot *slot = mem_find_slot(shadow->mem, gpa);
        uint64_t rights = shadow_leaf_rights(page->role, &grant, false);

        if (page->table[i] || !slot)
            continue;
        if (slot->kind == MEM_SLOT_ROM || mem_is_clean(slot, gpa) ||
            mem_page_watched(shadow->mem, MEM_WATCH_TABLES, gpa))
            rights &= ~X86_PTE_W;
        shadow_set_leaf(shadow, page, i,
                        (uintptr_t)(slot->hva + (gpa - slot->base)) | leaf_bits(page, rights));
        shadow->stats.filled++;
    }
    trace(mmu_fill_direct, page->gfn << PAGE_SHIFT, page->role.level, page->present - before);
}

/*
 * Whether the entry may let the guest write to its page from now on. Asked by a write, both who
 * stands in the way are asked to step back: the dirty log takes note now, a guest's table may go
 * unsync.
 */
static bool may_write(struct fault *fault, const struct mem_slot *slot)
{
    gpa_t gpa = fault->gpa;
    bool tracked = mem_page_watched(fault->shadow->mem, MEM_WATCH_TABLES, gpa);

    if (!fault->access->write)
        return !tracked && !mem_is_clean(slot, gpa);
    if (tracked && !shadow_let_write(fault->shadow, gpa >> PAGE_SHIFT))
        return false;
    mem_mark_dirty(fault->shadow->mem, gpa);
    return true;
}

static enum shadow_fault fill_leaf(struct fault *fault, struct shadow_page *page,
                                   const struct shadow_grant *grant,
                                   struct shadow_fault_result *result)
{
    const struct guest_walk_access *access = fault->access;
    struct shadow *shadow = fault->shadow;
    const struct mem_slot *slot = mem_find_slot(shadow->mem, fault->gpa);
    unsigned index = x86_table_index(fault->gva, page->role.level);
    bool wp_emulation =
        access->write && !access->user && grant->user && !grant->write && !page->role.wp;
    bool emulate = wp_emulation && page->role.smap;
    uint64_t rights = shadow_leaf_rights(page->role, grant, wp_emulation && !emulate);
    gpa_t base = ALIGN_DOWN(fault->gpa, x86_table_span(page->role.level));

    result->gpa = fault->gpa;
    if (!emulate && !rights_serve(rights, fault->context, access)) {
        fault->changed = true;
        return SHADOW_RETRY;
    }
    if (!slot) {
        shadow_set_leaf(shadow, page, index, SPTE_MMIO | rights | base);
        trace(mmu_fill, fault->gpa, page->role.level, page->table[index]);
        return SHADOW_MMIO;
    }
    result->hva = slot->hva + (fault->gpa - slot->base);
    if (slot->kind == MEM_SLOT_ROM)
        rights &= ~X86_PTE_W;
    else if (page->role.level == 1 && (rights & X86_PTE_W) && !may_write(fault, slot))
        rights &= ~X86_PTE_W;
    /* Write-protect emulation without its W would leave nobody the right to read. */
    if (wp_emulation && !(rights & X86_PTE_W))
        rights = shadow_leaf_rights(page->role, grant, false) & ~X86_PTE_W;
    shadow_set_leaf(shadow, page, index,
                    (uintptr_t)(slot->hva + (base - slot->base)) | leaf_bits(page, rights));
    trace(mmu_fill, fault->gpa, page->role.level, page->table[index]);
    shadow->stats.filled++;
    shadow->stats.filled_large += page->role.level > 1;
    if (slot->kind == MEM_SLOT_ROM && access->write)
        return SHADOW_ROM;
    return access->write && !(rights & X86_PTE_W) ? SHADOW_EMULATE_WRITE : SHADOW_RETRY;
}

/* The page that the entry is to name: the one that it names already, or found or made now. */
static struct shadow_page *link_child(struct fault *fault, struct shadow_page *page, unsigned index,
                                      const struct shadow_grant *grant)
{
    struct shadow *shadow = fault->shadow;
    struct shadow_page *child;
    struct shadow_role role;
    bool fresh;
    gfn_t gfn;

    shadow_child_key(shadow, page, grant, index, &gfn, &role);
    if (shadow_is_link(page->table[index], page->role.level)) {
        child = shadow_child(shadow, page->table[index]);
        if (child->gfn == gfn && child->role.word == role.word) {
            shadow_page_touch(shadow, child);
            return child;
        }
    }
    child = shadow_track_get(shadow, gfn, role);
    /* PAE's level 3 is what the PDPTE registers said when it was filled: begin anew. */
    for (unsigned i = 0; i < X86_PDPTES && role.format == X86_PAGING_PAE && role.direct; i++)
        shadow_clear(shadow, child, i);
    fresh = child->present == 0;
    if (child->unsync)
        shadow_sync_gfn(shadow, gfn); /* no TLB can know it at this address */
    shadow_set_link(shadow, page, index, child);
    trace(mmu_link, fault->gva, page->role.level, gfn, role.word);
    if (fresh && role.direct && role.level == 1)
        fill_direct(fault, child);
    return child;
}

/* Brings the shadow tables to where they serve the access. */
static enum shadow_fault map(struct fault *fault, struct shadow_root *root,
                             struct shadow_fault_result *result)
{
    struct shadow *shadow = fault->shadow;
    struct shadow_page *page = root->page;

    shadow_page_touch(shadow, page);
    for (;;) {
        unsigned index = x86_table_index(fault->gva, page->role.level);
        struct shadow_grant grant = shadow_grant(shadow, page, index, fault->context);

        if (!grant.present) {
            fault->changed = true;
            return SHADOW_RETRY;
        }
        fault->gpa = (grant.gpa | (fault->gva & (x86_table_span(page->role.level) - 1))) &
                     fault->context->a20_mask;
        /* Once split a page stays so: what split it tends to come back. */
        if (!grant.table && !shadow_is_link(page->table[index], page->role.level) &&
            leaf_fits(fault, grant.gpa, page->role.level))
            return fill_leaf(fault, page, &grant, result);
        page = link_child(fault, page, index, &grant);
    }
}

static enum shadow_fault walk_and_map(struct fault *fault, struct shadow_root *root,
                                      struct shadow_fault_result *result)
{
    struct shadow *shadow = fault->shadow;
    struct guest_walk_result walk;
    bool allowed;

    shadow->walking = true;
    shadow->walking_32bit = fault->context->format == X86_PAGING_32BIT;
    allowed = guest_walk(fault->context, fault->gva, fault->access, &walk);
    shadow->walking = false;
    result->error = walk.error;
    return allowed ? map(fault, root, result) : SHADOW_INJECT;
}

const char *shadow_fault_words(enum shadow_fault end)
{
    static const char *const words[] = {
        [SHADOW_INJECT] = "inject #PF",
        [SHADOW_RETRY] = "retry",
        [SHADOW_MMIO] = "MMIO",
        [SHADOW_ROM] = "write to ROM",
        [SHADOW_EMULATE_WRITE] = "emulate the write",
    };

    return words[end];
}

/* The access as the bits of a page fault's error code. */
static uint32_t access_bits(const struct guest_walk_access *access)
{
    return (access->write ? X86_PF_WRITE : 0) | (access->user ? X86_PF_USER : 0) |
           (access->fetch ? X86_PF_FETCH : 0);
}

static enum shadow_fault decide(struct fault *fault, struct shadow_root *root,
                                struct shadow_fault_result *result)
{
    enum shadow_fault end;
    unsigned walks = 0;

    if (find_mmio(fault, root, &result->gpa))
        return SHADOW_MMIO;
    do {
        ASSERT(walks++ < MAX_WALKS, "what a walk allows the tables grant");
        fault->changed = false;
        end = walk_and_map(fault, root, result);
    } while (unlikely(fault->changed));
    return end;
}

enum shadow_fault shadow_handle_fault(struct shadow *shadow, struct shadow_root *root,
                                      const struct guest_walk_context *context, gva_t gva,
                                      const struct guest_walk_access *access,
                                      struct shadow_fault_result *result)
{
    struct fault fault = {.shadow = shadow, .context = context, .gva = gva, .access = access};
    enum shadow_fault end;

    ASSERT(root->page, "the processor's CR3 was set before it faulted");
    shadow_settle(shadow, context);
    shadow->stats.faults++;
    *result = (struct shadow_fault_result){0};
    end = decide(&fault, root, result);
    trace(mmu_fault, gva, access_bits(access), TRACE_WORD(shadow_fault_words(end)), result->gpa,
          result->error);
    shadow->stats.injected += end == SHADOW_INJECT;
    shadow->stats.mmio += end == SHADOW_MMIO;
    return end;
}

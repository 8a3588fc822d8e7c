/*
 * What the guest's tables grant a shadow entry. Filling, a guest's write to a table, bringing back
 * in step and the audit all ask here, so that there is one meaning of a guest's entry.
 *
 * In non-root CR0.WP is set, for a page that is a guest's table must not be written even by a
 * supervisor. A guest with CR0.WP clear writes as supervisor to read-only user pages all the same.
 * No entry says that, so such a page has one of two at a time, and the faults flip them
 * (write-protect emulation):
 *
 *            guest's   after a user's or any read   after a supervisor's write
 *      U W   1 0       1 0                          0 1, and NX where SMEP has to see a user page
 *
 * With SMAP no entry is made for the write, as it would hide the user page from SMAP.
 */
#include "mmu/shadow/meaning.h"

#include <string.h>

#include "mem/mem.h"

/* A PAE table of four entries stands on any 32 bytes, and is known by those. */
#define PAE_KEY_SHIFT 5

static uint64_t read_guest_entry(const struct shadow_page *page, unsigned index)
{
    unsigned in_part = page->role.level == 1 ? X86_TABLE_ENTRIES : X86_TABLE_ENTRIES / 2;
    uint64_t entry = UINT64_MAX; /* what no memory answers */
    uint32_t entry32 = UINT32_MAX;

    if (page->role.format == X86_PAGING_32BIT) {
        size_t at = page->role.quadrant * in_part + (page->role.level == 1 ? index : index / 2);

        if (page->guest)
            memcpy(&entry32, page->guest + at * sizeof(entry32), sizeof(entry32));
        entry = entry32;
    } else if (page->guest) {
        memcpy(&entry, page->guest + index * sizeof(entry), sizeof(entry));
    }
    /* Bits that cannot be set are as good as set: there is nothing to tell the guest. */
    return page->guest_fixed ? entry | X86_PTE_A | X86_PTE_D : entry;
}

/* Levels 4 and 3 where the guest's format has none. */
static struct shadow_grant grant_synthetic(const struct shadow_page *page, unsigned index,
                                           const struct guest_walk_context *context)
{
    struct shadow_grant grant = {
        .table = true, .user = true, .write = true, .execute = true, .dirty = true};

    if (page->role.level == X86_TABLE_LEVELS) {
        grant.present = index == 0;
    } else if (page->role.format == X86_PAGING_32BIT) {
        grant.present = index < X86_PDPTES;
        grant.gpa = page->gfn << PAGE_SHIFT;
    } else if (context && index < X86_PDPTES) {
        grant.present = context->pdpte[index] & X86_PTE_P;
        grant.gpa = context->pdpte[index] & X86_PTE_FRAME;
    }
    return grant;
}

static struct shadow_grant grant_direct(const struct shadow_page *page, unsigned index)
{
    return (struct shadow_grant){
        .present = true,
        .gpa = (page->gfn << PAGE_SHIFT) + index * x86_table_span(page->role.level),
        .user = page->role.user,
        .write = page->role.write,
        .execute = page->role.execute,
        .dirty = page->role.dirty,
        .global = page->role.global,
    };
}

struct shadow_grant shadow_grant(const struct shadow *shadow, const struct shadow_page *page,
                                 unsigned index, const struct guest_walk_context *context)
{
    struct guest_walk_context format = {
        .format = page->role.format,
        .physical_bits = shadow->physical_bits,
        .gib_pages = shadow->gib_pages,
        .pse = page->role.pse,
        .nxe = page->role.nxe,
    };
    struct guest_entry entry;
    struct shadow_grant grant;

    if (page->role.direct)
        return page->role.format == X86_PAGING_NONE ? grant_direct(page, index)
                                                    : grant_synthetic(page, index, context);
    entry = guest_entry_decode(&format, read_guest_entry(page, index), page->role.level);
    grant = (struct shadow_grant){
        .present = entry.present && !entry.reserved && entry.accessed,
        .table = !entry.leaf,
        .gpa = entry.base,
        .user = page->role.user && entry.user,
        .write = page->role.write && entry.write,
        .execute = page->role.execute && entry.execute,
        .dirty = entry.dirty,
        .global = entry.global,
    };
    /* A 4 MiB page is two entries of ours. */
    if (entry.leaf && page->role.level == 2 && page->role.format == X86_PAGING_32BIT)
        grant.gpa += (index & 1) * x86_table_span(2);
    return grant;
}

void shadow_child_key(const struct shadow *shadow, const struct shadow_page *page,
                      const struct shadow_grant *grant, unsigned index, gfn_t *gfn,
                      struct shadow_role *role)
{
    *role = page->role;
    role->level = page->role.level - 1;
    role->quadrant = 0;
    if (grant->table && page->role.direct && page->role.level == X86_TABLE_LEVELS) {
        *gfn = page->gfn; /* from the synthetic level 4 to the synthetic level 3 */
        return;
    }
    role->user = grant->user;
    role->write = grant->write;
    role->execute = grant->execute;
    if (grant->table) {
        *gfn = (grant->gpa & shadow->a20_mask) >> PAGE_SHIFT;
        role->direct = 0;
        if (page->role.format == X86_PAGING_32BIT)
            role->quadrant = page->role.level == 3 ? index & 3 : index & 1;
        return;
    }
    *gfn = grant->gpa >> PAGE_SHIFT;
    role->split = page->role.format != X86_PAGING_NONE || page->role.split;
    role->direct = 1;
    role->format = X86_PAGING_NONE;
    role->dirty = grant->dirty;
    role->global = grant->global;
}

uint64_t shadow_leaf_rights(struct shadow_role role, const struct shadow_grant *grant,
                            bool wp_emulation)
{
    uint64_t g = grant->global ? X86_PTE_G : 0;
    bool nx = !grant->execute;

    if (wp_emulation)
        return g | X86_PTE_W | (nx || role.smep ? X86_PTE_NX : 0);
    return g | (grant->user ? X86_PTE_U : 0) | (nx ? X86_PTE_NX : 0) |
           (grant->dirty && (grant->write || (!role.wp && !grant->user)) ? X86_PTE_W : 0);
}

static bool rights_good(struct shadow_role role, const struct shadow_grant *grant, uint64_t entry)
{
    bool wp_emulation = grant->user && !(entry & X86_PTE_U);
    uint64_t most = shadow_leaf_rights(role, grant, wp_emulation);

    if (wp_emulation && (role.wp || role.smap))
        return false;
    /* The write protection of a page may take the emulation's W: the next access flips it. */
    if (wp_emulation && (entry & X86_PTE_W) && (grant->write || !grant->dirty))
        return false;
    if (entry & ~most & (X86_PTE_U | X86_PTE_W | X86_PTE_G))
        return false;
    return (entry & X86_PTE_NX) || !(most & X86_PTE_NX);
}

static bool link_good(const struct shadow *shadow, const struct shadow_page *page, unsigned index,
                      uint64_t entry, const struct shadow_grant *grant)
{
    const struct shadow_page *child = shadow_child(shadow, entry);
    struct shadow_role role;
    gfn_t gfn;

    shadow_child_key(shadow, page, grant, index, &gfn, &role);
    /* A write elsewhere made the large page dirty since: this piece asks when it is written. */
    if (!child->role.dirty)
        role.dirty = 0;
    return child->live && child->gfn == gfn && child->role.word == role.word;
}

bool shadow_entry_good(const struct shadow *shadow, const struct shadow_page *page, unsigned index,
                       uint64_t entry)
{
    struct shadow_grant grant = shadow_grant(shadow, page, index, NULL);
    gpa_t gpa = grant.gpa & shadow->a20_mask;

    if (!grant.present)
        return false;
    if (shadow_is_link(entry, page->role.level))
        return link_good(shadow, page, index, entry, &grant);
    if (grant.table || !rights_good(page->role, &grant, entry))
        return false;
    if (entry & X86_PTE_P)
        return shadow_frame(entry) ==
               mem_host(shadow->mem, gpa, x86_table_span(page->role.level), false);
    return (entry & X86_PTE_FRAME) == (gpa & X86_PTE_FRAME) && !mem_find_slot(shadow->mem, gpa);
}

void shadow_root_key(const struct guest_walk_context *context, gfn_t *gfn, struct shadow_role *role)
{
    gpa_t table = context->cr3 & X86_PTE_FRAME;

    role->word = 0;
    role->level = X86_TABLE_LEVELS;
    role->format = context->format;
    role->direct = context->format != X86_PAGING_4LEVEL;
    role->user = role->write = role->execute = 1;
    if (context->format == X86_PAGING_NONE) {
        role->dirty = role->wp = 1;
        *gfn = 0;
        return;
    }
    role->wp = context->wp;
    role->nxe = context->nxe;
    role->smep = context->smep && !context->wp;
    role->smap = context->smap && !context->wp;
    role->pse = context->pse && context->format == X86_PAGING_32BIT;
    if (context->format == X86_PAGING_PAE)
        *gfn = (uint32_t)context->cr3 >> PAE_KEY_SHIFT;
    else if (context->format == X86_PAGING_32BIT)
        *gfn = ((uint32_t)table & context->a20_mask) >> PAGE_SHIFT;
    else
        *gfn = (table & context->a20_mask) >> PAGE_SHIFT;
}

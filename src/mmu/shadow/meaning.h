/*
 * What the guest's tables mean to a shadow entry. It refuses to change anything.
 */
#ifndef UMBRA_MMU_SHADOW_MEANING_H
#define UMBRA_MMU_SHADOW_MEANING_H

#include "mmu/guest_walk.h"
#include "mmu/shadow/page.h"

/* What the guest's tables, as they are now, grant one shadow entry. */
struct shadow_grant {
    bool present; /* present, sound, accessed */
    bool table;   /* a table, shadowed by page (gfn, role) */
    gpa_t gpa;    /* of the frame that the entry would map, A20 not applied */
    bool user, write, execute, dirty, global;
};

/* context: where an entry depends on registers (PAE's PDPTE), else it may be NULL. */
struct shadow_grant shadow_grant(const struct shadow *shadow, const struct shadow_page *page,
                                 unsigned index, const struct guest_walk_context *context);

/* The (gfn, role) of the page that a linking entry names: the guest's table, or a part of its page.
 */
void shadow_child_key(const struct shadow *shadow, const struct shadow_page *page,
                      const struct shadow_grant *grant, unsigned index, gfn_t *gfn,
                      struct shadow_role *role);

/* Whether the entry is within what the guest grants: frame, rights, child. */
bool shadow_entry_good(const struct shadow *shadow, const struct shadow_page *page, unsigned index,
                       uint64_t entry);

/* The rights (W, U, NX) and G that a leaf may have at once; wp_emulation: see meaning.c. */
uint64_t shadow_leaf_rights(struct shadow_role role, const struct shadow_grant *grant,
                            bool wp_emulation);

/* The key of the root that context asks for. */
void shadow_root_key(const struct guest_walk_context *context, gfn_t *gfn,
                     struct shadow_role *role);

#endif

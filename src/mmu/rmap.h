/*
 * The reverse map of shadow paging: from a guest page frame to the shadow entries that map it, for
 * each size of leaf; and how many shadowed guest tables lie in a frame.
 *
 * A list is threaded through an array of links with one link for each entry that there can be, so
 * adding and removing cost the same however long it is. An entry is in one list at most: a leaf in
 * that of the frame that it maps; one that names a table in the list of that table's parents.
 *
 * It refuses to look into entries.
 */
#ifndef UMBRA_MMU_RMAP_H
#define UMBRA_MMU_RMAP_H

#include "base/types.h"

struct mem;
struct rmap;

#define RMAP_LEVELS 3 /* leaves of 4 KiB, 2 MiB, 1 GiB */

/* An entry in a list: 1 + its number, or 0 at either end. */
typedef uint32_t rmap_at;

struct rmap_list {
    rmap_at first;
    uint32_t count;
};

/* For entries numbered below `entries`; NULL without memory. mem outlives it. */
struct rmap *rmap_create(const struct mem *mem, size_t entries);
void rmap_destroy(struct rmap *rmap);

/*
 * Forgets every list of frames and all counts of tables, and takes up the slots as they are now.
 * Without memory for the new slots it knows no frame, and false.
 */
bool rmap_reset(struct rmap *rmap);

/* The list of the frame of this level (1 to 3) around gpa; NULL where no slot is. */
struct rmap_list *rmap_frame(const struct rmap *rmap, gpa_t gpa, unsigned level);

void rmap_add(struct rmap *rmap, struct rmap_list *list, size_t entry);
void rmap_remove(struct rmap *rmap, struct rmap_list *list, size_t entry);
rmap_at rmap_next(const struct rmap *rmap, rmap_at at);

/* Counts a page that is a shadowed guest table, or no longer one. */
void rmap_count_table(struct rmap *rmap, gpa_t gpa, bool more);

/* How many such pages lie in the frame of this level (2 or 3) around gpa. */
unsigned rmap_tables(const struct rmap *rmap, gpa_t gpa, unsigned level);

/* Bytes of host memory that the map may take. */
uint64_t rmap_bytes(const struct rmap *rmap);

#endif

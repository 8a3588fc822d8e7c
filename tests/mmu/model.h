/*
 * The model's memory: a byte array as large as the guest's address space, and for each word that
 * was changed, what it held before and until when. That past is what a processor may still know.
 *
 * Below 4 MiB lie page tables, data and the window (window.h); there is a ROM, a slot that comes
 * and goes, slots that a 2 MiB and a 1 GiB page fit into, and memory above 4 GiB for PSE-36. All
 * other addresses are MMIO.
 */
#ifndef UMBRA_TESTS_MMU_MODEL_H
#define UMBRA_TESTS_MMU_MODEL_H

#include "base/types.h"

#define MODEL_LOW_BASE   0u
#define MODEL_LOW_BYTES  (4 * MIB)
#define MODEL_ROM_BASE   (4 * MIB)
#define MODEL_ROM_BYTES  (64 * KIB)
#define MODEL_HOT_BASE   (6 * MIB)
#define MODEL_HOT_BYTES  (256 * KIB)
#define MODEL_HIGH_BASE  (8 * MIB)
#define MODEL_HIGH_BYTES (2 * MIB)
#define MODEL_BIG_BASE   GIB
#define MODEL_BIG_BYTES  GIB
#define MODEL_FAR_BASE   (4 * GIB)
#define MODEL_FAR_BYTES  (4 * MIB)
#define MODEL_BYTES      (MODEL_FAR_BASE + MODEL_FAR_BYTES)

#define MODEL_PASTS 4096 /* remembered at once; the driver flushes before they run out */

enum model_kind {
    MODEL_NOTHING,
    MODEL_RAM,
    MODEL_ROM,
};

/* What 8 aligned bytes held until `end`. */
struct model_past {
    uint64_t word; /* gpa / 8 */
    uint64_t value;
    uint64_t end;
    uint32_t next; /* index + 1 of an older one of the same hash; 0: none */
};

struct model {
    uint8_t *bytes;
    bool hot; /* the slot that comes and goes is there */
    uint64_t now;

    uint32_t heads[MODEL_PASTS]; /* by hash of the word: index + 1 */
    struct model_past past[MODEL_PASTS];
    unsigned pasts;

    uint32_t *touched; /* pages that ever held anything */
    unsigned touched_count;
    uint8_t *is_touched; /* a byte a page */

    bool dirty_log; /* of the low slot */
    uint64_t dirty[MODEL_LOW_BYTES / 4096 / 64];
    uint64_t meant[MODEL_LOW_BYTES / 4096 / 64]; /* a write was translated, but not made */
};

bool model_init(struct model *m);
void model_fini(struct model *m);

enum model_kind model_kind(const struct model *m, gpa_t gpa);

/* Both stay within a page. Stores go to RAM only; those elsewhere are dropped. */
void model_load(const struct model *m, gpa_t gpa, void *value, unsigned len);
void model_store(struct model *m, gpa_t gpa, const void *value, unsigned len);

/* As the manufacturer writes ROM; also for the start. */
void model_put(struct model *m, gpa_t gpa, const void *value, unsigned len);

/* Sets bits of the byte at gpa, as a processor does to an entry: no change worth remembering. */
void model_or(struct model *m, gpa_t gpa, uint8_t bits);

/* A write to this page was translated, whatever became of it: the log may have the page. */
void model_meant(struct model *m, gpa_t gpa);

/* An entry as a table walk reads it; all ones where there is nothing. For naive_read_fn. */
uint64_t model_entry(void *opaque, gpa_t gpa, unsigned bytes);

/* The value before prev (NULL: the last one) of the 8 bytes number `word`, or NULL. */
const struct model_past *model_past(const struct model *m, uint64_t word,
                                    const struct model_past *prev);

/* No processor can know anything old any more. */
void model_forget(struct model *m);

/* The hot slot comes, zeroed, or goes. */
void model_set_hot(struct model *m, bool present);

#endif

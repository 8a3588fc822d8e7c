/*
 * The walk of the guest's own page tables, as the processor does it: GVA -> GPA in each of the
 * three formats, with rights, reserved bits and accessed and dirty bits.
 * It refuses to cache anything; that is the TLB's business.
 * Specification: SDM 3 "Paging" ("32-Bit Paging", "PAE Paging", "4-Level Paging", "Access Rights",
 * "Page-Fault Exceptions", "Accessed and Dirty Flags").
 */
#ifndef UMBRA_MMU_GUEST_WALK_H
#define UMBRA_MMU_GUEST_WALK_H

#include "x86/paging.h"

struct cpu_model;
struct mem;
struct x86_state;

/* What the processor's registers say about paging. */
struct guest_walk_context {
    struct mem *mem;
    /*
     * NULL, or where the processor finds a table's entry: a host pointer to the bytes at a guest-
     * physical address, which the second dimension of a nested walk gives; NULL where there is no
     * memory. bytes do not cross a page.
     */
    void *(*table_host)(void *opaque, gpa_t gpa, unsigned bytes, bool write);
    void *opaque;
    enum x86_paging format;
    uint64_t cr3;
    const uint64_t *pdpte;  /* PAE: the four registers */
    unsigned physical_bits; /* MAXPHYADDR */
    uint64_t a20_mask;
    bool pse, wp, nxe, smep, gib_pages;
    bool smap; /* CR4's; a walk looks at the access's own */
};

/*
 * Fills a context in from a processor's registers, its model and what A20 masks. pdpte points into
 * state. The tables are read from mem; who walks in two dimensions sets table_host afterwards.
 */
void guest_walk_context_init(struct guest_walk_context *context, struct mem *mem,
                             const struct x86_state *state, const struct cpu_model *model,
                             uint64_t a20_mask);

struct guest_walk_access {
    bool write, fetch, user;
    bool smap; /* supervisor data accesses to user pages fault */
};

struct guest_walk_result {
    gpa_t gpa;           /* of the address walked, A20 not applied */
    uint64_t page_bytes; /* size of the guest's page */
    bool writable;       /* by the access's privilege, and the dirty bit is set */
    bool user;           /* a user page */
    bool executable;     /* by the access's privilege */
    bool global;
    uint32_t error; /* the #PF error code when the walk failed */
};

/*
 * Walks gva for the access. True: result holds the mapping, and the accessed (and, for a write, the
 * dirty) bits are set in guest memory. False: result->error is the page fault's error code and no
 * bit was changed.
 */
bool guest_walk(const struct guest_walk_context *context, gva_t gva,
                const struct guest_walk_access *access, struct guest_walk_result *result);

/* As guest_walk for a supervisor read, leaving guest memory alone: for debuggers. */
bool guest_walk_peek(const struct guest_walk_context *context, gva_t gva,
                     struct guest_walk_result *result);

#define GUEST_WALK_MAX_STEPS 4

/* A table entry that a walk met. */
struct guest_walk_step {
    unsigned level;
    gpa_t entry_gpa; /* where it is, A20 not applied */
    uint64_t entry;
    bool leaf; /* it maps a page, if it is present */
};

/*
 * As guest_walk for any access, leaving guest memory alone, and telling the entries that it met
 * from the root down: for people. *count may be less than the format has levels, where an entry is
 * not present or the page is large. The PDPTE registers of PAE paging are not among them.
 */
bool guest_walk_steps(const struct guest_walk_context *context, gva_t gva,
                      const struct guest_walk_access *access,
                      struct guest_walk_step steps[GUEST_WALK_MAX_STEPS], unsigned *count,
                      struct guest_walk_result *result);

/* One entry taken apart. */
struct guest_entry {
    bool present;
    bool reserved; /* a reserved bit is set: an access faults */
    bool leaf;     /* maps a page; else it names a table */
    bool write, user, execute, accessed, dirty, global;
    gpa_t base; /* of the page or table, A20 not applied */
};

/* Takes apart an entry of a table of this level; context says format, widths and modes. */
struct guest_entry guest_entry_decode(const struct guest_walk_context *context, uint64_t entry,
                                      unsigned level);

#endif

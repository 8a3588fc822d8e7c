/*
 * The paging unit: translations through the guest's tables into the TLB, for the access and fetch
 * paths. Everyone else uses the functions of cpu.h and access.h.
 */
#ifndef UMBRA_ENGINE_SOFT_PAGING_H
#define UMBRA_ENGINE_SOFT_PAGING_H

#include "engine/soft/access.h"

struct translation {
    gpa_t gpa;    /* of the linear address, A20 applied */
    void *host;   /* of the linear address; NULL: no slot (MMIO), or ROM for a write */
    bool rom;     /* writes are to be dropped */
    bool watched; /* a write must be told to mem_mark_written */
};

/*
 * Translates one access within a page as the kind of privilege given, filling the TLB. STEP_FAULT
 * with #PF recorded when the guest's tables do not allow it.
 */
enum step paging_translate(struct cpu *cpu, enum tlb_kind kind, gva_t linear,
                           enum access_kind access, struct translation *out);

#endif

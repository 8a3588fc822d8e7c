/*
 * The paging unit: translations through the guest's tables into the TLB, for the access and fetch
 * paths. Everyone else uses the functions of cpu.h and access.h.
 */
#ifndef UMBRA_ENGINE_SOFT_PAGING_H
#define UMBRA_ENGINE_SOFT_PAGING_H

#include "engine/soft/access.h"
#include "mmu/guest_walk.h"

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

/* --- between paging.c, paging_ept.c and paging_shadow.c --- */

struct tlb_rights {
    bool write, execute; /* by the privilege of the table; reading is granted */
    bool large;          /* the guest's page is: INVLPG must look for more than one entry */
    bool global;         /* it stays over a load of CR3 */
};

void tlb_fill(struct cpu *cpu, enum tlb_kind kind, gva_t linear, const struct translation *out,
              struct tlb_rights rights);

/* --- between paging.c and tlb.c --- */

/* The guest-physical address of a fetch; false: a miss. */
bool tlb_fetch(struct cpu *cpu, enum tlb_kind kind, gva_t linear, gpa_t *gpa);

/* What a load of CR3 empties: all but global pages. */
void tlb_flush_local(struct cpu *cpu);

/* Empties the entries of one page of 4 KiB in every table; INVLPG: large pages whole. */
void tlb_drop_page(struct cpu *cpu, gva_t page);
void tlb_flush_page(struct cpu *cpu, gva_t page);

/* What the registers say, for a walk of the guest's tables in guest memory. */
void paging_context(const struct cpu *cpu, struct guest_walk_context *context);

enum step paging_translate_ept(struct cpu *cpu, enum tlb_kind kind, gva_t linear,
                               const struct guest_walk_access *access, struct translation *out);
enum step paging_translate_shadow(struct cpu *cpu, enum tlb_kind kind, gva_t linear,
                                  const struct guest_walk_access *access, struct translation *out);

/* Raises #PF, and forgets what the TLB has of the page. */
enum step paging_fault(struct cpu *cpu, gva_t linear, uint32_t error);

/* Makes the shadow root stand for what the registers say. */
void paging_switch_root(struct cpu *cpu);

/*
 * Checks the TLB against the slots: each entry leads to where its page is, and lets none be written
 * that must be told of writes. False with the reason in why.
 */
bool paging_audit(const struct cpu *cpu, char *why, size_t size);

#endif

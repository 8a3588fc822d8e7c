/*
 * The decision about a page fault in non-root under shadow paging.
 */
#ifndef UMBRA_MMU_SHADOW_FAULT_H
#define UMBRA_MMU_SHADOW_FAULT_H

#include "mmu/guest_walk.h"
#include "mmu/shadow/walk.h"

struct shadow;

/* What became of a page fault in non-root. */
enum shadow_fault {
    SHADOW_INJECT, /* the guest's own: deliver #PF with result->error */
    SHADOW_RETRY,  /* an entry was filled (or was there by now): walk again */
    SHADOW_MMIO,   /* no slot: the access goes to the bus */
    SHADOW_ROM,    /* a write to ROM: it is dropped */
    /* A write that no entry may allow: the caller does it to hva, once, and calls mem_mark_written.
     */
    SHADOW_EMULATE_WRITE,
};

/* A decision in words. */
const char *shadow_fault_words(enum shadow_fault end);

struct shadow_fault_result {
    gpa_t gpa;      /* of the address, A20 applied; but for SHADOW_INJECT */
    uint8_t *hva;   /* for SHADOW_EMULATE_WRITE */
    uint32_t error; /* for SHADOW_INJECT */
};

/* The one decision about a page fault in non-root. */
enum shadow_fault shadow_handle_fault(struct shadow *shadow, struct shadow_root *root,
                                      const struct guest_walk_context *context, gva_t gva,
                                      const struct guest_walk_access *access,
                                      struct shadow_fault_result *result);

#endif

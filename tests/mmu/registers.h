/*
 * Changes of the registers that paging looks at, made by the guest and followed by the model, with
 * what the manual says they invalidate (SDM 3 "Operations that Invalidate TLBs and Paging-Structure
 * Caches"). Each is at CPL 0. False: world_fail was called. A load that the manual answers with #GP
 * (PDPTE registers) must change nothing.
 */
#ifndef UMBRA_TESTS_MMU_REGISTERS_H
#define UMBRA_TESTS_MMU_REGISTERS_H

#include "world.h"

bool registers_cr0(struct world *w, uint64_t value);
bool registers_cr3(struct world *w, uint64_t value);
bool registers_cr4(struct world *w, uint64_t value);
bool registers_efer(struct world *w, uint64_t value);
bool registers_invlpg(struct world *w, gva_t gva);

enum { INVPCID_ADDRESS, INVPCID_CONTEXT, INVPCID_ALL, INVPCID_NONGLOBAL };

/* INVPCID, its descriptor at WORLD_OPERANDS. */
bool registers_invpcid(struct world *w, unsigned type, uint16_t pcid, gva_t gva);

/* The guest flushes everything, one way or another. */
bool registers_flush(struct world *w);

/* Through the legal steps; ends with paging as wanted, or off where the PDPTEs do not let it. */
bool registers_format(struct world *w, enum naive_format format, unsigned root);

/* The processor's registers are the model's. */
bool registers_agree(struct world *w);

#endif

/*
 * The same accesses made by real instructions: the vCPU runs code in the guest's window until it
 * halts, and a page fault goes through the guest's IDT, its error code onto the guest's stack, the
 * address into CR2.
 *
 * Pages of the guest (world.h), reached through the window: 2f1 code for CPL 3, 2f2 code for CPL 0
 * and a HLT for each vector, 2f3 GDT and TSS, 2f4 and 2f5 the IDTs, 2f6 the stack.
 */
#ifndef UMBRA_TESTS_MMU_INSTRUCTIONS_H
#define UMBRA_TESTS_MMU_INSTRUCTIONS_H

#include "judge.h"

#define INSTRUCTIONS_USER_PAGE 0x2f1u

/* Writes code, descriptors and gates with put, which writes to guest and model. */
void instructions_install(struct world *w,
                          void (*put)(struct world *w, gpa_t gpa, const void *value, unsigned len));

/* Whether this access can be made so now: a kind that has an instruction, and the window is there.
 */
bool instructions_can(struct world *w, const struct judge_access *access);

/* A judge_actor. */
void instructions_act(struct world *w, const struct judge_access *access,
                      struct judge_outcome *outcome);

#endif

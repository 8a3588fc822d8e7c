/*
 * Makes the guest access memory and judges what became of it.
 *
 * Judged: fault or not, vector, error code, the faulting address; the value read, or the address
 * fetched from; the bytes written, to memory and to MMIO; the accessed and dirty bits of the
 * entries that the manual's walk meets. Right is what the manual's walk of the tables as they are
 * now says, or a remembered translation that stale.h allows. A fault must be one by the tables as
 * they are now: Umbra never delivers the page fault of a remembered translation, although the
 * manual would let it.
 */
#ifndef UMBRA_TESTS_MMU_JUDGE_H
#define UMBRA_TESTS_MMU_JUDGE_H

#include "world.h"

enum judge_kind {
    JUDGE_READ,
    JUDGE_WRITE,
    JUDGE_RMW,   /* adds data[0] to the first byte */
    JUDGE_FETCH, /* of one byte */
};

#define JUDGE_BYTES 32

struct judge_access {
    enum judge_kind kind;
    gva_t gva;
    unsigned size;
    bool user, ac;
    bool implicit; /* as the processor's own accesses to descriptor tables */
    uint8_t data[JUDGE_BYTES];
};

/* What the guest has seen. */
struct judge_outcome {
    bool fault;
    uint8_t vector;
    uint32_t error;
    uint64_t address; /* of a page fault */
    uint8_t data[JUDGE_BYTES];
    gpa_t gpa; /* fetched from */
};

/* Lets the guest do it; instructions.c has another. */
typedef void judge_actor(struct world *w, const struct judge_access *access,
                         struct judge_outcome *outcome);

void judge_act(struct world *w, const struct judge_access *access, struct judge_outcome *outcome);

/* Acts and judges; false: world_fail was called. outcome may be NULL. */
bool judge(struct world *w, const struct judge_access *access, judge_actor *act,
           struct judge_outcome *outcome);

#endif

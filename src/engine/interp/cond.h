/*
 * The sixteen conditions of Jcc, SETcc and CMOVcc, computed without a branch from cpu->arith.
 * Source: SDM 1, "EFLAGS Condition Codes".
 */
#ifndef UMBRA_ENGINE_INTERP_COND_H
#define UMBRA_ENGINE_INTERP_COND_H

#include "engine/interp/operand.h"

/* In the order of their encodings; each even one is followed by its opposite. */
#define COND_LIST(X)                                                                               \
    X(o) X(no) X(b) X(nb) X(z) X(nz) X(be) X(nbe) X(s) X(ns) X(p) X(np) X(l) X(nl) X(le) X(nle)

#define COND(name, opposite, expression)                                                           \
    static inline bool cond_##name(uint32_t arith)                                                 \
    {                                                                                              \
        return expression;                                                                         \
    }                                                                                              \
    static inline bool cond_##opposite(uint32_t arith)                                             \
    {                                                                                              \
        return !cond_##name(arith);                                                                \
    }

/* SF stands 15 bits above OF. */
#define COND_SF_SHIFT 15
#define COND_ZF_SHIFT 14
_Static_assert(ARITH_OF << COND_SF_SHIFT == ARITH_SF, "SF xor OF by one shift");
_Static_assert(1u << COND_ZF_SHIFT == ARITH_ZF, "ZF by one shift");

COND(o, no, (arith & ARITH_OF) != 0)
COND(b, nb, (arith & ARITH_CF) != 0)
COND(z, nz, (arith & ARITH_ZF) != 0)
COND(be, nbe, (arith & (ARITH_CF | ARITH_ZF)) != 0)
COND(s, ns, (arith & ARITH_SF) != 0)
COND(p, np, (arith & ARITH_PF) != 0)
COND(l, nl, ((arith >> COND_SF_SHIFT) ^ arith) & 1)
COND(le, nle, (((arith >> COND_SF_SHIFT) ^ arith) | arith >> COND_ZF_SHIFT) & 1)

#endif

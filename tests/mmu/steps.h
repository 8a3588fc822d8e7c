/* The random steps of a run. */
#ifndef UMBRA_TESTS_MMU_STEPS_H
#define UMBRA_TESTS_MMU_STEPS_H

#include "world.h"

/* How it is done; the same for a whole run. */
struct steps_config {
    bool always_flush; /* after each edit: then there is one right outcome */
    unsigned audit;    /* every so many steps; 0: never */
    unsigned compare;
    uint64_t closely; /* audit and compare each step from this one on */
};

/* One step; false: world_fail was called. */
bool steps_next(struct world *w, const struct steps_config *config);

#endif

/*
 * The guest around a random segment program, and what its runs leave. It is run from event to
 * event: an exception, which its handler's HLT stops at, or a shutdown. Each time it goes on
 * elsewhere, with segments that are chosen anew, so the same code runs in many contexts.
 */
#ifndef UMBRA_TESTS_DBT_SEGMENTS_GUEST_H
#define UMBRA_TESTS_DBT_SEGMENTS_GUEST_H

#include "engine/engine.h"
#include "mmu/mmu.h"
#include "program.h"

#define MAX_EVENTS 96

struct guest_config {
    bool compatibility; /* in compatibility mode; else in protected mode without paging */
    enum mmu_mode mmu;
    unsigned tlb_entries;
    bool count_lookups;
    unsigned translate_after; /* as engine.h has it */
    size_t translate_bytes;
    unsigned events; /* after so many it is over */
    bool limited;    /* over when there is no event for a long time, too */
};

struct event {
    uint64_t digest; /* of the state, and of what the exception has pushed */
    enum engine_stop stop;
    struct x86_state state;
};

struct outcome {
    unsigned events;
    struct event event[MAX_EVENTS];
    struct engine_counters counters;
    uint8_t memory[GPA_END];
};

/* Runs a program. 0, or -errno of the host. */
int guest_run(const struct program *program, const struct guest_config *config,
              struct outcome *outcome) must_check;

#endif

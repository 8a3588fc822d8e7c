/* The machine that runs a random program, and what is left when it has ended. */
#ifndef UMBRA_TESTS_DBT_MACHINE_H
#define UMBRA_TESTS_DBT_MACHINE_H

#include "engine/engine.h"
#include "mmu/mmu.h"
#include "program.h"

#define MACHINE_ENDLESS_LOOKS 3000000u

struct machine_config {
    enum mmu_mode mode;
    unsigned tlb_entries;
    bool count_lookups;
    unsigned translate_after; /* as engine.h has it */
    size_t translate_bytes;
    bool limited;   /* ends after MACHINE_ENDLESS_LOOKS */
    bool disturbed; /* another thread interrupts, kicks, flushes and writes to code */
};

struct outcome {
    bool endless;
    struct x86_state state;
    struct engine_counters counters;
    uint64_t devices; /* a digest of what was read from and written to ports and MMIO */
    uint64_t events;  /* interrupts taken */
    uint8_t memory[GPA_END];
};

/* Runs the program to its end. 0, or -errno of the host. */
int machine_run(const struct program *program, const struct machine_config *config,
                struct outcome *outcome) must_check;

/*
 * Whether two runs ended in the same way; says where they part unless `quiet`. Of a disturbed run
 * only what it must not change is compared.
 */
bool outcome_same(const struct outcome *want, const struct outcome *got, bool disturbed,
                  bool quiet);

#endif

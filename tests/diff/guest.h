/*
 * The guest side: a vCPU of the soft engine in long mode at CPL 3, over page tables that map the
 * case's pages at the host's addresses. Each exception goes through the IDT to a HLT, whose
 * address tells the vector.
 */
#ifndef UMBRA_TESTS_DIFF_GUEST_H
#define UMBRA_TESTS_DIFF_GUEST_H

#include "engine/engine.h"
#include "mem/mem.h"
#include "state.h"
#include "x86/cpuid.h"

struct diff_guest {
    struct mem *mem;
    struct mmu *mmu;
    struct engine_vcpu *vcpu;
    struct cpu_model model;
    struct x86_state state; /* what does not change from case to case */
    uint64_t last_start;
    unsigned last_len;
};

/* 0, or -errno. The model is "max": all that the host has; translate_after is engine.h's. */
int diff_guest_start(struct diff_guest *guest, unsigned translate_after) must_check;
void diff_guest_stop(struct diff_guest *guest);

/*
 * Runs a case; data gets DIFF_DATA_SIZE bytes. 0; -EIO when the engine stopped otherwise; -EFAULT
 * when the host met a fault in code that was made for the guest.
 */
int diff_guest_run(struct diff_guest *guest, const struct diff_case *c, struct diff_state *after,
                   uint8_t *data) must_check;

#endif

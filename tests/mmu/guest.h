/*
 * The guest under test: the soft engine's vCPU over the slots of model.h, as any VM makes it, and
 * ways to make it access memory and change its paging.
 */
#ifndef UMBRA_TESTS_MMU_GUEST_H
#define UMBRA_TESTS_MMU_GUEST_H

#include "engine/soft/access.h"
#include "mmu/mmu.h"
#include "naive.h"
#include "x86/cpuid.h"

#define GUEST_MMIO_BYTES 64

struct guest_config {
    enum mmu_mode mode;
    unsigned shadow_pages; /* 0: the default */
    unsigned tlb_entries;  /* 0: the default */
    bool unsync_off;       /* each write to a guest table is told */
};

struct guest {
    struct mem *mem;
    struct mmu *mmu;
    struct engine_vcpu *vcpu;
    struct cpu *cpu; /* the one inside vcpu */
    struct cpu_model model;
    uint64_t a20_mask;
    /* Bytes written to MMIO by the last access, in order. */
    struct {
        gpa_t gpa;
        uint8_t byte;
    } mmio[GUEST_MMIO_BYTES];
    unsigned mmio_count;
};

/* What a device's register reads as, byte by byte. */
uint8_t guest_mmio_byte(gpa_t gpa);

/* False with a message on stderr. */
bool guest_create(struct guest *g, const struct guest_config *config);
void guest_destroy(struct guest *g);

/* The privilege of what comes next. */
void guest_set_privilege(struct guest *g, bool user, bool ac);

/* Makes code segments 64-bit ones, or 32-bit ones. */
void guest_set_code64(struct guest *g, bool code64);

/* Executes one instruction at the CPL in force, without fetching it. */
enum step guest_run(struct guest *g, const void *bytes, size_t len);
#define GUEST_RUN(g, bytes) guest_run(g, bytes, sizeof(bytes) - 1)

/* Slots or A20 have changed: what the vCPU's run loop and the VM do then. */
void guest_slots_changed(struct guest *g);
void guest_set_a20(struct guest *g, bool on);

#endif

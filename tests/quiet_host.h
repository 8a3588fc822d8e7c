/*
 * A host for a vCPU that has nothing on its buses: reads give ones, writes go nowhere, no interrupt
 * waits, no MSR is the host's and time stands still. A test puts its own calls in their place.
 */
#ifndef UMBRA_TESTS_QUIET_HOST_H
#define UMBRA_TESTS_QUIET_HOST_H

#include "engine/engine.h"

static inline uint32_t quiet_port_read(void *opaque, uint16_t port, unsigned width)
{
    return UINT32_MAX;
}

static inline void quiet_port_write(void *opaque, uint16_t port, unsigned width, uint32_t value)
{
}

static inline uint64_t quiet_mmio_read(void *opaque, gpa_t gpa, unsigned width)
{
    return UINT64_MAX;
}

static inline void quiet_mmio_write(void *opaque, gpa_t gpa, unsigned width, uint64_t value)
{
}

static inline int quiet_interrupt(void *opaque, unsigned vcpu)
{
    return -1;
}

static inline bool quiet_msr_read(void *opaque, unsigned vcpu, uint32_t index, uint64_t *value)
{
    return false;
}

static inline bool quiet_msr_write(void *opaque, unsigned vcpu, uint32_t index, uint64_t value)
{
    return false;
}

static inline uint64_t quiet_tpr_read(void *opaque, unsigned vcpu)
{
    return 0;
}

static inline void quiet_tpr_write(void *opaque, unsigned vcpu, uint64_t value)
{
}

static inline uint64_t quiet_tsc_now(void *opaque)
{
    return 0;
}

static inline void quiet_tsc_offset_changed(void *opaque, unsigned vcpu, uint64_t offset)
{
}

static inline uint64_t quiet_a20_mask(void *opaque)
{
    return UINT64_MAX;
}

static inline struct engine_host quiet_host(void *opaque)
{
    return (struct engine_host){
        .opaque = opaque,
        .port_read = quiet_port_read,
        .port_write = quiet_port_write,
        .mmio_read = quiet_mmio_read,
        .mmio_write = quiet_mmio_write,
        .interrupt_acknowledge = quiet_interrupt,
        .msr_read = quiet_msr_read,
        .msr_write = quiet_msr_write,
        .tpr_read = quiet_tpr_read,
        .tpr_write = quiet_tpr_write,
        .tsc_now = quiet_tsc_now,
        .tsc_offset_changed = quiet_tsc_offset_changed,
        .tsc_hz = 1000000000,
        .a20_mask = quiet_a20_mask,
    };
}

#endif

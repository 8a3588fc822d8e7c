/*
 * The run loop of the soft engine, for vcpu.c: it executes guest instructions until something makes
 * it return to the monitor.
 */
#ifndef UMBRA_ENGINE_SOFT_RUN_H
#define UMBRA_ENGINE_SOFT_RUN_H

#include "engine/soft/cpu.h"

/* Runs until the processor halts, shuts down or is kicked; on the vCPU's thread. */
enum engine_stop run_loop(struct cpu *cpu);

/* The state after RESET or INIT, with everything derived from it. */
void run_reset(struct cpu *cpu, bool init);

/* Clears a request that was served, or that does not stand any more. */
void run_take_request(struct cpu *cpu, uint32_t request);

#endif

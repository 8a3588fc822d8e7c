/*
 * Events that an instruction causes on purpose: INT n, INT3, INTO and INT1. Faults, interrupts and
 * NMIs enter through cpu.h's cpu_deliver_*.
 */
#ifndef UMBRA_ENGINE_SOFT_DELIVER_H
#define UMBRA_ENGINE_SOFT_DELIVER_H

#include "engine/soft/cpu.h"

/*
 * Delivers a software interrupt; RIP must stand past the instruction. privileged: the gate's DPL is
 * looked at (INT n, INT3, INTO), else not (INT1). STEP_JUMP, STEP_FAULT or STEP_STOP.
 */
enum step deliver_software(struct cpu *cpu, uint8_t vector, bool privileged);

/* Delivers INT1's #DB; a debug trap that waits is part of it. As deliver_software. */
enum step deliver_int1(struct cpu *cpu);

/*
 * Enters a real-mode style handler of a vector: FLAGS (as given), CS and IP on the stack, CS:IP
 * from the table of far pointers at base; IF and TF cleared. Also what VME redirects INT n to.
 */
enum step deliver_through_ivt(struct cpu *cpu, uint8_t vector, gva_t base, uint16_t flags);

#endif

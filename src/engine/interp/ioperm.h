/* Whether the running code may touch I/O ports. */
#ifndef UMBRA_ENGINE_INTERP_IOPERM_H
#define UMBRA_ENGINE_INTERP_IOPERM_H

#include "engine/soft/cpu.h"

/*
 * IOPL, or the permission bitmap of the TSS, for width ports from port on. #GP(0) where access is
 * denied, also by a TSS too short; #PF from reading the TSS.
 * Source: SDM 1 "I/O Permission Bit Map".
 */
enum step ioperm_check(struct cpu *cpu, uint16_t port, unsigned width);

#endif

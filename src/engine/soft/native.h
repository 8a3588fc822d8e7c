/*
 * Instructions with heavy semantics (x87, MMX, SSE, AVX, BMI, AES, SHA ...) run natively on guest
 * operands: each is encoded again into a small host stub whose memory operand is [RSI], whose
 * general registers are scratch registers and whose vector registers are loaded from and stored to
 * the guest's state around it. What may run so is a whitelist; everything else is refused.
 *
 * Register state that lives in the host's registers between instructions of the vCPU's thread:
 * the x87 registers while cpu->fpu_live, MXCSR while cpu->mxcsr_live (only as long as its control
 * bits are the host's own defaults, so that C code notices nothing).
 */
#ifndef UMBRA_ENGINE_SOFT_NATIVE_H
#define UMBRA_ENGINE_SOFT_NATIVE_H

#include "engine/soft/cpu.h"

/* A block must not bind more instructions than this between two looks at native_full. */
#define NATIVE_MAX_OPS_A_BLOCK 256

/*
 * Makes the stub memory of a vCPU, empties its host-register state and sets cpu->native. 0, or
 * -errno of the host.
 */
int native_create(struct cpu *cpu) must_check;

/* Accepts a vCPU without stub memory. */
void native_destroy(struct cpu *cpu);

/* Whether the owner must drop all blocks and call native_reset before it binds the next block. */
bool native_full(const struct cpu *cpu);

/* Forgets all stubs; the caller drops every op that may point to one. */
void native_reset(struct cpu *cpu);

/* Derives cpu->native_gates from CR0, CR4, XCR0 and the mode; called by cpu_update_mode. */
void native_update(struct cpu *cpu);

/*
 * Brings x.fpu up to date and leaves the host's x87 and MXCSR in their default state. Must be
 * called before x.fpu is read or replaced, and before the vCPU leaves its thread.
 */
void native_sync(struct cpu *cpu);

/* Puts the guest's x87 state into the host's registers, if it is not there already. */
void native_load(struct cpu *cpu);

/*
 * Installs the handlers of SIGFPE, SIGSEGV, SIGILL and SIGBUS: inside a stub they make it return
 * the exception to its caller, elsewhere the process says its last words and dies. May be called
 * any number of times from any thread.
 */
void native_install_signals(void);

#endif

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

/* What the stubs of a vCPU take at most. */
size_t native_fixed_bytes(void);

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
 * For the translator: what runs as an instruction of the host's, its register operands in host
 * registers. op->cc holds the gates that it minds, op->src2 the address bits that must be clear,
 * op->size the bytes of its memory operand.
 */
enum native_kind {
    NATIVE_KIND_OTHER,   /* its function knows more than the instruction, or is no native one */
    NATIVE_KIND_GENERAL, /* general registers and flags; no gate in 64-bit mode */
    NATIVE_KIND_VECTOR,  /* XMM and YMM, with MXCSR */
};
struct op;
enum native_kind native_kind(const struct op *op);

/*
 * Whether a vector instruction can meet no exception but those of its memory operand: its gates are
 * open, and MXCSR masks all others.
 */
bool native_vector_ready(const struct cpu *cpu, const struct op *op);

/* MXCSR as the host and its C code want it, and what of it is more than sticky flags. */
#define NATIVE_MXCSR_DEFAULT 0x1f80u
#define NATIVE_MXCSR_CONTROL 0xffc0u /* masks, rounding, DAZ and FTZ */

/*
 * Installs the handlers of SIGFPE, SIGSEGV, SIGILL and SIGBUS: inside a stub they make it return
 * the exception to its caller, a translation is left (dbt.h), elsewhere the process says its last
 * words and dies. They run on the thread's alternate signal stack, if it has one. May be called any
 * number of times from any thread.
 */
void native_install_signals(void);

/* Whether 66h is no part of a native instruction's opcode but makes its general operands 16 bits.
 */
bool native_has_operand_size(ZydisMnemonic mnemonic);

/* VEX.W as the host, in 64-bit mode, needs it for the guest's instruction. */
bool native_vex_w(const ZydisDecodedInstruction *info);

#endif

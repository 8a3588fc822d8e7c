/*
 * What every control transfer between segments needs, be it a far CALL, an interrupt or an IRET:
 * working on a stack that is not (yet) the current one, the stacks that the TSS names, the code
 * segment behind a gate, and the final change of CS, RIP and CPL.
 *
 * Nothing here changes a register before its commit function is called, so that a transfer can
 * fault up to its last push and leave the processor as it was.
 * Source: SDM 3 "Stack Switching", "Stack Switching in 64-Bit Mode", "Interrupt Stack Table".
 */
#ifndef UMBRA_ENGINE_SOFT_TRANSFER_H
#define UMBRA_ENGINE_SOFT_TRANSFER_H

#include "engine/soft/segment.h"

/* A stack on which a transfer works before it commits anything. */
struct stack_frame {
    struct x86_segment ss;
    uint64_t rsp;
    uint64_t mask;  /* the part of rsp that moves */
    uint32_t error; /* error code of its #SS */
    bool flat;      /* 64-bit mode: no limit, but canonical */
    bool user;      /* accessed with CPL 3's rights */
};

/* The current stack. */
void stack_frame_current(const struct cpu *cpu, struct stack_frame *frame);

/* A stack of privilege level dpl. flat: it will be used in 64-bit mode. */
void stack_frame_new(struct stack_frame *frame, const struct x86_segment *ss, uint64_t rsp,
                     unsigned dpl, bool flat);

/* Pushes or pops width bytes (2, 4 or 8), zero-extended. */
enum step stack_frame_push(struct cpu *cpu, struct stack_frame *frame, uint64_t value,
                           unsigned width);
enum step stack_frame_pop(struct cpu *cpu, struct stack_frame *frame, uint64_t *value,
                          unsigned width);

/* Moves the stack pointer up by count bytes (RET imm16). */
void stack_frame_release(struct stack_frame *frame, uint64_t count);

/* Makes the frame's stack pointer (not its segment) the current one. */
void stack_frame_commit_rsp(struct cpu *cpu, const struct stack_frame *frame);

/*
 * The stack for privilege level dpl (0 to 2) that the current TSS names, its segment checked.
 * flat: the handler is 64-bit code, so SS becomes null. A TSS too short or a wrong segment raise
 * #TS, a missing segment or a non-canonical RSP #SS.
 */
enum step transfer_inner_stack(struct cpu *cpu, unsigned dpl, bool flat, struct stack_frame *frame);

/* RSP from entry 1 to 7 of the interrupt stack table of a 64-bit TSS. */
enum step transfer_ist_stack(struct cpu *cpu, unsigned ist, uint64_t *rsp);

/*
 * Fetches the code segment that an interrupt, trap or call gate names: code of at least the
 * current privilege, in long mode 64-bit code. #GP or #NP.
 */
enum step transfer_gate_code(struct cpu *cpu, uint16_t selector, struct descriptor *d);

/* In long mode a code segment with both L and D set is reserved. */
bool transfer_code_bits_valid(const struct cpu *cpu, uint16_t attr);

/* Whether a new RIP is one that may be loaded with this code segment. */
bool transfer_target_valid(const struct cpu *cpu, const struct x86_segment *cs, uint64_t rip);

/*
 * Loads CS and CPL (the selector's RPL becomes cpl) and RIP. The caller ends with cpu_update_mode,
 * alone or through transfer_finish.
 */
void transfer_commit_code(struct cpu *cpu, const struct descriptor *d, unsigned cpl, uint64_t rip);

/* Ends a transfer that loads RFLAGS too: cpu_set_rflags re-derives only what flags decide. */
static inline enum step transfer_finish(struct cpu *cpu, uint64_t rflags)
{
    cpu_put_rflags(cpu, rflags);
    cpu_update_mode(cpu);
    return STEP_JUMP;
}

/* Where a far return goes: RETF and IRET once they have read their frame. */
struct transfer_return {
    uint64_t rip;
    uint64_t rsp;
    uint16_t cs;
    uint16_t ss;
    bool stack; /* ss:rsp are part of the frame, else the caller moves RSP */
};

/* Whether a return to this selector changes the privilege level (so that the frame has SS:RSP). */
static inline bool transfer_goes_out(const struct cpu *cpu, uint16_t cs)
{
    return x86_selector_rpl(cs) > cpu->cpl;
}

/*
 * Checks CS, RIP and SS of a return in protected or long mode (#GP, #NP, #SS) and loads them; data
 * segments that an outer level may not hold become null. The caller ends as with
 * transfer_commit_code.
 */
enum step transfer_return(struct cpu *cpu, const struct transfer_return *to);

#endif

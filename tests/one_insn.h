/* Carries out one instruction on a vCPU of the soft engine, without its run loop and its blocks. */
#ifndef UMBRA_TESTS_ONE_INSN_H
#define UMBRA_TESTS_ONE_INSN_H

#include "engine/soft/block.h"
#include "engine/soft/cpu.h"
#include "x86/insn.h"

/* The bytes stand for those at RIP, which moves on behind them unless they are no instruction. */
static inline enum step one_insn_run(struct cpu *cpu, const void *bytes, size_t len)
{
    struct x86_insn insn;
    struct op op;
    struct binder_input in = {.cpu = cpu, .insn = &insn, .mode = (enum x86_mode)cpu->mode};

    if (x86_decode(&insn, in.mode, bytes, len) != X86_DECODE_OK)
        return cpu_raise(cpu, X86_UD);
    op_bind(&op, &in);
    cpu->x.gpr[X86_RIP] += op.len;
    return op.fn(cpu, &op);
}

#endif

/*
 * MXCSR, XCR0 and the instructions that clear vector registers, in C. Refuses reserved bits and
 * components that the model does not offer.
 * Source: SDM 2 "LDMXCSR", "XGETBV", "XSETBV", "VZEROALL"; SDM 1 "MXCSR Control and Status
 * Register".
 */
#include "engine/soft/native_internal.h"

#include <string.h>

#include "x86/cpuid.h"

static enum step op_ldmxcsr(struct cpu *cpu, const struct op *op)
{
    uint32_t value;
    enum step step;

    if (native_gate_closed(cpu, op))
        return native_raise_gate(cpu, op);
    step = op_read(cpu, op, &value, sizeof(value));
    if (step)
        return step;
    if (value & ~MXCSR_WRITABLE)
        return cpu_raise_error(cpu, X86_GP, 0);
    native_set_mxcsr(cpu, value);
    return STEP_NEXT;
}

static enum step op_stmxcsr(struct cpu *cpu, const struct op *op)
{
    uint32_t value = cpu->x.fpu.mxcsr;

    if (native_gate_closed(cpu, op))
        return native_raise_gate(cpu, op);
    if (cpu->mxcsr_live)
        value = host_mxcsr() & MXCSR_WRITABLE;
    return op_write(cpu, op, &value, sizeof(value));
}

static enum step op_xgetbv(struct cpu *cpu, const struct op *op)
{
    uint32_t index = (uint32_t)cpu->x.gpr[X86_RCX];
    uint64_t value = cpu->x.xcr0;

    if (native_gate_closed(cpu, op))
        return native_raise_gate(cpu, op);
    if (index > 1 || (index == 1 && !cpu->model->has[X86_FEATURE_XGETBV1]))
        return cpu_raise_error(cpu, X86_GP, 0);
    if (index == 1)
        value &= native_xinuse(cpu);
    cpu->x.gpr[X86_RAX] = (uint32_t)value;
    cpu->x.gpr[X86_RDX] = value >> 32;
    return STEP_NEXT;
}

static enum step op_xsetbv(struct cpu *cpu, const struct op *op)
{
    uint64_t value = cpu->x.gpr[X86_RDX] << 32 | (uint32_t)cpu->x.gpr[X86_RAX];
    uint64_t offered =
        X86_XCR0_X87 | X86_XCR0_SSE | (cpu->model->has[X86_FEATURE_AVX] ? X86_XCR0_AVX : 0);

    if (native_gate_closed(cpu, op))
        return native_raise_gate(cpu, op);
    if (cpu->cpl != 0 || (uint32_t)cpu->x.gpr[X86_RCX] != 0 || !(value & X86_XCR0_X87) ||
        (value & ~offered) || ((value & X86_XCR0_AVX) && !(value & X86_XCR0_SSE)))
        return cpu_raise_error(cpu, X86_GP, 0);
    exit_scope struct cpu *timed = cpu_exit_begin(cpu, exit_of(op, EXIT_XSETBV, 0));
    cpu->x.xcr0 = value;
    cpu_update_mode(cpu);
    return STEP_NEXT;
}

static enum step op_vzero(struct cpu *cpu, const struct op *op)
{
    unsigned keep = op->mnemonic == ZYDIS_MNEMONIC_VZEROUPPER ? 16 : 0;

    if (native_gate_closed(cpu, op))
        return native_raise_gate(cpu, op);
    for (unsigned i = 0; i < native_vector_count(cpu); i++)
        memset(cpu->x.fpu.ymm[i] + keep, 0, 32 - keep);
    return STEP_NEXT;
}

static op_fn function_of(ZydisMnemonic mnemonic, uint8_t *gates)
{
    switch (mnemonic) {
    case ZYDIS_MNEMONIC_XGETBV: *gates = GATE_UD_XSAVE; return op_xgetbv;
    case ZYDIS_MNEMONIC_XSETBV: *gates = GATE_UD_XSAVE; return op_xsetbv;
    case ZYDIS_MNEMONIC_LDMXCSR: *gates = GATE_UD_SSE | GATE_NM_TS; return op_ldmxcsr;
    case ZYDIS_MNEMONIC_STMXCSR: *gates = GATE_UD_SSE | GATE_NM_TS; return op_stmxcsr;
    case ZYDIS_MNEMONIC_VLDMXCSR: *gates = GATE_UD_AVX | GATE_NM_TS; return op_ldmxcsr;
    case ZYDIS_MNEMONIC_VSTMXCSR: *gates = GATE_UD_AVX | GATE_NM_TS; return op_stmxcsr;
    case ZYDIS_MNEMONIC_VZEROALL:
    case ZYDIS_MNEMONIC_VZEROUPPER: *gates = GATE_UD_AVX | GATE_NM_TS; return op_vzero;
    default: return NULL;
    }
}

bool native_bind_control(struct op *op, const struct binder_input *in)
{
    uint8_t gates = 0;
    op_fn fn = function_of(in->insn->info.mnemonic, &gates);

    if (!fn)
        return false;
    op->fn = fn;
    op->cc = gates;
    if (fn == op_xsetbv)
        op->flags |= OP_ENDS;
    return true;
}

/*
 * CPUID and the time-stamp counter: CPUID, RDTSC, RDTSCP, RDPMC.
 * Source: SDM 2; SDM 3 "Time-Stamp Counter".
 */
#include "engine/interp/operand.h"
#include "engine/interp/system_ops.h"
#include "x86/cpuid.h"
#include "x86/msr.h"

#define APIC_BASE_ENABLE BIT(11)

uint64_t system_tsc(struct cpu *cpu)
{
    return cpu->host.tsc_now(cpu->host.opaque) + cpu->x.msr.tsc_offset;
}

static void set_pair(struct cpu *cpu, uint64_t value)
{
    cpu->x.gpr[X86_RAX] = (uint32_t)value;
    cpu->x.gpr[X86_RDX] = value >> 32;
}

static bool apic_enabled(struct cpu *cpu)
{
    uint64_t base = 0;

    return cpu->host.msr_read(cpu->host.opaque, cpu->index, IA32_APIC_BASE, &base) &&
           (base & APIC_BASE_ENABLE);
}

enum step op_cpuid(struct cpu *cpu, const struct op *op)
{
    exit_scope struct cpu *timed = cpu_exit_begin(cpu, exit_of(op, EXIT_CPUID, 0));
    const struct x86_cpuid_context context = {
        .apic_id = cpu->index,
        .vcpus = 1,
        .xcr0 = cpu->x.xcr0,
        .osxsave = cpu->x.cr4 & X86_CR4_OSXSAVE,
        .apic_enabled = apic_enabled(cpu),
    };
    uint64_t *gpr = cpu->x.gpr;
    struct x86_cpuid_result r =
        cpu_model_cpuid(cpu->model, &context, (uint32_t)gpr[X86_RAX], (uint32_t)gpr[X86_RCX]);

    gpr[X86_RAX] = r.eax;
    gpr[X86_RBX] = r.ebx;
    gpr[X86_RCX] = r.ecx;
    gpr[X86_RDX] = r.edx;
    return STEP_NEXT;
}

/*
 * No exit: a processor adds the monitor's offset by itself, and nobody looks in between. Kernels do
 * this more often than all that exits.
 */
static void read_tsc(struct cpu *cpu)
{
    cpu->counters.tsc_reads++;
    set_pair(cpu, system_tsc(cpu));
}

static bool tsc_denied(const struct cpu *cpu)
{
    return (cpu->x.cr4 & X86_CR4_TSD) && cpu->cpl > 0;
}

enum step op_rdtsc(struct cpu *cpu, const struct op *op)
{
    if (tsc_denied(cpu))
        return cpu_raise_error(cpu, X86_GP, 0);
    read_tsc(cpu);
    return STEP_NEXT;
}

enum step op_rdtscp(struct cpu *cpu, const struct op *op)
{
    if (tsc_denied(cpu))
        return cpu_raise_error(cpu, X86_GP, 0);
    read_tsc(cpu);
    cpu->x.gpr[X86_RCX] = (uint32_t)cpu->x.msr.tsc_aux;
    return STEP_NEXT;
}

/* There is no performance counter, so each index is invalid. */
enum step op_rdpmc(struct cpu *cpu, const struct op *op)
{
    cpu_exit(cpu, exit_of(op, EXIT_RDPMC, 0));
    return cpu_raise_error(cpu, X86_GP, 0);
}

/*
 * RDMSR and WRMSR. The MSRs that are plain storage stand in one table; those with rules have
 * functions; the local APIC's belong to the monitor. An MSR that is not named here does not exist:
 * #GP(0), also for values with reserved bits.
 * DEVIATION: LBR and BTF of DEBUGCTL are kept without effect; no branch is recorded or trapped.
 * Source: SDM 4 "Architectural MSRs"; SDM 3 "Memory Type Range Registers", "Page Attribute Table",
 * "Extended Feature Enable Register".
 */
#include "engine/interp/operand.h"
#include "engine/interp/system_ops.h"
#include "x86/cpuid.h"
#include "x86/msr.h"

#define MTRRCAP_FIXED  BIT(8)
#define MTRRCAP_WC     BIT(10)
#define MTRR_DEF_BITS  0xcffu /* type, FE, E */
#define MTRR_VALID     BIT(11)
#define MICROCODE      ((uint64_t)1 << 32)
#define DEBUGCTL_BITS  0x3u
#define MISC_ENABLE_RO (BIT(7) | BIT(11) | BIT(12)) /* no performance monitoring, BTS, PEBS */

/* What values a plain MSR takes. */
enum rule {
    RULE_ANY,
    RULE_LOW32, /* the upper half is reserved */
    RULE_CANONICAL,
    RULE_TYPES,     /* eight memory types, as the PAT has them */
    RULE_MTRR_TYPES /* the same without UC- */
};

#define STORED(field) offsetof(struct x86_state, field)

/* MSRs that are a field of the state and nothing else. */
static const struct msr_row {
    uint32_t index;
    uint32_t offset;
    enum rule rule;
} rows[] = {
    {IA32_SYSENTER_CS, STORED(msr.sysenter_cs), RULE_ANY},
    {IA32_SYSENTER_ESP, STORED(msr.sysenter_esp), RULE_CANONICAL},
    {IA32_SYSENTER_EIP, STORED(msr.sysenter_eip), RULE_CANONICAL},
    {IA32_PAT, STORED(msr.pat), RULE_TYPES},
    {IA32_MTRR_FIX64K_00000, STORED(msr.mtrr_fixed[0]), RULE_MTRR_TYPES},
    {IA32_MTRR_FIX16K_80000, STORED(msr.mtrr_fixed[1]), RULE_MTRR_TYPES},
    {IA32_MTRR_FIX16K_A0000, STORED(msr.mtrr_fixed[2]), RULE_MTRR_TYPES},
    {IA32_MTRR_FIX4K_C0000, STORED(msr.mtrr_fixed[3]), RULE_MTRR_TYPES},
    {IA32_MTRR_FIX4K_C0000 + 1, STORED(msr.mtrr_fixed[4]), RULE_MTRR_TYPES},
    {IA32_MTRR_FIX4K_C0000 + 2, STORED(msr.mtrr_fixed[5]), RULE_MTRR_TYPES},
    {IA32_MTRR_FIX4K_C0000 + 3, STORED(msr.mtrr_fixed[6]), RULE_MTRR_TYPES},
    {IA32_MTRR_FIX4K_C0000 + 4, STORED(msr.mtrr_fixed[7]), RULE_MTRR_TYPES},
    {IA32_MTRR_FIX4K_C0000 + 5, STORED(msr.mtrr_fixed[8]), RULE_MTRR_TYPES},
    {IA32_MTRR_FIX4K_C0000 + 6, STORED(msr.mtrr_fixed[9]), RULE_MTRR_TYPES},
    {IA32_MTRR_FIX4K_C0000 + 7, STORED(msr.mtrr_fixed[10]), RULE_MTRR_TYPES},
    {IA32_STAR, STORED(msr.star), RULE_ANY},
    {IA32_LSTAR, STORED(msr.lstar), RULE_CANONICAL},
    {IA32_CSTAR, STORED(msr.cstar), RULE_CANONICAL},
    {IA32_FMASK, STORED(msr.sfmask), RULE_LOW32},
    {IA32_FS_BASE, STORED(seg[X86_FS].base), RULE_CANONICAL},
    {IA32_GS_BASE, STORED(seg[X86_GS].base), RULE_CANONICAL},
    {IA32_KERNEL_GS_BASE, STORED(msr.kernel_gs_base), RULE_CANONICAL},
    {IA32_TSC_AUX, STORED(msr.tsc_aux), RULE_LOW32},
};

static const struct msr_row *find_row(uint32_t index)
{
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].index == index)
            return &rows[i];
    }
    return NULL;
}

static uint64_t *field(struct cpu *cpu, const struct msr_row *row)
{
    return (uint64_t *)((char *)&cpu->x + row->offset);
}

/* UC, WC, WT, WP, WB; 7 is UC-, which only the PAT knows. */
static bool memory_type_valid(uint8_t type, bool pat)
{
    return type == 0 || type == 1 || (type >= 4 && type <= 6) || (pat && type == 7);
}

static bool memory_types_valid(uint64_t value, bool pat)
{
    for (unsigned i = 0; i < 8; i++) {
        if (!memory_type_valid((uint8_t)(value >> 8 * i), pat))
            return false;
    }
    return true;
}

static bool rule_allows(enum rule rule, uint64_t value)
{
    switch (rule) {
    case RULE_LOW32: return !(value >> 32);
    case RULE_CANONICAL: return x86_canonical(value);
    case RULE_TYPES: return memory_types_valid(value, true);
    case RULE_MTRR_TYPES: return memory_types_valid(value, false);
    default: return true;
    }
}

static bool belongs_to_apic(uint32_t index)
{
    return index == IA32_APIC_BASE || index == IA32_TSC_DEADLINE ||
           (index >= IA32_X2APIC_FIRST && index <= IA32_X2APIC_LAST);
}

static bool is_variable_mtrr(uint32_t index)
{
    return index >= IA32_MTRR_PHYSBASE0 && index < IA32_MTRR_PHYSBASE0 + 2 * X86_MTRR_VARIABLE;
}

/* Base and mask registers take turns. */
static uint64_t *variable_mtrr(struct cpu *cpu, uint32_t index)
{
    unsigned number = (index - IA32_MTRR_PHYSBASE0) / 2;

    return index & 1 ? &cpu->x.msr.mtrr_mask[number] : &cpu->x.msr.mtrr_base[number];
}

static bool write_variable_mtrr(struct cpu *cpu, uint32_t index, uint64_t value)
{
    uint64_t address = (BIT(paging_physical_bits(cpu)) - 1) & PAGE_MASK;

    if (index & 1) {
        if (value & ~(address | MTRR_VALID))
            return false;
    } else if ((value & ~(address | 0xff)) || !memory_type_valid((uint8_t)value, false)) {
        return false;
    }
    *variable_mtrr(cpu, index) = value;
    return true;
}

static bool write_efer(struct cpu *cpu, uint64_t value)
{
    const struct cpu_model *model = cpu->model;
    uint64_t old = cpu->x.msr.efer;
    uint64_t allowed = X86_EFER_LMA;

    allowed |= model->has[X86_FEATURE_SYSCALL] ? X86_EFER_SCE : 0;
    allowed |= model->has[X86_FEATURE_LM] ? X86_EFER_LME : 0;
    allowed |= model->has[X86_FEATURE_NX] ? X86_EFER_NXE : 0;
    if (value & ~allowed)
        return false;
    if (((old ^ value) & X86_EFER_LME) && (cpu->x.cr0 & X86_CR0_PG))
        return false;
    value = (value & ~X86_EFER_LMA) | (old & X86_EFER_LMA);
    cpu->x.msr.efer = value;
    if ((old ^ value) & X86_EFER_NXE)
        paging_changed(cpu);
    cpu_update_mode(cpu);
    return true;
}

/* False: #GP. */
static bool msr_read(struct cpu *cpu, uint32_t index, uint64_t *value)
{
    const struct msr_row *row = find_row(index);

    if (row) {
        *value = *field(cpu, row);
        return true;
    }
    if (belongs_to_apic(index))
        return cpu->host.msr_read(cpu->host.opaque, cpu->index, index, value);
    if (is_variable_mtrr(index)) {
        *value = *variable_mtrr(cpu, index);
        return true;
    }
    *value = 0;
    switch (index) {
    case IA32_TIME_STAMP_COUNTER: *value = system_tsc(cpu); return true;
    case IA32_EFER: *value = cpu->x.msr.efer; return true;
    case IA32_MISC_ENABLE: *value = cpu->x.msr.misc_enable | MISC_ENABLE_RO; return true;
    case IA32_DEBUGCTL: *value = cpu->x.msr.debugctl; return true;
    case IA32_MTRRCAP: *value = MTRRCAP_WC | MTRRCAP_FIXED | X86_MTRR_VARIABLE; return true;
    case IA32_MTRR_DEF_TYPE: *value = cpu->x.msr.mtrr_def_type; return true;
    case IA32_BIOS_SIGN_ID: *value = MICROCODE; return true;
    case IA32_P5_MC_ADDR:
    case IA32_P5_MC_TYPE:
    case IA32_PLATFORM_ID:
    case MSR_EBL_CR_POWERON:
    case IA32_MCG_CAP:
    case IA32_MCG_STATUS: return true;
    default: return false;
    }
}

static bool write_row(struct cpu *cpu, const struct msr_row *row, uint64_t value)
{
    if (!rule_allows(row->rule, value))
        return false;
    *field(cpu, row) = value;
    cpu->seg_base[X86_FS] = cpu->x.seg[X86_FS].base;
    cpu->seg_base[X86_GS] = cpu->x.seg[X86_GS].base;
    return true;
}

/* False: #GP. */
static bool msr_write(struct cpu *cpu, uint32_t index, uint64_t value)
{
    const struct msr_row *row = find_row(index);

    if (row)
        return write_row(cpu, row, value);
    if (belongs_to_apic(index))
        return cpu->host.msr_write(cpu->host.opaque, cpu->index, index, value);
    if (is_variable_mtrr(index))
        return write_variable_mtrr(cpu, index, value);
    switch (index) {
    case IA32_TIME_STAMP_COUNTER:
        cpu->x.msr.tsc_offset += value - system_tsc(cpu);
        cpu->host.tsc_offset_changed(cpu->host.opaque, cpu->index, cpu->x.msr.tsc_offset);
        return true;
    case IA32_EFER: return write_efer(cpu, value);
    case IA32_MISC_ENABLE: cpu->x.msr.misc_enable = value & ~MISC_ENABLE_RO; return true;
    case IA32_DEBUGCTL:
        if (value & ~(uint64_t)DEBUGCTL_BITS)
            return false;
        cpu->x.msr.debugctl = value;
        return true;
    case IA32_MTRR_DEF_TYPE:
        if ((value & ~(uint64_t)MTRR_DEF_BITS) || !memory_type_valid((uint8_t)value, false))
            return false;
        cpu->x.msr.mtrr_def_type = value;
        return true;
    case IA32_P5_MC_ADDR:
    case IA32_P5_MC_TYPE:
    case IA32_BIOS_UPDT_TRIG: /* no update is taken */
    case IA32_BIOS_SIGN_ID:
    case MSR_EBL_CR_POWERON: return true;
    case IA32_MCG_STATUS: return value == 0;
    default: return false;
    }
}

enum step op_rdmsr(struct cpu *cpu, const struct op *op)
{
    enum step step = system_require_cpl0(cpu);
    uint64_t value;

    if (step)
        return step;
    exit_scope struct cpu *timed = cpu_exit_begin(cpu, exit_of(op, EXIT_MSR_READ, 0));
    if (!msr_read(cpu, (uint32_t)cpu->x.gpr[X86_RCX], &value))
        return cpu_raise_error(cpu, X86_GP, 0);
    cpu->x.gpr[X86_RAX] = (uint32_t)value;
    cpu->x.gpr[X86_RDX] = value >> 32;
    return STEP_NEXT;
}

enum step op_wrmsr(struct cpu *cpu, const struct op *op)
{
    uint64_t value = (uint32_t)cpu->x.gpr[X86_RAX] | cpu->x.gpr[X86_RDX] << 32;
    enum step step = system_require_cpl0(cpu);

    if (step)
        return step;
    exit_scope struct cpu *timed = cpu_exit_begin(cpu, exit_of(op, EXIT_MSR_WRITE, 0));
    if (!msr_write(cpu, (uint32_t)cpu->x.gpr[X86_RCX], value))
        return cpu_raise_error(cpu, X86_GP, 0);
    return STEP_JUMP;
}

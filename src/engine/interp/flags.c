/*
 * RFLAGS: PUSHF, POPF, LAHF, SAHF, CLC, STC, CMC, CLD, STD, SALC.
 * Source: SDM 2 "POPF/POPFD/POPFQ", "PUSHF/PUSHFD/PUSHFQ"; SDM 3 "Virtual-8086 Mode Extensions".
 */
#include "engine/interp/push.h"

/* Virtual-8086 mode with IOPL < 3: PUSHF and POPF fault, but for 16 bits under CR4.VME. */
static bool virtual_flags(const struct cpu *cpu)
{
    return cpu_vm86(cpu) && cpu_iopl(cpu) < 3;
}

static bool virtual_flags_fault(const struct cpu *cpu, unsigned width)
{
    return virtual_flags(cpu) && !((cpu->x.cr4 & X86_CR4_VME) && width == 2);
}

HANDLER(pushf)
{
    uint64_t image = cpu_rflags(cpu) & ~(X86_FLAG_VM | X86_FLAG_RF);

    if (virtual_flags_fault(cpu, op->size))
        return cpu_raise_error(cpu, X86_GP, 0);
    if (virtual_flags(cpu)) {
        image |= X86_FLAG_IOPL;
        image &= ~X86_FLAG_IF;
        if (cpu->x.rflags & X86_FLAG_VIF)
            image |= X86_FLAG_IF;
    }
    return push_value(cpu, image, op->size);
}

/* 16-bit POPF under VME: IF is VIF, and a pending virtual interrupt wants the monitor's help. */
static enum step popf_virtual(struct cpu *cpu, uint64_t image)
{
    const uint64_t changes = X86_FLAGS_ARITH | X86_FLAG_DF | X86_FLAG_NT;
    uint64_t flags = (cpu_rflags(cpu) & ~(changes | X86_FLAG_VIF)) | (image & changes);

    if ((image & X86_FLAG_TF) || ((image & X86_FLAG_IF) && (flags & X86_FLAG_VIP)))
        return cpu_raise_error(cpu, X86_GP, 0);
    if (image & X86_FLAG_IF)
        flags |= X86_FLAG_VIF;
    push_set_rsp(cpu, cpu->x.gpr[X86_RSP] + 2);
    cpu_set_rflags(cpu, flags);
    return STEP_JUMP;
}

HANDLER(popf)
{
    uint64_t changes = X86_FLAGS_ARITH | X86_FLAG_TF | X86_FLAG_DF | X86_FLAG_NT;
    uint64_t flags = cpu_rflags(cpu), image = 0;
    enum step step;

    if (virtual_flags_fault(cpu, op->size))
        return cpu_raise_error(cpu, X86_GP, 0);
    step = seg_read(cpu, X86_SS, cpu->x.gpr[X86_RSP] & cpu->stack_mask, &image, op->size);
    if (step)
        return step;
    if (virtual_flags(cpu))
        return popf_virtual(cpu, image);
    if (cpu->cpl <= cpu_iopl(cpu))
        changes |= X86_FLAG_IF;
    if (cpu->cpl == 0)
        changes |= X86_FLAG_IOPL;
    if (op->size > 2) {
        changes |= X86_FLAG_AC | X86_FLAG_ID;
        if (!cpu_vm86(cpu))
            flags &= ~(X86_FLAG_VIF | X86_FLAG_VIP);
    }
    push_set_rsp(cpu, cpu->x.gpr[X86_RSP] + op->size);
    cpu_set_rflags(cpu, (flags & ~changes) | (image & changes));
    return STEP_JUMP;
}

#define LAHF_FIXED 0x02u /* bit 1 is set, 3 and 5 are clear */
#define LAHF_FLAGS 0xd5u
#define AH         CPU_REG(cpu, uint8_t, 8 * X86_RAX + 1)

HANDLER(lahf)
{
    AH = (uint8_t)((cpu->arith >> ARITH_LAHF_SHIFT & LAHF_FLAGS) | LAHF_FIXED);
    return STEP_NEXT;
}

HANDLER(sahf)
{
    cpu->arith = (cpu->arith & ARITH_OF) | ((AH & LAHF_FLAGS) | LAHF_FIXED) << ARITH_LAHF_SHIFT;
    return STEP_NEXT;
}

HANDLER(clc)
{
    cpu->arith &= ~ARITH_CF;
    return STEP_NEXT;
}

HANDLER(stc)
{
    cpu->arith |= ARITH_CF;
    return STEP_NEXT;
}

HANDLER(cmc)
{
    cpu->arith ^= ARITH_CF;
    return STEP_NEXT;
}

HANDLER(cld)
{
    cpu->x.rflags &= ~X86_FLAG_DF;
    return STEP_NEXT;
}

HANDLER(std)
{
    cpu->x.rflags |= X86_FLAG_DF;
    return STEP_NEXT;
}

HANDLER(salc)
{
    CPU_REG(cpu, uint8_t, 8 * X86_RAX) = cpu->arith & ARITH_CF ? 0xff : 0;
    return STEP_NEXT;
}

bool bind_flags(struct op *op, const struct binder_input *in)
{
    switch (op->mnemonic) {
    case ZYDIS_MNEMONIC_PUSHF:
    case ZYDIS_MNEMONIC_PUSHFD:
    case ZYDIS_MNEMONIC_PUSHFQ:
        op->size = (uint8_t)operand_stack_width(in);
        op->fn = pushf;
        return true;
    case ZYDIS_MNEMONIC_POPF:
    case ZYDIS_MNEMONIC_POPFD:
    case ZYDIS_MNEMONIC_POPFQ:
        op->size = (uint8_t)operand_stack_width(in);
        op->fn = popf;
        op->flags |= OP_ENDS; /* IF and TF may change */
        return true;
    case ZYDIS_MNEMONIC_LAHF: op->fn = lahf; return true;
    case ZYDIS_MNEMONIC_SAHF: op->fn = sahf; return true;
    case ZYDIS_MNEMONIC_CLC: op->fn = clc; return true;
    case ZYDIS_MNEMONIC_STC: op->fn = stc; return true;
    case ZYDIS_MNEMONIC_CMC: op->fn = cmc; return true;
    case ZYDIS_MNEMONIC_CLD: op->fn = cld; return true;
    case ZYDIS_MNEMONIC_STD: op->fn = std; return true;
    case ZYDIS_MNEMONIC_SALC: op->fn = salc; return true;
    default: return false;
    }
}

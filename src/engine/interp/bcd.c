/*
 * Decimal arithmetic, outside 64-bit mode: AAA, AAS, AAM, AAD, DAA, DAS.
 * The host can't run these in 64-bit mode, so the results are computed; SF, ZF and PF come from a
 * TEST of the result. Flags that the manual leaves undefined are those of the result, or clear.
 * Source: SDM 2.
 */
#include "engine/interp/operand.h"

#define AL CPU_REG(cpu, uint8_t, 8 * X86_RAX)
#define AH CPU_REG(cpu, uint8_t, 8 * X86_RAX + 1)
#define AX CPU_REG(cpu, uint16_t, 8 * X86_RAX)

/* Flags of a byte, with CF and AF as given. */
static void set_flags(struct cpu *cpu, uint8_t value, bool carry, bool adjust)
{
    uint32_t flags;

    asm("test %1, %1" FLAGS_SAVE : "=a"(flags) : "r"(value) : "cc");
    flags &= ~(ARITH_CF | ARITH_AF);
    cpu->arith = flags | (carry ? ARITH_CF : 0) | (adjust ? ARITH_AF : 0);
}

static bool low_digit_overflows(const struct cpu *cpu)
{
    return (AL & 0xf) > 9 || (cpu->arith & ARITH_AF);
}

HANDLER(aaa)
{
    bool adjust = low_digit_overflows(cpu);

    if (adjust)
        AX = (uint16_t)(AX + 0x106);
    AL &= 0xf;
    set_flags(cpu, AL, adjust, adjust);
    return STEP_NEXT;
}

HANDLER(aas)
{
    bool adjust = low_digit_overflows(cpu);

    if (adjust) {
        AX = (uint16_t)(AX - 6);
        AH = (uint8_t)(AH - 1);
    }
    AL &= 0xf;
    set_flags(cpu, AL, adjust, adjust);
    return STEP_NEXT;
}

HANDLER(daa)
{
    bool adjust = low_digit_overflows(cpu);
    bool carry = AL > 0x99 || (cpu->arith & ARITH_CF);

    AL = (uint8_t)(AL + (adjust ? 6 : 0) + (carry ? 0x60 : 0));
    set_flags(cpu, AL, carry, adjust);
    return STEP_NEXT;
}

/* Unlike DAA's, its carry also comes out of a borrow of the low digit. */
HANDLER(das)
{
    uint8_t old = AL;
    bool adjust = low_digit_overflows(cpu);
    bool high = old > 0x99 || (cpu->arith & ARITH_CF);
    bool borrow = adjust && old < 6;

    AL = (uint8_t)(old - (adjust ? 6 : 0) - (high ? 0x60 : 0));
    set_flags(cpu, AL, high || borrow, adjust);
    return STEP_NEXT;
}

HANDLER(aam)
{
    uint8_t value = AL, base = (uint8_t)op->imm;

    if (!base)
        return cpu_raise(cpu, X86_DE);
    AH = value / base;
    AL = value % base;
    set_flags(cpu, AL, false, false);
    return STEP_NEXT;
}

HANDLER(aad)
{
    AX = (uint8_t)(AL + AH * (uint8_t)op->imm);
    set_flags(cpu, AL, false, false);
    return STEP_NEXT;
}

bool bind_bcd(struct op *op, const struct binder_input *in)
{
    switch (op->mnemonic) {
    case ZYDIS_MNEMONIC_AAA: op->fn = aaa; return true;
    case ZYDIS_MNEMONIC_AAS: op->fn = aas; return true;
    case ZYDIS_MNEMONIC_DAA: op->fn = daa; return true;
    case ZYDIS_MNEMONIC_DAS: op->fn = das; return true;
    case ZYDIS_MNEMONIC_AAM: op->fn = aam; break;
    case ZYDIS_MNEMONIC_AAD: op->fn = aad; break;
    default: return false;
    }
    op->imm = in->insn->op[0].imm.value.u;
    return true;
}

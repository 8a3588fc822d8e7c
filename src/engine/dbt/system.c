/*
 * What kernels do often and without leaving their code: CLI, SWAPGS, reading segment registers;
 * and the direction flag. Where it is not allowed, the interpreter raises the fault.
 * Source: SDM 2.
 */
#include "engine/dbt/insn.h"

#include "base/assert.h"

_Static_assert(sizeof(((struct cpu *)0)->cpl) == 1, "the CPL is compared as a byte");

/* CPL 0, whatever IOPL, or the slow path. */
static void require_cpl0(struct translator *t)
{
    flags_spoil(t);
    emit_op_imm(&t->e, 0x80, 4, 7, rm_state(CPU_FIELD(cpl)), 0, 1); /* CMP byte */
    slow_path(t, emit_jcc(&t->e, CC_NE));
}

/* The host's flags are spoiled already. */
static void emit_clear(struct emitter *e, uint32_t flag)
{
    emit_op_imm(e, 0x81, 4, 4, rm_state(CPU_FIELD(x.rflags)), ~flag, 4); /* AND */
}

bool insn_cli(struct translator *t)
{
    require_cpl0(t);
    emit_clear(&t->e, X86_FLAG_IF);
    return true;
}

bool insn_direction(struct translator *t)
{
    flags_spoil(t);
    if (t->insn->info.mnemonic == ZYDIS_MNEMONIC_CLD)
        emit_clear(&t->e, X86_FLAG_DF);
    else
        emit_op_imm(&t->e, 0x81, 4, 1, rm_state(CPU_FIELD(x.rflags)), X86_FLAG_DF, 4); /* OR */
    return true;
}

bool insn_swapgs(struct translator *t)
{
    struct rm base = rm_state(CPU_FIELD(x.seg[X86_GS].base));
    struct rm other = rm_state(CPU_FIELD(x.msr.kernel_gs_base));

    require_cpl0(t);
    emit_load(&t->e, SCRATCH, base);
    emit_load(&t->e, PLACE, other);
    emit_store(&t->e, other, SCRATCH);
    emit_store(&t->e, base, PLACE);
    emit_store(&t->e, rm_state(CPU_FIELD(seg_base[X86_GS])), PLACE);
    return true;
}

/* To a register; 32 bits clear the upper half as 64 do, 16 leave the rest. */
bool insn_from_segment(struct translator *t)
{
    const ZydisDecodedOperand *to = &t->insn->op[0];
    unsigned segment = x86_segment_number(t->insn->op[1].reg.value);
    size_t selector = CPU_FIELD(x.seg) + segment * sizeof(struct x86_segment) +
                      offsetof(struct x86_segment, selector);
    int guest = guest_register(to->reg.value);
    unsigned bytes = to->size == 16 ? 2 : 8;

    if (to->type != ZYDIS_OPERAND_TYPE_REGISTER || guest < 0)
        return false;
    emit_modrm(&t->e, &(struct encoding){.map = 1, .opcode = 0xb7}, SCRATCH, rm_state(selector));
    emit_op(&t->e, OPCODE_STORE, bytes, SCRATCH, rm_guest_now((unsigned)guest));
    return true;
}

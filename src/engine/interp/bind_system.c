/*
 * Finds the function for a privileged or sensitive instruction and fills in its operands.
 * Refuses what no model offers (VMX, SVM, SMX, SGX, MONITOR, RSM): unbound means #UD.
 */
#include "engine/interp/operand.h"
#include "engine/interp/system_ops.h"

struct row {
    ZydisMnemonic mnemonic;
    op_fn fn;
    uint8_t flags;
    uint8_t seg; /* for the bases of FS and GS */
};

static const struct row rows[] = {
    {ZYDIS_MNEMONIC_CLTS, op_clts, OP_ENDS, 0},
    {ZYDIS_MNEMONIC_LMSW, op_lmsw, OP_ENDS, 0},
    {ZYDIS_MNEMONIC_SMSW, op_smsw, 0, 0},
    {ZYDIS_MNEMONIC_RDMSR, op_rdmsr, 0, 0},
    {ZYDIS_MNEMONIC_WRMSR, op_wrmsr, OP_ENDS, 0},
    {ZYDIS_MNEMONIC_CPUID, op_cpuid, 0, 0},
    {ZYDIS_MNEMONIC_RDTSC, op_rdtsc, 0, 0},
    {ZYDIS_MNEMONIC_RDTSCP, op_rdtscp, 0, 0},
    {ZYDIS_MNEMONIC_RDPMC, op_rdpmc, 0, 0},
    {ZYDIS_MNEMONIC_HLT, op_hlt, OP_ENDS, 0},
    {ZYDIS_MNEMONIC_CLI, op_cli, 0, 0},
    {ZYDIS_MNEMONIC_STI, op_sti, OP_ENDS | OP_SHADOW, 0},
    {ZYDIS_MNEMONIC_SWAPGS, op_swapgs, 0, 0},
    {ZYDIS_MNEMONIC_RDFSBASE, op_read_base, 0, X86_FS},
    {ZYDIS_MNEMONIC_RDGSBASE, op_read_base, 0, X86_GS},
    {ZYDIS_MNEMONIC_WRFSBASE, op_write_base, 0, X86_FS},
    {ZYDIS_MNEMONIC_WRGSBASE, op_write_base, 0, X86_GS},
    {ZYDIS_MNEMONIC_STAC, op_stac, OP_ENDS, 0},
    {ZYDIS_MNEMONIC_CLAC, op_clac, OP_ENDS, 0},
    {ZYDIS_MNEMONIC_INVLPG, op_invlpg, OP_ENDS, 0},
    {ZYDIS_MNEMONIC_INVPCID, op_invpcid, OP_ENDS, 0},
    {ZYDIS_MNEMONIC_INVD, op_invd, 0, 0},
    {ZYDIS_MNEMONIC_WBINVD, op_wbinvd, 0, 0},
};

/* MOV with a control or debug register, which is named by its number. */
static bool bind_mov_system(struct op *op, const struct x86_insn *insn)
{
    ZydisRegister to = insn->op[0].reg.value, from = insn->op[1].reg.value;
    ZydisRegisterClass to_class = ZydisRegisterGetClass(to);
    ZydisRegisterClass from_class = ZydisRegisterGetClass(from);

    if (insn->op[0].type != ZYDIS_OPERAND_TYPE_REGISTER ||
        insn->op[1].type != ZYDIS_OPERAND_TYPE_REGISTER)
        return false;
    if (to_class == ZYDIS_REGCLASS_CONTROL || to_class == ZYDIS_REGCLASS_DEBUG) {
        op->fn = to_class == ZYDIS_REGCLASS_CONTROL ? op_mov_to_cr : op_mov_to_dr;
        op->dst = (uint8_t)ZydisRegisterGetId(to);
        op->src = operand_register(from);
        op->flags |= OP_ENDS;
        return true;
    }
    if (from_class == ZYDIS_REGCLASS_CONTROL || from_class == ZYDIS_REGCLASS_DEBUG) {
        op->fn = from_class == ZYDIS_REGCLASS_CONTROL ? op_mov_from_cr : op_mov_from_dr;
        op->dst = operand_register(to);
        op->src = (uint8_t)ZydisRegisterGetId(from);
        return true;
    }
    return false;
}

bool bind_system(struct op *op, const struct binder_input *in)
{
    const struct x86_insn *insn = in->insn;

    if (op->mnemonic == ZYDIS_MNEMONIC_MOV)
        return bind_mov_system(op, insn);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].mnemonic != op->mnemonic)
            continue;
        op->fn = rows[i].fn;
        op->flags |= rows[i].flags;
        if (insn->info.operand_count_visible && operand_is_gpr(&insn->op[0])) {
            op->dst = operand_register(insn->op[0].reg.value);
            op->size = (uint8_t)(insn->op[0].size / 8);
        }
        if (rows[i].seg)
            op->seg = rows[i].seg;
        return true;
    }
    return false;
}

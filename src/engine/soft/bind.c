/*
 * From a decoded instruction to an op: the common fields, and then whoever knows the instruction.
 * Refuses what the guest's CPUID model does not offer: such an instruction raises #UD.
 */
#include "engine/soft/block.h"
#include "x86/cpuid.h"

enum step op_undefined(struct cpu *cpu, const struct op *op)
{
    return cpu_raise(cpu, X86_UD);
}

static uint8_t address_register(ZydisRegister reg)
{
    bool high;

    if (reg == ZYDIS_REGISTER_NONE)
        return 8 * X86_ZERO;
    if (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP)
        return 8 * X86_RIP;
    return (uint8_t)(8 * x86_register_number(reg, &high));
}

static void fill_memory(struct op *op, const ZydisDecodedOperandMem *mem)
{
    bool vector_index = mem->index >= ZYDIS_REGISTER_XMM0 && mem->index <= ZYDIS_REGISTER_ZMM31;

    op->base = address_register(mem->base);
    op->index = vector_index ? 8 * X86_ZERO : address_register(mem->index);
    op->scale = mem->scale ? (uint8_t)__builtin_ctz(mem->scale) : 0;
    op->disp = mem->disp.value;
    op->seg = x86_segment_number(mem->segment);
    op->flags |= OP_MEM;
}

/* How often an instruction asks the TLB; a repeated one so often an iteration. */
static uint8_t count_lookups(const struct x86_insn *insn)
{
    unsigned n = 0;

    for (unsigned i = 0; i < insn->info.operand_count; i++) {
        const ZydisDecodedOperand *operand = &insn->op[i];

        n +=
            operand->type == ZYDIS_OPERAND_TYPE_MEMORY && operand->mem.type == ZYDIS_MEMOP_TYPE_MEM;
    }
    return (uint8_t)n;
}

static void fill_common(struct op *op, const struct x86_insn *insn)
{
    const ZydisDecodedInstruction *info = &insn->info;

    *op = (struct op){
        .base = 8 * X86_ZERO,
        .index = 8 * X86_ZERO,
        .seg = X86_DS,
        .len = info->length,
        .mnemonic = (uint16_t)info->mnemonic,
        .size = info->operand_width / 8,
        .lookups = count_lookups(insn),
    };
    op->addr_mask = info->address_width == 64   ? UINT64_MAX
                    : info->address_width == 32 ? UINT32_MAX
                                                : UINT16_MAX;
    if (info->attributes & ZYDIS_ATTRIB_HAS_LOCK)
        op->flags |= OP_LOCK;
    if (info->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE))
        op->flags |= OP_REP;
    if (info->attributes & ZYDIS_ATTRIB_HAS_REPNE)
        op->flags |= OP_REPNE;
    for (unsigned i = 0; i < info->operand_count_visible; i++) {
        const ZydisDecodedOperand *operand = &insn->op[i];

        if (operand->type == ZYDIS_OPERAND_TYPE_MEMORY && !(op->flags & OP_MEM))
            fill_memory(op, &operand->mem);
        else if (operand->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && !op->imm)
            op->imm = operand->imm.value.u;
    }
    if (info->operand_count_visible > 0 && insn->op[0].size)
        op->size = (uint8_t)(insn->op[0].size / 8);
}

void op_bind(struct op *op, const struct binder_input *in)
{
    fill_common(op, in->insn);
    if (cpu_model_allows(in->cpu->model, &in->insn->info) &&
        (bind_segment(op, in) || bind_control(op, in) || bind_string(op, in) ||
         bind_integer(op, in) || bind_system(op, in) || bind_native(op, in)))
        return;
    op->fn = op_undefined;
    op->flags |= OP_ENDS;
}

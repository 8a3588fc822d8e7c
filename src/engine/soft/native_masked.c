/*
 * Vector instructions whose memory elements are accessed one by one: gathers, masked loads and
 * stores. Each element faults on its own, so they are loops here and no stubs. An element whose
 * mask bit is clear is not accessed at all.
 * Source: SDM 2 "VGATHERDPD", "VMASKMOV", "VPMASKMOV", "MASKMOVDQU", "MASKMOVQ".
 */
#include "engine/soft/native_internal.h"

#include <string.h>

/*
 * Packed into the op: dst = destination or source register, src = index or mask register,
 * src2 = the gather's mask, size = element bytes, aux = GATHER_* and the vector length.
 */
#define AUX_INDEX64 BIT(0) /* the index elements are 64 bits wide */
#define AUX_YMM     BIT(1) /* the data vector is 256 bits wide */
#define AUX_INDEX_Y BIT(2) /* the index vector is 256 bits wide */

static unsigned vector_id(const ZydisDecodedOperand *operand)
{
    return (unsigned)(uint8_t)ZydisRegisterGetId(operand->reg.value);
}

static bool mask_bit(const uint8_t *ymm, unsigned element, unsigned bytes)
{
    return ymm[(element + 1) * bytes - 1] >> 7;
}

/* Elements are gathered from the lowest up; each one done has its mask cleared, so a fault resumes.
 */
static enum step op_gather(struct cpu *cpu, const struct op *op)
{
    uint8_t *dst = cpu->x.fpu.ymm[op->dst], *mask = cpu->x.fpu.ymm[op->src2];
    const uint8_t *index = cpu->x.fpu.ymm[op->src];
    unsigned index_bytes = op->aux & AUX_INDEX64 ? 8 : 4;
    unsigned data_count = (op->aux & AUX_YMM ? 32u : 16u) / op->size;
    unsigned index_count = (op->aux & AUX_INDEX_Y ? 32u : 16u) / index_bytes;
    unsigned count = MIN(data_count, index_count);

    if (native_gate_closed(cpu, op))
        return native_raise_gate(cpu, op);
    if (op->dst == op->src || op->dst == op->src2 || op->src == op->src2)
        return cpu_raise(cpu, X86_UD);
    for (unsigned i = 0; i < count; i++) {
        int64_t offset;
        int32_t narrow;
        enum step step;

        if (!mask_bit(mask, i, op->size))
            continue;
        memcpy(&narrow, index + i * index_bytes, 4);
        memcpy(&offset, index + i * index_bytes, index_bytes);
        if (index_bytes == 4)
            offset = narrow;
        step = seg_read(cpu, op->seg,
                        (op_offset(cpu, op) + ((uint64_t)offset << op->scale)) & op->addr_mask,
                        dst + i * op->size, op->size);
        if (step)
            return step;
        memset(mask + i * op->size, 0, op->size);
    }
    memset(mask, 0, 32);
    memset(dst + count * op->size, 0, 32 - count * op->size);
    return STEP_NEXT;
}

static enum step op_masked_load(struct cpu *cpu, const struct op *op)
{
    const uint8_t *mask = cpu->x.fpu.ymm[op->src];
    unsigned count = (op->aux & AUX_YMM ? 32u : 16u) / op->size;
    uint8_t value[32] = {0};

    if (native_gate_closed(cpu, op))
        return native_raise_gate(cpu, op);
    for (unsigned i = 0; i < count; i++) {
        enum step step = STEP_NEXT;

        if (mask_bit(mask, i, op->size))
            step = seg_read(cpu, op->seg, (op_offset(cpu, op) + i * op->size) & op->addr_mask,
                            value + i * op->size, op->size);
        if (step)
            return step;
    }
    memcpy(cpu->x.fpu.ymm[op->dst], value, 32);
    return STEP_NEXT;
}

/* Checks all elements before it writes the first, so that a fault changes nothing. */
static enum step masked_store(struct cpu *cpu, const struct op *op, uint64_t offset,
                              const uint8_t *mask, const uint8_t *value, unsigned bytes)
{
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < bytes / op->size; i++) {
            uint64_t at = (offset + i * op->size) & op->addr_mask;
            gva_t linear;
            enum step step;

            if (!mask_bit(mask, i, op->size))
                continue;
            step = seg_linear(cpu, op->seg, at, op->size, true, &linear);
            if (!step)
                step = pass == 0 ? native_probe(cpu, linear, op->size, true)
                                 : lin_write(cpu, linear, value + i * op->size, op->size);
            if (step)
                return access_fault_of_segment(cpu, op->seg, step);
        }
    }
    return STEP_NEXT;
}

static enum step op_masked_store(struct cpu *cpu, const struct op *op)
{
    if (native_gate_closed(cpu, op))
        return native_raise_gate(cpu, op);
    return masked_store(cpu, op, op_offset(cpu, op), cpu->x.fpu.ymm[op->src],
                        cpu->x.fpu.ymm[op->dst], op->aux & AUX_YMM ? 32 : 16);
}

/* MASKMOVDQU and VMASKMOVDQU: bytes to DS:RDI. */
static enum step op_maskmovdqu(struct cpu *cpu, const struct op *op)
{
    if (native_gate_closed(cpu, op))
        return native_raise_gate(cpu, op);
    return masked_store(cpu, op, cpu->x.gpr[X86_RDI] & op->addr_mask, cpu->x.fpu.ymm[op->src],
                        cpu->x.fpu.ymm[op->dst], 16);
}

/* MASKMOVQ: the same from MMX registers, which become valid with TOP = 0 as by any MMX move. */
static enum step op_maskmovq(struct cpu *cpu, const struct op *op)
{
    struct x86_fpu *fpu = &cpu->x.fpu;
    uint8_t physical[8][16];
    unsigned top;
    enum step step;

    if (native_gate_closed(cpu, op))
        return native_raise_gate(cpu, op);
    if (native_x87_pending(cpu))
        return native_raise(cpu, X86_MF);
    if (cpu->fpu_live)
        native_x87_save(cpu);
    top = X87_STATUS_TOP(fpu->fsw);
    for (unsigned i = 0; i < 8; i++)
        memcpy(physical[(i + top) & 7], fpu->st[i], 16);
    step = masked_store(cpu, op, cpu->x.gpr[X86_RDI] & op->addr_mask, physical[op->src],
                        physical[op->dst], 8);
    if (step)
        return step;
    memcpy(fpu->st, physical, sizeof(physical));
    fpu->fsw &= (uint16_t)~0x3800;
    fpu->ftw = 0xff;
    return STEP_NEXT;
}

/* The segment of the implied DS:RDI operand, which may be overridden. */
static void bind_implied(struct op *op, const struct binder_input *in)
{
    for (unsigned i = 0; i < in->insn->info.operand_count; i++) {
        const ZydisDecodedOperand *operand = &in->insn->op[i];

        if (operand->type != ZYDIS_OPERAND_TYPE_MEMORY)
            continue;
        op->seg = operand->mem.segment == ZYDIS_REGISTER_FS   ? X86_FS
                  : operand->mem.segment == ZYDIS_REGISTER_GS ? X86_GS
                  : operand->mem.segment == ZYDIS_REGISTER_ES ? X86_ES
                  : operand->mem.segment == ZYDIS_REGISTER_CS ? X86_CS
                  : operand->mem.segment == ZYDIS_REGISTER_SS ? X86_SS
                                                              : X86_DS;
    }
}

static bool bind_gather(struct op *op, const struct x86_insn *insn)
{
    ZydisRegister index = insn->op[1].mem.index;

    op->fn = op_gather;
    op->dst = (uint8_t)vector_id(&insn->op[0]);
    op->src = (uint8_t)ZydisRegisterGetId(index);
    op->src2 = (uint8_t)vector_id(&insn->op[2]);
    op->aux = 0;
    if (insn->info.opcode & 1) /* VGATHERQ*, VPGATHERQ* */
        op->aux |= AUX_INDEX64;
    if (ZydisRegisterGetClass(index) == ZYDIS_REGCLASS_YMM)
        op->aux |= AUX_INDEX_Y;
    if (ZydisRegisterGetClass(insn->op[0].reg.value) == ZYDIS_REGCLASS_YMM)
        op->aux |= AUX_YMM;
    op->size = insn->info.raw.vex.W ? 8 : 4;
    return true;
}

static bool bind_masked_move(struct op *op, const struct x86_insn *insn, unsigned bytes)
{
    bool store = insn->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY;
    const ZydisDecodedOperand *data = &insn->op[store ? 2 : 0];

    op->fn = store ? op_masked_store : op_masked_load;
    op->dst = (uint8_t)vector_id(data);
    op->src = (uint8_t)vector_id(&insn->op[1]);
    op->aux = ZydisRegisterGetClass(data->reg.value) == ZYDIS_REGCLASS_YMM ? AUX_YMM : 0;
    op->size = (uint8_t)bytes;
    return true;
}

bool native_bind_masked(struct op *op, const struct binder_input *in)
{
    const struct x86_insn *insn = in->insn;

    op->cc = GATE_UD_AVX | GATE_NM_TS;
    if (insn->info.meta.isa_set == ZYDIS_ISA_SET_AVX2GATHER)
        return bind_gather(op, insn);
    switch (insn->info.mnemonic) {
    case ZYDIS_MNEMONIC_VMASKMOVPS:
    case ZYDIS_MNEMONIC_VPMASKMOVD: return bind_masked_move(op, insn, 4);
    case ZYDIS_MNEMONIC_VMASKMOVPD:
    case ZYDIS_MNEMONIC_VPMASKMOVQ: return bind_masked_move(op, insn, 8);
    case ZYDIS_MNEMONIC_MASKMOVDQU: op->cc = GATE_UD_SSE | GATE_NM_TS; break;
    case ZYDIS_MNEMONIC_VMASKMOVDQU: break;
    case ZYDIS_MNEMONIC_MASKMOVQ: op->cc = GATE_UD_MMX | GATE_NM_TS; break;
    default: return false;
    }
    bind_implied(op, in);
    op->fn = insn->info.mnemonic == ZYDIS_MNEMONIC_MASKMOVQ ? op_maskmovq : op_maskmovdqu;
    op->size = 1;
    op->dst = insn->info.raw.modrm.reg;
    op->src = insn->info.raw.modrm.rm;
    if (op->fn == op_maskmovdqu) {
        op->dst = (uint8_t)vector_id(&insn->op[insn->info.operand_count_visible - 2]);
        op->src = (uint8_t)vector_id(&insn->op[insn->info.operand_count_visible - 1]);
    }
    return true;
}

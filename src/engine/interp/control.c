/*
 * Near control transfers: JMP, Jcc, CALL, RET, LOOP, LOOPE, LOOPNE, JCXZ, JECXZ, JRCXZ.
 * A target outside the code segment, or not canonical, raises #GP(0) before anything has changed.
 * Refuses far transfers. In 64-bit mode the operand size prefix is ignored, as Intel has it.
 * Source: SDM 2.
 */
#include "engine/interp/cond.h"
#include "engine/interp/push.h"

#define RIP cpu->x.gpr[X86_RIP]

/* Whether a target of this width may become RIP; width 8 is 64-bit mode. */
ALWAYS_INLINE bool target_valid(const struct cpu *cpu, uint64_t target, unsigned width)
{
    if (width == 8)
        return likely(x86_canonical(target));
    return likely(target <= cpu->x.seg[X86_CS].limit);
}

static enum step target_fault(struct cpu *cpu)
{
    return cpu_raise_error(cpu, X86_GP, 0);
}

ALWAYS_INLINE enum step jump_to(struct cpu *cpu, uint64_t target, unsigned width)
{
    if (unlikely(!target_valid(cpu, target, width)))
        return target_fault(cpu);
    RIP = target;
    return STEP_JUMP;
}

static enum step call_slow(struct cpu *cpu, uint64_t target, unsigned width)
{
    enum step step = push_slow(cpu, RIP, width);

    if (step)
        return step;
    RIP = target;
    return STEP_JUMP;
}

ALWAYS_INLINE enum step call_to(struct cpu *cpu, uint64_t target, unsigned width)
{
    if (unlikely(!target_valid(cpu, target, width)))
        return target_fault(cpu);
    if (unlikely(!push_fast(cpu, RIP, width)))
        return call_slow(cpu, target, width);
    RIP = target;
    return STEP_JUMP;
}

/* RET drops op->imm bytes more; only then does RSP change. */
static enum step return_slow(struct cpu *cpu, const struct op *op)
{
    uint64_t target = 0, rsp = cpu->x.gpr[X86_RSP];
    enum step step = seg_read(cpu, X86_SS, rsp & cpu->stack_mask, &target, op->size);

    if (step)
        return step;
    if (!target_valid(cpu, target, op->size))
        return target_fault(cpu);
    push_set_rsp(cpu, rsp + op->size + op->imm);
    RIP = target;
    return STEP_JUMP;
}

#define NEAR(T, bits)                                                                              \
    HANDLER(jmp##bits##_i)                                                                         \
    {                                                                                              \
        return jump_to(cpu, (T)(RIP + op->imm), sizeof(T));                                        \
    }                                                                                              \
    HANDLER(jmp##bits##_r)                                                                         \
    {                                                                                              \
        return jump_to(cpu, CPU_REG(cpu, T, op->dst), sizeof(T));                                  \
    }                                                                                              \
    MEMORY_BODY(jmp##bits##_m)                                                                     \
    {                                                                                              \
        return jump_to(cpu, PLACE(T, place), sizeof(T));                                           \
    }                                                                                              \
    MEMORY_HANDLER(jmp##bits##_m, read, sizeof(T))                                                 \
    HANDLER(call##bits##_i)                                                                        \
    {                                                                                              \
        return call_to(cpu, (T)(RIP + op->imm), sizeof(T));                                        \
    }                                                                                              \
    HANDLER(call##bits##_r)                                                                        \
    {                                                                                              \
        return call_to(cpu, CPU_REG(cpu, T, op->dst), sizeof(T));                                  \
    }                                                                                              \
    MEMORY_BODY(call##bits##_m)                                                                    \
    {                                                                                              \
        return call_to(cpu, PLACE(T, place), sizeof(T));                                           \
    }                                                                                              \
    MEMORY_HANDLER(call##bits##_m, read, sizeof(T))                                                \
    HANDLER(ret##bits)                                                                             \
    {                                                                                              \
        uint64_t target;                                                                           \
                                                                                                   \
        if (unlikely(!push_peek(cpu, &target, sizeof(T)) ||                                        \
                     !target_valid(cpu, target, sizeof(T))))                                       \
            return return_slow(cpu, op);                                                           \
        push_set_rsp(cpu, cpu->x.gpr[X86_RSP] + sizeof(T) + op->imm);                              \
        RIP = target;                                                                              \
        return STEP_JUMP;                                                                          \
    }

#define JCC_WIDTH(cc, T, bits)                                                                     \
    HANDLER(j##cc##bits)                                                                           \
    {                                                                                              \
        if (!cond_##cc(cpu->arith))                                                                \
            return STEP_JUMP;                                                                      \
        return jump_to(cpu, (T)(RIP + op->imm), sizeof(T));                                        \
    }

#define JCC(cc)                                                                                    \
    JCC_WIDTH(cc, uint16_t, _16)                                                                   \
    JCC_WIDTH(cc, uint32_t, _32)                                                                   \
    JCC_WIDTH(cc, uint64_t, _64)

NEAR(uint16_t, 16)
NEAR(uint32_t, 32)
NEAR(uint64_t, 64)
COND_LIST(JCC)

static enum step jump_relative(struct cpu *cpu, const struct op *op)
{
    switch (op->size) {
    case 2: return jmp16_i(cpu, op);
    case 4: return jmp32_i(cpu, op);
    default: return jmp64_i(cpu, op);
    }
}

/* LOOP and its kin count in CX, ECX or RCX by address size; the count is written if all went well.
 */
static enum step loop_if(struct cpu *cpu, const struct op *op, bool condition)
{
    uint64_t *rcx = &cpu->x.gpr[X86_RCX];
    uint64_t count = (*rcx - 1) & op->addr_mask;
    enum step step = STEP_JUMP;

    if (count && condition)
        step = jump_relative(cpu, op);
    if (step == STEP_FAULT)
        return step;
    *rcx = op->addr_mask == UINT16_MAX ? (*rcx & ~(uint64_t)UINT16_MAX) | count : count;
    return step;
}

HANDLER(loop)
{
    return loop_if(cpu, op, true);
}

HANDLER(loope)
{
    return loop_if(cpu, op, cond_z(cpu->arith));
}

HANDLER(loopne)
{
    return loop_if(cpu, op, cond_nz(cpu->arith));
}

HANDLER(jcxz)
{
    return cpu->x.gpr[X86_RCX] & op->addr_mask ? STEP_JUMP : jump_relative(cpu, op);
}

/* [register, memory, immediate][size] */
static const op_fn jmp_table[3][4] = {WIDE_SIZES(jmp, r), WIDE_SIZES(jmp, m), WIDE_SIZES(jmp, i)};
static const op_fn call_table[3][4] = {WIDE_SIZES(call, r), WIDE_SIZES(call, m),
                                       WIDE_SIZES(call, i)};
static const op_fn ret_table[4] = {NULL, ret16, ret32, ret64};

#define JCC_ROW(cc) {NULL, j##cc##_16, j##cc##_32, j##cc##_64},
static const op_fn jcc_table[16][4] = {COND_LIST(JCC_ROW)};

/* Near branches have no 16-bit form in 64-bit mode. */
static unsigned branch_width(const struct binder_input *in)
{
    return in->mode == X86_MODE_LONG64 ? 8 : operand_stack_width(in);
}

static bool bind_target(struct op *op, const struct x86_insn *insn, const op_fn table[3][4],
                        unsigned index)
{
    switch (operand_form(op, insn)) {
    case FORM_R: op->fn = table[0][index]; return true;
    case FORM_M: op->fn = table[1][index]; return true;
    case FORM_I: op->fn = table[2][index]; return true;
    default: return false;
    }
}

static bool bind_branch(struct op *op, const struct binder_input *in, unsigned width)
{
    const struct x86_insn *insn = in->insn;
    unsigned index = operand_size_index(width);

    switch (op->mnemonic) {
    case ZYDIS_MNEMONIC_JMP: return bind_target(op, insn, jmp_table, index);
    case ZYDIS_MNEMONIC_CALL: return bind_target(op, insn, call_table, index);
    case ZYDIS_MNEMONIC_RET:
        op->imm = insn->info.operand_count_visible ? insn->op[0].imm.value.u : 0;
        op->fn = ret_table[index];
        return true;
    case ZYDIS_MNEMONIC_LOOP: op->fn = loop; break;
    case ZYDIS_MNEMONIC_LOOPE: op->fn = loope; break;
    case ZYDIS_MNEMONIC_LOOPNE: op->fn = loopne; break;
    case ZYDIS_MNEMONIC_JCXZ:
    case ZYDIS_MNEMONIC_JECXZ:
    case ZYDIS_MNEMONIC_JRCXZ: op->fn = jcxz; break;
    default:
        if (!x86_is_jcc(&insn->info))
            return false;
        op->cc = insn->info.opcode & 0xf;
        op->fn = jcc_table[op->cc][index];
        break;
    }
    op->imm = insn->op[0].imm.value.u;
    return true;
}

bool bind_control(struct op *op, const struct binder_input *in)
{
    ZydisBranchType type = in->insn->info.meta.branch_type;
    unsigned width = branch_width(in);

    if (type != ZYDIS_BRANCH_TYPE_SHORT && type != ZYDIS_BRANCH_TYPE_NEAR)
        return false;
    if (!bind_branch(op, in, width))
        return false;
    op->size = (uint8_t)width;
    op->flags |= OP_ENDS;
    return true;
}

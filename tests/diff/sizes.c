/*
 * What keeps stubs inside guest memory: no instruction may touch more of its memory operand than
 * the decoder says. Each form is run on the host with its operand at the very end of what is
 * mapped; a page fault behind it would be a stub's reach into the monitor.
 */
#include "sizes.h"

#include <stdio.h>
#include <string.h>

/* The form's one ModRM operand in memory, or NULL. */
static const ZydisDecodedOperand *memory_operand(const struct x86_insn *insn)
{
    for (unsigned i = 0; i < insn->info.operand_count; i++) {
        const ZydisDecodedOperand *o = &insn->op[i];

        if (o->type == ZYDIS_OPERAND_TYPE_MEMORY && o->mem.type == ZYDIS_MEMOP_TYPE_MEM &&
            o->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM)
            return o;
    }
    return NULL;
}

/* BT and its kin reach as far as their register says; the interpreter does them itself. */
static bool is_bit_test(const ZydisDecodedInstruction *info)
{
    return info->mnemonic == ZYDIS_MNEMONIC_BT || info->mnemonic == ZYDIS_MNEMONIC_BTS ||
           info->mnemonic == ZYDIS_MNEMONIC_BTR || info->mnemonic == ZYDIS_MNEMONIC_BTC;
}

/* A case of the form with the address in RBX, the operand ending where the mapping ends. */
static bool make_case(struct diff_case *c, struct x86_insn *insn, const struct diff_template *t,
                      uint64_t *end)
{
    const ZydisDecodedOperand *memory;

    memset(c, 0, sizeof(*c));
    diff_template_bytes(c->code, t);
    if (x86_decode(insn, X86_MODE_LONG64, c->code, X86_INSN_MAX_BYTES) != X86_DECODE_OK)
        return false;
    memory = memory_operand(insn);
    if (!memory || !memory->size || is_bit_test(&insn->info) ||
        insn->info.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE)
        return false;
    *end = DIFF_DATA +
           (memory->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE ? DIFF_DATA_RW : DIFF_DATA_SIZE);
    c->len = insn->info.length;
    c->count = 1;
    c->start = c->before.rip = DIFF_CODE;
    c->before.rflags = X86_FLAG_ONE;
    c->before.fcw = 0x37f;
    c->before.mxcsr = 0x1f80;
    c->before.gpr[X86_RSP] = DIFF_DATA + PAGE_SIZE;
    c->before.gpr[X86_RBX] = *end - memory->size / 8;
    return true;
}

unsigned diff_check_sizes(struct diff_host *host, const struct diff_templates *t)
{
    static const uint8_t zeroes[DIFF_DATA_SIZE];
    uint8_t after_data[DIFF_DATA_SIZE];
    unsigned tried = 0, failures = 0;

    for (size_t i = 0; i < t->count; i++) {
        struct diff_state after;
        struct x86_insn insn;
        struct diff_case c;
        char text[128];
        uint64_t end;

        if (!t->all[i].memory || !make_case(&c, &insn, &t->all[i], &end))
            continue;
        c.data = zeroes;
        if (diff_host_run(host, &c, &after, after_data) != 0)
            continue;
        tried++;
        if (after.vector != X86_PF || after.fault_address < end)
            continue;
        failures++;
        x86_disassemble(text, sizeof(text), X86_MODE_LONG64, c.code, c.len, c.start);
        printf("%s reaches behind its operand\n", text);
    }
    printf("%u forms with an operand in memory, %u reach behind it\n", tried, failures);
    return tried ? failures : 1;
}

/* The decoder wrapper over Zydis. */
#include "x86/insn.h"

#include <stdio.h>

#include "x86/state.h"

static const struct {
    ZydisMachineMode machine;
    ZydisStackWidth stack;
} modes[X86_MODES] = {
    [X86_MODE_REAL16] = {ZYDIS_MACHINE_MODE_REAL_16, ZYDIS_STACK_WIDTH_16},
    [X86_MODE_REAL32] = {ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32},
    [X86_MODE_PROT16] = {ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16},
    [X86_MODE_PROT32] = {ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32},
    [X86_MODE_COMPAT16] = {ZYDIS_MACHINE_MODE_LONG_COMPAT_16, ZYDIS_STACK_WIDTH_16},
    [X86_MODE_COMPAT32] = {ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_STACK_WIDTH_32},
    [X86_MODE_LONG64] = {ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64},
};

/*
 * Zydis takes F3 90 for PAUSE even with REX.B, where processors exchange R8 and RAX (SDM 2, "XCHG":
 * F3 means nothing to it). Such bytes are read again with a prefix there that says nothing.
 */
static ZyanStatus decode_pause_as_xchg(const ZydisDecoder *decoder, struct x86_insn *insn,
                                       const uint8_t *bytes)
{
    uint8_t copy[X86_INSN_MAX_BYTES];
    unsigned len = insn->info.length;

    for (unsigned i = 0; i < len; i++)
        copy[i] = bytes[i] == 0xf3 ? 0x3e : bytes[i];
    return ZydisDecoderDecodeFull(decoder, copy, len, &insn->info, insn->op);
}

/*
 * F3 before LOOPNE makes it LOOPE, F2 before LOOPE makes it LOOPNE, as on 8086 string instructions;
 * undocumented, found by tests/diff on the host.
 */
static void apply_rep_to_loop(ZydisDecodedInstruction *info)
{
    if (info->mnemonic != ZYDIS_MNEMONIC_LOOPE && info->mnemonic != ZYDIS_MNEMONIC_LOOPNE)
        return;
    for (unsigned i = 0; i < info->raw.prefix_count; i++) {
        if (info->raw.prefixes[i].value == 0xf3)
            info->mnemonic = ZYDIS_MNEMONIC_LOOPE;
        else if (info->raw.prefixes[i].value == 0xf2)
            info->mnemonic = ZYDIS_MNEMONIC_LOOPNE;
    }
}

/*
 * Zydis takes 3E before an indirect near jump or call for NOTRACK and forgets the segment. Outside
 * of 64-bit mode it is DS, too (SDM 1, "No-Track Prefix for Near Indirect CALL/JMP"); and without
 * CET, which no model offers, it is nothing else.
 */
static void apply_ds_to_branch(struct x86_insn *insn)
{
    if (!(insn->info.attributes & ZYDIS_ATTRIB_HAS_NOTRACK) ||
        insn->info.machine_mode == ZYDIS_MACHINE_MODE_LONG_64 ||
        insn->op[0].type != ZYDIS_OPERAND_TYPE_MEMORY)
        return;
    insn->info.attributes &= ~ZYDIS_ATTRIB_HAS_NOTRACK;
    insn->info.attributes |= ZYDIS_ATTRIB_HAS_SEGMENT_DS;
    insn->op[0].mem.segment = ZYDIS_REGISTER_DS;
}

enum x86_decode_result x86_decode(struct x86_insn *insn, enum x86_mode mode, const uint8_t *bytes,
                                  size_t len)
{
    ZydisDecoder decoder;
    ZyanStatus status;

    ZydisDecoderInit(&decoder, modes[mode].machine, modes[mode].stack);
    status = ZydisDecoderDecodeFull(&decoder, bytes, MIN(len, X86_INSN_MAX_BYTES + 1), &insn->info,
                                    insn->op);
    if (ZYAN_SUCCESS(status) && insn->info.mnemonic == ZYDIS_MNEMONIC_PAUSE && insn->info.raw.rex.B)
        status = decode_pause_as_xchg(&decoder, insn, bytes);
    if (ZYAN_SUCCESS(status)) {
        apply_rep_to_loop(&insn->info);
        apply_ds_to_branch(insn);
        return X86_DECODE_OK;
    }
    if (status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG)
        return X86_DECODE_TOO_LONG;
    if (status == ZYDIS_STATUS_NO_MORE_DATA)
        return len > X86_INSN_MAX_BYTES ? X86_DECODE_TOO_LONG : X86_DECODE_MORE;
    return X86_DECODE_INVALID;
}

size_t x86_disassemble(char *text, size_t size, enum x86_mode mode, const uint8_t *bytes,
                       size_t len, uint64_t ip)
{
    struct x86_insn insn;
    ZydisFormatter formatter;

    if (x86_decode(&insn, mode, bytes, len) != X86_DECODE_OK ||
        !ZYAN_SUCCESS(ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL)) ||
        !ZYAN_SUCCESS(ZydisFormatterFormatInstruction(&formatter, &insn.info, insn.op,
                                                      insn.info.operand_count_visible, text, size,
                                                      ip, ZYAN_NULL))) {
        snprintf(text, size, "(bad)");
        return 0;
    }
    return insn.info.length;
}

uint8_t x86_mandatory_prefix(const ZydisDecodedInstruction *info)
{
    for (unsigned i = 0; i < info->raw.prefix_count; i++) {
        if (info->raw.prefixes[i].type == ZYDIS_PREFIX_TYPE_MANDATORY)
            return info->raw.prefixes[i].value;
    }
    return 0;
}

unsigned x86_register_number(ZydisRegister reg, bool *high)
{
    *high = reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH;
    /* Zydis counts AH..BH between BL and SPL. */
    if (reg >= ZYDIS_REGISTER_SPL && reg <= ZYDIS_REGISTER_R15B)
        return (unsigned)(reg - ZYDIS_REGISTER_SPL) + 4;
    return (unsigned)(uint8_t)ZydisRegisterGetId(reg) & 0x1f;
}

uint8_t x86_segment_number(ZydisRegister reg)
{
    switch (reg) {
    case ZYDIS_REGISTER_ES: return X86_ES;
    case ZYDIS_REGISTER_CS: return X86_CS;
    case ZYDIS_REGISTER_SS: return X86_SS;
    case ZYDIS_REGISTER_FS: return X86_FS;
    case ZYDIS_REGISTER_GS: return X86_GS;
    default: return X86_DS;
    }
}

bool x86_is_jcc(const ZydisDecodedInstruction *info)
{
    if (info->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
        return false;
    if (info->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT) /* 70 to 7F */
        return (info->opcode & 0xf0) == 0x70;
    return info->opcode_map == ZYDIS_OPCODE_MAP_0F && (info->opcode & 0xf0) == 0x80;
}

/* The decoder wrapper over Zydis. */
#include "x86/insn.h"

#include <stdio.h>

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

enum x86_decode_result x86_decode(struct x86_insn *insn, enum x86_mode mode, const uint8_t *bytes,
                                  size_t len)
{
    ZydisDecoder decoder;
    ZyanStatus status;

    ZydisDecoderInit(&decoder, modes[mode].machine, modes[mode].stack);
    status = ZydisDecoderDecodeFull(&decoder, bytes, MIN(len, X86_INSN_MAX_BYTES + 1), &insn->info,
                                    insn->op);
    if (ZYAN_SUCCESS(status))
        return X86_DECODE_OK;
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

unsigned x86_register_number(ZydisRegister reg, bool *high)
{
    *high = reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH;
    /* Zydis counts AH..BH between BL and SPL. */
    if (reg >= ZYDIS_REGISTER_SPL && reg <= ZYDIS_REGISTER_R15B)
        return (unsigned)(reg - ZYDIS_REGISTER_SPL) + 4;
    return (unsigned)(uint8_t)ZydisRegisterGetId(reg) & 0x1f;
}

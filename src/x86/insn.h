/*
 * The decoder wrapper: guest bytes to a decoded instruction, by Zydis. It decides what is an
 * instruction at all; what the guest's CPUID model and mode allow is decided where it is bound.
 */
#ifndef UMBRA_X86_INSN_H
#define UMBRA_X86_INSN_H

#include <Zydis/Zydis.h>

#include "base/types.h"

#define X86_INSN_MAX_BYTES 15

/* What decides how bytes are read. */
enum x86_mode {
    X86_MODE_REAL16, /* real mode and virtual-8086 mode, CS.D = 0 */
    X86_MODE_REAL32, /* real mode with a CS whose hidden D bit is set */
    X86_MODE_PROT16,
    X86_MODE_PROT32,
    X86_MODE_COMPAT16,
    X86_MODE_COMPAT32,
    X86_MODE_LONG64,
    X86_MODES
};

struct x86_insn {
    ZydisDecodedInstruction info;
    ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
};

enum x86_decode_result {
    X86_DECODE_OK,
    X86_DECODE_MORE,     /* the bytes end inside an instruction that may be valid */
    X86_DECODE_INVALID,  /* #UD */
    X86_DECODE_TOO_LONG, /* more than 15 bytes: #GP(0) */
};

/* Decodes the instruction at the start of bytes; len may exceed 15. */
enum x86_decode_result x86_decode(struct x86_insn *insn, enum x86_mode mode, const uint8_t *bytes,
                                  size_t len);

/*
 * Writes the instruction at the start of bytes as Intel syntax text for an instruction pointer of
 * ip (relative targets resolved). Returns its length, or 0 when the bytes are no instruction (the
 * text is then "(bad)").
 */
size_t x86_disassemble(char *text, size_t size, enum x86_mode mode, const uint8_t *bytes,
                       size_t len, uint64_t ip);

/*
 * The 66h, F2h or F3h that tells the instruction from others with its opcode, or 0. Of several that
 * stand there one counts; all others are redundant, and so is 66h that only chooses a size.
 */
uint8_t x86_mandatory_prefix(const ZydisDecodedInstruction *info);

/* The number of a general-purpose register of any width (AH..BH give 4..7 with *high set). */
unsigned x86_register_number(ZydisRegister reg, bool *high);

/* Whether it is one of the sixteen Jcc, near or short; the condition is the opcode's low 4 bits. */
bool x86_is_jcc(const ZydisDecodedInstruction *info);

/* The enum x86_seg of a segment register; DS for what is none. */
uint8_t x86_segment_number(ZydisRegister reg);

#endif

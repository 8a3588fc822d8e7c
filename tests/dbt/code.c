/* Guest code, one instruction a call. */
#include "code.h"

#include "x86/insn.h"

void code_8(struct code *code, unsigned byte)
{
    if (code->used < code->room)
        code->bytes[code->used] = (uint8_t)byte;
    code->used++;
}

void code_value(struct code *code, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        code_8(code, (uint8_t)(value >> 8 * i));
}

void code_text(struct code *code, const char *bytes, unsigned len)
{
    for (unsigned i = 0; i < len; i++)
        code_8(code, (uint8_t)bytes[i]);
}

/* Prefixes that do nothing: a CS override, or the instruction's own prefix again. */
static void put_padding(struct code *code, uint8_t own, unsigned len)
{
    for (unsigned i = 0; i < code->pad && len + i < X86_INSN_MAX_BYTES; i++)
        code_8(code, own ? own : 0x2e);
}

/* Behind it, so many bytes come. */
static void put_head(struct code *code, unsigned size, uint32_t opcode, unsigned rex,
                     unsigned behind)
{
    bool lock = opcode >> 16 == 0xf0, prefix = opcode >> 16 && !lock;
    unsigned len = 1 + lock + prefix + (size == 2) + (rex || size == 1 || size == 8) +
                   (opcode >> 8 & 0xff ? 1 : 0) + behind;

    put_padding(code, prefix ? opcode >> 16 : 0, len);
    if (lock)
        code_8(code, 0xf0);
    if (size == 2)
        code_8(code, 0x66);
    if (prefix)
        code_8(code, opcode >> 16);
    if (size == 8)
        rex |= 8;
    if (rex || size == 1) /* SPL, BPL, SIL, DIL */
        code_8(code, 0x40 | rex);
    if (opcode & 0xff00)
        code_8(code, opcode >> 8);
    code_8(code, opcode);
}

void code_rr(struct code *code, unsigned size, uint32_t opcode, unsigned reg, unsigned rm)
{
    put_head(code, size, opcode, (reg >> 3 & 1) << 2 | rm >> 3, 2); /* an immediate of a byte */
    code_8(code, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

void code_rm(struct code *code, unsigned size, uint32_t opcode, unsigned reg, struct place place,
             unsigned imm_bytes)
{
    bool indexed = !place.relative && place.index != NO_REG;
    unsigned rex = (reg >> 3 & 1) << 2;

    if (!place.relative)
        rex |= place.base >> 3;
    if (indexed)
        rex |= (place.index >> 3) << 1;
    put_head(code, size, opcode, rex, 6 + imm_bytes);
    if (place.relative) {
        code_8(code, (reg & 7) << 3 | 5);
        code_value(code, (uint32_t)place.disp - (code->offset + code->used + 4 + imm_bytes), 4);
        return;
    }
    if (indexed || (place.base & 7) == X86_RSP) {
        code_8(code, 0x80 | (reg & 7) << 3 | 4);
        code_8(code, (unsigned)place.scale << 6 | ((indexed ? place.index : 4u) & 7) << 3 |
                         (place.base & 7));
    } else {
        code_8(code, 0x80 | (reg & 7) << 3 | (place.base & 7));
    }
    code_value(code, (uint32_t)place.disp, 4);
}

void code_constant(struct code *code, unsigned reg, uint64_t value)
{
    code_8(code, 0x48 | reg >> 3);
    code_8(code, 0xb8 | (reg & 7));
    code_value(code, value, 8);
}

void code_constant_32(struct code *code, unsigned reg, uint32_t value)
{
    if (reg & 8)
        code_8(code, 0x41);
    code_8(code, 0xb8 | (reg & 7));
    code_value(code, value, 4);
}

void code_lea(struct code *code, unsigned reg, struct place place)
{
    code_rm(code, 8, 0x8d, reg, place, 0);
}

void code_push(struct code *code, unsigned reg)
{
    if (reg & 8)
        code_8(code, 0x41);
    code_8(code, 0x50 | (reg & 7));
}

void code_pop(struct code *code, unsigned reg)
{
    if (reg & 8)
        code_8(code, 0x41);
    code_8(code, 0x58 | (reg & 7));
}

void code_branch(struct code *code, unsigned opcode, uint32_t target)
{
    if (opcode >> 8)
        code_8(code, opcode >> 8);
    code_8(code, opcode);
    code_value(code, target - (code->offset + code->used + 4), 4);
}

void code_fill(struct code *code, unsigned bytes)
{
    while (bytes >= 7) {
        CODE_TEXT(code, "\x0f\x1f\x80\x00\x00\x00\x00");
        bytes -= 7;
    }
    while (bytes-- > 0)
        code_8(code, 0x90);
}

/* Encodes host instructions. */
#include "engine/dbt/emit.h"

#include <string.h>

#define REX   0x40
#define REX_W 0x08
#define REX_R 0x04
#define REX_X 0x02
#define REX_B 0x01

#define PREFIX_GS   0x65
#define PREFIX_SIZE 0x66
#define PREFIX_LOCK 0xf0

#define MODRM_SIB    4 /* rm: a SIB byte follows */
#define SIB_NO_INDEX 4
#define SIB_NO_BASE  5 /* with mod 0: 32 bits of displacement alone */

void emit8(struct emitter *e, unsigned byte)
{
    if (e->at < e->end)
        *e->at++ = (uint8_t)byte;
    else
        e->full = true;
}

static void emit_bytes(struct emitter *e, uint64_t value, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        emit8(e, value >> (8 * i) & 0xff);
}

void emit32(struct emitter *e, uint32_t value)
{
    emit_bytes(e, value, 4);
}

void emit64(struct emitter *e, uint64_t value)
{
    emit_bytes(e, value, 8);
}

static void emit_rex(struct emitter *e, const struct encoding *encoding, unsigned reg,
                     const struct rm *rm)
{
    unsigned rex = 0;

    if (encoding->size == 8)
        rex |= REX_W;
    if (reg & 8)
        rex |= REX_R;
    if (rm->base != HOST_NONE && (rm->base & 8))
        rex |= REX_B;
    if (rm->kind != RM_REG && rm->index != HOST_NONE && (rm->index & 8))
        rex |= REX_X;
    if ((encoding->byte_reg && reg >= HOST_RSP) ||
        (encoding->byte_rm && rm->kind == RM_REG && rm->base >= HOST_RSP))
        rex |= REX;
    if (rex)
        emit8(e, REX | rex);
}

/* The prefix of three bytes, with registers and map bits inverted as it has them. */
static void emit_vex(struct emitter *e, const struct encoding *encoding, unsigned reg,
                     const struct rm *rm)
{
    unsigned no_r = reg & 8 ? 0 : 0x80;
    unsigned no_x = rm->kind != RM_REG && rm->index != HOST_NONE && (rm->index & 8) ? 0 : 0x40;
    unsigned no_b = rm->base != HOST_NONE && (rm->base & 8) ? 0 : 0x20;
    unsigned pp = encoding->prefix == 0x66   ? 1
                  : encoding->prefix == 0xf3 ? 2
                  : encoding->prefix == 0xf2 ? 3
                                             : 0;

    emit8(e, 0xc4);
    emit8(e, no_r | no_x | no_b | encoding->map);
    emit8(e, (encoding->size == 8 ? 0x80u : 0) | (~(unsigned)encoding->vvvv & 0xf) << 3 |
                 (encoding->vex_256 ? 4u : 0) | pp);
}

/* ModRM, SIB and displacement of a memory operand. */
static void emit_address(struct emitter *e, unsigned reg, const struct rm *rm)
{
    unsigned field = (reg & 7) << 3;
    bool sib = rm->index != HOST_NONE || rm->base == HOST_NONE || (rm->base & 7) == MODRM_SIB;
    unsigned index = rm->index == HOST_NONE ? SIB_NO_INDEX : rm->index & 7;
    unsigned mod, disp_bytes;

    if (rm->base == HOST_NONE) {
        emit8(e, field | MODRM_SIB);
        emit8(e, (unsigned)rm->scale << 6 | index << 3 | SIB_NO_BASE);
        emit32(e, (uint32_t)rm->disp);
        return;
    }
    if (rm->disp == 0 && (rm->base & 7) != SIB_NO_BASE) {
        mod = 0;
        disp_bytes = 0;
    } else if (rm->disp == (int8_t)rm->disp) {
        mod = 1;
        disp_bytes = 1;
    } else {
        mod = 2;
        disp_bytes = 4;
    }
    emit8(e, mod << 6 | field | (sib ? MODRM_SIB : rm->base & 7u));
    if (sib)
        emit8(e, (unsigned)rm->scale << 6 | index << 3 | (rm->base & 7));
    emit_bytes(e, (uint32_t)rm->disp, disp_bytes);
}

/* What stands between GS and the last byte of the opcode. */
static void emit_prefixes(struct emitter *e, const struct encoding *encoding, unsigned reg,
                          const struct rm *rm)
{
    static const uint8_t escape[4] = {0, 0, 0x38, 0x3a};

    if (encoding->vex) {
        emit_vex(e, encoding, reg, rm);
        return;
    }
    if (encoding->size == 2)
        emit8(e, PREFIX_SIZE);
    if (encoding->prefix)
        emit8(e, encoding->prefix);
    emit_rex(e, encoding, reg, rm);
    if (encoding->map > 0)
        emit8(e, 0x0f);
    if (encoding->map > 1)
        emit8(e, escape[encoding->map]);
}

void emit_modrm(struct emitter *e, const struct encoding *encoding, unsigned reg, struct rm rm)
{
    const uint8_t *start = e->at;

    if (encoding->lock)
        emit8(e, PREFIX_LOCK);
    if (rm.kind == RM_STATE)
        emit8(e, PREFIX_GS);
    emit_prefixes(e, encoding, reg, &rm);
    emit8(e, encoding->opcode);
    if (rm.kind == RM_REG)
        emit8(e, 0xc0u | (reg & 7) << 3 | (rm.base & 7u));
    else
        emit_address(e, reg, &rm);
    emit_bytes(e, encoding->imm, encoding->imm_bytes);
    if (e->at - start > HOST_INSN_MAX_BYTES)
        e->too_long = true;
}

void emit_op(struct emitter *e, unsigned opcode, unsigned size, unsigned reg, struct rm rm)
{
    emit_op_imm(e, opcode, size, reg, rm, 0, 0);
}

void emit_op_imm(struct emitter *e, unsigned opcode, unsigned size, unsigned digit, struct rm rm,
                 uint64_t imm, unsigned imm_bytes)
{
    emit_modrm(e,
               &(struct encoding){.opcode = (uint8_t)opcode,
                                  .size = (uint8_t)size,
                                  .imm = imm,
                                  .imm_bytes = (uint8_t)imm_bytes},
               digit, rm);
}

void emit_load(struct emitter *e, unsigned reg, struct rm rm)
{
    emit_op(e, OPCODE_LOAD, 8, reg, rm);
}

void emit_store(struct emitter *e, struct rm rm, unsigned reg)
{
    emit_op(e, OPCODE_STORE, 8, reg, rm);
}

void emit_move(struct emitter *e, unsigned to, unsigned from)
{
    if (to != from)
        emit_op(e, OPCODE_LOAD, 8, to, rm_reg(from));
}

void emit_lea(struct emitter *e, unsigned reg, struct rm rm)
{
    emit_op(e, OPCODE_LEA, 8, reg, rm);
}

void emit_constant(struct emitter *e, unsigned reg, uint64_t value)
{
    if (value == (uint32_t)value || !fits_int32(value)) {
        bool wide = value != (uint32_t)value;
        unsigned rex = (wide ? REX_W : 0) | (reg & 8 ? REX_B : 0);

        if (rex)
            emit8(e, REX | rex);
        emit8(e, 0xb8 | (reg & 7)); /* MOV reg, imm32 or imm64 */
        emit_bytes(e, value, wide ? 8 : 4);
        return;
    }
    emit_op_imm(e, 0xc7, 8, 0, rm_reg(reg), value, 4);
}

static uint8_t *emit_displacement(struct emitter *e)
{
    emit32(e, 0);
    return e->at - 4;
}

uint8_t *emit_jmp(struct emitter *e)
{
    emit8(e, 0xe9);
    return emit_displacement(e);
}

uint8_t *emit_jcc(struct emitter *e, unsigned cc)
{
    emit8(e, 0x0f);
    emit8(e, 0x80 | cc);
    return emit_displacement(e);
}

uint8_t *emit_call(struct emitter *e)
{
    emit8(e, 0xe8);
    return emit_displacement(e);
}

void patch_jump(uint8_t *displacement, const uint8_t *to)
{
    uint32_t value = (uint32_t)(to - (displacement + 4));

    memcpy(displacement, &value, sizeof(value));
}

void emit_patch(struct emitter *e, uint8_t *displacement, const uint8_t *to)
{
    if (!e->full)
        patch_jump(displacement, to);
}

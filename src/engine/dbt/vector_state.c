/*
 * The guest's vector registers and MXCSR in the host's. They come there with the first vector
 * instruction and stay until C code is called or the run loop is gone back to, over any number of
 * linked blocks. cpu->dbt_closed tells which: the gates that are closed (none that an instruction
 * here has passed), or DBT_NO_VECTORS.
 *
 * So an instruction needs one look at dbt_closed; in a block only the first needs it, until a
 * helper is called. Exceptions that MXCSR does not mask can't be met here: with such an MXCSR the
 * vectors do not come, and each vector instruction goes back to the run loop (dbt_enter_vectors).
 *
 * Legacy SSE leaves upper halves alone, which makes it wait for them when they are in use. So upper
 * halves that are all 0 are not loaded, and are not in use then.
 */
#include "engine/dbt/internal.h"
#include "engine/soft/native.h"

#define VECTORS 16

static bool host_has_avx(void)
{
    return __builtin_cpu_supports("avx");
}

void vectors_need(struct translator *t, uint8_t gates)
{
    struct slow_path *slow = &t->slow[t->slows];

    if ((t->vectors & gates) == gates)
        return;
    flags_spoil(t);
    emit_op_imm(&t->e, 0xf6, 4, 0, rm_state(CPU_FIELD(dbt_closed)), gates, 1); /* TEST */
    slow_path(t, emit_jcc(&t->e, CC_NE));
    slow->kind = SLOW_ENTER_VECTORS;
    slow->resume = t->e.at;
    t->vectors |= gates;
}

static struct rm vector_place(unsigned number, unsigned offset)
{
    return rm_state(CPU_FIELD(x.fpu.ymm) + 32 * (size_t)number + offset);
}

/* MOVUPS, or VMOVUPS of 16 bytes with 0 above them, or of 32. */
static void emit_vector_move(struct emitter *e, unsigned number, bool store, bool vex, bool whole)
{
    emit_modrm(
        e,
        &(struct encoding){.map = 1, .opcode = store ? 0x11 : 0x10, .vex = vex, .vex_256 = whole},
        number, vector_place(number, 0));
}

static void emit_all(struct emitter *e, bool store, bool vex, bool whole)
{
    for (unsigned i = 0; i < VECTORS; i++)
        emit_vector_move(e, i, store, vex, whole);
}

static void emit_vzeroupper(struct emitter *e)
{
    emit8(e, 0xc5);
    emit8(e, 0xf8);
    emit8(e, 0x77);
}

/* LDMXCSR and STMXCSR. */
static void emit_mxcsr(struct emitter *e, bool store, struct rm rm)
{
    emit_modrm(e, &(struct encoding){.map = 1, .opcode = 0xae}, store ? 3 : 2, rm);
}

static void emit_set_byte(struct emitter *e, size_t field, uint8_t value)
{
    emit_op_imm(e, 0xc6, 4, 0, rm_state(field), value, 1);
}

/* MXCSR may stay where C code finds it unless it would notice. */
static void emit_mxcsr_save(struct emitter *e)
{
    struct rm mxcsr = rm_state(CPU_FIELD(x.fpu.mxcsr)), red_zone = rm_at(HOST_RSP, -8);
    uint8_t *same;

    emit_op(e, OPCODE_LOAD, 4, HOST_RAX, mxcsr);
    emit_op_imm(e, 0x81, 4, 4, rm_reg(HOST_RAX), NATIVE_MXCSR_CONTROL, 4); /* AND */
    emit_op_imm(e, 0x81, 4, 7, rm_reg(HOST_RAX), NATIVE_MXCSR_DEFAULT, 4); /* CMP */
    same = emit_jcc(e, CC_E);
    emit_mxcsr(e, true, mxcsr);
    emit_op_imm(e, 0xc7, 4, 0, red_zone, NATIVE_MXCSR_DEFAULT, 4);
    emit_mxcsr(e, false, red_zone);
    emit_set_byte(e, CPU_FIELD(mxcsr_live), 0);
    emit_patch(e, same, e->at);
}

void emit_vectors_save(struct emitter *e)
{
    bool avx = host_has_avx();
    uint8_t *none;

    emit_op_imm(e, 0x80, 4, 7, rm_state(CPU_FIELD(dbt_closed)), DBT_NO_VECTORS, 1); /* CMP */
    none = emit_jcc(e, CC_E);
    emit_set_byte(e, CPU_FIELD(dbt_closed), DBT_NO_VECTORS);
    emit_all(e, true, avx, avx);
    if (avx)
        emit_vzeroupper(e);
    emit_mxcsr_save(e);
    emit_patch(e, none, e->at);
}

/* Loads with as much as is in use; the host's upper halves are not in use before. */
static void emit_load_avx(struct emitter *e)
{
    uint8_t *whole, *done;

    emit_modrm(e, &(struct encoding){.map = 1, .opcode = 0x10, .vex = true}, 0,
               vector_place(0, 16));
    for (unsigned i = 1; i < VECTORS; i++) /* VORPS XMM0, XMM0, upper half */
        emit_modrm(e, &(struct encoding){.map = 1, .opcode = 0x56, .vex = true}, 0,
                   vector_place(i, 16));
    emit_modrm(e, &(struct encoding){.map = 2, .opcode = 0x17, .prefix = 0x66, .vex = true}, 0,
               rm_reg(0)); /* VPTEST XMM0, XMM0 */
    whole = emit_jcc(e, CC_NE);
    emit_all(e, false, true, false);
    done = emit_jmp(e);
    emit_patch(e, whole, e->at);
    emit_all(e, false, true, true);
    emit_patch(e, done, e->at);
}

void emit_vectors_load(struct emitter *e)
{
    uint8_t *live;

    if (host_has_avx())
        emit_load_avx(e);
    else
        emit_all(e, false, false, false);
    emit_op_imm(e, 0x80, 4, 7, rm_state(CPU_FIELD(mxcsr_live)), 0, 1); /* CMP */
    live = emit_jcc(e, CC_NE);
    emit_mxcsr(e, false, rm_state(CPU_FIELD(x.fpu.mxcsr)));
    emit_set_byte(e, CPU_FIELD(mxcsr_live), 1);
    emit_patch(e, live, e->at);
    emit_modrm(e, &(struct encoding){.map = 1, .opcode = 0xb6}, HOST_RAX,
               rm_state(CPU_FIELD(native_gates))); /* MOVZX */
    emit_modrm(e, &(struct encoding){.opcode = 0x88}, HOST_RAX, rm_state(CPU_FIELD(dbt_closed)));
}

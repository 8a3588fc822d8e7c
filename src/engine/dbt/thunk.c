/*
 * The code that all translations share: into translated code and out of it, and the call of an
 * interpreter's function from its middle.
 *
 *   enter(code)   saves what the C ABI wants saved, loads the guest's registers and flags, jumps
 *   helper        PLACE: op; registers to memory, dbt_step(cpu, op), registers back, return
 *                 or, when that says so, straight out of enter with what it said
 *   vectors_enter PLACE: op; as helper with dbt_enter_vectors, and the vectors to the host
 *   vectors_load  only the latter
 *   fault         PLACE: op; as helper with fault_leave, which always says so
 *   leave         PLACE: site; registers to memory, cpu->dbt_site, out of enter with STEP_JUMP
 */
#include <errno.h>

#include "engine/dbt/fault.h"

static const uint8_t callee_saved[] = {HOST_RBX, HOST_RBP, HOST_R12, HOST_R13, HOST_R14, HOST_R15};

const uint8_t dbt_host_reg[16] = {
    [X86_RAX] = HOST_R10, [X86_RCX] = HOST_RCX, [X86_RDX] = HOST_RDX,  [X86_RBX] = HOST_RBX,
    [X86_RSP] = HOST_R11, [X86_RBP] = HOST_RBP, [X86_RSI] = HOST_RSI,  [X86_RDI] = HOST_RDI,
    [X86_R8] = HOST_R8,   [X86_R9] = HOST_R9,   [X86_R10] = HOST_NONE, [X86_R11] = HOST_NONE,
    [X86_R12] = HOST_R12, [X86_R13] = HOST_R13, [X86_R14] = HOST_R14,  [X86_R15] = HOST_NONE,
};

static void emit_registers(struct emitter *e, bool load)
{
    for (unsigned guest = 0; guest < 16; guest++) {
        if (dbt_host_reg[guest] == HOST_NONE)
            continue;
        if (load)
            emit_load(e, dbt_host_reg[guest], rm_guest(guest));
        else
            emit_store(e, rm_guest(guest), dbt_host_reg[guest]);
    }
}

static void emit_push(struct emitter *e, unsigned reg)
{
    if (reg & 8)
        emit8(e, 0x41);
    emit8(e, 0x50 | (reg & 7));
}

static void emit_pop(struct emitter *e, unsigned reg)
{
    if (reg & 8)
        emit8(e, 0x41);
    emit8(e, 0x58 | (reg & 7));
}

/* Out of enter: RAX is its result, the stack as enter's jump left it. */
static void emit_out(struct emitter *e)
{
    emit_op_imm(e, 0x81, 8, 0, rm_reg(HOST_RSP), 8, 4); /* ADD RSP, 8 */
    for (unsigned i = ARRAY_SIZE(callee_saved); i-- > 0;)
        emit_pop(e, callee_saved[i]);
    emit8(e, 0xc3);
}

static void emit_enter(struct emitter *e)
{
    for (unsigned i = 0; i < ARRAY_SIZE(callee_saved); i++)
        emit_push(e, callee_saved[i]);
    /* Six pushes and the return address: 8 more make the stack aligned. */
    emit_op_imm(e, 0x81, 8, 5, rm_reg(HOST_RSP), 8, 4);
    emit_move(e, PLACE, HOST_RDI);
    emit_registers(e, true);
    emit_op(e, 0xff, 4, 4, rm_reg(PLACE)); /* JMP PLACE */
}

typedef uint64_t (*helper_fn)(struct cpu *cpu, const struct op *op);

/* Calls a function; goes on with the guest's registers in their places if it says 0. */
static void emit_call_c(struct emitter *e, struct cpu *cpu, helper_fn fn)
{
    uint8_t *on;

    emit_registers(e, false);
    emit_vectors_save(e);
    emit_op_imm(e, 0x81, 8, 5, rm_reg(HOST_RSP), 8, 4);
    emit_constant(e, HOST_RDI, (uintptr_t)cpu);
    emit_move(e, HOST_RSI, PLACE);
    emit_constant(e, HOST_RAX, (uintptr_t)fn);
    emit_op(e, 0xff, 4, 2, rm_reg(HOST_RAX)); /* CALL RAX */
    emit_op_imm(e, 0x81, 8, 0, rm_reg(HOST_RSP), 8, 4);
    emit_op(e, 0x85, 4, HOST_RAX, rm_reg(HOST_RAX)); /* TEST EAX, EAX */
    on = emit_jcc(e, CC_E);
    emit_op_imm(e, 0x81, 8, 0, rm_reg(HOST_RSP), 8, 4); /* the return address */
    emit_out(e);
    emit_patch(e, on, e->at);
    emit_registers(e, true);
}

static void emit_back(struct emitter *e)
{
    emit_flags_load(e);
    emit8(e, 0xc3);
}

static void emit_leave(struct emitter *e)
{
    emit_registers(e, false);
    emit_vectors_save(e);
    emit_store(e, rm_state(CPU_FIELD(dbt_site)), PLACE);
    emit_constant(e, HOST_RAX, STEP_JUMP);
    emit_out(e);
}

int dbt_emit_thunks(struct cpu *cpu, struct dbt *dbt)
{
    struct emitter e = {.at = dbt->code.write, .end = dbt->code.write + dbt->code.size_bytes};

    dbt->to_exec = dbt->code.exec - dbt->code.write;
    dbt->enter = (enter_fn)(uintptr_t)(e.at + dbt->to_exec);
    emit_enter(&e);
    dbt->helper = e.at;
    emit_call_c(&e, cpu, dbt_step);
    emit_back(&e);
    dbt->vectors_enter = e.at;
    emit_call_c(&e, cpu, dbt_enter_vectors);
    dbt->vectors_load = e.at;
    emit_vectors_load(&e);
    emit_back(&e);
    dbt->fault = e.at;
    emit_call_c(&e, cpu, fault_leave);
    emit_back(&e);
    dbt->leave = e.at;
    emit_leave(&e);
    dbt->first_used = dbt->code.used_bytes = ALIGN_UP((size_t)(e.at - dbt->code.write), 64);
    return e.full ? -ENOMEM : 0;
}

/*
 * Native instructions at run time: the gates (#UD, #NM), the memory operand, the guest's MXCSR and
 * x87 registers in the host's, and what a stub reports. Which instructions run so is decided in
 * native_bind.c, how their stubs look in native_emit.c.
 * Source: SDM 2 "Instruction Exception Specification"; SDM 3 "System Programming for Instruction
 * Set Extensions".
 */
#include "engine/soft/native_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/trace.h"

#define CODE_BYTES (4 * MIB)
#define ROOM_BYTES (NATIVE_MAX_OPS_A_BLOCK * (uint64_t)NATIVE_MAX_STUB_BYTES)

_Thread_local struct cpu *native_running;

/* FNV-1a. */
static uint32_t hash_code(const uint8_t *code, unsigned len)
{
    uint32_t hash = 2166136261u;

    for (unsigned i = 0; i < len; i++)
        hash = (hash ^ code[i]) * 16777619u;
    return hash;
}

native_stub_fn native_stub_add(struct native *native, const uint8_t *code, unsigned len)
{
    uint32_t hash = hash_code(code, len);
    uint32_t slot = hash & (NATIVE_TABLE_SLOTS - 1);
    struct native_stub *stub;

    for (;; slot = (slot + 1) & (NATIVE_TABLE_SLOTS - 1)) {
        stub = &native->table[slot];
        if (!stub->fn)
            break;
        if (stub->hash == hash && stub->len_bytes == len &&
            memcmp((const void *)stub->fn, code, len) == 0)
            return stub->fn;
    }
    stub->fn = (native_stub_fn)execmem_add(&native->code, code, len);
    stub->hash = hash;
    stub->len_bytes = len;
    native->stubs++;
    ASSERT(stub->fn, "a block binds no more instructions than native_full left room for");
    return stub->fn;
}

/* The code to which a signal handler sends a stub: returns what the handler put into RAX. */
static const void *add_fault_exit(struct native *native)
{
    static const uint8_t with_avx[] = {0xc5, 0xf8, 0x77, 0xc3}; /* VZEROUPPER; RET */
    static const uint8_t plain[] = {0xc3};
    bool avx = __builtin_cpu_supports("avx");

    return execmem_add(&native->code, avx ? with_avx : plain, avx ? sizeof(with_avx) : 1);
}

static int start_code(struct native *native)
{
    native->fault_exit = add_fault_exit(native);
    return native->fault_exit ? 0 : -ENOMEM;
}

int native_create(struct cpu *cpu)
{
    struct native *native = calloc(1, sizeof(*native));
    int err;

    cpu->native = NULL;
    cpu->fpu_live = cpu->mxcsr_live = false;
    if (!native)
        return -ENOMEM;
    err = execmem_init(&native->code, CODE_BYTES);
    if (!err)
        err = start_code(native);
    if (err) {
        execmem_fini(&native->code);
        free(native);
        return err;
    }
    cpu->native = native;
    return 0;
}

size_t native_fixed_bytes(void)
{
    return sizeof(struct native) + CODE_BYTES;
}

void native_destroy(struct cpu *cpu)
{
    if (native_running == cpu)
        native_running = NULL;
    if (!cpu->native)
        return;
    execmem_fini(&cpu->native->code);
    free(cpu->native);
    cpu->native = NULL;
}

bool native_full(const struct cpu *cpu)
{
    const struct native *native = cpu->native;

    return native->code.size_bytes - native->code.used_bytes < ROOM_BYTES ||
           native->stubs > NATIVE_TABLE_SLOTS - NATIVE_MAX_OPS_A_BLOCK - NATIVE_TABLE_SLOTS / 4;
}

void native_reset(struct cpu *cpu)
{
    struct native *native = cpu->native;
    int err;

    execmem_reset(&native->code);
    memset(native->table, 0, sizeof(native->table));
    native->stubs = 0;
    err = start_code(native);
    ASSERT(!err, "an empty code memory has room for one stub");
}

void native_update(struct cpu *cpu)
{
    uint64_t cr0 = cpu->x.cr0, cr4 = cpu->x.cr4;
    uint64_t avx = X86_XCR0_SSE | X86_XCR0_AVX;
    unsigned gates = 0;

    if ((cr0 & X86_CR0_EM) || !(cr4 & X86_CR4_OSFXSR))
        gates |= GATE_UD_SSE;
    if (cr0 & X86_CR0_EM)
        gates |= GATE_UD_MMX | GATE_NM_X87;
    if (cpu->legacy_real)
        gates |= GATE_UD_AVX | GATE_UD_VEX_GPR;
    if (!(cr4 & X86_CR4_OSXSAVE))
        gates |= GATE_UD_AVX | GATE_UD_XSAVE;
    if ((cpu->x.xcr0 & avx) != avx)
        gates |= GATE_UD_AVX;
    if (cr0 & X86_CR0_TS)
        gates |= GATE_NM_TS | GATE_NM_X87;
    if ((cr0 & X86_CR0_TS) && (cr0 & X86_CR0_MP))
        gates |= GATE_NM_WAIT;
    cpu->native_gates = (uint8_t)gates;
}

enum step native_raise_gate(struct cpu *cpu, const struct op *op)
{
    return cpu_raise(cpu, cpu->native_gates & op->cc & GATES_UD ? X86_UD : X86_NM);
}

enum step native_raise(struct cpu *cpu, uint64_t vector)
{
    if (vector & NATIVE_UNEXPECTED) {
        vector &= ~NATIVE_UNEXPECTED;
        cpu->counters.host_faults++;
        trace(native_host_fault, cpu->x.gpr[X86_RIP], vector);
    }
    switch (vector) {
    case X86_XM: return cpu_raise(cpu, cpu->x.cr4 & X86_CR4_OSXMMEXCPT ? X86_XM : X86_UD);
    /* DEVIATION: with CR0.NE clear a PC raises IRQ 13 through the FERR# pin; here it is #MF too. */
    case X86_MF: return cpu_raise(cpu, X86_MF);
    case X86_GP: return cpu_raise_error(cpu, X86_GP, 0);
    default: return cpu_raise(cpu, X86_UD);
    }
}

enum step native_probe(struct cpu *cpu, gva_t linear, unsigned len, bool write)
{
    enum step step = STEP_NEXT;

    for (unsigned at = 0; at < len && !step; at += 64) {
        gva_t piece = (linear + at) & cpu->linear_mask;
        unsigned size = MIN(64u, len - at);

        if (!(write ? tlb_write_host(cpu, piece, size) : tlb_read_host(cpu, piece, size)))
            step = lin_probe(cpu, piece, size, write);
    }
    return step;
}

void native_set_mxcsr(struct cpu *cpu, uint32_t value)
{
    if (cpu->mxcsr_live)
        host_set_mxcsr(MXCSR_DEFAULT);
    cpu->mxcsr_live = false;
    cpu->x.fpu.mxcsr = value;
}

static void mxcsr_enter(struct cpu *cpu)
{
    host_set_mxcsr(cpu->x.fpu.mxcsr);
    cpu->mxcsr_live = true;
}

static void mxcsr_sync(struct cpu *cpu)
{
    cpu->x.fpu.mxcsr = host_mxcsr() & MXCSR_WRITABLE;
    host_set_mxcsr(MXCSR_DEFAULT);
    cpu->mxcsr_live = false;
}

void native_sync(struct cpu *cpu)
{
    if (cpu->mxcsr_live)
        mxcsr_sync(cpu);
    if (cpu->fpu_live)
        native_x87_save(cpu);
}

/* How a stub's memory operand is used, and which host registers it needs. */
enum {
    MEM_NONE = 0,
    MEM_LOAD = 1,
    MEM_STORE = 2,
    MEM_MASK = 3,
    WITH_MXCSR = 4,
    WITH_X87 = 8, /* x87 or MMX registers */
    NOTE_X87 = 16 /* FIP, FDP and FOP change */
};

/*
 * Whether an x87 exception of an earlier instruction comes first: before a fault of this one's
 * memory operand. On the fast way the stub meets it by itself.
 */
static bool x87_first(struct cpu *cpu, const struct op *op, unsigned what)
{
    return (what & WITH_X87) && !op->dst && native_x87_pending(cpu);
}

/*
 * The slow way to the memory operand: through a bounce buffer. A store reads its target first, so
 * that what an unmasked exception keeps from being stored is written back as it was.
 */
static enum step run_bounced(struct cpu *cpu, const struct op *op, gva_t linear, unsigned what,
                             uint64_t *vector)
{
    native_stub_fn stub = (native_stub_fn)op->native;
    _Alignas(NATIVE_BOUNCE_BYTES) uint8_t bounce[NATIVE_BOUNCE_BYTES];
    enum step step = STEP_NEXT;

    if (x87_first(cpu, op, what))
        return native_raise(cpu, X86_MF);
    if ((what & MEM_MASK) == MEM_STORE)
        step = lin_probe(cpu, linear, op->size, true);
    if (!step && ((what & MEM_MASK) == MEM_LOAD || (what & WITH_X87)))
        step = access_slow_read(cpu, linear, bounce, op->size);
    if (step)
        return access_fault_of_segment(cpu, op->seg, step);
    *vector = stub(cpu, bounce);
    if (!*vector && (what & MEM_MASK) == MEM_STORE)
        step = access_slow_write(cpu, linear, bounce, op->size);
    return step;
}

static inline __attribute__((always_inline)) enum step run(struct cpu *cpu, const struct op *op,
                                                           unsigned what)
{
    native_stub_fn stub = (native_stub_fn)op->native;
    void *host = NULL;
    gva_t linear = 0;
    uint64_t vector = 0;
    enum step step = STEP_NEXT;

    if (native_gate_closed(cpu, op))
        return native_raise_gate(cpu, op);
    if (what & MEM_MASK) {
        bool write = (what & MEM_MASK) == MEM_STORE;

        step = seg_linear(cpu, op->seg, op_offset(cpu, op), op->size, write, &linear);
        if (unlikely(!step && (linear & op->src2)))
            step = cpu_raise_error(cpu, X86_GP, 0);
        if (unlikely(step))
            return x87_first(cpu, op, what) ? native_raise(cpu, X86_MF) : step;
        host = write ? tlb_write_host(cpu, linear, op->size) : tlb_read_host(cpu, linear, op->size);
    }
    if ((what & WITH_MXCSR) && unlikely(!cpu->mxcsr_live))
        mxcsr_enter(cpu);
    if ((what & WITH_X87) && unlikely(!cpu->fpu_live))
        native_load(cpu);
    native_running = cpu;
    if (!(what & MEM_MASK) || likely(host))
        vector = stub(cpu, host);
    else
        step = run_bounced(cpu, op, linear, what, &vector);
    if ((what & WITH_MXCSR) && unlikely((cpu->x.fpu.mxcsr & MXCSR_CONTROL) != MXCSR_DEFAULT))
        mxcsr_sync(cpu);
    if (unlikely(vector))
        return native_raise(cpu, vector);
    if ((what & NOTE_X87) && likely(!step))
        native_note_x87(cpu, op);
    return step;
}

#define RUNNER(name, what)                                                                         \
    static enum step name##_none(struct cpu *cpu, const struct op *op)                             \
    {                                                                                              \
        return run(cpu, op, (what) | MEM_NONE);                                                    \
    }                                                                                              \
    static enum step name##_load(struct cpu *cpu, const struct op *op)                             \
    {                                                                                              \
        return run(cpu, op, (what) | MEM_LOAD);                                                    \
    }                                                                                              \
    static enum step name##_store(struct cpu *cpu, const struct op *op)                            \
    {                                                                                              \
        return run(cpu, op, (what) | MEM_STORE);                                                   \
    }

RUNNER(run_general, 0)
RUNNER(run_vector, WITH_MXCSR)
RUNNER(run_mmx, WITH_X87)
RUNNER(run_mixed, WITH_X87 | WITH_MXCSR)
RUNNER(run_x87, WITH_X87 | NOTE_X87)

#define RUNNER_ROW(name)                                                                           \
    {                                                                                              \
        name##_none, name##_load, name##_store                                                     \
    }

op_fn native_runner(enum native_class class, enum native_memory memory)
{
    static const op_fn runners[NATIVE_CLASSES][3] = {
        [NATIVE_GENERAL] = RUNNER_ROW(run_general), [NATIVE_VECTOR] = RUNNER_ROW(run_vector),
        [NATIVE_MMX] = RUNNER_ROW(run_mmx),         [NATIVE_MIXED] = RUNNER_ROW(run_mixed),
        [NATIVE_X87] = RUNNER_ROW(run_x87),
    };

    return runners[class][memory];
}

enum native_kind native_kind(const struct op *op)
{
    if (op->mnemonic == ZYDIS_MNEMONIC_VZEROUPPER || op->mnemonic == ZYDIS_MNEMONIC_VZEROALL)
        return NATIVE_KIND_VECTOR;
    for (unsigned memory = NATIVE_MEMORY_NONE; memory <= NATIVE_MEMORY_STORE; memory++) {
        if (op->fn == native_runner(NATIVE_VECTOR, (enum native_memory)memory))
            return NATIVE_KIND_VECTOR;
        if (op->fn == native_runner(NATIVE_GENERAL, (enum native_memory)memory))
            return NATIVE_KIND_GENERAL;
    }
    return NATIVE_KIND_OTHER;
}

bool native_vector_ready(const struct cpu *cpu, const struct op *op)
{
    return !native_gate_closed(cpu, op) && (cpu->x.fpu.mxcsr & MXCSR_MASKS) == MXCSR_MASKS;
}

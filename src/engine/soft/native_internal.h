/*
 * What the files of the native part share: the stub memory, the emitter, the gates and the x87
 * helpers. Nobody else includes this.
 */
#ifndef UMBRA_ENGINE_SOFT_NATIVE_INTERNAL_H
#define UMBRA_ENGINE_SOFT_NATIVE_INTERNAL_H

#include "base/assert.h"
#include "base/execmem.h"
#include "engine/soft/access.h"
#include "engine/soft/native.h"

#define NATIVE_MAX_STUB_BYTES 256
#define NATIVE_TABLE_SLOTS    16384 /* a power of two */

/* The largest memory operand that a stub may have (YMM), and where it stands when bounced. */
#define NATIVE_BOUNCE_BYTES 64

#define MXCSR_DEFAULT       NATIVE_MXCSR_DEFAULT
#define MXCSR_CONTROL       NATIVE_MXCSR_CONTROL
#define MXCSR_MASKS         0x1f80u
#define MXCSR_WRITABLE      0xffffu
#define X87_CONTROL_DEFAULT 0x037fu
#define X87_STATUS_ES       BIT(7)
#define X87_STATUS_B        BIT(15)
#define X87_STATUS_TOP(fsw) ((fsw) >> 11 & 7u)

/*
 * Conditions that keep an instruction from running; cpu->native_gates holds those in force, op->cc
 * those that an instruction minds. All that give #UD come before all that give #NM.
 */
#define GATE_UD_SSE     BIT(0) /* CR0.EM or no CR4.OSFXSR */
#define GATE_UD_MMX     BIT(1) /* CR0.EM */
#define GATE_UD_AVX     BIT(2) /* real or virtual-8086 mode, no CR4.OSXSAVE, XCR0 without AVX */
#define GATE_UD_VEX_GPR BIT(3) /* real or virtual-8086 mode */
#define GATE_UD_XSAVE   BIT(4) /* no CR4.OSXSAVE */
#define GATE_NM_TS      BIT(5) /* CR0.TS */
#define GATE_NM_X87     BIT(6) /* CR0.EM or CR0.TS */
#define GATE_NM_WAIT    BIT(7) /* CR0.MP and CR0.TS */
#define GATES_UD        (GATE_UD_SSE | GATE_UD_MMX | GATE_UD_AVX | GATE_UD_VEX_GPR | GATE_UD_XSAVE)

/*
 * Added to the vector of an exception that no stub should meet: its operand is looked at before,
 * and what the host does not know is not on the whitelist. The guest gets an exception for it.
 */
#define NATIVE_UNEXPECTED BIT(8)

/* A stub: cpu in RDI, the memory operand in RSI; 0 or the vector of the exception that it met. */
typedef uint64_t (*native_stub_fn)(struct cpu *cpu, void *mem);

struct native_stub {
    native_stub_fn fn;
    uint32_t hash;
    uint32_t len_bytes;
};

struct native {
    struct execmem code;
    const void *fault_exit; /* where a signal handler sends a stub that met an exception */
    unsigned stubs;
    struct native_stub table[NATIVE_TABLE_SLOTS]; /* open addressing by hash of the code */
};

/* The vCPU whose stub this thread ran last; what the signal handler asks. */
extern _Thread_local struct cpu *native_running;

/*
 * The stub of an instruction that the whitelist allows, made anew or found; NULL when its operands
 * have a form that stubs can't carry. strip_rep leaves an F3 prefix out (TZCNT as BSF).
 */
native_stub_fn native_emit(struct native *native, const struct x86_insn *insn, bool strip_rep);

/*
 * The stub with exactly this code, found or added: guest loops are decoded again after each flush.
 */
native_stub_fn native_stub_add(struct native *native, const uint8_t *code, unsigned len);

/* Which of the host's registers a stub works on. */
enum native_class {
    NATIVE_GENERAL, /* general registers and flags */
    NATIVE_VECTOR,  /* XMM and YMM, with MXCSR */
    NATIVE_MMX,     /* MMX or x87 registers, the instruction pointers untouched */
    NATIVE_MIXED,   /* MMX and XMM */
    NATIVE_X87,     /* x87, and FIP, FDP and FOP change */
    NATIVE_CLASSES
};

enum native_memory {
    NATIVE_MEMORY_NONE,
    NATIVE_MEMORY_LOAD,
    NATIVE_MEMORY_STORE,
};

/*
 * The function of an op that runs its stub. It reads op->native (the stub), op->cc (gates),
 * op->size (bytes of the memory operand), op->src2 (address bits that must be clear: #GP(0)) and
 * op->dst (x87: does not wait for pending exceptions).
 */
op_fn native_runner(enum native_class class, enum native_memory memory);

/* Binders of the families that are written in C: each returns false for what is not its own. */
bool native_bind_x87(struct op *op, const struct binder_input *in);
bool native_bind_xsave(struct op *op, const struct binder_input *in);
bool native_bind_control(struct op *op, const struct binder_input *in);
bool native_bind_masked(struct op *op, const struct binder_input *in);

/* The exception of a closed gate. */
enum step native_raise_gate(struct cpu *cpu, const struct op *op);

/* The exception that a stub reported. */
enum step native_raise(struct cpu *cpu, uint64_t vector);

static inline bool native_gate_closed(const struct cpu *cpu, const struct op *op)
{
    return unlikely(cpu->native_gates & op->cc);
}

static inline void host_set_mxcsr(uint32_t value)
{
    __asm__ volatile("ldmxcsr %0" : : "m"(value));
}

static inline uint32_t host_mxcsr(void)
{
    uint32_t value;

    __asm__ volatile("stmxcsr %0" : "=m"(value));
    return value;
}

/* XINUSE: the components that differ from their initial configuration. Calls native_sync. */
uint64_t native_xinuse(struct cpu *cpu);

/* Checks that all of a long operand may be accessed so, without accessing it. */
enum step native_probe(struct cpu *cpu, gva_t linear, unsigned len, bool write);

/* Writes MXCSR from the guest; the caller has checked the reserved bits. */
void native_set_mxcsr(struct cpu *cpu, uint32_t value);

/* Takes the host's x87 registers into x.fpu and leaves the host's as after FNINIT. */
void native_x87_save(struct cpu *cpu);

/* Remembers the x87 instruction that ran last, for FNSTENV and its like. */
void native_note_x87(struct cpu *cpu, const struct op *op);

/* The vector registers that the mode has. */
static inline unsigned native_vector_count(const struct cpu *cpu)
{
    return cpu->long64 ? 16 : 8;
}

/* Whether the guest's x87 state has an unmasked exception pending. */
bool native_x87_pending(struct cpu *cpu);

#endif

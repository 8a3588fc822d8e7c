/*
 * FXSAVE and the XSAVE family, in C: they show state, and pointers in it must be the guest's.
 * Offers components x87, SSE and AVX, standard and compacted form; no supervisor states.
 * Source: SDM 1 "Managing State Using the XSAVE Feature Set", SDM 2 "FXSAVE", "XSAVE", "XRSTOR".
 */
#include "engine/soft/native_internal.h"

#include <string.h>

#include "x86/cpuid.h"

#define FXSAVE_BYTES        512
#define FXSAVE_MXCSR_OFFSET 24
#define FXSAVE_ST_OFFSET    32
#define FXSAVE_XMM_OFFSET   160
#define HEADER_OFFSET       512
#define HEADER_BYTES        64
#define AVX_OFFSET          576 /* in both forms: AVX is the first extended component */
#define AVX_BYTES           256
#define XSAVE_BYTES         (AVX_OFFSET + AVX_BYTES)
#define XCOMP_COMPACTED     BIT(63)
#define COMPONENTS          (X86_XCR0_X87 | X86_XCR0_SSE | X86_XCR0_AVX)

/* An XSAVE area: the legacy part, the header, the upper halves of YMM. */
struct area {
    uint8_t bytes[XSAVE_BYTES];
};

/* Copies between guest memory and the area, in pieces that the access functions take. */
static enum step area_read(struct cpu *cpu, gva_t linear, struct area *area, unsigned from,
                           unsigned len)
{
    enum step step = STEP_NEXT;

    for (unsigned at = 0; at < len && !step; at += 32)
        step = lin_read(cpu, (linear + from + at) & cpu->linear_mask, area->bytes + from + at,
                        MIN(32u, len - at));
    return step;
}

static enum step area_write(struct cpu *cpu, gva_t linear, const struct area *area, unsigned from,
                            unsigned len)
{
    enum step step = STEP_NEXT;

    for (unsigned at = 0; at < len && !step; at += 32)
        step = lin_write(cpu, (linear + from + at) & cpu->linear_mask, area->bytes + from + at,
                         MIN(32u, len - at));
    return step;
}

/* The x87 part of the legacy area but MXCSR. */
static void put_x87(const struct cpu *cpu, bool wide, struct area *area)
{
    const struct x86_fpu *fpu = &cpu->x.fpu;
    uint8_t *to = area->bytes;

    memset(to, 0, FXSAVE_MXCSR_OFFSET);
    memset(to + FXSAVE_ST_OFFSET, 0, 128);
    memcpy(to, &fpu->fcw, 2);
    memcpy(to + 2, &fpu->fsw, 2);
    to[4] = fpu->ftw;
    memcpy(to + 6, &fpu->fop, 2);
    memcpy(to + 8, &fpu->fip, wide ? 8 : 4);
    memcpy(to + 16, &fpu->fdp, wide ? 8 : 4);
    for (unsigned i = 0; i < 8; i++)
        memcpy(to + FXSAVE_ST_OFFSET + 16 * i, fpu->st[i], 10);
}

static void get_x87(struct cpu *cpu, bool wide, const struct area *area)
{
    struct x86_fpu *fpu = &cpu->x.fpu;
    const uint8_t *from = area->bytes;

    memcpy(&fpu->fcw, from, 2);
    fpu->fcw = (fpu->fcw & 0x1f7f) | 0x40;
    memcpy(&fpu->fsw, from + 2, 2);
    fpu->ftw = from[4];
    memcpy(&fpu->fop, from + 6, 2);
    fpu->fop &= 0x7ff;
    fpu->fip = fpu->fdp = 0;
    memcpy(&fpu->fip, from + 8, wide ? 8 : 4);
    memcpy(&fpu->fdp, from + 16, wide ? 8 : 4);
    for (unsigned i = 0; i < 8; i++)
        memcpy(fpu->st[i], from + FXSAVE_ST_OFFSET + 16 * i, 10);
    /* ES and B follow from the flags and the masks. */
    fpu->fsw &= (uint16_t) ~(X87_STATUS_ES | X87_STATUS_B);
    if (fpu->fsw & ~fpu->fcw & 0x3f)
        fpu->fsw |= X87_STATUS_ES | X87_STATUS_B;
}

static void init_x87(struct cpu *cpu)
{
    struct x86_fpu *fpu = &cpu->x.fpu;

    fpu->fcw = X87_CONTROL_DEFAULT;
    fpu->fsw = fpu->fop = 0;
    fpu->ftw = 0;
    fpu->fip = fpu->fdp = 0;
    memset(fpu->st, 0, sizeof(fpu->st));
}

static void put_mxcsr(const struct cpu *cpu, struct area *area)
{
    uint32_t mask = MXCSR_WRITABLE;

    memcpy(area->bytes + FXSAVE_MXCSR_OFFSET, &cpu->x.fpu.mxcsr, 4);
    memcpy(area->bytes + FXSAVE_MXCSR_OFFSET + 4, &mask, 4);
}

static uint32_t get_mxcsr(const struct area *area)
{
    uint32_t value;

    memcpy(&value, area->bytes + FXSAVE_MXCSR_OFFSET, 4);
    return value;
}

static void put_xmm(const struct cpu *cpu, struct area *area)
{
    for (unsigned i = 0; i < native_vector_count(cpu); i++)
        memcpy(area->bytes + FXSAVE_XMM_OFFSET + 16 * i, cpu->x.fpu.ymm[i], 16);
}

static void get_xmm(struct cpu *cpu, const struct area *area)
{
    for (unsigned i = 0; i < native_vector_count(cpu); i++)
        memcpy(cpu->x.fpu.ymm[i], area->bytes + FXSAVE_XMM_OFFSET + 16 * i, 16);
}

/* Where the operand is: aligned, inside the segment. */
static enum step locate(struct cpu *cpu, const struct op *op, unsigned len, unsigned align,
                        bool write, gva_t *linear)
{
    enum step step = seg_linear(cpu, op->seg, op_offset(cpu, op), len, write, linear);

    if (!step && (*linear & (align - 1)))
        step = cpu_raise_error(cpu, X86_GP, 0);
    return step;
}

static enum step op_fxsave(struct cpu *cpu, const struct op *op)
{
    struct area area;
    gva_t linear;
    enum step step;

    if (native_gate_closed(cpu, op))
        return native_raise_gate(cpu, op);
    step = locate(cpu, op, FXSAVE_BYTES, 16, true, &linear);
    if (step)
        return step;
    native_sync(cpu);
    put_x87(cpu, op->aux, &area);
    put_mxcsr(cpu, &area);
    put_xmm(cpu, &area);
    step = native_probe(cpu, linear, FXSAVE_BYTES, true);
    if (!step)
        step = area_write(cpu, linear, &area, 0, FXSAVE_XMM_OFFSET + 16 * native_vector_count(cpu));
    return step ? access_fault_of_segment(cpu, op->seg, step) : STEP_NEXT;
}

static enum step op_fxrstor(struct cpu *cpu, const struct op *op)
{
    struct area area;
    gva_t linear;
    enum step step;

    if (native_gate_closed(cpu, op))
        return native_raise_gate(cpu, op);
    step = locate(cpu, op, FXSAVE_BYTES, 16, false, &linear);
    if (!step)
        step = area_read(cpu, linear, &area, 0, FXSAVE_BYTES);
    if (step)
        return access_fault_of_segment(cpu, op->seg, step);
    if (get_mxcsr(&area) & ~MXCSR_WRITABLE)
        return cpu_raise_error(cpu, X86_GP, 0);
    native_sync(cpu);
    get_x87(cpu, op->aux, &area);
    native_set_mxcsr(cpu, get_mxcsr(&area));
    get_xmm(cpu, &area);
    return STEP_NEXT;
}

static bool all_zero(const void *bytes, size_t len)
{
    const uint8_t *p = bytes;

    while (len > 0 && *p == 0)
        p++, len--;
    return len == 0;
}

uint64_t native_xinuse(struct cpu *cpu)
{
    const struct x86_fpu *fpu = &cpu->x.fpu;
    uint64_t used = 0;

    native_sync(cpu);
    if (fpu->fcw != X87_CONTROL_DEFAULT || fpu->fsw || fpu->ftw || fpu->fip || fpu->fdp ||
        fpu->fop || !all_zero(fpu->st, sizeof(fpu->st)))
        used |= X86_XCR0_X87;
    for (unsigned i = 0; i < native_vector_count(cpu); i++) {
        if (!all_zero(fpu->ymm[i], 16))
            used |= X86_XCR0_SSE;
        if (!all_zero(fpu->ymm[i] + 16, 16))
            used |= X86_XCR0_AVX;
    }
    return used;
}

static uint64_t requested(const struct cpu *cpu)
{
    uint64_t mask = cpu->x.gpr[X86_RDX] << 32 | (uint32_t)cpu->x.gpr[X86_RAX];

    return mask & cpu->x.xcr0;
}

static enum step write_x87(struct cpu *cpu, const struct op *op, gva_t linear)
{
    struct area area;
    enum step step;

    put_x87(cpu, op->aux, &area);
    step = area_write(cpu, linear, &area, 0, FXSAVE_MXCSR_OFFSET);
    return step ? step : area_write(cpu, linear, &area, FXSAVE_ST_OFFSET, 128);
}

/* Writes the components in saved; MXCSR belongs to none of them. */
static enum step write_components(struct cpu *cpu, const struct op *op, gva_t linear,
                                  uint64_t saved, bool with_mxcsr)
{
    unsigned len = 16 * native_vector_count(cpu);
    struct area area;
    enum step step = STEP_NEXT;

    if (saved & X86_XCR0_X87)
        step = write_x87(cpu, op, linear);
    if (!step && (saved & X86_XCR0_SSE)) {
        put_xmm(cpu, &area);
        step = area_write(cpu, linear, &area, FXSAVE_XMM_OFFSET, len);
    }
    if (!step && (saved & X86_XCR0_AVX)) {
        for (unsigned i = 0; i < native_vector_count(cpu); i++)
            memcpy(area.bytes + AVX_OFFSET + 16 * i, cpu->x.fpu.ymm[i] + 16, 16);
        step = area_write(cpu, linear, &area, AVX_OFFSET, len);
    }
    if (!step && with_mxcsr) {
        put_mxcsr(cpu, &area);
        step = area_write(cpu, linear, &area, FXSAVE_MXCSR_OFFSET, 8);
    }
    return step;
}

/* XSAVE, XSAVEOPT and XSAVEC. */
static enum step op_xsave(struct cpu *cpu, const struct op *op)
{
    uint64_t wanted = requested(cpu), used, header[2] = {0};
    bool compact = op->mnemonic == ZYDIS_MNEMONIC_XSAVEC || op->mnemonic == ZYDIS_MNEMONIC_XSAVEC64;
    unsigned len = wanted & X86_XCR0_AVX ? XSAVE_BYTES : AVX_OFFSET;
    gva_t linear;
    enum step step;

    if (native_gate_closed(cpu, op))
        return native_raise_gate(cpu, op);
    step = locate(cpu, op, len, HEADER_BYTES, true, &linear);
    if (step)
        return step;
    used = native_xinuse(cpu);
    if (cpu->x.fpu.mxcsr != MXCSR_DEFAULT)
        used |= X86_XCR0_SSE;
    step = native_probe(cpu, linear, len, true);
    if (!step && !compact)
        step = lin_read(cpu, (linear + HEADER_OFFSET) & cpu->linear_mask, header, 8);
    if (!step)
        step = write_components(cpu, op, linear, op->src2 ? wanted & used : wanted,
                                compact ? wanted & used & X86_XCR0_SSE
                                        : wanted & (X86_XCR0_SSE | X86_XCR0_AVX));
    header[0] = compact ? wanted & used : (header[0] & ~wanted) | (wanted & used);
    header[1] = XCOMP_COMPACTED | wanted;
    if (!step)
        step =
            lin_write(cpu, (linear + HEADER_OFFSET) & cpu->linear_mask, header, compact ? 16 : 8);
    return step ? access_fault_of_segment(cpu, op->seg, step) : STEP_NEXT;
}

/* Whether XRSTOR accepts a header. */
static bool header_valid(const struct cpu *cpu, const uint64_t header[8])
{
    bool compact = header[1] & XCOMP_COMPACTED;

    if (compact) {
        uint64_t map = header[1] & ~XCOMP_COMPACTED;

        return cpu->model->has[X86_FEATURE_XSAVEC] && !(map & ~cpu->x.xcr0) &&
               !(header[0] & ~map) && all_zero(&header[2], 48);
    }
    return !(header[0] & ~cpu->x.xcr0) && all_zero(&header[1], 16);
}

static void restore_components(struct cpu *cpu, const struct op *op, uint64_t wanted,
                               uint64_t present, const struct area *area)
{
    if (wanted & present & X86_XCR0_X87)
        get_x87(cpu, op->aux, area);
    else if (wanted & X86_XCR0_X87)
        init_x87(cpu);
    for (unsigned i = 0; i < native_vector_count(cpu); i++) {
        uint8_t *ymm = cpu->x.fpu.ymm[i];

        if (wanted & present & X86_XCR0_SSE)
            memcpy(ymm, area->bytes + FXSAVE_XMM_OFFSET + 16 * i, 16);
        else if (wanted & X86_XCR0_SSE)
            memset(ymm, 0, 16);
        if (wanted & present & X86_XCR0_AVX)
            memcpy(ymm + 16, area->bytes + AVX_OFFSET + 16 * i, 16);
        else if (wanted & X86_XCR0_AVX)
            memset(ymm + 16, 0, 16);
    }
}

static enum step op_xrstor(struct cpu *cpu, const struct op *op)
{
    uint64_t wanted = requested(cpu), header[8], present;
    struct area area;
    bool compact, loads_mxcsr;
    gva_t linear;
    enum step step;

    if (native_gate_closed(cpu, op))
        return native_raise_gate(cpu, op);
    step = locate(cpu, op, AVX_OFFSET, HEADER_BYTES, false, &linear);
    if (!step)
        step = area_read(cpu, linear, &area, 0, AVX_OFFSET);
    if (step)
        return access_fault_of_segment(cpu, op->seg, step);
    memcpy(header, area.bytes + HEADER_OFFSET, sizeof(header));
    if (!header_valid(cpu, header))
        return cpu_raise_error(cpu, X86_GP, 0);
    present = header[0];
    compact = header[1] & XCOMP_COMPACTED;
    if (wanted & present & X86_XCR0_AVX) {
        step = area_read(cpu, linear, &area, AVX_OFFSET, 16 * native_vector_count(cpu));
        if (step)
            return access_fault_of_segment(cpu, op->seg, step);
    }
    loads_mxcsr =
        compact ? wanted & present & X86_XCR0_SSE : wanted & (X86_XCR0_SSE | X86_XCR0_AVX);
    if (loads_mxcsr && (get_mxcsr(&area) & ~MXCSR_WRITABLE))
        return cpu_raise_error(cpu, X86_GP, 0);
    native_sync(cpu);
    restore_components(cpu, op, wanted, present, &area);
    if (loads_mxcsr)
        native_set_mxcsr(cpu, get_mxcsr(&area));
    else if (compact && (wanted & X86_XCR0_SSE))
        native_set_mxcsr(cpu, MXCSR_DEFAULT);
    return STEP_NEXT;
}

/* Functions with their gates; op->aux: 64-bit pointers, op->src2: may skip what is not in use. */
static op_fn function_of(ZydisMnemonic mnemonic, uint8_t *gates)
{
    switch (mnemonic) {
    case ZYDIS_MNEMONIC_FXSAVE:
    case ZYDIS_MNEMONIC_FXSAVE64: *gates = GATE_NM_X87; return op_fxsave;
    case ZYDIS_MNEMONIC_FXRSTOR:
    case ZYDIS_MNEMONIC_FXRSTOR64: *gates = GATE_NM_X87; return op_fxrstor;
    case ZYDIS_MNEMONIC_XSAVE:
    case ZYDIS_MNEMONIC_XSAVE64:
    case ZYDIS_MNEMONIC_XSAVEOPT:
    case ZYDIS_MNEMONIC_XSAVEOPT64:
    case ZYDIS_MNEMONIC_XSAVEC:
    case ZYDIS_MNEMONIC_XSAVEC64: *gates = GATE_UD_XSAVE | GATE_NM_TS; return op_xsave;
    case ZYDIS_MNEMONIC_XRSTOR:
    case ZYDIS_MNEMONIC_XRSTOR64: *gates = GATE_UD_XSAVE | GATE_NM_TS; return op_xrstor;
    default: return NULL;
    }
}

bool native_bind_xsave(struct op *op, const struct binder_input *in)
{
    const ZydisDecodedInstruction *info = &in->insn->info;
    uint8_t gates = 0;
    op_fn fn = function_of(info->mnemonic, &gates);

    if (!fn)
        return false;
    op->fn = fn;
    op->cc = gates;
    op->aux = in->mode == X86_MODE_LONG64 && info->raw.rex.W;
    op->src2 = fn == op_xsave && info->mnemonic != ZYDIS_MNEMONIC_XSAVE &&
               info->mnemonic != ZYDIS_MNEMONIC_XSAVE64;
    return true;
}

/*
 * The x87 state between guest and host, and the instructions that show it: environment and state
 * images, written in C so that the instruction pointers in them are the guest's. FCS and FDS are
 * always 0 (CPUID.7:EBX[13]).
 * Source: SDM 1 "Programming with the x87 FPU", "x87 FPU Instruction and Data (Operand) Pointers".
 */
#include "engine/soft/native_internal.h"

#include <string.h>

/* FNSAVE's image in 32-bit protected-mode format, as the host's 64-bit mode writes it. */
struct x87_image {
    uint32_t fcw, fsw, ftw, fip, fcs_fop, fdp, fds;
    uint8_t st[8][10];
};

_Static_assert(sizeof(struct x87_image) == 108, "FNSAVE's 32-bit image has 108 bytes");

#define ENV16_BYTES 14
#define ENV32_BYTES 28
#define ST_BYTES    80

#define TAG_VALID   0u
#define TAG_ZERO    1u
#define TAG_SPECIAL 2u
#define TAG_EMPTY   3u

#define EXPONENT_MASK 0x7fff
#define INTEGER_BIT   BIT(63)

/* The tag that the FPU derives from a register's contents (SDM 1 "x87 FPU Tag Word"). */
static unsigned tag_of(const uint8_t st[16])
{
    uint64_t significand;
    uint16_t exponent;

    memcpy(&significand, st, 8);
    memcpy(&exponent, st + 8, 2);
    exponent &= EXPONENT_MASK;
    if (exponent == EXPONENT_MASK)
        return TAG_SPECIAL;
    if (exponent == 0)
        return significand ? TAG_SPECIAL : TAG_ZERO;
    return significand & INTEGER_BIT ? TAG_VALID : TAG_SPECIAL;
}

/* The full tag word, a pair of bits for each physical register. */
static uint16_t full_tags(const struct x86_fpu *fpu)
{
    unsigned tags = 0;

    for (unsigned physical = 0; physical < 8; physical++) {
        unsigned i = (physical - X87_STATUS_TOP(fpu->fsw)) & 7;
        unsigned tag = fpu->ftw >> physical & 1 ? tag_of(fpu->st[i]) : TAG_EMPTY;

        tags |= tag << (2 * physical);
    }
    return (uint16_t)tags;
}

static uint8_t abridged_tags(uint16_t full)
{
    unsigned abridged = 0;

    for (unsigned i = 0; i < 8; i++)
        if ((full >> (2 * i) & 3u) != TAG_EMPTY)
            abridged |= 1u << i;
    return (uint8_t)abridged;
}

void native_x87_save(struct cpu *cpu)
{
    struct x86_fpu *fpu = &cpu->x.fpu;
    struct x87_image image;

    __asm__ volatile("fnsave %0" : "=m"(image)); /* and as FNINIT */
    fpu->fcw = (uint16_t)image.fcw;
    fpu->fsw = (uint16_t)image.fsw;
    fpu->ftw = abridged_tags((uint16_t)image.ftw);
    for (unsigned i = 0; i < 8; i++)
        memcpy(fpu->st[i], image.st[i], 10);
    cpu->fpu_live = false;
}

void native_load(struct cpu *cpu)
{
    const struct x86_fpu *fpu = &cpu->x.fpu;
    struct x87_image image = {.fcw = fpu->fcw, .fsw = fpu->fsw, .ftw = full_tags(fpu)};

    if (cpu->fpu_live)
        return;
    for (unsigned i = 0; i < 8; i++)
        memcpy(image.st[i], fpu->st[i], 10);
    __asm__ volatile("frstor %0" : : "m"(image));
    cpu->fpu_live = true;
}

/* x.fpu up to date, the host's x87 free of the guest's. */
static struct x86_fpu *own(struct cpu *cpu)
{
    if (cpu->fpu_live)
        native_x87_save(cpu);
    return &cpu->x.fpu;
}

bool native_x87_pending(struct cpu *cpu)
{
    uint16_t fsw;

    if (!cpu->fpu_live)
        return cpu->x.fpu.fsw & X87_STATUS_ES;
    __asm__ volatile("fnstsw %0" : "=m"(fsw));
    return fsw & X87_STATUS_ES;
}

void native_note_x87(struct cpu *cpu, const struct op *op)
{
    struct x86_fpu *fpu = &cpu->x.fpu;

    fpu->fip = (cpu->x.gpr[X86_RIP] - op->len) & cpu->ip_mask;
    fpu->fop = op->aux & 0x7ff;
    if (cpu->legacy_real) /* the images hold linear addresses there */
        fpu->fip += cpu->seg_base[X86_CS];
    if (op->flags & OP_MEM) {
        fpu->fdp = op_offset(cpu, op);
        if (cpu->legacy_real)
            fpu->fdp += cpu->seg_base[op->seg];
    }
}

/* The exception bits of FSW decide, with FCW's masks, whether an exception is pending. */
static void update_summary(struct x86_fpu *fpu)
{
    if (fpu->fsw & ~fpu->fcw & 0x3f)
        fpu->fsw |= X87_STATUS_ES | X87_STATUS_B;
    else
        fpu->fsw &= (uint16_t) ~(X87_STATUS_ES | X87_STATUS_B);
}

static void put16(uint8_t *to, uint64_t value)
{
    memcpy(to, &value, 2);
}

static void put32(uint8_t *to, uint64_t value)
{
    memcpy(to, &value, 4);
}

static uint32_t get(const uint8_t *from, unsigned bytes)
{
    uint32_t value = 0;

    memcpy(&value, from, bytes);
    return value;
}

/* Builds the environment in the format of the mode and the operand size; returns its length. */
static unsigned put_environment(struct cpu *cpu, const struct op *op, uint8_t *to)
{
    const struct x86_fpu *fpu = &cpu->x.fpu;
    bool wide = op->aux;
    bool real = cpu->legacy_real;

    memset(to, 0, ENV32_BYTES);
    if (!wide) {
        put16(to, fpu->fcw);
        put16(to + 2, fpu->fsw);
        put16(to + 4, full_tags(fpu));
        put16(to + 6, fpu->fip);
        put16(to + 8, real ? (fpu->fip >> 16 & 0xf) << 12 | fpu->fop : 0);
        put16(to + 10, fpu->fdp);
        put16(to + 12, real ? (fpu->fdp >> 16 & 0xf) << 12 : 0);
        return ENV16_BYTES;
    }
    /* The upper halves of the 16-bit fields read as ones. */
    put32(to, 0xffff0000 | fpu->fcw);
    put32(to + 4, 0xffff0000 | fpu->fsw);
    put32(to + 8, 0xffff0000 | full_tags(fpu));
    if (real) {
        put32(to + 12, 0xffff0000 | (fpu->fip & 0xffff));
        put32(to + 16, (fpu->fip >> 16 & 0xffff) << 12 | fpu->fop);
        put32(to + 20, 0xffff0000 | (fpu->fdp & 0xffff));
        put32(to + 24, (fpu->fdp >> 16 & 0xffff) << 12);
    } else {
        put32(to + 12, fpu->fip);
        put32(to + 16, (uint32_t)fpu->fop << 16);
        put32(to + 20, fpu->fdp);
        put32(to + 24, 0xffff0000);
    }
    return ENV32_BYTES;
}

static unsigned get_environment(struct cpu *cpu, const struct op *op, const uint8_t *from)
{
    struct x86_fpu *fpu = &cpu->x.fpu;
    unsigned w = op->aux ? 4 : 2;
    uint32_t code = get(from + 4 * w, w);

    fpu->fcw = (uint16_t)((get(from, 2) & 0x1f7f) | 0x40);
    fpu->fsw = (uint16_t)get(from + w, 2);
    fpu->ftw = abridged_tags((uint16_t)get(from + 2 * w, 2));
    fpu->fip = get(from + 3 * w, cpu->legacy_real ? 2 : w);
    fpu->fdp = get(from + 5 * w, cpu->legacy_real ? 2 : w);
    if (cpu->legacy_real) {
        fpu->fop = code & 0x7ff;
        fpu->fip |= (uint64_t)(code >> 12 & 0xffff) << 16;
        fpu->fdp |= (uint64_t)(get(from + 6 * w, w) >> 12 & 0xffff) << 16;
    } else if (op->aux) {
        fpu->fop = code >> 16 & 0x7ff;
    }
    update_summary(fpu);
    return 7 * w;
}

/* Reads or writes a long operand in pieces that the access functions take. */
static enum step image_read(struct cpu *cpu, gva_t linear, uint8_t *to, unsigned len)
{
    enum step step = STEP_NEXT;

    for (unsigned at = 0; at < len && !step; at += 32)
        step = lin_read(cpu, (linear + at) & cpu->linear_mask, to + at, MIN(32u, len - at));
    return step;
}

static enum step image_write(struct cpu *cpu, gva_t linear, const uint8_t *from, unsigned len)
{
    enum step step = native_probe(cpu, linear, len, true);

    for (unsigned at = 0; at < len && !step; at += 32)
        step = lin_write(cpu, (linear + at) & cpu->linear_mask, from + at, MIN(32u, len - at));
    return step;
}

/* Another register becomes ST(0); the physical ones keep their contents. */
static void turn_stack(struct x86_fpu *fpu, unsigned old_top)
{
    unsigned by = (X87_STATUS_TOP(fpu->fsw) - old_top) & 7;
    uint8_t old[8][16];

    memcpy(old, fpu->st, sizeof(old));
    for (unsigned i = 0; i < 8; i++)
        memcpy(fpu->st[i], old[(i + by) & 7], 16);
}

static void reset_x87(struct x86_fpu *fpu)
{
    unsigned top = X87_STATUS_TOP(fpu->fsw);

    fpu->fcw = X87_CONTROL_DEFAULT;
    fpu->fsw = fpu->fop = 0;
    fpu->ftw = 0;
    fpu->fip = fpu->fdp = 0;
    turn_stack(fpu, top);
}

static enum step op_fninit(struct cpu *cpu, const struct op *op)
{
    if (native_gate_closed(cpu, op))
        return native_raise_gate(cpu, op);
    reset_x87(own(cpu));
    return STEP_NEXT;
}

static enum step op_fnstsw_ax(struct cpu *cpu, const struct op *op)
{
    uint16_t fsw = cpu->x.fpu.fsw;

    if (native_gate_closed(cpu, op))
        return native_raise_gate(cpu, op);
    if (cpu->fpu_live)
        __asm__ volatile("fnstsw %0" : "=m"(fsw));
    CPU_REG(cpu, uint16_t, 0) = fsw;
    return STEP_NEXT;
}

/* FNSTENV and FNSAVE; op->aux: the 32-bit format, op->src2: with registers. */
static enum step op_store_image(struct cpu *cpu, const struct op *op)
{
    uint8_t image[ENV32_BYTES + ST_BYTES];
    struct x86_fpu *fpu;
    unsigned len;
    gva_t linear;
    enum step step;

    if (native_gate_closed(cpu, op))
        return native_raise_gate(cpu, op);
    fpu = own(cpu);
    len = put_environment(cpu, op, image);
    if (op->src2) {
        for (unsigned i = 0; i < 8; i++)
            memcpy(image + len + 10 * i, fpu->st[i], 10);
        len += ST_BYTES;
    }
    step = seg_linear(cpu, op->seg, op_offset(cpu, op), len, true, &linear);
    if (!step)
        step = image_write(cpu, linear, image, len);
    if (step)
        return access_fault_of_segment(cpu, op->seg, step);
    if (op->src2) {
        reset_x87(fpu);
    } else {
        fpu->fcw |= 0x3f;
        update_summary(fpu);
    }
    return STEP_NEXT;
}

/* FLDENV and FRSTOR. */
static enum step op_load_image(struct cpu *cpu, const struct op *op)
{
    uint8_t image[ENV32_BYTES + ST_BYTES];
    unsigned env = op->aux ? ENV32_BYTES : ENV16_BYTES;
    unsigned len = env + (op->src2 ? ST_BYTES : 0);
    struct x86_fpu *fpu;
    gva_t linear;
    enum step step;
    unsigned top;

    if (native_gate_closed(cpu, op))
        return native_raise_gate(cpu, op);
    if (native_x87_pending(cpu))
        return native_raise(cpu, X86_MF);
    step = seg_linear(cpu, op->seg, op_offset(cpu, op), len, false, &linear);
    if (!step)
        step = image_read(cpu, linear, image, len);
    if (step)
        return access_fault_of_segment(cpu, op->seg, step);
    fpu = own(cpu);
    top = X87_STATUS_TOP(fpu->fsw);
    get_environment(cpu, op, image);
    if (op->src2) {
        for (unsigned i = 0; i < 8; i++)
            memcpy(fpu->st[i], image + env + 10 * i, 10);
    } else {
        turn_stack(fpu, top);
    }
    return STEP_NEXT;
}

bool native_bind_x87(struct op *op, const struct binder_input *in)
{
    const ZydisDecodedInstruction *info = &in->insn->info;

    switch (info->mnemonic) {
    case ZYDIS_MNEMONIC_FNINIT: op->fn = op_fninit; break;
    case ZYDIS_MNEMONIC_FNSTSW:
        if (op->flags & OP_MEM)
            return false;
        op->fn = op_fnstsw_ax;
        break;
    case ZYDIS_MNEMONIC_FNSTENV:
    case ZYDIS_MNEMONIC_FNSAVE: op->fn = op_store_image; break;
    case ZYDIS_MNEMONIC_FLDENV:
    case ZYDIS_MNEMONIC_FRSTOR: op->fn = op_load_image; break;
    default: return false;
    }
    op->cc = GATE_NM_X87;
    op->aux = info->operand_width != 16;
    op->src2 = info->mnemonic == ZYDIS_MNEMONIC_FNSAVE || info->mnemonic == ZYDIS_MNEMONIC_FRSTOR;
    return true;
}

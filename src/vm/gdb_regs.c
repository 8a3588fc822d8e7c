/* The table of gdb's registers and the target description made from it (see gdb_regs.h). */
#include "vm/gdb_regs.h"

#include <stddef.h>
#include <string.h>

#include "base/assert.h"
#include "x86/paging.h"

#define MXCSR_WRITABLE 0xffffu
#define CR3_WRITABLE   X86_ADDRESS_MASK
#define FTW_EMPTY      3u

enum kind {
    GPR, /* index: enum x86_gpr */
    FLAGS,
    SELECTOR, /* index: enum x86_seg */
    ST,
    FCTRL,
    FSTAT,
    FTAG,
    FISEG,
    FIOFF,
    FOSEG,
    FOOFF,
    FOP,
    XMM,
    MXCSR,
    YMMH,
    BASE, /* of a segment register */
    KERNEL_GS_BASE,
    CR0,
    CR2,
    CR3,
    CR4,
    CR8,
    EFER,
};

struct reg {
    const char *name;
    const char *type;
    const char *feature; /* where a feature begins, its name */
    uint8_t bytes;
    uint8_t kind, index;
};

#define INT64(name, kind, index)                                                                   \
    {                                                                                              \
        name, "int64", NULL, 8, kind, index                                                        \
    }
#define INT32(name, kind, index)                                                                   \
    {                                                                                              \
        name, "int32", NULL, 4, kind, index                                                        \
    }
#define FLOAT(index)                                                                               \
    {                                                                                              \
        "st" #index, "i387_ext", NULL, 10, ST, index                                               \
    }
#define VECTOR(index)                                                                              \
    {                                                                                              \
        "xmm" #index, "vec128", NULL, 16, XMM, index                                               \
    }
#define UPPER(index)                                                                               \
    {                                                                                              \
        "ymm" #index "h", "uint128", NULL, 16, YMMH, index                                         \
    }
#define TYPED(name, type, k, idx)                                                                  \
    {                                                                                              \
        name, type, NULL, 8, k, idx                                                                \
    }

#define FROM_1_TO_7(m)  m(1), m(2), m(3), m(4), m(5), m(6), m(7)
#define FROM_1_TO_15(m) FROM_1_TO_7(m), m(8), m(9), m(10), m(11), m(12), m(13), m(14), m(15)

/* The order of the first three features is gdb's. */
static const struct reg regs[] = {
    {"rax", "int64", "org.gnu.gdb.i386.core", 8, GPR, X86_RAX},
    INT64("rbx", GPR, X86_RBX),
    INT64("rcx", GPR, X86_RCX),
    INT64("rdx", GPR, X86_RDX),
    INT64("rsi", GPR, X86_RSI),
    INT64("rdi", GPR, X86_RDI),
    TYPED("rbp", "data_ptr", GPR, X86_RBP),
    TYPED("rsp", "data_ptr", GPR, X86_RSP),
    INT64("r8", GPR, X86_R8),
    INT64("r9", GPR, X86_R9),
    INT64("r10", GPR, X86_R10),
    INT64("r11", GPR, X86_R11),
    INT64("r12", GPR, X86_R12),
    INT64("r13", GPR, X86_R13),
    INT64("r14", GPR, X86_R14),
    INT64("r15", GPR, X86_R15),
    TYPED("rip", "code_ptr", GPR, X86_RIP),
    {"eflags", "eflags", NULL, 4, FLAGS, 0},
    INT32("cs", SELECTOR, X86_CS),
    INT32("ss", SELECTOR, X86_SS),
    INT32("ds", SELECTOR, X86_DS),
    INT32("es", SELECTOR, X86_ES),
    INT32("fs", SELECTOR, X86_FS),
    INT32("gs", SELECTOR, X86_GS),
    FLOAT(0),
    FROM_1_TO_7(FLOAT),
    INT32("fctrl", FCTRL, 0),
    INT32("fstat", FSTAT, 0),
    INT32("ftag", FTAG, 0),
    INT32("fiseg", FISEG, 0),
    INT32("fioff", FIOFF, 0),
    INT32("foseg", FOSEG, 0),
    INT32("fooff", FOOFF, 0),
    INT32("fop", FOP, 0),
    {"xmm0", "vec128", "org.gnu.gdb.i386.sse", 16, XMM, 0},
    FROM_1_TO_15(VECTOR),
    INT32("mxcsr", MXCSR, 0),
    {"fs_base", "int64", "org.gnu.gdb.i386.segments", 8, BASE, X86_FS},
    INT64("gs_base", BASE, X86_GS),
    {"ymm0h", "uint128", "org.gnu.gdb.i386.avx", 16, YMMH, 0},
    FROM_1_TO_15(UPPER),
    {"k_gs_base", "int64", "umbra.i386.system", 8, KERNEL_GS_BASE, 0},
    TYPED("cr0", "cr0", CR0, 0),
    INT64("cr2", CR2, 0),
    INT64("cr3", CR3, 0),
    TYPED("cr4", "cr4", CR4, 0),
    INT64("cr8", CR8, 0),
    TYPED("efer", "efer", EFER, 0),
};

unsigned gdb_regs_count(void)
{
    return ARRAY_SIZE(regs);
}

unsigned gdb_reg_bytes(unsigned number)
{
    ASSERT(number < ARRAY_SIZE(regs), "the register is in the table");
    return regs[number].bytes;
}

/* The tag of a physical x87 register that is not empty: 0 valid, 1 zero, 2 special. */
static unsigned classify(const uint8_t value[16])
{
    uint64_t fraction;
    uint16_t exponent;

    memcpy(&fraction, value, 8);
    memcpy(&exponent, value + 8, 2);
    exponent &= 0x7fff;
    if (exponent == 0x7fff)
        return 2;
    if (exponent == 0)
        return fraction ? 2 : 1;
    return fraction >> 63 ? 0 : 2;
}

/* The tag word has two bits a physical register; st[] is in the order of the stack. */
static uint16_t full_tags(const struct x86_fpu *fpu)
{
    unsigned top = fpu->fsw >> 11 & 7;
    uint16_t tags = 0;

    for (unsigned i = 0; i < 8; i++) {
        unsigned tag = fpu->ftw >> i & 1 ? classify(fpu->st[(i - top) & 7]) : FTW_EMPTY;

        tags |= (uint16_t)(tag << 2 * i);
    }
    return tags;
}

static uint8_t abridged_tags(uint64_t tags)
{
    uint8_t abridged = 0;

    for (unsigned i = 0; i < 8; i++) {
        if ((tags >> 2 * i & 3) != FTW_EMPTY)
            abridged |= (uint8_t)(1u << i);
    }
    return abridged;
}

/* The registers of up to 64 bits. */
static uint64_t get_number(const struct gdb_registers *registers, const struct reg *reg)
{
    const struct x86_state *x = &registers->x;

    switch ((enum kind)reg->kind) {
    case GPR: return x->gpr[reg->index];
    case FLAGS: return x->rflags;
    case SELECTOR: return x->seg[reg->index].selector;
    case FCTRL: return x->fpu.fcw;
    case FSTAT: return x->fpu.fsw;
    case FTAG: return full_tags(&x->fpu);
    case FISEG: return x->fpu.fcs;
    case FIOFF: return x->fpu.fip;
    case FOSEG: return x->fpu.fds;
    case FOOFF: return x->fpu.fdp;
    case FOP: return x->fpu.fop;
    case MXCSR: return x->fpu.mxcsr;
    case BASE: return x->seg[reg->index].base;
    case KERNEL_GS_BASE: return x->msr.kernel_gs_base;
    case CR0: return x->cr0;
    case CR2: return x->cr2;
    case CR3: return x->cr3;
    case CR4: return x->cr4;
    case CR8: return registers->cr8;
    case EFER: return x->msr.efer;
    case ST:
    case XMM:
    case YMMH: break;
    }
    return 0;
}

/* Where a register wider than 64 bits lies, or NULL. */
static uint8_t *wide(struct x86_fpu *fpu, const struct reg *reg)
{
    switch (reg->kind) {
    case ST: return fpu->st[reg->index];
    case XMM: return fpu->ymm[reg->index];
    case YMMH: return fpu->ymm[reg->index] + 16;
    default: return NULL;
    }
}

void gdb_reg_get(const struct gdb_registers *registers, unsigned number,
                 uint8_t value[GDB_REG_MAX_BYTES])
{
    const struct reg *reg = &regs[number];
    const uint8_t *at = wide((struct x86_fpu *)&registers->x.fpu, reg);
    uint64_t small;

    ASSERT(number < ARRAY_SIZE(regs), "the register is in the table");
    if (at) {
        memcpy(value, at, reg->bytes);
        return;
    }
    small = get_number(registers, reg);
    memcpy(value, &small, reg->bytes);
}

/* In real and virtual-8086 mode a selector brings its base along. */
static bool set_selector(struct x86_state *x, unsigned index, uint64_t value)
{
    struct x86_segment *seg = &x->seg[index];

    if ((x->cr0 & X86_CR0_PE) && !(x->rflags & X86_FLAG_VM))
        return value == seg->selector;
    if (value > UINT16_MAX)
        return false;
    if (value != seg->selector) {
        seg->selector = (uint16_t)value;
        seg->base = value << 4;
    }
    return true;
}

static bool set_base(uint64_t *base, uint64_t value)
{
    if (!x86_canonical(value))
        return false;
    *base = value;
    return true;
}

/* PAE paging's four PDPTE registers were loaded with CR3, and would have to be again. */
static bool set_cr3(struct x86_state *x, uint64_t value)
{
    bool pae = (x->cr0 & X86_CR0_PG) && (x->cr4 & X86_CR4_PAE) && !(x->msr.efer & X86_EFER_LMA);

    if (value != x->cr3 && (pae || (value & ~CR3_WRITABLE)))
        return false;
    x->cr3 = value;
    return true;
}

static bool set_fpu(struct x86_fpu *fpu, const struct reg *reg, uint64_t value)
{
    switch (reg->kind) {
    case FCTRL: fpu->fcw = (uint16_t)value; return true;
    case FSTAT: fpu->fsw = (uint16_t)value; return true;
    case FTAG: fpu->ftw = abridged_tags(value); return true;
    case FISEG: fpu->fcs = (uint16_t)value; return true;
    case FIOFF: fpu->fip = (fpu->fip & ~(uint64_t)UINT32_MAX) | value; return true;
    case FOSEG: fpu->fds = (uint16_t)value; return true;
    case FOOFF: fpu->fdp = (fpu->fdp & ~(uint64_t)UINT32_MAX) | value; return true;
    case FOP: fpu->fop = (uint16_t)(value & 0x7ff); return true;
    case MXCSR: fpu->mxcsr = (uint32_t)value & MXCSR_WRITABLE; return true;
    default: return false;
    }
}

static bool set_number(struct gdb_registers *registers, const struct reg *reg, uint64_t value)
{
    struct x86_state *x = &registers->x;

    switch ((enum kind)reg->kind) {
    case GPR: x->gpr[reg->index] = value; return true;
    case FLAGS:
        x->rflags =
            (value & X86_FLAGS_DEFINED & ~X86_FLAG_VM) | (x->rflags & X86_FLAG_VM) | X86_FLAG_ONE;
        return true;
    case SELECTOR: return set_selector(x, reg->index, value);
    case BASE: return set_base(&x->seg[reg->index].base, value);
    case KERNEL_GS_BASE: return set_base(&x->msr.kernel_gs_base, value);
    case CR2: x->cr2 = value; return true;
    case CR3: return set_cr3(x, value);
    case CR0:
    case CR4:
    case CR8:
    case EFER: return value == get_number(registers, reg);
    default: return set_fpu(&x->fpu, reg, value);
    }
}

bool gdb_reg_set(struct gdb_registers *registers, unsigned number,
                 const uint8_t value[GDB_REG_MAX_BYTES])
{
    const struct reg *reg = &regs[number];
    uint8_t *at = wide(&registers->x.fpu, reg);
    uint64_t small = 0;

    ASSERT(number < ARRAY_SIZE(regs), "the register is in the table");
    if (at) {
        memcpy(at, value, reg->bytes);
        return true;
    }
    memcpy(&small, value, reg->bytes);
    return set_number(registers, reg, small);
}

/* --- target.xml --- */

struct flag {
    const char *name;
    unsigned bit;
};

static void describe_flags(FILE *out, const char *id, unsigned bytes, const struct flag *flags,
                           size_t count)
{
    fprintf(out, "<flags id=\"%s\" size=\"%u\">", id, bytes);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>", flags[i].name, flags[i].bit,
                flags[i].bit);
    fprintf(out, "</flags>\n");
}

static void describe_all_flags(FILE *out)
{
    static const struct flag eflags[] = {
        {"CF", 0},  {"", 1},    {"PF", 2},  {"AF", 4},   {"ZF", 6},   {"SF", 7},
        {"TF", 8},  {"IF", 9},  {"DF", 10}, {"OF", 11},  {"NT", 14},  {"RF", 16},
        {"VM", 17}, {"AC", 18}, {"ID", 21}, {"VIF", 19}, {"VIP", 20},
    };
    static const struct flag cr0[] = {
        {"PE", 0},  {"MP", 1},  {"EM", 2},  {"TS", 3},  {"ET", 4},  {"NE", 5},
        {"WP", 16}, {"AM", 18}, {"NW", 29}, {"CD", 30}, {"PG", 31},
    };
    static const struct flag cr4[] = {
        {"VME", 0},      {"PVI", 1},   {"TSD", 2},   {"DE", 3},        {"PSE", 4},
        {"PAE", 5},      {"MCE", 6},   {"PGE", 7},   {"PCE", 8},       {"OSFXSR", 9},
        {"OSXMMEX", 10}, {"UMIP", 11}, {"VMXE", 13}, {"FSGSBASE", 16}, {"PCIDE", 17},
        {"OSXSAVE", 18}, {"SMEP", 20}, {"SMAP", 21},
    };
    static const struct flag efer[] = {{"SCE", 0}, {"LME", 8}, {"LMA", 10}, {"NXE", 11}};

    describe_flags(out, "eflags", 4, eflags, ARRAY_SIZE(eflags));
    describe_flags(out, "cr0", 8, cr0, ARRAY_SIZE(cr0));
    describe_flags(out, "cr4", 8, cr4, ARRAY_SIZE(cr4));
    describe_flags(out, "efer", 8, efer, ARRAY_SIZE(efer));
}

/* What a vector register may be looked at as. */
static void describe_vector(FILE *out)
{
    static const struct {
        const char *name, *type;
        unsigned count;
    } views[] = {
        {"v4_float", "ieee_single", 4}, {"v2_double", "ieee_double", 2}, {"v16_int8", "int8", 16},
        {"v8_int16", "int16", 8},       {"v4_int32", "int32", 4},        {"v2_int64", "int64", 2},
    };

    for (size_t i = 0; i < ARRAY_SIZE(views); i++)
        fprintf(out, "<vector id=\"%s_t\" type=\"%s\" count=\"%u\"/>", views[i].name, views[i].type,
                views[i].count);
    fprintf(out, "\n<union id=\"vec128\">");
    for (size_t i = 0; i < ARRAY_SIZE(views); i++)
        fprintf(out, "<field name=\"%s\" type=\"%s_t\"/>", views[i].name, views[i].name);
    fprintf(out, "<field name=\"uint128\" type=\"uint128\"/></union>\n");
}

/* Types are known in the feature that defines them only. */
static void describe_types(FILE *out, const struct reg *first)
{
    if (first->kind == GPR || first->kind == KERNEL_GS_BASE)
        describe_all_flags(out);
    else if (first->kind == XMM)
        describe_vector(out);
}

void gdb_regs_describe(FILE *out)
{
    fprintf(out, "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n"
                 "<target version=\"1.0\"><architecture>i386:x86-64</architecture>\n");
    for (size_t i = 0; i < ARRAY_SIZE(regs); i++) {
        const struct reg *reg = &regs[i];

        if (reg->feature) {
            fprintf(out, "%s<feature name=\"%s\">\n", i ? "</feature>\n" : "", reg->feature);
            describe_types(out, reg);
        }
        fprintf(out, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\" regnum=\"%zu\"/>\n", reg->name,
                8u * reg->bytes, reg->type, i);
    }
    fprintf(out, "</feature></target>\n");
}

/*
 * The architectural state to and from KVM: registers, segments, x87 and vectors, MSRs, debug
 * registers.
 * Source: KVM API, "KVM_SET_SREGS", "KVM_SET_XSAVE", "KVM_SET_MSRS"; SDM 1 "XSAVE-Supported
 * Features and State-Component Bitmaps".
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "engine/kvm/internal.h"
#include "x86/msr.h"

/* The standard form of an XSAVE area. */
#define XSAVE_HEADER      512
#define XSAVE_AVX         576
#define FXSAVE_ST         32
#define FXSAVE_XMM        160
#define FXSAVE_SLOT_BYTES 16
#define ST_BYTES          10

/* MSRs that are copied as they are, by their place in struct x86_msrs. */
static const struct {
    uint32_t index;
    size_t offset;
} msr_rows[] = {
    {IA32_STAR, offsetof(struct x86_msrs, star)},
    {IA32_LSTAR, offsetof(struct x86_msrs, lstar)},
    {IA32_CSTAR, offsetof(struct x86_msrs, cstar)},
    {IA32_FMASK, offsetof(struct x86_msrs, sfmask)},
    {IA32_KERNEL_GS_BASE, offsetof(struct x86_msrs, kernel_gs_base)},
    {IA32_TSC_AUX, offsetof(struct x86_msrs, tsc_aux)},
    {IA32_SYSENTER_CS, offsetof(struct x86_msrs, sysenter_cs)},
    {IA32_SYSENTER_ESP, offsetof(struct x86_msrs, sysenter_esp)},
    {IA32_SYSENTER_EIP, offsetof(struct x86_msrs, sysenter_eip)},
    {IA32_PAT, offsetof(struct x86_msrs, pat)},
    {IA32_MTRR_DEF_TYPE, offsetof(struct x86_msrs, mtrr_def_type)},
};

/* KVM's name of each segment register's field. */
static struct kvm_segment *kvm_seg(struct kvm_sregs *sregs, unsigned seg)
{
    struct kvm_segment *const fields[X86_ALL_SEGS] = {
        [X86_ES] = &sregs->es,    [X86_CS] = &sregs->cs, [X86_SS] = &sregs->ss,
        [X86_DS] = &sregs->ds,    [X86_FS] = &sregs->fs, [X86_GS] = &sregs->gs,
        [X86_LDTR] = &sregs->ldt, [X86_TR] = &sregs->tr,
    };

    return fields[seg];
}

static void segment_to_kvm(struct kvm_segment *to, const struct x86_segment *from)
{
    *to = (struct kvm_segment){
        .base = from->base,
        .limit = from->limit,
        .selector = from->selector,
        .type = from->attr & X86_SEG_TYPE,
        .s = !!(from->attr & X86_SEG_S),
        .dpl = (uint8_t)x86_seg_dpl(from),
        .present = !!(from->attr & X86_SEG_P),
        .avl = !!(from->attr & X86_SEG_AVL),
        .l = !!(from->attr & X86_SEG_L),
        .db = !!(from->attr & X86_SEG_DB),
        .g = !!(from->attr & X86_SEG_G),
        .unusable = !!(from->attr & X86_SEG_UNUSABLE),
    };
}

static void segment_from_kvm(struct x86_segment *to, const struct kvm_segment *from)
{
    unsigned attr = from->type & X86_SEG_TYPE;

    attr |= from->s ? X86_SEG_S : 0;
    attr |= (unsigned)from->dpl << X86_SEG_DPL_SHIFT;
    attr |= from->present ? X86_SEG_P : 0;
    attr |= from->avl ? X86_SEG_AVL : 0;
    attr |= from->l ? X86_SEG_L : 0;
    attr |= from->db ? X86_SEG_DB : 0;
    attr |= from->g ? X86_SEG_G : 0;
    attr |= from->unusable ? X86_SEG_UNUSABLE : 0;
    *to = (struct x86_segment){from->base, from->limit, from->selector, (uint16_t)attr};
}

/* KVM's order of the general registers is its own; ours is the encoding's. */
static void regs_to_kvm(struct kvm_regs *to, const struct x86_state *from)
{
    const uint64_t *gpr = from->gpr;

    *to = (struct kvm_regs){
        .rax = gpr[X86_RAX],
        .rbx = gpr[X86_RBX],
        .rcx = gpr[X86_RCX],
        .rdx = gpr[X86_RDX],
        .rsi = gpr[X86_RSI],
        .rdi = gpr[X86_RDI],
        .rsp = gpr[X86_RSP],
        .rbp = gpr[X86_RBP],
        .r8 = gpr[X86_R8],
        .r9 = gpr[X86_R9],
        .r10 = gpr[X86_R10],
        .r11 = gpr[X86_R11],
        .r12 = gpr[X86_R12],
        .r13 = gpr[X86_R13],
        .r14 = gpr[X86_R14],
        .r15 = gpr[X86_R15],
        .rip = gpr[X86_RIP],
        .rflags = from->rflags,
    };
}

static void regs_from_kvm(struct x86_state *to, const struct kvm_regs *from)
{
    const uint64_t gpr[X86_GPR_SLOTS] = {
        [X86_RAX] = from->rax, [X86_RBX] = from->rbx, [X86_RCX] = from->rcx, [X86_RDX] = from->rdx,
        [X86_RSI] = from->rsi, [X86_RDI] = from->rdi, [X86_RSP] = from->rsp, [X86_RBP] = from->rbp,
        [X86_R8] = from->r8,   [X86_R9] = from->r9,   [X86_R10] = from->r10, [X86_R11] = from->r11,
        [X86_R12] = from->r12, [X86_R13] = from->r13, [X86_R14] = from->r14, [X86_R15] = from->r15,
        [X86_RIP] = from->rip,
    };

    memcpy(to->gpr, gpr, sizeof(gpr));
    to->rflags = from->rflags;
}

static int get_sregs(struct engine_vcpu *vcpu, struct x86_state *state)
{
    struct kvm_sregs sregs;
    int err = kvm_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs);

    if (err < 0)
        return err;
    for (unsigned i = 0; i < X86_ALL_SEGS; i++)
        segment_from_kvm(&state->seg[i], kvm_seg(&sregs, i));
    state->gdtr = (struct x86_table_register){sregs.gdt.base, sregs.gdt.limit};
    state->idtr = (struct x86_table_register){sregs.idt.base, sregs.idt.limit};
    state->cr0 = sregs.cr0;
    state->cr2 = sregs.cr2;
    state->cr3 = sregs.cr3;
    state->cr4 = sregs.cr4;
    state->msr.efer = sregs.efer;
    return 0;
}

static int set_sregs(struct engine_vcpu *vcpu, const struct x86_state *state)
{
    struct kvm_sregs sregs;
    int err = kvm_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs);

    if (err < 0)
        return err;
    for (unsigned i = 0; i < X86_ALL_SEGS; i++)
        segment_to_kvm(kvm_seg(&sregs, i), &state->seg[i]);
    sregs.gdt = (struct kvm_dtable){.base = state->gdtr.base, .limit = state->gdtr.limit};
    sregs.idt = (struct kvm_dtable){.base = state->idtr.base, .limit = state->idtr.limit};
    sregs.cr0 = state->cr0;
    sregs.cr2 = state->cr2;
    sregs.cr3 = state->cr3;
    sregs.cr4 = state->cr4;
    if (!vcpu->vm.irqchips)
        sregs.cr8 = 0; /* put_apic writes it; KVM's own APIC keeps what it has */
    sregs.efer = state->msr.efer;
    sregs.apic_base = vcpu->apic_base;
    memset(sregs.interrupt_bitmap, 0, sizeof(sregs.interrupt_bitmap));
    return kvm_ioctl(vcpu->fd, KVM_SET_SREGS, &sregs);
}

/* The x87 registers and the low halves of the vectors, without XSAVE. */
static int get_fpu(struct engine_vcpu *vcpu, struct x86_fpu *to)
{
    struct kvm_fpu fpu;
    int err = kvm_ioctl(vcpu->fd, KVM_GET_FPU, &fpu);

    if (err < 0)
        return err;
    for (unsigned i = 0; i < 8; i++)
        memcpy(to->st[i], fpu.fpr[i], ST_BYTES);
    for (unsigned i = 0; i < 16; i++)
        memcpy(to->ymm[i], fpu.xmm[i], sizeof(fpu.xmm[i]));
    to->fcw = fpu.fcw;
    to->fsw = fpu.fsw;
    to->ftw = fpu.ftwx;
    to->fop = fpu.last_opcode;
    to->fip = fpu.last_ip;
    to->fdp = fpu.last_dp;
    to->mxcsr = fpu.mxcsr;
    return 0;
}

static int set_fpu(struct engine_vcpu *vcpu, const struct x86_fpu *from)
{
    struct kvm_fpu fpu = {
        .fcw = from->fcw,
        .fsw = from->fsw,
        .ftwx = from->ftw,
        .last_opcode = from->fop,
        .last_ip = from->fip,
        .last_dp = from->fdp,
        .mxcsr = from->mxcsr,
    };

    for (unsigned i = 0; i < 8; i++)
        memcpy(fpu.fpr[i], from->st[i], ST_BYTES);
    for (unsigned i = 0; i < 16; i++)
        memcpy(fpu.xmm[i], from->ymm[i], sizeof(fpu.xmm[i]));
    return kvm_ioctl(vcpu->fd, KVM_SET_FPU, &fpu);
}

/* The high halves of the vectors stand in the XSAVE area only. */
static int get_ymm_high(struct engine_vcpu *vcpu, struct x86_fpu *to)
{
    struct kvm_xsave area;
    const uint8_t *bytes = (const uint8_t *)&area;
    uint64_t in_use;
    int err = kvm_ioctl(vcpu->fd, KVM_GET_XSAVE, &area);

    if (err < 0)
        return err;
    memcpy(&in_use, bytes + XSAVE_HEADER, sizeof(in_use));
    for (unsigned i = 0; i < 16; i++) {
        if (in_use & X86_XCR0_AVX)
            memcpy(to->ymm[i] + 16, bytes + XSAVE_AVX + 16 * i, 16);
        else
            memset(to->ymm[i] + 16, 0, 16);
    }
    return 0;
}

static int set_ymm_high(struct engine_vcpu *vcpu, const struct x86_fpu *from)
{
    struct kvm_xsave area;
    uint8_t *bytes = (uint8_t *)&area;
    uint64_t in_use;
    int err = kvm_ioctl(vcpu->fd, KVM_GET_XSAVE, &area);

    if (err < 0)
        return err;
    memcpy(&in_use, bytes + XSAVE_HEADER, sizeof(in_use));
    in_use |= X86_XCR0_X87 | X86_XCR0_SSE | X86_XCR0_AVX;
    memcpy(bytes + XSAVE_HEADER, &in_use, sizeof(in_use));
    for (unsigned i = 0; i < 16; i++)
        memcpy(bytes + XSAVE_AVX + 16 * i, from->ymm[i] + 16, 16);
    return kvm_ioctl(vcpu->fd, KVM_SET_XSAVE, &area);
}

static int xcr0(struct engine_vcpu *vcpu, uint64_t *value, bool write)
{
    struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs[0] = {.xcr = 0, .value = *value}};
    int err = kvm_ioctl(vcpu->fd, write ? KVM_SET_XCRS : KVM_GET_XCRS, &xcrs);

    if (err >= 0 && !write && xcrs.nr_xcrs > 0)
        *value = xcrs.xcrs[0].value;
    return err;
}

/* One MSR at a time: KVM stops at the first that it does not have, and a guest may not miss it. */
int kvm_access_msr(struct engine_vcpu *vcpu, uint32_t index, uint64_t *value, bool write)
{
    _Alignas(struct kvm_msrs) char bytes[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
    struct kvm_msrs *one = (struct kvm_msrs *)bytes;
    int done;

    memset(bytes, 0, sizeof(bytes));
    one->nmsrs = 1;
    one->entries[0].index = index;
    one->entries[0].data = *value;
    done = kvm_ioctl(vcpu->fd, write ? KVM_SET_MSRS : KVM_GET_MSRS, one);
    if (done == 1 && !write)
        *value = one->entries[0].data;
    return done < 0 ? done : 0;
}

static int access_msrs(struct engine_vcpu *vcpu, struct x86_msrs *msrs, bool write)
{
    uint64_t tsc;
    int err = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(msr_rows) && err >= 0; i++) {
        uint64_t *field = (uint64_t *)((char *)msrs + msr_rows[i].offset);

        err = kvm_access_msr(vcpu, msr_rows[i].index, field, write);
    }
    if (err < 0)
        return err;
    tsc = vcpu->host.tsc_now(vcpu->host.opaque) + msrs->tsc_offset;
    err = kvm_access_msr(vcpu, IA32_TIME_STAMP_COUNTER, &tsc, write);
    if (!write)
        msrs->tsc_offset = tsc - vcpu->host.tsc_now(vcpu->host.opaque);
    return err;
}

static int debug_registers(struct engine_vcpu *vcpu, uint64_t dr[8], bool write)
{
    struct kvm_debugregs regs = {.dr6 = dr[6], .dr7 = dr[7]};
    int err;

    memcpy(regs.db, dr, sizeof(regs.db));
    err = kvm_ioctl(vcpu->fd, write ? KVM_SET_DEBUGREGS : KVM_GET_DEBUGREGS, &regs);
    if (err >= 0 && !write) {
        memcpy(dr, regs.db, sizeof(regs.db));
        dr[6] = regs.dr6;
        dr[7] = regs.dr7;
    }
    return err;
}

int kvm_get_state(struct engine_vcpu *vcpu, struct x86_state *state)
{
    struct kvm_regs regs;
    int err = kvm_ioctl(vcpu->fd, KVM_GET_REGS, &regs);

    memset(state, 0, sizeof(*state));
    if (err < 0)
        return err;
    regs_from_kvm(state, &regs);
    err = get_sregs(vcpu, state);
    if (err >= 0)
        err = get_fpu(vcpu, &state->fpu);
    if (err >= 0 && vcpu->has_xsave)
        err = get_ymm_high(vcpu, &state->fpu);
    if (err >= 0 && vcpu->has_xsave)
        err = xcr0(vcpu, &state->xcr0, false);
    if (err >= 0)
        err = access_msrs(vcpu, &state->msr, false);
    if (err >= 0)
        err = debug_registers(vcpu, state->dr, false);
    return err < 0 ? err : 0;
}

int kvm_set_state(struct engine_vcpu *vcpu, const struct x86_state *state)
{
    struct x86_state copy = *state;
    struct kvm_regs regs;
    int err;

    regs_to_kvm(&regs, state);
    err = kvm_ioctl(vcpu->fd, KVM_SET_REGS, &regs);
    if (err >= 0)
        err = set_sregs(vcpu, state);
    if (err >= 0 && vcpu->has_xsave)
        err = xcr0(vcpu, &copy.xcr0, true);
    if (err >= 0)
        err = set_fpu(vcpu, &state->fpu);
    if (err >= 0 && vcpu->has_xsave)
        err = set_ymm_high(vcpu, &state->fpu);
    if (err >= 0)
        err = access_msrs(vcpu, &copy.msr, true);
    if (err >= 0)
        err = debug_registers(vcpu, copy.dr, true);
    return err < 0 ? err : 0;
}

/*
 * What is true of a processor's state whatever software did.
 * Source: SDM 3 "System Architecture Overview" (which bits exist and exclude one another),
 * "Canonicality Checking", SDM 3 "Virtual-8086 Mode".
 */
#include "guest/guest.h"

#define FLAGS_RESERVED (~(BIT(22) - 1) | BIT(3) | BIT(5) | BIT(15))
#define ATTR_RESERVED  0x0e00
#define CR0_BITS                                                                                   \
    (X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP |    \
     X86_CR0_AM | X86_CR0_NW | X86_CR0_CD | X86_CR0_PG)
#define EFER_BITS (X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE)
#define XCR0_BITS (X86_XCR0_X87 | X86_XCR0_SSE | X86_XCR0_AVX)

#define DR6_ONES        0xfffe0ff0u
#define DR7_ONE         BIT(10)
#define VM86_ATTR       0xf3
#define HOST_MXCSR      0x1f80u
#define HOST_X87_EMPTY  0xffffu
#define MXCSR_BITS      0xffffu
#define X87_ENV_CONTROL 0x037fu

static bool implies(bool a, bool b)
{
    return !a || b;
}

static void check_control(const struct x86_state *x)
{
    bool pg = x->cr0 & X86_CR0_PG, lme = x->msr.efer & X86_EFER_LME;
    bool lma = x->msr.efer & X86_EFER_LMA;

    FUZZ_CHECK((x->cr0 & ~CR0_BITS) == 0 && (x->cr0 & X86_CR0_ET));
    FUZZ_CHECK(implies(pg, x->cr0 & X86_CR0_PE));
    FUZZ_CHECK(implies(x->cr0 & X86_CR0_NW, x->cr0 & X86_CR0_CD));
    FUZZ_CHECK((x->msr.efer & ~EFER_BITS) == 0);
    FUZZ_CHECK(lma == (pg && lme));
    FUZZ_CHECK(implies(lma, x->cr4 & X86_CR4_PAE));
    FUZZ_CHECK(implies(x->cr4 & X86_CR4_PCIDE, lma));
    FUZZ_CHECK(x->cr4 < BIT(22));
    FUZZ_CHECK((x->xcr0 & ~XCR0_BITS) == 0 && (x->xcr0 & X86_XCR0_X87));
    FUZZ_CHECK(implies(x->xcr0 & X86_XCR0_AVX, x->xcr0 & X86_XCR0_SSE));
}

static void check_flags(const struct x86_state *x)
{
    bool vm = x->rflags & X86_FLAG_VM;

    FUZZ_CHECK((x->rflags & FLAGS_RESERVED) == 0 && (x->rflags & X86_FLAG_ONE));
    FUZZ_CHECK(implies(vm, x->cr0 & X86_CR0_PE));
    FUZZ_CHECK(implies(vm, !(x->msr.efer & X86_EFER_LMA)));
    FUZZ_CHECK((x->dr[6] & DR6_ONES) == DR6_ONES && x->dr[6] <= UINT32_MAX);
    FUZZ_CHECK((x->dr[7] & DR7_ONE) && x->dr[7] <= UINT32_MAX);
}

static void check_vm86_segment(const struct x86_segment *seg)
{
    FUZZ_CHECK(seg->base == (uint64_t)seg->selector << 4);
    FUZZ_CHECK(seg->limit == 0xffff && seg->attr == VM86_ATTR);
}

static void check_segments(const struct x86_state *x)
{
    bool lma = x->msr.efer & X86_EFER_LMA;

    for (unsigned i = 0; i < X86_ALL_SEGS; i++) {
        const struct x86_segment *seg = &x->seg[i];

        FUZZ_CHECK((seg->attr & ATTR_RESERVED) == 0);
        /* Outside long mode the upper half of a base may be a remainder, which nothing looks at. */
        FUZZ_CHECK(implies(lma, x86_canonical(seg->base)));
        if (i < X86_SEGS && (x->rflags & X86_FLAG_VM))
            check_vm86_segment(seg);
    }
    FUZZ_CHECK(implies(lma, !(x->seg[X86_TR].attr & X86_SEG_S)));
}

static void check_addresses(const struct x86_state *x)
{
    const struct x86_msrs *m = &x->msr;
    bool lma = x->msr.efer & X86_EFER_LMA;
    bool long64 = lma && (x->seg[X86_CS].attr & X86_SEG_L);

    FUZZ_CHECK(x->gpr[X86_ZERO] == 0);
    FUZZ_CHECK(implies(!long64, x->gpr[X86_RIP] <= UINT32_MAX));
    FUZZ_CHECK(implies(lma, x86_canonical(x->gdtr.base) && x86_canonical(x->idtr.base)));
    FUZZ_CHECK(x86_canonical(m->lstar) && x86_canonical(m->cstar));
    FUZZ_CHECK(x86_canonical(m->kernel_gs_base));
    FUZZ_CHECK(x86_canonical(m->sysenter_esp) && x86_canonical(m->sysenter_eip));
}

/* The engine has given the host's floating-point units back. */
static void check_host(const struct x86_state *x)
{
    struct {
        uint32_t control, status, tags, rest[4];
    } env;
    uint32_t mxcsr;

    FUZZ_CHECK((x->fpu.mxcsr & ~MXCSR_BITS) == 0);
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    FUZZ_CHECK((mxcsr & ~0x3fu) == HOST_MXCSR);
    __asm__ volatile("fnstenv %0\n\tfldenv %0" : "+m"(env));
    FUZZ_CHECK((env.control & 0xffff) == X87_ENV_CONTROL);
    FUZZ_CHECK((env.tags & 0xffff) == HOST_X87_EMPTY);
}

void guest_check_state(struct guest *guest, enum engine_stop why)
{
    struct x86_state x;

    /* Such a fault costs the guest nothing, but it is a mistake of ours. */
    FUZZ_CHECK(engine_soft.vcpu_counters(guest->vcpu)->host_faults == 0);
    engine_soft.vcpu_get_state(guest->vcpu, &x);
    check_control(&x);
    check_flags(&x);
    check_segments(&x);
    check_addresses(&x);
    check_host(&x);
    /* A task switch that failed in the new task leaves no CS; then only a shutdown may follow. */
    FUZZ_CHECK(why == ENGINE_STOP_SHUTDOWN || !(x.seg[X86_CS].attr & X86_SEG_UNUSABLE));
}

/* The reset state of a processor, and its registers' names. */
#include "x86/state.h"

#include <string.h>

#define RESET_RIP                0xfff0u
#define RESET_CS                 0xf000u
#define RESET_CS_BASE            0xffff0000u
#define RESET_LIMIT              0xffffu
#define RESET_DR6                0xffff0ff0u
#define RESET_DR7                0x400u
#define RESET_FCW                0x0040u
#define RESET_MXCSR              0x1f80u
#define RESET_PAT                0x0007040600070406u
#define RESET_FAMILY             0x600u /* EDX names the processor's family, 6 as in cpuid.c */
#define MISC_ENABLE_FAST_STRINGS BIT(0)

#define ATTR_DATA (X86_SEG_P | X86_SEG_S | X86_SEG_WRITE | X86_SEG_ACCESSED)
#define ATTR_CODE (ATTR_DATA | X86_SEG_CODE)

const char *const x86_gpr_names[X86_GPR_SLOTS] = {
    [X86_RAX] = "rax", [X86_RCX] = "rcx",   [X86_RDX] = "rdx", [X86_RBX] = "rbx", [X86_RSP] = "rsp",
    [X86_RBP] = "rbp", [X86_RSI] = "rsi",   [X86_RDI] = "rdi", [X86_R8] = "r8",   [X86_R9] = "r9",
    [X86_R10] = "r10", [X86_R11] = "r11",   [X86_R12] = "r12", [X86_R13] = "r13", [X86_R14] = "r14",
    [X86_R15] = "r15", [X86_ZERO] = "zero", [X86_RIP] = "rip",
};

const char *const x86_seg_names[X86_ALL_SEGS] = {
    [X86_ES] = "es", [X86_CS] = "cs", [X86_SS] = "ss",     [X86_DS] = "ds",
    [X86_FS] = "fs", [X86_GS] = "gs", [X86_LDTR] = "ldtr", [X86_TR] = "tr",
};

static void reset_segments(struct x86_state *state)
{
    for (unsigned i = 0; i < X86_SEGS; i++)
        state->seg[i] = (struct x86_segment){.limit = RESET_LIMIT, .attr = ATTR_DATA};
    state->seg[X86_CS] = (struct x86_segment){
        .base = RESET_CS_BASE,
        .limit = RESET_LIMIT,
        .selector = RESET_CS,
        .attr = ATTR_CODE,
    };
    state->seg[X86_LDTR] = (struct x86_segment){.limit = RESET_LIMIT, .attr = X86_SEG_P | X86_LDT};
    state->seg[X86_TR] =
        (struct x86_segment){.limit = RESET_LIMIT, .attr = X86_SEG_P | X86_TSS_BUSY};
    state->gdtr.limit = RESET_LIMIT;
    state->idtr.limit = RESET_LIMIT;
}

static void reset_fpu(struct x86_fpu *fpu)
{
    fpu->fcw = RESET_FCW;
    fpu->ftw = 0xff; /* every register holds +0.0 */
    fpu->mxcsr = RESET_MXCSR;
}

static void reset_msrs(struct x86_msrs *msr)
{
    msr->pat = RESET_PAT;
    msr->misc_enable = MISC_ENABLE_FAST_STRINGS;
}

void x86_state_reset(struct x86_state *state, bool init)
{
    const uint64_t cache_bits = X86_CR0_CD | X86_CR0_NW;
    struct x86_fpu fpu = state->fpu;
    struct x86_msrs msr = state->msr;
    uint64_t kept = init ? state->cr0 & cache_bits : cache_bits;
    uint64_t xcr0 = init ? state->xcr0 : X86_XCR0_X87;

    memset(state, 0, sizeof(*state));
    state->gpr[X86_RIP] = RESET_RIP;
    state->gpr[X86_RDX] = RESET_FAMILY;
    state->rflags = X86_FLAG_ONE;
    state->cr0 = X86_CR0_ET | kept;
    state->xcr0 = xcr0;
    state->dr[6] = RESET_DR6;
    state->dr[7] = RESET_DR7;
    reset_segments(state);
    if (init) {
        state->fpu = fpu;
        state->msr = msr;
        state->msr.efer = 0;
    } else {
        reset_fpu(&state->fpu);
        reset_msrs(&state->msr);
    }
}

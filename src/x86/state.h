/*
 * The architectural state of one x86-64 logical processor, as both engines exchange it, and the
 * names of its registers and bits. Pure data: nothing here executes anything.
 * Source: SDM 1 "Basic Execution Environment", SDM 3 "System Architecture Overview".
 */
#ifndef UMBRA_X86_STATE_H
#define UMBRA_X86_STATE_H

#include "base/types.h"

enum x86_gpr {
    X86_RAX,
    X86_RCX,
    X86_RDX,
    X86_RBX,
    X86_RSP,
    X86_RBP,
    X86_RSI,
    X86_RDI,
    X86_R8,
    X86_R9,
    X86_R10,
    X86_R11,
    X86_R12,
    X86_R13,
    X86_R14,
    X86_R15,
    X86_ZERO, /* always 0: stands for an absent base or index */
    X86_RIP,  /* so that RIP-relative addresses need no case of their own */
    X86_GPR_SLOTS
};

/* In the order of the sreg encodings of MOV Sreg. */
enum x86_seg {
    X86_ES,
    X86_CS,
    X86_SS,
    X86_DS,
    X86_FS,
    X86_GS,
    X86_SEGS,
    X86_LDTR = X86_SEGS,
    X86_TR,
    X86_ALL_SEGS
};

/*
 * A segment register with its hidden part. attr is laid out as bits 8..23 of a descriptor's high
 * dword, shifted to bit 0 (SDM 3 "Segment Descriptors"): type 3..0, S 4, DPL 6..5, P 7,
 * AVL 12, L 13, D/B 14, G 15. The limit is in bytes, already scaled by G.
 */
struct x86_segment {
    uint64_t base;
    uint32_t limit;
    uint16_t selector;
    uint16_t attr;
};

#define X86_SEG_TYPE      0x000f
#define X86_SEG_ACCESSED  0x0001
#define X86_SEG_WRITE     0x0002 /* data: writable; code: readable */
#define X86_SEG_READ      0x0002
#define X86_SEG_DOWN      0x0004 /* data: expand-down; code: conforming */
#define X86_SEG_CONFORM   0x0004
#define X86_SEG_CODE      0x0008
#define X86_SEG_S         0x0010 /* code or data, not system */
#define X86_SEG_DPL_SHIFT 5
#define X86_SEG_DPL       0x0060
#define X86_SEG_P         0x0080
#define X86_SEG_AVL       0x1000
#define X86_SEG_L         0x2000
#define X86_SEG_DB        0x4000
#define X86_SEG_G         0x8000
/* Not in any descriptor: the register was loaded with a null selector. */
#define X86_SEG_UNUSABLE 0x0100

/* System segment and gate types (SDM 3 "System-Segment and Gate-Descriptor Types"). */
enum x86_system_type {
    X86_TSS16_AVAIL = 1,
    X86_LDT = 2,
    X86_TSS16_BUSY = 3,
    X86_CALL_GATE16 = 4,
    X86_TASK_GATE = 5,
    X86_INT_GATE16 = 6,
    X86_TRAP_GATE16 = 7,
    X86_TSS_AVAIL = 9,
    X86_TSS_BUSY = 11,
    X86_CALL_GATE = 12,
    X86_INT_GATE = 14,
    X86_TRAP_GATE = 15,
};

struct x86_table_register {
    uint64_t base;
    uint16_t limit;
};

#define X86_FLAG_CF         BIT(0)
#define X86_FLAG_ONE        BIT(1) /* always set */
#define X86_FLAG_PF         BIT(2)
#define X86_FLAG_AF         BIT(4)
#define X86_FLAG_ZF         BIT(6)
#define X86_FLAG_SF         BIT(7)
#define X86_FLAG_TF         BIT(8)
#define X86_FLAG_IF         BIT(9)
#define X86_FLAG_DF         BIT(10)
#define X86_FLAG_OF         BIT(11)
#define X86_FLAG_IOPL       (BIT(12) | BIT(13))
#define X86_FLAG_IOPL_SHIFT 12
#define X86_FLAG_NT         BIT(14)
#define X86_FLAG_RF         BIT(16)
#define X86_FLAG_VM         BIT(17)
#define X86_FLAG_AC         BIT(18)
#define X86_FLAG_VIF        BIT(19)
#define X86_FLAG_VIP        BIT(20)
#define X86_FLAG_ID         BIT(21)
/* All flags that there are; the other bits of RFLAGS read as 0, but for bit 1. */
#define X86_FLAGS_DEFINED 0x3f7fd5u
#define X86_FLAGS_ARITH                                                                            \
    (X86_FLAG_CF | X86_FLAG_PF | X86_FLAG_AF | X86_FLAG_ZF | X86_FLAG_SF | X86_FLAG_OF)

#define X86_CR0_PE BIT(0)
#define X86_CR0_MP BIT(1)
#define X86_CR0_EM BIT(2)
#define X86_CR0_TS BIT(3)
#define X86_CR0_ET BIT(4)
#define X86_CR0_NE BIT(5)
#define X86_CR0_WP BIT(16)
#define X86_CR0_AM BIT(18)
#define X86_CR0_NW BIT(29)
#define X86_CR0_CD BIT(30)
#define X86_CR0_PG BIT(31)

#define X86_CR4_VME        BIT(0)
#define X86_CR4_PVI        BIT(1)
#define X86_CR4_TSD        BIT(2)
#define X86_CR4_DE         BIT(3)
#define X86_CR4_PSE        BIT(4)
#define X86_CR4_PAE        BIT(5)
#define X86_CR4_MCE        BIT(6)
#define X86_CR4_PGE        BIT(7)
#define X86_CR4_PCE        BIT(8)
#define X86_CR4_OSFXSR     BIT(9)
#define X86_CR4_OSXMMEXCPT BIT(10)
#define X86_CR4_UMIP       BIT(11)
#define X86_CR4_LA57       BIT(12)
#define X86_CR4_FSGSBASE   BIT(16)
#define X86_CR4_PCIDE      BIT(17)
#define X86_CR4_OSXSAVE    BIT(18)
#define X86_CR4_SMEP       BIT(20)
#define X86_CR4_SMAP       BIT(21)

#define X86_EFER_SCE BIT(0)
#define X86_EFER_LME BIT(8)
#define X86_EFER_LMA BIT(10)
#define X86_EFER_NXE BIT(11)

#define X86_XCR0_X87 BIT(0)
#define X86_XCR0_SSE BIT(1)
#define X86_XCR0_AVX BIT(2)

enum x86_vector {
    X86_DE = 0,
    X86_DB = 1,
    X86_NMI = 2,
    X86_BP = 3,
    X86_OF = 4,
    X86_BR = 5,
    X86_UD = 6,
    X86_NM = 7,
    X86_DF = 8,
    X86_TS = 10,
    X86_NP = 11,
    X86_SS_FAULT = 12,
    X86_GP = 13,
    X86_PF = 14,
    X86_MF = 16,
    X86_AC = 17,
    X86_MC = 18,
    X86_XM = 19,
};

/* Vector and x87 state. The vector registers are whole here; XSAVE's split is XSAVE's business. */
struct x86_fpu {
    _Alignas(64) uint8_t ymm[16][32];
    uint8_t st[8][16]; /* physical order as FXSAVE has it: ST(i), 10 bytes each */
    uint16_t fcw, fsw, fop;
    uint8_t ftw; /* abridged: a bit per physical register, 1 = not empty */
    uint32_t mxcsr;
    uint64_t fip, fdp; /* last x87 instruction and operand */
    uint16_t fcs, fds;
};

#define X86_MTRR_VARIABLE 8

struct x86_msrs {
    uint64_t efer, star, lstar, cstar, sfmask, kernel_gs_base, tsc_aux;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t pat, misc_enable, tsc_offset, debugctl, spec_ctrl;
    uint64_t mtrr_def_type, mtrr_fixed[11];
    uint64_t mtrr_base[X86_MTRR_VARIABLE], mtrr_mask[X86_MTRR_VARIABLE];
};

struct x86_state {
    uint64_t gpr[X86_GPR_SLOTS]; /* includes RIP; the ZERO slot stays 0 */
    uint64_t rflags;
    struct x86_segment seg[X86_ALL_SEGS];
    struct x86_table_register gdtr, idtr;
    uint64_t cr0, cr2, cr3, cr4, xcr0;
    uint64_t dr[8];    /* 4 and 5 unused */
    uint64_t pdpte[4]; /* PAE paging's registers, loaded with CR3 */
    struct x86_msrs msr;
    struct x86_fpu fpu;
};

static inline unsigned x86_seg_dpl(const struct x86_segment *seg)
{
    return (seg->attr & X86_SEG_DPL) >> X86_SEG_DPL_SHIFT;
}

/* Whether a linear address is canonical under 4-level paging (48 bits). */
static inline bool x86_canonical(uint64_t address)
{
    return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

/*
 * The state after RESET or INIT (SDM 3 "Processor State After Reset"). An INIT keeps what the
 * manual says it keeps: vector and x87 state, TSC, MTRRs and CR0's cache bits.
 */
void x86_state_reset(struct x86_state *state, bool init);

/* The registers' names in the manual's spelling, in lower case: "rax", "rip"; "es", "ldtr". */
extern const char *const x86_gpr_names[X86_GPR_SLOTS];
extern const char *const x86_seg_names[X86_ALL_SEGS];

#endif

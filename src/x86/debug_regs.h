/* DR6 and DR7. Source: SDM 3 "Debug Registers". */
#ifndef UMBRA_X86_DEBUG_REGS_H
#define UMBRA_X86_DEBUG_REGS_H

#include "base/types.h"

#define X86_BREAKPOINTS 4 /* DR0 to DR3 */

/* DR6: why there was a debug exception. */
#define X86_DR6_HITS     0xfu    /* a breakpoint each */
#define X86_DR6_BD       BIT(13) /* a debug register was about to be accessed under DR7.GD */
#define X86_DR6_BS       BIT(14) /* single step */
#define X86_DR6_BT       BIT(15) /* the T flag of a task */
#define X86_DR6_FIXED    0xffff0ff0u
#define X86_DR6_WRITABLE 0x0000e00fu

/* DR7: two enable bits a breakpoint, local and global; from bit 16 on kind and length of each. */
#define X86_DR7_ENABLED  0xffu
#define X86_DR7_LOCAL    0x155u /* the local enable bits and LE: they end with their task */
#define X86_DR7_GE       BIT(9) /* exact breakpoints: processors since the P6 ignore it */
#define X86_DR7_GD       BIT(13)
#define X86_DR7_FIXED    0x00000400u
#define X86_DR7_WRITABLE 0xffff23ffu

enum x86_breakpoint_kind {
    X86_BREAK_EXECUTE,
    X86_BREAK_WRITE,
    X86_BREAK_PORT, /* with CR4.DE */
    X86_BREAK_ACCESS,
};

/* A breakpoint's four bits of DR7: the kind, and a code for the length. */
#define X86_DR7_FIELD_SHIFT 16
#define X86_DR7_FIELD_BITS  4

static inline unsigned x86_breakpoint_shift(unsigned i)
{
    return X86_DR7_FIELD_SHIFT + X86_DR7_FIELD_BITS * i;
}

static inline bool x86_breakpoint_enabled(uint64_t dr7, unsigned i)
{
    return dr7 >> (2 * i) & 3;
}

/* The kind in a breakpoint's four bits. */
static inline enum x86_breakpoint_kind x86_breakpoint_field_kind(uint64_t field)
{
    return (enum x86_breakpoint_kind)(field & 3);
}

static inline enum x86_breakpoint_kind x86_breakpoint_kind(uint64_t dr7, unsigned i)
{
    return x86_breakpoint_field_kind(dr7 >> x86_breakpoint_shift(i));
}

/* Of a breakpoint on data or ports. */
static inline unsigned x86_breakpoint_bytes(uint64_t dr7, unsigned i)
{
    static const uint8_t bytes[] = {1, 2, 8, 4};

    return bytes[dr7 >> (x86_breakpoint_shift(i) + 2) & 3];
}

/* The four bits for a kind and 1, 2, 4 or 8 bytes. */
static inline uint8_t x86_breakpoint_field(enum x86_breakpoint_kind kind, unsigned bytes)
{
    static const uint8_t lengths[] = {[1] = 0x0, [2] = 0x4, [4] = 0xc, [8] = 0x8};

    return lengths[bytes] | kind;
}

#endif

/*
 * What the manual leaves to the processor, or Intel and AMD do differently, in cases that ended
 * with a fault. h is the host's outcome, g the guest's.
 */
#include "state.h"

#define MXCSR_MISALIGNED BIT(17) /* AMD's; reserved on Intel, and for Umbra's guests */

unsigned diff_reached(const struct diff_case *c, const struct diff_state *s)
{
    uint64_t at = c->start;
    unsigned i = 0;

    if (s->rip < c->start || s->rip > c->start + c->len) /* the last instruction jumped there */
        return c->count;
    while (i < c->count && at < s->rip)
        at += c->lengths[i++];
    return i;
}

static bool is_gather(unsigned mnemonic)
{
    switch (mnemonic) {
    case ZYDIS_MNEMONIC_VGATHERDPD:
    case ZYDIS_MNEMONIC_VGATHERDPS:
    case ZYDIS_MNEMONIC_VGATHERQPD:
    case ZYDIS_MNEMONIC_VGATHERQPS:
    case ZYDIS_MNEMONIC_VPGATHERDD:
    case ZYDIS_MNEMONIC_VPGATHERDQ:
    case ZYDIS_MNEMONIC_VPGATHERQD:
    case ZYDIS_MNEMONIC_VPGATHERQQ: return true;
    default: return false;
    }
}

/*
 * An operand that wraps around the end of a 4 GiB segment may fault or not (SDM 3 "Limit
 * Checking"), and so may one around the end of the address space.
 */
static bool is_wrapped(const struct diff_case *c, const struct diff_state *h,
                       const struct diff_state *g)
{
    bool limit = h->vector == X86_GP || h->vector == X86_SS_FAULT;

    if (!c->compat)
        return h->vector == X86_PF && h->fault_address > UINT64_MAX - 64 && g->vector != X86_BP;
    return limit &&
           (g->vector == X86_AC || (g->vector == X86_PF && g->fault_address > UINT32_MAX - 64));
}

/* What may differ at the instruction that faulted on the host. */
static unsigned of_instruction(unsigned mnemonic, const struct diff_state *g)
{
    if (is_gather(mnemonic)) /* any of its elements may have been done */
        return g->vector == X86_BP ? 0 : DIFF_TOLERATE_FAULT | DIFF_TOLERATE_VECTORS;
    switch (mnemonic) {
    /* May fault on bytes that are masked off; AMD's MASKMOVQ turns to MMX before it faults. */
    case ZYDIS_MNEMONIC_MASKMOVQ:
    case ZYDIS_MNEMONIC_MASKMOVDQU:
    case ZYDIS_MNEMONIC_VMASKMOVDQU: return DIFF_TOLERATE_CASE;
    case ZYDIS_MNEMONIC_VMASKMOVPS:
    case ZYDIS_MNEMONIC_VMASKMOVPD:
    case ZYDIS_MNEMONIC_VPMASKMOVD:
    case ZYDIS_MNEMONIC_VPMASKMOVQ:
    /* Which operand is read first, and whether the push or the target is looked at first. */
    case ZYDIS_MNEMONIC_CMPSB:
    case ZYDIS_MNEMONIC_CMPSW:
    case ZYDIS_MNEMONIC_CMPSD:
    case ZYDIS_MNEMONIC_CMPSQ:
    case ZYDIS_MNEMONIC_CALL: return g->vector == X86_BP ? 0 : DIFF_TOLERATE_FAULT;
    default: return 0;
    }
}

unsigned diff_tolerance(const struct diff_case *c, const struct diff_state *h,
                        const struct diff_state *g)
{
    unsigned n = diff_reached(c, h);

    if (is_wrapped(c, h, g) || ((h->mxcsr & MXCSR_MISALIGNED) && g->vector == X86_GP))
        return DIFF_TOLERATE_CASE;
    return h->vector == X86_BP || n >= c->count ? 0 : of_instruction(c->mnemonics[n], g);
}

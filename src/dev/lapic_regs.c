/*
 * The local APIC's registers: which exist in which mode, and what a read or write of each does.
 * xAPIC: an access to a reserved one sets "illegal register address". x2APIC: it is #GP, and so
 * is a reserved bit. Specification: Intel SDM 3, "Local APIC Register Address Map" and "x2APIC
 * Register Address Space".
 */
#include "base/trace.h"
#include "dev/lapic_state.h"
#include "x86/msr.h"

#define VERSION_VALUE (0x14u | (LAPIC_LVT_COUNT - 1) << 16)

/* Who may touch a register. */
enum access {
    NONE = 0,
    XR = 1,  /* read in xAPIC mode */
    XW = 2,  /* written in xAPIC mode */
    X2R = 4, /* read in x2APIC mode */
    X2W = 8, /* written in x2APIC mode */
    R = XR | X2R,
    W = XW | X2W,
    RW = R | W,
};

struct reg_rule {
    uint8_t access;
    uint64_t known; /* bits that an x2APIC write may set; the others are #GP */
};

#define LVT_COMMON  (LVT_VECTOR | LVT_STATUS | LVT_MASKED)
#define LVT_LINT    (LVT_COMMON | LVT_DELIVERY | LVT_POLARITY | LVT_REMOTE_IRR | LVT_LEVEL)
#define ICR_KNOWN   0xffffffff000ccfffu
#define READ_8(reg) [reg...(reg) + LAPIC_VECTOR_WORDS - 1] = {R, 0}

static const struct reg_rule rules[LAPIC_REG_COUNT] = {
    [LAPIC_REG_ID] = {R | XW, 0},
    [LAPIC_REG_VERSION] = {R, 0},
    [LAPIC_REG_TPR] = {RW, 0xff},
    [LAPIC_REG_APR] = {XR, 0},
    [LAPIC_REG_PPR] = {R, 0},
    [LAPIC_REG_EOI] = {W, 0},
    [LAPIC_REG_RRD] = {XR, 0},
    [LAPIC_REG_LDR] = {R | XW, 0},
    [LAPIC_REG_DFR] = {XR | XW, 0},
    [LAPIC_REG_SVR] = {RW, 0x1ff},
    READ_8(LAPIC_REG_ISR),
    READ_8(LAPIC_REG_TMR),
    READ_8(LAPIC_REG_IRR),
    [LAPIC_REG_ESR] = {RW, 0},
    [LAPIC_REG_ICR_LOW] = {RW, ICR_KNOWN},
    [LAPIC_REG_ICR_HIGH] = {XR | XW, 0},
    [LAPIC_REG_LVT_TIMER] = {RW, LVT_COMMON | LVT_TIMER_MODE},
    [LAPIC_REG_LVT_TIMER + LAPIC_LVT_THERMAL] = {RW, LVT_COMMON | LVT_DELIVERY},
    [LAPIC_REG_LVT_TIMER + LAPIC_LVT_PERF] = {RW, LVT_COMMON | LVT_DELIVERY},
    [LAPIC_REG_LVT_TIMER + LAPIC_LVT_LINT0] = {RW, LVT_LINT},
    [LAPIC_REG_LVT_TIMER + LAPIC_LVT_LINT1] = {RW, LVT_LINT},
    [LAPIC_REG_LVT_ERROR] = {RW, LVT_COMMON},
    [LAPIC_REG_TIMER_INITIAL] = {RW, 0xffffffff},
    [LAPIC_REG_TIMER_CURRENT] = {R, 0},
    [LAPIC_REG_TIMER_DIVIDE] = {RW, 0xb},
    [LAPIC_REG_SELF_IPI] = {X2W, 0xff},
};

static uint64_t read_register(const struct lapic *lapic, unsigned reg)
{
    bool x2 = lapic_in_x2apic(lapic);

    switch (reg) {
    case LAPIC_REG_ID: return x2 ? lapic->config.id : lapic->config.id << 24;
    case LAPIC_REG_VERSION: return VERSION_VALUE;
    case LAPIC_REG_TPR: return lapic->state.tpr;
    case LAPIC_REG_PPR: return lapic_processor_priority(lapic);
    case LAPIC_REG_LDR: return lapic_logical_id(lapic);
    case LAPIC_REG_DFR: return lapic->state.dfr;
    case LAPIC_REG_SVR: return lapic->state.svr;
    case LAPIC_REG_ESR: return lapic->state.esr;
    case LAPIC_REG_ICR_LOW: return x2 ? lapic->state.icr : (uint32_t)lapic->state.icr;
    case LAPIC_REG_ICR_HIGH: return lapic->state.icr >> 32;
    case LAPIC_REG_TIMER_INITIAL: return lapic->state.timer.initial;
    case LAPIC_REG_TIMER_CURRENT: return lapic_timer_current(lapic);
    case LAPIC_REG_TIMER_DIVIDE: return lapic->state.timer.divide;
    default: break;
    }
    if (reg >= LAPIC_REG_ISR && reg < LAPIC_REG_TMR)
        return lapic->state.isr[reg - LAPIC_REG_ISR];
    if (reg >= LAPIC_REG_TMR && reg < LAPIC_REG_IRR)
        return lapic->state.tmr[reg - LAPIC_REG_TMR];
    if (reg >= LAPIC_REG_IRR && reg < LAPIC_REG_ESR)
        return lapic->state.irr[reg - LAPIC_REG_IRR];
    if (reg >= LAPIC_REG_LVT_TIMER && reg <= LAPIC_REG_LVT_ERROR)
        return lapic->state.lvt[reg - LAPIC_REG_LVT_TIMER];
    return 0; /* arbitration and remote read: gone since the Pentium 4 */
}

static void write_lvt(struct lapic *lapic, enum lapic_lvt which, uint32_t value)
{
    uint32_t read_only = (uint32_t)(LVT_STATUS | LVT_REMOTE_IRR);
    uint32_t writable = (uint32_t)rules[LAPIC_REG_LVT_TIMER + which].known & ~read_only;
    uint32_t before = lapic->state.lvt[which];

    if (which == LAPIC_LVT_TIMER)
        lapic_timer_settle(lapic);
    value = (value & writable) | (before & read_only);
    /* While software keeps the APIC disabled, masks stay set. */
    if (!(lapic->state.svr & SVR_ENABLE))
        value |= LVT_MASKED;
    /* An entry that is no level any more has nothing to wait an EOI for. */
    if (!(value & LVT_LEVEL))
        value &= ~(uint32_t)LVT_REMOTE_IRR;
    lapic->state.lvt[which] = value;
    if (which == LAPIC_LVT_TIMER)
        lapic_timer_lvt_changed(lapic, before);
    if (which == LAPIC_LVT_LINT0)
        lapic_update_lint(lapic);
}

static void write_svr(struct lapic *lapic, uint32_t value)
{
    lapic->state.svr = value & rules[LAPIC_REG_SVR].known;
    if (lapic->state.svr & SVR_ENABLE) {
        lapic_update_lint(lapic);
        return;
    }
    for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
        write_lvt(lapic, (enum lapic_lvt)i, lapic->state.lvt[i]);
    lapic_update(lapic);
}

static void write_icr(struct lapic *lapic, uint64_t value)
{
    /* The delivery status, bit 12, always says that the message has left. */
    lapic->state.icr = value & ICR_KNOWN;
    lapic_send_ipi(lapic);
}

static void write_self_ipi(struct lapic *lapic, uint8_t vector)
{
    struct apic_message message = {.delivery = APIC_DELIVER_FIXED, .vector = vector};

    lapic_accept(lapic, &message);
}

static void write_register(struct lapic *lapic, unsigned reg, uint64_t value)
{
    uint32_t low = (uint32_t)value;

    switch (reg) {
    case LAPIC_REG_TPR: lapic_set_tpr(lapic, (uint8_t)value); return;
    case LAPIC_REG_EOI: lapic_end_interrupt(lapic); return;
    case LAPIC_REG_LDR: lapic->state.ldr = low & 0xff000000; return;
    case LAPIC_REG_DFR: lapic->state.dfr = low | 0x0fffffff; return;
    case LAPIC_REG_SVR: write_svr(lapic, low); return;
    case LAPIC_REG_ESR:
        lapic->state.esr = lapic->state.esr_pending;
        lapic->state.esr_pending = 0;
        return;
    case LAPIC_REG_ICR_LOW:
        write_icr(lapic, lapic_in_x2apic(lapic) ? value : (lapic->state.icr >> 32) << 32 | low);
        return;
    case LAPIC_REG_ICR_HIGH:
        lapic->state.icr = (uint64_t)(low & 0xff000000) << 32 | (uint32_t)lapic->state.icr;
        return;
    case LAPIC_REG_TIMER_INITIAL: lapic_timer_set_initial(lapic, low); return;
    case LAPIC_REG_TIMER_DIVIDE: lapic_timer_set_divide(lapic, low); return;
    case LAPIC_REG_SELF_IPI: write_self_ipi(lapic, (uint8_t)value); return;
    default: break;
    }
    /* The id is fixed, as on later processors: a write to it is ignored. */
    if (reg >= LAPIC_REG_LVT_TIMER && reg <= LAPIC_REG_LVT_ERROR)
        write_lvt(lapic, (enum lapic_lvt)(reg - LAPIC_REG_LVT_TIMER), low);
}

/* The page is there in xAPIC mode only. */
static bool page_is_live(const struct lapic *lapic)
{
    return lapic_hardware_enabled(lapic) && !lapic_in_x2apic(lapic);
}

static bool is_register(uint64_t reg)
{
    return reg < LAPIC_REG_COUNT && rules[reg].access & (XR | XW);
}

static uint64_t lapic_mmio_peek(const void *dev, uint64_t offset, unsigned width)
{
    const struct lapic *lapic = dev;
    uint64_t reg = offset >> 4;

    if (!page_is_live(lapic))
        return UINT64_MAX;
    if (!is_register(reg))
        return 0;
    /* A register is the low 4 of its 16 bytes; the rest, and what is write-only, reads 0. */
    if (!(rules[reg].access & XR) || (offset & 0xf) + width > 4)
        return 0;
    return read_register(lapic, (unsigned)reg) >> (8 * (offset & 3));
}

static uint64_t lapic_mmio_read(void *dev, uint64_t offset, unsigned width)
{
    struct lapic *lapic = dev;

    lapic_timer_settle(lapic);
    if (page_is_live(lapic) && !is_register(offset >> 4))
        lapic_raise_error(lapic, ESR_ILLEGAL_REGISTER);
    return lapic_mmio_peek(lapic, offset, width);
}

static void lapic_mmio_write(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    struct lapic *lapic = dev;
    uint64_t reg = offset >> 4;

    if (!page_is_live(lapic))
        return;
    if (reg >= LAPIC_REG_COUNT || !(rules[reg].access & (XR | XW))) {
        lapic_raise_error(lapic, ESR_ILLEGAL_REGISTER);
        return;
    }
    /* Only whole registers are written; the SDM leaves anything else undefined. */
    if (rules[reg].access & XW && (offset & 0xf) == 0 && width == 4)
        write_register(lapic, (unsigned)reg, value);
}

const struct bus_ops lapic_mmio_ops = {
    .read = lapic_mmio_read,
    .write = lapic_mmio_write,
    .widths = 4,
    .peek = lapic_mmio_peek,
};

bool lapic_msr_read(struct lapic *lapic, uint32_t index, uint64_t *value)
{
    uint32_t reg = index - IA32_X2APIC_FIRST;

    if (!lapic_in_x2apic(lapic) || reg >= LAPIC_REG_COUNT || !(rules[reg].access & X2R))
        return false;
    lapic_timer_settle(lapic);
    *value = read_register(lapic, reg);
    return true;
}

bool lapic_msr_write(struct lapic *lapic, uint32_t index, uint64_t value)
{
    uint32_t reg = index - IA32_X2APIC_FIRST;

    if (!lapic_in_x2apic(lapic) || reg >= LAPIC_REG_COUNT || !(rules[reg].access & X2W) ||
        value & ~rules[reg].known)
        return false;
    write_register(lapic, reg, value);
    return true;
}

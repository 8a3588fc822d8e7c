/*
 * What the local APIC's own files share: its state, the layout of its registers and the calls
 * between registers, interrupt logic and timer. Nobody else but the APIC bus includes this.
 * Specification: Intel SDM 3, "Local APIC Register Address Map".
 */
#ifndef UMBRA_DEV_LAPIC_STATE_H
#define UMBRA_DEV_LAPIC_STATE_H

#include "dev/lapic.h"

/* Register numbers: page offset >> 4, and MSR number - 800h. */
enum lapic_reg {
    LAPIC_REG_ID = 0x02,
    LAPIC_REG_VERSION = 0x03,
    LAPIC_REG_TPR = 0x08,
    LAPIC_REG_APR = 0x09,
    LAPIC_REG_PPR = 0x0a,
    LAPIC_REG_EOI = 0x0b,
    LAPIC_REG_RRD = 0x0c,
    LAPIC_REG_LDR = 0x0d,
    LAPIC_REG_DFR = 0x0e,
    LAPIC_REG_SVR = 0x0f,
    LAPIC_REG_ISR = 0x10, /* eight of each */
    LAPIC_REG_TMR = 0x18,
    LAPIC_REG_IRR = 0x20,
    LAPIC_REG_ESR = 0x28,
    LAPIC_REG_ICR_LOW = 0x30,
    LAPIC_REG_ICR_HIGH = 0x31,
    LAPIC_REG_LVT_TIMER = 0x32, /* the LVT's first */
    LAPIC_REG_LVT_ERROR = 0x37, /* the LVT's last */
    LAPIC_REG_TIMER_INITIAL = 0x38,
    LAPIC_REG_TIMER_CURRENT = 0x39,
    LAPIC_REG_TIMER_DIVIDE = 0x3e,
    LAPIC_REG_SELF_IPI = 0x3f,
    LAPIC_REG_COUNT = 0x40,
};

/* The local vector table, in the order of its registers. */
enum lapic_lvt {
    LAPIC_LVT_TIMER,
    LAPIC_LVT_THERMAL,
    LAPIC_LVT_PERF,
    LAPIC_LVT_LINT0,
    LAPIC_LVT_LINT1,
    LAPIC_LVT_ERROR,
    LAPIC_LVT_COUNT,
};

/* Bits of an LVT entry. */
#define LVT_VECTOR         0xffu
#define LVT_DELIVERY_SHIFT 8
#define LVT_DELIVERY       0x700u
#define LVT_STATUS         BIT(12)
#define LVT_POLARITY       BIT(13)
#define LVT_REMOTE_IRR     BIT(14)
#define LVT_LEVEL          BIT(15)
#define LVT_MASKED         BIT(16)
#define LVT_TIMER_MODE     (BIT(17) | BIT(18))
#define LVT_TIMER_ONESHOT  0u
#define LVT_TIMER_PERIODIC BIT(17)
#define LVT_TIMER_DEADLINE BIT(18)

#define SVR_ENABLE BIT(8)

/* Error status bits. */
#define ESR_SEND_ILLEGAL_VECTOR    BIT(5)
#define ESR_RECEIVE_ILLEGAL_VECTOR BIT(6)
#define ESR_ILLEGAL_REGISTER       BIT(7)

#define LAPIC_FIRST_LEGAL_VECTOR 16
#define LAPIC_VECTOR_WORDS       8

struct lapic_timer_state {
    uint32_t initial;   /* the initial count register */
    uint32_t divide;    /* the divide register */
    uint32_t lap_ticks; /* the count that the current lap began with; 0: stopped */
    uint64_t lap_start_ns;
    uint64_t tsc_deadline; /* 0: not armed */
    uint64_t tsc_offset;   /* of the processor's TSC to tsc_now */
    uint64_t deadline_ns;  /* saved: of the timer; CLOCK_NEVER: it is idle */
};

struct lapic_state {
    uint64_t base; /* IA32_APIC_BASE */
    uint32_t isr[LAPIC_VECTOR_WORDS];
    uint32_t tmr[LAPIC_VECTOR_WORDS];
    uint32_t irr[LAPIC_VECTOR_WORDS];
    uint32_t lvt[LAPIC_LVT_COUNT];
    uint32_t svr;
    uint32_t ldr; /* of xAPIC mode */
    uint32_t dfr;
    uint32_t esr;         /* as the guest reads it */
    uint32_t esr_pending; /* errors since the guest last wrote ESR */
    uint64_t icr;
    uint8_t tpr;
    bool lint[2];
    bool told_pending; /* what `intr` last said */
    struct lapic_timer_state timer;
};

struct lapic {
    struct device device;
    struct lapic_config config;
    struct timer timer;
    struct lapic_state state;
};

static inline bool lapic_hardware_enabled(const struct lapic *lapic)
{
    return lapic->state.base & LAPIC_BASE_ENABLE;
}

static inline bool lapic_in_x2apic(const struct lapic *lapic)
{
    return lapic->state.base & LAPIC_BASE_EXTD;
}

/* Takes fixed interrupts: enabled by both IA32_APIC_BASE and SVR. */
static inline bool lapic_software_enabled(const struct lapic *lapic)
{
    return lapic_hardware_enabled(lapic) && lapic->state.svr & SVR_ENABLE;
}

/* lapic.c: interrupt logic. */
bool lapic_is_addressed(const struct lapic *lapic, const struct apic_message *message);
void lapic_accept(struct lapic *lapic, const struct apic_message *message);
uint8_t lapic_processor_priority(const struct lapic *lapic);
void lapic_post_lvt(struct lapic *lapic, enum lapic_lvt which);
void lapic_raise_error(struct lapic *lapic, uint32_t esr_bit);
void lapic_end_interrupt(struct lapic *lapic);
void lapic_update(struct lapic *lapic);
void lapic_update_lint(struct lapic *lapic);
uint32_t lapic_logical_id(const struct lapic *lapic);

/* lapic_ipi.c: a write to the interrupt command register. */
void lapic_send_ipi(struct lapic *lapic);

/* lapic_timer.c. */
void lapic_timer_init(struct lapic *lapic);
void lapic_timer_stop(struct lapic *lapic);
/*
 * Does what is due and was not done yet: the owner's timers run a little late, and nothing that
 * the guest sees or does may come between the end of a count and its interrupt.
 */
void lapic_timer_settle(struct lapic *lapic);
void lapic_timer_set_initial(struct lapic *lapic, uint32_t count);
void lapic_timer_set_divide(struct lapic *lapic, uint32_t divide);
/* After a write to the timer's LVT entry, which was `before`; settled before the write. */
void lapic_timer_lvt_changed(struct lapic *lapic, uint32_t before);
uint32_t lapic_timer_current(const struct lapic *lapic);

#endif

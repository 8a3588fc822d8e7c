/*
 * The local APIC's interrupt logic: which messages it takes, which vector its processor gets next,
 * the LINT pins, errors and modes.
 */
#include "dev/lapic.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/trace.h"
#include "dev/lapic_state.h"

#define BASE_ADDRESS_DEFAULT   0xfee00000u
#define BASE_PHYS_BITS_DEFAULT 36
#define SVR_RESET              0xffu
#define DFR_RESET              0xffffffffu

/* The highest vector set in a 256-bit register, or -1. */
static int highest_vector(const uint32_t *words)
{
    for (int i = LAPIC_VECTOR_WORDS - 1; i >= 0; i--) {
        if (words[i])
            return 32 * i + 31 - __builtin_clz(words[i]);
    }
    return -1;
}

static void set_vector(uint32_t *words, unsigned vector, bool value)
{
    uint32_t bit = (uint32_t)BIT(vector % 32);

    if (value)
        words[vector / 32] |= bit;
    else
        words[vector / 32] &= ~bit;
}

static bool test_vector(const uint32_t *words, unsigned vector)
{
    return words[vector / 32] & BIT(vector % 32);
}

/* SDM 3, "Task and Processor Priorities". */
uint8_t lapic_processor_priority(const struct lapic *lapic)
{
    int in_service = highest_vector(lapic->state.isr);

    if (in_service < 0 || lapic->state.tpr >> 4 >= in_service >> 4)
        return lapic->state.tpr;
    return (uint8_t)(in_service & 0xf0);
}

/* The vector that the processor would get now, or -1. */
static int deliverable_vector(const struct lapic *lapic)
{
    int requested = highest_vector(lapic->state.irr);

    if (requested < 0 || !lapic_hardware_enabled(lapic))
        return -1;
    return requested >> 4 > lapic_processor_priority(lapic) >> 4 ? requested : -1;
}

bool lapic_accepts_extint(const struct lapic *lapic)
{
    uint32_t lint0 = lapic->state.lvt[LAPIC_LVT_LINT0];

    if (!lapic_hardware_enabled(lapic))
        return true;
    return !(lint0 & LVT_MASKED) &&
           (lint0 & LVT_DELIVERY) >> LVT_DELIVERY_SHIFT == APIC_DELIVER_EXTINT;
}

bool lapic_extint_pending(const struct lapic *lapic)
{
    return lapic->state.lint[0] && lapic_accepts_extint(lapic);
}

bool lapic_pending(const struct lapic *lapic)
{
    return deliverable_vector(lapic) >= 0 || lapic_extint_pending(lapic);
}

/* Tells the processor when the pending state has changed. */
void lapic_update(struct lapic *lapic)
{
    bool pending = lapic_pending(lapic);

    if (pending == lapic->state.told_pending)
        return;
    lapic->state.told_pending = pending;
    if (lapic->config.callbacks.intr)
        lapic->config.callbacks.intr(lapic->config.callbacks.opaque, pending);
}

/* Takes a fixed interrupt, from a message, a pin or an LVT entry alike. */
static void accept_fixed(struct lapic *lapic, uint8_t vector, bool level)
{
    if (!lapic_software_enabled(lapic))
        return;
    if (vector < LAPIC_FIRST_LEGAL_VECTOR) {
        lapic_raise_error(lapic, ESR_RECEIVE_ILLEGAL_VECTOR);
        return;
    }
    set_vector(lapic->state.irr, vector, true);
    set_vector(lapic->state.tmr, vector, level);
    lapic_update(lapic);
}

static void accept_nmi(struct lapic *lapic)
{
    if (lapic->config.callbacks.nmi)
        lapic->config.callbacks.nmi(lapic->config.callbacks.opaque);
}

/* Everything but IA32_APIC_BASE, the pins and the processor's view of them. */
static void reset_registers(struct lapic *lapic)
{
    memset(lapic->state.isr, 0, sizeof(lapic->state.isr));
    memset(lapic->state.tmr, 0, sizeof(lapic->state.tmr));
    memset(lapic->state.irr, 0, sizeof(lapic->state.irr));
    for (size_t i = 0; i < LAPIC_LVT_COUNT; i++)
        lapic->state.lvt[i] = LVT_MASKED;
    /*
     * DEVIATION: LINT0 masked is what the SDM says, and firmware then makes it a virtual wire.
     * A board whose firmware lives in real mode asks for the state after that.
     */
    if (lapic->config.virtual_wire)
        lapic->state.lvt[LAPIC_LVT_LINT0] = APIC_DELIVER_EXTINT << LVT_DELIVERY_SHIFT;
    lapic->state.svr = SVR_RESET;
    lapic->state.ldr = 0;
    lapic->state.dfr = DFR_RESET;
    lapic->state.esr = 0;
    lapic->state.esr_pending = 0;
    lapic->state.icr = 0;
    lapic->state.tpr = 0;
    lapic_timer_stop(lapic);
}

static void accept_init(struct lapic *lapic)
{
    reset_registers(lapic);
    lapic_update(lapic);
    if (lapic->config.callbacks.init)
        lapic->config.callbacks.init(lapic->config.callbacks.opaque);
}

void lapic_accept(struct lapic *lapic, const struct apic_message *message)
{
    if (!lapic_hardware_enabled(lapic))
        return;
    switch (message->delivery) {
    case APIC_DELIVER_FIXED:
    case APIC_DELIVER_LOWEST: accept_fixed(lapic, message->vector, message->level); break;
    case APIC_DELIVER_NMI: accept_nmi(lapic); break;
    case APIC_DELIVER_INIT: accept_init(lapic); break;
    case APIC_DELIVER_SIPI:
        if (lapic->config.callbacks.sipi)
            lapic->config.callbacks.sipi(lapic->config.callbacks.opaque, message->vector);
        break;
    default: trace(apic_dropped, lapic->config.id, message->vector, message->delivery); break;
    }
}

/* SDM 3, "Logical x2APIC ID". */
uint32_t lapic_logical_id(const struct lapic *lapic)
{
    uint32_t id = lapic->config.id;

    if (!lapic_in_x2apic(lapic))
        return lapic->state.ldr;
    return (id >> 4) << 16 | (uint32_t)BIT(id & 0xf);
}

/* SDM 3, "Logical Destination Mode": flat model or, with DFR bits 31:28 clear, cluster model. */
static bool matches_logical(const struct lapic *lapic, uint32_t destination)
{
    uint32_t own = lapic->state.ldr >> 24;

    if (lapic_in_x2apic(lapic)) {
        own = lapic_logical_id(lapic);
        return destination >> 16 == own >> 16 && (destination & own & 0xffff);
    }
    if (destination > 0xff)
        return false;
    if (lapic->state.dfr >> 28 == 0xf)
        return destination & own;
    return destination >> 4 == own >> 4 && (destination & own & 0xf);
}

bool lapic_is_addressed(const struct lapic *lapic, const struct apic_message *message)
{
    uint32_t everybody = message->wide ? UINT32_MAX : 0xff;

    if (!lapic_hardware_enabled(lapic))
        return false;
    if (message->logical)
        return message->destination == everybody || matches_logical(lapic, message->destination);
    return message->destination == everybody || message->destination == lapic->config.id;
}

/* Generates what an LVT entry describes, unless it is masked. */
void lapic_post_lvt(struct lapic *lapic, enum lapic_lvt which)
{
    uint32_t entry = lapic->state.lvt[which];
    struct apic_message message = {
        .delivery = (uint8_t)((entry & LVT_DELIVERY) >> LVT_DELIVERY_SHIFT),
        .vector = (uint8_t)entry,
    };

    if (entry & LVT_MASKED)
        return;
    /* ExtINT is a level that lapic_extint_pending looks at, SIPI is none of an LVT's modes. */
    if (message.delivery != APIC_DELIVER_EXTINT && message.delivery != APIC_DELIVER_SIPI)
        lapic_accept(lapic, &message);
}

/* The error interrupt comes once; a write to ESR arms it again. */
void lapic_raise_error(struct lapic *lapic, uint32_t esr_bit)
{
    bool first = lapic->state.esr_pending == 0;

    lapic->state.esr_pending |= esr_bit;
    if (first)
        lapic_post_lvt(lapic, LAPIC_LVT_ERROR);
}

static bool lint0_is_level(const struct lapic *lapic)
{
    uint32_t entry = lapic->state.lvt[LAPIC_LVT_LINT0];

    return (entry & LVT_LEVEL) && !(entry & (LVT_DELIVERY | LVT_MASKED));
}

/* After a change of LINT0's level or LVT entry: a level is sent once until its EOI. */
void lapic_update_lint(struct lapic *lapic)
{
    uint32_t *entry = &lapic->state.lvt[LAPIC_LVT_LINT0];

    if (lint0_is_level(lapic) && lapic->state.lint[0] && !(*entry & LVT_REMOTE_IRR) &&
        lapic_software_enabled(lapic)) {
        *entry |= LVT_REMOTE_IRR;
        accept_fixed(lapic, (uint8_t)*entry, true);
    }
    lapic_update(lapic);
}

void lapic_set_lint(struct lapic *lapic, unsigned pin, bool level)
{
    bool rises;

    ASSERT(pin < ARRAY_SIZE(lapic->state.lint), "a local APIC has the pins LINT0 and LINT1");
    rises = level && !lapic->state.lint[pin];
    lapic->state.lint[pin] = level;
    if (!lapic_hardware_enabled(lapic)) {
        if (pin == 1 && rises)
            accept_nmi(lapic);
    } else if (rises && !(pin == 0 && lint0_is_level(lapic))) {
        lapic_post_lvt(lapic, pin == 0 ? LAPIC_LVT_LINT0 : LAPIC_LVT_LINT1);
    }
    lapic_update_lint(lapic);
}

void lapic_set_lint_line(void *opaque, unsigned number, bool level)
{
    lapic_set_lint(opaque, number, level);
}

int lapic_acknowledge(struct lapic *lapic)
{
    int vector = deliverable_vector(lapic);

    if (vector < 0)
        return -1;
    set_vector(lapic->state.irr, (unsigned)vector, false);
    set_vector(lapic->state.isr, (unsigned)vector, true);
    lapic_update(lapic);
    return vector;
}

void lapic_end_interrupt(struct lapic *lapic)
{
    int vector = highest_vector(lapic->state.isr);

    if (vector < 0)
        return;
    set_vector(lapic->state.isr, (unsigned)vector, false);
    if (test_vector(lapic->state.tmr, (unsigned)vector)) {
        if ((lapic->state.lvt[LAPIC_LVT_LINT0] & LVT_VECTOR) == (unsigned)vector)
            lapic->state.lvt[LAPIC_LVT_LINT0] &= ~(uint32_t)LVT_REMOTE_IRR;
        apic_bus_end_interrupt(lapic->config.bus, (uint8_t)vector);
    }
    lapic_update_lint(lapic);
}

uint8_t lapic_get_tpr(const struct lapic *lapic)
{
    return lapic->state.tpr;
}

void lapic_set_tpr(struct lapic *lapic, uint8_t tpr)
{
    lapic->state.tpr = tpr;
    lapic_update(lapic);
}

uint64_t lapic_base_read(const struct lapic *lapic)
{
    return lapic->state.base;
}

/* SDM 3, "x2APIC State Transitions": which {EXTD, EN} may follow which. */
static bool transition_allowed(uint64_t from, uint64_t to)
{
    bool was_enabled = from & LAPIC_BASE_ENABLE, was_x2 = from & LAPIC_BASE_EXTD;
    bool enabled = to & LAPIC_BASE_ENABLE, x2 = to & LAPIC_BASE_EXTD;

    if (x2 && !enabled)
        return false;
    if (was_x2)
        return x2 || !enabled;
    return !x2 || was_enabled;
}

bool lapic_base_write(struct lapic *lapic, uint64_t value)
{
    unsigned bits = lapic->config.phys_bits ? lapic->config.phys_bits : BASE_PHYS_BITS_DEFAULT;
    uint64_t known = (BIT(bits) - PAGE_SIZE) | LAPIC_BASE_BSP | LAPIC_BASE_EXTD | LAPIC_BASE_ENABLE;
    uint64_t before = lapic->state.base;

    if (value & ~known || !transition_allowed(before, value))
        return false;
    lapic->state.base = value;
    /* Leaving xAPIC or x2APIC loses the state; so does nothing else but reset and INIT. */
    if (before & LAPIC_BASE_ENABLE && !(value & LAPIC_BASE_ENABLE))
        reset_registers(lapic);
    /* The ICR's upper half has another layout in x2APIC mode. */
    if ((before ^ value) & LAPIC_BASE_EXTD)
        lapic->state.icr = 0;
    lapic_update(lapic);
    if (lapic->config.callbacks.base_changed)
        lapic->config.callbacks.base_changed(lapic->config.callbacks.opaque, value);
    return true;
}

void lapic_reset(struct lapic *lapic)
{
    lapic->state.base = BASE_ADDRESS_DEFAULT | LAPIC_BASE_ENABLE;
    if (lapic->config.bsp)
        lapic->state.base |= LAPIC_BASE_BSP;
    reset_registers(lapic);
    lapic->state.timer.tsc_offset = 0;
    lapic_update(lapic);
    if (lapic->config.callbacks.base_changed)
        lapic->config.callbacks.base_changed(lapic->config.callbacks.opaque, lapic->state.base);
}

static void reset(void *dev)
{
    lapic_reset(dev);
}

static void settle(void *dev)
{
    struct lapic *lapic = dev;

    lapic->state.timer.deadline_ns = lapic->timer.deadline_ns;
}

/* Bits that no write sets: none of them may come by a load. */
static bool sound(const void *opaque)
{
    const struct lapic_state *state = opaque;
    const struct lapic_timer_state *timer = &state->timer;
    bool x2apic = state->base & LAPIC_BASE_EXTD;

    return !((state->isr[0] | state->irr[0]) & 0xffff) && !(timer->divide & ~0xbu) &&
           (!x2apic || (state->base & LAPIC_BASE_ENABLE)) && state->base < BIT(52) &&
           (timer->lap_ticks == 0 || timer->initial > 0);
}

static void resume(void *dev)
{
    struct lapic *lapic = dev;
    const struct lapic_callbacks *callbacks = &lapic->config.callbacks;

    timer_cancel(&lapic->timer);
    if (lapic->state.timer.deadline_ns != CLOCK_NEVER)
        timer_arm(&lapic->timer, lapic->state.timer.deadline_ns);
    if (callbacks->base_changed)
        callbacks->base_changed(callbacks->opaque, lapic->state.base);
    if (callbacks->intr)
        callbacks->intr(callbacks->opaque, lapic->state.told_pending);
}

static const struct device_field fields[] = {
    DEVICE_FIELD(struct lapic_state, base),
    DEVICE_ARRAY(struct lapic_state, isr),
    DEVICE_ARRAY(struct lapic_state, tmr),
    DEVICE_ARRAY(struct lapic_state, irr),
    DEVICE_ARRAY(struct lapic_state, lvt),
    DEVICE_FIELD(struct lapic_state, svr),
    DEVICE_FIELD(struct lapic_state, ldr),
    DEVICE_FIELD(struct lapic_state, dfr),
    DEVICE_FIELD(struct lapic_state, esr),
    DEVICE_FIELD(struct lapic_state, esr_pending),
    DEVICE_FIELD(struct lapic_state, icr),
    DEVICE_FIELD(struct lapic_state, tpr),
    DEVICE_ARRAY(struct lapic_state, lint),
    DEVICE_FIELD(struct lapic_state, told_pending),
    DEVICE_FIELD(struct lapic_state, timer.initial),
    DEVICE_FIELD(struct lapic_state, timer.divide),
    DEVICE_FIELD(struct lapic_state, timer.lap_ticks),
    DEVICE_FIELD(struct lapic_state, timer.lap_start_ns),
    DEVICE_FIELD(struct lapic_state, timer.tsc_deadline),
    DEVICE_FIELD(struct lapic_state, timer.tsc_offset),
    DEVICE_FIELD(struct lapic_state, timer.deadline_ns),
};

static const struct device_class class = {
    .name = "local APIC",
    .version = 1,
    DEVICE_STATE(struct lapic_state, fields),
    .reset = reset,
    .settle = settle,
    .sound = sound,
    .resume = resume,
};

const struct device *lapic_device(const struct lapic *lapic)
{
    return &lapic->device;
}

struct lapic *lapic_create(const struct lapic_config *config)
{
    struct lapic *lapic = calloc(1, sizeof(*lapic));

    ASSERT(config->clock && config->bus, "a local APIC has a clock and a bus");
    if (!lapic)
        return NULL;
    lapic->device = (struct device){&class, lapic, &lapic->state};
    lapic->config = *config;
    lapic_timer_init(lapic);
    lapic->state.base =
        BASE_ADDRESS_DEFAULT | LAPIC_BASE_ENABLE | (config->bsp ? LAPIC_BASE_BSP : 0);
    reset_registers(lapic);
    if (apic_bus_attach(config->bus, lapic) != 0) {
        free(lapic);
        return NULL;
    }
    return lapic;
}

void lapic_destroy(struct lapic *lapic)
{
    if (!lapic)
        return;
    lapic_timer_stop(lapic);
    apic_bus_detach(lapic->config.bus, lapic);
    free(lapic);
}

uint32_t lapic_id(const struct lapic *lapic)
{
    return lapic->config.id;
}

const char *lapic_mode_name(const struct lapic *lapic)
{
    if (!lapic_hardware_enabled(lapic))
        return "disabled";
    return lapic_in_x2apic(lapic) ? "x2APIC" : "xAPIC";
}

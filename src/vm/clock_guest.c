/* The vCPU's instruction counter as virtual time. */
#include "vm/clock_guest.h"

#include "base/assert.h"

static uint64_t source(void *opaque)
{
    const struct clock_guest *guest = opaque;
    uint64_t instructions = guest->instructions ? *guest->instructions : 0;

    return instructions * guest->ns_per_instruction + guest->skipped_ns;
}

void clock_guest_init(struct clock_guest *guest, uint64_t ns_per_instruction)
{
    ASSERT(ns_per_instruction >= 1 && ns_per_instruction <= CLOCK_GUEST_MAX_NS,
           "an instruction takes some time, and not too much");
    *guest = (struct clock_guest){.ns_per_instruction = ns_per_instruction};
    clock_init(&guest->clock, source, guest);
}

void clock_guest_attach(struct clock_guest *guest, const uint64_t *instructions)
{
    guest->instructions = instructions;
}

uint64_t clock_guest_deadline(const struct clock_guest *guest)
{
    uint64_t deadline = clock_next_deadline_ns(&guest->clock);
    uint64_t ns = guest->ns_per_instruction;

    if (deadline == CLOCK_NEVER)
        return UINT64_MAX;
    if (deadline <= guest->skipped_ns)
        return 0;
    deadline -= guest->skipped_ns;
    return deadline / ns + (deadline % ns != 0);
}

bool clock_guest_skip(struct clock_guest *guest)
{
    uint64_t deadline = clock_next_deadline_ns(&guest->clock);
    uint64_t now = clock_now_ns(&guest->clock);

    if (deadline > CLOCK_GUEST_HORIZON_NS) /* CLOCK_NEVER too */
        return false;
    if (deadline > now)
        guest->skipped_ns += deadline - now;
    clock_run_timers(&guest->clock);
    return true;
}

/*
 * Virtual time that counts the guest's executed instructions (`--clock instructions`): so many
 * nanoseconds each, so that a run repeats exactly. A halted guest executes nothing: its time jumps
 * to the next deadline. It refuses to read host time.
 *
 * It is for one vCPU, on whose thread timers run and time is read; other threads read it a little
 * late.
 */
#ifndef UMBRA_VM_CLOCK_GUEST_H
#define UMBRA_VM_CLOCK_GUEST_H

#include "base/clock.h"

/*
 * Virtual nanoseconds of an instruction when the user does not say. 100 million instructions a
 * second is about what the soft engine reaches, so that a guest sees as many ticks of its timers
 * for its work as under host time.
 */
#define CLOCK_GUEST_DEFAULT_NS 10
#define CLOCK_GUEST_MAX_NS     10000 /* 64 bits of nanoseconds then last for months of work */

/* What the real-time clock shows at the start: 2025-01-01 00:00:00 UTC. */
#define CLOCK_GUEST_START_UTC INT64_C(1735689600)

/*
 * No halt jumps beyond this virtual time, a hundred years: a guest that arms timers for the end of
 * time must not bring it about, and waits for input instead.
 */
#define CLOCK_GUEST_HORIZON_NS (UINT64_C(100) * 365 * 24 * 3600 * NS_PER_SEC)

struct clock_guest {
    struct clock clock;
    uint64_t ns_per_instruction;
    uint64_t skipped_ns;          /* what halts have added */
    const uint64_t *instructions; /* the vCPU's counter; NULL: none executed yet */
};

/* ns_per_instruction lies between 1 and CLOCK_GUEST_MAX_NS. */
void clock_guest_init(struct clock_guest *guest, uint64_t ns_per_instruction);

/* Time is what this counter says from now on; it outlives the clock. */
void clock_guest_attach(struct clock_guest *guest, const uint64_t *instructions);

/* The count of instructions at which the first timer is due; UINT64_MAX: never. */
uint64_t clock_guest_deadline(const struct clock_guest *guest);

/* Jumps to the first deadline and fires what is due then; false: there is none to jump to. */
bool clock_guest_skip(struct clock_guest *guest);

#endif

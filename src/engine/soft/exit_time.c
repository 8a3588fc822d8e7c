/*
 * The time that exits take, where the monitor wants it (engine_host.host_ns). The stretch between
 * two readings of the host's time belongs to the exit that was the innermost meanwhile, so that the
 * sum of all is never more than the time that passed.
 */
#include "engine/soft/cpu.h"

/* Gives the time since the last reading to the innermost exit. */
static void charge(struct cpu *cpu)
{
    struct exit_timer *timer = &cpu->exit_timer;
    uint64_t now = cpu->host.host_ns(cpu->host.opaque);

    if (timer->depth > 0) {
        unsigned innermost = MIN(timer->depth, EXIT_TIMER_DEPTH) - 1;

        cpu->counters.exit_ns[timer->reason[innermost]] += now - timer->since_ns;
    }
    timer->since_ns = now;
}

void exit_time_begin(struct cpu *cpu, enum exit_reason reason)
{
    struct exit_timer *timer = &cpu->exit_timer;

    charge(cpu);
    if (timer->depth < EXIT_TIMER_DEPTH)
        timer->reason[timer->depth] = (uint8_t)reason;
    timer->depth++;
}

void exit_time_end(struct cpu *cpu)
{
    charge(cpu);
    cpu->exit_timer.depth--;
}

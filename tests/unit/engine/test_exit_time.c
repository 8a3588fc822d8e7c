/* The time of exits: an inner one's is not the outer one's, and nothing is measured unasked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/soft/cpu.h"

/* The host's time, which the test moves by hand. */
static uint64_t read_time(void *opaque)
{
    return *(uint64_t *)opaque;
}

static int setup(void **state)
{
    struct cpu *cpu = aligned_alloc(64, ALIGN_UP(sizeof(*cpu), 64));
    uint64_t *now = calloc(1, sizeof(*now));

    assert_true(cpu && now);
    memset(cpu, 0, sizeof(*cpu));
    cpu->host.opaque = now;
    cpu->host.host_ns = read_time;
    *state = cpu;
    return 0;
}

static int teardown(void **state)
{
    struct cpu *cpu = *state;

    free(cpu->host.opaque);
    free(cpu);
    return 0;
}

static void pass(struct cpu *cpu, uint64_t ns)
{
    *(uint64_t *)cpu->host.opaque += ns;
}

static void an_exit_lasts_to_the_end_of_its_block(void **state)
{
    struct cpu *cpu = *state;

    pass(cpu, 1000);
    for (int i = 0; i < 2; i++) {
        exit_scope struct cpu *timed = cpu_exit_begin(cpu, (struct exit){.reason = EXIT_CPUID});

        pass(cpu, 7);
    }
    pass(cpu, 1000);
    assert_int_equal(cpu->counters.exits[EXIT_CPUID], 2);
    assert_int_equal(cpu->counters.exit_ns[EXIT_CPUID], 14);
}

/* Leaves by an early return, as instructions do. */
static int leave_early(struct cpu *cpu)
{
    exit_scope struct cpu *timed = cpu_exit_begin(cpu, (struct exit){.reason = EXIT_MSR_READ});

    pass(cpu, 3);
    if (cpu->counters.exits[EXIT_MSR_READ])
        return 1;
    pass(cpu, 100);
    return 0;
}

static void an_early_return_ends_it(void **state)
{
    struct cpu *cpu = *state;

    leave_early(cpu);
    pass(cpu, 50);
    leave_early(cpu);
    assert_int_equal(cpu->counters.exit_ns[EXIT_MSR_READ], 6);
    assert_int_equal(cpu->exit_timer.depth, 0);
}

static void time_is_counted_once(void **state)
{
    struct cpu *cpu = *state;
    uint64_t sum = 0;

    {
        exit_scope struct cpu *timed =
            cpu_exit_begin(cpu, (struct exit){.reason = EXIT_EXTERNAL_INTERRUPT});

        pass(cpu, 10);
        {
            exit_scope struct cpu *inner =
                cpu_exit_begin(cpu, (struct exit){.reason = EXIT_EPT_VIOLATION});

            pass(cpu, 5);
            leave_early(cpu);
        }
        pass(cpu, 20);
    }
    assert_int_equal(cpu->counters.exit_ns[EXIT_EXTERNAL_INTERRUPT], 30);
    assert_int_equal(cpu->counters.exit_ns[EXIT_EPT_VIOLATION], 5);
    assert_int_equal(cpu->counters.exit_ns[EXIT_MSR_READ], 3);
    for (unsigned i = 0; i < EXIT_REASONS; i++)
        sum += cpu->counters.exit_ns[i];
    assert_int_equal(sum, *(uint64_t *)cpu->host.opaque);
}

/* Exits one inside another, more than there is room for. */
static void nest(struct cpu *cpu, unsigned depth)
{
    exit_scope struct cpu *timed =
        cpu_exit_begin(cpu, (struct exit){.reason = depth & 1 ? EXIT_IO : EXIT_INVLPG});

    pass(cpu, 1);
    if (depth > 0)
        nest(cpu, depth - 1);
    pass(cpu, 1);
}

static void depth_has_no_limit(void **state)
{
    struct cpu *cpu = *state;

    nest(cpu, 4 * EXIT_TIMER_DEPTH - 1);
    assert_int_equal(cpu->exit_timer.depth, 0);
    assert_int_equal(cpu->counters.exit_ns[EXIT_IO] + cpu->counters.exit_ns[EXIT_INVLPG],
                     *(uint64_t *)cpu->host.opaque);
}

static void without_a_clock_exits_are_only_counted(void **state)
{
    struct cpu *cpu = *state;

    cpu->host.host_ns = NULL;
    leave_early(cpu);
    assert_int_equal(cpu->counters.exits[EXIT_MSR_READ], 1);
    assert_int_equal(cpu->counters.exit_ns[EXIT_MSR_READ], 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_exit_lasts_to_the_end_of_its_block),
        TEST(an_early_return_ends_it),
        TEST(time_is_counted_once),
        TEST(depth_has_no_limit),
        TEST(without_a_clock_exits_are_only_counted),
    };
#undef TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}

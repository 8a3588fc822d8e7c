/*
 * The random test of segments in 32-bit code: each program runs interpreted, and translated in
 * several ways, from the same start, and must come by the same events: which exceptions, with which
 * registers, segments and error codes, and at the end memory and the counts.
 *
 *   random_segments [--seed N] [--count N] [--items N] [--events N]
 *
 * The seed also chooses protected or compatibility mode, the privilege, EPT or shadow paging, and
 * the size of the TLB. A program that differs is made shorter and the command printed that runs it.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"

struct way {
    const char *name;
    unsigned after;
    size_t bytes;
};

static const struct way ways[] = {
    {"once", 1, 0},
    {"third", 3, 0},
    {"little", 2, ENGINE_TRANSLATE_MIN_BYTES},
};

struct options {
    struct program_config program;
    uint64_t count;
    unsigned events;
};

struct totals {
    uint64_t programs, instructions, translated, events, shutdowns, endless, differ;
};

static struct program program;
static struct outcome want, got;

static struct guest_config guest_of(const struct program_config *config)
{
    static const unsigned tlb_entries[] = {0, 0, 1, 4, 64};
    struct dice dice = {.seed = config->seed ^ 0x777};

    return (struct guest_config){
        .compatibility = dice_chance(&dice, 128),
        .mmu = dice_chance(&dice, 100) ? MMU_SHADOW : MMU_EPT,
        .tlb_entries = DICE_PICK(&dice, tlb_entries),
        .count_lookups = dice_chance(&dice, 64),
    };
}

static void must_run(const struct guest_config *config, struct outcome *outcome)
{
    int err = guest_run(&program, config, outcome);

    if (err) {
        fprintf(stderr, "random_segments: no guest: %s\n", strerror(-err));
        exit(2);
    }
}

static void interpret(const struct program_config *config, unsigned events)
{
    struct guest_config guest = guest_of(config);

    program_make(&program, config);
    guest.translate_after = ENGINE_TRANSLATE_NEVER;
    guest.limited = true;
    guest.events = events;
    must_run(&guest, &want);
}

/* Runs it translated, as far as `want` has come. */
static void translate(const struct program_config *config, const struct way *way)
{
    struct guest_config guest = guest_of(config);

    guest.translate_after = way->after;
    guest.translate_bytes = way->bytes;
    guest.events = want.events;
    must_run(&guest, &got);
}

/* The first event that is not the same, or MAX_EVENTS. */
static unsigned first_difference(void)
{
    for (unsigned i = 0; i < want.events; i++) {
        if (want.event[i].digest != got.event[i].digest || want.event[i].stop != got.event[i].stop)
            return i;
    }
    return MAX_EVENTS;
}

static bool is_same(void)
{
    return first_difference() == MAX_EVENTS &&
           want.counters.instructions == got.counters.instructions &&
           want.counters.tlb_lookups == got.counters.tlb_lookups &&
           want.counters.faults_injected == got.counters.faults_injected &&
           memcmp(want.memory, got.memory, GPA_END) == 0;
}

static void say(const char *what, uint64_t a, uint64_t b)
{
    if (a != b)
        printf("  %-12s %#10" PRIx64 " interpreted, %#10" PRIx64 " translated\n", what, a, b);
}

static void say_difference(void)
{
    unsigned first = first_difference();
    const struct x86_state *a = &want.event[first % MAX_EVENTS].state;
    const struct x86_state *b = &got.event[first % MAX_EVENTS].state;

    say("instructions", want.counters.instructions, got.counters.instructions);
    say("look-ups", want.counters.tlb_lookups, got.counters.tlb_lookups);
    for (unsigned i = 0; i < GPA_END; i++) {
        if (want.memory[i] != got.memory[i]) {
            printf("  memory at %#x\n", i);
            break;
        }
    }
    if (first == MAX_EVENTS)
        return;
    printf("  event %u\n", first);
    say("stop", want.event[first].stop, got.event[first].stop);
    for (unsigned i = 0; i < X86_GPR_SLOTS; i++)
        say(x86_gpr_names[i], a->gpr[i], b->gpr[i]);
    say("rflags", a->rflags, b->rflags);
    for (unsigned i = 0; i < X86_SEGS; i++)
        say(x86_seg_names[i], a->seg[i].selector, b->seg[i].selector);
}

static bool differs(const struct program_config *config, const struct way *way, unsigned events)
{
    interpret(config, events);
    translate(config, way);
    return !is_same();
}

/* Fewer events first, then fewer items. */
static void report(struct program_config config, const struct way *way, unsigned events)
{
    struct program_config less = config;

    printf("FAILED: seed %" PRIu64 " differs (%s)\n", config.seed, way->name);
    while (events > 1 && differs(&config, way, events - 1))
        events--;
    while (less.max_items > 1) {
        less.max_items--;
        if (!differs(&less, way, events))
            break;
        config = less;
    }
    if (differs(&config, way, events))
        say_difference();
    printf("again: random_segments --seed %" PRIu64 " --events %u --items %u\n", config.seed,
           events, config.max_items);
}

static void run_seed(const struct options *options, uint64_t seed, struct totals *totals)
{
    struct dice dice = {.seed = seed ^ 0x999};
    struct program_config config = options->program;

    config.seed = seed;
    config.user = dice_chance(&dice, 192);
    interpret(&config, options->events);
    for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
        translate(&config, &ways[i]);
        totals->translated += got.counters.translated_instructions;
        if (!is_same()) {
            totals->differ++;
            report(config, &ways[i], options->events);
            return;
        }
    }
    totals->programs++;
    totals->events += want.events;
    totals->endless += want.events < options->events;
    totals->instructions += want.counters.instructions;
    for (unsigned i = 0; i < want.events; i++)
        totals->shutdowns += want.event[i].stop == ENGINE_STOP_SHUTDOWN;
}

static no_return void usage(void)
{
    fprintf(stderr,
            "usage: random_segments [--seed N] [--count N] [--items N] [--events N up to %u]\n",
            MAX_EVENTS);
    exit(2);
}

static void parse(struct options *o, int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},
        {"count", required_argument, NULL, 'n'},
        {"items", required_argument, NULL, 'i'},
        {"events", required_argument, NULL, 'e'},
        {NULL, 0, NULL, 0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 's': o->program.seed = strtoull(optarg, NULL, 0); break;
        case 'n': o->count = strtoull(optarg, NULL, 0); break;
        case 'i': o->program.max_items = (unsigned)strtoul(optarg, NULL, 0); break;
        case 'e': o->events = (unsigned)strtoul(optarg, NULL, 0); break;
        default: usage();
        }
    }
    if (optind != argc || o->events < 1 || o->events > MAX_EVENTS)
        usage();
}

int main(int argc, char **argv)
{
    struct options options = {
        .program = {.seed = 1, .max_items = 10}, .count = 1, .events = MAX_EVENTS};
    struct totals totals = {0};

    setvbuf(stdout, NULL, _IOLBF, 0);
    parse(&options, argc, argv);
    for (uint64_t i = 0; i < options.count && totals.differ < 10; i++)
        run_seed(&options, options.program.seed + i, &totals);
    printf("%" PRIu64 " programs (%" PRIu64 " endless), %" PRIu64 " instructions, %" PRIu64
           " translated, %" PRIu64 " events (%" PRIu64 " shutdowns): %" PRIu64 " differ\n",
           totals.programs, totals.endless, totals.instructions, totals.translated, totals.events,
           totals.shutdowns, totals.differ);
    return totals.differ ? 1 : 0;
}

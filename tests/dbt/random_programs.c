/*
 * The random test of the translator: each program runs interpreted, and translated in several ways,
 * from the same start, and must come to the same end: registers, memory, faults, what devices saw,
 * and how many instructions that took.
 *
 *   random_programs [--seed N] [--count N] [--seconds N] [--fuel N] [--items N]
 *                   [--without FEATURE]... [--way NAME] [--verbose]
 *
 * The seed also chooses EPT or shadow paging, the size of the TLB, and what kinds of instructions
 * the program has. A program that differs is made smaller and the command printed that runs it.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "machine.h"

#define PATIENCE_SECONDS 60

struct way {
    const char *name;
    unsigned after;
    size_t bytes;
    bool disturbed;
};

static const struct way ways[] = {
    {"once", 1, 0, false},
    {"third", 3, 0, false},
    {"little", 3, ENGINE_TRANSLATE_MIN_BYTES, false},
    {"disturbed", 2, 0, true},
    {"disturbed-little", 1, ENGINE_TRANSLATE_MIN_BYTES, true},
};

struct options {
    struct program_config program;
    uint64_t count;
    unsigned seconds;
    uint64_t without;
    const char *way;
    bool verbose;
};

struct totals {
    uint64_t programs, endless, instructions, faults, events, differ;
};

static struct program program;
static struct outcome want, got;
static char again[1024]; /* for the signal handler, too */

/* What the seed says of the machine. */
static struct machine_config machine_of(uint64_t seed)
{
    static const unsigned tlb_entries[] = {0, 0, 1, 4, 64};
    struct dice dice = {.seed = seed ^ 0x777};

    return (struct machine_config){
        .mode = dice_chance(&dice, 100) ? MMU_SHADOW : MMU_EPT,
        .tlb_entries = DICE_PICK(&dice, tlb_entries),
        .count_lookups = dice_chance(&dice, 64),
    };
}

/* Rare kinds keep everything else from being translated, so few programs have them. */
static uint64_t features_of(uint64_t seed)
{
    struct dice dice = {.seed = seed ^ 0x999};
    uint64_t features = BIT(FEATURES) - 1;

    if (!dice_chance(&dice, 40))
        features &= ~BIT(FEATURE_BREAK);
    if (!dice_chance(&dice, 100))
        features &= ~BIT(FEATURE_STEP);
    if (!dice_chance(&dice, 100))
        features &= ~BIT(FEATURE_ALIGN);
    for (unsigned i = 0; i < 3; i++) {
        if (dice_chance(&dice, 128))
            features &= ~BIT(dice_below(&dice, FEATURES));
    }
    return features;
}

static void describe(const struct program_config *config, uint64_t without, const char *way)
{
    int n = snprintf(again, sizeof(again),
                     "again: random_programs --seed %llu --fuel %u --items %u --way %s",
                     (unsigned long long)config->seed, config->fuel, config->max_items, way);

    for (unsigned i = 0; i < FEATURES && n < (int)sizeof(again) - 32; i++) {
        if (without & BIT(i))
            n += snprintf(again + n, sizeof(again) - (size_t)n, " --without %s",
                          program_feature_names[i]);
    }
    snprintf(again + n, sizeof(again) - (size_t)n, "\n");
}

static void on_alarm(int signal)
{
    static const char words[] = "a program does not end\n";

    if (write(1, words, sizeof(words) - 1) < 0 || write(1, again, strlen(again)) < 0)
        _exit(2);
    _exit(1);
}

static void must_run(const struct machine_config *config, struct outcome *outcome)
{
    int err;

    alarm(PATIENCE_SECONDS);
    err = machine_run(&program, config, outcome);
    alarm(0);
    if (err) {
        fprintf(stderr, "random_programs: no machine: %s\n", strerror(-err));
        exit(2);
    }
}

/* Runs it interpreted and in one way; true: the same, or there is nothing to compare. */
static bool run_way(const struct program_config *config, const struct way *way, uint64_t without,
                    bool quiet)
{
    struct machine_config machine = machine_of(config->seed);
    struct program_config used = *config;

    /*
     * RF shows between iterations of REP. And a page that is exchanged while it runs may be fetched
     * from either frame until INVLPG: a flush from outside makes it the other. Likewise an edited
     * page of data, seen through a window whose entry the edit shares.
     */
    if (way->disturbed)
        without |= BIT(FEATURE_BREAK) | BIT(FEATURE_REMAP) | BIT(FEATURE_PAGING);
    used.features = features_of(config->seed) & ~without;
    describe(config, without, way->name);
    program_make(&program, &used);
    machine.translate_after = ENGINE_TRANSLATE_NEVER;
    machine.limited = true;
    must_run(&machine, &want);
    if (want.endless)
        return true;
    machine.limited = false;
    machine.translate_after = way->after;
    machine.translate_bytes = way->bytes;
    machine.disturbed = way->disturbed;
    must_run(&machine, &got);
    return outcome_same(&want, &got, way->disturbed, quiet);
}

/* A run that depends on another thread differs now and then: it gets more tries. */
static bool differs(const struct program_config *config, const struct way *way, uint64_t without)
{
    for (unsigned i = way->disturbed ? 8 : 1; i > 0; i--) {
        if (!run_way(config, way, without, true))
            return true;
    }
    return false;
}

static void shrink(struct program_config *config, const struct way *way, uint64_t *without)
{
    struct program_config less;

    for (unsigned i = 0; i < FEATURES; i++) {
        if (!(*without & BIT(i)) && differs(config, way, *without | BIT(i)))
            *without |= BIT(i);
    }
    for (unsigned step = config->fuel / 2; step > 0; step /= 2) {
        less = *config;
        less.fuel -= MIN(step, less.fuel - 1);
        if (differs(&less, way, *without))
            *config = less;
    }
    while (config->max_items > 0) {
        less = *config;
        less.max_items--;
        if (!differs(&less, way, *without))
            break;
        *config = less;
    }
}

static void report(const struct options *options, struct program_config config,
                   const struct way *way)
{
    uint64_t without = options->without;

    printf("FAILED: seed %llu differs (%s)\n", (unsigned long long)config.seed, way->name);
    shrink(&config, way, &without);
    for (unsigned i = 0; i < 50 && run_way(&config, way, without, false); i++)
        continue;
    describe(&config, without, way->name);
    printf("%s", again);
}

static void run_seed(const struct options *options, uint64_t seed, struct totals *totals)
{
    struct program_config config = options->program;

    config.seed = seed;
    for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
        if (options->way && strcmp(options->way, ways[i].name) != 0)
            continue;
        if (!run_way(&config, &ways[i], options->without, true)) {
            totals->differ++;
            report(options, config, &ways[i]);
            return;
        }
        if (want.endless)
            break;
        totals->events += got.events;
    }
    totals->programs++;
    totals->endless += want.endless;
    totals->instructions += want.counters.instructions;
    totals->faults += want.counters.faults_injected;
    if (options->verbose)
        printf("seed %llu: %llu instructions, %llu faults, %llu interrupts%s\n",
               (unsigned long long)seed, (unsigned long long)want.counters.instructions,
               (unsigned long long)want.counters.faults_injected, (unsigned long long)got.events,
               want.endless ? ", endless" : "");
}

static no_return void usage(void)
{
    fprintf(stderr, "usage: random_programs [--seed N] [--count N] [--seconds N] [--fuel N]\n"
                    "       [--items N] [--without FEATURE]... [--way NAME] [--verbose]\n");
    exit(2);
}

static uint64_t parse_feature(const char *text)
{
    for (unsigned i = 0; i < FEATURES; i++) {
        if (strcmp(text, program_feature_names[i]) == 0)
            return BIT(i);
    }
    usage();
}

static void parse(struct options *o, int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},
        {"count", required_argument, NULL, 'n'},
        {"seconds", required_argument, NULL, 't'},
        {"fuel", required_argument, NULL, 'f'},
        {"items", required_argument, NULL, 'i'},
        {"without", required_argument, NULL, 'w'},
        {"way", required_argument, NULL, 'y'},
        {"verbose", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 's': o->program.seed = strtoull(optarg, NULL, 0); break;
        case 'n': o->count = strtoull(optarg, NULL, 0); break;
        case 't': o->seconds = (unsigned)strtoul(optarg, NULL, 0); break;
        case 'f': o->program.fuel = (unsigned)strtoul(optarg, NULL, 0); break;
        case 'i': o->program.max_items = (unsigned)strtoul(optarg, NULL, 0); break;
        case 'w': o->without |= parse_feature(optarg); break;
        case 'y': o->way = optarg; break;
        case 'v': o->verbose = true; break;
        default: usage();
        }
    }
    if (optind != argc || !o->program.fuel)
        usage();
}

int main(int argc, char **argv)
{
    struct options options = {.program = {.seed = 1, .fuel = 1500, .max_items = 14}, .count = 1};
    struct totals totals = {0};
    time_t start = time(NULL);

    setvbuf(stdout, NULL, _IOLBF, 0);
    parse(&options, argc, argv);
    signal(SIGALRM, on_alarm);
    for (uint64_t i = 0; i < options.count && totals.differ < 10; i++) {
        if (options.seconds && time(NULL) - start >= (time_t)options.seconds)
            break;
        run_seed(&options, options.program.seed + i, &totals);
    }
    printf(
        "%llu programs (%llu endless), %llu instructions, %llu faults, %llu interrupts in %lld s:"
        " %llu differ\n",
        (unsigned long long)totals.programs, (unsigned long long)totals.endless,
        (unsigned long long)totals.instructions, (unsigned long long)totals.faults,
        (unsigned long long)totals.events, (long long)(time(NULL) - start),
        (unsigned long long)totals.differ);
    return totals.differ ? 1 : 0;
}

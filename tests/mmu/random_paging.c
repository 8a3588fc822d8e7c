/*
 * The random test of memory virtualization: a guest edits its page tables in every format, flushes
 * or does not, switches address spaces, and accesses memory; a naive walker of the manual's rules
 * says what must happen (judge.h tells exactly what is judged, stale.h what may be remembered).
 *
 *   random_paging [--seed N] [--steps N] [--mode ept|shadow|both] [--shadow-pages N]
 *                 [--unsync-off] [--tlb-entries N] [--flush always|random] [--audit N] [--compare
 * N]
 *                 [--closely STEP] [--verbose]
 *
 * Under `both` the same seed runs in each mode, with a flush after each edit, and what the guests
 * have seen must be the same. A failure prints what was done last, both walks of the address, and
 * the command that brings it back; --closely audits and compares each step from one on.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "steps.h"

#define OUTCOMES_EVERY 1024

struct run {
    uint64_t seed, steps;
    struct guest_config guest;
    struct steps_config config;
    bool verbose;
    uint64_t *outcomes; /* every OUTCOMES_EVERY steps; NULL: not wanted */
};

static void say_command(const struct run *run)
{
    printf("again: random_paging --seed %llu --steps %llu --mode %s --flush %s --audit %u "
           "--compare %u",
           (unsigned long long)run->seed, (unsigned long long)run->steps,
           mmu_mode_name(run->guest.mode), run->config.always_flush ? "always" : "random",
           run->config.audit, run->config.compare);
    if (run->guest.shadow_pages)
        printf(" --shadow-pages %u", run->guest.shadow_pages);
    if (run->guest.tlb_entries)
        printf(" --tlb-entries %u", run->guest.tlb_entries);
    printf("%s\n", run->guest.unsync_off ? " --unsync-off" : "");
}

static void say_counts(const struct world *w, const struct run *run, double seconds)
{
    printf("%s, seed %llu: %llu steps in %.1f s: %llu accesses (%llu by instructions, %llu faults, "
           "%llu by remembered "
           "translations, %llu to MMIO), %llu edits, %llu flushes, %llu register loads\n",
           mmu_mode_name(run->guest.mode), (unsigned long long)run->seed,
           (unsigned long long)w->step, seconds, (unsigned long long)w->count.accesses,
           (unsigned long long)w->count.by_instruction, (unsigned long long)w->count.faults,
           (unsigned long long)w->count.stale, (unsigned long long)w->count.mmio,
           (unsigned long long)w->count.edits, (unsigned long long)w->count.flushes,
           (unsigned long long)w->count.switches);
}

struct last_words {
    struct world *world;
    const struct run *run;
};

/* The engine found a mistake of its own. */
static void say_last_words(void *opaque)
{
    const struct last_words *last = opaque;

    world_fail(last->world, "an internal error");
    world_report(last->world);
    say_command(last->run);
    fflush(stdout);
}

static bool run_one(const struct run *run)
{
    struct last_words last;
    struct world *w = malloc(sizeof(*w));
    clock_t start = clock();
    bool well = w && world_init(w, &run->guest, run->seed);

    if (!well) {
        fprintf(stderr, "random_paging: no memory for the guest\n");
        free(w);
        return false;
    }
    w->verbose = run->verbose;
    last = (struct last_words){w, run};
    assert_set_last_words(say_last_words, &last);
    for (w->step = 0; well && w->step < run->steps; w->step++) {
        well = steps_next(w, &run->config);
        if (run->outcomes && w->step % OUTCOMES_EVERY == 0)
            run->outcomes[w->step / OUTCOMES_EVERY] = w->outcome;
    }
    well = well && world_compare(w);
    if (!well) {
        w->step--;
        world_report(w);
        say_command(run);
    } else {
        say_counts(w, run, (double)(clock() - start) / CLOCKS_PER_SEC);
    }
    assert_set_last_words(NULL, NULL);
    world_fini(w);
    free(w);
    return well;
}

static bool run_both(struct run *run)
{
    size_t count = run->steps / OUTCOMES_EVERY + 1;
    uint64_t *outcomes[2] = {calloc(count, 8), calloc(count, 8)};
    bool well = outcomes[0] && outcomes[1];

    run->config.always_flush = true;
    for (unsigned i = 0; well && i < 2; i++) {
        run->guest.mode = i ? MMU_SHADOW : MMU_EPT;
        run->outcomes = outcomes[i];
        well = run_one(run);
    }
    for (size_t i = 0; well && i < count; i++) {
        if (outcomes[0][i] != outcomes[1][i]) {
            printf("FAILED: the two modes part before step %zu\n", i * OUTCOMES_EVERY);
            well = false;
        }
    }
    free(outcomes[0]);
    free(outcomes[1]);
    return well;
}

static no_return void usage(void)
{
    fprintf(stderr,
            "usage: random_paging [--seed N] [--steps N] [--mode ept|shadow|both]\n"
            "       [--shadow-pages N] [--unsync-off] [--tlb-entries N] [--flush always|random]\n"
            "       [--audit N] [--compare N] [--closely STEP] [--verbose]\n");
    exit(2);
}

/* "ept", "shadow", "both"; true: both. */
static bool parse_mode(const char *text, enum mmu_mode *mode)
{
    if (strcmp(text, "both") == 0)
        return true;
    if (strcmp(text, "ept") != 0 && strcmp(text, "shadow") != 0)
        usage();
    *mode = text[0] == 's' ? MMU_SHADOW : MMU_EPT;
    return false;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},
        {"steps", required_argument, NULL, 'n'},
        {"mode", required_argument, NULL, 'm'},
        {"flush", required_argument, NULL, 'f'},
        {"shadow-pages", required_argument, NULL, 'p'},
        {"tlb-entries", required_argument, NULL, 't'},
        {"audit", required_argument, NULL, 'a'},
        {"compare", required_argument, NULL, 'c'},
        {"closely", required_argument, NULL, 'l'},
        {"unsync-off", no_argument, NULL, 'u'},
        {"verbose", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    struct run run = {
        .seed = 1, .steps = 100000, .config = {.audit = 64, .compare = 64, .closely = UINT64_MAX}};
    bool both = false;
    int c;

    setvbuf(stdout, NULL, _IOLBF, 0);
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 's': run.seed = strtoull(optarg, NULL, 0); break;
        case 'n': run.steps = strtoull(optarg, NULL, 0); break;
        case 'm': both = parse_mode(optarg, &run.guest.mode); break;
        case 'f': run.config.always_flush = strcmp(optarg, "always") == 0; break;
        case 'p': run.guest.shadow_pages = (unsigned)strtoul(optarg, NULL, 0); break;
        case 't': run.guest.tlb_entries = (unsigned)strtoul(optarg, NULL, 0); break;
        case 'a': run.config.audit = (unsigned)strtoul(optarg, NULL, 0); break;
        case 'c': run.config.compare = (unsigned)strtoul(optarg, NULL, 0); break;
        case 'l': run.config.closely = strtoull(optarg, NULL, 0); break;
        case 'u': run.guest.unsync_off = true; break;
        case 'v': run.verbose = true; break;
        default: usage();
        }
    }
    if (optind != argc)
        usage();
    return (both ? run_both(&run) : run_one(&run)) ? 0 : 1;
}

/*
 * Random guests from a seed, without a fuzzer's help: the same seed and count make the same guests.
 *
 *   random_guest [--seed N] [--count N] [--mode NAME]
 *
 * A guest that breaks something is named by the seed and the mode that make it again alone.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sanitizer/common_interface_defs.h>

#include "guest/guest.h"

#define CASE_SECONDS 30

static uint64_t case_seed;
static enum guest_mode case_mode;

static void say_case(void)
{
    fprintf(stderr, "random_guest: --seed %llu --count 1 --mode %s\n",
            (unsigned long long)case_seed, guest_mode_names[case_mode]);
}

static void on_alarm(int number)
{
    abort();
}

/* Asked by the sanitizer's run-time before main. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "handle_abort=1";
}

static bool find_mode(const char *name, enum guest_mode *mode)
{
    for (unsigned i = 0; i < GUEST_MODES; i++) {
        if (strcmp(name, guest_mode_names[i]) == 0) {
            *mode = (enum guest_mode)i;
            return true;
        }
    }
    fprintf(stderr, "random_guest: there is no mode %s\n", name);
    return false;
}

int main(int argc, char **argv)
{
    uint64_t seed = 1, count = 1000;
    enum guest_mode mode = GUEST_MODES;

    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";

        if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(value, NULL, 0);
        else if (strcmp(argv[i], "--count") == 0)
            count = strtoull(value, NULL, 0);
        else if (strcmp(argv[i], "--mode") != 0 || !find_mode(value, &mode))
            return 2;
    }
    signal(SIGALRM, on_alarm);
    __sanitizer_set_death_callback(say_case);
    for (uint64_t i = 0; i < count; i++) {
        struct dice dice = {.seed = case_seed = seed + i};

        case_mode = mode == GUEST_MODES ? (enum guest_mode)(case_seed % GUEST_MODES) : mode;
        alarm(CASE_SECONDS);
        guest_case(case_mode, &dice);
    }
    printf("%llu guests\n", (unsigned long long)count);
    return 0;
}

/*
 * The engine's handlers of fatal signals take the place of the sanitizers', which write the report
 * and keep the input. Here both serve: the engine's first, and where it gives up, the other.
 */
#include "guest/guest.h"

#include <signal.h>
#include <ucontext.h>

static const int fatal[] = {SIGFPE, SIGSEGV, SIGILL, SIGBUS};

static struct sigaction engines[64], reporters[64];

/* The engine puts the default action back when the signal was not the guest's doing. */
static void on_signal(int number, siginfo_t *info, void *context)
{
    struct sigaction now;

    engines[number].sa_sigaction(number, info, context);
    sigaction(number, NULL, &now);
    if (now.sa_handler == SIG_DFL)
        sigaction(number, &reporters[number], NULL);
}

void guest_signals_before(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(fatal); i++) {
        struct sigaction now;

        sigaction(fatal[i], NULL, &now);
        if (now.sa_sigaction != on_signal)
            reporters[fatal[i]] = now;
    }
}

void guest_signals_after(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(fatal); i++) {
        struct sigaction chain = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};

        sigaction(fatal[i], NULL, &engines[fatal[i]]);
        sigemptyset(&chain.sa_mask);
        sigaction(fatal[i], &chain, NULL);
    }
}

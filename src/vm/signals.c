/* Handlers of SIGTERM and its like: a count, an eventfd, and a timer behind the second one. */
#include "vm/signals.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "vm/terminal.h"

#define TIME_IS_UP (SIGRTMIN + 3) /* of the timer; the KVM engine has 1 and 2 */

#define SIGNALS 4

/* SIGRTMIN is no constant. */
static int signal_number(size_t index)
{
    const int numbers[SIGNALS] = {SIGTERM, SIGHUP, SIGINT, TIME_IS_UP};

    return numbers[index];
}

/* What the handlers need: they know no VM. */
static struct {
    atomic_int count; /* of the user's signals */
    atomic_int last;
    int fd;
    int status;
    unsigned grace_ms;
    timer_t timer;
    bool timed; /* else the second signal does not wait */
    bool installed, replaced[SIGNALS];
    struct sigaction before[SIGNALS];
} state;

static no_return void end_now(int number)
{
    terminal_restore_now();
    _exit(state.status);
}

static void end_soon(void)
{
    struct itimerspec spec = {.it_value = {.tv_sec = state.grace_ms / 1000,
                                           .tv_nsec = (long)(state.grace_ms % 1000 * NS_PER_MS)}};

    if (!state.timed || timer_settime(state.timer, 0, &spec, NULL) != 0)
        end_now(0);
}

static void on_signal(int number)
{
    int saved_errno = errno;
    int earlier = atomic_fetch_add(&state.count, 1);
    uint64_t one = 1;

    atomic_store(&state.last, number);
    if (earlier == 1)
        end_soon();
    else if (earlier > 1)
        end_now(number);
    if (write(state.fd, &one, sizeof(one)) < 0 && earlier > 0)
        end_now(number);
    errno = saved_errno;
}

/* One signal's handler; a SIGHUP that was ignored (nohup) stays so. */
static int install(unsigned index, void (*handler)(int number))
{
    int number = signal_number(index);
    struct sigaction new = {.sa_handler = handler, .sa_flags = SA_RESTART};
    struct sigaction *before = &state.before[index];

    sigfillset(&new.sa_mask);
    if (sigaction(number, NULL, before) != 0)
        return -errno;
    if (number == SIGHUP && before->sa_handler == SIG_IGN)
        return 0;
    if (sigaction(number, &new, NULL) != 0)
        return -errno;
    state.replaced[index] = true;
    return 0;
}

static int install_all(bool with_interrupt)
{
    int err = 0;

    for (unsigned i = 0; i < SIGNALS && !err; i++) {
        int number = signal_number(i);

        if (number == SIGINT && !with_interrupt)
            continue;
        err = install(i, number == TIME_IS_UP ? end_now : on_signal);
    }
    return err;
}

int signals_install(bool with_interrupt, int status, unsigned grace_ms)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = TIME_IS_UP};
    int err;

    if (state.installed)
        return -EBUSY;
    memset(&state, 0, sizeof(state));
    state.status = status;
    state.grace_ms = grace_ms;
    state.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (state.fd < 0)
        return -errno;
    state.timed = timer_create(CLOCK_MONOTONIC, &event, &state.timer) == 0;
    state.installed = true;
    err = install_all(with_interrupt);
    if (err)
        signals_remove();
    return err;
}

void signals_remove(void)
{
    if (!state.installed)
        return;
    if (state.timed)
        timer_delete(state.timer);
    for (unsigned i = 0; i < SIGNALS; i++) {
        if (state.replaced[i])
            (void)sigaction(signal_number(i), &state.before[i], NULL);
    }
    close(state.fd);
    state.installed = false;
}

int signals_fd(void)
{
    return state.installed ? state.fd : -1;
}

unsigned signals_take(int *number)
{
    uint64_t count = 0;

    if (read(state.fd, &count, sizeof(count)) != (ssize_t)sizeof(count))
        return 0;
    *number = atomic_load(&state.last);
    return (unsigned)count;
}

void signals_block(sigset_t *before)
{
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < SIGNALS; i++)
        sigaddset(&set, signal_number(i));
    pthread_sigmask(SIG_BLOCK, &set, before);
}

void signals_unblock(const sigset_t *before)
{
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

/*
 * Raw terminal, escape keys, and queues in both directions. The descriptors are shared with other
 * processes, so they are never made non-blocking: poll says beforehand what will not block.
 * Specification: POSIX.1-2017, "General Terminal Interface"; epoll(7).
 */
#include "vm/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"

#define IN_QUEUE_BYTES  (1024 * 1024)
#define OUT_QUEUE_BYTES (128 * 1024)
#define READ_BYTES      512
/* A pipe that poll calls writable takes so many bytes without blocking (POSIX, PIPE_BUF). */
#define WRITE_BYTES   4096
#define WAIT_SLICE_MS 50
#define LAST_WAIT_MS  500 /* how long an abandoned queue may stand still at the end */

#define KEY_ESCAPE 0x01 /* Ctrl-a */

struct terminal {
    const struct terminal_ops *ops;
    void *opaque;
    int in_fd;
    int out_fd;
    int epoll_fd;  /* what the owner watches: holds what there is to wait for */
    int always_fd; /* an eventfd, always readable: stands for a file, which epoll refuses; or -1 */
    bool raw;
    bool in_watched;
    bool in_ended;
    bool out_watched;
    bool out_closed; /* nobody reads: output is dropped */
    bool escape;     /* the last key was Ctrl-a */
    bool monitor;    /* keys go to the monitor console */
    atomic_bool abandoned;
    size_t in_first, in_count; /* bytes held back in in_queue, a ring */
    uint8_t in_queue[IN_QUEUE_BYTES];
    size_t out_first, out_count;
    uint8_t out_queue[OUT_QUEUE_BYTES];
};

/* What a handler of a fatal signal needs: the one state of this file that outlives a call. */
static struct {
    volatile sig_atomic_t active;
    int fd;
    struct termios settings;
} saved;

/*
 * Every signal of the host that ends a process and can be caught; SIGPIPE and SIGXFSZ are ignored,
 * and the realtime ones come behind.
 */
static const int fatal_signals[] = {
    SIGABRT, SIGSEGV, SIGBUS,    SIGFPE,  SIGILL,  SIGQUIT, SIGHUP,  SIGINT,    SIGTERM, SIGTRAP,
    SIGSYS,  SIGALRM, SIGVTALRM, SIGPROF, SIGUSR1, SIGUSR2, SIGXCPU, SIGSTKFLT, SIGIO,   SIGPWR,
};

void terminal_restore_now(void)
{
    if (!saved.active)
        return;
    saved.active = 0;
    (void)tcsetattr(saved.fd, TCSANOW, &saved.settings);
}

static void on_fatal_signal(int number)
{
    terminal_restore_now();
    /* SA_RESETHAND has put the default action back: the process ends as it would have. */
    raise(number);
}

/* Where nobody else has a handler, and nobody ignores it. */
static void install_handler(int number)
{
    struct sigaction old,
        new = {.sa_handler = on_fatal_signal, .sa_flags = (int)(SA_RESETHAND | SA_ONSTACK)};

    if (sigaction(number, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
        (void)sigaction(number, &new, NULL);
}

static void install_handlers(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(fatal_signals); i++)
        install_handler(fatal_signals[i]);
    for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
        install_handler(number);
}

/* Each byte as it comes, none with a meaning to the host: no echo, no lines, no signals. */
static int make_raw(struct terminal *terminal)
{
    struct termios raw;

    if (saved.active)
        return -EBUSY;
    if (tcgetattr(terminal->in_fd, &saved.settings) < 0)
        return -errno;
    raw = saved.settings;
    cfmakeraw(&raw);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    saved.fd = terminal->in_fd;
    saved.active = 1;
    install_handlers();
    atexit(terminal_restore_now);
    if (tcsetattr(terminal->in_fd, TCSANOW, &raw) < 0) {
        saved.active = 0;
        return -errno;
    }
    terminal->raw = true;
    log_set_raw(true);
    return 0;
}

/* Turns watching of standard input on or off in the inner epoll. */
static void watch_input(struct terminal *terminal, bool on)
{
    struct epoll_event event = {.events = EPOLLIN};
    int fd = terminal->always_fd >= 0 ? terminal->always_fd : terminal->in_fd;

    if (on == terminal->in_watched)
        return;
    if (epoll_ctl(terminal->epoll_fd, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, fd, &event) == 0) {
        terminal->in_watched = on;
    } else if (on && errno == EPERM && terminal->always_fd < 0) {
        /* A regular file or /dev/null: always ready, but epoll will not have it. */
        terminal->always_fd = eventfd(1, EFD_CLOEXEC);
        if (terminal->always_fd >= 0)
            watch_input(terminal, true);
    }
}

/* As above for standard output; a file needs no watching, it is always writable. */
static void watch_output(struct terminal *terminal, bool on)
{
    struct epoll_event event = {.events = EPOLLOUT};

    if (on != terminal->out_watched &&
        epoll_ctl(terminal->epoll_fd, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, terminal->out_fd,
                  &event) == 0)
        terminal->out_watched = on;
}

struct terminal *terminal_create(int in_fd, int out_fd, const struct terminal_ops *ops,
                                 void *opaque)
{
    struct terminal *terminal = calloc(1, sizeof(*terminal));
    int result;

    if (!terminal)
        return NULL;
    terminal->ops = ops;
    terminal->opaque = opaque;
    terminal->in_fd = in_fd;
    terminal->out_fd = out_fd;
    terminal->always_fd = -1;
    terminal->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (terminal->epoll_fd < 0) {
        int err = errno;

        free(terminal);
        errno = err;
        return NULL;
    }
    signal(SIGPIPE, SIG_IGN);
    result = isatty(in_fd) ? make_raw(terminal) : 0;
    if (result) {
        terminal_destroy(terminal);
        errno = -result;
        return NULL;
    }
    watch_input(terminal, true);
    return terminal;
}

int terminal_fd(const struct terminal *terminal)
{
    return terminal->epoll_fd;
}

static bool is_abandoned(const struct terminal *terminal)
{
    return atomic_load_explicit(&terminal->abandoned, memory_order_relaxed);
}

/* Whether a write of WRITE_BYTES would not block, after at most so long. */
static bool out_ready(struct terminal *terminal, int wait_ms)
{
    struct pollfd poll_fd = {.fd = terminal->out_fd, .events = POLLOUT};

    return poll(&poll_fd, 1, wait_ms) > 0;
}

static void close_output(struct terminal *terminal)
{
    terminal->out_closed = true;
    terminal->out_count = 0;
    watch_output(terminal, false);
    log_warn("nobody reads standard output any more (%s); the guest's output is dropped",
             strerror(errno));
}

/* Writes some of the queue; false when the reader takes nothing now. */
static bool flush_some(struct terminal *terminal, int wait_ms)
{
    size_t chunk = MIN(terminal->out_count, OUT_QUEUE_BYTES - terminal->out_first);
    ssize_t n;

    if (!out_ready(terminal, wait_ms))
        return false;
    n = write(terminal->out_fd, terminal->out_queue + terminal->out_first,
              MIN(chunk, (size_t)WRITE_BYTES));
    if (n < 0) {
        if (errno != EINTR && errno != EAGAIN)
            close_output(terminal);
        return false;
    }
    terminal->out_first = (terminal->out_first + (size_t)n) % OUT_QUEUE_BYTES;
    terminal->out_count -= (size_t)n;
    return true;
}

static void flush(struct terminal *terminal)
{
    while (terminal->out_count > 0 && flush_some(terminal, 0))
        continue;
    watch_output(terminal, terminal->out_count > 0);
}

bool terminal_congested(const struct terminal *terminal)
{
    return terminal->out_count >= OUT_QUEUE_BYTES / 2;
}

void terminal_abandon(struct terminal *terminal)
{
    atomic_store_explicit(&terminal->abandoned, true, memory_order_relaxed);
}

/* A pipe is read again when nothing is held back; a terminal, for its escape keys, before. */
static bool wants_input(const struct terminal *terminal)
{
    size_t most = terminal->raw ? IN_QUEUE_BYTES - READ_BYTES : 0;

    return !terminal->in_ended && terminal->in_count <= most;
}

void terminal_resume(struct terminal *terminal)
{
    size_t chunk, taken;

    do {
        chunk = MIN(terminal->in_count, IN_QUEUE_BYTES - terminal->in_first);
        taken = chunk ? terminal->ops->input(terminal->opaque,
                                             terminal->in_queue + terminal->in_first, chunk)
                      : 0;
        terminal->in_first = (terminal->in_first + taken) % IN_QUEUE_BYTES;
        terminal->in_count -= taken;
    } while (taken == chunk && terminal->in_count > 0);
    watch_input(terminal, wants_input(terminal));
}

void terminal_take_back(struct terminal *terminal, const uint8_t *bytes, size_t count)
{
    if (terminal->raw)
        return;
    ASSERT(count <= IN_QUEUE_BYTES - terminal->in_count, "a pipe's queue is never near full");
    for (size_t i = count; i-- > 0; terminal->in_count++) {
        terminal->in_first = (terminal->in_first + IN_QUEUE_BYTES - 1) % IN_QUEUE_BYTES;
        terminal->in_queue[terminal->in_first] = bytes[i];
    }
}

void terminal_size(const struct terminal *terminal, unsigned *rows, unsigned *columns)
{
    struct winsize size = {0};

    if (ioctl(terminal->out_fd, TIOCGWINSZ, &size) < 0)
        size = (struct winsize){0};
    *rows = size.ws_row;
    *columns = size.ws_col;
}

bool terminal_is_keyboard(const struct terminal *terminal)
{
    return terminal->raw;
}

/* Queues a byte for the guest. */
static void take_byte(struct terminal *terminal, uint8_t byte)
{
    ASSERT(terminal->in_count < IN_QUEUE_BYTES, "nothing is read that the queue can't hold");
    terminal->in_queue[(terminal->in_first + terminal->in_count++) % IN_QUEUE_BYTES] = byte;
}

static void print_help(void)
{
    log_raw(
        "\n"
        "Ctrl-a x       quit Umbra\n"
        "Ctrl-a h       this help\n"
        "Ctrl-a s       show the guest's text screen\n"
        "Ctrl-a c       monitor console (help there lists its commands), and back to the guest\n"
        "Ctrl-a a       send Ctrl-a to the guest (Ctrl-a Ctrl-a does too)\n");
}

/* The key behind Ctrl-a. One that means nothing is dropped. */
static void take_escape(struct terminal *terminal, uint8_t key)
{
    switch (key) {
    case 'x':
        terminal_abandon(terminal);
        terminal->ops->quit(terminal->opaque);
        break;
    case 'h':
    case '?': print_help(); break;
    case 'a':
    case KEY_ESCAPE: take_byte(terminal, KEY_ESCAPE); break;
    case 'c':
        if (terminal->ops->monitor) {
            terminal->monitor = !terminal->monitor;
            terminal->ops->monitor(terminal->opaque, terminal->monitor);
        }
        break;
    case 's':
        if (terminal->ops->screen)
            terminal->ops->screen(terminal->opaque);
        break;
    default: break;
    }
}

static void take_input(struct terminal *terminal, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (terminal->escape) {
            terminal->escape = false;
            take_escape(terminal, bytes[i]);
        } else if (terminal->raw && bytes[i] == KEY_ESCAPE) {
            terminal->escape = true;
        } else if (terminal->monitor) {
            terminal->ops->monitor_key(terminal->opaque, bytes[i]);
        } else {
            take_byte(terminal, bytes[i]);
        }
    }
}

/* Reads what is there into the queue; false when nothing was. */
static bool read_some(struct terminal *terminal)
{
    struct pollfd poll_fd = {.fd = terminal->in_fd, .events = POLLIN};
    uint8_t bytes[READ_BYTES];
    ssize_t n;

    if (!wants_input(terminal) || poll(&poll_fd, 1, 0) <= 0)
        return false;
    n = read(terminal->in_fd, bytes, sizeof(bytes));
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return false;
    if (n <= 0)
        terminal->in_ended = true; /* end of file, or the terminal hung up */
    else
        take_input(terminal, bytes, (size_t)n);
    return true;
}

/* While a write waits, the loop cannot: the user must be able to quit all the same. */
static void look_for_escapes(struct terminal *terminal)
{
    if (terminal->raw)
        (void)read_some(terminal);
}

void terminal_write(struct terminal *terminal, const void *bytes, size_t count)
{
    const uint8_t *from = bytes;

    while (count > 0 && !terminal->out_closed) {
        size_t last = (terminal->out_first + terminal->out_count) % OUT_QUEUE_BYTES;
        size_t room = OUT_QUEUE_BYTES - terminal->out_count;
        size_t chunk = MIN(count, MIN(room, OUT_QUEUE_BYTES - last));

        if (room == 0) {
            if (is_abandoned(terminal))
                return;
            if (!flush_some(terminal, WAIT_SLICE_MS))
                look_for_escapes(terminal);
            continue;
        }
        memcpy(terminal->out_queue + last, from, chunk);
        terminal->out_count += chunk;
        from += chunk;
        count -= chunk;
    }
    flush(terminal);
}

void terminal_ready(struct terminal *terminal)
{
    if (read_some(terminal) || terminal->in_ended)
        terminal_resume(terminal);
    flush(terminal);
}

/* The last of the queue: for ever while somebody waits for it, else as long as it moves. */
static void drain(struct terminal *terminal)
{
    unsigned idle_ms = 0;

    while (terminal->out_count > 0 && (!is_abandoned(terminal) || idle_ms < LAST_WAIT_MS)) {
        idle_ms = flush_some(terminal, WAIT_SLICE_MS) ? 0 : idle_ms + WAIT_SLICE_MS;
        look_for_escapes(terminal);
    }
}

void terminal_destroy(struct terminal *terminal)
{
    if (!terminal)
        return;
    drain(terminal);
    if (terminal->raw) {
        terminal_restore_now();
        log_set_raw(false);
    }
    if (terminal->always_fd >= 0)
        close(terminal->always_fd);
    close(terminal->epoll_fd);
    free(terminal);
}

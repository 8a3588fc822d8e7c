/* The terminal, over pipes, files and a pseudo-terminal; nothing here waits for time to pass. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "vm/terminal.h"

/* A guest that takes as much as it has room for. */
struct guest {
    uint8_t bytes[16384];
    size_t count, room;
    size_t quits, monitors;
    uint8_t keys[16]; /* for the monitor console */
    size_t key_count;
};

static size_t guest_input(void *opaque, const uint8_t *bytes, size_t count)
{
    struct guest *guest = opaque;
    size_t taken = MIN(count, guest->room);

    memcpy(guest->bytes + guest->count, bytes, taken);
    guest->count += taken;
    guest->room -= taken;
    return taken;
}

static void guest_quit(void *opaque)
{
    ((struct guest *)opaque)->quits++;
}

static void guest_monitor(void *opaque, bool on)
{
    ((struct guest *)opaque)->monitors++;
}

static void guest_monitor_key(void *opaque, uint8_t key)
{
    struct guest *guest = opaque;

    assert_true(guest->key_count < sizeof(guest->keys));
    guest->keys[guest->key_count++] = key;
}

static const struct terminal_ops ops = {
    .input = guest_input,
    .quit = guest_quit,
    .monitor = guest_monitor,
    .monitor_key = guest_monitor_key,
};

static bool readable(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    return poll(&poll_fd, 1, 0) > 0;
}

/* Runs the loop's part until nothing is ready. */
static void settle(struct terminal *terminal)
{
    for (unsigned i = 0; i < 1000 && readable(terminal_fd(terminal)); i++)
        terminal_ready(terminal);
    assert_false(readable(terminal_fd(terminal)));
}

static void test_pipe(void **state)
{
    struct guest guest = {.room = sizeof(guest.bytes)};
    struct terminal *terminal;
    int in[2], out[2];
    char text[16];

    assert_int_equal(pipe(in) | pipe(out), 0);
    terminal = terminal_create(in[0], out[1], &ops, &guest);
    assert_non_null(terminal);
    assert_false(readable(terminal_fd(terminal)));

    /* Ctrl-a is an ordinary byte here. */
    assert_int_equal(write(in[1], "ab\001x", 4), 4);
    settle(terminal);
    assert_int_equal(guest.count, 4);
    assert_memory_equal(guest.bytes, "ab\001x", 4);
    assert_int_equal(guest.quits, 0);

    terminal_write(terminal, "hello", 5);
    assert_int_equal(read(out[0], text, sizeof(text)), 5);

    /* End of file: no more work, output goes on. */
    close(in[1]);
    settle(terminal);
    terminal_write(terminal, "x", 1);
    assert_int_equal(read(out[0], text, sizeof(text)), 1);
    terminal_destroy(terminal);
    close(in[0]);
    close(out[0]);
    close(out[1]);
}

static void test_flow_control(void **state)
{
    struct guest guest = {.room = 3};
    struct terminal *terminal;
    int in[2];

    assert_int_equal(pipe(in), 0);
    terminal = terminal_create(in[0], STDERR_FILENO, &ops, &guest);
    assert_int_equal(write(in[1], "0123456789", 10), 10);
    settle(terminal);
    assert_int_equal(guest.count, 3);

    /* What stands in the pipe stays there while bytes are held back. */
    assert_int_equal(write(in[1], "abc", 3), 3);
    settle(terminal);
    assert_true(readable(in[0]));
    guest.room = 4;
    terminal_resume(terminal);
    settle(terminal);
    assert_int_equal(guest.count, 7);
    assert_true(readable(in[0]));

    guest.room = 100;
    terminal_resume(terminal);
    settle(terminal);
    assert_int_equal(guest.count, 13);
    assert_memory_equal(guest.bytes, "0123456789abc", 13);

    /* The end of the file behind bytes that are held back loses none of them. */
    guest.room = 0;
    assert_int_equal(write(in[1], "end", 3), 3);
    close(in[1]);
    settle(terminal);
    guest.room = 100;
    terminal_resume(terminal);
    settle(terminal);
    assert_memory_equal(guest.bytes + 13, "end", 3);
    terminal_destroy(terminal);
    close(in[0]);
}

/* epoll refuses regular files and /dev/null; the terminal takes both. */
static void test_files(void **state)
{
    char path[] = "/tmp/umbra-test.XXXXXX";
    struct guest guest = {.room = 700};
    struct terminal *terminal;
    uint8_t bytes[1000];
    int fd = mkstemp(path), null = open("/dev/null", O_RDONLY);

    unlink(path);
    memset(bytes, 0x33, sizeof(bytes));
    assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
    lseek(fd, 0, SEEK_SET);
    terminal = terminal_create(fd, STDERR_FILENO, &ops, &guest);
    settle(terminal);
    assert_int_equal(guest.count, 700);
    guest.room = 1000;
    terminal_resume(terminal);
    settle(terminal);
    assert_int_equal(guest.count, 1000);
    terminal_destroy(terminal);
    close(fd);

    terminal = terminal_create(null, STDERR_FILENO, &ops, &guest);
    settle(terminal);
    assert_int_equal(guest.count, 1000);
    terminal_destroy(terminal);
    close(null);
}

static void *drain(void *opaque)
{
    size_t *total = opaque, n;
    uint8_t bytes[4096];
    int fd = (int)*total;

    *total = 0;
    while ((n = (size_t)read(fd, bytes, sizeof(bytes))) > 0 && n <= sizeof(bytes))
        *total += n;
    return NULL;
}

/* A full pipe: the queue fills, the rest waits for the reader, nothing is lost. */
static void test_slow_reader(void **state)
{
    static uint8_t bytes[300000];
    struct guest guest = {0};
    struct terminal *terminal;
    pthread_t thread;
    int in[2], out[2];
    size_t total;

    assert_int_equal(pipe(in) | pipe(out), 0);
    terminal = terminal_create(in[0], out[1], &ops, &guest);
    total = (size_t)out[0];
    assert_false(terminal_congested(terminal));
    terminal_write(terminal, bytes, 65536 + 65536); /* the pipe takes 64 KiB of them */
    assert_true(terminal_congested(terminal));
    assert_int_equal(pthread_create(&thread, NULL, drain, &total), 0);
    terminal_write(terminal, bytes, sizeof(bytes));
    terminal_destroy(terminal);
    close(out[1]);
    pthread_join(thread, NULL);
    assert_int_equal(total, 131072 + sizeof(bytes));
    close(in[0]);
    close(in[1]);
    close(out[0]);
}

static void test_abandon(void **state)
{
    static uint8_t bytes[300000];
    struct guest guest = {0};
    struct terminal *terminal;
    int in[2], out[2];

    assert_int_equal(pipe(in) | pipe(out), 0);
    terminal = terminal_create(in[0], out[1], &ops, &guest);
    terminal_abandon(terminal);
    terminal_write(terminal, bytes, sizeof(bytes)); /* nobody reads: it must return */
    terminal_destroy(terminal);
    close(in[0]);
    close(in[1]);
    close(out[0]);
    close(out[1]);
}

static void test_closed_output(void **state)
{
    struct guest guest = {0};
    struct terminal *terminal;
    int in[2], out[2];

    assert_int_equal(pipe(in) | pipe(out), 0);
    terminal = terminal_create(in[0], out[1], &ops, &guest);
    close(out[0]);
    terminal_write(terminal, "x", 1); /* SIGPIPE would end the test here */
    terminal_write(terminal, "y", 1);
    settle(terminal);
    terminal_destroy(terminal);
    close(in[0]);
    close(in[1]);
    close(out[1]);
}

/* A pseudo-terminal: *keyboard is the user's side. */
static int open_pty(int *keyboard)
{
    *keyboard = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(*keyboard >= 0);
    assert_int_equal(grantpt(*keyboard) | unlockpt(*keyboard), 0);
    return open(ptsname(*keyboard), O_RDWR | O_NOCTTY);
}

static void type(int keyboard, const char *keys)
{
    assert_int_equal(write(keyboard, keys, strlen(keys)), strlen(keys));
}

/* A pseudo-terminal delivers when it likes: runs the loop until the count is reached. */
static void await(struct terminal *terminal, const size_t *count, size_t expected)
{
    struct pollfd poll_fd = {.fd = terminal_fd(terminal), .events = POLLIN};

    while (*count < expected) {
        if (poll(&poll_fd, 1, 10000) <= 0)
            fail_msg("nothing came");
        terminal_ready(terminal);
    }
    assert_int_equal(*count, expected);
}

static void test_escapes(void **state)
{
    struct guest guest = {.room = 100};
    struct terminal *terminal, *second;
    struct termios before, during, after;
    int keyboard, tty = open_pty(&keyboard);

    assert_int_equal(tcgetattr(tty, &before), 0);
    terminal = terminal_create(tty, tty, &ops, &guest);
    assert_non_null(terminal);
    assert_int_equal(tcgetattr(tty, &during), 0);
    assert_int_equal(during.c_lflag & (ICANON | ECHO | ISIG), 0);

    second = terminal_create(tty, tty, &ops, &guest);
    assert_null(second);
    assert_int_equal(errno, EBUSY);

    type(keyboard, "a\003b");        /* ^C is the guest's */
    type(keyboard, "\001a\001\001"); /* two ways to send Ctrl-a */
    type(keyboard, "\001z");         /* nothing */
    await(terminal, &guest.count, 5);
    type(keyboard, "\001"); /* a key of its own */
    type(keyboard, "x\001c");
    await(terminal, &guest.monitors, 1);
    type(keyboard, "hi\003\001cb"); /* the console's, and back to the guest */
    await(terminal, &guest.count, 6);
    assert_int_equal(guest.monitors, 2);
    assert_int_equal(guest.key_count, 3);
    assert_memory_equal(guest.keys, "hi\003", 3);
    assert_int_equal(guest.quits, 1);
    assert_int_equal(guest.count, 6);
    assert_memory_equal(guest.bytes, "a\003b\001\001b", 6);

    terminal_destroy(terminal);
    assert_int_equal(tcgetattr(tty, &after), 0);
    assert_int_equal(after.c_lflag, before.c_lflag);
    assert_int_equal(after.c_oflag, before.c_oflag);
    close(tty);
    close(keyboard);
}

/* A paste that is far more than the guest takes at once arrives whole, from a terminal too. */
static void test_paste(void **state)
{
    static char line[100];
    static struct guest guest;
    struct terminal *terminal;
    int keyboard, tty = open_pty(&keyboard);
    size_t pasted = 0;

    guest.room = 0;
    terminal = terminal_create(tty, tty, &ops, &guest);
    while (pasted + sizeof(line) <= sizeof(guest.bytes)) {
        struct pollfd poll_fd = {.fd = terminal_fd(terminal), .events = POLLIN};

        memset(line, 'a' + (int)(pasted / sizeof(line) % 26), sizeof(line));
        assert_int_equal(write(keyboard, line, sizeof(line)), sizeof(line));
        pasted += sizeof(line);
        assert_true(poll(&poll_fd, 1, 10000) > 0);
        terminal_ready(terminal);
    }
    for (size_t taken = 0; taken < pasted; taken = guest.count) {
        struct pollfd poll_fd = {.fd = terminal_fd(terminal), .events = POLLIN};

        guest.room = 1000;
        terminal_resume(terminal);
        if (guest.count == taken && poll(&poll_fd, 1, 10000) <= 0)
            fail_msg("%zu of %zu bytes came", taken, pasted);
        terminal_ready(terminal);
    }
    for (size_t i = 0; i < pasted; i++)
        assert_int_equal(guest.bytes[i], 'a' + (int)(i / sizeof(line) % 26));
    terminal_destroy(terminal);
    close(tty);
    close(keyboard);
}

/* A terminal whose bytes nobody takes is not read for ever, and what waits is not lost. */
static void test_paste_too_large(void **state)
{
    static struct guest guest;
    struct terminal *terminal;
    int keyboard, tty = open_pty(&keyboard);
    char bytes[1024] = {'x'};
    struct pollfd writable = {.fd = keyboard, .events = POLLOUT};
    size_t pasted = 0, taken = 0;

    terminal = terminal_create(tty, tty, &ops, &guest);
    fcntl(keyboard, F_SETFL, O_NONBLOCK);
    /* Until neither side moves: the terminal is not ready, the keyboard takes no more. */
    for (unsigned idle = 0; idle < 3;) {
        ssize_t n = write(keyboard, bytes, sizeof(bytes));
        bool ready = readable(terminal_fd(terminal));

        pasted += n > 0 ? (size_t)n : 0;
        if (ready)
            terminal_ready(terminal);
        idle = n > 0 || ready || poll(&writable, 1, 20) > 0 ? 0 : idle + 1;
    }
    assert_true(pasted >= 1024 * 1024);
    while (taken < pasted) {
        struct pollfd poll_fd = {.fd = terminal_fd(terminal), .events = POLLIN};

        guest.count = 0;
        guest.room = sizeof(guest.bytes);
        terminal_resume(terminal);
        taken += guest.count;
        if (guest.count == 0 && poll(&poll_fd, 1, 10000) <= 0)
            fail_msg("%zu of %zu bytes came", taken, pasted);
        if (guest.count == 0)
            terminal_ready(terminal), taken += guest.count;
    }
    assert_int_equal(taken, pasted);
    terminal_destroy(terminal);
    close(tty);
    close(keyboard);
}

/* What the guest threw away unread comes again from a pipe, in its order. */
static void test_take_back(void **state)
{
    struct guest guest = {.room = 4};
    struct terminal *terminal;
    int in[2];

    assert_int_equal(pipe(in), 0);
    terminal = terminal_create(in[0], STDERR_FILENO, &ops, &guest);
    assert_false(terminal_is_keyboard(terminal));
    assert_int_equal(write(in[1], "012345", 6), 6);
    settle(terminal);
    assert_int_equal(guest.count, 4);
    terminal_take_back(terminal, guest.bytes + 2, 2);
    guest.count = 2;
    guest.room = 100;
    terminal_resume(terminal);
    assert_int_equal(guest.count, 6);
    assert_memory_equal(guest.bytes, "012345", 6);
    terminal_destroy(terminal);
    close(in[0]);
    close(in[1]);
}

/* A guest that reads nothing does not keep its user from quitting. */
static void test_escape_while_held_back(void **state)
{
    struct guest guest = {.room = 0};
    struct terminal *terminal;
    int keyboard, tty = open_pty(&keyboard);
    char line[1000];

    terminal = terminal_create(tty, tty, &ops, &guest);
    memset(line, 'k', sizeof(line));
    line[sizeof(line) - 1] = '\0';
    for (unsigned i = 0; i < 6; i++)
        type(keyboard, line);
    type(keyboard, "\001x");
    await(terminal, &guest.quits, 1);
    guest.room = sizeof(guest.bytes);
    terminal_resume(terminal);
    assert_int_equal(guest.count, 6 * (sizeof(line) - 1));
    terminal_destroy(terminal);
    close(tty);
    close(keyboard);
}

/* Nor does a reader that reads nothing: the write that waits for it sees Ctrl-a x. */
static void test_escape_while_writing(void **state)
{
    static uint8_t bytes[300000];
    struct guest guest = {0};
    struct terminal *terminal;
    int keyboard, out[2], tty = open_pty(&keyboard);

    assert_int_equal(pipe(out), 0);
    terminal = terminal_create(tty, out[1], &ops, &guest);
    type(keyboard, "\001x");
    terminal_write(terminal, bytes, sizeof(bytes));
    assert_int_equal(guest.quits, 1);
    terminal_destroy(terminal);
    close(tty);
    close(keyboard);
    close(out[0]);
    close(out[1]);
}

/* A process that dies of a signal, or exits without a word, leaves the terminal as it was. */
static void restored_after(void (*end)(void), int expected_signal)
{
    struct termios before, after;
    int keyboard, tty = open_pty(&keyboard), status;
    struct guest guest = {0};
    pid_t child;

    assert_int_equal(tcgetattr(tty, &before), 0);
    child = fork();
    if (child == 0) {
        static struct terminal *kept; /* no leak in the eyes of a sanitizer */

        if (expected_signal)
            signal(expected_signal, SIG_DFL); /* cmocka has handlers of its own */
        kept = terminal_create(tty, tty, &ops, &guest);
        if (!kept)
            _exit(9);
        end();
        _exit(8);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (expected_signal)
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == expected_signal);
    else
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(tcgetattr(tty, &after), 0);
    assert_int_equal(after.c_lflag, before.c_lflag);
    close(tty);
    close(keyboard);
}

static void end_by_exit(void)
{
    exit(0);
}

static void end_by_abort(void)
{
    abort();
}

/* The signal of the case under way, for the child that it ends. */
static int signal_to_raise;

static void end_by_signal(void)
{
    raise(signal_to_raise);
}

static void test_restored_however_it_ends(void **state)
{
    restored_after(end_by_exit, 0);
    restored_after(end_by_abort, SIGABRT);
    for (int number = 1; number <= SIGRTMAX; number++) {
        struct sigaction action;
        bool harmless = number == SIGCHLD || number == SIGURG || number == SIGWINCH ||
                        number == SIGCONT || number == SIGPIPE || number == SIGXFSZ;
        bool stops =
            number == SIGSTOP || number == SIGTSTP || number == SIGTTIN || number == SIGTTOU;

        /* The C library keeps the first realtime signals to itself; SIGKILL cannot be caught. */
        if (harmless || stops || number == SIGKILL || sigaction(number, NULL, &action) != 0)
            continue;
        signal_to_raise = number;
        restored_after(end_by_signal, number);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restored_however_it_ends),
        cmocka_unit_test(test_pipe),
        cmocka_unit_test(test_flow_control),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_abandon),
        cmocka_unit_test(test_closed_output),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_paste),
        cmocka_unit_test(test_paste_too_large),
        cmocka_unit_test(test_take_back),
        cmocka_unit_test(test_escape_while_held_back),
        cmocka_unit_test(test_escape_while_writing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

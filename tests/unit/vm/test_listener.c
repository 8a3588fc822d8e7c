/* The listening socket with real clients: the loop runs in a thread of its own, the test talks. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "vm/events.h"
#include "vm/listener.h"

#define WAIT_S      10
#define FLOOD_BYTES (256 * KIB)

/* An owner that sends everything back, three bytes at a time, and obeys a few letters. */
struct rig {
    struct events *events;
    struct listener *listener;
    pthread_t thread;
    char dir[32], path[64], where[80];
    atomic_uint opened, closed;
    atomic_size_t received;
    uint8_t flood[FLOOD_BYTES];
};

static void on_opened(void *opaque)
{
    struct rig *rig = opaque;

    atomic_fetch_add(&rig->opened, 1);
    listener_send(rig->listener, "hi\n", 3);
}

static size_t on_received(void *opaque, const uint8_t *bytes, size_t count)
{
    struct rig *rig = opaque;
    size_t taken = MIN(count, (size_t)3);

    atomic_fetch_add(&rig->received, taken);
    if (memchr(bytes, 'F', taken)) /* a flood */
        listener_send(rig->listener, rig->flood, FLOOD_BYTES);
    else if (memchr(bytes, 'M', taken)) { /* more than a client may let wait */
        for (size_t sent = 0; sent <= 2 * LISTENER_MAX_BYTES; sent += FLOOD_BYTES)
            listener_send(rig->listener, rig->flood, FLOOD_BYTES);
    } else if (memchr(bytes, 'D', taken))
        listener_drop(rig->listener);
    else
        listener_send(rig->listener, bytes, taken);
    return taken;
}

static void on_closed(void *opaque)
{
    atomic_fetch_add(&((struct rig *)opaque)->closed, 1);
}

static const struct listener_ops ops = {on_opened, on_received, on_closed};

static void *run_loop(void *opaque)
{
    events_run(((struct rig *)opaque)->events);
    return NULL;
}

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    memset(rig->flood, 'f', FLOOD_BYTES);
    strcpy(rig->dir, "/tmp/listener-XXXXXX");
    assert_non_null(mkdtemp(rig->dir));
    snprintf(rig->path, sizeof(rig->path), "%s/sock", rig->dir);
    snprintf(rig->where, sizeof(rig->where), "unix:%s", rig->path);
    rig->events = events_create();
    assert_non_null(rig->events);
    assert_int_equal(listener_create(&rig->listener, rig->events, rig->where, &ops, rig), 0);
    assert_int_equal(pthread_create(&rig->thread, NULL, run_loop, rig), 0);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    struct stat file;

    events_stop(rig->events);
    pthread_join(rig->thread, NULL);
    listener_destroy(rig->listener);
    assert_int_not_equal(lstat(rig->path, &file), 0);
    events_destroy(rig->events);
    rmdir(rig->dir);
    free(rig);
    return 0;
}

/* A client that has connected; each of its waits ends after WAIT_S. */
static int join(const struct rig *rig)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = WAIT_S};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strcpy(address.sun_path, rig->path);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void expect(int fd, const char *text)
{
    char got[64] = {0};

    assert_int_equal(recv(fd, got, strlen(text), MSG_WAITALL), strlen(text));
    assert_string_equal(got, text);
}

/* Reads to the end of the connection; returns how many bytes came. */
static size_t drain(int fd)
{
    static const size_t room = 65536;
    char *bytes = malloc(room);
    size_t count = 0;
    ssize_t n;

    while ((n = recv(fd, bytes, room, 0)) > 0)
        count += (size_t)n;
    assert_true(n == 0 || errno == ECONNRESET);
    free(bytes);
    return count;
}

static void put(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void test_echo(void **state)
{
    struct rig *rig = *state;
    struct stat file;
    int fd = join(rig);

    assert_int_equal(stat(rig->path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
    expect(fd, "hi\n");
    put(fd, "abcdefgh");
    expect(fd, "abcdefgh");
    /* The client has said all: it gets the rest and is closed. */
    put(fd, "0123456789");
    shutdown(fd, SHUT_WR);
    expect(fd, "0123456789");
    assert_int_equal(drain(fd), 0);
    close(fd);
    assert_int_equal(atomic_load(&rig->opened), 1);
}

static void test_one_at_a_time(void **state)
{
    struct rig *rig = *state;
    int first = join(rig), second;

    expect(first, "hi\n");
    second = join(rig);
    expect(second, "umbra: another client is connected");
    drain(second);
    close(second);
    put(first, "abc");
    expect(first, "abc");
    put(first, "D"); /* the owner closes it: then there is room for another */
    assert_int_equal(drain(first), 0);
    close(first);
    second = join(rig);
    expect(second, "hi\n");
    assert_int_equal(atomic_load(&rig->closed), 1);
    close(second);
}

static void test_slow_reader(void **state)
{
    struct rig *rig = *state;
    int fd = join(rig);

    expect(fd, "hi\n");
    /* What waits is above the mark: the second letter is not looked at before it is read. */
    put(fd, "F__F__");
    for (unsigned i = 0; i < 2; i++) {
        char *bytes = malloc(FLOOD_BYTES);

        assert_int_equal(recv(fd, bytes, FLOOD_BYTES, MSG_WAITALL), FLOOD_BYTES);
        assert_memory_equal(bytes, rig->flood, FLOOD_BYTES);
        free(bytes);
    }
    put(fd, "abc");
    expect(fd, "abc");
    close(fd);
}

/* What a client sends before it goes counts, though nobody hears the answers. */
static void test_gone_at_once(void **state)
{
    struct rig *rig = *state;

    for (unsigned i = 1; i <= 50; i++) {
        int fd = join(rig);

        put(fd, "abcdefghi");
        close(fd);
        for (time_t end = time(NULL) + WAIT_S; atomic_load(&rig->received) < 9 * i;) {
            assert_true(time(NULL) < end);
            sched_yield();
        }
    }
    assert_int_equal(atomic_load(&rig->received), 9 * 50);
}

/* A thousand times more commands than answers are taken: they stay in the socket. */
static void test_backpressure(void **state)
{
    struct rig *rig = *state;
    int fd = join(rig);
    char letters[300];
    size_t sent = 0;
    ssize_t n;

    expect(fd, "hi\n");
    memset(letters, 'F', sizeof(letters));
    while ((n = send(fd, letters, sizeof(letters), MSG_NOSIGNAL | MSG_DONTWAIT)) > 0)
        sent += (size_t)n;
    assert_true(sent < 4 * MIB);
    assert_true(atomic_load(&rig->received) < 4096);
    close(fd);
    /* Another is served as soon as what this one has left in the socket is used up. */
    for (time_t end = time(NULL) + WAIT_S;;) {
        char first = 0;

        fd = join(rig);
        assert_int_equal(recv(fd, &first, 1, 0), 1);
        close(fd);
        if (first == 'h')
            break;
        assert_true(time(NULL) < end);
    }
}

static void test_too_much(void **state)
{
    struct rig *rig = *state;
    int fd = join(rig);

    expect(fd, "hi\n");
    put(fd, "M"); /* and reads nothing */
    for (time_t end = time(NULL) + WAIT_S; atomic_load(&rig->closed) == 0;) {
        assert_true(time(NULL) < end);
        sched_yield();
    }
    assert_true(drain(fd) < LISTENER_MAX_BYTES);
    close(fd);
    fd = join(rig);
    expect(fd, "hi\n");
    close(fd);
}

/* --- addresses, without a running loop --- */

static void test_addresses(void **state)
{
    static const char *const wrong[] = {"",  "unix:", "0",     "65536", "-1",
                                        "a", "80x",   "tcp:1", " 80",   "4294967376"};
    struct events *events = events_create();
    struct listener *listener = NULL, *second = NULL;
    char dir[] = "/tmp/listener-XXXXXX", where[64], longest[200] = "unix:";

    assert_non_null(mkdtemp(dir));
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        assert_non_null(listener_check(wrong[i]));
        assert_int_equal(listener_create(&listener, events, wrong[i], &ops, NULL), -EINVAL);
    }
    memset(longest + 5, 'a', 108);
    assert_non_null(listener_check(longest));
    longest[5 + 107] = '\0';
    assert_null(listener_check(longest));
    assert_null(listener_check("1"));
    assert_null(listener_check("65535"));

    snprintf(where, sizeof(where), "unix:%s/x", dir);
    assert_int_equal(listener_create(&listener, events, where, &ops, NULL), 0);
    assert_int_equal(listener_create(&second, events, where, &ops, NULL), -EADDRINUSE);
    listener_destroy(listener);
    /* The name may go to a file of another: it is neither removed nor replaced. */
    assert_int_equal(listener_create(&listener, events, where, &ops, NULL), 0);
    assert_int_equal(unlink(where + 5), 0);
    assert_int_equal(mkdir(where + 5, 0700), 0);
    listener_destroy(listener);
    assert_int_equal(listener_create(&second, events, where, &ops, NULL), -EEXIST);
    assert_int_equal(rmdir(where + 5), 0);
    assert_int_equal(rmdir(dir), 0);
    events_destroy(events);
}

static void test_stale_socket(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct events *events = events_create();
    struct listener *listener = NULL;
    char dir[] = "/tmp/listener-XXXXXX", where[64];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_non_null(mkdtemp(dir));
    snprintf(where, sizeof(where), "unix:%s/x", dir);
    strcpy(address.sun_path, where + 5);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
    assert_int_equal(listener_create(&listener, events, where, &ops, NULL), 0);
    listener_destroy(listener);
    assert_int_equal(rmdir(dir), 0);
    events_destroy(events);
}

static void test_tcp(void **state)
{
    struct events *events = events_create();
    struct listener *listener = NULL, *second = NULL;
    struct sockaddr_in address = {.sin_family = AF_INET};
    char where[8];
    int err = -EADDRINUSE;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    for (unsigned port = 40000; err == -EADDRINUSE && port < 41000; port++) {
        snprintf(where, sizeof(where), "%u", port);
        address.sin_port = htons((uint16_t)port);
        err = listener_create(&listener, events, where, &ops, NULL);
    }
    assert_int_equal(err, 0);
    assert_int_equal(listener_create(&second, events, where, &ops, NULL), -EADDRINUSE);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
    listener_destroy(listener);
    events_destroy(events);
}

/* A listener at a free port whose loop runs until the client has gone. */
static void closed_and_stop(void *opaque)
{
    on_closed(opaque);
    events_stop(((struct rig *)opaque)->events);
}

static void tcp_client_says(const void *words, size_t count, size_t taken)
{
    static const struct listener_ops quiet = {
        .received = on_received, .closed = closed_and_stop, .opened = on_opened};
    struct rig *rig = calloc(1, sizeof(*rig));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), err = -EADDRINUSE;

    rig->events = events_create();
    for (unsigned port = 41000; err == -EADDRINUSE && port < 42000; port++) {
        snprintf(rig->where, sizeof(rig->where), "%u", port);
        address.sin_port = htons((uint16_t)port);
        err = listener_create(&rig->listener, rig->events, rig->where, &quiet, rig);
    }
    assert_int_equal(err, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(write(fd, words, count), count);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    events_run(rig->events);
    assert_int_equal(rig->received, taken);
    assert_int_equal(rig->closed, 1);
    close(fd);
    listener_destroy(rig->listener);
    events_destroy(rig->events);
    free(rig);
}

/* What a web page can make a browser send reaches no owner; what our clients send does. */
static void test_tcp_refuses_browsers(void **state)
{
    static const char *const foreign[] = {
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\nquit\n",
        "POST /x HTTP/1.1\r\nContent-Length: 5\r\n\r\nquit\n",
        "OPTIONS * HTTP/1.1\r\n\r\n",
        "Host: localhost\nquit\n",
        "PRI * HTTP/2.0\r\n\r\n",
        "G",
        "\x16\x03\x01\nquit\n",
    };
    static const char *const ours[] = {"quit\n", "\n", "help GET\n", "+", "$?#3f", "\x03", "-"};

    for (size_t i = 0; i < ARRAY_SIZE(foreign); i++)
        tcp_client_says(foreign[i], strlen(foreign[i]), 0);
    tcp_client_says("\0\x03\0\0!quit\n", 10, 0); /* STUN: a page's TURN server */
    for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
        tcp_client_says(ours[i], strlen(ours[i]), strlen(ours[i]));
    tcp_client_says("x\nGET\n", 6, 6); /* the first byte alone decides */
}

/* --- the event loop's own promises --- */

struct pair {
    struct events *events;
    int fd[2];
    unsigned calls;
};

/* Whichever is called first takes the other away; both were ready. */
static void on_pair(void *opaque)
{
    struct pair *pair = opaque;

    pair->calls++;
    events_remove(pair->events, pair->fd[0]);
    events_remove(pair->events, pair->fd[1]);
    events_stop(pair->events);
}

static void test_remove_while_reported(void **state)
{
    struct pair pair = {.events = events_create()};

    for (unsigned i = 0; i < 2; i++) {
        pair.fd[i] = eventfd(1, EFD_CLOEXEC);
        assert_int_equal(events_add(pair.events, pair.fd[i], on_pair, &pair), 0);
    }
    events_run(pair.events);
    assert_int_equal(pair.calls, 1);
    events_remove(pair.events, pair.fd[0]); /* harmless */
    events_destroy(pair.events);
    close(pair.fd[0]);
    close(pair.fd[1]);
}

static void test_too_many_sources(void **state)
{
    struct events *events = events_create();
    int fd[64], err = 0;
    unsigned count = 0;

    while (err == 0 && count < ARRAY_SIZE(fd)) {
        fd[count] = eventfd(0, EFD_CLOEXEC);
        err = events_add(events, fd[count++], on_closed, NULL);
    }
    assert_int_equal(err, -ENOSPC);
    events_remove(events, fd[3]);
    assert_int_equal(events_add(events, fd[count - 1], on_closed, NULL), 0);
    while (count-- > 0)
        close(fd[count]);
    events_destroy(events);
}

#define RIG(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG(test_echo),
        RIG(test_one_at_a_time),
        RIG(test_slow_reader),
        RIG(test_gone_at_once),
        RIG(test_backpressure),
        RIG(test_too_much),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_stale_socket),
        cmocka_unit_test(test_tcp),
        cmocka_unit_test(test_tcp_refuses_browsers),
        cmocka_unit_test(test_remove_while_reported),
        cmocka_unit_test(test_too_many_sources),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

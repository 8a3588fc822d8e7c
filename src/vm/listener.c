/*
 * Listening socket, one client, a queue in each direction.
 * Specification: unix(7), ip(7), POSIX.1-2017 "Sockets".
 */
#include "vm/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "vm/events.h"

#define UNIX_PREFIX "unix:"
#define READ_BYTES  4096
#define BACKLOG     4
/* Reads and offers in one turn of the loop: a client that never stops does not starve the rest. */
#define TURNS 16

struct listener {
    struct events *events;
    const struct listener_ops *ops;
    void *opaque;
    int listen_fd;
    int client_fd;           /* -1: none */
    bool doomed;             /* the client is to be closed */
    bool deaf;               /* it reads no more; what it has sent counts all the same */
    bool ended;              /* the client sends no more; it is closed when it has its answers */
    bool heard;              /* the client has sent its first byte */
    bool accepts;            /* listen_fd is watched */
    unsigned port;           /* of a TCP socket, else 0 */
    struct sockaddr_un path; /* of a Unix socket, else empty */
    dev_t device;            /* which file it is, to remove no other one */
    ino_t inode;
    size_t in_first, in_count;
    uint8_t in[READ_BYTES];
    size_t out_first, out_count, out_bytes;
    uint8_t *out; /* out_bytes allocated, [out_first, out_first + out_count) used */
};

/* --- addresses --- */

static bool is_unix(const char *where)
{
    return strncmp(where, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0;
}

static unsigned port_of(const char *where)
{
    unsigned port = 0;

    for (const char *c = where; *c; c++) {
        if (*c < '0' || *c > '9' || c - where >= 5)
            return 0;
        port = port * 10 + (unsigned)(*c - '0');
    }
    return port <= UINT16_MAX ? port : 0;
}

const char *listener_check(const char *where)
{
    size_t path_bytes;

    if (!is_unix(where))
        return port_of(where) ? NULL : "neither unix:PATH nor a port from 1 to 65535";
    path_bytes = strlen(where) - strlen(UNIX_PREFIX);
    if (path_bytes == 0)
        return "there is no path behind unix:";
    if (path_bytes >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return "the path is longer than the 107 bytes that a Unix socket's may have";
    return NULL;
}

/* --- the client --- */

/*
 * What the loop waits for. With input still to be offered that is room to write, which there is
 * unless answers wait too.
 */
static void update_watch(struct listener *listener)
{
    bool reads = !listener->ended && listener->in_count == 0 && !listener_congested(listener);

    if (listener->client_fd >= 0)
        events_watch(listener->events, listener->client_fd, reads,
                     listener->out_count > 0 || listener->in_count > 0);
}

/* The client is to be closed. The shutdown makes its descriptor report, whatever is watched. */
static void doom(struct listener *listener)
{
    listener->doomed = true;
    (void)shutdown(listener->client_fd, SHUT_RDWR);
}

static void watch_listen(struct listener *listener, bool on)
{
    listener->accepts = on;
    events_watch(listener->events, listener->listen_fd, on, false);
}

static void close_client(struct listener *listener)
{
    events_remove(listener->events, listener->client_fd);
    close(listener->client_fd);
    listener->client_fd = -1;
    listener->doomed = listener->deaf = listener->ended = listener->heard = false;
    listener->in_count = listener->out_first = listener->out_count = 0;
    free(listener->out);
    listener->out = NULL;
    listener->out_bytes = 0;
    if (!listener->accepts)
        watch_listen(listener, true);
}

/* Sends what the client takes now. */
static void flush(struct listener *listener)
{
    while (listener->out_count > 0 && !listener->doomed) {
        ssize_t n = send(listener->client_fd, listener->out + listener->out_first,
                         listener->out_count, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0) {
            if (errno == EAGAIN || errno == EINTR)
                return;
            listener->deaf = true;
            n = (ssize_t)listener->out_count;
        }
        listener->out_first += (size_t)n;
        listener->out_count -= (size_t)n;
    }
}

/*
 * Whether a first byte begins what a web browser sends to a port that a page named: the methods of
 * HTTP are capital letters, a TLS record of a handshake begins with 16h, a STUN message with 00h.
 * The console's commands are small letters, gdb's packets begin with $, + or -, or are one 03h.
 */
static bool is_foreign(uint8_t byte)
{
    return (byte >= 'A' && byte <= 'Z') || byte == 0x16 || byte == 0x00;
}

/*
 * A browser of this host may be made to connect by any page that its user looks at: the user is
 * trusted, the page is not. A Unix socket is out of its reach.
 */
static void refuse_foreign(struct listener *listener)
{
    static const char words[] = "umbra: HTTP and other foreign protocols are refused\n";

    (void)send(listener->client_fd, words, sizeof(words) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    log_warn("a client at TCP port %u speaks HTTP or another foreign protocol; its connection is "
             "closed",
             listener->port);
    doom(listener);
}

/* Reads what fits; false when nothing was there. */
static bool receive(struct listener *listener)
{
    ssize_t n;

    if (listener->ended || listener->in_count > 0)
        return false;
    n = recv(listener->client_fd, listener->in, sizeof(listener->in), MSG_DONTWAIT);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR)
            doom(listener);
        return false;
    }
    if (n == 0) {
        listener->ended = true;
        return false;
    }
    if (listener->port && !listener->heard && is_foreign(listener->in[0])) {
        refuse_foreign(listener);
        return false;
    }
    listener->heard = true;
    listener->in_first = 0;
    listener->in_count = (size_t)n;
    return true;
}

/* Gives one run of bytes to the owner. */
static void offer(struct listener *listener)
{
    size_t taken = listener->ops->received(listener->opaque, listener->in + listener->in_first,
                                           listener->in_count);

    ASSERT(taken > 0 && taken <= listener->in_count, "an offer of bytes is taken in part or whole");
    listener->in_first += taken;
    listener->in_count -= taken;
}

static void on_client(void *opaque)
{
    struct listener *listener = opaque;

    flush(listener);
    for (unsigned turn = 0; turn < TURNS && !listener->doomed; turn++) {
        if (listener_congested(listener))
            break;
        if (listener->in_count > 0)
            offer(listener);
        else if (!receive(listener))
            break;
    }
    if (listener->ended && listener->in_count == 0 && listener->out_count == 0)
        listener->doomed = true;
    if (listener->doomed) {
        close_client(listener);
        listener->ops->closed(listener->opaque);
        return;
    }
    update_watch(listener);
}

/* A client that has gone is seen to before the next one, whose connection may be reported first. */
static void look_for_end(struct listener *listener)
{
    struct pollfd client = {.fd = listener->client_fd};

    if (listener->client_fd >= 0 && poll(&client, 1, 0) > 0)
        on_client(listener);
}

static void refuse(int fd)
{
    static const char words[] = "umbra: another client is connected; try again when it has gone\n";

    (void)send(fd, words, sizeof(words) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

static void on_connection(void *opaque)
{
    struct listener *listener = opaque;
    int fd = accept4(listener->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0) {
        /* Out of descriptors: the connection would be reported for ever. */
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
            watch_listen(listener, false);
        return;
    }
    look_for_end(listener);
    if (listener->client_fd >= 0 || events_add(listener->events, fd, on_client, listener) != 0) {
        refuse(fd);
        return;
    }
    listener->client_fd = fd;
    listener->ops->opened(listener->opaque);
    update_watch(listener);
}

/* --- what the owner does --- */

bool listener_congested(const struct listener *listener)
{
    return listener->out_count >= LISTENER_CONGESTED_BYTES;
}

/* Room for so many bytes behind what is queued; false when that would be too much. */
static bool make_room(struct listener *listener, size_t count)
{
    size_t bytes = MAX(listener->out_bytes, (size_t)READ_BYTES);
    uint8_t *grown;

    if (count > LISTENER_MAX_BYTES - listener->out_count)
        return false;
    if (listener->out_first + listener->out_count + count <= listener->out_bytes)
        return true;
    if (listener->out_count > 0)
        memmove(listener->out, listener->out + listener->out_first, listener->out_count);
    listener->out_first = 0;
    while (bytes < listener->out_count + count)
        bytes *= 2;
    if (bytes == listener->out_bytes)
        return true;
    grown = realloc(listener->out, bytes);
    if (!grown)
        return false;
    listener->out = grown;
    listener->out_bytes = bytes;
    return true;
}

void listener_send(struct listener *listener, const void *bytes, size_t count)
{
    if (listener->client_fd < 0 || listener->doomed || listener->deaf || count == 0)
        return;
    if (!make_room(listener, count)) {
        log_warn("a client does not read what it asked for; its connection is closed");
        doom(listener);
    } else {
        memcpy(listener->out + listener->out_first + listener->out_count, bytes, count);
        listener->out_count += count;
        flush(listener);
    }
    update_watch(listener);
}

void listener_drop(struct listener *listener)
{
    if (listener->client_fd >= 0)
        doom(listener);
}

/* --- making --- */

/* A socket file that nobody listens to goes away. 0, -EADDRINUSE, -EEXIST or -errno. */
static int remove_stale(const struct sockaddr_un *address)
{
    struct stat file;
    int probe, err;

    if (lstat(address->sun_path, &file) != 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(file.st_mode))
        return -EEXIST;
    probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0)
        return -errno;
    err = connect(probe, (const struct sockaddr *)address, sizeof(*address)) == 0 ? 0 : errno;
    close(probe);
    if (err != ECONNREFUSED)
        return -EADDRINUSE;
    return unlink(address->sun_path) == 0 ? 0 : -errno;
}

static int listen_unix(struct listener *listener, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat file;
    int err;

    memcpy(address.sun_path, path, strlen(path)); /* listener_check: with its end it fits */
    err = remove_stale(&address);
    if (err)
        return err;
    listener->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* The file gets the socket's mode (Linux): no moment at which another user could connect. */
    if (listener->listen_fd < 0 || fchmod(listener->listen_fd, 0600) != 0 ||
        bind(listener->listen_fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        return -errno;
    listener->path = address;
    if (lstat(path, &file) == 0) {
        listener->device = file.st_dev;
        listener->inode = file.st_ino;
    }
    return 0;
}

static int listen_tcp(struct listener *listener, unsigned port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int on = 1;

    listener->port = port;
    listener->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener->listen_fd < 0 ||
        setsockopt(listener->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(listener->listen_fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        return -errno;
    return 0;
}

int listener_create(struct listener **out, struct events *events, const char *where,
                    const struct listener_ops *ops, void *opaque)
{
    struct listener *listener;
    int err;

    if (listener_check(where))
        return -EINVAL;
    listener = calloc(1, sizeof(*listener));
    if (!listener)
        return -ENOMEM;
    listener->events = events;
    listener->ops = ops;
    listener->opaque = opaque;
    listener->listen_fd = listener->client_fd = -1;
    listener->accepts = true;
    err = is_unix(where) ? listen_unix(listener, where + strlen(UNIX_PREFIX))
                         : listen_tcp(listener, port_of(where));
    if (!err && listen(listener->listen_fd, BACKLOG) != 0)
        err = -errno;
    if (!err)
        err = events_add(events, listener->listen_fd, on_connection, listener);
    if (err) {
        listener_destroy(listener);
        return err;
    }
    *out = listener;
    return 0;
}

/* Removes the socket's file, unless another one has taken its name. */
static void remove_file(const struct listener *listener)
{
    struct stat file;

    if (listener->path.sun_path[0] && lstat(listener->path.sun_path, &file) == 0 &&
        file.st_dev == listener->device && file.st_ino == listener->inode)
        (void)unlink(listener->path.sun_path);
}

void listener_destroy(struct listener *listener)
{
    if (!listener)
        return;
    if (listener->client_fd >= 0) {
        flush(listener);
        events_remove(listener->events, listener->client_fd);
        close(listener->client_fd);
    }
    if (listener->listen_fd >= 0) {
        events_remove(listener->events, listener->listen_fd);
        close(listener->listen_fd);
    }
    remove_file(listener);
    free(listener->out);
    free(listener);
}

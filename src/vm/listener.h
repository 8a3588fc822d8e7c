/*
 * A socket where one client at a time may talk to the VM: the monitor console's, or the gdb stub's.
 * It moves bytes between the client and its owner through the event loop, and never blocks.
 *
 *   unix:PATH   a Unix socket for this user only (mode 0600), removed at the end. A socket that
 *               nobody listens to any more is replaced; one in use, or another file, is refused
 *   PORT        TCP, 1 to 65535, on 127.0.0.1: any user of this host may connect, and a web page
 *               may make a browser connect: a client whose first byte begins HTTP, TLS or STUN is
 *               dropped before the owner hears of its bytes
 *
 * A second client is told so in a line and closed. A client that sends without reading is not read
 * from while LISTENER_CONGESTED_BYTES wait for it; one for whom LISTENER_MAX_BYTES wait is dropped.
 * What a client has sent before it went counts.
 *
 * It refuses to know lines and packets.
 *
 * Locking: everything happens on the event loop's thread, without the machine lock.
 */
#ifndef UMBRA_VM_LISTENER_H
#define UMBRA_VM_LISTENER_H

#include "base/types.h"

#define LISTENER_CONGESTED_BYTES (64 * KIB)
#define LISTENER_MAX_BYTES       (8 * MIB)

struct events;
struct listener;

struct listener_ops {
    /* A client has come. */
    void (*opened)(void *opaque);
    /*
     * It sent bytes: takes at least one and returns how many. The rest is offered again, at once or
     * when the client has read more of what waits for it.
     */
    size_t (*received)(void *opaque, const uint8_t *bytes, size_t count);
    /* It has gone, by itself or by listener_drop; what waited for it is lost. */
    void (*closed)(void *opaque);
};

/* What is wrong with an address, in words; NULL when nothing is. */
const char *listener_check(const char *where);

/*
 * Listens at `where`, an address as above. 0 or -errno: -EINVAL for what listener_check refuses,
 * -EADDRINUSE when somebody listens there, -EEXIST when another kind of file has that name.
 */
int listener_create(struct listener **out, struct events *events, const char *where,
                    const struct listener_ops *ops, void *opaque) must_check;

/* Sends what the client takes at once, closes, removes the socket. NULL is fine. No op is called.
 */
void listener_destroy(struct listener *listener);

/* Sends, or queues. Without a client the bytes are dropped. No op is called from inside. */
void listener_send(struct listener *listener, const void *bytes, size_t count);

/* Whether LISTENER_CONGESTED_BYTES wait for the client. */
bool listener_congested(const struct listener *listener);

/* Closes the client's connection as soon as the loop runs again; ops.closed is called then. */
void listener_drop(struct listener *listener);

#endif

/*
 * The user's terminal as the guest's serial line: raw while the VM runs, restored however it ends.
 * It knows the keys behind Ctrl-a; all else goes to the guest, ^C too. End of file on standard
 * input ends the input, not the VM. On a pipe or a file, Ctrl-a is an ordinary byte.
 *
 * It is driven by an event loop: watch terminal_fd for input (EPOLLIN) and call terminal_ready when
 * it reports. Input that the guest does not take is held back: a pipe is then not read any more. A
 * terminal, whose escape keys must work even then, is read until 1 MiB waits; nothing is lost.
 *
 * Locking: the owner serialises all calls, but terminal_abandon and terminal_restore_now.
 */
#ifndef UMBRA_VM_TERMINAL_H
#define UMBRA_VM_TERMINAL_H

#include "base/types.h"

struct terminal_ops {
    /* Offers bytes to the guest; returns how many it took (the UART's room). */
    size_t (*input)(void *opaque, const uint8_t *bytes, size_t count);
    /* Ctrl-a x; terminal_abandon has been called. It may come from inside terminal_write. */
    void (*quit)(void *opaque);
    /* Ctrl-a c: the monitor console gets the keys from now on, or the guest; may be NULL. */
    void (*monitor)(void *opaque, bool on);
    /* Ctrl-a s: shows the guest's screen; may be NULL. */
    void (*screen)(void *opaque);
    /* A key for the monitor console; with monitor. */
    void (*monitor_key)(void *opaque, uint8_t key);
};

struct terminal;

/*
 * Takes over a pair of file descriptors (0 and 1; a test has its own). When in_fd is a terminal it
 * becomes raw; one terminal at a time can be so. SIGPIPE is ignored from here on. NULL with errno
 * set: -EBUSY when a raw terminal exists, or the host's error.
 */
struct terminal *terminal_create(int in_fd, int out_fd, const struct terminal_ops *ops,
                                 void *opaque) must_check;

/* Waits until the queued output is written (see terminal_abandon), restores, frees. NULL is fine.
 */
void terminal_destroy(struct terminal *terminal);

/* A descriptor that is readable when terminal_ready has work. The same one for ever. */
int terminal_fd(const struct terminal *terminal);

/* Reads and delivers input, writes queued output. Never blocks. */
void terminal_ready(struct terminal *terminal);

/* The guest has room again: delivers what was held back. */
void terminal_resume(struct terminal *terminal);

/*
 * The guest threw away bytes that it had been given and had not read: at most as many as it was
 * given last. From a pipe they are the next to be delivered; keys of a terminal are gone.
 */
void terminal_take_back(struct terminal *terminal, const uint8_t *bytes, size_t count);

/* The size of the terminal at output, in characters; 0 and 0 when it is none or tells none. */
void terminal_size(const struct terminal *terminal, unsigned *rows, unsigned *columns);

/* Whether input comes from somebody at a terminal, and not from a pipe or a file. */
bool terminal_is_keyboard(const struct terminal *terminal);

/*
 * Writes guest output. When the reader is slow it is queued; the owner then asks terminal_congested
 * and holds the guest back. When even the queue (128 KiB) is full the call waits for the reader,
 * unless terminal_abandon was called; the escape keys work meanwhile. When nobody reads any more
 * the bytes are dropped.
 */
void terminal_write(struct terminal *terminal, const void *bytes, size_t count);

/* Whether half the queue is full: the guest should rest until terminal_ready has emptied it. */
bool terminal_congested(const struct terminal *terminal);

/* Lets a terminal_write that waits return, now and ever after; from any thread, without lock. */
void terminal_abandon(struct terminal *terminal);

/*
 * Restores the terminal at once; async-signal-safe, for handlers of fatal signals. terminal.c has
 * such handlers of its own for signals that still had their default action at terminal_create.
 */
void terminal_restore_now(void);

#endif

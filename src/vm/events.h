/*
 * The event loop: one thread, epoll, a function a descriptor. Everything in the VM that is not a
 * vCPU happens here: timers, the terminal, signals, the sockets of the console and of gdb.
 *
 * Locking: none; but for events_stop, all calls come from the loop's thread or before it runs.
 */
#ifndef UMBRA_VM_EVENTS_H
#define UMBRA_VM_EVENTS_H

#include "base/types.h"

struct events;

/* NULL with errno set. */
struct events *events_create(void);
void events_destroy(struct events *events);

/*
 * Calls fn when fd is readable, has an error or was hung up. The descriptor stays the caller's.
 * 0, -ENOSPC when there are too many, or -errno.
 */
int events_add(struct events *events, int fd, void (*fn)(void *opaque), void *opaque) must_check;

/*
 * Chooses what fn is called for: fd is readable, writable, both or neither (errors and hang-ups
 * always count: a caller that wants neither must act on them). fd has been added.
 */
void events_watch(struct events *events, int fd, bool readable, bool writable);

/*
 * Forgets fd, before its owner closes it; from inside any fn too. fn is not called any more, even
 * if the loop has seen its event. Harmless when fd was never added.
 */
void events_remove(struct events *events, int fd);

/* Runs until events_stop. */
void events_run(struct events *events);

/* Ends events_run soon; any thread, any number of times, before it runs too. */
void events_stop(struct events *events);

#endif

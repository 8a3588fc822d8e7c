/*
 * The event loop: one thread, epoll, a function a descriptor. Everything in the VM that is not a
 * vCPU happens here: timers, the terminal, signals.
 */
#ifndef UMBRA_VM_EVENTS_H
#define UMBRA_VM_EVENTS_H

#include "base/types.h"

struct events;

/* NULL without resources. */
struct events *events_create(void);
void events_destroy(struct events *events);

/* Calls fn when fd is readable. The descriptor stays the caller's. 0 or -errno. */
int events_add(struct events *events, int fd, void (*fn)(void *opaque), void *opaque) must_check;

/* Runs until events_stop. */
void events_run(struct events *events);

/* Ends events_run soon; any thread, any number of times, before it runs too. */
void events_stop(struct events *events);

#endif

/* The event loop over epoll, woken for its end by an eventfd. */
#include "vm/events.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"

#define MAX_SOURCES 16

struct source {
    int fd;
    uint32_t serial;          /* tells this source from an earlier one in the same place */
    void (*fn)(void *opaque); /* NULL: the place is free */
    void *opaque;
};

struct events {
    int epoll_fd;
    int stop_fd;
    atomic_bool stopping;
    struct source sources[MAX_SOURCES];
    uint32_t last_serial;
};

static void stop_seen(void *opaque)
{
    /* The loop looks at `stopping` next; the eventfd stays readable for later runs. */
}

/* Destroys what there is; NULL with errno set. */
static struct events *give_up(struct events *events, int err)
{
    events_destroy(events);
    errno = -err;
    return NULL;
}

struct events *events_create(void)
{
    struct events *events = calloc(1, sizeof(*events));
    int err;

    if (!events)
        return NULL;
    events->stop_fd = -1;
    events->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (events->epoll_fd < 0)
        return give_up(events, -errno);
    events->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (events->stop_fd < 0)
        return give_up(events, -errno);
    err = events_add(events, events->stop_fd, stop_seen, events);
    return err ? give_up(events, err) : events;
}

void events_destroy(struct events *events)
{
    if (!events)
        return;
    if (events->epoll_fd >= 0)
        close(events->epoll_fd);
    if (events->stop_fd >= 0)
        close(events->stop_fd);
    free(events);
}

/* What the kernel gives back with an event: the place, and which source was meant. */
static uint64_t tag_of(const struct events *events, const struct source *source)
{
    return (uint64_t)source->serial << 32 | (uint32_t)(source - events->sources);
}

static struct source *find(struct events *events, int fd)
{
    for (unsigned i = 0; i < MAX_SOURCES; i++) {
        if (events->sources[i].fn && events->sources[i].fd == fd)
            return &events->sources[i];
    }
    return NULL;
}

int events_add(struct events *events, int fd, void (*fn)(void *opaque), void *opaque)
{
    struct epoll_event event = {.events = EPOLLIN};
    struct source *source = NULL;

    for (unsigned i = 0; i < MAX_SOURCES && !source; i++) {
        if (!events->sources[i].fn)
            source = &events->sources[i];
    }
    if (!source)
        return -ENOSPC;
    source->serial = ++events->last_serial;
    event.data.u64 = tag_of(events, source);
    if (epoll_ctl(events->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        return -errno;
    source->fd = fd;
    source->fn = fn;
    source->opaque = opaque;
    return 0;
}

void events_watch(struct events *events, int fd, bool readable, bool writable)
{
    struct source *source = find(events, fd);
    struct epoll_event event = {.events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u)};
    int result;

    ASSERT(source, "what is watched was added");
    event.data.u64 = tag_of(events, source);
    result = epoll_ctl(events->epoll_fd, EPOLL_CTL_MOD, fd, &event);
    ASSERT(result == 0, "epoll changes what it holds");
}

void events_remove(struct events *events, int fd)
{
    struct source *source = find(events, fd);

    if (!source)
        return;
    (void)epoll_ctl(events->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    source->fn = NULL;
}

/* Calls the source of an event, if it has not been removed since the kernel reported it. */
static void dispatch(struct events *events, uint64_t tag)
{
    struct source *source = &events->sources[(uint32_t)tag];

    if (source->fn && source->serial == tag >> 32)
        source->fn(source->opaque);
}

void events_run(struct events *events)
{
    struct epoll_event ready[MAX_SOURCES];

    while (!atomic_load_explicit(&events->stopping, memory_order_acquire)) {
        int n = epoll_wait(events->epoll_fd, ready, MAX_SOURCES, -1);

        ASSERT(n >= 0 || errno == EINTR, "epoll_wait fails for signals only");
        for (int i = 0; i < n; i++)
            dispatch(events, ready[i].data.u64);
    }
}

void events_stop(struct events *events)
{
    /* Release: pairs with the loop's acquire, so that it sees why it was stopped. */
    atomic_store_explicit(&events->stopping, true, memory_order_release);
    eventfd_write(events->stop_fd, 1);
}

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
    void (*fn)(void *opaque);
    void *opaque;
};

struct events {
    int epoll_fd;
    int stop_fd;
    atomic_bool stopping;
    struct source sources[MAX_SOURCES];
    unsigned count;
};

static void stop_seen(void *opaque)
{
    /* The loop looks at `stopping` next; the eventfd stays readable for later runs. */
}

struct events *events_create(void)
{
    struct events *events = calloc(1, sizeof(*events));

    if (!events)
        return NULL;
    events->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    events->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (events->epoll_fd < 0 || events->stop_fd < 0 ||
        events_add(events, events->stop_fd, stop_seen, events) != 0) {
        events_destroy(events);
        return NULL;
    }
    return events;
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

int events_add(struct events *events, int fd, void (*fn)(void *opaque), void *opaque)
{
    struct epoll_event event = {.events = EPOLLIN};

    ASSERT(events->count < MAX_SOURCES, "the event loop has room for its sources");
    event.data.u32 = events->count;
    if (epoll_ctl(events->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        return -errno;
    events->sources[events->count++] = (struct source){fn, opaque};
    return 0;
}

void events_run(struct events *events)
{
    struct epoll_event ready[MAX_SOURCES];

    while (!atomic_load_explicit(&events->stopping, memory_order_acquire)) {
        int n = epoll_wait(events->epoll_fd, ready, MAX_SOURCES, -1);

        ASSERT(n >= 0 || errno == EINTR, "epoll_wait fails for signals only");
        for (int i = 0; i < n; i++) {
            struct source *source = &events->sources[ready[i].data.u32];

            source->fn(source->opaque);
        }
    }
}

void events_stop(struct events *events)
{
    /* Release: pairs with the loop's acquire, so that it sees why it was stopped. */
    atomic_store_explicit(&events->stopping, true, memory_order_release);
    eventfd_write(events->stop_fd, 1);
}

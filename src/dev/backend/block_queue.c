/* The queue: two lists under one lock, and a worker that moves requests from the first to the
 * second. */
#include "dev/backend/block_queue.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/thread.h"

/* So many lines about one image's errors at most: an image may fail in turn by several kinds. */
#define MAX_ERROR_LINES 8

struct request_list {
    struct block_request *first, **end;
};

struct block_queue {
    struct block *image;
    struct block_queue_thread thread; /* all zero: there is none */
    pthread_t worker;

    struct lock lock; /* of what follows */
    pthread_cond_t work;
    struct request_list waiting, finished;
    bool stopping;

    /* Something is in `finished`. Release, by the worker; who sees it takes the lock. */
    atomic_bool ready;

    /* With the owner's machine lock. */
    unsigned under_way;
    int error_told[BLOCK_OPS]; /* the last one */
    unsigned error_lines;
};

static void list_init(struct request_list *list)
{
    list->first = NULL;
    list->end = &list->first;
}

static void list_append(struct request_list *list, struct block_request *request)
{
    request->next = NULL;
    *list->end = request;
    list->end = &request->next;
}

static struct block_request *list_take(struct request_list *list)
{
    struct block_request *request = list->first;

    if (!request)
        return NULL;
    list->first = request->next;
    if (!list->first)
        list->end = &list->first;
    return request;
}

static int move(struct block *image, const struct block_request *request)
{
    uint64_t offset = request->offset;
    int err = 0;

    for (unsigned i = 0; i < request->iov_count && !err; i++) {
        const struct iovec *part = &request->iov[i];

        if (request->op == BLOCK_READ)
            err = block_read(image, offset, part->iov_base, part->iov_len);
        else
            err = block_write(image, offset, part->iov_base, part->iov_len);
        offset += part->iov_len;
    }
    return err;
}

static int carry_out(struct block *image, const struct block_request *request)
{
    int err = request->op == BLOCK_FLUSH ? 0 : move(image, request);

    if (!err && (request->op == BLOCK_FLUSH || (request->op == BLOCK_WRITE && request->durable)))
        err = block_flush(image);
    return err;
}

/* --- the worker --- */

/* The next request, or NULL at the end. */
static struct block_request *next_request(struct block_queue *queue)
{
    struct block_request *request = NULL;

    lock_acquire(&queue->lock);
    while (!queue->stopping && !(request = list_take(&queue->waiting)))
        lock_wait(&queue->lock, &queue->work);
    lock_release(&queue->lock);
    return request;
}

/* False: the queue has been stopped meanwhile, and its owner wants to hear nothing more. */
static bool finish(struct block_queue *queue, struct block_request *request)
{
    bool on;

    lock_acquire(&queue->lock);
    on = !queue->stopping;
    if (on) {
        list_append(&queue->finished, request);
        atomic_store_explicit(&queue->ready, true, memory_order_release);
    }
    lock_release(&queue->lock);
    return on;
}

static void *work(void *opaque)
{
    struct block_queue *queue = opaque;
    struct block_request *request;

    pthread_setname_np(pthread_self(), "umbra-disk");
    if (queue->thread.started)
        queue->thread.started(queue->thread.opaque);
    while ((request = next_request(queue)) != NULL) {
        request->error = carry_out(queue->image, request);
        if (finish(queue, request))
            queue->thread.finished(queue->thread.opaque);
    }
    return NULL;
}

/* The signals of the outside world are handled on other threads; a fault of its own is not. */
static void outside_signals(sigset_t *set)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};

    sigfillset(set);
    for (size_t i = 0; i < ARRAY_SIZE(own); i++)
        sigdelset(set, own[i]);
}

static int start_worker(struct block_queue *queue)
{
    sigset_t outside, before;
    int err;

    outside_signals(&outside);
    pthread_sigmask(SIG_BLOCK, &outside, &before);
    err = thread_create(&queue->worker, work, queue);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err;
}

/* --- the owner --- */

static void release(struct block_queue *queue)
{
    pthread_cond_destroy(&queue->work);
    lock_fini(&queue->lock);
    free(queue);
}

int block_queue_create(struct block_queue **out, struct block *image,
                       const struct block_queue_thread *thread)
{
    struct block_queue *queue = calloc(1, sizeof(*queue));
    int err;

    *out = NULL;
    if (!queue)
        return -ENOMEM;
    queue->image = image;
    if (thread)
        queue->thread = *thread;
    lock_init(&queue->lock, LOCK_RANK_DISK);
    pthread_cond_init(&queue->work, NULL);
    list_init(&queue->waiting);
    list_init(&queue->finished);
    err = thread ? start_worker(queue) : 0;
    if (err) {
        release(queue);
        return err;
    }
    *out = queue;
    return 0;
}

bool block_queue_stop(struct block_queue *queue, uint64_t deadline_ns)
{
    struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / NS_PER_SEC),
                                .tv_nsec = (long)(deadline_ns % NS_PER_SEC)};

    if (!queue)
        return true;
    lock_acquire(&queue->lock);
    queue->stopping = true;
    pthread_cond_signal(&queue->work);
    lock_release(&queue->lock);
    if (queue->thread.finished &&
        pthread_clockjoin_np(queue->worker, NULL, CLOCK_MONOTONIC, &deadline) != 0)
        return false;
    release(queue);
    return true;
}

const struct block *block_queue_image(const struct block_queue *queue)
{
    return queue->image;
}

void block_queue_submit(struct block_queue *queue, struct block_request *request)
{
    queue->under_way++;
    lock_acquire(&queue->lock);
    list_append(&queue->waiting, request);
    pthread_cond_signal(&queue->work);
    lock_release(&queue->lock);
}

bool block_queue_busy(const struct block_queue *queue)
{
    return queue->under_way > 0;
}

bool block_queue_ready(const struct block_queue *queue)
{
    if (!queue->thread.finished)
        return queue->under_way > 0;
    return atomic_load_explicit(&queue->ready, memory_order_acquire);
}

/* What the worker does, where there is none. What is handed in meanwhile waits for the next time.
 */
static void carry_out_here(struct block_queue *queue)
{
    struct block_request *request;

    while ((request = list_take(&queue->waiting)) != NULL) {
        request->error = carry_out(queue->image, request);
        list_append(&queue->finished, request);
    }
}

static const char *way_out(int err)
{
    switch (err) {
    case -ENOSPC:
    case -EDQUOT: return "make room on its file system";
    case -EFBIG: return "raise the limit (ulimit -f)";
    default: return "the host's log (dmesg) may tell more";
    }
}

/* A guest can cause the same error as often as it likes: each kind gets one line. */
static void tell_error(struct block_queue *queue, const struct block_request *request)
{
    static const char *const words[BLOCK_OPS] = {"read from", "write to", "flush"};
    enum block_op op = request->op;

    if (queue->error_told[op] == request->error || queue->error_lines == MAX_ERROR_LINES)
        return;
    queue->error_told[op] = request->error;
    queue->error_lines++;
    log_error("cannot %s the disk image %s (at byte %" PRIu64 "): %s; the guest gets a drive's "
              "error, %s; further errors like this one are not shown",
              words[op], block_name(queue->image), request->offset, strerror(-request->error),
              way_out(request->error));
}

void block_queue_deliver(struct block_queue *queue)
{
    struct block_request *request, *first;

    if (!queue->thread.finished)
        carry_out_here(queue);
    /* Before the list is taken: what finishes later sets it again. */
    atomic_store_explicit(&queue->ready, false, memory_order_relaxed);
    lock_acquire(&queue->lock);
    first = queue->finished.first;
    list_init(&queue->finished);
    lock_release(&queue->lock);
    while ((request = first) != NULL) {
        first = request->next;
        queue->under_way--;
        if (request->error)
            tell_error(queue, request);
        request->done(request);
    }
}

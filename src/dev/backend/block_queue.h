/*
 * The queue before a disk image: devices hand in requests and go on, a thread carries them out one
 * after the other. So neither the guest nor the machine lock waits for the host's disk, which may
 * hang for as long as it likes.
 *
 *   device --submit--> [waiting] --worker: pread, pwrite, fdatasync--> [finished] --deliver-->
 * device
 *
 * Requests are carried out and completed in the order in which they were handed in. A request is
 * its owner's memory, as are its buffers: both stay as they are until its `done` is called, or
 * until block_queue_stop has said that the worker is gone. Nothing takes a request back: a device
 * that is reset in between stays busy and ignores what it then gets.
 *
 * The queue refuses to call a device by itself: a completion comes from block_queue_deliver only,
 * on a thread and at a time that its owner chooses.
 *
 * Threads: the worker touches the image, the buffers and the two lists. All functions but for
 * block_queue_ready are called with the owner's machine lock held, or before a second thread knows
 * the queue.
 */
#ifndef UMBRA_DEV_BACKEND_BLOCK_QUEUE_H
#define UMBRA_DEV_BACKEND_BLOCK_QUEUE_H

#include <sys/uio.h>

#include "dev/backend/block.h"

enum block_op {
    BLOCK_READ,
    BLOCK_WRITE,
    BLOCK_FLUSH, /* what was written before is on stable storage */
    BLOCK_OPS
};

struct block_request {
    enum block_op op;
    bool durable;            /* of a write: it is on stable storage when it completes */
    uint64_t offset;         /* bytes, from the image's start */
    const struct iovec *iov; /* what is read or written, in this order */
    unsigned iov_count;
    void (*done)(struct block_request *request); /* the request may be handed in again from it */
    int error;                                   /* for `done`: 0 or -errno, as block.h has it */
    struct block_request *next;                  /* the queue's own */
};

struct block_queue;

/* What the queue's thread calls, without any lock. */
struct block_queue_thread {
    void (*started)(void *opaque);  /* once, before it touches the image; may be NULL */
    void (*finished)(void *opaque); /* each time that something has been done */
    void *opaque;
};

/*
 * Makes a queue before an image, which is the queue's alone until block_queue_stop, but stays the
 * caller's, and its thread ("umbra-disk"). thread is copied. NULL: there is no thread, and
 * block_queue_deliver does what was handed in: for tests and fuzzers. 0, -ENOMEM, or the host's
 * error (-EAGAIN).
 */
int block_queue_create(struct block_queue **out, struct block *image,
                       const struct block_queue_thread *thread) must_check;

/*
 * Ends the worker and forgets all requests, without completing any: their owners' memory is free
 * again. Waits until deadline_ns (CLOCK_MONOTONIC) for a request under way. False when the host
 * has not done with it by then: the worker, the queue, the image and the buffers of the request are
 * in use until the process ends, and nobody may free them. NULL is harmless.
 */
bool block_queue_stop(struct block_queue *queue, uint64_t deadline_ns) must_check;

/* The image, for what never changes: its size, and whether it is read-only. */
const struct block *block_queue_image(const struct block_queue *queue);

/* Hands in a request. It completes later, never from inside this call. */
void block_queue_submit(struct block_queue *queue, struct block_request *request);

/* Whether something has been handed in and has not completed. */
bool block_queue_busy(const struct block_queue *queue);

/* Whether block_queue_deliver would complete something. Any thread, without a lock. */
bool block_queue_ready(const struct block_queue *queue);

/*
 * Completes what has finished by calling its `done`, in order. An error of the host is told on
 * standard error, once for each kind of it.
 */
void block_queue_deliver(struct block_queue *queue);

#endif

/* The queue before an image: order, completion, errors, its end with requests under way. */
#include <setjmp.h>
#include <stdarg.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "dev/backend/block_queue.h"

#define REQUESTS 64

struct fixture {
    struct block *image;
    struct block_queue *queue;
    uint8_t data[64 * 512];
    sem_t finished;
    unsigned completed;
};

struct write {
    struct block_request request;
    struct iovec parts[2];
    struct fixture *fixture;
    unsigned number;
};

static void finished(void *opaque)
{
    sem_post(&((struct fixture *)opaque)->finished);
}

static void open_image(struct fixture *f)
{
    assert_int_equal(block_open_memory(&f->image, f->data, sizeof(f->data)), 0);
    assert_int_equal(sem_init(&f->finished, 0, 0), 0);
}

static int with_thread(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    open_image(f);
    assert_int_equal(
        block_queue_create(&f->queue, f->image,
                           &(struct block_queue_thread){.finished = finished, .opaque = f}),
        0);
    *state = f;
    return 0;
}

static int without_thread(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    open_image(f);
    assert_int_equal(block_queue_create(&f->queue, f->image, NULL), 0);
    *state = f;
    return 0;
}

static uint64_t seconds_from_now(uint64_t seconds)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return ((uint64_t)now.tv_sec + seconds) * NS_PER_SEC;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    if (f->queue)
        assert_true(block_queue_stop(f->queue, seconds_from_now(60)));
    block_close(f->image);
    sem_destroy(&f->finished);
    free(f);
    return 0;
}

static void wait_for_all(struct fixture *f)
{
    while (block_queue_busy(f->queue)) {
        sem_wait(&f->finished);
        block_queue_deliver(f->queue);
    }
}

static void in_order(struct block_request *request)
{
    struct write *write = container_of(request, struct write, request);

    assert_int_equal(request->error, 0);
    assert_int_equal(write->number, write->fixture->completed);
    write->fixture->completed++;
}

static void keeps_the_order(void **state)
{
    struct fixture *f = *state;
    struct write *writes = calloc(REQUESTS, sizeof(*writes));
    static uint8_t bytes[REQUESTS][700];

    for (unsigned i = 0; i < REQUESTS; i++) {
        memset(bytes[i], (int)i + 1, sizeof(bytes[i]));
        writes[i].parts[0] = (struct iovec){bytes[i], 300};
        writes[i].parts[1] = (struct iovec){bytes[i] + 300, 400};
        writes[i].fixture = f;
        writes[i].number = i;
        writes[i].request = (struct block_request){.op = BLOCK_WRITE,
                                                   .durable = i % 2,
                                                   .offset = i * 100,
                                                   .iov = writes[i].parts,
                                                   .iov_count = 2,
                                                   .done = in_order};
        block_queue_submit(f->queue, &writes[i].request);
    }
    wait_for_all(f);
    assert_int_equal(f->completed, REQUESTS);
    for (unsigned i = 0; i < REQUESTS; i++)
        assert_int_equal(f->data[i * 100], i + 1);
    assert_int_equal(f->data[(REQUESTS - 1) * 100 + 699], REQUESTS);
    free(writes);
}

static void again(struct block_request *request)
{
    struct write *write = container_of(request, struct write, request);

    if (++write->fixture->completed < 10)
        block_queue_submit(write->fixture->queue, request);
}

static void a_request_may_come_again(void **state)
{
    struct fixture *f = *state;
    struct write flush = {.fixture = f, .request = {.op = BLOCK_FLUSH, .done = again}};

    block_queue_submit(f->queue, &flush.request);
    wait_for_all(f);
    assert_int_equal(f->completed, 10);
}

static void nothing_happens_by_itself(void **state)
{
    struct fixture *f = *state;
    uint8_t byte = 0x77;
    struct write write = {.fixture = f, .parts = {{&byte, 1}}};

    write.request = (struct block_request){
        .op = BLOCK_WRITE, .iov = write.parts, .iov_count = 1, .done = in_order};
    assert_false(block_queue_ready(f->queue));
    block_queue_submit(f->queue, &write.request);
    assert_true(block_queue_ready(f->queue));
    assert_int_equal(f->data[0], 0);
    assert_int_equal(f->completed, 0);
    block_queue_deliver(f->queue);
    assert_int_equal(f->data[0], 0x77);
    assert_int_equal(f->completed, 1);
    assert_false(block_queue_busy(f->queue));
}

static void note_error(struct block_request *request)
{
    container_of(request, struct write, request)->fixture->completed++;
    assert_int_equal(request->error, -ERANGE);
}

static void tells_errors(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[2];
    struct write read = {.fixture = f, .parts = {{bytes, 2}}};

    read.request = (struct block_request){.op = BLOCK_READ,
                                          .offset = sizeof(f->data) - 1,
                                          .iov = read.parts,
                                          .iov_count = 1,
                                          .done = note_error};
    block_queue_submit(f->queue, &read.request);
    wait_for_all(f);
    assert_int_equal(f->completed, 1);
}

static void never(struct block_request *request)
{
    fail_msg("a request of a stopped queue has completed");
}

/* Requests that are not under way yet are forgotten, and those that have finished are not told. */
static void stops_with_requests(void **state)
{
    struct fixture *f = *state;
    struct block_request requests[REQUESTS];

    for (unsigned i = 0; i < REQUESTS; i++) {
        requests[i] = (struct block_request){.op = BLOCK_FLUSH, .done = never};
        block_queue_submit(f->queue, &requests[i]);
    }
    assert_true(block_queue_stop(f->queue, seconds_from_now(60)));
    f->queue = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keeps_the_order, with_thread, tear_down),
        cmocka_unit_test_setup_teardown(a_request_may_come_again, with_thread, tear_down),
        cmocka_unit_test_setup_teardown(tells_errors, with_thread, tear_down),
        cmocka_unit_test_setup_teardown(stops_with_requests, with_thread, tear_down),
        cmocka_unit_test_setup_teardown(stops_with_requests, without_thread, tear_down),
        cmocka_unit_test_setup_teardown(nothing_happens_by_itself, without_thread, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Stacks; see thread.h. */
#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "base/assert.h"

#define USUAL_STACK_BYTES (8 * MIB)

/*
 * The kernel's signal frame with AVX-512 and AMX takes up to 11 KiB, the last words some 10 KiB.
 * Below lies a page that nobody may touch: an overflow there must not go unseen.
 */
#define SIGNAL_STACK_BYTES (64 * KIB)
#define GUARD_BYTES        PAGE_SIZE

struct start {
    void *(*run)(void *opaque);
    void *opaque;
    void *signal_stack; /* with its guard */
};

static void *make_signal_stack(void)
{
    uint8_t *memory = mmap(NULL, GUARD_BYTES + SIGNAL_STACK_BYTES, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

    if (memory == MAP_FAILED)
        return NULL;
    if (mprotect(memory, GUARD_BYTES, PROT_NONE) != 0) {
        munmap(memory, GUARD_BYTES + SIGNAL_STACK_BYTES);
        return NULL;
    }
    return memory;
}

static void drop_signal_stack(void *memory)
{
    munmap(memory, GUARD_BYTES + SIGNAL_STACK_BYTES);
}

/* Whether the calling thread has taken it. */
static bool take_signal_stack(uint8_t *memory)
{
    stack_t now, new = {.ss_sp = memory + GUARD_BYTES, .ss_size = SIGNAL_STACK_BYTES};

    if (sigaltstack(NULL, &now) != 0 || !(now.ss_flags & SS_DISABLE))
        return false;
    return sigaltstack(&new, NULL) == 0;
}

int thread_add_signal_stack(void)
{
    void *memory = make_signal_stack();

    if (!memory)
        return -ENOMEM;
    if (!take_signal_stack(memory))
        drop_signal_stack(memory);
    return 0;
}

static void *run_thread(void *opaque)
{
    static const stack_t none = {.ss_flags = SS_DISABLE};
    struct start start = *(struct start *)opaque;
    void *result;
    bool taken;

    free(opaque);
    taken = take_signal_stack(start.signal_stack);
    result = start.run(start.opaque);
    if (taken)
        sigaltstack(&none, NULL);
    drop_signal_stack(start.signal_stack);
    return result;
}

static int start_thread(pthread_t *thread, struct start *start)
{
    pthread_attr_t attr;
    int err = pthread_attr_init(&attr);

    if (err)
        return -err;
    err = pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES);
    ASSERT(err == 0, "a thread can have a stack of this size");
    err = pthread_create(thread, &attr, run_thread, start);
    pthread_attr_destroy(&attr);
    return -err;
}

int thread_create(pthread_t *thread, void *(*run)(void *opaque), void *opaque)
{
    struct start *start = malloc(sizeof(*start));
    int err;

    if (!start)
        return -ENOMEM;
    *start = (struct start){run, opaque, make_signal_stack()};
    err = start->signal_stack ? start_thread(thread, start) : -ENOMEM;
    if (err) {
        if (start->signal_stack)
            drop_signal_stack(start->signal_stack);
        free(start);
    }
    return err;
}

uint64_t thread_main_stack_left(void)
{
    /* The kernel puts the program's name last, at the upper end of the stack's last page. */
    uintptr_t end = ALIGN_UP((uintptr_t)getauxval(AT_EXECFN), PAGE_SIZE);
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    struct rlimit limit;

    if (getrlimit(RLIMIT_STACK, &limit) != 0)
        return UINT64_MAX;
    if (limit.rlim_cur < USUAL_STACK_BYTES && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = MIN((uint64_t)limit.rlim_max, (uint64_t)USUAL_STACK_BYTES);
        (void)setrlimit(RLIMIT_STACK, &limit); /* refused: the limit below is the old one */
        if (getrlimit(RLIMIT_STACK, &limit) != 0)
            return UINT64_MAX;
    }
    if (limit.rlim_cur == RLIM_INFINITY)
        return UINT64_MAX;
    return limit.rlim_cur > end - here ? limit.rlim_cur - (end - here) : 0;
}

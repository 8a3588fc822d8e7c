/*
 * Stacks of threads. A thread that Umbra makes has one of a size of its own, whatever the user's
 * limit (ulimit -s) says, and each thread an alternate one for the handlers of its faults, so that
 * a stack that has run out is told as any other internal error. Large buffers belong on the heap
 * all the same: the compiler refuses frames of more than 16 KiB.
 * Specification: sigaltstack(2), getrlimit(2) on RLIMIT_STACK, getauxval(3) on AT_EXECFN.
 */
#ifndef UMBRA_BASE_THREAD_H
#define UMBRA_BASE_THREAD_H

#include <pthread.h>

#include "base/types.h"

/*
 * Of each thread that is made. No frame has more than 16 KiB, so this is room for many of the
 * largest; sanitizers make them several times as large, and the JSON of a report takes 128 to 256
 * KiB. What is never touched costs no memory.
 */
#define THREAD_STACK_BYTES (1 * MIB)

/*
 * What the first thread may need, from main on. The embedded guest ran with 12 KiB; a command of
 * the monitor or of gdb has a buffer of 8 KiB, and a line of the log takes another 8.
 */
#define THREAD_MAIN_STACK_BYTES (40 * KIB)

/*
 * Starts a thread with such a stack and an alternate one, which go with it when run returns; it
 * must not end in another way. 0, or -errno. To be joined or detached as any.
 */
int thread_create(pthread_t *thread, void *(*run)(void *opaque), void *opaque) must_check;

/*
 * Gives the calling thread an alternate stack for as long as the process lives: for the first
 * thread. It keeps one that is there already, as sanitizers bring it. 0, or -errno.
 */
int thread_add_signal_stack(void) must_check;

/*
 * Raises the first thread's limit to the usual 8 MiB as far as the user's hard limit allows, and
 * returns how many bytes its stack may still grow. To be called on that thread.
 */
uint64_t thread_main_stack_left(void);

#endif

/*
 * Ranked locks: a thread takes locks in rising rank only, and an assertion says so when it does
 * not. The ranks stand in one list, in the order in which they may be taken.
 */
#ifndef UMBRA_BASE_LOCK_H
#define UMBRA_BASE_LOCK_H

#include <pthread.h>

#include "base/types.h"

enum lock_rank {
    LOCK_RANK_MACHINE, /* devices, timers, slots; never held while guest code runs */
    LOCK_RANK_ENGINE,  /* requests queued for a vCPU */
    LOCK_RANK_CONSOLE, /* the terminal's input and output queues */
    LOCK_RANK_DISK,    /* the lists of a disk image's queue */
};

struct lock {
    pthread_mutex_t mutex;
    enum lock_rank rank;
};

void lock_init(struct lock *lock, enum lock_rank rank);
void lock_fini(struct lock *lock);
void lock_acquire(struct lock *lock);
void lock_release(struct lock *lock);

/* Waits on a condition with the lock held, releasing it meanwhile. */
void lock_wait(struct lock *lock, pthread_cond_t *condition);

#endif

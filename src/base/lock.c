/* Ranked locks over pthread mutexes; each thread keeps a bit set of the ranks it holds. */
#include "base/lock.h"

#include "base/assert.h"

static _Thread_local uint32_t held_ranks;

void lock_init(struct lock *lock, enum lock_rank rank)
{
    lock->rank = rank;
    ASSERT(pthread_mutex_init(&lock->mutex, NULL) == 0, "a default mutex can be made");
}

void lock_fini(struct lock *lock)
{
    pthread_mutex_destroy(&lock->mutex);
}

void lock_acquire(struct lock *lock)
{
    ASSERT((held_ranks >> lock->rank) == 0, "locks are taken in rising rank");
    pthread_mutex_lock(&lock->mutex);
    held_ranks |= 1u << lock->rank;
}

void lock_release(struct lock *lock)
{
    ASSERT(held_ranks & (1u << lock->rank), "a released lock was held");
    held_ranks &= ~(1u << lock->rank);
    pthread_mutex_unlock(&lock->mutex);
}

void lock_wait(struct lock *lock, pthread_cond_t *condition)
{
    ASSERT(held_ranks & (1u << lock->rank), "waiting needs the lock");
    pthread_cond_wait(condition, &lock->mutex);
}

/*
 * Assertions that stay on in release builds: they state an invariant of our own code in words.
 * Nothing that a guest does may reach one.
 */
#ifndef UMBRA_BASE_ASSERT_H
#define UMBRA_BASE_ASSERT_H

#include "base/types.h"

/*
 * Prints the failed invariant and the last words of the thread (see assert_set_last_words), then
 * aborts the process.
 */
no_return void assert_fail(const char *file, int line, const char *condition, const char *words);

/*
 * Registers what the calling thread prints before it dies of an internal error (registers, last
 * exits and so on). NULL removes it. The function must not allocate or lock.
 */
void assert_set_last_words(void (*fn)(void *opaque), void *opaque);

/* Runs the calling thread's last words once; used by the fatal signal handlers too. */
void assert_say_last_words(void);

#define ASSERT(cond, words)                                                                        \
    do {                                                                                           \
        if (unlikely(!(cond)))                                                                     \
            assert_fail(__FILE__, __LINE__, #cond, words);                                         \
    } while (0)

#define UNREACHABLE(words) assert_fail(__FILE__, __LINE__, "unreachable", words)

#endif

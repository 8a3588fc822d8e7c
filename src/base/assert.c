/* Failing assertions: print, let the thread say its last words, abort. */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

static _Thread_local struct {
    void (*fn)(void *opaque);
    void *opaque;
} last_words;

void assert_set_last_words(void (*fn)(void *opaque), void *opaque)
{
    last_words.fn = fn;
    last_words.opaque = opaque;
}

void assert_say_last_words(void)
{
    void (*fn)(void *) = last_words.fn;

    last_words.fn = NULL; /* an error inside the last words must not start them again */
    if (fn)
        fn(last_words.opaque);
}

void assert_fail(const char *file, int line, const char *condition, const char *words)
{
    fprintf(stderr, "umbra: internal error: %s (%s, %s:%d)\n", words, condition, file, line);
    assert_say_last_words();
    abort();
}

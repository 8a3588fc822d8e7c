/* Trace events: the mask, the name table and the printer. */
#include "base/trace.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/log.h"

_Atomic uint8_t trace_enabled[TRACE_COUNT];

#define TRACE_MAX_ARGS 6

static const char *const names[TRACE_COUNT] = {
#define TRACE_EVENT(name, fmt) #name,
#include "base/trace.def"
#undef TRACE_EVENT
};

static const char *const formats[TRACE_COUNT] = {
#define TRACE_EVENT(name, fmt) fmt,
#include "base/trace.def"
#undef TRACE_EVENT
};

unsigned trace_enable(const char *glob)
{
    unsigned matched = 0;

    for (size_t i = 0; i < TRACE_COUNT; i++) {
        if (fnmatch(glob, names[i], 0) == 0) {
            atomic_store_explicit(&trace_enabled[i], 1, memory_order_relaxed);
            matched++;
        }
    }
    return matched;
}

void trace_list(void (*fn)(void *opaque, const char *name), void *opaque)
{
    for (size_t i = 0; i < TRACE_COUNT; i++)
        fn(opaque, names[i]);
}

void trace_emit(enum trace_id id, const uint64_t *args, size_t count)
{
    uint64_t a[TRACE_MAX_ARGS] = {0};
    char line[256];

    ASSERT(count <= TRACE_MAX_ARGS, "a trace event has at most TRACE_MAX_ARGS arguments");
    for (size_t i = 0; i < count; i++)
        a[i] = args[i];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(line, sizeof(line), formats[id], a[0], a[1], a[2], a[3], a[4], a[5]);
#pragma GCC diagnostic pop
    log_raw("%s: %s\n", names[id], line);
}

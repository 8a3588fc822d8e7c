/*
 * Trace events: rows of trace.def, off unless `--trace GLOB` names them. An event that is off
 * costs one load and one branch. Lines go to standard error, or to the file given.
 */
#ifndef UMBRA_BASE_TRACE_H
#define UMBRA_BASE_TRACE_H

#include <stdatomic.h>

#include "base/types.h"

enum trace_id {
#define TRACE_EVENT(name, fmt) TRACE_##name,
#include "base/trace.def"
#undef TRACE_EVENT
    TRACE_COUNT
};

/* One byte an event; read through trace_on. Process-wide, as standard error is. */
extern _Atomic uint8_t trace_enabled[TRACE_COUNT];

static inline bool trace_on(enum trace_id id)
{
    return unlikely(atomic_load_explicit(&trace_enabled[id], memory_order_relaxed));
}

/* Turns on each event whose name matches the shell pattern; returns how many matched. */
unsigned trace_enable(const char *glob);

/* Calls fn for each event's name, in the order of the table. */
void trace_list(void (*fn)(void *opaque, const char *name), void *opaque);

/* Prints one event; use the macro, which looks first whether it is on. */
void trace_emit(enum trace_id id, const uint64_t *args, size_t count);

/*
 * A constant text as an argument. The printer hands it to printf as it comes: on x86-64 a pointer
 * and a uint64_t are passed alike.
 */
#define TRACE_WORD(text) ((uint64_t)(uintptr_t)(text))
_Static_assert(sizeof(uintptr_t) == sizeof(uint64_t), "a word fits an argument");

/* trace(bus_port_read, port, width, value) */
#define trace(name, ...)                                                                           \
    do {                                                                                           \
        if (trace_on(TRACE_##name)) {                                                              \
            const uint64_t trace_args[] = {__VA_ARGS__};                                           \
            trace_emit(TRACE_##name, trace_args, ARRAY_SIZE(trace_args));                          \
        }                                                                                          \
    } while (0)

#endif

/* Log lines on standard error. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static atomic_bool raw_terminal;

void log_set_raw(bool raw)
{
    atomic_store_explicit(&raw_terminal, raw, memory_order_relaxed);
}

static void put(const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDERR_FILENO, text, len);

        if (n <= 0)
            return; /* nobody reads standard error: there is no better place to say so */
        text += n;
        len -= (size_t)n;
    }
}

/* One write a line, so that lines of several threads do not mix. */
static void print(const char *prefix, const char *fmt, va_list args)
{
    bool raw = atomic_load_explicit(&raw_terminal, memory_order_relaxed);
    char text[2048], out[4200];
    size_t n = 0;

    vsnprintf(text, sizeof(text), fmt, args);
    n = (size_t)snprintf(out, 64, "%s", prefix);
    for (const char *p = text; *p && n < sizeof(out) - 4; p++) {
        if (*p == '\n' && raw)
            out[n++] = '\r';
        out[n++] = *p;
    }
    if (*prefix) {
        if (raw)
            out[n++] = '\r';
        out[n++] = '\n';
    }
    put(out, n);
}

#define LOG_BODY(prefix)                                                                           \
    do {                                                                                           \
        va_list args;                                                                              \
        va_start(args, fmt);                                                                       \
        print(prefix, fmt, args);                                                                  \
        va_end(args);                                                                              \
    } while (0)

void log_error(const char *fmt, ...)
{
    LOG_BODY("umbra: error: ");
}

void log_warn(const char *fmt, ...)
{
    LOG_BODY("umbra: warning: ");
}

void log_info(const char *fmt, ...)
{
    LOG_BODY("umbra: ");
}

void log_raw(const char *fmt, ...)
{
    LOG_BODY("");
}

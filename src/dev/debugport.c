/* Console, exit and panic ports; see debugport.h. */
#include "dev/debugport.h"

#include <stdlib.h>

#include "base/trace.h"

#define CONSOLE_HERE                                                                               \
    0xe9 /* what a read gives: a guest tests it to learn whether anybody listens                   \
          */

struct debugport {
    struct device device;
    struct debugport_sink sink;
};

static uint64_t console_read(void *dev, uint64_t offset, unsigned width)
{
    return CONSOLE_HERE;
}

static void console_write(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    const struct debugport_sink *sink = &((struct debugport *)dev)->sink;

    if (sink->write)
        sink->write(sink->opaque, (uint8_t)value);
}

static uint64_t exit_read(void *dev, uint64_t offset, unsigned width)
{
    return 0;
}

static void exit_write(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    const struct debugport_sink *sink = &((struct debugport *)dev)->sink;

    if (offset == 0 && sink->exit)
        sink->exit(sink->opaque, (unsigned)(value << 1 | 1));
}

static uint64_t pvpanic_read(void *dev, uint64_t offset, unsigned width)
{
    return DEBUGPORT_PANICKED | DEBUGPORT_CRASH_LOADED;
}

static void pvpanic_write(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    const struct debugport_sink *sink = &((struct debugport *)dev)->sink;

    trace(debugport_panic, value);
    if (!sink->panic)
        return;
    if (value & DEBUGPORT_PANICKED)
        sink->panic(sink->opaque, DEBUGPORT_PANICKED);
    else if (value & DEBUGPORT_CRASH_LOADED)
        sink->panic(sink->opaque, DEBUGPORT_CRASH_LOADED);
}

const struct bus_ops debugport_console_ops = {.read = console_read, .write = console_write};
const struct bus_ops debugport_exit_ops = {
    .read = exit_read, .write = exit_write, .widths = 1 | 2 | 4};
const struct bus_ops debugport_pvpanic_ops = {.read = pvpanic_read, .write = pvpanic_write};

static const struct device_class class = {.name = "debug ports", .version = 1};

const struct device *debugport_device(const struct debugport *debugport)
{
    return &debugport->device;
}

struct debugport *debugport_create(const struct debugport_sink *sink)
{
    struct debugport *debugport = calloc(1, sizeof(*debugport));

    if (!debugport)
        return NULL;
    debugport->device = (struct device){&class, debugport, NULL};
    debugport->sink = *sink;
    return debugport;
}

void debugport_destroy(struct debugport *debugport)
{
    free(debugport);
}

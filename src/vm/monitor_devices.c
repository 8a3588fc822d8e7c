/* `info devices`: the devices of the board, where they answer, and the state of one of them. */
#include <inttypes.h>
#include <string.h>

#include "vm/board.h"
#include "vm/monitor_internal.h"

struct ranges {
    FILE *out;
    const void *dev; /* whose ranges are printed */
    bool mmio;
};

static void print_range(void *opaque, uint64_t base, uint64_t size, const void *dev)
{
    const struct ranges *ranges = opaque;

    if (dev == ranges->dev)
        fprintf(ranges->out, "  %s 0x%" PRIx64 "-0x%" PRIx64 "\n", ranges->mmio ? "MMIO" : "port",
                base, base + size - 1);
}

static void print_ranges(const struct monitor_call *call, const struct device *device)
{
    struct ranges ranges = {.out = call->out, .dev = device->dev};

    bus_for_each(call->vm->board->bus, BUS_PORT, print_range, &ranges);
    ranges.mmio = true;
    bus_for_each(call->vm->board->bus, BUS_MMIO, print_range, &ranges);
}

void monitor_devices(struct monitor_call *call)
{
    struct vm *vm = call->vm;
    const char *name = call->arguments;
    bool found = false;

    lock_acquire(&vm->lock);
    for (size_t i = 0; i < vm->board->device_count; i++) {
        const struct device *device = vm->board->devices[i];

        if (!strcasestr(device->class->name, name))
            continue;
        found = true;
        if (*name)
            device_print(device, call->out);
        else
            fprintf(call->out, "%s\n", device->class->name);
        print_ranges(call, device);
    }
    lock_release(&vm->lock);
    if (!found)
        monitor_error(call, "no device has \"%s\" in its name; info devices lists them", name);
}

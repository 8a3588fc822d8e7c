/* PCI bus 0: configuration space and its mechanism, BARs. INTx routing is in pci_intx.c. */
#include "dev/pci.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/trace.h"
#include "dev/pci_internal.h"

#define CF8_ENABLE  0x80000000u
#define CF8_STORED  0x80fffffcu
#define REG_ADDRESS 0
#define REG_RESET   1
#define REG_DATA    4

/* The reset control register: a rising RESET_CPU resets, wholly when RESET_HARD is set. */
#define RESET_HARD   0x02
#define RESET_CPU    0x04
#define RESET_STORED 0x0e

#define COMMAND_WRITABLE 0x0547 /* I/O, memory, master, parity, SERR, INTx off */
#define STATUS_CLEARED   0xf900 /* the error bits */

/* What software can't write stays as the function was made, whatever a saved state says. */
static void resume_function(void *dev)
{
    struct pci_function *function = dev;

    for (unsigned i = 0; i < PCI_CONFIG_BYTES; i++) {
        uint8_t mask = function->writable[i] | function->clear_on_1[i];
        uint8_t *at = &function->state.config[i];

        *at = (uint8_t)((*at & mask) | (function->at_reset[i] & ~mask));
    }
}

static void reset_function(void *dev)
{
    struct pci_function *function = dev;

    memcpy(function->state.config, function->at_reset, sizeof(function->state.config));
    function->state.intx = false;
}

static const struct device_field function_fields[] = {
    DEVICE_ARRAY(struct pci_function_state, config),
    DEVICE_FIELD(struct pci_function_state, intx),
};

static const struct device_class function_class = {
    .name = "PCI function",
    .version = 1,
    DEVICE_STATE(struct pci_function_state, function_fields),
    .reset = reset_function,
    .resume = resume_function,
};

static void put(uint8_t *bytes, unsigned width, uint32_t value)
{
    for (unsigned i = 0; i < width; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

static uint32_t get(const uint8_t *bytes, unsigned width)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < width; i++)
        value |= (uint32_t)bytes[i] << (8 * i);
    return value;
}

void pci_function_set(struct pci_function *function, unsigned offset, unsigned width,
                      uint32_t value, uint32_t writable)
{
    ASSERT(offset + width <= PCI_CONFIG_BYTES, "a register lies in the configuration space");
    put(function->state.config + offset, width, value);
    put(function->writable + offset, width, writable);
}

void pci_function_init(struct pci_function *function, const struct pci_identity *identity)
{
    *function = (struct pci_function){.device = {&function_class, function, &function->state}};
    pci_function_set(function, PCI_VENDOR_ID, 2, identity->vendor, 0);
    pci_function_set(function, PCI_DEVICE_ID, 2, identity->device, 0);
    pci_function_set(function, PCI_COMMAND, 2, 0, COMMAND_WRITABLE);
    pci_function_set(function, PCI_REVISION, 1, identity->revision, 0);
    pci_function_set(function, PCI_PROG_IF, 1, identity->prog_if, 0);
    pci_function_set(function, PCI_SUBCLASS, 1, identity->subclass, 0);
    pci_function_set(function, PCI_CLASS, 1, identity->class_code, 0);
    pci_function_set(function, PCI_INTERRUPT_LINE, 1, 0, 0xff);
    put(function->clear_on_1 + PCI_STATUS, 2, STATUS_CLEARED);
}

void pci_function_add_bar(struct pci_function *function, unsigned index, enum bus_space space,
                          uint32_t size, const struct bus_ops *ops, void *dev)
{
    ASSERT(index < PCI_BARS, "a function has six BARs");
    ASSERT(size >= (space == BUS_PORT ? 4 : 16) && (size & (size - 1)) == 0,
           "a BAR's size is a power of two");
    pci_function_set(function, PCI_BAR0 + 4 * index, 4, space == BUS_PORT ? 1 : 0, ~(size - 1));
    function->bars[index] = (struct pci_bar){.space = space, .size = size, .ops = ops, .dev = dev};
}

/* Where COMMAND and the register want the window; false when it shall not decode. */
static bool wanted_base(const struct pci_function *function, unsigned index, uint32_t *base)
{
    const struct pci_bar *bar = &function->bars[index];
    bool port = bar->space == BUS_PORT;
    uint32_t enable = port ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;

    if (!bar->size || !(get(function->state.config + PCI_COMMAND, 2) & enable))
        return false;
    *base = get(function->state.config + PCI_BAR0 + 4 * index, 4) & ~(bar->size - 1);
    /* Zero is what an unset BAR holds, and all ones what sizing writes: neither is a place. */
    return *base != 0 && *base + (bar->size - 1) != UINT32_MAX && (!port || *base <= 0xffff);
}

/* Takes away what is mapped and no longer wanted there. Whether it did. */
static bool unmap_stale(struct pci_host *host, struct pci_function *function)
{
    bool freed = false;

    for (unsigned i = 0; i < PCI_BARS; i++) {
        struct pci_bar *bar = &function->bars[i];
        uint32_t base;

        if (!bar->mapped || (wanted_base(function, i, &base) && base == bar->base))
            continue;
        bus_remove(host->bus, bar->space, bar->base);
        bar->mapped = false;
        freed = true;
    }
    return freed;
}

static void map_wanted(struct pci_host *host, struct pci_function *function)
{
    for (unsigned i = 0; i < PCI_BARS; i++) {
        struct pci_bar *bar = &function->bars[i];
        uint32_t base;

        if (bar->mapped)
            continue;
        if (!wanted_base(function, i, &base)) {
            bar->refused = false;
            continue;
        }
        bar->refused = bus_add(host->bus, bar->space, base, bar->size, bar->ops, bar->dev) != 0;
        bar->mapped = !bar->refused;
        bar->base = base;
        trace(pci_bar_mapped, function->devfn, i, base, bar->size, bar->refused);
    }
}

static void update_bars(struct pci_host *host, struct pci_function *function)
{
    bool freed = unmap_stale(host, function);

    map_wanted(host, function);
    if (!freed)
        return;
    /* The room may be what a refused window of another function has been waiting for. */
    for (size_t devfn = 0; devfn < PCI_FUNCTIONS; devfn++) {
        if (host->functions[devfn] && host->functions[devfn] != function)
            map_wanted(host, host->functions[devfn]);
    }
}

int pci_function_register(struct pci_host *host, struct pci_function *function, uint8_t devfn)
{
    if (host->functions[devfn])
        return -EEXIST;
    function->host = host;
    function->devfn = devfn;
    memcpy(function->at_reset, function->state.config, sizeof(function->at_reset));
    host->functions[devfn] = function;
    return 0;
}

static void told_of_write(struct pci_host *host, struct pci_function *function, unsigned offset,
                          unsigned width)
{
    if (offset < PCI_BAR0 + 4 * PCI_BARS && offset + width > PCI_COMMAND)
        update_bars(host, function);
    pci_intx_update(host);
    if (function->config_written)
        function->config_written(function, offset, width);
}

void pci_host_reset(struct pci_host *host)
{
    host->state.address = 0;
    host->state.reset_control = 0;
    for (size_t i = 0; i < PCI_PIRQS; i++)
        host->state.route[i] = PCI_ROUTE_NONE;
    for (size_t devfn = 0; devfn < PCI_FUNCTIONS; devfn++) {
        struct pci_function *function = host->functions[devfn];

        if (!function)
            continue;
        reset_function(function);
        told_of_write(host, function, 0, PCI_CONFIG_BYTES);
    }
}

static void reset_host(void *dev)
{
    pci_host_reset(dev);
}

static bool host_sound(const void *opaque)
{
    const struct pci_host_state *state = opaque;

    for (unsigned i = 0; i < PCI_PIRQS; i++) {
        if (state->route[i] > PCI_ROUTE_NONE)
            return false;
    }
    return !(state->address & ~CF8_STORED) && !(state->reset_control & ~RESET_STORED);
}

/* The functions were loaded before: windows, routes and what else hangs on registers follow now. */
static void resume_host(void *dev)
{
    struct pci_host *host = dev;

    for (size_t devfn = 0; devfn < PCI_FUNCTIONS; devfn++) {
        if (host->functions[devfn])
            told_of_write(host, host->functions[devfn], 0, PCI_CONFIG_BYTES);
    }
}

static const struct device_field host_fields[] = {
    DEVICE_FIELD(struct pci_host_state, address),
    DEVICE_FIELD(struct pci_host_state, reset_control),
    DEVICE_ARRAY(struct pci_host_state, route),
    DEVICE_ARRAY(struct pci_host_state, pirq_level),
    DEVICE_ARRAY(struct pci_host_state, isa_level),
};

static const struct device_class host_class = {
    .name = "PCI host",
    .version = 1,
    DEVICE_STATE(struct pci_host_state, host_fields),
    .reset = reset_host,
    .sound = host_sound,
    .resume = resume_host,
};

struct pci_function *pci_host_function(const struct pci_host *host, uint8_t devfn)
{
    return host->functions[devfn];
}

const struct device *pci_host_device(const struct pci_host *host)
{
    return &host->device;
}

struct pci_host *pci_host_create(struct bus *bus, const struct pci_wiring *wiring)
{
    struct pci_host *host = calloc(1, sizeof(*host));

    if (!host)
        return NULL;
    host->device = (struct device){&host_class, host, &host->state};
    host->bus = bus;
    host->wiring = *wiring;
    for (size_t i = 0; i < PCI_PIRQS; i++)
        host->state.route[i] = PCI_ROUTE_NONE;
    return host;
}

void pci_function_unregister(struct pci_function *function)
{
    struct pci_host *host = function->host;

    if (!host)
        return;
    function->state.config[PCI_COMMAND] = 0;
    function->state.intx = false;
    update_bars(host, function);
    host->functions[function->devfn] = NULL;
    function->host = NULL;
    pci_intx_update(host);
}

void pci_host_destroy(struct pci_host *host)
{
    if (!host)
        return;
    for (size_t devfn = 0; devfn < PCI_FUNCTIONS; devfn++) {
        if (host->functions[devfn])
            pci_function_unregister(host->functions[devfn]);
    }
    free(host);
}

uint32_t pci_config_read(struct pci_host *host, uint8_t devfn, unsigned offset, unsigned width)
{
    struct pci_function *function = host->functions[devfn];
    uint32_t value = UINT32_MAX;

    if (function && offset + width <= PCI_CONFIG_BYTES)
        value = get(function->state.config + offset, width);
    trace(pci_config_read, devfn, offset, width, value);
    return value;
}

void pci_config_write(struct pci_host *host, uint8_t devfn, unsigned offset, unsigned width,
                      uint32_t value)
{
    struct pci_function *function = host->functions[devfn];

    trace(pci_config_write, devfn, offset, width, value);
    if (!function || offset + width > PCI_CONFIG_BYTES)
        return;
    for (unsigned i = 0; i < width; i++) {
        uint8_t *at = &function->state.config[offset + i];
        uint8_t byte = (uint8_t)(value >> (8 * i));
        uint8_t mask = function->writable[offset + i];

        *at = (uint8_t)((*at & ~mask) | (byte & mask));
        *at &= (uint8_t) ~(byte & function->clear_on_1[offset + i]);
    }
    told_of_write(host, function, offset, width);
}

/* Whether CF8h points at bus 0, and whose configuration space it means. */
static bool config_target(const struct pci_host *host, uint8_t *devfn)
{
    *devfn = (uint8_t)(host->state.address >> 8);
    return (host->state.address & CF8_ENABLE) && ((host->state.address >> 16) & 0xff) == 0;
}

static bool is_data(uint64_t offset, unsigned width)
{
    return offset >= REG_DATA && offset + width <= PCI_CONFIG_PORTS;
}

static uint64_t read_register(void *dev, uint64_t offset, unsigned width)
{
    struct pci_host *host = dev;
    uint8_t devfn;

    if (offset == REG_ADDRESS && width == 4)
        return host->state.address;
    if (offset == REG_RESET && width == 1)
        return host->state.reset_control;
    if (!is_data(offset, width) || !config_target(host, &devfn))
        return UINT64_MAX;
    return pci_config_read(host, devfn,
                           (host->state.address & 0xfc) + (unsigned)(offset - REG_DATA), width);
}

static void write_reset_control(struct pci_host *host, uint8_t value)
{
    bool rises = (value & RESET_CPU) && !(host->state.reset_control & RESET_CPU);

    host->state.reset_control = value & RESET_STORED;
    if (rises && host->wiring.reset)
        host->wiring.reset(host->wiring.reset_opaque, value & RESET_HARD);
}

static void write_register(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    struct pci_host *host = dev;
    uint8_t devfn;

    if (offset == REG_ADDRESS && width == 4)
        host->state.address = (uint32_t)value & CF8_STORED;
    else if (offset == REG_RESET && width == 1)
        write_reset_control(host, (uint8_t)value);
    else if (is_data(offset, width) && config_target(host, &devfn))
        pci_config_write(host, devfn, (host->state.address & 0xfc) + (unsigned)(offset - REG_DATA),
                         width, (uint32_t)value);
}

const struct bus_ops pci_host_ops = {
    .read = read_register, .write = write_register, .widths = 1 | 2 | 4};

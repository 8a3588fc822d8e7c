/* The chipset's three functions: their register tables, and what PAM and PIRQ writes do. */
#include "dev/i440fx.h"

#include <stdlib.h>

#include "base/assert.h"

#define SUBSYSTEM_VENDOR 0x1af4
#define SUBSYSTEM_ID     0x1100

#define PAM0      0x59 /* 59h: F0000 in its high half; 5Ah-5Fh: two segments of 16 KiB each */
#define PAM6      0x5f
#define PAM_READ  0x1
#define PAM_WRITE 0x2

#define PIRQRCA     0x60
#define PIRQ_OFF    0x80
#define PMBASE      0x40
#define PMBASE_BITS 0xffc0
#define PMREGMISC   0x80
#define DEVACTB     0x58
#define SMBBA       0x90

struct i440fx {
    struct pci_function host_bridge, isa_bridge, power;
    struct i440fx_options options;
    uint8_t pam_state[I440FX_PAM_SEGMENTS]; /* as last told to the board */
};

/* A device-specific register: its reset value and the bits that a write stores. */
struct row {
    uint8_t offset, width;
    uint32_t reset, writable;
};

static const struct row host_bridge_rows[] = {
    {0x50, 2, 0x0000, 0x8cf8},     /* PMCCFG: chipset configuration */
    {0x52, 4, 0x00000000, 0xffff}, /* DRAM control, timing */
    {PAM0, 1, 0x00, 0x30},         /* F0000-FFFFF */
    {0x5a, 2, 0x0000, 0x3333},     /* C0000-CFFFF */
    {0x5c, 2, 0x0000, 0x3333},     /* D0000-DFFFF */
    {0x5e, 2, 0x0000, 0x3333},     /* E0000-EFFFF */
    {0x60, 4, 0x01010101, ~0u},    /* DRAM row boundaries */
    {0x64, 4, 0x01010101, ~0u},    /* more of them */
    {0x70, 1, 0x00, 0xff},         /* multi-transaction timer */
    {0x72, 1, 0x02, 0x5f},         /* SMRAM control */
};

static const struct row isa_bridge_rows[] = {
    {0x4c, 1, 0x4d, 0x7f},             /* I/O recovery */
    {0x4e, 2, 0x0003, 0x07f7},         /* X-bus chip select */
    {0x60, 4, 0x80808080, 0x8f8f8f8f}, /* PIRQ A-D route control */
    {0x69, 1, 0x02, 0xfe},             /* top of memory */
    {0x6a, 2, 0x0000, 0x8002},         /* miscellaneous status */
    {0x70, 2, 0x8080, 0x8f8f},         /* motherboard IRQ routes */
    {0x76, 2, 0x0c0c, 0x8f8f},         /* motherboard DMA */
    {0x78, 2, 0x0002, 0xffff},         /* programmable chip select */
    {0x80, 1, 0x00, 0x7f},             /* APIC base address */
    {0x82, 1, 0x00, 0x03},             /* deterministic latency */
    {0xa0, 1, 0x08, 0x1f},             /* SMI control */
    {0xa2, 2, 0x0000, 0xff},           /* SMI enable */
    {0xa8, 1, 0x0f, 0xff},             /* fast-off timer */
};

static const struct row power_rows[] = {
    {DEVACTB, 4, 0x02000000, 0xfdffffff}, /* device activity: bit 25, SMM set up, stays */
    {0x5c, 4, 0, ~0u},                    /* device resources, stored only */
    {0x60, 4, 0, ~0u},
    {0x64, 4, 0, ~0u},
    {0x68, 4, 0, ~0u},
    {0x6c, 4, 0, ~0u},
    {0x70, 4, 0, ~0u},
    {0x74, 4, 0, ~0u},
    {0x78, 4, 0, ~0u},
    {0x7c, 4, 0, ~0u},
    {PMREGMISC, 1, 0x01, 0x00}, /* PM block enabled */
    {0xd2, 1, 0x00, 0x0f},      /* SMBus host configuration */
    {0xd3, 1, 0x00, 0xff},      /* SMBus slave command */
};

static void set_rows(struct pci_function *function, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pci_function_set(function, rows[i].offset, rows[i].width, rows[i].reset, rows[i].writable);
}

void i440fx_set_subsystem(struct pci_function *function)
{
    pci_function_set(function, PCI_SUBSYSTEM_VENDOR, 2, SUBSYSTEM_VENDOR, 0);
    pci_function_set(function, PCI_SUBSYSTEM_ID, 2, SUBSYSTEM_ID, 0);
}

void i440fx_pam_range(unsigned segment, uint32_t *base, uint32_t *size_bytes)
{
    ASSERT(segment < I440FX_PAM_SEGMENTS, "PAM has 13 segments");
    *base = segment == 0 ? 0xf0000 : 0xc0000 + (segment - 1) * 0x4000;
    *size_bytes = segment == 0 ? 0x10000 : 0x4000;
}

/* The two attribute bits of a segment. */
static uint8_t pam_bits(const struct i440fx *chipset, unsigned segment)
{
    unsigned offset = segment == 0 ? PAM0 : PAM0 + 1 + (segment - 1) / 2;
    unsigned shift = segment == 0 || segment % 2 == 0 ? 4 : 0;

    return (chipset->host_bridge.state.config[offset] >> shift) & (PAM_READ | PAM_WRITE);
}

static void host_bridge_written(struct pci_function *function, unsigned offset, unsigned width)
{
    struct i440fx *chipset = container_of(function, struct i440fx, host_bridge);
    bool all = width == PCI_CONFIG_BYTES; /* a reset */

    if (offset > PAM6 || offset + width <= PAM0 || !chipset->options.pam)
        return;
    for (unsigned i = 0; i < I440FX_PAM_SEGMENTS; i++) {
        uint8_t bits = pam_bits(chipset, i);

        if (!all && bits == chipset->pam_state[i])
            continue;
        chipset->pam_state[i] = bits;
        chipset->options.pam(chipset->options.pam_opaque, i, bits & PAM_READ, bits & PAM_WRITE);
    }
}

static void isa_bridge_written(struct pci_function *function, unsigned offset, unsigned width)
{
    if (offset > PIRQRCA + 3 || offset + width <= PIRQRCA)
        return;
    for (unsigned i = 0; i < PCI_PIRQS; i++) {
        uint8_t route = function->state.config[PIRQRCA + i];

        pci_host_route(function->host, i, route & PIRQ_OFF ? PCI_ROUTE_NONE : route & 0xf);
    }
}

static void power_written(struct pci_function *function, unsigned offset, unsigned width)
{
    struct i440fx *chipset = container_of(function, struct i440fx, power);
    uint16_t base =
        (uint16_t)(function->state.config[PMBASE + 1] << 8 | function->state.config[PMBASE]);

    if (offset > PMBASE + 1 || offset + width <= PMBASE || !chipset->options.pm_moved)
        return;
    chipset->options.pm_moved(chipset->options.pm_opaque, base & PMBASE_BITS);
}

static void init_host_bridge(struct i440fx *chipset)
{
    struct pci_function *function = &chipset->host_bridge;

    pci_function_init(function, &(struct pci_identity){0x8086, 0x1237, 0x06, 0x00, 0x00, 0x02});
    set_rows(function, host_bridge_rows, ARRAY_SIZE(host_bridge_rows));
    pci_function_set(function, PCI_COMMAND, 2, 0x0006, 0x0140); /* memory and master: wired on */
    pci_function_set(function, PCI_STATUS, 2, 0x0280, 0);
    function->config_written = host_bridge_written;
}

static void init_isa_bridge(struct i440fx *chipset)
{
    struct pci_function *function = &chipset->isa_bridge;

    pci_function_init(function, &(struct pci_identity){0x8086, 0x7000, 0x06, 0x01, 0x00, 0x00});
    set_rows(function, isa_bridge_rows, ARRAY_SIZE(isa_bridge_rows));
    pci_function_set(function, PCI_COMMAND, 2, 0x0007, 0x0148); /* I/O, memory, master: wired on */
    pci_function_set(function, PCI_STATUS, 2, 0x0200, 0);
    pci_function_set(function, PCI_HEADER_TYPE, 1, PCI_HEADER_MULTIFUNCTION, 0);
    function->config_written = isa_bridge_written;
}

static void init_power(struct i440fx *chipset)
{
    struct pci_function *function = &chipset->power;

    pci_function_init(function, &(struct pci_identity){0x8086, 0x7113, 0x06, 0x80, 0x00, 0x03});
    set_rows(function, power_rows, ARRAY_SIZE(power_rows));
    pci_function_set(function, PCI_COMMAND, 2, 0, PCI_COMMAND_IO);
    pci_function_set(function, PCI_STATUS, 2, 0x0280, 0);
    pci_function_set(function, PMBASE, 4, chipset->options.pm_base | 1u, PMBASE_BITS);
    pci_function_set(function, SMBBA, 4, chipset->options.smb_base | 1u, 0xfff0);
    pci_function_set(function, PCI_INTERRUPT_LINE, 1, chipset->options.sci_irq, 0xff);
    pci_function_set(function, PCI_INTERRUPT_PIN, 1, 1, 0);
    function->config_written = power_written;
}

struct i440fx *i440fx_create(struct pci_host *host, const struct i440fx_options *options)
{
    struct i440fx *chipset = calloc(1, sizeof(*chipset));

    if (!chipset)
        return NULL;
    chipset->options = *options;
    init_host_bridge(chipset);
    init_isa_bridge(chipset);
    init_power(chipset);
    i440fx_set_subsystem(&chipset->host_bridge);
    i440fx_set_subsystem(&chipset->isa_bridge);
    i440fx_set_subsystem(&chipset->power);
    if (pci_function_register(host, &chipset->host_bridge, PCI_DEVFN(0, 0)) ||
        pci_function_register(host, &chipset->isa_bridge, PCI_DEVFN(1, 0)) ||
        pci_function_register(host, &chipset->power, PCI_DEVFN(1, 3))) {
        i440fx_destroy(chipset);
        return NULL;
    }
    return chipset;
}

void i440fx_destroy(struct i440fx *chipset)
{
    if (!chipset)
        return;
    pci_function_unregister(&chipset->power);
    pci_function_unregister(&chipset->isa_bridge);
    pci_function_unregister(&chipset->host_bridge);
    free(chipset);
}

/*
 * The motherboard, in the order in which one would solder it: interrupt controllers, timers,
 * the legacy ports, PCI and what sits on it, firmware interfaces; then who owns which address.
 *
 *   ISA irq n --+--> 8259 pair --INTR--> LINT0 --+
 *               +--> I/O APIC pin n (0 -> 2) ----+--> local APIC --> the processor
 *   PCI INTx --> PIRQ A-D --> ISA irq (routed by 01.0's registers 60h-63h)
 */
#include "vm/board.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/trace.h"
#include "dev/acpi_pm.h"
#include "dev/biosdisk.h"
#include "dev/debugport.h"
#include "dev/fw_cfg.h"
#include "dev/hpet.h"
#include "dev/i440fx.h"
#include "dev/i8042.h"
#include "dev/ide.h"
#include "dev/ioapic.h"
#include "dev/lapic.h"
#include "dev/pci.h"
#include "dev/pic.h"
#include "dev/pit.h"
#include "dev/rtc.h"
#include "dev/sysctl.h"
#include "dev/uart.h"
#include "dev/vga.h"
#include "fw/boot.h"
#include "vm/board_state.h"

#define IRQ_PIT      0
#define IRQ_KEYBOARD 1
#define IRQ_COM1     4
#define IRQ_RTC      8
#define IRQ_MOUSE    12
#define IRQ_IDE0     14
#define IRQ_IDE1     15

#define IOAPIC_PIN_PIT 2 /* as ACPI's interrupt source override says */

#define A20_OFF_MASK (~BIT(20))

/* An ISA interrupt reaches both controllers; the guest's OS masks the one that it does not use. */
static void isa_irq_set(void *opaque, unsigned irq, bool level)
{
    struct board *board = opaque;
    const struct irq_line *sink = &board->config.irq_sink;

    if (sink->set) {
        sink->set(sink->opaque, irq, level);
        return;
    }
    pic_set_irq(board->pic, irq, level);
    ioapic_set_irq(board->ioapic, irq == IRQ_PIT ? IOAPIC_PIN_PIT : irq, level);
}

/* A pin of the I/O APIC that is no ISA interrupt's. */
static void gsi_set(void *opaque, unsigned gsi, bool level)
{
    struct board *board = opaque;
    const struct irq_line *sink = &board->config.irq_sink;

    if (sink->set)
        sink->set(sink->opaque, gsi, level);
    else
        ioapic_set_irq(board->ioapic, gsi, level);
}

static struct irq_line isa_irq(struct board *board, unsigned irq)
{
    return (struct irq_line){isa_irq_set, board, irq};
}

static void pic_intr_set(void *opaque, unsigned number, bool level)
{
    struct board *board = opaque;

    lapic_set_lint(board->lapic, 0, level);
}

static void reset_line_set(void *opaque, unsigned number, bool level)
{
    struct board *board = opaque;

    if (level)
        board->config.events.reset(board->config.events.opaque);
}

static void pci_reset(void *opaque, bool hard)
{
    reset_line_set(opaque, 0, true);
}

static void a20_changed(void *opaque, unsigned number, bool enabled)
{
    struct board *board = opaque;

    atomic_store_explicit(&board->a20_mask, enabled ? UINT64_MAX : A20_OFF_MASK,
                          memory_order_relaxed);
    board->config.events.address_space_changed(board->config.events.opaque);
}

/*
 * The local APIC's page follows IA32_APIC_BASE; it disappears while the APIC is off or x2APIC, or
 * where another device is: that one must not go when the APIC moves on.
 */
static void lapic_base_changed(void *opaque, uint64_t base)
{
    struct board *board = opaque;
    bool visible = (base & LAPIC_BASE_ENABLE) && !(base & LAPIC_BASE_EXTD);

    if (board->lapic_visible)
        bus_remove(board->bus, BUS_MMIO, board->lapic_base);
    board->lapic_base = base & PAGE_MASK;
    board->lapic_visible = visible && bus_add(board->bus, BUS_MMIO, board->lapic_base,
                                              LAPIC_PAGE_SIZE, &lapic_mmio_ops, board->lapic) == 0;
    if (visible && !board->lapic_visible)
        trace(board_lapic_hidden, board->lapic_base);
}

static void lapic_intr(void *opaque, bool pending)
{
    const struct board_events *events = &((struct board *)opaque)->config.events;

    events->intr(events->opaque, pending);
}

static void lapic_nmi(void *opaque)
{
    const struct board_events *events = &((struct board *)opaque)->config.events;

    events->nmi(events->opaque);
}

static void lapic_init(void *opaque)
{
    const struct board_events *events = &((struct board *)opaque)->config.events;

    events->init(events->opaque);
}

static void lapic_sipi(void *opaque, uint8_t vector)
{
    const struct board_events *events = &((struct board *)opaque)->config.events;

    events->sipi(events->opaque, vector);
}

static uint64_t lapic_tsc_now(void *opaque)
{
    const struct board_events *events = &((struct board *)opaque)->config.events;

    return events->tsc_now(events->opaque);
}

static int make_interrupts(struct board *board)
{
    const struct board_config *config = &board->config;
    struct irq_line intr = {pic_intr_set, board, 0};
    struct lapic_config lapic = {
        .id = 0,
        .bsp = true,
        .virtual_wire = true,
        .phys_bits = (uint8_t)config->physical_bits,
        .clock = config->clock,
        .tsc_hz = config->tsc_hz,
        .callbacks =
            {
                .intr = lapic_intr,
                .nmi = lapic_nmi,
                .init = lapic_init,
                .sipi = lapic_sipi,
                .tsc_now = lapic_tsc_now,
                .base_changed = lapic_base_changed,
                .opaque = board,
            },
    };

    board->apic_bus = apic_bus_create();
    if (!board->apic_bus)
        return -ENOMEM;
    lapic.bus = board->apic_bus;
    board->lapic = lapic_create(&lapic);
    board->ioapic = ioapic_create(BOARD_IOAPIC_ID, board->apic_bus);
    board->pic = pic_create(&intr);
    return board->lapic && board->ioapic && board->pic ? 0 : -ENOMEM;
}

/* The PIT and the RTC reach their interrupts through the HPET, which may take their place. */
static int make_timers(struct board *board)
{
    const struct board_config *config = &board->config;
    struct hpet_config hpet = {
        .clock = config->clock,
        .legacy = {[HPET_LEGACY_PIT] = isa_irq(board, IRQ_PIT),
                   [HPET_LEGACY_RTC] = isa_irq(board, IRQ_RTC)},
    };
    struct irq_line pit, rtc;

    for (unsigned pin = 0; pin < HPET_PINS; pin++)
        hpet.pins[pin] = (struct irq_line){gsi_set, board, pin};
    board->hpet = hpet_create(&hpet);
    if (!board->hpet)
        return -ENOMEM;
    pit = (struct irq_line){hpet_set_legacy_input, board->hpet, HPET_LEGACY_PIT};
    rtc = (struct irq_line){hpet_set_legacy_input, board->hpet, HPET_LEGACY_RTC};
    board->pit = pit_create(config->clock, &pit);
    board->rtc = rtc_create(config->clock, config->start_utc, &rtc);
    return board->pit && board->rtc ? 0 : -ENOMEM;
}

static void debug_exit(void *opaque, unsigned status)
{
    const struct board_events *events = &((struct board *)opaque)->config.events;

    events->debug_exit(events->opaque, status);
}

static void guest_panic(void *opaque, enum debugport_panic what)
{
    const struct board_events *events = &((struct board *)opaque)->config.events;

    events->panic(events->opaque, what == DEBUGPORT_CRASH_LOADED);
}

static void debug_output(void *opaque, uint8_t byte)
{
    const struct board_events *events = &((struct board *)opaque)->config.events;

    events->debug_output(events->opaque, byte);
}

static int make_legacy(struct board *board)
{
    const struct board_config *config = &board->config;
    const struct board_events *events = &config->events;
    struct irq_line reset = {reset_line_set, board, 0};
    struct irq_line com1 = isa_irq(board, IRQ_COM1);
    struct uart_backend serial = {
        .write = events->serial_output,
        .room = events->serial_room,
        .unread = events->serial_unread,
        .opaque = events->opaque,
    };
    struct i8042_lines keyboard = {
        .keyboard = isa_irq(board, IRQ_KEYBOARD),
        .aux = isa_irq(board, IRQ_MOUSE),
        .reset = reset,
        .a20 = &board->a20,
    };
    struct debugport_sink debug = {
        .write = debug_output, .exit = debug_exit, .panic = guest_panic, .opaque = board};

    board->a20.line = (struct irq_line){a20_changed, board, 0};
    board->uart = uart_create(&serial, &com1);
    board->i8042 = i8042_create(&keyboard);
    board->sysctl = sysctl_create(board->pit, &board->a20, &reset);
    board->debugport = debugport_create(&debug);
    board->vga = vga_create(config->clock);
    return board->uart && board->i8042 && board->sysctl && board->debugport && board->vga ? 0
                                                                                          : -ENOMEM;
}

/* Firmware moved the power management block; where the new place is taken, it is nowhere. */
static void pm_moved(void *opaque, uint16_t base)
{
    struct board *board = opaque;

    if (base == board->pm_base)
        return;
    if (board->pm_base)
        bus_remove(board->bus, BUS_PORT, board->pm_base);
    board->pm_base = base;
    if (base && bus_add(board->bus, BUS_PORT, base, ACPI_PM_SIZE, &acpi_pm_ops, board->acpi_pm))
        board->pm_base = 0;
}

static int make_pci(struct board *board)
{
    const struct board_config *config = &board->config;
    struct pci_wiring wiring = {.reset = pci_reset, .reset_opaque = board};
    struct i440fx_options chipset = {.pm_base = LAYOUT_PM_BASE,
                                     .sci_irq = LAYOUT_IRQ_SCI,
                                     .pm_moved = pm_moved,
                                     .pm_opaque = board};
    struct ide_config ide = {
        .mem = config->mem,
        .irq = {isa_irq(board, IRQ_IDE0), isa_irq(board, IRQ_IDE1)},
        .disk = config->disk,
        .cdrom = config->cdrom,
    };

    for (unsigned irq = 0; irq < ARRAY_SIZE(wiring.isa); irq++)
        wiring.isa[irq] = isa_irq(board, irq);
    board->pci = pci_host_create(board->bus, &wiring);
    if (!board->pci)
        return -ENOMEM;
    board->chipset = i440fx_create(board->pci, &chipset);
    ide.pci = board->pci;
    board->ide = ide_create(&ide);
    return board->chipset && board->ide ? 0 : -ENOMEM;
}

static int make_firmware(struct board *board)
{
    const struct board_config *config = &board->config;
    struct acpi_pm_config pm = {
        .clock = config->clock,
        .sci = isa_irq(board, LAYOUT_IRQ_SCI),
        .power_off = config->events.power_off,
        .opaque = config->events.opaque,
    };
    int err = 0;

    board->acpi_pm = acpi_pm_create(&pm);
    board->fw_cfg = fw_cfg_create(config->mem);
    board->biosdisk = biosdisk_create(config->mem);
    if (!board->acpi_pm || !board->fw_cfg || !board->biosdisk)
        return -ENOMEM;
    if (config->disk)
        err = biosdisk_attach(board->biosdisk, 0, false, config->disk);
    if (!err && config->cdrom)
        err = biosdisk_attach(board->biosdisk, 0, true, config->cdrom);
    return err;
}

struct placement {
    enum bus_space space;
    uint64_t base, size;
    const struct bus_ops *ops;
    void *dev;
};

/* Who answers where. PCI windows and the local APIC's page are placed by their owners. */
static int place_devices(struct board *b)
{
    const struct placement placements[] = {
        {BUS_PORT, 0x020, 2, &pic_master_ops, b->pic},
        {BUS_PORT, 0x040, 4, &pit_ops, b->pit},
        {BUS_PORT, 0x060, 1, &i8042_data_ops, b->i8042},
        {BUS_PORT, 0x061, 1, &sysctl_port61_ops, b->sysctl},
        {BUS_PORT, 0x064, 1, &i8042_command_ops, b->i8042},
        {BUS_PORT, 0x070, 2, &rtc_ops, b->rtc},
        {BUS_PORT, 0x072, 2, &rtc_extended_ops, b->rtc},
        {BUS_PORT, 0x080, 1, &sysctl_post_ops, b->sysctl},
        {BUS_PORT, 0x092, 1, &sysctl_port92_ops, b->sysctl},
        {BUS_PORT, 0x0a0, 2, &pic_slave_ops, b->pic},
        {BUS_PORT, LAYOUT_SMI_PORT, ACPI_SMI_SIZE, &acpi_smi_ops, b->acpi_pm},
        {BUS_PORT, 0x0e9, 1, &debugport_console_ops, b->debugport},
        {BUS_PORT, 0x0ed, 1, &sysctl_delay_ops, b->sysctl},
        {BUS_PORT, 0x0f4, 4, &debugport_exit_ops, b->debugport},
        {BUS_PORT, IDE_COMMAND_PORT_1, IDE_COMMAND_PORTS, &ide_command_ops,
         ide_get_channel(b->ide, 1)},
        {BUS_PORT, IDE_COMMAND_PORT_0, IDE_COMMAND_PORTS, &ide_command_ops,
         ide_get_channel(b->ide, 0)},
        {BUS_PORT, IDE_CONTROL_PORT_1, IDE_CONTROL_PORTS, &ide_control_ops,
         ide_get_channel(b->ide, 1)},
        {BUS_PORT, 0x3b0, VGA_PORT_COUNT, &vga_port_ops, b->vga},
        {BUS_PORT, IDE_CONTROL_PORT_0, IDE_CONTROL_PORTS, &ide_control_ops,
         ide_get_channel(b->ide, 0)},
        {BUS_PORT, 0x3f8, 8, &uart_ops, b->uart},
        {BUS_PORT, 0x402, 1, &debugport_console_ops, b->debugport},
        {BUS_PORT, 0x4d0, 2, &pic_elcr_ops, b->pic},
        {BUS_PORT, 0x505, 1, &debugport_pvpanic_ops, b->debugport},
        {BUS_PORT, FW_CFG_PORT, FW_CFG_PORTS, &fw_cfg_ops, b->fw_cfg},
        {BUS_PORT, LAYOUT_PM_BASE, ACPI_PM_SIZE, &acpi_pm_ops, b->acpi_pm},
        {BUS_PORT, LAYOUT_PM_GPE_BASE, ACPI_GPE_SIZE, &acpi_gpe_ops, b->acpi_pm},
        {BUS_PORT, ACPI_FOREIGN_GPE_BASE, ACPI_GPE_SIZE, &acpi_gpe_ops, b->acpi_pm},
        {BUS_PORT, ACPI_FOREIGN_HOTPLUG_BASE, ACPI_HOTPLUG_SIZE, &acpi_hotplug_ops, b->acpi_pm},
        {BUS_PORT, PCI_CONFIG_PORT, PCI_CONFIG_PORTS, &pci_host_ops, b->pci},
        {BUS_PORT, BOOT_DISK_PORT, BIOSDISK_PORTS, &biosdisk_ops, b->biosdisk},
        {BUS_MMIO, LAYOUT_VGA_BASE, LAYOUT_VGA_SIZE, &vga_memory_ops, b->vga},
        {BUS_MMIO, LAYOUT_IOAPIC_BASE, IOAPIC_PAGE_SIZE, &ioapic_mmio_ops, b->ioapic},
        {BUS_MMIO, LAYOUT_HPET_BASE, HPET_SIZE, &hpet_ops, b->hpet},
        {BUS_MMIO, LAYOUT_LAPIC_BASE, LAPIC_PAGE_SIZE, &lapic_mmio_ops, b->lapic},
    };

    for (size_t i = 0; i < ARRAY_SIZE(placements); i++) {
        const struct placement *p = &placements[i];
        int err = bus_add(b->bus, p->space, p->base, p->size, p->ops, p->dev);

        if (err)
            return err;
    }
    b->lapic_base = LAYOUT_LAPIC_BASE;
    b->lapic_visible = true;
    b->pm_base = LAYOUT_PM_BASE;
    return 0;
}

static void list_device(struct board *board, const struct device *device)
{
    ASSERT(board->device_count < BOARD_MAX_DEVICES, "the list holds all devices of the board");
    board->devices[board->device_count++] = device;
}

static void list_ide(struct board *b)
{
    for (unsigned channel = 0; channel < IDE_CHANNELS; channel++) {
        list_device(b, ide_channel_device(b->ide, channel));
        for (unsigned unit = 0; unit < IDE_UNITS; unit++) {
            const struct device *drive = ide_drive_device(b->ide, channel, unit);

            if (drive)
                list_device(b, drive);
        }
    }
}

/* The order of a reset and of a load: PCI's host takes what its functions have got before. */
static void list_devices(struct board *b)
{
    const struct device *const first[] = {
        board_state_device(b),
        pic_device(b->pic),
        ioapic_device(b->ioapic),
        lapic_device(b->lapic),
        pit_device(b->pit),
        rtc_device(b->rtc),
        hpet_device(b->hpet),
        uart_device(b->uart),
        i8042_device(b->i8042),
        sysctl_device(b->sysctl),
        debugport_device(b->debugport),
        vga_device(b->vga),
    };
    const struct device *const last[] = {
        acpi_pm_device(b->acpi_pm),
        fw_cfg_device(b->fw_cfg),
        biosdisk_device(b->biosdisk),
    };

    for (size_t i = 0; i < ARRAY_SIZE(first); i++)
        list_device(b, first[i]);
    for (unsigned devfn = 0; devfn <= UINT8_MAX; devfn++) {
        const struct pci_function *function = pci_host_function(b->pci, (uint8_t)devfn);

        if (function)
            list_device(b, &function->device);
    }
    list_device(b, pci_host_device(b->pci));
    list_ide(b);
    for (size_t i = 0; i < ARRAY_SIZE(last); i++)
        list_device(b, last[i]);
}

int board_create(struct board **out, const struct board_config *config)
{
    struct board *board = calloc(1, sizeof(*board));
    int err;

    if (!board)
        return -ENOMEM;
    board->config = *config;
    atomic_init(&board->a20_mask, UINT64_MAX);
    board->a20.enabled = true;
    board_state_init(board);
    board->bus = bus_create();
    err = board->bus ? 0 : -ENOMEM;
    if (!err)
        err = make_interrupts(board);
    if (!err)
        err = make_timers(board);
    if (!err)
        err = make_legacy(board);
    if (!err)
        err = make_pci(board);
    if (!err)
        err = make_firmware(board);
    if (!err)
        err = place_devices(board);
    if (err) {
        board_destroy(board);
        return err;
    }
    list_devices(board);
    *out = board;
    return 0;
}

void board_destroy(struct board *board)
{
    if (!board)
        return;
    biosdisk_destroy(board->biosdisk);
    fw_cfg_destroy(board->fw_cfg);
    acpi_pm_destroy(board->acpi_pm);
    pci_host_destroy(board->pci);
    ide_destroy(board->ide);
    i440fx_destroy(board->chipset);
    vga_destroy(board->vga);
    debugport_destroy(board->debugport);
    sysctl_destroy(board->sysctl);
    i8042_destroy(board->i8042);
    uart_destroy(board->uart);
    rtc_destroy(board->rtc);
    pit_destroy(board->pit);
    hpet_destroy(board->hpet);
    pic_destroy(board->pic);
    ioapic_destroy(board->ioapic);
    lapic_destroy(board->lapic);
    apic_bus_destroy(board->apic_bus);
    bus_destroy(board->bus);
    free(board);
}

int board_interrupt_acknowledge(struct board *board)
{
    if (lapic_extint_pending(board->lapic) && pic_intr(board->pic))
        return pic_acknowledge(board->pic);
    return lapic_acknowledge(board->lapic);
}

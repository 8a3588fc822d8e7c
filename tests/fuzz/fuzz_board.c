/*
 * Any bytes as what a guest and the outside world do to the whole board: accesses of each width to
 * ports and MMIO, MSRs, time, interrupts taken, keys, serial input, DMA structures in memory.
 * fuzz: runs=15000
 */
#include <stdlib.h>

#include "dev/acpi_pm.h"
#include "dev/biosdisk.h"
#include "dev/fw_cfg.h"
#include "dev/i8042.h"
#include "dev/ide.h"
#include "dev/lapic.h"
#include "dev/pci.h"
#include "dev/uart.h"
#include "guest/guest.h"
#include "x86/msr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_STEPS  3000
#define BUS_MASTER 0xc000 /* where the bus-master ports are put to begin with */
#define STRUCTURES 0x1000 /* guest memory where DMA finds its descriptors */
#define LOW_A20    (~BIT(20))

struct span {
    uint64_t base;
    unsigned size;
};

static const struct span port_spans[] = {
    {0x20, 2},        {0x40, 4},          {0x60, 5},   {0x70, 4},  {0x80, 1},  {0x92, 1},
    {0xa0, 2},        {0xb2, 2},          {0xe9, 1},   {0xed, 1},  {0x170, 8}, {0x1f0, 8},
    {0x376, 1},       {0x3b0, 48},        {0x3f6, 1},  {0x3f8, 8}, {0x402, 1}, {0x4d0, 2},
    {0x505, 1},       {0x510, 12},        {0x600, 64}, {0xcf8, 8}, {0xcf8, 8}, {0xf4, 4},
    {BUS_MASTER, 16}, {BIOSDISK_PORT, 8}, {0, 0xffff},
};

static const struct span mmio_spans[] = {
    {LAYOUT_VGA_BASE, LAYOUT_VGA_SIZE},
    {LAYOUT_IOAPIC_BASE, 0x50},
    {LAYOUT_HPET_BASE, 0x200},
    {LAYOUT_LAPIC_BASE, 0x400},
    {LAYOUT_PCI_MMIO_BASE, 64},
    {0xfffffff0, 16},
    {UINT64_MAX - 15, 16},
};

static uint64_t pick_address(struct dice *dice, const struct span *spans, size_t count)
{
    const struct span *span = &spans[dice_below(dice, (unsigned)count)];

    return span->base + dice_bytes(dice, span->size > 256 ? 4 : 1) % span->size;
}

/* --- what the guest does --- */

static void do_port(struct guest *guest)
{
    uint16_t port = (uint16_t)pick_address(guest->dice, port_spans, ARRAY_SIZE(port_spans));
    uint8_t how = dice_8(guest->dice);
    unsigned width = 1u << how % 3;

    if (how & 0x10)
        bus_write(guest->board->bus, BUS_PORT, port, width,
                  guest_interesting(guest->dice) & (BIT(8 * width) - 1));
    else
        bus_read(guest->board->bus, BUS_PORT, port, width);
}

static void do_mmio(struct guest *guest)
{
    uint64_t gpa = pick_address(guest->dice, mmio_spans, ARRAY_SIZE(mmio_spans));
    uint8_t how = dice_8(guest->dice);
    unsigned width = 1u << how % 4;
    uint64_t value = guest_interesting(guest->dice);

    if (how & 0x10)
        bus_write(guest->board->bus, BUS_MMIO, how & 0x20 ? gpa & ~7u : gpa, width,
                  width == 8 ? value : value & (BIT(8 * width) - 1));
    else
        bus_read(guest->board->bus, BUS_MMIO, gpa, width);
}

static void do_msr(struct guest *guest)
{
    struct lapic *lapic = guest->board->lapic;
    uint8_t how = dice_8(guest->dice);
    uint64_t value = guest_interesting(guest->dice);
    uint32_t index = IA32_X2APIC_FIRST + dice_8(guest->dice) % 0x40;
    bool ok = true;

    switch (how % 6) {
    case 0: ok = lapic_base_write(lapic, LAYOUT_LAPIC_BASE | (value & 0xf00)); break;
    case 1: ok = lapic_base_write(lapic, value); break;
    case 2: lapic_tsc_deadline_write(lapic, value); break;
    case 3: lapic_set_tpr(lapic, (uint8_t)value); break;
    case 4: ok = lapic_msr_read(lapic, index, &value); break;
    default: ok = lapic_msr_write(lapic, index, value); break;
    }
    (void)ok;
}

static void do_time(struct guest *guest)
{
    static const uint64_t steps_ns[] = {1, 100, 1000, 10000, 100000, NS_PER_MS, 20 * NS_PER_MS};

    clock_stepped_advance(&guest->clock, DICE_PICK(guest->dice, steps_ns));
    guest_work_disks(guest);
}

static void do_acknowledge(struct guest *guest)
{
    int vector = board_interrupt_acknowledge(guest->board);

    FUZZ_CHECK(vector >= -1 && vector <= 255);
}

static void do_pci(struct guest *guest)
{
    uint32_t address = 0x80000000u | (dice_8(guest->dice) & 0xfcu) |
                       dice_below(guest->dice, 8) << 8 | dice_below(guest->dice, 4) << 11;

    if (dice_chance(guest->dice, 4))
        address = (uint32_t)dice_64(guest->dice);
    bus_write(guest->board->bus, BUS_PORT, PCI_CONFIG_PORT, 4, address);
    bus_write(guest->board->bus, BUS_PORT, PCI_CONFIG_PORT + 4 + (dice_8(guest->dice) & 3),
              1u << dice_8(guest->dice) % 3, guest_interesting(guest->dice) & UINT32_MAX);
}

/* --- sequences --- */

static void outb(struct guest *guest, uint16_t port, uint8_t value)
{
    bus_write(guest->board->bus, BUS_PORT, port, 1, value);
}

static void put(struct guest *guest, gpa_t gpa, const void *bytes, size_t len)
{
    mem_write(guest->mem, gpa, bytes, len);
}

static gpa_t pick_buffer(struct guest *guest)
{
    return guest_interesting_address(guest->dice) &
           (dice_chance(guest->dice, 32) ? UINT64_MAX : 0x1fffff);
}

/* A command to a drive, with a PRD table that may say anything. */
static void do_ide(struct guest *guest)
{
    static const uint8_t commands[] = {0x20, 0x24, 0x25, 0x30, 0x34, 0x35, 0x40, 0xa0, 0xa1, 0xc4,
                                       0xc5, 0xc6, 0xc8, 0xca, 0xe7, 0xec, 0xef, 0x90, 0x08, 0x29};
    static const uint8_t packets[] = {0x00, 0x03, 0x12, 0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x2b, 0x42,
                                      0x43, 0x46, 0x4a, 0x51, 0x52, 0x5a, 0xa8, 0xad, 0xbd, 0xbe};
    unsigned channel = dice_8(guest->dice) & 1;
    uint16_t base = channel ? IDE_COMMAND_PORT_1 : IDE_COMMAND_PORT_0;
    uint8_t command = DICE_PICK(guest->dice, commands);

    for (unsigned i = 0; i < 4; i++) {
        uint32_t prd[2] = {(uint32_t)pick_buffer(guest), (uint32_t)guest_interesting(guest->dice)};

        put(guest, STRUCTURES + 8 * i, prd, sizeof(prd));
    }
    bus_write(guest->board->bus, BUS_PORT, BUS_MASTER + 8 * channel + 4, 4,
              dice_chance(guest->dice, 32) ? guest_interesting(guest->dice) & UINT32_MAX
                                           : STRUCTURES);
    for (unsigned reg = 1; reg < 7; reg++)
        outb(guest, (uint16_t)(base + reg),
             dice_chance(guest->dice, 128) ? dice_8(guest->dice) : dice_8(guest->dice) & 0x43);
    outb(guest, (uint16_t)(base + 7), command);
    if (command == 0xa0) {
        uint16_t packet[6] = {DICE_PICK(guest->dice, packets)};

        for (unsigned i = 1; i < 6; i++)
            packet[i] = (uint16_t)(guest_interesting(guest->dice) << 8);
        for (unsigned i = 0; i < 6; i++)
            bus_write(guest->board->bus, BUS_PORT, base, 2, packet[i]);
    }
    outb(guest, (uint16_t)(BUS_MASTER + 8 * channel), dice_8(guest->dice) & 9);
    guest_work_disks(guest);
    for (unsigned i = dice_8(guest->dice) % 64; i > 0; i--)
        bus_read(guest->board->bus, BUS_PORT, base, 1u << i % 3);
}

static void do_fw_cfg(struct guest *guest)
{
    uint32_t control = (uint32_t)guest_interesting(guest->dice) & 0x1f;
    uint32_t key = dice_8(guest->dice) % 0x30;
    uint32_t access[2] = {__builtin_bswap32(control | key << 16),
                          __builtin_bswap32((uint32_t)guest_interesting(guest->dice))};
    uint64_t buffer = __builtin_bswap64(pick_buffer(guest));
    uint32_t at = STRUCTURES + dice_8(guest->dice);

    put(guest, at, access, sizeof(access));
    put(guest, at + 8, &buffer, sizeof(buffer));
    bus_write(guest->board->bus, BUS_PORT, FW_CFG_PORT + 8, 4, __builtin_bswap32(at));
}

static void do_biosdisk(struct guest *guest)
{
    struct biosdisk_request request = {
        .magic = BIOSDISK_MAGIC,
        .drive = (dice_8(guest->dice) & 1) * BIOSDISK_CD,
        .command = dice_8(guest->dice) % 5,
        .count = (uint32_t)guest_interesting(guest->dice),
        .lba = guest_interesting(guest->dice),
        .buffer_gpa = pick_buffer(guest),
    };
    uint32_t at = STRUCTURES + dice_8(guest->dice);

    put(guest, at, &request, sizeof(request));
    bus_write(guest->board->bus, BUS_PORT, BIOSDISK_PORT, 4, at);
}

/* An I/O APIC entry and an interrupt that goes through it. */
static void do_ioapic(struct guest *guest)
{
    struct bus *bus = guest->board->bus;
    uint64_t entry = guest_interesting(guest->dice);
    unsigned pin = dice_8(guest->dice) % 26;

    for (unsigned half = 0; half < 2; half++) {
        bus_write(bus, BUS_MMIO, LAYOUT_IOAPIC_BASE, 4, 0x10 + 2 * pin + half);
        bus_write(bus, BUS_MMIO, LAYOUT_IOAPIC_BASE + 0x10, 4, (uint32_t)(entry >> 32 * half));
    }
}

/* --- what the world does --- */

static void do_input(struct guest *guest)
{
    struct board *board = guest->board;
    uint8_t byte = dice_8(guest->dice);

    switch (dice_8(guest->dice) % 5) {
    case 0:
        if (uart_can_receive(board->uart))
            uart_receive(board->uart, byte);
        break;
    case 1: uart_receive_break(board->uart); break;
    case 2: (void)i8042_type_ascii(board->i8042, byte); break;
    case 3: (void)i8042_key_input(board->i8042, &byte, 1); break;
    default: (void)acpi_pm_press_power_button(board->acpi_pm); break;
    }
}

static void do_reset(struct guest *guest)
{
    if (guest->reset_requested || dice_chance(guest->dice, 16))
        board_reset(guest->board);
    guest->reset_requested = false;
}

static void step(struct guest *guest)
{
    static void (*const deeds[])(struct guest *) = {
        do_port,     do_port,   do_port,  do_mmio,  do_mmio,        do_mmio,
        do_msr,      do_time,   do_time,  do_pci,   do_ide,         do_fw_cfg,
        do_biosdisk, do_ioapic, do_input, do_reset, do_acknowledge,
    };
    uint64_t a20;

    DICE_PICK(guest->dice, deeds)(guest);
    a20 = guest->board->a20_mask;
    FUZZ_CHECK(a20 == UINT64_MAX || a20 == LOW_A20);
}

/* The bus-master ports where the sequences look for them. */
static void enable_bus_master(struct guest *guest)
{
    static const uint32_t rows[][2] = {{0x80000920u, BUS_MASTER | 1}, {0x80000904u, 5}};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        bus_write(guest->board->bus, BUS_PORT, PCI_CONFIG_PORT, 4, rows[i][0]);
        bus_write(guest->board->bus, BUS_PORT, PCI_CONFIG_PORT + 4, 4, rows[i][1]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dice dice = {.bytes = data, .left_bytes = size};
    struct guest *guest = calloc(1, sizeof(*guest));
    unsigned steps;

    FUZZ_CHECK(guest);
    guest->dice = &dice;
    dice.seed = dice_64(&dice);
    guest_create_board(guest);
    enable_bus_master(guest);
    /* What the input does not say, a few steps of its seed do. */
    for (steps = 0; steps < MAX_STEPS && (dice.left_bytes > 0 || steps < 200); steps++)
        step(guest);
    guest_destroy(guest);
    free(guest);
    return 0;
}

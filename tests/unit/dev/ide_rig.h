/* A controller with a disk and a CD-ROM over made-up images, for the tests of the IDE function. */
#ifndef UMBRA_TESTS_UNIT_DEV_IDE_RIG_H
#define UMBRA_TESTS_UNIT_DEV_IDE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <cmocka.h>

#include "dev/ide.h"
#include "dev/pci.h"

#define DISK_SECTORS 4096
#define CD_BLOCKS    100
#define BM           0xc000 /* where the bus-master ports are put */
#define PRDT         0x1000
#define BUFFER       0x10000

struct rig {
    struct mem *mem;
    struct bus *bus;
    struct pci_host *pci;
    struct ide *ide;
    struct block *disk, *cd;
    struct block_queue *disk_queue, *cd_queue; /* without threads */
    struct block_queue *slave_queue;           /* a test's own, or NULL */
    bool disk_hangs;                           /* nothing that is asked of the images gets done */
    bool irq[2];
    unsigned irqs[2]; /* rising edges */
    uint8_t disk_data[DISK_SECTORS * 512];
    uint8_t cd_data[CD_BLOCKS * 2048];
};

static void rig_irq(void *opaque, unsigned number, bool level)
{
    struct rig *rig = opaque;

    if (level && !rig->irq[number])
        rig->irqs[number]++;
    rig->irq[number] = level;
}

static void rig_place(struct rig *rig)
{
    for (unsigned i = 0; i < 2; i++) {
        struct ide_channel *channel = ide_get_channel(rig->ide, i);
        uint64_t command = i ? IDE_COMMAND_PORT_1 : IDE_COMMAND_PORT_0;
        uint64_t control = i ? IDE_CONTROL_PORT_1 : IDE_CONTROL_PORT_0;

        assert_int_equal(
            bus_add(rig->bus, BUS_PORT, command, IDE_COMMAND_PORTS, &ide_command_ops, channel), 0);
        assert_int_equal(
            bus_add(rig->bus, BUS_PORT, control, IDE_CONTROL_PORTS, &ide_control_ops, channel), 0);
    }
}

static int rig_set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    struct pci_wiring wiring = {0};
    struct ide_config config = {.irq = {{rig_irq, rig, 0}, {rig_irq, rig, 1}}};

    for (size_t i = 0; i < sizeof(rig->disk_data); i++)
        rig->disk_data[i] = (uint8_t)(i / 512 * 7 + i);
    for (size_t i = 0; i < sizeof(rig->cd_data); i++)
        rig->cd_data[i] = (uint8_t)(i / 2048 * 11 + i);
    rig->mem = mem_create(NULL);
    assert_int_equal(mem_add_slot(rig->mem, "low", 0, 1 * MIB, MEM_SLOT_RAM), 0);
    assert_int_equal(block_open_memory(&rig->disk, rig->disk_data, sizeof(rig->disk_data)), 0);
    assert_int_equal(block_open_memory(&rig->cd, rig->cd_data, sizeof(rig->cd_data)), 0);
    assert_int_equal(block_queue_create(&rig->disk_queue, rig->disk, NULL), 0);
    assert_int_equal(block_queue_create(&rig->cd_queue, rig->cd, NULL), 0);
    rig->bus = bus_create();
    rig->pci = pci_host_create(rig->bus, &wiring);
    config.mem = rig->mem;
    config.pci = rig->pci;
    config.disk = rig->disk_queue;
    config.cdrom = rig->cd_queue;
    rig->ide = ide_create(&config);
    assert_non_null(rig->ide);
    rig_place(rig);
    pci_config_write(rig->pci, PCI_DEVFN(1, 1), 0x20, 4, BM);
    pci_config_write(rig->pci, PCI_DEVFN(1, 1), PCI_COMMAND, 2,
                     PCI_COMMAND_IO | PCI_COMMAND_MASTER);
    *state = rig;
    return 0;
}

static int rig_tear_down(void **state)
{
    struct rig *rig = *state;

    assert_true(block_queue_stop(rig->disk_queue, 0));
    assert_true(block_queue_stop(rig->cd_queue, 0));
    ide_destroy(rig->ide);
    pci_host_destroy(rig->pci);
    bus_destroy(rig->bus);
    block_close(rig->disk);
    block_close(rig->cd);
    mem_destroy(rig->mem);
    free(rig);
    return 0;
}

/* The images' disks do all that is asked of them. */
static inline void rig_work(struct rig *rig)
{
    while (block_queue_ready(rig->disk_queue))
        block_queue_deliver(rig->disk_queue);
    while (block_queue_ready(rig->cd_queue))
        block_queue_deliver(rig->cd_queue);
    while (rig->slave_queue && block_queue_ready(rig->slave_queue))
        block_queue_deliver(rig->slave_queue);
}

static inline uint64_t rig_read(struct rig *rig, unsigned port, unsigned width)
{
    uint64_t value = bus_read(rig->bus, BUS_PORT, port, width);

    if (!rig->disk_hangs)
        rig_work(rig);
    return value;
}

static inline void rig_write(struct rig *rig, unsigned port, unsigned width, uint64_t value)
{
    bus_write(rig->bus, BUS_PORT, port, width, value);
    if (!rig->disk_hangs)
        rig_work(rig);
}

static inline void out8(struct rig *rig, unsigned port, unsigned value)
{
    rig_write(rig, port, 1, value);
}

static inline uint8_t in8(struct rig *rig, unsigned port)
{
    return (uint8_t)rig_read(rig, port, 1);
}

static inline void in_data(struct rig *rig, unsigned port, void *out, size_t len)
{
    for (size_t i = 0; i < len; i += 2) {
        uint16_t word = (uint16_t)rig_read(rig, port, 2);

        memcpy((uint8_t *)out + i, &word, 2);
    }
}

static inline void out_data(struct rig *rig, unsigned port, const void *data, size_t len)
{
    for (size_t i = 0; i < len; i += 4) {
        uint32_t word;

        memcpy(&word, (const uint8_t *)data + i, 4);
        rig_write(rig, port, 4, word);
    }
}

/* A 28-bit command on the first channel's master. */
static inline void command28(struct rig *rig, uint8_t command, uint32_t lba, uint8_t count)
{
    out8(rig, 0x1f6, 0xe0 | (lba >> 24 & 0xf));
    out8(rig, 0x1f2, count);
    out8(rig, 0x1f3, lba);
    out8(rig, 0x1f4, lba >> 8);
    out8(rig, 0x1f5, lba >> 16);
    out8(rig, 0x1f7, command);
}

static inline void command48(struct rig *rig, uint8_t command, uint64_t lba, uint16_t count)
{
    out8(rig, 0x1f6, 0x40);
    out8(rig, 0x1f2, count >> 8);
    out8(rig, 0x1f3, (uint8_t)(lba >> 24));
    out8(rig, 0x1f4, (uint8_t)(lba >> 32));
    out8(rig, 0x1f5, (uint8_t)(lba >> 40));
    out8(rig, 0x1f2, count & 0xff);
    out8(rig, 0x1f3, (uint8_t)lba);
    out8(rig, 0x1f4, (uint8_t)(lba >> 8));
    out8(rig, 0x1f5, (uint8_t)(lba >> 16));
    out8(rig, 0x1f7, command);
}

static inline void put_prd(struct rig *rig, unsigned index, uint32_t address, uint32_t bytes,
                           bool last)
{
    uint32_t prd[2] = {address, (bytes & 0xffff) | (last ? 0x80000000 : 0)};

    assert_true(mem_write(rig->mem, PRDT + 8 * index, prd, sizeof(prd)));
}

static inline void start_dma(struct rig *rig, unsigned channel, bool to_memory)
{
    unsigned base = BM + 8 * channel;

    rig_write(rig, base + 4, 4, PRDT);
    out8(rig, base, to_memory ? 0x08 : 0x00);
    out8(rig, base + 2, 0x06);
    out8(rig, base, to_memory ? 0x09 : 0x01);
}

#endif

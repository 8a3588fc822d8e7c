/* An ATA disk by script: task file, PIO, bus-master DMA, resets, interrupts, hostile use. */
#include "ide_rig.h"

#include <unistd.h>

#define READY 0x50
#define DRQ   0x58
#define ERR   0x51

static uint16_t word_of(const uint8_t *page, unsigned word)
{
    return (uint16_t)(page[2 * word] | page[2 * word + 1] << 8);
}

static void identify(void **state)
{
    struct rig *rig = *state;
    uint8_t page[512], sum = 0;

    command28(rig, 0xec, 0, 0);
    assert_true(rig->irq[0]);
    assert_int_equal(in8(rig, 0x3f6), DRQ);
    assert_true(rig->irq[0]); /* the alternate status leaves it */
    assert_int_equal(in8(rig, 0x1f7), DRQ);
    assert_false(rig->irq[0]);
    in_data(rig, 0x1f0, page, 512);
    assert_int_equal(in8(rig, 0x1f7), READY);
    assert_int_equal(rig->irqs[0], 1);
    assert_int_equal(word_of(page, 0), 0x0040);
    assert_int_equal(word_of(page, 1), 4);
    assert_int_equal(word_of(page, 3), 16);
    assert_int_equal(word_of(page, 6), 63);
    assert_memory_equal(page + 54, "MURB AAHDRIDKS  ", 16);
    assert_int_equal(word_of(page, 60), DISK_SECTORS);
    assert_int_equal(word_of(page, 100), DISK_SECTORS);
    for (int i = 0; i < 512; i++)
        sum = (uint8_t)(sum + page[i]);
    assert_int_equal(sum, 0);
}

static void pio_read(void **state)
{
    struct rig *rig = *state;
    uint8_t got[512];

    command28(rig, 0x20, 5, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rig->irqs[0], i + 1);
        assert_int_equal(in8(rig, 0x1f7), DRQ);
        in_data(rig, 0x1f0, got, 512);
        assert_memory_equal(got, rig->disk_data + (5 + i) * 512, 512);
    }
    assert_int_equal(in8(rig, 0x1f7), READY);
    assert_int_equal(rig->irqs[0], 3);
    assert_int_equal(rig_read(rig, 0x1f0, 2), 0); /* nothing is left */
}

static void pio_write(void **state)
{
    struct rig *rig = *state;
    uint8_t data[1024];

    memset(data, 0xd7, sizeof(data));
    command28(rig, 0x30, 4094, 2);
    assert_int_equal(rig->irqs[0], 0); /* the first block is asked for without one */
    assert_int_equal(in8(rig, 0x1f7), DRQ);
    out_data(rig, 0x1f0, data, 512);
    assert_int_equal(rig->irqs[0], 1);
    assert_int_equal(in8(rig, 0x1f7), DRQ);
    out_data(rig, 0x1f0, data, 512);
    assert_int_equal(rig->irqs[0], 2);
    assert_int_equal(in8(rig, 0x1f7), READY);
    assert_memory_equal(rig->disk_data + 4094 * 512, data, 1024);
}

static void multiple_blocks(void **state)
{
    struct rig *rig = *state;
    static uint8_t got[20 * 512];

    command28(rig, 0xc6, 0, 3);
    assert_int_equal(in8(rig, 0x1f7), ERR); /* no power of two */
    command28(rig, 0xc6, 0, 8);
    assert_int_equal(in8(rig, 0x1f7), READY);
    rig->irqs[0] = 0;
    command28(rig, 0xc4, 100, 20);
    in_data(rig, 0x1f0, got, 8 * 512);
    in8(rig, 0x1f7);
    in_data(rig, 0x1f0, got + 8 * 512, 8 * 512);
    in8(rig, 0x1f7);
    in_data(rig, 0x1f0, got + 16 * 512, 4 * 512);
    assert_int_equal(in8(rig, 0x1f7), READY);
    assert_memory_equal(got, rig->disk_data + 100 * 512, sizeof(got));
    memset(got, 0x3c, sizeof(got));
    command48(rig, 0x39, 200, 9);
    out_data(rig, 0x1f0, got, 9 * 512);
    assert_int_equal(in8(rig, 0x1f7), READY);
    assert_memory_equal(rig->disk_data + 200 * 512, got, 9 * 512);
    command28(rig, 0xc6, 0, 0); /* off */
    command28(rig, 0xc4, 0, 1);
    assert_int_equal(in8(rig, 0x1f7), ERR);
}

static void chs_addresses(void **state)
{
    struct rig *rig = *state;
    uint8_t got[512];

    out8(rig, 0x1f6, 0xa2); /* head 2 */
    out8(rig, 0x1f2, 1);
    out8(rig, 0x1f3, 5);
    out8(rig, 0x1f4, 1);
    out8(rig, 0x1f5, 0);
    out8(rig, 0x1f7, 0x20);
    in_data(rig, 0x1f0, got, 512);
    assert_memory_equal(got, rig->disk_data + ((16 + 2) * 63 + 4) * 512, 512);
    out8(rig, 0x1f3, 0); /* there is no sector 0 */
    out8(rig, 0x1f7, 0x20);
    assert_int_equal(in8(rig, 0x1f7), ERR);
    assert_int_equal(in8(rig, 0x1f1), 0x10);
    out8(rig, 0x1f6, 0xa3); /* four heads of 32 sectors */
    out8(rig, 0x1f2, 32);
    out8(rig, 0x1f7, 0x91);
    assert_int_equal(in8(rig, 0x1f7), READY);
    out8(rig, 0x1f2, 1);
    out8(rig, 0x1f3, 5);
    out8(rig, 0x1f7, 0x20);
    in_data(rig, 0x1f0, got, 512);
    assert_memory_equal(got, rig->disk_data + ((4 + 3) * 32 + 4) * 512, 512);
    out8(rig, 0x1f6, 0xa4); /* no such head */
    out8(rig, 0x1f7, 0x20);
    assert_int_equal(in8(rig, 0x1f7), ERR);
}

static void out_of_range(void **state)
{
    struct rig *rig = *state;

    command28(rig, 0x20, DISK_SECTORS - 1, 2);
    assert_int_equal(in8(rig, 0x1f7), ERR);
    assert_int_equal(in8(rig, 0x1f1), 0x10);
    command28(rig, 0x20, DISK_SECTORS - 255, 0); /* 0 stands for 256 */
    assert_int_equal(in8(rig, 0x1f7), ERR);
    command28(rig, 0x40, DISK_SECTORS - 256, 0);
    assert_int_equal(in8(rig, 0x1f7), READY);
    command48(rig, 0x24, 0xffffffffffff, 1);
    assert_int_equal(in8(rig, 0x1f7), ERR);
    command48(rig, 0x35, 0, 0); /* 65536 sectors */
    assert_int_equal(in8(rig, 0x1f7), ERR);
    command28(rig, 0x42, 0, 1); /* an aborted row: 48-bit verify is fine, a bad opcode is not */
    command28(rig, 0xb0, 0, 1);
    assert_int_equal(in8(rig, 0x1f7), ERR);
    assert_int_equal(in8(rig, 0x1f1), 0x04);
}

static void other_commands(void **state)
{
    static const uint8_t good[] = {0x10, 0x70, 0x94, 0x95, 0xe0, 0xe1,
                                   0xe2, 0xe3, 0xe6, 0xe7, 0xea};
    static const uint8_t bad[] = {0x00, 0x08, 0xa0, 0xa1, 0xf9, 0xff};
    struct rig *rig = *state;

    for (size_t i = 0; i < sizeof(good); i++) {
        rig->irqs[0] = 0;
        command28(rig, good[i], 0, 0);
        assert_int_equal(rig->irqs[0], 1);
        assert_int_equal(in8(rig, 0x1f7), READY);
    }
    for (size_t i = 0; i < sizeof(bad); i++) {
        command28(rig, bad[i], 0, 0);
        assert_int_equal(in8(rig, 0x1f7), ERR);
        assert_int_equal(in8(rig, 0x1f1), 0x04);
    }
    command28(rig, 0xe5, 0, 0);
    assert_int_equal(in8(rig, 0x1f2), 0xff);
    command28(rig, 0xf8, 0, 0);
    assert_int_equal(in8(rig, 0x1f3) | in8(rig, 0x1f4) << 8, DISK_SECTORS - 1);
    command48(rig, 0x27, 0x123456789abc, 0);
    assert_int_equal(in8(rig, 0x1f4), (DISK_SECTORS - 1) >> 8);
    out8(rig, 0x3f6, 0x80); /* the previous contents */
    assert_int_equal(in8(rig, 0x1f3), 0);
    out8(rig, 0x1f1, 0x03); /* any write leaves that view */
    assert_int_equal(in8(rig, 0x1f4), (DISK_SECTORS - 1) >> 8);
    command28(rig, 0xef, 0, 0x22); /* multiword DMA 2 */
    assert_int_equal(in8(rig, 0x1f7), READY);
    command28(rig, 0xef, 0, 0x47);
    assert_int_equal(in8(rig, 0x1f7), ERR);
}

static void resets_and_signatures(void **state)
{
    struct rig *rig = *state;

    out8(rig, 0x1f6, 0xb0);
    assert_int_equal(in8(rig, 0x1f7), 0); /* no slave */
    out8(rig, 0x1f2, 0x55);
    out8(rig, 0x1f3, 0xaa);
    assert_int_equal(in8(rig, 0x1f2), 0);
    assert_int_equal(in8(rig, 0x1f3), 0);
    out8(rig, 0x1f7, 0xec);
    assert_int_equal(rig->irqs[0], 0);
    out8(rig, 0x1f6, 0xa0);
    command28(rig, 0x20, 0, 9); /* cut short by the reset */
    out8(rig, 0x3f6, 0x04);
    assert_int_equal(in8(rig, 0x3f6), 0x80);
    assert_false(rig->irq[0]);
    out8(rig, 0x1f7, 0xec); /* not now */
    out8(rig, 0x3f6, 0x00);
    assert_int_equal(in8(rig, 0x1f7), READY);
    assert_int_equal(in8(rig, 0x1f1), 1);
    assert_int_equal(in8(rig, 0x1f2), 1);
    assert_int_equal(in8(rig, 0x1f3), 1);
    assert_int_equal(in8(rig, 0x1f4), 0);
    assert_int_equal(in8(rig, 0x1f5), 0);
    out8(rig, 0x376, 0x04);
    out8(rig, 0x376, 0x00);
    assert_int_equal(in8(rig, 0x177), 0);
    assert_int_equal(in8(rig, 0x174), 0x14);
    assert_int_equal(in8(rig, 0x175), 0xeb);
    out8(rig, 0x1f6, 0xf0); /* the diagnostic is for both drives, and selects the first */
    out8(rig, 0x1f7, 0x90);
    assert_int_equal(in8(rig, 0x1f1), 1);
    assert_true(rig->irq[0]);
}

static void interrupt_gate(void **state)
{
    struct rig *rig = *state;

    out8(rig, 0x3f6, 0x02); /* nIEN */
    command28(rig, 0xe7, 0, 0);
    assert_false(rig->irq[0]);
    out8(rig, 0x3f6, 0x00); /* the pending interrupt shows */
    assert_true(rig->irq[0]);
    out8(rig, 0x1f6, 0xf0); /* and hides with its drive deselected */
    assert_false(rig->irq[0]);
    out8(rig, 0x1f6, 0xe0);
    assert_true(rig->irq[0]);
    out8(rig, 0x1f7, 0xe7); /* a command clears the old one and gives its own */
    assert_int_equal(rig->irqs[0], 3);
    in8(rig, 0x1f7);
    assert_false(rig->irq[0]);
}

static void dma_read(void **state)
{
    struct rig *rig = *state;
    static uint8_t got[300 * 512];

    put_prd(rig, 0, BUFFER, 100 * 512, false);
    put_prd(rig, 1, BUFFER + 100 * 512, 28 * 512, false);
    put_prd(rig, 2, BUFFER + 128 * 512, 0, false); /* 64 KiB */
    put_prd(rig, 3, BUFFER + 256 * 512, 44 * 512, true);
    command48(rig, 0x25, 17, 300);
    assert_int_equal(rig->irqs[0], 0); /* waits for the bus master */
    start_dma(rig, 0, true);
    assert_true(rig->irq[0]);
    assert_int_equal(in8(rig, BM + 2), 0x04);
    assert_int_equal(in8(rig, 0x1f7), READY);
    assert_true(mem_read(rig->mem, BUFFER, got, sizeof(got)));
    assert_memory_equal(got, rig->disk_data + 17 * 512, sizeof(got));
    out8(rig, BM, 0x08);
    out8(rig, BM + 2, 0x04);
    assert_int_equal(in8(rig, BM + 2), 0);
}

static void dma_write_in_other_order(void **state)
{
    struct rig *rig = *state;
    static uint8_t data[16 * 512];

    memset(data, 0x99, sizeof(data));
    assert_true(mem_write(rig->mem, BUFFER, data, sizeof(data)));
    put_prd(rig, 0, BUFFER, 4 * 512 + 2, false);
    put_prd(rig, 1, BUFFER + 4 * 512 + 2, 0, true); /* longer than the data */
    start_dma(rig, 0, false);
    assert_int_equal(in8(rig, BM + 2), 0x01);
    command28(rig, 0xca, 40, 16);
    assert_int_equal(in8(rig, BM + 2), 0x05); /* done, and the table is not */
    assert_int_equal(in8(rig, 0x1f7), READY);
    assert_memory_equal(rig->disk_data + 40 * 512, data, sizeof(data));
    out8(rig, BM, 0x00);
    assert_int_equal(in8(rig, BM + 2), 0x04);
}

static void dma_mistakes(void **state)
{
    struct rig *rig = *state;

    put_prd(rig, 0, BUFFER, 512, true); /* too short */
    command28(rig, 0xc8, 0, 2);
    start_dma(rig, 0, true);
    assert_int_equal(in8(rig, BM + 2), 0x04);
    assert_int_equal(in8(rig, 0x1f7), ERR);
    out8(rig, BM, 0);
    put_prd(rig, 0, 0xfffff000, 512, true); /* no memory there */
    command28(rig, 0xc8, 0, 1);
    start_dma(rig, 0, true);
    assert_int_equal(in8(rig, BM + 2), 0x06);
    assert_int_equal(in8(rig, 0x1f7), ERR);
    out8(rig, BM, 0);
    put_prd(rig, 0, BUFFER, 512, true); /* the wrong direction */
    command28(rig, 0xca, 0, 1);
    start_dma(rig, 0, true);
    assert_int_equal(in8(rig, BM + 2), 0x06);
    out8(rig, BM, 0);
    command28(rig, 0xc8, 0, 1); /* a table out of memory */
    out8(rig, BM + 2, 0x06);
    rig_write(rig, BM + 4, 4, 0xfffffffc);
    out8(rig, BM, 0x09);
    assert_int_equal(in8(rig, BM + 2), 0x06);
    out8(rig, BM, 0);
    pci_config_write(rig->pci, PCI_DEVFN(1, 1), PCI_COMMAND, 2, PCI_COMMAND_IO); /* no master */
    command28(rig, 0xc8, 0, 1);
    start_dma(rig, 0, true);
    assert_int_equal(in8(rig, BM + 2), 0x01);
    assert_int_equal(in8(rig, 0x1f7), DRQ);
    out8(rig, 0x3f6, 0x04); /* a reset brings the drive back */
    out8(rig, 0x3f6, 0x00);
    assert_int_equal(in8(rig, 0x1f7), READY);
}

/* A table without an end: the walk has a budget, the command fails. */
static void endless_prd_table(void **state)
{
    struct rig *rig = *state;
    static uint32_t prds[2 * 16384];

    for (size_t i = 0; i < ARRAY_SIZE(prds); i += 2) {
        prds[i] = BUFFER;
        prds[i + 1] = 2;
    }
    assert_true(mem_write(rig->mem, 0x40000, prds, sizeof(prds)));
    command28(rig, 0xc8, 0, 0); /* 128 KiB in pieces of two bytes */
    out8(rig, BM + 2, 0x06);
    rig_write(rig, BM + 4, 4, 0x40000);
    out8(rig, BM, 0x09);
    assert_int_equal(in8(rig, 0x1f7), ERR);
    assert_int_equal(in8(rig, BM + 2), 0x04);
}

static void read_only_and_slave(void **state)
{
    struct rig *rig = *state;
    struct block *file;
    char path[] = "/tmp/umbra-ide-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 64 * 512), 0);
    close(fd);
    assert_int_equal(block_open(&file, path, true), 0);
    unlink(path);
    assert_int_equal(block_queue_create(&rig->slave_queue, file, NULL), 0);
    assert_int_equal(ide_attach(rig->ide, 0, 0, IDE_DISK, rig->slave_queue), -EEXIST);
    assert_int_equal(ide_attach(rig->ide, 0, 1, IDE_DISK, rig->slave_queue), 0);
    out8(rig, 0x1f6, 0xf0);
    out8(rig, 0x1f2, 1);
    out8(rig, 0x1f3, 0);
    out8(rig, 0x1f4, 0);
    out8(rig, 0x1f5, 0);
    assert_int_equal(in8(rig, 0x1f7), READY);
    out8(rig, 0x1f7, 0x20);
    assert_int_equal(in8(rig, 0x1f7), DRQ);
    out8(rig, 0x1f7, 0x30);
    assert_int_equal(in8(rig, 0x1f7), ERR);
    assert_int_equal(in8(rig, 0x1f1), 0x04);
    ide_reset(rig->ide);
    assert_int_equal(in8(rig, 0x1f6), 0xa0);
    assert_true(block_queue_stop(rig->slave_queue, 0));
    block_close(file);
    rig->slave_queue = NULL;
}

static void random_accesses(void **state)
{
    static const uint16_t ports[] = {0x1f0, 0x170, 0x3f6, 0x376, BM};
    struct rig *rig = *state;

    srand(4);
    for (int i = 0; i < 400000; i++) {
        unsigned which = (unsigned)rand() % 5;
        unsigned port = ports[which];
        uint32_t value = (uint32_t)rand();

        if (which < 2)
            port += (unsigned)rand() % 8;
        else if (which == 4)
            port += (unsigned)rand() % 16;
        if (which == 2 || which == 3)
            value &= rand() % 8 ? 0x02 : 0x86;
        if (port == BM + 4 || port == BM + 12)
            value &= 0xffffc;
        if (rand() % 3)
            rig_write(rig, port, 1u << rand() % 3, value);
        else
            rig_read(rig, port, 1u << rand() % 3);
        if (rand() % 16 == 0)
            put_prd(rig, (unsigned)rand() % 64, (uint32_t)rand() % (2 * MIB), (uint32_t)rand(),
                    rand() % 2);
        if (rand() % 16 == 0)
            rig_write(rig, BM + 4 + (unsigned)(rand() % 2) * 8, 4, PRDT);
    }
    ide_reset(rig->ide);
    assert_int_equal(in8(rig, 0x1f7), READY);
    assert_false(rig->irq[0]);
    assert_false(rig->irq[1]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(identify),
        TEST(pio_read),
        TEST(pio_write),
        TEST(multiple_blocks),
        TEST(chs_addresses),
        TEST(out_of_range),
        TEST(other_commands),
        TEST(resets_and_signatures),
        TEST(interrupt_gate),
        TEST(dma_read),
        TEST(dma_write_in_other_order),
        TEST(dma_mistakes),
        TEST(endless_prd_table),
        TEST(read_only_and_slave),
        TEST(random_accesses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Drives while the host's disk takes its time: BSY, what a busy drive ignores, resets in between,
 * a bus master that is stopped, errors, and the write cache.
 */
#include "ide_rig.h"

#include <fcntl.h>
#include <unistd.h>

#define BSY   0x80
#define READY 0x50
#define DRQ   0x58
#define ERR   0x51

static int set_up(void **state)
{
    int err = rig_set_up(state);

    ((struct rig *)*state)->disk_hangs = true;
    return err;
}

static void a_read_is_busy(void **state)
{
    struct rig *rig = *state;
    uint8_t got[512];

    command28(rig, 0x20, 5, 2);
    assert_int_equal(in8(rig, 0x1f7), BSY);
    assert_int_equal(in8(rig, 0x3f6), BSY);
    assert_false(rig->irq[0]);
    assert_int_equal(rig_read(rig, 0x1f0, 2), 0);
    rig_work(rig);
    assert_true(rig->irq[0]);
    assert_int_equal(in8(rig, 0x1f7), DRQ);
    in_data(rig, 0x1f0, got, 512);
    assert_memory_equal(got, rig->disk_data + 5 * 512, 512);
    /* The next sector came with the first. */
    assert_int_equal(in8(rig, 0x1f7), DRQ);
    in_data(rig, 0x1f0, got, 512);
    assert_memory_equal(got, rig->disk_data + 6 * 512, 512);
    assert_int_equal(in8(rig, 0x1f7), READY);
    assert_int_equal(rig->irqs[0], 2);
}

static void a_write_is_done_when_it_says_so(void **state)
{
    struct rig *rig = *state;
    uint8_t data[512];

    memset(data, 0x5c, sizeof(data));
    command28(rig, 0x30, 7, 1);
    assert_int_equal(in8(rig, 0x1f7), DRQ);
    out_data(rig, 0x1f0, data, 512);
    assert_int_equal(in8(rig, 0x1f7), BSY);
    assert_false(rig->irq[0]);
    rig_write(rig, 0x1f0, 2, 0xffff); /* too much */
    rig_work(rig);
    assert_true(rig->irq[0]);
    assert_int_equal(in8(rig, 0x1f7), READY);
    assert_memory_equal(rig->disk_data + 7 * 512, data, 512);
}

/* More sectors than the drive's buffer holds, both ways. */
static void long_transfers(void **state)
{
    struct rig *rig = *state;
    static uint8_t data[1000 * 512], got[1000 * 512];

    rig->disk_hangs = false;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i / 512 + i * 5);
    command48(rig, 0x34, 100, 1000);
    for (size_t i = 0; i < sizeof(data); i += 512) {
        assert_int_equal(in8(rig, 0x1f7), DRQ);
        out_data(rig, 0x1f0, data + i, 512);
    }
    assert_int_equal(in8(rig, 0x1f7), READY);
    assert_memory_equal(rig->disk_data + 100 * 512, data, sizeof(data));
    command48(rig, 0x24, 100, 1000);
    for (size_t i = 0; i < sizeof(got); i += 512) {
        assert_int_equal(in8(rig, 0x1f7), DRQ);
        in_data(rig, 0x1f0, got + i, 512);
    }
    assert_int_equal(in8(rig, 0x1f7), READY);
    assert_memory_equal(got, data, sizeof(data));
    assert_int_equal(rig->irqs[0], 2000);
}

static void a_busy_drive_ignores_its_registers(void **state)
{
    struct rig *rig = *state;
    uint8_t got[512];

    command28(rig, 0x20, 5, 1);
    out8(rig, 0x1f3, 99);
    out8(rig, 0x1f2, 99);
    out8(rig, 0x1f6, 0xf0); /* not the other drive either */
    out8(rig, 0x1f7, 0xec);
    out8(rig, 0x1f7, 0x90);
    out8(rig, 0x1f7, 0x08); /* DEVICE RESET is for packet devices */
    assert_int_equal(in8(rig, 0x1f7), BSY);
    rig_work(rig);
    assert_int_equal(in8(rig, 0x1f3), 5);
    assert_int_equal(in8(rig, 0x1f2), 1);
    assert_int_equal(in8(rig, 0x1f7), DRQ);
    in_data(rig, 0x1f0, got, 512);
    assert_memory_equal(got, rig->disk_data + 5 * 512, 512);
    assert_int_equal(rig->irqs[0], 1);
}

/* The drive stays busy until the host is done, and has forgotten the command then. */
static void soft_reset_in_between(void **state)
{
    struct rig *rig = *state;

    command28(rig, 0x20, 5, 9);
    out8(rig, 0x3f6, 0x04);
    out8(rig, 0x3f6, 0x00);
    assert_int_equal(in8(rig, 0x1f7), BSY);
    out8(rig, 0x1f7, 0xec); /* not yet */
    rig_work(rig);
    assert_int_equal(in8(rig, 0x1f7), READY);
    assert_int_equal(in8(rig, 0x1f1), 1);
    assert_int_equal(in8(rig, 0x1f3), 1);
    assert_int_equal(rig->irqs[0], 0);
    assert_int_equal(rig_read(rig, 0x1f0, 2), 0);
}

static void resets_of_the_machine_in_between(void **state)
{
    static const uint8_t read_10[12] = {0x28, 0, 0, 0, 0, 3, 0, 0, 1};
    struct rig *rig = *state;

    for (int i = 0; i < 1000; i++) {
        command28(rig, 0x20, 5, 9);
        ide_reset(rig->ide);
    }
    assert_int_equal(in8(rig, 0x1f7), BSY);
    out8(rig, 0x177, 0xa0);
    out_data(rig, 0x170, (uint8_t[12]){0x03}, 12); /* takes the unit attention */
    out8(rig, 0x177, 0xa0);
    out_data(rig, 0x170, read_10, 12);
    assert_int_equal(in8(rig, 0x177), BSY);
    out8(rig, 0x177, 0x08); /* DEVICE RESET */
    assert_int_equal(in8(rig, 0x177), BSY);
    rig->irqs[1] = 0;
    rig_work(rig);
    assert_int_equal(in8(rig, 0x1f7), READY);
    assert_int_equal(in8(rig, 0x177), 0);
    assert_int_equal(in8(rig, 0x174), 0x14);
    assert_int_equal(rig->irqs[0], 0);
    assert_int_equal(rig->irqs[1], 0);
}

static void dma_is_busy(void **state)
{
    struct rig *rig = *state;
    uint8_t got[1024], zeroes[1024] = {0};

    put_prd(rig, 0, BUFFER, 1024, true);
    command28(rig, 0xc8, 8, 2);
    assert_int_equal(in8(rig, 0x1f7), DRQ); /* it waits for the bus master */
    start_dma(rig, 0, true);
    assert_int_equal(in8(rig, 0x1f7), BSY);
    assert_int_equal(in8(rig, BM + 2) & 5, 1); /* active, no interrupt */
    put_prd(rig, 0, BUFFER + 0x8000, 1024, true);
    assert_true(mem_read(rig->mem, BUFFER, got, sizeof(got)));
    assert_memory_equal(got, zeroes, sizeof(got));
    rig_work(rig);
    assert_true(rig->irq[0]);
    assert_int_equal(in8(rig, 0x1f7), READY);
    assert_int_equal(in8(rig, BM + 2) & 5, 4);
    /* A descriptor is read when its turn comes. */
    assert_true(mem_read(rig->mem, BUFFER + 0x8000, got, sizeof(got)));
    assert_memory_equal(got, rig->disk_data + 8 * 512, sizeof(got));
}

/* Nothing reaches memory behind the guest's back; the drive goes on when the bus master does. */
static void bus_master_stopped_in_between(void **state)
{
    struct rig *rig = *state;
    uint8_t got[512], zeroes[512] = {0};

    put_prd(rig, 0, BUFFER, 512, true);
    command28(rig, 0xc8, 8, 1);
    start_dma(rig, 0, true);
    out8(rig, BM, 0);
    rig_work(rig);
    assert_int_equal(in8(rig, 0x1f7), DRQ);
    assert_true(mem_read(rig->mem, BUFFER, got, sizeof(got)));
    assert_memory_equal(got, zeroes, sizeof(got));
    start_dma(rig, 0, true);
    rig_work(rig);
    assert_int_equal(in8(rig, 0x1f7), READY);
    assert_true(mem_read(rig->mem, BUFFER, got, sizeof(got)));
    assert_memory_equal(got, rig->disk_data + 8 * 512, sizeof(got));
    assert_int_equal(rig->irqs[0], 1);
}

/* --- a drive of a real file --- */

static int open_slave(struct rig *rig, struct block **file, bool broken)
{
    char path[] = "/tmp/umbra-ide-XXXXXX";
    int fd = mkstemp(path), at;

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 400 * 512), 0);
    close(fd);
    at = open("/dev/null", O_RDONLY); /* the number that the image gets next */
    assert_true(at >= 0);
    close(at);
    assert_int_equal(block_open(file, path, false), 0);
    unlink(path);
    if (broken) { /* a descriptor that neither reads nor writes */
        fd = open("/", O_RDONLY | O_DIRECTORY);
        assert_int_equal(dup2(fd, at), at);
        close(fd);
    }
    assert_int_equal(block_queue_create(&rig->slave_queue, *file, NULL), 0);
    assert_int_equal(ide_attach(rig->ide, 0, 1, IDE_DISK, rig->slave_queue), 0);
    rig->disk_hangs = false;
    return at;
}

static void slave_command(struct rig *rig, uint8_t command, uint8_t feature)
{
    out8(rig, 0x1f6, 0xf0);
    out8(rig, 0x1f1, feature);
    out8(rig, 0x1f2, 1);
    out8(rig, 0x1f3, 0);
    out8(rig, 0x1f4, 0);
    out8(rig, 0x1f5, 0);
    out8(rig, 0x1f7, command);
}

static void close_slave(struct rig *rig, struct block *file)
{
    assert_true(block_queue_stop(rig->slave_queue, 0));
    rig->slave_queue = NULL;
    block_close(file);
}

static void errors_of_the_host(void **state)
{
    struct rig *rig = *state;
    uint8_t data[512] = {0};
    struct block *file;

    open_slave(rig, &file, true);
    slave_command(rig, 0x20, 0);
    assert_int_equal(in8(rig, 0x1f7), ERR);
    assert_int_equal(in8(rig, 0x1f1), 0x40); /* UNC */
    slave_command(rig, 0x30, 0);
    assert_int_equal(in8(rig, 0x1f7), DRQ);
    out_data(rig, 0x1f0, data, 512);
    assert_int_equal(in8(rig, 0x1f7), ERR);
    assert_int_equal(in8(rig, 0x1f1), 0x04); /* ABRT */
    put_prd(rig, 0, BUFFER, 512, true);
    slave_command(rig, 0xc8, 0);
    start_dma(rig, 0, true);
    assert_int_equal(in8(rig, 0x1f7), ERR);
    close_slave(rig, file);
}

static uint16_t enabled_features(struct rig *rig)
{
    uint8_t page[512];

    slave_command(rig, 0xec, 0);
    in_data(rig, 0x1f0, page, sizeof(page));
    return (uint16_t)(page[170] | page[171] << 8);
}

static void write_cache_off_and_on(void **state)
{
    struct rig *rig = *state;
    struct block *file;

    open_slave(rig, &file, false);
    assert_int_equal(enabled_features(rig) & 0x20, 0x20);
    rig->disk_hangs = true;
    slave_command(rig, 0xef, 0x82);
    assert_int_equal(in8(rig, 0x1f7), BSY); /* the cache is emptied first */
    rig_work(rig);
    assert_int_equal(in8(rig, 0x1f7), READY);
    rig->disk_hangs = false;
    assert_int_equal(enabled_features(rig) & 0x20, 0);
    slave_command(rig, 0xef, 0x02);
    assert_int_equal(in8(rig, 0x1f7), READY);
    assert_int_equal(enabled_features(rig) & 0x20, 0x20);
    close_slave(rig, file);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, rig_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_read_is_busy),        TEST(a_write_is_done_when_it_says_so),
        TEST(long_transfers),        TEST(a_busy_drive_ignores_its_registers),
        TEST(soft_reset_in_between), TEST(resets_of_the_machine_in_between),
        TEST(dma_is_busy),           TEST(bus_master_stopped_in_between),
        TEST(errors_of_the_host),    TEST(write_cache_off_and_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

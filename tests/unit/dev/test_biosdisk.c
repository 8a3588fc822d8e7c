/* The BIOS's disk port by script: transfers, geometry, the layout shared with the ROM, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <cmocka.h>

#include "dev/biosdisk.h"
#include "fw/boot.h"
#include "twin.h"

#define PORT         0x5550
#define REQUEST      0x1000
#define DISK_SECTORS 400
#define CD_BLOCKS    10

struct fixture {
    struct mem *mem;
    struct bus *bus;
    struct biosdisk *disk;
    struct block *image, *cd;
    struct block_queue *image_queue, *cd_queue; /* without threads */
    uint8_t data[DISK_SECTORS * 512];
    uint8_t cd_data[CD_BLOCKS * 2048];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->mem = mem_create(NULL);
    assert_int_equal(mem_add_slot(f->mem, "low", 0, 1 * MIB, MEM_SLOT_RAM), 0);
    f->disk = biosdisk_create(f->mem);
    f->bus = bus_create();
    for (size_t i = 0; i < sizeof(f->data); i++)
        f->data[i] = (uint8_t)(i / 512 * 3 + i);
    for (size_t i = 0; i < sizeof(f->cd_data); i++)
        f->cd_data[i] = (uint8_t)(i / 2048 + 0x40);
    assert_int_equal(block_open_memory(&f->image, f->data, sizeof(f->data)), 0);
    assert_int_equal(block_open_memory(&f->cd, f->cd_data, sizeof(f->cd_data)), 0);
    assert_int_equal(block_queue_create(&f->image_queue, f->image, NULL), 0);
    assert_int_equal(block_queue_create(&f->cd_queue, f->cd, NULL), 0);
    assert_int_equal(biosdisk_attach(f->disk, 0, false, f->image_queue), 0);
    assert_int_equal(biosdisk_attach(f->disk, 0, true, f->cd_queue), 0);
    assert_int_equal(bus_add(f->bus, BUS_PORT, PORT, BIOSDISK_PORTS, &biosdisk_ops, f->disk), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    assert_true(block_queue_stop(f->image_queue, 0));
    assert_true(block_queue_stop(f->cd_queue, 0));
    bus_destroy(f->bus);
    biosdisk_destroy(f->disk);
    block_close(f->image);
    block_close(f->cd);
    mem_destroy(f->mem);
    free(f);
    return 0;
}

/* The images' disks do all that is asked of them. */
static void work(struct fixture *f)
{
    /* A completion may start a request that waited, to the other image. */
    while (block_queue_ready(f->image_queue) || block_queue_ready(f->cd_queue)) {
        block_queue_deliver(f->image_queue);
        block_queue_deliver(f->cd_queue);
    }
}

/* Executes a request; the status by the port and the one in memory must agree. */
static unsigned ask(struct fixture *f, uint8_t drive, uint8_t command, uint64_t lba, uint32_t count,
                    uint64_t gpa)
{
    struct biosdisk_request request = {BIOSDISK_MAGIC, drive, command, 0x7777, count, 0, lba, gpa};
    unsigned status;

    assert_true(mem_write(f->mem, REQUEST, &request, sizeof(request)));
    bus_write(f->bus, BUS_PORT, PORT, 4, REQUEST);
    work(f);
    status = (unsigned)bus_read(f->bus, BUS_PORT, PORT, 4);
    assert_int_equal(mem_read16(f->mem, REQUEST + 6), status);
    return status;
}

static void layout_is_the_roms(void **state)
{
    (void)state;
#define SAME(field)                                                                                \
    assert_int_equal(offsetof(struct biosdisk_request, field),                                     \
                     offsetof(struct boot_disk_request, field))
    SAME(magic);
    SAME(drive);
    SAME(command);
    SAME(status);
    SAME(count);
    SAME(lba);
    SAME(buffer_gpa);
    assert_int_equal(sizeof(struct biosdisk_request), sizeof(struct boot_disk_request));
#define SAME_INFO(field)                                                                           \
    assert_int_equal(offsetof(struct biosdisk_info, field), offsetof(struct boot_disk_info, field))
    SAME_INFO(total_blocks);
    SAME_INFO(block_size_bytes);
    SAME_INFO(flags);
    SAME_INFO(cylinders);
    SAME_INFO(heads);
    SAME_INFO(sectors);
    assert_int_equal(sizeof(struct biosdisk_info), sizeof(struct boot_disk_info));
    assert_int_equal(BIOSDISK_MAGIC, BOOT_DISK_MAGIC);
    assert_int_equal(BIOSDISK_PORT, BOOT_DISK_PORT);
    assert_int_equal(BIOSDISK_CD, BOOT_DISK_CD);
    assert_int_equal(BIOSDISK_READ, BOOT_DISK_READ);
    assert_int_equal(BIOSDISK_WRITE, BOOT_DISK_WRITE);
    assert_int_equal(BIOSDISK_INFO, BOOT_DISK_INFO);
    assert_int_equal(BIOSDISK_FLUSH, BOOT_DISK_FLUSH);
    assert_int_equal(BIOSDISK_OK, BOOT_DISK_OK);
    assert_int_equal(BIOSDISK_NO_DRIVE, BOOT_DISK_NO_DRIVE);
    assert_int_equal(BIOSDISK_OUT_OF_RANGE, BOOT_DISK_OUT_OF_RANGE);
    assert_int_equal(BIOSDISK_IO_ERROR, BOOT_DISK_IO_ERROR);
    assert_int_equal(BIOSDISK_READ_ONLY, BOOT_DISK_READ_ONLY);
    assert_int_equal(BIOSDISK_BAD_REQUEST, BOOT_DISK_BAD_REQUEST);
    assert_int_equal(BIOSDISK_PENDING, BOOT_DISK_PENDING);
    assert_int_equal(BIOSDISK_FLAG_READ_ONLY, BOOT_DISK_FLAG_READ_ONLY);
    assert_int_equal(BIOSDISK_FLAG_CD, BOOT_DISK_FLAG_CD);
}

static void reads_and_writes(void **state)
{
    struct fixture *f = *state;
    static uint8_t got[300 * 512];

    assert_int_equal(ask(f, 0, BIOSDISK_READ, 7, 300, 0x8000), BIOSDISK_OK); /* several pieces */
    assert_true(mem_read(f->mem, 0x8000, got, sizeof(got)));
    assert_memory_equal(got, f->data + 7 * 512, sizeof(got));
    memset(got, 0xee, 1024);
    assert_true(mem_write(f->mem, 0x8000, got, 1024));
    assert_int_equal(ask(f, 0, BIOSDISK_WRITE, 398, 2, 0x8000), BIOSDISK_OK);
    assert_memory_equal(f->data + 398 * 512, got, 1024);
    assert_int_equal(ask(f, 0, BIOSDISK_FLUSH, 0, 0, 0), BIOSDISK_OK);
    assert_int_equal(ask(f, BIOSDISK_CD, BIOSDISK_READ, 9, 1, 0x9000), BIOSDISK_OK);
    assert_true(mem_read(f->mem, 0x9000, got, 2048));
    assert_memory_equal(got, f->cd_data + 9 * 2048, 2048);
}

static void info(void **state)
{
    struct fixture *f = *state;
    struct biosdisk_info got;

    assert_int_equal(ask(f, 0, BIOSDISK_INFO, 0, 0, 0x2000), BIOSDISK_OK);
    assert_true(mem_read(f->mem, 0x2000, &got, sizeof(got)));
    assert_int_equal(got.total_blocks, DISK_SECTORS);
    assert_int_equal(got.block_size_bytes, 512);
    assert_int_equal(got.flags, 0);
    assert_int_equal(got.cylinders, 1);
    assert_int_equal(got.heads, 16);
    assert_int_equal(got.sectors, 63);
    assert_int_equal(ask(f, BIOSDISK_CD, BIOSDISK_INFO, 0, 0, 0x2000), BIOSDISK_OK);
    assert_true(mem_read(f->mem, 0x2000, &got, sizeof(got)));
    assert_int_equal(got.total_blocks, CD_BLOCKS);
    assert_int_equal(got.block_size_bytes, 2048);
    assert_int_equal(got.flags, BIOSDISK_FLAG_CD | BIOSDISK_FLAG_READ_ONLY);
}

static void geometry(void **state)
{
    static const struct {
        uint64_t sectors;
        uint32_t cylinders, heads;
    } rows[] = {
        {0, 1, 16},
        {1024 * 16 * 63, 1024, 16},
        {1025 * 16 * 63, 512, 32},
        {2 * GIB / 512, 520, 128},
        {1024 * 128 * 63, 1024, 128},
        {UINT64_MAX / 512, 1024, 255},
        {8 * GIB / 512, 1024, 255},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct biosdisk_info got = {0};

        biosdisk_geometry(rows[i].sectors, &got);
        assert_int_equal(got.cylinders, rows[i].cylinders);
        assert_int_equal(got.heads, rows[i].heads);
        assert_int_equal(got.sectors, 63);
    }
}

static void refusals(void **state)
{
    struct fixture *f = *state;
    uint32_t no_magic = 0x12345678;

    assert_int_equal(ask(f, 1, BIOSDISK_READ, 0, 1, 0x2000), BIOSDISK_NO_DRIVE);
    assert_int_equal(ask(f, 4, BIOSDISK_READ, 0, 1, 0x2000), BIOSDISK_NO_DRIVE);
    assert_int_equal(ask(f, 0xff, BIOSDISK_READ, 0, 1, 0x2000), BIOSDISK_NO_DRIVE);
    assert_int_equal(ask(f, 0, BIOSDISK_READ, 399, 2, 0x2000), BIOSDISK_OUT_OF_RANGE);
    assert_int_equal(ask(f, 0, BIOSDISK_READ, UINT64_MAX, 2, 0x2000), BIOSDISK_OUT_OF_RANGE);
    assert_int_equal(ask(f, 0, BIOSDISK_READ, 0, UINT32_MAX, 0x2000), BIOSDISK_BAD_REQUEST);
    assert_int_equal(ask(f, 0, BIOSDISK_READ, 0, 1, 0xfffff000), BIOSDISK_BAD_REQUEST);
    assert_int_equal(ask(f, 0, BIOSDISK_READ, 0, 1, UINT64_MAX - 100), BIOSDISK_BAD_REQUEST);
    assert_int_equal(ask(f, 0, BIOSDISK_WRITE, 0, 1, 1 * MIB - 256), BIOSDISK_BAD_REQUEST);
    assert_int_equal(ask(f, 0, BIOSDISK_INFO, 0, 0, 1 * MIB), BIOSDISK_BAD_REQUEST);
    assert_int_equal(ask(f, 0, 4, 0, 1, 0x2000), BIOSDISK_BAD_REQUEST);
    assert_int_equal(ask(f, BIOSDISK_CD, BIOSDISK_WRITE, 0, 1, 0x2000), BIOSDISK_READ_ONLY);
    /* No request at all: memory stays as it is. */
    assert_true(mem_write(f->mem, 0x3000, &no_magic, sizeof(no_magic)));
    bus_write(f->bus, BUS_PORT, PORT, 4, 0x3000);
    assert_int_equal(bus_read(f->bus, BUS_PORT, PORT, 4), BIOSDISK_BAD_REQUEST);
    assert_int_equal(mem_read16(f->mem, 0x3006), 0);
    biosdisk_reset(f->disk);
    assert_int_equal(bus_read(f->bus, BUS_PORT, PORT, 4), BIOSDISK_OK);
    bus_write(f->bus, BUS_PORT, PORT, 4, 1 * MIB - 16); /* hangs over the end of memory */
    assert_int_equal(bus_read(f->bus, BUS_PORT, PORT, 4), BIOSDISK_BAD_REQUEST);
    bus_write(f->bus, BUS_PORT, PORT, 4, 0xfffffff0);
    assert_int_equal(bus_read(f->bus, BUS_PORT, PORT, 4), BIOSDISK_BAD_REQUEST);
    assert_int_equal(bus_read(f->bus, BUS_PORT, PORT + 4, 4), UINT32_MAX);
    assert_int_equal(bus_read(f->bus, BUS_PORT, PORT, 2), UINT16_MAX);
    assert_int_equal(biosdisk_attach(f->disk, BIOSDISK_MAX_DISKS, false, f->image_queue), -EINVAL);
    assert_int_equal(biosdisk_attach(f->disk, BIOSDISK_MAX_CDS, true, f->image_queue), -EINVAL);
}

/* A disk that takes its time: the guest is told so, and memory stays as it was. */
static void a_slow_disk(void **state)
{
    struct fixture *f = *state;
    struct biosdisk_request request = {BIOSDISK_MAGIC, 0, BIOSDISK_READ, 0x7777, 1, 0, 3, 0x8000};
    uint8_t got[512], zeroes[512] = {0};

    assert_true(mem_write(f->mem, REQUEST, &request, sizeof(request)));
    bus_write(f->bus, BUS_PORT, PORT, 4, REQUEST);
    assert_int_equal(bus_read(f->bus, BUS_PORT, PORT, 4), BIOSDISK_PENDING);
    assert_int_equal(mem_read16(f->mem, REQUEST + 6), 0x7777);
    assert_true(mem_read(f->mem, 0x8000, got, sizeof(got)));
    assert_memory_equal(got, zeroes, sizeof(got));
    /* The request was copied: what the guest writes over it changes nothing. */
    request.lba = 9;
    assert_true(mem_write(f->mem, REQUEST, &request, sizeof(request)));
    work(f);
    assert_int_equal(bus_read(f->bus, BUS_PORT, PORT, 4), BIOSDISK_OK);
    assert_true(mem_read(f->mem, 0x8000, got, sizeof(got)));
    assert_memory_equal(got, f->data + 3 * 512, sizeof(got));
}

/* A reset, and a BIOS that starts again before the host has done with the old request. */
static void reset_while_a_disk_is_slow(void **state)
{
    struct fixture *f = *state;
    struct biosdisk_request old = {BIOSDISK_MAGIC, 0, BIOSDISK_READ, 0x7777, 1, 0, 3, 0x8000};
    struct biosdisk_request new = {BIOSDISK_MAGIC, 0, BIOSDISK_READ, 0x7777, 1, 0, 5, 0x9000};
    uint8_t got[512], zeroes[512] = {0};

    assert_true(mem_write(f->mem, REQUEST, &old, sizeof(old)));
    bus_write(f->bus, BUS_PORT, PORT, 4, REQUEST);
    biosdisk_reset(f->disk);
    assert_int_equal(bus_read(f->bus, BUS_PORT, PORT, 4), BIOSDISK_OK);
    assert_true(mem_write(f->mem, REQUEST + 0x100, &new, sizeof(new)));
    bus_write(f->bus, BUS_PORT, PORT, 4, REQUEST + 0x100);
    assert_int_equal(bus_read(f->bus, BUS_PORT, PORT, 4), BIOSDISK_PENDING);
    work(f);
    assert_int_equal(bus_read(f->bus, BUS_PORT, PORT, 4), BIOSDISK_OK);
    assert_int_equal(mem_read16(f->mem, REQUEST + 6), 0x7777);
    assert_true(mem_read(f->mem, 0x8000, got, sizeof(got)));
    assert_memory_equal(got, zeroes, sizeof(got));
    assert_true(mem_read(f->mem, 0x9000, got, sizeof(got)));
    assert_memory_equal(got, f->data + 5 * 512, sizeof(got));
}

static void random_request(struct fixture *f)
{
    struct biosdisk_request request;

    for (size_t b = 0; b < sizeof(request); b++)
        ((uint8_t *)&request)[b] = (uint8_t)rand();
    request.magic = rand() % 8 ? BIOSDISK_MAGIC : request.magic;
    request.drive = rand() % 2 ? 0 : BIOSDISK_CD;
    request.command %= 5;
    request.lba >>= rand() % 64;
    request.count >>= rand() % 32;
    request.buffer_gpa >>= 40 + rand() % 24;
    mem_write(f->mem, REQUEST, &request, sizeof(request));
    bus_write(f->bus, BUS_PORT, PORT, 1u << rand() % 3, rand() % 8 ? REQUEST : rand());
    assert_true(bus_read(f->bus, BUS_PORT, PORT, 4) <= BIOSDISK_PENDING);
}

static void random_requests(void **state)
{
    struct fixture *f = *state;

    srand(2);
    for (int i = 0; i < 20000; i++) {
        random_request(f);
        if (rand() % 2) {
            work(f);
            assert_true(bus_read(f->bus, BUS_PORT, PORT, 4) <= BIOSDISK_BAD_REQUEST);
        }
        if (rand() % 16 == 0)
            biosdisk_reset(f->disk);
    }
}

/* A long request, of which the images have done a part. */
static void begin_long_request(struct fixture *f, int number)
{
    struct biosdisk_request request = {BIOSDISK_MAGIC, 0, number & 1, 0x7777, 390, 0, 3, 0x20000};

    mem_write(f->mem, REQUEST + 0x100, &request, sizeof(request));
    bus_write(f->bus, BUS_PORT, PORT, 4, REQUEST + 0x100);
    for (int i = 0; i < rand() % 3; i++)
        block_queue_deliver(f->image_queue);
    if (number % 3 == 0)
        random_request(f); /* it waits */
    if (number % 7 == 0)
        biosdisk_reset(f->disk);
}

static void copy_memory(struct fixture *from, struct fixture *to)
{
    uint8_t *bytes = malloc(1 * MIB);

    assert_true(bytes && mem_read(from->mem, 0, bytes, 1 * MIB));
    assert_true(mem_write(to->mem, 0, bytes, 1 * MIB));
    free(bytes);
    memcpy(to->data, from->data, sizeof(to->data));
}

static void assert_same_memory(struct fixture *a, struct fixture *b)
{
    uint8_t *of_a = malloc(1 * MIB), *of_b = malloc(1 * MIB);

    assert_true(of_a && mem_read(a->mem, 0, of_a, 1 * MIB));
    assert_true(of_b && mem_read(b->mem, 0, of_b, 1 * MIB));
    assert_memory_equal(of_a, of_b, 1 * MIB);
    free(of_a);
    free(of_b);
    assert_memory_equal(a->data, b->data, sizeof(a->data));
}

/* A port whose state was loaded goes on as the one that it was saved from, in mid-request. */
static void saved_and_loaded(void **state)
{
    struct fixture *a = *state, *b;

    set_up((void **)&b);
    srand(3);
    for (int i = 0; i < 100; i++) {
        random_request(a);
        work(a);
        work(b);
        begin_long_request(a, i);
        copy_memory(a, b);
        twin_copy(biosdisk_device(a->disk), biosdisk_device(b->disk));
        assert_int_equal(bus_read(a->bus, BUS_PORT, PORT, 4), bus_read(b->bus, BUS_PORT, PORT, 4));
        work(a);
        work(b);
        assert_int_equal(bus_read(a->bus, BUS_PORT, PORT, 4), bus_read(b->bus, BUS_PORT, PORT, 4));
        assert_same_memory(a, b);
    }
    tear_down((void **)&b);
}

static void use_damaged(void *opaque)
{
    work(opaque);
    random_request(opaque);
    work(opaque);
}

static void damaged_state(void **state)
{
    struct fixture *f = *state;

    begin_long_request(f, 0);
    work(f);
    twin_damage(biosdisk_device(f->disk), use_damaged, f);
}

/* A request to a drive that is not there where it is loaded ends with an error. */
static void loaded_without_the_drive(void **state)
{
    struct fixture *f = *state, *other;
    struct stream_writer saved = {0};
    struct stream_reader reader;

    set_up((void **)&other);
    begin_long_request(f, 1);
    assert_int_equal(biosdisk_attach(other->disk, 0, false, NULL), 0);
    device_save(biosdisk_device(f->disk), &saved);
    reader = (struct stream_reader){.at = saved.bytes, .left = saved.count};
    assert_int_equal(device_load(biosdisk_device(f->disk), &reader), -EBUSY);
    assert_int_equal(device_load(biosdisk_device(other->disk), &reader), 0);
    stream_writer_fini(&saved);
    assert_int_equal(bus_read(other->bus, BUS_PORT, PORT, 4), BIOSDISK_NO_DRIVE);
    tear_down((void **)&other);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layout_is_the_roms),
        cmocka_unit_test(geometry),
        TEST(reads_and_writes),
        TEST(info),
        TEST(refusals),
        TEST(a_slow_disk),
        TEST(reset_while_a_disk_is_slow),
        TEST(random_requests),
        TEST(saved_and_loaded),
        TEST(damaged_state),
        TEST(loaded_without_the_drive),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

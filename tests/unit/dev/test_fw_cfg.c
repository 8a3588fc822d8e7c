/* fw_cfg by script: ports, directory, DMA, and hostile descriptors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <endian.h>
#include <errno.h>
#include <cmocka.h>

#include "dev/fw_cfg.h"

struct fixture {
    struct mem *mem;
    struct bus *bus;
    struct fw_cfg *fw;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->mem = mem_create(NULL);
    assert_int_equal(mem_add_slot(f->mem, "low", 0, 1 * MIB, MEM_SLOT_RAM), 0);
    f->fw = fw_cfg_create(f->mem);
    f->bus = bus_create();
    assert_int_equal(bus_add(f->bus, BUS_PORT, FW_CFG_PORT, FW_CFG_PORTS, &fw_cfg_ops, f->fw), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    bus_destroy(f->bus);
    fw_cfg_destroy(f->fw);
    mem_destroy(f->mem);
    free(f);
    return 0;
}

static void select_item(struct fixture *f, unsigned key)
{
    bus_write(f->bus, BUS_PORT, 0x510, 2, key);
}

static void read_bytes(struct fixture *f, void *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)out)[i] = (uint8_t)bus_read(f->bus, BUS_PORT, 0x511, 1);
}

/* Puts a descriptor at 1000h and starts it; returns the control word left there. */
static uint32_t dma(struct fixture *f, uint32_t control, uint32_t length, uint64_t address)
{
    uint32_t words[4] = {htobe32(control), htobe32(length), htobe32((uint32_t)(address >> 32)),
                         htobe32((uint32_t)address)};

    assert_true(mem_write(f->mem, 0x1000, words, sizeof(words)));
    bus_write(f->bus, BUS_PORT, 0x514, 4, 0);
    bus_write(f->bus, BUS_PORT, 0x518, 4, htobe32(0x1000));
    return be32toh(mem_read32(f->mem, 0x1000));
}

static void signature_and_id(void **state)
{
    struct fixture *f = *state;
    char text[5] = "";
    uint8_t id[4];

    select_item(f, FW_CFG_SIGNATURE);
    read_bytes(f, text, 4);
    assert_string_equal(text, "QEMU");
    assert_int_equal(bus_read(f->bus, BUS_PORT, 0x511, 1), 0);
    select_item(f, FW_CFG_ID);
    read_bytes(f, id, 4);
    assert_memory_equal(id, "\3\0\0\0", 4);
    assert_int_equal(bus_read(f->bus, BUS_PORT, 0x514, 4), 0x554d4551); /* "QEMU" */
    assert_int_equal(bus_read(f->bus, BUS_PORT, 0x518, 4), 0x47464320); /* " CFG" */
}

static void numbered_items(void **state)
{
    struct fixture *f = *state;
    uint8_t got[10];

    assert_int_equal(fw_cfg_set_int(f->fw, FW_CFG_NB_CPUS, 3, 2), 0);
    assert_int_equal(fw_cfg_set_int(f->fw, FW_CFG_RAM_SIZE, 0x1122334455667788, 8), 0);
    select_item(f, FW_CFG_RAM_SIZE);
    read_bytes(f, got, 10);
    assert_memory_equal(got, "\x88\x77\x66\x55\x44\x33\x22\x11\0\0", 10);
    assert_int_equal(fw_cfg_set_int(f->fw, FW_CFG_NB_CPUS, 4, 2), 0); /* replaces */
    select_item(f, FW_CFG_NB_CPUS);
    read_bytes(f, got, 2);
    assert_memory_equal(got, "\4\0", 2);
    assert_int_equal(fw_cfg_set(f->fw, 0x8000, "acpi", 4), 0);
    select_item(f, 0x8000);
    read_bytes(f, got, 4);
    assert_memory_equal(got, "acpi", 4);
    assert_int_equal(fw_cfg_set(f->fw, FW_CFG_SIGNATURE, "x", 1), -EINVAL);
    assert_int_equal(fw_cfg_set(f->fw, FW_CFG_FILE_DIR, "x", 1), -EINVAL);
    assert_int_equal(fw_cfg_set(f->fw, FW_CFG_FILE_FIRST + 2, "x", 1), -EINVAL);
    select_item(f, 0x1234); /* nothing there */
    read_bytes(f, got, 2);
    assert_memory_equal(got, "\0\0", 2);
}

static void file_directory(void **state)
{
    struct fixture *f = *state;
    uint8_t entry[64];
    uint8_t count[4];
    char name[80];

    assert_int_equal(fw_cfg_add_file(f->fw, "etc/e820", "abcdef", 6), 0);
    assert_int_equal(fw_cfg_add_file(f->fw, "etc/empty", NULL, 0), 0);
    assert_int_equal(fw_cfg_add_file(f->fw, "etc/e820", "x", 1), -EEXIST);
    memset(name, 'n', sizeof(name));
    name[56] = 0;
    assert_int_equal(fw_cfg_add_file(f->fw, name, "x", 1), -ENAMETOOLONG);
    select_item(f, FW_CFG_FILE_DIR);
    read_bytes(f, count, 4);
    assert_memory_equal(count, "\0\0\0\2", 4);
    read_bytes(f, entry, 64);
    assert_memory_equal(entry, "\0\0\0\6\0\x20\0\0etc/e820", 17);
    read_bytes(f, entry, 64);
    assert_memory_equal(entry, "\0\0\0\0\0\x21\0\0etc/empty", 18);
    select_item(f, 0x20);
    read_bytes(f, entry, 7);
    assert_memory_equal(entry, "abcdef\0", 7);
    for (int i = 2; i < FW_CFG_MAX_FILES; i++) {
        snprintf(name, sizeof(name), "opt/%d", i);
        assert_int_equal(fw_cfg_add_file(f->fw, name, "x", 1), 0);
    }
    assert_int_equal(fw_cfg_add_file(f->fw, "opt/last", "x", 1), -ENOSPC);
}

static void dma_reads_selects_and_skips(void **state)
{
    struct fixture *f = *state;
    uint8_t got[12];

    assert_int_equal(fw_cfg_add_file(f->fw, "f", "0123456789", 10), 0);
    assert_int_equal(dma(f, 0x20 << 16 | 0x8 | 0x2, 4, 0x2000), 0);
    assert_int_equal(dma(f, 0x4, 2, 0), 0);
    assert_int_equal(dma(f, 0x2, 8, 0x2004), 0); /* four bytes, then zeroes */
    assert_true(mem_read(f->mem, 0x2000, got, 12));
    assert_memory_equal(got, "01236789\0\0\0\0", 12);
}

static void dma_refusals(void **state)
{
    struct fixture *f = *state;
    uint8_t got[4];

    assert_int_equal(fw_cfg_add_file(f->fw, "f", "0123456789", 10), 0);
    select_item(f, 0x20);
    assert_int_equal(dma(f, 0x10, 4, 0x2000), 1);               /* write */
    assert_int_equal(dma(f, 0x2, 4, 0xfffff000), 1);            /* no memory there */
    assert_int_equal(dma(f, 0x2, 4, UINT64_MAX - 1), 1);        /* wraps */
    assert_int_equal(dma(f, 0x8 << 0 | 0x2, UINT32_MAX, 0), 1); /* four GiB of zeroes */
    select_item(f, 0x20);
    assert_int_equal(dma(f, 0x2, 10 + 64 * 1024, 0x10000), 0); /* as many zeroes as we give */
    assert_int_equal(dma(f, 0x2, 1 + 64 * 1024, 0x10000), 1);  /* one too many */
    /* The descriptor itself out of memory, and across its end. */
    bus_write(f->bus, BUS_PORT, 0x514, 4, UINT32_MAX);
    bus_write(f->bus, BUS_PORT, 0x518, 4, UINT32_MAX);
    bus_write(f->bus, BUS_PORT, 0x518, 4, htobe32(1 * MIB - 8));
    select_item(f, 0x20); /* still works */
    read_bytes(f, got, 4);
    assert_memory_equal(got, "0123", 4);
}

static void random_accesses(void **state)
{
    struct fixture *f = *state;
    static const unsigned widths[] = {1, 2, 4};
    char name[8];
    uint8_t got[4];

    srand(1);
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        assert_int_equal(fw_cfg_add_file(f->fw, name, "somedata", 8), 0);
    }
    for (int i = 0; i < 20000; i++) {
        unsigned width = widths[rand() % 3];
        uint64_t port = 0x50e + (unsigned)rand() % 18;

        if (rand() % 2)
            bus_read(f->bus, BUS_PORT, port, width);
        else
            bus_write(f->bus, BUS_PORT, port, width, (uint32_t)rand() & 0x8000ffff);
        if (i % 4 == 0)
            dma(f, (uint32_t)rand() & 0x3f001f, (uint32_t)rand() % 20000, (uint32_t)rand());
    }
    fw_cfg_reset(f->fw);
    read_bytes(f, got, 1);
    assert_int_equal(got[0], 0); /* nothing is selected */
    select_item(f, 0x20);
    read_bytes(f, got, 4);
    assert_memory_equal(got, "some", 4);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(signature_and_id), TEST(numbered_items),
        TEST(file_directory),   TEST(dma_reads_selects_and_skips),
        TEST(dma_refusals),     TEST(random_accesses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

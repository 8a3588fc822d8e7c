/*
 * IDE saved and loaded: channels and drives in the middle of a command, also while the host's disk
 * has still to answer, and their twins, which must go on alike.
 */
#include "ide_rig.h"

#include "hostile.h"
#include "twin.h"

#define DEVICES 5
#define ROUNDS  200

static void devices_of(const struct rig *rig, const struct device *devices[DEVICES])
{
    devices[0] = &pci_host_function(rig->pci, PCI_DEVFN(1, 1))->device;
    devices[1] = ide_channel_device(rig->ide, 0);
    devices[2] = ide_channel_device(rig->ide, 1);
    devices[3] = ide_drive_device(rig->ide, 0, 0);
    devices[4] = ide_drive_device(rig->ide, 1, 0);
    assert_null(ide_drive_device(rig->ide, 0, 1));
}

/* More than a drive's buffer holds. */
static void make_table(struct rig *rig)
{
    put_prd(rig, 0, BUFFER, 0x8000, false);
    put_prd(rig, 1, BUFFER + 0x8000, 0x10000, false);
    put_prd(rig, 2, BUFFER + 0x18000, 0x10000, false);
    put_prd(rig, 3, BUFFER + 0x28000, 0x10000, true);
}

/* A transfer in two pieces, of which the image has perhaps done one. */
static void long_transfer(struct rig *rig, uint64_t random)
{
    bool to_drive = random & 1;

    command48(rig, to_drive ? 0x35 : 0x25, random >> 8 & 63, 300 + (random >> 16 & 63));
    start_dma(rig, 0, !to_drive);
    if (random & 2)
        block_queue_deliver(rig->disk_queue);
    if (random & 4)
        out8(rig, BM, 0);
}

static void ata_command(struct rig *rig, uint64_t random)
{
    static const uint8_t commands[] = {0x20, 0xc4, 0x30, 0xc5, 0xc8, 0xca, 0xec,
                                       0xe7, 0xef, 0xc6, 0x91, 0xc8, 0x25, 0x40};
    static const uint8_t features[] = {0x02, 0x82, 0x03};

    if (random & BIT(51))
        out8(rig, 0x1f1, features[(random >> 52) % ARRAY_SIZE(features)]);
    if ((random >> 32) % 8 == 0)
        out8(rig, 0x1f2, 0x42); /* a transfer mode */
    command28(rig, commands[random % ARRAY_SIZE(commands)], (random >> 8) % 64,
              (random >> 16) % 3 == 0 ? 8 : random >> 24 & 0xff);
}

static void packet_command(struct rig *rig, uint64_t random)
{
    static const uint8_t opcodes[] = {0x28, 0x28, 0xa8, 0x03, 0x1b, 0x1e,
                                      0x25, 0x43, 0x46, 0x4a, 0x5a, 0x00};
    uint8_t packet[12] = {
        opcodes[(random & 15) % ARRAY_SIZE(opcodes)], 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};

    packet[4] = random >> 8 & 3;
    if (packet[0] == 0x28)
        packet[4] = 0, packet[5] = random >> 10 & 31;
    if (packet[0] == 0x03)
        packet[4] = 18; /* bytes of sense */
    else if (packet[0] == 0x4a)
        packet[1] = 1, packet[4] = 0x10; /* at once, of media */
    else if (packet[0] == 0x5a)
        packet[2] = 0x2a; /* capabilities */
    packet[8] = random >> 16 & 63;
    packet[9] = packet[0] == 0xa8 ? 3 : 0;
    out8(rig, 0x176, 0xa0 | ((random >> 50 & 7) == 7 ? 0x10 : 0));
    out8(rig, 0x171, random >> 24 & 1);
    out8(rig, 0x174, random & BIT(26) ? 0 : 0xfe);
    out8(rig, 0x175, random & BIT(27) ? 0xff : 0x07);
    out8(rig, 0x177, random & BIT(28) ? 0xa1 : 0xa0);
    for (unsigned i = 0; i < 12 && !(random >> 56 == 3 && i == 5); i += 2)
        rig_write(rig, 0x170, 2, packet[i] | (uint64_t)packet[i + 1] << 8);
}

/* The image does some of what is asked, the guest something; all that it sees goes into the sum. */
static uint64_t step(struct rig *rig, uint64_t random)
{
    unsigned base = random & BIT(63) ? 0x170 : 0x1f0, bm = BM + (base == 0x170 ? 8 : 0);
    uint64_t sum = 0, argument = random >> 4;

    switch (random % 12) {
    case 0: ata_command(rig, argument); break;
    case 1: packet_command(rig, argument); break;
    case 2: start_dma(rig, base == 0x170, argument & 3); break;
    case 3: out8(rig, bm, argument & 9); break;
    case 4: block_queue_deliver(rig->disk_queue); break;
    case 5: block_queue_deliver(rig->cd_queue); break;
    case 6:
        for (unsigned i = 0; i < (argument & 0x3ff); i++)
            sum = sum * 31 + rig_read(rig, base, 4);
        break;
    case 7:
        for (unsigned i = 0; i < (argument & 0x3ff); i++)
            rig_write(rig, base, 4, random + i);
        break;
    case 8: out8(rig, base + 1 + argument % 6, argument >> 8 & 0xff); break;
    case 9:
        if (argument % 5 == 0)
            out8(rig, base + 0x206, argument >> 8 & 0xff);
        else
            out8(rig, base + 0x206, 0);
        break;
    case 10:
        for (unsigned i = 1; i < 8; i++)
            sum = sum * 31 + in8(rig, base + i);
        out8(rig, base + 0x206, 0x80); /* what was written before: high order byte */
        for (unsigned i = 2; i < 6; i++)
            sum = sum * 31 + in8(rig, base + i);
        break;
    case 11: rig_work(rig); break;
    }
    sum = sum * 31 + rig_read(rig, bm, 1) + rig_read(rig, bm + 2, 1) * 256;
    sum = sum * 31 + rig_read(rig, bm + 4, 4);
    return sum * 31 + rig_read(rig, base + 0x206, 1) + 2 * rig->irq[0] + rig->irq[1];
}

/* What software can ask a drive about itself, when it has nothing else to do. */
static uint64_t ask_drives(struct rig *rig)
{
    uint64_t sum = 0;

    rig_work(rig);
    out8(rig, 0x3f6, 0);
    out8(rig, 0x376, 0);
    out8(rig, 0x1f6, 0xa0 | 3); /* a sector by head and cylinder */
    out8(rig, 0x1f2, 1);
    out8(rig, 0x1f3, 2);
    out8(rig, 0x1f4, 1);
    out8(rig, 0x1f5, 0);
    out8(rig, 0x1f7, 0x20);
    rig_work(rig);
    for (unsigned i = 0; i < 128; i++)
        sum = sum * 31 + rig_read(rig, 0x1f0, 4);
    out8(rig, 0x1f7, 0xec);
    for (unsigned i = 0; i < 128; i++)
        sum = sum * 31 + rig_read(rig, 0x1f0, 4);
    packet_command(rig, 3 | BIT(26) | BIT(12)); /* REQUEST SENSE */
    for (unsigned i = 0; i < 16; i++)
        sum = sum * 31 + rig_read(rig, 0x170, 2);
    packet_command(rig, 9 | BIT(26) | BIT(21)); /* GET EVENT STATUS */
    for (unsigned i = 0; i < 16; i++)
        sum = sum * 31 + rig_read(rig, 0x170, 2);
    packet_command(rig, 10 | BIT(26) | BIT(21)); /* MODE SENSE */
    for (unsigned i = 0; i < 32; i++)
        sum = sum * 31 + rig_read(rig, 0x170, 2);
    return sum * 31 + in8(rig, 0x177);
}

/* What is not the controller's: memory, images, the lines' other ends. */
static void copy_rest(struct rig *from, struct rig *to)
{
    void *bytes = malloc(1 * MIB);

    assert_non_null(bytes);
    assert_true(mem_read(from->mem, 0, bytes, 1 * MIB));
    assert_true(mem_write(to->mem, 0, bytes, 1 * MIB));
    free(bytes);
    memcpy(to->disk_data, from->disk_data, sizeof(to->disk_data));
    memcpy(to->irq, from->irq, sizeof(to->irq));
}

/* Of the drives' buffers, what lies behind a transfer may differ: no guest sees it. */
static void compare(struct rig *a, struct rig *b)
{
    const struct device *of_a[DEVICES], *of_b[DEVICES];

    devices_of(a, of_a);
    devices_of(b, of_b);
    for (unsigned i = 0; i < 3; i++)
        twin_same(of_a[i], of_b[i]);
    assert_memory_equal(a->disk_data, b->disk_data, sizeof(a->disk_data));
}

static void test_twins(void **state)
{
    struct rig *a, *b;
    struct hostile h = {.seed = 4711};
    unsigned busy = 0;

    rig_set_up((void **)&a);
    rig_set_up((void **)&b);
    a->disk_hangs = b->disk_hangs = true;
    make_table(a);
    for (unsigned round = 0; round < ROUNDS; round++) {
        const struct device *of_a[DEVICES], *of_b[DEVICES];

        for (unsigned i = 0; i < 12; i++)
            step(a, hostile_next(&h));
        if (round % 4 == 1)
            long_transfer(a, hostile_next(&h));
        else if (round & 1)
            ata_command(a, hostile_next(&h));
        for (unsigned i = 0; i < 4; i++)
            step(b, hostile_next(&h));
        rig_work(b);
        copy_rest(a, b);
        busy += block_queue_busy(a->disk_queue) || block_queue_busy(a->cd_queue);
        devices_of(a, of_a);
        devices_of(b, of_b);
        for (unsigned i = 0; i < DEVICES; i++)
            twin_copy(of_a[i], of_b[i]);
        if (round & 2)
            assert_true(ask_drives(a) == ask_drives(b));
        for (unsigned i = 0; i < 30; i++) {
            uint64_t random = hostile_next(&h);

            assert_true(step(a, random) == step(b, random));
        }
        compare(a, b);
    }
    assert_true(busy > ROUNDS / 10); /* saved while the host's disk had something to do */
    rig_tear_down((void **)&a);
    rig_tear_down((void **)&b);
}

/* A drive that the host is at work for keeps its state: its buffer is the host's. */
static void test_busy(void **state)
{
    struct rig *rig;
    struct stream_writer saved = {0};
    struct stream_reader reader;
    const struct device *drive;

    rig_set_up((void **)&rig);
    rig->disk_hangs = true;
    drive = ide_drive_device(rig->ide, 0, 0);
    command28(rig, 0x20, 3, 1);
    device_save(drive, &saved);
    reader = (struct stream_reader){.at = saved.bytes, .left = saved.count};
    assert_int_equal(device_load(drive, &reader), -EBUSY);
    rig_work(rig);
    assert_int_equal(device_load(drive, &reader), 0); /* and the sector is read once more */
    assert_int_equal(in8(rig, 0x1f7), 0x80);
    rig_work(rig);
    assert_int_equal(in8(rig, 0x1f7), 0x58);
    assert_int_equal(rig_read(rig, 0x1f0, 2),
                     rig->disk_data[3 * 512] | rig->disk_data[3 * 512 + 1] << 8);
    stream_writer_fini(&saved);
    rig_tear_down((void **)&rig);
}

struct damage {
    struct rig *rig;
    struct hostile h;
    unsigned taken;
};

static void use_damaged(void *opaque)
{
    struct damage *damage = opaque;

    damage->taken++;
    for (unsigned i = 0; i < 12; i++)
        step(damage->rig, hostile_next(&damage->h));
    rig_work(damage->rig);
}

static void test_damage(void **state)
{
    for (unsigned device = 1; device < DEVICES; device++) {
        struct damage damage = {.h.seed = 99 + device};
        const struct device *devices[DEVICES];

        rig_set_up((void **)&damage.rig);
        damage.rig->disk_hangs = true;
        make_table(damage.rig);
        for (unsigned i = 0; i < 100; i++)
            step(damage.rig, hostile_next(&damage.h));
        rig_work(damage.rig);
        devices_of(damage.rig, devices);
        twin_damage(devices[device], use_damaged, &damage);
        assert_true(damage.taken > 0);
        rig_tear_down((void **)&damage.rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_twins),
        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* An ATAPI CD-ROM by script: packet phases, reading by PIO and DMA, sense, answers. */
#include "ide_rig.h"

#define READY 0x50
#define DRQ   0x58
#define ERR   0x51

/* Sends a packet on the second channel's master; `limit` is the byte count limit. */
static void packet(struct rig *rig, const char *bytes, size_t len, unsigned limit, bool dma)
{
    uint8_t cdb[12] = {0};

    memcpy(cdb, bytes, len);
    out8(rig, 0x176, 0xa0);
    out8(rig, 0x171, dma);
    out8(rig, 0x174, limit);
    out8(rig, 0x175, limit >> 8);
    out8(rig, 0x177, 0xa0);
    assert_int_equal(in8(rig, 0x177), DRQ);
    assert_int_equal(in8(rig, 0x172), 1); /* a command is wanted */
    rig->irqs[1] = 0;
    out_data(rig, 0x170, cdb, 12);
}

#define PACKET(rig, bytes) packet(rig, bytes, sizeof(bytes) - 1, 0xfffe, false)

/* Reads the answer whole; returns its length. */
static size_t answer(struct rig *rig, uint8_t *out)
{
    size_t got = 0;

    while (in8(rig, 0x177) == DRQ) {
        size_t len = in8(rig, 0x174) | (size_t)in8(rig, 0x175) << 8;

        assert_int_equal(in8(rig, 0x172), 2);
        in_data(rig, 0x170, out + got, len);
        got += len;
    }
    assert_int_equal(in8(rig, 0x177), READY);
    assert_int_equal(in8(rig, 0x172), 3);
    return got;
}

/* The sense of a failed command: key, code, qualifier. */
static uint32_t failure(struct rig *rig)
{
    uint8_t out[64] = {0};
    unsigned key = in8(rig, 0x171) >> 4;

    assert_int_equal(in8(rig, 0x177), ERR);
    assert_int_equal(in8(rig, 0x172), 3);
    PACKET(rig, "\x03\0\0\0\x12");
    assert_int_equal(answer(rig, out), 18);
    assert_int_equal(out[0], 0x70);
    assert_int_equal(out[2], key);
    return (uint32_t)out[2] << 16 | (uint32_t)out[12] << 8 | out[13];
}

/* Ends the unit attention that follows power-on. */
static void attend(struct rig *rig)
{
    PACKET(rig, "\0");
    assert_int_equal(failure(rig), 0x062900);
}

static void identifies_itself(void **state)
{
    struct rig *rig = *state;
    uint8_t page[512];

    out8(rig, 0x176, 0xa0);
    out8(rig, 0x177, 0xec); /* the disk's command: signature and abort */
    assert_int_equal(in8(rig, 0x177), ERR);
    assert_int_equal(in8(rig, 0x174), 0x14);
    assert_int_equal(in8(rig, 0x175), 0xeb);
    out8(rig, 0x177, 0xa1);
    assert_int_equal(in8(rig, 0x177), DRQ);
    in_data(rig, 0x170, page, 512);
    assert_int_equal(page[0] | page[1] << 8, 0x85c0);
    assert_memory_equal(page + 54, "MURB ADCR-MO", 12);
    out8(rig, 0x174, 0);
    out8(rig, 0x177, 0x08); /* DEVICE RESET */
    assert_int_equal(in8(rig, 0x177), 0);
    assert_int_equal(in8(rig, 0x174), 0x14);
}

static void unit_attention_comes_once(void **state)
{
    struct rig *rig = *state;
    uint8_t out[64];

    PACKET(rig, "\x12\0\0\0\x24"); /* INQUIRY is answered all the same */
    assert_int_equal(answer(rig, out), 36);
    assert_int_equal(out[0], 5);
    assert_memory_equal(out + 8, "UMBRA   CD-ROM", 14);
    attend(rig);
    PACKET(rig, "\0");
    assert_int_equal(answer(rig, out), 0);
    assert_int_equal(rig->irqs[1], 1);
}

static void reads_by_pio(void **state)
{
    struct rig *rig = *state;
    static uint8_t out[8 * 2048];

    attend(rig);
    PACKET(rig, "\x28\0\0\0\0\x07\0\0\x03");
    assert_int_equal(answer(rig, out), 3 * 2048);
    assert_memory_equal(out, rig->cd_data + 7 * 2048, 3 * 2048);
    packet(rig, "\xa8\0\0\0\0\x5c\0\0\0\x08", 10, 2048 + 101, false); /* odd limit: 2148 */
    assert_int_equal(in8(rig, 0x174) | in8(rig, 0x175) << 8, 2148);
    assert_int_equal(answer(rig, out), 8 * 2048);
    assert_memory_equal(out, rig->cd_data + 92 * 2048, 8 * 2048);
    assert_int_equal(rig->irqs[1], 9);     /* eight blocks and the end */
    PACKET(rig, "\x28\0\0\0\0\x05\0\0\0"); /* nothing asked for */
    assert_int_equal(answer(rig, out), 0);
    PACKET(rig, "\x28\0\0\0\0\x63\0\0\x02"); /* past the end */
    assert_int_equal(failure(rig), 0x052100);
    PACKET(rig, "\xa8\0\xff\xff\xff\xff\xff\xff\xff\xff");
    assert_int_equal(failure(rig), 0x052100);
}

static void reads_by_dma(void **state)
{
    struct rig *rig = *state;
    static uint8_t got[40 * 2048];

    attend(rig);
    put_prd(rig, 0, BUFFER, 30000, false);
    put_prd(rig, 1, BUFFER + 30000, sizeof(got) - 30000, true);
    packet(rig, "\x28\0\0\0\0\x01\0\0\x28", 9, 0, true);
    assert_int_equal(rig->irqs[1], 0);
    start_dma(rig, 1, true);
    assert_int_equal(rig->irqs[1], 1);
    assert_int_equal(in8(rig, BM + 10), 0x04);
    assert_int_equal(in8(rig, 0x177), READY);
    assert_int_equal(in8(rig, 0x172), 3);
    assert_true(mem_read(rig->mem, BUFFER, got, sizeof(got)));
    assert_memory_equal(got, rig->cd_data + 2048, sizeof(got));
    /* A small answer goes that way too, and a bad table is a failed read. */
    out8(rig, BM + 8, 0);
    packet(rig, "\x25", 1, 0, true);
    start_dma(rig, 1, true);
    assert_true(mem_read(rig->mem, BUFFER, got, 8));
    assert_memory_equal(got, "\0\0\0\x63\0\0\x08\0", 8);
    out8(rig, BM + 8, 0);
    put_prd(rig, 0, 0xf0000000, 2048, true);
    packet(rig, "\x28\0\0\0\0\x01\0\0\x01", 9, 0, true);
    start_dma(rig, 1, true);
    assert_int_equal(in8(rig, BM + 10), 0x06);
    assert_int_equal(failure(rig), 0x031100);
}

static void capacity_and_toc(void **state)
{
    struct rig *rig = *state;
    uint8_t out[128];

    attend(rig);
    PACKET(rig, "\x25");
    assert_int_equal(answer(rig, out), 8);
    assert_memory_equal(out, "\0\0\0\x63\0\0\x08\0", 8);
    PACKET(rig, "\x43\0\0\0\0\0\0\0\x64");
    assert_int_equal(answer(rig, out), 20);
    assert_memory_equal(out, "\0\x12\x01\x01\0\x14\x01\0\0\0\0\0\0\x14\xaa\0\0\0\0\x64", 20);
    PACKET(rig, "\x43\x02\0\0\0\0\xaa\0\x64"); /* lead-out as minute, second, frame */
    assert_int_equal(answer(rig, out), 12);
    assert_memory_equal(out, "\0\x0a\x01\x01\0\x14\xaa\0\0\0\x03\x19", 12);
    PACKET(rig, "\x43\0\x01\0\0\0\0\0\x0c");
    assert_int_equal(answer(rig, out), 12);
    PACKET(rig, "\x43\0\x02\0\0\0\0\0\x80");
    assert_int_equal(answer(rig, out), 48);
    PACKET(rig, "\x43\0\x05\0\0\0\0\0\x80");
    assert_int_equal(failure(rig), 0x052400);
    PACKET(rig, "\x43\0\0\0\0\0\0\0\x04"); /* cut to the allocation length */
    assert_int_equal(answer(rig, out), 4);
}

static void other_answers(void **state)
{
    struct rig *rig = *state;
    uint8_t out[128];

    attend(rig);
    PACKET(rig, "\x5a\0\x2a\0\0\0\0\0\x80");
    assert_int_equal(answer(rig, out), 30);
    assert_int_equal(out[1], 28);
    assert_int_equal(out[8], 0x2a);
    PACKET(rig, "\x5a\0\x3f\0\0\0\0\0\x80");
    assert_int_equal(answer(rig, out), 38);
    PACKET(rig, "\x5a\0\x0e\0\0\0\0\0\x80"); /* no audio page */
    assert_int_equal(failure(rig), 0x052400);
    PACKET(rig, "\x46\0\0\0\0\0\0\0\x80");
    assert_int_equal(answer(rig, out), 36);
    assert_int_equal(out[3], 32);
    assert_int_equal(out[7], 8);
    PACKET(rig, "\x46\x02\0\x03\0\0\0\0\x80");
    assert_int_equal(answer(rig, out), 16);
    PACKET(rig, "\x4a\x01\0\0\x10\0\0\0\x08");
    assert_int_equal(answer(rig, out), 8);
    assert_memory_equal(out, "\0\x06\x04\x10\0\x02\0\0", 8);
    PACKET(rig, "\x4a\0\0\0\x10\0\0\0\x08");
    assert_int_equal(failure(rig), 0x052400);
    PACKET(rig, "\xbd\0\0\0\0\0\0\0\0\x08");
    assert_int_equal(answer(rig, out), 8);
    PACKET(rig, "\x51\0\0\0\0\0\0\0\x22");
    assert_int_equal(answer(rig, out), 34);
    PACKET(rig, "\xff");
    assert_int_equal(failure(rig), 0x052000);
    PACKET(rig, "\x03\0\0\0\x12"); /* told once */
    assert_int_equal(answer(rig, out), 18);
    assert_int_equal(out[2], 0);
}

static void tray(void **state)
{
    struct rig *rig = *state;
    uint8_t out[128];

    attend(rig);
    PACKET(rig, "\x1e\0\0\0\x01");
    assert_int_equal(answer(rig, out), 0);
    PACKET(rig, "\x1b\0\0\0\x02");
    assert_int_equal(failure(rig), 0x055302);
    PACKET(rig, "\x1e\0\0\0\0");
    PACKET(rig, "\x1b\0\0\0\x02");
    assert_int_equal(answer(rig, out), 0);
    PACKET(rig, "\0");
    assert_int_equal(failure(rig), 0x023a02);
    PACKET(rig, "\x4a\x01\0\0\x10\0\0\0\x08");
    answer(rig, out);
    assert_int_equal(out[4], 3);
    assert_int_equal(out[5], 1);
    PACKET(rig, "\x1b\0\0\0\x03");
    assert_int_equal(answer(rig, out), 0);
    PACKET(rig, "\0");
    assert_int_equal(answer(rig, out), 0);
}

static void random_packets(void **state)
{
    static const uint8_t opcodes[] = {0x00, 0x03, 0x12, 0x1b, 0x1e, 0x25, 0x28, 0x2b, 0x43,
                                      0x46, 0x4a, 0x51, 0x5a, 0xa8, 0xbb, 0xbd, 0xff};
    struct rig *rig = *state;

    srand(5);
    for (int i = 0; i < 20000; i++) {
        uint8_t cdb[12];
        unsigned reads = (unsigned)rand() % 64;

        for (size_t b = 0; b < sizeof(cdb); b++)
            cdb[b] = rand() % 2 ? 0 : (uint8_t)rand();
        cdb[0] = opcodes[(unsigned)rand() % sizeof(opcodes)];
        packet(rig, (const char *)cdb, 12, (unsigned)rand() >> rand() % 31, rand() % 4 == 0);
        put_prd(rig, 0, (uint32_t)rand() % (2 * MIB), (uint32_t)rand(), rand() % 2);
        put_prd(rig, 1, (uint32_t)rand() % (1 * MIB), (uint32_t)rand(), true);
        if (rand() % 2)
            start_dma(rig, 1, rand() % 8);
        for (unsigned r = 0; r < reads; r++)
            rig_read(rig, 0x170, 1u << rand() % 3);
        out8(rig, BM + 8, 0);
    }
    ide_reset(rig->ide);
    attend(rig);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(identifies_itself),
        TEST(unit_attention_comes_once),
        TEST(reads_by_pio),
        TEST(reads_by_dma),
        TEST(capacity_and_toc),
        TEST(other_answers),
        TEST(tray),
        TEST(random_packets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

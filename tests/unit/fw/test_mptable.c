/* The MP table and $PIR: found and summed as a guest does, and against the MADT's routes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "fw/bytes.h"
#include "fw/mptable.h"
#include "fw/pir.h"
#include "mem/layout.h"

#define GPA  0xfc000
#define ROOM 8192

static const uint8_t apic_ids[] = {0, 2, 5};

static struct mptable_config make_config(size_t cpus)
{
    return (struct mptable_config){.apic_ids = apic_ids,
                                   .cpu_count = cpus,
                                   .cpu_signature = 0x30661,
                                   .cpu_features = 0x1234567,
                                   .ioapic_id = 7};
}

static uint8_t sum(const uint8_t *bytes, size_t len)
{
    uint8_t total = 0;

    for (size_t i = 0; i < len; i++)
        total += bytes[i];
    return total;
}

/* The configuration table behind the pointer, both checked. */
static const uint8_t *find_table(const uint8_t *bytes, size_t len)
{
    const uint8_t *table = bytes + bytes_get32(bytes + 4) - GPA;

    assert_memory_equal(bytes, "_MP_", 4);
    assert_int_equal(bytes[8], 1);
    assert_int_equal(bytes[9], 4);
    assert_int_equal(bytes[11], 0); /* no default configuration */
    assert_int_equal(sum(bytes, 16), 0);
    assert_memory_equal(table, "PCMP", 4);
    assert_int_equal(table + bytes_get16(table + 4) - bytes, len);
    assert_int_equal(sum(table, bytes_get16(table + 4)), 0);
    assert_int_equal(bytes_get32(table + 36), LAYOUT_LAPIC_BASE);
    return table;
}

/* What the entries say; irq tables hold pin | flags << 8, and ffff where nothing is said. */
struct seen {
    unsigned count[5], total;
    uint16_t isa[16], pci[32][4];
    uint8_t local[2]; /* type by LINT */
    unsigned bootstraps;
};

static void see_interrupt(struct seen *seen, const uint8_t *e)
{
    uint16_t goes = (uint16_t)(e[7] | bytes_get16(e + 2) << 8);

    assert_int_equal(e[1], 0);
    assert_int_equal(e[6], 7);
    assert_in_range(e[4], 0, 1);
    if (e[4] == 1) {
        assert_int_equal(seen->isa[e[5]], 0xffff);
        seen->isa[e[5]] = goes;
    } else {
        assert_int_equal(seen->pci[e[5] >> 2][e[5] & 3], 0xffff);
        seen->pci[e[5] >> 2][e[5] & 3] = goes;
    }
}

static void see_all(const uint8_t *table, struct seen *seen)
{
    const uint8_t *e = table + 44, *end = table + bytes_get16(table + 4);
    unsigned last = 0;

    memset(seen, 0, sizeof(*seen));
    memset(seen->isa, 0xff, sizeof(seen->isa));
    memset(seen->pci, 0xff, sizeof(seen->pci));
    for (; e < end; e += e[0] == 0 ? 20 : 8) {
        assert_in_range(e[0], last, 4); /* sorted by type */
        last = e[0];
        if (e[0] == 0) {
            assert_int_equal(e[1], apic_ids[seen->count[0]]);
            assert_int_equal(bytes_get32(e + 4), 0x30661);
            assert_int_equal(e[3] & 1, 1);
            seen->bootstraps += e[3] >> 1 & 1;
        }
        if (e[0] == 1)
            assert_memory_equal(e + 2, e[1] == 0 ? "PCI   " : "ISA   ", 6);
        if (e[0] == 2)
            assert_int_equal(bytes_get32(e + 4), LAYOUT_IOAPIC_BASE);
        if (e[0] == 3)
            see_interrupt(seen, e);
        if (e[0] == 4) {
            assert_int_equal(e[6], 0xff);
            seen->local[e[7]] = e[1];
        }
        seen->count[e[0]]++;
        seen->total++;
    }
    assert_ptr_equal(e, end);
    assert_int_equal(seen->total, bytes_get16(table + 34));
}

static void test_entries(void **state)
{
    for (size_t cpus = 1; cpus <= 3; cpus++) {
        struct mptable_config config = make_config(cpus);
        uint8_t bytes[ROOM];
        struct seen seen;
        int len = mptable_build(&config, GPA, bytes, sizeof(bytes));

        assert_true(len > 0);
        see_all(find_table(bytes, (size_t)len), &seen);
        assert_int_equal(seen.count[0], cpus);
        assert_int_equal(seen.bootstraps, 1);
        assert_int_equal(seen.count[1], 2);
        assert_int_equal(seen.count[2], 1);
        assert_int_equal(seen.local[0], 3); /* ExtINT */
        assert_int_equal(seen.local[1], 1); /* NMI */
    }
}

static void test_routes(void **state)
{
    struct mptable_config config = make_config(1);
    uint8_t bytes[ROOM];
    struct seen seen;
    int len = mptable_build(&config, GPA, bytes, sizeof(bytes));

    assert_true(len > 0);
    see_all(find_table(bytes, (size_t)len), &seen);
    assert_int_equal(seen.isa[0], 2); /* the timer */
    assert_int_equal(seen.isa[2], 0xffff);
    assert_int_equal(seen.isa[1], 1);
    assert_int_equal(seen.isa[4], 4);
    assert_int_equal(seen.isa[9], 9 | 0xd00); /* the SCI: active high, level */
    assert_int_equal(seen.isa[15], 15);
    /* The board's turn: INTA# of slot 1 is PIRQA, of slot 2 PIRQB; A and B are 10, C and D 11. */
    assert_int_equal(seen.pci[1][0], 10 | 0xd00);
    assert_int_equal(seen.pci[1][2], 11 | 0xd00);
    assert_int_equal(seen.pci[2][0], 10 | 0xd00);
    assert_int_equal(seen.pci[2][1], 11 | 0xd00);
    assert_int_equal(seen.pci[4][0], 11 | 0xd00);
    assert_int_equal(seen.pci[31][3], 10 | 0xd00);
    assert_int_equal(seen.pci[0][0], 0xffff);
}

static void test_room(void **state)
{
    struct mptable_config config = make_config(2), none = make_config(0);
    uint8_t bytes[ROOM];
    int len = mptable_build(&config, GPA, bytes, sizeof(bytes));

    assert_int_equal(mptable_build(&config, GPA, bytes, (size_t)len), len);
    assert_int_equal(mptable_build(&config, GPA, bytes, (size_t)len - 1), -ENOSPC);
    assert_int_equal(mptable_build(&none, GPA, bytes, sizeof(bytes)), -EINVAL);
}

/* $PIR's links are the PIIX's registers in the same turn as the MP table's pins. */
static void test_pir(void **state)
{
    static const uint8_t irqs[4] = {LAYOUT_PIRQ_IRQS};
    struct mptable_config config = make_config(1);
    uint8_t pir[1024], mp[ROOM];
    struct seen seen;
    int len = pir_build(pir, sizeof(pir));
    int mp_len = mptable_build(&config, GPA, mp, sizeof(mp));

    assert_true(len > 32 && mp_len > 0);
    see_all(find_table(mp, (size_t)mp_len), &seen);
    assert_memory_equal(pir, "$PIR", 4);
    assert_int_equal(bytes_get16(pir + 6), len);
    assert_int_equal(len % 16, 0);
    assert_int_equal(sum(pir, (size_t)len), 0);
    assert_int_equal(pir[9], 8);
    for (const uint8_t *e = pir + 32; e < pir + len; e += 16) {
        for (unsigned pin = 0; pin < 4; pin++) {
            assert_in_range(e[2 + 3 * pin], 0x60, 0x63);
            assert_int_equal(bytes_get16(e + 3 + 3 * pin), 1 << 5 | 1 << 10 | 1 << 11);
            assert_int_equal(seen.pci[e[1] >> 3][pin] & 0xff, irqs[e[2 + 3 * pin] - 0x60]);
        }
    }
    assert_int_equal(pir_build(pir, (size_t)len - 1), -ENOSPC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries),
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_pir),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

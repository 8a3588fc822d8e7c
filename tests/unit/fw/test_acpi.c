/* The ACPI tables: found and summed as a guest does, then read by iasl's disassembler. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fw/acpi.h"
#include "fw/bytes.h"
#include "mem/layout.h"

#define CPUS 3

static const uint8_t apic_ids[ACPI_MAX_CPUS] = {0, 1, 2};

struct guest {
    struct layout layout;
    struct acpi_tables tables;
};

static struct guest make_guest(uint64_t memory_bytes, size_t cpus, bool hpet)
{
    struct guest guest;
    struct acpi_config config = {
        .apic_ids = apic_ids, .cpu_count = cpus, .ioapic_id = 7, .hpet = hpet};

    assert_int_equal(layout_init(&guest.layout, memory_bytes), 0);
    assert_int_equal(acpi_build(&guest.layout, &config, &guest.tables), 0);
    return guest;
}

static uint8_t sum(const uint8_t *bytes, size_t len)
{
    uint8_t total = 0;

    for (size_t i = 0; i < len; i++)
        total += bytes[i];
    return total;
}

/* Guest memory as the tables' pointers see it. */
static const uint8_t *at_gpa(const struct guest *guest, uint64_t gpa, size_t len)
{
    uint64_t offset = gpa - guest->layout.acpi_base;

    assert_true(gpa >= guest->layout.acpi_base);
    assert_true(offset + len <= guest->tables.len_bytes);
    assert_true(gpa + len <= guest->layout.low_end);
    return guest->tables.blob + offset;
}

/* A table at an address, with its checksum tested. */
static const uint8_t *table_at(const struct guest *guest, uint64_t gpa)
{
    uint32_t len = bytes_get32(at_gpa(guest, gpa, 36) + 4);
    const uint8_t *table = at_gpa(guest, gpa, len);

    assert_int_equal(sum(table, len), 0);
    return table;
}

/* The table with a signature, by the XSDT; NULL when it lists none. */
static const uint8_t *find(const struct guest *guest, const char *signature)
{
    const uint8_t *xsdt = table_at(guest, bytes_get64(guest->tables.rsdp + 24));
    size_t count = (bytes_get32(xsdt + 4) - 36) / 8;

    for (size_t i = 0; i < count; i++) {
        const uint8_t *table = table_at(guest, bytes_get64(xsdt + 36 + 8 * i));

        if (memcmp(table, signature, 4) == 0)
            return table;
    }
    return NULL;
}

static void test_roots(void **state)
{
    static const uint64_t sizes[] = {16 * MIB, 512 * MIB, 3 * GIB, 8 * GIB};

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct guest guest = make_guest(sizes[i], CPUS, true);
        const uint8_t *rsdp = guest.tables.rsdp, *rsdt, *xsdt;
        size_t count;

        assert_memory_equal(rsdp, "RSD PTR ", 8);
        assert_int_equal(sum(rsdp, 20), 0);
        assert_int_equal(sum(rsdp, ACPI_RSDP_SIZE), 0);
        rsdt = table_at(&guest, bytes_get32(rsdp + 16));
        xsdt = table_at(&guest, bytes_get64(rsdp + 24));
        assert_memory_equal(rsdt, "RSDT", 4);
        assert_memory_equal(xsdt, "XSDT", 4);
        count = (bytes_get32(rsdt + 4) - 36) / 4;
        assert_int_equal(count, 4);
        assert_int_equal((bytes_get32(xsdt + 4) - 36) / 8, count);
        for (size_t t = 0; t < count; t++)
            assert_int_equal(bytes_get32(rsdt + 36 + 4 * t), bytes_get64(xsdt + 36 + 8 * t));
        acpi_fini(&guest.tables);
    }
}

static void test_fadt(void **state)
{
    struct guest guest = make_guest(512 * MIB, 1, true);
    const uint8_t *fadt = find(&guest, "FACP"), *facs;

    assert_non_null(fadt);
    assert_int_equal(bytes_get32(fadt + 4), 244);
    facs = at_gpa(&guest, bytes_get32(fadt + 36), 64);
    assert_memory_equal(facs, "FACS", 4);
    assert_int_equal(bytes_get32(fadt + 36) % 64, 0);
    assert_memory_equal(table_at(&guest, bytes_get32(fadt + 40)), "DSDT", 4);
    assert_int_equal(bytes_get64(fadt + 140), bytes_get32(fadt + 40));
    assert_int_equal(bytes_get16(fadt + 46), LAYOUT_IRQ_SCI);
    assert_int_equal(bytes_get32(fadt + 76), LAYOUT_PM_BASE + 8);
    assert_int_equal(bytes_get64(fadt + 208 + 4), LAYOUT_PM_BASE + 8);
    assert_int_equal(bytes_get64(fadt + 116 + 4), 0xcf9);
    assert_int_equal(fadt[128], 6);
    acpi_fini(&guest.tables);
}

static void test_madt(void **state)
{
    struct guest guest = make_guest(512 * MIB, CPUS, true);
    const uint8_t *madt = find(&guest, "APIC"), *entry, *end;
    unsigned seen[5] = {0};

    assert_non_null(madt);
    assert_int_equal(bytes_get32(madt + 36), LAYOUT_LAPIC_BASE);
    end = madt + bytes_get32(madt + 4);
    for (entry = madt + 44; entry < end; entry += entry[1]) {
        assert_in_range(entry[0], 0, 4);
        assert_int_not_equal(entry[1], 0);
        if (entry[0] == 0)
            assert_int_equal(entry[3], seen[0]);
        if (entry[0] == 1)
            assert_int_equal(bytes_get32(entry + 4), LAYOUT_IOAPIC_BASE);
        if (entry[0] == 2 && entry[3] == 0)
            assert_int_equal(bytes_get32(entry + 4), 2);
        seen[entry[0]]++;
    }
    assert_ptr_equal(entry, end);
    assert_int_equal(seen[0], CPUS);
    assert_int_equal(seen[1], 1);
    assert_int_equal(seen[2], 5);
    assert_int_equal(seen[4], 1);
    acpi_fini(&guest.tables);
}

static void test_limits(void **state)
{
    struct guest guest = make_guest(64 * MIB, ACPI_MAX_CPUS, false);
    struct acpi_config config = {.apic_ids = apic_ids, .cpu_count = 0};
    struct layout tiny;

    assert_null(find(&guest, "HPET"));
    acpi_fini(&guest.tables);
    assert_int_equal(acpi_build(&guest.layout, &config, &guest.tables), -EINVAL);
    config.cpu_count = ACPI_MAX_CPUS + 1;
    assert_int_equal(acpi_build(&guest.layout, &config, &guest.tables), -EINVAL);
    config.cpu_count = 1;
    assert_int_equal(layout_init(&tiny, LAYOUT_MIN_MEMORY), 0);
    assert_int_equal(acpi_build(&tiny, &config, &guest.tables), -ENOSPC);
    assert_null(guest.tables.blob);
    acpi_fini(&guest.tables);
}

/* Whether the disassembler takes a table without a complaint. */
static void disassemble(const char *folder, const uint8_t *table)
{
    char command[256];
    FILE *file;

    snprintf(command, sizeof(command), "%s/%.4s.dat", folder, (const char *)table);
    file = fopen(command, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(table, bytes_get32(table + 4), 1, file), 1);
    assert_int_equal(fclose(file), 0);
    snprintf(command, sizeof(command),
             "cd %s && iasl -d %.4s.dat >out 2>&1 && "
             "! grep -iE 'warning|error|invalid|unknown' out %.4s.dsl",
             folder, (const char *)table, (const char *)table);
    assert_int_equal(system(command), 0);
}

static void test_disassembler(void **state)
{
    struct guest guest = make_guest(512 * MIB, CPUS, true);
    char folder[] = "/tmp/umbra-acpi-XXXXXX", command[64];
    const char *const names[] = {"FACP", "APIC", "HPET", "WAET"};

    assert_non_null(mkdtemp(folder));
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        assert_non_null(find(&guest, names[i]));
        disassemble(folder, find(&guest, names[i]));
    }
    disassemble(folder, table_at(&guest, bytes_get32(find(&guest, "FACP") + 40)));
    disassemble(folder, table_at(&guest, bytes_get32(guest.tables.rsdp + 16)));
    disassemble(folder, table_at(&guest, bytes_get64(guest.tables.rsdp + 24)));
    snprintf(command, sizeof(command), "rm -r %s", folder);
    assert_int_equal(system(command), 0);
    acpi_fini(&guest.tables);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roots),        cmocka_unit_test(test_fadt),
        cmocka_unit_test(test_madt),         cmocka_unit_test(test_limits),
        cmocka_unit_test(test_disassembler),
    };

    return cmocka_run_group_tests_name("acpi", tests, NULL, NULL);
}

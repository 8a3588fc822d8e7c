/* The SMBIOS tables: found, summed and walked as a guest does. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "fw/bytes.h"
#include "fw/smbios.h"
#include "mem/layout.h"

#define GPA 0xfc800

static const struct smbios_config config = {.cpu_count = 2,
                                            .cpu_signature = 0x30661,
                                            .cpu_features = 0x1234567,
                                            .cpu_vendor = "GenuineIntel",
                                            .cpu_name = "A processor",
                                            .cpu_hz = 1000000000};

struct guest {
    struct layout layout;
    uint8_t bytes[4096];
    int len;
};

static struct guest make_guest(uint64_t memory_bytes)
{
    struct guest g;

    assert_int_equal(layout_init(&g.layout, memory_bytes), 0);
    g.len = smbios_build(&g.layout, &config, GPA, g.bytes, sizeof(g.bytes));
    assert_true(g.len > 0);
    return g;
}

static uint8_t sum(const uint8_t *bytes, size_t len)
{
    uint8_t total = 0;

    for (size_t i = 0; i < len; i++)
        total += bytes[i];
    return total;
}

static const uint8_t *structures(const struct guest *g)
{
    return g->bytes + bytes_get32(g->bytes + 0x18) - GPA;
}

/* Behind a structure's texts: two zeroes end them. */
static const uint8_t *after(const uint8_t *s)
{
    for (s += s[1]; s[0] || s[1]; s++)
        ;
    return s + 2;
}

/* The nth structure of a type, or NULL. */
static const uint8_t *find(const struct guest *g, uint8_t type, unsigned nth)
{
    const uint8_t *s = structures(g), *end = s + bytes_get16(g->bytes + 0x16);

    for (; s < end; s = after(s)) {
        if (s[0] == type && nth-- == 0)
            return s;
    }
    return NULL;
}

/* A text by its number, 1 the first. */
static const char *text(const uint8_t *s, uint8_t number)
{
    const char *t = (const char *)s + s[1];

    assert_int_not_equal(number, 0);
    while (--number)
        t += strlen(t) + 1;
    return t;
}

static void test_entry(void **state)
{
    static const uint8_t types[] = {0, 1, 3, 4, 4, 16, 17, 19, 32, 127};
    struct guest g = make_guest(512 * MIB);
    const uint8_t *s = structures(&g), *end = s + bytes_get16(g.bytes + 0x16);
    unsigned count = 0;
    size_t largest = 0;

    assert_memory_equal(g.bytes, "_SM_", 4);
    assert_memory_equal(g.bytes + 16, "_DMI_", 5);
    assert_int_equal(sum(g.bytes, g.bytes[5]), 0);
    assert_int_equal(sum(g.bytes + 16, 15), 0);
    assert_ptr_equal(end, g.bytes + g.len);
    for (; s < end; s = after(s), count++) {
        assert_true(count < ARRAY_SIZE(types));
        assert_int_equal(s[0], types[count]);
        largest = MAX(largest, (size_t)(after(s) - s));
        for (const uint8_t *other = structures(&g); other < s; other = after(other))
            assert_int_not_equal(bytes_get16(other + 2), bytes_get16(s + 2));
    }
    assert_ptr_equal(s, end);
    assert_int_equal(count, ARRAY_SIZE(types));
    assert_int_equal(bytes_get16(g.bytes + 0x1c), count);
    assert_int_equal(bytes_get16(g.bytes + 8), largest);
}

static void test_names(void **state)
{
    struct guest g = make_guest(512 * MIB);
    const uint8_t *bios = find(&g, 0, 0), *system = find(&g, 1, 0), *cpu = find(&g, 4, 1);

    assert_string_equal(text(bios, bios[4]), "Umbra");
    assert_string_equal(text(bios, bios[8]), "06/01/2025");
    assert_int_equal(bytes_get16(bios + 6), 0xf000);
    assert_string_equal(text(system, system[4]), "Umbra");
    assert_string_equal(text(system, system[5]), "Standard PC");
    assert_string_equal(text(cpu, cpu[7]), "GenuineIntel");
    assert_string_equal(text(cpu, cpu[16]), "A processor");
    assert_int_equal(bytes_get16(cpu + 0x16), 1000);
    assert_int_equal(bytes_get32(cpu + 8), 0x30661);
}

static void test_memory(void **state)
{
    static const struct {
        uint64_t bytes;
        uint16_t device;
        uint32_t extended;
    } sizes[] = {
        {1 * MIB, 1, 0},           {2 * MIB + 4 * KIB, 0x8000 | 2052, 0},
        {512 * MIB, 512, 0},       {8 * GIB, 8192, 0},
        {64 * GIB, 0x7fff, 65536},
    };

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct guest g = make_guest(sizes[i].bytes);
        const uint8_t *array = find(&g, 16, 0), *device = find(&g, 17, 0);
        uint64_t kib = 0;

        assert_int_equal(bytes_get32(array + 7), sizes[i].bytes / KIB);
        assert_int_equal(bytes_get16(device + 4), bytes_get16(array + 2));
        assert_int_equal(bytes_get16(device + 0x0c), sizes[i].device);
        assert_int_equal(bytes_get32(device + 0x1c), sizes[i].extended);
        for (unsigned n = 0; find(&g, 19, n); n++) {
            const uint8_t *range = find(&g, 19, n);

            assert_int_equal(bytes_get32(range + 4), n ? 4 * GIB / KIB : 0);
            kib += bytes_get32(range + 8) - bytes_get32(range + 4) + 1ull;
        }
        assert_int_equal(kib, sizes[i].bytes / KIB);
    }
}

/* Nothing is written behind the room, whatever its size. */
static void test_room(void **state)
{
    struct smbios_config none = config;
    struct guest g = make_guest(8 * GIB);
    uint8_t bytes[4096];

    for (size_t room = 0; room < (size_t)g.len; room++) {
        memset(bytes, 0xa5, sizeof(bytes));
        assert_int_equal(smbios_build(&g.layout, &config, GPA, bytes, room), -ENOSPC);
        for (size_t i = room; i < sizeof(bytes); i++)
            assert_int_equal(bytes[i], 0xa5);
    }
    assert_int_equal(smbios_build(&g.layout, &config, GPA, bytes, (size_t)g.len), g.len);
    none.cpu_count = 0;
    assert_int_equal(smbios_build(&g.layout, &none, GPA, bytes, sizeof(bytes)), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entry),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

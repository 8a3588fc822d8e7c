/*
 * Devices saved and loaded: a device that a hostile guest has used for a while and its twin, into
 * which its state was loaded, answer alike from then on; what is damaged is refused or harmless.
 */
#include "twin.h"

#include <stdlib.h>

#include "base/clock.h"
#include "dev/a20.h"
#include "dev/acpi_pm.h"
#include "dev/debugport.h"
#include "dev/fw_cfg.h"
#include "dev/hpet.h"
#include "dev/i8042.h"
#include "dev/ioapic.h"
#include "dev/lapic.h"
#include "dev/pic.h"
#include "dev/pit.h"
#include "dev/ps2_keyboard.h"
#include "dev/rtc.h"
#include "dev/sysctl.h"
#include "dev/uart.h"
#include "dev/vga.h"
#include "mem/mem.h"

#define START_UTC 1709251190

/* One board for a device: what it is wired to. */
struct bench {
    struct clock_stepped time;
    struct apic_bus *apic_bus;
    struct mem *mem; /* none of it: DMA goes nowhere */
    struct a20_gate a20;
    struct pit *pit; /* sysctl's */
    void *dev;
    const struct device *device;
};

#define RANGES 4

struct kind {
    const char *name;
    void (*make)(struct bench *bench);
    void (*destroy)(struct bench *bench);
    /* NULL, or does by chance what comes from behind the device; twins must answer the same. */
    int (*stir)(struct bench *bench, uint64_t random);
    struct {
        const struct bus_ops *ops;
        uint64_t size;
    } range[RANGES];
};

/* make_NAME and destroy_NAME of a device that NAME_create(...) makes. */
#define KIND(name, ...)                                                                            \
    static void make_##name(struct bench *bench)                                                   \
    {                                                                                              \
        static const struct irq_line nowhere;                                                      \
        (void)nowhere;                                                                             \
        bench->dev = name##_create(__VA_ARGS__);                                                   \
        assert_non_null(bench->dev);                                                               \
        bench->device = name##_device(bench->dev);                                                 \
    }                                                                                              \
    static void destroy_##name(struct bench *bench)                                                \
    {                                                                                              \
        name##_destroy(bench->dev);                                                                \
    }

KIND(pic, &nowhere)
KIND(pit, &bench->time.clock, &nowhere)
KIND(rtc, &bench->time.clock, START_UTC, &nowhere)
KIND(uart, &(struct uart_backend){0}, &nowhere)
KIND(ioapic, 1, bench->apic_bus)
KIND(hpet, &(struct hpet_config){.clock = &bench->time.clock})
KIND(acpi_pm, &(struct acpi_pm_config){.clock = &bench->time.clock})
static uint64_t tsc_now(void *opaque)
{
    return ((struct bench *)opaque)->time.now_ns;
}

KIND(lapic, &(struct lapic_config){.bsp = true,
                                   .clock = &bench->time.clock,
                                   .tsc_hz = NS_PER_SEC,
                                   .bus = bench->apic_bus,
                                   .callbacks = {.tsc_now = tsc_now, .opaque = bench}})
KIND(vga, &bench->time.clock)
KIND(fw_cfg, bench->mem)
KIND(i8042, &(struct i8042_lines){.a20 = &bench->a20})
KIND(debugport, &(struct debugport_sink){0})
KIND(sysctl, bench->pit, &bench->a20, &nowhere)

static int stir_pic(struct bench *bench, uint64_t random)
{
    pic_set_irq(bench->dev, random % PIC_INPUTS, random & BIT(8));
    return pic_intr(bench->dev) && (random & BIT(9)) ? pic_acknowledge(bench->dev) : -1;
}

/* Commands of which chance finds few, keys, and half a key's release; all that came is read. */
static int stir_i8042(struct bench *bench, uint64_t random)
{
    static const uint8_t commands[] = {0xae, 0xaa, 0xd3, 0xd4, 0x60, 0x20, 0xd2, 0xd0};
    static const uint8_t bytes[] = {0xed, 0xf0, 0xf4, 0xfe, 0x02, 0xf2, 0x43};
    static const uint8_t release[] = {0xf0, 0x1c};
    int sum = 0;

    if (random & BIT(8))
        i8042_command_ops.write(bench->dev, 0, 1, commands[random % ARRAY_SIZE(commands)]);
    if (random & BIT(9))
        i8042_data_ops.write(bench->dev, 0, 1, bytes[(random >> 16) % ARRAY_SIZE(bytes)]);
    if (random & BIT(10)) { /* a line that is low, and one that was high as this was asked */
        i8042_command_ops.write(bench->dev, 0, 1, 0xd0);
        for (unsigned i = 0; i < PS2_QUEUE_SIZE; i++)
            sum ^= (int)(i + 1) * (int)i8042_data_ops.read(bench->dev, 0, 1);
    }
    if (random & BIT(11))
        return sum + i8042_type_ascii(bench->dev, random >> 24 & 0x7f);
    i8042_command_ops.write(bench->dev, 0, 1, 0x60);
    i8042_data_ops.write(bench->dev, 0, 1, 0x43);
    return sum + i8042_key_input(bench->dev, release, random & BIT(12) ? 2 : 1);
}

static int stir_uart(struct bench *bench, uint64_t random)
{
    if (random & BIT(8))
        uart_receive_break(bench->dev);
    else
        uart_receive(bench->dev, (uint8_t)random);
    return uart_can_receive(bench->dev);
}

static int stir_ioapic(struct bench *bench, uint64_t random)
{
    ioapic_set_irq(bench->dev, random % IOAPIC_PINS, random & BIT(8));
    return 0;
}

/* Chance hardly ever selects an item that is there. */
static int stir_fw_cfg(struct bench *bench, uint64_t random)
{
    if (random & BIT(8))
        fw_cfg_ops.write(bench->dev, 0, 2, random & 1 ? FW_CFG_ID : FW_CFG_SIGNATURE);
    return (int)fw_cfg_ops.read(bench->dev, 1, 1);
}

/* Registers that matter, aligned; interrupts come and are taken. */
static int stir_lapic(struct bench *bench, uint64_t random)
{
    static const uint16_t registers[] = {0x0b0, 0x080, 0x0f0, 0x320, 0x380,
                                         0x3e0, 0x350, 0x300, 0x0f0};
    uint16_t reg = registers[random % ARRAY_SIZE(registers)];

    if (random % 7 == 0)
        return (int)lapic_mmio_ops.read(bench->dev, reg, 4);
    lapic_mmio_ops.write(bench->dev, 0xf0, 4, 0x100 | (random >> 36 & 0xff));
    lapic_mmio_ops.write(bench->dev, reg, 4, random >> 8 & 0x7ffff);
    lapic_set_lint(bench->dev, random >> 32 & 1, random >> 33 & 1);
    if (random % 3 == 0)
        return (int)lapic_tsc_deadline_read(bench->dev);
    if (random & BIT(34))
        lapic_tsc_deadline_write(bench->dev, bench->time.now_ns + (random >> 40));
    return random & BIT(35) ? lapic_acknowledge(bench->dev) : lapic_pending(bench->dev);
}

/* Memory that answers, and in half of the cases takes the latches as they are (write mode 1). */
static int stir_vga(struct bench *bench, uint64_t random)
{
    vga_port_ops.write(bench->dev, 0x3c2 - 0x3b0, 1, 3);
    vga_port_ops.write(bench->dev, 0x3c4 - 0x3b0, 1, 2);
    vga_port_ops.write(bench->dev, 0x3c5 - 0x3b0, 1, 0xf);
    vga_port_ops.write(bench->dev, 0x3ce - 0x3b0, 1, 5);
    vga_port_ops.write(bench->dev, 0x3cf - 0x3b0, 1, random >> 8 & 1);
    vga_memory_ops.write(bench->dev, 0x18000 + (random & 0xfff), 1, random >> 16 & 0xff);
    return (int)vga_memory_ops.read(bench->dev, 0x18000 + (random & 0xfff), 1);
}

#define NAMES(device) .name = #device, .make = make_##device, .destroy = destroy_##device

static const struct kind kinds[] = {
    {NAMES(pic), .stir = stir_pic,
     .range = {{&pic_master_ops, 2}, {&pic_slave_ops, 2}, {&pic_elcr_ops, 2}}},
    {NAMES(pit), .range = {{&pit_ops, 4}}},
    {NAMES(rtc), .range = {{&rtc_ops, 2}, {&rtc_extended_ops, 2}}},
    {NAMES(uart), .stir = stir_uart, .range = {{&uart_ops, 8}}},
    {NAMES(ioapic), .stir = stir_ioapic, .range = {{&ioapic_mmio_ops, 0x20}}},
    {NAMES(hpet), .range = {{&hpet_ops, HPET_SIZE}, {&hpet_ops, 0x20}, {&hpet_ops, 0x140}}},
    {NAMES(acpi_pm),
     .range = {{&acpi_pm_ops, ACPI_PM_SIZE}, {&acpi_gpe_ops, 4}, {&acpi_smi_ops, 2}}},
    {NAMES(lapic), .stir = stir_lapic, .range = {{&lapic_mmio_ops, 0x400}}},
    {NAMES(vga), .stir = stir_vga,
     .range = {{&vga_port_ops, VGA_PORT_COUNT}, {&vga_memory_ops, 0x20000}}},
    {NAMES(fw_cfg), .stir = stir_fw_cfg, .range = {{&fw_cfg_ops, FW_CFG_PORTS}}},
    {NAMES(i8042), .stir = stir_i8042, .range = {{&i8042_data_ops, 1}, {&i8042_command_ops, 1}}},
    {NAMES(debugport),
     .range = {{&debugport_console_ops, 1}, {&debugport_exit_ops, 4}, {&debugport_pvpanic_ops, 1}}},
    {NAMES(sysctl),
     .range = {{&sysctl_port61_ops, 1}, {&sysctl_port92_ops, 1}, {&sysctl_post_ops, 1}}},
};

#define UART 3 /* of kinds */

static void bench_init(struct bench *bench, const struct kind *kind)
{
    static const struct irq_line nowhere;

    *bench = (struct bench){.a20.enabled = true};
    clock_stepped_init(&bench->time);
    bench->apic_bus = apic_bus_create();
    bench->mem = mem_create(NULL);
    bench->pit = pit_create(&bench->time.clock, &nowhere);
    assert_true(bench->apic_bus && bench->pit && bench->mem);
    kind->make(bench);
}

static void bench_fini(struct bench *bench, const struct kind *kind)
{
    kind->destroy(bench);
    pit_destroy(bench->pit);
    apic_bus_destroy(bench->apic_bus);
    mem_destroy(bench->mem);
    assert_true(clock_next_deadline_ns(&bench->time.clock) == CLOCK_NEVER);
}

static void use(struct bench *bench, const struct kind *kind, struct hostile *h, unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        for (unsigned range = 0; kind->range[range].ops; range++)
            hostile_access(h, kind->range[range].ops, bench->dev, kind->range[range].size, 3);
        if (kind->stir)
            kind->stir(bench, hostile_next(h));
        clock_stepped_advance(&bench->time, hostile_next(h) % (20 * NS_PER_MS));
    }
}

static void test_twins(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        const struct kind *kind = &kinds[i];
        struct hostile h = {.seed = 77 + i};
        struct bench a, b;

        unsigned rounds;

        bench_init(&a, kind);
        bench_init(&b, kind);
        rounds = a.device->class->state_bytes > TWIN_LARGE ? 20 : 400;
        for (unsigned round = 0; round < rounds; round++) {
            use(&a, kind, &h, 20);
            use(&b, kind, &h, 3);
            /* Saved state holds virtual times: both boards' clocks show the same. */
            clock_stepped_advance(a.time.now_ns < b.time.now_ns ? &a.time : &b.time,
                                  a.time.now_ns < b.time.now_ns ? b.time.now_ns - a.time.now_ns
                                                                : a.time.now_ns - b.time.now_ns);
            twin_copy(a.device, b.device);
            /* What the board keeps, and sysctl and the i8042 show. */
            twin_copy(pit_device(a.pit), pit_device(b.pit));
            b.a20.enabled = a.a20.enabled;
            for (unsigned step = 0; step < 40; step++) {
                uint64_t ns = hostile_next(&h) % (5 * NS_PER_MS), random = hostile_next(&h);

                if (kind->stir)
                    assert_int_equal(kind->stir(&a, random), kind->stir(&b, random));
                for (unsigned range = 0; kind->range[range].ops; range++)
                    twin_access(&h, kind->range[range].ops, a.dev, b.dev, kind->range[range].size,
                                4);
                clock_stepped_advance(&a.time, ns);
                clock_stepped_advance(&b.time, ns);
                assert_true(clock_next_deadline_ns(&a.time.clock) ==
                            clock_next_deadline_ns(&b.time.clock));
            }
        }
        bench_fini(&a, kind);
        bench_fini(&b, kind);
    }
}

struct damage {
    struct bench bench;
    const struct kind *kind;
    struct hostile h;
    unsigned taken;
};

static void use_damaged(void *opaque)
{
    struct damage *damage = opaque;
    struct stream_writer again = {0};

    damage->taken++;
    use(&damage->bench, damage->kind, &damage->h, 1);
    device_save(damage->bench.device, &again);
    assert_true(again.count > 0 && !again.failed);
    stream_writer_fini(&again);
}

static void test_damage(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct damage damage = {.kind = &kinds[i], .h.seed = 5 + i};

        bench_init(&damage.bench, damage.kind);
        use(&damage.bench, damage.kind, &damage.h, 10);
        twin_damage(damage.bench.device, use_damaged, &damage);
        /* Registers may hold anything, where there are any. */
        assert_true(damage.taken > 0 || damage.bench.device->class->field_count == 0);
        device_reset(damage.bench.device);
        bench_fini(&damage.bench, damage.kind);
    }
}

/* A device takes no other's state, none of another version, and says which it was. */
static void test_foreign(void **state)
{
    struct bench pic, uart;
    struct stream_writer saved = {0};
    struct stream_reader reader;

    bench_init(&pic, &kinds[0]);
    bench_init(&uart, &kinds[UART]);
    device_save(uart.device, &saved);
    reader = (struct stream_reader){.at = saved.bytes, .left = saved.count};
    assert_int_equal(device_load(pic.device, &reader), -EINVAL);
    saved.bytes[1 + strlen("16550A UART")]++; /* the version's low byte */
    reader = (struct stream_reader){.at = saved.bytes, .left = saved.count};
    assert_int_equal(device_load(uart.device, &reader), -ENOTSUP);
    stream_writer_fini(&saved);
    bench_fini(&pic, &kinds[0]);
    bench_fini(&uart, &kinds[UART]);
}

static void test_print(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct bench bench;
        char *text = NULL;
        size_t bytes = 0;
        FILE *out = open_memstream(&text, &bytes);

        bench_init(&bench, &kinds[i]);
        device_print(bench.device, out);
        fclose(out);
        assert_non_null(strstr(text, bench.device->class->name));
        if (bench.device->class->field_count)
            assert_non_null(strstr(text, bench.device->class->fields[0].name));
        free(text);
        bench_fini(&bench, &kinds[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_twins),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_print),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* PCI bus 0 and the chipset by script: mechanism #1, BARs, INTx routing, PAM, reset control. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <cmocka.h>

#include "dev/i440fx.h"
#include "dev/pci.h"
#include "hostile.h"

struct fixture {
    struct bus *bus;
    struct pci_host *host;
    struct i440fx *chipset;
    struct pci_function card, other;
    bool isa[16], ioapic[4];
    unsigned line_changes;
    unsigned resets, hard_resets;
    uint8_t pam[I440FX_PAM_SEGMENTS]; /* bit 0 read, bit 1 write */
    unsigned pam_calls;
    uint64_t card_writes;
    unsigned pm_base;
};

static void set_isa(void *opaque, unsigned number, bool level)
{
    struct fixture *f = opaque;

    f->isa[number] = level;
    f->line_changes++;
}

static void set_ioapic(void *opaque, unsigned number, bool level)
{
    ((struct fixture *)opaque)->ioapic[number] = level;
}

static void on_reset(void *opaque, bool hard)
{
    struct fixture *f = opaque;

    f->resets++;
    f->hard_resets += hard;
}

static void on_pam(void *opaque, unsigned segment, bool read_ram, bool write_ram)
{
    struct fixture *f = opaque;

    f->pam[segment] = (uint8_t)(read_ram | write_ram << 1);
    f->pam_calls++;
}

static void on_pm_moved(void *opaque, uint16_t base)
{
    ((struct fixture *)opaque)->pm_base = base;
}

static uint64_t card_read(void *dev, uint64_t offset, unsigned width)
{
    (void)dev;
    (void)width;
    return 0xa0 + offset;
}

static void card_write(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    struct fixture *f = dev;

    (void)offset;
    (void)width;
    f->card_writes += value;
}

static const struct bus_ops card_ops = {
    .read = card_read, .write = card_write, .widths = 1 | 2 | 4};

static void add_card(struct fixture *f, struct pci_function *card, unsigned slot)
{
    pci_function_init(card, &(struct pci_identity){0x1234, 0x5678, 0xff, 0, 0, 1});
    pci_function_add_bar(card, 0, BUS_PORT, 16, &card_ops, f);
    pci_function_add_bar(card, 1, BUS_MMIO, 4096, &card_ops, f);
    pci_function_set(card, PCI_INTERRUPT_PIN, 1, 1, 0);
    assert_int_equal(pci_function_register(f->host, card, PCI_DEVFN(slot, 0)), 0);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct pci_wiring wiring = {.reset = on_reset, .reset_opaque = f};
    struct i440fx_options options = {.pm_base = 0x600, .sci_irq = 9, .pam = on_pam};

    for (unsigned i = 0; i < 16; i++)
        wiring.isa[i] = (struct irq_line){set_isa, f, i};
    for (unsigned i = 0; i < 4; i++)
        wiring.ioapic[i] = (struct irq_line){set_ioapic, f, i};
    options.pam_opaque = options.pm_opaque = f;
    options.pm_moved = on_pm_moved;
    f->bus = bus_create();
    f->host = pci_host_create(f->bus, &wiring);
    f->chipset = i440fx_create(f->host, &options);
    assert_non_null(f->chipset);
    assert_int_equal(
        bus_add(f->bus, BUS_PORT, PCI_CONFIG_PORT, PCI_CONFIG_PORTS, &pci_host_ops, f->host), 0);
    add_card(f, &f->card, 3);
    add_card(f, &f->other, 4);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    pci_host_destroy(f->host);
    i440fx_destroy(f->chipset);
    bus_destroy(f->bus);
    free(f);
    return 0;
}

static void point_at(struct fixture *f, unsigned devfn, unsigned offset)
{
    bus_write(f->bus, BUS_PORT, 0xcf8, 4, 0x80000000 | devfn << 8 | (offset & 0xfc));
}

static uint32_t rd(struct fixture *f, unsigned devfn, unsigned offset, unsigned width)
{
    point_at(f, devfn, offset);
    return (uint32_t)bus_read(f->bus, BUS_PORT, 0xcfc + (offset & 3), width);
}

static void wr(struct fixture *f, unsigned devfn, unsigned offset, unsigned width, uint32_t value)
{
    point_at(f, devfn, offset);
    bus_write(f->bus, BUS_PORT, 0xcfc + (offset & 3), width, value);
}

#define CARD  PCI_DEVFN(3, 0)
#define OTHER PCI_DEVFN(4, 0)
#define ISA   PCI_DEVFN(1, 0)

static void mechanism_1(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(rd(f, PCI_DEVFN(0, 0), 0, 4), 0x12378086);
    assert_int_equal(rd(f, ISA, 0, 4), 0x70008086);
    assert_int_equal(rd(f, PCI_DEVFN(1, 3), 0, 4), 0x71138086);
    assert_int_equal(rd(f, ISA, 2, 2), 0x7000);
    assert_int_equal(rd(f, ISA, 1, 1), 0x80);
    assert_int_equal(rd(f, ISA, 1, 2), 0x0080);
    assert_int_equal(rd(f, ISA, 0x0e, 1), 0x80);
    assert_int_equal(rd(f, PCI_DEVFN(9, 0), 0, 4), UINT32_MAX);
    assert_int_equal(rd(f, PCI_DEVFN(0, 0), 0x2c, 4), 0x11001af4);
    /* The address register: reserved bits don't stay; narrow accesses aren't for it. */
    bus_write(f->bus, BUS_PORT, 0xcf8, 4, UINT32_MAX);
    assert_int_equal(bus_read(f->bus, BUS_PORT, 0xcf8, 4), 0x80fffffc);
    bus_write(f->bus, BUS_PORT, 0xcf8, 2, 0);
    assert_int_equal(bus_read(f->bus, BUS_PORT, 0xcf8, 4), 0x80fffffc);
    /* Bus 1 has nobody; a cleared enable bit neither. */
    bus_write(f->bus, BUS_PORT, 0xcf8, 4, 0x80010000);
    assert_int_equal(bus_read(f->bus, BUS_PORT, 0xcfc, 4), UINT32_MAX);
    bus_write(f->bus, BUS_PORT, 0xcf8, 4, 0);
    assert_int_equal(bus_read(f->bus, BUS_PORT, 0xcfc, 4), UINT32_MAX);
    assert_int_equal(pci_function_register(f->host, &f->other, CARD), -EEXIST);
}

static void masks_and_write_one_to_clear(void **state)
{
    struct fixture *f = *state;

    wr(f, CARD, 0, 4, 0);
    assert_int_equal(rd(f, CARD, 0, 4), 0x56781234);
    wr(f, CARD, PCI_INTERRUPT_LINE, 1, 0xab);
    assert_int_equal(rd(f, CARD, PCI_INTERRUPT_LINE, 2), 0x01ab);
    wr(f, CARD, PCI_COMMAND, 2, 0xffff);
    assert_int_equal(rd(f, CARD, PCI_COMMAND, 2), 0x0547);
    f->card.state.config[PCI_STATUS + 1] = 0xf9;
    wr(f, CARD, PCI_STATUS, 2, 0x1000);
    assert_int_equal(rd(f, CARD, PCI_STATUS, 2), 0xe900);
    wr(f, CARD, PCI_STATUS, 2, 0xffff);
    assert_int_equal(rd(f, CARD, PCI_STATUS, 2), 0);
}

static void bar_sizing_and_decoding(void **state)
{
    struct fixture *f = *state;

    wr(f, CARD, PCI_BAR0, 4, UINT32_MAX);
    wr(f, CARD, PCI_BAR0 + 4, 4, UINT32_MAX);
    wr(f, CARD, PCI_BAR0 + 8, 4, UINT32_MAX);
    assert_int_equal(rd(f, CARD, PCI_BAR0, 4), 0xfffffff1);
    assert_int_equal(rd(f, CARD, PCI_BAR0 + 4, 4), 0xfffff000);
    assert_int_equal(rd(f, CARD, PCI_BAR0 + 8, 4), 0);
    wr(f, CARD, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY); /* all ones is no place */
    assert_int_equal(bus_read(f->bus, BUS_MMIO, 0xfffff004, 1), 0xff);
    wr(f, CARD, PCI_COMMAND, 2, 0);
    wr(f, CARD, PCI_BAR0, 4, 0xc000);
    wr(f, CARD, PCI_BAR0 + 4, 4, 0xe0000000);
    assert_int_equal(bus_read(f->bus, BUS_PORT, 0xc004, 1), 0xff); /* decoding is off */
    wr(f, CARD, PCI_COMMAND, 2, PCI_COMMAND_IO);
    assert_int_equal(bus_read(f->bus, BUS_PORT, 0xc004, 1), 0xa4);
    assert_int_equal(bus_read(f->bus, BUS_MMIO, 0xe0000004, 1), 0xff);
    wr(f, CARD, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
    assert_int_equal(bus_read(f->bus, BUS_MMIO, 0xe0000004, 1), 0xa4);
    bus_write(f->bus, BUS_MMIO, 0xe0000ffc, 4, 5);
    assert_int_equal(f->card_writes, 5);
    wr(f, CARD, PCI_BAR0, 4, 0xd000); /* moves while decoding */
    assert_int_equal(bus_read(f->bus, BUS_PORT, 0xc004, 1), 0xff);
    assert_int_equal(bus_read(f->bus, BUS_PORT, 0xd004, 1), 0xa4);
    wr(f, CARD, PCI_BAR0, 4, 0x1d000); /* past the port space */
    assert_int_equal(bus_read(f->bus, BUS_PORT, 0xd004, 1), 0xff);
    wr(f, CARD, PCI_COMMAND, 2, 0);
    assert_int_equal(bus_read(f->bus, BUS_MMIO, 0xe0000004, 1), 0xff);
}

static void overlapping_bars(void **state)
{
    struct fixture *f = *state;

    wr(f, CARD, PCI_BAR0, 4, 0xc000);
    wr(f, CARD, PCI_COMMAND, 2, PCI_COMMAND_IO);
    wr(f, OTHER, PCI_BAR0, 4, 0xc000);
    wr(f, OTHER, PCI_COMMAND, 2, PCI_COMMAND_IO);
    assert_true(f->card.bars[0].mapped);
    assert_false(f->other.bars[0].mapped);
    assert_true(f->other.bars[0].refused);
    wr(f, CARD, PCI_COMMAND, 2, 0); /* makes room */
    assert_true(f->other.bars[0].mapped);
    wr(f, OTHER, PCI_BAR0, 4, 0xcf0); /* on top of the configuration ports' neighbours */
    assert_false(f->other.bars[0].mapped);
    assert_int_equal(rd(f, OTHER, PCI_BAR0, 4), 0xcf1);
    pci_host_reset(f->host);
    assert_false(f->other.bars[0].refused);
    assert_int_equal(rd(f, OTHER, PCI_BAR0, 4), 1);
}

static void intx_routing(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(pci_pirq(1, 1), 0); /* slot 1, INTA# is PIRQA */
    assert_int_equal(pci_pirq(3, 1), 2);
    assert_int_equal(pci_pirq(4, 4), 2);
    pci_function_set_irq(&f->card, true); /* not routed yet: the I/O APIC alone */
    assert_true(f->ioapic[2]);
    assert_int_equal(f->line_changes, 0);
    assert_int_equal(rd(f, CARD, PCI_STATUS, 2) & PCI_STATUS_INTX, PCI_STATUS_INTX);
    wr(f, ISA, 0x62, 1, 11);
    assert_true(f->isa[11]);
    wr(f, ISA, 0x62, 1, 10); /* moves while up */
    assert_false(f->isa[11]);
    assert_true(f->isa[10]);
    wr(f, ISA, 0x63, 1, 10);
    pci_function_set_irq(&f->other, true); /* slot 4 is PIRQD: shares 10 */
    pci_function_set_irq(&f->card, false);
    assert_true(f->isa[10]);
    assert_false(f->ioapic[2]);
    assert_true(f->ioapic[3]);
    pci_function_set_irq(&f->other, false);
    assert_false(f->isa[10]);
    assert_int_equal(f->line_changes, 4);
    pci_function_set_irq(&f->other, true);
    wr(f, OTHER, PCI_COMMAND, 2, PCI_COMMAND_INTX_OFF);
    assert_false(f->isa[10]);
    assert_int_equal(rd(f, OTHER, PCI_STATUS, 2) & PCI_STATUS_INTX, PCI_STATUS_INTX);
    wr(f, OTHER, PCI_COMMAND, 2, 0);
    assert_true(f->isa[10]);
    wr(f, ISA, 0x63, 1, 0x80 | 10);
    assert_false(f->isa[10]);
    wr(f, ISA, 0x63, 1, 8); /* not routable */
    assert_false(f->isa[8]);
    wr(f, ISA, 0x63, 1, 5);
    assert_true(f->isa[5]);
    pci_host_reset(f->host);
    assert_false(f->isa[5]);
    assert_false(f->ioapic[3]);
    assert_int_equal(rd(f, ISA, 0x60, 4), 0x80808080);
}

static void pam(void **state)
{
    struct fixture *f = *state;
    uint32_t base, size;

    wr(f, 0, 0x59, 1, 0x30);
    assert_int_equal(f->pam[0], 3);
    assert_int_equal(f->pam_calls, 1);
    wr(f, 0, 0x59, 1, 0x13); /* the low half is reserved */
    assert_int_equal(f->pam[0], 1);
    assert_int_equal(rd(f, 0, 0x59, 1), 0x10);
    wr(f, 0, 0x5a, 4, 0x00002100);
    assert_int_equal(f->pam[3], 1); /* C8000 */
    assert_int_equal(f->pam[4], 2); /* CC000 */
    assert_int_equal(f->pam_calls, 4);
    wr(f, 0, 0x5f, 1, 0x30);
    assert_int_equal(f->pam[12], 3);
    i440fx_pam_range(0, &base, &size);
    assert_int_equal(base, 0xf0000);
    assert_int_equal(size, 0x10000);
    i440fx_pam_range(12, &base, &size);
    assert_int_equal(base, 0xec000);
    assert_int_equal(size, 0x4000);
    f->pam_calls = 0;
    pci_host_reset(f->host);
    assert_int_equal(f->pam_calls, I440FX_PAM_SEGMENTS); /* told whatever the state was */
    for (unsigned i = 0; i < I440FX_PAM_SEGMENTS; i++)
        assert_int_equal(f->pam[i], 0);
}

static void power_function(void **state)
{
    struct fixture *f = *state;
    unsigned pm = PCI_DEVFN(1, 3);

    assert_int_equal(rd(f, pm, 0x40, 4), 0x601);
    wr(f, pm, 0x40, 4, 0xb001);
    assert_int_equal(rd(f, pm, 0x40, 4), 0xb001);
    assert_int_equal(f->pm_base, 0xb000);
    wr(f, pm, 0x40, 2, 0x0041);
    assert_int_equal(f->pm_base, 0x40);
    pci_host_reset(f->host);
    assert_int_equal(f->pm_base, 0x600);
    assert_int_equal(rd(f, pm, 0x40, 4), 0x601);
    assert_int_equal(rd(f, pm, 0x80, 1), 1);
    assert_int_equal(rd(f, pm, 0x58, 4), 0x02000000);
    assert_int_equal(rd(f, pm, 0x3c, 2), 0x0109);
    wr(f, pm, 0x90, 4, 0x701);
    assert_int_equal(rd(f, pm, 0x90, 4), 0x701);
}

static void reset_control(void **state)
{
    struct fixture *f = *state;

    bus_write(f->bus, BUS_PORT, 0xcf9, 1, 0x02);
    assert_int_equal(f->resets, 0);
    assert_int_equal(bus_read(f->bus, BUS_PORT, 0xcf9, 1), 0x02);
    bus_write(f->bus, BUS_PORT, 0xcf9, 1, 0x06);
    assert_int_equal(f->resets, 1);
    assert_int_equal(f->hard_resets, 1);
    bus_write(f->bus, BUS_PORT, 0xcf9, 1, 0x06); /* no edge */
    assert_int_equal(f->resets, 1);
    bus_write(f->bus, BUS_PORT, 0xcf9, 1, 0x00);
    bus_write(f->bus, BUS_PORT, 0xcf9, 1, 0x04);
    assert_int_equal(f->resets, 2);
    assert_int_equal(f->hard_resets, 1);
}

/* No guest write may leave the books of BARs and lines wrong. */
static void random_accesses(void **state)
{
    static const uint8_t devfns[] = {0, ISA, PCI_DEVFN(1, 3), CARD, OTHER, PCI_DEVFN(7, 7)};
    struct fixture *f = *state;

    srand(3);
    for (int i = 0; i < 50000; i++) {
        unsigned width = 1u << rand() % 3;
        unsigned offset = (unsigned)rand() % (rand() % 2 ? 0x40 : 0x100);
        uint32_t value = (uint32_t)rand() << (rand() % 3 * 8);

        if (rand() % 8 == 0)
            value &= 0xc03f;
        wr(f, devfns[rand() % 6], offset, width, value);
        bus_write(f->bus, BUS_PORT, 0xcf6 + (unsigned)rand() % 12, 1u << rand() % 3, value);
        bus_read(f->bus, BUS_PORT, 0xcf6 + (unsigned)rand() % 12, 1u << rand() % 3);
        if (rand() % 4 == 0)
            pci_function_set_irq(rand() % 2 ? &f->card : &f->other, rand() % 2);
        if (rand() % 1000 == 0)
            pci_host_reset(f->host);
    }
    pci_host_reset(f->host);
    for (unsigned i = 0; i < 16; i++)
        assert_false(f->isa[i]);
    for (unsigned i = 0; i < 2; i++) {
        assert_false(f->card.bars[i].mapped);
        assert_false(f->other.bars[i].mapped);
    }
}

/* Every place, and the bridge behind them: what a board saves of PCI. */
static void save(struct fixture *f, struct stream_writer *to)
{
    for (unsigned devfn = 0; devfn < 256; devfn++) {
        const struct pci_function *function = pci_host_function(f->host, (uint8_t)devfn);

        if (function)
            device_save(&function->device, to);
    }
    device_save(pci_host_device(f->host), to);
}

static void load(struct fixture *f, const struct stream_writer *from)
{
    struct stream_reader reader = {.at = from->bytes, .left = from->count};

    for (unsigned devfn = 0; devfn < 256; devfn++) {
        const struct pci_function *function = pci_host_function(f->host, (uint8_t)devfn);

        if (function)
            assert_int_equal(device_load(&function->device, &reader), 0);
    }
    assert_int_equal(device_load(pci_host_device(f->host), &reader), 0);
    assert_int_equal(reader.left, 0);
}

static void use_at_random(struct fixture *f, struct hostile *h, unsigned count)
{
    static const uint8_t devfns[] = {0, 8, 11, 24, 32, 40};

    for (unsigned i = 0; i < count; i++) {
        uint64_t random = hostile_next(h), value = hostile_next(h);
        uint8_t devfn = devfns[random % ARRAY_SIZE(devfns)];

        wr(f, devfn, random >> 8 & 0xff, 1u << (random >> 16) % 3, (uint32_t)value);
        wr(f, devfn, PCI_COMMAND, 1, random >> 32 & 7);
        if (random & BIT(40))
            pci_function_set_irq(random & BIT(41) ? &f->card : &f->other, random & BIT(42));
    }
}

static void assert_same(struct fixture *a, struct fixture *b)
{
    struct stream_writer first = {0}, second = {0};

    save(a, &first);
    save(b, &second);
    assert_int_equal(first.count, second.count);
    assert_memory_equal(first.bytes, second.bytes, first.count);
    stream_writer_fini(&first);
    stream_writer_fini(&second);
    assert_memory_equal(a->pam, b->pam, sizeof(a->pam));
    assert_int_equal(a->pm_base, b->pm_base);
    for (unsigned i = 0; i < PCI_BARS; i++) {
        assert_int_equal(a->card.bars[i].mapped, b->card.bars[i].mapped);
        assert_true(!a->card.bars[i].mapped || a->card.bars[i].base == b->card.bars[i].base);
    }
}

/* A saved state makes another bus the same: registers, windows, routes, and what PAM and PM say. */
static void twins(void **state)
{
    struct hostile h = {.seed = 440};
    struct fixture *a = *state, *b;
    void *other;

    set_up(&other);
    b = other;
    a->pm_base = b->pm_base = 0x600; /* where it is before anybody moves it */
    for (unsigned round = 0; round < 100; round++) {
        struct stream_writer saved = {0};

        use_at_random(a, &h, 100);
        use_at_random(b, &h, 20);
        save(a, &saved);
        load(b, &saved);
        stream_writer_fini(&saved);
        assert_same(a, b);
        for (unsigned i = 0; i < 50; i++) {
            uint64_t seed = hostile_next(&h);

            use_at_random(a, &(struct hostile){.seed = seed | 1}, 1);
            use_at_random(b, &(struct hostile){.seed = seed | 1}, 1);
        }
        assert_same(a, b);
    }
    tear_down(&other);
}

/* What software can't write, a saved state can't either. */
static void read_only_registers_stay(void **state)
{
    struct fixture *f = *state;
    struct stream_writer saved = {0};

    save(f, &saved);
    for (size_t i = 0; i + 4 <= saved.count; i++) {
        if (memcmp(saved.bytes + i, "\x34\x12\x78\x56", 4) == 0)
            saved.bytes[i] = 0xff; /* the card's vendor */
    }
    load(f, &saved);
    stream_writer_fini(&saved);
    assert_int_equal(rd(f, PCI_DEVFN(3, 0), PCI_VENDOR_ID, 4), 0x56781234);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(mechanism_1),
        TEST(masks_and_write_one_to_clear),
        TEST(bar_sizing_and_decoding),
        TEST(overlapping_bars),
        TEST(intx_routing),
        TEST(pam),
        TEST(power_function),
        TEST(reset_control),
        TEST(random_accesses),
        TEST(twins),
        TEST(read_only_registers_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The local APIC and the APIC bus by script, with a stepped clock and no guest. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "dev/lapic.h"

#define TSC_HZ 2000000000u
#define CPUS   3

/* Page offsets, as the SDM lists them. */
#define ID       0x20
#define VERSION  0x30
#define TPR      0x80
#define PPR      0xa0
#define EOI      0xb0
#define LDR      0xd0
#define DFR      0xe0
#define SVR      0xf0
#define ISR      0x100
#define TMR      0x180
#define IRR      0x200
#define ESR      0x280
#define ICR_LOW  0x300
#define ICR_HIGH 0x310
#define TIMER    0x320
#define PERF     0x340
#define LINT0    0x350
#define LINT1    0x360
#define ERROR    0x370
#define INITIAL  0x380
#define CURRENT  0x390
#define DIVIDE   0x3e0

/* What a processor was told. */
struct cpu {
    struct machine *machine;
    struct lapic *lapic;
    bool intr;
    unsigned intr_changes, nmis, inits, sipis;
    uint8_t sipi_vector;
    uint64_t base;
};

struct machine {
    struct clock_stepped clock;
    struct apic_bus *bus;
    struct cpu cpus[CPUS];
    unsigned eois;
    uint8_t eoi_vector;
};

static void on_intr(void *opaque, bool pending)
{
    struct cpu *cpu = opaque;

    assert_int_not_equal(pending, cpu->intr);
    cpu->intr = pending;
    cpu->intr_changes++;
}

static void on_nmi(void *opaque)
{
    ((struct cpu *)opaque)->nmis++;
}

static void on_init(void *opaque)
{
    ((struct cpu *)opaque)->inits++;
}

static void on_sipi(void *opaque, uint8_t vector)
{
    struct cpu *cpu = opaque;

    cpu->sipis++;
    cpu->sipi_vector = vector;
}

static uint64_t on_tsc(void *opaque)
{
    return ((struct cpu *)opaque)->machine->clock.now_ns * (TSC_HZ / NS_PER_SEC);
}

static void on_base(void *opaque, uint64_t base)
{
    ((struct cpu *)opaque)->base = base;
}

static void on_eoi(void *opaque, uint8_t vector)
{
    struct machine *machine = opaque;

    machine->eois++;
    machine->eoi_vector = vector;
}

static int set_up(void **state)
{
    static struct machine the_machine;
    struct machine *machine = &the_machine;

    memset(machine, 0, sizeof(*machine));
    clock_stepped_init(&machine->clock);
    machine->bus = apic_bus_create();
    assert_non_null(machine->bus);
    assert_int_equal(apic_bus_listen_eoi(machine->bus, on_eoi, machine), 0);
    for (uint32_t i = 0; i < CPUS; i++) {
        struct cpu *cpu = &machine->cpus[i];
        struct lapic_config config = {
            .id = i,
            .bsp = i == 0,
            .clock = &machine->clock.clock,
            .tsc_hz = TSC_HZ,
            .bus = machine->bus,
            .callbacks = {on_intr, on_nmi, on_init, on_sipi, on_tsc, on_base, cpu},
        };

        cpu->machine = machine;
        cpu->lapic = lapic_create(&config);
        assert_non_null(cpu->lapic);
    }
    *state = machine;
    return 0;
}

static int tear_down(void **state)
{
    struct machine *machine = *state;

    for (unsigned i = 0; i < CPUS; i++)
        lapic_destroy(machine->cpus[i].lapic);
    apic_bus_destroy(machine->bus);
    return 0;
}

static uint32_t rd(struct cpu *cpu, uint64_t offset)
{
    return (uint32_t)lapic_mmio_ops.read(cpu->lapic, offset, 4);
}

static void wr(struct cpu *cpu, uint64_t offset, uint32_t value)
{
    lapic_mmio_ops.write(cpu->lapic, offset, 4, value);
}

static void enable(struct machine *machine)
{
    for (unsigned i = 0; i < CPUS; i++)
        wr(&machine->cpus[i], SVR, 0x1ff);
}

static void send_fixed(struct machine *machine, uint32_t destination, uint8_t vector, bool level)
{
    struct apic_message message = {.destination = destination, .vector = vector, .level = level};

    apic_bus_deliver(machine->bus, &message);
}

static void to_x2apic(struct cpu *cpu)
{
    assert_true(lapic_base_write(cpu->lapic, lapic_base_read(cpu->lapic) | LAPIC_BASE_EXTD));
}

static void test_reset_values(void **state)
{
    struct machine *machine = *state;
    struct cpu *cpu = &machine->cpus[1];

    assert_int_equal(rd(cpu, ID), 1u << 24);
    assert_int_equal(rd(cpu, VERSION), 0x50014);
    assert_int_equal(rd(cpu, DFR), 0xffffffff);
    assert_int_equal(rd(cpu, SVR), 0xff);
    for (uint64_t lvt = TIMER; lvt <= ERROR; lvt += 0x10)
        assert_int_equal(rd(cpu, lvt), 0x10000);
    assert_int_equal(lapic_base_read(cpu->lapic), 0xfee00800);
    assert_int_equal(lapic_base_read(machine->cpus[0].lapic), 0xfee00900);
}

static void test_priorities(void **state)
{
    struct machine *machine = *state;
    struct cpu *cpu = &machine->cpus[0];

    enable(machine);
    send_fixed(machine, 0, 0x31, false);
    assert_true(cpu->intr);
    assert_int_equal(rd(cpu, IRR + 0x10), 1u << 17);
    assert_int_equal(lapic_acknowledge(cpu->lapic), 0x31);
    assert_int_equal(rd(cpu, ISR + 0x10), 1u << 17);
    assert_int_equal(rd(cpu, IRR + 0x10), 0);
    assert_false(cpu->intr);
    assert_int_equal(rd(cpu, PPR), 0x30);

    /* The same class waits, a higher one does not. */
    send_fixed(machine, 0, 0x3f, false);
    assert_false(cpu->intr);
    assert_int_equal(lapic_acknowledge(cpu->lapic), -1);
    send_fixed(machine, 0, 0x40, false);
    assert_true(cpu->intr);
    assert_int_equal(lapic_acknowledge(cpu->lapic), 0x40);
    wr(cpu, EOI, 0);
    assert_false(cpu->intr);
    wr(cpu, EOI, 0);
    assert_true(cpu->intr);

    /* The task priority holds it back, and lets it go. */
    lapic_set_tpr(cpu->lapic, 0x35);
    assert_false(cpu->intr);
    assert_int_equal(rd(cpu, PPR), 0x35);
    wr(cpu, TPR, 0x2f);
    assert_true(cpu->intr);
    assert_int_equal(lapic_get_tpr(cpu->lapic), 0x2f);
    assert_int_equal(lapic_acknowledge(cpu->lapic), 0x3f);
    assert_int_equal(machine->eois, 0);
}

static void test_software_disable(void **state)
{
    struct machine *machine = *state;
    struct cpu *cpu = &machine->cpus[0];

    send_fixed(machine, 0, 0x31, false);
    assert_false(cpu->intr);
    enable(machine);
    wr(cpu, TIMER, 0x31);
    assert_int_equal(rd(cpu, TIMER), 0x31);
    wr(cpu, SVR, 0xff);
    assert_int_equal(rd(cpu, TIMER), 0x10031);
    wr(cpu, TIMER, 0x31);
    assert_int_equal(rd(cpu, TIMER), 0x10031);
    wr(cpu, SVR, 0x1ff);
    assert_int_equal(rd(cpu, TIMER), 0x10031);
}

static void test_level_eoi(void **state)
{
    struct machine *machine = *state;
    struct cpu *cpu = &machine->cpus[0];

    enable(machine);
    send_fixed(machine, 0, 0x51, true);
    assert_int_equal(rd(cpu, TMR + 0x20), 1u << 17);
    assert_int_equal(lapic_acknowledge(cpu->lapic), 0x51);
    wr(cpu, EOI, 0);
    assert_int_equal(machine->eois, 1);
    assert_int_equal(machine->eoi_vector, 0x51);
    wr(cpu, EOI, 0);
    assert_int_equal(machine->eois, 1);
}

static void test_errors(void **state)
{
    struct machine *machine = *state;
    struct cpu *cpu = &machine->cpus[0];

    enable(machine);
    wr(cpu, ERROR, 0xfe);
    send_fixed(machine, 0, 0x0f, false);
    assert_int_equal(rd(cpu, IRR), 0);
    assert_int_equal(lapic_acknowledge(cpu->lapic), 0xfe);
    wr(cpu, EOI, 0);
    assert_int_equal(rd(cpu, ESR), 0);
    /* Once only until ESR is written. */
    wr(cpu, ICR_LOW, 0x40000 | 0x05);
    assert_false(cpu->intr);
    wr(cpu, ESR, 0);
    assert_int_equal(rd(cpu, ESR), 0x60);
    wr(cpu, ESR, 0);
    assert_int_equal(rd(cpu, ESR), 0);
    rd(cpu, 0x40);
    assert_true(cpu->intr);
    wr(cpu, ESR, 0);
    assert_int_equal(rd(cpu, ESR), 0x80);
    /* An illegal vector in the error entry itself ends there. */
    wr(cpu, ERROR, 0x01);
    wr(cpu, 0x3f0, 0);
    wr(cpu, ESR, 0);
    assert_int_equal(rd(cpu, ESR), 0xc0);
}

static void test_ipi_destinations(void **state)
{
    struct machine *machine = *state;
    struct cpu *cpus = machine->cpus;

    enable(machine);
    wr(&cpus[0], ICR_HIGH, 2u << 24);
    wr(&cpus[0], ICR_LOW, 0x4041);
    assert_false(cpus[1].intr);
    assert_int_equal(lapic_acknowledge(cpus[2].lapic), 0x41);
    assert_int_equal(rd(&cpus[0], ICR_LOW), 0x4041);

    wr(&cpus[0], ICR_LOW, 0x40000 | 0x42); /* self */
    assert_int_equal(lapic_acknowledge(cpus[0].lapic), 0x42);
    assert_false(cpus[1].intr);
    wr(&cpus[0], ICR_LOW, 0xc0000 | 0x53); /* all but self */
    assert_false(cpus[0].intr);
    assert_int_equal(lapic_acknowledge(cpus[1].lapic), 0x53);
    assert_int_equal(lapic_acknowledge(cpus[2].lapic), 0x53);
    wr(&cpus[1], ICR_LOW, 0x80000 | 0x64); /* all */
    for (unsigned i = 0; i < CPUS; i++)
        assert_int_equal(lapic_acknowledge(cpus[i].lapic), 0x64);
    wr(&cpus[1], ICR_HIGH, 0xff000000); /* physical broadcast */
    wr(&cpus[1], ICR_LOW, 0x75);
    for (unsigned i = 0; i < CPUS; i++)
        assert_int_equal(lapic_acknowledge(cpus[i].lapic), 0x75);
}

static void test_logical_destinations(void **state)
{
    struct machine *machine = *state;
    struct cpu *cpus = machine->cpus;

    enable(machine);
    for (unsigned i = 0; i < CPUS; i++)
        wr(&cpus[i], LDR, (1u << i) << 24);
    wr(&cpus[0], ICR_HIGH, 6u << 24);
    wr(&cpus[0], ICR_LOW, 0x841);
    assert_false(cpus[0].intr);
    assert_int_equal(lapic_acknowledge(cpus[1].lapic), 0x41);
    assert_int_equal(lapic_acknowledge(cpus[2].lapic), 0x41);

    for (unsigned i = 0; i < CPUS; i++) {
        wr(&cpus[i], DFR, 0);
        wr(&cpus[i], LDR, (i == 2 ? 0x11u : 0x01u << i) << 24); /* cluster 1 for the last */
    }
    wr(&cpus[0], ICR_HIGH, 0x11u << 24);
    wr(&cpus[0], ICR_LOW, 0x852);
    assert_false(cpus[0].intr);
    assert_false(cpus[1].intr);
    assert_int_equal(lapic_acknowledge(cpus[2].lapic), 0x52);
}

static void test_lowest_priority(void **state)
{
    struct machine *machine = *state;
    struct cpu *cpus = machine->cpus;
    struct apic_message message = {
        .destination = 0xff, .delivery = APIC_DELIVER_LOWEST, .vector = 0x61};

    enable(machine);
    wr(&cpus[0], TPR, 0x20);
    wr(&cpus[1], TPR, 0x10);
    wr(&cpus[2], TPR, 0x30);
    apic_bus_deliver(machine->bus, &message);
    assert_true(cpus[1].intr);
    assert_false(cpus[0].intr || cpus[2].intr);
    /* A processor whose APIC is off by software does not count. */
    wr(&cpus[1], SVR, 0);
    assert_int_equal(lapic_acknowledge(cpus[1].lapic), 0x61);
    apic_bus_deliver(machine->bus, &message);
    assert_true(cpus[0].intr);
}

static void test_start_up(void **state)
{
    struct machine *machine = *state;
    struct cpu *cpus = machine->cpus;

    enable(machine);
    wr(&cpus[1], TPR, 0x50);
    wr(&cpus[0], ICR_LOW, 0xc4500);
    assert_int_equal(cpus[0].inits, 0);
    assert_int_equal(cpus[1].inits, 1);
    assert_int_equal(rd(&cpus[1], TPR), 0);
    assert_int_equal(rd(&cpus[1], SVR), 0xff);
    wr(&cpus[0], ICR_LOW, 0xc8500); /* level de-assert: nothing */
    assert_int_equal(cpus[1].inits, 1);
    wr(&cpus[0], ICR_HIGH, 2u << 24);
    wr(&cpus[0], ICR_LOW, 0x4699);
    assert_int_equal(cpus[2].sipis, 1);
    assert_int_equal(cpus[2].sipi_vector, 0x99);
    assert_int_equal(cpus[1].sipis, 0);
    wr(&cpus[0], ICR_LOW, 0x4400);
    assert_int_equal(cpus[2].nmis, 1);
    /* INIT by the shorthand self is no valid combination. */
    wr(&cpus[0], ICR_LOW, 0x44500);
    assert_int_equal(cpus[0].inits, 0);
}

static void test_lint_pins(void **state)
{
    struct machine *machine = *state;
    struct cpu *cpu = &machine->cpus[0];

    /* Masked after reset: nothing passes. */
    lapic_set_lint(cpu->lapic, 0, true);
    assert_false(cpu->intr);
    enable(machine);
    wr(cpu, LINT0, 0x700);
    assert_true(lapic_accepts_extint(cpu->lapic));
    assert_true(cpu->intr);
    assert_true(lapic_extint_pending(cpu->lapic));
    assert_int_equal(lapic_acknowledge(cpu->lapic), -1);
    lapic_set_lint(cpu->lapic, 0, false);
    assert_false(cpu->intr);
    wr(cpu, LINT0, 0x10700);
    lapic_set_lint(cpu->lapic, 0, true);
    assert_false(cpu->intr);
    lapic_set_lint(cpu->lapic, 0, false);

    /* LINT1 as NMI is an edge. */
    wr(cpu, LINT1, 0x400);
    lapic_set_lint_line(cpu->lapic, 1, true);
    lapic_set_lint_line(cpu->lapic, 1, true);
    assert_int_equal(cpu->nmis, 1);

    /* LINT0 as a level is sent again while it stands at its EOI. */
    wr(cpu, LINT0, 0x8044);
    lapic_set_lint(cpu->lapic, 0, true);
    assert_int_equal(rd(cpu, LINT0), 0xc044);
    assert_int_equal(lapic_acknowledge(cpu->lapic), 0x44);
    assert_false(cpu->intr);
    wr(cpu, EOI, 0);
    assert_true(cpu->intr);
    assert_int_equal(lapic_acknowledge(cpu->lapic), 0x44);
    lapic_set_lint(cpu->lapic, 0, false);
    wr(cpu, EOI, 0);
    assert_false(cpu->intr);
    assert_int_equal(rd(cpu, LINT0), 0x8044);
}

static void test_virtual_wire(void **state)
{
    struct machine *machine = *state;
    struct lapic_config config = {
        .id = 9, .virtual_wire = true, .clock = &machine->clock.clock, .bus = machine->bus};
    struct lapic *lapic = lapic_create(&config);

    assert_non_null(lapic);
    assert_true(lapic_accepts_extint(lapic));
    lapic_set_lint(lapic, 0, true);
    assert_true(lapic_pending(lapic));
    lapic_destroy(lapic);
}

static void test_timer_one_shot(void **state)
{
    struct machine *machine = *state;
    struct cpu *cpu = &machine->cpus[0];

    enable(machine);
    wr(cpu, DIVIDE, 0x3); /* by 16 */
    wr(cpu, TIMER, 0x20);
    wr(cpu, INITIAL, 1000);
    assert_int_equal(rd(cpu, CURRENT), 1000);
    clock_stepped_advance(&machine->clock, 8000);
    assert_int_equal(rd(cpu, CURRENT), 500);
    assert_false(cpu->intr);
    clock_stepped_advance(&machine->clock, 7999);
    assert_false(cpu->intr);
    clock_stepped_advance(&machine->clock, 1);
    assert_true(cpu->intr);
    assert_int_equal(rd(cpu, CURRENT), 0);
    assert_int_equal(lapic_acknowledge(cpu->lapic), 0x20);
    wr(cpu, EOI, 0);
    clock_stepped_advance(&machine->clock, NS_PER_SEC);
    assert_false(cpu->intr);
    /* Stopped by a count of 0. */
    wr(cpu, INITIAL, 1000);
    wr(cpu, INITIAL, 0);
    clock_stepped_advance(&machine->clock, NS_PER_SEC);
    assert_false(cpu->intr);
    /* Masked: it counts, and says nothing. */
    wr(cpu, TIMER, 0x10020);
    wr(cpu, INITIAL, 1000);
    clock_stepped_advance(&machine->clock, 16000);
    wr(cpu, TIMER, 0x20);
    assert_false(cpu->intr);
    assert_int_equal(rd(cpu, CURRENT), 0);
}

static void test_timer_periodic(void **state)
{
    struct machine *machine = *state;
    struct cpu *cpu = &machine->cpus[0];

    enable(machine);
    wr(cpu, DIVIDE, 0xb); /* by 1 */
    wr(cpu, TIMER, 0x20020);
    wr(cpu, INITIAL, 1000000);
    for (unsigned i = 0; i < 10; i++) {
        clock_stepped_advance(&machine->clock, 999999);
        assert_false(cpu->intr);
        assert_int_equal(rd(cpu, CURRENT), 1);
        clock_stepped_advance(&machine->clock, 1);
        assert_int_equal(rd(cpu, CURRENT), 1000000);
        assert_int_equal(lapic_acknowledge(cpu->lapic), 0x20);
        wr(cpu, EOI, 0);
    }
    /* Masked for 10.5 periods, and then in step again. */
    wr(cpu, TIMER, 0x30020);
    assert_int_equal(clock_next_deadline_ns(&machine->clock.clock), CLOCK_NEVER);
    clock_stepped_advance(&machine->clock, 10500000);
    wr(cpu, TIMER, 0x20020);
    clock_stepped_advance(&machine->clock, 499999);
    assert_false(cpu->intr);
    clock_stepped_advance(&machine->clock, 1);
    assert_true(cpu->intr);
    /* A period of one tick does not keep the monitor from all else. */
    wr(cpu, INITIAL, 1);
    clock_stepped_advance(&machine->clock, 100 * NS_PER_MS);
    assert_true(clock_next_deadline_ns(&machine->clock.clock) > machine->clock.now_ns + 10000);
}

static void test_timer_divide_while_running(void **state)
{
    struct machine *machine = *state;
    struct cpu *cpu = &machine->cpus[0];

    enable(machine);
    wr(cpu, DIVIDE, 0xb);
    wr(cpu, TIMER, 0x20);
    wr(cpu, INITIAL, 1000);
    clock_stepped_advance(&machine->clock, 600);
    wr(cpu, DIVIDE, 0x0); /* by 2 */
    assert_int_equal(rd(cpu, CURRENT), 400);
    clock_stepped_advance(&machine->clock, 799);
    assert_int_equal(rd(cpu, CURRENT), 1);
    assert_false(cpu->intr);
    clock_stepped_advance(&machine->clock, 1);
    assert_true(cpu->intr);
}

static void test_tsc_deadline(void **state)
{
    struct machine *machine = *state;
    struct cpu *cpu = &machine->cpus[0];

    enable(machine);
    /* Ignored in another mode. */
    lapic_tsc_deadline_write(cpu->lapic, 5);
    assert_int_equal(lapic_tsc_deadline_read(cpu->lapic), 0);
    wr(cpu, TIMER, 0x400ec);
    lapic_tsc_deadline_write(cpu->lapic, 20000);
    assert_int_equal(lapic_tsc_deadline_read(cpu->lapic), 20000);
    wr(cpu, INITIAL, 5);
    assert_int_equal(rd(cpu, INITIAL), 0);
    clock_stepped_advance(&machine->clock, 9999);
    assert_false(cpu->intr);
    clock_stepped_advance(&machine->clock, 2);
    assert_int_equal(lapic_acknowledge(cpu->lapic), 0xec);
    assert_int_equal(lapic_tsc_deadline_read(cpu->lapic), 0);
    wr(cpu, EOI, 0);
    /* In the past: at once. */
    lapic_tsc_deadline_write(cpu->lapic, 1);
    assert_int_equal(lapic_acknowledge(cpu->lapic), 0xec);
    wr(cpu, EOI, 0);
    /* Disarmed by 0, and by leaving the mode. */
    lapic_tsc_deadline_write(cpu->lapic, 40000);
    lapic_tsc_deadline_write(cpu->lapic, 0);
    clock_stepped_advance(&machine->clock, NS_PER_SEC);
    lapic_tsc_deadline_write(cpu->lapic, 4 * (uint64_t)TSC_HZ);
    wr(cpu, TIMER, 0xec);
    wr(cpu, TIMER, 0x400ec);
    assert_int_equal(lapic_tsc_deadline_read(cpu->lapic), 0);
    lapic_tsc_deadline_write(cpu->lapic, UINT64_MAX);
    clock_stepped_advance(&machine->clock, 10 * NS_PER_SEC);
    assert_false(cpu->intr);
}

/* The guest has written to its TSC: what is armed is armed for the TSC that it sees. */
static void test_tsc_deadline_of_a_written_tsc(void **state)
{
    struct machine *machine = *state;
    struct cpu *cpu = &machine->cpus[0];
    const uint64_t far = UINT64_C(1) << 60;

    enable(machine);
    wr(cpu, TIMER, 0x400ec);
    lapic_set_tsc_offset(cpu->lapic, far);
    lapic_tsc_deadline_write(cpu->lapic, far + 20000);
    clock_stepped_advance(&machine->clock, 9999);
    assert_false(cpu->intr);
    clock_stepped_advance(&machine->clock, 2);
    assert_int_equal(lapic_acknowledge(cpu->lapic), 0xec);
    wr(cpu, EOI, 0);
    /* Moved away from the deadline, and towards it. */
    lapic_set_tsc_offset(cpu->lapic, 0);
    lapic_tsc_deadline_write(cpu->lapic, 2 * machine->clock.now_ns + 20000);
    lapic_set_tsc_offset(cpu->lapic, -(uint64_t)10000);
    clock_stepped_advance(&machine->clock, 14999);
    assert_false(cpu->intr);
    lapic_set_tsc_offset(cpu->lapic, -(uint64_t)2);
    assert_int_equal(lapic_acknowledge(cpu->lapic), 0xec);
    assert_int_equal(lapic_tsc_deadline_read(cpu->lapic), 0);
    wr(cpu, EOI, 0);
    /* INIT and the APIC's own reset are not the TSC's; the processor's RESET is. */
    lapic_set_tsc_offset(cpu->lapic, far);
    assert_true(lapic_base_write(cpu->lapic, 0xfee00100));
    assert_true(lapic_base_write(cpu->lapic, 0xfee00900));
    enable(machine);
    wr(cpu, TIMER, 0x400ec);
    lapic_tsc_deadline_write(cpu->lapic, far);
    assert_int_equal(lapic_acknowledge(cpu->lapic), 0xec);
    lapic_reset(cpu->lapic);
    enable(machine);
    wr(cpu, TIMER, 0x400ec);
    lapic_tsc_deadline_write(cpu->lapic, far);
    assert_false(cpu->intr);
}

/* The clock has passed the end, and the owner has not yet run its timers. */
static void test_late_timers(void **state)
{
    struct machine *machine = *state;
    struct cpu *cpu = &machine->cpus[0];

    enable(machine);
    wr(cpu, DIVIDE, 0xb); /* by 1 */
    /* A count that has ended stays 0 when the mode becomes periodic. */
    wr(cpu, TIMER, 0x20);
    wr(cpu, INITIAL, 1000);
    machine->clock.now_ns += 1500;
    wr(cpu, TIMER, 0x20021);
    assert_int_equal(lapic_acknowledge(cpu->lapic), 0x20);
    wr(cpu, EOI, 0);
    assert_int_equal(rd(cpu, CURRENT), 0);
    clock_stepped_advance(&machine->clock, NS_PER_MS);
    assert_false(cpu->intr);
    /* Whoever reads 0 has the interrupt, before a mask that comes later. */
    wr(cpu, TIMER, 0x20);
    wr(cpu, INITIAL, 1000);
    machine->clock.now_ns += 1000;
    assert_int_equal(rd(cpu, CURRENT), 0);
    assert_true(cpu->intr);
    wr(cpu, TIMER, 0x10020);
    assert_int_equal(lapic_acknowledge(cpu->lapic), 0x20);
    wr(cpu, EOI, 0);
    /* It is not lost to a new count, divisor or deadline. */
    wr(cpu, TIMER, 0x20);
    wr(cpu, INITIAL, 1000);
    machine->clock.now_ns += 1000;
    wr(cpu, INITIAL, 0);
    assert_int_equal(lapic_acknowledge(cpu->lapic), 0x20);
    wr(cpu, EOI, 0);
    wr(cpu, INITIAL, 1000);
    machine->clock.now_ns += 1000;
    wr(cpu, DIVIDE, 0);
    assert_int_equal(lapic_acknowledge(cpu->lapic), 0x20);
    wr(cpu, EOI, 0);
    assert_int_equal(rd(cpu, CURRENT), 0);
    wr(cpu, TIMER, 0x400ec);
    lapic_tsc_deadline_write(cpu->lapic, 2 * machine->clock.now_ns + 1000);
    machine->clock.now_ns += 600;
    lapic_tsc_deadline_write(cpu->lapic, 0);
    assert_int_equal(lapic_acknowledge(cpu->lapic), 0xec);
}

static void test_mode_transitions(void **state)
{
    struct machine *machine = *state;
    struct cpu *cpu = &machine->cpus[0];
    const uint64_t xapic = 0xfee00900, x2apic = 0xfee00d00, off = 0xfee00100, bad = 0xfee00500;
    uint64_t value;

    assert_false(lapic_base_write(cpu->lapic, bad));
    assert_false(lapic_base_write(cpu->lapic, xapic | 1));
    assert_false(lapic_base_write(cpu->lapic, xapic | BIT(36)));
    assert_false(lapic_msr_read(cpu->lapic, 0x802, &value));
    wr(cpu, TPR, 0x20);
    assert_true(lapic_base_write(cpu->lapic, x2apic));
    assert_int_equal(cpu->base, x2apic);
    assert_int_equal(lapic_get_tpr(cpu->lapic), 0x20);
    assert_string_equal(lapic_mode_name(cpu->lapic), "x2APIC");
    assert_int_equal(rd(cpu, TPR), 0xffffffff);
    assert_false(lapic_base_write(cpu->lapic, xapic));
    assert_false(lapic_base_write(cpu->lapic, bad));
    assert_true(lapic_base_write(cpu->lapic, off));
    assert_int_equal(lapic_get_tpr(cpu->lapic), 0);
    assert_int_equal(rd(cpu, TPR), 0xffffffff);
    assert_false(lapic_base_write(cpu->lapic, x2apic));

    /* Disabled: the pins are INTR and NMI, and messages pass by. */
    lapic_set_lint(cpu->lapic, 0, true);
    assert_true(cpu->intr);
    lapic_set_lint(cpu->lapic, 0, false);
    lapic_set_lint(cpu->lapic, 1, true);
    assert_int_equal(cpu->nmis, 1);
    send_fixed(machine, 0, 0x44, false);
    assert_false(cpu->intr);
    assert_true(lapic_base_write(cpu->lapic, xapic));
    assert_int_equal(rd(cpu, SVR), 0xff);
}

static void test_x2apic_registers(void **state)
{
    static const uint32_t unreadable[] = {0x800, 0x809, 0x80b, 0x80c, 0x80e,
                                          0x82f, 0x831, 0x83f, 0x840, 0x8ff};
    static const uint32_t unwritable[] = {0x802, 0x803, 0x80a, 0x80d, 0x80e,
                                          0x810, 0x820, 0x831, 0x839, 0x840};
    struct machine *machine = *state;
    struct cpu *cpu = &machine->cpus[2];
    uint64_t value;

    to_x2apic(cpu);
    for (size_t i = 0; i < ARRAY_SIZE(unreadable); i++)
        assert_false(lapic_msr_read(cpu->lapic, unreadable[i], &value));
    for (size_t i = 0; i < ARRAY_SIZE(unwritable); i++)
        assert_false(lapic_msr_write(cpu->lapic, unwritable[i], 0));
    assert_true(lapic_msr_read(cpu->lapic, 0x802, &value));
    assert_int_equal(value, 2);
    assert_true(lapic_msr_read(cpu->lapic, 0x80d, &value));
    assert_int_equal(value, 4);
    assert_false(lapic_msr_write(cpu->lapic, 0x80b, 1));
    assert_false(lapic_msr_write(cpu->lapic, 0x808, 0x100));
    assert_false(lapic_msr_write(cpu->lapic, 0x80f, 0x11ff));
    assert_false(lapic_msr_write(cpu->lapic, 0x828, 1));
    assert_false(lapic_msr_write(cpu->lapic, 0x830, 0x1041));
    assert_false(lapic_msr_write(cpu->lapic, 0x832, BIT(19)));
    assert_false(lapic_msr_write(cpu->lapic, 0x83f, 0x100));
    assert_true(lapic_msr_write(cpu->lapic, 0x80f, 0x1ff));
    assert_true(lapic_msr_write(cpu->lapic, 0x83f, 0x77));
    assert_int_equal(lapic_acknowledge(cpu->lapic), 0x77);
    assert_true(lapic_msr_write(cpu->lapic, 0x80b, 0));
}

static void test_x2apic_ipi(void **state)
{
    struct machine *machine = *state;
    struct cpu *cpus = machine->cpus;
    uint64_t value;

    enable(machine);
    for (unsigned i = 0; i < CPUS; i++)
        to_x2apic(&cpus[i]);
    assert_true(lapic_msr_write(cpus[0].lapic, 0x830, BIT(32) | 0x41));
    assert_true(lapic_msr_read(cpus[0].lapic, 0x830, &value));
    assert_int_equal(value, BIT(32) | 0x41);
    assert_int_equal(lapic_acknowledge(cpus[1].lapic), 0x41);
    /* Cluster 0, members 1 and 2. */
    assert_true(lapic_msr_write(cpus[0].lapic, 0x830, 6 * BIT(32) | 0x852));
    assert_false(cpus[0].intr);
    assert_int_equal(lapic_acknowledge(cpus[1].lapic), 0x52);
    assert_int_equal(lapic_acknowledge(cpus[2].lapic), 0x52);
    /* FFh is an id here, FFFFFFFFh everybody. */
    assert_true(lapic_msr_write(cpus[0].lapic, 0x830, 0xff * BIT(32) | 0x63));
    assert_false(cpus[0].intr);
    assert_true(lapic_msr_write(cpus[0].lapic, 0x830, 0xffffffff * BIT(32) | 0x63));
    for (unsigned i = 0; i < CPUS; i++)
        assert_int_equal(lapic_acknowledge(cpus[i].lapic), 0x63);
}

static void test_msi(void **state)
{
    struct machine *machine = *state;

    enable(machine);
    apic_bus_deliver_msi(machine->bus, 0xfee01000, 0x4055);
    assert_int_equal(lapic_acknowledge(machine->cpus[1].lapic), 0x55);
    apic_bus_deliver_msi(machine->bus, 0xfed01000, 0x4066);
    assert_false(machine->cpus[1].intr);
}

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

/* Whatever is written: no crash, and `intr` always tells what lapic_pending says. */
static void test_hostile(void **state)
{
    struct machine *machine = *state;
    uint64_t seed = 1;

    for (unsigned i = 0; i < 200000; i++) {
        struct cpu *cpu = &machine->cpus[next_random(&seed) % CPUS];
        uint32_t value = next_random(&seed) & next_random(&seed) << 1;
        uint64_t ignored, offset = next_random(&seed) % 0x1000;
        unsigned width = 1u << next_random(&seed) % 3;

        switch (next_random(&seed) % 10) {
        case 0:
        case 1: lapic_mmio_ops.write(cpu->lapic, offset, width, value); break;
        case 2:
        case 3: wr(cpu, ALIGN_DOWN(offset % 0x400, 16), value); break;
        case 4: lapic_mmio_ops.read(cpu->lapic, offset, width); break;
        case 5:
            (void)!lapic_msr_write(cpu->lapic, 0x800 + (uint32_t)offset % 0x48, value);
            (void)!lapic_msr_read(cpu->lapic, 0x800 + (uint32_t)offset % 0x48, &ignored);
            break;
        case 6: lapic_acknowledge(cpu->lapic); break;
        case 7: lapic_set_lint(cpu->lapic, value & 1, value & 2); break;
        case 8: lapic_tsc_deadline_write(cpu->lapic, machine->clock.now_ns * 2 + value); break;
        default:
            if (offset % 8 == 0)
                (void)!lapic_base_write(cpu->lapic, 0xfee00000 | (value & 0xd00));
            clock_stepped_advance(&machine->clock, offset * 8);
            break;
        }
        for (unsigned c = 0; c < CPUS; c++)
            assert_int_equal(machine->cpus[c].intr, lapic_pending(machine->cpus[c].lapic));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_reset_values),
        TEST(test_priorities),
        TEST(test_software_disable),
        TEST(test_level_eoi),
        TEST(test_errors),
        TEST(test_ipi_destinations),
        TEST(test_logical_destinations),
        TEST(test_lowest_priority),
        TEST(test_start_up),
        TEST(test_lint_pins),
        TEST(test_virtual_wire),
        TEST(test_timer_one_shot),
        TEST(test_timer_periodic),
        TEST(test_late_timers),
        TEST(test_tsc_deadline_of_a_written_tsc),
        TEST(test_timer_divide_while_running),
        TEST(test_tsc_deadline),
        TEST(test_mode_transitions),
        TEST(test_x2apic_registers),
        TEST(test_x2apic_ipi),
        TEST(test_msi),
        TEST(test_hostile),
    };

    return cmocka_run_group_tests_name("lapic", tests, NULL, NULL);
}

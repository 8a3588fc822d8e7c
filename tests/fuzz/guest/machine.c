/* The machine of a fuzzed guest: the board with a stepped clock, and a vCPU. */
#include "guest/guest.h"

#include <stdio.h>
#include <stdlib.h>

#include "dev/lapic.h"
#include "engine/soft/vcpu.h"
#include "mmu/mmu.h"
#include "x86/msr.h"

#define NS_A_CALL    700
#define MAX_CALLS    4000 /* of the host functions, before the case ends */
#define MAX_HALTS    16
#define MAX_SLEEP_NS (100 * NS_PER_MS)
#define BIOS_BASE    0xf0000u
#define BIOS_BYTES   0x10000u

void guest_finding(const char *condition, const char *file, int line)
{
    fprintf(stderr, "finding: %s does not hold (%s:%d)\n", condition, file, line);
    abort();
}

/* --- what the board asks --- */

static void end_run(void *opaque)
{
    struct guest *guest = opaque;

    guest->ended = true;
    if (guest->vcpu)
        engine_soft.vcpu_kick(guest->vcpu);
}

static void on_reset(void *opaque)
{
    struct guest *guest = opaque;

    guest->reset_requested = true;
    if (guest->vcpu)
        engine_soft.vcpu_kick(guest->vcpu);
}

static void on_panic(void *opaque, bool goes_on)
{
}

static void on_debug_exit(void *opaque, unsigned status)
{
    end_run(opaque);
}

static void on_intr(void *opaque, bool level)
{
    struct guest *guest = opaque;

    if (guest->vcpu)
        engine_soft.vcpu_set_intr(guest->vcpu, level);
}

static void on_nmi(void *opaque)
{
    struct guest *guest = opaque;

    if (guest->vcpu)
        engine_soft.vcpu_nmi(guest->vcpu);
}

static void on_init(void *opaque)
{
    struct guest *guest = opaque;

    if (guest->vcpu)
        engine_soft.vcpu_init(guest->vcpu);
}

static void on_sipi(void *opaque, uint8_t vector)
{
    struct guest *guest = opaque;

    if (guest->vcpu)
        engine_soft.vcpu_sipi(guest->vcpu, vector);
}

static void on_address_space_changed(void *opaque)
{
    struct guest *guest = opaque;

    if (guest->vcpu)
        engine_soft.vcpu_flush(guest->vcpu);
}

static void on_output(void *opaque, uint8_t byte)
{
}

static void on_serial_room(void *opaque)
{
}

/* --- what the engine asks --- */

/* What other threads and bus masters may do at any time. */
static void disturb(struct guest *guest)
{
    uint64_t bytes = dice_64(guest->dice);
    uint8_t what = dice_8(guest->dice) % 16;

    if (what < 3) {
        engine_soft.vcpu_nmi(guest->vcpu);
    } else if (what < 4) {
        engine_soft.vcpu_init(guest->vcpu);
    } else if (what < 6) {
        engine_soft.vcpu_flush(guest->vcpu);
    } else if (what < 8) {
        guest->kicked = true;
        engine_soft.vcpu_kick(guest->vcpu);
    } else {
        mem_write(guest->mem, GUEST_CODE + dice_below(guest->dice, GUEST_CODE_BYTES), &bytes, 8);
    }
}

void guest_work_disks(struct guest *guest)
{
    if (dice_chance(guest->dice, 128)) {
        block_queue_deliver(guest->disk_queue);
        block_queue_deliver(guest->cdrom_queue);
    }
}

/* Time passes with each call; a guest that only talks to devices comes to an end. */
static struct board *enter(void *opaque)
{
    struct guest *guest = opaque;

    clock_stepped_advance(&guest->clock, NS_A_CALL);
    if (++guest->calls > MAX_CALLS)
        end_run(guest);
    if (guest->vcpu && dice_chance(guest->dice, 2))
        disturb(guest);
    guest_work_disks(guest);
    return guest->board;
}

static uint32_t port_read(void *opaque, uint16_t port, unsigned width)
{
    return (uint32_t)bus_read(enter(opaque)->bus, BUS_PORT, port, width);
}

static void port_write(void *opaque, uint16_t port, unsigned width, uint32_t value)
{
    bus_write(enter(opaque)->bus, BUS_PORT, port, width, value);
}

static uint64_t mmio_read(void *opaque, gpa_t gpa, unsigned width)
{
    return bus_read(enter(opaque)->bus, BUS_MMIO, gpa, width);
}

static void mmio_write(void *opaque, gpa_t gpa, unsigned width, uint64_t value)
{
    bus_write(enter(opaque)->bus, BUS_MMIO, gpa, width, value);
}

static int interrupt_acknowledge(void *opaque, unsigned vcpu)
{
    return board_interrupt_acknowledge(enter(opaque));
}

static bool msr_read(void *opaque, unsigned vcpu, uint32_t index, uint64_t *value)
{
    struct lapic *lapic = enter(opaque)->lapic;

    switch (index) {
    case IA32_APIC_BASE: *value = lapic_base_read(lapic); return true;
    case IA32_TSC_DEADLINE: *value = lapic_tsc_deadline_read(lapic); return true;
    default: return lapic_msr_read(lapic, index, value);
    }
}

static bool msr_write(void *opaque, unsigned vcpu, uint32_t index, uint64_t value)
{
    struct lapic *lapic = enter(opaque)->lapic;

    switch (index) {
    case IA32_APIC_BASE: return lapic_base_write(lapic, value);
    case IA32_TSC_DEADLINE: lapic_tsc_deadline_write(lapic, value); return true;
    default: return lapic_msr_write(lapic, index, value);
    }
}

static uint64_t tpr_read(void *opaque, unsigned vcpu)
{
    return lapic_get_tpr(enter(opaque)->lapic) >> 4;
}

static void tpr_write(void *opaque, unsigned vcpu, uint64_t value)
{
    lapic_set_tpr(enter(opaque)->lapic, (uint8_t)(value << 4));
}

static uint64_t tsc_now(void *opaque)
{
    return ((struct guest *)opaque)->clock.now_ns;
}

static void tsc_offset_changed(void *opaque, unsigned vcpu, uint64_t offset)
{
    lapic_set_tsc_offset(enter(opaque)->lapic, offset);
}

static uint64_t a20_mask(void *opaque)
{
    return ((struct guest *)opaque)->board->a20_mask;
}

static const struct engine_host host_functions = {
    .port_read = port_read,
    .port_write = port_write,
    .mmio_read = mmio_read,
    .mmio_write = mmio_write,
    .interrupt_acknowledge = interrupt_acknowledge,
    .msr_read = msr_read,
    .msr_write = msr_write,
    .tpr_read = tpr_read,
    .tpr_write = tpr_write,
    .tsc_now = tsc_now,
    .tsc_offset_changed = tsc_offset_changed,
    .tsc_hz = NS_PER_SEC,
    .a20_mask = a20_mask,
};

/* --- life --- */

static void create_memory(struct guest *guest)
{
    FUZZ_CHECK(layout_init(&guest->layout, GUEST_MEMORY) == 0);
    guest->mem = mem_create(NULL);
    FUZZ_CHECK(guest->mem && layout_add_slots(&guest->layout, guest->mem) == 0);
    FUZZ_CHECK(mem_add_slot(guest->mem, "bios", BIOS_BASE, BIOS_BYTES, MEM_SLOT_ROM) == 0);
}

static void create_board(struct guest *guest)
{
    struct board_config config = {
        .layout = &guest->layout,
        .mem = guest->mem,
        .clock = &guest->clock.clock,
        .start_utc = 1700000000,
        .tsc_hz = NS_PER_SEC,
        .physical_bits = guest->model.physical_bits,
        .events =
            {
                .opaque = guest,
                .power_off = end_run,
                .reset = on_reset,
                .panic = on_panic,
                .debug_exit = on_debug_exit,
                .intr = on_intr,
                .nmi = on_nmi,
                .init = on_init,
                .sipi = on_sipi,
                .tsc_now = tsc_now,
                .address_space_changed = on_address_space_changed,
                .serial_output = on_output,
                .serial_room = on_serial_room,
                .debug_output = on_output,
            },
    };

    FUZZ_CHECK(block_open_memory(&guest->disk, guest->disk_bytes, GUEST_DISK_BYTES) == 0);
    FUZZ_CHECK(block_open_memory(&guest->cdrom, guest->cdrom_bytes, GUEST_DISK_BYTES) == 0);
    FUZZ_CHECK(block_queue_create(&guest->disk_queue, guest->disk, NULL) == 0);
    FUZZ_CHECK(block_queue_create(&guest->cdrom_queue, guest->cdrom, NULL) == 0);
    config.disk = guest->disk_queue;
    config.cdrom = guest->cdrom_queue;
    FUZZ_CHECK(board_create(&guest->board, &config) == 0);
}

void guest_create_board(struct guest *guest)
{
    const char *model = dice_chance(guest->dice, 16) ? "x86-64-v1" : "max";
    const char *missing;

    FUZZ_CHECK(cpu_model_init(&guest->model, model, &missing) == 0);
    guest->model.tsc_hz = NS_PER_SEC;
    create_memory(guest);
    clock_stepped_init(&guest->clock);
    create_board(guest);
    board_reset(guest->board);
}

/* Either mode of memory virtualization, with few shadow pages. */
static void create_mmu(struct guest *guest)
{
    struct mmu_config config = {.mode = MMU_EPT};

    if (dice_chance(guest->dice, 128)) {
        config.mode = MMU_SHADOW;
        config.shadow_pages = SHADOW_PAGES_MIN + dice_below(guest->dice, 64);
        config.unsync_off = dice_chance(guest->dice, 64);
    }
    guest->mmu = mmu_create(guest->mem, &config);
    FUZZ_CHECK(guest->mmu);
}

/* Whatever the guest did, tables, TLB and slots agree. */
static void check_mmu(struct guest *guest)
{
    char why[256];

    if (mmu_audit(guest->mmu, why, sizeof(why)) &&
        engine_soft.vcpu_audit(guest->vcpu, why, sizeof(why)))
        return;
    fprintf(stderr, "%s: %s\n", mmu_mode_name(mmu_mode(guest->mmu)), why);
    FUZZ_CHECK(!"the tables or the TLB break an invariant");
}

void guest_create(struct guest *guest)
{
    guest_create_board(guest);
    guest->host = host_functions;
    guest->host.opaque = guest;
    guest_signals_before();
    create_mmu(guest);
    FUZZ_CHECK(engine_soft.vcpu_create(&guest->vcpu,
                                       &(struct engine_vcpu_config){.mmu = guest->mmu,
                                                                    .host = &guest->host,
                                                                    .model = &guest->model}) == 0);
    guest_signals_after();
}

void guest_destroy(struct guest *guest)
{
    struct engine_vcpu *vcpu = guest->vcpu;

    guest->vcpu = NULL;
    engine_soft.vcpu_destroy(vcpu);
    FUZZ_CHECK(block_queue_stop(guest->disk_queue, 0) && block_queue_stop(guest->cdrom_queue, 0));
    board_destroy(guest->board);
    block_close(guest->disk);
    block_close(guest->cdrom);
    mmu_destroy(guest->mmu);
    mem_destroy(guest->mem);
}

/* A halted guest sleeps until the next timer; false when nothing will wake it. */
static bool sleep_on(struct guest *guest)
{
    uint64_t deadline = clock_next_deadline_ns(&guest->clock.clock);
    uint64_t now = guest->clock.now_ns;

    if (engine_soft.vcpu_pending(guest->vcpu))
        return true;
    if (deadline == CLOCK_NEVER)
        return false;
    clock_stepped_advance(&guest->clock, deadline > now ? MIN(deadline - now, MAX_SLEEP_NS) : 1);
    return true;
}

/* Writes to code while the vCPU is not in its loop; seldom more than its queue holds. */
static void write_between_runs(struct guest *guest)
{
    unsigned count = dice_chance(guest->dice, 16) ? 100 : dice_8(guest->dice) & 3;

    for (; count > 0; count--) {
        uint8_t byte = dice_8(guest->dice);

        mem_write(guest->mem, GUEST_CODE + dice_below(guest->dice, GUEST_CODE_BYTES), &byte, 1);
    }
}

void guest_run(struct guest *guest, uint64_t blocks)
{
    unsigned halts = 0;

    soft_vcpu_limit(guest->vcpu, blocks);
    for (;;) {
        enum engine_stop why = engine_soft.vcpu_run(guest->vcpu);

        guest_check_state(guest, why);
        check_mmu(guest);
        FUZZ_CHECK(why != ENGINE_STOP_ERROR && why != ENGINE_STOP_WAIT);
        if (guest->ended)
            return;
        write_between_runs(guest);
        if (why == ENGINE_STOP_HALT) {
            if (++halts > MAX_HALTS || !sleep_on(guest))
                return;
        } else if (guest->kicked && soft_vcpu_limited(guest->vcpu)) {
            guest->kicked = false;
        } else if (guest->reset_requested && ++halts <= MAX_HALTS) {
            guest->reset_requested = false;
            board_reset(guest->board);
            engine_soft.vcpu_reset(guest->vcpu, false);
            soft_vcpu_limit(guest->vcpu, blocks / 16);
        } else {
            return; /* the limit is reached, or a triple fault */
        }
    }
}

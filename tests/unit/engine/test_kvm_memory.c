/*
 * What the kvm engine makes of the slots: the view that the guest gets with A20 open and closed,
 * and the dirty logs, on made-up memory and with small guests on this host's KVM, be it a slow one.
 * Without /dev/kvm the latter skip.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "engine/kvm/internal.h"
#include "vcpu_rig.h"

#define LOW_BYTES  0xa0000
#define BIOS       0xf0000
#define BIOS_BYTES 0x10000
#define MAIN       0x100000
#define MAIN_BYTES (24 * MIB)
#define CODE       0x8000
#define GATE_PORT  0x92
#define SAY_PORT   0x80
#define MAX_NOTES  16

/* --- the view, of made-up slots --- */

static void expect_region(const struct kvm_view *view, const struct mem *mem, unsigned at,
                          struct kvm_region expected)
{
    const struct kvm_region *region = &view->regions[at];

    assert_true(at < view->count);
    assert_int_equal(region->base, expected.base);
    assert_int_equal(region->shows, expected.shows);
    assert_int_equal(region->size_bytes, expected.size_bytes);
    assert_int_equal(region->read_only, expected.read_only);
    assert_int_equal(region->logged, expected.logged);
    assert_ptr_equal(region->hva, mem_host(mem, expected.shows, expected.size_bytes, false));
}

static struct mem *make_slots(void)
{
    struct mem *mem = mem_create(NULL);

    assert_non_null(mem);
    assert_int_equal(mem_add_slot(mem, "low", 0, LOW_BYTES, MEM_SLOT_RAM), 0);
    assert_int_equal(mem_add_slot(mem, "bios", BIOS, BIOS_BYTES, MEM_SLOT_ROM), 0);
    assert_int_equal(mem_add_slot(mem, "main", MAIN, MAIN_BYTES, MEM_SLOT_RAM), 0);
    assert_int_equal(mem_dirty_log(mem, 0, true), 0);
    return mem;
}

static void open_gate_shows_each_slot_at_its_place(void **state)
{
    struct mem *mem = make_slots();
    struct kvm_view view;

    kvm_make_view(&view, mem, false);
    assert_int_equal(view.count, 4);
    expect_region(
        &view, mem, 0,
        (struct kvm_region){.base = 0, .shows = 0, .size_bytes = LOW_BYTES, .logged = true});
    expect_region(&view, mem, 1,
                  (struct kvm_region){
                      .base = BIOS, .shows = BIOS, .size_bytes = BIOS_BYTES, .read_only = true});
    expect_region(&view, mem, 2,
                  (struct kvm_region){.base = MAIN, .shows = MAIN, .size_bytes = MIB});
    expect_region(
        &view, mem, 3,
        (struct kvm_region){.base = 2 * MIB, .shows = 2 * MIB, .size_bytes = MAIN_BYTES - MIB});
    mem_destroy(mem);
}

static void closed_gate_shows_the_first_megabyte_twice(void **state)
{
    struct mem *mem = make_slots();
    struct kvm_view view;

    kvm_make_view(&view, mem, true);
    assert_int_equal(view.count, 5);
    expect_region(
        &view, mem, 0,
        (struct kvm_region){.base = 0, .shows = 0, .size_bytes = LOW_BYTES, .logged = true});
    expect_region(
        &view, mem, 1,
        (struct kvm_region){.base = MAIN, .shows = 0, .size_bytes = LOW_BYTES, .logged = true});
    expect_region(&view, mem, 2,
                  (struct kvm_region){
                      .base = BIOS, .shows = BIOS, .size_bytes = BIOS_BYTES, .read_only = true});
    expect_region(
        &view, mem, 3,
        (struct kvm_region){
            .base = BIOS + MIB, .shows = BIOS, .size_bytes = BIOS_BYTES, .read_only = true});
    expect_region(
        &view, mem, 4,
        (struct kvm_region){.base = 2 * MIB, .shows = 2 * MIB, .size_bytes = MAIN_BYTES - MIB});
    mem_destroy(mem);
}

/* One slot over both lines, and one whose end is that of all addresses. */
static void slots_are_cut_where_the_gate_acts(void **state)
{
    struct mem *mem = mem_create(NULL);
    const gpa_t top = UINT64_MAX - PAGE_SIZE + 1;
    struct kvm_view view;

    assert_non_null(mem);
    assert_int_equal(mem_add_slot(mem, "all", PAGE_SIZE, 3 * MIB, MEM_SLOT_RAM), 0);
    assert_int_equal(mem_add_slot(mem, "top", top, PAGE_SIZE, MEM_SLOT_RAM), 0);
    for (unsigned closed = 0; closed < 2; closed++) {
        kvm_make_view(&view, mem, closed);
        assert_int_equal(view.count, 4);
        expect_region(&view, mem, 0,
                      (struct kvm_region){
                          .base = PAGE_SIZE, .shows = PAGE_SIZE, .size_bytes = MIB - PAGE_SIZE});
        expect_region(&view, mem, 1,
                      closed ? (struct kvm_region){.base = MIB + PAGE_SIZE,
                                                   .shows = PAGE_SIZE,
                                                   .size_bytes = MIB - PAGE_SIZE}
                             : (struct kvm_region){.base = MIB, .shows = MIB, .size_bytes = MIB});
        expect_region(
            &view, mem, 2,
            (struct kvm_region){.base = 2 * MIB, .shows = 2 * MIB, .size_bytes = MIB + PAGE_SIZE});
        expect_region(&view, mem, 3,
                      (struct kvm_region){.base = top, .shows = top, .size_bytes = PAGE_SIZE});
    }
    mem_destroy(mem);
}

/* --- guests --- */

/* w, r: MMIO; o: a port */
struct note {
    char what;
    uint64_t address, value;
};

struct rig {
    struct vcpu_rig base;
    bool gate_open;
    struct note notes[MAX_NOTES];
    unsigned count;
};

static void note(struct rig *rig, char what, uint64_t address, uint64_t value)
{
    assert_true(rig->count < MAX_NOTES);
    rig->notes[rig->count++] = (struct note){what, address, value};
}

static void expect_note(const struct rig *rig, unsigned at, char what, uint64_t address,
                        uint64_t value)
{
    assert_true(at < rig->count);
    assert_int_equal(rig->notes[at].what, what);
    assert_int_equal(rig->notes[at].address, address);
    assert_int_equal(rig->notes[at].value, value);
}

static void set_gate(struct rig *rig, bool open)
{
    rig->gate_open = open;
    rig->base.engine->vcpu_flush(rig->base.vcpu);
}

static void port_write(void *opaque, uint16_t port, unsigned width, uint32_t value)
{
    if (port == GATE_PORT)
        set_gate(opaque, value & 2);
    else
        note(opaque, 'o', port, value);
}

static uint64_t mmio_read(void *opaque, gpa_t gpa, unsigned width)
{
    note(opaque, 'r', gpa, 0);
    return 0xa5a5a5a5;
}

static void mmio_write(void *opaque, gpa_t gpa, unsigned width, uint64_t value)
{
    note(opaque, 'w', gpa, value);
}

static uint64_t a20_mask(void *opaque)
{
    return ((struct rig *)opaque)->gate_open ? UINT64_MAX : ~BIT(20);
}

/* What can differ; what is expected of KVM is the soft engine's behaviour, too. */
enum logger { SOFT, RINGS, BITMAPS, BEST, LOGGERS };

static const enum engine_dirty_log logs[LOGGERS] = {
    [RINGS] = ENGINE_DIRTY_LOG_RING, [BITMAPS] = ENGINE_DIRTY_LOG_BITMAP};

static void rig_init(struct rig *rig, enum logger logger)
{
    const struct engine *engine = logger == SOFT ? &engine_soft : &engine_kvm;
    struct engine_host host = quiet_host(rig);
    const uint32_t rom = 0x1234abcd;

    if (engine == &engine_kvm && access("/dev/kvm", R_OK | W_OK) != 0) {
        print_message("this host has no /dev/kvm for us\n");
        skip();
    }
    *rig = (struct rig){.gate_open = true};
    host.port_write = port_write;
    host.mmio_read = mmio_read;
    host.mmio_write = mmio_write;
    host.a20_mask = a20_mask;
    vcpu_rig_init(&rig->base, engine, "x86-64-v1");
    rig->base.dirty_log = logs[logger];
    vcpu_rig_add_ram(&rig->base, 0, LOW_BYTES);
    vcpu_rig_add_ram(&rig->base, MAIN, MAIN_BYTES);
    assert_int_equal(mem_add_slot(rig->base.mem, "bios", BIOS, BIOS_BYTES, MEM_SLOT_ROM), 0);
    mem_rom_load(rig->base.mem, BIOS, &rom, sizeof(rom));
    vcpu_rig_start(&rig->base, engine == &engine_kvm ? MMU_HOST : MMU_EPT, &host, 0);
}

static void rig_fini(struct rig *rig)
{
    vcpu_rig_fini(&rig->base);
}

#define GUEST(name, mode, code)                                                                    \
    __asm__(".pushsection .rodata; .code" mode "; guest_" #name ":" code "guest_" #name            \
            "_end: .code64; .popsection");                                                         \
    extern const uint8_t guest_##name[], guest_##name##_end[]

#define CLOSE_GATE "mov $0, %al; out %al, $0x92;"
#define OPEN_GATE  "mov $2, %al; out %al, $0x92;"
#define SAY        "out %eax, $0x80;"

/* Real mode: FFFF:0510 is 100500h, or 500h. */
GUEST(wrap, "16",
      "mov $0xffff, %ax; mov %ax, %ds; movl $0x11111111, 0x510;" CLOSE_GATE
      "movl $0x22222222, 0x510; mov 0x510, %eax;" SAY OPEN_GATE "mov 0x510, %eax;" SAY "hlt;");

/* Protected mode reaches the rest: the BIOS, the hole below it, and what the gate leaves alone. */
GUEST(second_megabyte, "32",
      CLOSE_GATE "mov 0x1f0000, %eax;" SAY "mov 0x1a0010, %eax;" SAY
                 "movl $0x5555, 0x1b0020; movl $0x77, 0x200500; mov 0x200500, %eax;" SAY OPEN_GATE
                 "mov 0x1a0010, %eax;" SAY "hlt;");
GUEST(rom, "32", CLOSE_GATE "movl $0x99, 0x1f0000; mov 0x1f0000, %eax;" SAY "hlt;");

/* One page of each kind is written: 3000h by its own name, 5000h by the other; 102000h before. */
GUEST(alias, "32",
      "mov $1, %eax; mov %eax, 0x102000;" CLOSE_GATE
      "mov $0x31, %al; mov %eax, 0x3000; mov %eax, 0x105000; mov %eax, 0x201000; hlt;");
/* Every page of the main slot. */
GUEST(fill, "32",
      "mov $0x100000, %edi; 1: incl (%edi); add $0x1000, %edi; cmp $0x1900000, %edi; jb 1b; hlt;");
GUEST(read_high, "16", "mov $0xffff, %ax; mov %ax, %ds; mov 0x510, %eax;" SAY "hlt;");

enum mode { REAL, PROTECTED };

static void load(struct rig *rig, enum mode mode, const uint8_t *code, const uint8_t *end)
{
    const uint32_t both = X86_SEG_P | X86_SEG_S | X86_SEG_ACCESSED | X86_SEG_G | X86_SEG_DB;
    struct x86_state state;

    assert_true(mem_write(rig->base.mem, CODE, code, (size_t)(end - code)));
    rig->base.engine->vcpu_get_state(rig->base.vcpu, &state);
    state.seg[X86_CS].base = 0;
    state.seg[X86_CS].selector = 0;
    if (mode == PROTECTED) {
        state.cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE;
        for (unsigned seg = 0; seg < X86_SEGS; seg++)
            state.seg[seg] = (struct x86_segment){0, UINT32_MAX, 16, both | X86_SEG_WRITE};
        state.seg[X86_CS] =
            (struct x86_segment){0, UINT32_MAX, 8, both | X86_SEG_CODE | X86_SEG_READ};
    }
    state.gpr[X86_RIP] = CODE;
    rig->base.engine->vcpu_set_state(rig->base.vcpu, &state);
}

static void run(struct rig *rig, enum mode mode, const uint8_t *code, const uint8_t *end)
{
    enum engine_stop stop;

    load(rig, mode, code, end);
    do {
        stop = rig->base.engine->vcpu_run(rig->base.vcpu);
    } while (stop == ENGINE_STOP_KICK);
    if (stop == ENGINE_STOP_ERROR)
        print_message("%s\n", rig->base.engine->vcpu_error(rig->base.vcpu));
    assert_int_equal(stop, ENGINE_STOP_HALT);
}

#define RUN(rig, mode, name) run(rig, mode, guest_##name, guest_##name##_end)

static void real_mode_wraps_while_the_gate_is_closed(void **state)
{
    for (enum logger logger = SOFT; logger <= RINGS; logger++) {
        struct rig rig;

        rig_init(&rig, logger);
        RUN(&rig, REAL, wrap);
        assert_int_equal(mem_read32(rig.base.mem, 0x500), 0x22222222);
        assert_int_equal(mem_read32(rig.base.mem, 0x100500), 0x11111111);
        assert_int_equal(rig.count, 2);
        expect_note(&rig, 0, 'o', SAY_PORT, 0x22222222);
        expect_note(&rig, 1, 'o', SAY_PORT, 0x11111111);
        rig_fini(&rig);
    }
}

static void devices_and_rom_are_seen_twice(void **state)
{
    for (enum logger logger = SOFT; logger <= RINGS; logger++) {
        struct rig rig;

        rig_init(&rig, logger);
        RUN(&rig, PROTECTED, second_megabyte);
        assert_int_equal(mem_read32(rig.base.mem, 0x200500), 0x77);
        assert_int_equal(rig.count, 6);
        expect_note(&rig, 0, 'o', SAY_PORT, 0x1234abcd);
        expect_note(&rig, 1, 'r', 0xa0010, 0);
        expect_note(&rig, 2, 'o', SAY_PORT, 0xa5a5a5a5);
        expect_note(&rig, 3, 'w', 0xb0020, 0x5555);
        expect_note(&rig, 4, 'o', SAY_PORT, 0x77);
        expect_note(&rig, 5, 'o', SAY_PORT, 0);
        rig_fini(&rig);
    }
}

/* KVM gives the write to the monitor, whose bus has nothing at the BIOS's address. */
static void rom_stays_so_by_its_other_name(void **state)
{
    struct rig rig;

    rig_init(&rig, RINGS);
    RUN(&rig, PROTECTED, rom);
    assert_int_equal(rig.count, 2);
    expect_note(&rig, 0, 'w', BIOS, 0x99);
    expect_note(&rig, 1, 'o', SAY_PORT, 0x1234abcd);
    rig_fini(&rig);
}

/* A debugger sees what the guest sees. */
static void debugger_looks_through_the_gate(void **state)
{
    struct rig rig;
    uint32_t value = 0;

    rig_init(&rig, RINGS);
    RUN(&rig, PROTECTED, alias); /* ends with a closed gate and 31h at 5000h */
    assert_true(engine_kvm.vcpu_read_gva(rig.base.vcpu, 0x105000, &value, sizeof(value)));
    assert_int_equal(value, 0x31);
    rig_fini(&rig);
}

/* The board's reset opens the gate before it resets the processor, which must not forget it. */
static void reset_opens_the_gate(void **state)
{
    struct rig rig;
    const uint32_t low = 0x1010, high = 0x2020;

    rig_init(&rig, RINGS);
    mem_write(rig.base.mem, 0x500, &low, sizeof(low));
    mem_write(rig.base.mem, 0x100500, &high, sizeof(high));
    set_gate(&rig, false);
    RUN(&rig, REAL, read_high);
    set_gate(&rig, true);
    engine_kvm.vcpu_reset(rig.base.vcpu, false);
    RUN(&rig, REAL, read_high);
    expect_note(&rig, 0, 'o', SAY_PORT, low);
    expect_note(&rig, 1, 'o', SAY_PORT, high);
    rig_fini(&rig);
}

/* --- dirty logs --- */

#define NO_MORE UINT64_MAX

/* The set bits of a slot's log are these pages, in rising order, then NO_MORE. */
static void expect_pages(gpa_t base, const uint64_t *bits, size_t words, const gpa_t *pages)
{
    for (size_t i = 0; i < words * 64; i++) {
        if (bits[i / 64] & BIT(i % 64))
            assert_int_equal(base + i * PAGE_SIZE, *pages++);
    }
    assert_int_equal(*pages, NO_MORE);
}

static void expect_dirty(struct rig *rig, gpa_t base, const gpa_t *pages)
{
    uint64_t bits[MAIN_BYTES / PAGE_SIZE / 64] = {0};

    assert_int_equal(mmu_dirty_fetch(rig->base.mmu, base, bits, ARRAY_SIZE(bits)), 0);
    expect_pages(base, bits, ARRAY_SIZE(bits), pages);
}

#define EXPECT_DIRTY(rig, base, ...) expect_dirty(rig, base, (const gpa_t[]){__VA_ARGS__})

/*
 * A page's log is one, whichever address it was written by, and outlives the region that the gate
 * takes away.
 */
static void aliases_share_a_log(void **state)
{
    for (enum logger logger = SOFT; logger < LOGGERS; logger++) {
        struct rig rig;

        rig_init(&rig, logger);
        assert_int_equal(mmu_dirty_log(rig.base.mmu, 0, true), 0);
        assert_int_equal(mmu_dirty_log(rig.base.mmu, MAIN, true), 0);
        RUN(&rig, PROTECTED, alias);
        EXPECT_DIRTY(&rig, 0, 0x3000, 0x5000, CODE, NO_MORE);
        EXPECT_DIRTY(&rig, MAIN, 0x102000, 0x201000, NO_MORE);
        EXPECT_DIRTY(&rig, 0, NO_MORE);
        EXPECT_DIRTY(&rig, MAIN, NO_MORE);
        set_gate(&rig, true);
        RUN(&rig, PROTECTED, alias);
        EXPECT_DIRTY(&rig, MAIN, 0x102000, 0x201000, NO_MORE);
        EXPECT_DIRTY(&rig, 0, 0x3000, 0x5000, CODE, NO_MORE);
        rig_fini(&rig);
    }
}

/* A log that begins anew does not hold what was written before, even if nobody has fetched it. */
static void restarted_log_is_empty(void **state)
{
    for (enum logger logger = SOFT; logger < LOGGERS; logger++) {
        struct rig rig;

        rig_init(&rig, logger);
        assert_int_equal(mmu_dirty_log(rig.base.mmu, MAIN, true), 0);
        RUN(&rig, PROTECTED, alias);
        assert_int_equal(mmu_dirty_log(rig.base.mmu, MAIN, true), 0);
        EXPECT_DIRTY(&rig, MAIN, NO_MORE);
        set_gate(&rig, true);
        RUN(&rig, PROTECTED, alias);
        assert_int_equal(mmu_dirty_log(rig.base.mmu, MAIN, false), 0);
        set_gate(&rig, true);
        RUN(&rig, PROTECTED, alias);
        assert_int_equal(mmu_dirty_log(rig.base.mmu, MAIN, true), 0);
        EXPECT_DIRTY(&rig, MAIN, NO_MORE);
        set_gate(&rig, true);
        RUN(&rig, PROTECTED, alias);
        EXPECT_DIRTY(&rig, MAIN, 0x102000, 0x201000, NO_MORE);
        rig_fini(&rig);
    }
}

/* What KVM has seen of one slot is not taken for another's that came in its place. */
static void writes_die_with_their_slot(void **state)
{
    const gpa_t other = 64 * MIB;

    for (enum logger logger = SOFT; logger < LOGGERS; logger++) {
        struct rig rig;

        rig_init(&rig, logger);
        assert_int_equal(mmu_dirty_log(rig.base.mmu, MAIN, true), 0);
        RUN(&rig, PROTECTED, alias);
        assert_int_equal(mem_remove_slot(rig.base.mem, MAIN), 0);
        assert_int_equal(mem_add_slot(rig.base.mem, "other", other, MAIN_BYTES, MEM_SLOT_RAM), 0);
        mmu_follow_slots(rig.base.mmu);
        assert_int_equal(mmu_dirty_log(rig.base.mmu, other, true), 0);
        EXPECT_DIRTY(&rig, other, NO_MORE);
        rig_fini(&rig);
    }
}

/*
 * More pages than a ring holds: it is emptied on the way, and its pages are logged again after. Not
 * with a KVM that overruns rings: it has none by itself, and one that it is told to use would make
 * the host's kernel warn.
 */
static void full_ring_is_emptied(void **state)
{
    for (enum logger logger = SOFT; logger < LOGGERS; logger++) {
        struct rig rig;
        const uint64_t *full;

        if (logger == RINGS)
            continue;
        rig_init(&rig, logger);
        full = &engine_kvm.vcpu_counters(rig.base.vcpu)->exits[EXIT_PML_FULL];
        if (logger == BEST && rig.base.vcpu->vm.dirty_ring.entries == 0)
            print_message("this host's KVM has no dirty ring, or none to trust\n");
        assert_int_equal(mmu_dirty_log(rig.base.mmu, MAIN, true), 0);
        for (unsigned round = 1; round < 3; round++) {
            uint64_t bits[MAIN_BYTES / PAGE_SIZE / 64];

            RUN(&rig, PROTECTED, fill);
            assert_int_equal(mmu_dirty_fetch(rig.base.mmu, MAIN, bits, ARRAY_SIZE(bits)), 0);
            for (unsigned i = 0; i < ARRAY_SIZE(bits); i++)
                assert_int_equal(bits[i], UINT64_MAX);
            EXPECT_DIRTY(&rig, MAIN, NO_MORE);
            if (logger == BEST && rig.base.vcpu->vm.dirty_ring.entries > 0)
                assert_true(*full >= round);
            if (logger == BITMAPS)
                assert_int_equal(*full, 0);
        }
        rig_fini(&rig);
    }
}

/* --- a ring that KVM has never seen --- */

#define ENTRIES 4

struct ring_rig {
    struct kvm_vm vm;
    struct kvm_dirty_gfn entry[ENTRIES];
};

/* Regions 1 (the main slot) and 3 (64 KiB of the low slot, seen at 1 MiB); no KVM behind them. */
static void ring_rig_init(struct ring_rig *rig)
{
    *rig = (struct ring_rig){.vm = {.fd = -1, .mem = make_slots()}};
    rig->vm.regions[1] = (struct kvm_region){.base = MAIN, .shows = MAIN, .size_bytes = MAIN_BYTES};
    rig->vm.regions[3] =
        (struct kvm_region){.base = MAIN, .shows = 0x10000, .size_bytes = 16 * PAGE_SIZE};
    rig->vm.dirty_ring = (struct kvm_dirty_ring){.entry = rig->entry, .entries = ENTRIES};
    assert_int_equal(mem_dirty_log(rig->vm.mem, MAIN, true), 0);
}

/* What KVM does: the page, then the flag. */
static void fill(struct ring_rig *rig, unsigned at, uint32_t number, uint64_t offset)
{
    rig->entry[at] = (struct kvm_dirty_gfn){KVM_DIRTY_GFN_F_DIRTY, number, offset};
}

static void expect_written(struct ring_rig *rig, gpa_t base, const gpa_t *pages)
{
    uint64_t bits[MAIN_BYTES / PAGE_SIZE / 64] = {0};

    assert_int_equal(mem_dirty_fetch(rig->vm.mem, base, bits, ARRAY_SIZE(bits)), 0);
    expect_pages(base, bits, ARRAY_SIZE(bits), pages);
}

#define EXPECT_WRITTEN(rig, base, ...) expect_written(rig, base, (const gpa_t[]){__VA_ARGS__})

static void ring_is_collected_up_to_the_first_empty_entry(void **state)
{
    struct ring_rig rig;

    ring_rig_init(&rig);
    assert_int_equal(kvm_dirty_ring_collect(&rig.vm), 0);
    fill(&rig, 0, 1, 7);
    fill(&rig, 1, 3, 2);
    fill(&rig, 3, 1, 9); /* behind a gap: not yet */
    assert_int_equal(kvm_dirty_ring_collect(&rig.vm), 2);
    EXPECT_WRITTEN(&rig, MAIN, MAIN + 7 * PAGE_SIZE, NO_MORE);
    EXPECT_WRITTEN(&rig, 0, 0x12000, NO_MORE);
    assert_int_equal(rig.entry[0].flags, KVM_DIRTY_GFN_F_RESET);
    assert_int_equal(rig.entry[1].flags, KVM_DIRTY_GFN_F_RESET);
    assert_int_equal(rig.entry[3].flags, KVM_DIRTY_GFN_F_DIRTY);
    assert_int_equal(rig.vm.dirty_ring.next, 2);
    mem_destroy(rig.vm.mem);
}

/* Around the end, and an entry that waits for its reset is not ours. */
static void ring_goes_round(void **state)
{
    struct ring_rig rig;

    ring_rig_init(&rig);
    rig.vm.dirty_ring.next = 2;
    fill(&rig, 2, 1, 2);
    fill(&rig, 3, 1, 3);
    fill(&rig, 0, 1, 0);
    assert_int_equal(kvm_dirty_ring_collect(&rig.vm), 3);
    assert_int_equal(kvm_dirty_ring_collect(&rig.vm), 0);
    assert_int_equal(rig.vm.dirty_ring.next, 1);
    EXPECT_WRITTEN(&rig, MAIN, MAIN, MAIN + 0x2000, MAIN + 0x3000, NO_MORE);
    rig.entry[1].flags = KVM_DIRTY_GFN_F_DIRTY | KVM_DIRTY_GFN_F_RESET;
    assert_int_equal(kvm_dirty_ring_collect(&rig.vm), 0);
    fill(&rig, 1, 1, 20); /* reset, and filled again */
    assert_int_equal(kvm_dirty_ring_collect(&rig.vm), 1);
    EXPECT_WRITTEN(&rig, MAIN, MAIN + 20 * PAGE_SIZE, NO_MORE);
    mem_destroy(rig.vm.mem);
}

/* Entries that lead nowhere are taken, and mark nothing: 2 is free, 1 << 16 another space's. */
static void alien_entries_mark_nothing(void **state)
{
    const struct kvm_dirty_gfn alien[] = {
        {0, 2, 0},
        {0, KVM_MAX_REGIONS, 1},
        {0, 32764, 0},
        {0, 1 << 16 | 1, 1},
        {0, 1, MAIN_BYTES / PAGE_SIZE},
        {0, 3, 16},
        {0, 1, UINT64_MAX},
        {0, UINT32_MAX, 0},
    };
    struct ring_rig rig;

    ring_rig_init(&rig);
    for (unsigned i = 0; i < ARRAY_SIZE(alien); i++) {
        fill(&rig, i % ENTRIES, alien[i].slot, alien[i].offset);
        assert_int_equal(kvm_dirty_ring_collect(&rig.vm), 1);
    }
    EXPECT_WRITTEN(&rig, MAIN, NO_MORE);
    EXPECT_WRITTEN(&rig, 0, NO_MORE);
    mem_destroy(rig.vm.mem);
}

/* Without an empty entry, what was overwritten is not known: all that is logged was written. */
static void overrun_ring_loses_no_write(void **state)
{
    struct ring_rig rig;

    ring_rig_init(&rig);
    rig.vm.regions[3].logged = true;
    for (unsigned i = 0; i < ENTRIES; i++)
        fill(&rig, i, 1, i);
    assert_int_equal(kvm_dirty_ring_harvest(&rig.vm), -ENOBUFS);
    EXPECT_WRITTEN(&rig, MAIN, MAIN, MAIN + 0x1000, MAIN + 0x2000, MAIN + 0x3000, NO_MORE);
    for (unsigned i = 0; i < 2; i++) { /* from now on */
        EXPECT_WRITTEN(&rig, 0, 0x10000, 0x11000, 0x12000, 0x13000, 0x14000, 0x15000, 0x16000,
                       0x17000, 0x18000, 0x19000, 0x1a000, 0x1b000, 0x1c000, 0x1d000, 0x1e000,
                       0x1f000, NO_MORE);
        assert_int_equal(kvm_dirty_ring_harvest(&rig.vm), -ENOBUFS);
    }
    mem_destroy(rig.vm.mem);
}

/* Where KVM does not answer, all of the slot counts as written. */
static void silence_loses_no_write(void **state)
{
    struct ring_rig rig;
    uint64_t bits[MAIN_BYTES / PAGE_SIZE / 64] = {0};

    ring_rig_init(&rig);
    for (unsigned ring = 0; ring < 2; ring++) {
        rig.vm.dirty_ring.entries = ring ? ENTRIES : 0;
        rig.vm.regions[1].logged = true;
        fill(&rig, 0, 1, 1);
        assert_int_equal(kvm_dirty_sync(&rig.vm, MAIN), -EBADF);
        assert_int_equal(mem_dirty_fetch(rig.vm.mem, MAIN, bits, ARRAY_SIZE(bits)), 0);
        for (unsigned i = 0; i < ARRAY_SIZE(bits); i++)
            assert_int_equal(bits[i], UINT64_MAX);
    }
    rig.vm.regions[1].logged = false; /* KVM had refused to log it */
    assert_int_equal(kvm_dirty_sync(&rig.vm, MAIN), -ENOENT);
    assert_int_equal(mem_dirty_fetch(rig.vm.mem, MAIN, bits, ARRAY_SIZE(bits)), 0);
    assert_int_equal(bits[0], UINT64_MAX);
    assert_int_equal(kvm_dirty_sync(&rig.vm, MAIN + PAGE_SIZE), -ENOENT);
    mem_destroy(rig.vm.mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_gate_shows_each_slot_at_its_place),
        cmocka_unit_test(closed_gate_shows_the_first_megabyte_twice),
        cmocka_unit_test(slots_are_cut_where_the_gate_acts),
        cmocka_unit_test(real_mode_wraps_while_the_gate_is_closed),
        cmocka_unit_test(devices_and_rom_are_seen_twice),
        cmocka_unit_test(rom_stays_so_by_its_other_name),
        cmocka_unit_test(debugger_looks_through_the_gate),
        cmocka_unit_test(reset_opens_the_gate),
        cmocka_unit_test(aliases_share_a_log),
        cmocka_unit_test(restarted_log_is_empty),
        cmocka_unit_test(writes_die_with_their_slot),
        cmocka_unit_test(full_ring_is_emptied),
        cmocka_unit_test(ring_is_collected_up_to_the_first_empty_entry),
        cmocka_unit_test(ring_goes_round),
        cmocka_unit_test(alien_entries_mark_nothing),
        cmocka_unit_test(overrun_ring_loses_no_write),
        cmocka_unit_test(silence_loses_no_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

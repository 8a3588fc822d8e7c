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
#define MAIN_BYTES (3 * MIB)
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

static void rig_init(struct rig *rig, const struct engine *engine)
{
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

/* Runs the test with either engine: what is expected is the soft one's behaviour, too. */
static const struct engine *engine_of(unsigned i)
{
    return i == 0 ? &engine_soft : &engine_kvm;
}

static void real_mode_wraps_while_the_gate_is_closed(void **state)
{
    for (unsigned i = 0; i < 2; i++) {
        struct rig rig;

        rig_init(&rig, engine_of(i));
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
    for (unsigned i = 0; i < 2; i++) {
        struct rig rig;

        rig_init(&rig, engine_of(i));
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

    rig_init(&rig, &engine_kvm);
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

    rig_init(&rig, &engine_kvm);
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

    rig_init(&rig, &engine_kvm);
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

/* Fetches the log of the slot at base: these pages are in it, in rising order, then NO_MORE. */
static void expect_dirty(struct rig *rig, gpa_t base, const gpa_t *pages)
{
    uint64_t bits[MAIN_BYTES / PAGE_SIZE / 64] = {0};

    assert_int_equal(mmu_dirty_fetch(rig->base.mmu, base, bits, ARRAY_SIZE(bits)), 0);
    for (unsigned i = 0; i < ARRAY_SIZE(bits) * 64; i++) {
        if (bits[i / 64] & BIT(i % 64))
            assert_int_equal(base + i * PAGE_SIZE, *pages++);
    }
    assert_int_equal(*pages, NO_MORE);
}

#define EXPECT_DIRTY(rig, base, ...) expect_dirty(rig, base, (const gpa_t[]){__VA_ARGS__})

/*
 * A page's log is one, whichever address it was written by, and outlives the region that the gate
 * takes away.
 */
static void aliases_share_a_log(void **state)
{
    for (unsigned i = 0; i < 2; i++) {
        struct rig rig;

        rig_init(&rig, engine_of(i));
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

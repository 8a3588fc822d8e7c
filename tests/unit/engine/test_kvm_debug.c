/*
 * Debugging under the kvm engine: which register holds what and what a debug exception means, with
 * made-up values; and, where there is a /dev/kvm, real guests in real mode, which every KVM runs.
 * A KVM that emulates instructions does not see watchpoints; whether it does is asked first.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/kvm/internal.h"
#include "vcpu_rig.h"

#define MEMORY_BYTES 0x20000u
#define CODE         0x1000u
#define STACK        0x8000u
#define HANDLERS     0x9000u /* 16 bytes a vector, a HLT each */
#define HANDLER(v)   (HANDLERS + 16 * (v))
#define DATA         0xa000u
#define DR6_NONE     0xffff0ff0u

/* --- made-up values --- */

static void expect_slot(const struct kvm_debug_slot *slot, enum kvm_debug_use use, unsigned number,
                        gva_t address, uint8_t kind)
{
    assert_int_equal(slot->use, use);
    assert_int_equal(slot->number, number);
    assert_int_equal(slot->address, address);
    assert_int_equal(slot->kind, kind);
}

/* A watchpoint takes the fewest aligned pieces; the R/W and LEN bits are those of DR7. */
static void places_points(void **state)
{
    const struct engine_debug debug = {
        .breakpoints = 2,
        .breakpoint = {0x1234, 0x1234}, /* gdb's software and hardware one */
        .watchpoints = 2,
        .watchpoint = {{0x2004, 8, false, true}, {0x3000, 8, true, true}},
    };
    struct kvm_debug_slot slots[KVM_DEBUG_REGISTERS];
    struct kvm_guest_debug told = {0};

    assert_int_equal(kvm_debug_place(&debug, true, slots, 0), 4);
    expect_slot(&slots[0], KVM_SLOT_BREAKPOINT, 0, 0x1234, 0x0);
    expect_slot(&slots[1], KVM_SLOT_WATCHPOINT, 0, 0x2004, 0xd);
    expect_slot(&slots[2], KVM_SLOT_WATCHPOINT, 0, 0x2008, 0xd);
    expect_slot(&slots[3], KVM_SLOT_WATCHPOINT, 1, 0x3000, 0xb);
    kvm_debug_write(&told, slots, 4);
    assert_int_equal(told.control, KVM_GUESTDBG_USE_HW_BP);
    assert_int_equal(told.arch.debugreg[2], 0x2008);
    assert_int_equal(told.arch.debugreg[7], 0xbdd006aa);
}

static void refuses_too_much(void **state)
{
    static const struct {
        gva_t start;
        uint64_t bytes;
        bool fits;
    } cases[] = {
        {0x1000, 32, true},     {0x1000, 33, false}, {0x1001, 7, true},
        {0x1001, 31, false},    {0x1003, 6, true},   {0xfffffffffffffff8, 8, true},
        {0, UINT64_MAX, false},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct engine_debug debug = {
            .watchpoints = 1,
            .watchpoint = {{cases[i].start, cases[i].bytes, false, true}},
        };
        struct kvm_debug_slot slots[KVM_DEBUG_REGISTERS];

        assert_int_equal(kvm_debug_place(&debug, true, slots, 0) <= KVM_DEBUG_REGISTERS,
                         cases[i].fits);
    }
}

/* The guest's own breakpoints get what is left, by their L or G bit. */
static void guests_registers_share(void **state)
{
    const struct engine_debug debug = {.breakpoints = 2, .breakpoint = {1, 2}};
    const struct kvm_debugregs guests = {.db = {0x10, 0x20, 0x30, 0x40},
                                         .dr7 = BIT(2) | BIT(5) | BIT(6) | 0xdull << 20};
    struct kvm_debug_slot slots[KVM_DEBUG_REGISTERS] = {0};
    unsigned used = kvm_debug_place(&debug, true, slots, 0);

    assert_int_equal(kvm_debug_place_guest(&guests, slots, used), 4);
    expect_slot(&slots[2], KVM_SLOT_GUEST, 1, 0x20, 0xd);
    expect_slot(&slots[3], KVM_SLOT_GUEST, 2, 0x30, 0x0);
    assert_null(kvm_debug_guest_at(slots, 0x20)); /* not a breakpoint */
    assert_ptr_equal(kvm_debug_guest_at(slots, 0x30), &slots[3]);
}

static void judges_exits(void **state)
{
    const struct kvm_debug_slot slots[KVM_DEBUG_REGISTERS] = {
        {KVM_SLOT_BREAKPOINT, 0, 0x1000, 0x0},
        {KVM_SLOT_WATCHPOINT, 5, 0x2000, 0x1},
        {KVM_SLOT_HANDLER, 14, 0x3000, 0x0},
        {KVM_SLOT_GUEST, 2, 0x1000, 0x0},
    };
    static const struct {
        uint64_t dr6;
        bool stepping;
        int watched, handler, breakpoint; /* the slot, or -1 */
        bool stepped, guests;
        uint64_t bits;
    } cases[] = {
        {BIT(0), false, -1, -1, 0, false, false, 0},
        {BIT(1), false, 1, -1, -1, false, false, 0},
        {BIT(2), true, -1, 2, -1, false, false, 0},
        {BIT(3), false, -1, -1, -1, false, true, BIT(2)},
        {BIT(0) | BIT(3), false, -1, -1, 0, false, false, 0}, /* the debugger comes first */
        {X86_DR6_BS, true, -1, -1, -1, true, false, 0},
        {X86_DR6_BS, false, -1, -1, -1, false, true, X86_DR6_BS}, /* the guest's TF */
        {X86_DR6_BS | BIT(1), true, 1, -1, -1, true, false, 0},
        {X86_DR6_BD, false, -1, -1, -1, false, true, X86_DR6_BD},
        {0, false, -1, -1, -1, false, true, 0}, /* INT1 */
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct kvm_debug_exit_arch exit = {.dr6 = DR6_NONE | cases[i].dr6, .exception = 1};
        struct kvm_debug_finding finding;

        kvm_debug_judge(&exit, slots, cases[i].stepping, &finding);
        assert_ptr_equal(finding.watched, cases[i].watched < 0 ? NULL : &slots[cases[i].watched]);
        assert_ptr_equal(finding.handler, cases[i].handler < 0 ? NULL : &slots[cases[i].handler]);
        assert_ptr_equal(finding.breakpoint,
                         cases[i].breakpoint < 0 ? NULL : &slots[cases[i].breakpoint]);
        assert_int_equal(finding.stepped, cases[i].stepped);
        assert_int_equal(finding.guests, cases[i].guests);
        assert_int_equal(finding.guest_bits, cases[i].bits);
    }
}

/* DR6 may tell of registers that nobody has enabled. */
static void unused_registers_mean_nothing(void **state)
{
    const struct kvm_debug_slot slots[KVM_DEBUG_REGISTERS] = {{KVM_SLOT_BREAKPOINT, 0, 1, 0}};
    const struct kvm_debug_exit_arch exit = {.dr6 = DR6_NONE | BIT(2) | X86_DR6_BS};
    struct kvm_debug_finding finding;

    kvm_debug_judge(&exit, slots, true, &finding);
    assert_true(finding.stepped);
    assert_false(finding.guests || finding.watched || finding.breakpoint || finding.handler);
}

/* --- real guests --- */

struct rig {
    struct vcpu_rig base;
    struct x86_state state;
    int vector;
};

static int interrupt_acknowledge(void *opaque, unsigned vcpu)
{
    struct rig *rig = opaque;

    engine_kvm.vcpu_set_intr(rig->base.vcpu, false);
    return rig->vector;
}

static int setup(void **state)
{
    struct rig *rig;
    struct engine_host host;
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

    *state = NULL;
    if (fd < 0)
        return 0;
    close(fd);
    rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    host = quiet_host(rig);
    host.interrupt_acknowledge = interrupt_acknowledge;
    vcpu_rig_init(&rig->base, &engine_kvm, "x86-64-v1");
    vcpu_rig_add_ram(&rig->base, 0, MEMORY_BYTES);
    vcpu_rig_start(&rig->base, MMU_HOST, &host, 0);
    for (unsigned vector = 0; vector < 64; vector++) {
        const uint16_t entry[2] = {(uint16_t)HANDLER(vector), 0};
        const uint8_t hlt = 0xf4;

        mem_write(rig->base.mem, 4 * vector, entry, sizeof(entry));
        mem_write(rig->base.mem, HANDLER(vector), &hlt, 1);
    }
    engine_kvm.vcpu_get_state(rig->base.vcpu, &rig->state);
    rig->state.seg[X86_CS].selector = 0;
    rig->state.seg[X86_CS].base = 0;
    rig->state.gpr[X86_RSP] = STACK;
    rig->state.gpr[X86_RIP] = CODE;
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    if (rig)
        vcpu_rig_fini(&rig->base);
    free(rig);
    return 0;
}

static struct rig *need(void **state)
{
    if (!*state) {
        print_message("this host has no /dev/kvm\n");
        skip();
    }
    return *state;
}

#define RIP(rig)             ((rig)->state.gpr[X86_RIP])
#define PUT(rig, gpa, bytes) mem_write((rig)->base.mem, gpa, bytes, sizeof(bytes) - 1)

static void start(struct rig *rig)
{
    engine_kvm.vcpu_set_state(rig->base.vcpu, &rig->state);
}

static enum engine_stop go(struct rig *rig, const struct engine_debug *debug)
{
    enum engine_stop why;

    assert_int_equal(engine_kvm.vcpu_debug_check(rig->base.vcpu, debug), 0);
    engine_kvm.vcpu_debug(rig->base.vcpu, debug);
    why = engine_kvm.vcpu_run(rig->base.vcpu);
    if (why == ENGINE_STOP_ERROR)
        print_message("%s\n", engine_kvm.vcpu_error(rig->base.vcpu));
    engine_kvm.vcpu_get_state(rig->base.vcpu, &rig->state);
    return why;
}

static void stops(struct rig *rig, const struct engine_debug *debug,
                  enum engine_debug_reason reason, gva_t address)
{
    struct engine_debug_stop stop;

    assert_int_equal(go(rig, debug), ENGINE_STOP_DEBUG);
    engine_kvm.vcpu_debug_stop(rig->base.vcpu, &stop);
    assert_int_equal(stop.reason, reason);
    assert_int_equal(stop.address, address);
    if (reason != ENGINE_DEBUG_WATCHPOINT)
        assert_int_equal(RIP(rig), address);
}

static void step(struct rig *rig, gva_t to)
{
    stops(rig,
          &(struct engine_debug){.single_step = true, .hold_interrupts = true, .pass_first = true},
          ENGINE_DEBUG_STEP, to);
}

static uint16_t pushed(struct rig *rig, unsigned word)
{
    return mem_read16(rig->base.mem, (rig->state.gpr[X86_RSP] & 0xffff) + 2 * word);
}

static void breakpoint_stops_and_is_passed(void **state)
{
    struct rig *rig = need(state);
    struct engine_debug debug = {.breakpoints = 2, .breakpoint = {CODE + 2, CODE + 5}};

    PUT(rig, CODE, "\x40\x40\x40\xeb\xfb\xf4"); /* 1: inc ax (3 times); jmp 1b; hlt */
    start(rig);
    stops(rig, &debug, ENGINE_DEBUG_BREAKPOINT, CODE + 2);
    stops(rig, &debug, ENGINE_DEBUG_BREAKPOINT, CODE + 2); /* nobody asked to pass it */
    assert_int_equal(rig->state.gpr[X86_RAX], 2);
    debug.pass_first = true;
    stops(rig, &debug, ENGINE_DEBUG_BREAKPOINT, CODE + 2);
    assert_int_equal(rig->state.gpr[X86_RAX], 5);
    RIP(rig) = CODE + 5;
    start(rig);
    assert_int_equal(go(rig, &(struct engine_debug){0}), ENGINE_STOP_HALT);
    assert_int_equal(RIP(rig), CODE + 6);
}

/* A single step arrives at a breakpoint of its own instruction, unless it is to pass it. */
static void step_at_a_breakpoint(void **state)
{
    struct rig *rig = need(state);
    struct engine_debug debug = {.breakpoints = 1, .breakpoint = {CODE}, .single_step = true};

    PUT(rig, CODE, "\x90\x90\xf4");
    start(rig);
    stops(rig, &debug, ENGINE_DEBUG_BREAKPOINT, CODE);
    debug.pass_first = true;
    stops(rig, &debug, ENGINE_DEBUG_STEP, CODE + 1);
}

/* Needs no breakpoint registers: tests/kvm/nested.py runs it where the processor has none. */
static void trap_flag_is_not_seen(void **state)
{
    struct rig *rig = need(state);

    /* pushf; pop bx; in al, 10h; push cx; popf; nop; pushf; hlt */
    PUT(rig, CODE, "\x9c\x5b\xe4\x10\x51\x9d\x90\x9c\xf4");
    rig->state.gpr[X86_RCX] = X86_FLAG_CF;
    start(rig);
    step(rig, CODE + 1);
    step(rig, CODE + 2);
    assert_false(rig->state.gpr[X86_RBX] & (X86_FLAG_TF | X86_FLAG_RF));
    step(rig, CODE + 4);
    step(rig, CODE + 5);
    step(rig, CODE + 6);
    assert_false(rig->state.rflags & X86_FLAG_TF);
    step(rig, CODE + 7);
    assert_int_equal(go(rig, &(struct engine_debug){0}), ENGINE_STOP_HALT);
    assert_int_equal(RIP(rig), CODE + 9);
    assert_int_equal(pushed(rig, 0) & (X86_FLAG_TF | X86_FLAG_CF), X86_FLAG_CF);
}

static void step_into_an_interrupt_of_software(void **state)
{
    struct rig *rig = need(state);

    PUT(rig, CODE, "\xcd\x21"); /* int 21h */
    start(rig);
    step(rig, HANDLER(0x21));
    assert_int_equal(pushed(rig, 0), CODE + 2);
    assert_false(pushed(rig, 2) & X86_FLAG_TF);
    assert_false(rig->state.rflags & X86_FLAG_TF);
    assert_int_equal(go(rig, &(struct engine_debug){0}), ENGINE_STOP_HALT);
    assert_int_equal(RIP(rig), HANDLER(0x21) + 1);
}

static void step_into_a_fault(void **state)
{
    struct rig *rig = need(state);

    PUT(rig, CODE, "\x0f\x0b"); /* ud2 */
    start(rig);
    step(rig, HANDLER(X86_UD));
    assert_int_equal(pushed(rig, 0), CODE);
    assert_false(pushed(rig, 2) & X86_FLAG_TF);
}

/* Interrupts are held, or taken: then a step ends at the handler. */
static void steps_and_interrupts(void **state)
{
    struct rig *rig = need(state);

    PUT(rig, CODE, "\xfb\x90\x90\x90\xf4"); /* sti; nop (3 times); hlt */
    rig->vector = 0x20;
    start(rig);
    engine_kvm.vcpu_set_intr(rig->base.vcpu, true);
    step(rig, CODE + 1);
    step(rig, CODE + 2);
    step(rig, CODE + 3);
    for (unsigned i = 0; RIP(rig) != HANDLER(0x20) && i < 2; i++)
        assert_int_equal(go(rig, &(struct engine_debug){.single_step = true}), ENGINE_STOP_DEBUG);
    assert_int_equal(RIP(rig), HANDLER(0x20));
    assert_in_range(pushed(rig, 0), CODE + 3, CODE + 4);
    assert_false(pushed(rig, 2) & X86_FLAG_TF);
}

static void halted_processor_stays_so(void **state)
{
    struct rig *rig = need(state);

    PUT(rig, CODE, "\xf4\x40\xf4"); /* hlt; inc ax; hlt */
    start(rig);
    assert_int_equal(go(rig, &(struct engine_debug){0}), ENGINE_STOP_HALT);
    rig->state.gpr[X86_RAX] = 7;
    start(rig);
    assert_int_equal(go(rig, &(struct engine_debug){0}), ENGINE_STOP_HALT);
    assert_int_equal(RIP(rig), CODE + 1);
    assert_int_equal(rig->state.gpr[X86_RAX], 7);
    RIP(rig) = CODE;
    start(rig);
    assert_int_equal(go(rig, &(struct engine_debug){0}), ENGINE_STOP_HALT);
    assert_int_equal(RIP(rig), CODE + 1);
}

/* The guest's own INT3 and TF reach it, with and without a debugger's breakpoint elsewhere. */
static void guest_debugs_itself(void **state)
{
    struct rig *rig = need(state);
    const struct engine_debug debug = {.breakpoints = 1, .breakpoint = {CODE + 0x80}};

    PUT(rig, CODE, "\xcc");
    start(rig);
    assert_int_equal(go(rig, &debug), ENGINE_STOP_HALT);
    assert_int_equal(RIP(rig), HANDLER(X86_BP) + 1);
    PUT(rig, CODE, "\x90\x90\xf4");
    RIP(rig) = CODE;
    rig->state.rflags |= X86_FLAG_TF;
    rig->state.dr[6] = DR6_NONE;
    start(rig);
    assert_int_equal(go(rig, &debug), ENGINE_STOP_HALT);
    assert_int_equal(RIP(rig), HANDLER(X86_DB) + 1);
    assert_int_equal(pushed(rig, 0), CODE + 1);
    assert_true(pushed(rig, 2) & X86_FLAG_TF);
    assert_true(rig->state.dr[6] & X86_DR6_BS);
}

/* Whether this KVM sees what instructions access; one that emulates them does not. */
static void watchpoint_stops(void **state)
{
    struct rig *rig = need(state);
    const struct engine_debug debug = {
        .watchpoints = 2,
        .watchpoint = {{DATA + 8, 4, true, true}, {DATA, 2, false, true}},
    };
    struct engine_debug_stop stop;

    PUT(rig, CODE, "\xc6\x06\x00\xa0\x07\x40\xf4"); /* movb $7, DATA; inc ax; hlt */
    start(rig);
    if (go(rig, &debug) == ENGINE_STOP_HALT) {
        assert_int_equal(mem_read16(rig->base.mem, DATA), 7);
        print_message("this KVM emulates instructions: it sees no watchpoints\n");
        skip();
    }
    engine_kvm.vcpu_debug_stop(rig->base.vcpu, &stop);
    assert_int_equal(stop.reason, ENGINE_DEBUG_WATCHPOINT);
    assert_int_equal(stop.watchpoint, 1);
    assert_int_equal(stop.address, DATA);
    assert_int_equal(RIP(rig), CODE + 5);
}

static void check_tells_what_fits(void **state)
{
    struct rig *rig = need(state);
    struct engine_debug debug = {.breakpoints = 4, .breakpoint = {1, 2, 3, 4}};

    assert_int_equal(engine_kvm.vcpu_debug_check(rig->base.vcpu, &debug), 0);
    debug.breakpoint[debug.breakpoints++] = 5;
    assert_int_equal(engine_kvm.vcpu_debug_check(rig->base.vcpu, &debug), -ENOSPC);
    debug.breakpoints = 1;
    debug.watchpoints = 1;
    debug.watchpoint[0] = (struct engine_watchpoint){DATA, 4, true, false};
    assert_int_equal(engine_kvm.vcpu_debug_check(rig->base.vcpu, &debug), -EOPNOTSUPP);
    debug.watchpoint[0].write = true;
    assert_int_equal(engine_kvm.vcpu_debug_check(rig->base.vcpu, &debug), 0);
    rig->state.dr[7] |= 0x3f; /* three of the guest's own */
    start(rig);
    assert_int_equal(engine_kvm.vcpu_debug_check(rig->base.vcpu, &debug), -ENOSPC);
}

static void addresses_are_translated(void **state)
{
    struct rig *rig = need(state);
    gpa_t gpa;

    start(rig);
    if (!engine_kvm.vcpu_translate(rig->base.vcpu, DATA + 5, &gpa)) {
        print_message("this KVM does not translate in real mode\n");
        skip();
    }
    assert_int_equal(gpa, DATA + 5);
}

/* With a name or a pattern: those tests alone. */
int main(int argc, char **argv)
{
#define REAL(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_points),
        cmocka_unit_test(refuses_too_much),
        cmocka_unit_test(guests_registers_share),
        cmocka_unit_test(judges_exits),
        cmocka_unit_test(unused_registers_mean_nothing),
        REAL(breakpoint_stops_and_is_passed),
        REAL(step_at_a_breakpoint),
        REAL(trap_flag_is_not_seen),
        REAL(step_into_an_interrupt_of_software),
        REAL(step_into_a_fault),
        REAL(steps_and_interrupts),
        REAL(halted_processor_stays_so),
        REAL(guest_debugs_itself),
        REAL(watchpoint_stops),
        REAL(check_tells_what_fits),
        REAL(addresses_are_translated),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

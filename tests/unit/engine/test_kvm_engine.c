/*
 * The kvm engine beside the soft one: the same small guests, in real, protected and 64-bit mode,
 * end in the same registers and memory and say the same on their ports. The instructions are plain
 * ones, which a KVM that emulates runs, too. Without /dev/kvm every test skips.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vcpu_rig.h"

#define MEMORY_BYTES (64 * PAGE_SIZE)
#define CODE         0x8000
#define STACK        0x7000
#define DATA         0x6000
#define TABLES       0x10000
#define MMIO_GPA     0x100000
#define MAX_NOTES    64
#define OUT_PORT     0x3f8

/* What a guest did on the outside, in order. */
struct note {
    char what;
    uint64_t address, value;
    unsigned width;
};

struct rig {
    struct vcpu_rig base;
    struct note notes[MAX_NOTES];
    unsigned count;
    bool withdrawn; /* the interrupt is gone when it is acknowledged */
    struct x86_state end;
};

static void note(struct rig *rig, char what, uint64_t address, unsigned width, uint64_t value)
{
    assert_true(rig->count < MAX_NOTES);
    rig->notes[rig->count++] = (struct note){what, address, value, width};
}

static uint32_t port_read(void *opaque, uint16_t port, unsigned width)
{
    note(opaque, 'i', port, width, 0);
    return 0xa0 + ((struct rig *)opaque)->count;
}

static void port_write(void *opaque, uint16_t port, unsigned width, uint32_t value)
{
    note(opaque, 'o', port, width, value);
}

static uint64_t mmio_read(void *opaque, gpa_t gpa, unsigned width)
{
    note(opaque, 'r', gpa, width, 0);
    return 0x1122334455667788;
}

static void mmio_write(void *opaque, gpa_t gpa, unsigned width, uint64_t value)
{
    note(opaque, 'w', gpa, width, value);
}

static int acknowledge(void *opaque, unsigned vcpu)
{
    struct rig *rig = opaque;

    note(rig, 'a', 0, 0, 0);
    rig->base.engine->vcpu_set_intr(rig->base.vcpu, false);
    return rig->withdrawn ? -1 : 0x40;
}

static bool no_msr(void *opaque, unsigned vcpu, uint32_t index, uint64_t value)
{
    return true;
}

static void rig_init(struct rig *rig, const struct engine *engine)
{
    struct engine_host host = quiet_host(rig);

    *rig = (struct rig){0};
    host.port_read = port_read;
    host.port_write = port_write;
    host.mmio_read = mmio_read;
    host.mmio_write = mmio_write;
    host.interrupt_acknowledge = acknowledge;
    host.msr_write = no_msr;
    vcpu_rig_init(&rig->base, engine, "x86-64-v1");
    vcpu_rig_add_ram(&rig->base, 0, MEMORY_BYTES);
    vcpu_rig_start(&rig->base, engine == &engine_kvm ? MMU_HOST : MMU_EPT, &host, 0);
}

static void rig_fini(struct rig *rig)
{
    vcpu_rig_fini(&rig->base);
}

/* --- the guests --- */

/* One body for each mode: arithmetic, shifts, stack, strings, ports, MMIO; it ends in HLT. */
#define BODY(name, mode, reg)                                                                      \
    __asm__(".pushsection .rodata; .code" mode "\n"                                                \
            "guest_" name ": mov $0x1234, %" reg "ax; mov $0x7, %" reg "cx\n"                      \
            "1: add %" reg "ax, %" reg "ax; adc $0, %" reg "bx; xor %" reg "cx, %" reg "bx\n"      \
            "rol $3, %" reg "bx; dec %" reg "cx; jnz 1b\n"                                         \
            "push %" reg "ax; push %" reg "bx; pop %" reg "si; pop %" reg "bp\n"                   \
            "mov $0x6100, %" reg "di; mov $9, %" reg "cx; cld; rep stosb\n"                        \
            "mov %" reg "bx, 0x6200; neg %" reg "bx; sbb %" reg "dx, %" reg "dx\n"                 \
            "mov $0x3f8, %dx; out %al, %dx; in %dx, %al; out %ax, %dx\n"                           \
            "mov $0x6100, %" reg "si; mov $3, %" reg "cx; rep outsb\n"                             \
            "hlt\n"                                                                                \
            "guest_" name "_end: .popsection; .code64")

BODY("real", "16", "");
BODY("protected", "32", "e");
BODY("long", "64", "r");

/* Reads and writes a page without memory behind it. */
__asm__(".pushsection .rodata; guest_mmio: mov 0x100010, %eax; mov %rax, 0x100020\n"
        "movw $0x55aa, 0x100030; hlt; guest_mmio_end: .popsection");

/* Waits for an interrupt with HLT; the handler says so, and the guest goes on behind the HLT. */
__asm__(".pushsection .rodata; .code16; guest_interrupt: sti; hlt; mov $0x77, %al\n"
        "out %al, $0x80; cli; hlt; .org guest_interrupt + 0x40\n"
        "mov $0x11, %al; out %al, $0x80; iret; guest_interrupt_end: .code64; .popsection");

#define GUEST(name) extern const uint8_t guest_##name[], guest_##name##_end[]
GUEST(real);
GUEST(protected);
GUEST(long);
GUEST(mmio);
GUEST(interrupt);

enum mode { REAL, PROTECTED, LONG };

#define CODE_SEGMENT                                                                               \
    (X86_SEG_P | X86_SEG_S | X86_SEG_CODE | X86_SEG_READ | X86_SEG_ACCESSED | X86_SEG_G)
#define DATA_SEGMENT (X86_SEG_P | X86_SEG_S | X86_SEG_WRITE | X86_SEG_ACCESSED | X86_SEG_G)

static void enter_mode(struct rig *rig, struct x86_state *state, enum mode mode)
{
    const uint64_t tables[][2] = {
        {TABLES, 0x11003}, {TABLES + 0x1000, 0x12003}, {TABLES + 0x2000, 0x83}};

    state->seg[X86_CS].base = 0;
    state->seg[X86_CS].selector = 0;
    if (mode == REAL)
        return;
    state->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE;
    state->seg[X86_CS] = (struct x86_segment){
        0, UINT32_MAX, 8, CODE_SEGMENT | (mode == LONG ? X86_SEG_L : X86_SEG_DB)};
    for (unsigned seg = 0; seg < X86_SEGS; seg++) {
        if (seg != X86_CS)
            state->seg[seg] = (struct x86_segment){0, UINT32_MAX, 16, DATA_SEGMENT | X86_SEG_DB};
    }
    if (mode == PROTECTED)
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(tables); i++)
        mem_write(rig->base.mem, tables[i][0], &tables[i][1], sizeof(uint64_t));
    state->cr3 = TABLES;
    state->cr4 = X86_CR4_PAE;
    state->cr0 |= X86_CR0_PG | X86_CR0_WP;
    state->msr.efer = X86_EFER_LME | X86_EFER_LMA;
}

static void load(struct rig *rig, enum mode mode, const uint8_t *code, const uint8_t *end)
{
    struct x86_state state;

    assert_true(mem_write(rig->base.mem, CODE, code, (size_t)(end - code)));
    rig->base.engine->vcpu_get_state(rig->base.vcpu, &state);
    enter_mode(rig, &state, mode);
    state.gpr[X86_RIP] = CODE;
    state.gpr[X86_RSP] = STACK;
    rig->base.engine->vcpu_set_state(rig->base.vcpu, &state);
}

static void run_to_halt(struct rig *rig)
{
    enum engine_stop stop;

    do {
        stop = rig->base.engine->vcpu_run(rig->base.vcpu);
    } while (stop == ENGINE_STOP_KICK);
    if (stop == ENGINE_STOP_ERROR)
        print_message("%s\n", rig->base.engine->vcpu_error(rig->base.vcpu));
    assert_int_equal(stop, ENGINE_STOP_HALT);
    rig->base.engine->vcpu_get_state(rig->base.vcpu, &rig->end);
}

/* --- the comparison --- */

static void compare_segments(const struct x86_state *a, const struct x86_state *b)
{
    for (unsigned seg = 0; seg < X86_SEGS; seg++) {
        assert_int_equal(a->seg[seg].selector, b->seg[seg].selector);
        assert_int_equal(a->seg[seg].base, b->seg[seg].base);
        assert_int_equal(a->seg[seg].limit, b->seg[seg].limit);
    }
}

static void compare(const struct rig *a, const struct rig *b)
{
    const void *low = mem_host(a->base.mem, 0, TABLES, false),
               *other = mem_host(b->base.mem, 0, TABLES, false);

    for (unsigned i = 0; i < X86_GPR_SLOTS; i++)
        assert_int_equal(a->end.gpr[i], b->end.gpr[i]);
    assert_int_equal(a->end.rflags, b->end.rflags);
    assert_int_equal(a->end.cr0, b->end.cr0);
    assert_int_equal(a->end.cr3, b->end.cr3);
    assert_int_equal(a->end.msr.efer, b->end.msr.efer);
    compare_segments(&a->end, &b->end);
    assert_memory_equal(low, other, TABLES);
    assert_int_equal(a->count, b->count);
    for (unsigned i = 0; i < a->count; i++) {
        assert_int_equal(a->notes[i].what, b->notes[i].what);
        assert_int_equal(a->notes[i].address, b->notes[i].address);
        assert_int_equal(a->notes[i].width, b->notes[i].width);
        assert_int_equal(a->notes[i].value, b->notes[i].value);
    }
}

static void need_kvm(void)
{
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

    if (fd < 0) {
        print_message("this host has no /dev/kvm\n");
        skip();
    }
    close(fd);
}

static void both(enum mode mode, const uint8_t *code, const uint8_t *end, unsigned notes)
{
    struct rig soft, kvm;

    need_kvm();
    rig_init(&soft, &engine_soft);
    rig_init(&kvm, &engine_kvm);
    load(&soft, mode, code, end);
    load(&kvm, mode, code, end);
    run_to_halt(&soft);
    run_to_halt(&kvm);
    assert_int_equal(soft.count, notes);
    compare(&soft, &kvm);
    rig_fini(&soft);
    rig_fini(&kvm);
}

static void real_mode_guest_is_the_same(void **state)
{
    both(REAL, guest_real, guest_real_end, 6);
}

static void protected_mode_guest_is_the_same(void **state)
{
    both(PROTECTED, guest_protected, guest_protected_end, 6);
}

static void long_mode_guest_is_the_same(void **state)
{
    both(LONG, guest_long, guest_long_end, 6);
}

static void mmio_is_the_same(void **state)
{
    both(LONG, guest_mmio, guest_mmio_end, 3);
}

/* An interrupt that arrives while the guest halts wakes it, is acknowledged once, and is served. */
static void interrupt_ends_a_halt(void **state)
{
    const struct engine *engines[] = {&engine_soft, &engine_kvm};
    const uint16_t vector[2] = {CODE + 0x40, 0};

    need_kvm();
    for (unsigned i = 0; i < ARRAY_SIZE(engines); i++) {
        struct rig rig;

        rig_init(&rig, engines[i]);
        load(&rig, REAL, guest_interrupt, guest_interrupt_end);
        mem_write(rig.base.mem, 0x40 * 4, vector, sizeof(vector));
        run_to_halt(&rig);
        assert_int_equal(rig.count, 0);
        assert_false(rig.base.engine->vcpu_pending(rig.base.vcpu));
        rig.base.engine->vcpu_set_intr(rig.base.vcpu, true);
        assert_true(rig.base.engine->vcpu_pending(rig.base.vcpu));
        run_to_halt(&rig);
        assert_int_equal(rig.count, 3);
        assert_int_equal(rig.notes[0].what, 'a');
        assert_int_equal(rig.notes[1].value, 0x11);
        assert_int_equal(rig.notes[2].value, 0x77);
        rig_fini(&rig);
    }
}

/* An interrupt that is withdrawn before the processor takes it does not end the HLT, the next does.
 */
static void withdrawn_interrupt_leaves_the_halt(void **state)
{
    const uint16_t vector[2] = {CODE + 0x40, 0};
    struct rig rig;

    need_kvm();
    rig_init(&rig, &engine_kvm);
    load(&rig, REAL, guest_interrupt, guest_interrupt_end);
    mem_write(rig.base.mem, 0x40 * 4, vector, sizeof(vector));
    run_to_halt(&rig);
    rig.withdrawn = true;
    rig.base.engine->vcpu_set_intr(rig.base.vcpu, true);
    run_to_halt(&rig);
    assert_int_equal(rig.count, 1);
    assert_int_equal(rig.notes[0].what, 'a');
    rig.withdrawn = false;
    rig.base.engine->vcpu_set_intr(rig.base.vcpu, true);
    run_to_halt(&rig);
    assert_int_equal(rig.count, 4);
    assert_int_equal(rig.notes[2].value, 0x11);
    assert_int_equal(rig.notes[3].value, 0x77);
    rig_fini(&rig);
}

/* What is set is what is got, in every register that both engines have. */
static void state_survives_the_kernel(void **state)
{
    struct x86_state before, after;
    struct rig rig;

    need_kvm();
    rig_init(&rig, &engine_kvm);
    rig.base.engine->vcpu_get_state(rig.base.vcpu, &before);
    for (unsigned i = X86_RAX; i <= X86_R15; i++)
        before.gpr[i] = 0x0101010101010101 * (i + 1);
    before.gpr[X86_RIP] = CODE;
    before.msr.star = 0x23001000000000;
    before.msr.lstar = 0xffffffff81000000;
    before.msr.kernel_gs_base = 0x123456789000;
    before.msr.sysenter_eip = 0xc0de0000;
    before.dr[0] = 0x1234;
    before.cr2 = 0xdeadbeef;
    before.gdtr = (struct x86_table_register){0x5000, 0x7f};
    before.idtr = (struct x86_table_register){0x4000, 0xfff};
    for (unsigned i = 0; i < 16; i++)
        memset(before.fpu.ymm[i], 0x10 + (int)i, 16);
    before.fpu.mxcsr = 0x1f80;
    rig.base.engine->vcpu_set_state(rig.base.vcpu, &before);
    rig.base.engine->vcpu_get_state(rig.base.vcpu, &after);
    assert_memory_equal(before.gpr, after.gpr, sizeof(before.gpr));
    assert_int_equal(before.msr.star, after.msr.star);
    assert_int_equal(before.msr.lstar, after.msr.lstar);
    assert_int_equal(before.msr.kernel_gs_base, after.msr.kernel_gs_base);
    assert_int_equal(before.msr.sysenter_eip, after.msr.sysenter_eip);
    assert_int_equal(before.dr[0], after.dr[0]);
    assert_int_equal(before.cr2, after.cr2);
    assert_memory_equal(&before.gdtr, &after.gdtr, sizeof(before.gdtr));
    assert_memory_equal(&before.idtr, &after.idtr, sizeof(before.idtr));
    for (unsigned i = 0; i < 16; i++)
        assert_memory_equal(before.fpu.ymm[i], after.fpu.ymm[i], 16);
    compare_segments(&before, &after);
    rig_fini(&rig);
}

struct kicker {
    struct rig *rig;
    atomic_bool done;
};

static void *kick_until_done(void *opaque)
{
    struct kicker *kicker = opaque;

    while (!atomic_load_explicit(&kicker->done, memory_order_acquire)) {
        kicker->rig->base.engine->vcpu_kick(kicker->rig->base.vcpu);
        sched_yield();
    }
    return NULL;
}

/* Kicks from another thread end a guest that does nothing but jump. */
static void kick_ends_an_endless_loop(void **state)
{
    static const uint8_t loop[] = {0xeb, 0xfe};
    struct rig rig;
    struct kicker kicker = {.rig = &rig};
    pthread_t thread;

    need_kvm();
    rig_init(&rig, &engine_kvm);
    load(&rig, REAL, loop, loop + sizeof(loop));
    assert_int_equal(pthread_create(&thread, NULL, kick_until_done, &kicker), 0);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(rig.base.engine->vcpu_run(rig.base.vcpu), ENGINE_STOP_KICK);
    atomic_store_explicit(&kicker.done, true, memory_order_release);
    pthread_join(thread, NULL);
    rig_fini(&rig);
}

/* A slot that appears while the vCPU exists is memory at the next run, and MMIO once it is gone. */
static void slots_follow(void **state)
{
    static const uint8_t code[] = {0xc7, 0x04, 0x25, 0, 0, 0x10, 0, 0x78, 0x56, 0x34, 0x12, 0xf4};
    struct rig rig;

    need_kvm();
    rig_init(&rig, &engine_kvm);
    assert_int_equal(mem_add_slot(rig.base.mem, "more", MMIO_GPA, PAGE_SIZE, MEM_SLOT_RAM), 0);
    rig.base.engine->vcpu_flush(rig.base.vcpu);
    load(&rig, LONG, code, code + sizeof(code));
    run_to_halt(&rig);
    assert_int_equal(mem_read32(rig.base.mem, MMIO_GPA), 0x12345678);
    assert_int_equal(rig.count, 0);
    assert_int_equal(mem_remove_slot(rig.base.mem, MMIO_GPA), 0);
    rig.base.engine->vcpu_flush(rig.base.vcpu);
    load(&rig, LONG, code, code + sizeof(code));
    run_to_halt(&rig);
    assert_int_equal(rig.count, 1);
    assert_int_equal(rig.notes[0].what, 'w');
    assert_int_equal(rig.notes[0].value, 0x12345678);
    rig_fini(&rig);
}

/* The log holds the pages that the guest wrote since the last fetch, and no others. */
static void dirty_log_holds_what_was_written(void **state)
{
    /* mov [0x9000], eax; mov [0xb000], eax; mov eax, [0xc000]; hlt */
    static const uint8_t code[] = {0x89, 0x04, 0x25, 0,    0x90, 0,    0, 0x89, 0x04, 0x25, 0,
                                   0xb0, 0,    0,    0x8b, 0x04, 0x25, 0, 0xc0, 0,    0,    0xf4};
    const uint64_t tables = BIT(0x10) | BIT(0x11) | BIT(0x12); /* their accessed bits */
    uint64_t bits[MEMORY_BYTES / PAGE_SIZE / 64];
    struct rig rig;

    need_kvm();
    rig_init(&rig, &engine_kvm);
    load(&rig, LONG, code, code + sizeof(code));
    assert_int_equal(mmu_dirty_log(rig.base.mmu, 0, true), 0);
    run_to_halt(&rig);
    assert_int_equal(mmu_dirty_fetch(rig.base.mmu, 0, bits, ARRAY_SIZE(bits)), 0);
    assert_int_equal(bits[0] & ~tables, BIT(0x9) | BIT(0xb));
    assert_int_equal(mmu_dirty_fetch(rig.base.mmu, 0, bits, ARRAY_SIZE(bits)), 0);
    assert_int_equal(bits[0], 0);
    load(&rig, LONG, code, code + sizeof(code)); /* the monitor's own write is one, too */
    assert_int_equal(mmu_dirty_fetch(rig.base.mmu, 0, bits, ARRAY_SIZE(bits)), 0);
    assert_true(bits[0] & BIT(CODE >> PAGE_SHIFT));
    assert_int_equal(mmu_dirty_log(rig.base.mmu, 0, false), 0);
    assert_int_equal(mmu_dirty_fetch(rig.base.mmu, 0, bits, ARRAY_SIZE(bits)), -ENOENT);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_mode_guest_is_the_same),
        cmocka_unit_test(protected_mode_guest_is_the_same),
        cmocka_unit_test(long_mode_guest_is_the_same),
        cmocka_unit_test(mmio_is_the_same),
        cmocka_unit_test(interrupt_ends_a_halt),
        cmocka_unit_test(withdrawn_interrupt_leaves_the_halt),
        cmocka_unit_test(state_survives_the_kernel),
        cmocka_unit_test(kick_ends_an_endless_loop),
        cmocka_unit_test(slots_follow),
        cmocka_unit_test(dirty_log_holds_what_was_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

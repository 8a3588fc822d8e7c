/*
 * The guest's time stands still while the VM is stopped: its TSC, as an RDTSC of its own reads it,
 * kvmclock, and the timer of the kernel's local APIC. Real guests in real mode; without /dev/kvm
 * every test skips.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/kvm/internal.h"
#include "vcpu_rig.h"
#include "x86/msr.h"

#define CODE 0x1000u

/* Longer than what stopping, starting and a run take on a busy host; shorter than a second. */
#define STOPPED_NS 400000000u
#define SLACK_NS   (STOPPED_NS / 2)

#define APIC_SPURIOUS  0x0f0
#define APIC_IRR       0x200
#define APIC_LVT_TIMER 0x320
#define APIC_INITIAL   0x380
#define APIC_CURRENT   0x390
#define APIC_DIVIDE    0x3e0
#define TIMER_VECTOR   0x41 /* bit 1 of the third word */

struct rig {
    struct vcpu_rig base;
    uint64_t tsc_hz;
};

static void stop_at_port(void *opaque, uint16_t port, unsigned width, uint32_t value)
{
    engine_kvm.vcpu_kick(((struct rig *)opaque)->base.vcpu);
}

static int setup(void **state)
{
    struct engine_host host;
    struct engine_vcpu_config config = {.host = &host, .host_irqchip = true};
    struct rig *rig;
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

    *state = NULL;
    if (fd < 0)
        return 0;
    close(fd);
    rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    host = quiet_host(rig);
    host.port_write = stop_at_port;
    vcpu_rig_init(&rig->base, &engine_kvm, "x86-64-v1");
    vcpu_rig_add_ram(&rig->base, 0, 0x10000);
    rig->base.mmu = mmu_create(rig->base.mem, &(struct mmu_config){.mode = MMU_HOST});
    assert_non_null(rig->base.mmu);
    config.mmu = rig->base.mmu;
    config.model = &rig->base.model;
    assert_int_equal(engine_kvm.vcpu_create(&rig->base.vcpu, &config), 0);
    rig->tsc_hz = (uint64_t)kvm_ioctl_value(rig->base.vcpu->fd, KVM_GET_TSC_KHZ, 0) * 1000;
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

static uint64_t host_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

static void let_pass(uint64_t ns)
{
    uint64_t end = host_ns() + ns;

    while (host_ns() < end)
        ;
}

/* What the guest's own RDTSC reads: rdtsc; out %al, $0x80; jmp . */
static uint64_t guest_tsc(struct rig *rig)
{
    static const uint8_t code[] = {0x0f, 0x31, 0xe6, 0x80, 0xeb, 0xfe};
    struct engine_vcpu *vcpu = rig->base.vcpu;
    struct x86_state state;
    struct kvm_sregs sregs;
    struct kvm_regs regs = {.rip = CODE, .rflags = X86_FLAG_ONE};

    /* Not by vcpu_set_state, which writes the TSC, too. */
    mem_write(rig->base.mem, CODE, code, sizeof(code));
    assert_true(kvm_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) >= 0);
    sregs.cs.base = sregs.cs.selector = 0;
    assert_true(kvm_ioctl(vcpu->fd, KVM_SET_SREGS, &sregs) >= 0);
    assert_true(kvm_ioctl(vcpu->fd, KVM_SET_REGS, &regs) >= 0);
    assert_int_equal(engine_kvm.vcpu_run(vcpu), ENGINE_STOP_KICK);
    engine_kvm.vcpu_get_state(vcpu, &state);
    return state.gpr[X86_RDX] << 32 | (uint32_t)state.gpr[X86_RAX];
}

/* A KVM that emulates instructions may show its guests the host's own counter, whatever it is told.
 */
static bool tsc_moves(struct rig *rig)
{
    uint64_t before = 0, now = 0;

    assert_int_equal(kvm_access_msr(rig->base.vcpu, IA32_TIME_STAMP_COUNTER, &before, false), 0);
    before += 1000 * rig->tsc_hz;
    assert_int_equal(kvm_access_msr(rig->base.vcpu, IA32_TIME_STAMP_COUNTER, &before, true), 0);
    assert_int_equal(kvm_access_msr(rig->base.vcpu, IA32_TIME_STAMP_COUNTER, &now, false), 0);
    return now >= before;
}

static void tsc_stands_still(void **state)
{
    struct rig *rig = need(state);
    struct engine_vcpu *vcpu = rig->base.vcpu;
    uint64_t slack = rig->tsc_hz / 1000 * (SLACK_NS / 1000000), before, after;

    if (!tsc_moves(rig)) {
        print_message("this KVM's guests see the host's own time-stamp counter\n");
        skip();
    }
    before = guest_tsc(rig);
    let_pass(STOPPED_NS);
    after = guest_tsc(rig);
    assert_true(after - before > slack); /* it runs while nobody stops it */
    before = after;
    for (unsigned i = 0; i < 3; i++) {
        engine_kvm.vcpu_stop_time(vcpu);
        let_pass(STOPPED_NS);
        engine_kvm.vcpu_start_time(vcpu);
    }
    after = guest_tsc(rig);
    assert_true(after > before);
    assert_true(after - before < slack);
}

static uint64_t kvmclock_ns(struct rig *rig)
{
    struct kvm_clock_data clock = {0};

    assert_true(kvm_ioctl(rig->base.vcpu->vm.fd, KVM_GET_CLOCK, &clock) >= 0);
    return clock.clock;
}

static void kvmclock_stands_still(void **state)
{
    struct rig *rig = need(state);
    uint64_t before = kvmclock_ns(rig), after;

    engine_kvm.vcpu_stop_time(rig->base.vcpu);
    let_pass(STOPPED_NS);
    assert_true(kvmclock_ns(rig) - before > SLACK_NS); /* KVM's runs on */
    engine_kvm.vcpu_start_time(rig->base.vcpu);
    after = kvmclock_ns(rig);
    assert_true(after >= before);
    assert_true(after - before < SLACK_NS);
}

static uint32_t apic_read(const struct kvm_lapic_state *apic, unsigned offset)
{
    uint32_t value;

    memcpy(&value, apic->regs + offset, sizeof(value));
    return value;
}

static void apic_write(struct kvm_lapic_state *apic, unsigned offset, uint32_t value)
{
    memcpy(apic->regs + offset, &value, sizeof(value));
}

/* One shot in half of the time that the VM is stopped, at 1 ns a count; divided by 1. */
static void start_timer(struct rig *rig, struct kvm_lapic_state *apic)
{
    assert_true(kvm_ioctl(rig->base.vcpu->fd, KVM_GET_LAPIC, apic) >= 0);
    apic_write(apic, APIC_SPURIOUS, 0x1ff);
    apic_write(apic, APIC_LVT_TIMER, TIMER_VECTOR);
    apic_write(apic, APIC_DIVIDE, 0xb);
    apic_write(apic, APIC_INITIAL, SLACK_NS);
    apic_write(apic, APIC_CURRENT, SLACK_NS);
    assert_true(kvm_ioctl(rig->base.vcpu->fd, KVM_SET_LAPIC, apic) >= 0);
}

static bool timer_waits(struct rig *rig, struct kvm_lapic_state *apic)
{
    assert_true(kvm_ioctl(rig->base.vcpu->fd, KVM_GET_LAPIC, apic) >= 0);
    return apic_read(apic, APIC_CURRENT) > 0 && !(apic_read(apic, APIC_IRR + 0x20) & 2);
}

static void apic_timer_stands_still(void **state)
{
    struct rig *rig = need(state);
    struct kvm_lapic_state apic;

    start_timer(rig, &apic);
    assert_true(timer_waits(rig, &apic));
    let_pass(STOPPED_NS);
    assert_false(timer_waits(rig, &apic)); /* it runs while nobody stops it */
    start_timer(rig, &apic);
    engine_kvm.vcpu_stop_time(rig->base.vcpu);
    let_pass(STOPPED_NS);
    /* A device's interrupt, while it is stopped: it stays. */
    assert_true(kvm_ioctl(rig->base.vcpu->fd, KVM_GET_LAPIC, &apic) >= 0);
    apic_write(&apic, APIC_IRR + 0x20, apic_read(&apic, APIC_IRR + 0x20) | 4);
    assert_true(kvm_ioctl(rig->base.vcpu->fd, KVM_SET_LAPIC, &apic) >= 0);
    engine_kvm.vcpu_start_time(rig->base.vcpu);
    assert_true(timer_waits(rig, &apic));
    assert_in_range(apic_read(&apic, APIC_CURRENT), 1, SLACK_NS);
    assert_true(apic_read(&apic, APIC_IRR + 0x20) & 4);
}

/* A reset while the VM is stopped: nothing of before comes back. */
static void reset_forgets(void **state)
{
    struct rig *rig = need(state);
    struct kvm_lapic_state apic;

    start_timer(rig, &apic);
    engine_kvm.vcpu_stop_time(rig->base.vcpu);
    engine_kvm.vcpu_reset(rig->base.vcpu, false);
    engine_kvm.vcpu_start_time(rig->base.vcpu);
    assert_true(kvm_ioctl(rig->base.vcpu->fd, KVM_GET_LAPIC, &apic) >= 0);
    assert_int_equal(apic_read(&apic, APIC_CURRENT), 0);
}

int main(void)
{
#define REAL(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        REAL(tsc_stands_still),
        REAL(kvmclock_stands_still),
        REAL(apic_timer_stands_still),
        REAL(reset_forgets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

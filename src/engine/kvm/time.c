/*
 * The guest's time stands still while the VM is stopped: what KVM lets run on is read when it stops
 * and put back when it goes on.
 *
 *   TSC                 by its offset: KVM takes a value that is written within a second of what
 *                       the counter would have for an attempt to synchronize, and ignores it
 *   kvmclock            KVM_SET_CLOCK; the guest is told that it was stopped
 *   local APIC's timer  what was left of its count, or its deadline; an interrupt that it has made
 *                       meanwhile is taken back, those of devices are not
 *   PIT                 begins its period again, and what it has owed meanwhile is forgotten
 *
 * DEVIATION: the PIT's period is not continued in its middle, and a tick that it has handed to the
 * interrupt controllers while the VM was stopped is taken when it goes on.
 * What KVM refuses here runs on as it would have: this is no reason to end a VM.
 * Source: KVM API, "KVM_VCPU_TSC_CTRL", "KVM_SET_CLOCK", "KVM_KVMCLOCK_CTRL", "KVM_SET_LAPIC",
 * "KVM_SET_PIT2"; SDM 3 "APIC Timer".
 */
#include <string.h>

#include "engine/kvm/internal.h"
#include "x86/msr.h"

/* Offsets in the local APIC's page (SDM 3 "Local APIC Register Address Map"). */
#define APIC_IRR           0x200
#define APIC_LVT_TIMER     0x320
#define APIC_CURRENT_COUNT 0x390

#define APIC_REGISTER_BYTES 16

static int tsc_offset(struct engine_vcpu *vcpu, unsigned long request, uint64_t *offset)
{
    struct kvm_device_attr attr = {
        .group = KVM_VCPU_TSC_CTRL,
        .attr = KVM_VCPU_TSC_OFFSET,
        .addr = (uintptr_t)offset,
    };

    return kvm_ioctl(vcpu->fd, request, &attr);
}

static void restore_tsc(struct engine_vcpu *vcpu, uint64_t stopped)
{
    uint64_t offset, now = stopped;

    if (tsc_offset(vcpu, KVM_GET_DEVICE_ATTR, &offset) >= 0 &&
        kvm_access_msr(vcpu, IA32_TIME_STAMP_COUNTER, &now, false) >= 0) {
        offset -= now - stopped;
        if (tsc_offset(vcpu, KVM_SET_DEVICE_ATTR, &offset) >= 0)
            return;
    }
    /* Before Linux 5.16; a stop of less than a second is seen then. */
    (void)!kvm_access_msr(vcpu, IA32_TIME_STAMP_COUNTER, &stopped, true);
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

/* KVM_SET_LAPIC starts the timer with what the current count says. */
static void restore_apic_timer(struct engine_vcpu *vcpu, const struct kvm_stopped_time *time)
{
    struct kvm_lapic_state apic;
    uint32_t left = apic_read(&time->apic, APIC_CURRENT_COUNT);
    uint32_t vector = apic_read(&time->apic, APIC_LVT_TIMER) & 0xff;
    unsigned irr = APIC_IRR + vector / 32 * APIC_REGISTER_BYTES;
    uint32_t bit = (uint32_t)BIT(vector % 32);
    uint64_t deadline = time->deadline;

    if ((left == 0 && deadline == 0) || kvm_ioctl(vcpu->fd, KVM_GET_LAPIC, &apic) < 0)
        return; /* it did not run; what it has made waits where it is */
    apic_write(&apic, APIC_CURRENT_COUNT, left);
    if (!(apic_read(&time->apic, irr) & bit))
        apic_write(&apic, irr, apic_read(&apic, irr) & ~bit);
    kvm_ioctl(vcpu->fd, KVM_SET_LAPIC, &apic);
    if (deadline)
        (void)!kvm_access_msr(vcpu, IA32_TSC_DEADLINE, &deadline, true);
}

/* The TSC comes last here and first there: that is when the monitor's clock stops and starts. */
void kvm_stop_time(struct engine_vcpu *vcpu)
{
    struct kvm_stopped_time *time = &vcpu->stopped_time;

    *time = (struct kvm_stopped_time){.stopped = true};
    if (vcpu->vm.irqchips) {
        time->has_pit = kvm_ioctl(vcpu->vm.fd, KVM_GET_PIT2, &time->pit) >= 0;
        (void)!kvm_access_msr(vcpu, IA32_TSC_DEADLINE, &time->deadline, false);
        time->has_apic = kvm_ioctl(vcpu->fd, KVM_GET_LAPIC, &time->apic) >= 0;
    }
    time->has_clock = kvm_ioctl(vcpu->vm.fd, KVM_GET_CLOCK, &time->clock) >= 0;
    time->has_tsc = kvm_access_msr(vcpu, IA32_TIME_STAMP_COUNTER, &time->tsc, false) >= 0;
}

void kvm_start_time(struct engine_vcpu *vcpu)
{
    struct kvm_stopped_time *time = &vcpu->stopped_time;
    struct kvm_clock_data clock = {.clock = time->clock.clock};

    if (!time->stopped)
        return;
    if (time->has_tsc)
        restore_tsc(vcpu, time->tsc);
    if (time->has_clock)
        kvm_ioctl(vcpu->vm.fd, KVM_SET_CLOCK, &clock);
    if (time->has_apic)
        restore_apic_timer(vcpu, time);
    if (time->has_pit)
        kvm_ioctl(vcpu->vm.fd, KVM_SET_PIT2, &time->pit);
    kvm_ioctl_value(vcpu->fd, KVM_KVMCLOCK_CTRL, 0); /* fails where the guest has no kvmclock */
    time->stopped = false;
}

void kvm_reset_time(struct engine_vcpu *vcpu)
{
    if (vcpu->stopped_time.stopped)
        kvm_stop_time(vcpu);
}

/*
 * The kernel's interrupt controllers and PIT: made with the VM, driven by GSI, put back at a reset
 * to what they were when they were made.
 *
 * Lines are set by KVM_IRQ_LINE, none by an irqfd (KVM_IRQFD), though KVM offers it for each:
 * - An irqfd is a pulse, and the devices here hold levels. An input that the guest has made a level
 *   (ELCR, an entry of the I/O APIC) loses what came while it was masked, and all but the first of
 *   what a held line asks for; the guest makes it so inside the kernel, and we are not told. With a
 *   resamplefd the line stays up until an EOI, and interrupts in vain if its device has dropped it.
 * - A pin's pulse goes through a kernel thread and arrives some time after the write: a guest that
 *   raises a line by a port may read an IRR without it. KVM_IRQ_LINE has done it on return.
 * - It costs no less: the write with its pulse as much as two calls, up and down.
 * An irqfd is for what raises an interrupt outside this process, and quick for messages (MSI) only;
 * the board has neither.
 * Source: KVM API, "KVM_CREATE_IRQCHIP", "KVM_CREATE_PIT2", "KVM_SET_GSI_ROUTING", "KVM_IRQ_LINE",
 * "KVM_IRQFD".
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/kvm/internal.h"

#define PIC_PINS    16
#define IOAPIC_PINS 24
#define PIT_GSI     0
#define PIT_PIN     2 /* of the I/O APIC, as ACPI's interrupt source override says */
#define CHIPS       3 /* the two 8259, the I/O APIC */

/* What a reset goes back to. */
struct kvm_irqchips {
    struct kvm_irqchip chips[CHIPS];
    struct kvm_pit_state2 pit;
    struct kvm_lapic_state lapic;
};

static void route(struct kvm_irq_routing *table, unsigned gsi, unsigned chip, unsigned pin)
{
    table->entries[table->nr++] = (struct kvm_irq_routing_entry){
        .gsi = gsi,
        .type = KVM_IRQ_ROUTING_IRQCHIP,
        .u.irqchip = {.irqchip = chip, .pin = pin},
    };
}

/* Each ISA interrupt reaches both controllers, the PIT's another pin of the I/O APIC. */
static int set_routes(struct kvm_vm *vm)
{
    struct kvm_irq_routing *table =
        calloc(1, sizeof(*table) + (PIC_PINS + IOAPIC_PINS) * sizeof(table->entries[0]));
    int err;

    if (!table)
        return -ENOMEM;
    for (unsigned pin = 0; pin < PIC_PINS; pin++) {
        if (pin != 2) /* the cascade */
            route(table, pin, pin < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE, pin % 8);
    }
    for (unsigned gsi = 0; gsi < IOAPIC_PINS; gsi++) {
        if (gsi != PIT_PIN)
            route(table, gsi, KVM_IRQCHIP_IOAPIC, gsi == PIT_GSI ? PIT_PIN : gsi);
    }
    err = kvm_ioctl(vm->fd, KVM_SET_GSI_ROUTING, table);
    free(table);
    return err;
}

int kvm_irqchip_create(struct kvm_vm *vm)
{
    struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
    int err = kvm_ioctl_value(vm->fd, KVM_CREATE_IRQCHIP, 0);

    if (err >= 0)
        err = kvm_ioctl(vm->fd, KVM_CREATE_PIT2, &pit);
    if (err >= 0)
        err = set_routes(vm);
    if (err < 0)
        return err;
    vm->irqchips = calloc(1, sizeof(*vm->irqchips));
    return vm->irqchips ? 0 : -ENOMEM;
}

void kvm_irqchip_destroy(struct kvm_vm *vm)
{
    free(vm->irqchips);
    vm->irqchips = NULL;
}

int kvm_irqchip_capture(struct engine_vcpu *vcpu)
{
    struct kvm_irqchips *irqchips = vcpu->vm.irqchips;
    int err = 0;

    for (unsigned i = 0; i < CHIPS && err >= 0; i++) {
        irqchips->chips[i].chip_id = i;
        err = kvm_ioctl(vcpu->vm.fd, KVM_GET_IRQCHIP, &irqchips->chips[i]);
    }
    if (err >= 0)
        err = kvm_ioctl(vcpu->vm.fd, KVM_GET_PIT2, &irqchips->pit);
    if (err >= 0)
        err = kvm_ioctl(vcpu->fd, KVM_GET_LAPIC, &irqchips->lapic);
    return err < 0 ? err : 0;
}

int kvm_irqchip_wake(struct engine_vcpu *vcpu)
{
    struct kvm_mp_state runnable = {.mp_state = KVM_MP_STATE_RUNNABLE};

    return kvm_ioctl(vcpu->fd, KVM_SET_MP_STATE, &runnable);
}

int kvm_irqchip_reset(struct engine_vcpu *vcpu)
{
    struct kvm_irqchips *irqchips = vcpu->vm.irqchips;
    int err = 0;

    for (unsigned i = 0; i < CHIPS && err >= 0; i++)
        err = kvm_ioctl(vcpu->vm.fd, KVM_SET_IRQCHIP, &irqchips->chips[i]);
    if (err >= 0)
        err = kvm_ioctl(vcpu->vm.fd, KVM_SET_PIT2, &irqchips->pit);
    if (err >= 0)
        err = kvm_ioctl(vcpu->fd, KVM_SET_LAPIC, &irqchips->lapic);
    if (err >= 0)
        err = kvm_irqchip_wake(vcpu);
    return err < 0 ? err : 0;
}

void kvm_irqchip_set(struct kvm_vm *vm, unsigned gsi, bool level)
{
    struct kvm_irq_level line = {.irq = gsi, .level = level};

    kvm_ioctl(vm->fd, KVM_IRQ_LINE, &line);
}

/*
 * Making and ending a vCPU of the kvm engine, with the VM around it: KVM's file descriptors, the
 * page that a vCPU shares with the kernel, and what the monitor's mmu tells the engine.
 * Source: KVM API, "KVM_CREATE_VM", "KVM_CREATE_VCPU", "KVM_REGISTER_COALESCED_MMIO".
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/kvm/internal.h"
#include "mem/layout.h"

/* Beside KVM_TSS_ADDRESS, where no guest memory is either: one page. */
#define IDENTITY_ADDRESS (KVM_TSS_ADDRESS - PAGE_SIZE)

/* A step of the making: its result, and where it failed, the words for it. */
static int step(struct engine_vcpu *vcpu, const char *what, int result)
{
    return result < 0 ? kvm_fail(vcpu, what, result) : result;
}

/* The device, and what a VM's API must be. */
static int open_device(struct engine_vcpu *vcpu)
{
    struct kvm_vm *vm = &vcpu->vm;
    int result;

    vm->device_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (vm->device_fd < 0)
        return step(vcpu, "/dev/kvm", -errno);
    result =
        step(vcpu, "KVM_GET_API_VERSION", kvm_ioctl_value(vm->device_fd, KVM_GET_API_VERSION, 0));
    if (result >= 0 && result != KVM_API_VERSION)
        return step(vcpu, "KVM_GET_API_VERSION", -EPROTO);
    if (result >= 0)
        result = step(vcpu, "KVM_GET_VCPU_MMAP_SIZE",
                      kvm_ioctl_value(vm->device_fd, KVM_GET_VCPU_MMAP_SIZE, 0));
    if (result >= 0 && result < (int)sizeof(struct kvm_run))
        return step(vcpu, "KVM_GET_VCPU_MMAP_SIZE", -EPROTO);
    vm->run_bytes = (size_t)MAX(result, 0);
    return result < 0 ? result : 0;
}

static int open_vm(struct engine_vcpu *vcpu, bool host_irqchip)
{
    struct kvm_vm *vm = &vcpu->vm;
    uint64_t identity = IDENTITY_ADDRESS;
    int result = open_device(vcpu);

    if (result < 0)
        return result;
    vm->fd = kvm_ioctl_value(vm->device_fd, KVM_CREATE_VM, 0);
    if (vm->fd < 0)
        return step(vcpu, "KVM_CREATE_VM", vm->fd);
    result = step(vcpu, "KVM_SET_IDENTITY_MAP_ADDR",
                  kvm_ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity));
    if (result >= 0)
        result = step(vcpu, "KVM_SET_TSS_ADDR",
                      kvm_ioctl_value(vm->fd, KVM_SET_TSS_ADDR, KVM_TSS_ADDRESS));
    if (result >= 0 && host_irqchip)
        result = step(vcpu,
                      "the kernel's interrupt controllers cannot be made (--irqchip user does "
                      "without them)",
                      kvm_irqchip_create(vm));
    if (result >= 0)
        result = step(vcpu, "KVM_SET_USER_MEMORY_REGION", kvm_mirror_slots(vm, false));
    return result;
}

/*
 * Writes to the VGA window need no answer: KVM gathers them and comes out for the next other
 * access. Where it cannot, each of them is an exit.
 */
static void gather_writes(struct engine_vcpu *vcpu)
{
    struct kvm_coalesced_mmio_zone zone = {.addr = LAYOUT_VGA_BASE, .size = LAYOUT_VGA_SIZE};
    int page = kvm_ioctl_value(vcpu->vm.device_fd, KVM_CHECK_EXTENSION, KVM_CAP_COALESCED_MMIO);
    size_t offset = (size_t)MAX(page, 0) * PAGE_SIZE;

    if (page <= 0 || offset + PAGE_SIZE > vcpu->vm.run_bytes ||
        kvm_ioctl(vcpu->vm.fd, KVM_REGISTER_COALESCED_MMIO, &zone) < 0)
        return;
    vcpu->ring = (struct kvm_coalesced_mmio_ring *)((char *)vcpu->run + offset);
    vcpu->ring_entries = (PAGE_SIZE - sizeof(*vcpu->ring)) / sizeof(vcpu->ring->coalesced_mmio[0]);
}

static int open_vcpu(struct engine_vcpu *vcpu)
{
    void *run;

    vcpu->fd = kvm_ioctl_value(vcpu->vm.fd, KVM_CREATE_VCPU, vcpu->index);
    if (vcpu->fd < 0)
        return step(vcpu, "KVM_CREATE_VCPU", vcpu->fd);
    run = mmap(NULL, vcpu->vm.run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
    if (run == MAP_FAILED)
        return step(vcpu, "the vCPU's page cannot be mapped", -errno);
    vcpu->run = run;
    vcpu->has_xsave = kvm_ioctl_value(vcpu->vm.device_fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE) > 0;
    gather_writes(vcpu);
    kvm_debug_init(vcpu);
    return step(vcpu, "KVM_SET_CPUID2", kvm_set_cpuid(vcpu));
}

/* --- what the monitor tells of guest memory; the vCPU is stopped --- */

static void slots_changed(void *opaque)
{
    kvm_set_request(opaque, KVM_REQUEST_FLUSH);
}

static void dirty_log(void *opaque, gpa_t base, bool on)
{
    struct engine_vcpu *vcpu = opaque;
    int err = kvm_mirror_slots(&vcpu->vm, vcpu->vm.a20_closed);

    if (err)
        kvm_fail(vcpu, "KVM cannot log writes", err);
}

static void dirty_sync(void *opaque, gpa_t base)
{
    struct engine_vcpu *vcpu = opaque;
    int err = kvm_dirty_sync(&vcpu->vm, base);

    if (err)
        kvm_fail(vcpu, "KVM does not tell what was written", err);
}

/* KVM has the tables and the TLB. */
static void nothing(void *opaque)
{
}

static void nothing_for_page(void *opaque, gpa_t page)
{
}

static void attach(struct engine_vcpu *vcpu, struct mmu *mmu)
{
    vcpu->mmu = mmu;
    vcpu->tlb_link = (struct mmu_tlb){
        .opaque = vcpu,
        .flush = nothing,
        .write_protect = nothing_for_page,
        .slots_changed = slots_changed,
        .dirty_log = dirty_log,
        .dirty_sync = dirty_sync,
    };
    mmu_attach(mmu, &vcpu->tlb_link);
}

void kvm_vcpu_destroy(struct engine_vcpu *vcpu)
{
    if (!vcpu)
        return;
    mmu_detach(vcpu->mmu, &vcpu->tlb_link);
    kvm_dirty_ring_unmap(&vcpu->vm);
    if (vcpu->run)
        munmap(vcpu->run, vcpu->vm.run_bytes);
    if (vcpu->fd >= 0)
        close(vcpu->fd);
    kvm_irqchip_destroy(&vcpu->vm);
    if (vcpu->vm.fd >= 0)
        close(vcpu->vm.fd);
    if (vcpu->vm.device_fd >= 0)
        close(vcpu->vm.device_fd);
    free(vcpu);
}

int kvm_vcpu_create(struct engine_vcpu **out, const struct engine_vcpu_config *config)
{
    struct engine_vcpu *vcpu = calloc(1, sizeof(*vcpu));
    int err;

    if (!vcpu)
        return -ENOMEM;
    vcpu->fd = vcpu->vm.fd = vcpu->vm.device_fd = -1;
    vcpu->index = config->index;
    vcpu->vm.mem = mmu_mem(config->mmu);
    vcpu->host = *config->host;
    vcpu->model = config->model;
    attach(vcpu, config->mmu);
    err = open_vm(vcpu, config->host_irqchip);
    if (!err)
        kvm_dirty_ring_enable(&vcpu->vm, config->dirty_log);
    if (!err)
        err = open_vcpu(vcpu);
    if (!err)
        err = step(vcpu, "the ring of dirty pages cannot be mapped",
                   kvm_dirty_ring_map(&vcpu->vm, vcpu->fd));
    if (!err && vcpu->vm.irqchips)
        err = step(vcpu, "the kernel's interrupt controllers cannot be read",
                   kvm_irqchip_capture(vcpu));
    if (!err)
        err = kvm_vcpu_reset(vcpu, false);
    if (err) {
        if (config->error)
            snprintf(config->error, config->error_bytes, "%s", vcpu->error);
        kvm_vcpu_destroy(vcpu);
        return err;
    }
    *out = vcpu;
    return 0;
}

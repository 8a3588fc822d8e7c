/*
 * Exits of KVM as the reasons of exit.def, passed to the same host functions that serve the soft
 * engine. What it is given comes from the kernel, but parts of it from the guest: sizes, counts and
 * widths are checked.
 * Source: KVM API, "The kvm_run structure"; SDM 3, appendix "VMX Basic Exit Reasons".
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/trace.h"
#include "engine/kvm/internal.h"

void kvm_exit(struct engine_vcpu *vcpu, struct exit exit)
{
    vcpu->counters.exits[exit.reason]++;
    vcpu->counted = exit.reason;
    trace(cpu_exit, TRACE_WORD(exit_reason_words(exit.reason)), exit.reason, exit.qualification,
          exit.length, exit.gpa, exit.gla);
}

/* An exit of which KVM tells the reason only. */
static void plain_exit(struct engine_vcpu *vcpu, enum exit_reason reason)
{
    kvm_exit(vcpu, (struct exit){.reason = reason});
}

/* A port access; string instructions bring several at once. */
static enum kvm_next serve_io(struct engine_vcpu *vcpu)
{
    const struct kvm_run *run = vcpu->run;
    uint8_t *data = (uint8_t *)run + run->io.data_offset;
    unsigned width = run->io.size;
    uint64_t how = (run->io.direction == KVM_EXIT_IO_OUT ? 0 : EXIT_IO_IN) |
                   (run->io.count > 1 ? EXIT_IO_STRING | EXIT_IO_REP : 0);

    for (uint32_t i = 0; i < run->io.count; i++, data += width) {
        uint32_t value = 0;

        kvm_exit(vcpu,
                 (struct exit){.reason = EXIT_IO,
                               .qualification = exit_qualification_io(run->io.port, width, how)});
        if (run->io.direction == KVM_EXIT_IO_OUT) {
            memcpy(&value, data, width);
            vcpu->host.port_write(vcpu->host.opaque, run->io.port, width, value);
        } else {
            value = vcpu->host.port_read(vcpu->host.opaque, run->io.port, width);
            memcpy(data, &value, width);
        }
    }
    vcpu->exit_pending = true;
    return KVM_NEXT_ENTER;
}

/* A write in pieces that the bus takes: powers of two. */
static void write_mmio(struct engine_vcpu *vcpu, gpa_t gpa, const uint8_t *data, unsigned bytes)
{
    while (bytes > 0) {
        unsigned width = engine_bus_piece(bytes);
        uint64_t value = 0;

        memcpy(&value, data, width);
        vcpu->host.mmio_write(vcpu->host.opaque, gpa, width, value);
        gpa += width;
        data += width;
        bytes -= width;
    }
}

void kvm_drain_writes(struct engine_vcpu *vcpu)
{
    struct kvm_coalesced_mmio_ring *ring = vcpu->ring;

    if (!ring)
        return;
    /* Acquire: pairs with the kernel's filling of an entry before it moves `last`. */
    while (ring->first != __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE)) {
        const struct kvm_coalesced_mmio *entry =
            &ring->coalesced_mmio[ring->first % vcpu->ring_entries];

        write_mmio(vcpu, entry->phys_addr, entry->data, MIN(entry->len, 8u));
        __atomic_store_n(&ring->first, (ring->first + 1) % vcpu->ring_entries, __ATOMIC_RELEASE);
    }
}

/* Accesses come with lengths of 1 to 8; the bus takes powers of two. */
static enum kvm_next serve_mmio(struct engine_vcpu *vcpu)
{
    struct kvm_run *run = vcpu->run;
    gpa_t gpa = kvm_masked(&vcpu->vm, run->mmio.phys_addr);
    unsigned left = MIN(run->mmio.len, 8u), at = 0;

    kvm_exit(vcpu, (struct exit){.reason = EXIT_EPT_MISCONFIG, .gpa = gpa});
    vcpu->exit_pending = true;
    if (run->mmio.is_write) {
        write_mmio(vcpu, gpa, run->mmio.data, left);
        return KVM_NEXT_ENTER;
    }
    while (left > 0) {
        unsigned width = engine_bus_piece(left);
        uint64_t value = vcpu->host.mmio_read(vcpu->host.opaque, gpa + at, width);

        memcpy(run->mmio.data + at, &value, width);
        at += width;
        left -= width;
    }
    return KVM_NEXT_ENTER;
}

static enum kvm_next serve_msr(struct engine_vcpu *vcpu, bool write)
{
    struct kvm_run *run = vcpu->run;
    struct engine_host *host = &vcpu->host;
    uint64_t value = run->msr.data;
    bool ok;

    plain_exit(vcpu, write ? EXIT_MSR_WRITE : EXIT_MSR_READ);
    if (write)
        ok = host->msr_write(host->opaque, vcpu->index, run->msr.index, value);
    else
        ok = host->msr_read(host->opaque, vcpu->index, run->msr.index, &value);
    run->msr.data = value;
    run->msr.error = ok ? 0 : 1; /* 1: #GP */
    vcpu->exit_pending = true;
    return KVM_NEXT_ENTER;
}

static enum kvm_next serve_system_event(struct engine_vcpu *vcpu, enum engine_stop *why)
{
    unsigned type = vcpu->run->system_event.type;

    if (type == KVM_SYSTEM_EVENT_CRASH || type == KVM_SYSTEM_EVENT_RESET) {
        plain_exit(vcpu, EXIT_TRIPLE_FAULT);
        return kvm_stop(why, ENGINE_STOP_SHUTDOWN);
    }
    snprintf(vcpu->error, sizeof(vcpu->error), "KVM reports system event %u", type);
    return kvm_stop(why, ENGINE_STOP_ERROR);
}

static const char *internal_error_words(unsigned suberror)
{
    switch (suberror) {
    case KVM_INTERNAL_ERROR_EMULATION: return "it cannot emulate an instruction";
    case KVM_INTERNAL_ERROR_SIMUL_EX: return "exceptions came at the same time";
    case KVM_INTERNAL_ERROR_DELIVERY_EV: return "an event cannot be delivered";
    case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON: return "an exit has no known reason";
    default: return "no reason is known";
    }
}

static enum kvm_next fail_internal(struct engine_vcpu *vcpu, enum engine_stop *why)
{
    unsigned suberror = vcpu->run->internal.suberror;

    snprintf(vcpu->error, sizeof(vcpu->error),
             "KVM_RUN ended in an internal error (%u): %s; this host's KVM does not run such a "
             "guest, use --engine soft",
             suberror, internal_error_words(suberror));
    return kvm_stop(why, ENGINE_STOP_ERROR);
}

static enum kvm_next fail_entry(struct engine_vcpu *vcpu, enum engine_stop *why)
{
    snprintf(vcpu->error, sizeof(vcpu->error),
             "the processor refuses the VM entry (hardware reason %#" PRIx64 "); use --engine soft",
             (uint64_t)vcpu->run->fail_entry.hardware_entry_failure_reason);
    return kvm_stop(why, ENGINE_STOP_ERROR);
}

/* KVM's ring is to a vCPU what the processor's log of 512 pages is to KVM. */
static enum kvm_next serve_dirty_ring(struct engine_vcpu *vcpu, enum engine_stop *why)
{
    int err;

    plain_exit(vcpu, EXIT_PML_FULL);
    err = kvm_dirty_ring_harvest(&vcpu->vm);
    if (!err)
        return KVM_NEXT_ENTER;
    kvm_fail(vcpu, "KVM does not empty its ring of dirty pages", err);
    return kvm_stop(why, ENGINE_STOP_ERROR);
}

static enum kvm_next serve(struct engine_vcpu *vcpu, enum engine_stop *why)
{
    vcpu->exit_pending = false;
    kvm_drain_writes(vcpu);
    switch (vcpu->run->exit_reason) {
    case KVM_EXIT_IO: return serve_io(vcpu);
    case KVM_EXIT_MMIO: return serve_mmio(vcpu);
    case KVM_EXIT_X86_RDMSR: return serve_msr(vcpu, false);
    case KVM_EXIT_X86_WRMSR: return serve_msr(vcpu, true);
    case KVM_EXIT_HLT:
        plain_exit(vcpu, EXIT_HLT);
        vcpu->halted = true;
        return kvm_stop(why, ENGINE_STOP_HALT);
    case KVM_EXIT_IRQ_WINDOW_OPEN: plain_exit(vcpu, EXIT_INTERRUPT_WINDOW); return KVM_NEXT_ENTER;
    case KVM_EXIT_SET_TPR: plain_exit(vcpu, EXIT_CR_ACCESS); return KVM_NEXT_ENTER;
    case KVM_EXIT_INTR: plain_exit(vcpu, EXIT_EXTERNAL_INTERRUPT); return KVM_NEXT_ENTER;
    case KVM_EXIT_SHUTDOWN:
        plain_exit(vcpu, EXIT_TRIPLE_FAULT);
        return kvm_stop(why, ENGINE_STOP_SHUTDOWN);
    case KVM_EXIT_DIRTY_RING_FULL: return serve_dirty_ring(vcpu, why);
    case KVM_EXIT_DEBUG: return kvm_stop(why, ENGINE_STOP_DEBUG);
    case KVM_EXIT_SYSTEM_EVENT: return serve_system_event(vcpu, why);
    case KVM_EXIT_INTERNAL_ERROR: return fail_internal(vcpu, why);
    case KVM_EXIT_FAIL_ENTRY: return fail_entry(vcpu, why);
    default:
        snprintf(vcpu->error, sizeof(vcpu->error),
                 "KVM_RUN ended for a reason (%u) that is not known; use --engine soft",
                 vcpu->run->exit_reason);
        return kvm_stop(why, ENGINE_STOP_ERROR);
    }
}

/* What the host needs to leave the guest and to enter it again is not in the time of an exit. */
enum kvm_next kvm_serve_exit(struct engine_vcpu *vcpu, enum engine_stop *why)
{
    uint64_t (*host_ns)(void *opaque) = vcpu->host.host_ns;
    uint64_t begin = host_ns ? host_ns(vcpu->host.opaque) : 0;
    enum kvm_next next;

    vcpu->counted = EXIT_REASONS;
    next = serve(vcpu, why);
    if (host_ns && vcpu->counted < EXIT_REASONS)
        vcpu->counters.exit_ns[vcpu->counted] += host_ns(vcpu->host.opaque) - begin;
    return next;
}

/*
 * What the files of the kvm engine share: the host's KVM with what it offers, the VM as KVM knows
 * it, and the vCPU. Nobody outside src/engine/kvm includes this.
 * Specification: Linux "The Definitive KVM (Kernel-based Virtual Machine) API Documentation".
 */
#ifndef UMBRA_ENGINE_KVM_INTERNAL_H
#define UMBRA_ENGINE_KVM_INTERNAL_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>

#include "engine/engine.h"
#include "engine/kvm/debug.h"
#include "engine/kvm/kvm.h"
#include "mem/mem.h"
#include "mmu/mmu.h"

/* Memory regions that KVM is told of at most: more than twice mem.c's limit of slots (memory.c). */
#define KVM_MAX_REGIONS 96

/* The address line that a PC can hold at zero, and the length of what is seen twice then. */
#define KVM_A20 BIT(20)

/* Below the BIOS, where no guest memory is: three pages that Intel's VT-x wants for a TSS. */
#define KVM_TSS_ADDRESS 0xfffbd000u

/* A slot, or a part of one, as KVM is told of it. */
struct kvm_region {
    gpa_t base;          /* where the guest finds it */
    gpa_t shows;         /* its address among the slots: base, unless A20 is closed */
    uint64_t size_bytes; /* 0: the number is free */
    uint8_t *hva;
    bool read_only;
    bool logged; /* KVM remembers writes to it */
};

/* All that the guest is to find. */
struct kvm_view {
    unsigned count;
    struct kvm_region regions[KVM_MAX_REGIONS];
};

/* What the vCPU has written, as KVM tells it: shared with the kernel. */
struct kvm_dirty_ring {
    struct kvm_dirty_gfn *entry;
    uint32_t entries; /* 0: there is no ring, KVM keeps bitmaps */
    uint32_t next;    /* the first that may have been filled */
    bool overrun;     /* KVM has overwritten entries: it tells the truth no more */
};

/* The VM as KVM knows it. One vCPU uses it now; it has what the others will share. */
struct kvm_vm {
    int device_fd; /* /dev/kvm */
    int fd;
    size_t run_bytes; /* of a vCPU's shared page */
    struct mem *mem;
    bool a20_closed;                            /* as regions show it */
    struct kvm_region regions[KVM_MAX_REGIONS]; /* by KVM's number */
    struct kvm_dirty_ring dirty_ring;           /* of its vCPU */
    struct kvm_irqchips *irqchips;              /* NULL: the monitor's own controllers serve */
};

/* Requests to the vCPU, in one word, looked at before each entry. */
enum kvm_request {
    KVM_REQUEST_INTR = 1, /* level of INTR */
    KVM_REQUEST_NMI = 2,
    KVM_REQUEST_INIT = 4,
    KVM_REQUEST_SIPI = 8,
    KVM_REQUEST_KICK = 16,
    KVM_REQUEST_FLUSH = 32, /* the slots or A20 changed */
};

/* What stands still while the VM is stopped, as it was then. */
struct kvm_stopped_time {
    bool stopped;
    bool has_tsc, has_clock, has_apic, has_pit; /* KVM told */
    uint64_t tsc;
    uint64_t deadline; /* IA32_TSC_DEADLINE; 0: none */
    struct kvm_clock_data clock;
    struct kvm_lapic_state apic;
    struct kvm_pit_state2 pit;
};

struct engine_vcpu {
    struct kvm_vm vm;
    int fd;
    struct kvm_run *run; /* shared with the kernel */
    unsigned index;
    struct mmu *mmu;
    struct mmu_tlb tlb_link; /* how the monitor tells of slots and dirty logs */
    struct engine_host host;
    const struct cpu_model *model;
    struct engine_counters counters;
    unsigned counted;          /* the reason of the exit being served; EXIT_REASONS: none yet */
    _Atomic uint32_t requests; /* KVM_REQUEST_*; release on set, acquire on look */
    uint8_t sipi_vector;
    uint64_t apic_base; /* IA32_APIC_BASE as KVM has it */
    bool halted;
    bool wait_for_sipi;
    bool exit_pending; /* the last exit's access is to be completed by another entry */
    bool has_xsave;
    struct kvm_coalesced_mmio_ring *ring; /* writes that KVM has gathered; NULL: it gathers none */
    uint32_t ring_entries;
    pthread_t thread; /* the one that runs it, while `running` */
    atomic_bool running;
    struct kvm_debug debug;
    struct kvm_stopped_time stopped_time;
    char error[256]; /* for ENGINE_STOP_ERROR */
};

/* --- device.c --- */

/* ioctl that is repeated when a signal interrupts it; -errno on failure. */
int kvm_ioctl(int fd, unsigned long request, void *argument);
int kvm_ioctl_value(int fd, unsigned long request, unsigned long value);

/* --- open.c: engine.h's vcpu_create and vcpu_destroy --- */
int kvm_vcpu_create(struct engine_vcpu **out, const struct engine_vcpu_config *config) must_check;
void kvm_vcpu_destroy(struct engine_vcpu *vcpu);

/* --- vcpu.c --- */

/* Sets KVM_REQUEST_* bits; a vCPU that runs is made to look. Any thread. */
void kvm_set_request(struct engine_vcpu *vcpu, uint32_t request);
/* Puts words for what failed into vcpu->error; returns err. */
int kvm_fail(struct engine_vcpu *vcpu, const char *what, int err);
/* RESET, or INIT; 0 or -errno, with the words in vcpu->error. */
int kvm_vcpu_reset(struct engine_vcpu *vcpu, bool init) must_check;

/* --- memory.c: mirrors the slots. With the vCPU stopped, or on its thread. --- */

/* What the guest finds where, for the slots as they are. */
void kvm_make_view(struct kvm_view *view, const struct mem *mem, bool a20_closed);
/* Makes KVM's regions that view; slots with a dirty log are logged. 0 or -errno. */
int kvm_mirror_slots(struct kvm_vm *vm, bool a20_closed) must_check;
/*
 * Marks in the log of the slot at base what KVM has seen written since the last time; where KVM
 * does not tell, all of it. 0, -ENOENT (no such slot, or not logged), or KVM's error.
 */
int kvm_dirty_sync(struct kvm_vm *vm, gpa_t base) must_check;

/* --- dirty_ring.c: where KVM offers it, in the place of its bitmaps. 0 or -errno. --- */

/* Before the vCPU is made; where there is to be no ring, nothing happens. */
void kvm_dirty_ring_enable(struct kvm_vm *vm, enum engine_dirty_log wish);
int kvm_dirty_ring_map(struct kvm_vm *vm, int vcpu_fd) must_check;
void kvm_dirty_ring_unmap(struct kvm_vm *vm);
/*
 * Marks the pages in the ring as written; returns how many entries wait to be reset then. A ring
 * without any empty entry has been overrun: then all logged regions count as written.
 */
unsigned kvm_dirty_ring_collect(struct kvm_vm *vm);
/* Collects, and gives the entries back: their pages are logged anew. */
int kvm_dirty_ring_harvest(struct kvm_vm *vm) must_check;

/* The address that reaches the bus, or memory, for one that the processor sends. */
static inline gpa_t kvm_masked(const struct kvm_vm *vm, gpa_t gpa)
{
    return vm->a20_closed ? gpa & ~KVM_A20 : gpa;
}

/* --- irqchip.c: the kernel's 8259 pair, I/O APIC and PIT. 0 or -errno. --- */
struct kvm_irqchips;
int kvm_irqchip_create(struct kvm_vm *vm) must_check;         /* before the vCPUs */
int kvm_irqchip_capture(struct engine_vcpu *vcpu) must_check; /* what a reset goes back to */
int kvm_irqchip_reset(struct engine_vcpu *vcpu) must_check;
int kvm_irqchip_wake(struct engine_vcpu *vcpu) must_check; /* HLT, which KVM knows of, is over */
void kvm_irqchip_destroy(struct kvm_vm *vm);
void kvm_irqchip_set(struct kvm_vm *vm, unsigned gsi, bool level);

/* --- state.c: 0 or -errno. --- */
int kvm_get_state(struct engine_vcpu *vcpu, struct x86_state *state) must_check;
int kvm_set_state(struct engine_vcpu *vcpu, const struct x86_state *state) must_check;
/* One MSR; one that KVM does not have is left, and keeps *value. */
int kvm_access_msr(struct engine_vcpu *vcpu, uint32_t index, uint64_t *value,
                   bool write) must_check;

/* --- time.c: engine.h's vcpu_stop_time and vcpu_start_time --- */
void kvm_stop_time(struct engine_vcpu *vcpu);
void kvm_start_time(struct engine_vcpu *vcpu);
/* After a reset: what stands still, if it does, is what the reset has left. */
void kvm_reset_time(struct engine_vcpu *vcpu);

/* --- cpuid.c: tells KVM what the model answers, as far as the host's KVM offers it --- */
int kvm_set_cpuid(struct engine_vcpu *vcpu) must_check;

/* --- stats.c: calls fn for each of KVM's counters of a VM or vCPU; none on an older kernel --- */
void kvm_read_stats(int object_fd, void (*fn)(void *opaque, const char *name, uint64_t value),
                    void *opaque);

/* --- exits.c --- */

/* What the vCPU's loop does after an exit. */
enum kvm_next {
    KVM_NEXT_ENTER, /* enter again */
    KVM_NEXT_STOP,  /* vcpu_run returns *why */
};

static inline enum kvm_next kvm_stop(enum engine_stop *why, enum engine_stop reason)
{
    *why = reason;
    return KVM_NEXT_STOP;
}

/* The one place that every exit passes: it is counted, traced, and timed by kvm_serve_exit. */
void kvm_exit(struct engine_vcpu *vcpu, struct exit exit);

/*
 * Serves the exit that vcpu->run describes. A function of its value: it calls the engine's host
 * functions and nothing of KVM but the reset of the dirty ring, so that made-up exits test it.
 */
enum kvm_next kvm_serve_exit(struct engine_vcpu *vcpu, enum engine_stop *why);

/*
 * Carries out the writes that KVM has gathered, in their order: before each exit is served, and
 * before others look at the machine.
 */
void kvm_drain_writes(struct engine_vcpu *vcpu);

#endif

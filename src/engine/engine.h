/*
 * The contract between the monitor and an engine: what the monitor hands down, what an engine
 * offers. An engine knows no device; port and MMIO accesses go through these functions.
 *
 * Threads: engine_vcpu_run belongs to the vCPU's thread, as do the state functions (or to anyone
 * while that thread is not inside run). The signal functions (set_intr, nmi, init, sipi, kick) may
 * be called from any thread.
 */
#ifndef UMBRA_ENGINE_ENGINE_H
#define UMBRA_ENGINE_ENGINE_H

#include "engine/exit.h"
#include "x86/state.h"

struct mmu;
struct cpu_model;
struct shadow_root;

/* Why engine_vcpu_run came back. Hot exits never do: they are calls through struct engine_host. */
enum engine_stop {
    ENGINE_STOP_HALT,     /* HLT; run again when something is pending */
    ENGINE_STOP_SHUTDOWN, /* triple fault */
    ENGINE_STOP_KICK,     /* somebody called engine_vcpu_kick */
    ENGINE_STOP_WAIT,     /* waiting for SIPI after INIT */
    ENGINE_STOP_DEBUG,    /* something that vcpu_debug asked for; vcpu_debug_stop tells */
    ENGINE_STOP_ERROR,    /* the engine failed; engine_vcpu_error tells */
};

/* What the monitor hands down. Each function takes the locks that it needs itself. */
struct engine_host {
    void *opaque;
    uint32_t (*port_read)(void *opaque, uint16_t port, unsigned width);
    void (*port_write)(void *opaque, uint16_t port, unsigned width, uint32_t value);
    uint64_t (*mmio_read)(void *opaque, gpa_t gpa, unsigned width);
    void (*mmio_write)(void *opaque, gpa_t gpa, unsigned width, uint64_t value);
    /* INTA: the vector of the interrupt to take now, or -1 when there is none any more. */
    int (*interrupt_acknowledge)(void *opaque, unsigned vcpu);
    /* MSRs that belong to the local APIC (APIC base, x2APIC range, TSC deadline); false: #GP. */
    bool (*msr_read)(void *opaque, unsigned vcpu, uint32_t index, uint64_t *value);
    bool (*msr_write)(void *opaque, unsigned vcpu, uint32_t index, uint64_t value);
    /* CR8, the local APIC's task priority. */
    uint64_t (*tpr_read)(void *opaque, unsigned vcpu);
    void (*tpr_write)(void *opaque, unsigned vcpu, uint64_t value);
    /* The host-side time-stamp counter before any guest offset, at tsc_hz ticks a second. */
    uint64_t (*tsc_now)(void *opaque);
    /*
     * The guest's counter is from now on tsc_now plus this, modulo 2^64: it was written. RESET
     * makes it 0 without a call. An engine with no use for the monitor's TSC-deadline timer never
     * calls.
     */
    void (*tsc_offset_changed)(void *opaque, unsigned vcpu, uint64_t offset);
    uint64_t tsc_hz;
    /* The physical address mask for A20: ~0, or with bit 20 clear. Read at each TLB fill. */
    uint64_t (*a20_mask)(void *opaque);
    /*
     * Host time in nanoseconds, for statistics only: then exits are timed and TLB look-ups counted.
     * NULL: neither, and nothing is spent on them.
     */
    uint64_t (*host_ns)(void *opaque);
    /*
     * Set: counters.instructions is exact between any two instructions, interrupts are taken
     * between exactly the two at which they arise, and this is called there, on the vCPU's thread,
     * once the count has reached what vcpu_count_until said. NULL: both are looked at once a block
     * only.
     */
    void (*count_reached)(void *opaque);
};

/* The width of the next piece of an MMIO access with `left` bytes to go: the bus takes 1, 2, 4, 8.
 */
static inline unsigned engine_bus_piece(unsigned left)
{
    return left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

/* Why a TLB was flushed; the rest are changes of CR0, CR4 and EFER, and resets. */
enum engine_flush {
    ENGINE_FLUSH_CR3,
    ENGINE_FLUSH_INVALIDATE, /* INVPCID; INVLPG where large pages are cached */
    ENGINE_FLUSH_MONITOR,    /* the monitor's tables, slots or A20 changed */
    ENGINE_FLUSHES
};

#define ENGINE_SHADOW_FAULTS 5

/* Counted for each vCPU, read at any time (a torn read does no harm to a statistic). */
struct engine_counters {
    uint64_t exits[EXIT_REASONS];
    /* With host_ns: spent on exits of a reason, without the exits inside them. */
    uint64_t exit_ns[EXIT_REASONS];
    uint64_t instructions;
    uint64_t blocks_made, blocks_dropped;
    uint64_t tlb_lookups;      /* with host_ns: memory operands of the instructions executed */
    uint64_t tlb_misses;       /* translations that were walked for */
    uint64_t tlb_fetch_misses; /* of those, for fetches of instructions */
    uint64_t tlb_flushes;      /* all, those by reason below among them */
    uint64_t flushes[ENGINE_FLUSHES];
    uint64_t block_bytes; /* of decoded blocks, now */
    uint64_t translations_made, translations_dropped;
    uint64_t translation_bytes;        /* of the host code: memory that was touched stays */
    uint64_t translation_record_bytes; /* of what is known about it, now */
    uint64_t translation_flushes;      /* the memory for it was full */
    uint64_t translation_entries;      /* from the run loop */
    uint64_t host_faults;              /* in code made for the guest; they cost a block */
    uint64_t translation_helpers;      /* instructions of it that C functions ran */
    uint64_t translated_instructions;  /* of `instructions` */
    uint64_t tsc_reads;                /* RDTSC and RDTSCP; they do not exit */
    uint64_t fixed_bytes; /* of the engine's own, the same for every guest; with tlb_bytes */
    uint64_t tlb_bytes;
    uint64_t faults_injected; /* exceptions delivered into the guest */
    uint64_t page_faults;     /* of those, #PF */
    uint64_t
        shadow_faults[ENGINE_SHADOW_FAULTS]; /* page faults that exited, by enum shadow_fault */
    uint64_t interrupts_injected;
};

struct engine_vcpu;

/* An entry of an engine's TLB, for people to look at. */
struct engine_tlb_entry {
    const char *table; /* the privilege that it serves */
    gva_t gva;         /* of the page */
    gpa_t gpa;
    const void *hva;
    bool read, write, execute;
};

#define ENGINE_MAX_TLB_ENTRIES     4096
#define ENGINE_TRANSLATE_NEVER     UINT32_MAX
#define ENGINE_TRANSLATE_MIN_BYTES (288 * KIB)

/* How the host logs the guest's writes to memory, where it has a choice. */
enum engine_dirty_log {
    ENGINE_DIRTY_LOG_BEST,
    ENGINE_DIRTY_LOG_BITMAP, /* off switch of rings */
    ENGINE_DIRTY_LOG_RING,   /* even of a host that is known to overrun it: for tests */
};

/* What a vCPU is made from. Everything pointed to outlives it. */
struct engine_vcpu_config {
    unsigned index;
    struct mmu *mmu; /* guest memory, and how it is virtualized */
    const struct engine_host *host;
    const struct cpu_model *model;
    /*
     * The engine's own interrupt controllers and PIT serve the guest (set_irq drives them), where
     * it has some; else the monitor's do.
     */
    bool host_irqchip;
    bool tlb_keeps_nothing; /* off switch: a load of CR3 empties the TLB of global pages, too */
    enum engine_dirty_log dirty_log; /* for an engine whose host logs writes */
    /*
     * The soft engine translates a block to host code when it has begun to run so often. 0: its
     * choice. ENGINE_TRANSLATE_NEVER: it interprets everything.
     */
    unsigned translate_after;
    size_t block_bytes; /* of memory for decoded blocks; 0: its choice */
    /* Of memory for translated code, at least ENGINE_TRANSLATE_MIN_BYTES; 0: its choice. */
    size_t translate_bytes;
    unsigned tlb_entries; /* a power of two, for engines with a TLB of their own; 0: their choice */
    /* Where an engine that knows more than an -errno puts it when it fails; NULL: nobody asks. */
    char *error;
    size_t error_bytes;
};

/*
 * What a debugger wants of a vCPU; nothing of it can be seen by the guest, whose own breakpoints,
 * TF and INT3 go on working. Addresses are linear. A breakpoint stops before its instruction, a
 * watchpoint behind the instruction that made the access (between the iterations of a repeated
 * one). Accesses by devices and by walks of the page tables are not watched.
 */
#define ENGINE_MAX_BREAKPOINTS 64
#define ENGINE_MAX_WATCHPOINTS 64

struct engine_watchpoint {
    gva_t start;
    uint64_t bytes; /* at least 1; start + bytes - 1 does not wrap */
    bool read, write;
};

struct engine_debug {
    unsigned breakpoints, watchpoints; /* how many of the lists below count */
    gva_t breakpoint[ENGINE_MAX_BREAKPOINTS];
    struct engine_watchpoint watchpoint[ENGINE_MAX_WATCHPOINTS];
    bool single_step;     /* stop after one instruction, or at the handler of what it raised */
    bool hold_interrupts; /* with single_step: none is taken, but by a halted processor */
    bool pass_first;      /* no breakpoint stops the first instruction of the next run */
};

enum engine_debug_reason {
    ENGINE_DEBUG_STEP,
    ENGINE_DEBUG_BREAKPOINT,
    ENGINE_DEBUG_WATCHPOINT,
};

/* Why the last ENGINE_STOP_DEBUG was. */
struct engine_debug_stop {
    enum engine_debug_reason reason;
    unsigned watchpoint; /* which, with ENGINE_DEBUG_WATCHPOINT */
    /* Of the instruction, or the first byte accessed inside the watchpoint (or of a part of it). */
    gva_t address;
};

/* An engine is a table of functions over its own vCPU type. */
struct engine {
    const char *name;
    /* 0 or -errno. The vCPU starts in the reset state. */
    int (*vcpu_create)(struct engine_vcpu **out, const struct engine_vcpu_config *config);
    void (*vcpu_destroy)(struct engine_vcpu *vcpu);
    enum engine_stop (*vcpu_run)(struct engine_vcpu *vcpu);
    void (*vcpu_reset)(struct engine_vcpu *vcpu, bool init);
    void (*vcpu_get_state)(struct engine_vcpu *vcpu, struct x86_state *state);
    /* A halted processor stays so if RIP stays where it is. */
    void (*vcpu_set_state)(struct engine_vcpu *vcpu, const struct x86_state *state);
    /* The level of a GSI of the engine's own interrupt controllers; NULL: it has none. */
    void (*set_irq)(struct engine_vcpu *vcpu, unsigned gsi, bool level);
    /* The level of the INTR input. */
    void (*vcpu_set_intr)(struct engine_vcpu *vcpu, bool level);
    void (*vcpu_nmi)(struct engine_vcpu *vcpu);
    void (*vcpu_init)(struct engine_vcpu *vcpu);
    void (*vcpu_sipi)(struct engine_vcpu *vcpu, uint8_t vector);
    /* Makes a running vcpu_run return ENGINE_STOP_KICK soon; kept until it does. */
    void (*vcpu_kick)(struct engine_vcpu *vcpu);
    /* Whether a halted vCPU has a reason to run again. */
    bool (*vcpu_pending)(struct engine_vcpu *vcpu);
    /* The address space outside the vCPU changed: A20 or slots. Any thread; takes effect soon. */
    void (*vcpu_flush)(struct engine_vcpu *vcpu);
    const struct engine_counters *(*vcpu_counters)(struct engine_vcpu *vcpu);
    /*
     * With count_reached: when it is to be called next; UINT64_MAX for never, as at the start. A
     * count that is reached already calls it before the next instruction but one. Any thread. NULL:
     * the engine cannot count.
     */
    void (*vcpu_count_until)(struct engine_vcpu *vcpu, uint64_t instructions);
    /*
     * The guest's time stops, and goes on, while the vCPU is outside vcpu_run: its TSC, and the
     * engine's own timers. Any thread. NULL: all of it is the monitor's (tsc_now), and stops there.
     */
    void (*vcpu_stop_time)(struct engine_vcpu *vcpu);
    void (*vcpu_start_time)(struct engine_vcpu *vcpu);
    /* Calls fn for each counter that the host keeps of the vCPU and its VM; NULL: it keeps none. */
    void (*vcpu_host_counters)(struct engine_vcpu *vcpu,
                               void (*fn)(void *opaque, const char *name, uint64_t value),
                               void *opaque);
    /* Words for ENGINE_STOP_ERROR. */
    const char *(*vcpu_error)(struct engine_vcpu *vcpu);
    /* Guest virtual memory for debuggers, without side effects; false where nothing is mapped. */
    bool (*vcpu_read_gva)(struct engine_vcpu *vcpu, gva_t gva, void *buffer, size_t len);
    /* Where a linear address leads now, as above. NULL in an engine that debuggers can't use. */
    bool (*vcpu_translate)(struct engine_vcpu *vcpu, gva_t gva, gpa_t *gpa);
    /*
     * Whether a debugger can have that: 0, -ENOSPC (more than the processor has room for),
     * -EOPNOTSUPP (no such watchpoints), -ENODEV (the host offers nothing of it). NULL: all
     * that a struct engine_debug holds.
     */
    int (*vcpu_debug_check)(struct engine_vcpu *vcpu, const struct engine_debug *debug);
    /* Replaces what a debugger asked for before; copied. NULL as above. */
    void (*vcpu_debug)(struct engine_vcpu *vcpu, const struct engine_debug *debug);
    void (*vcpu_debug_stop)(struct engine_vcpu *vcpu, struct engine_debug_stop *stop);
    /* Calls fn for each entry in use; NULL in an engine that has no TLB of its own. */
    void (*vcpu_tlb_for_each)(struct engine_vcpu *vcpu,
                              void (*fn)(void *opaque, const struct engine_tlb_entry *entry),
                              void *opaque);
    /* Checks what the engine has cached against memory; false with the reason in why. NULL: cannot.
     */
    bool (*vcpu_audit)(struct engine_vcpu *vcpu, char *why, size_t size);
    /* What the vCPU's CR3 stands for under shadow paging (shadow.h); NULL: it does not tell. */
    const struct shadow_root *(*vcpu_shadow_root)(struct engine_vcpu *vcpu);
};

/* Our own processor in software. */
extern const struct engine engine_soft;

/* The host's KVM; see kvm/kvm.h for whether it is worth using. */
extern const struct engine engine_kvm;

#endif

/*
 * The soft engine's processor: the architectural state, what is derived from it for speed, and how
 * instructions report what became of them.
 *
 * An instruction function gets RIP already moved past the instruction. When it returns STEP_FAULT
 * the run loop moves RIP back and delivers cpu->fault; nothing architectural may have changed then
 * but what the manual lets change.
 *
 * The arithmetic flags live apart from RFLAGS in the form in which the host gives them: AX after
 * LAHF and SETO AL. Whoever wants RFLAGS calls cpu_rflags / cpu_set_rflags.
 */
#ifndef UMBRA_ENGINE_SOFT_CPU_H
#define UMBRA_ENGINE_SOFT_CPU_H

#include <stdatomic.h>

#include "base/trace.h"
#include "engine/engine.h"
#include "mem/mem.h"
#include "mmu/mmu.h"
#include "mmu/shadow/shadow.h"
#include "x86/insn.h"
#include "x86/state.h"

struct op;
struct site;
struct dbt;
struct block_cache;
struct native;
struct cpu_model;

/* What became of an instruction. */
enum step {
    STEP_NEXT = 0, /* done, go on in this block */
    STEP_JUMP,     /* done, RIP is where to go on; leave the block (mode, RIP or code changed) */
    STEP_FAULT,    /* cpu->fault is to be delivered at this instruction */
    STEP_AGAIN,    /* not done yet (REP): RIP stays at the instruction, look at interrupts first */
    STEP_STOP,     /* done, and the run loop returns cpu->stop to the monitor */
};

/* An exception to be delivered. */
struct cpu_fault {
    uint8_t vector;
    bool has_error;
    bool is_trap; /* #DB traps, #BP, #OF: RIP is past the instruction already */
    uint32_t error;
    uint64_t address; /* CR2, for #PF */
};

/* The TLB keeps a table for each way in which the paging rules look at an access. */
enum tlb_kind {
    TLB_USER,       /* CPL 3 */
    TLB_SUPER,      /* supervisor; user pages allowed as far as SMAP is off or AC is set */
    TLB_SUPER_SMAP, /* supervisor access with SMAP in force, also the implicit ones */
    TLB_KINDS,
    TLB_NEVER = TLB_KINDS, /* matches nothing: alignment checks or data breakpoints are on */
    TLB_TABLES
};

#define TLB_MAX_ENTRIES ENGINE_MAX_TLB_ENTRIES /* a table; a power of two */
/*
 * A table has at least so many slots, so that an access that straddles two pages seldom evicts its
 * own entry. Where fewer entries are asked for, slots share one: whichever was filled last has it.
 */
#define TLB_MIN_SLOTS  4
#define TLB_LOCALS     2048
#define GIB_SHIFT      30
#define TLB_FOLD_SHIFT 8 /* folds all higher bits into a full table's index (TLB_SLOT) */

/*
 * A tag is the page's linear address, or tlb_no_tag. An address XOR the tag is the offset in the
 * page, if the tag is the page's; host is where the page's first byte lies.
 */
struct tlb_entry {
    uint64_t read, write, exec;
    uint64_t host;
};

/* Requests to the vCPU, in one word that is looked at before each block. */
#define CPU_REQUEST_INTR  BIT(0) /* level of INTR */
#define CPU_REQUEST_NMI   BIT(1)
#define CPU_REQUEST_INIT  BIT(2)
#define CPU_REQUEST_SIPI  BIT(3)
#define CPU_REQUEST_KICK  BIT(4)
#define CPU_REQUEST_FLUSH BIT(5) /* A20 or slots changed */
#define CPU_REQUEST_CODE  BIT(6) /* somebody else wrote to pages that hold decoded code */
#define CPU_REQUEST_LIMIT BIT(7) /* a limited run (run.h); stands until the limit is reached */
#define CPU_REQUEST_DEBUG BIT(8) /* a single step or a watchpoint that was hit (debug.c) */
#define CPU_REQUEST_TRAP  BIT(9) /* dr6_pending has something for the guest (single.c) */

/* Where jumps through registers and memory lead; tag: the address XOR cpu->dbt_jump_tag. */
struct dbt_jump {
    uint64_t tag, code;
    struct host_block *to; /* it may outlive the tag: then the mapping has to be looked at */
    uint64_t unused;
};
#define DBT_JUMP_SHIFT 5 /* of its size */
#define DBT_JUMPS      4096u
#define DBT_NEVER      0xff
#define DBT_NO_VECTORS 0xff

/* Exits that are being timed: the innermost last (exit_time.c). */
#define EXIT_TIMER_DEPTH 8

struct exit_timer {
    uint64_t since_ns; /* when the innermost began, or was gone back to */
    unsigned depth;    /* may exceed the array: what lies deeper is its outer one's time */
    uint8_t reason[EXIT_TIMER_DEPTH];
};

struct cpu {
    struct x86_state x; /* x.rflags without the arithmetic flags */
    uint32_t arith;     /* AH: LAHF image, AL: OF (see above) */

    /* Derived from x by cpu_update_mode; see there. */
    uint8_t cpl;
    uint8_t mode;           /* enum x86_mode */
    bool long64;            /* 64-bit mode proper */
    bool legacy_real;       /* real mode or virtual-8086 mode: selectors are paragraphs */
    uint64_t seg_base[8];   /* 0 for ES, CS, SS and DS in 64-bit mode; [6], [7] unused */
    uint32_t seg_flat_read; /* a bit a segment: any offset may be read without a check */
    uint32_t seg_flat_write;
    uint64_t linear_mask;  /* 32 bits outside 64-bit mode */
    uint64_t stack_mask;   /* how much of RSP the stack uses */
    uint64_t ip_mask;      /* how much of RIP counts: 32 or 64 bits */
    struct tlb_entry *tlb; /* the table in force for data */
    uint8_t tlb_kind;      /* enum tlb_kind by privilege, whatever tlb points to */
    uint64_t tlb_mask;     /* slots of a table - 1 */
    uint64_t tlb_entries;  /* how many slots of a table are in use at once (TLB_MIN_SLOTS) */

    /*
     * What must be the same for a linear address to lead to the same block again: the generation of
     * the translations (of the CPL's kind), the mode, and whether the CPL is 3.
     */
    uint64_t fetch_key;

    /* Between instructions. */
    bool interrupt_shadow; /* STI or a load of SS: no interrupt after this instruction */
    bool debug_shadow;     /* MOV SS / POP SS: also no #DB */
    bool halted;
    bool wait_for_sipi;
    bool nmi_blocked; /* until IRET */
    bool single_step; /* the loop must go one instruction at a time (TF, DR7, trace, debugger) */
    uint8_t sipi_vector;
    uint64_t looks_left;          /* while CPU_REQUEST_LIMIT stands */
    _Atomic uint64_t count_until; /* host.count_reached is due then (engine.h); relaxed */
    uint64_t dr6_pending;         /* causes of a #DB that waits (single.c) */
    struct cpu_fault fault;
    enum engine_stop stop;
    _Atomic uint32_t requests; /* CPU_REQUEST_*; release on set, acquire on look */

    struct mem *mem;
    struct engine_host host;
    const struct cpu_model *model;
    struct mmu *mmu;                /* the VM's memory virtualization */
    struct shadow *shadow;          /* its shadow paging; NULL under ept */
    struct shadow_root shadow_root; /* what CR3 holds in non-root, under shadow */
    struct mmu_tlb tlb_link;        /* how the monitor reaches this TLB */
    struct block_cache *blocks;
    struct block *block_running; /* the one interpreted last, while it lives; or NULL */
    const char *failure;         /* words for ENGINE_STOP_ERROR */
    struct native *native;
    struct dbt *dbt; /* the translator; NULL: everything is interpreted */
    struct engine_counters counters;
    struct exit last_exit;
    struct exit_timer exit_timer;
    unsigned index;
    bool tlb_keeps_nothing; /* off switch: global pages go with CR3, too */
    bool fpu_live;          /* x.fpu's x87 part is in the host's registers (native.c) */
    bool mxcsr_live;        /* so is MXCSR */
    uint8_t native_gates;   /* what keeps native instructions from running (native_internal.h) */

    /* The translator's, at fixed places for its code. */
    _Atomic uint32_t attention; /* set with a request: translated code comes back to the loop */
    uint32_t translate_after;   /* runs of a block before it is translated */
    uint8_t dbt_context;        /* what translations depend on; DBT_NEVER: none may run */
    /* Gates closed to it while vector registers are in the host's, else DBT_NO_VECTORS. */
    uint8_t dbt_closed;
    uint64_t dbt_jump_tag;
    uint64_t dbt_target;   /* of a call through memory, or what else waits for its place */
    uint64_t dbt_stack;    /* where such a call pushes, on the host */
    struct site *dbt_site; /* by which translated code was left, or NULL */

    /* A debugger's wishes (debug.c). */
    bool debug_hit;      /* a watchpoint, by the running instruction */
    bool debug_stepped;  /* with single_step: the step has been made */
    bool debug_halted;   /* the run began halted */
    uint32_t debug_pass; /* not 0: the next instruction passes its breakpoint */
    struct engine_debug debug;
    struct engine_debug_stop debug_stop;

    /* What INVLPG and loads of CR3 have to look for (tlb.c). */
    uint64_t tlb_large;             /* a bit a GiB, folded: large pages are cached there */
    unsigned tlb_locals;            /* entries of tlb_local; TLB_LOCALS + 1: too many to list */
    uint16_t tlb_local[TLB_LOCALS]; /* places, kind after kind, filled for pages not global */

    struct dbt_jump dbt_jumps[DBT_JUMPS];
    struct tlb_entry tlb_tables[TLB_TABLES][TLB_MAX_ENTRIES];
    gpa_t tlb_pages[TLB_KINDS][TLB_MAX_ENTRIES]; /* of the entries, with flags of tlb.c's */
};

/* Registers by byte offset into x.gpr, so that AH and SPL need no case of their own. */
#define CPU_REG(cpu, type, offset) (*(type *)((char *)(cpu)->x.gpr + (offset)))

/* RFLAGS whole, bit 1 set. */
uint64_t cpu_rflags(const struct cpu *cpu);

/* Sets RFLAGS whole and re-derives what depends on VM, AC, TF (calls cpu_update_mode). */
void cpu_set_rflags(struct cpu *cpu, uint64_t rflags);

/* Sets RFLAGS whole, reserved bits as they must be; the caller calls cpu_update_mode. */
void cpu_put_rflags(struct cpu *cpu, uint64_t rflags);

/* Sets only CF, PF, AF, ZF, SF and OF from an RFLAGS image. */
void cpu_set_arith(struct cpu *cpu, uint64_t rflags);

/*
 * Re-derives everything above from CR0, CR4, EFER, RFLAGS and the segment registers. Call it after
 * any change of those, of CPL and of DR7. CPL itself is kept in cpu->cpl by whoever changes CS or
 * SS; this sets it to 3 in virtual-8086 mode and to 0 in real mode.
 */
void cpu_update_mode(struct cpu *cpu);

/* Records an exception; each returns STEP_FAULT so that callers write `return cpu_raise(...)`. */
enum step cpu_raise(struct cpu *cpu, enum x86_vector vector);
enum step cpu_raise_error(struct cpu *cpu, enum x86_vector vector, uint32_t error);
enum step cpu_raise_page_fault(struct cpu *cpu, gva_t address, uint32_t error);

/* The VM can't go on, through no fault of the guest's processor: STEP_STOP, ENGINE_STOP_ERROR. */
enum step cpu_fail(struct cpu *cpu, const char *words);

/*
 * Where a linear address stands in its TLB table. Higher bits are folded in, because programs like
 * to work on two areas a power of two apart, which would evict each other's entries all the time.
 * The translator emits the same (dbt/memory.c), which is why it has 32 bits.
 */
static inline uint64_t tlb_index(const struct cpu *cpu, gva_t linear)
{
    return (((uint32_t)linear ^ (uint32_t)linear >> TLB_FOLD_SHIFT) >> PAGE_SHIFT) & cpu->tlb_mask;
}

/* The slot of low 32 bits of an address in a full table. */
#define TLB_SLOT(low) ((((low) ^ (low) >> TLB_FOLD_SHIFT) >> PAGE_SHIFT) % TLB_MAX_ENTRIES)
_Static_assert(TLB_SLOT(UINT32_MAX) == 0, "all ones belong into slot 0, and with them in fewer");
_Static_assert(TLB_SLOT(UINT32_MAX - (uint32_t)PAGE_SIZE) % TLB_MIN_SLOTS != 0, "these do not");

/*
 * What stands in an empty entry of a slot: an address that belongs into another slot, so that no
 * address XOR it is an offset. All ones belong into slot 0.
 */
static inline uint64_t tlb_no_tag(uint64_t index)
{
    return index ? UINT64_MAX : UINT64_MAX - PAGE_SIZE;
}

static inline bool tlb_is_tag(uint64_t tag)
{
    return !(tag & ~PAGE_MASK);
}

/* The page of an entry by whichever tag it has; false when it is empty. */
static inline bool tlb_entry_page(const struct tlb_entry *entry, gva_t *page)
{
    *page = tlb_is_tag(entry->read)    ? entry->read
            : tlb_is_tag(entry->write) ? entry->write
                                       : entry->exec;
    return tlb_is_tag(*page);
}

/*
 * The one place that every exit passes: it is counted, traced and remembered. Called alone for an
 * exit that takes no time worth measuring, or never comes back.
 */
static inline void cpu_exit(struct cpu *cpu, struct exit exit)
{
    cpu->counters.exits[exit.reason]++;
    cpu->last_exit = exit;
    trace(cpu_exit, TRACE_WORD(exit_reason_words(exit.reason)), exit.reason, exit.qualification,
          exit.length, exit.gpa, exit.gla);
}

/*
 * An exit passes, and is timed from here to the end of the block of C code:
 *
 *     exit_scope struct cpu *timed = cpu_exit_begin(cpu, exit_of(op, EXIT_CPUID, 0));
 *
 * One inside another (a fault in the delivery of an interrupt) has its own time, and the outer one
 * the rest. Without host_ns nothing is timed.
 */
#define exit_scope __attribute__((cleanup(cpu_exit_end), unused))

void exit_time_begin(struct cpu *cpu, enum exit_reason reason); /* exit_time.c */
void exit_time_end(struct cpu *cpu);

static inline struct cpu *cpu_exit_begin(struct cpu *cpu, struct exit exit)
{
    cpu_exit(cpu, exit);
    if (unlikely(cpu->host.host_ns))
        exit_time_begin(cpu, exit.reason);
    return cpu;
}

/* As cpu_exit_begin for what exits under shadow paging only; else the processor does it alone. */
static inline struct cpu *cpu_exit_begin_shadow(struct cpu *cpu, struct exit exit)
{
    return cpu->shadow ? cpu_exit_begin(cpu, exit) : NULL;
}

static inline void cpu_exit_end(struct cpu **cpu)
{
    if (unlikely(*cpu && (*cpu)->host.host_ns))
        exit_time_end(*cpu);
}

static inline bool cpu_real_or_vm86(const struct cpu *cpu)
{
    return cpu->legacy_real;
}

static inline bool cpu_vm86(const struct cpu *cpu)
{
    return (cpu->x.rflags & X86_FLAG_VM) && (cpu->x.cr0 & X86_CR0_PE);
}

static inline bool cpu_protected(const struct cpu *cpu)
{
    return !cpu->legacy_real;
}

static inline unsigned cpu_iopl(const struct cpu *cpu)
{
    return (cpu->x.rflags & X86_FLAG_IOPL) >> X86_FLAG_IOPL_SHIFT;
}

/* Asks for attention before the next block; any thread. */
void cpu_request(struct cpu *cpu, uint32_t request);

/*
 * Notes causes of a #DB trap, as bits of DR6: it is taken behind the running instruction, or behind
 * the delivery of an event. The rules stand in single.c.
 */
void cpu_pend_debug(struct cpu *cpu, uint64_t causes);

/*
 * Exception and interrupt delivery through the IDT or IVT (deliver.c).
 * cpu_deliver_fault takes cpu->fault, with the escalation to double and triple fault; its result is
 * STEP_JUMP, or STEP_STOP with ENGINE_STOP_SHUTDOWN.
 */
enum step cpu_deliver_fault(struct cpu *cpu);
enum step cpu_deliver_debug_trap(struct cpu *cpu);                /* of what waits */
enum step cpu_deliver_interrupt(struct cpu *cpu, uint8_t vector); /* external */
enum step cpu_deliver_nmi(struct cpu *cpu);

/* Control and model-specific registers (sysreg.c): what the instructions and set_state share. */
enum step cpu_write_cr0(struct cpu *cpu, uint64_t value);
enum step cpu_write_cr3(struct cpu *cpu, uint64_t value);
enum step cpu_write_cr4(struct cpu *cpu, uint64_t value);

/* Paging and TLB (paging.c). */
/*
 * The registers that paging depends on have changed: CR0, CR3, CR4, EFER, PDPTEs, or all; A20 and
 * slots as well. Every translation is forgotten, and under shadow paging the root follows.
 */
void paging_changed(struct cpu *cpu);
void paging_load_cr3(struct cpu *cpu);                /* as paging_changed, for CR3 alone */
void paging_flush(struct cpu *cpu);                   /* INVPCID but of one address */
void paging_invalidate(struct cpu *cpu, gva_t page);  /* INVLPG; large pages whole */
void tlb_clear_table(struct cpu *cpu, unsigned kind); /* one table, nothing else */
void tlb_flush_all(struct cpu *cpu);                  /* the TLB alone; global pages too */
/* Loads the PDPTE registers for PAE paging; false: a reserved bit is set (#GP). */
bool paging_load_pdptes(struct cpu *cpu, uint64_t cr3);
/* The gpa of a linear address as a debugger sees it: no rights, no A/D bits. */
bool paging_peek(struct cpu *cpu, gva_t linear, gpa_t *gpa);
/* Where the processor fetches from: fills *gpa for [linear], with execute rights checked. */
enum step paging_fetch(struct cpu *cpu, gva_t linear, gpa_t *gpa);
/* The page of an entry that is in use, and whether a fetch from there is from a global page. */
gpa_t tlb_entry_gpa(const struct cpu *cpu, enum tlb_kind kind, uint64_t index);
/* Whether it is, or may be, from a large page. */
bool tlb_is_large(const struct cpu *cpu, enum tlb_kind kind, gva_t linear);
bool tlb_is_global(const struct cpu *cpu, enum tlb_kind kind, gva_t linear);
/* Forgets write tags to a page that from now on must not be written behind the monitor's back. */
void tlb_protect_page(struct cpu *cpu, gpa_t page);
/* No guest physical address has more bits than this. */
unsigned paging_physical_bits(const struct cpu *cpu);

#endif

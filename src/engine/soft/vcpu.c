/*
 * The soft engine's vCPU as engine.h asks for it: made and taken apart, its state read and set, its
 * signals raised. What it does while it runs is the run loop's business (run.c).
 */
#include "engine/soft/vcpu.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "engine/dbt/dbt.h"
#include "engine/soft/block.h"
#include "engine/soft/debug.h"
#include "engine/soft/last_words.h"
#include "engine/soft/native.h"
#include "engine/soft/paging.h"
#include "engine/soft/run.h"

/*
 * Runs of a block before it is translated: most code runs a few times only, and translating costs
 * as much as interpreting it so often.
 */
#define TRANSLATE_AFTER 64

#define BLOCK_BYTES (128 * MIB) /* of memory for decoded blocks */

struct engine_vcpu {
    struct cpu cpu;
    pthread_t thread; /* the one that runs it, for writes to its own code */
    /* Release when set, acquire where another thread's write asks: then `thread` is valid. */
    atomic_bool running;
};

void soft_vcpu_limit(struct engine_vcpu *vcpu, uint64_t looks)
{
    vcpu->cpu.looks_left = looks;
    cpu_request(&vcpu->cpu, CPU_REQUEST_LIMIT);
}

bool soft_vcpu_limited(struct engine_vcpu *vcpu)
{
    return atomic_load_explicit(&vcpu->cpu.requests, memory_order_relaxed) & CPU_REQUEST_LIMIT;
}

struct cpu *soft_vcpu_cpu(struct engine_vcpu *vcpu)
{
    return &vcpu->cpu;
}

static enum engine_stop vcpu_run(struct engine_vcpu *vcpu)
{
    struct cpu *cpu = &vcpu->cpu;
    enum engine_stop why;

    vcpu->thread = pthread_self();
    atomic_store_explicit(&vcpu->running, true, memory_order_release);
    mmu_claim(cpu->mmu);
    if (cpu->dbt)
        dbt_claim_thread(cpu);
    assert_set_last_words(last_words_say, cpu);
    debug_begin_run(cpu);
    why = debug_end_run(cpu, run_loop(cpu));
    native_sync(cpu); /* others may ask for the state now, or another thread run the vCPU */
    assert_set_last_words(NULL, NULL);
    atomic_store_explicit(&vcpu->running, false, memory_order_release);
    return why;
}

/* Somebody wrote to a page that holds decoded code. */
static void code_written(void *opaque, gpa_t gpa, uint64_t len)
{
    struct engine_vcpu *vcpu = opaque;

    if (atomic_load_explicit(&vcpu->running, memory_order_acquire) &&
        pthread_equal(vcpu->thread, pthread_self()))
        block_invalidate(&vcpu->cpu, gpa, len);
    else
        block_invalidate_later(&vcpu->cpu, gpa, len);
}

static void vcpu_destroy(struct engine_vcpu *vcpu)
{
    if (!vcpu)
        return;
    mem_set_watcher(vcpu->cpu.mem, MEM_WATCH_CODE, NULL, NULL);
    if (vcpu->cpu.shadow)
        shadow_release(vcpu->cpu.shadow, &vcpu->cpu.shadow_root);
    mmu_detach(vcpu->cpu.mmu, &vcpu->cpu.tlb_link);
    block_cache_destroy(&vcpu->cpu);
    dbt_destroy(&vcpu->cpu);
    native_destroy(&vcpu->cpu);
    free(vcpu);
}

static void flush_tlb(void *opaque)
{
    struct cpu *cpu = opaque;

    cpu->counters.flushes[ENGINE_FLUSH_MONITOR]++;
    tlb_flush_all(cpu);
}

static void write_protect_tlb(void *opaque, gpa_t page)
{
    tlb_protect_page(opaque, page);
}

/*
 * Other bytes lie where code was decoded from. All of it goes: that is rare, and a page may have
 * had no slot until now (what is fetched there reads as ones), which no watch would show.
 */
static void drop_code(void *opaque)
{
    block_drop_all(opaque);
}

static int vcpu_create(struct engine_vcpu **out, const struct engine_vcpu_config *config)
{
    struct engine_vcpu *vcpu = NULL;
    struct cpu *cpu;
    int err;

    if (posix_memalign((void **)&vcpu, 64, sizeof(*vcpu)) != 0)
        return -ENOMEM;
    memset(vcpu, 0, sizeof(*vcpu));
    cpu = &vcpu->cpu;
    cpu->index = config->index;
    cpu->mmu = config->mmu;
    cpu->shadow = mmu_shadow(config->mmu);
    cpu->mem = mmu_mem(config->mmu);
    cpu->host = *config->host;
    cpu->count_until = UINT64_MAX;
    cpu->model = config->model;
    cpu->translate_after = config->translate_after ? config->translate_after : TRANSLATE_AFTER;
    cpu->tlb_keeps_nothing = config->tlb_keeps_nothing;
    cpu->tlb_entries = config->tlb_entries ? config->tlb_entries : TLB_MAX_ENTRIES;
    cpu->tlb_mask = MAX(cpu->tlb_entries, (uint64_t)TLB_MIN_SLOTS) - 1;
    for (unsigned kind = 0; kind < TLB_TABLES; kind++)
        tlb_clear_table(cpu, kind);
    cpu->counters.tlb_bytes = sizeof(cpu->tlb_tables) + sizeof(cpu->tlb_pages);
    cpu->tlb_link = (struct mmu_tlb){
        .opaque = cpu,
        .flush = flush_tlb,
        .write_protect = write_protect_tlb,
        .slots_changed = drop_code,
    };
    cpu->counters.fixed_bytes = sizeof(*vcpu) + block_cache_fixed_bytes() + native_fixed_bytes();
    mmu_attach(cpu->mmu, &cpu->tlb_link);
    err = block_cache_create(cpu, config->block_bytes ? config->block_bytes : BLOCK_BYTES);
    if (!err)
        err = native_create(cpu);
    if (!err && config->translate_after != ENGINE_TRANSLATE_NEVER)
        err = dbt_create(cpu, config->translate_bytes);
    if (err) {
        vcpu_destroy(vcpu);
        return err;
    }
    native_install_signals();
    mem_set_watcher(cpu->mem, MEM_WATCH_CODE, code_written, vcpu);
    run_reset(cpu, false);
    cpu->wait_for_sipi = config->index != 0;
    *out = vcpu;
    return 0;
}

static void vcpu_reset(struct engine_vcpu *vcpu, bool init)
{
    struct cpu *cpu = &vcpu->cpu;

    atomic_store_explicit(&cpu->requests, 0, memory_order_release);
    block_drop_all(cpu);
    run_reset(cpu, init);
    cpu->wait_for_sipi = cpu->index != 0;
}

static void vcpu_get_state(struct engine_vcpu *vcpu, struct x86_state *state)
{
    native_sync(&vcpu->cpu);
    *state = vcpu->cpu.x;
    state->rflags = cpu_rflags(&vcpu->cpu);
}

static void vcpu_set_state(struct engine_vcpu *vcpu, const struct x86_state *state)
{
    struct cpu *cpu = &vcpu->cpu;

    native_sync(cpu);
    if (state->msr.tsc_offset != cpu->x.msr.tsc_offset)
        cpu->host.tsc_offset_changed(cpu->host.opaque, cpu->index, state->msr.tsc_offset);
    if (state->gpr[X86_RIP] != cpu->x.gpr[X86_RIP]) {
        /* A debugger may look at a processor and leave it as it is, or send it elsewhere. */
        cpu->halted = cpu->interrupt_shadow = cpu->debug_shadow = false;
        cpu->dr6_pending = 0;
    }
    cpu->x = *state;
    cpu->x.gpr[X86_ZERO] = 0;
    cpu_put_rflags(cpu, state->rflags);
    cpu->cpl = (uint8_t)x86_seg_dpl(&cpu->x.seg[X86_SS]);
    cpu->wait_for_sipi = false;
    paging_changed(cpu);
    cpu_update_mode(cpu);
}

static void vcpu_set_intr(struct engine_vcpu *vcpu, bool level)
{
    if (level)
        cpu_request(&vcpu->cpu, CPU_REQUEST_INTR);
    else
        run_take_request(&vcpu->cpu, CPU_REQUEST_INTR);
}

static void vcpu_nmi(struct engine_vcpu *vcpu)
{
    cpu_request(&vcpu->cpu, CPU_REQUEST_NMI);
}

static void vcpu_init(struct engine_vcpu *vcpu)
{
    cpu_request(&vcpu->cpu, CPU_REQUEST_INIT);
}

static void vcpu_sipi(struct engine_vcpu *vcpu, uint8_t vector)
{
    vcpu->cpu.sipi_vector = vector;
    cpu_request(&vcpu->cpu, CPU_REQUEST_SIPI);
}

static void vcpu_kick(struct engine_vcpu *vcpu)
{
    cpu_request(&vcpu->cpu, CPU_REQUEST_KICK);
}

static void vcpu_flush(struct engine_vcpu *vcpu)
{
    cpu_request(&vcpu->cpu, CPU_REQUEST_FLUSH);
}

static bool vcpu_pending(struct engine_vcpu *vcpu)
{
    const struct cpu *cpu = &vcpu->cpu;
    uint32_t requests = atomic_load_explicit(&cpu->requests, memory_order_acquire);

    if (requests & (CPU_REQUEST_INIT | CPU_REQUEST_SIPI | CPU_REQUEST_KICK))
        return true;
    if ((requests & CPU_REQUEST_NMI) && !cpu->nmi_blocked)
        return true;
    return (requests & CPU_REQUEST_INTR) && (cpu->x.rflags & X86_FLAG_IF);
}

static const struct engine_counters *vcpu_counters(struct engine_vcpu *vcpu)
{
    return &vcpu->cpu.counters;
}

static void vcpu_count_until(struct engine_vcpu *vcpu, uint64_t instructions)
{
    atomic_store_explicit(&vcpu->cpu.count_until, instructions, memory_order_relaxed);
}

static const char *vcpu_error(struct engine_vcpu *vcpu)
{
    return vcpu->cpu.failure ? vcpu->cpu.failure : "it does not say why";
}

static bool vcpu_read_gva(struct engine_vcpu *vcpu, gva_t gva, void *buffer, size_t len)
{
    struct cpu *cpu = &vcpu->cpu;
    uint8_t *to = buffer;

    while (len > 0) {
        size_t n = MIN(len, (size_t)(PAGE_SIZE - gva % PAGE_SIZE));
        gpa_t gpa;

        if (!paging_peek(cpu, gva, &gpa) || !mem_read(cpu->mem, gpa, to, n))
            return false;
        gva += n;
        to += n;
        len -= n;
    }
    return true;
}

static void vcpu_tlb_for_each(struct engine_vcpu *vcpu,
                              void (*fn)(void *opaque, const struct engine_tlb_entry *entry),
                              void *opaque)
{
    static const char *const names[TLB_KINDS] = {
        [TLB_USER] = "user", [TLB_SUPER] = "supervisor", [TLB_SUPER_SMAP] = "supervisor+SMAP"};
    const struct cpu *cpu = &vcpu->cpu;

    for (unsigned kind = 0; kind < TLB_KINDS; kind++) {
        for (uint64_t i = 0; i <= cpu->tlb_mask; i++) {
            const struct tlb_entry *entry = &cpu->tlb_tables[kind][i];
            gva_t page;

            if (tlb_entry_page(entry, &page))
                fn(opaque, &(struct engine_tlb_entry){
                               .table = names[kind],
                               .gva = page,
                               .gpa = tlb_entry_gpa(cpu, kind, i),
                               .hva = (const void *)(uintptr_t)entry->host,
                               .read = entry->read == page,
                               .write = entry->write == page,
                               .execute = entry->exec == page,
                           });
        }
    }
}

static bool vcpu_translate(struct engine_vcpu *vcpu, gva_t gva, gpa_t *gpa)
{
    return paging_peek(&vcpu->cpu, gva, gpa);
}

static void vcpu_debug(struct engine_vcpu *vcpu, const struct engine_debug *debug)
{
    debug_set(&vcpu->cpu, debug);
}

static void vcpu_debug_stop(struct engine_vcpu *vcpu, struct engine_debug_stop *stop)
{
    *stop = vcpu->cpu.debug_stop;
}

static bool vcpu_audit(struct engine_vcpu *vcpu, char *why, size_t size)
{
    return paging_audit(&vcpu->cpu, why, size);
}

static const struct shadow_root *vcpu_shadow_root(struct engine_vcpu *vcpu)
{
    return vcpu->cpu.shadow_root.page ? &vcpu->cpu.shadow_root : NULL;
}

const struct engine engine_soft = {
    .name = "soft",
    .vcpu_create = vcpu_create,
    .vcpu_destroy = vcpu_destroy,
    .vcpu_run = vcpu_run,
    .vcpu_reset = vcpu_reset,
    .vcpu_get_state = vcpu_get_state,
    .vcpu_set_state = vcpu_set_state,
    .vcpu_set_intr = vcpu_set_intr,
    .vcpu_nmi = vcpu_nmi,
    .vcpu_init = vcpu_init,
    .vcpu_sipi = vcpu_sipi,
    .vcpu_kick = vcpu_kick,
    .vcpu_pending = vcpu_pending,
    .vcpu_flush = vcpu_flush,
    .vcpu_counters = vcpu_counters,
    .vcpu_count_until = vcpu_count_until,
    .vcpu_error = vcpu_error,
    .vcpu_read_gva = vcpu_read_gva,
    .vcpu_translate = vcpu_translate,
    .vcpu_debug = vcpu_debug,
    .vcpu_debug_stop = vcpu_debug_stop,
    .vcpu_tlb_for_each = vcpu_tlb_for_each,
    .vcpu_audit = vcpu_audit,
    .vcpu_shadow_root = vcpu_shadow_root,
};

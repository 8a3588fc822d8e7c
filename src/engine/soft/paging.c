/*
 * The paging unit and its TLB. A miss walks the guest's tables (mmu/guest_walk.c), finds the slot,
 * and fills an entry; pages that need the monitor on a write (ROM, watched pages) get no write tag,
 * addresses without a slot get no entry at all.
 * Specification: SDM 3 "Paging", "Caching Translation Information".
 */
#include "engine/soft/paging.h"

#include <string.h>

#include "base/assert.h"
#include "engine/soft/block.h"
#include "engine/soft/debug.h"
#include "mmu/ept.h"
#include "mmu/guest_walk.h"
#include "mmu/mmu.h"
#include "x86/cpuid.h"

unsigned paging_physical_bits(const struct cpu *cpu)
{
    return cpu->model->physical_bits;
}

static enum guest_paging paging_format(const struct cpu *cpu)
{
    if (!(cpu->x.cr0 & X86_CR0_PG))
        return GUEST_PAGING_NONE;
    if (!(cpu->x.cr4 & X86_CR4_PAE))
        return GUEST_PAGING_32BIT;
    return cpu->x.msr.efer & X86_EFER_LMA ? GUEST_PAGING_4LEVEL : GUEST_PAGING_PAE;
}

/*
 * The second dimension: where a guest-physical address is in host memory. A violation is an exit,
 * served at once from the slots. EPT_WALK_VIOLATION remains for a write to ROM only.
 */
static enum ept_walk nested_walk(struct cpu *cpu, gpa_t gpa, unsigned access,
                                 struct ept_mapping *mapping)
{
    struct ept *ept = mmu_ept(cpu->mmu);
    enum ept_walk end;

    while ((end = ept_walk(ept, gpa, access, mapping)) == EPT_WALK_VIOLATION) {
        exit_scope struct cpu *timed = cpu_exit_begin(cpu, EXIT_EPT_VIOLATION);
        switch (ept_fill(ept, gpa, access)) {
        case EPT_FILLED: break;
        case EPT_FILL_MMIO: return EPT_WALK_MISCONFIG;
        case EPT_FILL_READ_ONLY: return EPT_WALK_VIOLATION;
        }
    }
    return end;
}

/* The processor's accesses to the guest's own tables go through the second dimension, too. */
static void *table_host(void *opaque, gpa_t gpa, unsigned bytes, bool write)
{
    struct ept_mapping mapping;
    enum ept_walk end = nested_walk(opaque, gpa, write ? EPT_READ | EPT_WRITE : EPT_READ, &mapping);

    return end == EPT_WALK_MAPPED ? mapping.hva : NULL;
}

static void walk_context(struct cpu *cpu, struct guest_walk_context *context)
{
    *context = (struct guest_walk_context){
        .mem = cpu->mem,
        .table_host = table_host,
        .opaque = cpu,
        .format = paging_format(cpu),
        .cr3 = cpu->x.cr3,
        .pdpte = cpu->x.pdpte,
        .physical_bits = paging_physical_bits(cpu),
        .a20_mask = cpu->host.a20_mask(cpu->host.opaque),
        .pse = cpu->x.cr4 & X86_CR4_PSE,
        .wp = cpu->x.cr0 & X86_CR0_WP,
        .nxe = cpu->x.msr.efer & X86_EFER_NXE,
        .smep = cpu->x.cr4 & X86_CR4_SMEP,
        .gib_pages = cpu->model->has[X86_FEATURE_PDPE1GB],
    };
}

static struct tlb_entry *tlb_slot(struct cpu *cpu, enum tlb_kind kind, gva_t linear)
{
    return &cpu->tlb_tables[kind][tlb_index(cpu, linear)];
}

/* Empties the slots that share the entry of one that is being filled; there are none but in a tiny
 * TLB. */
static void tlb_evict_sharers(struct cpu *cpu, enum tlb_kind kind, uint64_t index)
{
    for (uint64_t i = cpu->tlb_entries; i <= cpu->tlb_mask; i += cpu->tlb_entries) {
        struct tlb_entry *entry = &cpu->tlb_tables[kind][(index + i) & cpu->tlb_mask];

        entry->read = entry->write = entry->exec = TLB_NO_TAG;
    }
}

static void tlb_fill(struct cpu *cpu, enum tlb_kind kind, gva_t linear,
                     const struct guest_walk_result *walk, const struct translation *out,
                     bool writable)
{
    struct tlb_entry *entry = tlb_slot(cpu, kind, linear);
    gva_t page = linear & PAGE_MASK;

    tlb_evict_sharers(cpu, kind, tlb_index(cpu, linear));
    entry->addend = (uint64_t)(uintptr_t)out->host - linear;
    entry->read = page;
    entry->write = walk->writable && writable && !out->watched ? page : TLB_NO_TAG;
    entry->exec = walk->executable ? page : TLB_NO_TAG;
    debug_hide_watched(cpu, entry, page);
    cpu->tlb_pages[kind][tlb_index(cpu, linear)] = out->gpa & PAGE_MASK;
    if (walk->page_bytes > PAGE_SIZE)
        cpu->large_pages_cached = true;
}

enum step paging_translate(struct cpu *cpu, enum tlb_kind kind, gva_t linear,
                           enum access_kind access, struct translation *out)
{
    struct guest_walk_context context;
    struct guest_walk_result walk;
    struct guest_walk_access how = {
        .write = access == ACCESS_WRITE,
        .fetch = access == ACCESS_EXEC,
        .user = kind == TLB_USER,
        .smap = kind == TLB_SUPER_SMAP,
    };
    unsigned rights = access == ACCESS_WRITE  ? EPT_READ | EPT_WRITE
                      : access == ACCESS_EXEC ? EPT_READ | EPT_EXEC
                                              : EPT_READ;
    struct ept_mapping mapping;

    cpu->counters.tlb_misses++;
    cpu->counters.tlb_fetch_misses += access == ACCESS_EXEC;
    walk_context(cpu, &context);
    if (!guest_walk(&context, linear, &how, &walk))
        return cpu_raise_page_fault(cpu, linear, walk.error);

    *out = (struct translation){.gpa = walk.gpa & context.a20_mask};
    switch (nested_walk(cpu, out->gpa, rights, &mapping)) {
    case EPT_WALK_MISCONFIG: return STEP_NEXT; /* MMIO: no host memory, no entry */
    case EPT_WALK_VIOLATION: out->rom = true; return STEP_NEXT;
    case EPT_WALK_MAPPED: break;
    }
    out->host = mapping.hva;
    out->watched = mem_write_is_told(cpu->mem, out->gpa);
    tlb_fill(cpu, kind, linear, &walk, out, mapping.writable && mapping.dirty);
    return STEP_NEXT;
}

enum step paging_fetch(struct cpu *cpu, gva_t linear, gpa_t *gpa)
{
    enum tlb_kind kind = cpu->cpl == 3 ? TLB_USER : TLB_SUPER;
    struct translation out;
    enum step step;

    if (likely(tlb_slot(cpu, kind, linear)->exec == (linear & PAGE_MASK))) {
        *gpa = cpu->tlb_pages[kind][tlb_index(cpu, linear)] | (linear & ~PAGE_MASK);
        return STEP_NEXT;
    }
    step = paging_translate(cpu, kind, linear, ACCESS_EXEC, &out);
    *gpa = out.gpa;
    return step;
}

bool paging_peek(struct cpu *cpu, gva_t linear, gpa_t *gpa)
{
    struct guest_walk_context context;
    struct guest_walk_result walk;

    /* A debugger sees the whole address space from 32-bit code of long mode, too. */
    if (!(cpu->x.msr.efer & X86_EFER_LMA))
        linear &= UINT32_MAX;
    else if (!x86_canonical(linear))
        return false;
    walk_context(cpu, &context);
    if (!guest_walk_peek(&context, linear, &walk))
        return false;
    *gpa = walk.gpa & context.a20_mask;
    return true;
}

bool paging_load_pdptes(struct cpu *cpu, uint64_t cr3)
{
    uint64_t a20 = cpu->host.a20_mask(cpu->host.opaque);
    uint64_t reserved = ~(BIT(paging_physical_bits(cpu)) - 1) | 0x1e6;
    uint64_t pdpte[4];

    for (unsigned i = 0; i < 4; i++) {
        pdpte[i] = mem_read64(cpu->mem, ((cr3 & 0xffffffe0) + 8 * i) & a20);
        if ((pdpte[i] & 1) && (pdpte[i] & reserved))
            return false;
    }
    memcpy(cpu->x.pdpte, pdpte, sizeof(pdpte));
    return true;
}

void tlb_flush_all(struct cpu *cpu)
{
    /* All ones is TLB_NO_TAG in every field. The table TLB_NEVER stays as it was made: empty. */
    memset(cpu->tlb_tables, 0xff, sizeof(cpu->tlb_tables[0]) * TLB_KINDS);
    cpu->large_pages_cached = false;
    cpu->counters.tlb_flushes++;
    block_forget_addresses(cpu);
}

void tlb_flush_nonglobal(struct cpu *cpu)
{
    cpu->counters.flushes[ENGINE_FLUSH_CR3]++;
    /* Entries do not remember G or PCID: dropping more than asked for is always allowed. */
    tlb_flush_all(cpu);
}

void tlb_flush_page(struct cpu *cpu, gva_t page)
{
    if (cpu->large_pages_cached) {
        cpu->counters.flushes[ENGINE_FLUSH_INVALIDATE]++;
        tlb_flush_all(cpu);
        return;
    }
    for (unsigned kind = 0; kind < TLB_KINDS; kind++) {
        struct tlb_entry *entry = tlb_slot(cpu, kind, page);

        entry->read = entry->write = entry->exec = TLB_NO_TAG;
    }
    block_forget_addresses(cpu);
}

void tlb_protect_page(struct cpu *cpu, gpa_t page)
{
    uintptr_t host = (uintptr_t)mem_host(cpu->mem, page, PAGE_SIZE, false);

    for (unsigned kind = 0; kind < TLB_KINDS; kind++) {
        for (uint64_t i = 0; i <= cpu->tlb_mask; i++) {
            struct tlb_entry *entry = &cpu->tlb_tables[kind][i];

            if (entry->write != TLB_NO_TAG && entry->addend + entry->write == host)
                entry->write = TLB_NO_TAG;
        }
    }
}

/*
 * The paging unit's TLB. A miss walks one of two structures, which the VM has chosen: the guest's
 * tables through the EPT (paging_ept.c), or a shadow table (paging_shadow.c). Pages that need the
 * monitor on a write (ROM, watched pages) get no write tag, addresses without a slot no entry.
 * Specification: SDM 3 "Paging", "Caching Translation Information".
 */
#include "engine/soft/paging.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "engine/soft/block.h"
#include "engine/soft/debug.h"
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

void paging_context(const struct cpu *cpu, struct guest_walk_context *context)
{
    *context = (struct guest_walk_context){
        .mem = cpu->mem,
        .format = paging_format(cpu),
        .cr3 = cpu->x.cr3,
        .pdpte = cpu->x.pdpte,
        .physical_bits = paging_physical_bits(cpu),
        .a20_mask = cpu->host.a20_mask(cpu->host.opaque),
        .pse = cpu->x.cr4 & X86_CR4_PSE,
        .wp = cpu->x.cr0 & X86_CR0_WP,
        .nxe = cpu->x.msr.efer & X86_EFER_NXE,
        .smep = cpu->x.cr4 & X86_CR4_SMEP,
        .smap = cpu->x.cr4 & X86_CR4_SMAP,
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

void tlb_fill(struct cpu *cpu, enum tlb_kind kind, gva_t linear, const struct translation *out,
              struct tlb_rights rights)
{
    struct tlb_entry *entry = tlb_slot(cpu, kind, linear);
    gva_t page = linear & PAGE_MASK;

    tlb_evict_sharers(cpu, kind, tlb_index(cpu, linear));
    entry->addend = (uint64_t)(uintptr_t)out->host - linear;
    entry->read = page;
    entry->write = rights.write && !out->watched ? page : TLB_NO_TAG;
    entry->exec = rights.execute ? page : TLB_NO_TAG;
    debug_hide_watched(cpu, entry, page);
    cpu->tlb_pages[kind][tlb_index(cpu, linear)] = out->gpa & PAGE_MASK;
    cpu->large_pages_cached |= rights.large;
}

enum step paging_translate(struct cpu *cpu, enum tlb_kind kind, gva_t linear,
                           enum access_kind access, struct translation *out)
{
    struct guest_walk_access how = {
        .write = access == ACCESS_WRITE,
        .fetch = access == ACCESS_EXEC,
        .user = kind == TLB_USER,
        .smap = kind == TLB_SUPER_SMAP,
    };

    cpu->counters.tlb_misses++;
    cpu->counters.tlb_fetch_misses += access == ACCESS_EXEC;
    if (cpu->shadow)
        return paging_translate_shadow(cpu, kind, linear, &how, out);
    return paging_translate_ept(cpu, kind, linear, &how, out);
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
    paging_context(cpu, &context);
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

/* Empties the entries of one page in every table. */
static void tlb_drop_page(struct cpu *cpu, gva_t page)
{
    bool fetched = false;

    for (unsigned kind = 0; kind < TLB_KINDS; kind++) {
        struct tlb_entry *entry = tlb_slot(cpu, kind, page);

        fetched |= entry->exec != TLB_NO_TAG;
        entry->read = entry->write = entry->exec = TLB_NO_TAG;
    }
    if (fetched)
        block_forget_addresses(cpu);
}

static void tlb_flush_page(struct cpu *cpu, gva_t page)
{
    if (cpu->large_pages_cached) {
        cpu->counters.flushes[ENGINE_FLUSH_INVALIDATE]++;
        tlb_flush_all(cpu);
        return;
    }
    tlb_drop_page(cpu, page);
    block_forget_addresses(cpu);
}

/*
 * A page fault invalidates what is cached of its page (SDM 3 "Operations that Invalidate TLBs and
 * Paging-Structure Caches"), so that nothing stale is met again once the handler has returned.
 */
enum step paging_fault(struct cpu *cpu, gva_t linear, uint32_t error)
{
    tlb_drop_page(cpu, linear & PAGE_MASK);
    if (cpu->shadow)
        shadow_invlpg(cpu->shadow, &cpu->shadow_root, linear);
    return cpu_raise_page_fault(cpu, linear, error);
}

void paging_changed(struct cpu *cpu)
{
    tlb_flush_all(cpu);
    if (cpu->shadow_root.page)
        paging_switch_root(cpu);
}

void paging_flush(struct cpu *cpu)
{
    cpu->counters.flushes[ENGINE_FLUSH_INVALIDATE]++;
    tlb_flush_all(cpu); /* global pages too, and those of every PCID: more than asked for */
    if (cpu->shadow)
        shadow_flush(cpu->shadow);
}

void paging_invalidate(struct cpu *cpu, gva_t page)
{
    tlb_flush_page(cpu, page);
    if (cpu->shadow)
        shadow_invlpg(cpu->shadow, &cpu->shadow_root, page);
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

bool paging_audit(const struct cpu *cpu, char *why, size_t size)
{
    for (unsigned i = 0; i < TLB_KINDS * (cpu->tlb_mask + 1); i++) {
        unsigned kind = i / (cpu->tlb_mask + 1);
        uint64_t index = i & cpu->tlb_mask;
        const struct tlb_entry *entry = &cpu->tlb_tables[kind][index];
        uint64_t tag = MIN(entry->read, MIN(entry->write, entry->exec));
        gpa_t gpa = cpu->tlb_pages[kind][index];
        bool write = entry->write != TLB_NO_TAG;

        if (tag == TLB_NO_TAG)
            continue;
        if (tlb_index(cpu, tag) != index ||
            MAX(entry->addend + tag, 1) != (uintptr_t)mem_host(cpu->mem, gpa, PAGE_SIZE, write)) {
            snprintf(why, size,
                     "TLB entry %" PRIu64 " of kind %u leads from %#" PRIx64
                     " elsewhere than its page %#" PRIx64,
                     index, kind, tag, gpa);
            return false;
        }
        if (write && mem_write_is_told(cpu->mem, gpa)) {
            snprintf(why, size, "the TLB lets %#" PRIx64 " be written, page %#" PRIx64 " is told",
                     tag, gpa);
            return false;
        }
    }
    return true;
}

/*
 * One walker for the three formats: a format is its number of levels, its entry size
 * (x86/paging.h) and its reserved bits.
 */
#include "mmu/guest_walk.h"

#include <string.h>

#include "mem/mem.h"
#include "x86/cpuid.h"
#include "x86/state.h"

static enum x86_paging format_of(const struct x86_state *state)
{
    if (!(state->cr0 & X86_CR0_PG))
        return X86_PAGING_NONE;
    if (!(state->cr4 & X86_CR4_PAE))
        return X86_PAGING_32BIT;
    return state->msr.efer & X86_EFER_LMA ? X86_PAGING_4LEVEL : X86_PAGING_PAE;
}

void guest_walk_context_init(struct guest_walk_context *context, struct mem *mem,
                             const struct x86_state *state, const struct cpu_model *model,
                             uint64_t a20_mask)
{
    bool paged = state->cr0 & X86_CR0_PG;

    *context = (struct guest_walk_context){
        .mem = mem,
        .format = format_of(state),
        .cr3 = state->cr3,
        .pdpte = state->pdpte,
        .physical_bits = model->physical_bits,
        .a20_mask = a20_mask,
        .pse = state->cr4 & X86_CR4_PSE,
        .wp = state->cr0 & X86_CR0_WP,
        .nxe = state->msr.efer & X86_EFER_NXE,
        .smep = paged && (state->cr4 & X86_CR4_SMEP),
        .smap = paged && (state->cr4 & X86_CR4_SMAP),
        .gib_pages = model->has[X86_FEATURE_PDPE1GB],
    };
}

struct level {
    gpa_t entry_gpa;
    uint64_t entry;
};

struct walk {
    const struct guest_walk_context *context;
    struct level level[X86_TABLE_LEVELS + 1]; /* by level, 1..4; those walked have an entry_gpa */
    unsigned top;
    unsigned last; /* the lowest level whose entry was read; above top: none was */
    bool set_accessed, set_dirty;
};

/* Where an entry lies in host memory, or NULL. */
static void *entry_host(const struct guest_walk_context *context, gpa_t gpa, bool write)
{
    unsigned bytes = x86_paging_entry_bytes(context->format);

    if (context->table_host)
        return context->table_host(context->opaque, gpa, bytes, write);
    return mem_host(context->mem, gpa, bytes, write);
}

static uint64_t read_entry(const struct guest_walk_context *context, gpa_t gpa)
{
    const void *host = entry_host(context, gpa & context->a20_mask, false);
    uint64_t entry = UINT64_MAX; /* what no memory answers */

    if (host)
        memcpy(&entry, host, x86_paging_entry_bytes(context->format));
    return context->format == X86_PAGING_32BIT ? (uint32_t)entry : entry;
}

/* Address bits at and above MAXPHYADDR, up to bit 51. */
static uint64_t reserved_address_bits(const struct guest_walk_context *context)
{
    return X86_ADDRESS_MASK & ~(BIT(context->physical_bits) - 1);
}

static bool is_leaf(const struct guest_walk_context *context, uint64_t entry, unsigned level)
{
    if (level == 1)
        return true;
    if (!(entry & X86_PTE_PS))
        return false;
    switch (context->format) {
    case X86_PAGING_32BIT: return context->pse;
    case X86_PAGING_PAE: return level == 2;
    default: return level == 2 || (level == 3 && context->gib_pages);
    }
}

static bool has_reserved_bits(const struct guest_walk_context *context, uint64_t entry,
                              unsigned level)
{
    uint64_t reserved;

    if (context->format == X86_PAGING_32BIT)
        return level == 2 && is_leaf(context, entry, level) && (entry & X86_PDE32_RESERVED);

    reserved = reserved_address_bits(context);
    if (!context->nxe)
        reserved |= X86_PTE_NX;
    if (context->format == X86_PAGING_PAE)
        reserved |= (BIT(63) - 1) & ~X86_ADDRESS_MASK;
    if (level > 1) {
        if (is_leaf(context, entry, level))
            reserved |=
                (x86_paging_span(context->format, level) - 1) & ~(BIT(X86_PTE_LARGE_LOW_BIT) - 1);
        else if (level > 2)
            reserved |= X86_PTE_PS; /* no 512 GiB pages, nor 1 GiB ones where CPUID has none */
    }
    return entry & reserved;
}

/* Sets bits in the entries that served, atomically and only where they have not changed. */
static bool set_bits(struct walk *walk, unsigned leaf)
{
    const struct guest_walk_context *context = walk->context;

    for (unsigned i = walk->top; i >= leaf; i--) {
        struct level *level = &walk->level[i];
        uint64_t want = X86_PTE_A | (i == leaf && walk->set_dirty ? X86_PTE_D : 0);
        gpa_t gpa = level->entry_gpa & context->a20_mask;
        unsigned bytes = x86_paging_entry_bytes(context->format);
        void *host;

        if ((level->entry & want) == want)
            continue;
        host = entry_host(context, gpa, true);
        if (!host)
            continue; /* tables in ROM keep their bits */
        if (bytes == 4) {
            uint32_t old = (uint32_t)level->entry;

            if (!__atomic_compare_exchange_n((uint32_t *)host, &old, old | (uint32_t)want, false,
                                             __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
                return false;
        } else {
            uint64_t old = level->entry;

            if (!__atomic_compare_exchange_n((uint64_t *)host, &old, old | want, false,
                                             __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
                return false;
        }
        mem_mark_written(context->mem, gpa, bytes);
    }
    return true;
}

/* The rights that all levels together grant. */
struct rights {
    bool write, user, nx;
};

/* Whether the access is allowed (SDM 3 "Access Rights"). */
static bool allowed(const struct guest_walk_context *context, const struct rights *rights,
                    const struct guest_walk_access *access)
{
    if (access->user && !rights->user)
        return false;
    if (access->fetch) {
        if (rights->nx)
            return false;
        return access->user || !(rights->user && context->smep);
    }
    if (!access->user && rights->user && access->smap)
        return false;
    if (access->write && !rights->write)
        return !access->user && !context->wp;
    return true;
}

static uint32_t fault_code(const struct guest_walk_context *context,
                           const struct guest_walk_access *access, bool present)
{
    uint32_t error = present ? X86_PF_PRESENT : 0;

    if (access->write)
        error |= X86_PF_WRITE;
    if (access->user)
        error |= X86_PF_USER;
    /* 32-bit paging knows no NX, even with EFER.NXE set. */
    if (access->fetch && (context->smep || (context->nxe && context->format != X86_PAGING_32BIT)))
        error |= X86_PF_FETCH;
    return error;
}

enum walk_end {
    WALK_MAPPED,
    WALK_FAULT,
    WALK_CHANGED, /* an entry changed under us: walk again */
};

static void fill_result(const struct walk *walk, unsigned leaf, gva_t gva,
                        const struct guest_walk_access *access, const struct rights *rights,
                        struct guest_walk_result *result)
{
    const struct guest_walk_context *context = walk->context;
    uint64_t entry = walk->level[leaf].entry;
    uint64_t bytes = x86_paging_span(context->format, leaf);

    result->page_bytes = bytes;
    result->gpa = x86_paging_leaf_base(context->format, entry, leaf) | (gva & (bytes - 1));
    result->user = rights->user;
    result->global = entry & X86_PTE_G;
    result->executable = !rights->nx && (access->user || !(rights->user && context->smep));
    result->writable = (access->write || (entry & X86_PTE_D)) &&
                       (rights->write || (!access->user && !context->wp));
    result->error = 0;
}

static enum walk_end walk_once(struct walk *walk, gva_t gva, const struct guest_walk_access *access,
                               struct guest_walk_result *result)
{
    const struct guest_walk_context *context = walk->context;
    struct rights rights = {.write = true, .user = true};
    gpa_t table = context->cr3 & X86_PTE_FRAME;
    unsigned level = walk->top;

    if (context->format == X86_PAGING_32BIT)
        table = (uint32_t)table;
    if (context->format == X86_PAGING_PAE) {
        uint64_t pdpte = context->pdpte[x86_pdpte_index(gva)];

        if (!(pdpte & X86_PTE_P)) {
            result->error = fault_code(context, access, false);
            return WALK_FAULT;
        }
        table = pdpte & X86_PTE_FRAME;
    }
    for (;; level--) {
        uint64_t index = x86_paging_index(context->format, gva, level);
        gpa_t at = table + index * x86_paging_entry_bytes(context->format);
        uint64_t entry = read_entry(context, at);

        walk->level[level] = (struct level){at, entry};
        walk->last = level;
        if (!(entry & X86_PTE_P)) {
            result->error = fault_code(context, access, false);
            return WALK_FAULT;
        }
        if (has_reserved_bits(context, entry, level)) {
            result->error = fault_code(context, access, true) | X86_PF_RSVD;
            return WALK_FAULT;
        }
        rights.write &= !!(entry & X86_PTE_W);
        rights.user &= !!(entry & X86_PTE_U);
        rights.nx |= context->format != X86_PAGING_32BIT && (entry & X86_PTE_NX);
        if (is_leaf(context, entry, level))
            break;
        table = entry & X86_PTE_FRAME;
    }
    if (!allowed(context, &rights, access)) {
        result->error = fault_code(context, access, true);
        return WALK_FAULT;
    }
    if (walk->set_accessed && !set_bits(walk, level))
        return WALK_CHANGED;
    fill_result(walk, level, gva, access, &rights, result);
    return WALK_MAPPED;
}

static bool walk_identity(gva_t gva, struct guest_walk_result *result)
{
    *result = (struct guest_walk_result){
        .gpa = gva,
        .page_bytes = PAGE_SIZE,
        .writable = true,
        .user = true,
        .executable = true,
    };
    return true;
}

bool guest_walk(const struct guest_walk_context *context, gva_t gva,
                const struct guest_walk_access *access, struct guest_walk_result *result)
{
    struct walk walk = {
        .context = context,
        .top = x86_paging_top_level(context->format),
        .set_accessed = true,
        .set_dirty = access->write,
    };
    enum walk_end end;

    if (context->format == X86_PAGING_NONE)
        return walk_identity(gva, result);
    do {
        end = walk_once(&walk, gva, access, result);
    } while (end == WALK_CHANGED); /* another vCPU made progress each time */
    return end == WALK_MAPPED;
}

bool guest_walk_peek(const struct guest_walk_context *context, gva_t gva,
                     struct guest_walk_result *result)
{
    struct walk walk = {.context = context, .top = x86_paging_top_level(context->format)};
    struct guest_walk_access access = {0};

    if (context->format == X86_PAGING_NONE)
        return walk_identity(gva, result);
    return walk_once(&walk, gva, &access, result) == WALK_MAPPED;
}

bool guest_walk_steps(const struct guest_walk_context *context, gva_t gva,
                      const struct guest_walk_access *access,
                      struct guest_walk_step steps[GUEST_WALK_MAX_STEPS], unsigned *count,
                      struct guest_walk_result *result)
{
    struct walk walk = {.context = context, .top = x86_paging_top_level(context->format)};
    enum walk_end end;

    *count = 0;
    if (context->format == X86_PAGING_NONE)
        return walk_identity(gva, result);
    walk.last = walk.top + 1;
    end = walk_once(&walk, gva, access, result);
    for (unsigned level = walk.top; level >= walk.last; level--)
        steps[(*count)++] = (struct guest_walk_step){
            .level = level,
            .entry_gpa = walk.level[level].entry_gpa,
            .entry = walk.level[level].entry,
            .leaf = is_leaf(context, walk.level[level].entry, level),
        };
    return end == WALK_MAPPED;
}

struct guest_entry guest_entry_decode(const struct guest_walk_context *context, uint64_t entry,
                                      unsigned level)
{
    bool leaf = is_leaf(context, entry, level);

    return (struct guest_entry){
        .present = entry & X86_PTE_P,
        .reserved = has_reserved_bits(context, entry, level),
        .leaf = leaf,
        .write = entry & X86_PTE_W,
        .user = entry & X86_PTE_U,
        .execute = context->format == X86_PAGING_32BIT || !(entry & X86_PTE_NX),
        .accessed = entry & X86_PTE_A,
        .dirty = entry & X86_PTE_D,
        .global = leaf && (entry & X86_PTE_G),
        .base = leaf ? x86_paging_leaf_base(context->format, entry, level) : entry & X86_PTE_FRAME,
    };
}

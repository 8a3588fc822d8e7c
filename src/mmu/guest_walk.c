/*
 * One walker for the three formats: a format is its number of levels, its entry size and its
 * reserved bits.
 *
 *            4-level      PAE          32-bit
 *   level 4  PML4E  9     -            -
 *   level 3  PDPTE  9     register 2   -
 *   level 2  PDE    9     PDE      9   PDE  10
 *   level 1  PTE    9     PTE      9   PTE  10
 */
#include "mmu/guest_walk.h"

#include <string.h>

#include "mem/mem.h"
#include "x86/state.h"

#define PTE_P  BIT(0)
#define PTE_W  BIT(1)
#define PTE_U  BIT(2)
#define PTE_A  BIT(5)
#define PTE_D  BIT(6)
#define PTE_PS BIT(7)
#define PTE_G  BIT(8)
#define PTE_NX BIT(63)

/* PSE-36: bits 20..13 of a 4 MiB page's entry are bits 39..32 of its address. */
#define PSE36_SHIFT  13
#define PSE36_MASK   0xff
#define PSE_RESERVED BIT(21)

#define MAX_LEVELS 4

struct level {
    gpa_t entry_gpa;
    uint64_t entry;
};

struct walk {
    const struct guest_walk_context *context;
    struct level level[MAX_LEVELS + 1]; /* by level, 1..4; those walked have an entry_gpa */
    unsigned top;
    unsigned last; /* the lowest level whose entry was read; above top: none was */
    bool set_accessed, set_dirty;
};

static unsigned entry_bytes(enum guest_paging format)
{
    return format == GUEST_PAGING_32BIT ? 4 : 8;
}

static unsigned index_bits(enum guest_paging format)
{
    return format == GUEST_PAGING_32BIT ? 10 : 9;
}

static unsigned level_shift(enum guest_paging format, unsigned level)
{
    return PAGE_SHIFT + index_bits(format) * (level - 1);
}

/* Where an entry lies in host memory, or NULL. */
static void *entry_host(const struct guest_walk_context *context, gpa_t gpa, bool write)
{
    unsigned bytes = entry_bytes(context->format);

    if (context->table_host)
        return context->table_host(context->opaque, gpa, bytes, write);
    return mem_host(context->mem, gpa, bytes, write);
}

static uint64_t read_entry(const struct guest_walk_context *context, gpa_t gpa)
{
    const void *host = entry_host(context, gpa & context->a20_mask, false);
    uint64_t entry = UINT64_MAX; /* what no memory answers */

    if (host)
        memcpy(&entry, host, entry_bytes(context->format));
    return context->format == GUEST_PAGING_32BIT ? (uint32_t)entry : entry;
}

/* Address bits at and above MAXPHYADDR, up to bit 51. */
static uint64_t reserved_address_bits(const struct guest_walk_context *context)
{
    return (BIT(52) - 1) & ~(BIT(context->physical_bits) - 1);
}

static bool is_leaf(const struct guest_walk_context *context, uint64_t entry, unsigned level)
{
    if (level == 1)
        return true;
    if (!(entry & PTE_PS))
        return false;
    switch (context->format) {
    case GUEST_PAGING_32BIT: return context->pse;
    case GUEST_PAGING_PAE: return level == 2;
    default: return level == 2 || (level == 3 && context->gib_pages);
    }
}

static bool has_reserved_bits(const struct guest_walk_context *context, uint64_t entry,
                              unsigned level)
{
    uint64_t reserved;

    if (context->format == GUEST_PAGING_32BIT)
        return level == 2 && is_leaf(context, entry, level) && (entry & PSE_RESERVED);

    reserved = reserved_address_bits(context);
    if (!context->nxe)
        reserved |= PTE_NX;
    if (context->format == GUEST_PAGING_PAE)
        reserved |= ((BIT(63) - 1) & ~(BIT(52) - 1));
    if (level > 1) {
        if (is_leaf(context, entry, level))
            reserved |= (BIT(level_shift(context->format, level)) - 1) & ~(BIT(13) - 1);
        else if (level > 2)
            reserved |= PTE_PS; /* no 512 GiB pages, nor 1 GiB ones where CPUID has none */
    }
    return entry & reserved;
}

static gpa_t leaf_base(const struct guest_walk_context *context, uint64_t entry, unsigned level)
{
    uint64_t page_mask = ~(BIT(level_shift(context->format, level)) - 1);

    if (context->format == GUEST_PAGING_32BIT && level == 2)
        return (entry & page_mask & UINT32_MAX) | ((entry >> PSE36_SHIFT) & PSE36_MASK) << 32;
    return entry & page_mask & (BIT(52) - 1);
}

/* Sets bits in the entries that served, atomically and only where they have not changed. */
static bool set_bits(struct walk *walk, unsigned leaf)
{
    const struct guest_walk_context *context = walk->context;

    for (unsigned i = walk->top; i >= leaf; i--) {
        struct level *level = &walk->level[i];
        uint64_t want = PTE_A | (i == leaf && walk->set_dirty ? PTE_D : 0);
        gpa_t gpa = level->entry_gpa & context->a20_mask;
        unsigned bytes = entry_bytes(context->format);
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
    if (access->fetch && (context->smep || (context->nxe && context->format != GUEST_PAGING_32BIT)))
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
    uint64_t bytes = BIT(level_shift(context->format, leaf));

    result->page_bytes = bytes;
    result->gpa = leaf_base(context, entry, leaf) | (gva & (bytes - 1));
    result->user = rights->user;
    result->global = entry & PTE_G;
    result->executable = !rights->nx && (access->user || !(rights->user && context->smep));
    result->writable =
        (access->write || (entry & PTE_D)) && (rights->write || (!access->user && !context->wp));
    result->error = 0;
}

static enum walk_end walk_once(struct walk *walk, gva_t gva, const struct guest_walk_access *access,
                               struct guest_walk_result *result)
{
    const struct guest_walk_context *context = walk->context;
    unsigned bits = index_bits(context->format);
    struct rights rights = {.write = true, .user = true};
    gpa_t table = context->cr3 & (BIT(52) - 1) & PAGE_MASK;
    unsigned level = walk->top;

    if (context->format == GUEST_PAGING_32BIT)
        table = (uint32_t)table;
    if (context->format == GUEST_PAGING_PAE) {
        uint64_t pdpte = context->pdpte[bits_get(gva, 31, 30)];

        if (!(pdpte & PTE_P)) {
            result->error = fault_code(context, access, false);
            return WALK_FAULT;
        }
        table = pdpte & (BIT(52) - 1) & PAGE_MASK;
    }
    for (;; level--) {
        unsigned shift = level_shift(context->format, level);
        uint64_t index = (gva >> shift) & (BIT(bits) - 1);
        gpa_t at = table + index * entry_bytes(context->format);
        uint64_t entry = read_entry(context, at);

        walk->level[level] = (struct level){at, entry};
        walk->last = level;
        if (!(entry & PTE_P)) {
            result->error = fault_code(context, access, false);
            return WALK_FAULT;
        }
        if (has_reserved_bits(context, entry, level)) {
            result->error = fault_code(context, access, true) | X86_PF_RSVD;
            return WALK_FAULT;
        }
        rights.write &= !!(entry & PTE_W);
        rights.user &= !!(entry & PTE_U);
        rights.nx |= context->format != GUEST_PAGING_32BIT && (entry & PTE_NX);
        if (is_leaf(context, entry, level))
            break;
        table = entry & (BIT(52) - 1) & PAGE_MASK;
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

static unsigned top_level(enum guest_paging format)
{
    return format == GUEST_PAGING_4LEVEL ? 4 : 2;
}

bool guest_walk(const struct guest_walk_context *context, gva_t gva,
                const struct guest_walk_access *access, struct guest_walk_result *result)
{
    struct walk walk = {
        .context = context,
        .top = top_level(context->format),
        .set_accessed = true,
        .set_dirty = access->write,
    };
    enum walk_end end;

    if (context->format == GUEST_PAGING_NONE)
        return walk_identity(gva, result);
    do {
        end = walk_once(&walk, gva, access, result);
    } while (end == WALK_CHANGED); /* another vCPU made progress each time */
    return end == WALK_MAPPED;
}

bool guest_walk_peek(const struct guest_walk_context *context, gva_t gva,
                     struct guest_walk_result *result)
{
    struct walk walk = {.context = context, .top = top_level(context->format)};
    struct guest_walk_access access = {0};

    if (context->format == GUEST_PAGING_NONE)
        return walk_identity(gva, result);
    return walk_once(&walk, gva, &access, result) == WALK_MAPPED;
}

bool guest_walk_steps(const struct guest_walk_context *context, gva_t gva,
                      const struct guest_walk_access *access,
                      struct guest_walk_step steps[GUEST_WALK_MAX_STEPS], unsigned *count,
                      struct guest_walk_result *result)
{
    struct walk walk = {.context = context, .top = top_level(context->format)};
    enum walk_end end;

    *count = 0;
    if (context->format == GUEST_PAGING_NONE)
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
        .present = entry & PTE_P,
        .reserved = has_reserved_bits(context, entry, level),
        .leaf = leaf,
        .write = entry & PTE_W,
        .user = entry & PTE_U,
        .execute = context->format == GUEST_PAGING_32BIT || !(entry & PTE_NX),
        .accessed = entry & PTE_A,
        .dirty = entry & PTE_D,
        .global = leaf && (entry & PTE_G),
        .base = leaf ? leaf_base(context, entry, level) : entry & (BIT(52) - 1) & PAGE_MASK,
    };
}

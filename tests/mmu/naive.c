/* The manual's paging rules, one after the other. */
#include "naive.h"

#define CR0_WP    (1ull << 16)
#define CR0_PG    (1ull << 31)
#define CR4_PSE   (1ull << 4)
#define CR4_PAE   (1ull << 5)
#define CR4_SMEP  (1ull << 20)
#define CR4_SMAP  (1ull << 21)
#define EFER_LME  (1ull << 8)
#define EFER_NXE  (1ull << 11)
#define P         1ull
#define RW        2ull
#define US        4ull
#define PS        0x80ull
#define G         0x100ull
#define XD        (1ull << 63)
#define ERROR_P   1u
#define ERROR_WR  2u
#define ERROR_US  4u
#define ERROR_RSV 8u
#define ERROR_ID  16u

/* Bits hi..lo set. */
static uint64_t ones(unsigned hi, unsigned lo)
{
    uint64_t bits = 0;

    for (unsigned i = lo; i <= hi; i++)
        bits |= 1ull << i;
    return bits;
}

/* Table 4-1, "Properties of Different Paging Modes". */
enum naive_format naive_format(const struct naive_regs *regs)
{
    if (!(regs->cr0 & CR0_PG))
        return NAIVE_OFF;
    if (!(regs->cr4 & CR4_PAE))
        return NAIVE_32BIT;
    return regs->efer & EFER_LME ? NAIVE_4LEVEL : NAIVE_PAE;
}

unsigned naive_entry_bytes(const struct naive_regs *regs)
{
    return naive_format(regs) == NAIVE_32BIT ? 4 : 8;
}

enum naive_step naive_begin(const struct naive_regs *regs, uint64_t gva, struct naive_walk *walk)
{
    *walk = (struct naive_walk){.gva = gva, .user = true, .write = true};
    switch (naive_format(regs)) {
    case NAIVE_OFF:
        walk->leaf = true;
        walk->gpa = gva;
        walk->page_bytes = 4096;
        return NAIVE_LEAF;
    case NAIVE_32BIT:
        walk->level = 2;
        walk->table = regs->cr3 & ones(31, 12);
        return NAIVE_MORE;
    case NAIVE_PAE: {
        uint64_t pdpte = regs->pdpte[gva >> 30 & 3];

        if (!(pdpte & P))
            return NAIVE_ABSENT;
        walk->level = 2;
        walk->table = pdpte & ones(regs->physical_bits - 1, 12);
        return NAIVE_MORE;
    }
    default:
        walk->level = 4;
        walk->table = regs->cr3 & ones(regs->physical_bits - 1, 12);
        return NAIVE_MORE;
    }
}

uint64_t naive_entry_gpa(const struct naive_regs *regs, const struct naive_walk *walk)
{
    uint64_t index;

    if (naive_format(regs) == NAIVE_32BIT) {
        index = walk->level == 2 ? walk->gva >> 22 & 0x3ff : walk->gva >> 12 & 0x3ff;
        return (walk->table + index * 4) & regs->a20_mask;
    }
    index = walk->gva >> (12 + 9 * (walk->level - 1)) & 0x1ff;
    return (walk->table + index * 8) & regs->a20_mask;
}

static enum naive_step leaf(struct naive_walk *walk, uint64_t frame, uint64_t page_bytes,
                            uint64_t value)
{
    walk->leaf = true;
    walk->level = 0;
    walk->page_bytes = page_bytes;
    walk->gpa = frame + (walk->gva & (page_bytes - 1));
    walk->global = value & G;
    return NAIVE_LEAF;
}

/* "32-Bit Paging": PDEs of 4 MiB pages carry address bits 39..32 in bits 20..13 (PSE-36). */
static enum naive_step take_32bit(const struct naive_regs *regs, struct naive_walk *walk,
                                  uint64_t value)
{
    if (walk->level == 2 && (value & PS) && (regs->cr4 & CR4_PSE)) {
        unsigned m = regs->physical_bits < 40 ? regs->physical_bits : 40;

        /* Bits 21..(M-19) are reserved, with M the smaller of 40 and MAXPHYADDR. */
        if (value & ones(21, m - 19))
            return NAIVE_RESERVED;
        return leaf(walk, (value & ones(31, 22)) | (value & ones(20, 13)) << 19, 1ull << 22, value);
    }
    if (walk->level == 1)
        return leaf(walk, value & ones(31, 12), 4096, value);
    walk->table = value & ones(31, 12);
    walk->level--;
    return NAIVE_MORE;
}

/* What is reserved in any entry of 8 bytes, and in those of each kind. */
static uint64_t reserved_bits(const struct naive_regs *regs, unsigned level, uint64_t value)
{
    unsigned top = naive_format(regs) == NAIVE_PAE ? 62 : 51;
    uint64_t reserved = ones(top, regs->physical_bits);

    if (!(regs->efer & EFER_NXE))
        reserved |= XD;
    if (level == 4)
        reserved |= PS;
    if (level == 3 && !regs->gib_pages)
        reserved |= PS;
    if (level == 3 && (value & PS))
        reserved |= ones(29, 13);
    if (level == 2 && (value & PS))
        reserved |= ones(20, 13);
    return reserved;
}

static enum naive_step take_64bit(const struct naive_regs *regs, struct naive_walk *walk,
                                  uint64_t value)
{
    uint64_t address = value & ones(regs->physical_bits - 1, 12);

    if (value & reserved_bits(regs, walk->level, value))
        return NAIVE_RESERVED;
    if (value & XD)
        walk->no_execute = true;
    if (walk->level == 3 && (value & PS))
        return leaf(walk, address & ~ones(29, 12), 1ull << 30, value);
    if (walk->level == 2 && (value & PS))
        return leaf(walk, address & ~ones(20, 12), 1ull << 21, value);
    if (walk->level == 1)
        return leaf(walk, address, 4096, value);
    walk->table = address;
    walk->level--;
    return NAIVE_MORE;
}

enum naive_step naive_take(const struct naive_regs *regs, struct naive_walk *walk, uint64_t value)
{
    if (!(value & P))
        return NAIVE_ABSENT;
    if (!(value & RW))
        walk->write = false;
    if (!(value & US))
        walk->user = false;
    if (naive_format(regs) == NAIVE_32BIT)
        return take_32bit(regs, walk, value);
    return take_64bit(regs, walk, value);
}

/* "Determination of Access Rights", in the manual's order. */
bool naive_allowed(const struct naive_regs *regs, const struct naive_walk *walk,
                   const struct naive_access *access)
{
    if (naive_format(regs) == NAIVE_OFF)
        return true;
    if (access->user) {
        if (!walk->user)
            return false;
        if (access->fetch)
            return !walk->no_execute;
        return !access->write || walk->write;
    }
    if (access->fetch) {
        if (walk->user && (regs->cr4 & CR4_SMEP))
            return false;
        return !walk->no_execute;
    }
    if (walk->user && (regs->cr4 & CR4_SMAP) && (access->implicit || !access->ac))
        return false;
    if (access->write && (regs->cr0 & CR0_WP))
        return walk->write;
    return true;
}

uint32_t naive_error(const struct naive_regs *regs, const struct naive_access *access,
                     enum naive_step end)
{
    uint32_t error = 0;

    if (end != NAIVE_ABSENT)
        error |= ERROR_P;
    if (end == NAIVE_RESERVED)
        error |= ERROR_RSV;
    if (access->write)
        error |= ERROR_WR;
    if (access->user)
        error |= ERROR_US;
    if (access->fetch &&
        ((regs->cr4 & CR4_SMEP) || ((regs->cr4 & CR4_PAE) && (regs->efer & EFER_NXE))))
        error |= ERROR_ID;
    return error;
}

void naive_translate(const struct naive_regs *regs, uint64_t gva, const struct naive_access *access,
                     naive_read_fn *read, void *opaque, struct naive_result *result)
{
    struct naive_walk walk;
    enum naive_step step = naive_begin(regs, gva, &walk);

    *result = (struct naive_result){0};
    while (step == NAIVE_MORE) {
        uint64_t at = naive_entry_gpa(regs, &walk);
        uint64_t value = read(opaque, at, naive_entry_bytes(regs));

        result->entry[result->entries].gpa = at;
        result->entry[result->entries++].value = value;
        step = naive_take(regs, &walk, value);
    }
    result->end = step;
    if (step != NAIVE_LEAF || !naive_allowed(regs, &walk, access)) {
        result->error = naive_error(regs, access, step);
        return;
    }
    result->ok = true;
    result->gpa = walk.gpa & regs->a20_mask;
    result->page_bytes = walk.page_bytes;
    result->global = walk.global;
    for (unsigned i = 0; i < result->entries; i++) {
        unsigned want = NAIVE_ACCESSED;

        if (access->write && i == result->entries - 1)
            want |= NAIVE_DIRTY;
        result->entry[i].set = want & ~(unsigned)result->entry[i].value;
    }
}

/* "PDPTE Registers": bits 2..1, 8..5 and those from MAXPHYADDR on are reserved. */
bool naive_load_pdptes(const struct naive_regs *regs, uint64_t cr3, naive_read_fn *read,
                       void *opaque, uint64_t pdpte[4])
{
    uint64_t value[4];

    for (unsigned i = 0; i < 4; i++) {
        value[i] = read(opaque, ((cr3 & ones(31, 5)) + 8 * i) & regs->a20_mask, 8);
        if ((value[i] & P) &&
            (value[i] & (ones(2, 1) | ones(8, 5) | ones(63, regs->physical_bits))))
            return false;
    }
    for (unsigned i = 0; i < 4; i++)
        pdpte[i] = value[i];
    return true;
}

/*
 * A second opinion about paging: a walker written from the manual's rules alone, slow and straight,
 * over whatever memory its caller has. Nothing here knows the program under test, nor shares code
 * with it.
 *
 * Where the manual leaves a choice to the processor, this one never sets an accessed or dirty bit
 * for an access that faults.
 * Source: SDM 3 "Paging": "32-Bit Paging", "PAE Paging", "4-Level Paging", "Determination of Access
 * Rights", "Page-Fault Exceptions", "Accessed and Dirty Flags".
 */
#ifndef UMBRA_TESTS_NAIVE_H
#define UMBRA_TESTS_NAIVE_H

#include <stdbool.h>
#include <stdint.h>

enum naive_format {
    NAIVE_OFF,
    NAIVE_32BIT,
    NAIVE_PAE,
    NAIVE_4LEVEL,
};

/* Everything that the rules look at; pdpte is what the four registers hold. */
struct naive_regs {
    uint64_t cr0, cr3, cr4, efer;
    uint64_t pdpte[4];
    uint64_t a20_mask;
    unsigned physical_bits; /* MAXPHYADDR */
    bool gib_pages;         /* CPUID says that 1 GiB pages exist */
};

struct naive_access {
    bool write, fetch;
    bool user;     /* CPL is 3 and the access is not an implicit one */
    bool implicit; /* to a descriptor table and the like: EFLAGS.AC does not help */
    bool ac;       /* EFLAGS.AC */
};

/* A walk under way: what the levels so far have said. */
struct naive_walk {
    uint64_t gva;
    unsigned level; /* of the entry to be read next; 0: done */
    uint64_t table;
    bool user, write, no_execute; /* AND, AND and OR over the levels */
    bool leaf;
    uint64_t gpa; /* of the address, A20 not applied; with leaf */
    uint64_t page_bytes;
    bool global;
};

enum naive_step {
    NAIVE_MORE,     /* the entry leads to another */
    NAIVE_LEAF,     /* it maps the page */
    NAIVE_ABSENT,   /* its P flag is clear */
    NAIVE_RESERVED, /* one of its reserved bits is set */
};

enum naive_format naive_format(const struct naive_regs *regs);

/*
 * Starts a walk. NAIVE_MORE, or at once NAIVE_LEAF (paging is off) or NAIVE_ABSENT (a PDPTE
 * register).
 */
enum naive_step naive_begin(const struct naive_regs *regs, uint64_t gva, struct naive_walk *walk);

/* Where the next entry is (A20 applied), and its width. */
uint64_t naive_entry_gpa(const struct naive_regs *regs, const struct naive_walk *walk);
unsigned naive_entry_bytes(const struct naive_regs *regs);

/* Takes the entry's value into account. */
enum naive_step naive_take(const struct naive_regs *regs, struct naive_walk *walk, uint64_t value);

/* After NAIVE_LEAF: may the access be made? */
bool naive_allowed(const struct naive_regs *regs, const struct naive_walk *walk,
                   const struct naive_access *access);

/* The error code of a fault that ended with this step (NAIVE_LEAF: the rights do not suffice). */
uint32_t naive_error(const struct naive_regs *regs, const struct naive_access *access,
                     enum naive_step end);

#define NAIVE_ACCESSED 0x20u
#define NAIVE_DIRTY    0x40u

/* One whole walk over memory. */
struct naive_result {
    bool ok;
    uint32_t error; /* unless ok */
    enum naive_step end;
    uint64_t gpa; /* A20 applied */
    uint64_t page_bytes;
    bool global;
    unsigned entries; /* that were read */
    struct {
        uint64_t gpa, value;
        unsigned set; /* NAIVE_ACCESSED, NAIVE_DIRTY: bits that the access sets anew */
    } entry[4];
};

/* Reads an entry of 4 or 8 bytes; all ones where there is nothing. */
typedef uint64_t naive_read_fn(void *opaque, uint64_t gpa, unsigned bytes);

void naive_translate(const struct naive_regs *regs, uint64_t gva, const struct naive_access *access,
                     naive_read_fn *read, void *opaque, struct naive_result *result);

/* What a load of the PDPTE registers takes from memory; false: #GP, nothing is loaded. */
bool naive_load_pdptes(const struct naive_regs *regs, uint64_t cr3, naive_read_fn *read,
                       void *opaque, uint64_t pdpte[4]);

#endif

/*
 * The extended page table: GPA -> HVA for one VM, in the processor's own 4-level entry format with
 * a host virtual page in the place of the physical frame. The processor's side walks it; the
 * monitor's side fills it from the slots when a walk ends in a violation, and takes entries away.
 *
 *   walk(gpa) -- present, rights --> mapping; A and D bits set
 *             -- not present ------> EPT violation: ept_fill from the slots, walk again
 *             -- MMIO entry -------> EPT misconfiguration: the access goes to the bus
 *
 * Leaves are 4 KiB, 2 MiB or 1 GiB, as large as slot and alignment allow; write protection splits.
 * It refuses execute-only mappings and memory types other than write-back.
 * Specification: SDM 3 "The Extended Page Table Mechanism (EPT)", "EPT Misconfigurations".
 *
 * Locking: one user at a time (the vCPU's thread, or anyone while it is stopped).
 */
#ifndef UMBRA_MMU_EPT_H
#define UMBRA_MMU_EPT_H

#include "x86/paging.h"

struct mem;
struct ept;

/* Write and execute without read is a misconfiguration by definition: KVM's mark for MMIO too. */
#define EPT_MMIO ((uint64_t)(EPT_WRITE | EPT_EXEC))

static inline bool ept_entry_present(uint64_t entry)
{
    return entry & EPT_RIGHTS;
}

static inline bool ept_entry_mmio(uint64_t entry)
{
    return (entry & EPT_RIGHTS) == EPT_MMIO;
}

enum ept_walk {
    EPT_WALK_MAPPED,
    EPT_WALK_VIOLATION, /* not present, or not with these rights */
    EPT_WALK_MISCONFIG, /* the monitor's mark for MMIO */
};

struct ept_mapping {
    unsigned rights;     /* that all entries met allow (enum ept_access); of a violation, too */
    uint8_t *hva;        /* of the address walked; this and what follows when it is mapped */
    uint64_t page_bytes; /* of the leaf */
    bool writable;
    bool dirty;     /* with writable: a write needs no walk of its own any more */
    unsigned level; /* of the leaf: 1 for 4 KiB, 2, 3 */
};

enum ept_fill {
    EPT_FILLED,
    EPT_FILL_MMIO,      /* no slot: the page is marked so now */
    EPT_FILL_READ_ONLY, /* a write to ROM: it stays as it is, the write is to be dropped */
};

/* Since the table was made. */
struct ept_stats {
    uint64_t filled[4]; /* by the leaf's level; [0] counts MMIO marks */
    uint64_t zapped;    /* leaves taken away */
    uint64_t split;
    uint64_t tables;           /* pages of entries that there are now */
    uint64_t dropped_for_room; /* how often all went, because a bound or the host allowed no more */
};

#define EPT_TABLES_MIN 64

/*
 * An empty table, or NULL without memory. It takes at most max_tables pages, at least
 * EPT_TABLES_MIN: what needs more, or finds no memory, drops all and begins anew. mem outlives it.
 */
struct ept *ept_create(struct mem *mem, uint64_t max_tables);
void ept_destroy(struct ept *ept);

/* What the processor does with a guest-physical address: access is the OR of enum ept_access. */
enum ept_walk ept_walk(struct ept *ept, gpa_t gpa, unsigned access, struct ept_mapping *mapping);

/*
 * What the monitor does about a violation: fills the leaf, or marks MMIO. After EPT_FILLED the walk
 * succeeds. A page of a slot with a dirty log is in the log before it may be written.
 * EPT_FILL_MMIO holds without a mark too: a guest that names too many such pages gets no more.
 */
enum ept_fill ept_fill(struct ept *ept, gpa_t gpa, unsigned access);

/* Takes all mappings of [gpa, gpa + len) away. The caller flushes the TLB. */
void ept_zap(struct ept *ept, gpa_t gpa, uint64_t len);

/*
 * Takes write permission of [gpa, gpa + len) away, splitting larger leaves at its ends; a later
 * write is a violation. The caller flushes the TLB.
 */
void ept_write_protect(struct ept *ept, gpa_t gpa, uint64_t len);

/*
 * Drops what lies where slots came or went since the last look (everything after too many of
 * them); true then: flush the TLB.
 */
bool ept_follow_slots(struct ept *ept);

const struct ept_stats *ept_stats(const struct ept *ept);

/* Calls fn for each leaf in rising order of GPA: for `info` and audits. */
void ept_for_each(const struct ept *ept,
                  void (*fn)(void *opaque, gpa_t gpa, uint64_t entry, unsigned level),
                  void *opaque);

/*
 * The entries that a walk of gpa meets, from the root down, without setting any bit: path[i] is
 * of level 4 - i. Returns how many; the last is the leaf, an MMIO mark, or not present.
 */
unsigned ept_peek(const struct ept *ept, gpa_t gpa, const uint64_t *path[4]);

/*
 * Checks every invariant: each leaf points where its slot does and lies inside it, neither ROM nor
 * a page that its slot's dirty log lacks is writable, no reserved bit is set, MMIO marks lie
 * outside all slots, the count of tables is right. False with the reason in why.
 */
bool ept_audit(const struct ept *ept, char *why, size_t size);

#endif

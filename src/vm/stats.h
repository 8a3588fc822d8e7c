/*
 * What a VM has counted: one snapshot of every counter of stat.def and of the exits, and the table
 * for people that `umbra run --stats` prints at the end and the monitor console on request.
 *
 * Any thread, at any time while the VM exists: a counter that is read while the vCPU changes it may
 * be one behind. Exits are timed and TLB look-ups counted only if the VM was made so (--stats,
 * --stats-interval); else those stay 0.
 */
#ifndef UMBRA_VM_STATS_H
#define UMBRA_VM_STATS_H

#include <stdio.h>

#include "engine/engine.h"

struct vm;

enum stat_id {
#define STAT(name, group, kind, unit, words, value) STAT_##name,
#include "vm/stat.def"
#undef STAT
    STATS
};

enum stat_group {
    STAT_GROUP_RUN,
    STAT_GROUP_TLB,
    STAT_GROUP_EPT,    /* of use under --mmu=ept only */
    STAT_GROUP_SHADOW, /* of use under --mmu=shadow only */
    STAT_GROUP_TABLES,
    STAT_GROUPS
};

enum stat_kind {
    STAT_COUNT,
    STAT_GAUGE,
};

enum stat_unit {
    STAT_NUMBER,
    STAT_NS,
    STAT_BYTES,
};

/* A row of stat.def. */
struct stats_row {
    const char *name;
    const char *words;
    enum stat_group group;
    enum stat_kind kind;
    enum stat_unit unit;
};

extern const struct stats_row stats_table[STATS];

/* Everything at one moment. */
struct stats_snapshot {
    uint64_t time_ns; /* host time since the VM was made */
    uint64_t value[STATS];
    uint64_t exits[EXIT_REASONS];
    uint64_t exit_ns[EXIT_REASONS];
};

void vm_stats_snapshot(const struct vm *vm, struct stats_snapshot *snapshot);

/* Whether a group says something about this VM. */
bool vm_stats_group_applies(const struct vm *vm, enum stat_group group);

/* Whether the user asked for statistics: then exits are timed. */
bool vm_stats_wanted(const struct vm *vm);

/* Before the vCPU's thread starts: 0 or -errno. */
int vm_stats_start(struct vm *vm) must_check;

/*
 * After it has ended: prints or writes what was asked for. The VM's exit status, or another one if
 * the file could not be written.
 */
int vm_stats_end(struct vm *vm, int status);

/* Exits by reason, what memory virtualization did, and the memory that it takes, as text lines. */
void vm_stats_print(const struct vm *vm, FILE *out);

#endif

/*
 * The bound on Umbra's own memory beside the guest's (--monitor-memory): one number, split into a
 * share for each kind of memory that a guest can make grow. What needs more than its share gives up
 * what is oldest, so the sum holds whatever the guest does.
 *
 * It counts what the soft engine makes for a guest. Buffers of devices, the monitor's and gdb's
 * connections and the program itself do not depend on the guest and are not in it; under the kvm
 * engine the host's kernel keeps the tables.
 */
#ifndef UMBRA_VM_BUDGET_H
#define UMBRA_VM_BUDGET_H

#include "vm/config.h"

#define BUDGET_DEFAULT_BYTES (384 * MIB)
#define BUDGET_MIN_BYTES     (32 * MIB)

struct budget {
    uint64_t total_bytes;
    uint64_t fixed_bytes;  /* TLB, hash tables, native stubs */
    uint64_t table_bytes;  /* the EPT, or shadow pages with their part of the reverse map */
    uint64_t block_bytes;  /* decoded blocks, records of pages with code */
    uint64_t code_bytes;   /* translated code */
    uint64_t record_bytes; /* what is known about translations: addresses, jumps */
    unsigned shadow_pages;
    uint64_t ept_tables;
};

/*
 * Splits config's bound. False, and says so, when the shadow pages that the user asked for leave no
 * room in it.
 */
bool budget_split(struct budget *budget, const struct vm_config *config) must_check;

#endif

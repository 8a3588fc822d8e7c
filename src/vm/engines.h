/*
 * Which engine runs a VM on this host, and what can be said about each. It refuses to trust that
 * /dev/kvm opens: it is timed first (engine/kvm/kvm.h).
 */
#ifndef UMBRA_VM_ENGINES_H
#define UMBRA_VM_ENGINES_H

#include <stdio.h>

#include "base/types.h"

struct engine;

/* What the user asked for, in the order of --engine's choices. */
enum vm_engine {
    VM_ENGINE_AUTO, /* kvm where it runs guests at the hardware's speed, else soft */
    VM_ENGINE_KVM,
    VM_ENGINE_SOFT,
};

/* How memory is to be virtualized, in the order of --mmu's choices. */
enum vm_mmu {
    VM_MMU_AUTO, /* ept with the soft engine; what the host's KVM has with kvm */
    VM_MMU_EPT,
    VM_MMU_SHADOW,
};

/* An engine, and why it. */
struct vm_engine_choice {
    const struct engine *engine; /* NULL: what was asked for cannot be had */
    uint64_t tsc_hz;             /* what the guest's TSC runs at; 0: the VM decides */
    char paging[16];             /* of the host's KVM: "EPT", "NPT", "shadow", "unknown" */
    char why[320];
};

/*
 * Chooses; costs at most 100 ms (kvm's probe), and nothing where only the soft engine will do: it
 * alone has a choice of MMU, and soft_only names an option that only it has (NULL: none).
 */
void vm_choose_engine(enum vm_engine want, enum vm_mmu mmu, const char *soft_only,
                      struct vm_engine_choice *choice);

/* `umbra engines`: a table of the engines with modes, measured speed, paging and reason. */
void vm_print_engines(FILE *out);

#endif

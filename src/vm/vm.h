/* The virtual machine as the command line sees it. */
#ifndef UMBRA_VM_VM_H
#define UMBRA_VM_VM_H

#include "vm/config.h"

/* How a VM ends, as the process's exit status. isa-debug-exit adds its own: (v << 1) | 1. */
enum vm_exit {
    VM_EXIT_POWEROFF = 0,
    VM_EXIT_ERROR = 1, /* Umbra's or the host's failure */
    VM_EXIT_USAGE = 2, /* bad option, bad file */
    VM_EXIT_RESET = 32,
    VM_EXIT_PANIC = 34,
    VM_EXIT_TIMEOUT = 36,
    VM_EXIT_TRIPLE_FAULT = 38,
};

/* Makes the VM, runs it to its end and takes it apart; returns the process's exit status. */
int vm_run(const struct vm_config *config);

#endif

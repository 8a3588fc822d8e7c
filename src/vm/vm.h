/* The virtual machine as the command line sees it. */
#ifndef UMBRA_VM_VM_H
#define UMBRA_VM_VM_H

#include "vm/config.h"

/*
 * The exit statuses of the process, of `umbra run` and the other commands. A guest chooses its own
 * by isa-debug-exit (port F4h), (v << 1) | 1, of which a process keeps the low 8 bits: always odd.
 * All of these are even, so that whoever started Umbra can tell who speaks.
 */
enum vm_exit {
    VM_EXIT_POWEROFF = 0, /* also: a command did what it should */
    VM_EXIT_USAGE = 2,    /* nothing was started: bad option, bad file */
    VM_EXIT_ERROR = 4,    /* Umbra's or the host's failure */
    VM_EXIT_RESET = 32,
    VM_EXIT_PANIC = 34, /* it has reported a panic, however it ended then */
    VM_EXIT_TIMEOUT = 36,
    VM_EXIT_TRIPLE_FAULT = 38,
};

/* Makes the VM, runs it to its end and takes it apart; returns the process's exit status. */
int vm_run(const struct vm_config *config);

#endif

/*
 * What a VM has counted, for people: the table that `umbra run --stats` prints at the end and the
 * monitor console on request.
 *
 * Any thread, at any time: a counter that is read while the vCPU changes it may be one behind.
 */
#ifndef UMBRA_VM_STATS_H
#define UMBRA_VM_STATS_H

#include <stdio.h>

struct vm;

/* Exits by reason, what memory virtualization did, and the memory that it takes, as text lines. */
void vm_stats_print(const struct vm *vm, FILE *out);

#endif

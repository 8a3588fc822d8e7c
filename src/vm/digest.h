/*
 * Digests of a run (`--digest`): at exact counts of executed instructions a line with the
 * processor's registers and a hash of guest memory, for tools/lockstep to compare with another
 * run's. Only under `--clock instructions`, where runs can be compared at all.
 *
 * A line is words NAME=VALUE, numbers but for `count` and `ns` in hexadecimal. All of it is the
 * guest's state: two configurations that must agree write the same lines.
 */
#ifndef UMBRA_VM_DIGEST_H
#define UMBRA_VM_DIGEST_H

#include "base/types.h"

struct vm;
struct digest;

/*
 * Opens the files that the configuration names. *out is NULL when it names none. 0 or -errno; it
 * says itself what is wrong.
 */
int digest_create(struct digest **out, struct vm *vm) must_check;
void digest_destroy(struct digest *digest);

/* The count at which the next line is due; UINT64_MAX: no more. NULL is fine. */
uint64_t digest_next(const struct digest *digest);

/*
 * Writes the line if it is due; ends the VM after the last, and where a file cannot be written.
 * On the vCPU's thread between two instructions, without the machine lock. NULL is fine.
 */
void digest_look(struct digest *digest);

/* The guest has ended: its last state, unless the lines have an end of their own. NULL is fine. */
void digest_end(struct digest *digest);

#endif

/*
 * The files that a thread may still open, remove or make: nothing, but for the folders that a run's
 * options need at its end. Landlock is a second wall behind the lists of sandbox.h: where the
 * kernel does not have it, nothing is refused.
 *
 * Specification: landlock(7); Linux, Documentation/userspace-api/landlock.rst.
 */
#ifndef UMBRA_VM_LANDLOCK_H
#define UMBRA_VM_LANDLOCK_H

#include "base/types.h"

/* What a folder, or a file that is no folder, is open for. */
enum landlock_use {
    LANDLOCK_REMOVES, /* a socket's file is removed from the folder */
    LANDLOCK_REPLACES /* a file in the folder is made and replaced */
};

/* A set of rules that allows nothing; -1 where there is no Landlock. The descriptor is the
 * caller's.
 */
int landlock_make(void);

/*
 * Allows a use of what the path names (LANDLOCK_REPLACES: written to), or of the folder around it.
 * A path that cannot be opened gets no rule: what it is needed for fails later, and says so.
 */
void landlock_allow(int rules, const char *path, enum landlock_use use);

/* Binds the calling thread, which has no_new_privs, and those that it makes. 0 or -errno. */
int landlock_enter(int rules) must_check;

#endif

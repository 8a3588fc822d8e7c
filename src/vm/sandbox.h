/*
 * What is left of the process when somebody has taken it over from inside the guest: each thread
 * gives up all system calls but those of its list (sandbox.def), and all files but those that it
 * has open, before it looks at the guest for the first time. docs/security.md tells what that is
 * worth.
 *
 * A call that is not on the list ends the process: SIGSYS, one line with the call's name, and
 * SANDBOX_STATUS. Only opening a file is answered with EPERM, because the C library's allocator
 * tries it and lives without.
 *
 * It refuses to be the only wall: a thread's list is an allow list of calls, not of what they do to
 * the memory that all threads share.
 *
 * Specification: seccomp(2), landlock(7).
 */
#ifndef UMBRA_VM_SANDBOX_H
#define UMBRA_VM_SANDBOX_H

#include "vm/vm.h"

#define SANDBOX_STATUS VM_EXIT_ERROR /* of a process that made a forbidden call */

/*
 * A sanitizer's run-time opens files, and traces the process at its end: a program that is built
 * with one has the sandbox off until it is asked for.
 */
#if defined(__has_feature)
#define SANDBOX_SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_SANITIZED 1
#else
#define SANDBOX_SANITIZED 0
#endif

enum sandbox_thread { SANDBOX_LOOP, SANDBOX_VCPU, SANDBOX_DISK, SANDBOX_THREADS };

struct sandbox_config {
    bool kvm;               /* the engine is KVM */
    const char *monitor;    /* --monitor and --gdb, or NULL */
    const char *gdb;        /* */
    const char *stats_file; /* --stats=FILE, or NULL */
};

struct sandbox;

/*
 * Makes the lists and asks whether the host can enforce them. 0, -ENOMEM, or the host's error
 * (-ENOSYS, -EINVAL: a kernel without seccomp; -EPERM: one that refuses it).
 */
int sandbox_create(struct sandbox **out, const struct sandbox_config *config) must_check;

/* Frees the lists; threads stay as they are. NULL is fine. */
void sandbox_destroy(struct sandbox *sandbox);

/*
 * Puts the calling thread under its list, for good. NULL: there is no sandbox. The process ends
 * with a message when the host refuses what it promised to sandbox_create.
 */
void sandbox_enter(struct sandbox *sandbox, enum sandbox_thread thread);

/* Whether Landlock binds the files, too; false where the kernel does not have it. */
bool sandbox_has_landlock(struct sandbox *sandbox);

#endif

/*
 * The signals by which a user ends the VM: SIGTERM and SIGHUP, and SIGINT where no terminal of ours
 * sends it. The first is for the guest: the event loop hears of it and presses the power button.
 * The second is for Umbra: the event loop is asked to end the VM, and if the process is still there
 * a moment later (somebody holds a lock that it needs, or the host hangs), a handler ends it.
 * The third does so at once.
 *
 * The handlers refuse to take a lock, to allocate and to write to standard error: they restore the
 * terminal and leave by _exit. POSIX.1-2017, 2.4.3 "Signal Actions".
 *
 * One VM in a process has them. They are handled on the thread that makes this, so it blocks them
 * while it starts others (signals_block).
 */
#ifndef UMBRA_VM_SIGNALS_H
#define UMBRA_VM_SIGNALS_H

#include <signal.h>

#include "base/types.h"

/*
 * Installs the handlers. with_interrupt: SIGINT, too. The process ends with `status` when it is
 * ended by one, grace_ms after the second signal. 0, -EBUSY (another VM has them) or -errno.
 */
int signals_install(bool with_interrupt, int status, unsigned grace_ms) must_check;

/* Puts back what was there; harmless when nothing was installed. */
void signals_remove(void);

/* Readable when a signal has come; -1: not installed. */
int signals_fd(void);

/* How many have come since the last call, and the last one's number. */
unsigned signals_take(int *number);

/* Blocks these signals on this thread, so that a thread that it starts has them blocked. */
void signals_block(sigset_t *before);
void signals_unblock(const sigset_t *before);

#endif

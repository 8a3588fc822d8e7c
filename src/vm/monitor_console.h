/*
 * Where the monitor console is: on the user's terminal behind Ctrl-a c, and on a socket
 * (--monitor). Both show the prompt "(umbra) " and answer line by line.
 *
 * On the terminal the console takes the keys while it is open; the guest's output goes on. Keys may
 * come while the machine lock is held, so they are queued and served by the event loop without it.
 * An answer is written as the reader takes it; meanwhile no further key is served. One that is
 * longer than the screen stops after each screenful until a key turns the page. 4 KiB of keys are
 * kept, what comes after is lost.
 * On the socket (listener.h) a line ends in \n or \r\n. One that is too long, or that holds other
 * than printable ASCII, is answered by an error and not carried out.
 */
#ifndef UMBRA_VM_MONITOR_CONSOLE_H
#define UMBRA_VM_MONITOR_CONSOLE_H

#include "base/types.h"

struct vm;
struct monitor_console;

/*
 * A console for the terminal, and where `where` is not NULL for that address too. The VM's monitor,
 * events and terminal exist. 0 or -errno, as listener_create.
 */
int monitor_console_create(struct monitor_console **out, struct vm *vm,
                           const char *where) must_check;
void monitor_console_destroy(struct monitor_console *console); /* NULL is fine */

/* Ctrl-a c: the terminal's keys go to the console from now on, or not. Machine lock held. */
void monitor_console_open(struct monitor_console *console, bool open);

/* A key for the console. Machine lock held. */
void monitor_console_key(struct monitor_console *console, uint8_t key);

/* The terminal may have room again. Event loop's thread, without the lock. */
void monitor_console_serve(struct monitor_console *console);

#endif

/*
 * A stub for gdb's remote protocol: what the packets ask for, done through a table of functions, so
 * that it can be tested without a VM. One target with one thread; gdb's all-stop mode.
 *
 * A client may send anything: what is not understood is answered as the protocol says or ignored,
 * and nothing that it sends ends the process.
 * It refuses to know sockets and VMs (gdb_vm.h).
 * Specification: gdb manual, "Remote Protocol".
 */
#ifndef UMBRA_VM_GDB_H
#define UMBRA_VM_GDB_H

#include <stdio.h>

#include "engine/engine.h"
#include "vm/gdb_regs.h"

/* What is debugged. Only resume, interrupt, kill, monitor and send are called while it runs. */
struct gdb_target {
    void (*get_registers)(void *opaque, struct gdb_registers *registers);
    void (*set_registers)(void *opaque, const struct gdb_registers *registers);
    /* Within one page; false when nothing is there. Linear addresses, or guest-physical ones. */
    bool (*read)(void *opaque, bool physical, uint64_t address, void *buffer, size_t count);
    bool (*write)(void *opaque, bool physical, uint64_t address, const void *buffer, size_t count);
    /* Whether it can be run with that: 0 or engine.h's error. NULL: whatever it is, it can. */
    int (*check)(void *opaque, const struct engine_debug *debug);
    /* Lets it run; gdb_stopped follows some time. */
    void (*resume)(void *opaque, const struct engine_debug *debug);
    /* Stops it; gdb_stopped follows, perhaps from inside. */
    void (*interrupt)(void *opaque);
    /* Lets it run without a debugger, and closes the connection. */
    void (*detach)(void *opaque);
    /* Ends it. */
    void (*kill)(void *opaque);
    /* `monitor LINE`; the answer goes to out. */
    void (*monitor)(void *opaque, const char *line, FILE *out);
    /* To the client; never fails. */
    void (*send)(void *opaque, const void *bytes, size_t count);
};

/* Signals by gdb's numbers (gdb's include/gdb/signals.def). */
#define GDB_SIGNAL_INT  2
#define GDB_SIGNAL_TRAP 5
#define GDB_SIGNAL_SEGV 11

/* Why the target has stopped. */
struct gdb_stop {
    unsigned signal;
    bool has_debug; /* the engine says more */
    struct engine_debug_stop debug;
};

struct gdb;

/* NULL without memory. The table and opaque outlive it. */
struct gdb *gdb_create(const struct gdb_target *target, void *opaque);
void gdb_destroy(struct gdb *gdb);

/* A client has come; the target is stopped. */
void gdb_opened(struct gdb *gdb);

/* It has gone. The stub forgets its breakpoints; no function of the table is called. */
void gdb_closed(struct gdb *gdb);

/* The client sent bytes. */
void gdb_received(struct gdb *gdb, const uint8_t *bytes, size_t count);

/* The target has stopped. */
void gdb_stopped(struct gdb *gdb, const struct gdb_stop *stop);

/* The target has ended with this exit status. */
void gdb_ended(struct gdb *gdb, unsigned status);

#endif

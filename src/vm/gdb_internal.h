/* What the files of the gdb stub share: its state, and the functions of the packets. */
#ifndef UMBRA_VM_GDB_INTERNAL_H
#define UMBRA_VM_GDB_INTERNAL_H

#include "vm/gdb.h"
#include "vm/gdb_packet.h"

/* The types of Z packets. */
enum gdb_point_type {
    GDB_POINT_SOFTWARE,
    GDB_POINT_HARDWARE,
    GDB_POINT_WRITE,
    GDB_POINT_READ,
    GDB_POINT_ACCESS,
    GDB_POINT_TYPES
};

struct gdb_point {
    uint8_t type; /* enum gdb_point_type */
    uint64_t address, bytes;
};

#define GDB_MAX_POINTS (ENGINE_MAX_BREAKPOINTS + ENGINE_MAX_WATCHPOINTS)

/* Bits of QEMU's qemu.sstep packets: how a single step goes. */
#define GDB_STEP_ENABLE   1u
#define GDB_STEP_NO_IRQ   2u
#define GDB_STEP_NO_TIMER 4u
#define GDB_STEP_ALL      7u

struct gdb {
    const struct gdb_target *target;
    void *opaque;
    bool connected;
    bool running; /* from a packet that resumes to the reply that it stopped */
    bool no_ack;
    bool tells_points; /* the client knows the stop reasons swbreak and hwbreak */
    bool physical;     /* m, M and X mean guest-physical addresses */
    unsigned step;     /* GDB_STEP_* */
    struct gdb_stop last;
    struct gdb_point points[GDB_MAX_POINTS];
    unsigned point_count;
    char *xml; /* target.xml */
    size_t xml_bytes;
    struct gdb_reader reader;
    struct gdb_writer reply;
    char frame[GDB_FRAME_BYTES]; /* what was sent last, for a client that asks again */
    size_t frame_bytes;
};

/* Answers; gdb->reply is sent as it stands, or replaced by these words or an error's number. */
void gdb_send(struct gdb *gdb);
void gdb_say(struct gdb *gdb, const char *words);
void gdb_fail(struct gdb *gdb, unsigned number);

#define GDB_ERROR_ARGUMENT 0x16 /* EINVAL: the packet makes no sense */
#define GDB_ERROR_ADDRESS  0x0e /* EFAULT: nothing is there */
#define GDB_ERROR_FULL     0x1c /* ENOSPC: too many breakpoints */
#define GDB_ERROR_REFUSED  0x01 /* EPERM: this register can't be changed so */

/* Each answers one kind of packet; at points behind its letter (gdb_memory.c, ...). */
void gdb_read_all_registers(struct gdb *gdb, const char *at);
void gdb_write_all_registers(struct gdb *gdb, const char *at);
void gdb_read_register(struct gdb *gdb, const char *at);
void gdb_write_register(struct gdb *gdb, const char *at);
void gdb_read_memory(struct gdb *gdb, const char *at);
void gdb_write_memory(struct gdb *gdb, const char *at);
void gdb_write_binary(struct gdb *gdb, const char *at);
void gdb_insert_point(struct gdb *gdb, const char *at);
void gdb_remove_point(struct gdb *gdb, const char *at);
void gdb_query(struct gdb *gdb, const char *at);
void gdb_set(struct gdb *gdb, const char *at);

/* The words of `monitor phys`: whether the line is that command, which is the stub's own. */
bool gdb_monitor_phys(struct gdb *gdb, const char *line, FILE *out);

/* What the points ask of the engine. */
void gdb_points_debug(const struct gdb *gdb, struct engine_debug *debug);

/* Appends what a stop says of its point to a stop reply. */
void gdb_put_point(struct gdb *gdb, const struct engine_debug_stop *stop);

#endif

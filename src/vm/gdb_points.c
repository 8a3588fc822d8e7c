/*
 * Breakpoints and watchpoints: the packets Z and z, and what a stop reply says of them. A software
 * and a hardware breakpoint are the same to the engine, which writes neither into guest memory;
 * they are told apart because gdb wants to hear of the one that it asked for.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "vm/gdb_internal.h"

struct request {
    uint64_t type, address, bytes;
};

/* TYPE,ADDRESS,KIND and perhaps conditions, which are gdb's own business: it was not offered any.
 */
static bool parse(const char *at, struct request *request)
{
    return gdb_get_number(&at, &request->type) && *at++ == ',' &&
           gdb_get_number(&at, &request->address) && *at++ == ',' &&
           gdb_get_number(&at, &request->bytes) && (*at == '\0' || *at == ';');
}

static bool is_breakpoint(unsigned type)
{
    return type == GDB_POINT_SOFTWARE || type == GDB_POINT_HARDWARE;
}

static struct gdb_point *find(struct gdb *gdb, const struct request *request)
{
    for (unsigned i = 0; i < gdb->point_count; i++) {
        struct gdb_point *point = &gdb->points[i];

        if (point->type == request->type && point->address == request->address &&
            (is_breakpoint(point->type) || point->bytes == request->bytes))
            return point;
    }
    return NULL;
}

/* How many there are of the same sort, breakpoints or watchpoints. */
static unsigned count_like(const struct gdb *gdb, unsigned type)
{
    unsigned count = 0;

    for (unsigned i = 0; i < gdb->point_count; i++)
        count += is_breakpoint(gdb->points[i].type) == is_breakpoint(type);
    return count;
}

/*
 * A watchpoint of a kind that there is not is not supported: gdb then watches reads by way of all
 * accesses, and compares.
 */
static void try_point(struct gdb *gdb, const struct request *request)
{
    struct engine_debug debug = {0};
    int err = 0;

    gdb->points[gdb->point_count++] =
        (struct gdb_point){(uint8_t)request->type, request->address, request->bytes};
    if (gdb->target->check) {
        gdb_points_debug(gdb, &debug);
        err = gdb->target->check(gdb->opaque, &debug);
    }
    if (!err) {
        gdb_say(gdb, "OK");
        return;
    }
    gdb->point_count--;
    if (err == -EOPNOTSUPP)
        gdb_say(gdb, "");
    else
        gdb_fail(gdb, GDB_ERROR_FULL);
}

void gdb_insert_point(struct gdb *gdb, const char *at)
{
    struct request request;
    unsigned most;

    if (!parse(at, &request)) {
        gdb_fail(gdb, GDB_ERROR_ARGUMENT);
        return;
    }
    if (request.type >= GDB_POINT_TYPES) {
        gdb_say(gdb, ""); /* not supported */
        return;
    }
    if (!is_breakpoint((unsigned)request.type) &&
        (request.bytes == 0 || request.address + (request.bytes - 1) < request.address)) {
        gdb_fail(gdb, GDB_ERROR_ARGUMENT);
        return;
    }
    most = is_breakpoint((unsigned)request.type) ? ENGINE_MAX_BREAKPOINTS : ENGINE_MAX_WATCHPOINTS;
    if (find(gdb, &request))
        gdb_say(gdb, "OK");
    else if (count_like(gdb, (unsigned)request.type) >= most)
        gdb_fail(gdb, GDB_ERROR_FULL);
    else
        try_point(gdb, &request);
}

void gdb_remove_point(struct gdb *gdb, const char *at)
{
    struct request request;
    struct gdb_point *point;

    if (!parse(at, &request)) {
        gdb_fail(gdb, GDB_ERROR_ARGUMENT);
        return;
    }
    if (request.type >= GDB_POINT_TYPES) {
        gdb_say(gdb, "");
        return;
    }
    point = find(gdb, &request);
    if (point) {
        size_t behind = (size_t)(gdb->points + gdb->point_count - (point + 1));

        memmove(point, point + 1, behind * sizeof(*point));
        gdb->point_count--;
    }
    gdb_say(gdb, "OK");
}

void gdb_points_debug(const struct gdb *gdb, struct engine_debug *debug)
{
    debug->breakpoints = debug->watchpoints = 0;
    for (unsigned i = 0; i < gdb->point_count; i++) {
        const struct gdb_point *point = &gdb->points[i];

        if (is_breakpoint(point->type)) {
            debug->breakpoint[debug->breakpoints++] = point->address;
            continue;
        }
        debug->watchpoint[debug->watchpoints++] = (struct engine_watchpoint){
            .start = point->address,
            .bytes = point->bytes,
            .read = point->type != GDB_POINT_WRITE,
            .write = point->type != GDB_POINT_READ,
        };
    }
}

static const struct gdb_point *watchpoint_number(const struct gdb *gdb, unsigned number)
{
    for (unsigned i = 0; i < gdb->point_count; i++) {
        if (!is_breakpoint(gdb->points[i].type) && number-- == 0)
            return &gdb->points[i];
    }
    return NULL;
}

/*
 * gdb looks for a breakpoint at rip, and when it finds none there it goes on without a word. So
 * with a CS base, as in real mode, it is not told of a breakpoint: it then stops as at a signal.
 */
static void put_breakpoint(struct gdb *gdb, uint64_t address)
{
    struct gdb_registers registers;
    bool hardware = false;

    gdb->target->get_registers(gdb->opaque, &registers);
    if (!gdb->tells_points || registers.x.gpr[X86_RIP] != address)
        return;
    for (unsigned i = 0; i < gdb->point_count; i++) {
        if (gdb->points[i].type == GDB_POINT_HARDWARE && gdb->points[i].address == address)
            hardware = true;
    }
    gdb_put_format(&gdb->reply, hardware ? "hwbreak:;" : "swbreak:;");
}

void gdb_put_point(struct gdb *gdb, const struct engine_debug_stop *stop)
{
    static const char *const words[GDB_POINT_TYPES] = {
        [GDB_POINT_WRITE] = "watch", [GDB_POINT_READ] = "rwatch", [GDB_POINT_ACCESS] = "awatch"};
    const struct gdb_point *point;

    if (stop->reason == ENGINE_DEBUG_BREAKPOINT)
        put_breakpoint(gdb, stop->address);
    if (stop->reason != ENGINE_DEBUG_WATCHPOINT)
        return;
    point = watchpoint_number(gdb, stop->watchpoint);
    if (point)
        gdb_put_format(&gdb->reply, "%s:%" PRIx64 ";", words[point->type], stop->address);
}

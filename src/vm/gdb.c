/* The gdb stub's core: packets in and out, running and stopping (see gdb.h). */
#include "vm/gdb.h"

#include <stdlib.h>
#include <string.h>

#include "vm/gdb_internal.h"

struct gdb *gdb_create(const struct gdb_target *target, void *opaque)
{
    struct gdb *gdb = calloc(1, sizeof(*gdb));
    FILE *out;

    if (!gdb)
        return NULL;
    gdb->target = target;
    gdb->opaque = opaque;
    out = open_memstream(&gdb->xml, &gdb->xml_bytes);
    if (out)
        gdb_regs_describe(out);
    if (!out || fclose(out) != 0) {
        gdb_destroy(gdb);
        return NULL;
    }
    gdb_closed(gdb);
    return gdb;
}

void gdb_destroy(struct gdb *gdb)
{
    if (!gdb)
        return;
    free(gdb->xml);
    free(gdb);
}

void gdb_opened(struct gdb *gdb)
{
    gdb_closed(gdb);
    gdb->connected = true;
}

void gdb_closed(struct gdb *gdb)
{
    gdb->connected = gdb->running = gdb->no_ack = gdb->tells_points = gdb->physical = false;
    gdb->step = GDB_STEP_ALL;
    gdb->last = (struct gdb_stop){.signal = GDB_SIGNAL_TRAP};
    gdb->point_count = 0;
    gdb->frame_bytes = 0;
    memset(&gdb->reader, 0, sizeof(gdb->reader));
}

static void send_frame(struct gdb *gdb)
{
    if (gdb->connected && gdb->frame_bytes > 0)
        gdb->target->send(gdb->opaque, gdb->frame, gdb->frame_bytes);
}

void gdb_send(struct gdb *gdb)
{
    gdb->frame_bytes = gdb_frame(&gdb->reply, gdb->frame);
    send_frame(gdb);
}

void gdb_say(struct gdb *gdb, const char *words)
{
    gdb_writer_clear(&gdb->reply);
    gdb_put_format(&gdb->reply, "%s", words);
    gdb_send(gdb);
}

void gdb_fail(struct gdb *gdb, unsigned number)
{
    gdb_writer_clear(&gdb->reply);
    gdb_put_format(&gdb->reply, "E%02x", number);
    gdb_send(gdb);
}

/* --- stopping --- */

static void put_register(struct gdb *gdb, const struct gdb_registers *registers, unsigned number)
{
    uint8_t value[GDB_REG_MAX_BYTES];

    gdb_reg_get(registers, number, value);
    gdb_put_format(&gdb->reply, "%x:", number);
    gdb_put_hex(&gdb->reply, value, gdb_reg_bytes(number));
    gdb_put_format(&gdb->reply, ";");
}

/* With the registers that gdb asks for first. */
static void send_stop_reply(struct gdb *gdb)
{
    struct gdb_registers registers;

    gdb->target->get_registers(gdb->opaque, &registers);
    gdb_writer_clear(&gdb->reply);
    gdb_put_format(&gdb->reply, "T%02x", gdb->last.signal);
    put_register(gdb, &registers, GDB_REG_RBP);
    put_register(gdb, &registers, GDB_REG_RSP);
    put_register(gdb, &registers, GDB_REG_RIP);
    gdb_put_format(&gdb->reply, "thread:1;");
    if (gdb->last.has_debug)
        gdb_put_point(gdb, &gdb->last.debug);
    gdb_send(gdb);
}

void gdb_stopped(struct gdb *gdb, const struct gdb_stop *stop)
{
    bool waiting = gdb->running;

    gdb->running = false;
    gdb->last = *stop;
    if (waiting)
        send_stop_reply(gdb);
}

void gdb_ended(struct gdb *gdb, unsigned status)
{
    if (!gdb->running)
        return; /* gdb waits for nothing; it sees the connection close */
    gdb->running = false;
    gdb_writer_clear(&gdb->reply);
    gdb_put_format(&gdb->reply, "W%02x", status & 0xff);
    gdb_send(gdb);
}

/* --- running --- */

static void resume(struct gdb *gdb, bool step)
{
    struct engine_debug debug = {
        .single_step = step,
        .hold_interrupts = gdb->step & (GDB_STEP_NO_IRQ | GDB_STEP_NO_TIMER),
        .pass_first = true,
    };

    gdb_points_debug(gdb, &debug);
    gdb->running = true;
    gdb->target->resume(gdb->opaque, &debug);
}

/* Where to go on, if the packet says so. */
static void jump(struct gdb *gdb, const char *at)
{
    struct gdb_registers registers;
    uint64_t address;

    if (!gdb_get_number(&at, &address) || *at)
        return;
    gdb->target->get_registers(gdb->opaque, &registers);
    registers.x.gpr[X86_RIP] = address;
    gdb->target->set_registers(gdb->opaque, &registers);
}

static void resume_at(struct gdb *gdb, const char *at)
{
    char letter = at[-1];

    if (letter == 'C' || letter == 'S') { /* a signal, which a machine has no use for */
        while (*at && *at != ';')
            at++;
        if (*at)
            at++;
    }
    jump(gdb, at);
    resume(gdb, letter == 's' || letter == 'S');
}

/* With one thread the first action is the one that counts. */
static void v_cont(struct gdb *gdb, const char *at)
{
    switch (*at) {
    case 'c':
    case 'C': resume(gdb, false); break;
    case 's':
    case 'S': resume(gdb, true); break;
    case 't': gdb_say(gdb, "OK"); break; /* it is stopped */
    default: gdb_fail(gdb, GDB_ERROR_ARGUMENT);
    }
}

static void v_packet(struct gdb *gdb, const char *at)
{
    if (strcmp(at, "Cont?") == 0) {
        gdb_say(gdb, "vCont;c;C;s;S;t");
    } else if (strncmp(at, "Cont;", 5) == 0) {
        v_cont(gdb, at + 5);
    } else if (strcmp(at, "Kill") == 0 || strncmp(at, "Kill;", 5) == 0) {
        gdb_say(gdb, "OK");
        gdb->target->kill(gdb->opaque);
    } else {
        gdb_say(gdb, ""); /* vMustReplyEmpty among them */
    }
}

static void ask_stop(struct gdb *gdb, const char *at)
{
    send_stop_reply(gdb);
}

static void detach(struct gdb *gdb, const char *at)
{
    gdb_say(gdb, "OK");
    gdb->target->detach(gdb->opaque);
}

static void kill_target(struct gdb *gdb, const char *at)
{
    gdb->target->kill(gdb->opaque);
}

/* Which thread, and is it alive: there is one. */
static void agree(struct gdb *gdb, const char *at)
{
    gdb_say(gdb, "OK");
}

static const struct {
    char letter;
    void (*fn)(struct gdb *gdb, const char *at);
} packets[] = {
    {'?', ask_stop},
    {'g', gdb_read_all_registers},
    {'G', gdb_write_all_registers},
    {'p', gdb_read_register},
    {'P', gdb_write_register},
    {'m', gdb_read_memory},
    {'M', gdb_write_memory},
    {'X', gdb_write_binary},
    {'Z', gdb_insert_point},
    {'z', gdb_remove_point},
    {'c', resume_at},
    {'C', resume_at},
    {'s', resume_at},
    {'S', resume_at},
    {'v', v_packet},
    {'q', gdb_query},
    {'Q', gdb_set},
    {'H', agree},
    {'T', agree},
    {'D', detach},
    {'k', kill_target},
};

static void packet(struct gdb *gdb)
{
    const char *at = gdb->reader.data;

    if (gdb->running) {
        /* In all-stop mode a client waits. One that does not is told so, and nothing is touched. */
        if (*at == 'k')
            kill_target(gdb, at + 1);
        else
            gdb_fail(gdb, GDB_ERROR_REFUSED);
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(packets); i++) {
        if (packets[i].letter == *at) {
            packets[i].fn(gdb, at + 1);
            return;
        }
    }
    gdb_say(gdb, "");
}

static void acknowledge(struct gdb *gdb, const char *sign)
{
    if (!gdb->no_ack)
        gdb->target->send(gdb->opaque, sign, 1);
}

void gdb_received(struct gdb *gdb, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count && gdb->connected; i++) {
        switch (gdb_reader_take(&gdb->reader, bytes[i])) {
        case GDB_INPUT_PACKET:
            acknowledge(gdb, "+");
            packet(gdb);
            break;
        case GDB_INPUT_BAD: acknowledge(gdb, "-"); break;
        case GDB_INPUT_INTERRUPT:
            if (gdb->running)
                gdb->target->interrupt(gdb->opaque);
            break;
        case GDB_INPUT_NAK:
            if (!gdb->no_ack)
                send_frame(gdb);
            break;
        case GDB_INPUT_ACK:
        case GDB_INPUT_NOTHING: break;
        }
    }
}

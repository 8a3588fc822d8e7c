/*
 * The packets q and Q: what the stub can do, the target description, the one thread, `monitor`, and
 * QEMU's packets for physical memory and for how a single step goes, which people's scripts know.
 */
#include <stdlib.h>
#include <string.h>

#include "vm/gdb_internal.h"

#define COMMAND_BYTES  1023 /* of a line for `monitor` */
#define CONSOLE_BYTES  4096 /* of its output, in a packet */
#define CONSOLE_AT_ALL MIB

static const char *after(const char *text, const char *prefix)
{
    size_t length = strlen(prefix);

    return strncmp(text, prefix, length) == 0 ? text + length : NULL;
}

static void supported(struct gdb *gdb, const char *offers)
{
    gdb->tells_points = strstr(offers, "swbreak+") && strstr(offers, "hwbreak+");
    gdb_writer_clear(&gdb->reply);
    gdb_put_format(&gdb->reply,
                   "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;vContSupported+;"
                   "swbreak+;hwbreak+",
                   GDB_PACKET_BYTES);
    gdb_send(gdb);
}

/* OFFSET,LENGTH of target.xml: m and a piece, or l and the last one. */
static void features(struct gdb *gdb, const char *at)
{
    uint64_t offset, count;
    size_t n;

    if (!gdb_get_number(&at, &offset) || *at++ != ',' || !gdb_get_number(&at, &count)) {
        gdb_fail(gdb, GDB_ERROR_ARGUMENT);
        return;
    }
    offset = MIN(offset, (uint64_t)gdb->xml_bytes);
    count = MIN(count, (uint64_t)(gdb->xml_bytes - offset));
    gdb_writer_clear(&gdb->reply);
    gdb_put_format(&gdb->reply, "m");
    n = gdb_put_binary(&gdb->reply, gdb->xml + offset, count);
    if (offset + n == gdb->xml_bytes)
        gdb->reply.data[0] = 'l';
    gdb_send(gdb);
}

bool gdb_monitor_phys(struct gdb *gdb, const char *line, FILE *out)
{
    const char *word = after(line, "phys");

    if (!word || (*word != '\0' && *word != ' '))
        return false;
    word += strspn(word, " ");
    if (strcmp(word, "on") == 0)
        gdb->physical = true;
    else if (strcmp(word, "off") == 0)
        gdb->physical = false;
    else if (*word)
        fprintf(out, "error: write `phys on` or `phys off`\n");
    fprintf(out, "gdb's addresses are guest-%s ones\n", gdb->physical ? "physical" : "virtual");
    return true;
}

/* What a command prints goes out in packets of its own, before the OK. */
static void send_console(struct gdb *gdb, const char *text, size_t bytes)
{
    bytes = MIN(bytes, (size_t)CONSOLE_AT_ALL);
    for (size_t at = 0; at < bytes; at += CONSOLE_BYTES) {
        gdb_writer_clear(&gdb->reply);
        gdb_put_format(&gdb->reply, "O");
        gdb_put_hex(&gdb->reply, text + at, MIN(bytes - at, (size_t)CONSOLE_BYTES));
        gdb_send(gdb);
    }
}

static void command(struct gdb *gdb, const char *at)
{
    char line[COMMAND_BYTES + 1] = "", *text = NULL;
    size_t length = strlen(at) / 2, bytes = 0;
    FILE *out;

    if (length > COMMAND_BYTES || !gdb_get_bytes(&at, line, length) || *at) {
        gdb_fail(gdb, GDB_ERROR_ARGUMENT);
        return;
    }
    out = open_memstream(&text, &bytes);
    if (!out) {
        gdb_fail(gdb, GDB_ERROR_FULL);
        return;
    }
    if (!gdb_monitor_phys(gdb, line, out))
        gdb->target->monitor(gdb->opaque, line, out);
    if (fclose(out) == 0)
        send_console(gdb, text, bytes);
    free(text);
    gdb_say(gdb, "OK");
}

void gdb_query(struct gdb *gdb, const char *at)
{
    const char *rest;

    if ((rest = after(at, "Supported"))) {
        supported(gdb, rest);
    } else if ((rest = after(at, "Xfer:features:read:target.xml:"))) {
        features(gdb, rest);
    } else if ((rest = after(at, "Rcmd,"))) {
        command(gdb, rest);
    } else if (strcmp(at, "C") == 0) {
        gdb_say(gdb, "QC1");
    } else if (strcmp(at, "fThreadInfo") == 0) {
        gdb_say(gdb, "m1");
    } else if (strcmp(at, "sThreadInfo") == 0) {
        gdb_say(gdb, "l");
    } else if (strcmp(at, "Attached") == 0 || after(at, "Attached:")) {
        gdb_say(gdb, "1");
    } else if (after(at, "ThreadExtraInfo,")) {
        gdb_say(gdb, "7643505530"); /* vCPU0 */
    } else if (strcmp(at, "qemu.PhyMemMode") == 0) {
        gdb_say(gdb, gdb->physical ? "1" : "0");
    } else if (strcmp(at, "qemu.sstepbits") == 0) {
        gdb_say(gdb, "ENABLE=1,NOIRQ=2,NOTIMER=4");
    } else if (strcmp(at, "qemu.sstep") == 0) {
        gdb_writer_clear(&gdb->reply);
        gdb_put_format(&gdb->reply, "0x%x", gdb->step);
        gdb_send(gdb);
    } else {
        gdb_say(gdb, "");
    }
}

static void set_step(struct gdb *gdb, const char *at)
{
    uint64_t step;

    if (strncmp(at, "0x", 2) == 0)
        at += 2;
    if (!gdb_get_number(&at, &step) || *at || step > GDB_STEP_ALL) {
        gdb_fail(gdb, GDB_ERROR_ARGUMENT);
        return;
    }
    gdb->step = (unsigned)step;
    gdb_say(gdb, "OK");
}

void gdb_set(struct gdb *gdb, const char *at)
{
    const char *rest;

    if (strcmp(at, "StartNoAckMode") == 0) {
        gdb_say(gdb, "OK");
        gdb->no_ack = true;
    } else if ((rest = after(at, "qemu.PhyMemMode:"))) {
        if ((*rest != '0' && *rest != '1') || rest[1]) {
            gdb_fail(gdb, GDB_ERROR_ARGUMENT);
            return;
        }
        gdb->physical = *rest == '1';
        gdb_say(gdb, "OK");
    } else if ((rest = after(at, "qemu.sstep="))) {
        set_step(gdb, rest);
    } else {
        gdb_say(gdb, "");
    }
}

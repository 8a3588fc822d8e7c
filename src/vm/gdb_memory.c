/* Registers and memory: the packets g, G, p, P, m, M and X. */
#include <string.h>

#include "vm/gdb_internal.h"

void gdb_read_all_registers(struct gdb *gdb, const char *at)
{
    struct gdb_registers registers;
    uint8_t value[GDB_REG_MAX_BYTES];

    gdb->target->get_registers(gdb->opaque, &registers);
    gdb_writer_clear(&gdb->reply);
    for (unsigned i = 0; i < gdb_regs_count(); i++) {
        gdb_reg_get(&registers, i, value);
        gdb_put_hex(&gdb->reply, value, gdb_reg_bytes(i));
    }
    gdb_send(gdb);
}

/* gdb sends all to change one: those that can't be changed stay as they are. */
void gdb_write_all_registers(struct gdb *gdb, const char *at)
{
    struct gdb_registers registers;
    uint8_t value[GDB_REG_MAX_BYTES];

    gdb->target->get_registers(gdb->opaque, &registers);
    for (unsigned i = 0; i < gdb_regs_count(); i++) {
        if (!gdb_get_bytes(&at, value, gdb_reg_bytes(i))) {
            gdb_fail(gdb, GDB_ERROR_ARGUMENT);
            return;
        }
        (void)!gdb_reg_set(&registers, i, value);
    }
    gdb->target->set_registers(gdb->opaque, &registers);
    gdb_say(gdb, "OK");
}

void gdb_read_register(struct gdb *gdb, const char *at)
{
    struct gdb_registers registers;
    uint8_t value[GDB_REG_MAX_BYTES];
    uint64_t number;

    if (!gdb_get_number(&at, &number) || number >= gdb_regs_count()) {
        gdb_fail(gdb, GDB_ERROR_ARGUMENT);
        return;
    }
    gdb->target->get_registers(gdb->opaque, &registers);
    gdb_reg_get(&registers, (unsigned)number, value);
    gdb_writer_clear(&gdb->reply);
    gdb_put_hex(&gdb->reply, value, gdb_reg_bytes((unsigned)number));
    gdb_send(gdb);
}

void gdb_write_register(struct gdb *gdb, const char *at)
{
    struct gdb_registers registers;
    uint8_t value[GDB_REG_MAX_BYTES];
    uint64_t number;

    if (!gdb_get_number(&at, &number) || number >= gdb_regs_count() || *at++ != '=' ||
        !gdb_get_bytes(&at, value, gdb_reg_bytes((unsigned)number))) {
        gdb_fail(gdb, GDB_ERROR_ARGUMENT);
        return;
    }
    gdb->target->get_registers(gdb->opaque, &registers);
    if (!gdb_reg_set(&registers, (unsigned)number, value)) {
        gdb_fail(gdb, GDB_ERROR_REFUSED);
        return;
    }
    gdb->target->set_registers(gdb->opaque, &registers);
    gdb_say(gdb, "OK");
}

/* ADDRESS,LENGTH, and what stands behind. */
static bool get_range(const char **at, uint64_t *address, uint64_t *count)
{
    return gdb_get_number(at, address) && *(*at)++ == ',' && gdb_get_number(at, count);
}

static size_t to_page_end(uint64_t address, size_t count)
{
    return MIN(count, (size_t)(PAGE_SIZE - address % PAGE_SIZE));
}

/* As much as can be read from the start on. */
void gdb_read_memory(struct gdb *gdb, const char *at)
{
    uint8_t bytes[GDB_PACKET_BYTES / 2];
    uint64_t address, count;
    size_t done = 0;

    if (!get_range(&at, &address, &count)) {
        gdb_fail(gdb, GDB_ERROR_ARGUMENT);
        return;
    }
    count = MIN(count, (uint64_t)sizeof(bytes));
    while (done < count) {
        size_t n = to_page_end(address + done, count - done);

        if (!gdb->target->read(gdb->opaque, gdb->physical, address + done, bytes + done, n))
            break;
        done += n;
    }
    if (done == 0 && count > 0) {
        gdb_fail(gdb, GDB_ERROR_ADDRESS);
        return;
    }
    gdb_writer_clear(&gdb->reply);
    gdb_put_hex(&gdb->reply, bytes, done);
    gdb_send(gdb);
}

static void write_bytes(struct gdb *gdb, uint64_t address, const uint8_t *bytes, size_t count)
{
    while (count > 0) {
        size_t n = to_page_end(address, count);

        if (!gdb->target->write(gdb->opaque, gdb->physical, address, bytes, n)) {
            gdb_fail(gdb, GDB_ERROR_ADDRESS);
            return;
        }
        address += n;
        bytes += n;
        count -= n;
    }
    gdb_say(gdb, "OK");
}

void gdb_write_memory(struct gdb *gdb, const char *at)
{
    uint8_t bytes[GDB_PACKET_BYTES / 2];
    uint64_t address, count;

    if (!get_range(&at, &address, &count) || *at++ != ':' || count > sizeof(bytes) ||
        !gdb_get_bytes(&at, bytes, count) || *at != '\0') {
        gdb_fail(gdb, GDB_ERROR_ARGUMENT);
        return;
    }
    write_bytes(gdb, address, bytes, count);
}

void gdb_write_binary(struct gdb *gdb, const char *at)
{
    const char *end = gdb->reader.data + gdb->reader.length;
    uint64_t address, count;

    if (!get_range(&at, &address, &count) || *at++ != ':' || count != (uint64_t)(end - at)) {
        gdb_fail(gdb, GDB_ERROR_ARGUMENT);
        return;
    }
    write_bytes(gdb, address, (const uint8_t *)at, count);
}

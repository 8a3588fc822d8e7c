/*
 * What a client sends to the gdb stub, before a target that is made up. An odd first byte: the rest
 * are lines, each the data of a packet in a right frame; an empty line lets the target stop. An
 * even one: the bytes as they are.
 * fuzz: runs=20000
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/gdb.h"
#include "vm/gdb_packet.h"

#define CHECK(truth)                                                                               \
    do {                                                                                           \
        if (!(truth))                                                                              \
            abort();                                                                               \
    } while (0)

struct world {
    struct gdb_registers registers;
    uint8_t memory[PAGE_SIZE];
    bool running;
    uint64_t sent;
};

static void get_registers(void *opaque, struct gdb_registers *registers)
{
    *registers = ((struct world *)opaque)->registers;
}

static void set_registers(void *opaque, const struct gdb_registers *registers)
{
    const struct x86_state *x = &registers->x;
    struct world *world = opaque;

    /* What a debugger must not be able to make of a processor. */
    CHECK(!world->running);
    CHECK(x->cr0 == world->registers.x.cr0 && x->cr4 == world->registers.x.cr4);
    CHECK(x->msr.efer == world->registers.x.msr.efer);
    CHECK(x86_canonical(x->seg[X86_FS].base) && x86_canonical(x->msr.kernel_gs_base));
    CHECK((x->rflags & X86_FLAG_ONE) && !(x->rflags & ~(X86_FLAGS_DEFINED | X86_FLAG_ONE)));
    CHECK(x->fpu.mxcsr <= 0xffff && x->gpr[X86_ZERO] == 0);
    world->registers = *registers;
}

static uint8_t *at(struct world *world, uint64_t address, size_t count)
{
    CHECK(!world->running);
    CHECK(count > 0 && address % PAGE_SIZE + count <= PAGE_SIZE);
    return address / PAGE_SIZE % 2 ? world->memory + address % PAGE_SIZE : NULL;
}

static bool read_memory(void *opaque, bool physical, uint64_t address, void *buffer, size_t count)
{
    const uint8_t *from = at(opaque, address, count);

    if (from)
        memcpy(buffer, from, count);
    return from;
}

static bool write_memory(void *opaque, bool physical, uint64_t address, const void *buffer,
                         size_t count)
{
    uint8_t *to = at(opaque, address, count);

    if (to)
        memcpy(to, buffer, count);
    return to;
}

static void resume(void *opaque, const struct engine_debug *debug)
{
    struct world *world = opaque;

    CHECK(!world->running);
    CHECK(debug->breakpoints <= ENGINE_MAX_BREAKPOINTS);
    CHECK(debug->watchpoints <= ENGINE_MAX_WATCHPOINTS);
    for (unsigned i = 0; i < debug->watchpoints; i++) {
        const struct engine_watchpoint *watch = &debug->watchpoint[i];

        CHECK(watch->bytes > 0 && watch->start + (watch->bytes - 1) >= watch->start);
        CHECK(watch->read || watch->write);
    }
    world->running = true;
}

static void nothing(void *opaque)
{
}

static void monitor(void *opaque, const char *line, FILE *out)
{
    fprintf(out, "%s\n", line);
}

static void send_bytes(void *opaque, const void *bytes, size_t count)
{
    struct world *world = opaque;
    const char *text = bytes;

    CHECK(count == 1 ? *text == '+' || *text == '-' : *text == '$' && count >= 4);
    world->sent += count;
}

static const struct gdb_target target = {
    .get_registers = get_registers,
    .set_registers = set_registers,
    .read = read_memory,
    .write = write_memory,
    .resume = resume,
    .interrupt = nothing,
    .detach = nothing,
    .kill = nothing,
    .monitor = monitor,
    .send = send_bytes,
};

static void stop_now(struct world *world, struct gdb *gdb, uint8_t seed)
{
    struct gdb_stop stop = {.signal = GDB_SIGNAL_TRAP, .has_debug = true};

    if (!world->running)
        return;
    world->running = false;
    stop.debug.reason = seed % 3;
    stop.debug.watchpoint = seed;
    stop.debug.address = world->registers.x.gpr[X86_RIP];
    gdb_stopped(gdb, &stop);
}

static void send_line(struct gdb *gdb, const uint8_t *line, size_t count)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum = (uint8_t)(sum + line[i]);
    gdb_received(gdb, (const uint8_t *)"$", 1);
    gdb_received(gdb, line, count);
    gdb_received(gdb, (const uint8_t[]){'#', (uint8_t)digits[sum >> 4], (uint8_t)digits[sum & 15]},
                 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world world = {.running = false};
    struct gdb *gdb = gdb_create(&target, &world);

    CHECK(gdb);
    x86_state_reset(&world.registers.x, false);
    gdb_opened(gdb);
    if (size > 0 && data[0] % 2 == 0)
        gdb_received(gdb, data + 1, size - 1);
    for (size_t i = 1; size > 0 && data[0] % 2 && i < size;) {
        const uint8_t *end = memchr(data + i, '\n', size - i);
        size_t count = end ? (size_t)(end - (data + i)) : size - i;

        if (count == 0)
            stop_now(&world, gdb, (uint8_t)i);
        else
            send_line(gdb, data + i, count);
        i += count + 1;
    }
    gdb_ended(gdb, 0);
    gdb_closed(gdb);
    gdb_destroy(gdb);
    return 0;
}

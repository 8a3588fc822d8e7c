/*
 * The gdb stub against a target that is made up: a page of memory at 1000h (physical 3000h), a
 * state, and a memory of what was asked of it. What a client may send wrong, above all.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "vm/gdb.h"
#include "vm/gdb_packet.h"

#define VIRTUAL   0x1000u
#define PHYSICAL  0x3000u
#define SENT_SIZE 65536

struct rig {
    struct gdb *gdb;
    struct gdb_registers registers;
    uint8_t memory[PAGE_SIZE];
    struct engine_debug debug;
    unsigned resumed, interrupted, detached, killed, set;
    bool chatty; /* `monitor` prints a lot */
    bool small;  /* the processor takes two breakpoints, and no watchpoints for reads */
    char line[2048];
    char sent[SENT_SIZE];
    size_t sent_bytes;
};

static void get_registers(void *opaque, struct gdb_registers *registers)
{
    *registers = ((struct rig *)opaque)->registers;
}

static void set_registers(void *opaque, const struct gdb_registers *registers)
{
    struct rig *rig = opaque;

    rig->registers = *registers;
    rig->set++;
}

static uint8_t *at(struct rig *rig, bool physical, uint64_t address, size_t count)
{
    uint64_t base = physical ? PHYSICAL : VIRTUAL;

    assert_in_range(count, 1, PAGE_SIZE);
    assert_int_equal(address / PAGE_SIZE, (address + count - 1) / PAGE_SIZE);
    return address / PAGE_SIZE == base / PAGE_SIZE ? rig->memory + address % PAGE_SIZE : NULL;
}

static bool read_memory(void *opaque, bool physical, uint64_t address, void *buffer, size_t count)
{
    const uint8_t *from = at(opaque, physical, address, count);

    if (from)
        memcpy(buffer, from, count);
    return from;
}

static bool write_memory(void *opaque, bool physical, uint64_t address, const void *buffer,
                         size_t count)
{
    uint8_t *to = at(opaque, physical, address, count);

    if (to)
        memcpy(to, buffer, count);
    return to;
}

static int check_points(void *opaque, const struct engine_debug *debug)
{
    if (!((struct rig *)opaque)->small)
        return 0;
    for (unsigned i = 0; i < debug->watchpoints; i++) {
        if (!debug->watchpoint[i].write)
            return -EOPNOTSUPP;
    }
    return debug->breakpoints + debug->watchpoints > 2 ? -ENOSPC : 0;
}

static void resume(void *opaque, const struct engine_debug *debug)
{
    struct rig *rig = opaque;

    rig->debug = *debug;
    rig->resumed++;
}

static void interrupt(void *opaque)
{
    struct rig *rig = opaque;

    rig->interrupted++;
    gdb_stopped(rig->gdb, &(struct gdb_stop){.signal = GDB_SIGNAL_INT});
}

static void detach(void *opaque)
{
    ((struct rig *)opaque)->detached++;
}

static void kill_target(void *opaque)
{
    ((struct rig *)opaque)->killed++;
}

static void monitor(void *opaque, const char *line, FILE *out)
{
    struct rig *rig = opaque;

    snprintf(rig->line, sizeof(rig->line), "%s", line);
    for (unsigned i = 0; i < (rig->chatty ? 10000 : 1); i++)
        fprintf(out, "ab");
}

static void send_bytes(void *opaque, const void *bytes, size_t count)
{
    struct rig *rig = opaque;

    assert_true(rig->sent_bytes + count < SENT_SIZE);
    memcpy(rig->sent + rig->sent_bytes, bytes, count);
    rig->sent_bytes += count;
    rig->sent[rig->sent_bytes] = '\0';
}

static const struct gdb_target target = {
    .get_registers = get_registers,
    .set_registers = set_registers,
    .read = read_memory,
    .write = write_memory,
    .check = check_points,
    .resume = resume,
    .interrupt = interrupt,
    .detach = detach,
    .kill = kill_target,
    .monitor = monitor,
    .send = send_bytes,
};

static void raw(struct rig *rig, const char *bytes, size_t count)
{
    rig->sent_bytes = 0;
    rig->sent[0] = '\0';
    gdb_received(rig->gdb, (const uint8_t *)bytes, count);
}

static void ask_bytes(struct rig *rig, const char *data, size_t count)
{
    static char frame[2 * GDB_PACKET_BYTES];
    uint8_t sum = 0;

    frame[0] = '$';
    memcpy(frame + 1, data, count);
    for (size_t i = 0; i < count; i++)
        sum = (uint8_t)(sum + (uint8_t)data[i]);
    snprintf(frame + 1 + count, 4, "#%02x", sum);
    raw(rig, frame, count + 4);
}

static void ask(struct rig *rig, const char *data)
{
    ask_bytes(rig, data, strlen(data));
}

/* The data of the only packet that was sent, behind one +. */
static const char *answer(struct rig *rig)
{
    char *end;

    assert_int_equal(rig->sent[0], '+');
    assert_int_equal(rig->sent[1], '$');
    end = strchr(rig->sent, '#');
    if (end) { /* the first time */
        assert_int_equal(strlen(end), 3);
        *end = '\0';
    }
    return rig->sent + 2;
}

#define ANSWERS(rig, question, words)                                                              \
    do {                                                                                           \
        ask(rig, question);                                                                        \
        assert_string_equal(answer(rig), words);                                                   \
    } while (0)

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    rig->gdb = gdb_create(&target, rig);
    x86_state_reset(&rig->registers.x, false);
    for (unsigned i = 0; i < PAGE_SIZE; i++)
        rig->memory[i] = (uint8_t)i;
    gdb_opened(rig->gdb);
    *state = rig;
    return rig->gdb ? 0 : -1;
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    gdb_destroy(rig->gdb);
    free(rig);
    return 0;
}

static void test_frames(void **state)
{
    struct rig *rig = *state;

    raw(rig, "", 0);
    assert_string_equal(rig->sent, "");
    raw(rig, "-", 1); /* nothing was sent before */
    assert_string_equal(rig->sent, "");
    raw(rig, "noise\n#12+", 10);
    assert_string_equal(rig->sent, "");
    raw(rig, "$qC#b4", 6);
    assert_string_equal(rig->sent, "+$QC1#c5");
    raw(rig, "-", 1); /* again, please */
    assert_string_equal(rig->sent, "$QC1#c5");
    raw(rig, "$qC#b5", 6);
    assert_string_equal(rig->sent, "-");
    raw(rig, "$qC#x$qC#bx", 11);
    assert_string_equal(rig->sent, "--");
    raw(rig, "$q", 2);
    assert_string_equal(rig->sent, "");
    raw(rig, "C#b", 3);
    assert_string_equal(rig->sent, "");
    raw(rig, "4", 1);
    assert_string_equal(rig->sent, "+$QC1#c5");
    raw(rig, "$qRcmd,abc$qC#b4", 16); /* cut off, and a new one */
    assert_string_equal(rig->sent, "+$QC1#c5");
}

static void test_too_long(void **state)
{
    static char packet[3 * GDB_PACKET_BYTES];
    struct rig *rig = *state;

    memset(packet, 'm', sizeof(packet));
    packet[0] = '$';
    memcpy(packet + sizeof(packet) - 3, "#00", 3);
    raw(rig, packet, sizeof(packet));
    assert_string_equal(rig->sent, "-");
    raw(rig, "$qC#b4", 6);
    assert_string_equal(rig->sent, "+$QC1#c5");
}

/* What frames are made of is escaped; a * would repeat what stands before it. */
static void test_binary(void **state)
{
    struct gdb_writer writer;

    gdb_writer_clear(&writer);
    assert_int_equal(gdb_put_binary(&writer, "a$#}*\0b", 7), 7);
    assert_int_equal(writer.length, 11);
    assert_memory_equal(writer.data, "a}\4}\3}]}\n\0b", 11);
    writer.length = GDB_PACKET_BYTES - 1;
    assert_int_equal(gdb_put_binary(&writer, "#", 1), 0);
    assert_int_equal(gdb_put_binary(&writer, "ab", 2), 1);
}

static void test_no_ack(void **state)
{
    struct rig *rig = *state;

    ANSWERS(rig, "QStartNoAckMode", "OK");
    ask(rig, "qC");
    assert_string_equal(rig->sent, "$QC1#c5");
    raw(rig, "-+$qC#00", 8);
    assert_string_equal(rig->sent, "");
    gdb_closed(rig->gdb);
    gdb_opened(rig->gdb);
    ANSWERS(rig, "qC", "QC1");
}

static void test_unknown(void **state)
{
    static const char *const unknown[] = {
        "",
        "vMustReplyEmpty",
        "vFile:open:",
        "qTStatus",
        "QNonStop:1",
        "R00",
        "!",
        "i",
        "_m",
        "Z5,0,1",
        "z9,0,1",
        "qXfer:memory-map:read::0,100",
        "qXfer:features:read:other.xml:0,100",
    };
    struct rig *rig = *state;

    for (size_t i = 0; i < ARRAY_SIZE(unknown); i++)
        ANSWERS(rig, unknown[i], "");
}

static void test_wrong_arguments(void **state)
{
    static const char *const wrong[] = {
        "m",
        "m,",
        "m1000",
        "m1000,",
        "mx,1",
        "m11112222333344445,1",
        "M1000,2:00",
        "M1000,1:0",
        "M1000,1:0000",
        "M1000,1;00",
        "Mffff",
        "X1000,2:a",
        "X1000",
        "p",
        "p999",
        "pffffffffffffffff",
        "P",
        "P0",
        "P0=",
        "P0=00",
        "P999=00",
        "G",
        "G00",
        "Z0",
        "Z0,",
        "Z0,1",
        "Z0,1,",
        "Z2,1000,0",
        "Z2,ffffffffffffffff,2",
        "z0,q",
        "vCont;",
        "vCont;r1,2",
        "qRcmd,0",
        "qRcmd,zz",
        "qXfer:features:read:target.xml:",
        "qXfer:features:read:target.xml:0",
        "Qqemu.sstep=",
        "Qqemu.sstep=8",
        "Qqemu.PhyMemMode:2",
        "Qqemu.PhyMemMode:",
    };
    struct rig *rig = *state;

    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        ask(rig, wrong[i]);
        if (strcmp(answer(rig), "E16") != 0)
            fail_msg("%s was answered %s", wrong[i], answer(rig));
    }
    assert_int_equal(rig->resumed, 0);
    assert_int_equal(rig->set, 0);
}

static void test_memory(void **state)
{
    struct rig *rig = *state;

    ANSWERS(rig, "m1001,3", "010203");
    ANSWERS(rig, "m1000,0", "");
    ANSWERS(rig, "m1ffe,8", "feff"); /* as much as there is */
    ANSWERS(rig, "mfff,2", "E0e");
    ANSWERS(rig, "mffffffffffffffff,2", "E0e");
    ask(rig, "m1000,ffffffffffffffff");
    assert_int_equal(strlen(answer(rig)), 2 * PAGE_SIZE);
    ANSWERS(rig, "M1001,2:Ab0f", "OK");
    ANSWERS(rig, "m1000,4", "00ab0f03");
    ANSWERS(rig, "M1ffe,4:00000000", "E0e");
    ANSWERS(rig, "X1000,0:", "OK");
    ask_bytes(rig, "X1010,5:a}]}\3\0*", 15); /* }] is }, }3 is # */
    assert_string_equal(answer(rig), "OK");
    assert_memory_equal(rig->memory + 0x10, "a}#\0*", 5);
    ANSWERS(rig, "Qqemu.PhyMemMode:1", "OK");
    ANSWERS(rig, "qqemu.PhyMemMode", "1");
    ANSWERS(rig, "m1001,3", "E0e");
    ANSWERS(rig, "m3002,1", "0f");
    gdb_closed(rig->gdb);
    gdb_opened(rig->gdb);
    ANSWERS(rig, "qqemu.PhyMemMode", "0");
}

static void test_registers(void **state)
{
    struct rig *rig = *state;
    struct x86_state *x = &rig->registers.x;
    char all[4096];

    x->gpr[X86_RBX] = 0x1122334455667788;
    ANSWERS(rig, "p1", "8877665544332211");
    ANSWERS(rig, "P1=0100000000000000", "OK");
    assert_int_equal(x->gpr[X86_RBX], 1);
    ANSWERS(rig, "p11", "02000000"); /* EFLAGS */
    ANSWERS(rig, "P11=ffffffff", "OK");
    assert_int_equal(x->rflags, (X86_FLAGS_DEFINED & ~X86_FLAG_VM) | X86_FLAG_ONE);
    /* In real mode a selector brings its base along; in protected mode it is refused. */
    ANSWERS(rig, "P14=34120000", "OK");
    assert_int_equal(x->seg[X86_DS].base, 0x12340);
    x->cr0 |= X86_CR0_PE;
    ANSWERS(rig, "P14=00100000", "E01");
    assert_int_equal(x->seg[X86_DS].selector, 0x1234);
    /* Everything back as it came, which refuses nothing and changes nothing. */
    ask(rig, "g");
    all[0] = 'G';
    assert_true(strlen(answer(rig)) < sizeof(all) - 1);
    strcpy(all + 1, answer(rig));
    rig->registers.x.gpr[X86_R15] = 5;
    ANSWERS(rig, all, "OK");
    assert_int_equal(x->gpr[X86_R15], 0);
    assert_int_equal(x->seg[X86_DS].selector, 0x1234);
    assert_int_equal(x->seg[X86_DS].base, 0x12340);
}

/* The register of this name in target.xml, by the packet that writes it. */
static void write_register(struct rig *rig, unsigned number, uint64_t value, const char *expected)
{
    char packet[64];
    size_t length = (size_t)snprintf(packet, sizeof(packet), "P%x=", number);

    for (unsigned i = 0; i < gdb_reg_bytes(number); i++)
        length += (size_t)snprintf(packet + length, sizeof(packet) - length, "%02x",
                                   (unsigned)(value >> 8 * i & 0xff));
    ANSWERS(rig, packet, expected);
}

static void test_guarded_registers(void **state)
{
    struct rig *rig = *state;
    struct x86_state *x = &rig->registers.x;
    unsigned last = gdb_regs_count() - 1; /* ... k_gs_base cr0 cr2 cr3 cr4 cr8 efer */

    write_register(rig, last, X86_EFER_LME, "E01");
    write_register(rig, last - 1, 3, "E01");
    write_register(rig, last - 2, X86_CR4_PAE, "E01");
    write_register(rig, last - 3, 0x5000, "OK");
    assert_int_equal(x->cr3, 0x5000);
    write_register(rig, last - 3, BIT(60), "E01");
    x->cr0 |= X86_CR0_PE | X86_CR0_PG;
    x->cr4 |= X86_CR4_PAE;
    write_register(rig, last - 3, 0x6000, "E01"); /* the PDPTE registers would be of another */
    write_register(rig, last - 4, 0xdead, "OK");
    assert_int_equal(x->cr2, 0xdead);
    write_register(rig, last - 5, 1, "E01");
    write_register(rig, last - 6, BIT(47), "E01");
    write_register(rig, last - 6, 0xffff800000000000, "OK");
    assert_int_equal(x->msr.kernel_gs_base, 0xffff800000000000);
    write_register(rig, 56, UINT64_MAX, "OK"); /* MXCSR's reserved bits would fault */
    assert_int_equal(x->fpu.mxcsr, 0xffff);
}

static void test_x87_tags(void **state)
{
    struct rig *rig = *state;
    struct x86_fpu *fpu = &rig->registers.x.fpu;
    static const uint8_t one[10] = {[7] = 0x80, [8] = 0xff, [9] = 0x3f};
    static const uint8_t infinity[10] = {[7] = 0x80, [8] = 0xff, [9] = 0x7f};

    /* TOP is 6: ST(0) to ST(2) are the physical registers 6, 7 and 0. */
    fpu->fsw = 6 << 11;
    fpu->ftw = 0xc1;
    memset(fpu->st, 0, sizeof(fpu->st));
    memcpy(fpu->st[0], one, 10);
    memcpy(fpu->st[2], infinity, 10);
    /* 7: zero (1), 6: valid (0), 5 to 1: empty (3), 0: special (2). */
    ANSWERS(rig, "p22", "fe4f0000");
    ANSWERS(rig, "P22=ffff0000", "OK");
    assert_int_equal(fpu->ftw, 0);
    ANSWERS(rig, "P22=fe4f0000", "OK");
    assert_int_equal(fpu->ftw, 0xc1);
}

static void test_breakpoints(void **state)
{
    struct rig *rig = *state;
    char packet[64];

    for (unsigned i = 0; i < ENGINE_MAX_BREAKPOINTS; i++) {
        snprintf(packet, sizeof(packet), "Z%u,%x,1", i & 1, 0x1000 + i);
        ANSWERS(rig, packet, "OK");
    }
    ANSWERS(rig, "Z0,9999,1", "E1c");
    ANSWERS(rig, "Z0,1000,1", "OK"); /* is there already */
    ANSWERS(rig, "Z1,1000,1", "E1c");
    for (unsigned i = 0; i < ENGINE_MAX_WATCHPOINTS; i++) {
        snprintf(packet, sizeof(packet), "Z%u,%x,%x", 2 + i % 3, 0x1000 + i, 1 + i);
        ANSWERS(rig, packet, "OK");
    }
    ANSWERS(rig, "Z2,9999,1", "E1c");
    ANSWERS(rig, "z0,9999,1", "OK");
    ANSWERS(rig, "z1,1001,1", "OK");
    ask(rig, "c");
    assert_string_equal(rig->sent, "+");
    assert_int_equal(rig->debug.breakpoints, ENGINE_MAX_BREAKPOINTS - 1);
    assert_int_equal(rig->debug.watchpoints, ENGINE_MAX_WATCHPOINTS);
    assert_true(rig->debug.watchpoint[0].write && !rig->debug.watchpoint[0].read);
    assert_true(!rig->debug.watchpoint[1].write && rig->debug.watchpoint[1].read);
    assert_true(rig->debug.watchpoint[2].write && rig->debug.watchpoint[2].read);
    assert_int_equal(rig->debug.watchpoint[63].bytes, 64);
    assert_true(rig->debug.pass_first && !rig->debug.single_step);
    /* A new client starts with none. */
    gdb_closed(rig->gdb);
    gdb_opened(rig->gdb);
    ask(rig, "vCont;s:1;c");
    assert_int_equal(rig->debug.breakpoints + rig->debug.watchpoints, 0);
    assert_true(rig->debug.single_step && rig->debug.hold_interrupts);
}

/* What the processor has no room for is an error, what it cannot do at all not supported. */
static void test_breakpoints_of_a_small_processor(void **state)
{
    struct rig *rig = *state;

    rig->small = true;
    ANSWERS(rig, "Z1,1000,1", "OK");
    ANSWERS(rig, "Z3,2000,4", "");
    ANSWERS(rig, "Z4,2000,4", "OK");
    ANSWERS(rig, "Z0,3000,1", "E1c");
    ANSWERS(rig, "z1,1000,1", "OK");
    ANSWERS(rig, "Z0,3000,1", "OK");
    ask(rig, "c");
    assert_int_equal(rig->debug.breakpoints, 1);
    assert_int_equal(rig->debug.breakpoint[0], 0x3000);
    assert_int_equal(rig->debug.watchpoints, 1);
}

static void test_stop_replies(void **state)
{
    struct rig *rig = *state;
    struct gdb_stop stop = {.signal = GDB_SIGNAL_TRAP, .has_debug = true};

    rig->registers.x.gpr[X86_RIP] = 0x1234;
    ask(rig, "qSupported:swbreak+;hwbreak+");
    ANSWERS(rig, "Z0,1234,1", "OK");
    ANSWERS(rig, "Z2,2000,8", "OK");
    ANSWERS(rig, "Z4,3000,8", "OK");
    ask(rig, "c");
    stop.debug = (struct engine_debug_stop){ENGINE_DEBUG_BREAKPOINT, 0, 0x1234};
    gdb_stopped(rig->gdb, &stop);
    assert_non_null(strstr(rig->sent, "$T05"));
    assert_non_null(strstr(rig->sent, "10:3412000000000000;"));
    assert_non_null(strstr(rig->sent, "thread:1;swbreak:;#"));
    gdb_stopped(rig->gdb, &stop); /* nobody waits for it */
    ask(rig, "s");
    stop.debug = (struct engine_debug_stop){ENGINE_DEBUG_WATCHPOINT, 1, 0x3004};
    gdb_stopped(rig->gdb, &stop);
    assert_non_null(strstr(rig->sent, "thread:1;awatch:3004;#"));
    ask(rig, "?"); /* the same again */
    assert_non_null(strstr(rig->sent, "thread:1;awatch:3004;#"));
    /* Behind a CS base gdb would look for the breakpoint elsewhere. */
    ask(rig, "c");
    rig->registers.x.gpr[X86_RIP] = 4;
    stop.debug = (struct engine_debug_stop){ENGINE_DEBUG_BREAKPOINT, 0, 0x1234};
    gdb_stopped(rig->gdb, &stop);
    assert_non_null(strstr(rig->sent, "thread:1;#"));
}

static void test_running(void **state)
{
    struct rig *rig = *state;

    raw(rig, "\3", 1); /* it stands still already */
    assert_int_equal(rig->interrupted, 0);
    ask(rig, "c");
    ANSWERS(rig, "g", "E01");
    ANSWERS(rig, "c", "E01");
    ANSWERS(rig, "D", "E01");
    assert_int_equal(rig->resumed, 1);
    raw(rig, "\3\3", 2);
    assert_int_equal(rig->interrupted, 1);
    assert_non_null(strstr(rig->sent, "$T02"));
    ask(rig, "C05;2000");
    assert_int_equal(rig->registers.x.gpr[X86_RIP], 0x2000);
    gdb_ended(rig->gdb, 43);
    assert_string_equal(rig->sent, "+$W2b#eb");
    gdb_ended(rig->gdb, 43);
    assert_string_equal(rig->sent, "+$W2b#eb");
}

static void test_leaving(void **state)
{
    struct rig *rig = *state;

    ANSWERS(rig, "D;1", "OK");
    assert_int_equal(rig->detached, 1);
    ANSWERS(rig, "vKill;1", "OK");
    ask(rig, "k");
    assert_string_equal(rig->sent, "+");
    assert_int_equal(rig->killed, 2);
    gdb_closed(rig->gdb);
    raw(rig, "$qC#b4", 6);
    assert_string_equal(rig->sent, "");
}

static void test_monitor(void **state)
{
    struct rig *rig = *state;

    ask(rig, "qRcmd,696e666f20657074");
    assert_string_equal(rig->sent, "+$O6162#1e$OK#9a");
    assert_string_equal(rig->line, "info ept");
    rig->chatty = true;
    ask(rig, "qRcmd,78");
    assert_true(rig->sent_bytes > 40000);
    assert_string_equal(rig->sent + rig->sent_bytes - 6, "$OK#9a");
    rig->line[0] = '\0';
    ask(rig, "qRcmd,70687973206f6e"); /* phys on */
    assert_string_equal(rig->line, "");
    ANSWERS(rig, "qqemu.PhyMemMode", "1");
}

static void test_description(void **state)
{
    struct rig *rig = *state;
    static char whole[SENT_SIZE];
    size_t length = 0;
    char packet[80];

    ask(rig, "qXfer:features:read:target.xml:0,fffff");
    strcpy(whole, answer(rig));
    assert_int_equal(whole[0], 'l');
    assert_non_null(strstr(whole, "<architecture>i386:x86-64</architecture>"));
    /* In pieces it is the same. */
    for (;;) {
        snprintf(packet, sizeof(packet), "qXfer:features:read:target.xml:%zx,1ff", length);
        ask(rig, packet);
        assert_memory_equal(whole + 1 + length, answer(rig) + 1, strlen(answer(rig)) - 1);
        length += strlen(answer(rig)) - 1;
        if (answer(rig)[0] == 'l')
            break;
        assert_int_equal(answer(rig)[0], 'm');
    }
    assert_int_equal(length, strlen(whole) - 1);
    ANSWERS(rig, "qXfer:features:read:target.xml:ffffffff,10", "l");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_frames),
        TEST(test_too_long),
        TEST(test_binary),
        TEST(test_no_ack),
        TEST(test_unknown),
        TEST(test_wrong_arguments),
        TEST(test_memory),
        TEST(test_registers),
        TEST(test_guarded_registers),
        TEST(test_x87_tags),
        TEST(test_breakpoints),
        TEST(test_stop_replies),
        TEST(test_breakpoints_of_a_small_processor),
        TEST(test_running),
        TEST(test_leaving),
        TEST(test_monitor),
        TEST(test_description),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

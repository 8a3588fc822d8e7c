/*
 * The translation of KVM's exits, with made-up kvm_run pages: what reaches the host functions, what
 * goes back into the page, what stops the vCPU.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "engine/kvm/internal.h"

#define RUN_BYTES   (3 * PAGE_SIZE)
#define DATA_OFFSET PAGE_SIZE
#define MAX_CALLS   16

struct call {
    char what; /* i, o: port; r, w: MMIO; m, M: MSR read, write */
    uint64_t address;
    unsigned width;
    uint64_t value;
};

struct rig {
    struct engine_vcpu vcpu;
    uint8_t *page;
    struct call calls[MAX_CALLS];
    unsigned count;
    uint64_t answer; /* what reads give */
    bool msr_ok;
};

static void note(void *opaque, char what, uint64_t address, unsigned width, uint64_t value)
{
    struct rig *rig = opaque;

    assert_true(rig->count < MAX_CALLS);
    rig->calls[rig->count++] = (struct call){what, address, width, value};
}

static uint32_t port_read(void *opaque, uint16_t port, unsigned width)
{
    note(opaque, 'i', port, width, 0);
    return (uint32_t)((struct rig *)opaque)->answer++;
}

static void port_write(void *opaque, uint16_t port, unsigned width, uint32_t value)
{
    note(opaque, 'o', port, width, value);
}

static uint64_t mmio_read(void *opaque, gpa_t gpa, unsigned width)
{
    note(opaque, 'r', gpa, width, 0);
    return ((struct rig *)opaque)->answer;
}

static void mmio_write(void *opaque, gpa_t gpa, unsigned width, uint64_t value)
{
    note(opaque, 'w', gpa, width, value);
}

static bool msr_read(void *opaque, unsigned vcpu, uint32_t index, uint64_t *value)
{
    struct rig *rig = opaque;

    note(rig, 'm', index, 8, 0);
    *value = rig->answer;
    return rig->msr_ok;
}

static bool msr_write(void *opaque, unsigned vcpu, uint32_t index, uint64_t value)
{
    note(opaque, 'M', index, 8, value);
    return ((struct rig *)opaque)->msr_ok;
}

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    assert_non_null(rig);
    rig->page = calloc(1, RUN_BYTES);
    assert_non_null(rig->page);
    rig->vcpu.run = (struct kvm_run *)rig->page;
    rig->vcpu.host = (struct engine_host){
        .opaque = rig,
        .port_read = port_read,
        .port_write = port_write,
        .mmio_read = mmio_read,
        .mmio_write = mmio_write,
        .msr_read = msr_read,
        .msr_write = msr_write,
    };
    rig->msr_ok = true;
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    free(rig->page);
    free(rig);
    return 0;
}

static void expect_call(const struct rig *rig, unsigned i, struct call call)
{
    assert_true(i < rig->count);
    assert_int_equal(rig->calls[i].what, call.what);
    assert_int_equal(rig->calls[i].address, call.address);
    assert_int_equal(rig->calls[i].width, call.width);
    assert_int_equal(rig->calls[i].value, call.value);
}

static enum kvm_next serve(struct rig *rig, uint32_t reason, enum engine_stop *why)
{
    rig->vcpu.run->exit_reason = reason;
    return kvm_serve_exit(&rig->vcpu, why);
}

static void make_io(struct rig *rig, uint8_t direction, uint8_t size, uint16_t port, uint32_t count)
{
    struct kvm_run *run = rig->vcpu.run;

    run->io.direction = direction;
    run->io.size = size;
    run->io.port = port;
    run->io.count = count;
    run->io.data_offset = DATA_OFFSET;
}

static void port_write_takes_value_and_width(void **state)
{
    struct rig *rig = *state;
    enum engine_stop why;

    make_io(rig, KVM_EXIT_IO_OUT, 2, 0x3f8, 1);
    memcpy(rig->page + DATA_OFFSET, "\x34\x12\xff\xff", 4);
    assert_int_equal(serve(rig, KVM_EXIT_IO, &why), KVM_NEXT_ENTER);
    expect_call(rig, 0, (struct call){'o', 0x3f8, 2, 0x1234});
    assert_int_equal(rig->count, 1);
    assert_int_equal(rig->vcpu.counters.exits[EXIT_IO], 1);
    assert_true(rig->vcpu.exit_pending);
}

static void string_input_fills_each_item_in_order(void **state)
{
    struct rig *rig = *state;
    enum engine_stop why;

    rig->answer = 0x11;
    memset(rig->page + DATA_OFFSET, 0xee, 8);
    make_io(rig, KVM_EXIT_IO_IN, 1, 0x1f0, 3);
    assert_int_equal(serve(rig, KVM_EXIT_IO, &why), KVM_NEXT_ENTER);
    assert_int_equal(rig->count, 3);
    assert_memory_equal(rig->page + DATA_OFFSET, "\x11\x12\x13\xee", 4);
    assert_int_equal(rig->vcpu.counters.exits[EXIT_IO], 3);
}

static void string_output_of_dwords(void **state)
{
    struct rig *rig = *state;
    enum engine_stop why;

    make_io(rig, KVM_EXIT_IO_OUT, 4, 0xcf8, 2);
    memcpy(rig->page + DATA_OFFSET, "\1\2\3\4\5\6\7\x88", 8);
    serve(rig, KVM_EXIT_IO, &why);
    expect_call(rig, 0, (struct call){'o', 0xcf8, 4, 0x04030201});
    expect_call(rig, 1, (struct call){'o', 0xcf8, 4, 0x88070605});
}

static void mmio_of_odd_length_is_cut_into_powers_of_two(void **state)
{
    struct rig *rig = *state;
    struct kvm_run *run = rig->vcpu.run;
    enum engine_stop why;

    run->mmio.phys_addr = 0xfee00000;
    run->mmio.len = 7;
    run->mmio.is_write = 1;
    memcpy(run->mmio.data, "\1\2\3\4\5\6\7\x08", 8);
    assert_int_equal(serve(rig, KVM_EXIT_MMIO, &why), KVM_NEXT_ENTER);
    expect_call(rig, 0, (struct call){'w', 0xfee00000, 4, 0x04030201});
    expect_call(rig, 1, (struct call){'w', 0xfee00004, 2, 0x0605});
    expect_call(rig, 2, (struct call){'w', 0xfee00006, 1, 0x07});
    assert_int_equal(rig->count, 3);
    assert_int_equal(rig->vcpu.counters.exits[EXIT_EPT_MISCONFIG], 1);
}

static void closed_gate_masks_the_address(void **state)
{
    struct rig *rig = *state;
    struct kvm_run *run = rig->vcpu.run;
    enum engine_stop why;

    rig->vcpu.vm.a20_closed = true;
    run->mmio.phys_addr = 0x1a0010;
    run->mmio.len = 4;
    run->mmio.is_write = 0;
    serve(rig, KVM_EXIT_MMIO, &why);
    run->mmio.is_write = 1;
    serve(rig, KVM_EXIT_MMIO, &why);
    assert_int_equal(rig->calls[0].address, 0xa0010);
    assert_int_equal(rig->calls[1].address, 0xa0010);
    assert_int_equal(rig->calls[1].what, 'w');
}

static void mmio_length_beyond_the_field_is_cut(void **state)
{
    struct rig *rig = *state;
    struct kvm_run *run = rig->vcpu.run;
    enum engine_stop why;

    run->mmio.phys_addr = 0x1000;
    run->mmio.len = UINT32_MAX;
    run->mmio.is_write = 0;
    rig->answer = 0x1122334455667788;
    serve(rig, KVM_EXIT_MMIO, &why);
    assert_int_equal(rig->count, 1);
    expect_call(rig, 0, (struct call){'r', 0x1000, 8, 0});
    assert_memory_equal(run->mmio.data, "\x88\x77\x66\x55\x44\x33\x22\x11", 8);
}

/* What KVM gathered comes first, in its order, around the end of the ring, and once. */
static void gathered_writes_come_before_the_exit(void **state)
{
    struct rig *rig = *state;
    struct kvm_coalesced_mmio_ring *ring = calloc(1, PAGE_SIZE);
    enum engine_stop why;

    assert_non_null(ring);
    rig->vcpu.ring = ring;
    rig->vcpu.ring_entries = 4;
    ring->coalesced_mmio[3] = (struct kvm_coalesced_mmio){.phys_addr = 0xb8000, .len = 2};
    memcpy(ring->coalesced_mmio[3].data, "\x41\x07", 2);
    ring->coalesced_mmio[0] = (struct kvm_coalesced_mmio){.phys_addr = 0xb8002, .len = UINT32_MAX};
    memcpy(ring->coalesced_mmio[0].data, "\1\2\3\4\5\6\7\x08", 8);
    ring->first = 3;
    ring->last = 1;
    make_io(rig, KVM_EXIT_IO_OUT, 1, 0x3d4, 1);
    serve(rig, KVM_EXIT_IO, &why);
    expect_call(rig, 0, (struct call){'w', 0xb8000, 2, 0x0741});
    expect_call(rig, 1, (struct call){'w', 0xb8002, 8, 0x0807060504030201});
    expect_call(rig, 2, (struct call){'o', 0x3d4, 1, 0});
    assert_int_equal(ring->first, 1);
    serve(rig, KVM_EXIT_INTR, &why);
    assert_int_equal(rig->count, 3);
    free(ring);
}

static void refused_msr_is_a_general_protection_fault(void **state)
{
    struct rig *rig = *state;
    struct kvm_run *run = rig->vcpu.run;
    enum engine_stop why;

    run->msr.index = 0x1b;
    run->msr.data = 0xfee00900;
    assert_int_equal(serve(rig, KVM_EXIT_X86_WRMSR, &why), KVM_NEXT_ENTER);
    expect_call(rig, 0, (struct call){'M', 0x1b, 8, 0xfee00900});
    assert_int_equal(run->msr.error, 0);
    rig->msr_ok = false;
    serve(rig, KVM_EXIT_X86_WRMSR, &why);
    assert_int_equal(run->msr.error, 1);
    assert_int_equal(rig->vcpu.counters.exits[EXIT_MSR_WRITE], 2);
    rig->msr_ok = true;
    rig->answer = 42;
    serve(rig, KVM_EXIT_X86_RDMSR, &why);
    assert_int_equal(run->msr.data, 42);
    assert_int_equal(run->msr.error, 0);
}

static void halt_and_shutdown_stop(void **state)
{
    struct rig *rig = *state;
    enum engine_stop why;

    assert_int_equal(serve(rig, KVM_EXIT_HLT, &why), KVM_NEXT_STOP);
    assert_int_equal(why, ENGINE_STOP_HALT);
    assert_true(rig->vcpu.halted);
    assert_int_equal(serve(rig, KVM_EXIT_SHUTDOWN, &why), KVM_NEXT_STOP);
    assert_int_equal(why, ENGINE_STOP_SHUTDOWN);
    assert_int_equal(serve(rig, KVM_EXIT_DEBUG, &why), KVM_NEXT_STOP);
    assert_int_equal(why, ENGINE_STOP_DEBUG);
    rig->vcpu.run->system_event.type = KVM_SYSTEM_EVENT_RESET;
    assert_int_equal(serve(rig, KVM_EXIT_SYSTEM_EVENT, &why), KVM_NEXT_STOP);
    assert_int_equal(why, ENGINE_STOP_SHUTDOWN);
    assert_int_equal(rig->vcpu.counters.exits[EXIT_TRIPLE_FAULT], 2);
}

static void failures_say_what_failed(void **state)
{
    struct rig *rig = *state;
    enum engine_stop why;

    rig->vcpu.run->internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
    assert_int_equal(serve(rig, KVM_EXIT_INTERNAL_ERROR, &why), KVM_NEXT_STOP);
    assert_int_equal(why, ENGINE_STOP_ERROR);
    assert_non_null(strstr(rig->vcpu.error, "cannot emulate an instruction"));
    rig->vcpu.run->internal.suberror = 0xffffffff;
    serve(rig, KVM_EXIT_INTERNAL_ERROR, &why);
    assert_non_null(strstr(rig->vcpu.error, "no reason is known"));
    rig->vcpu.run->fail_entry.hardware_entry_failure_reason = 0x80000021;
    assert_int_equal(serve(rig, KVM_EXIT_FAIL_ENTRY, &why), KVM_NEXT_STOP);
    assert_non_null(strstr(rig->vcpu.error, "0x80000021"));
    assert_int_equal(serve(rig, 9999, &why), KVM_NEXT_STOP);
    assert_int_equal(why, ENGINE_STOP_ERROR);
    assert_non_null(strstr(rig->vcpu.error, "9999"));
    assert_int_equal(rig->count, 0);
}

/* The ring is emptied at once; with a KVM that does not take its entries back, the vCPU stops. */
static void full_dirty_ring_is_emptied(void **state)
{
    struct rig *rig = *state;
    struct kvm_dirty_gfn entry[2] = {{.flags = KVM_DIRTY_GFN_F_DIRTY}};
    enum engine_stop why;

    rig->vcpu.vm.fd = -1;
    rig->vcpu.vm.dirty_ring = (struct kvm_dirty_ring){.entry = entry, .entries = 2};
    assert_int_equal(serve(rig, KVM_EXIT_DIRTY_RING_FULL, &why), KVM_NEXT_STOP);
    assert_int_equal(why, ENGINE_STOP_ERROR);
    assert_non_null(strstr(rig->vcpu.error, "ring of dirty pages"));
    assert_int_equal(entry[0].flags, KVM_DIRTY_GFN_F_RESET);
    assert_int_equal(serve(rig, KVM_EXIT_DIRTY_RING_FULL, &why), KVM_NEXT_ENTER);
    assert_int_equal(rig->vcpu.counters.exits[EXIT_PML_FULL], 2);
    assert_int_equal(rig->count, 0);
}

static void windows_and_signals_enter_again(void **state)
{
    struct rig *rig = *state;
    enum engine_stop why;

    assert_int_equal(serve(rig, KVM_EXIT_IRQ_WINDOW_OPEN, &why), KVM_NEXT_ENTER);
    assert_int_equal(serve(rig, KVM_EXIT_INTR, &why), KVM_NEXT_ENTER);
    assert_int_equal(serve(rig, KVM_EXIT_SET_TPR, &why), KVM_NEXT_ENTER);
    assert_false(rig->vcpu.exit_pending);
    assert_int_equal(rig->vcpu.counters.exits[EXIT_INTERRUPT_WINDOW], 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(port_write_takes_value_and_width),
        TEST(string_input_fills_each_item_in_order),
        TEST(string_output_of_dwords),
        TEST(mmio_of_odd_length_is_cut_into_powers_of_two),
        TEST(closed_gate_masks_the_address),
        TEST(mmio_length_beyond_the_field_is_cut),
        TEST(gathered_writes_come_before_the_exit),
        TEST(refused_msr_is_a_general_protection_fault),
        TEST(halt_and_shutdown_stop),
        TEST(failures_say_what_failed),
        TEST(full_dirty_ring_is_emptied),
        TEST(windows_and_signals_enter_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

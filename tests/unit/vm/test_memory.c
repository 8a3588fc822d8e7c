/*
 * Slots and dirty logs of a VM whose vCPU runs, on a thread of its own, all the while: the guest
 * sees RAM appear and disappear, and no store of its escapes the log.
 */
#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "mem/host_memory.h"
#include "vm/control.h"
#include "vm/memory.h"
#include "vm/vm_internal.h"

#define LOW_BYTES  (64 * KIB)
#define PLUG       (128 * KIB)
#define PLUG_BYTES (64 * KIB)
#define CODE       0x1000u
#define SEEN       0x5000u /* what the guest has read at PLUG */
#define ROUNDS     0x5004u /* how often */
#define PATIENCE_S 20

static uint32_t port_read(void *opaque, uint16_t port, unsigned width)
{
    return 0;
}

static void port_write(void *opaque, uint16_t port, unsigned width, uint32_t value)
{
}

static uint64_t mmio_read(void *opaque, gpa_t gpa, unsigned width)
{
    return 0xbad; /* so that what a missing slot gives is not what RAM may hold */
}

static void mmio_write(void *opaque, gpa_t gpa, unsigned width, uint64_t value)
{
}

static uint64_t a20_mask(void *opaque)
{
    return UINT64_MAX;
}

/* The vCPU's thread as control.h wants it, without devices. */
static void *run_vcpu(void *opaque)
{
    struct vm *vm = opaque;
    bool on;

    do {
        lock_acquire(&vm->lock);
        while (vm->pauses && !vm->ended) {
            vm->vcpu_parked = true;
            pthread_cond_broadcast(&vm->parked);
            lock_wait(&vm->lock, &vm->wake);
        }
        vm->vcpu_parked = false;
        on = !vm->ended;
        lock_release(&vm->lock);
    } while (on && vm->engine->vcpu_run(vm->vcpu) == ENGINE_STOP_KICK);
    return NULL;
}

/* What the guest does for ever; ES is PLUG, EDX counts. */
static const uint8_t guest[] = {
    0x26, 0xa1, 0x00, 0x10,             /* 1: mov %es:0x1000, %ax */
    0xa3, 0x00, 0x50,                   /* mov %ax, SEEN */
    0x66, 0x42,                         /* inc %edx */
    0x66, 0x69, 0xfa, 0x2d, 0xf5, 0, 0, /* imul $0xf52d, %edx, %edi */
    0x81, 0xe7, 0xf0, 0x0f,             /* and $0xff0, %di */
    0x26, 0x66, 0x89, 0x15,             /* mov %edx, %es:(%di) */
    0x66, 0x89, 0x16, 0x04, 0x50,       /* mov %edx, ROUNDS */
    0xeb, 0xe1,                         /* jmp 1b */
};

static void start_guest(struct vm *vm)
{
    struct x86_state state;

    assert_int_equal(mem_add_slot(vm->mem, "low", 0, LOW_BYTES, MEM_SLOT_RAM), 0);
    assert_true(mem_write(vm->mem, CODE, guest, sizeof(guest)));
    vm->engine->vcpu_get_state(vm->vcpu, &state);
    state.seg[X86_CS].selector = 0;
    state.seg[X86_CS].base = 0;
    state.seg[X86_ES].selector = PLUG >> 4;
    state.seg[X86_ES].base = PLUG;
    state.gpr[X86_RIP] = CODE;
    state.gpr[X86_RDX] = 0;
    vm->engine->vcpu_set_state(vm->vcpu, &state);
}

static int make(void **state, enum mmu_mode mode)
{
    static const struct engine_host host = {.port_read = port_read,
                                            .port_write = port_write,
                                            .mmio_read = mmio_read,
                                            .mmio_write = mmio_write,
                                            .a20_mask = a20_mask};
    struct vm *vm = calloc(1, sizeof(*vm));
    const char *missing;

    assert_non_null(vm);
    lock_init(&vm->lock, LOCK_RANK_MACHINE);
    pthread_cond_init(&vm->wake, NULL);
    pthread_cond_init(&vm->parked, NULL);
    clock_host_init(&vm->clock);
    vm->time = &vm->clock.clock;
    assert_int_equal(cpu_model_init(&vm->model, "max", &missing), 0);
    vm->mem = mem_create(NULL);
    assert_non_null(vm->mem);
    vm->mmu = mmu_create(vm->mem, &(struct mmu_config){.mode = mode});
    assert_non_null(vm->mmu);
    vm->engine = &engine_soft;
    assert_int_equal(
        vm->engine->vcpu_create(
            &vm->vcpu,
            &(struct engine_vcpu_config){.mmu = vm->mmu, .host = &host, .model = &vm->model}),
        0);
    start_guest(vm);
    assert_int_equal(pthread_create(&vm->vcpu_thread, NULL, run_vcpu, vm), 0);
    *state = vm;
    return 0;
}

static int make_ept(void **state)
{
    return make(state, MMU_EPT);
}

static int make_shadow(void **state)
{
    return make(state, MMU_SHADOW);
}

static int unmake(void **state)
{
    struct vm *vm = *state;

    lock_acquire(&vm->lock);
    vm->ended = true;
    vm->engine->vcpu_kick(vm->vcpu);
    pthread_cond_broadcast(&vm->wake);
    lock_release(&vm->lock);
    pthread_join(vm->vcpu_thread, NULL);
    vm->engine->vcpu_destroy(vm->vcpu);
    mmu_destroy(vm->mmu);
    mem_destroy(vm->mem);
    pthread_cond_destroy(&vm->parked);
    pthread_cond_destroy(&vm->wake);
    lock_fini(&vm->lock);
    free(vm);
    return 0;
}

/* Waits until the guest has gone round twice from now on: then it has looked since. */
static void await_rounds(struct vm *vm)
{
    time_t limit = time(NULL) + PATIENCE_S;
    uint32_t before = mem_read32(vm->mem, ROUNDS);

    while (mem_read32(vm->mem, ROUNDS) - before < 2) {
        assert_true(time(NULL) < limit);
        sched_yield();
    }
}

static uint16_t guest_sees(struct vm *vm)
{
    await_rounds(vm);
    return mem_read16(vm->mem, SEEN);
}

static void test_ram_comes_and_goes(void **state)
{
    struct vm *vm = *state;

    for (uint16_t i = 1; i < 60; i++) {
        assert_int_equal(guest_sees(vm), 0xbad);
        assert_int_equal(vm_add_slot(vm, "plug", PLUG, PLUG_BYTES, MEM_SLOT_RAM), 0);
        assert_int_equal(vm_add_slot(vm, "plug", PLUG, PLUG_BYTES, MEM_SLOT_RAM), -EEXIST);
        assert_int_equal(guest_sees(vm), 0);
        assert_true(mem_write(vm->mem, PLUG + 0x1000, &i, sizeof(i)));
        assert_int_equal(guest_sees(vm), i);
        assert_int_equal(vm_remove_slot(vm, PLUG), 0);
        assert_int_equal(vm_remove_slot(vm, PLUG), -ENOENT);
    }
}

/* The guest has stored to its page of PLUG in the time between two fetches, and to no other. */
static void test_dirty_log(void **state)
{
    struct vm *vm = *state;
    uint64_t bits;

    assert_int_equal(vm_add_slot(vm, "plug", PLUG, PLUG_BYTES, MEM_SLOT_RAM), 0);
    assert_int_equal(vm_dirty_fetch(vm, PLUG, &bits, 1), -ENOENT);
    assert_int_equal(vm_dirty_log(vm, PLUG, true), 0);
    for (unsigned i = 0; i < 100; i++) {
        await_rounds(vm);
        assert_int_equal(vm_dirty_fetch(vm, PLUG, &bits, 1), 0);
        assert_int_equal(bits, 1);
    }
    assert_int_equal(vm_dirty_log(vm, PLUG, false), 0);
    await_rounds(vm);
}

/* Nothing can be changed any more once the VM ends, and nothing waits for it. */
static void test_ending(void **state)
{
    struct vm *vm = *state;

    lock_acquire(&vm->lock);
    vm->ended = true;
    vm->engine->vcpu_kick(vm->vcpu);
    lock_release(&vm->lock);
    assert_int_equal(vm_add_slot(vm, "plug", PLUG, PLUG_BYTES, MEM_SLOT_RAM), -ESHUTDOWN);
    assert_int_equal(vm_remove_slot(vm, PLUG), -ESHUTDOWN);
}

/* What the user asked for against what the host has. */
static void test_check(void **state)
{
    struct vm_config config = {.memory_bytes = LAYOUT_MAX_MEMORY};
    struct layout layout;

    assert_int_equal(layout_init(&layout, config.memory_bytes), 0);
    assert_int_equal(vm_memory_check(&config, &layout), 0); /* overcommitted: as it is meant */
    config.prealloc = true;
    if (host_memory_available_bytes() < config.memory_bytes)
        assert_int_equal(vm_memory_check(&config, &layout), -ENOMEM);
    config.prealloc = false;
    config.memory_backend = MEM_BACKEND_HUGETLB;
    assert_int_equal(vm_memory_check(&config, &layout), -ENOMEM);
    config.thp = true;
    assert_int_equal(vm_memory_check(&config, &layout), -EINVAL);
    config = (struct vm_config){.ksm = true, .memory_backend = MEM_BACKEND_MEMFD};
    assert_int_equal(vm_memory_check(&config, &layout), -EINVAL);
}

#define IN_MODE(name, mode)                                                                        \
    {                                                                                              \
#name " (" #mode ")", name, make_##mode, unmake, NULL                                      \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_MODE(test_ram_comes_and_goes, ept),
        IN_MODE(test_ram_comes_and_goes, shadow),
        IN_MODE(test_dirty_log, ept),
        IN_MODE(test_dirty_log, shadow),
        IN_MODE(test_ending, ept),
        cmocka_unit_test(test_check),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The vCPU's thread: runs the engine, waits while the processor is halted, carries out resets. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/trace.h"
#include "vm/gdb_vm.h"
#include "vm/digest.h"
#include "vm/guest_time.h"
#include "vm/sandbox.h"
#include "vm/vm_internal.h"

/* A reset as seen from the vCPU's thread, the one place where it is not inside the engine. */
static void carry_out_reset(struct vm *vm)
{
    int err;

    vm->reset_requested = false;
    if (vm->panicked) {
        vm_end_locked(vm, VM_EXIT_PANIC);
        return;
    }
    if (vm->config->no_reboot) {
        log_info("the guest asked for a reset; --no-reboot ends the VM");
        vm_end_locked(vm, VM_EXIT_RESET);
        return;
    }
    board_reset(vm->board);
    vm->engine->vcpu_reset(vm->vcpu, false);
    err = vm_firmware_place(vm);
    if (err) {
        log_error("the guest cannot start again after its reset: %s%s", strerror(-err),
                  err == -EIO ? "; has one of its files changed?" : "");
        vm_end_locked(vm, VM_EXIT_ERROR);
    }
}

/* Whether the vCPU halts with interrupts off, as who has nothing more to do. */
static bool halts_for_ever(struct vm *vm)
{
    struct x86_state state;

    vm->engine->vcpu_get_state(vm->vcpu, &state);
    return !(state.rflags & X86_FLAG_IF);
}

/* Waits until a halted vCPU has something to do or the VM ends. */
static void wait_while_halted(struct vm *vm)
{
    uint64_t since_ns = vm->stats ? clock_host_ns() : 0;

    lock_acquire(&vm->lock);
    if (vm->panicked && halts_for_ever(vm))
        vm_guest_ends_locked(vm, VM_EXIT_PANIC);
    while (!vm->ended && !vm->reset_requested && !vm->pauses && !vm_disks_ready(vm) &&
           !vm->engine->vcpu_pending(vm->vcpu)) {
        if (!guest_time_counts(vm) || !guest_time_skip_locked(vm)) {
            lock_wait(&vm->lock, &vm->wake);
            continue;
        }
        lock_release(&vm->lock); /* input and signals have their turn */
        lock_acquire(&vm->lock);
    }
    lock_release(&vm->lock);
    if (vm->stats)
        vm->idle_ns += clock_host_ns() - since_ns;
}

/*
 * Whether the guest may not run now. A guest whose output nobody reads rests, too, and one that has
 * to wait for its disks: here signals and timers still work, and it counts as parked, or whoever
 * pauses it would wait for the reader, or for the host's disk.
 */
static bool must_rest_locked(struct vm *vm)
{
    if (vm->ended)
        return false;
    if (!vm->pauses)
        vm_disks_deliver_locked(vm);
    return vm->pauses || terminal_congested(vm->terminal) || vm_disks_hold_locked(vm);
}

/* Waits outside the engine while somebody looks into the VM. */
static void park_locked(struct vm *vm)
{
    while (must_rest_locked(vm)) {
        vm->vcpu_parked = true;
        pthread_cond_broadcast(&vm->parked);
        lock_wait(&vm->lock, &vm->wake);
    }
    vm->vcpu_parked = false;
}

static void report_triple_fault(struct vm *vm)
{
    struct x86_state state;

    vm->engine->vcpu_get_state(vm->vcpu, &state);
    log_error("the guest's processor shut down (triple fault) at %04x:%016" PRIx64 ", cr2 %" PRIx64
              ", cr3 %" PRIx64 "; --trace 'cpu_exception' shows how it came to that",
              state.seg[X86_CS].selector, state.gpr[X86_RIP], state.cr2, state.cr3);
}

/*
 * DEVIATION: a PC's chipset answers the shutdown cycle with a reset. Umbra ends the VM, because the
 * guest is nearly always broken then, and an honest exit status serves its author better than a
 * loop of reboots. Tested by tests/guests.
 */
static void on_shutdown(struct vm *vm)
{
    report_triple_fault(vm);
    lock_acquire(&vm->lock);
    if (gdb_vm_stopped_locked(vm->gdb, true))
        park_locked(vm);
    if (!vm->reset_requested)
        vm_guest_ends_locked(vm, VM_EXIT_TRIPLE_FAULT);
    lock_release(&vm->lock);
}

static void on_debug(struct vm *vm)
{
    lock_acquire(&vm->lock);
    gdb_vm_stopped_locked(vm->gdb, false);
    lock_release(&vm->lock);
}

static void on_error(struct vm *vm)
{
    log_error("the %s engine failed: %s", vm->engine->name, vm->engine->vcpu_error(vm->vcpu));
    lock_acquire(&vm->lock);
    vm_end_locked(vm, VM_EXIT_ERROR);
    lock_release(&vm->lock);
}

/* Whether the VM goes on. */
static bool serve_requests(struct vm *vm)
{
    bool on;

    lock_acquire(&vm->lock);
    if (vm->reset_requested && !vm->ended)
        carry_out_reset(vm);
    park_locked(vm);
    on = !vm->ended;
    lock_release(&vm->lock);
    return on;
}

static const char *stop_words(enum engine_stop stop)
{
    static const char *const words[] = {
        [ENGINE_STOP_HALT] = "halted",
        [ENGINE_STOP_SHUTDOWN] = "shutdown (triple fault)",
        [ENGINE_STOP_KICK] = "kicked by another thread",
        [ENGINE_STOP_WAIT] = "waits for a start-up IPI",
        [ENGINE_STOP_DEBUG] = "a stop for the debugger",
        [ENGINE_STOP_ERROR] = "the engine failed",
    };

    return words[stop];
}

void *vm_vcpu_main(void *opaque)
{
    struct vm *vm = opaque;

    pthread_setname_np(pthread_self(), "umbra-vcpu");
    sandbox_enter(vm->sandbox, SANDBOX_VCPU);
    while (serve_requests(vm)) {
        enum engine_stop stop = vm->engine->vcpu_run(vm->vcpu);

        trace(vcpu_stop, TRACE_WORD(stop_words(stop)));
        switch (stop) {
        case ENGINE_STOP_KICK: break;
        case ENGINE_STOP_DEBUG: on_debug(vm); break;
        case ENGINE_STOP_HALT:
        case ENGINE_STOP_WAIT: wait_while_halted(vm); break;
        case ENGINE_STOP_SHUTDOWN: on_shutdown(vm); break;
        case ENGINE_STOP_ERROR: on_error(vm); break;
        }
    }
    digest_end(vm->digest);
    return NULL;
}

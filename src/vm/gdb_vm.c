/* The VM as gdb's target (see gdb_vm.h). */
#include "vm/gdb_vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "vm/control.h"
#include "vm/gdb.h"
#include "vm/listener.h"
#include "vm/monitor.h"
#include "vm/vm_internal.h"

struct gdb_vm {
    struct vm *vm;
    struct gdb *gdb;
    struct listener *listener;
    int stop_fd; /* the vCPU's thread says that it has stopped */
    bool paused; /* one of the VM's pauses is ours */
    bool warned; /* that the processor has no room for more */

    /* With the machine lock. */
    bool attached;
    bool pending; /* stop_fd was written; the pause that came with it is not ours yet */
    bool shutdown;
};

bool gdb_vm_stopped_locked(struct gdb_vm *gdb_vm, bool shutdown)
{
    if (!gdb_vm || !gdb_vm->attached || gdb_vm->vm->ended)
        return false;
    gdb_vm->pending = true;
    gdb_vm->shutdown = shutdown;
    vm_pause_here_locked(gdb_vm->vm);
    eventfd_write(gdb_vm->stop_fd, 1);
    return true;
}

/* Whether the vCPU has stopped by itself since the last call; its pause is the caller's then. */
static bool take_pending(struct gdb_vm *gdb_vm, struct gdb_stop *stop)
{
    struct vm *vm = gdb_vm->vm;
    bool pending;

    lock_acquire(&vm->lock);
    pending = gdb_vm->pending;
    gdb_vm->pending = false;
    lock_release(&vm->lock);
    if (!pending)
        return false;
    *stop = (struct gdb_stop){.signal = GDB_SIGNAL_SEGV};
    if (!gdb_vm->shutdown) {
        stop->signal = GDB_SIGNAL_TRAP;
        stop->has_debug = true;
        vm->engine->vcpu_debug_stop(vm->vcpu, &stop->debug);
    }
    return true;
}

static void on_stop(void *opaque)
{
    struct gdb_vm *gdb_vm = opaque;
    struct gdb_stop stop;
    eventfd_t count;

    eventfd_read(gdb_vm->stop_fd, &count);
    if (!take_pending(gdb_vm, &stop))
        return;
    gdb_vm->paused = true;
    gdb_stopped(gdb_vm->gdb, &stop);
}

/* --- what the stub asks --- */

static void get_registers(void *opaque, struct gdb_registers *registers)
{
    struct vm *vm = ((struct gdb_vm *)opaque)->vm;

    vm->engine->vcpu_get_state(vm->vcpu, &registers->x);
    registers->cr8 = vm->host.tpr_read(vm->host.opaque, 0);
}

static void set_registers(void *opaque, const struct gdb_registers *registers)
{
    struct vm *vm = ((struct gdb_vm *)opaque)->vm;

    vm->engine->vcpu_set_state(vm->vcpu, &registers->x);
}

static bool read_memory(void *opaque, bool physical, uint64_t address, void *buffer, size_t count)
{
    struct vm *vm = ((struct gdb_vm *)opaque)->vm;

    if (physical)
        return mem_read(vm->mem, address, buffer, count);
    return vm->engine->vcpu_read_gva(vm->vcpu, address, buffer, count);
}

/* ROM too, for breakpoints that gdb writes itself and for patches; devices are left alone. */
static bool write_memory(void *opaque, bool physical, uint64_t address, const void *buffer,
                         size_t count)
{
    struct vm *vm = ((struct gdb_vm *)opaque)->vm;
    gpa_t gpa = address;

    if (!physical && !vm->engine->vcpu_translate(vm->vcpu, address, &gpa))
        return false;
    return mem_find_slot(vm->mem, gpa) && mem_rom_load(vm->mem, gpa, buffer, count);
}

/* gdb's own words leave open what would help. */
static int check(void *opaque, const struct engine_debug *debug)
{
    struct gdb_vm *gdb_vm = opaque;
    struct vm *vm = gdb_vm->vm;
    int err = vm->engine->vcpu_debug_check ? vm->engine->vcpu_debug_check(vm->vcpu, debug) : 0;

    if (err == -ENOSPC && !gdb_vm->warned)
        log_warn("gdb wants more breakpoints and watchpoints than the processor's four registers "
                 "hold; --engine soft has room for %d of each",
                 ENGINE_MAX_BREAKPOINTS);
    gdb_vm->warned = gdb_vm->warned || err == -ENOSPC;
    return err;
}

static void resume(void *opaque, const struct engine_debug *debug)
{
    struct gdb_vm *gdb_vm = opaque;
    struct vm *vm = gdb_vm->vm;

    vm->engine->vcpu_debug(vm->vcpu, debug);
    gdb_vm->paused = false;
    vm_resume(vm);
}

static void interrupt(void *opaque)
{
    struct gdb_vm *gdb_vm = opaque;
    struct gdb_stop stop;

    if (!vm_pause(gdb_vm->vm))
        return; /* it ends, which is told */
    if (take_pending(gdb_vm, &stop))
        vm_resume(gdb_vm->vm); /* both stopped it */
    else
        stop = (struct gdb_stop){.signal = GDB_SIGNAL_INT};
    gdb_vm->paused = true;
    gdb_stopped(gdb_vm->gdb, &stop);
}

/* The guest goes on as if no debugger had ever come. */
static void let_go(struct gdb_vm *gdb_vm)
{
    static const struct engine_debug nothing;
    struct vm *vm = gdb_vm->vm;
    struct gdb_stop stop;

    if (!gdb_vm->paused && !vm_pause(vm))
        return;
    if (take_pending(gdb_vm, &stop))
        vm_resume(vm);
    lock_acquire(&vm->lock);
    gdb_vm->attached = false;
    lock_release(&vm->lock);
    resume(gdb_vm, &nothing);
}

static void detach(void *opaque)
{
    struct gdb_vm *gdb_vm = opaque;

    listener_drop(gdb_vm->listener); /* on_closed does the rest */
}

static void kill_vm(void *opaque)
{
    struct vm *vm = ((struct gdb_vm *)opaque)->vm;

    lock_acquire(&vm->lock);
    vm_end_locked(vm, VM_EXIT_POWEROFF);
    lock_release(&vm->lock);
}

static void run_command(void *opaque, const char *line, FILE *out)
{
    monitor_execute(((struct gdb_vm *)opaque)->vm->monitor, line, out);
}

static void send_bytes(void *opaque, const void *bytes, size_t count)
{
    listener_send(((struct gdb_vm *)opaque)->listener, bytes, count);
}

static const struct gdb_target target = {
    .get_registers = get_registers,
    .set_registers = set_registers,
    .read = read_memory,
    .write = write_memory,
    .check = check,
    .resume = resume,
    .interrupt = interrupt,
    .detach = detach,
    .kill = kill_vm,
    .monitor = run_command,
    .send = send_bytes,
};

/* --- what the socket tells --- */

static void on_opened(void *opaque)
{
    struct gdb_vm *gdb_vm = opaque;
    struct vm *vm = gdb_vm->vm;

    if (!gdb_vm->paused && !vm_pause(vm)) {
        listener_drop(gdb_vm->listener); /* the VM is ending */
        return;
    }
    gdb_vm->paused = true;
    lock_acquire(&vm->lock);
    gdb_vm->attached = true;
    lock_release(&vm->lock);
    gdb_opened(gdb_vm->gdb);
}

static size_t on_received(void *opaque, const uint8_t *bytes, size_t count)
{
    gdb_received(((struct gdb_vm *)opaque)->gdb, bytes, count);
    return count;
}

static void on_closed(void *opaque)
{
    struct gdb_vm *gdb_vm = opaque;

    gdb_closed(gdb_vm->gdb);
    let_go(gdb_vm);
}

static void say_where(const struct vm *vm)
{
    const char *where = vm->config->gdb;
    bool is_path = strncmp(where, "unix:", 5) == 0;

    log_info("%s: in gdb, target remote %s%s",
             vm->config->wait ? "the guest waits for gdb" : "gdb may attach",
             is_path ? "" : "localhost:", is_path ? where + 5 : where);
}

static int listen_at(struct gdb_vm *gdb_vm)
{
    static const struct listener_ops ops = {on_opened, on_received, on_closed};
    struct vm *vm = gdb_vm->vm;
    int err = listener_create(&gdb_vm->listener, vm->events, vm->config->gdb, &ops, gdb_vm);

    if (err)
        vm_keep_failure(vm, "the gdb stub cannot listen at %s: %s%s", vm->config->gdb,
                        strerror(-err),
                        err == -EADDRINUSE ? "; another program uses it, choose another" : "");
    return err;
}

int gdb_vm_create(struct gdb_vm **out, struct vm *vm)
{
    static const struct engine_debug nothing;
    struct gdb_vm *gdb_vm;
    int err;

    *out = NULL;
    if (!vm->config->gdb)
        return 0;
    if (vm->engine->vcpu_debug_check && vm->engine->vcpu_debug_check(vm->vcpu, &nothing) != 0) {
        vm_keep_failure(vm, "this host's KVM offers debuggers nothing; use --gdb with --engine "
                            "soft");
        return -EOPNOTSUPP;
    }
    gdb_vm = calloc(1, sizeof(*gdb_vm));
    if (!gdb_vm)
        return -ENOMEM;
    *out = gdb_vm;
    gdb_vm->vm = vm;
    gdb_vm->gdb = gdb_create(&target, gdb_vm);
    gdb_vm->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (gdb_vm->stop_fd < 0)
        return -errno;
    if (!gdb_vm->gdb)
        return -ENOMEM;
    err = events_add(vm->events, gdb_vm->stop_fd, on_stop, gdb_vm);
    if (!err)
        err = listen_at(gdb_vm);
    if (err)
        return err;
    if (vm->config->wait)
        gdb_vm->paused = vm_pause(vm);
    say_where(vm);
    return 0;
}

void gdb_vm_destroy(struct gdb_vm *gdb_vm)
{
    if (!gdb_vm)
        return;
    if (gdb_vm->listener && gdb_vm->vm->ended)
        gdb_ended(gdb_vm->gdb, (unsigned)gdb_vm->vm->status);
    listener_destroy(gdb_vm->listener);
    if (gdb_vm->stop_fd >= 0) {
        events_remove(gdb_vm->vm->events, gdb_vm->stop_fd);
        close(gdb_vm->stop_fd);
    }
    gdb_destroy(gdb_vm->gdb);
    free(gdb_vm);
}

/*
 * The life of a VM: everything is checked, then made, then run, then taken apart in the reverse
 * order. Two threads: this one is the event loop, the other is the vCPU.
 */
#include "vm/vm.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/thread.h"
#include "dev/acpi_pm.h"
#include "dev/uart.h"
#include "dev/vga.h"
#include "fw/rom_image.h"
#include "vm/gdb_vm.h"
#include "vm/digest.h"
#include "vm/guest_time.h"
#include "vm/ignored.h"
#include "vm/stats.h"
#include "vm/stats_recorder.h"
#include "vm/memory.h"
#include "vm/monitor.h"
#include "vm/monitor_console.h"
#include "vm/sandbox.h"
#include "vm/signals.h"
#include "vm/vm_internal.h"

void vm_end_locked(struct vm *vm, int status)
{
    if (!vm->ended) {
        vm->ended = true;
        vm->status = status;
    }
    if (vm->vcpu)
        vm->engine->vcpu_kick(vm->vcpu);
    pthread_cond_broadcast(&vm->wake);
    pthread_cond_broadcast(&vm->parked);
    events_stop(vm->events);
}

/* --- what the devices ask of the VM; the machine lock is held --- */

void vm_guest_ends_locked(struct vm *vm, int status)
{
    vm_end_locked(vm, vm->panicked ? VM_EXIT_PANIC : status);
}

static void on_power_off(void *opaque)
{
    vm_guest_ends_locked(opaque, VM_EXIT_POWEROFF);
}

static void on_reset(void *opaque)
{
    struct vm *vm = opaque;

    vm->reset_requested = true;
    vm->engine->vcpu_kick(vm->vcpu);
    pthread_cond_broadcast(&vm->wake);
}

/* A guest with a crash kernel writes its memory somewhere, and then ends by itself. */
static void on_panic(void *opaque, bool goes_on)
{
    struct vm *vm = opaque;

    if (!vm->panicked)
        log_error("the guest reports a panic%s", goes_on ? "; its crash kernel goes on" : "");
    vm->panicked = true;
    if (!goes_on)
        vm_end_locked(vm, VM_EXIT_PANIC);
}

static void on_debug_exit(void *opaque, unsigned status)
{
    vm_end_locked(opaque, (int)(status & 0xff));
}

static void on_intr(void *opaque, bool level)
{
    struct vm *vm = opaque;

    vm->engine->vcpu_set_intr(vm->vcpu, level);
    if (level)
        pthread_cond_broadcast(&vm->wake);
}

static void on_nmi(void *opaque)
{
    struct vm *vm = opaque;

    vm->engine->vcpu_nmi(vm->vcpu);
    pthread_cond_broadcast(&vm->wake);
}

static void on_init(void *opaque)
{
    struct vm *vm = opaque;

    vm->engine->vcpu_init(vm->vcpu);
    pthread_cond_broadcast(&vm->wake);
}

static void on_sipi(void *opaque, uint8_t vector)
{
    struct vm *vm = opaque;

    vm->engine->vcpu_sipi(vm->vcpu, vector);
    pthread_cond_broadcast(&vm->wake);
}

static void on_address_space_changed(void *opaque)
{
    struct vm *vm = opaque;

    if (vm->vcpu)
        vm->engine->vcpu_flush(vm->vcpu);
}

static void on_serial_output(void *opaque, uint8_t byte)
{
    struct vm *vm = opaque;

    terminal_write(vm->terminal, &byte, 1);
    if (terminal_congested(vm->terminal))
        vm->engine->vcpu_kick(vm->vcpu); /* it rests in its thread's loop, without the lock */
}

static void on_serial_room(void *opaque)
{
    struct vm *vm = opaque;

    if (vm->terminal)
        terminal_resume(vm->terminal);
}

static void on_serial_unread(void *opaque, const uint8_t *bytes, size_t count)
{
    struct vm *vm = opaque;

    if (vm->terminal)
        terminal_take_back(vm->terminal, bytes, count);
}

/* --- what the terminal asks; called with the lock held, from terminal_ready or _resume --- */

static size_t on_terminal_input(void *opaque, const uint8_t *bytes, size_t count)
{
    struct vm *vm = opaque;
    size_t taken = 0;

    /* A pipe has all the time: what it sends waits for software that reads the line. */
    if (!terminal_is_keyboard(vm->terminal) && !uart_is_read(vm->board->uart))
        return 0;
    while (taken < count && uart_can_receive(vm->board->uart))
        uart_receive(vm->board->uart, bytes[taken++]);
    return taken;
}

static void on_terminal_quit(void *opaque)
{
    vm_end_locked(opaque, VM_EXIT_POWEROFF);
}

/* Prints the text screen between two lines. */
static void print_screen(struct vm *vm)
{
    char *text = malloc(VGA_TEXT_MAX_BYTES); /* too large for a small stack */

    if (!text) {
        log_error("no memory for the guest's screen");
        return;
    }
    if (vga_screen_text(vm->board->vga, text, VGA_TEXT_MAX_BYTES) == 0) {
        log_info("the guest's screen is off or shows no text");
        free(text);
        return;
    }
    log_raw("--- the guest's screen ---\n");
    for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1)
        log_raw("%.*s\n", (int)(end - line), line);
    log_raw("--------------------------\n");
    free(text);
}

static void on_terminal_screen(void *opaque)
{
    print_screen(opaque);
}

static void on_terminal_monitor(void *opaque, bool on)
{
    monitor_console_open(((struct vm *)opaque)->console, on);
}

static void on_terminal_monitor_key(void *opaque, uint8_t key)
{
    monitor_console_key(((struct vm *)opaque)->console, key);
}

/* --- the event loop's sources --- */

static void arm_timer(struct vm *vm)
{
    uint64_t deadline = clock_host_deadline_ns(&vm->clock, clock_next_deadline_ns(vm->time));
    struct itimerspec spec = {0};

    if (deadline != CLOCK_NEVER) {
        uint64_t at = MAX(deadline, (uint64_t)1); /* zero would disarm */

        spec.it_value.tv_sec = (time_t)(at / NS_PER_SEC);
        spec.it_value.tv_nsec = (long)(at % NS_PER_SEC);
    }
    timerfd_settime(vm->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

/* The clock's first deadline came nearer; the machine lock is held. */
static void on_deadline_changed(void *opaque)
{
    if (guest_time_counts(opaque))
        guest_time_limit_locked(opaque);
    else
        arm_timer(opaque);
}

static void on_timer(void *opaque)
{
    struct vm *vm = opaque;
    uint64_t expirations;

    if (read(vm->timer_fd, &expirations, sizeof(expirations)) < 0 && errno != EAGAIN)
        log_warn("the virtual clock's timer cannot be read: %s", strerror(errno));
    lock_acquire(&vm->lock);
    clock_run_timers(vm->time);
    arm_timer(vm);
    lock_release(&vm->lock);
}

static void on_timeout(void *opaque)
{
    struct vm *vm = opaque;

    log_error("the time of %" PRIu64 " s (--timeout) is over", vm->config->timeout_s);
    terminal_abandon(vm->terminal); /* a vCPU may hold the lock, waiting for a reader */
    lock_acquire(&vm->lock);
    vm_end_locked(vm, VM_EXIT_TIMEOUT);
    lock_release(&vm->lock);
}

static void on_terminal(void *opaque)
{
    struct vm *vm = opaque;

    lock_acquire(&vm->lock);
    terminal_ready(vm->terminal);
    if (!terminal_congested(vm->terminal))
        pthread_cond_broadcast(&vm->wake);
    lock_release(&vm->lock);
    monitor_console_serve(vm->console); /* it may wait for room on the terminal */
}

/* The first SIGTERM presses the power button, the next ends the VM. */
static void on_signal(void *opaque)
{
    struct vm *vm = opaque;
    int number;
    bool first = vm->terminations == 0;

    vm->terminations += signals_take(&number);
    if (vm->terminations > 1)
        terminal_abandon(vm->terminal);
    lock_acquire(&vm->lock);
    if (first && vm->terminations > 0) {
        log_info("pressing the power button (%s); a second signal ends the VM at once",
                 strsignal(number));
        acpi_pm_press_power_button(vm->board->acpi_pm);
    }
    if (vm->terminations > 1)
        vm_end_locked(vm, VM_EXIT_ERROR);
    lock_release(&vm->lock);
}

/* --- making --- */

void vm_keep_failure(struct vm *vm, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(vm->failure, sizeof(vm->failure), fmt, args);
    va_end(args);
}

/* What to do about a failure to make the VM, with a leading "; ". */
static const char *way_out(int err)
{
    switch (err) {
    case -ENOMEM: return "; a smaller --memory may fit, or a larger limit (ulimit -v)";
    case -EMFILE: return "; raise the limit (ulimit -n)";
    case -EFBIG: return "; raise the limit (ulimit -f)";
    case -EAGAIN: return "; raise the limit of processes (ulimit -u)";
    default: return "";
    }
}

static int plan(struct vm *vm)
{
    const struct vm_config *config = vm->config;
    struct fw_error error = {0};
    size_t demo_bytes;
    const uint8_t *demo = demo_image_data(&demo_bytes);
    struct start_files files = {
        .file = config->file,
        .kernel = config->kernel,
        .initrd = config->initrd,
        .disk = config->disk,
        .floppy = config->floppy,
        .cdrom = config->cdrom,
        .command_line = config->append ? config->append : "",
        .linux_console = VM_CONFIG_LINUX_CONSOLE,
        .foreign_bios = config->bios != NULL,
        .demo = demo,
        .demo_bytes = demo_bytes,
    };
    int err = start_plan(&vm->start, &files, &vm->layout, &error);

    if (err)
        log_error("%s", error.text);
    else if (vm->start.doubt)
        log_warn("%s has no format that Umbra knows, and %s; it runs as 16-bit code at 0000:7C00",
                 vm->start.kernel.path, vm->start.doubt);
    return err;
}

/* A line of the engine's own interrupt controllers. */
static void on_irq(void *opaque, unsigned gsi, bool level)
{
    struct vm *vm = opaque;

    vm->engine->set_irq(vm->vcpu, gsi, level);
}

static int make_board(struct vm *vm)
{
    struct board_config config = {
        .layout = &vm->layout,
        .mem = vm->mem,
        .clock = vm->time,
        .start_utc = guest_time_start_utc(vm),
        .tsc_hz = vm->model.tsc_hz,
        .physical_bits = vm->model.physical_bits,
        .disk = vm->disks[VM_DISK].queue,
        .cdrom = vm->disks[VM_CDROM].queue,
        .events =
            {
                .opaque = vm,
                .power_off = on_power_off,
                .reset = on_reset,
                .panic = on_panic,
                .debug_exit = on_debug_exit,
                .intr = on_intr,
                .nmi = on_nmi,
                .init = on_init,
                .sipi = on_sipi,
                .tsc_now = vm->host.tsc_now,
                .address_space_changed = on_address_space_changed,
                .serial_output = on_serial_output,
                .serial_room = on_serial_room,
                .serial_unread = on_serial_unread,
                .debug_output = on_serial_output,
            },
    };

    if (vm->engine->set_irq && !vm->config->user_irqchip)
        config.irq_sink = (struct irq_line){on_irq, vm, 0};
    return board_create(&vm->board, &config);
}

/* KVM has its tables in the kernel; the soft engine's processor walks ours. */
static int make_mmu(struct vm *vm)
{
    const struct vm_config *config = vm->config;
    enum mmu_mode own = config->mmu == VM_MMU_SHADOW ? MMU_SHADOW : MMU_EPT;

    if (!budget_split(&vm->budget, config))
        return -EINVAL;
    vm->mmu = mmu_create(vm->mem, &(struct mmu_config){
                                      .mode = vm->engine == &engine_soft ? own : MMU_HOST,
                                      .shadow_pages = vm->budget.shadow_pages,
                                      .ept_tables = vm->budget.ept_tables,
                                  });
    return vm->mmu ? 0 : -ENOMEM;
}

static int create_vcpu(struct vm *vm)
{
    return vm->engine->vcpu_create(&vm->vcpu, &(struct engine_vcpu_config){
                                                  .mmu = vm->mmu,
                                                  .host = &vm->host,
                                                  .model = &vm->model,
                                                  .host_irqchip = !vm->config->user_irqchip,
                                                  .tlb_entries = (unsigned)vm->config->tlb_entries,
                                                  .translate_after = vm->config->translate_after,
                                                  .block_bytes = vm->budget.block_bytes,
                                                  .translate_bytes = vm->budget.code_bytes,
                                                  .error = vm->vcpu_error,
                                                  .error_bytes = sizeof(vm->vcpu_error),
                                              });
}

/*
 * The vCPU comes before the board: one in reset already drives its INTR input. A KVM that promised
 * to work and does not gives way to the soft engine, as long as nobody insisted on it.
 */
static int make_vcpu(struct vm *vm)
{
    int err = create_vcpu(vm);

    if (!err || vm->engine == &engine_soft || vm->config->engine != VM_ENGINE_AUTO)
        return err;
    snprintf(vm->engine_why, sizeof(vm->engine_why), "KVM failed to make a vCPU: %s",
             vm->vcpu_error[0] ? vm->vcpu_error : strerror(-err));
    vm->vcpu_error[0] = '\0';
    vm->engine = &engine_soft;
    vm->model.tsc_hz = VM_TSC_HZ;
    vm_host_init(vm);
    mmu_destroy(vm->mmu);
    err = make_mmu(vm);
    return err ? err : create_vcpu(vm);
}

/* Before the first of the other threads. */
static int make_sandbox(struct vm *vm)
{
    const struct vm_config *config = vm->config;
    int err;

    if (config->sandbox_off)
        return 0;
    err = sandbox_create(&vm->sandbox, &(struct sandbox_config){
                                           .kvm = vm->engine != &engine_soft,
                                           .monitor = config->monitor,
                                           .gdb = config->gdb,
                                           .stats_file = config->stats_file,
                                       });

    if (err)
        vm_keep_failure(vm, "the host refuses a sandbox (seccomp): %s; --sandbox off runs without",
                        strerror(-err));
    return err;
}

static int make_machine(struct vm *vm)
{
    int err;

    vm->mem = mem_create(&(struct mem_config){
        .backend = vm->config->memory_backend,
        .prealloc = vm->config->prealloc,
        .ksm = vm->config->ksm,
        .thp = vm->config->thp,
    });
    if (!vm->mem)
        return -ENOMEM;
    err = layout_add_slots(&vm->layout, vm->mem);
    if (!err)
        err = vm_firmware_add_slots(vm);
    if (err)
        return err;
    err = make_mmu(vm);
    if (err)
        return err;
    guest_time_init(vm);
    vm_host_init(vm);
    err = make_vcpu(vm);
    if (!err)
        err = make_sandbox(vm);
    if (!err)
        err = vm_disks_start(vm);
    if (!err) {
        guest_time_attach(vm);
        err = make_board(vm);
    }
    if (err)
        return err;
    err = vm_firmware_place(vm);
    if (err == -EIO)
        vm_keep_failure(vm,
                        "cannot start %s: a file was cut short while it was read, or its disk "
                        "fails; get a whole copy",
                        start_kind_name(&vm->start));
    return err;
}

/* How long a second signal leaves for an orderly end; longer where a report has to be written. */
static unsigned grace_ms(const struct vm *vm)
{
    return vm_stats_wanted(vm) || vm->digest ? 2000 : 80;
}

static int add_sources(struct vm *vm)
{
    int err = events_add(vm->events, vm->timer_fd, on_timer, vm);

    if (!err)
        err = events_add(vm->events, signals_fd(), on_signal, vm);
    if (!err)
        err = events_add(vm->events, terminal_fd(vm->terminal), on_terminal, vm);
    if (!err && vm->timeout_fd >= 0)
        err = events_add(vm->events, vm->timeout_fd, on_timeout, vm);
    return err;
}

static int make_console(struct vm *vm)
{
    const char *where = vm->config->monitor;
    int err;

    vm->monitor = monitor_create(vm);
    if (!vm->monitor)
        return -ENOMEM;
    err = monitor_console_create(&vm->console, vm, where);
    if (err && where)
        vm_keep_failure(vm, "the monitor console cannot listen at %s: %s%s", where, strerror(-err),
                        err == -EADDRINUSE ? "; another VM uses it"
                        : err == -EEXIST   ? "; that is no socket, choose another name"
                                           : "");
    return err;
}

/* What the host refused, kept for the one line of vm_run; -errno. */
static int refused(struct vm *vm, const char *what)
{
    int err = -errno;

    vm_keep_failure(vm, "the host refuses %s: %s%s", what, strerror(-err), way_out(err));
    return err;
}

static int make_timers(struct vm *vm)
{
    struct itimerspec spec = {.it_value.tv_sec = (time_t)vm->config->timeout_s};

    vm->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (vm->timer_fd < 0)
        return refused(vm, "a timer (timerfd_create)");
    if (!vm->config->timeout_s)
        return 0;
    vm->timeout_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    if (vm->timeout_fd < 0 || timerfd_settime(vm->timeout_fd, 0, &spec, NULL) != 0)
        return refused(vm, "the timer of --timeout (timerfd)");
    return 0;
}

static int make_outside(struct vm *vm)
{
    static const struct terminal_ops ops = {
        .input = on_terminal_input,
        .quit = on_terminal_quit,
        .screen = on_terminal_screen,
        .monitor = on_terminal_monitor,
        .monitor_key = on_terminal_monitor_key,
    };
    int err;

    vm->events = events_create();
    if (!vm->events)
        return refused(vm, "an event loop (epoll, eventfd)");
    err = make_timers(vm);
    if (err)
        return err;
    err = signals_install(!isatty(STDIN_FILENO), VM_EXIT_ERROR, grace_ms(vm));
    if (err) {
        errno = -err;
        return refused(vm, "handlers of signals (sigaction, eventfd)");
    }
    vm->terminal = terminal_create(STDIN_FILENO, STDOUT_FILENO, &ops, vm);
    if (!vm->terminal)
        return refused(vm, "to make a terminal of standard input and output");
    err = make_console(vm);
    if (err)
        return err;
    vm->time->changed = on_deadline_changed;
    vm->time->changed_opaque = vm;
    on_deadline_changed(vm); /* devices have armed timers when they were made */
    return add_sources(vm);
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

static void take_apart(struct vm *vm)
{
    bool all_at_rest = vm_disks_stop(vm);

    gdb_vm_destroy(vm->gdb);
    terminal_destroy(vm->terminal);
    monitor_console_destroy(vm->console);
    monitor_destroy(vm->monitor);
    if (!all_at_rest)
        return; /* the thread of a disk that hangs still uses the rest: the process's end frees it
                 */
    board_destroy(vm->board);
    if (vm->vcpu)
        vm->engine->vcpu_destroy(vm->vcpu);
    mmu_destroy(vm->mmu);
    mem_destroy(vm->mem);
    vm_disks_close(vm);
    digest_destroy(vm->digest);
    start_fini(&vm->start);
    free(vm->bios);
    events_destroy(vm->events);
    signals_remove();
    stats_recorder_destroy(vm->stats);
    sandbox_destroy(vm->sandbox);
    close_fd(vm->timer_fd);
    close_fd(vm->timeout_fd);
    pthread_cond_destroy(&vm->parked);
    pthread_cond_destroy(&vm->wake);
    lock_fini(&vm->lock);
    free(vm);
}

static int choose_engine(struct vm *vm)
{
    struct vm_engine_choice choice;
    const char *soft_only = vm->config->clock_ns ? "--clock instructions" : NULL;

    /* KVM takes a debugger, too, but only four breakpoints: somebody has to ask for it. */
    if (vm->config->gdb && vm->config->engine == VM_ENGINE_AUTO && !soft_only)
        soft_only = "--gdb";

    vm_choose_engine(vm->config->engine, vm->config->mmu, soft_only, &choice);
    if (!choice.engine) {
        log_error("--engine kvm cannot be used: %s; --engine soft runs everywhere", choice.why);
        return -ENOTSUP;
    }
    vm->engine = choice.engine;
    vm->model.tsc_hz = choice.tsc_hz ? choice.tsc_hz : VM_TSC_HZ;
    snprintf(vm->host_paging, sizeof(vm->host_paging), "%s", choice.paging);
    snprintf(vm->engine_why, sizeof(vm->engine_why), "%s", choice.why);
    return 0;
}

/* Everything that can be wrong with what the user asked for; each says so itself. */
static int check(struct vm *vm)
{
    const struct vm_config *config = vm->config;
    const char *missing = NULL;
    int err = layout_init(&vm->layout, config->memory_bytes);

    if (!err)
        err = vm_memory_check(config, &vm->layout);
    if (!err)
        err = cpu_model_init(&vm->model, config->cpu_model, &missing);
    if (!err)
        err = choose_engine(vm);
    if (!err)
        vm_warn_ignored(config, vm->engine == &engine_soft);
    if (guest_time_counts(vm)) {
        /* The host's random numbers would make each run another one. */
        vm->model.has[X86_FEATURE_RDRAND] = false;
        vm->model.has[X86_FEATURE_RDSEED] = false;
    }
    if (!err)
        err = plan(vm);
    if (!err)
        err = vm_firmware_read(vm);
    if (!err)
        err = vm_disks_open(vm);
    if (!err)
        err = digest_create(&vm->digest, vm);
    return err;
}

static void announce(const struct vm *vm)
{
    log_info("engine %s (%s), %s, %" PRIu64 " MiB", vm->engine->name, vm->engine_why,
             start_kind_name(&vm->start), vm->layout.memory_bytes / MIB);
}

static int run(struct vm *vm)
{
    sigset_t before;
    int err;

    lock_acquire(&vm->lock); /* the guest's first word comes behind the announcement */
    signals_block(&before);  /* they are this thread's, which is never inside the engine */
    err = thread_create(&vm->vcpu_thread, vm_vcpu_main, vm);
    signals_unblock(&before);
    if (!err)
        announce(vm);
    lock_release(&vm->lock);
    if (err) {
        errno = -err;
        return refused(vm, "a thread (pthread_create)");
    }
    sandbox_enter(vm->sandbox, SANDBOX_LOOP);
    events_run(vm->events);
    pthread_join(vm->vcpu_thread, NULL);
    return 0;
}

/* The one line about a VM that could not be made. */
static void report_failure(const struct vm *vm, int err)
{
    if (vm->vcpu_error[0])
        log_error("KVM failed to make a vCPU: %s; --engine soft runs everywhere", vm->vcpu_error);
    else if (vm->failure[0])
        log_error("%s", vm->failure);
    else
        log_error("the VM could not be made: %s%s", strerror(-err), way_out(err));
}

int vm_run(const struct vm_config *config)
{
    struct vm *vm = calloc(1, sizeof(*vm));
    int err, status;

    if (!vm) {
        log_error("no memory for a VM");
        return VM_EXIT_USAGE;
    }
    vm->config = config;
    vm->vcpu_parked = true; /* until its thread starts */
    vm->timer_fd = vm->timeout_fd = -1;
    lock_init(&vm->lock, LOCK_RANK_MACHINE);
    pthread_cond_init(&vm->wake, NULL);
    pthread_cond_init(&vm->parked, NULL);
    if (check(vm) != 0) {
        take_apart(vm);
        return VM_EXIT_USAGE;
    }
    err = make_machine(vm);
    if (!err)
        err = make_outside(vm);
    if (!err)
        err = gdb_vm_create(&vm->gdb, vm);
    if (!err)
        err = vm_stats_start(vm);
    if (!err)
        err = run(vm);
    status = err ? VM_EXIT_USAGE : vm->status;
    if (err)
        report_failure(vm, err);
    if (!err && config->screen)
        print_screen(vm);
    if (!err)
        status = vm_stats_end(vm, status);
    take_apart(vm);
    return status;
}

/* The lists as filters of seccomp, made by libseccomp, and what a forbidden call ends in. */
#include "vm/sandbox.h"

#include <asm/termbits.h>
#include <errno.h>
#include <seccomp.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "vm/landlock.h"
#include "vm/terminal.h"

#define KVM_REQUEST_TYPE 0xae00u /* KVMIO, in its place within a request (linux/kvm.h) */
#define REQUEST_TYPE     0xff00u
#define SYS_SECCOMP_CODE 1 /* SYS_SECCOMP of siginfo.h, which the C library leaves out */
#define UNIX_PREFIX      "unix:"

struct sandbox {
    scmp_filter_ctx list[SANDBOX_THREADS];
    int landlock; /* the rules for files, or -1 */
    /* libseccomp makes a list's program in place: two threads of one kind must not do so at once.
     */
    pthread_mutex_t turn;
};

/* When a row counts. */
enum condition { ALWAYS, SOCKET, UNIX_SOCKET, STATS_FILE, KVM, CONDITIONS };

/* What a call's arguments must be. */
enum argument {
    ANY,
    NOT_EXECUTABLE,
    OWN_PROCESS,
    TERMINAL_GET,
    TERMINAL_SET,
    TERMINAL_SIZE,
    OF_KVM
};

enum { LOOP = 1 << SANDBOX_LOOP, VCPU = 1 << SANDBOX_VCPU, DISK = 1 << SANDBOX_DISK };

static const struct row {
    int number;
    unsigned who;
    enum condition condition;
    enum argument argument;
} rows[] = {
#define SANDBOX_CALL(name, who, condition, argument, why)                                          \
    {SCMP_SYS(name), who, condition, argument},
#include "vm/sandbox.def"
#undef SANDBOX_CALL
};

static bool is_unix(const char *where)
{
    return where && strncmp(where, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0;
}

/* --- making --- */

/* A system call's argument and the one value of it that is allowed. */
static struct scmp_arg_cmp equals(unsigned argument, scmp_datum_t value)
{
    return (struct scmp_arg_cmp){.arg = argument, .op = SCMP_CMP_EQ, .datum_a = value};
}

static int add_row(scmp_filter_ctx list, const struct row *row)
{
    struct scmp_arg_cmp compare;

    switch (row->argument) {
    case ANY: return seccomp_rule_add(list, SCMP_ACT_ALLOW, row->number, 0);
    case NOT_EXECUTABLE: compare = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0); break;
    case OWN_PROCESS: compare = equals(0, (scmp_datum_t)getpid()); break;
    case TERMINAL_GET: compare = equals(1, TCGETS); break;
    case TERMINAL_SET: compare = equals(1, TCSETS); break;
    case TERMINAL_SIZE: compare = equals(1, TIOCGWINSZ); break;
    case OF_KVM: compare = SCMP_A1(SCMP_CMP_MASKED_EQ, REQUEST_TYPE, KVM_REQUEST_TYPE); break;
    default: return -EINVAL;
    }
    return seccomp_rule_add(list, SCMP_ACT_ALLOW, row->number, 1, compare);
}

static int fill_list(scmp_filter_ctx list, enum sandbox_thread thread, const bool *holds)
{
    bool opens = false;
    int err = 0;

    for (size_t i = 0; i < ARRAY_SIZE(rows) && !err; i++) {
        const struct row *row = &rows[i];

        if (!(row->who & BIT(thread)) || !holds[row->condition])
            continue;
        opens |= row->number == SCMP_SYS(openat);
        err = add_row(list, row);
    }
    /* malloc looks into /proc when it gives memory back, and lives without an answer. */
    if (!err && !opens)
        err = seccomp_rule_add(list, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(openat), 0);
    return err;
}

static int make_list(scmp_filter_ctx *out, enum sandbox_thread thread, const bool *holds)
{
    *out = seccomp_init(SCMP_ACT_TRAP);
    if (!*out)
        return -ENOMEM;
    /*
     * Without this older kernels turn off speculative stores for the thread, which slows translated
     * code. The filter is no wall against speculation: docs/security.md says so.
     */
    (void)seccomp_attr_set(*out, SCMP_FLTATR_CTL_SSB, 1);
    return fill_list(*out, thread, holds);
}

static int make_files(const struct sandbox_config *config)
{
    int rules = landlock_make();

    if (rules < 0)
        return -1;
    if (is_unix(config->monitor))
        landlock_allow(rules, config->monitor + strlen(UNIX_PREFIX), LANDLOCK_REMOVES);
    if (is_unix(config->gdb))
        landlock_allow(rules, config->gdb + strlen(UNIX_PREFIX), LANDLOCK_REMOVES);
    if (config->stats_file)
        landlock_allow(rules, config->stats_file, LANDLOCK_REPLACES);
    return rules;
}

/* --- a forbidden call --- */

/* Under which list the calling thread is: for the message. */
static _Thread_local enum sandbox_thread entered;

static const char *name_of(int number)
{
    static const char *const names[] = {
#define SANDBOX_NAME(name) [__NR_##name] = #name,
#include "vm/sandbox_names.inc"
#undef SANDBOX_NAME
    };

    return number >= 0 && (size_t)number < ARRAY_SIZE(names) && names[number] ? names[number] : "?";
}

/* Without malloc or locks: the call may have been made in the middle of either. */
static no_return void end_by_forbidden(int number)
{
    static const char *const threads[SANDBOX_THREADS] = {
        [SANDBOX_LOOP] = "event loop", [SANDBOX_VCPU] = "vCPU", [SANDBOX_DISK] = "disk"};
    char text[256];
    int len;

    terminal_restore_now();
    len = snprintf(text, sizeof(text),
                   "umbra: error: the sandbox stopped a system call that the %s's thread never "
                   "makes: %s (%d); please report it; --sandbox off runs without\n",
                   threads[entered], name_of(number), number);
    if (write(STDERR_FILENO, text, (size_t)len) < 0)
        _exit(SANDBOX_STATUS); /* nobody reads it */
    _exit(SANDBOX_STATUS);
}

static void on_sigsys(int number, siginfo_t *info, void *context)
{
    if (info->si_code == SYS_SECCOMP_CODE)
        end_by_forbidden(info->si_syscall);
    terminal_restore_now();
    signal(number, SIG_DFL);
    raise(number); /* from outside: the process ends as it would have */
}

/* --- the interface --- */

int sandbox_create(struct sandbox **out, const struct sandbox_config *config)
{
    const bool holds[CONDITIONS] = {
        [ALWAYS] = true,
        [SOCKET] = config->monitor || config->gdb,
        [UNIX_SOCKET] = is_unix(config->monitor) || is_unix(config->gdb),
        [STATS_FILE] = config->stats_file != NULL,
        [KVM] = config->kvm,
    };
    uint32_t action = SECCOMP_RET_TRAP;
    struct sandbox *sandbox;
    int err = 0;

    *out = NULL;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) != 0)
        return -errno;
    sandbox = calloc(1, sizeof(*sandbox));
    if (!sandbox)
        return -ENOMEM;
    pthread_mutex_init(&sandbox->turn, NULL);
    for (unsigned i = 0; i < SANDBOX_THREADS && !err; i++)
        err = make_list(&sandbox->list[i], i, holds);
    sandbox->landlock = err ? -1 : make_files(config);
    if (err) {
        sandbox_destroy(sandbox);
        return err;
    }
    *out = sandbox;
    return 0;
}

void sandbox_destroy(struct sandbox *sandbox)
{
    if (!sandbox)
        return;
    for (unsigned i = 0; i < SANDBOX_THREADS; i++)
        seccomp_release(sandbox->list[i]);
    if (sandbox->landlock >= 0)
        close(sandbox->landlock);
    pthread_mutex_destroy(&sandbox->turn);
    free(sandbox);
}

bool sandbox_has_landlock(struct sandbox *sandbox)
{
    return sandbox->landlock >= 0;
}

/* The kernel kills the process without a word where a filter's SIGSYS finds its signal blocked. */
static void hear_sigsys(void)
{
    struct sigaction action = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGSYS);
    sigaction(SIGSYS, &action, NULL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static int load_list(struct sandbox *sandbox, enum sandbox_thread thread)
{
    int err;

    pthread_mutex_lock(&sandbox->turn);
    err = seccomp_load(sandbox->list[thread]);
    pthread_mutex_unlock(&sandbox->turn);
    return err;
}

void sandbox_enter(struct sandbox *sandbox, enum sandbox_thread thread)
{
    int err;

    if (!sandbox)
        return;
    entered = thread;
    hear_sigsys();
    err = sandbox->landlock >= 0 ? landlock_enter(sandbox->landlock) : 0;
    if (!err)
        err = load_list(sandbox, thread);
    if (!err)
        return;
    terminal_restore_now();
    log_error("the host refuses the sandbox of a thread: %s; --sandbox off runs without",
              strerror(-err));
    _exit(SANDBOX_STATUS);
}

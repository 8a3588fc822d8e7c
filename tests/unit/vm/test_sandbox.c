/* Each thread's list, in a child process a case: what it stops, what it lets through. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "vm/sandbox.h"

#define PASSED 7 /* the status of a child whose call was let through */

static const struct sandbox_config plain;

/* What a child does inside; a nonzero answer becomes its status. */
typedef int (*deed_fn)(void);

/* Runs a deed under a list; its status, and what it said on standard error. */
static int run_under(const struct sandbox_config *config, enum sandbox_thread thread, deed_fn deed,
                     char *said, size_t said_bytes)
{
    int words[2], status;
    ssize_t got;
    pid_t child;

    assert_int_equal(pipe(words), 0);
    child = fork();
    if (child == 0) {
        struct sandbox *sandbox;

        dup2(words[1], STDERR_FILENO);
        if (sandbox_create(&sandbox, config) != 0)
            _exit(99);
        sandbox_enter(sandbox, thread);
        _exit(deed());
    }
    close(words[1]);
    got = read(words[0], said, said_bytes - 1);
    said[got > 0 ? got : 0] = '\0';
    close(words[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void is_stopped(const struct sandbox_config *config, enum sandbox_thread thread,
                       deed_fn deed, const char *name)
{
    char said[512], wanted[64];

    snprintf(wanted, sizeof(wanted), "never makes: %s (", name);
    assert_int_equal(run_under(config, thread, deed, said, sizeof(said)), SANDBOX_STATUS);
    assert_non_null(strstr(said, wanted));
    assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
}

static void is_let_through(const struct sandbox_config *config, enum sandbox_thread thread,
                           deed_fn deed)
{
    char said[512];

    assert_int_equal(run_under(config, thread, deed, said, sizeof(said)), PASSED);
    assert_string_equal(said, "");
}

static int make_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0) >= 0 ? PASSED : 1;
}

static int start_program(void)
{
    return execl("/bin/true", "true", (char *)NULL);
}

static int start_process(void)
{
    return (int)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) >= 0 ? PASSED : 1;
}

static int look_into_another(void)
{
    return syscall(SYS_ptrace, 0, 0, 0, 0) == 0 ? PASSED : 1;
}

static int make_executable(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
               ? 1
               : PASSED;
}

static int turn_executable(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0 ? PASSED : 1;
}

static int signal_another(void)
{
    return syscall(SYS_tgkill, 1, 1, 0) == 0 ? PASSED : 1;
}

static int type_into_terminal(void)
{
    return ioctl(0, TIOCSTI, "x") == 0 ? PASSED : 1;
}

static int ask_kvm(void)
{
    return ioctl(-1, 0xae03, 0) < 0 && errno == EBADF ? PASSED : 1;
}

static int open_file(void)
{
    return open("/dev/null", O_RDONLY) < 0 && errno == EPERM ? PASSED : 1;
}

static int take_client(void)
{
    return accept4(-1, NULL, NULL, 0) < 0 && errno == EBADF ? PASSED : 1;
}

static int remove_nothing(void)
{
    return unlink("/nonexistent/x") < 0 ? PASSED : 1;
}

/* What every thread needs: memory, messages, locks, and abort's calls. */
static int live(void)
{
    struct termios settings;
    void *large = malloc(1 << 20), *larger = realloc(large, 1 << 24);
    sigset_t set;

    free(larger);
    sigemptyset(&set);
    if (pthread_sigmask(SIG_SETMASK, &set, NULL) != 0 || signal(SIGUSR1, SIG_IGN) == SIG_ERR)
        return 1;
    raise(SIGUSR1);
    (void)tcgetattr(-1, &settings);
    (void)tcsetattr(-1, TCSANOW, &settings);
    return write(-1, "", 0) < 0 && errno == EBADF ? PASSED : 1;
}

static void test_no_thread_reaches_out(void **state)
{
    for (enum sandbox_thread thread = 0; thread < SANDBOX_THREADS; thread++) {
        is_stopped(&plain, thread, make_socket, "socket");
        is_stopped(&plain, thread, start_program, "execve");
        is_stopped(&plain, thread, start_process, "clone");
        is_stopped(&plain, thread, look_into_another, "ptrace");
        is_stopped(&plain, thread, make_executable, "mmap");
        is_stopped(&plain, thread, turn_executable, "mprotect");
        is_stopped(&plain, thread, type_into_terminal, "ioctl");
        is_stopped(&plain, thread, ask_kvm, "ioctl");
        is_stopped(&plain, thread, take_client, "accept4");
        is_stopped(&plain, thread, remove_nothing, "unlink");
        is_let_through(&plain, thread, open_file);
        is_let_through(&plain, thread, live);
    }
    is_stopped(&plain, SANDBOX_VCPU, signal_another, "tgkill");
}

/* What an option needs is there with it only, and for its thread only. */
static void test_conditions(void **state)
{
    const struct sandbox_config port = {.monitor = "1234"}, path = {.gdb = "unix:/tmp/x"},
                                kvm = {.kvm = true};

    is_let_through(&port, SANDBOX_LOOP, take_client);
    is_let_through(&path, SANDBOX_LOOP, take_client);
    is_stopped(&port, SANDBOX_VCPU, take_client, "accept4");
    is_stopped(&port, SANDBOX_LOOP, remove_nothing, "unlink");
    is_let_through(&path, SANDBOX_LOOP, remove_nothing);
    is_let_through(&kvm, SANDBOX_LOOP, ask_kvm);
    is_let_through(&kvm, SANDBOX_VCPU, ask_kvm);
    is_stopped(&kvm, SANDBOX_DISK, ask_kvm, "ioctl");
    is_stopped(&kvm, SANDBOX_VCPU, type_into_terminal, "ioctl");
}

/* Opens for writing in the folder of the statistics (the working one), and beside it. */
static int write_statistics_only(void)
{
    int fd = open("file", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0 || rename("file", "stats.json") != 0 || unlink("stats.json") != 0)
        return 1;
    if (open("/etc/passwd", O_RDONLY) >= 0 || errno != EACCES)
        return 2;
    if (open("../file", O_RDWR | O_CREAT, 0600) >= 0 || errno != EACCES)
        return 3;
    return PASSED;
}

static void test_landlock(void **state)
{
    const struct sandbox_config config = {.stats_file = "stats.json"};
    char folder[] = "/tmp/sandbox-XXXXXX";
    struct sandbox *sandbox;
    bool landlock;

    assert_int_equal(sandbox_create(&sandbox, &plain), 0);
    landlock = sandbox_has_landlock(sandbox);
    sandbox_destroy(sandbox);
    if (!landlock)
        skip(); /* this kernel has none */
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    is_let_through(&config, SANDBOX_LOOP, write_statistics_only);
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(rmdir(folder), 0);
}

/* SIGSYS from outside is no forbidden call. */
static void test_foreign_signal(void **state)
{
    struct sandbox *sandbox;
    int status;
    pid_t child = fork();

    if (child == 0) {
        if (sandbox_create(&sandbox, &plain) == 0)
            sandbox_enter(sandbox, SANDBOX_VCPU);
        raise(SIGSYS);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_thread_reaches_out),
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_landlock),
        cmocka_unit_test(test_foreign_signal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

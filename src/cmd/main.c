/* The command line's entry: finds the sub-command. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/thread.h"
#include "base/types.h"
#include "cmd/command.h"

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"run", command_run},   {"engines", command_engines},   {"report", command_report},
    {"help", command_help}, {"version", command_version},   {"--help", command_help},
    {"-h", command_help},   {"--version", command_version}, {"-V", command_version},
};

/*
 * A standard descriptor that the caller closed would go to the next file opened, and the guest's
 * output into its disk: /dev/null takes its place. Ascending, as open gives the lowest free one.
 */
static int fill_standard_files(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
            return -errno;
    }
    return 0;
}

/* The status, unless what was printed did not arrive. */
static int finish(int status)
{
    bool failed = ferror(stdout); /* by an earlier flush of a full buffer */

    if (fflush(stdout) != 0)
        log_error("standard output cannot be written: %s", strerror(errno));
    else if (failed)
        log_error("standard output could not be written as a whole");
    else
        return status;
    return COMMAND_ERROR;
}

/* A word that is no command. An option or a file there is most likely meant for run. */
static void refuse_command(const char *word)
{
    if (word[0] == '-' || access(word, F_OK) == 0)
        log_error("unknown command %s; did you mean: umbra run %s%s", word, word,
                  word[0] == '-' ? " ..." : "");
    else
        log_error("unknown command %s; there are run, report, engines, help and version", word);
}

/* A stack that is too small ends in a sentence, not in SIGSEGV. */
static int check_stack(void)
{
    uint64_t left = thread_main_stack_left();
    int err = thread_add_signal_stack();

    if (err) {
        log_error("no memory for a signal stack: %s", strerror(-err));
        return err;
    }
    if (left >= THREAD_MAIN_STACK_BYTES)
        return 0;
    log_error("the stack may grow by %llu KiB only, and umbra needs %llu; raise the limit "
              "(ulimit -s 8192) or shorten the environment",
              (unsigned long long)(left / KIB),
              (unsigned long long)(THREAD_MAIN_STACK_BYTES / KIB));
    return -ENOMEM;
}

int main(int argc, char **argv)
{
    int result = fill_standard_files();

    if (result) {
        log_error("/dev/null cannot be opened: %s", strerror(-result));
        return COMMAND_ERROR;
    }
    if (check_stack() != 0)
        return COMMAND_USAGE;
    if (argc < 2) {
        log_error("no command; start with: umbra run FILE (umbra help says more)");
        return COMMAND_USAGE;
    }
    /* A file at its limit (ulimit -f), be it the guest's output: the write fails and says so. */
    signal(SIGXFSZ, SIG_IGN);
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            return finish(commands[i].run(argc - 2, argv + 2));
    }
    refuse_command(argv[1]);
    return COMMAND_USAGE;
}

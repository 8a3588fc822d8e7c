/*
 * `umbra report A.json [B.json] [-o FILE.html]`: reads the statistics of one or two runs and writes
 * a page. Bad files are refused with one line and status 2 before anything is written; a page that
 * cannot be written makes the status COMMAND_ERROR.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/thread.h"
#include "cmd/command.h"
#include "cmd/report.h"
#include "vm/stats_file.h"

/* What the user asked for. */
struct request {
    const char *file[REPORT_MAX_RUNS];
    unsigned count;
    const char *output; /* NULL: see output_name */
    bool help;
};

void help_print_report(void)
{
    printf("umbra report A.json [B.json] [-o FILE.html]\n\n"
           "Makes one page, self-contained, of what `umbra run --stats=A.json` wrote. With\n"
           "two files the runs stand side by side, with the same scales and differences.\n\n"
           "  -o, --output FILE.html   where the page goes. Without it: standard output, or\n"
           "                           on a terminal the name of A with .html for .json\n");
}

/* 0, or -EINVAL after a message. */
static int parse(struct request *request, int argc, char **argv)
{
    bool only_files = false;

    for (int i = 0; i < argc; i++) {
        const char *word = argv[i], *value = NULL;

        if (!only_files && strcmp(word, "--") == 0) {
            only_files = true;
            continue;
        }
        if (!only_files && strcmp(word, "--help") == 0) {
            request->help = true;
            return 0;
        }
        if (!only_files && (strcmp(word, "-o") == 0 || strcmp(word, "--output") == 0))
            value = i + 1 < argc ? argv[++i] : "";
        else if (!only_files && strncmp(word, "--output=", 9) == 0)
            value = word + 9;
        if (value) {
            if (!*value || request->output) {
                log_error("-o takes one name of a file; write for example -o report.html");
                return -EINVAL;
            }
            request->output = value;
        } else if (!only_files && word[0] == '-' && word[1]) {
            log_error("unknown option %s; umbra report --help lists them", word);
            return -EINVAL;
        } else if (request->count == REPORT_MAX_RUNS) {
            log_error("umbra report compares two files at most; %s is one too many", word);
            return -EINVAL;
        } else {
            request->file[request->count++] = word;
        }
    }
    if (request->count > 0)
        return 0;
    log_error("umbra report needs a file that umbra run --stats=FILE.json wrote");
    return -EINVAL;
}

/* Reads a whole file of at most REPORT_MAX_BYTES. 0 or -errno. */
static int read_file(const char *path, char **bytes, size_t *len)
{
    size_t room = 0;
    ssize_t n = 1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int err = fd < 0 ? -errno : 0;

    *bytes = NULL;
    *len = 0;
    while (!err && n > 0) {
        if (room - *len < 65536) {
            char *more = realloc(*bytes, room = 2 * room + 131072);

            err = more ? 0 : -ENOMEM;
            *bytes = more ? more : *bytes;
            if (err)
                break;
        }
        n = read(fd, *bytes + *len, room - *len);
        if (n < 0)
            err = -errno;
        else if ((*len += (size_t)n) > REPORT_MAX_BYTES)
            err = -EFBIG;
    }
    if (fd >= 0)
        close(fd);
    return err;
}

static struct report_run *load(const char *path)
{
    struct report_error error;
    struct report_run *run = NULL;
    size_t len;
    char *bytes;
    int err = read_file(path, &bytes, &len);

    if (err)
        log_error("cannot read %s: %s", path, strerror(-err));
    else if ((run = report_run_parse(bytes, len, &error)) == NULL)
        log_error("cannot make a report of %s: %s", path, error.text);
    free(bytes);
    return run;
}

/* A name made of the first file's, for the caller to free; NULL without memory. */
static char *output_name(const char *file)
{
    size_t len = strlen(file);
    char *name;

    if (len > 5 && strcmp(file + len - 5, ".json") == 0)
        len -= 5;
    return asprintf(&name, "%.*s.html", (int)len, file) < 0 ? NULL : name;
}

/* Writes the page to a file, or to standard output where name is NULL. 0 or -errno. */
static int write_page(const struct report *report, const char *name)
{
    char *page = NULL;
    size_t len;
    FILE *out = open_memstream(&page, &len);
    int err = 0;

    if (!out)
        return -ENOMEM;
    report_page(out, report);
    if (fclose(out) != 0)
        err = -ENOMEM;
    else if (name)
        err = stats_file_replace(name, page, len);
    else if (fwrite(page, 1, len, stdout) != len || fflush(stdout) != 0)
        err = -errno;
    if (!name)
        clearerr(stdout); /* what is wrong with it is told here, not once more at the end */
    free(page);
    return err;
}

static int make_report(const struct request *request, const struct report *report)
{
    bool to_file = request->output || isatty(STDOUT_FILENO);
    int status = COMMAND_USAGE; /* a bad name */
    char *name = NULL;
    int err = 0;

    if (to_file) {
        name = request->output ? strdup(request->output) : output_name(request->file[0]);
        err = name ? stats_file_check(name) : -ENOMEM;
    }
    if (!err) {
        status = COMMAND_ERROR;
        err = write_page(report, name);
    }
    if (err)
        log_error("the report cannot be written to %s: %s", name ? name : "standard output",
                  strerror(-err));
    else if (!request->output && to_file)
        log_info("wrote %s", name);
    free(name);
    return err ? status : COMMAND_OK;
}

static int run_report(int argc, char **argv)
{
    struct report_run *runs[REPORT_MAX_RUNS] = {NULL};
    struct request request = {.count = 0};
    struct report report = {.count = 0};
    int status = COMMAND_OK;

    if (parse(&request, argc, argv) != 0)
        return COMMAND_USAGE;
    if (request.help) {
        help_print_report();
        return COMMAND_OK;
    }
    for (unsigned i = 0; i < request.count && !status; i++) {
        runs[i] = load(request.file[i]);
        status = runs[i] ? COMMAND_OK : COMMAND_USAGE;
        report.run[i] = runs[i];
        report.file[i] = request.file[i];
        report.count++;
    }
    if (!status)
        status = make_report(&request, &report);
    for (unsigned i = 0; i < REPORT_MAX_RUNS; i++)
        report_run_free(runs[i]);
    return status;
}

struct call {
    int argc;
    char **argv;
    int status;
};

static void *run_call(void *opaque)
{
    struct call *call = opaque;

    call->status = run_report(call->argc, call->argv);
    return NULL;
}

/* The JSON nests as deep as its writer likes: a thread with a stack of its own reads it. */
int command_report(int argc, char **argv)
{
    struct call call = {argc, argv, COMMAND_ERROR};
    pthread_t thread;
    int err = thread_create(&thread, run_call, &call);

    if (err)
        log_error("the host refuses a thread: %s", strerror(-err));
    else
        pthread_join(thread, NULL);
    return call.status;
}

/*
 * `umbra run`: options into a configuration, checked as far as that goes without a VM: then nothing
 * starts that a wrong option or a missing file would end.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/trace.h"
#include "cmd/command.h"
#include "cmd/run_options.h"
#include "cmd/size.h"
#include "engine/engine.h"
#include "mem/layout.h"
#include "vm/budget.h"
#include "vm/clock_guest.h"
#include "vm/listener.h"
#include "vm/sandbox.h"
#include "vm/stats_file.h"
#include "vm/stats_live.h"
#include "vm/vm.h"
#include "x86/cpuid.h"

#define MAX_TIMEOUT_S (365 * 24 * 3600)

/* What to do about a disk's image that cannot be opened. */
static const char *drive_hint(int err)
{
    switch (err) {
    case ENOENT: return "; truncate -s 8G NAME makes an empty disk";
    case EISDIR: return "; name a file";
    case EACCES:
    case EPERM:
    case EROFS: return "; the guest writes to it: make it writable, or give a copy";
    default: return "";
    }
}

/* Says whether the file can be opened; what is in it is the loaders' business. */
static bool check_file(const char *path, int flags, const char *hint)
{
    struct stat st;
    int fd;

    if (!path)
        return true;
    fd = open(path, flags | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        bool drive = flags == O_RDWR;

        log_error("cannot open %s%s: %s%s", path, drive ? " for reading and writing" : "",
                  strerror(errno), drive ? drive_hint(errno) : hint);
        return false;
    }
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0) {
        log_error("cannot use %s: the file is empty", path);
        close(fd);
        return false;
    }
    close(fd);
    return true;
}

static bool check_memory(uint64_t bytes)
{
    if (bytes < LAYOUT_MIN_MEMORY || bytes > LAYOUT_MAX_MEMORY) {
        log_error("--memory must lie between %llu MiB and %llu GiB",
                  (unsigned long long)(LAYOUT_MIN_MEMORY / MIB),
                  (unsigned long long)(LAYOUT_MAX_MEMORY / GIB));
        return false;
    }
    if (bytes % PAGE_SIZE != 0) {
        log_error("--memory must be a multiple of 4K; write for example 512M");
        return false;
    }
    return true;
}

static bool check_timeout(uint64_t seconds)
{
    if (seconds > MAX_TIMEOUT_S) {
        log_error("--timeout takes at most %d seconds (a year); leave it out for no limit",
                  MAX_TIMEOUT_S);
        return false;
    }
    return true;
}

static bool check_monitor_memory(const struct vm_config *config)
{
    uint64_t bytes = config->monitor_memory_bytes;
    struct budget budget;

    if (bytes && (bytes < BUDGET_MIN_BYTES || bytes > LAYOUT_MAX_MEMORY)) {
        log_error("--monitor-memory must lie between %llu MiB and %llu GiB",
                  (unsigned long long)(BUDGET_MIN_BYTES / MIB),
                  (unsigned long long)(LAYOUT_MAX_MEMORY / GIB));
        return false;
    }
    return budget_split(&budget, config);
}

static bool check_mmu(const struct vm_config *config)
{
    uint64_t tlb = config->tlb_entries, pages = config->shadow_pages;

    if (tlb > ENGINE_MAX_TLB_ENTRIES || (tlb & (tlb - 1))) {
        log_error("--tlb-entries takes a power of two up to %d", ENGINE_MAX_TLB_ENTRIES);
        return false;
    }
    if (pages && (pages < SHADOW_PAGES_MIN || pages > SHADOW_PAGES_MAX)) {
        log_error("--shadow-pages must lie between %d and %d", SHADOW_PAGES_MIN, SHADOW_PAGES_MAX);
        return false;
    }
    return true;
}

/* --clock into nanoseconds an instruction; 0 for host time. */
static bool parse_clock(const char *text, uint64_t *ns)
{
    static const char counts[] = "instructions";

    *ns = 0;
    if (!text || strcmp(text, "host") == 0)
        return true;
    if (strcmp(text, counts) == 0) {
        *ns = CLOCK_GUEST_DEFAULT_NS;
        return true;
    }
    if (strncmp(text, counts, strlen(counts)) == 0 && text[strlen(counts)] == '=' &&
        number_parse(text + strlen(counts) + 1, ns) == 0 && *ns >= 1 && *ns <= CLOCK_GUEST_MAX_NS)
        return true;
    log_error("--clock takes host, instructions, or instructions=NS with 1 to %d nanoseconds",
              CLOCK_GUEST_MAX_NS);
    return false;
}

/* --translate into engine.h's translate_after. */
static bool parse_translate(const char *text, unsigned *after)
{
    uint64_t runs;

    *after = 0;
    if (!text || strcmp(text, "on") == 0)
        return true;
    if (strcmp(text, "off") == 0) {
        *after = ENGINE_TRANSLATE_NEVER;
        return true;
    }
    if (number_parse(text, &runs) == 0 && runs >= 1 && runs < ENGINE_TRANSLATE_NEVER) {
        *after = (unsigned)runs;
        return true;
    }
    log_error("--translate takes on, off, or a number from 1");
    return false;
}

static bool check_stats(const struct vm_config *config)
{
    int err;

    if (config->stats_interval_s > STATS_LIVE_MAX_S) {
        log_error("--stats-interval takes at most %d seconds (a day); leave it out for no table",
                  STATS_LIVE_MAX_S);
        return false;
    }
    if (!config->stats_file)
        return true;
    err = stats_file_check(config->stats_file);
    if (err)
        log_error("--stats cannot write to %s: %s; name a file in a folder that can be written to",
                  config->stats_file, strerror(-err));
    return !err;
}

/* Digests compare runs, which host time makes all different. */
static bool check_digest(struct vm_config *config)
{
    if (!config->digest) {
        if (!config->digest_memory && !config->digest_every && !config->digest_to &&
            config->digest_from == VM_CONFIG_DIGEST_UNSAID)
            return true;
        log_error("--digest-every, -from, -to and -memory need --digest FILE");
        return false;
    }
    if (!config->clock_ns) {
        log_error("--digest needs --clock instructions");
        return false;
    }
    if (config->digest_memory && !config->digest_to) {
        log_error("--digest-memory needs --digest-to N: memory is written at that end");
        return false;
    }
    if (!config->digest_every)
        config->digest_every = VM_CONFIG_DEFAULT_DIGEST;
    if (config->digest_from == VM_CONFIG_DIGEST_UNSAID)
        config->digest_from = config->digest_every;
    if (config->digest_to && config->digest_to < config->digest_from) {
        log_error("--digest-to lies before the first digest (--digest-from)");
        return false;
    }
    return true;
}

static bool check_cpu(const char *name)
{
    const char *missing = NULL;
    struct cpu_model model;
    int result = cpu_model_init(&model, name, &missing);

    if (result == -EOPNOTSUPP)
        log_error("--cpu %s needs %s, which this host does not have; choose a lower level or max",
                  name, missing ? missing : "a feature");
    else if (result)
        log_error("unknown --cpu %s; there are x86-64-v1, x86-64-v2, x86-64-v3 and max", name);
    return result == 0;
}

/* An address to listen at; the option's name is for the message. */
static bool check_address(const char *option, const char *where)
{
    const char *wrong = where ? listener_check(where) : NULL;

    if (wrong)
        log_error("%s %s: %s", option, where, wrong);
    return !wrong;
}

static bool check_wait(const struct vm_config *config)
{
    if (config->wait && !config->gdb) {
        log_error("--wait needs --gdb: without it nobody could start the guest");
        return false;
    }
    return true;
}

static bool enable_traces(const struct option_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        if (trace_enable(list->values[i]) == 0) {
            log_error("no event matches --trace %s; umbra help trace lists them", list->values[i]);
            return false;
        }
    }
    return true;
}

static bool check(const struct run_options *options)
{
    const struct vm_config *config = &options->config;
    bool bare_stats = options->stats.given && !options->stats.value;
    const char *file_hint =
        bare_stats ? "; a file for the statistics is given as --stats=FILE.json" : "";

    return check_memory(config->memory_bytes) && check_timeout(config->timeout_s) &&
           check_cpu(config->cpu_model) && check_mmu(config) && check_monitor_memory(config) &&
           check_file(config->file, O_RDONLY, file_hint) &&
           check_file(config->kernel, O_RDONLY, "") && check_file(config->initrd, O_RDONLY, "") &&
           check_file(config->disk, O_RDWR, "") && check_file(config->floppy, O_RDWR, "") &&
           check_file(config->cdrom, O_RDONLY, "") && check_file(config->bios, O_RDONLY, "") &&
           check_stats(config) && check_address("--monitor", config->monitor) &&
           check_address("--gdb", config->gdb) && check_wait(config) &&
           enable_traces(&options->traces);
}

int command_run(int argc, char **argv)
{
    struct run_options options = {
        .config = {.memory_bytes = VM_CONFIG_DEFAULT_MEMORY,
                   .cpu_model = VM_CONFIG_DEFAULT_CPU,
                   .sandbox_off = SANDBOX_SANITIZED,
                   .digest_from = VM_CONFIG_DIGEST_UNSAID},
    };
    struct option_error error;
    bool help;

    if (options_parse(&run_option_table, argc, argv, &options, &help, &error)) {
        log_error("%s", error.text);
        return COMMAND_USAGE;
    }
    if (help) {
        help_print_run();
        return COMMAND_OK;
    }
    options.config.stats = options.stats.given;
    options.config.stats_file = options.stats.value;
    if (!parse_clock(options.clock, &options.config.clock_ns) ||
        !parse_translate(options.translate, &options.config.translate_after) ||
        !check_digest(&options.config) || !check(&options))
        return COMMAND_USAGE;
    return vm_run(&options.config);
}

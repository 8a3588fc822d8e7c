/*
 * `umbra run`: options into a configuration, checked as far as that goes without a VM: then nothing
 * starts that a wrong option or a missing file would end.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/trace.h"
#include "cmd/command.h"
#include "cmd/options.h"
#include "cmd/size.h"
#include "engine/engine.h"
#include "mem/layout.h"
#include "vm/clock_guest.h"
#include "vm/config.h"
#include "vm/listener.h"
#include "vm/stats_file.h"
#include "vm/stats_live.h"
#include "vm/vm.h"
#include "x86/cpuid.h"

#define MAX_TIMEOUT_S (365 * 24 * 3600)

struct run_options {
    struct vm_config config;
    struct option_list traces;
    struct option_optional stats;
    const char *clock;
    const char *translate;
};

#define FIELD(name) offsetof(struct run_options, config.name)

static const struct option_row rows[] = {
    {"kernel", "FILE", "Linux bzImage or multiboot kernel", OPTION_STRING, FIELD(kernel)},
    {"initrd", "FILE", "initial RAM disk for the kernel", OPTION_STRING, FIELD(initrd)},
    {"append", "TEXT", "command line for the kernel", OPTION_STRING, FIELD(append)},
    {"disk", "FILE", "raw image of the IDE disk; the guest writes to it", OPTION_STRING,
     FIELD(disk)},
    {"floppy", "FILE", "raw image that the BIOS shows as a floppy, whatever its size",
     OPTION_STRING, FIELD(floppy)},
    {"cdrom", "FILE", "image in the IDE CD drive", OPTION_STRING, FIELD(cdrom)},
    {"bios", "FILE", "a BIOS in the place of Umbra's own", OPTION_STRING, FIELD(bios)},
    {"memory", "SIZE", "guest memory: 64M, 512M (the default), 8G", OPTION_SIZE,
     FIELD(memory_bytes)},
    {"memory-backend", "anon|memfd|hugetlb", "what guest memory is made of (anon)", OPTION_CHOICE,
     FIELD(memory_backend)},
    {"prealloc", NULL, "take all guest memory from the host at the start", OPTION_FLAG,
     FIELD(prealloc)},
    {"ksm", NULL, "let the host merge equal pages (KSM)", OPTION_FLAG, FIELD(ksm)},
    {"thp", NULL, "ask the host for transparent huge pages", OPTION_FLAG, FIELD(thp)},
    {"engine", "auto|kvm|soft", "who runs the guest (auto); umbra engines tells more",
     OPTION_CHOICE, FIELD(engine)},
    {"irqchip", "host|user", "with kvm: whose interrupt controllers (host)", OPTION_CHOICE,
     FIELD(user_irqchip)},
    {"mmu", "auto|ept|shadow", "with soft: how memory is virtualized (auto: ept)", OPTION_CHOICE,
     FIELD(mmu)},
    {"shadow-pages", "N", "with --mmu shadow: most shadow pages there may be (16384)",
     OPTION_NUMBER, FIELD(shadow_pages)},
    {"tlb-entries", "N", "with soft: entries of a TLB table, a power of two (4096)", OPTION_NUMBER,
     FIELD(tlb_entries)},
    {"translate", "on|off|N", "translate code to host code (on); N: when it runs the Nth time",
     OPTION_STRING, offsetof(struct run_options, translate)},
    {"cpu", "MODEL", "x86-64-v1, x86-64-v2, x86-64-v3, or max (the default)", OPTION_STRING,
     FIELD(cpu_model)},
    {"clock", "host|instructions[=NS]",
     "what virtual time counts (host; with soft instructions, of 10 ns)", OPTION_STRING,
     offsetof(struct run_options, clock)},
    {"digest", "FILE", "for tools/lockstep: write registers and a hash of memory to FILE",
     OPTION_STRING, FIELD(digest)},
    {"digest-every", "N", "instructions between two digests (1000000)", OPTION_NUMBER,
     FIELD(digest_every)},
    {"digest-from", "N", "instructions before the first digest", OPTION_NUMBER, FIELD(digest_from)},
    {"digest-to", "N", "end the run after the last digest up to here", OPTION_NUMBER,
     FIELD(digest_to)},
    {"digest-memory", "FILE", "with --digest-to: write guest memory to FILE at the end",
     OPTION_STRING, FIELD(digest_memory)},
    {"timeout", "SECONDS", "end with status 36 after so many seconds", OPTION_NUMBER,
     FIELD(timeout_s)},
    {"no-reboot", NULL, "end with status 32 when the guest resets", OPTION_FLAG, FIELD(no_reboot)},
    {"screen", NULL, "print the guest's text screen at the end", OPTION_FLAG, FIELD(screen)},
    {"stats", "FILE.json", "time exits; print the counters at the end, or write a file",
     OPTION_OPTIONAL, offsetof(struct run_options, stats)},
    {"stats-interval", "SECONDS", "print a line of rates every so many seconds", OPTION_NUMBER,
     FIELD(stats_interval_s)},
    {"monitor", "ADDRESS", "the monitor console at unix:PATH or a TCP PORT (also: Ctrl-a c)",
     OPTION_STRING, FIELD(monitor)},
    {"gdb", "ADDRESS", "let gdb attach, at a TCP PORT of localhost or unix:PATH (takes soft)",
     OPTION_STRING, FIELD(gdb)},
    {"wait", NULL, "with --gdb: wait for gdb to start the guest", OPTION_FLAG, FIELD(wait)},
    {"trace", "GLOB", "print events whose names match (umbra help trace lists them)", OPTION_LIST,
     offsetof(struct run_options, traces)},
};

static const struct option_table table = {"umbra run", rows, ARRAY_SIZE(rows), FIELD(file)};

void help_print_run(void)
{
    printf(
        "umbra run [FILE] [OPTION...]\n\n"
        "FILE is a Linux bzImage, a multiboot kernel, a raw disk image, a bootable CD image or a\n"
        "flat real-mode binary; its content decides. Without it, a kernel or a drive a small\n"
        "guest inside Umbra runs.\n\n");
    options_print_help(&table);
    printf("\nOn a terminal Ctrl-a x quits and Ctrl-a h helps.\n"
           "Exit status: 0 power-off, 1 own error, 2 bad usage or file, 32 reset, 34 guest panic,\n"
           "36 time-out, 38 triple fault.\n");
}

/* Says whether the file can be opened; what is in it is the loaders' business. */
static bool check_file(const char *path, int flags)
{
    struct stat st;
    int fd;

    if (!path)
        return true;
    fd = open(path, flags | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        log_error("cannot open %s%s: %s", path, flags == O_RDWR ? " for reading and writing" : "",
                  strerror(errno));
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

    return check_memory(config->memory_bytes) && check_timeout(config->timeout_s) &&
           check_cpu(config->cpu_model) && check_mmu(config) &&
           check_file(config->file, O_RDONLY) && check_file(config->kernel, O_RDONLY) &&
           check_file(config->initrd, O_RDONLY) && check_file(config->disk, O_RDWR) &&
           check_file(config->floppy, O_RDWR) && check_file(config->cdrom, O_RDONLY) &&
           check_file(config->bios, O_RDONLY) && check_stats(config) &&
           check_address("--monitor", config->monitor) && check_address("--gdb", config->gdb) &&
           check_wait(config) && enable_traces(&options->traces);
}

int command_run(int argc, char **argv)
{
    struct run_options options = {
        .config = {.memory_bytes = VM_CONFIG_DEFAULT_MEMORY,
                   .cpu_model = VM_CONFIG_DEFAULT_CPU,
                   .digest_from = VM_CONFIG_DIGEST_UNSAID},
    };
    struct option_error error;
    bool help;

    if (options_parse(&table, argc, argv, &options, &help, &error)) {
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

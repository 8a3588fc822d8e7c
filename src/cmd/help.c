/* `umbra help` and `umbra version`: the words that people read first. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/trace.h"
#include "base/types.h"
#include "cmd/command.h"

static void print_event(void *opaque, const char *name)
{
    printf("%s\n", name);
}

static void print_trace(void)
{
    trace_list(print_event, NULL);
}

void help_print_main(void)
{
    printf(
        "Umbra runs PC guests on x86-64 Linux: on the host's KVM where that is fast, else on its\n"
        "own processor in software.\n"
        "\n"
        "  umbra run [FILE] [OPTION...]   start a guest; without FILE a small one inside Umbra\n"
        "  umbra engines                  who can run guests on this host, and how fast\n"
        "  umbra report A.json [B.json]   a page of what runs counted (run --stats=A.json)\n"
        "  umbra help run                 the options of run\n"
        "  umbra help report              the options of report\n"
        "  umbra help trace               the names that --trace takes\n"
        "  umbra version                  the version\n"
        "\n"
        "FILE is a Linux bzImage, a multiboot kernel, a raw disk image, a bootable CD image or\n"
        "a flat real-mode binary; its content decides. man umbra says it all.\n");
}

static const struct topic {
    const char *name;
    void (*print)(void);
} topics[] = {
    {"run", help_print_run},
    {"report", help_print_report},
    {"trace", print_trace},
};

int command_help(int argc, char **argv)
{
    if (argc == 0) {
        help_print_main();
        return COMMAND_OK;
    }
    for (size_t i = 0; i < ARRAY_SIZE(topics); i++) {
        if (strcmp(argv[0], topics[i].name) == 0) {
            topics[i].print();
            return COMMAND_OK;
        }
    }
    log_error(
        "no help on %s; there are: umbra help, umbra help run, umbra help report, umbra help trace",
        argv[0]);
    return COMMAND_USAGE;
}

int command_version(int argc, char **argv)
{
    printf("umbra " UMBRA_VERSION "\n");
    return COMMAND_OK;
}

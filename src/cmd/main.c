/* The command line's entry: finds the sub-command. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/types.h"
#include "cmd/command.h"

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"run", command_run},     {"help", command_help}, {"version", command_version},
    {"--help", command_help}, {"-h", command_help},   {"--version", command_version},
};

int main(int argc, char **argv)
{
    if (argc < 2) {
        log_error("no command; start with: umbra run FILE (umbra help says more)");
        return COMMAND_USAGE;
    }
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 2, argv + 2);
    }
    log_error("unknown command %s; there are run, help and version", argv[1]);
    return COMMAND_USAGE;
}

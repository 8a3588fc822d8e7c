/* `umbra engines`: what can run guests on this host, and how well. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cmd/command.h"
#include "vm/engines.h"

int command_engines(int argc, char **argv)
{
    if (argc > 0 && strcmp(argv[0], "--help") == 0) {
        printf("umbra engines\n\n"
               "  Times a short guest loop on each engine and prints what it found.\n");
        return COMMAND_OK;
    }
    if (argc > 0) {
        log_error("umbra engines takes no %s; it has no options", argv[0]);
        return COMMAND_USAGE;
    }
    vm_print_engines(stdout);
    return COMMAND_OK;
}

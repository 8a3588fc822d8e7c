/* What `umbra run` understands on its command line: the table of its options, and their target. */
#ifndef UMBRA_CMD_RUN_OPTIONS_H
#define UMBRA_CMD_RUN_OPTIONS_H

#include "cmd/options.h"
#include "vm/config.h"

/* Options as they are parsed; those below `config` are text that run.c puts into it. */
struct run_options {
    struct vm_config config;
    struct option_list traces;
    struct option_optional stats;
    const char *clock;
    const char *translate;
};

extern const struct option_table run_option_table; /* target: struct run_options */

#endif
